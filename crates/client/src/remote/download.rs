//! Getting files: each block straight from a node that holds it, checked, in order.

use super::blocks::{NotHad, Wanted};
use super::drive::service;
use super::{Entry, FileInfo, FileVersion, Remote, RemoteError};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use rpc::grpc::{block_hash, v1};
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use types::BlockHash;

/// Blocks fetched ahead at most.
const PREFETCH_MAX: usize = 32;

/// How a file is to be got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadOptions {
    /// Bytes at the beginning that are there already.
    pub offset: u64,
    /// Which content it must be, if that matters: when resuming, it does.
    pub expect: Option<Expect>,
    /// An earlier version, in place of the current one.
    pub version: Option<FileVersion>,
    /// Blocks fetched ahead.
    pub prefetch: usize,
}

impl Default for DownloadOptions {
    fn default() -> DownloadOptions {
        DownloadOptions { offset: 0, expect: None, version: None, prefetch: 6 }
    }
}

/// Which content a file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This very version.
    Version(FileVersion),
    /// Any with this hash of the whole.
    Hash(BlockHash),
}

/// How far a download is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadProgress {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that are there, those skipped included.
    pub done: u64,
}

/// A file's blocks from some offset on, or its content.
struct Opened {
    entry: Entry,
    inline: Option<Bytes>,
    blocks: Vec<Placed>,
    next: Option<u64>,
}

/// A block and where it begins.
struct Placed {
    at: u64,
    wanted: Wanted,
}

impl Remote {
    /// Writes a file's content, from `options.offset` on.
    pub async fn download(
        &self,
        path: &str,
        into: &mut (impl AsyncWrite + Send + Unpin),
        options: &DownloadOptions,
        mut progress: impl FnMut(DownloadProgress) + Send,
    ) -> Result<Entry, RemoteError> {
        let expect = match options.expect {
            Some(Expect::Version(version)) => Some(version),
            Some(Expect::Hash(_)) | None => None,
        };
        let opened = self.open(path, options.offset, expect, options.version).await?;
        let entry = opened.entry.clone();
        let file = file_of(&entry, path)?.clone();
        if let Some(Expect::Hash(hash)) = options.expect
            && hash != file.hash
        {
            return Err(RemoteError::Changed(format!("{path} has changed: it has other content now")));
        }
        if options.offset > file.size {
            return Err(RemoteError::Changed(format!(
                "{path} has {} bytes: it cannot go on after {}",
                file.size, options.offset
            )));
        }
        let mut so_far = DownloadProgress { total: file.size, done: options.offset };
        progress(so_far);
        // Only a download from the beginning sees all that the hash of the whole is of.
        let mut whole = (options.offset == 0 && !file.composed).then(blake3::Hasher::new);
        let pieces = self.pieces(path, opened, file.version, options);
        futures::pin_mut!(pieces);
        while let Some(piece) = pieces.try_next().await? {
            if let Some(whole) = &mut whole {
                whole.update(&piece);
            }
            into.write_all(&piece).await?;
            so_far.done += piece.len() as u64;
            progress(so_far);
        }
        into.flush().await?;
        if so_far.done != file.size {
            return Err(RemoteError::Protocol(format!("{path}: {} bytes of {} came", so_far.done, file.size)));
        }
        match whole {
            Some(whole) if *whole.finalize().as_bytes() != file.hash.0 => Err(RemoteError::Protocol(format!(
                "{path}: every block is intact, but the whole is not what its sender said it was"
            ))),
            _ => Ok(entry),
        }
    }

