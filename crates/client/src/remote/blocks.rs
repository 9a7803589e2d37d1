//! Cutting a source into blocks, and getting blocks from their holders.

use super::call::Failure;
use super::drive::service;
use super::gateways::Gateway;
use super::{Remote, RemoteError};
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use rpc::grpc::{Problem, kind, v1};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt};
use types::limits::BLOCK_BYTES;
use types::{Action, BlockHash};

/// A piece of a file.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub hash: BlockHash,
    pub bytes: Bytes,
}

/// The hash of everything that was cut, when the cutting is over.
pub(super) type WholeHash = Arc<Mutex<blake3::Hasher>>;

/// Reads until there is a whole block, or the source ends.
pub(super) async fn read_block(source: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(BLOCK_BYTES);
    while bytes.len() < BLOCK_BYTES {
        // Without the limit the buffer would grow once it is full, and the block with it.
        let room = BLOCK_BYTES - bytes.len();
        if source.read_buf(&mut (&mut bytes).limit(room)).await? == 0 {
            break;
        }
    }
    Ok(bytes.freeze())
}

/// Cuts a source into blocks, the first of which has been read already.
/// Hashing is done off the threads that wait for sockets.
pub(super) fn cut<S: AsyncRead + Unpin + Send>(
    first: Bytes,
    source: S,
    whole: WholeHash,
) -> impl Stream<Item = Result<Block, RemoteError>> + Send {
    futures::stream::try_unfold((Some(first), source), move |(first, mut source)| {
        let whole = whole.clone();
        async move {
            let bytes = match first {
                Some(first) => first,
                None => read_block(&mut source).await?,
            };
            if bytes.is_empty() {
                return Ok(None);
            }
            let hashed = bytes.clone();
            let hash = tokio::task::spawn_blocking(move || {
                whole.lock().update(&hashed);
                BlockHash::of(&hashed)
            });
            let hash = hash.await.map_err(|error| RemoteError::Internal(error.to_string()))?;
            Ok(Some((Block { hash, bytes }, (None, source))))
        }
    })
}

/// A block that can be had.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub hash: BlockHash,
    pub length: u32,
    pub ticket: Bytes,
    pub holders: Arc<Vec<String>>,
}

/// Why a block was not had.
pub(super) enum NotHad {
    /// The ticket is no longer good: the file has to be opened again.
    Ticket,
    /// For good.
    Error(RemoteError),
}

impl Remote {
    /// Gets a block straight from one of its holders, whichever gives an intact
    /// copy first; in the end through any gateway.
    pub(super) async fn block(&self, wanted: &Wanted) -> Result<Bytes, NotHad> {
        let mut why = "no holder is in service".to_string();
        for holder in self.holders(wanted) {
            match self.block_from(&holder, wanted).await {
                Ok(bytes) => return Ok(bytes),
                Err(Some(NotHad::Ticket)) => return Err(NotHad::Ticket),
                Err(Some(NotHad::Error(error))) => why = format!("{}: {error}", holder.address()),
                Err(None) => why = format!("{} cannot be reached", holder.address()),
            }
        }
        let message = v1::GetBlockRequest { hash: hash_bytes(&wanted.hash), ticket: wanted.ticket.clone() };
        let send = |channel, request| async move { service(channel).get_block(request).await };
        match self.call(super::call::Safety::Read, message, send).await {
            Ok(reply) => checked(wanted, reply.data)
                .map_err(|why| NotHad::Error(RemoteError::Damaged { hash: wanted.hash, why })),
            Err(Failure { error: RemoteError::Denied(_), .. }) => Err(NotHad::Ticket),
            Err(Failure { error: RemoteError::Unreachable { tried, .. }, .. }) => {
                Err(NotHad::Error(RemoteError::Unreachable { tried, why }))
            }
            Err(Failure { error: error @ RemoteError::SignedOut, .. }) => Err(NotHad::Error(error)),
            Err(Failure { error, .. }) => {
                Err(NotHad::Error(RemoteError::Damaged { hash: wanted.hash, why: error.to_string() }))
            }
        }
    }

    /// In an order that spreads readers, those that failed a moment ago last.
    fn holders(&self, wanted: &Wanted) -> Vec<Arc<Gateway>> {
        let known = wanted.holders.iter().filter_map(|address| self.shared.gateways.named(address));
        let mut holders: Vec<_> = known.collect();
        holders.shuffle(&mut rand::rng());
        holders.sort_by_key(|holder| holder.is_avoided());
        holders
    }

    /// The error is none when the holder did not answer.
    async fn block_from(&self, holder: &Gateway, wanted: &Wanted) -> Result<Bytes, Option<NotHad>> {
        let link = holder.link().await.map_err(|_| None)?;
        let message = v1::GetBlockRequest { hash: hash_bytes(&wanted.hash), ticket: wanted.ticket.clone() };
        let within = self.shared.options.block;
        let request = self.request(message, within).map_err(|problem| Some(NotHad::Error(problem.into())))?;
        let mut service = service(link.channel.clone());
        let status = match tokio::time::timeout(within, service.get_block(request)).await {
            Ok(Ok(reply)) => {
                holder.answered();
                let bad = |why| Some(NotHad::Error(RemoteError::Damaged { hash: wanted.hash, why }));
                return checked(wanted, reply.into_inner().data).map_err(bad);
            }
            Ok(Err(status)) => status,
            Err(_) => {
                holder.broken(&link).await;
                return Err(None);
            }
        };
        match Problem::from_status(&status) {
            Some(problem) if problem.kind == kind::DENIED => Err(Some(NotHad::Ticket)),
            Some(problem) => {
                debug_assert_ne!(problem.action, Action::Unknown, "a read has no outcome");
                Err(Some(NotHad::Error(problem.into())))
            }
            None => {
                holder.broken(&link).await;
                Err(None)
            }
        }
    }
}

pub(super) fn hash_bytes(hash: &BlockHash) -> Bytes {
    Bytes::copy_from_slice(&hash.0)
}

fn checked(wanted: &Wanted, bytes: Bytes) -> Result<Bytes, String> {
    if bytes.len() != wanted.length as usize || BlockHash::of(&bytes) != wanted.hash {
        return Err("what came back is not that block".into());
    }
    Ok(bytes)
}
