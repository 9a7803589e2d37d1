//! Fetching a block: from the nearest holder, from the others when that one is
//! slow, lacks it or has a bad copy. What is handed out has the hash asked for.

use super::hash_of;
use crate::link::Failure;
use crate::patience::{Heard, Patience};
use crate::router::{Role, Router, Target};
use crate::{Client, ClientError};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rpc::codec;
use rpc::wire::{Fault, method};
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, BlockHash, Classify, PartitionId};

/// For telling a holder that its copy is missing or bad.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(2);

/// What a holder had to offer.
enum Copy {
    Good(Bytes),
    /// It answered that it has none.
    Missing,
    /// Its copy is not what its name says.
    Bad,
    /// It did not answer.
    Silent(Failure),
}

/// What one round of asking came to.
enum Round {
    Good(Bytes),
    /// Every holder answered; whether a bad copy was among the answers.
    NoneLeft {
        bad: bool,
    },
    /// Some did not answer.
    Unclear,
}

impl Client {
    /// A block, verified. [`ClientError::Damaged`] only when every node has answered and none has a
    /// good copy; [`ClientError::NoSuchBlock`] when none of them has one at all.
    pub async fn get_block(&self, hash: BlockHash) -> Result<Bytes, ClientError> {
        let router = &self.router;
        let partition = hash.partition(self.layout().partition_count());
        let mut patience = Patience::new(router.config.timeouts.request, router.config.timeouts.read_attempt * 3);
        let mut heard = Heard::default();
        let mut sure = false;
        loop {
            let layout = router.map.current();
            let targets = router.block_targets(&layout, partition);
            if targets.is_empty() {
                heard.nobody(&layout, partition);
            } else {
                match router.ask_for_block(hash, partition, targets, &mut patience, &mut heard).await? {
                    Round::Good(raw) => return Ok(raw),
                    Round::NoneLeft { bad } if sure && router.map.version() == layout.version => {
                        return Err(if bad { ClientError::Damaged(hash) } else { ClientError::NoSuchBlock(hash) });
                    }
                    // The map may be old, and other nodes the holders: once more, with the newest.
                    Round::NoneLeft { .. } => {
                        router.refresh(layout.version, None).await;
                        sure = router.map.version() == layout.version;
                        if patience.attempt().is_some() {
                            continue;
                        }
                    }
                    Round::Unclear => {}
                }
            }
            if patience.attempt().is_none() {
                return Err(heard.conclude(&layout));
            }
            router.refresh(layout.version, None).await;
            patience.grow();
            router.pause(layout.version, &mut patience).await;
        }
    }
}

impl Router {
    /// Asks the holders in turn; the next one also when those asked take long.
    async fn ask_for_block(
        &self,
        hash: BlockHash,
        partition: PartitionId,
        targets: Vec<Target>,
        patience: &mut Patience,
        heard: &mut Heard,
    ) -> Result<Round, ClientError> {
        let hedge = self.config.timeouts.block_hedge;
        let mut waiting = targets.into_iter();
        let mut asked = FuturesUnordered::new();
        let mut next_at = Instant::now();
        let (mut missing, mut bad) = (Vec::new(), Vec::new());
        let mut silent = false;
        loop {
            if next_at <= Instant::now()
                && let Some(target) = waiting.next()
            {
                let Some(timeout) = patience.attempt() else { return Ok(Round::Unclear) };
                asked.push(self.ask_one_for_block(hash, partition, target, timeout));
                next_at = Instant::now() + hedge;
            }
            let (target, copy) = tokio::select! {
                answer = asked.next() => match answer {
                    Some(answer) => answer,
                    None if waiting.len() == 0 => break,
                    None => {
                        next_at = Instant::now();
                        continue;
                    }
                },
                () = tokio::time::sleep_until(next_at), if waiting.len() > 0 => continue,
            };
            next_at = Instant::now();
            match copy {
                Copy::Good(raw) => {
                    // Those that do not hold it by rule know that themselves.
                    missing.into_iter().chain(bad).for_each(|target| self.tell_to_repair(target, hash));
                    return Ok(Round::Good(raw));
                }
                Copy::Missing => missing.push(target),
                Copy::Bad => bad.push(target),
                Copy::Silent(failure) if failure.action() == Action::Rejected => {
                    return Err(failure.into_error(vec![target.address], &self.map.current()));
                }
                Copy::Silent(failure) => {
                    silent = true;
                    heard.failed(&target.address, failure);
                }
            }
        }
        let any_bad = !bad.is_empty();
        bad.into_iter().for_each(|target| self.tell_to_repair(target, hash));
        Ok(if silent { Round::Unclear } else { Round::NoneLeft { bad: any_bad } })
    }

    async fn ask_one_for_block(
        &self,
        hash: BlockHash,
        partition: PartitionId,
        target: Target,
        timeout: Duration,
    ) -> (Target, Copy) {
        let body = codec::encode(&hash);
        // The reply says whether there is a block; the block itself is its payload.
        let result = self.attempt::<bool>(&target, partition, Role::Holder, method::GET_BLOCK, body, timeout).await;
        let copy = match result {
            Ok((false, _)) => Copy::Missing,
            // Verified as it was read from the disk.
            Ok((true, raw)) if self.link.is_own(&target.address) => Copy::Good(raw),
            Ok((true, raw)) => match hash_of(&raw).await {
                Ok(actual) if actual == hash => Copy::Good(raw),
                Ok(actual) => {
                    tracing::warn!(node = %target.replica.node, %hash, %actual, "a node sent a bad copy of a block");
                    Copy::Bad
                }
                Err(error) => Copy::Silent(Failure::Nobody(error.to_string())),
            },
            Err(Failure::Fault(Fault::Damaged)) => Copy::Bad,
            Err(failure) => Copy::Silent(failure),
        };
        (target, copy)
    }

    /// Lets the holder check its copy. Nobody waits for it.
    fn tell_to_repair(&self, target: Target, hash: BlockHash) {
        let link = self.link.clone();
        tokio::spawn(async move {
            let told =
                link.call::<()>(&target.address, method::REPAIR_BLOCK, codec::encode(&hash), REPAIR_TIMEOUT).await;
            if let Err(failure) = told {
                tracing::debug!(node = %target.replica.node, %hash, %failure, "could not tell a node to repair a block");
            }
        });
    }
}
