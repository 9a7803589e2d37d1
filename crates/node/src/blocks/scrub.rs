//! Verifying every block on the disk: slowly in the background, or all at once on request.

use super::BlockKeeper;
use super::fetch::Fetched;
use super::keep::hosted;
use crate::node::Inner;
use crate::reads::blocking;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use rpc::wire::{Fault, LOST_NAMED_MAX, ScrubReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::{BlockHash, Drain, PartitionId};

/// Bytes a second in the background.
const RATE: u64 = 4 << 20;
/// Bytes a second while a node that drains waits for it.
const RATE_FOR_DRAINS: u64 = 64 << 20;
/// How often it is looked whether one drains; and how long after a disk that could not be read.
const LOOK_EVERY: Duration = Duration::from_millis(700);
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// From one background pass to the next, at least.
const EVERY: Duration = Duration::from_secs(24 * 3600);
const PAGE: usize = 64;
/// Blocks verified at the same time on request: disks like a queue.
const AT_ONCE: usize = 2;
/// Partitions whose tables are waited for at the same time.
const SETTLED_AT_ONCE: usize = 16;
/// Rounds of trying for what is missing before it is reported as lost.
const TRIES: u32 = 3;
/// Where the background scrub is, in the data folder.
const CURSOR: &str = "scrub";

/// Lets that many bytes take their time, at so many a second: readers and writers need the disk, too.
pub(super) async fn pace(bytes: u64, rate: u64) {
    tokio::time::sleep(Duration::from_secs(1) * bytes as u32 / rate as u32).await;
}

/// One reading of every block for the sake of nodes that leave.
#[derive(Default)]
struct Pass {
    leaving: BTreeSet<Drain>,
    after: Option<BlockHash>,
    bad: u64,
}

/// Where scrubbing is.
#[derive(Default)]
pub(super) struct Scrub {
    running: AtomicBool,
    report: Mutex<ScrubReport>,
}

impl BlockKeeper {
    /// Verifies in the background, from where it was. Runs until dropped.
    pub async fn scrub_slowly(self: Arc<Self>, inner: Arc<Inner>) {
        let path = inner.folder.join(CURSOR);
        let mut after: Option<BlockHash> = std::fs::read_to_string(&path).ok().and_then(|text| text.parse().ok());
        loop {
            let begun = Instant::now();
            let (mut blocks, mut bad) = (0u64, 0u64);
            loop {
                let store = self.store.clone();
                let page = blocking(move || store.list(after, PAGE)).await.unwrap_or_default();
                let Some(last) = page.last().copied() else { break };
                for hash in page {
                    let (good, size) = self.verify(&inner, hash).await;
                    blocks += 1;
                    bad += u64::from(!good);
                    pace(size, RATE).await;
                }
                after = Some(last);
                // Only a hint: a crash may lose or tear it, and the pass begins again.
                let (path, text) = (path.clone(), last.to_string());
                let _ = tokio::task::spawn_blocking(move || std::fs::write(path, text)).await;
            }
            after = None;
            let _ = std::fs::remove_file(&path);
            tracing::info!(blocks, bad, "scrubbed all blocks");
            tokio::time::sleep(EVERY.saturating_sub(begun.elapsed()).max(Duration::from_secs(60))).await;
        }
    }

    /// When a node is to leave: reads every block here, for of what is rotten its copy may be the only good one.
    /// Runs until dropped. A restart begins anew.
    pub async fn verify_for_drains(self: Arc<Self>, inner: Arc<Inner>) {
        let mut pass = Pass::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let layout = self.layout.borrow().clone();
            let leaving = self.upkeep.lock().unverified(&layout);
            if leaving.is_empty() {
                continue;
            }
            // One that began for fewer would be too old for the others.
            if !leaving.is_subset(&pass.leaving) {
                pass = Pass { leaving, ..Pass::default() };
                tracing::info!(leaving = ?pass.leaving, blocks = self.store.count(), "reading every block before they are let go");
            }
            match self.verify_all(&inner, &mut pass).await {
                Ok(()) => {
                    let Pass { leaving, bad, .. } = std::mem::take(&mut pass);
                    tracing::info!(?leaving, bad, "read every block before they are let go");
                    self.upkeep.lock().verified(leaving, &layout);
                    self.wake.notify_one();
                }
                Err(fault) => {
                    tracing::error!(%fault, leaving = ?pass.leaving, "cannot read every block: they are not let go for now");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Reads every block from where the pass is; the bad ones are put aside. After an error it goes on there.
    async fn verify_all(&self, inner: &Arc<Inner>, pass: &mut Pass) -> Result<(), Fault> {
        loop {
            let (store, after) = (self.store.clone(), pass.after);
            let page = blocking(move || store.list(after, PAGE)).await?;
            if page.is_empty() {
                return Ok(());
            }
            for hash in page {
                let (good, size) = self.verify(inner, hash).await;
                let store = self.store.clone();
                if !good && blocking(move || store.has(&hash)).await? {
                    return Err(Fault::NotReady(format!("block {hash} is there and cannot be read")));
                }
                pass.bad += u64::from(!good);
                pass.after = Some(hash);
                pace(size, RATE_FOR_DRAINS).await;
            }
        }
    }

    /// Reads a block again. Whether it was good, and how large.
    pub(super) async fn verify(&self, inner: &Arc<Inner>, hash: BlockHash) -> (bool, u64) {
        let store = self.store.clone();
        match blocking(move || store.verify(&hash)).await {
            Ok(Some(bytes)) => {
                self.lately.lock().read(hash, self.clock.monotonic());
                (true, bytes)
            }
            // Collected meanwhile.
            Ok(None) => (true, 0),
            Err(fault) => {
                tracing::error!(%hash, %fault, "scrub found a block that cannot be read");
                self.lately.lock().forget(&hash);
                if self.belongs_here(inner, hash).await {
                    self.lacks(hash);
                    self.wake.notify_one();
                }
                (false, 0)
            }
        }
    }

    async fn scrub_now(&self, inner: &Arc<Inner>) {
        let report = |change: &dyn Fn(&mut ScrubReport)| change(&mut self.scrub.report.lock());
        let fetched_before = self.fetched.load(Ordering::Relaxed);
        let partitions: Vec<PartitionId> = inner.partitions().iter().map(|partition| partition.id).collect();
        let hosts: Vec<PartitionId> = partitions.into_iter().filter(|id| hosted(inner, *id)).collect();
        // A reference that was given a moment ago may be on its way to the tables. Where they are behind for long, what they
        // have is looked through.
        let settled = stream::iter(hosts.iter().filter_map(|id| inner.partition(*id)));
        settled.for_each_concurrent(SETTLED_AT_ONCE, async |partition| drop(inner.settled(partition).await)).await;
        let mut after = None;
        loop {
            let store = self.store.clone();
            let page = match blocking(move || store.list(after, PAGE)).await {
                Ok(page) => page,
                Err(fault) => return report(&|report| report.problem = Some(fault.to_string())),
            };
            let Some(last) = page.last().copied() else { break };
            stream::iter(page)
                .for_each_concurrent(AT_ONCE, |hash| async move {
                    let (good, size) = self.verify(inner, hash).await;
                    let mut report = self.scrub.report.lock();
                    report.checked += 1;
                    report.bytes += size;
                    report.bad += u64::from(!good);
                })
                .await;
            after = Some(last);
        }
        // Every reference has its block.
        for id in hosts {
            if let Err(fault) = self.look_through(inner, id).await {
                report(&|report| report.problem = Some(fault.to_string()));
            }
        }
        let mut absent: BTreeMap<BlockHash, Fetched> =
            self.upkeep.lock().absent().map(|hash| (hash, Fetched::Unheard)).collect();
        for round in 0..TRIES {
            // Where there is no room now there is none in a moment.
            let again: Vec<BlockHash> =
                absent.iter().filter(|(_, last)| last.is_lost()).map(|(hash, _)| *hash).collect();
            if again.is_empty() {
                break;
            }
            if round > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let tried = stream::iter(again).map(|hash| async move { (hash, self.try_for(inner, hash).await) });
            absent.extend(tried.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        }
        let repaired = self.fetched.load(Ordering::Relaxed) - fetched_before;
        report(&|report| {
            report.repaired = repaired;
            conclude(&absent, report);
        });
    }
}

/// What became of the blocks that are absent.
fn conclude(absent: &BTreeMap<BlockHash, Fetched>, report: &mut ScrubReport) {
    let count = |of: fn(&Fetched) -> bool| absent.values().filter(|fetched| of(fetched)).count() as u64;
    report.lost = count(|fetched| fetched.is_lost());
    report.no_room = count(|fetched| *fetched == Fetched::NoRoom);
    let lost = absent.iter().filter(|(_, fetched)| fetched.is_lost()).map(|(hash, _)| *hash);
    report.lost_blocks = lost.take(LOST_NAMED_MAX).collect();
    let unkept = count(|fetched| *fetched == Fetched::Unkept);
    if unkept > 0 {
        report.problem = Some(format!("blocks that others have could not be written here: {unkept}"));
    }
}

impl Inner {
    /// How scrubbing stands. `start`: begins one of everything, unless one is under way.
    pub(crate) fn scrub(self: &Arc<Self>, start: bool) -> ScrubReport {
        let scrub = &self.blocks.scrub;
        if start && !scrub.running.swap(true, Ordering::AcqRel) {
            let total = self.blocks.store.count();
            let passes = scrub.report.lock().passes;
            *scrub.report.lock() = ScrubReport { running: true, passes, total, ..ScrubReport::default() };
            let inner = self.clone();
            tokio::spawn(async move {
                inner.blocks.scrub_now(&inner).await;
                let scrub = &inner.blocks.scrub;
                let mut report = scrub.report.lock();
                report.running = false;
                report.passes += 1;
                scrub.running.store(false, Ordering::Release);
            });
        }
        scrub.report.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_is_what_nobody_who_answers_has() {
        use Fetched::{Here, NoRoom, Nowhere, Unheard, Unkept};
        let hash = |n| BlockHash([n; 32]);
        let of = |all: &[Fetched]| {
            let mut report = ScrubReport::default();
            conclude(&(1..).map(hash).zip(all.iter().copied()).collect(), &mut report);
            report
        };
        assert_eq!(of(&[Here]), ScrubReport::default());
        let full = of(&[NoRoom, Here, NoRoom]);
        assert_eq!((full.lost, full.no_room, full.problem), (0, 2, None), "others have them");
        let lost = of(&[Nowhere, NoRoom, Unheard]);
        assert_eq!((lost.lost, lost.no_room, lost.lost_blocks), (2, 1, vec![hash(1), hash(3)]));
        let unkept = of(&[Unkept]);
        assert!(unkept.lost == 0 && unkept.problem.is_some_and(|why| why.contains("1")));
    }
}
