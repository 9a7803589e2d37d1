//! What every metadata store must do, asked of each backend alike.

use crate::cluster::{Cluster, PATIENCE, eventually, leadership};
use async_trait::async_trait;
use atoll_control::memory::MemoryStore;
use atoll_control::{Batch, Expect, MetadataError, MetadataStore};
use std::sync::Arc;
use types::NodeId;

/// Three nodes of some backend.
#[async_trait]
pub trait Deployment: Send + Sync {
    fn stores(&self) -> Vec<Arc<dyn MetadataStore>>;
    /// Gives leadership to another node; the former leader lives on, and hears of it.
    async fn change_leader(&self);
    async fn end(&self);
}

struct Memory(Vec<MemoryStore>);

#[async_trait]
impl Deployment for Memory {
    fn stores(&self) -> Vec<Arc<dyn MetadataStore>> {
        self.0.iter().map(|store| Arc::new(store.clone()) as Arc<dyn MetadataStore>).collect()
    }

    async fn change_leader(&self) {
        let next = self.0.iter().find(|store| !leadership(*store).is_self).unwrap();
        next.take_leadership();
    }

    async fn end(&self) {}
}

#[async_trait]
impl Deployment for Cluster {
    fn stores(&self) -> Vec<Arc<dyn MetadataStore>> {
        self.nodes().into_iter().map(|node| node as Arc<dyn MetadataStore>).collect()
    }

    async fn change_leader(&self) {
        let old = self.leader().await;
        self.isolate(old.id(), true);
        let new = self.leader().await;
        assert_ne!(old.id(), new.id());
        self.isolate(old.id(), false);
        let mut seen = old.leader();
        seen.wait_for(|leadership| !leadership.is_self).await.unwrap();
    }

    async fn end(&self) {
        self.shutdown().await;
    }
}

async fn leader(deployment: &dyn Deployment) -> Arc<dyn MetadataStore> {
    eventually("somebody leads", || async {
        for store in deployment.stores() {
            if store.confirm_leadership().await.is_ok() {
                return Some(store);
            }
        }
        None
    })
    .await
}

fn follower(deployment: &dyn Deployment) -> Arc<dyn MetadataStore> {
    deployment.stores().into_iter().find(|store| !leadership(&**store).is_self).unwrap()
}

async fn a_race_has_one_winner(deployment: &dyn Deployment) {
    let store = leader(deployment).await;
    for round in 0..10 {
        let key = format!("race/{round}");
        let tries = (0..16u8).map(|n| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                (n, store.commit(Batch::new().expect(&*key, Expect::Absent).put(&*key, vec![n])).await)
            })
        });
        let mut winners = Vec::new();
        for tried in futures::future::join_all(tries).await {
            match tried.unwrap() {
                (n, Ok(committed)) => winners.push((n, committed.revision)),
                (_, Err(MetadataError::Conflict { key: at, found: Some(_) })) => assert_eq!(at, key),
                (_, Err(other)) => panic!("{other}"),
            }
        }
        let [(n, revision)] = winners[..] else { panic!("{} winners", winners.len()) };
        let pair = store.get(&key).await.unwrap().unwrap();
        assert_eq!((&pair.value[..], pair.revision), (&[n][..], revision));
        // The next one needs the right revision.
        let next = |expected| Batch::new().expect(&*key, Expect::Revision(expected)).put(&*key, "next");
        assert!(matches!(store.commit(next(revision + 1)).await, Err(MetadataError::Conflict { .. })));
        assert!(store.commit(next(revision)).await.unwrap().revision > revision);
        assert!(matches!(store.commit(next(revision)).await, Err(MetadataError::Conflict { .. })));
    }
}

async fn batches_are_atomic(deployment: &dyn Deployment) {
    let store = leader(deployment).await;
    let first = store.commit(Batch::new().put("atom/a", "1").put("atom/b", "1")).await.unwrap();
    let before = store.range("atom/").await.unwrap();
    assert!(before.pairs.iter().all(|pair| pair.revision == first.revision) && before.pairs.len() == 2);
    let refused = Batch::new()
        .expect("atom/a", Expect::Present)
        .expect("atom/c", Expect::Present)
        .put("atom/a", "2")
        .delete("atom/b")
        .put("atom/c", "2");
    let conflict = MetadataError::Conflict { key: "atom/c".to_string(), found: None };
    assert_eq!(store.commit(refused).await, Err(conflict));
    assert_eq!(store.range("atom/").await.unwrap().pairs, before.pairs);
    let second = store.commit(Batch::new().put("atom/a", "2").delete("atom/b").put("atom/c", "2")).await.unwrap();
    assert!(second.revision > first.revision);
    let after = store.range("atom/").await.unwrap();
    let held: Vec<_> = after.pairs.iter().map(|pair| (pair.key.as_str(), &pair.value[..], pair.revision)).collect();
    assert_eq!(held, [("atom/a", &b"2"[..], second.revision), ("atom/c", b"2", second.revision)]);
    assert!(matches!(store.commit(Batch::new().put("", "")).await, Err(MetadataError::Invalid(_))));
}

