//! Reads.

use crate::limits::{KEY_BYTES_MAX, KEYS_MAX, QUERY_ITEMS_MAX};
use crate::{Item, ItemKey, Seq, TableId, Version};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What a read promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// Linearizable.
    #[default]
    Strong,
    /// What the replica asked has committed, however old.
    Stale,
}

/// One end of a range of sort keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// No end.
    #[default]
    Open,
    /// The key belongs to the range.
    Included(Bytes),
    /// The key does not.
    Excluded(Bytes),
}

/// A range of items under one partition key of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The table.
    pub table: TableId,
    /// The partition key.
    pub partition_key: Bytes,
    /// Lowest sort key.
    pub from: Bound,
    /// Highest sort key.
    pub to: Bound,
    /// From the highest down.
    pub reverse: bool,
    /// Items in a page at most; 0 is as many as allowed.
    pub limit: u32,
}

impl Query {
    /// Everything under a partition key.
    pub fn all(table: TableId, partition_key: impl Into<Bytes>) -> Query {
        Query {
            table,
            partition_key: partition_key.into(),
            from: Bound::Open,
            to: Bound::Open,
            reverse: false,
            limit: 0,
        }
    }

    /// Every sort key that begins with `prefix`.
    pub fn prefix(table: TableId, partition_key: impl Into<Bytes>, prefix: &[u8]) -> Query {
        let to = prefix_end(prefix).map_or(Bound::Open, |end| Bound::Excluded(end.into()));
        Query { from: Bound::Included(Bytes::copy_from_slice(prefix)), to, ..Query::all(table, partition_key) }
    }

    /// True when `sort_key` is in the range.
    pub fn contains(&self, sort_key: &[u8]) -> bool {
        let above = match &self.from {
            Bound::Open => true,
            Bound::Included(key) => sort_key >= &key[..],
            Bound::Excluded(key) => sort_key > &key[..],
        };
        let below = match &self.to {
            Bound::Open => true,
            Bound::Included(key) => sort_key <= &key[..],
            Bound::Excluded(key) => sort_key < &key[..],
        };
        above && below
    }

    /// The same query, going on after `sort_key`.
    #[must_use]
    pub fn after(mut self, sort_key: Bytes) -> Query {
        *(if self.reverse { &mut self.to } else { &mut self.from }) = Bound::Excluded(sort_key);
        self
    }

    /// The limit in force.
    pub fn items_max(&self) -> usize {
        (if self.limit == 0 { QUERY_ITEMS_MAX } else { self.limit.min(QUERY_ITEMS_MAX) }) as usize
    }
}

/// The smallest key above every key with this prefix, if there is one.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// An item and its sort key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemAt {
    /// The sort key.
    pub sort_key: Bytes,
    /// The item.
    pub item: Item,
}

/// A snapshot of a range, at one committed sequence of its partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryPage {
    /// In the order asked for.
    pub items: Vec<ItemAt>,
    /// Where to go on ([`Query::after`]); none when the range is exhausted.
    pub next: Option<Bytes>,
    /// The sequence that the page is a snapshot of.
    pub at: Seq,
}

/// A read of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Read {
    /// These items, as one snapshot. All keys must be of one partition.
    Items(Vec<ItemKey>),
    /// A range.
    Range(Query),
}

impl Read {
    /// Checks every bound that needs no data.
    pub fn validate(&self) -> Result<(), String> {
        let key_ok = |key: &[u8], what: &str, empty_ok: bool| {
            if key.is_empty() && !empty_ok {
                Err(format!("the {what} is empty"))
            } else if key.len() > KEY_BYTES_MAX {
                Err(format!("the {what} has {} bytes; at most {KEY_BYTES_MAX} are allowed", key.len()))
            } else {
                Ok(())
            }
        };
        match self {
            Read::Items(keys) => {
                if keys.is_empty() || keys.len() > KEYS_MAX {
                    return Err(format!("a read names 1 to {KEYS_MAX} keys"));
                }
                keys.iter().try_for_each(|key| {
                    key_ok(&key.partition_key, "partition key", false)?;
                    key_ok(&key.sort_key, "sort key", true)
                })
            }
            Read::Range(query) => {
                key_ok(&query.partition_key, "partition key", false)?;
                for bound in [&query.from, &query.to] {
                    if let Bound::Included(key) | Bound::Excluded(key) = bound {
                        key_ok(key, "sort key", true)?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// One committed change, as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The write.
    pub version: Version,
    /// The item changed.
    pub key: ItemKey,
    /// What it holds now; none when it was deleted.
    pub item: Option<Item>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_prefix_query_holds_exactly_the_prefix(prefix: Vec<u8>, key: Vec<u8>) {
            let query = Query::prefix(TableId(1), "p", &prefix);
            prop_assert_eq!(query.contains(&key), key.starts_with(&prefix));
            let mut under = prefix.clone();
            under.extend(&key);
            prop_assert!(query.contains(&under));
        }
    }
}
