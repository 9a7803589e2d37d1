//! Bounds on everything that a stranger controls.

use std::time::Duration;

/// Bytes in a partition key, and in a sort key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes in a value kept in a table; larger ones are blobs.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Changes in one transaction; also conditions.
pub const TRANSACTION_CHANGES_MAX: usize = 1000;
/// Bytes of keys and values in one transaction.
pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Items in one query page.
pub const QUERY_ITEMS_MAX: u32 = 10_000;
/// Bytes in one query page; a page always holds at least one item.
pub const QUERY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Keys in one multi-get or one watch.
pub const KEYS_MAX: usize = 1000;
/// Bytes in a table's name.
pub const TABLE_NAME_BYTES_MAX: usize = 128;
/// Bytes in one frame between nodes: a transaction and its wrapping.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a file in one block.
pub const BLOCK_BYTES: usize = 1024 * 1024;
/// How long an operation id is remembered, and so may be sent again or verified.
pub const OPERATION_WINDOW: Duration = Duration::from_secs(15 * 60);
/// How far ahead of the head's clock an operation id's creation time may be.
pub const OPERATION_SKEW_MAX: Duration = Duration::from_secs(60);
