//! Watching: every change once, in order, whatever happens to replicas.

use crate::fake::{Cluster, TABLE};
use crate::faults::Act;
use bytes::Bytes;
use client::{Client, ClientError, WatchKey};
use futures::StreamExt;
use rpc::wire::{Fault, method};
use std::time::Duration;
use types::*;

const KEY: &[u8] = b"inbox";

async fn put(client: &Client, n: u32) {
    let partition_key = Bytes::from_static(KEY);
    let update = Update::Put {
        table: TABLE,
        sort_key: n.to_be_bytes().to_vec().into(),
        value: Bytes::new().into(),
        expires: None,
    };
    let operation = client.operation(KEY);
    client
        .transact(Transaction { operation, partition_key, conditions: Vec::new(), updates: vec![update] })
        .await
        .unwrap();
}

fn keys() -> Vec<WatchKey> {
    vec![WatchKey { table: TABLE, partition_key: Bytes::from_static(KEY) }]
}

fn sequence(change: Option<Result<Change, ClientError>>) -> u64 {
    change.unwrap().unwrap().version.seq.0
}

#[tokio::test]
async fn changes_come_once_and_in_order_past_replicas_that_fail() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    for (node, act) in [
        (1, Act::Refuse(Fault::NotReady("no lease".into()))),
        (2, Act::ServeAndRefuse(Fault::Busy)),
        (3, Act::Refuse(Fault::NotServing { partition: PartitionId(0), layout: LayoutVersion(1) })),
    ] {
        cluster.script.queue(NodeId(node), method::WATCH, [Act::Serve, act.clone(), Act::Serve, act]);
    }
    let mut watch = client.watch(keys(), Some(Seq(0)));
    let writer = {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 0..50 {
                put(&client, n).await;
                tokio::time::sleep(Duration::from_millis(u64::from(n % 7))).await;
            }
        })
    };
    for want in 1..=50 {
        assert_eq!(sequence(watch.next().await), want);
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_watch_from_now_on_misses_what_came_before_only() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    put(&client, 1).await;
    let mut watch = client.watch(keys(), None);
    let first = tokio::spawn(async move { sequence(watch.next().await) });
    while cluster.asked(method::WATCH).len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    put(&client, 2).await;
    assert_eq!(first.await.unwrap(), 2);
}

#[tokio::test]
async fn a_replica_that_leaves_the_chain_is_left() {
    let cluster = Cluster::start(3).await;
    let client = Client::connect(cluster.config().local(NodeId(1))).await.unwrap();
    cluster.script.always(NodeId(1), method::WATCH, Act::Swallow);
    let mut watch = client.watch(keys(), Some(Seq(0)));
    let first = tokio::spawn(async move { sequence(watch.next().await) });
    while cluster.asked(method::WATCH).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.change_layout(|layout| {
        for chain in &mut layout.chains {
            chain.members.retain(|member| member.replica.node != NodeId(1));
        }
    });
    put(&client, 1).await;
    let first = tokio::time::timeout(Duration::from_secs(5), first).await;
    assert_eq!(first.expect("long before the wait is over").unwrap(), 1);
}

#[tokio::test]
async fn lost_history_is_said_and_ends_the_watch() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    put(&client, 1).await;
    cluster.store.lock().history_from = 1;
    let mut watch = client.watch(keys(), Some(Seq(0)));
    assert_eq!(watch.next().await, Some(Err(ClientError::Compacted)));
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn bounds_are_checked() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    let mut two = keys();
    two.push(WatchKey { table: TABLE, partition_key: Bytes::from_static(b"other") });
    for keys in [Vec::new(), two] {
        let mut watch = client.watch(keys, None);
        assert!(matches!(watch.next().await, Some(Err(ClientError::Invalid(_)))));
        assert_eq!(watch.next().await, None);
    }
    assert!(cluster.asked(method::WATCH).is_empty());
}
