//! Items: what is written is read, refused or unknown, and never mixed up.

use super::*;
use bytes::Bytes;
use client::remote::{RemoteError, TableKey, TableQuery, WatchEvent, WatchKey};
use futures::StreamExt;
use types::{
    Action, Classify, Consistency, OperationId, Refusal, Seq, TableKind, Template, TemplatePart, Test, Verdict,
};

async fn world() -> (World, Remote) {
    let world = World::new(1).await;
    let ada = world.ada().await;
    ada.create_table("t", TableKind::Strong, false).await.unwrap();
    (world, ada)
}

#[tokio::test]
async fn what_is_put_is_read() {
    let (_world, ada) = world().await;
    let key = TableKey::new("t", "p", "s");
    assert_eq!(ada.get(&key, Consistency::Strong).await.unwrap(), None);
    let write = ada.transaction("p").check("t", "s", Test::Absent).put("t", "s", "v");
    let done = ada.transact(&write).await.unwrap();
    let item = ada.get(&key, Consistency::Stale).await.unwrap().unwrap();
    assert_eq!((item.value, item.version, item.time), (Bytes::from("v"), done.version, done.time));
    // The same once more is the same, not a refusal.
    assert_eq!(ada.transact(&write).await.unwrap(), done);
    assert_eq!(ada.verify(write.operation).await.unwrap(), Verdict::Applied { version: done.version, time: done.time });
    let again = ada.transaction("p").check("t", "s", Test::Absent).put("t", "s", "w");
    let refused = ada.transact(&again).await.unwrap_err();
    assert!(
        matches!(&refused, RemoteError::Refused(Refusal::Condition { index: 0, found }) if *found == Some(done.version))
    );
    assert_eq!(refused.action(), Action::Rejected);
    let swap = ada.transaction("p").check("t", "s", Test::ValueIs("v".into())).delete("t", "s");
    ada.transact(&swap).await.unwrap();
    assert_eq!(ada.get(&key, Consistency::Strong).await.unwrap(), None);
    assert_eq!(ada.size("t").await.unwrap(), 0);
}

#[tokio::test]
async fn counters_number_things() {
    let (_world, ada) = world().await;
    for n in 1..=3i64 {
        let counted = Template::Parts(vec![TemplatePart::Bytes("m".into()), TemplatePart::Counter(0)]);
        let write = ada.transaction("p").add("t", "count", 1, 0..=3).put("t", counted, format!("message {n}"));
        assert_eq!(ada.transact(&write).await.unwrap().counters, [n]);
    }
    let page = ada.query(&TableQuery::prefix("t", "p", b"m"), Consistency::Strong).await.unwrap();
    let values: Vec<_> = page.items.iter().map(|at| at.item.value.clone()).collect();
    assert_eq!(values, ["message 1", "message 2", "message 3"]);
    let full = ada.transact(&ada.transaction("p").add("t", "count", 1, 0..=3)).await;
    assert!(matches!(full, Err(RemoteError::Refused(Refusal::Bounds { would_be: 4, max: 3, .. }))));
    let not = ada
        .transact(&ada.transaction("p").put("t", "x", "text"))
        .await
        .and(ada.transact(&ada.transaction("p").add("t", "x", 1, i64::MIN..=i64::MAX)).await);
    assert!(matches!(not, Err(RemoteError::Refused(Refusal::NotACounter { index: 0 }))));
}

