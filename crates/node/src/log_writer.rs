//! The log writer: one thread that takes everything queued, appends it, syncs once, and only
//! then says that all of it is durable.

use crate::health::Health;
use crate::partition::Durable;
use crate::space::Room;
use crate::throttle::Throttle;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use storage::{StorageEngine, StorageError};
use tokio::sync::mpsc::UnboundedSender;
use types::{PartitionId, Record};

/// Records in one fsync at most, so that the first in a long queue does not wait for the last.
const GROUP_MAX: usize = 4096;
/// An fsync has a price whatever is in it, to this node and to those beside it on the disk. So where records come fast
/// they are given so long since the last one to come together …
const GATHER: Duration = Duration::from_micros(1500);
/// … if in that time at least so many come as things are. One client, or a few, never wait.
const GATHER_MIN: f64 = 8.0;

/// What the log writer is given.
enum Work {
    Append(Append),
    Stop,
}

/// What it writes to, and who makes way for it there.
pub(crate) struct Disk {
    pub engine: Arc<dyn StorageEngine>,
    pub room: Arc<Room>,
    pub throttle: Arc<Throttle>,
}

/// A record on its way into the log.
pub(crate) struct Append {
    pub partition: PartitionId,
    pub number: u64,
    pub record: Record,
}

/// Where replicas put their records. Never blocks: what is under way is bounded by the heads.
#[derive(Clone)]
pub(crate) struct LogWriter(Sender<Work>);

impl LogWriter {
    pub fn start(
        disk: Disk,
        durable: UnboundedSender<Durable>,
        health: Arc<Health>,
    ) -> std::io::Result<(LogWriter, std::thread::JoinHandle<()>)> {
        let (sender, queue) = channel();
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || {
            health.watch_thread("the log writer", || {
                if let Err(error) = run(&disk, &queue, &durable) {
                    health.fail(format!("the log cannot be written: {error}"));
                }
            });
        })?;
        Ok((LogWriter(sender), thread))
    }

    pub fn append(&self, append: Append) {
        // The thread has ended only when storage has failed: then nothing becomes durable any more.
        let _ = self.0.send(Work::Append(append));
    }

    /// Ends the thread once everything before is durable.
    pub fn stop(&self) {
        let _ = self.0.send(Work::Stop);
    }
}

fn run(disk: &Disk, queue: &Receiver<Work>, durable: &UnboundedSender<Durable>) -> Result<(), StorageError> {
    let mut records = Vec::new();
    let mut stopping = false;
    let (mut begun, mut rate) = (Instant::now(), 0.0);
    while !stopping {
        let Ok(first) = queue.recv() else { return Ok(()) };
        if rate * GATHER.as_secs_f64() >= GATHER_MIN {
            std::thread::sleep(GATHER.saturating_sub(begun.elapsed()));
        }
        let since = begun.elapsed();
        begun = Instant::now();
        let mut done: Vec<(PartitionId, u64)> = Vec::new();
        for work in std::iter::once(first).chain(queue.try_iter().take(GROUP_MAX - 1)) {
            let Work::Append(append) = work else {
                stopping = true;
                break;
            };
            match done.iter_mut().find(|(partition, _)| *partition == append.partition) {
                Some((_, number)) => *number = append.number,
                None => done.push((append.partition, append.number)),
            }
            records.push(append.record);
        }
        if records.is_empty() {
            continue;
        }
        rate = records.len() as f64 / since.as_secs_f64().max(1e-6);
        disk.room.look(records.iter().map(weight).sum());
        append(&*disk.engine, &records, &disk.room)?;
        disk.room.look(0);
        let syncing = Instant::now();
        disk.engine.sync()?;
        disk.throttle.synced(syncing.elapsed());
        records.clear();
        if durable.send(Durable::Logged(done)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn weight(record: &Record) -> usize {
    if let Record::Entry { entry, .. } = record { entry.weight() } else { 0 }
}

/// What is ordered is written, even on a full disk: when it does not fit, room is made for it and
/// waited for. Not for ever: without this node the chain goes on.
fn append(engine: &dyn StorageEngine, records: &[Record], room: &Room) -> Result<(), StorageError> {
    const GIVE_UP_AFTER: Duration = Duration::from_secs(3);
    const AGAIN_AFTER: Duration = Duration::from_millis(50);
    let begun = Instant::now();
    loop {
        match engine.append(records) {
            Err(StorageError::Full { .. }) if begun.elapsed() < GIVE_UP_AFTER => {
                room.give_way();
                std::thread::sleep(AGAIN_AFTER);
            }
            other => return other,
        }
    }
}
