//! Whatever is said can be read back, and goes by the numbers of its tables.

use super::super::v1;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use types::{
    Bound, Consistency, Item, KeyHash, OperationId, Template, TemplatePart, Test, Update, Version, WallMillis,
};

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn names() -> impl Strategy<Value = String> {
    "[a-z]{1,6}"
}

fn templates() -> impl Strategy<Value = Template> {
    let part = prop_oneof![bytes().prop_map(TemplatePart::Bytes), any::<u16>().prop_map(TemplatePart::Counter)];
    prop_oneof![bytes().prop_map(Template::Fixed), vec(part, 0..4).prop_map(Template::Parts)]
}

fn conditions() -> impl Strategy<Value = TableCondition> {
    let test = prop_oneof![
        Just(Test::Absent),
        Just(Test::Present),
        any::<(u64, u64)>().prop_map(|(epoch, seq)| Test::VersionIs(Version::new(epoch, seq))),
        bytes().prop_map(Test::ValueIs),
    ];
    (names(), bytes(), test).prop_map(|(table, sort_key, test)| TableCondition { table, sort_key, test })
}

fn updates() -> impl Strategy<Value = TableUpdate> {
    prop_oneof![
        (names(), templates(), templates(), any::<Option<u64>>()).prop_map(|(table, sort_key, value, expires)| {
            TableUpdate::Put { table, sort_key, value, expires: expires.map(WallMillis) }
        }),
        (names(), bytes()).prop_map(|(table, sort_key)| TableUpdate::Delete { table, sort_key }),
        (names(), bytes(), any::<(i64, i64, i64)>()).prop_map(|(table, sort_key, (delta, min, max))| {
            TableUpdate::Add { table, sort_key, delta, bounds: min..=max }
        }),
    ]
}

prop_compose! {
    fn transactions()(
        partition_key in bytes(),
        created: u64,
        nonce: u128,
        conditions in vec(conditions(), 0..6),
        updates in vec(updates(), 0..6),
    ) -> TableTransaction {
        let key_hash = KeyHash::of(&partition_key);
        let operation = OperationId { created: WallMillis(created), key_hash, nonce };
        TableTransaction { operation, partition_key, conditions, updates }
    }
}

fn bounds() -> impl Strategy<Value = Bound> {
    prop_oneof![Just(Bound::Open), bytes().prop_map(Bound::Included), bytes().prop_map(Bound::Excluded)]
}

fn no_fresh_id(_: &[u8]) -> OperationId {
    panic!("the request had an operation id")
}