    /// The content in order; `options.prefetch` blocks are on their way at a time.
    fn pieces(
        &self,
        path: &str,
        opened: Opened,
        version: FileVersion,
        options: &DownloadOptions,
    ) -> impl Stream<Item = Result<Bytes, RemoteError>> + Send {
        let offset = options.offset;
        let old = options.version;
        let prefetch = options.prefetch.clamp(1, PREFETCH_MAX);
        let inline = opened.inline.clone().map(|bytes| bytes.slice(offset.min(bytes.len() as u64) as usize..));
        let inline = futures::stream::iter(inline.filter(|bytes| !bytes.is_empty()).map(Ok));
        let pages = futures::stream::try_unfold(Some(Page::Here(Box::new(opened))), move |page| async move {
            let opened = match page {
                None => return Ok::<_, RemoteError>(None),
                Some(Page::Here(opened)) => *opened,
                Some(Page::At(offset)) => self.open(path, offset, Some(version), old).await?,
            };
            let blocks = futures::stream::iter(opened.blocks.into_iter().map(Ok::<_, RemoteError>));
            Ok(Some((blocks, opened.next.map(Page::At))))
        });
        let blocks = pages.try_flatten().map(move |placed| async move {
            let Placed { at, wanted } = placed?;
            let bytes = match self.block(&wanted).await {
                Ok(bytes) => bytes,
                Err(NotHad::Error(error)) => return Err(error),
                Err(NotHad::Ticket) => self.block_anew(path, at, version, old, &wanted).await?,
            };
            let skipped = offset.saturating_sub(at).min(bytes.len() as u64);
            Ok(bytes.slice(skipped as usize..))
        });
        inline.chain(blocks.buffered(prefetch))
    }

    /// Tickets run out while a slow writer holds the download up: opens the file again, for this block.
    async fn block_anew(
        &self,
        path: &str,
        at: u64,
        version: FileVersion,
        old: Option<FileVersion>,
        before: &Wanted,
    ) -> Result<Bytes, RemoteError> {
        let opened = self.open(path, at, Some(version), old).await?;
        let wanted = opened.blocks.into_iter().next().map(|placed| placed.wanted).filter(|w| w.hash == before.hash);
        let wanted = wanted.ok_or_else(|| RemoteError::Protocol(format!("{path} opens differently each time")))?;
        self.block(&wanted).await.map_err(|not_had| match not_had {
            NotHad::Error(error) => error,
            NotHad::Ticket => RemoteError::Denied(format!("no node accepts the ticket for block {}", wanted.hash)),
        })
    }

    async fn open(
        &self,
        path: &str,
        offset: u64,
        expect: Option<FileVersion>,
        old: Option<FileVersion>,
    ) -> Result<Opened, RemoteError> {
        let bytes = |version: Option<FileVersion>| version.map(|it| Bytes::copy_from_slice(&it.0)).unwrap_or_default();
        let message =
            v1::OpenFileRequest { path: path.to_string(), offset, expect: bytes(expect), version: bytes(old) };
        let send = |channel, request| async move { service(channel).open_file(request).await };
        let reply = self.read(message, send).await?;
        let sets = reply.holder_sets.into_iter();
        let sets = sets.map(|set| Arc::new(set.holders.into_iter().map(|holder| holder.address).collect::<Vec<_>>()));
        let sets: Vec<_> = sets.collect();
        let mut at = reply.first_offset;
        let mut blocks = Vec::with_capacity(reply.blocks.len());
        for block in reply.blocks {
            let holders = sets.get(block.holders as usize).cloned().unwrap_or_default();
            let hash = block_hash(&block.hash)?;
            let wanted = Wanted { hash, length: block.length, ticket: block.ticket, holders };
            blocks.push(Placed { at, wanted });
            at = at.saturating_add(u64::from(block.length));
        }
        if reply.next_offset.is_some_and(|next| next <= offset) {
            return Err(RemoteError::Protocol(format!("{path} does not end")));
        }
        let entry =
            Entry::from_wire(reply.entry.ok_or_else(|| RemoteError::Protocol("a file without an entry".into()))?)?;
        Ok(Opened { entry, inline: reply.inline, blocks, next: reply.next_offset })
    }
}

enum Page {
    Here(Box<Opened>),
    At(u64),
}

fn file_of<'a>(entry: &'a Entry, path: &str) -> Result<&'a FileInfo, RemoteError> {
    entry.file().ok_or_else(|| RemoteError::Invalid(format!("{path} is a folder")))
}
