//! What one put and one get allocate, in three nodes and their client together: the number is to fall, not to grow.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_node::{JoinToken, Node, NodeConfig};
use bytes::Bytes;
use client::{Client, ClientConfig};
use futures::{StreamExt, stream};
use rpc::wire::Presence;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use types::*;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Requests that are counted.
const REQUESTS: u64 = 2000;
/// Requests under way: enough that messages travel together, as under load.
const TOGETHER: usize = 16;
/// Allocations that one may make: what it took when this was written, and a fifth.
const PUT_MAX: u64 = 140;
const GET_MAX: u64 = 33;

async fn start(folder: &Path, join: Option<JoinToken>) -> (Node, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let presence = Presence::at(listener.local_addr().unwrap().to_string());
    let address = presence.address.clone();
    let config = NodeConfig { join, partitions: 4, ..NodeConfig::new(folder, presence) };
    (Node::start(config, listener).await.unwrap(), address)
}

/// Allocations for each request, without those that are made meanwhile whether anything is asked or not.
async fn counted<F: Future<Output = ()>>(count: u64, request: impl Fn(u64) -> F) -> u64 {
    let blocks = || dhat::HeapStats::get().total_blocks;
    let (before, begun) = (blocks(), Instant::now());
    stream::iter(0..count).map(request).buffer_unordered(TOGETHER).for_each(|()| std::future::ready(())).await;
    let (made, took) = (blocks() - before, begun.elapsed());
    let before = blocks();
    tokio::time::sleep(took).await;
    made.saturating_sub(blocks() - before) / count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_and_a_get_allocate_no_more_than_they_did() {
    // Counts, and keeps no record of who allocated: there is no time for backtraces.
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let (first, address) = start(folders[0].path(), None).await;
    let client = Client::connect(ClientConfig::new(vec![address], first.credentials())).await.unwrap();
    let client = &client;
    let table = client.ensure_table("kv", "main").await.unwrap();
    let mut nodes = vec![first];
    for folder in &folders[1..] {
        let token = client.make_join_token(Duration::from_secs(60)).await.unwrap();
        nodes.push(start(folder.path(), Some(token.parse().unwrap())).await.0);
    }
    let layout = nodes[0].layout();
    let whole = || layout.borrow().chains.iter().all(|chain| chain.serving().count() == 3 && chain.complete.len() == 3);
    let begun = Instant::now();
    while !whole() {
        assert!(begun.elapsed() < Duration::from_secs(120), "three nodes do not come together");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let key = |n: u64| format!("item {:04}", n % 500);
    let put = |n: u64| async move {
        let key = key(n);
        let value = Bytes::from(vec![n as u8; 256]).into();
        let change = Transaction {
            operation: client.operation(key.as_bytes()),
            partition_key: key.into(),
            conditions: vec![],
            updates: vec![Update::Put { table, sort_key: Bytes::new().into(), value, expires: None }],
        };
        client.transact(change).await.unwrap();
    };
    let get = |n: u64| async move {
        let item = client.get(&ItemKey::new(table, key(n), ""), Consistency::Strong).await.unwrap();
        assert!(item.is_some());
    };
    // Connections, tables and buffers are there after the first ones.
    counted(500, &put).await;
    counted(500, &get).await;
    // What a lease that was lost on a stalled machine costs is no put's: the least of three.
    let (mut puts, mut gets) = (u64::MAX, u64::MAX);
    for _ in 0..3 {
        puts = puts.min(counted(REQUESTS, &put).await);
        gets = gets.min(counted(REQUESTS, &get).await);
        println!("a put allocates {puts} times, a get {gets} times");
        if puts <= PUT_MAX && gets <= GET_MAX {
            break;
        }
    }
    assert!(puts <= PUT_MAX, "a put allocates {puts} times; {PUT_MAX} were enough");
    assert!(gets <= GET_MAX, "a get allocates {gets} times; {GET_MAX} were enough");
    // Nor is anything forgotten: a test that counts nothing would pass.
    assert!(puts > 20 && gets > 10, "{puts} and {gets}: not everything was counted");
    for node in nodes {
        node.shutdown().await;
    }
}
