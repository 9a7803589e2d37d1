//! What becomes of a node when one of its parts breaks.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::throttle::{Moved, Sent};
use bytes::Bytes;
use client::{Client, ClientConfig as Routing};
use std::time::Instant;
use types::*;

async fn start(folder: &Path, join: Option<JoinToken>) -> Node {
    start_with(folder, join, LsmOptions::default()).await
}

async fn start_with(folder: &Path, join: Option<JoinToken>, storage: LsmOptions) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let presence = Presence::at(listener.local_addr().unwrap().to_string());
    let config = NodeConfig { join, partitions: 4, storage, ..NodeConfig::new(folder, presence) };
    let begun = Instant::now();
    let mut listener = Some(listener);
    loop {
        let socket = match listener.take() {
            Some(socket) => socket,
            None => TcpListener::bind(&config.presence.address).await.unwrap(),
        };
        match Node::start(config.clone(), socket).await {
            Ok(node) => return node,
            // One that ran here before may hold its folder until its last long poll has ended.
            Err(NodeError::Storage { .. }) if begun.elapsed() < Duration::from_secs(30) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn connect(node: &Node) -> Client {
    let credentials = node.credentials();
    let contacts = vec![node.inner.address.clone()];
    Client::connect(Routing::new(contacts, credentials)).await.unwrap()
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn put(client: &Client, table: TableId, key: &str) {
    put_value(client, table, key, Bytes::from_static(b"value")).await;
}

async fn put_value(client: &Client, table: TableId, key: &str, value: Bytes) {
    let value = value.into();
    let transaction = Transaction {
        operation: client.operation(key.as_bytes()),
        partition_key: Bytes::copy_from_slice(key.as_bytes()),
        conditions: vec![],
        updates: vec![Update::Put { table, sort_key: Bytes::new().into(), value, expires: None }],
    };
    client.transact(transaction).await.unwrap();
}

async fn delete(client: &Client, table: TableId, key: &str) {
    let transaction = Transaction {
        operation: client.operation(key.as_bytes()),
        partition_key: Bytes::copy_from_slice(key.as_bytes()),
        conditions: vec![],
        updates: vec![Update::Delete { table, sort_key: Bytes::new() }],
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
    let broken = nodes[2].identity().node;
    let back = |chain: &Chain| chain.serving().any(|replica| replica.node == broken);
    assert!(!layout.borrow().chains.iter().any(back), "it does not come back by itself");
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

/// Five values of a mebibyte, and then some, do not fit in one answer between nodes; the client asks on.
/// A page of a scan; a slow disk may cost the node its lease for a moment.
async fn page(node: &Node, request: rpc::wire::ScanRequest) -> rpc::wire::ScanReply {
    for _ in 0..200 {
        match node.inner.scan(request.clone()).await {
            Ok(page) => return page,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    node.inner.scan(request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_cut_and_the_last_page_of_a_scan_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), None).await;
    let client = connect(&node).await;
    let table = client.ensure_table("kv", "main").await.unwrap();
    let value = Bytes::from(vec![7; 1_000_000]);
    let keys: Vec<ItemKey> = (0..20u8).map(|n| ItemKey::new(table, "one", vec![n])).collect();
    for key in &keys {
        let (sort_key, value) = (key.sort_key.clone().into(), value.clone().into());
        let transaction = Transaction {
            operation: client.operation(b"one"),
            partition_key: key.partition_key.clone(),
            conditions: vec![],
            updates: vec![Update::Put { table, sort_key, value, expires: None }],
        };
        client.transact(transaction).await.unwrap();
    }
    for consistency in [Consistency::Strong, Consistency::Stale] {
        let items = client.get_many(keys.clone(), consistency).await.unwrap();
        assert!(items.iter().all(|item| item.as_ref().is_some_and(|item| item.value == value)), "{consistency:?}");
    }
    let id = KeyHash::of(b"one").partition(4);
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let request = rpc::wire::ScanRequest { partition: id, table, after, limit: 1000 };
        let page = page(&node, request).await;
        after = page.items.last().map(|(key, _)| key.clone());
        pages.push(page.items.len());
        if page.end {
            break;
        }
    }
    assert_eq!(pages, vec![4, 4, 4, 4, 4], "each fits, and none is empty");
    for (limit, end) in [(19, false), (20, true), (21, true)] {
        let small = client.ensure_table("kv", &format!("small-{limit}")).await.unwrap();
        for n in 0..20u8 {
            let (sort_key, value) = (Bytes::from(vec![n]).into(), Bytes::new().into());
            let transaction = Transaction {
                operation: client.operation(b"one"),
                partition_key: Bytes::from_static(b"one"),
                conditions: vec![],
                updates: vec![Update::Put { table: small, sort_key, value, expires: None }],
            };
            client.transact(transaction).await.unwrap();
        }
        let request = rpc::wire::ScanRequest { partition: id, table: small, after: None, limit };
        let page = page(&node, request).await;
        assert_eq!((page.items.len(), page.end), (20.min(limit as usize), end));
    }
    node.shutdown().await;
}

struct Cluster {
    nodes: Vec<Node>,
    folders: Vec<tempfile::TempDir>,
    client: Client,
    table: TableId,
    storage: LsmOptions,
}

impl Cluster {
    async fn start(storage: LsmOptions, size: usize) -> Cluster {
        let folders = vec![tempfile::tempdir().unwrap()];
        let nodes = vec![start_with(folders[0].path(), None, storage.clone()).await];
        let client = connect(&nodes[0]).await;
        let table = client.ensure_table("kv", "main").await.unwrap();
        let mut cluster = Cluster { nodes, folders, client, table, storage };
        while cluster.nodes.len() < size {
            cluster.join().await;
        }
        cluster.wait_serving(size).await;
        cluster
    }

    async fn join(&mut self) {
        let token = self.client.make_join_token(Duration::from_secs(60)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        self.nodes.push(start_with(folder.path(), Some(token.parse().unwrap()), self.storage.clone()).await);
        self.folders.push(folder);
    }

    async fn wait_serving(&self, count: usize) {
        let layout = self.nodes[0].layout();
        let begun = Instant::now();
        while !layout.borrow().chains.iter().all(|chain| chain.serving().count() == count) {
            if begun.elapsed() > Duration::from_secs(60) {
                for node in &self.nodes {
                    println!("{:?}", node.status());
                }
                panic!("waited in vain for {count} serving replicas everywhere: {:#?}", layout.borrow().chains);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Values of ten kilobytes.
    async fn write(&self, prefix: &str, count: usize) {
        let value = Bytes::from(vec![b'v'; 10_000]);
        for i in 0..count {
            put_value(&self.client, self.table, &format!("{prefix} {i}"), value.clone()).await;
        }
    }

    async fn without_the_third(&mut self) {
        self.nodes.pop().unwrap().shutdown().await;
        self.wait_serving(2).await;
    }

    async fn third_again(&mut self) {
        self.nodes.push(start_with(self.folders[2].path(), None, self.storage.clone()).await);
    }

    fn sent(&self) -> Sent {
        let mut all = Sent::default();
        for sent in self.nodes.iter().map(|node| node.inner.shared.throttle.sent()) {
            (all.entries, all.rows, all.outlines) =
                (all.entries + sent.entries, all.rows + sent.rows, all.outlines + sent.outlines);
        }
        all
    }

    /// The tables have everything, and the logs nothing that is in them.
    async fn trim_logs(&self) {
        for node in &self.nodes {
            let engine = node.inner.engine.clone();
            wait_until("the tables to have everything", || {
                node.inner.partitions().iter().all(|one| one.look(|replica, _| replica.under_way() == 0))
            })
            .await;
            tokio::task::spawn_blocking(move || engine.checkpoint().unwrap()).await.unwrap();
        }
    }

    /// Row by row, at rest.
    async fn the_last_has_the_same(&self) {
        let digest = |node: &Node, partition| {
            let snapshot = node.inner.engine.snapshot(partition).unwrap();
            (snapshot.at(), snapshot.outline(&RowRange::default(), usize::MAX).unwrap().0)
        };
        for partition in (0..4).map(PartitionId) {
            wait_until("the last node to have the same rows", || {
                digest(&self.nodes[0], partition) == digest(&self.nodes[self.nodes.len() - 1], partition)
            })
            .await;
        }
    }

    async fn stop(self) {
        for node in self.nodes {
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_was_away_for_a_short_time_gets_only_what_it_lacks() {
    let mut three = Cluster::start(LsmOptions::default(), 3).await;
    three.write("before", 300).await;
    three.without_the_third().await;
    three.write("meanwhile", 50).await;
    let before = three.sent();
    three.third_again().await;
    three.wait_serving(3).await;
    let after = three.sent();
    let entries = after.entries - before.entries;
    println!("3 MB held, 0.5 MB missed: {entries} bytes of entries were sent");
    assert_eq!((after.rows, after.outlines), (before.rows, before.outlines), "nothing was copied or compared");
    assert!(entries < 3 * 500_000, "about what it lacks: {entries}");
    three.stop().await;
}

/// Others are served first and it waits its turn, saying all the time where it is: what it lacks is read for it once all the same. Were
/// it read each time, those who wait would wait for ever, since there would be more to read the longer they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_waits_long_for_its_turn_gets_what_it_lacks_once() {
    let mut three = Cluster::start(LsmOptions::default(), 3).await;
    three.write("before", 20).await;
    three.without_the_third().await;
    three.write("meanwhile", 100).await;
    let before = three.sent();
    for node in &three.nodes {
        // A second or two of work for others.
        node.inner.shared.throttle.spend(Moved::Compared(64 << 20));
    }
    three.third_again().await;
    three.wait_serving(3).await;
    let entries = three.sent().entries - before.entries;
    println!("1 MB missed: {entries} bytes of entries were read");
    assert!(entries < 2_500_000, "about what it lacks: {entries}");
    three.stop().await;
}

/// Small segments, and none is kept for those who are behind.
fn short_logs(segment_bytes: u64) -> LsmOptions {
    LsmOptions { segment_bytes, log_retention_bytes: 0, ..LsmOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_whose_entries_the_logs_no_longer_have_gets_the_ranges_that_differ() {
    let mut three = Cluster::start(short_logs(64 << 10), 3).await;
    three.write("before", 1500).await;
    three.without_the_third().await;
    // Some are new, some overwritten, some deleted: of fifteen megabytes, three hundred kilobytes are to be moved.
    three.write("meanwhile", 10).await;
    three.write("before", 20).await;
    for i in 500..520 {
        delete(&three.client, three.table, &format!("before {i}")).await;
    }
    three.trim_logs().await;
    let before = three.sent();
    three.third_again().await;
    three.wait_serving(3).await;
    let (rows, outlines) = (three.sent().rows - before.rows, three.sent().outlines - before.outlines);
    println!("15 MB held, 0.3 MB of it to be moved: {rows} bytes of rows and {outlines} of outlines were sent");
    assert!(rows > 300_000, "not by another way: {rows}");
    assert!(rows + outlines < 3_000_000, "a fraction: {rows} and {outlines}");
    three.the_last_has_the_same().await;
    three.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_has_nothing_gets_everything_once() {
    let mut cluster = Cluster::start(short_logs(64 << 10), 1).await;
    cluster.write("before", 500).await;
    cluster.trim_logs().await;
    cluster.join().await;
    cluster.wait_serving(2).await;
    let Sent { rows, outlines, .. } = cluster.sent();
    println!("5 MB held, all of it to be moved: {rows} bytes of rows and {outlines} of outlines were sent");
    assert!((5_000_000..8_000_000).contains(&rows), "all of it, once: {rows}");
    assert!(outlines < 20_000, "hardly anything is compared: {outlines}");
    cluster.the_last_has_the_same().await;
    cluster.stop().await;
}

/// `cargo test --release -p atoll-node --lib latency -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a measurement: needs a machine with nothing else to do"]
async fn latency_of_puts_with_and_without_a_catch_up_under_way() {
    let mut three = Cluster::start(short_logs(1 << 20), 3).await;
    three.write("much", 10_000).await;
    three.without_the_third().await;
    // Nearly every range differs: it comes to a full copy.
    three.write("much", 10_000).await;
    three.trim_logs().await;
    let measure = async |what: &str, three: &Cluster, until: &dyn Fn(usize) -> bool| {
        let mut took = Vec::new();
        while !until(took.len()) {
            let begin = Instant::now();
            put(&three.client, three.table, &format!("{what} {}", took.len())).await;
            took.push(begin.elapsed());
        }
        took.sort();
        let at = |part: usize| took[took.len() * part / 1000];
        println!("{what}: {} puts, p50 {:?}, p99 {:?}", took.len(), at(500), at(990));
    };
    measure("alone", &three, &|count| count == 1500).await;
    let before = three.sent();
    three.third_again().await;
    let layout = three.nodes[0].layout();
    let whole = || layout.borrow().chains.iter().all(|chain| chain.serving().count() == 3);
    let begun = Instant::now();
    measure("with a catch-up", &three, &|count| count > 50 && whole()).await;
    let (rows, outlines) = (three.sent().rows - before.rows, three.sent().outlines - before.outlines);
    println!("{rows} bytes of rows and {outlines} of outlines in {:?}", begun.elapsed());
    measure("afterwards", &three, &|count| count == 1500).await;
    three.stop().await;
}
