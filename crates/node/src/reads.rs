//! Reads: items, ranges, scans, counts, watches.

use crate::node::Inner;
use crate::partition::Partition;
use crate::service::POLL_MAX;
use replication::chain::{Answer, ReadPlan};
use rpc::wire::{
    CountRequest, Fault, ReadReply, ReadRequest, ScanReply, ScanRequest, WatchKey, WatchReply, WatchRequest,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::{Snapshot, StorageEngine, StorageError};
use types::limits::{KEYS_MAX, QUERY_BYTES_MAX, QUERY_ITEMS_MAX};
use types::{Change, Clock, Consistency, Effect, Item, ItemKey, KeyHash, LogEntry, PartitionId, Read, Seq};

/// How long a read waits for a commit or for the tables before the client should try another replica.
const READ_WAIT: Duration = Duration::from_secs(2);
/// Bytes of log that one poll of a watch looks through at most.
const WATCH_BYTES: usize = 1024 * 1024;
/// Items that are read by the thread that was asked, as those that are in memory are sooner than another one would have
/// begun …
const AT_ONCE_MAX: usize = 8;
/// … unless such a read took longer lately: then it came from a disk, and leases and all else that this thread does waited.
const AT_ONCE_TIME: Duration = Duration::from_millis(2);
/// Then they are left to the threads for disks for so many times as long: 5 % of the time is what may be lost.
const LEFT_FOR: u32 = 20;
/// Items that a scan reads at a time.
const SCAN_STEP: usize = 32;

pub(crate) fn storage_fault(error: StorageError) -> Fault {
    match error {
        StorageError::Damaged(_) => Fault::Damaged,
        other => Fault::Stopped(other.to_string()),
    }
}

impl Inner {
    fn hosted(&self, id: PartitionId) -> Result<&Arc<Partition>, Fault> {
        let partition = self.partition(id).ok_or_else(|| self.not_serving(id))?;
        let here = partition.look(|replica, _| replica.state().is_some() && !replica.incomplete());
        if here { Ok(partition) } else { Err(self.not_serving(id)) }
    }

    /// For stale reads. Where nobody serves, what a restarted node holds is as good as any.
    fn copy_of(&self, id: PartitionId) -> Result<&Arc<Partition>, Fault> {
        self.hosted(id).or_else(|not_serving| {
            let abandoned = self.layout.borrow().chain(id).is_some_and(|chain| chain.members.is_empty());
            let holds = |partition: &&Arc<Partition>| {
                partition.look(|replica, _| !replica.incomplete() && replica.progress().committed > Seq(0))
            };
            self.partition(id).filter(|_| abandoned).filter(holds).ok_or(not_serving)
        })
    }

    pub(crate) fn check_read(&self, partition: &Partition) -> Result<(), Fault> {
        partition.look(|replica, env| replica.check_read(env)).map_err(|failure| self.fault(partition.id, failure))
    }

    pub(crate) async fn read(self: &Arc<Self>, request: ReadRequest) -> Result<ReadReply, Fault> {
        request.read.validate().map_err(Fault::Invalid)?;
        let partition = match request.consistency {
            Consistency::Stale => self.copy_of(request.partition)?,
            Consistency::Strong => self.hosted(request.partition)?,
        };
        self.check_keys(partition.id, &request.read).await?;
        match request.consistency {
            Consistency::Stale => match self.at_hand(partition, &request.read) {
                Some(reply) => Ok(reply),
                None => self.look_up(partition, request.read).await,
            },
            Consistency::Strong => {
                let read = &request.read;
                let plan = partition.look(|replica, env| replica.plan_read(env, read));
                let at_least = match plan.map_err(|failure| self.fault(partition.id, failure))? {
                    ReadPlan::Clean(seq) => seq,
                    ReadPlan::Ask => self.ask_head(partition).await?,
                };
                let reply = self.read_committed(partition, request.read, at_least).await?;
                // Invariant 3: the lease counts after the reading, before the reply.
                self.check_read(partition)?;
                Ok(reply)
            }
        }
    }

    async fn check_keys(&self, id: PartitionId, read: &Read) -> Result<(), Fault> {
        let count = self.partitions().len() as u16;
        let here = |key: &[u8]| KeyHash::of(key).partition(count) == id;
        let elsewhere = || Fault::Invalid("a read names keys of one partition only".into());
        match read {
            Read::Items(keys) => {
                for key in keys {
                    if !here(&key.partition_key) {
                        return Err(elsewhere());
                    }
                    self.check_table(key.table).await?;
                }
                Ok(())
            }
            Read::Range(query) if here(&query.partition_key) => self.check_table(query.table).await,
            Read::Range(_) => Err(elsewhere()),
        }
    }

    async fn ask_head(&self, partition: &Arc<Partition>) -> Result<Seq, Fault> {
        let answer = partition.request(|replica, env, request, _, out| replica.ask(env, request, out));
        match tokio::time::timeout(READ_WAIT, answer).await {
            Ok(Ok(Answer::CommittedThrough(seq))) => Ok(seq),
            Ok(Ok(Answer::Failed(failure))) => Err(self.fault(partition.id, failure)),
            _ => Err(Fault::NotReady("the head did not say what is committed".into())),
        }
    }

    async fn read_committed(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        read: Read,
        at_least: Seq,
    ) -> Result<ReadReply, Fault> {
        if let Read::Items(keys) = &read
            && let [key] = &keys[..]
        {
            if let Some(reply) = self.at_hand(partition, &read) {
                return Ok(reply);
            }
            let (engine, id, key) = (self.engine.clone(), partition.id, key.clone());
            let item = self.look_soon(move || engine.get(id, &key)).await?;
            return Ok(ReadReply::Items { items: vec![item], at: at_least });
        }
        if !partition.has_applied(at_least, READ_WAIT).await {
            return Err(Fault::NotReady("the tables are behind".into()));
        }
        self.look_up(partition, read).await
    }

    /// One item that is committed and on its way into the tables: it is not waited for, nor passed over.
    fn at_hand(&self, partition: &Partition, read: &Read) -> Option<ReadReply> {
        let Read::Items(keys) = read else { return None };
        let [key] = &keys[..] else { return None };
        partition.look(|replica, _| {
            let item = replica.committed_item(key)?.clone();
            Some(ReadReply::Items { items: vec![item], at: replica.progress().committed })
        })
    }

    /// Reads log or tables.
    async fn look_at<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, Fault> {
        let health = self.health.clone();
        blocking(move || work().inspect_err(|error| health.check(error))).await
    }

    /// Reads a snapshot of the tables.
    async fn look_up(self: &Arc<Self>, partition: &Arc<Partition>, read: Read) -> Result<ReadReply, Fault> {
        let (engine, id) = (self.engine.clone(), partition.id);
        let is_short = matches!(&read, Read::Items(keys) if keys.len() <= AT_ONCE_MAX);
        let look = move || {
            let snapshot = engine.snapshot(id)?;
            Ok(match read {
                Read::Items(keys) => ReadReply::Items { items: multi_get(&*snapshot, &keys)?, at: snapshot.at().seq },
                Read::Range(query) => ReadReply::Page(snapshot.query(&query)?),
            })
        };
        if is_short { self.look_soon(look).await } else { self.look_at(look).await }
    }

    /// Reads a few items: by this thread, unless such reads take long at present.
    async fn look_soon<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, Fault> {
        let begun = self.clock.monotonic();
        if begun.0 < self.disk_is_slow_until.load(Ordering::Relaxed) {
            return self.look_at(look).await;
        }
        let found = look().inspect_err(|error| self.health.check(error)).map_err(storage_fault);
        let now = self.clock.monotonic();
        if now - begun > AT_ONCE_TIME {
            self.disk_is_slow_until.store((now + (now - begun) * LEFT_FOR).0, Ordering::Relaxed);
        }
        found
    }

    pub(crate) async fn scan(self: &Arc<Self>, request: ScanRequest) -> Result<ScanReply, Fault> {
        let partition = self.hosted(request.partition)?;
        self.check_table(request.table).await?;
        self.settled(partition).await?;
        let (engine, id) = (self.engine.clone(), partition.id);
        let limit = request.limit.clamp(1, QUERY_ITEMS_MAX) as usize;
        let reply = self.look_at(move || scan_page(&*engine.snapshot(id)?, &request, limit)).await?;
        self.check_read(partition)?;
        Ok(reply)
    }

    pub(crate) async fn count(self: &Arc<Self>, request: CountRequest) -> Result<u64, Fault> {
        let partition = self.hosted(request.partition)?;
        self.check_table(request.table).await?;
        self.settled(partition).await?;
        let (engine, id) = (self.engine.clone(), partition.id);
        let count = self.look_at(move || engine.snapshot(id)?.count(request.table)).await?;
        self.check_read(partition)?;
        Ok(count)
    }

    /// Waits until the tables hold everything that was committed when this was called.
    pub(crate) async fn settled(&self, partition: &Arc<Partition>) -> Result<(), Fault> {
        self.check_read(partition)?;
        let (head, progress) = partition.look(|replica, _| (replica.is_head(), replica.progress()));
        let committed = if progress.last.seq == progress.committed {
            progress.committed
        } else if head {
            // Waiting for all that is under way asks a little more than needed, and less code.
            progress.last.seq
        } else {
            self.ask_head(partition).await?
        };
        match partition.has_applied(committed, READ_WAIT).await {
            true => Ok(()),
            false => Err(Fault::NotReady("the tables are behind".into())),
        }
    }

    /// Committed changes, as they come. Any replica will do: the sequences are everybody's.
    pub(crate) async fn watch(self: &Arc<Self>, request: WatchRequest) -> Result<WatchReply, Fault> {
        if request.keys.is_empty() || request.keys.len() > KEYS_MAX {
            return Err(Fault::Invalid(format!("a watch names 1 to {KEYS_MAX} keys")));
        }
        let partition = self.hosted(request.partition)?;
        for key in &request.keys {
            self.check_table(key.table).await?;
        }
        let mut applied = partition.applied();
        let mut after = match request.after {
            Some(after) => after,
            None => {
                self.settled(partition).await?;
                *applied.borrow()
            }
        };
        let deadline = tokio::time::Instant::now() + request.wait.min(POLL_MAX);
        loop {
            let upto = *applied.borrow_and_update();
            if upto > after {
                let (engine, id) = (self.engine.clone(), partition.id);
                let read = self.look_at(move || match engine.entries(id, after.next(), WATCH_BYTES) {
                    Err(StorageError::Compacted { .. }) => Ok(None),
                    other => other.map(Some),
                });
                let Some(entries) = read.await? else { return Ok(WatchReply::Compacted { now: upto }) };
                let entries: Vec<LogEntry> = entries.into_iter().filter(|entry| entry.version.seq <= upto).collect();
                after = entries.last().map_or(upto, |entry| entry.version.seq);
                let changes: Vec<Change> = entries.iter().flat_map(|entry| changes(entry, &request.keys)).collect();
                if !changes.is_empty() {
                    return Ok(WatchReply::Changes { changes, upto: after });
                }
                continue;
            }
            let changed = tokio::select! {
                changed = tokio::time::timeout_at(deadline, applied.changed()) => matches!(changed, Ok(Ok(()))),
                () = self.retirement.closing() => false,
            };
            match changed {
                true => {}
                false => return Ok(WatchReply::Changes { changes: Vec::new(), upto: after }),
            }
        }
    }
}

/// The first of these items, as many as fit in a reply; one at least.
fn multi_get(snapshot: &dyn Snapshot, keys: &[ItemKey]) -> Result<Vec<Option<Item>>, StorageError> {
    let (mut items, mut bytes) = (Vec::with_capacity(keys.len()), 0);
    for key in keys {
        let item = snapshot.get(key)?;
        bytes += item.as_ref().map_or(0, |item| item.value.len());
        if bytes > QUERY_BYTES_MAX && !items.is_empty() {
            break;
        }
        items.push(item);
    }
    Ok(items)
}

/// A page of at most `limit` items that fits in a reply, and whether the table ends with it.
fn scan_page(snapshot: &dyn Snapshot, request: &ScanRequest, limit: usize) -> Result<ScanReply, StorageError> {
    let (mut items, mut bytes): (Vec<(ItemKey, Item)>, usize) = (Vec::new(), 0);
    loop {
        // Values are read whole, so not many at a time; and one more than wanted, to see the end.
        let asked = SCAN_STEP.min(limit + 1 - items.len());
        let after = items.last().map(|(key, _)| key).or(request.after.as_ref());
        let found = snapshot.scan(request.table, after, asked)?;
        let end = found.len() < asked;
        for (key, item) in found {
            bytes += key.partition_key.len() + key.sort_key.len() + item.value.len();
            if items.len() == limit || (bytes > QUERY_BYTES_MAX && !items.is_empty()) {
                return Ok(ScanReply { items, end: false });
            }
            items.push((key, item));
        }
        if end {
            return Ok(ScanReply { items, end });
        }
    }
}

/// What an entry changed among the keys watched.
fn changes(entry: &LogEntry, keys: &[WatchKey]) -> Vec<Change> {
    let watched = |key: &ItemKey| keys.iter().any(|w| w.table == key.table && w.partition_key == key.partition_key);
    entry
        .effects
        .iter()
        .filter(|effect| watched(effect.key()))
        .map(|effect| Change {
            version: entry.version,
            key: effect.key().clone(),
            item: match effect {
                Effect::Put { value, expires, .. } => {
                    Some(Item { value: value.clone(), version: entry.version, time: entry.time, expires: *expires })
                }
                Effect::Delete { .. } => None,
            },
        })
        .collect()
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(storage_fault),
        Err(error) => Err(Fault::Unknown(error.to_string())),
    }
}
