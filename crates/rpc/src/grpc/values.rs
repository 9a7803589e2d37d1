//! Single values: ids, versions, items, enumerations.

use super::{Malformed, v1};
use bytes::Bytes;
use types::{
    BlockHash, Consistency, HybridTime, Item, ItemAt, OperationId, QueryPage, Seq, TableKind, Verdict, Version,
    WallMillis,
};

/// To the wire.
pub fn version(version: Version) -> v1::Version {
    v1::Version { epoch: version.epoch.0, sequence: version.seq.0 }
}

/// From the wire.
pub fn version_of(version: v1::Version) -> Version {
    Version::new(version.epoch, version.sequence)
}

/// To the wire.
pub fn item(item: Item) -> v1::Item {
    v1::Item {
        value: item.value,
        version: Some(version(item.version)),
        time: item.time.0,
        expires_ms: item.expires.map(|at| at.0),
    }
}

/// From the wire.
pub fn item_of(item: v1::Item) -> Result<Item, Malformed> {
    Ok(Item {
        value: item.value,
        version: version_of(item.version.ok_or_else(|| Malformed::new("an item has no version"))?),
        time: HybridTime(item.time),
        expires: item.expires_ms.map(WallMillis),
    })
}

/// To the wire.
pub fn operation(operation: OperationId) -> Bytes {
    Bytes::copy_from_slice(&operation.to_bytes())
}

/// From the wire; empty is none.
pub fn operation_of(bytes: &[u8]) -> Result<Option<OperationId>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match bytes.try_into() {
        Ok(bytes) => Ok(Some(OperationId::from_bytes(bytes))),
        Err(_) => Err(Malformed(format!("an operation id has 32 bytes, not {}", bytes.len()))),
    }
}

/// A block's hash from the wire.
pub fn block_hash(bytes: &[u8]) -> Result<BlockHash, Malformed> {
    bytes.try_into().map(BlockHash).map_err(|_| Malformed(format!("a hash has 32 bytes, not {}", bytes.len())))
}

/// A random or given id of sixteen bytes from the wire.
pub fn bytes16(what: &str, bytes: &[u8]) -> Result<[u8; 16], Malformed> {
    bytes.try_into().map_err(|_| Malformed(format!("{what} has 16 bytes, not {}", bytes.len())))
}

/// To the wire.
pub fn consistency(consistency: Consistency) -> v1::Consistency {
    match consistency {
        Consistency::Strong => v1::Consistency::Strong,
        Consistency::Stale => v1::Consistency::Stale,
    }
}

/// From the wire. A promise that this release does not know is refused: it may be a stronger one.
pub fn consistency_of(number: i32) -> Result<Consistency, Malformed> {
    match v1::Consistency::try_from(number) {
        Ok(v1::Consistency::Unspecified | v1::Consistency::Strong) => Ok(Consistency::Strong),
        Ok(v1::Consistency::Stale) => Ok(Consistency::Stale),
        Err(_) => Err(Malformed(format!("there is no consistency number {number}"))),
    }
}

/// To the wire.
pub fn table_kind(kind: TableKind) -> v1::TableKind {
    match kind {
        TableKind::Strong => v1::TableKind::Strong,
        TableKind::Available => v1::TableKind::Available,
    }
}

/// From the wire.
pub fn table_kind_of(number: i32) -> Result<TableKind, Malformed> {
    match v1::TableKind::try_from(number) {
        Ok(v1::TableKind::Unspecified | v1::TableKind::Strong) => Ok(TableKind::Strong),
        Ok(v1::TableKind::Available) => Ok(TableKind::Available),
        Err(_) => Err(Malformed(format!("there is no table kind number {number}"))),
    }
}

/// To the wire.
pub fn verdict(verdict: &Verdict) -> v1::VerifyReply {
    let (outcome, version_and_time) = match verdict {
        Verdict::Applied { version, time } => (v1::Outcome::Applied, Some((*version, *time))),
        Verdict::Pending => (v1::Outcome::Pending, None),
        Verdict::NotApplied => (v1::Outcome::NotApplied, None),
        Verdict::Unknown => (v1::Outcome::Unknown, None),
    };
    v1::VerifyReply {
        outcome: outcome.into(),
        version: version_and_time.map(|(v, _)| version(v)),
        time: version_and_time.map_or(0, |(_, time)| time.0),
    }
}

