//! Nodes that keep their metadata in a real ZooKeeper, each behind a relay that can be cut; and what only
//! they can be asked: outcomes that nobody heard, sessions that expire, readers that come too late.

use crate::cluster::{PATIENCE, eventually, leadership, lost_office};
use crate::ensemble::Ensemble;
use crate::every_backend::{self, Deployment};
use async_trait::async_trait;
use atoll_control::{
    Batch, Coordination, Expect, LifeChange, MetadataError, MetadataStore, ZooKeeperAddress, ZooKeeperNode,
    ZooKeeperOptions,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use types::{ClusterId, Incarnation, NodeId, ReplicaId};

/// What a relay lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relaying {
    Everything,
    /// Requests; their answers are lost.
    Requests,
    Nothing,
}

/// Stands between one node and the ensemble.
struct Relay {
    port: u16,
    mode: watch::Sender<Relaying>,
    /// Bytes of requests that went through.
    sent: Arc<AtomicU64>,
}

impl Relay {
    async fn start(target: String) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = watch::Sender::new(Relaying::Everything);
        let sent = Arc::new(AtomicU64::new(0));
        let (changes, counter) = (mode.subscribe(), sent.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *changes.borrow() != Relaying::Nothing
                    && let Ok(far) = TcpStream::connect(&target).await
                {
                    tokio::spawn(relay(near, far, changes.clone(), counter.clone()));
                }
            }
        });
        Relay { port, mode, sent }
    }

    fn set(&self, mode: Relaying) {
        self.mode.send_replace(mode);
    }
}

