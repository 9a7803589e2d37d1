//! The applier: one thread that puts committed entries into the tables, in order, and does the
//! heavy parts of copies. What it has done it reports like the log writer does.
//!
//! Nobody who puts waits for the tables, and many entries at once cost much less than each by itself: one batch, one
//! row that says how far a partition is, one time to wake this thread and those that it tells. So it lets entries
//! come together for a moment, unless somebody waits for them.

use crate::health::Health;
use crate::partition::Durable;
use crate::space::Room;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use replication::chain::CopyId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{StorageEngine, StorageError};
use tokio::sync::mpsc::UnboundedSender;
use types::{HybridTime, LogEntry, PartitionId, Row, RowRange, Seq, Version};

/// Entries put into the tables as one batch, at most.
const BATCH_MAX: usize = 2048;
/// How long entries may come together. A read of more than one item that needs them says so.
const GATHER: Duration = Duration::from_millis(12);
/// With so much to do it begins at once.
const GATHER_MAX: usize = 1024;
/// How often the tables are made durable, so that recovery has little to replay.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// The same on a full disk, where it gives room back.
const CHECKPOINT_WHEN_FULL: Duration = Duration::from_secs(2);

/// Work for the applier.
pub(crate) enum Work {
    Apply { partition: PartitionId, entries: Vec<Arc<LogEntry>> },
    Void { partition: PartitionId, copy: CopyId },
    Import { partition: PartitionId, copy: CopyId, index: u32, range: RowRange, rows: Bytes },
    Install { partition: PartitionId, copy: CopyId, version: Version, time: HybridTime },
    Stop,
}

impl Work {
    fn may_wait(&self) -> bool {
        matches!(self, Work::Apply { .. })
    }
}

/// What waits to be done.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    /// The thread has nothing to do, and is to be woken by the first thing.
    idle: bool,
    /// How many wait for what is in the queue, or soon will be.
    waiting: usize,
    /// Something in the queue is not to wait.
    urgent: bool,
    /// The thread has ended: nothing is taken any more.
    ended: bool,
}

impl Queue {
    fn push(&self, work: Work) {
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        state.urgent |= !work.may_wait();
        state.work.push_back(work);
        let begin = state.idle || state.hurried();
        drop(state);
        if begin {
            self.ready.notify_one();
        }
    }

    /// What is to be done next, in order; nothing when there was nothing for so long.
    fn next(&self, patience: Duration) -> VecDeque<Work> {
        let mut state = self.state.lock();
        if state.work.is_empty() {
            state.idle = true;
            self.ready.wait_for(&mut state, patience);
            state.idle = false;
        }
        let gathered = Instant::now() + GATHER;
        while !state.work.is_empty() && !state.hurried() && !self.ready.wait_until(&mut state, gathered).timed_out() {}
        state.urgent = false;
        std::mem::take(&mut state.work)
    }
}

/// However the thread ends, what is left is let go.
struct End<'a>(&'a Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        state.work.clear();
    }
}

impl State {
    fn hurried(&self) -> bool {
        self.urgent || self.waiting > 0 || self.work.len() >= GATHER_MAX
    }
}

/// Where replicas put that work. Never blocks. When the last clone goes, the thread ends.
#[derive(Clone)]
pub(crate) struct Applier(Arc<Handle>);

struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.push(Work::Stop);
    }
}

/// Somebody waits for the tables: while this is kept, nothing waits to come together.
pub(crate) struct Hurry(Arc<Queue>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.state.lock().waiting -= 1;
    }
}

impl Applier {
    pub fn start(
        engine: Arc<dyn StorageEngine>,
        room: Arc<Room>,
        done: UnboundedSender<Durable>,
        health: Arc<Health>,
    ) -> std::io::Result<(Applier, std::thread::JoinHandle<()>)> {
        let queue = Arc::new(Queue::default());
        let applier = Applier(Arc::new(Handle(queue.clone())));
        let thread = std::thread::Builder::new().name("apply".into()).spawn(move || {
            let _end = End(&queue);
            health.watch_thread("the applier", || {
                if let Err(error) = run(&*engine, &room, &queue, &done) {
                    health.fail(format!("the tables cannot be written: {error}"));
                }
            });
        })?;
        Ok((applier, thread))
    }

    pub fn push(&self, work: Work) {
        // The thread has ended only when storage has failed, or the node stops.
        self.0.0.push(work);
    }

    /// Somebody is going to wait until the tables have what was committed.
    pub fn hurry(&self) -> Hurry {
        let queue = &self.0.0;
        queue.state.lock().waiting += 1;
        queue.ready.notify_one();
        Hurry(queue.clone())
    }
}

fn run(
    engine: &dyn StorageEngine,
    room: &Room,
    queue: &Queue,
    done: &UnboundedSender<Durable>,
) -> Result<(), StorageError> {
    let mut batch: Vec<(PartitionId, Arc<LogEntry>)> = Vec::new();
    let mut checkpointed = Instant::now();
    let mut dirty = false;
    loop {
        for work in queue.next(CHECKPOINT_WHEN_FULL) {
            if !work.may_wait() {
                flush(engine, room, &mut batch, done)?;
            }
            match work {
                Work::Apply { partition, entries } => {
                    batch.extend(entries.into_iter().map(|entry| (partition, entry)));
                    dirty = true;
                    if batch.len() >= BATCH_MAX {
                        flush(engine, room, &mut batch, done)?;
                    }
                }
                Work::Void { partition, copy } => {
                    engine.begin_copy(partition)?;
                    let _ = done.send(Durable::Voided(partition, copy));
                }
                Work::Import { partition, copy, index, range, rows } => {
                    let bytes = rows.len();
                    let rows: Vec<Row> = rpc::codec::decode(&rows)
                        .map_err(|error| StorageError::Damaged(format!("rows of a copy: {error}")))?;
                    room.look(bytes);
                    engine.import(partition, &range, &rows)?;
                    let _ = done.send(Durable::Imported(partition, copy, index, bytes));
                }
                Work::Install { partition, copy, version, time } => {
                    engine.install(partition, version, time)?;
                    let _ = done.send(Durable::Installed(partition, copy));
                }
                Work::Stop => return engine.checkpoint(),
            }
        }
        flush(engine, room, &mut batch, done)?;
        let every = if room.look(0) == 0 { CHECKPOINT_WHEN_FULL } else { CHECKPOINT_EVERY };
        if dirty && checkpointed.elapsed() >= every {
            engine.checkpoint()?;
            // On a full disk it may have come to nothing.
            (checkpointed, dirty) = (Instant::now(), room.full());
        }
    }
}

fn flush(
    engine: &dyn StorageEngine,
    room: &Room,
    batch: &mut Vec<(PartitionId, Arc<LogEntry>)>,
    done: &UnboundedSender<Durable>,
) -> Result<(), StorageError> {
    if batch.is_empty() {
        return Ok(());
    }
    room.look(batch.iter().map(|(_, entry)| entry.weight()).sum());
    engine.apply(batch)?;
    let mut upto: Vec<(PartitionId, Seq)> = Vec::new();
    let mut referenced = Vec::new();
    for (partition, entry) in batch.drain(..) {
        referenced.extend(entry.effects.iter().filter_map(crate::blocks::referenced));
        match upto.iter_mut().find(|(at, _)| *at == partition) {
            Some((_, seq)) => *seq = entry.version.seq,
            None => upto.push((partition, entry.version.seq)),
        }
    }
    let _ = done.send(Durable::Applied { upto, referenced });
    Ok(())
}
