//! What replicas of one partition say to each other. Every message carries the
//! epoch, and the lives of both ends: a message of another epoch or life is not acted on.
//! Any message may be lost, repeated, delayed or overtaken.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use types::{Epoch, Found, HybridTime, LogEntry, NodeId, PartitionId, Piece, ReplicaId, RowRange, Seq, Version};

/// A message between two replicas of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Partition.
    pub partition: PartitionId,
    /// Epoch that the sender has adopted.
    pub epoch: Epoch,
    /// Sender.
    pub from: ReplicaId,
    /// Receiver.
    pub to: ReplicaId,
    /// What it says.
    pub body: Body,
}

/// Names one copy, so that pieces of an abandoned one are refused (invariant 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CopyId {
    /// Epoch in which it was begun.
    pub epoch: Epoch,
    /// Number, by the sender.
    pub number: u64,
}

/// A step of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// What the sender has, in short: which pieces differ is the answer.
    Outline {
        /// It begins after this key; none: with the first.
        after: Option<Bytes>,
        /// In order, side by side.
        pieces: Vec<Piece>,
    },
    /// These rows take the place of all that is in the range.
    Rows {
        /// Which.
        range: RowRange,
        /// Rows, as storage exports them.
        rows: Bytes,
    },
    /// That was all: now the receiver has what the sender had.
    End {
        /// When it had written this.
        version: Version,
        /// Commit time of that write.
        time: HybridTime,
    },
}

/// The kinds of message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Up: "I have adopted the epoch; my log ends here; send what follows."
    Position {
        /// Last entry of the log.
        last: Version,
    },
    /// Down: "our logs differ there; this is the last entry of mine that may be yours too". The answer is
    /// [`Body::Position`] at the last entry that may be both's.
    Rewind {
        /// An entry of the sender.
        to: Version,
    },
    /// Down: "I have heard nothing for long: where are you?" The answer is [`Body::Position`] and [`Body::Ack`].
    Probe,
    /// Down: entries, in order, and how far things are. Without entries: a heartbeat or commit notice.
    Append {
        /// The entry before the first one.
        previous: Version,
        /// Entries.
        entries: Vec<Arc<LogEntry>>,
        /// Everything up to here is committed.
        committed: Seq,
        /// The sender's last entry.
        last: Seq,
        /// Everything that was before this epoch ends here; none while the sender itself
        /// may still lack some of it.
        complete: Option<Seq>,
    },
    /// Up: everything up to here is durable at the sender and at all below it.
    Ack {
        /// Sequence.
        through: Seq,
    },
    /// To the head: what is committed?
    Question {
        /// The asker's number for it.
        number: u64,
    },
    /// From the head.
    Answer {
        /// The asker's number.
        number: u64,
        /// Everything up to here is committed.
        committed: Seq,
    },
    /// Down: a step of a copy.
    Step {
        /// Which copy.
        copy: CopyId,
        /// 0, 1, 2 …
        index: u32,
        /// What is to be done.
        step: Step,
    },
    /// Up: that step was taken; send the next.
    StepTaken {
        /// Which copy.
        copy: CopyId,
        /// Which step.
        index: u32,
        /// What an outline was found to be.
        found: Found,
    },
    /// Up: "nothing of mine counts: send a copy."
    NeedCopy,
    /// Up, again and again while it is so: that node's disk has only its reserve left. Holds for a second.
    Full {
        /// The sender, or one below it.
        node: NodeId,
    },
}
