//! The applier: one thread that puts committed entries into the tables, in order, and does the
//! heavy parts of copies. What it has done it reports like the log writer does.

use crate::health::Health;
use crate::partition::Durable;
use crate::space::Room;
use bytes::Bytes;
use replication::chain::CopyId;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use storage::{StorageEngine, StorageError};
use tokio::sync::mpsc::UnboundedSender;
use types::{HybridTime, LogEntry, PartitionId, Row, RowRange, Seq, Version};

/// Entries put into the tables as one batch, at most.
const BATCH_MAX: usize = 2048;
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

/// Where replicas put that work. Never blocks.
#[derive(Clone)]
pub(crate) struct Applier(Sender<Work>);

impl Applier {
    pub fn start(
        engine: Arc<dyn StorageEngine>,
        room: Arc<Room>,
        done: UnboundedSender<Durable>,
        health: Arc<Health>,
    ) -> std::io::Result<(Applier, std::thread::JoinHandle<()>)> {
        let (sender, queue) = channel();
        let thread = std::thread::Builder::new().name("apply".into()).spawn(move || {
            health.watch_thread("the applier", || {
                if let Err(error) = run(&*engine, &room, &queue, &done) {
                    health.fail(format!("the tables cannot be written: {error}"));
                }
            });
        })?;
        Ok((Applier(sender), thread))
    }

    pub fn push(&self, work: Work) {
        // The thread has ended only when storage has failed, or the node stops.
        let _ = self.0.send(work);
    }
}

fn run(
    engine: &dyn StorageEngine,
    room: &Room,
    queue: &Receiver<Work>,
    done: &UnboundedSender<Durable>,
) -> Result<(), StorageError> {
    let mut batch: Vec<(PartitionId, Arc<LogEntry>)> = Vec::new();
    let mut checkpointed = Instant::now();
    let mut dirty = false;
    loop {
        let work = match queue.recv_timeout(CHECKPOINT_WHEN_FULL) {
            Ok(work) => Some(work),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return engine.checkpoint(),
        };
        let mut next = work;
        while let Some(work) = next.take() {
            match work {
                Work::Apply { partition, entries } => {
                    batch.extend(entries.into_iter().map(|entry| (partition, entry)));
                    dirty = true;
                    if batch.len() < BATCH_MAX {
                        next = queue.try_recv().ok();
                    }
                    if !matches!(next, Some(Work::Apply { .. })) || batch.len() >= BATCH_MAX {
                        room.look(batch.iter().map(|(_, entry)| entry.weight()).sum());
                        flush(engine, &mut batch, done)?;
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
    batch: &mut Vec<(PartitionId, Arc<LogEntry>)>,
    done: &UnboundedSender<Durable>,
) -> Result<(), StorageError> {
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
