//! A key-value store as the load needs it, whichever it is.

use super::super::work::Miss;
use bytes::Bytes;

/// An item's name: in a group, under which items are changed together and read in a row.
#[derive(Clone, Debug)]
pub struct Key {
    /// The group.
    pub group: String,
    /// The item in it.
    pub name: String,
}

impl Key {
    /// An item that has a group for itself.
    pub fn alone(n: u32) -> Key {
        Key { group: format!("item-{n:08}"), name: "0".into() }
    }

    /// One of several.
    pub fn in_group(group: u32, n: u16) -> Key {
        Key { group: group_name(group), name: format!("{n:05}") }
    }

    /// For stores that know no groups.
    pub fn flat(&self) -> String {
        format!("bench/{}/{}", self.group, self.name)
    }
}

/// How a group of several is called.
pub fn group_name(group: u32) -> String {
    format!("group-{group:08}")
}

/// A store under load, through one connection.
#[async_trait::async_trait]
pub trait Store: Send + Sync {
    /// The first put of an item is another act than those after it, which are what is measured.
    fn makes_items(&self) -> bool {
        false
    }

    /// Puts, durably.
    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Miss>;

    /// Gets, linearizably. True when there was something.
    async fn get(&self, key: &Key) -> Result<bool, Miss>;

    /// Puts items of one group, all or none.
    async fn put_all(&self, items: &[(Key, Bytes)]) -> Result<(), Miss>;

    /// Gets the first items of a group, linearizably: how many there were.
    async fn scan(&self, group: u32, limit: u16) -> Result<usize, Miss>;

    /// Gets an item, and puts it if nobody else has meanwhile. False when somebody has.
    async fn swap(&self, key: &Key, value: Bytes) -> Result<bool, Miss>;
}

/// Said of what a store has no call for, or what is not driven there.
pub fn not_driven(store: &str, what: &str) -> Miss {
    Miss::Failed(format!("{what} are not driven on {store}"))
}
