//! The judge of what clients saw: were their operations linearizable?
//!
//! Owns the form of a client history ([`Operation`], [`History`], JSON lines) and the verdict on it
//! ([`check`], [`acknowledged_writes_present`]). The simulator and the tests over real processes record
//! histories; how they do so, and what they do with a verdict, is theirs.
//!
//! A key is a register that begins absent, or up to four of them, its *items*, which one operation may read, test
//! and write together ([`Call::GetMany`], [`Call::Transact`]). Linearizability is local, so keys are judged one by one: a history is
//! good when every operation can be given one moment between its invocation and its return such that, in the
//! order of these moments, each answer is what such registers would have answered. A refused operation has no
//! moment; one of unknown outcome has any moment from its invocation on, or none. Times that are equal count as
//! overlapping, so a coarse clock can hide a violation but never make one up.
//!
//! The method is Wing and Gong's search with Lowe's memory of configurations, run breadth first along the
//! history ("just in time"): `search` says how, and why what it leaves out cannot matter.
//!
//! Whoever makes up a load does well to write each value but once, and to record what a mismatch found: ten
//! thousand operations of ten clients with hundreds of unknown outcomes are then judged in a fraction of a second.
//! A handful of values written over and over takes seconds with as many unknowns, and may end undecided if bad.
//!
//! Invariant: a verdict is never a guess. Within the [`Effort`] allowed, the answer is exact; beyond it, it is
//! [`CheckError::Undecided`].
//!
//! Proved by `tests/linearizability.rs` and `tests/several_items.rs`: known good and bad histories, agreement with an independent checker on
//! thousands of small ones, and large histories of a register that is correct by construction.

mod final_state;
mod frontier;
mod future;
mod json;
mod operation;
mod search;
mod timeline;
mod violation;

pub use final_state::{acknowledged_writes_present, with_final_reads};
pub use json::{ReadError, read_json_lines, write_json_lines};
pub use operation::{Call, History, Operation, Outcome, Reply, Ticket, Value};
pub use violation::Violation;

use search::{Search, Stopped};
use std::collections::BTreeMap;
use timeline::Timeline;

/// How much a check may cost before it gives up, per key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Configurations held at one time: bounds the memory, at about a hundred bytes each.
    pub at_once: usize,
    /// Configurations visited from first to last: bounds the time, at about a microsecond each.
    pub in_all: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Effort { at_once: 1 << 20, in_all: 1 << 25 }
    }
}

/// Why a history was not found good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No order of the operations explains the answers.
    #[error("{0}")]
    NotLinearizable(Box<Violation>),
    /// Neither good nor bad: the search was given up.
    #[error("key {key:?}: undecided, {reason}")]
    Undecided {
        /// The key whose operations were too many or too entangled.
        key: String,
        /// Which bound was met.
        reason: &'static str,
    },
    /// The record itself makes no sense.
    #[error("the history is malformed: {reason}: {operation}")]
    Malformed {
        /// The first such operation.
        operation: Box<Operation>,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Judges a history, its operations in any order, within the usual effort.
pub fn check(history: &[Operation]) -> Result<(), CheckError> {
    check_within(history, Effort::default())
}

/// Judges a history within the effort given. A violation on one key outweighs indecision on another.
pub fn check_within(history: &[Operation], effort: Effort) -> Result<(), CheckError> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        operation
            .validate()
            .map_err(|reason| CheckError::Malformed { operation: Box::new(operation.clone()), reason })?;
        keys.entry(&operation.key).or_default().push(operation);
    }
    let mut undecided = None;
    for (key, operations) in keys {
        let moments = timeline::moments(&operations);
        let Some(timeline) = Timeline::new(&operations, &moments) else {
            let reason = "its key has more items than can be judged together";
            return Err(CheckError::Malformed { operation: Box::new(operations[0].clone()), reason });
        };
        match Search::decide(&timeline, effort) {
            Ok(()) => {}
            Err(Stopped::Stuck) => {
                let violation = violation::explain(key, &operations, &moments, effort);
                return Err(CheckError::NotLinearizable(Box::new(violation)));
            }
            Err(Stopped::TooMuch(reason)) => {
                undecided.get_or_insert(CheckError::Undecided { key: key.to_owned(), reason });
            }
        }
    }
    undecided.map_or(Ok(()), Err)
}
