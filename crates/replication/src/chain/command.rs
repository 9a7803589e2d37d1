//! What a replica asks of its surroundings, and what it is told about them.

use super::message::{CopyId, Message};
use super::plan::Want;
use bytes::Bytes;
use std::sync::Arc;
use types::{
    Epoch, HybridTime, Item, ItemKey, LogEntry, Monotonic, NodeId, OperationId, Outcome, Piece, Record, Refusal,
    ReplicaId, RowRange, Seq, TransactionResult, Verdict, Version, WallMillis,
};

/// Names a request of a client, for its answer. Chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The moment in which an event happens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Environment {
    /// This node's monotonic clock.
    pub now: Monotonic,
    /// This node's idea of the date.
    pub wall: WallMillis,
    /// The node's lease counts until then.
    pub lease_until: Monotonic,
    /// Durable replicas that a write needs.
    pub replicas_min: u8,
    /// Bytes of entries not yet in the tables, in all partitions of the node.
    pub under_way: usize,
    /// The node's disk has only its reserve left, for deletes and for what is ordered already.
    pub full: bool,
}

impl Environment {
    /// True while the node's lease counts.
    pub fn leased(&self) -> bool {
        self.now < self.lease_until
    }
}

/// The tables as they are, for the head's conditions. Reads what is applied.
pub trait Tables {
    /// One item.
    fn get(&self, key: &ItemKey) -> Result<Option<Item>, TablesFailed>;
    /// What is remembered of an operation.
    fn outcome(&self, operation: &OperationId) -> Result<Option<Outcome>, TablesFailed>;
}

/// The tables could not be read; the node is about to stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tables could not be read: {0}")]
pub struct TablesFailed(pub String);

/// To do, in order.
#[derive(Debug)]
pub enum Command {
    /// Append to the node log, after all earlier ones. Once it is durable, and
    /// everything before it: [`super::Replica::durable`] with the number.
    Append {
        /// Rises by one with each append of this replica.
        number: u64,
        /// The record.
        record: Record,
    },
    /// Send; may fail silently.
    Send(Message),
    /// Apply to the tables, in order; then [`super::Replica::applied`].
    Apply(Vec<Arc<LogEntry>>),
    /// Answer a client.
    Reply {
        /// Whom.
        request: RequestId,
        /// With what.
        answer: Answer,
    },
    /// Read the log from here on, and call [`super::Replica::fetched`].
    Fetch {
        /// Epoch, to be handed back.
        epoch: Epoch,
        /// First sequence wanted.
        from: Seq,
    },
    /// Read the next step of a copy (the first opens a snapshot), and call [`super::Replica::step_read`].
    ReadStep {
        /// Which copy.
        copy: CopyId,
        /// Which step: 0, 1, 2 …
        index: u32,
        /// What it is to be.
        want: Want,
    },
    /// What the tables hold counts no more, but is still there: then [`super::Replica::voided`].
    Void {
        /// For which copy.
        copy: CopyId,
    },
    /// Compare an outline with the tables, after all earlier imports, then [`super::Replica::compared`].
    Compare {
        /// For which copy.
        copy: CopyId,
        /// Which step.
        index: u32,
        /// Where the outline begins.
        after: Option<Bytes>,
        /// Its pieces.
        pieces: Vec<Piece>,
    },
    /// Put rows in the place of what is in a range, then [`super::Replica::imported`].
    Import {
        /// Which copy.
        copy: CopyId,
        /// Which step.
        index: u32,
        /// The range.
        range: RowRange,
        /// Rows.
        rows: Bytes,
    },
    /// End a copy, then [`super::Replica::installed`].
    Install {
        /// Which copy.
        copy: CopyId,
        /// What it is of.
        version: Version,
        /// Its time.
        time: HybridTime,
    },
    /// Tell the controller: this syncing member holds everything its predecessor has.
    ReportSynced(Epoch),
    /// Tell the controller: this departing member has adopted that epoch.
    ReportDeparted(Epoch),
    /// Tell the controller what is held here of a partition that, in that epoch, nobody serves.
    ReportHeld {
        /// Which epoch.
        epoch: Epoch,
        /// Last entry.
        last: Version,
        /// The log's end was torn and cut.
        torn: bool,
        /// An unfinished full copy: does not count.
        incomplete: bool,
    },
    /// Somebody speaks of a newer epoch: get the newest map.
    RefreshLayout,
}

/// An answer to a client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Durable on every replica of the chain.
    Committed(TransactionResult),
    /// Ordered; no more will be said.
    Accepted,
    /// Of a `verify`.
    Verdict(Verdict),
    /// Of a question: everything up to here is committed, and this replica has it.
    CommittedThrough(Seq),
    /// Surely not applied.
    Failed(Failure),
    /// Ordered, and whether it will last is not known.
    Unknown,
}

/// Why a request was surely not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not this replica's to do.
    #[error("not served by this replica")]
    NotServing,
    /// No lease, or a new epoch is being taken up: soon over.
    #[error("not ready: {0}")]
    NotReady(&'static str),
    /// Too few replicas in the chain.
    #[error("{have} of {need} replicas")]
    TooFewReplicas {
        /// In the chain.
        have: u8,
        /// Needed.
        need: u8,
    },
    /// A disk of the chain has only its reserve left; deletes still go through.
    #[error("no space left on node {0}")]
    NoSpace(NodeId),
    /// Too much is under way.
    #[error("busy")]
    Busy,
    /// By rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The tables could not be read.
    #[error(transparent)]
    Tables(#[from] TablesFailed),
}

/// A way to collect commands with less noise.
pub(crate) trait Out {
    fn send(&mut self, message: Message);
    fn reply(&mut self, request: RequestId, answer: Answer);
}

impl Out for Vec<Command> {
    fn send(&mut self, message: Message) {
        self.push(Command::Send(message));
    }

    fn reply(&mut self, request: RequestId, answer: Answer) {
        self.push(Command::Reply { request, answer });
    }
}

/// What a replica was found to hold when its node started.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// Last epoch adopted.
    pub epoch: Epoch,
    /// Last write in the tables.
    pub applied: Version,
    /// Its time.
    pub time: HybridTime,
    /// Entries after it, all durable.
    pub unapplied: Vec<LogEntry>,
    /// An unfinished copy: what is here does not count.
    pub incomplete: bool,
    /// The log's end was torn and cut: entries may be missing (ruling 9).
    pub torn: bool,
}

/// Where the two ends of a link are, for status and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Adopted epoch.
    pub epoch: Epoch,
    /// Last entry in the log.
    pub last: Version,
    /// Durable here.
    pub durable: Seq,
    /// Known to be committed.
    pub committed: Seq,
    /// In the tables.
    pub applied: Seq,
}

/// Who is on the other side of a link.
pub type Neighbour = ReplicaId;
