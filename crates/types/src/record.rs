//! What the log holds and the chain carries.

use crate::{Epoch, HybridTime, ItemKey, OperationId, PartitionId, Refusal, Seq, Version, WallMillis};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A change as the head decided it: replicas apply it without looking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The key now holds this.
    Put {
        /// The key.
        key: ItemKey,
        /// Its value.
        value: Bytes,
        /// Its expiry.
        expires: Option<WallMillis>,
    },
    /// The key now holds nothing.
    Delete {
        /// The key.
        key: ItemKey,
    },
}

impl Effect {
    /// The key changed.
    pub fn key(&self) -> &ItemKey {
        match self {
            Effect::Put { key, .. } | Effect::Delete { key } => key,
        }
    }
}

/// What is remembered of an operation id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The write that decided it.
    pub version: Version,
    /// Its commit time.
    pub time: HybridTime,
    /// BLAKE3 (first 16 bytes) of the transaction, to tell a retry from a reuse. 0 for a fence.
    pub fingerprint: u128,
    /// Results of its counters; none: fenced, never to be applied.
    pub counters: Option<Vec<i64>>,
}

impl Outcome {
    /// The answer to the same transaction sent again.
    pub fn replay(&self, fingerprint: u128) -> Result<crate::TransactionResult, Refusal> {
        match &self.counters {
            None => Err(Refusal::Fenced),
            Some(_) if self.fingerprint != fingerprint => Err(Refusal::OperationReused),
            Some(counters) => {
                Ok(crate::TransactionResult { version: self.version, time: self.time, counters: counters.clone() })
            }
        }
    }
}

/// One write in a partition's history, as ordered by the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// ⟨epoch, sequence⟩.
    pub version: Version,
    /// Commit time.
    pub time: HybridTime,
    /// The operation and what to remember of it. None for the head's own acts (expiry).
    pub operation: Option<(OperationId, u128, Option<Vec<i64>>)>,
    /// The changes.
    pub effects: Vec<Effect>,
}

impl LogEntry {
    /// What a replica remembers of the operation once the entry is applied.
    pub fn outcome(&self) -> Option<(OperationId, Outcome)> {
        self.operation.as_ref().map(|(id, fingerprint, counters)| {
            let outcome = Outcome {
                version: self.version,
                time: self.time,
                fingerprint: *fingerprint,
                counters: counters.clone(),
            };
            (*id, outcome)
        })
    }

    /// Rough size in memory and on the wire, for bounds.
    pub fn weight(&self) -> usize {
        let effects: usize = self
            .effects
            .iter()
            .map(|effect| {
                let key = effect.key();
                let value = if let Effect::Put { value, .. } = effect { value.len() } else { 0 };
                48 + key.partition_key.len() + key.sort_key.len() + value
            })
            .sum();
        96 + effects
    }
}

/// What the node log holds, for every partition in one file.
/// New variants go at the end; the feature level gates their use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The replica adopted an epoch. In the log before any entry under it,
    /// so that it is durable no later than they are.
    Epoch {
        /// Partition.
        partition: PartitionId,
        /// Adopted epoch.
        epoch: Epoch,
    },
    /// A write.
    Entry {
        /// Partition.
        partition: PartitionId,
        /// The write.
        entry: Arc<LogEntry>,
    },
    /// Entries above `after` are void: a predecessor's history took their place.
    Truncate {
        /// Partition.
        partition: PartitionId,
        /// The last entry kept.
        after: Seq,
    },
    /// All of the partition is void; a copy is being received. Until
    /// [`Record::Installed`] the replica holds nothing that counts.
    Reset {
        /// Partition.
        partition: PartitionId,
    },
    /// The copy is in the tables, up to this version.
    Installed {
        /// Partition.
        partition: PartitionId,
        /// The last write contained in the copy.
        version: Version,
        /// Commit time of that write.
        time: HybridTime,
    },
    /// Reserved for transactions across partition keys: changes that wait for a decision.
    Prepare {
        /// Partition.
        partition: PartitionId,
        /// To be defined.
        body: Bytes,
    },
    /// Reserved: the decision.
    Decide {
        /// Partition.
        partition: PartitionId,
        /// To be defined.
        body: Bytes,
    },
}

impl Record {
    /// The partition that it belongs to.
    pub fn partition(&self) -> PartitionId {
        match self {
            Record::Epoch { partition, .. }
            | Record::Entry { partition, .. }
            | Record::Truncate { partition, .. }
            | Record::Reset { partition }
            | Record::Installed { partition, .. }
            | Record::Prepare { partition, .. }
            | Record::Decide { partition, .. } => *partition,
        }
    }
}
