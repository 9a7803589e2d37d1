//! What can happen next, and what goes over the network.

use super::blocks::{BlockRequest, Talk};
use crate::scenario::FaultKind;
use bytes::Bytes;
use control::LeaderToken;
use replication::chain::{Answer, CopyId, Message, Step, Want};
use replication::node::Next;
use rpc::wire::{RegisterRequest, SyncedReport};
use std::sync::Arc;
use std::time::Duration;
use types::{
    Epoch, Item, Layout, LogEntry, NodeId, OperationId, PartitionId, Piece, Read, ReplicaId, Seq, Transaction, Verdict,
};

/// Something that happens at a moment.
#[derive(Debug)]
pub(crate) enum Event {
    /// In a process; ignored when that process has ended.
    Local { machine: usize, boot: u64, what: Local },
    /// A packet arrives at a machine.
    Packet { machine: usize, packet: Packet },
    /// An answer arrives at a client.
    Answer { client: usize, attempt: u64, reply: Reply },
    /// A client's time has come to begin something, or to give an attempt up.
    Client { client: usize, what: ClientEvent },
    /// A machine's process starts.
    Start(usize),
    /// A machine that is of no cluster asks to be admitted.
    Join(usize),
    /// A machine gets an empty disk, and is to join anew.
    Replace(usize),
    /// An administrator tries what is wished for.
    Act(u64),
    /// A frozen process goes on.
    Resume(usize),
    /// A batch reaches the metadata store.
    Commit(Box<super::control::Commit>),
    /// The voters look at their leader.
    Election,
    /// A fault.
    Fault(FaultKind),
    /// A cut link is whole again.
    Mend(usize, usize),
    /// A slow disk is fast again.
    FastDisk(usize),
    /// A disk has room again.
    Room(usize),
    /// All faults end.
    Heal,
    /// After healing: is all well?
    Converged,
}

/// Something within a process.
#[derive(Debug)]
pub(crate) enum Local {
    Tick,
    Expire,
    Checkpoint,
    /// The log's batch under way is to be synced.
    Sync,
    /// The applier's work under way ends.
    Work,
    /// Storage threads report.
    Logged(Vec<(PartitionId, u64)>),
    Applied(Vec<(PartitionId, Seq)>),
    Voided(PartitionId, CopyId),
    Imported(PartitionId, CopyId, u32),
    Installed(PartitionId, CopyId),
    Fetch(PartitionId, Epoch, Seq),
    Fetched(PartitionId, Epoch, Option<Vec<LogEntry>>),
    ReadStep(PartitionId, CopyId, u32, Want),
    StepRead(PartitionId, CopyId, u32, Option<Step>),
    Compare(PartitionId, CopyId, u32, Option<Bytes>, Vec<Piece>),
    /// A strong read is planned, takes what it reads, and answers.
    ReadTake(u64),
    ReadReply(u64),
    ReadGivenUp(u64),
    /// The next step of the node's life.
    Live(Next),
    /// What the controller has not heard yet is said again.
    Report,
    CallTimeout(u64),
    /// Blocks: what is missing is tried for, what nothing keeps goes, one is read again.
    Keep,
    Collect,
    Scrub,
    /// Something that waited for the tables may go on, or has waited too long.
    Job(u64),
    JobGivenUp(u64),
    /// A look at the metadata for newer maps.
    Poll,
    /// The controller looks.
    Lead,
    /// Leadership is confirmed for a caller, and its grant is written into the book.
    Confirm(Box<Call>),
    Grant(Box<Call>, LeaderToken),
}

/// What goes to a machine.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Chain(Message),
    Call(Box<Call>),
    Reply {
        boot: u64,
        call: u64,
        reply: CallReply,
    },
    Layout(Arc<Layout>),
    /// A witness says that the process of that life has ended.
    Died(ReplicaId),
    /// A question about blocks, and its answer.
    Talk {
        from: usize,
        boot: u64,
        job: u64,
        talk: Talk,
    },
    Told {
        boot: u64,
        job: u64,
        talk: Talk,
    },
    Request {
        client: usize,
        attempt: u64,
        request: Request,
    },
}

/// A call to the control plane.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub from: usize,
    pub boot: u64,
    pub call: u64,
    pub replica: ReplicaId,
    pub what: CallKind,
}

#[derive(Clone, Debug)]
pub(crate) enum CallKind {
    Register(Box<RegisterRequest>),
    Lease,
    Report(SyncedReport),
}

#[derive(Clone, Debug)]
pub(crate) enum CallReply {
    Registered,
    Granted(Duration),
    Void,
    NotLeader,
    /// The node is not a member any more.
    Denied,
}

/// What a client asks of a node.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Transact { transaction: Arc<Transaction>, asynchronous: bool },
    Verify(OperationId),
    Read { partition: PartitionId, read: Read },
    Block(BlockRequest),
}

/// What it hears.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Write(Answer),
    Verdict(Verdict),
    Items(Vec<Option<Item>>),
    Page(Vec<types::ItemAt>),
    /// Whether a block is there.
    Block {
        node: NodeId,
        here: bool,
    },
    /// Surely nothing happened; try again, perhaps elsewhere.
    NotHere,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientEvent {
    Begin,
    Timeout(u64),
    Again,
}
