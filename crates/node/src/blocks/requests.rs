//! Answers about blocks.

use super::keep::hosted;
use crate::node::Inner;
use crate::reads::blocking;
use bytes::Bytes;
use rpc::wire::{BlockCopies, Fault, HaveBlocks, PutBlock, ScrubReport, method};
use rpc::{Body, Status};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use types::BlockHash;
use types::limits::KEYS_MAX;

/// How long a question waits for the tables to contain the pin that it rests upon.
const PIN_WAIT: Duration = Duration::from_secs(2);

impl Inner {
    pub(crate) async fn block_request(self: &Arc<Self>, number: u16, body: Bytes) -> Result<Body, Status> {
        let invalid = |error: rpc::RpcError| Fault::Invalid(error.to_string());
        match number {
            method::PUT_BLOCK => {
                let result = match rpc::codec::decode_head::<PutBlock>(&body).map_err(invalid) {
                    Ok((put, raw)) => self.put_block(put, raw).await,
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            method::GET_BLOCK => {
                let result = match rpc::codec::decode::<BlockHash>(&body).map_err(invalid) {
                    Ok(hash) => self.blocks.read(hash).await.inspect_err(|_| self.blocks.suspect(hash)),
                    Err(fault) => Err(fault),
                };
                match result {
                    Ok(Some(raw)) => Ok((rpc::codec::encode(&Ok::<bool, Fault>(true)), raw).into()),
                    Ok(None) => Ok(rpc::codec::encode(&Ok::<bool, Fault>(false)).into()),
                    Err(fault) => Ok(rpc::codec::encode(&Err::<bool, Fault>(fault)).into()),
                }
            }
            method::HAVE_BLOCKS => {
                let result = match rpc::codec::decode::<HaveBlocks>(&body).map_err(invalid) {
                    Ok(request) => self.have_blocks(request).await,
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            method::NEED_BLOCKS => {
                let result = match rpc::codec::decode::<Vec<BlockHash>>(&body).map_err(invalid) {
                    Ok(hashes) => self.need_blocks(hashes).await,
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            method::BLOCK_COPIES => {
                let result = match rpc::codec::decode::<BlockCopies>(&body).map_err(invalid) {
                    Ok(request) => self.block_copies(request).await,
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            method::SCRUB => {
                let result: Result<ScrubReport, Fault> = match rpc::codec::decode::<bool>(&body).map_err(invalid) {
                    Ok(start) => Ok(self.scrub(start)),
                    Err(fault) => Err(fault),
                };
                Ok(rpc::codec::encode(&result).into())
            }
            _ => {
                let result =
                    rpc::codec::decode::<BlockHash>(&body).map_err(invalid).map(|hash| self.blocks.suspect(hash));
                Ok(rpc::codec::encode(&result).into())
            }
        }
    }

    async fn put_block(self: &Arc<Self>, put: PutBlock, raw: Bytes) -> Result<(), Fault> {
        if let Some(why) = self.stopped() {
            return Err(Fault::Stopped(why));
        }
        // By an older map it may have been this node's to keep. What it says that it has must count as a copy.
        let id = put.hash.partition(self.partitions().len().max(1) as u16);
        if !hosted(self, id) {
            return Err(self.not_serving(id));
        }
        self.blocks.write(put.hash, raw).await.map(drop)
    }

    async fn have_blocks(self: &Arc<Self>, request: HaveBlocks) -> Result<Vec<bool>, Fault> {
        let Some(first) = request.hashes.first() else { return Ok(Vec::new()) };
        if request.hashes.len() > KEYS_MAX {
            return Err(Fault::Invalid("too many blocks in one question".into()));
        }
        let id = first.partition(self.partitions().len().max(1) as u16);
        let partition = self.partition(id).ok_or_else(|| self.not_serving(id))?;
        if !partition.has_applied(request.after.seq, PIN_WAIT).await {
            return Err(Fault::NotReady("this replica has not seen the pin yet".into()));
        }
        let store = self.blocks.store().clone();
        blocking(move || request.hashes.iter().map(|hash| store.has(hash)).collect()).await
    }

    /// Which of these are kept by something and not here, or not whole: whoever has a copy keeps it for this node.
    async fn need_blocks(self: &Arc<Self>, hashes: Vec<BlockHash>) -> Result<Vec<bool>, Fault> {
        let Some(first) = hashes.first() else { return Ok(Vec::new()) };
        let count = self.partitions().len().max(1) as u16;
        let id = first.partition(count);
        if hashes.len() > KEYS_MAX.max(1024) || hashes.iter().any(|hash| hash.partition(count) != id) {
            return Err(Fault::Invalid("too many blocks in one question, or of several partitions".into()));
        }
        let unkept: BTreeSet<BlockHash> = self.blocks.surely_unkept(self, id, &hashes).await?.into_iter().collect();
        let mut needed = Vec::with_capacity(hashes.len());
        for hash in hashes {
            needed.push(!unkept.contains(&hash) && !self.blocks.has_whole(hash).await?);
        }
        Ok(needed)
    }
}