async fn relay(near: TcpStream, far: TcpStream, mut mode: watch::Receiver<Relaying>, sent: Arc<AtomicU64>) {
    let ((mut near_read, mut near_write), (mut far_read, mut far_write)) = (near.into_split(), far.into_split());
    let answers = mode.clone();
    let out = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = near_read.read(&mut buffer).await {
            if far_write.write_all(&buffer[..n]).await.is_err() {
                break;
            }
            sent.fetch_add(n as u64, Ordering::SeqCst);
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = far_read.read(&mut buffer).await {
            if *answers.borrow() == Relaying::Everything && near_write.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = out => {}
        () = back => {}
        _ = mode.wait_for(|mode| *mode == Relaying::Nothing) => {}
    }
}

const CLUSTER: ClusterId = ClusterId(7);
const SECRET: [u8; 32] = [5; 32];

struct ZooKeeperCluster {
    ensemble: Arc<Ensemble>,
    path: String,
    nodes: Vec<(Relay, Arc<ZooKeeperNode>)>,
}

impl ZooKeeperCluster {
    /// Three nodes, at a place of their own.
    async fn start(ensemble: &Arc<Ensemble>, path: &str) -> ZooKeeperCluster {
        let mut cluster = ZooKeeperCluster { ensemble: ensemble.clone(), path: path.to_string(), nodes: Vec::new() };
        for id in 1..=3 {
            cluster.join(id).await;
        }
        cluster.nodes[0].1.initialize("").await.unwrap();
        cluster
    }

    async fn join(&mut self, id: u64) -> Arc<ZooKeeperNode> {
        let relay = Relay::start(self.ensemble.hosts().remove(0)).await;
        let node = Arc::new(ZooKeeperNode::open(NodeId(id), options(relay.port, &self.path, CLUSTER, id != 1)));
        self.nodes.push((relay, node.clone()));
        node
    }

    async fn leading(&self) -> usize {
        eventually("somebody leads", || async {
            for (index, (_, node)) in self.nodes.iter().enumerate() {
                if leadership(&**node).is_self && node.confirm_leadership().await.is_ok() {
                    return Some(index);
                }
            }
            None
        })
        .await
    }

    /// Commits it through whoever leads, and says at which revision; only for what may be done twice.
    async fn commit(&self, batch: Batch) -> u64 {
        eventually("it is committed", || async {
            match self.nodes[self.leading().await].1.commit(batch.clone()).await {
                Ok(committed) => Some(committed.revision),
                Err(error) if lost_office(&error) => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await
    }
}

fn options(port: u16, path: &str, cluster: ClusterId, founded: bool) -> ZooKeeperOptions {
    let address = ZooKeeperAddress { hosts: vec![format!("127.0.0.1:{port}")], path: path.to_string() };
    ZooKeeperOptions { address, cluster, secret: SECRET, founded }
}

#[async_trait]
impl Deployment for ZooKeeperCluster {
    fn stores(&self) -> Vec<Arc<dyn MetadataStore>> {
        self.nodes.iter().map(|(_, node)| node.clone() as Arc<dyn MetadataStore>).collect()
    }

    async fn change_leader(&self) {
        let (relay, old) = &self.nodes[self.leading().await];
        relay.set(Relaying::Nothing);
        eventually("another leads", || async {
            for (_, node) in self.nodes.iter().filter(|(_, node)| node.id() != old.id()) {
                if node.confirm_leadership().await.is_ok() {
                    return Some(());
                }
            }
            None
        })
        .await;
        relay.set(Relaying::Everything);
        old.leader().wait_for(|leadership| !leadership.is_self && leadership.leader.is_some()).await.unwrap();
    }

    async fn end(&self) {
        for (_, node) in &self.nodes {
            node.shutdown().await;
        }
    }
}

fn put(key: &str, value: &str) -> Batch {
    Batch::new().put(key, value.to_string())
}

async fn reaches(node: &ZooKeeperNode, revision: u64) {
    let mut watch = node.watch();
    tokio::time::timeout(PATIENCE, watch.wait_for(|seen| *seen >= revision)).await.unwrap().unwrap();
}

/// One server for all: starting it is what takes time.
#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_conforms() {
    let ensemble = Arc::new(Ensemble::start(1));
    every_backend::all(&ZooKeeperCluster::start(&ensemble, "/conformance").await).await;
    an_unheard_answer_is_found_in_the_log(&ensemble, 0).await;
    a_silent_leader_is_deposed_and_writes_nothing_more(&ensemble).await;
    a_late_reader_begins_at_a_snapshot(&ensemble).await;
    lives_end_only_unrenewed(&ensemble).await;
    another_clusters_place_is_not_touched(&ensemble).await;
    leadership_is_handed_over_at_once(&ensemble).await;
}

/// Sessions so short that a leader's runs out in the middle of a commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_expires_takes_no_answer_with_it() {
    let host = std::net::Ipv4Addr::LOCALHOST.into();
    let ensemble = Arc::new(Ensemble::start_at(host, 1, "minSessionTimeout=1000\nmaxSessionTimeout=1500"));
    let expired = an_unheard_answer_is_found_in_the_log(&ensemble, 3).await;
    assert!(expired > 0, "no session ran out");
}

/// Requests go through, answers do not: the leader finds out what became of its batch, or does not claim to know.
/// Returns how often the registration under which it was sent was gone in the end.
async fn an_unheard_answer_is_found_in_the_log(ensemble: &Arc<Ensemble>, at_least: u64) -> u64 {
    let cluster = ZooKeeperCluster::start(ensemble, "/unheard").await;
    let (mut applied, mut gone) = (0, 0);
    for round in 0..6 {
        let leading = cluster.leading().await;
        let (relay, leader) = &cluster.nodes[leading];
        let token = leader.confirm_leadership().await.unwrap();
        let before = leader.get("counter").await.unwrap().map_or(0, |pair| pair.revision);
        relay.set(Relaying::Requests);
        let sent = relay.sent.load(Ordering::SeqCst);
        let batch = put("counter", &round.to_string());
        let committing = tokio::spawn({
            let leader = leader.clone();
            async move { leader.commit(batch).await }
        });
        eventually("the request went through", || async {
            (relay.sent.load(Ordering::SeqCst) > sent + 200 || committing.is_finished()).then_some(())
        })
        .await;
        // Cut for a moment, or until others have taken over.
        relay.set(Relaying::Nothing);
        if round % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(2800)).await;
        }
        relay.set(Relaying::Everything);
        let outcome = tokio::time::timeout(PATIENCE, committing).await.unwrap().unwrap();
        let now = cluster.nodes[cluster.leading().await].1.clone();
        gone += u64::from(now.confirm_leadership().await.is_ok_and(|now| now != token));
        let pair = now.get("counter").await.unwrap();
        let there = pair.as_ref().is_some_and(|pair| pair.value == round.to_string());
        println!("round {round}: {outcome:?}, there: {there}");
        match outcome {
            Ok(committed) => assert!(there && pair.unwrap().revision == committed.revision),
            Err(MetadataError::Unknown(_)) => {}
            Err(error) => assert!(!there, "surely not applied, it said: {error}"),
        }
        if there {
            applied += 1;
            let revision = now.get("counter").await.unwrap().unwrap().revision;
            assert!(revision > before, "applied once");
        }
    }
    assert!(applied > 0 && gone >= at_least, "{applied} applied, {gone} leaderships ended");
    cluster.end().await;
    gone
}

