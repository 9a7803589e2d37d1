//! Reads: from the preferred replica, past those that fail, with a map that only grows newer.

use crate::fake::{Cluster, PARTITIONS, TABLE, member};
use crate::faults::Act;
use client::{Client, ClientError, ScanCursor};
use rpc::wire::{Fault, method};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use types::*;

fn key(n: u32) -> ItemKey {
    ItemKey::new(TABLE, format!("key {n}"), "")
}

async fn fill(client: &Client, count: u32) {
    for n in 0..count {
        let ItemKey { table, partition_key, sort_key } = key(n);
        let update = Update::Put { table, sort_key: sort_key.into(), value: n.to_string().into(), expires: None };
        let operation = client.operation(&partition_key);
        let transaction = Transaction { operation, partition_key, conditions: Vec::new(), updates: vec![update] };
        client.transact(transaction).await.unwrap();
    }
}

fn strong() -> Consistency {
    Consistency::Strong
}

#[tokio::test]
async fn many_items_of_many_partitions_come_in_the_order_asked_for() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    fill(&client, 20).await;
    let keys = (0..40).rev().map(key).collect();
    let found = client.get_many(keys, strong()).await.unwrap();
    let values: Vec<Option<String>> =
        found.iter().map(|item| item.as_ref().map(|item| String::from_utf8(item.value.to_vec()).unwrap())).collect();
    let want: Vec<Option<String>> = (0..40).rev().map(|n| (n < 20).then(|| n.to_string())).collect();
    assert_eq!(values, want);
    let partitions: BTreeSet<PartitionId> = (0..40).map(|n| partition_of(&key(n).partition_key, PARTITIONS)).collect();
    assert_eq!(cluster.asked(method::READ).len(), partitions.len());
    assert_eq!(client.get_many(Vec::new(), strong()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_scan_meets_every_item_once_whatever_its_pages() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    fill(&client, 30).await;
    assert_eq!(client.count(TABLE).await, Ok(30));
    for limit in [1, 7, 29, 30, 31, 0] {
        let mut met = BTreeSet::new();
        let mut cursor: Option<ScanCursor> = None;
        loop {
            let (items, next) = client.scan(TABLE, cursor, limit).await.unwrap();
            assert!(limit == 0 || items.len() <= limit as usize);
            for (key, _) in items {
                assert!(met.insert(key), "twice");
            }
            // Through its text form, as people pass it.
            cursor = next.map(|cursor| cursor.to_string().parse().unwrap());
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(met, (0..30).map(key).collect(), "limit {limit}");
    }
    let (_, cursor) = client.scan(TABLE, None, 3).await.unwrap();
    assert!(matches!(client.scan(TableId(8), cursor, 3).await, Err(ClientError::Invalid(_))));
}

#[tokio::test]
async fn reads_go_to_the_local_replica_and_else_are_spread() {
    let cluster = Cluster::start(3).await;
    let client = Client::connect(cluster.config().local(NodeId(2))).await.unwrap();
    for n in 0..20 {
        client.get(&key(n), strong()).await.unwrap();
    }
    assert!(cluster.asked(method::READ).iter().all(|node| *node == NodeId(2)));
    let client = cluster.client().await;
    for n in 0..60 {
        client.get(&key(n), strong()).await.unwrap();
    }
    let spread: BTreeSet<NodeId> = cluster.asked(method::READ).into_iter().collect();
    assert_eq!(spread.len(), 3);
}

#[tokio::test]
async fn a_replica_that_cannot_answer_is_passed_over() {
    for act in [
        Act::Refuse(Fault::NotReady("no lease".into())),
        Act::Refuse(Fault::Busy),
        Act::Refuse(Fault::Stopped("a disk failed".into())),
        Act::Refuse(Fault::NotServing { partition: PartitionId(0), layout: LayoutVersion(1) }),
        Act::Refuse(Fault::Unknown("who knows".into())),
        Act::Refuse(Fault::NoSuchTable(TABLE)),
        Act::Swallow,
        Act::ServeAndDie,
    ] {
        let cluster = Cluster::start(3).await;
        let client = Client::connect(cluster.config().local(NodeId(1))).await.unwrap();
        fill(&client, 1).await;
        cluster.script.always(NodeId(1), method::READ, act.clone());
        let item = client.get(&key(0), strong()).await;
        assert!(matches!(item, Ok(Some(_))), "{act:?}: {item:?}");
        assert_eq!(cluster.asked(method::READ)[0], NodeId(1), "{act:?}");
    }
}

#[tokio::test]
async fn a_frozen_node_costs_little() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    fill(&client, 1).await;
    for method in [method::READ, method::LAYOUT] {
        cluster.script.always(NodeId(1), method, Act::Swallow);
    }
    let began = Instant::now();
    for _ in 0..300 {
        client.get(&key(0), strong()).await.unwrap();
    }
    // Each time it is tried costs one attempt; it is tried once in a while, not every third time.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let frozen = cluster.asked(method::READ).iter().filter(|node| **node == NodeId(1)).count();
    assert!(frozen <= 10, "asked {frozen} times");
}

#[tokio::test]
async fn an_unknown_table_is_said_at_once() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    for node in 1..=3 {
        cluster.script.always(NodeId(node), method::READ, Act::Refuse(Fault::NoSuchTable(TableId(99))));
    }
    let gone = ItemKey::new(TableId(99), "x", "");
    let began = Instant::now();
    assert_eq!(client.get(&gone, strong()).await, Err(ClientError::NoSuchTable("number 99".into())));
    assert!(began.elapsed() < Duration::from_millis(2900));
}

