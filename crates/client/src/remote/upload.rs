//! Sending files: cut, ask what is missing, send only that, then put the file
//! together. Sent again after an interruption it goes on where it was.

use super::blocks::{Block, WholeHash, cut, hash_bytes, read_block};
use super::call::{Failure, Safety};
use super::drive::service;
use super::{Entry, FileCondition, FileVersion, Remote, RemoteError};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use rpc::grpc::limits::{FILE_BLOCKS_MAX, FILE_BYTES_MAX};
use rpc::grpc::v1::put_file_request::{Body, Condition};
use rpc::grpc::{block_hash, v1};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::AsyncRead;
use types::limits::BLOCK_BYTES;
use types::{BlockHash, WallMillis};

use crate::INLINE_BYTES_MAX;

/// Blocks asked about at once while sending. With those being sent this bounds
/// memory: about forty blocks.
const BATCH: usize = 8;
/// Batches being asked about.
const BATCHES: usize = 2;
/// Blocks being sent.
const IN_FLIGHT: usize = 6;
/// What putting a file together may take for each of its blocks.
const PER_BLOCK: Duration = Duration::from_millis(10);
/// How often a file is begun anew when blocks of it have been collected meanwhile.
const TRIES: usize = 3;

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadTarget {
    /// The path in the drive.
    pub path: String,
    /// When the content was last changed; none: now.
    pub modified: Option<WallMillis>,
    /// What must be true of the path.
    pub condition: FileCondition,
    /// Bytes to expect, for progress.
    pub size_hint: Option<u64>,
    /// As in `text/plain`, when known.
    pub media_type: Option<String>,
    /// Make the folders above it, once its content is there.
    pub parents: bool,
}

impl UploadTarget {
    /// Replaces what is there.
    pub fn new(path: impl Into<String>) -> UploadTarget {
        UploadTarget {
            path: path.into(),
            modified: None,
            condition: FileCondition::Any,
            size_hint: None,
            media_type: None,
            parents: false,
        }
    }
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadProgress {
    /// Bytes in all, when known.
    pub total: Option<u64>,
    /// Bytes read from the source.
    pub read: u64,
    /// Bytes that are in the cluster.
    pub done: u64,
    /// Bytes of those that had to be sent.
    pub sent: u64,
}

impl Remote {
    /// Sends a source of any length as a file.
    pub async fn upload(
        &self,
        mut source: impl AsyncRead + Send + Unpin,
        target: &UploadTarget,
        mut progress: impl FnMut(UploadProgress) + Send,
    ) -> Result<Entry, RemoteError> {
        let first = read_block(&mut source).await?;
        let mut so_far = UploadProgress { total: target.size_hint, ..UploadProgress::default() };
        if first.len() <= INLINE_BYTES_MAX {
            let size = first.len() as u64;
            let hash = BlockHash::of(&first);
            let entry = self.put_file(target, None, size, hash, Body::Inline(first)).await?;
            progress(UploadProgress { total: Some(size), read: size, done: size, sent: size });
            return Ok(entry);
        }

        let upload: [u8; 16] = rand::random();
        let whole: WholeHash = Arc::default();
        let read = Arc::new(AtomicU64::new(0));
        let counted = read.clone();
        let batches = cut(first, source, whole.clone())
            .inspect_ok(move |block| {
                counted.fetch_add(block.bytes.len() as u64, Ordering::Relaxed);
            })
            .try_chunks(BATCH)
            .map_err(|stopped| stopped.1)
            .map(|batch| async move { self.mark_missing(upload, batch?).await })
            .buffered(BATCHES);
        let sent = batches
            .map_ok(|batch| futures::stream::iter(batch.into_iter().map(Ok::<_, RemoteError>)))
            .try_flatten()
            .map(|block| async move {
                let (block, missing) = block?;
                let sent = if missing { block.bytes.len() as u64 } else { 0 };
                let reference = v1::BlockRef { hash: hash_bytes(&block.hash), length: block.bytes.len() as u32 };
                if missing {
                    self.send_block(upload, block).await?;
                }
                Ok::<_, RemoteError>((reference, sent))
            })
            .buffered(IN_FLIGHT);
        futures::pin_mut!(sent);
        let mut blocks: Vec<v1::BlockRef> = Vec::new();
        while let Some((reference, sent)) = sent.try_next().await? {
            if blocks.len() == FILE_BLOCKS_MAX {
                return Err(RemoteError::Invalid(format!("a file has at most {FILE_BYTES_MAX} bytes")));
            }
            so_far.done += u64::from(reference.length);
            so_far.sent += sent;
            so_far.read = read.load(Ordering::Relaxed);
            blocks.push(reference);
            progress(so_far);
        }

        let hash = BlockHash(*whole.lock().finalize().as_bytes());
        self.put_file(target, Some(upload), so_far.done, hash, Body::Blocks(v1::BlockList { blocks })).await
    }

