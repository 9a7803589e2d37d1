//! Keys, queries, transactions and changes with tables by name, as programs
//! outside the cluster say them.

mod query;
mod transaction;
mod watch;

#[cfg(test)]
mod tests;

pub use query::TableQuery;
pub use transaction::{TableCondition, TableTransaction, TableUpdate};
pub use watch::{TableChange, WatchEvent, WatchKey};

use super::v1;
use bytes::Bytes;
use types::{ItemKey, TableId};

/// An item's full address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableKey {
    /// The table's name.
    pub table: String,
    /// Decides the partition.
    pub partition_key: Bytes,
    /// Orders items within the partition key; may be empty.
    pub sort_key: Bytes,
}

impl TableKey {
    /// A key from its parts.
    pub fn new(table: impl Into<String>, partition_key: impl Into<Bytes>, sort_key: impl Into<Bytes>) -> TableKey {
        TableKey { table: table.into(), partition_key: partition_key.into(), sort_key: sort_key.into() }
    }

    /// To the wire.
    pub fn to_wire(&self) -> v1::Key {
        v1::Key {
            table: self.table.clone(),
            partition_key: self.partition_key.clone(),
            sort_key: self.sort_key.clone(),
        }
    }

    /// From the wire.
    pub fn from_wire(key: v1::Key) -> TableKey {
        TableKey { table: key.table, partition_key: key.partition_key, sort_key: key.sort_key }
    }

    /// With the table's number.
    pub fn resolve(self, table: TableId) -> ItemKey {
        ItemKey { table, partition_key: self.partition_key, sort_key: self.sort_key }
    }
}
