//! Nodes in one process, over real sockets and disks, driven by the routing client.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_node::{Choice, Identity, JoinToken, Node, NodeConfig};
use bytes::Bytes;
use client::{Client, ClientConfig};
use control::{RaftNode, RaftRpc, RaftTiming, RaftTransport, TransportError};
use rpc::wire::Presence;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use types::*;

/// Elections do not take kindly to a busy machine: one cluster at a time.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn presence(listener: &TcpListener) -> Presence {
    Presence::at(listener.local_addr().unwrap().to_string())
}

async fn start(folder: &Path, join: Option<JoinToken>) -> (Node, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let presence = presence(&listener);
    let address = presence.address.clone();
    let config = NodeConfig { join, ..NodeConfig::new(folder, presence) };
    (Node::start(config, listener).await.unwrap(), address)
}

/// Every chain has three serving replicas, all of them known to hold every acknowledged write.
fn whole(layout: &Layout) -> bool {
    layout.chains.iter().all(|chain| chain.serving().count() == 3 && chain.complete.len() == 3)
}

async fn connect(node: &Node, addresses: Vec<String>) -> Client {
    Client::connect(ClientConfig::new(addresses, node.credentials())).await.unwrap()
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
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
async fn who_is_beside_a_node_needs_no_connection_to_it() {
    let _machine = MACHINE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    // Nobody gets there by any other way.
    let nowhere = "127.0.0.1:1".to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = NodeConfig::new(folder.path(), Presence::at(nowhere.clone()));
    let node = Node::start(config, listener).await.unwrap();
    let config = ClientConfig::new(vec![nowhere], node.credentials()).beside(node.own());
    let client = Client::connect(config).await.unwrap();
    let table = client.ensure_table("kv", "main").await.unwrap();
    client.transact(put(&client, table, "key", "value")).await.unwrap();
    let key = ItemKey::new(table, "key", "");
    assert_eq!(client.get(&key, Consistency::Strong).await.unwrap().unwrap().value, b"value"[..]);
    let bytes: Vec<u8> = (0..3 * 1024 * 1024u32).map(|at| (at % 251) as u8).collect();
    let stored = client.write_blob(client::UploadId(5), &bytes[..]).await.unwrap();
    let read = client.read_blob(stored, 0..u64::MAX);
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read).await.unwrap();
    assert!(pieces.concat() == bytes);

    // Who is still there keeps neither the node nor its folder, and is told that it has gone.
    node.shutdown().await;
    let impatient = tokio::time::timeout(Duration::from_secs(60), client.get(&key, Consistency::Strong)).await;
    let gone = impatient.unwrap().unwrap_err();
    assert!(matches!(gone, client::ClientError::Unreachable { .. } | client::ClientError::Waiting(_)), "{gone}");
    let (node, _) = start(folder.path(), None).await;
    node.shutdown().await;
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
    wait_until("three complete replicas everywhere", || whole(&layout.borrow())).await;
    wait_until("three voters", || nodes[0].status().voters.len() == 3).await;
    for i in 0..200 {
        client.transact(put(&client, table, &format!("key {i}"), "first")).await.unwrap();
    }
    wait_until("each serves all", || nodes.iter().all(|node| node.status().serving == 64)).await;

    // The first node has led until now.
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
    wait_until("the node is back in every chain", || whole(&layout.borrow())).await;
    back.shutdown().await;
    for node in nodes {
        node.shutdown().await;
    }
}

/// Every point at which the first start may be cut short, then a start that must do.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_cut_short_is_taken_up() {
    let _machine = MACHINE.lock().await;
    for steps in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let mut identity = Identity::new_cluster(64).unwrap();
        Choice::new(None).save(folder.path()).unwrap();
        identity.save(folder.path()).unwrap();
        if steps >= 2 {
            // The control plane's folder is there, and founded, but nothing is in it.
            let raft =
                RaftNode::open(folder.path(), identity.node, RaftTiming::default(), Arc::new(Nowhere)).await.unwrap();
            if steps >= 3 {
                raft.initialize("127.0.0.1:1").await.unwrap();
            }
            raft.shutdown().await;
        }
        let (node, address) = start(folder.path(), None).await;
        let client = connect(&node, vec![address]).await;
        let table = client.ensure_table("kv", "main").await.unwrap();
        client.transact(put(&client, table, "a", "b")).await.unwrap();
        assert_eq!(node.identity().cluster, identity.cluster, "{steps} steps");
        node.shutdown().await;
        identity = Identity::load(folder.path()).unwrap().unwrap();
        assert!(identity.bound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_a_folder_does_not_start() {
    let _machine = MACHINE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    start(folder.path(), None).await.0.shutdown().await;
    for name in ["control", "log"] {
        let away = folder.path().join("away");
        std::fs::rename(folder.path().join(name), &away).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let started = Node::start(NodeConfig::new(folder.path(), presence(&listener)), listener).await;
        let error = started.err().expect("it must not start").to_string();
        assert!(error.contains(name) && error.contains("join as a new machine"), "{error}");
        std::fs::rename(&away, folder.path().join(name)).unwrap();
    }
    start(folder.path(), None).await.0.shutdown().await;
}

/// No other node is there.
struct Nowhere;

#[async_trait::async_trait]
impl RaftTransport for Nowhere {
    async fn send(&self, _: NodeId, _: &str, _: RaftRpc, _: Bytes, _: Duration) -> Result<Bytes, TransportError> {
        Err(TransportError::Unreachable("nobody".into()))
    }
}
