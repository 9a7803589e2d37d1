//! openraft's own suite for storage, run against ours; and what it does not
//! ask: restarts, damage, a disk that fails.

use super::disk::{Disk, Task};
use super::log::LogStore;
use super::machine::Machine;
use super::types::{Entry, LogId, StorageError, Types, Vote};
use super::{RaftNode, RaftRpc, RaftTiming, RaftTransport, TransportError};
use crate::store::{Batch, MetadataError, MetadataStore};
use async_trait::async_trait;
use bytes::Bytes;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, EntryPayload};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;
use types::NodeId;

struct Builder;

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let (disk, loaded) = Disk::open(dir.path()).unwrap();
        let machine = Machine::new(None, disk.clone());
        Ok((dir, LogStore::new(0, loaded, disk), machine))
    }
}

#[test]
fn the_storage_suite_of_openraft_passes() {
    Suite::test_all(Builder).unwrap();
}

/// For a group of one.
struct Nowhere;

#[async_trait]
impl RaftTransport for Nowhere {
    async fn send(&self, _: NodeId, _: &str, _: RaftRpc, _: Bytes, _: Duration) -> Result<Bytes, TransportError> {
        Err(TransportError::Unreachable("there is nobody".to_string()))
    }
}

async fn open(dir: &Path) -> Result<RaftNode, MetadataError> {
    RaftNode::open(dir, NodeId(1), RaftTiming::default(), Arc::new(Nowhere)).await
}

