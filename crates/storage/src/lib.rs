//! What a node keeps: the node log, the tables behind it, and block files.
//!
//! **Owns** every byte in the data folder but the control plane's.
//! **Invariants**: a record is durable once [`StorageEngine::sync`] returned after
//! its [`StorageEngine::append`]; after a failed sync the engine takes nothing more;
//! nothing that fails its checksum is ever returned. **Leaves to others**: what to
//! append and when it counts (`replication`), and the threads that call it (`node`).
//! **Proved by** one conformance suite that both engines pass, alone and against each other, and
//! by `tests/` of torn logs, rotten files, crashes, and many threads.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod blocks;
pub mod engine;
mod files;
mod history;
mod journal;
mod log;
pub mod lsm;
pub mod memory;
mod operations;
mod page;
mod poison;
mod space;

pub use blocks::BlockStore;
pub use engine::{Export, Recovered, Snapshot, StorageEngine, StorageError};
pub use journal::verify_journals;
pub use lsm::{LsmEngine, LsmOptions, StorageStats};
pub use memory::{Lost, MemoryEngine};
