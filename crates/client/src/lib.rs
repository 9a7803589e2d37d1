//! The routing client: layout cache, retries, operation ids, blob streaming.
//! Apps and gateways are written against it; it is also the public Rust API.
//!
//! **Owns** how a request finds its node, what is done when that fails, and how
//! files become blocks. **Invariants**: a map older than the one held is
//! ignored; a write whose outcome is not known is reported as unknown, never as
//! failed, and one that surely was not applied never as unknown; every attempt of
//! a write carries the same operation id; a block handed out has the hash it was
//! asked by. **Leaves to others**: all decisions about data (`node`), the wire
//! (`rpc`), who may do what (`apps`, `gateways`). **Proved by** the tests beside
//! each file and, against scripted nodes on the real wire, by `tests/`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod blobs;
mod client;
mod config;
mod error;
mod health;
mod link;
mod map;
mod members;
mod overview;
mod patience;
mod read;
pub mod remote;
mod router;
mod scan;
mod tables;
mod transact;
mod watch;

pub use blobs::{
    BlockAt, BlockRef, Body, Content, Copies, INLINE_BYTES_MAX, IndexRef, NodeCopies, UploadId, composed_hash,
};
pub use client::Client;
pub use config::{ClientConfig, Timeouts};
pub use error::ClientError;
pub use overview::{
    ClusterLayout, ClusterStatus, LayoutNode, LayoutPartition, NodeState, PartitionsHealth, Verification,
};
pub use rpc::ClusterKey;
pub use rpc::wire::{Beginning, ChangeLayout, Edit, LayoutPreview, NodeMovement, NodeStatus, ScrubReport, WatchKey};
pub use scan::ScanCursor;