    /// Sends a file of this machine, with its time of change. Blocks that the
    /// cluster has from an earlier try are not sent again.
    pub async fn upload_file(
        &self,
        file: &Path,
        target: &UploadTarget,
        mut progress: impl FnMut(UploadProgress) + Send,
    ) -> Result<Entry, RemoteError> {
        let mut tries = 0;
        loop {
            let source = tokio::fs::File::open(file).await?;
            let about = source.metadata().await?;
            if about.is_dir() {
                return Err(RemoteError::Invalid(format!("{} is a folder", file.display())));
            }
            let mut target = target.clone();
            target.size_hint = Some(about.len());
            if target.modified.is_none() {
                let modified = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                target.modified = modified.map(|since| WallMillis(since.as_millis() as u64));
            }
            tries += 1;
            match self.upload(source, &target, &mut progress).await {
                Err(RemoteError::BlocksMissing(why)) if tries < TRIES => {
                    tracing::debug!(why, "blocks were collected before the file was whole: once more");
                }
                outcome => return outcome,
            }
        }
    }

    /// Tells for each block whether it has to be sent. Equal blocks are sent once.
    async fn mark_missing(&self, upload: [u8; 16], batch: Vec<Block>) -> Result<Vec<(Block, bool)>, RemoteError> {
        let mut missing = self.missing(upload, batch.iter().map(|block| block.hash)).await?;
        let marked = batch.into_iter().map(|block| {
            let first = missing.remove(&block.hash);
            (block, first)
        });
        Ok(marked.collect())
    }

    async fn missing(
        &self,
        upload: [u8; 16],
        hashes: impl Iterator<Item = BlockHash>,
    ) -> Result<HashSet<BlockHash>, RemoteError> {
        let hashes = hashes.map(|hash| hash_bytes(&hash)).collect();
        let message = v1::MissingRequest { upload: Bytes::copy_from_slice(&upload), hashes };
        let send = |channel, request| async move { service(channel).missing(request).await };
        // Whether it arrived does not matter: the file is not there until it is put together.
        let reply = self.read(message, send).await?;
        Ok(reply.hashes.iter().map(|hash| block_hash(hash)).collect::<Result<_, _>>()?)
    }

    async fn send_block(&self, upload: [u8; 16], block: Block) -> Result<(), RemoteError> {
        debug_assert!(block.bytes.len() <= BLOCK_BYTES);
        let message = v1::PutBlockRequest {
            upload: Bytes::copy_from_slice(&upload),
            hash: hash_bytes(&block.hash),
            data: block.bytes,
        };
        let send = |channel, request| async move { service(channel).put_block(request).await };
        self.read(message, send).await?;
        Ok(())
    }

    async fn put_file(
        &self,
        target: &UploadTarget,
        upload: Option<[u8; 16]>,
        size: u64,
        hash: BlockHash,
        body: Body,
    ) -> Result<Entry, RemoteError> {
        let extra = match &body {
            Body::Inline(_) => Duration::ZERO,
            Body::Blocks(list) => PER_BLOCK * list.blocks.len() as u32,
        };
        let version = FileVersion::random();
        let message = v1::PutFileRequest {
            path: target.path.clone(),
            size,
            hash: hash_bytes(&hash),
            modified_ms: target.modified.map_or(0, |at| at.0),
            body: Some(body),
            condition: match target.condition {
                FileCondition::Any => None,
                FileCondition::Absent => Some(Condition::Absent(v1::Empty {})),
                FileCondition::Replaces(version) => Some(Condition::Replaces(Bytes::copy_from_slice(&version.0))),
            },
            version: Bytes::copy_from_slice(&version.0),
            media_type: target.media_type.clone(),
            upload: upload.map(|upload| Bytes::copy_from_slice(&upload)).unwrap_or_default(),
        };
        let send = |channel, request| async move { service(channel).put_file(request).await };
        let mut put = self.call_lasting(extra, Safety::Write, message.clone(), send).await;
        if let (true, Err(Failure { error: RemoteError::NotFound(_), unsettled: None })) = (target.parents, &put) {
            let parent = target.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            self.make_folder(if parent.is_empty() { "/" } else { parent }, true).await?;
            put = self.call_lasting(extra, Safety::Write, message, send).await;
        }
        match put {
            Ok(entry) => Ok(Entry::from_wire(entry)?),
            // An earlier attempt may have put the file there, and that may be what a later one stumbled over.
            Err(failure @ Failure { unsettled: Some(_), .. }) => match self.stat(&target.path).await {
                Ok(entry) if entry.file().is_some_and(|file| file.version == version) => Ok(entry),
                _ => Err(failure.into()),
            },
            Err(failure) => Err(failure.error),
        }
    }
}