async fn a_replaced_leader_is_fenced(deployment: &dyn Deployment) {
    let old = leader(deployment).await;
    let old_token = old.confirm_leadership().await.unwrap();
    let write = |value: &str, token| Batch::new().put("fence", value.to_string()).fenced(token);
    old.commit(write("first", old_token)).await.unwrap();
    deployment.change_leader().await;
    let new = leader(deployment).await;
    let token = new.confirm_leadership().await.unwrap();
    assert!(token > old_token);
    assert_eq!(new.commit(write("late", old_token)).await, Err(MetadataError::Fenced { token: old_token }));
    assert!(old.commit(write("late", old_token)).await.is_err());
    assert!(old.confirm_leadership().await.is_err());
    assert_eq!(&new.get("fence").await.unwrap().unwrap().value[..], b"first");
    new.commit(write("second", token)).await.unwrap();
    assert_eq!(&new.get("fence").await.unwrap().unwrap().value[..], b"second");
    // Leading again is another leadership.
    for _ in 0..2 {
        deployment.change_leader().await;
    }
    let again = leader(deployment).await;
    assert_eq!(again.commit(write("late", token)).await, Err(MetadataError::Fenced { token }));
}

async fn ranges_are_ordered(deployment: &dyn Deployment) {
    let store = leader(deployment).await;
    let keys = ["r/b", "r/a", "r/a/x", "r/ab", "r", "q", "r0", "r/ü"];
    for key in keys {
        store.commit(Batch::new().put(key, key)).await.unwrap();
    }
    let listed = store.range("r/").await.unwrap();
    let found: Vec<&str> = listed.pairs.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(found, ["r/a", "r/a/x", "r/ab", "r/b", "r/ü"]);
    assert_eq!(listed.revision, *store.watch().borrow());
    assert!(store.range("").await.unwrap().pairs.len() >= keys.len());
    assert!(store.range("nothing/").await.unwrap().pairs.is_empty());
}

async fn watches_are_level_triggered(deployment: &dyn Deployment) {
    let stores = deployment.stores();
    let watchers = stores.iter().map(|store| {
        let (mut watch, store) = (store.watch(), store.clone());
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let now = *watch.borrow_and_update();
                assert!(Some(now) > last, "{now} after {last:?}");
                last = Some(now);
                // What is announced can be read.
                let range = store.local_range("watch/");
                assert!(range.revision >= now);
                if range.pairs.iter().any(|pair| pair.key == "watch/end") && now == range.revision {
                    return now;
                }
                watch.changed().await.unwrap();
            }
        })
    });
    let watchers: Vec<_> = watchers.collect();
    let store = leader(deployment).await;
    for n in 0..50 {
        store.commit(Batch::new().put(format!("watch/{n}"), "")).await.unwrap();
    }
    let last = store.commit(Batch::new().put("watch/end", "")).await.unwrap().revision;
    for watcher in watchers {
        assert_eq!(tokio::time::timeout(PATIENCE, watcher).await.unwrap().unwrap(), last);
    }
    // Who comes late sees the last level at once.
    assert_eq!(*store.watch().borrow(), last);
}

async fn followers_refer_to_the_leader(deployment: &dyn Deployment) {
    let leading = leader(deployment).await.confirm_leadership().await.unwrap().node;
    let store = follower(deployment);
    let mut seen = store.leader();
    seen.wait_for(|leadership| leadership.leader == Some(leading)).await.unwrap();
    let expected = MetadataError::NotLeader { leader: Some(leading) };
    assert_eq!(store.commit(Batch::new().put("a", "")).await, Err(expected.clone()));
    assert_eq!(store.get("a").await, Err(expected.clone()));
    assert_eq!(store.range("a").await, Err(expected.clone()));
    assert_eq!(store.confirm_leadership().await, Err(expected));
}

pub async fn all(deployment: &dyn Deployment) {
    a_race_has_one_winner(deployment).await;
    batches_are_atomic(deployment).await;
    ranges_are_ordered(deployment).await;
    watches_are_level_triggered(deployment).await;
    followers_refer_to_the_leader(deployment).await;
    a_replaced_leader_is_fenced(deployment).await;
    deployment.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let first = MemoryStore::new(NodeId(1));
    let others = [first.join(NodeId(2)), first.join(NodeId(3))];
    all(&Memory([first].into_iter().chain(others).collect())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raft_conforms() {
    all(&Cluster::start(3).await).await;
}