#[tokio::test]
async fn without_a_serving_replica_stale_reads_go_on() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    fill(&client, 1).await;
    let partition = partition_of(&key(0).partition_key, PARTITIONS);
    cluster.change_layout(|layout| {
        for chain in &mut layout.chains {
            chain.members = vec![member(NodeId(2), MemberState::Syncing)];
        }
    });
    while client.layout().version < LayoutVersion(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = client.get(&key(0), strong()).await.unwrap_err();
    let want = format!("partition {partition} has no replica in service");
    assert!(matches!(&error, ClientError::Unreachable { why, .. } if *why == want), "{error}");
    let asked = cluster.asked(method::READ).len();
    let _ = client.get(&key(0), Consistency::Stale).await;
    assert!(cluster.asked(method::READ).len() > asked, "somebody was asked");
}

#[tokio::test]
async fn an_older_map_is_ignored_and_a_newer_one_taken() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    cluster.change_layout(|layout| layout.replicas_wanted = 1);
    while client.layout().version < LayoutVersion(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.change_layout(|layout| {
        layout.version = LayoutVersion(1);
        layout.replicas_wanted = 9;
    });
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!((client.layout().version, client.layout().replicas_wanted), (LayoutVersion(2), 1));
}

#[tokio::test]
async fn strangers_are_told_apart_at_once() {
    let cluster = Cluster::start(1).await;
    let mut config = cluster.config();
    let foreign = rpc::tls::Authority::new(cluster.layout().cluster).unwrap();
    config.credentials = crate::fake::issued(&foreign, rpc::Peer::gateway("stranger"));
    let began = Instant::now();
    let error = Client::connect(config).await.unwrap_err();
    assert!(matches!(error, ClientError::Denied(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let mut config = cluster.config();
    config.addresses = vec!["127.0.0.1:1".into()];
    config.timeouts.connect = Duration::from_millis(300);
    let error = Client::connect(config).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { tried, .. } if tried == &["127.0.0.1:1"]), "{error}");
}

#[tokio::test]
async fn background_work_ends_with_the_last_handle() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    drop(client.clone());
    cluster.change_layout(|_| {});
    while client.layout().version < LayoutVersion(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let polls = cluster.asked(method::LAYOUT).len();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(cluster.asked(method::LAYOUT).len(), polls);
}
