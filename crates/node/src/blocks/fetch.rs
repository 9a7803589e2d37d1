//! Fetching a block from another node.

use super::BlockKeeper;
use replication::blocks::holders;
use rpc::wire::{Fault, method};
use std::sync::atomic::Ordering;
use std::time::Duration;
use types::BlockHash;

const TIMEOUT: Duration = Duration::from_secs(10);
/// For one that lost its lease and may answer all the same.
const TIMEOUT_DEAD: Duration = Duration::from_secs(2);

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is here now.
    Here,
    /// Every node that lives, and every one that leaves, answered that it has no good copy: who leaves may be down for a
    /// moment, and is let go for good on the strength of this.
    Nowhere,
    /// Whoever answered has no good copy, and somebody did not answer.
    Unheard,
    /// Another node has it, and there is no room for it here.
    NoRoom,
    /// Another node has it, and it could not be written here.
    Unkept,
}

impl Fetched {
    /// No node that can be reached has it intact.
    pub(super) fn is_lost(self) -> bool {
        matches!(self, Fetched::Nowhere | Fetched::Unheard)
    }
}

impl BlockKeeper {
    pub(super) async fn fetch(&self, hash: BlockHash) -> Fetched {
        let layout = self.layout.borrow().clone();
        let mut unclear = false;
        for node in holders(&layout, self.partition_of(&hash), self.me) {
            let timeout = if node.alive { TIMEOUT } else { TIMEOUT_DEAD };
            let reply = self.pool.call(&node.address, method::GET_BLOCK, rpc::codec::encode(&hash), timeout).await;
            match reply.and_then(|body| rpc::codec::decode_head::<Result<bool, Fault>>(&body)) {
                Ok((Ok(true), raw)) => match self.write(hash, raw).await {
                    Ok(new) => {
                        // Two may have fetched it at the same time.
                        self.fetched.fetch_add(u64::from(new), Ordering::Relaxed);
                        tracing::debug!(%hash, from = %node.id, "block fetched from another node");
                        return Fetched::Here;
                    }
                    // What it sent has another hash; it will hear of that from its own scrub.
                    Err(Fault::Invalid(_)) => {}
                    Err(Fault::NoSpace { .. }) => return Fetched::NoRoom,
                    Err(fault) => {
                        tracing::warn!(%hash, %fault, "a block that was fetched could not be kept");
                        return Fetched::Unkept;
                    }
                },
                Ok((Ok(false) | Err(Fault::Damaged), _)) => {}
                Ok((Err(_), _)) | Err(_) => unclear |= node.alive || node.leaving(),
            }
        }
        if unclear { Fetched::Unheard } else { Fetched::Nowhere }
    }
}
