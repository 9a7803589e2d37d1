//! What only a replicated store can be asked: losses, cuts, restarts, members that come and go.

use crate::cluster::{Cluster, PATIENCE, eventually, leadership};
use atoll_control::{Batch, Expect, MetadataError, MetadataStore, RaftNode};
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::NodeId;

fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn voters(node: &RaftNode) -> BTreeSet<NodeId> {
    node.members().iter().filter(|member| member.is_voter).map(|member| member.id).collect()
}

async fn put(node: &RaftNode, key: &str) -> Result<u64, MetadataError> {
    node.commit(Batch::new().put(key.to_string(), "v")).await.map(|committed| committed.revision)
}

async fn reaches(node: &RaftNode, revision: u64) {
    let mut watch = node.watch();
    if tokio::time::timeout(PATIENCE, watch.wait_for(|seen| *seen >= revision)).await.is_err() {
        let (seen, leads, health) = (*node.watch().borrow(), leadership(node), node.health());
        panic!("node {} saw {seen} of {revision}: {leads:?}, {health:?}, {:?}", node.id(), node.members());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_without_a_minority() {
    let cluster = Cluster::start(3).await;
    cluster.put("before").await;
    for _ in 0..2 {
        let lost = cluster.leader().await;
        cluster.isolate(lost.id(), true);
        let started = Instant::now();
        let (leader, revision) = cluster.put("during").await;
        let gap = started.elapsed();
        println!("a new leader has committed after {gap:?}");
        assert!(gap < Duration::from_secs(30), "{gap:?}");
        assert_ne!(leader.id(), lost.id());
        assert_eq!(cluster.range("before").await.len(), 1);
        cluster.board.heal();
        reaches(&lost, revision).await;
    }
    let gone = cluster.follower().await.id();
    cluster.stop(gone).await;
    cluster.put("after").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_claimed() {
    let cluster = Cluster::start(3).await;
    let (leader, _) = cluster.put("kept").await;
    cluster.isolate(leader.id(), true);
    // At first it does not know: unknown. Then it does: refused without being tried.
    let mut outcomes = Vec::new();
    let started = Instant::now();
    while outcomes.last().is_none_or(|outcome| matches!(outcome, MetadataError::Unknown(_))) {
        assert!(started.elapsed() < PATIENCE, "{outcomes:?}");
        outcomes.push(put(&leader, &format!("lonely{}", outcomes.len())).await.unwrap_err());
    }
    assert!(matches!(outcomes[0], MetadataError::Unknown(_)), "{outcomes:?}");
    assert!(matches!(outcomes.last(), Some(MetadataError::Unavailable(_))), "{outcomes:?}");
    assert!(leader.get("kept").await.is_err(), "a cut-off leader must not answer strong reads");
    assert_eq!(leader.local_range("kept").pairs.len(), 1);
    cluster.board.heal();
    assert_eq!(cluster.range("kept").await.len(), 1);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_old_leader_cannot_confirm() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let token = old.confirm_leadership().await.unwrap();
    cluster.isolate(old.id(), true);
    let started = Instant::now();
    let error = old.confirm_leadership().await.unwrap_err();
    assert!(matches!(error, MetadataError::Unavailable(_) | MetadataError::NotLeader { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let new = cluster.leader().await;
    assert!(new.confirm_leadership().await.unwrap() > token);
    assert!(old.confirm_leadership().await.is_err());
    // One-way: it still sends, and nobody answers.
    cluster.board.heal();
    let leader = cluster.leader().await;
    for node in cluster.nodes() {
        cluster.board.set_link(node.id(), leader.id(), node.id() != leader.id());
    }
    assert!(leader.confirm_leadership().await.is_err());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_everything_keeps_what_was_committed() {
    let cluster = Cluster::start(3).await;
    let mut acked = Vec::new();
    for round in 0..3 {
        for n in 0..300 {
            let key = format!("{round}/{n:03}");
            cluster.put(&key).await;
            acked.push(key);
        }
        let last = cluster.leader().await.confirm_leadership().await.unwrap();
        cluster.shutdown().await;
        for id in 1..=3 {
            cluster.open(id, &format!("host{id}")).await;
        }
        assert!(cluster.leader().await.confirm_leadership().await.unwrap() > last);
        let found: Vec<String> = cluster.range("").await.into_iter().map(|pair| pair.key).collect();
        assert_eq!(found, acked);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_far_behind_gets_a_snapshot() {
    let cluster = Cluster::start(3).await;
    let learner = cluster.join(4).await;
    cluster.isolate(NodeId(4), true);
    // More than a message holds, so that the snapshot comes in pieces; more entries than are kept.
    let large = vec![1u8; 200_000];
    for n in 0..20 {
        cluster.commit(Batch::new().put(format!("large{n:02}"), large.clone())).await;
    }
    let (mut leader, mut last) = cluster.put("k").await;
    for n in 0..1500 {
        (leader, last) = cluster.put(&format!("k{n:04}")).await;
    }
    assert!(learner.local_range("k").pairs.is_empty());
    cluster.isolate(NodeId(4), false);
    reaches(&learner, last).await;
    assert_eq!(learner.local_range(""), leader.local_range(""));
    let (leader, last) = cluster.put("afterwards").await;
    reaches(&learner, last).await;
    drop(learner);
    // What it was given is durable.
    cluster.stop(NodeId(4)).await;
    let learner = cluster.open(4, "host4").await;
    reaches(&learner, last).await;
    assert_eq!(learner.local_range(""), leader.local_range(""));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_grow_are_replaced_and_removed() {
    let dead_after = Duration::from_secs(1);
    let cluster = Cluster::start(1).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.tend_voters(dead_after, &BTreeSet::new()).await.unwrap(), None);
    cluster.join(2).await;
    let second = leader.clone();
    eventually("the second node has caught up", || async {
        second.members().iter().all(|member| member.lag == Some(0)).then_some(())
    })
    .await;
    assert_eq!(leader.tend_voters(dead_after, &BTreeSet::new()).await.unwrap(), None, "never two");
    cluster.join(3).await;
    let tended = |wanted: BTreeSet<NodeId>| {
        let cluster = &cluster;
        async move {
            eventually("the voters are as wanted", || async {
                let leader = cluster.leader().await;
                // Refusals pass: a change may be under way, a member may have to catch up.
                let _ = leader.tend_voters(dead_after, &BTreeSet::new()).await;
                (voters(&leader) == wanted).then_some(())
            })
            .await;
        }
    };
    tended(ids(&[1, 2, 3])).await;
    cluster.join(4).await;
    eventually("the fourth node has caught up", || async {
        leader.members().iter().all(|member| member.lag == Some(0)).then_some(())
    })
    .await;
    assert_eq!(leader.tend_voters(dead_after, &BTreeSet::new()).await.unwrap(), None, "never four");
    let lost = ids(&[2, 3]).into_iter().find(|id| *id != leader.id()).unwrap();
    cluster.stop(lost).await;
    tended(ids(&[1, 2, 3, 4]).into_iter().filter(|id| *id != lost).collect()).await;
    let leader = cluster.leader().await;
    leader.remove(lost).await.unwrap();
    assert!(leader.members().iter().all(|member| member.id != lost));
    // Three are left; without one of them, one votes.
    let gone = leader.members().iter().map(|member| member.id).find(|id| *id != leader.id()).unwrap();
    leader.retire(gone).await.unwrap();
    let leader = cluster.leader().await;
    assert_eq!((voters(&leader).len(), leader.members().len()), (1, 3), "it hears on, and nobody waits for it");
    leader.remove(gone).await.unwrap();
    assert_eq!((voters(&cluster.leader().await.clone()).len(), cluster.leader().await.members().len()), (1, 2));
    cluster.put("still").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_come_back_at_another_address() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let moved = cluster.follower().await.id();
    cluster.stop(moved).await;
    cluster.put("meanwhile").await;
    let node = cluster.open(moved.0, "elsewhere").await;
    leader.update_address(moved, "elsewhere").await.unwrap();
    assert!(leader.update_address(NodeId(9), "elsewhere").await.is_err());
    let (_, last) = cluster.put("then").await;
    reaches(&node, last).await;
    let known = node.members().into_iter().find(|member| member.id == moved).unwrap();
    assert_eq!(known.address, "elsewhere");
    cluster.shutdown().await;
}

/// Of two voters that are left, one lacks what the other has and is the only one to know that the leader's process
/// ended: it cannot win, and must not keep the other from winning.
#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_entries_lets_the_other_win() {
    let cluster = Cluster::start(3).await;
    for round in 0..6 {
        let leader = cluster.leader().await;
        let dead = leader.id();
        let (ahead, behind) = {
            let mut others: Vec<_> = cluster.nodes().into_iter().filter(|node| node.id() != dead).collect();
            if round % 2 == 0 {
                others.reverse();
            }
            (others.remove(0), others.remove(0))
        };
        let last = put(&leader, "heard by all").await.unwrap();
        reaches(&behind, last).await;
        cluster.board.set_link(dead, behind.id(), true);
        let last = put(&leader, "missed by one").await.unwrap();
        drop(leader);
        cluster.stop(dead).await;
        cluster.board.heal();
        let started = Instant::now();
        behind.died(dead);
        let led = tokio::time::timeout(PATIENCE, cluster.leader()).await.expect("nobody was elected");
        println!("elected after {:?}", started.elapsed());
        assert_eq!(led.id(), ahead.id());
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        cluster.open(dead.0, &format!("host{dead}")).await;
        reaches(&behind, last).await;
    }
    cluster.shutdown().await;
}

async fn disturb(cluster: Arc<Cluster>, mut random: rand::rngs::StdRng, end: Instant) {
    while Instant::now() < end {
        cluster.board.heal();
        let victim = match cluster.nodes().iter().find(|node| leadership(&***node).is_self) {
            Some(leader) if random.random() => leader.id(),
            _ => NodeId(random.random_range(1..=3)),
        };
        match random.random_range(0..5) {
            0 => {}
            1 | 2 => cluster.isolate(victim, true),
            3 => {
                for _ in 0..3 {
                    let (from, to) = (random.random_range(1..=3), random.random_range(1..=3));
                    cluster.board.set_link(NodeId(from), NodeId(to), from != to);
                }
            }
            _ => {
                cluster.stop(victim).await;
                cluster.open(victim.0, &format!("host{victim}")).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(100..2500))).await;
    }
    cluster.board.heal();
}

/// Links are cut and healed and nodes restarted at random while a counter is raised by
/// compare-and-set through whoever leads: nothing acknowledged is lost, nothing refused is
/// applied, nothing is applied twice, and no strong read sees the counter fall.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_survives_random_disturbance() {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let cluster = Arc::new(Cluster::start(3).await);
    let end = Instant::now() + Duration::from_secs(20);
    let fork = rand::rngs::StdRng::seed_from_u64(random.random());
    let disturbance = tokio::spawn(disturb(cluster.clone(), fork, end));
    let (mut acked, mut unknown, mut refused, mut floor) = (0u64, 0u64, 0u64, 0u64);
    while Instant::now() < end {
        let nodes = cluster.nodes();
        let leading: Vec<_> = nodes.iter().filter(|node| leadership(&***node).is_self).collect();
        if leading.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        let node = leading[random.random_range(0..leading.len())];
        // What is read need not be new, for the revision is compared; what is read strongly must be.
        let strong = random.random();
        let pair = match strong {
            true => match node.get("counter").await {
                Ok(pair) => pair,
                Err(_) => continue,
            },
            false => node.local_range("counter").pairs.into_iter().next(),
        };
        let (value, expect) = match &pair {
            Some(pair) => (decode(&pair.value), Expect::Revision(pair.revision)),
            None => (0, Expect::Absent),
        };
        assert!(value <= acked + unknown, "{value} ≤ {acked} + {unknown}");
        if strong {
            assert!(value >= floor, "{value} after {floor}");
            floor = value;
        }
        let batch = Batch::new().expect("counter", expect).put("counter", (value + 1).to_string());
        match node.commit(batch).await {
            Ok(_) => {
                acked += 1;
                assert!(value + 1 > floor, "{} after {floor}", value + 1);
                floor = value + 1;
            }
            Err(MetadataError::Unknown(_)) => unknown += 1,
            // Read too early, or one whose outcome was unknown came first.
            Err(MetadataError::Conflict { .. }) => assert!(!strong || unknown > 0),
            Err(MetadataError::NotLeader { .. } | MetadataError::Unavailable(_) | MetadataError::Stopped(_)) => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    disturbance.await.unwrap();
    // On a busy machine the leader of one moment may not be that of the next.
    let settled = Instant::now() + Duration::from_secs(20);
    let (leader, value) = loop {
        let leader = cluster.leader().await;
        match leader.get("counter").await {
            Ok(pair) => break (leader, pair.map_or(0, |pair| decode(&pair.value))),
            Err(MetadataError::NotLeader { .. } | MetadataError::Unavailable(_)) if Instant::now() < settled => {}
            Err(other) => panic!("{other}"),
        }
    };
    println!("{acked} acknowledged, {unknown} unknown, {refused} refused, counted {value}");
    assert!(acked > 0 && value >= acked && value <= acked + unknown && value >= floor);
    let revision = *leader.watch().borrow();
    for node in cluster.nodes() {
        reaches(&node, revision).await;
        assert_eq!(node.local_range(""), leader.local_range(""));
    }
    cluster.shutdown().await;
}

fn decode(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
