//! Nodes in one process, over real sockets and disks, driven by the routing client.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_node::{JoinToken, Node, NodeConfig, NodeError};
use bytes::Bytes;
use client::{Client, ClientConfig};
use rpc::wire::Presence;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use types::*;

/// Elections do not take kindly to a busy machine: one cluster at a time.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Starts a node. One that ran here before may hold its folder until its last long poll has ended.
async fn start(folder: &Path, join: Option<JoinToken>) -> (Node, String) {
    let begun = Instant::now();
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let presence = Presence {
            address: address.clone(),
            grpc: String::new(),
            web: String::new(),
            zone: String::new(),
            capacity: 1,
            release: "test".into(),
            protocols: rpc::PROTOCOLS,
        };
        let config = NodeConfig { join: join.clone(), ..NodeConfig::new(folder, presence) };
        match Node::start(config, listener).await {
            Ok(node) => return (node, address),
            Err(NodeError::Storage { error, .. }) if begun.elapsed() < Duration::from_secs(30) => {
                println!("not yet: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn connect(node: &Node, addresses: Vec<String>) -> Client {
    let credentials = node.credentials();
    Client::connect(ClientConfig::new(addresses, credentials.key.clone(), credentials.cluster)).await.unwrap()
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn put(client: &Client, table: TableId, key: &str, value: &str) -> Transaction {
    Transaction {
        operation: client.operation(key.as_bytes()),
        partition_key: Bytes::copy_from_slice(key.as_bytes()),
        conditions: vec![],
        updates: vec![Update::Put {
            table,
            sort_key: Bytes::new().into(),
            value: Bytes::copy_from_slice(value.as_bytes()).into(),
            expires: None,
        }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_keeps_what_it_acknowledged_over_a_restart() {
    let _machine = MACHINE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (node, address) = start(folder.path(), None).await;
    let client = connect(&node, vec![address]).await;
    let table = client.ensure_table("kv", "main").await.unwrap();
    for i in 0..100 {
        client.transact(put(&client, table, &format!("key {i}"), &format!("value {i}"))).await.unwrap();
    }
    drop(client);
    node.shutdown().await;

    let (node, address) = start(folder.path(), None).await;
    let client = connect(&node, vec![address]).await;
    for i in 0..100 {
        let key = ItemKey::new(table, format!("key {i}"), "");
        let item = client.get(&key, Consistency::Strong).await.unwrap().unwrap();
        assert_eq!(item.value, format!("value {i}").as_bytes());
    }
    assert_eq!(client.count(table).await.unwrap(), 100);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_nodes_form_chains_and_go_on_without_one() {
    let _machine = MACHINE.lock().await;
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let (one, address) = start(folders[0].path(), None).await;
    let client = connect(&one, vec![address]).await;
    let table = client.ensure_table("kv", "main").await.unwrap();
    client.transact(put(&client, table, "early", "bird")).await.unwrap();
    let mut nodes = vec![one];
    for folder in &folders[1..] {
        let token = client.make_join_token(Duration::from_secs(60)).await.unwrap();
        nodes.push(start(folder.path(), Some(token.parse().unwrap())).await.0);
    }
    let layout = nodes[0].layout();
    wait_until("three serving replicas everywhere", || {
        layout.borrow().chains.iter().all(|chain| chain.serving().count() == 3)
    })
    .await;
    wait_until("three voters", || nodes[0].status().voters.len() == 3).await;
    for i in 0..200 {
        client.transact(put(&client, table, &format!("key {i}"), "first")).await.unwrap();
    }
    for node in &nodes {
        assert_eq!(node.status().serving, 64, "{:?}", node.status());
    }

    // The first node has led until now. Its end is abrupt for the others.
    let dead = nodes.remove(0);
    drop(layout);
    dead.shutdown().await;
    let failed_at = Instant::now();
    let mut slowest = Duration::ZERO;
    for i in 0..200 {
        let begin = Instant::now();
        client.transact(put(&client, table, &format!("key {i}"), "second")).await.unwrap();
        slowest = slowest.max(begin.elapsed());
    }
    println!("longest stall of a write {slowest:?}, all done {:?} after the failure", failed_at.elapsed());
    for i in 0..200 {
        let item =
            client.get(&ItemKey::new(table, format!("key {i}"), ""), Consistency::Strong).await.unwrap().unwrap();
        assert_eq!(item.value, "second".as_bytes());
    }
    let early = client.get(&ItemKey::new(table, "early", ""), Consistency::Strong).await.unwrap();
    assert_eq!(early.unwrap().value, "bird".as_bytes());

    // It comes back, catches up, and serves.
    let (back, _) = start(folders[0].path(), None).await;
    let layout = back.layout();
    wait_until("the node is back in every chain", || {
        layout.borrow().chains.iter().all(|chain| chain.serving().count() == 3)
    })
    .await;
    back.shutdown().await;
    for node in nodes {
        node.shutdown().await;
    }
}
