//! Watching.

use super::super::{Malformed, v1, values};
use super::TableKey;
use bytes::Bytes;
use types::{Item, Seq, Version};

/// What is watched: everything under one partition key of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchKey {
    /// The table's name.
    pub table: String,
    /// The partition key.
    pub partition_key: Bytes,
}

impl WatchKey {
    /// A key from its parts.
    pub fn new(table: impl Into<String>, partition_key: impl Into<Bytes>) -> WatchKey {
        WatchKey { table: table.into(), partition_key: partition_key.into() }
    }
}

/// A committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The write.
    pub version: Version,
    /// The item.
    pub key: TableKey,
    /// What it holds now; none when it was deleted.
    pub item: Option<Item>,
}

/// What a watcher hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The first thing: the watch began after this sequence, and may be resumed from it.
    Started(Seq),
    /// A change.
    Changed(TableChange),
}

impl WatchEvent {
    /// To the wire.
    pub fn to_wire(self) -> v1::WatchReply {
        use v1::watch_reply::Event;
        let event = match self {
            WatchEvent::Started(seq) => Event::Started(seq.0),
            WatchEvent::Changed(change) => Event::Change(v1::Change {
                version: Some(values::version(change.version)),
                key: Some(change.key.to_wire()),
                item: change.item.map(values::item),
            }),
        };
        v1::WatchReply { event: Some(event) }
    }

    /// From the wire; none for an event that this release does not know.
    pub fn from_wire(reply: v1::WatchReply) -> Result<Option<WatchEvent>, Malformed> {
        use v1::watch_reply::Event;
        match reply.event {
            None => Ok(None),
            Some(Event::Started(seq)) => Ok(Some(WatchEvent::Started(Seq(seq)))),
            Some(Event::Change(change)) => {
                let incomplete = || Malformed::new("a change has no version or no key");
                Ok(Some(WatchEvent::Changed(TableChange {
                    version: values::version_of(change.version.ok_or_else(incomplete)?),
                    key: TableKey::from_wire(change.key.ok_or_else(incomplete)?),
                    item: change.item.map(values::item_of).transpose()?,
                })))
            }
        }
    }
}
