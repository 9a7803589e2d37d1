//! Blobs: pinned, stored on enough nodes, read from good copies only, whole and in ranges.

use crate::fake::{Cluster, member};
use crate::faults::Act;
use bytes::Bytes;
use client::{Body, Client, ClientError, Content, INLINE_BYTES_MAX, UploadId};
use futures::{StreamExt, TryStreamExt};
use proptest::prelude::*;
use rpc::wire::{Fault, method};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use types::layout::BLOCKS_TABLE;
use types::limits::BLOCK_BYTES;
use types::*;

const UPLOAD: UploadId = UploadId(5);

async fn started() -> (Arc<Cluster>, Client) {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    (cluster, client)
}

/// Bytes that differ from block to block.
fn bytes(length: usize, seed: u64) -> Bytes {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut out);
    out.into()
}

fn holders(cluster: &Cluster, hash: BlockHash) -> Vec<NodeId> {
    cluster.store.lock().blocks.keys().filter(|(_, held)| *held == hash).map(|(node, _)| *node).collect()
}

fn rows(cluster: &Cluster, prefix: u8) -> usize {
    let store = cluster.store.lock();
    store.items.keys().filter(|key| key.table == BLOCKS_TABLE && key.sort_key[0] == prefix).count()
}

async fn read(client: &Client, content: &Content, range: std::ops::Range<u64>) -> Vec<u8> {
    let parts: Vec<Bytes> = client.read_blob(content.clone(), range).try_collect().await.unwrap();
    parts.concat()
}

#[tokio::test]
async fn a_block_is_on_all_nodes_and_pinned() {
    let (cluster, client) = started().await;
    let raw = bytes(1000, 1);
    let hash = BlockHash::of(&raw);
    client.put_block(UPLOAD, hash, raw.clone()).await.unwrap();
    assert_eq!(holders(&cluster, hash), [NodeId(1), NodeId(2), NodeId(3)]);
    assert_eq!(rows(&cluster, b'p'), 1);
    assert_eq!(client.get_block(hash).await.unwrap(), raw);
    // Once more: nothing is sent.
    let puts = cluster.asked(method::PUT_BLOCK).len();
    client.put_block(UPLOAD, hash, raw.clone()).await.unwrap();
    let another = cluster.client().await;
    another.put_block(UploadId(6), hash, raw).await.unwrap();
    assert_eq!(cluster.asked(method::PUT_BLOCK).len(), puts);
    assert_eq!(rows(&cluster, b'p'), 2);
    let wrong = client.put_block(UPLOAD, BlockHash::of(b"x"), bytes(10, 1)).await;
    assert!(matches!(wrong, Err(ClientError::Invalid(_))));
    let empty = client.put_block(UPLOAD, BlockHash::of(b""), Bytes::new()).await;
    assert!(matches!(empty, Err(ClientError::Invalid(_))));
}