async fn lead(node: &RaftNode) {
    node.leader().wait_for(|leadership| leadership.is_self).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_keep_everything_and_begin_a_new_leadership() {
    let dir = tempfile::tempdir().unwrap();
    let mut last_token = None;
    let large = vec![7; 100_000];
    for round in 0..3u32 {
        let node = open(dir.path()).await.unwrap();
        node.initialize("here").await.unwrap();
        lead(&node).await;
        let token = node.confirm_leadership().await.unwrap();
        assert!(Some(token) > last_token, "{token:?} after {last_token:?}");
        last_token = Some(token);
        assert_eq!(node.local_range("k").pairs.len() as u32, round * 400);
        // Enough for a snapshot and a purge in the second round.
        let put = |n: u32| node.commit(Batch::new().put(format!("k{round}-{n:03}"), "v"));
        for group in 0..10 {
            futures::future::try_join_all((0..20).map(|n| put(group * 20 + n))).await.unwrap();
        }
        for n in 200..400 {
            node.commit(Batch::new().put(format!("k{round}-{n:03}"), "v")).await.unwrap();
        }
        node.commit(Batch::new().put("large", large.clone())).await.unwrap();
        assert_eq!(node.get("large").await.unwrap().unwrap().value, large);
        node.shutdown().await;
        let refused = node.commit(Batch::new().put("late", "")).await.unwrap_err();
        assert!(matches!(refused, MetadataError::Stopped(_)), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path()).await.unwrap();
    node.initialize("here").await.unwrap();
    node.commit(Batch::new().put("a", "1")).await.unwrap();
    node.health().unwrap();
    node.disk.fail_next_sync.store(true, Ordering::SeqCst);
    let unknown = node.commit(Batch::new().put("b", "2")).await.unwrap_err();
    assert!(matches!(unknown, MetadataError::Unknown(_)), "{unknown}");
    node.disk.fail_next_sync.store(false, Ordering::SeqCst);
    node.leader().wait_for(|leadership| !leadership.is_self).await.unwrap();
    assert!(matches!(node.health().unwrap_err(), MetadataError::Stopped(_)));
    assert!(node.commit(Batch::new().put("c", "3")).await.is_err());
    assert!(node.confirm_leadership().await.is_err());
    node.shutdown().await;
    let node = open(dir.path()).await.unwrap();
    lead(&node).await;
    assert!(node.get("a").await.unwrap().is_some());
    assert!(node.get("c").await.unwrap().is_none());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lost_its_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let node = open(dir.path()).await.unwrap();
    node.initialize("here").await.unwrap();
    node.commit(Batch::new().put("a", "1")).await.unwrap();
    node.shutdown().await;
    copy(&dir.path().join("control/log"), old.path());
    let node = open(dir.path()).await.unwrap();
    lead(&node).await;
    node.commit(Batch::new().put("b", "2")).await.unwrap();
    node.shutdown().await;
    // The database opens, and silently is an older one.
    std::fs::remove_dir_all(dir.path().join("control/log")).unwrap();
    copy(old.path(), &dir.path().join("control/log"));
    let refused = open(dir.path()).await.err().unwrap();
    assert!(matches!(refused, MetadataError::Damaged(_)), "{refused}");
}

/// The database's journal has no checksum over the order of its batches.
#[tokio::test(flavor = "multi_thread")]
async fn any_bit_of_the_log_that_rots_is_found_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    two_leaders(dir.path()).await;
    let kept = tempfile::tempdir().unwrap();
    copy(dir.path(), kept.path());
    let right = read(dir.path()).await.unwrap();
    let journal = dir.path().join("control/log/0.jnl");
    let bytes = std::fs::read(&journal).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let bits: Vec<usize> = match std::env::var("ATOLL_TEST_LONG").is_ok() {
        true => (0..written * 8).collect(),
        false => (0..written).step_by(2).map(|byte| byte * 8 + byte * 5 % 8).collect(),
    };
    let (mut refused, mut unchanged) = (0, 0);
    for bit in &bits {
        std::fs::remove_dir_all(dir.path().join("control")).unwrap();
        copy(kept.path(), dir.path());
        let mut rotten = bytes.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&journal, rotten).unwrap();
        match read(dir.path()).await {
            Ok(found) if found == right => unchanged += 1,
            Ok(found) => println!("bit {bit} of {written} bytes: {found:#?}, not {right:#?}"),
            Err(MetadataError::Damaged(_)) => refused += 1,
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    println!("of {} bits {refused} were refused, {unchanged} changed nothing", bits.len());
    assert_eq!(refused + unchanged, bits.len());
    assert!(refused > unchanged);
}

/// A log of which the second leader replaced what the first did not get through.
async fn two_leaders(dir: &Path) {
    let (disk, loaded) = Disk::open(dir).unwrap();
    let mut log = LogStore::new(1, loaded, disk.clone());
    let entries = |term: u64, indexes: std::ops::Range<u64>| -> Vec<Entry> {
        let entry = |index| Entry {
            log_id: LogId::new(CommittedLeaderId::new(term, term), index),
            payload: EntryPayload::Normal(Batch::new().put(format!("key-{index}"), format!("of term {term}"))),
        };
        indexes.map(entry).collect()
    };
    log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    log.blocking_append(entries(1, 0..2)).await.unwrap();
    log.blocking_append(entries(1, 2..5)).await.unwrap();
    log.save_vote(&Vote::new_committed(2, 2)).await.unwrap();
    log.truncate(LogId::new(CommittedLeaderId::new(1, 1), 3)).await.unwrap();
    log.blocking_append(entries(2, 3..4)).await.unwrap();
    log.blocking_append(entries(2, 4..6)).await.unwrap();
    disk.run(|reply| Task::Stop { reply }).await.unwrap();
}

/// Vote and entries, as they would be used.
async fn read(dir: &Path) -> Result<(Option<Vote>, Vec<String>), MetadataError> {
    let (disk, loaded) = Disk::open(dir)?;
    disk.run(|reply| Task::Stop { reply }).await.unwrap();
    Ok((loaded.vote, loaded.entries.values().map(|found| format!("{:?}", found.entry)).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_cannot_use_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path()).await.unwrap();
    assert!(matches!(open(dir.path()).await.err().unwrap(), MetadataError::Stopped(_)));
    node.shutdown().await;
    open(dir.path()).await.unwrap().shutdown().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