proptest! {
    #[test]
    fn transactions_read_back(original in transactions(), asynchronous: bool) {
        let wire = v1::TransactRequest::decode(&original.to_wire(asynchronous).encode_to_vec()[..]).unwrap();
        prop_assert_eq!(wire.asynchronous, asynchronous);
        prop_assert_eq!(TableTransaction::from_wire(wire, no_fresh_id), Ok(original));
    }

    /// Resolving keeps everything but the names, and asks for each table that is named.
    #[test]
    fn resolving_keeps_order_and_content(original in transactions()) {
        let number = |name: &str| Ok::<_, ()>(TableId(u32::from(name.as_bytes()[0])));
        let resolved = original.clone().resolve(number).unwrap();
        prop_assert_eq!(resolved.operation, original.operation);
        prop_assert_eq!(resolved.conditions.len(), original.conditions.len());
        for (resolved, original) in resolved.conditions.iter().zip(&original.conditions) {
            prop_assert_eq!(Ok(resolved.table), number(&original.table));
            prop_assert_eq!(&resolved.test, &original.test);
        }
        prop_assert_eq!(resolved.updates.len(), original.updates.len());
        for (resolved, original) in resolved.updates.iter().zip(&original.updates) {
            match (resolved, original) {
                (Update::Put { table, sort_key, value, expires },
                 TableUpdate::Put { table: name, sort_key: k, value: v, expires: e }) => {
                    prop_assert_eq!(Ok(*table), number(name));
                    prop_assert_eq!((sort_key, value, expires), (k, v, e));
                }
                (Update::Delete { table, sort_key }, TableUpdate::Delete { table: name, sort_key: k }) => {
                    prop_assert_eq!(Ok(*table), number(name));
                    prop_assert_eq!(sort_key, k);
                }
                (Update::Add { table, sort_key, delta, min, max },
                 TableUpdate::Add { table: name, sort_key: k, delta: d, bounds }) => {
                    prop_assert_eq!(Ok(*table), number(name));
                    prop_assert_eq!((sort_key, delta, min, max), (k, d, bounds.start(), bounds.end()));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    /// A table that may not be named stops the whole transaction.
    #[test]
    fn a_refused_table_refuses_all(original in transactions()) {
        let names = original.conditions.len() + original.updates.len();
        let refused = original.resolve(|_| Err::<TableId, _>("no"));
        prop_assert_eq!(refused.is_err(), names > 0);
    }

    #[test]
    fn queries_read_back(
        table in names(), partition_key in bytes(), from in bounds(), to in bounds(), reverse: bool, limit: u32,
    ) {
        let original = TableQuery { table, partition_key, from, to, reverse, limit };
        let wire = v1::QueryRequest::decode(&original.to_wire(Consistency::Stale).encode_to_vec()[..]).unwrap();
        prop_assert_eq!(TableQuery::from_wire(wire), Ok((original.clone(), Consistency::Stale)));
        let by_number = original.clone().after("k".into()).resolve(TableId(3));
        prop_assert_eq!(by_number, original.resolve(TableId(3)).after("k".into()));
    }

    #[test]
    fn changes_read_back(table in names(), keys in (bytes(), bytes()), version: (u64, u64), value: Option<Vec<u8>>) {
        let version = Version::new(version.0, version.1);
        let item = value.map(|value| Item { value: value.into(), version, time: Default::default(), expires: None });
        let key = TableKey::new(table, keys.0, keys.1);
        let original = WatchEvent::Changed(TableChange { version, key, item });
        prop_assert_eq!(WatchEvent::from_wire(original.clone().to_wire()), Ok(Some(original)));
    }

    /// Whatever bytes a stranger sends, reading them ends in an answer.
    #[test]
    fn no_request_panics(noise: Vec<u8>) {
        if let Ok(wire) = v1::TransactRequest::decode(&noise[..]) {
            let fresh = |key: &[u8]| OperationId { created: WallMillis(0), key_hash: KeyHash::of(key), nonce: 0 };
            let _ = TableTransaction::from_wire(wire, fresh);
        }
        if let Ok(wire) = v1::QueryRequest::decode(&noise[..]) {
            let _ = TableQuery::from_wire(wire);
        }
        if let Ok(wire) = v1::WatchReply::decode(&noise[..]) {
            let _ = WatchEvent::from_wire(wire);
        }
    }
}

fn simple() -> TableTransaction {
    let operation = OperationId { created: WallMillis(1), key_hash: KeyHash::of(b"p"), nonce: 7 };
    TableTransaction::new(operation, "p").check("t", "k", Test::Absent).put("t", "k", "v")
}

#[test]
fn a_request_without_an_id_gets_a_fresh_one() {
    let mut wire = simple().to_wire(false);
    wire.operation_id = Bytes::new();
    let fresh = simple().operation;
    let made = TableTransaction::from_wire(wire, |key| {
        assert_eq!(key, b"p");
        fresh
    });
    assert_eq!(made, Ok(simple()));
}

#[test]
fn an_id_made_for_another_key_is_refused() {
    let mut wire = simple().to_wire(false);
    wire.partition_key = "q".into();
    assert!(TableTransaction::from_wire(wire, no_fresh_id).is_err());
}

#[test]
fn what_a_newer_program_says_is_refused_rather_than_dropped() {
    let mut wire = simple().to_wire(false);
    wire.conditions[0].test = None;
    assert!(TableTransaction::from_wire(wire, no_fresh_id).is_err());
    let mut wire = simple().to_wire(false);
    wire.updates[0].change = None;
    assert!(TableTransaction::from_wire(wire, no_fresh_id).is_err());
}
