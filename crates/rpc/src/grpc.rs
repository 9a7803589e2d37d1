//! The gRPC API `atoll.v1`: generated messages and services, and their
//! conversions from and to `types`.
//!
//! **Owns** the shape of what programs outside the cluster say and hear: the
//! files under `proto/`, the limits on them, and how an error travels
//! ([`Problem`]). **Invariants**: whatever is converted and converted back is the
//! same; a message that does not fit its description is refused as
//! [`Malformed`], never guessed at; an error that says *unknown* never arrives as
//! one that says *refused*, nor the reverse. **Leaves to others**: who may do
//! what (`gateways`), retries (`client::remote`). **Proved by** the property
//! tests beside the conversions.

mod problem;
mod table;
mod values;

pub use problem::{Problem, kind};
pub use table::{
    TableChange, TableCondition, TableKey, TableQuery, TableTransaction, TableUpdate, WatchEvent, WatchKey,
};
pub use values::{
    block_hash, bytes16, consistency, consistency_of, item, item_of, operation, operation_of, page, page_of,
    table_kind, table_kind_of, verdict, verdict_of, version, version_of,
};

/// Messages, and the clients and servers of the services, as generated.
#[allow(clippy::all, missing_docs)]
pub mod v1 {
    tonic::include_proto!("atoll.v1");
}

/// The definitions in binary form, for the reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/atoll_v1.bin"));

/// Metadata that names the shared drive which a call of `Drive` is about.
pub const DRIVE_HEADER: &str = "atoll-drive";
/// In `CopyAct.from_drive`: the caller's own drive.
pub const OWN_DRIVE: &[u8] = b"own";

/// Bounds on messages, beside those in [`types::limits`].
pub mod limits {
    use types::limits::BLOCK_BYTES;

    /// Bytes in any message, either way: the block list of the largest file fits,
    /// and so do a full transaction and a full page.
    pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
    /// Bytes in a message of the services that carry names and numbers only.
    pub const SMALL_MESSAGE_BYTES_MAX: usize = 64 * 1024;
    /// Bytes of values in the answer to one `GetMany`.
    pub const GET_MANY_BYTES_MAX: usize = 8 * 1024 * 1024;
    /// Items in a page of `Scan`.
    pub const SCAN_ITEMS_MAX: u32 = 1000;
    /// Blocks in a file that is put by one `PutFile`.
    pub const FILE_BLOCKS_MAX: usize = 262_144;
    /// Blocks in one answer to `OpenFile`.
    pub const OPEN_BLOCKS_MAX: usize = 1024;
    /// Hashes in one `Missing`.
    pub const MISSING_HASHES_MAX: usize = 1000;
    /// Bytes in a path.
    pub const PATH_BYTES_MAX: usize = 32 * 1024;
    /// Bytes in a page token or cursor.
    pub const CURSOR_BYTES_MAX: usize = 8 * 1024;
    /// Bytes in a file put by one `PutFile`.
    pub const FILE_BYTES_MAX: u64 = FILE_BLOCKS_MAX as u64 * BLOCK_BYTES as u64;
}

/// A message that does not fit its description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// From a text.
    pub fn new(text: impl Into<String>) -> Malformed {
        Malformed(text.into())
    }
}

impl types::Classify for Malformed {
    fn action(&self) -> types::Action {
        types::Action::Rejected
    }
}
