//! What becomes of a node when one of its parts breaks.

#![allow(clippy::unwrap_used)]

use super::*;
use bytes::Bytes;
use client::{Client, ClientConfig as Routing};
use std::time::Instant;
use types::*;

async fn start(folder: &Path, join: Option<JoinToken>) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let presence = Presence {
        address: listener.local_addr().unwrap().to_string(),
        grpc: String::new(),
        web: String::new(),
        zone: String::new(),
        capacity: 1,
        release: "test".into(),
        protocols: rpc::PROTOCOLS,
    };
    Node::start(NodeConfig { join, partitions: 4, ..NodeConfig::new(folder, presence) }, listener).await.unwrap()
}

async fn connect(node: &Node) -> Client {
    let credentials = node.credentials();
    let contacts = vec![node.inner.address.clone()];
    Client::connect(Routing::new(contacts, credentials.key.clone(), credentials.cluster)).await.unwrap()
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn put(client: &Client, table: TableId, key: &str) {
    let value = Bytes::from_static(b"value").into();
    let transaction = Transaction {
        operation: client.operation(key.as_bytes()),
        partition_key: Bytes::copy_from_slice(key.as_bytes()),
        conditions: vec![],
        updates: vec![Update::Put { table, sort_key: Bytes::new().into(), value, expires: None }],
    };
    client.transact(transaction).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_with_a_broken_part_is_cut_out_and_the_others_go_on() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = vec![start(folders[0].path(), None).await];
    let client = connect(&nodes[0]).await;
    let table = client.ensure_table("kv", "main").await.unwrap();
    for folder in &folders[1..] {
        let token = client.make_join_token(Duration::from_secs(60)).await.unwrap();
        nodes.push(start(folder.path(), Some(token.parse().unwrap())).await);
    }
    let layout = nodes[0].layout();
    let serving = |count: usize| layout.borrow().chains.iter().all(|chain| chain.serving().count() == count);
    wait_until("three serving replicas everywhere", || serving(3)).await;

    nodes[2].run("a task of this test", async { panic!("on purpose") });
    wait_until("it says what broke", || nodes[2].status().stopped.is_some()).await;
    assert_eq!(nodes[2].status().stopped.unwrap(), "a task of this test panicked: on purpose");
    let leased = nodes[2].inner.shared.environment().leased();
    assert!(!leased, "from that moment on its lease does not count");
    wait_until("the others cut it out", || serving(2)).await;
    for i in 0..20 {
        put(&client, table, &format!("key {i}")).await;
    }
    assert!(serving(2), "it does not come back by itself");
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_panicked_is_not_touched_again_and_nothing_is_said_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), None).await;
    let client = connect(&node).await;
    let table = client.ensure_table("kv", "main").await.unwrap();
    put(&client, table, "key").await;
    let inner = &node.inner;
    let partition = inner.partition(PartitionId(1)).unwrap();
    let answer = partition.request(|_, _, _, _, _| panic!("half-way"));
    assert!(answer.await.is_err(), "whoever waits hears that the outcome is not known");
    assert_eq!(node.status().stopped.unwrap(), "partition 1 panicked: half-way");
    let mut touched = false;
    partition.step(|_, _, _, _| touched = true);
    assert!(!touched);
    assert!(!inner.shared.environment().leased());
    wait_until("its lease is given up", || !node.status().lease_valid).await;
    assert!(inner.begin_life().await.is_err(), "it does not register what it holds");
    node.shutdown().await;
}