async fn a_silent_leader_is_deposed_and_writes_nothing_more(ensemble: &Arc<Ensemble>) {
    let cluster = ZooKeeperCluster::start(ensemble, "/silent").await;
    let leading = cluster.leading().await;
    let (relay, old) = &cluster.nodes[leading];
    let token = old.confirm_leadership().await.unwrap();
    old.commit(put("k", "old").fenced(token)).await.unwrap();
    relay.set(Relaying::Nothing);
    let started = Instant::now();
    let next = eventually("another leads", || async {
        for (_, node) in cluster.nodes.iter().filter(|(_, node)| node.id() != old.id()) {
            if node.confirm_leadership().await.is_ok() {
                return Some(node.clone());
            }
        }
        None
    })
    .await;
    println!("another leads after {:?}", started.elapsed());
    assert!(next.confirm_leadership().await.unwrap() > token);
    next.commit(put("k", "new")).await.unwrap();
    // The old one's session still lasts; its registration does not.
    relay.set(Relaying::Everything);
    loop {
        match old.commit(put("k", "late").fenced(token)).await {
            Err(MetadataError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(MetadataError::NotLeader { .. } | MetadataError::Fenced { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(&next.get("k").await.unwrap().unwrap().value[..], b"new");
    cluster.end().await;
}

async fn a_late_reader_begins_at_a_snapshot(ensemble: &Arc<Ensemble>) {
    let mut cluster = ZooKeeperCluster::start(ensemble, "/late").await;
    let leading = cluster.leading().await;
    let behind = (leading + 1) % 3;
    cluster.nodes[behind].0.set(Relaying::Nothing);
    // A state of several pieces, and more entries than are kept.
    let large = "x".repeat(200_000);
    for n in 0..6 {
        cluster.commit(put(&format!("large{n}"), &large)).await;
    }
    let mut last = 0;
    for n in 0..700 {
        last = cluster.commit(put(&format!("k{:03}", n % 500), &n.to_string())).await;
    }
    let leader = cluster.nodes[cluster.leading().await].1.clone();
    cluster.nodes[behind].0.set(Relaying::Everything);
    let late = cluster.join(4).await;
    for node in [&cluster.nodes[behind].1, &late] {
        reaches(node, last).await;
        assert_eq!(node.local_range(""), leader.local_range(""));
    }
    // And it can lead: what it has read is all there is.
    for (_, node) in cluster.nodes.iter().filter(|(_, node)| node.id() != late.id()) {
        node.hand_over().await;
    }
    let token = eventually("the late one leads", || async { late.confirm_leadership().await.ok() }).await;
    let next = late.commit(put("k000", "mine").expect("large0", Expect::Present).fenced(token)).await.unwrap();
    assert_eq!(next.revision, last + 1);
    cluster.end().await;
}

async fn lives_end_only_unrenewed(ensemble: &Arc<Ensemble>) {
    let cluster = ZooKeeperCluster::start(ensemble, "/lives").await;
    let leader = cluster.nodes[cluster.leading().await].1.clone();
    let lives = leader.lives().unwrap();
    let other = cluster.nodes.iter().find(|(_, node)| node.id() != leader.id()).unwrap().1.clone();
    let renewing = other.lives().unwrap();
    let life = |incarnation| ReplicaId { node: NodeId(2), incarnation: Incarnation(incarnation) };
    let lease = Duration::from_secs(1);
    assert!(!renewing.renew(life(1), lease).await.unwrap(), "never begun");
    lives.commit(put("nodes/2", "1"), &[LifeChange::Begin(life(1))]).await.unwrap();
    let seen = |number| async move { lives.look(&[life(number)]).await.unwrap()[0] };
    let first = seen(1).await.unwrap();
    assert!(renewing.renew(life(1), lease).await.unwrap());
    let ending = |number| [LifeChange::EndUnrenewed(life(1), number)];
    let refused = lives.commit(put("nodes/2", "dead"), &ending(first.number)).await.unwrap_err();
    assert!(matches!(refused, MetadataError::Conflict { .. }), "{refused}");
    assert_eq!(&leader.get("nodes/2").await.unwrap().unwrap().value[..], b"1", "all or nothing");
    let second = seen(1).await.unwrap();
    assert!(second.number > first.number && second.lease == lease);
    lives.commit(put("nodes/2", "dead"), &ending(second.number)).await.unwrap();
    assert!(!renewing.renew(life(1), lease).await.unwrap(), "it is over");
    assert_eq!(seen(1).await, None);
    // Ended whenever it was renewed, and harmless when it is over already.
    lives.commit(put("nodes/2", "2"), &[LifeChange::End(life(1)), LifeChange::Begin(life(2))]).await.unwrap();
    assert!(renewing.renew(life(2), lease).await.unwrap());
    lives.commit(put("nodes/2", "3"), &[LifeChange::End(life(2))]).await.unwrap();
    assert!(!renewing.renew(life(2), lease).await.unwrap());
    cluster.end().await;
}

async fn another_clusters_place_is_not_touched(ensemble: &Arc<Ensemble>) {
    let cluster = ZooKeeperCluster::start(ensemble, "/taken/by/one").await;
    let leader = cluster.nodes[cluster.leading().await].1.clone();
    let port = cluster.nodes[0].0.port;
    for secret in [SECRET, [6; 32]] {
        let options = ZooKeeperOptions { secret, ..options(port, "/taken/by/one", ClusterId(8), false) };
        let stranger = ZooKeeperNode::open(NodeId(1), options);
        let error = stranger.initialize("").await.unwrap_err();
        assert!(
            matches!(&error, MetadataError::Invalid(why) if why.contains("another cluster's") || why.contains("of another cluster")),
            "{error}"
        );
        stranger.shutdown().await;
    }
    leader.commit(put("still", "here")).await.unwrap();
    // Founding twice is harmless.
    cluster.nodes[0]
        .1
        .initialize("")
        .await
        .unwrap_or_else(|error| assert!(matches!(error, MetadataError::Unavailable(_))));
    assert!(leader.get("still").await.unwrap().is_some());
    cluster.end().await;
}

async fn leadership_is_handed_over_at_once(ensemble: &Arc<Ensemble>) {
    let cluster = ZooKeeperCluster::start(ensemble, "/handed").await;
    for (_, node) in cluster.nodes.iter().take(2) {
        let leading = cluster.nodes[cluster.leading().await].1.clone();
        let started = Instant::now();
        assert!(leading.hand_over().await);
        assert!(leading.commit(put("k", "late")).await.is_err());
        let next = cluster.leading().await;
        println!("handed over from node {} to another after {:?} ({})", leading.id(), started.elapsed(), node.id());
        cluster.nodes[next].1.commit(put("k", "next")).await.unwrap();
    }
    cluster.end().await;
}
