//! Members, leases, tables, layouts and chain epochs: metadata store and controller.
//!
//! Owns the [`MetadataStore`] trait, what a node needs beyond it ([`Coordination`]), its
//! embedded backend ([`raft`]), its stand-in for tests ([`memory`]) and the policy of who
//! votes ([`voters`]). Off the data path: a write to a table never waits for anything here.
//!
//! Invariants: those of [`store`], which every backend keeps, and of [`raft`].
//! Leaves to others: carrying messages between nodes, and what is done with a layout.
//! Proved by `tests/conformance`, run alike on every backend, by openraft's
//! own storage suite, and by property tests of what is pure.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod codec;
pub mod controller;
pub mod coordination;
pub mod memory;
mod pace;
pub mod raft;
pub mod state;
pub mod store;
pub mod voters;
pub mod zookeeper;

pub use coordination::Coordination;
pub use raft::{MemberStatus, RAFT_BODY_BYTES_MAX, RaftNode, RaftRpc, RaftTiming, RaftTransport, TransportError};
pub use store::{
    Batch, Committed, Expect, LeaderToken, Leadership, LifeChange, Lives, MetadataError, MetadataStore, Operation,
    Pair, Range, Renewal,
};
pub use zookeeper::{Backend, ZooKeeperAddress, ZooKeeperNode, ZooKeeperOptions};
