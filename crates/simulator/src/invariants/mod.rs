//! What must hold, whatever happens: the numbered invariants of `docs/consistency.md`, one file each.
//!
//! Each is a checker that sees what the world sees ([`Observed`]) and says when it is violated. What really is on
//! each disk, and what really is committed, the [`Ledger`] works out from the same observations and without asking
//! the replicas. Each file has a test that its checker can fire.

mod blocks;
mod clean_reads;
mod committed_only;
mod complete_restart;
mod durable_acks;
mod epoch_first;
mod incarnations;
mod lease_time;
mod leases;
mod ledger;
mod once;
mod removed;
mod syncing_only;
mod unknown_not_failed;
mod versions;

pub use ledger::Ledger;

use replication::chain::{Answer, Message};
use std::sync::Arc;
use std::time::Duration;
use types::{
    BlockHash, Epoch, Layout, LogEntry, MemberState, Monotonic, NodeId, OperationId, PartitionId, Record, ReplicaId,
    Seq, TransactionResult, Version,
};

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// A process starts.
    Boot { node: NodeId, boot: u64 },
    /// What it found of a partition on its disk.
    Recovered { node: NodeId, partition: PartitionId, applied: Version, entries: &'a [Version], incomplete: bool },
    /// It begins a life.
    Life { replica: ReplicaId, boot: u64 },
    /// The metadata changed.
    Layout { before: &'a Layout, now: &'a Layout },
    /// A life is written down as over.
    Voided { replica: ReplicaId },
    /// A lease was granted in answer to a request sent at `sent` by the holder's clock; it counts until `true_until`.
    Leased { replica: ReplicaId, sent: Monotonic, length: Duration, true_until: u64 },
    /// A replica takes up an epoch.
    Adopted { replica: ReplicaId, partition: PartitionId, epoch: Epoch, state: Option<MemberState> },
    /// A replica hands a record to the log.
    Appended { node: NodeId, partition: PartitionId, number: u64, record: &'a Record },
    /// All records up to these numbers are durable.
    Synced { node: NodeId, upto: &'a [(PartitionId, u64)] },
    /// A copy is durable.
    Installed { node: NodeId, partition: PartitionId, version: Version },
    /// Something rots on a node's disk: what is there does not count any more.
    Rotten { node: NodeId },
    /// Nothing rots there any more; what was lost to it is lost.
    Sound { node: NodeId },
    /// A node's disk is lost, and its number not used again.
    Wiped { node: NodeId },
    /// A process has ended, and the life in it can do nothing more.
    Ended { replica: ReplicaId },
    /// A disk failed.
    StorageFailed { node: NodeId },
    /// A replica acknowledges to the one above; `now` by its clock.
    Acked { message: &'a Message, now: Monotonic },
    /// A head considers everything up to `seq` committed.
    Committed { replica: ReplicaId, partition: PartitionId, epoch: Epoch, seq: Seq },
    /// A replica hands entries to its tables.
    Applied { replica: ReplicaId, partition: PartitionId, entries: &'a [Arc<LogEntry>] },
    /// A head answers a writer.
    Answered { replica: ReplicaId, partition: PartitionId, answer: &'a Answer, now: Monotonic },
    /// A replica answers a strong read with items of these versions.
    Read { replica: ReplicaId, partition: PartitionId, versions: &'a [Version], now: Monotonic },
    /// A client sends a write.
    Asked { client: usize, attempt: u64, operation: OperationId },
    /// It hears that this attempt was surely not carried out.
    Refused { client: usize, attempt: u64, operation: OperationId },
    /// It hears that the write was applied.
    Told { operation: OperationId, result: Option<&'a TransactionResult> },
    /// A block is durable on a node.
    BlockStored { node: NodeId, hash: BlockHash },
    /// It is there no longer, or not whole.
    BlockGone { node: NodeId, hash: BlockHash },
    /// A client hears that its file is kept.
    FileKept { name: u64, blocks: &'a [BlockHash] },
    /// A client is about to have it taken away.
    FileGoing { name: u64 },
    /// It hears that the write was not applied and never will be.
    NeverApplied { operation: OperationId },
}

/// A rule that must never be broken.
trait Invariant {
    /// Looks at what happened, at that true time; `Err` says what was violated.
    fn observe(&mut self, at: u64, seen: &Observed<'_>, ledger: &Ledger) -> Result<(), String>;
}

/// All of them.
pub struct Invariants {
    ledger: Ledger,
    all: Vec<(&'static str, Box<dyn Invariant + Send>)>,
}

impl Default for Invariants {
    fn default() -> Self {
        Self::new()
    }
}

impl Invariants {
    /// Nothing has happened yet.
    pub fn new() -> Invariants {
        let all: Vec<(&'static str, Box<dyn Invariant + Send>)> = vec![
            ("1 (an epoch is durable before anything under it)", Box::<epoch_first::EpochFirst>::default()),
            ("2 (no acknowledgement without a lease)", Box::<leases::Leases>::default()),
            ("3 (a read has a lease when it is answered)", Box::<clean_reads::CleanReads>::default()),
            ("4 (a lease ends before it is declared void)", Box::<lease_time::LeaseTime>::default()),
            ("5 (what is pending is not returned as committed)", Box::<committed_only::CommittedOnly>::default()),
            ("6 (unknown is never called failed)", Box::<unknown_not_failed::UnknownNotFailed>::default()),
            ("7 (a version names one entry)", Box::<versions::Versions>::default()),
            ("8 (only a syncing replica is emptied)", Box::<syncing_only::SyncingOnly>::default()),
            ("9 (a restart is a new incarnation)", Box::<incarnations::Incarnations>::default()),
            ("10 (only a complete replica restarts a chain)", Box::<complete_restart::CompleteRestart>::default()),
            ("11 (fsync before acknowledgement)", Box::<durable_acks::DurableAcks>::default()),
            ("13 (a retried write applies once)", Box::<once::Once>::default()),
            ("21 (an acknowledged file is whole)", Box::<blocks::Blocks>::default()),
            ("removal (a removed node is not counted on, and never acts again)", Box::<removed::Removed>::default()),
        ];
        Invariants { ledger: Ledger::default(), all }
    }

    /// Shows all of them what happened; `Err` names the first that is violated.
    pub fn observe(&mut self, at: u64, seen: &Observed<'_>) -> Result<(), String> {
        self.ledger.observe(seen)?;
        for (name, invariant) in &mut self.all {
            invariant.observe(at, seen, &self.ledger).map_err(|why| format!("invariant {name}: {why}"))?;
        }
        Ok(())
    }
}

/// Pieces of bad traces, for the tests of the checkers.
#[cfg(test)]
mod testing {
    pub use super::*;
    pub use replication::chain::Body;
    pub use types::*;

    pub const P: PartitionId = PartitionId(0);

    pub fn replica(node: u64) -> ReplicaId {
        ReplicaId { node: NodeId(node), incarnation: Incarnation(1) }
    }

    pub fn operation(nonce: u128) -> OperationId {
        OperationId { created: WallMillis(1), key_hash: KeyHash(0), nonce }
    }

    pub fn entry(epoch: u64, seq: u64, operation: Option<OperationId>) -> Arc<LogEntry> {
        let operation = operation.map(|id| (id, 1, Some(vec![])));
        Arc::new(LogEntry { version: Version::new(epoch, seq), time: HybridTime(seq), operation, effects: vec![] })
    }

    pub fn layout(epoch: u64, serving: &[u64], complete: &[u64]) -> Layout {
        let members =
            serving.iter().map(|n| ChainMember { replica: replica(*n), state: MemberState::Serving }).collect();
        let complete = complete.iter().map(|n| NodeId(*n)).collect();
        Layout { chains: vec![Chain { epoch: Epoch(epoch), members, complete, wanted: vec![] }], ..Layout::default() }
    }

    pub fn ack(from: u64, epoch: u64, through: u64) -> Message {
        let body = Body::Ack { through: Seq(through) };
        Message { partition: P, epoch: Epoch(epoch), from: replica(from), to: replica(1), body }
    }

    /// A node that logs an epoch and entries; they are durable up to `durable` records.
    pub fn logged(all: &mut Invariants, node: u64, epoch: u64, entries: u64, durable: u64) {
        let record = Record::Epoch { partition: P, epoch: Epoch(epoch) };
        let state = Some(MemberState::Serving);
        let adopted = Observed::Adopted { replica: replica(node), partition: P, epoch: Epoch(epoch), state };
        all.observe(0, &adopted).unwrap();
        let mut number = 1;
        all.observe(0, &Observed::Appended { node: NodeId(node), partition: P, number, record: &record }).unwrap();
        #[allow(clippy::explicit_counter_loop)] // Two counts that only here run side by side.
        for seq in 1..=entries {
            number += 1;
            let record = Record::Entry { partition: P, entry: entry(epoch, seq, None) };
            all.observe(0, &Observed::Appended { node: NodeId(node), partition: P, number, record: &record }).unwrap();
        }
        all.observe(0, &Observed::Synced { node: NodeId(node), upto: &[(P, durable)] }).unwrap();
    }

    pub fn leased(all: &mut Invariants, node: u64) {
        let (replica, length) = (replica(node), Duration::from_secs(1));
        all.observe(0, &Observed::Leased { replica, sent: Monotonic(0), length, true_until: 1_000_000_000 }).unwrap();
    }

    /// The violation, which must name the invariant.
    pub fn violates(result: Result<(), String>, number: &str) {
        let why = result.unwrap_err();
        assert!(why.starts_with(&format!("invariant {number} ")), "{why}");
    }
}
