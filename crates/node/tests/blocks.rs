//! Files on nodes in one process: while partitions move, when copies go bad or missing, and when
//! nothing keeps them any more.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_node::{JoinToken, Node, NodeConfig, NodeError};
use bytes::Bytes;
use client::{Body, Client, ClientConfig, Content, Copies, Timeouts, UploadId};
use futures::TryStreamExt;
use parking_lot::Mutex;
use rpc::wire::{ChangeLayout, Edit, Fault, Presence, PutBlock, method};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use types::*;

/// Elections do not take kindly to a busy machine: one cluster at a time.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts a node. One that ran here before may hold its folder until its last long poll has ended.
async fn start(folder: &Path, join: Option<JoinToken>, collect_after: Duration) -> (Node, String) {
    let begun = Instant::now();
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let presence = Presence::at(&address);
        // Few partitions: there is much to do for each.
        let config =
            NodeConfig { join: join.clone(), partitions: 16, collect_after, ..NodeConfig::new(folder, presence) };
        match Node::start(config, listener).await {
            Ok(node) => return (node, address),
            Err(NodeError::Storage { error, .. }) if begun.elapsed() < PATIENCE => {
                println!("not yet: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

struct Cluster {
    folders: Vec<tempfile::TempDir>,
    nodes: Vec<Option<Node>>,
    client: Client,
    collect_after: Duration,
}

impl Cluster {
    async fn of(count: usize, collect_after: Duration, timeouts: Timeouts) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let (one, address) = start(folder.path(), None, collect_after).await;
        let credentials = one.credentials();
        let config = ClientConfig::new(vec![address], credentials.clone()).timeouts(timeouts);
        let client = Client::connect(config).await.unwrap();
        let mut cluster = Cluster { folders: vec![folder], nodes: vec![Some(one)], client, collect_after };
        for _ in 1..count {
            cluster.join().await;
        }
        cluster.settled().await;
        cluster
    }

    async fn join(&mut self) {
        let token = self.client.make_join_token(Duration::from_secs(60)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (node, _) = start(folder.path(), Some(token.parse().unwrap()), self.collect_after).await;
        self.nodes.push(Some(node));
        self.folders.push(folder);
    }

    async fn stop(&mut self, index: usize) {
        self.nodes[index].take().unwrap().shutdown().await;
    }

    async fn start_again(&mut self, index: usize) {
        self.nodes[index] = Some(start(self.folders[index].path(), None, self.collect_after).await.0);
    }

    fn up(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    /// Every chain has exactly the members that are wanted, all serving, and they have looked at their blocks.
    async fn settled(&self) {
        let layout = self.up().next().unwrap().layout();
        let all = self.up().count();
        wait_until("the chains settle", || {
            let layout = layout.borrow();
            let three = all.min(3);
            layout.nodes.len() == self.nodes.len()
                && layout.chains.iter().all(|chain| {
                    chain.wanted.len() == three
                        && chain.members.len() == three
                        && chain.serving().count() == three
                        && chain.members.iter().all(|member| chain.wanted.contains(&member.replica.node))
                })
        })
        .await;
        wait_until("all blocks are in their places", || {
            self.up().map(Node::status).all(|status| status.blocks_unchecked == 0 && status.blocks_missing == 0)
        })
        .await;
    }

    fn file(&self, index: usize, hash: &BlockHash) -> PathBuf {
        let name = hash.to_string();
        self.folders[index].path().join("blocks").join(&name[..2]).join(&name)
    }

    /// What the nodes tell of copies, once all but `away` of them have answered in time.
    async fn copies(&self, row: &ItemKey, content: &Content, from: u64, verify: bool, away: usize) -> Copies {
        let begun = Instant::now();
        loop {
            let told = self.client.copies(row, content, from, verify).await.unwrap();
            if told.unasked() <= away {
                return told;
            }
            assert!(begun.elapsed() < PATIENCE, "{told:?}");
        }
    }

    async fn end(self) {
        for node in self.nodes.into_iter().flatten() {
            node.shutdown().await;
        }
    }
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Some blocks that are nobody else's.
fn noise(seed: u64, bytes: usize) -> Bytes {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut out);
    out.into()
}

async fn upload(client: &Client, owner: &[u8], raw: &Bytes) -> Result<Content, client::ClientError> {
    let content = client.write_blob(UploadId::random(), &raw[..]).await?;
    client.reference_content(owner, &content).await?;
    Ok(content)
}

async fn download(client: &Client, content: &Content) -> Result<Bytes, client::ClientError> {
    let parts: Vec<Bytes> = client.read_blob(content.clone(), 0..u64::MAX).try_collect().await?;
    Ok(parts.concat().into())
}

fn hashes(content: &Content) -> Vec<BlockHash> {
    match &content.body {
        Body::Blocks(blocks) => blocks.iter().map(|block| block.hash).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_file_reads_whole_while_a_fourth_node_joins_and_after_others_stop() {
    let _machine = MACHINE.lock().await;
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    let mut cluster = Cluster::of(3, Duration::from_millis(500), Timeouts::default()).await;
    let client = cluster.client.clone();
    let mut files = Vec::new();
    for n in 0..40u64 {
        let raw = noise(n, 300_000);
        let content = upload(&client, format!("early {n}").as_bytes(), &raw).await.unwrap();
        files.push((raw, content));
    }
    let early = Arc::new(files.clone());
    let going = Arc::new(AtomicBool::new(true));
    let reader = tokio::spawn({
        let (client, going, early) = (client.clone(), going.clone(), early.clone());
        async move {
            let mut read = 0;
            while going.load(Ordering::Relaxed) {
                for (raw, content) in early.iter() {
                    assert_eq!(download(&client, content).await.unwrap(), *raw);
                    read += 1;
                }
            }
            read
        }
    });
    let writer = tokio::spawn({
        let (client, going) = (client.clone(), going.clone());
        async move {
            let mut written = Vec::new();
            for n in 1000u64.. {
                if !going.load(Ordering::Relaxed) {
                    break;
                }
                let raw = noise(n, 100_000);
                let content = upload(&client, format!("late {n}").as_bytes(), &raw).await.unwrap();
                written.push((raw, content));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            written
        }
    });
    cluster.join().await;
    cluster.settled().await;
    going.store(false, Ordering::Relaxed);
    files.extend(writer.await.unwrap());
    println!("{} downloads, {} files in the end", reader.await.unwrap(), files.len());

    // By now every member has every block of its partitions; those that left drop theirs.
    cluster.settled().await;
    let layout = cluster.nodes[0].as_ref().unwrap().layout().borrow().clone();
    for (_, content) in &files {
        for hash in hashes(content) {
            for node in &layout.chain(hash.partition(layout.partition_count())).unwrap().wanted {
                assert!(cluster.file(node.0 as usize - 1, &hash).exists(), "node {node} lacks block {hash}");
            }
        }
    }
    let blocks: u64 = files.iter().map(|(_, content)| hashes(content).len() as u64).sum();
    wait_until("nobody keeps what others hold", || {
        cluster.up().map(|node| node.status().blocks).sum::<u64>() == blocks * 3
    })
    .await;
    for stopped in [0, 1] {
        cluster.stop(stopped).await;
        for (raw, content) in &files {
            assert_eq!(download(&client, content).await.unwrap(), *raw);
        }
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn damaged_and_missing_copies_are_mended_and_what_is_lost_is_counted() {
    let _machine = MACHINE.lock().await;
    let cluster = Cluster::of(3, Duration::from_secs(600), Timeouts::default()).await;
    let client = &cluster.client;
    let raw = noise(1, 3 << 20);
    let content = upload(client, b"owner", &raw).await.unwrap();
    let blocks = hashes(&content);
    cluster.settled().await;
    // One copy rots, one goes missing, and of the third block none is left anywhere.
    let rotten = cluster.file(0, &blocks[0]);
    let mut bytes = std::fs::read(&rotten).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&rotten, bytes).unwrap();
    std::fs::remove_file(cluster.file(1, &blocks[1])).unwrap();
    let kept = std::fs::read(cluster.file(0, &blocks[2])).unwrap();
    for node in 0..3 {
        std::fs::remove_file(cluster.file(node, &blocks[2])).unwrap();
    }
    // One that answers too late has begun all the same.
    for (_, report) in client.scrub(true).await {
        assert_eq!(report.map_or(0, |report| report.passes), 0);
    }
    let begun = Instant::now();
    let reports = loop {
        let reports: Vec<_> = client.scrub(false).await.into_iter().filter_map(|(_, report)| report.ok()).collect();
        if reports.len() == 3 && reports.iter().all(|report| report.passes == 1) {
            break reports;
        }
        assert!(begun.elapsed() < PATIENCE, "{reports:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // What was put a moment ago is looked for anyway: the one that went missing may be back before the scrub begins.
    let found: Vec<_> = reports.iter().map(|report| (report.bad, report.repaired)).collect();
    assert!(found[0] == (1, 1) && [(0, 0), (0, 1)].contains(&found[1]) && found[2] == (0, 0), "{reports:?}");
    assert!(reports.iter().all(|report| report.lost == 1), "{reports:?}");
    wait_until("only the lost one is missing", || cluster.up().all(|node| node.status().blocks_missing == 1)).await;
    assert!(rotten.exists() && cluster.file(1, &blocks[1]).exists());
    assert!(download(client, &content).await.is_err());
    // It is not forgotten: once one copy is back, everybody has it again.
    // At once, for whoever looks meanwhile.
    let aside = cluster.folders[2].path().join("aside");
    std::fs::write(&aside, kept).unwrap();
    std::fs::rename(&aside, cluster.file(2, &blocks[2])).unwrap();
    wait_until("the block is everywhere again", || cluster.up().all(|node| node.status().blocks_missing == 0)).await;
    assert_eq!(download(client, &content).await.unwrap(), raw);
    cluster.end().await;
}

/// How many have it is what they say, and no more: rot shows once they read, and a node that is away counts for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn intact_copies_are_counted_and_those_that_rot_are_mended() {
    let _machine = MACHINE.lock().await;
    let mut cluster = Cluster::of(3, Duration::from_secs(600), Timeouts::default()).await;
    let client = cluster.client.clone();
    let content = upload(&client, b"owner", &noise(4, 36 << 20)).await.unwrap();
    let blocks = hashes(&content);
    cluster.settled().await;
    let reference = [&[types::layout::BLOCK_REFERENCE][..], b"owner"].concat();
    let row = ItemKey::new(types::layout::BLOCKS_TABLE, Bytes::copy_from_slice(&blocks[0].0), reference);
    let looked = cluster.copies(&row, &content, 0, false, 0).await;
    assert_eq!((looked.intact, looked.wanted, looked.looked, looked.blocks, looked.next), (3, 3, 37, 36, None));
    // What stands in the row alone is held, and no disk is claimed to have been read for that.
    let small = client.write_blob(UploadId::random(), &b"a few words"[..]).await.unwrap();
    let small = cluster.copies(&row, &small, 0, true, 0).await;
    assert_eq!((small.intact, small.looked, small.blocks, small.verified), (3, 1, 0, None));
    assert!(looked.nodes.values().all(|node| node.intact == 37) && looked.nodes.len() == 3);

    // One copy rots, and looks as before until it is read. Reading goes part by part.
    let rotten = cluster.file(1, &blocks[33]);
    let mut bytes = std::fs::read(&rotten).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&rotten, bytes).unwrap();
    assert_eq!(cluster.copies(&row, &content, 0, false, 0).await.intact, 3);
    let begun = client.now();
    let first = cluster.copies(&row, &content, 0, true, 0).await;
    assert_eq!((first.intact, first.looked, first.upto, first.next), (3, 33, 32 << 20, Some(32 << 20)));
    assert!(first.verified.unwrap() >= begun);
    let second = cluster.copies(&row, &content, first.next.unwrap(), true, 0).await;
    assert_eq!((second.intact, second.looked, second.next), (2, 4, None));
    let all = first.and(second);
    assert_eq!((all.intact, all.looked, all.upto), (2, 37, 36 << 20));
    let damaged: Vec<u64> = all.nodes.values().map(|node| node.damaged).collect();
    assert_eq!(damaged.iter().sum::<u64>(), 1);

    // It is mended by itself, and of a machine that is away nothing is known.
    let begun = Instant::now();
    loop {
        let mended = cluster.copies(&row, &content, 0, true, 0).await;
        let mended = mended.and(cluster.copies(&row, &content, 32 << 20, true, 0).await);
        if mended.intact == 3 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{mended:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What was read lately is not read again because somebody asks.
    let mut bytes = std::fs::read(cluster.file(0, &blocks[1])).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(cluster.file(0, &blocks[1]), bytes).unwrap();
    assert_eq!(cluster.copies(&row, &content, 0, true, 0).await.intact, 3);
    // One whose file gives EIO is mended, too: here, the memory of this process at address 0.
    let content = upload(&client, b"owner", &noise(5, 2 << 20)).await.unwrap();
    cluster.settled().await;
    let failing = cluster.file(0, &hashes(&content)[0]);
    std::fs::remove_file(&failing).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &failing).unwrap();
    let found = cluster.copies(&row, &content, 0, true, 0).await;
    assert_eq!((found.intact, found.nodes.values().map(|node| node.damaged).sum::<u64>()), (2, 1), "{found:?}");
    wait_until("another file takes its place", || !failing.is_symlink()).await;
    assert_eq!(cluster.copies(&row, &content, 0, true, 0).await.intact, 3);
    cluster.stop(2).await;
    // A machine that is away could not be asked, and is told of once its chains go on without it, too.
    let begun = Instant::now();
    loop {
        let away = cluster.copies(&row, &content, 0, false, 1).await;
        assert!(away.intact == 2 && away.wanted == 3 && away.unasked() == 1, "{away:?}");
        assert!(!away.lacking() && !away.untold(), "{away:?}");
        let layout = client.layout();
        if layout.chains.iter().all(|chain| chain.members.len() == 2) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.end().await;
}

/// Of every block the node that leaves has the only good copy, and nobody has read the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drained_node_is_released_only_after_the_others_have_read_their_blocks() {
    let _machine = MACHINE.lock().await;
    let mut cluster = Cluster::of(3, Duration::from_secs(600), Timeouts::default()).await;
    let client = cluster.client.clone();
    let raw = noise(2, 5 << 20);
    let content = upload(&client, b"owner", &raw).await.unwrap();
    cluster.settled().await;
    for hash in hashes(&content) {
        for node in 0..2 {
            let file = cluster.file(node, &hash);
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[5000] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
    }
    let leaving = cluster.nodes[2].as_ref().unwrap().status().node;
    let change = |edit| ChangeLayout { edits: vec![edit], apply: true, ..ChangeLayout::default() };
    client.change_layout(&change(Edit::Drain(leaving))).await.unwrap();
    let layout = cluster.up().next().unwrap().layout();
    wait_until("the node is released", || layout.borrow().nodes[&leaving].released).await;
    // It is in no chain: whoever comes with an older map is told so, for a copy here would count for nothing.
    let address = layout.borrow().nodes[&leaving].address.clone();
    let late = noise(3, 4096);
    let hash = BlockHash(*blake3::hash(&late).as_bytes());
    let pool = rpc::Pool::new(rpc::ClientConfig::new(cluster.up().next().unwrap().credentials()));
    let put = (rpc::codec::encode(&PutBlock { hash }), late);
    let answer = pool.call(&address, method::PUT_BLOCK, put, Duration::from_secs(10)).await.unwrap();
    let answer: Result<(), Fault> = rpc::codec::decode(&answer).unwrap();
    assert!(matches!(answer, Err(Fault::NotServing { .. })), "{answer:?}");
    client.change_layout(&change(Edit::Remove(leaving))).await.unwrap();
    cluster.stop(2).await;
    for hash in hashes(&content) {
        assert!((0..2).all(|node| cluster.file(node, &hash).exists()), "{hash}");
    }
    assert_eq!(download(&client, &content).await.unwrap(), raw);
    cluster.end().await;
}

/// Owners come and go over a few contents, which they all share, while nodes come and go too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collection_takes_all_that_nothing_keeps_and_nothing_else() {
    let _machine = MACHINE.lock().await;
    let pin = Duration::from_secs(12);
    let timeouts = Timeouts { pin, ..Timeouts::default() };
    let mut cluster = Cluster::of(3, Duration::from_millis(50), timeouts).await;
    let going = Arc::new(AtomicBool::new(true));
    let (rounds, names) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let leftover = Arc::new(Mutex::new(Vec::new()));
    let owners: Vec<_> = (0..6u64)
        .map(|seed| {
            let (client, going, rounds, names, leftover) =
                (cluster.client.clone(), going.clone(), rounds.clone(), names.clone(), leftover.clone());
            tokio::spawn(async move {
                let mut kept: Option<(Bytes, Content, String)> = None;
                while going.load(Ordering::Relaxed) {
                    let n = names.fetch_add(1, Ordering::Relaxed);
                    let (raw, name) = (noise((n + seed) % 4, 60_000), format!("owner {n}"));
                    let begun = Instant::now();
                    let uploaded = upload(&client, name.as_bytes(), &raw).await;
                    // One that failed may have left references; one whose pins may have run out is no upload.
                    let Some(content) = uploaded.ok().filter(|_| begun.elapsed() < pin / 2) else {
                        leftover.lock().push(name);
                        continue;
                    };
                    let read = download(&client, &content).await;
                    assert_eq!(read.unwrap_or_else(|error| panic!("{name}: {error}")), raw, "{name}");
                    if let Some((raw, content, name)) = kept.replace((raw, content, name)) {
                        assert_eq!(download(&client, &content).await.unwrap(), raw, "{name}");
                        // Repeated until it is done, as the sweeper does.
                        while client.unreference_content(name.as_bytes(), &content).await.is_err() {}
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                    // Long enough for collection to look at what was let go.
                    tokio::time::sleep(Duration::from_millis(n % 40)).await;
                }
                kept
            })
        })
        .collect();
    let begun = Instant::now();
    for node in [1, 2] {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.stop(node).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.start_again(node).await;
        cluster.settled().await;
    }
    going.store(false, Ordering::Relaxed);
    let mut kept = Vec::new();
    for owner in owners {
        kept.extend(owner.await.unwrap());
    }
    println!("{} rounds in {:?}", rounds.load(Ordering::Relaxed), begun.elapsed());
    let (raw, content, name) = kept.remove(0);
    let mut others = std::mem::take(&mut *leftover.lock());
    others.extend(kept.into_iter().map(|(_, _, name)| name));
    let all: Vec<BlockHash> = (0..4).map(|seed| BlockHash::of(&noise(seed, 60_000))).collect();
    for other in others {
        cluster.client.unreference_blocks(other.as_bytes(), &all).await.unwrap();
    }
    wait_until("only one block is left", || cluster.up().all(|node| node.status().blocks == 1)).await;
    assert_eq!(download(&cluster.client, &content).await.unwrap(), raw);
    cluster.client.unreference_content(name.as_bytes(), &content).await.unwrap();
    wait_until("no block is left", || cluster.up().all(|node| node.status().blocks == 0)).await;
    cluster.end().await;
}
