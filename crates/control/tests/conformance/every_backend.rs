//! What every metadata store must do, asked of each backend alike.

use crate::cluster::{Cluster, PATIENCE, eventually, leadership, lost_office};
use async_trait::async_trait;
use atoll_control::memory::MemoryStore;
use atoll_control::{Batch, Committed, Expect, MetadataError, MetadataStore};
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

async fn a_race_has_one_winner(deployment: &dyn Deployment, at: &str) -> Result<(), MetadataError> {
    let store = leader(deployment).await;
    for round in 0..10 {
        let key = format!("{at}race/{round}");
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
                (_, Err(MetadataError::Conflict { key: lost, found: Some(_) })) => assert_eq!(lost, key),
                (_, Err(other)) => return Err(other),
            }
        }
        let [(n, revision)] = winners[..] else { panic!("{} winners", winners.len()) };
        let pair = store.get(&key).await?.unwrap();
        assert_eq!((&pair.value[..], pair.revision), (&[n][..], revision));
        // The next one needs the right revision.
        let next = |expected| Batch::new().expect(&*key, Expect::Revision(expected)).put(&*key, "next");
        refused(store.commit(next(revision + 1)).await)?;
        assert!(store.commit(next(revision)).await?.revision > revision);
        refused(store.commit(next(revision)).await)?;
    }
    Ok(())
}

/// It must have been refused for what it expects.
fn refused(answer: Result<Committed, MetadataError>) -> Result<(), MetadataError> {
    match answer {
        Err(MetadataError::Conflict { .. }) => Ok(()),
        Err(other) => Err(other),
        Ok(committed) => panic!("{committed:?}"),
    }
}

async fn batches_are_atomic(deployment: &dyn Deployment, at: &str) -> Result<(), MetadataError> {
    let store = leader(deployment).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| format!("{at}atom/{name}"));
    let under = format!("{at}atom/");
    let first = store.commit(Batch::new().put(&*a, "1").put(&*b, "1")).await?;
    let before = store.range(&under).await?;
    assert!(before.pairs.iter().all(|pair| pair.revision == first.revision) && before.pairs.len() == 2);
    let refused =
        Batch::new().expect(&*a, Expect::Present).expect(&*c, Expect::Present).put(&*a, "2").delete(&*b).put(&*c, "2");
    let conflict = MetadataError::Conflict { key: c.clone(), found: None };
    match store.commit(refused).await {
        Err(error) if lost_office(&error) => return Err(error),
        answer => assert_eq!(answer, Err(conflict)),
    }
    assert_eq!(store.range(&under).await?.pairs, before.pairs);
    let second = store.commit(Batch::new().put(&*a, "2").delete(&*b).put(&*c, "2")).await?;
    assert!(second.revision > first.revision);
    let after = store.range(&under).await?;
    let held: Vec<_> = after.pairs.iter().map(|pair| (pair.key.as_str(), &pair.value[..], pair.revision)).collect();
    assert_eq!(held, [(&*a, &b"2"[..], second.revision), (&*c, b"2", second.revision)]);
    assert!(matches!(store.commit(Batch::new().put("", "")).await, Err(MetadataError::Invalid(_))));
    Ok(())
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

async fn ranges_are_ordered(deployment: &dyn Deployment, at: &str) -> Result<(), MetadataError> {
    let store = leader(deployment).await;
    let keys = ["r/b", "r/a", "r/a/x", "r/ab", "r", "q", "r0", "r/ü"];
    for key in keys {
        store.commit(Batch::new().put(format!("{at}{key}"), key)).await?;
    }
    let listed = store.range(&format!("{at}r/")).await?;
    let found: Vec<&str> = listed.pairs.iter().map(|pair| pair.key.strip_prefix(at).unwrap()).collect();
    assert_eq!(found, ["r/a", "r/a/x", "r/ab", "r/b", "r/ü"]);
    assert_eq!(listed.revision, *store.watch().borrow());
    assert!(store.range("").await?.pairs.len() >= keys.len());
    assert!(store.range("nothing/").await?.pairs.is_empty());
    Ok(())
}

async fn watches_are_level_triggered(deployment: &dyn Deployment, at: &str) -> Result<(), MetadataError> {
    let stores = deployment.stores();
    let watchers = stores.iter().map(|store| {
        let (mut watch, store, under) = (store.watch(), store.clone(), format!("{at}watch/"));
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let now = *watch.borrow_and_update();
                assert!(Some(now) > last, "{now} after {last:?}");
                last = Some(now);
                // What is announced can be read.
                let range = store.local_range(&under);
                assert!(range.revision >= now);
                if range.pairs.iter().any(|pair| pair.key.ends_with("end")) && now == range.revision {
                    return now;
                }
                watch.changed().await.unwrap();
            }
        })
    });
    let watchers: Vec<_> = watchers.collect();
    let store = leader(deployment).await;
    for n in 0..50 {
        store.commit(Batch::new().put(format!("{at}watch/{n}"), "")).await?;
    }
    let last = store.commit(Batch::new().put(format!("{at}watch/end"), "")).await?.revision;
    for watcher in watchers {
        assert_eq!(tokio::time::timeout(PATIENCE, watcher).await.unwrap().unwrap(), last);
    }
    // Who comes late sees the last level at once.
    assert_eq!(*store.watch().borrow(), last);
    Ok(())
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

/// Does it again, under other keys, where a leader lost its office on the way: that is allowed, and a slow disk does it.
async fn under_one_leader(check: impl AsyncFn(&str) -> Result<(), MetadataError>) {
    const TRIES: usize = 5;
    for n in 1..=TRIES {
        match check(&format!("try{n}/")).await {
            Ok(()) => return,
            Err(error) => assert!(n < TRIES && lost_office(&error), "{error}"),
        }
    }
}

pub async fn all(deployment: &dyn Deployment) {
    under_one_leader(async |at| a_race_has_one_winner(deployment, at).await).await;
    under_one_leader(async |at| batches_are_atomic(deployment, at).await).await;
    under_one_leader(async |at| ranges_are_ordered(deployment, at).await).await;
    under_one_leader(async |at| watches_are_level_triggered(deployment, at).await).await;
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