/// From the wire.
pub fn verdict_of(reply: &v1::VerifyReply) -> Result<Verdict, Malformed> {
    match reply.outcome() {
        v1::Outcome::Applied => Ok(Verdict::Applied {
            version: version_of(reply.version.ok_or_else(|| Malformed::new("an applied write has no version"))?),
            time: HybridTime(reply.time),
        }),
        v1::Outcome::Pending => Ok(Verdict::Pending),
        v1::Outcome::NotApplied => Ok(Verdict::NotApplied),
        v1::Outcome::Unknown => Ok(Verdict::Unknown),
        v1::Outcome::Unspecified => Err(Malformed(format!("there is no outcome number {}", reply.outcome))),
    }
}

/// To the wire.
pub fn page(page: QueryPage) -> v1::QueryReply {
    let at = |at: ItemAt| v1::ItemAt { sort_key: at.sort_key, item: Some(item(at.item)) };
    v1::QueryReply { items: page.items.into_iter().map(at).collect(), next: page.next, at: page.at.0 }
}

/// From the wire.
pub fn page_of(reply: v1::QueryReply) -> Result<QueryPage, Malformed> {
    let at = |at: v1::ItemAt| {
        let item = at.item.ok_or_else(|| Malformed::new("a page has a key without an item"))?;
        Ok(ItemAt { sort_key: at.sort_key, item: item_of(item)? })
    };
    Ok(QueryPage {
        items: reply.items.into_iter().map(at).collect::<Result<_, _>>()?,
        next: reply.next,
        at: Seq(reply.at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items() -> impl Strategy<Value = Item> {
        (any::<Vec<u8>>(), any::<(u64, u64, u64)>(), any::<Option<u64>>()).prop_map(|(value, (e, s, t), expires)| {
            Item {
                value: value.into(),
                version: Version::new(e, s),
                time: HybridTime(t),
                expires: expires.map(WallMillis),
            }
        })
    }

    proptest! {
        #[test]
        fn items_read_back(original in items()) {
            prop_assert_eq!(item_of(item(original.clone())), Ok(original));
        }

        #[test]
        fn pages_read_back(
            found in proptest::collection::vec((any::<Vec<u8>>(), items()), 0..8),
            next: Option<Vec<u8>>,
            at: u64,
        ) {
            let items = found.into_iter().map(|(key, item)| ItemAt { sort_key: key.into(), item }).collect();
            let original = QueryPage { items, next: next.map(Bytes::from), at: Seq(at) };
            prop_assert_eq!(page_of(page(original.clone())), Ok(original));
        }

        #[test]
        fn operation_ids_read_back(bytes: [u8; 32]) {
            let id = OperationId::from_bytes(&bytes);
            prop_assert_eq!(operation_of(&operation(id)), Ok(Some(id)));
        }

        #[test]
        fn ids_of_another_length_are_refused(bytes: Vec<u8>) {
            prop_assert_eq!(operation_of(&bytes).is_ok(), matches!(bytes.len(), 0 | 32));
            prop_assert_eq!(block_hash(&bytes).is_ok(), bytes.len() == 32);
            prop_assert_eq!(bytes16("an id", &bytes).is_ok(), bytes.len() == 16);
        }

        #[test]
        fn applied_verdicts_read_back(epoch: u64, seq: u64, time: u64) {
            let original = Verdict::Applied { version: Version::new(epoch, seq), time: HybridTime(time) };
            prop_assert_eq!(verdict_of(&verdict(&original)), Ok(original));
        }
    }

    #[test]
    fn enumerations_read_back_and_strangers_are_refused() {
        for original in [Consistency::Strong, Consistency::Stale] {
            assert_eq!(consistency_of(consistency(original).into()), Ok(original));
        }
        for original in [TableKind::Strong, TableKind::Available] {
            assert_eq!(table_kind_of(table_kind(original).into()), Ok(original));
        }
        for original in [Verdict::Pending, Verdict::NotApplied, Verdict::Unknown] {
            assert_eq!(verdict_of(&verdict(&original)), Ok(original));
        }
        assert_eq!(consistency_of(0), Ok(Consistency::Strong));
        assert!(consistency_of(99).is_err());
        assert!(table_kind_of(99).is_err());
        assert!(verdict_of(&v1::VerifyReply::default()).is_err());
    }
}