#[tokio::test]
async fn enough_copies_are_enough_and_too_few_are_not() {
    for (act, most) in [
        (Act::Refuse(Fault::NotReady("no lease".into())), Duration::from_millis(2500)),
        (Act::Refuse(Fault::NoSpace { node: NodeId(3) }), Duration::from_millis(2500)),
        (Act::Swallow, Duration::from_millis(2900)),
    ] {
        let (cluster, client) = started().await;
        cluster.script.always(NodeId(3), method::PUT_BLOCK, act.clone());
        let raw = bytes(1000, 2);
        let began = Instant::now();
        client.put_block(UPLOAD, BlockHash::of(&raw), raw.clone()).await.unwrap();
        assert!(began.elapsed() < most, "{act:?} took {:?}", began.elapsed());
        assert_eq!(holders(&cluster, BlockHash::of(&raw)), [NodeId(1), NodeId(2)]);
        // Two that fail leave one, which is too few.
        cluster.script.always(NodeId(2), method::PUT_BLOCK, act.clone());
        let raw = bytes(1000, 3);
        let error = client.put_block(UPLOAD, BlockHash::of(&raw), raw).await.unwrap_err();
        match act {
            Act::Refuse(Fault::NoSpace { .. }) => assert!(matches!(error, ClientError::NoSpace { .. }), "{error}"),
            _ => assert!(error.to_string().contains("only 1 of the 2 copies"), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_node_that_comes_back_gets_the_block() {
    let (cluster, client) = started().await;
    for node in [2, 3] {
        let act = Act::Refuse(Fault::NotReady("no lease".into()));
        cluster.script.queue(NodeId(node), method::PUT_BLOCK, [act.clone(), act]);
    }
    let raw = bytes(1000, 4);
    client.put_block(UPLOAD, BlockHash::of(&raw), raw.clone()).await.unwrap();
    assert!(holders(&cluster, BlockHash::of(&raw)).len() >= 2);
}

#[tokio::test]
async fn a_block_follows_its_chain() {
    let (cluster, client) = started().await;
    for node in [2, 3] {
        cluster.script.always(NodeId(node), method::PUT_BLOCK, Act::Swallow);
    }
    let failover = async {
        while cluster.asked(method::PUT_BLOCK).len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cluster.change_layout(|layout| {
            layout.replicas_min = 1;
            for chain in &mut layout.chains {
                chain.members = vec![member(NodeId(1), MemberState::Serving), member(NodeId(2), MemberState::Syncing)];
            }
        });
    };
    let raw = bytes(1000, 5);
    let began = Instant::now();
    let (stored, ()) = tokio::join!(client.put_block(UPLOAD, BlockHash::of(&raw), raw.clone()), failover);
    stored.unwrap();
    assert!(began.elapsed() < Duration::from_millis(2900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn missing_blocks_are_those_that_too_few_hold() {
    let (cluster, client) = started().await;
    let blocks: Vec<Bytes> = (0..100).map(|n| bytes(100, n)).collect();
    let hashes: Vec<BlockHash> = blocks.iter().map(|raw| BlockHash::of(raw)).collect();
    for (n, raw) in blocks.iter().enumerate() {
        for node in 0..(n % 4) as u64 {
            cluster.store.lock().blocks.insert((NodeId(1 + node), hashes[n]), raw.clone());
        }
    }
    let missing = client.missing_blocks(UPLOAD, &hashes).await.unwrap();
    let want: Vec<BlockHash> = (0..100).filter(|n| n % 4 < 2).map(|n| hashes[n]).collect();
    assert_eq!(missing, want);
    assert_eq!(rows(&cluster, b'p'), 100);
    for n in (0..100).filter(|n| n % 4 < 2) {
        client.put_block(UPLOAD, hashes[n], blocks[n].clone()).await.unwrap();
    }
    assert_eq!(client.missing_blocks(UPLOAD, &hashes).await, Ok(Vec::new()));
    assert_eq!(rows(&cluster, b'p'), 100, "pinned once");
}

#[tokio::test]
async fn a_bad_or_missing_copy_is_passed_over_and_reported() {
    for spoil in [Act::Spoil, Act::Refuse(Fault::Damaged)] {
        let cluster = Cluster::start(3).await;
        let client = Client::connect(cluster.config().local(NodeId(1))).await.unwrap();
        let raw = bytes(50_000, 6);
        let hash = BlockHash::of(&raw);
        client.put_block(UPLOAD, hash, raw.clone()).await.unwrap();
        cluster.script.always(NodeId(1), method::GET_BLOCK, spoil);
        cluster.store.lock().blocks.remove(&(NodeId(2), hash));
        assert_eq!(client.get_block(hash).await.unwrap(), raw);
        while !cluster.store.lock().repairs.contains(&(NodeId(1), hash)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!cluster.store.lock().repairs.contains(&(NodeId(3), hash)));
    }
}

#[tokio::test]
async fn damaged_is_said_only_when_all_have_answered() {
    let (cluster, client) = started().await;
    let raw = bytes(1000, 7);
    let hash = BlockHash::of(&raw);
    client.put_block(UPLOAD, hash, raw.clone()).await.unwrap();
    cluster.script.always(NodeId(1), method::GET_BLOCK, Act::Spoil);
    cluster.store.lock().blocks.remove(&(NodeId(2), hash));
    cluster.script.always(NodeId(3), method::GET_BLOCK, Act::Refuse(Fault::NotReady("starting".into())));
    let error = client.get_block(hash).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    cluster.script.always(NodeId(3), method::GET_BLOCK, Act::Refuse(Fault::Damaged));
    assert_eq!(client.get_block(hash).await, Err(ClientError::Damaged(hash)));
    for node in [1, 3] {
        cluster.script.always(NodeId(node), method::GET_BLOCK, Act::Serve);
    }
    let never = BlockHash::of(b"never stored");
    assert_eq!(client.get_block(never).await, Err(ClientError::NoSuchBlock(never)));
}

#[tokio::test]
async fn a_frozen_holder_costs_little() {
    let cluster = Cluster::start(3).await;
    let mut config = cluster.config().local(NodeId(1));
    config.timeouts.read_attempt = Duration::from_secs(20);
    config.timeouts.request = Duration::from_secs(60);
    let client = Client::connect(config).await.unwrap();
    let raw = bytes(1000, 8);
    let hash = BlockHash::of(&raw);
    client.put_block(UPLOAD, hash, raw.clone()).await.unwrap();
    cluster.script.always(NodeId(1), method::GET_BLOCK, Act::Swallow);
    let began = Instant::now();
    assert_eq!(client.get_block(hash).await.unwrap(), raw);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn references_are_rows_of_their_owner() {
    let (cluster, client) = started().await;
    let content = client.write_blob(UPLOAD, &bytes(2 * BLOCK_BYTES, 9)[..]).await.unwrap();
    client.reference_content(b"drive 1, file 2", &content).await.unwrap();
    client.reference_content(b"drive 1, file 2", &content).await.unwrap();
    client.reference_content(b"drive 1, file 3", &content).await.unwrap();
    assert_eq!(rows(&cluster, b'r'), 4);
    client.unreference_content(b"drive 1, file 2", &content).await.unwrap();
    client.unreference_content(b"drive 1, file 2", &content).await.unwrap();
    assert_eq!(rows(&cluster, b'r'), 2);
    assert!(matches!(client.reference_blocks(b"", &[]).await, Err(ClientError::Invalid(_))));
}

#[tokio::test]
async fn a_very_long_file_lists_its_blocks_in_blocks() {
    let (cluster, client) = started().await;
    let size = 1001 * BLOCK_BYTES as u64 + 5;
    let content = client.write_blob(UPLOAD, tokio::io::repeat(7).take(size)).await.unwrap();
    assert_eq!(content.size, size);
    let Body::Indexed { index } = &content.body else { panic!("{content:?}") };
    assert_eq!((index.len(), index[0].covers), (1, size));
    assert_eq!(Content::decode(&content.encode()).unwrap(), content);
    let mut whole = blake3::Hasher::new();
    for _ in 0..1001 {
        whole.update(&vec![7; BLOCK_BYTES]);
    }
    assert_eq!(content.hash, *whole.update(&[7; 5]).finalize().as_bytes());
    let end = read(&client, &content, size - 1000..size + 1).await;
    assert_eq!(end, vec![7; 1000]);
    // Equal blocks are stored, and referenced, once.
    assert_eq!(cluster.store.lock().blocks.len(), 3 * 3);
    client.reference_content(b"owner", &content).await.unwrap();
    assert_eq!(rows(&cluster, b'r'), 3);
    client.unreference_content(b"owner", &content).await.unwrap();
    assert_eq!(rows(&cluster, b'r'), 0);
}

#[tokio::test]
async fn an_upload_whose_source_breaks_says_so() {
    let (_cluster, client) = started().await;
    let parts = [Ok(bytes(BLOCK_BYTES + 10, 10)), Err(std::io::Error::other("the browser went away"))];
    let error = client.write_blob_stream(UPLOAD, futures::stream::iter(parts)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Source(why) if why.contains("browser")), "{error}");
}

#[tokio::test]
async fn a_download_ends_with_the_first_error() {
    let (cluster, client) = started().await;
    let content = client.write_blob(UPLOAD, &bytes(6 * BLOCK_BYTES, 11)[..]).await.unwrap();
    let Body::Blocks(blocks) = &content.body else { panic!("{content:?}") };
    for node in 1..=3 {
        cluster.store.lock().blocks.remove(&(NodeId(node), blocks[2].hash));
    }
    let size = content.size;
    let parts: Vec<Result<Bytes, ClientError>> = client.read_blob(content.clone(), 0..size).collect().await;
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[2], Err(ClientError::NoSuchBlock(blocks[2].hash)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn files_read_back_whole_and_in_ranges(
        size in prop_oneof![
            0..INLINE_BYTES_MAX + 2,
            (0usize..4, -2isize..3).prop_map(|(blocks, off)| (blocks * BLOCK_BYTES).saturating_add_signed(off)),
            0..4 * BLOCK_BYTES,
        ],
        seed: u64,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 4),
        chunk in 1usize..300_000,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (cluster, client) = started().await;
            let file = bytes(size, seed);
            let chunks: Vec<std::io::Result<Bytes>> = file.chunks(chunk).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
            let content = client.write_blob_stream(UPLOAD, futures::stream::iter(chunks)).await.unwrap();
            assert_eq!((content.size, content.hash), (size as u64, *blake3::hash(&file).as_bytes()));
            assert_eq!(matches!(content.body, Body::Inline(_)), size <= INLINE_BYTES_MAX);
            let content = Content::decode(&content.encode()).unwrap();
            // One of the copies is bad, wherever it is read from.
            cluster.script.queue(NodeId(1), method::GET_BLOCK, [Act::Refuse(Fault::Damaged)]);
            assert!(read(&client, &content, 0..u64::MAX).await == file);
            for (from, to) in cuts {
                let (from, to) = (from.index(size + 1), to.index(size + 1));
                let want = if from < to { &file[from..to] } else { &[][..] };
                assert!(read(&client, &content, from as u64..to as u64).await == want, "{from}..{to}");
            }
        });
    }
}