#[tokio::test]
async fn ranges_are_walked_in_pages_both_ways() {
    let (_world, ada) = world().await;
    let mut write = ada.transaction("p");
    for n in 0..25u8 {
        write = write.put("t", vec![n], vec![n]);
    }
    ada.transact(&write).await.unwrap();
    for reverse in [false, true] {
        let mut query = TableQuery { limit: 7, reverse, ..TableQuery::all("t", "p") };
        let mut seen: Vec<u8> = Vec::new();
        loop {
            let page = ada.query(&query, Consistency::Strong).await.unwrap();
            assert!(page.items.len() <= 7);
            seen.extend(page.items.iter().map(|at| at.sort_key[0]));
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!(seen, (0..25).collect::<Vec<u8>>());
    }
    assert_eq!(ada.scan("t", None, 0).await.unwrap().items.len(), 25);
    assert!(matches!(ada.scan("t", Some("nonsense"), 0).await, Err(RemoteError::Invalid(_))));
    let keys = [TableKey::new("t", "p", vec![3]), TableKey::new("t", "p", "none"), TableKey::new("t", "p", vec![4])];
    let found = ada.get_many(&keys, Consistency::Strong).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn bounds_hold() {
    let (_world, ada) = world().await;
    let long = vec![1u8; 2000];
    assert!(matches!(
        ada.get(&TableKey::new("t", long.clone(), ""), Consistency::Strong).await,
        Err(RemoteError::Invalid(_))
    ));
    assert!(matches!(ada.get(&TableKey::new("t", "", ""), Consistency::Strong).await, Err(RemoteError::Invalid(_))));
    assert!(matches!(ada.get_many(&[], Consistency::Strong).await, Err(RemoteError::Invalid(_))));
    let many = vec![TableKey::new("t", "p", "s"); 1001];
    assert!(matches!(ada.get_many(&many, Consistency::Strong).await, Err(RemoteError::Invalid(_))));
    let heavy = ada.transaction("p").put("t", "s", vec![0u8; (1 << 20) + 1]);
    let refused = ada.transact(&heavy).await;
    assert!(matches!(refused, Err(RemoteError::Refused(Refusal::Invalid(_)))), "{refused:?}");
    // Larger than any message may be: refused by the way in, and surely not applied.
    let huge = ada.transaction("p").put("t", "s", vec![0u8; 17 << 20]);
    let refused = ada.transact(&huge).await.unwrap_err();
    assert_eq!(refused.action(), Action::Rejected, "{refused:?}");
    // Values that fit one by one, and not together.
    for n in 0..9u8 {
        ada.transact(&ada.transaction("p").put("t", vec![n], vec![n; 1 << 20])).await.unwrap();
    }
    let keys: Vec<_> = (0..9u8).map(|n| TableKey::new("t", "p", vec![n])).collect();
    assert!(matches!(ada.get_many(&keys, Consistency::Strong).await, Err(RemoteError::TooMany(_))));
    assert!(ada.get_many(&keys[..7], Consistency::Strong).await.is_ok());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_applied_once() {
    let (world, ada) = world().await;
    world.memory.lose_answers(1);
    let write = ada.transaction("p").add("t", "count", 5, 0..=100);
    assert_eq!(ada.transact(&write).await.unwrap().counters, [5]);
}

#[tokio::test]
async fn what_is_not_known_is_settled_by_verify() {
    let (world, ada) = world().await;
    // Each try is applied (once) and each answer lost.
    world.memory.lose_answers(usize::MAX);
    let brief = Options { attempt: Duration::from_secs(2), total: Duration::from_secs(3), ..options() };
    let ada = Remote::with_options(world.addresses(), ada.token(), brief).await.unwrap();
    let write = ada.transaction("p").put("t", "s", "v");
    let done = ada.transact(&write).await.unwrap();
    assert!(
        matches!(ada.verify(write.operation).await.unwrap(), Verdict::Applied { version, .. } if version == done.version)
    );
    // What the counter became is lost: that it was applied must not be.
    let write = ada.transaction("p").add("t", "count", 1, 0..=9);
    match ada.transact(&write).await {
        Err(RemoteError::Unknown { operation, why }) => {
            assert_eq!(operation, Some(write.operation));
            assert!(why.contains("applied"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn not_applied_is_final() {
    let (_world, ada) = world().await;
    let write = ada.transaction("p").put("t", "s", "v");
    assert_eq!(ada.verify(write.operation).await.unwrap(), Verdict::NotApplied);
    assert!(matches!(ada.transact(&write).await, Err(RemoteError::Refused(Refusal::Fenced))));
    let mut foreign = ada.transaction("p").put("t", "s", "v");
    foreign.operation = OperationId { key_hash: types::KeyHash(1), ..foreign.operation };
    assert!(matches!(ada.transact(&foreign).await, Err(RemoteError::Invalid(_))));
}

#[tokio::test]
async fn changes_are_followed_from_now_or_from_then() {
    let (world, ada) = world().await;
    ada.transact(&ada.transaction("p").put("t", "before", "0")).await.unwrap();
    let mut now = ada.watch(vec![WatchKey::new("t", "p")], None);
    let Some(Ok(WatchEvent::Started(started))) = now.next().await else { panic!("no beginning") };
    ada.transact(&ada.transaction("other").put("t", "s", "not watched")).await.unwrap();
    let done = ada.transact(&ada.transaction("p").put("t", "a", "1").put("t", "b", "2")).await.unwrap();
    ada.transact_async(&ada.transaction("p").delete("t", "a")).await.unwrap();
    let mut then = ada.watch(vec![WatchKey::new("t", "p")], Some(started));
    for watch in [&mut now, &mut then] {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            match watch.next().await.unwrap().unwrap() {
                WatchEvent::Started(seq) => assert_eq!(seq, started),
                WatchEvent::Changed(change) => heard.push(change),
            }
        }
        let said: Vec<_> = heard
            .iter()
            .map(|change| (change.key.sort_key.clone(), change.item.as_ref().map(|item| item.value.clone())))
            .collect();
        let bytes = |text: &'static str| Bytes::from(text);
        assert_eq!(said, [(bytes("a"), Some(bytes("1"))), (bytes("b"), Some(bytes("2"))), (bytes("a"), None)]);
        assert_eq!(heard[0].key.table, "t");
        assert_eq!((heard[0].version, heard[1].version), (done.version, done.version));
    }
    world.memory.compact(u64::MAX);
    let mut old = ada.watch(vec![WatchKey::new("t", "p")], Some(Seq(0)));
    assert!(matches!(old.next().await, Some(Ok(WatchEvent::Started(Seq(0))))));
    assert!(matches!(old.next().await, Some(Err(RemoteError::Compacted(_)))));
    assert!(old.next().await.is_none());
}

#[tokio::test]
async fn watches_of_different_keys_do_not_mix() {
    let (_world, ada) = world().await;
    let mixed = vec![WatchKey::new("t", "p"), WatchKey::new("t", "q")];
    assert!(matches!(ada.watch(mixed, None).next().await, Some(Err(RemoteError::Invalid(_)))));
    assert!(matches!(ada.watch(vec![], None).next().await, Some(Err(RemoteError::Invalid(_)))));
}
