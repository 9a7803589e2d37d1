//! Everything that a Raft node keeps on disk, and the one thread that writes it.
//!
//! `<dir>/control/log` is a fjall database with vote, commit index, purge point
//! and log entries; `<dir>/control/snapshot` is the newest snapshot, replaced by
//! renaming; `<dir>/control/tail` is the witness of [`super::tail`].
//!
//! Invariants: tasks take effect in the order of sending; a task is completed
//! only after one sync that covers it; after the first failure every task fails,
//! for what a failed sync left on disk is not known. Values stay below 4000 bytes,
//! for a torn larger one makes the database refuse to open: entries are cut into pieces.

use super::load::{self, Loaded, log_key};
use super::tail::{Tail, TailFile};
use super::types::{LogId, Types, Vote, seal};
use crate::pace::Pace;
use crate::store::MetadataError;
use fjall::{Database, Keyspace, PersistMode};
use openraft::storage::LogFlushed;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Instant;
use storage::StorageError;
use tokio::sync::oneshot;

pub(super) const VOTE_KEY: &[u8] = b"m/vote";
pub(super) const COMMITTED_KEY: &[u8] = b"m/committed";
pub(super) const PURGED_KEY: &[u8] = b"m/purged";
/// Largest value in the database.
const PIECE_BYTES: usize = 3500;
/// Most tasks that share a sync.
const ROUND_MAX: usize = 256;

type Reply = oneshot::Sender<Result<(), String>>;

/// An entry, sealed: its index and its bytes.
pub(super) type Sealed = (u64, Vec<u8>);

pub(super) enum Task {
    Vote {
        vote: Vote,
        reply: Reply,
    },
    Append {
        entries: Vec<Sealed>,
        committed: Option<LogId>,
        done: LogFlushed<Types>,
    },
    /// Deletes entries from this index on.
    Truncate {
        from: u64,
        reply: Reply,
    },
    /// Deletes entries up to this one. The snapshot that replaces them is durable.
    Purge {
        upto: LogId,
    },
    Snapshot {
        sealed: Vec<u8>,
        reply: Reply,
    },
    Stop {
        reply: Reply,
    },
}

/// Sends tasks to the writer thread. The queue is bounded by its users: the Raft
/// core awaits each task before the next, except purges, of which there is one per snapshot.
#[derive(Clone)]
pub(super) struct Disk {
    tasks: mpsc::Sender<Task>,
    folder: PathBuf,
    /// How long writes take.
    pub(super) pace: Arc<Pace>,
    #[cfg(test)]
    pub(super) fail_next_sync: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Disk {
    /// Opens or creates what is on disk, checks it, and starts the writer. Blocks.
    pub(super) fn open(dir: &Path) -> Result<(Disk, Loaded), MetadataError> {
        let stopped = |error: &dyn std::fmt::Display| MetadataError::Stopped(format!("cannot open: {error}"));
        let folder = dir.join("control");
        std::fs::create_dir_all(&folder).map_err(|error| stopped(&error))?;
        let (database, keyspace) = open_database(&folder)?;
        let (mut tail_file, witnessed) = TailFile::open(&folder.join("tail")).map_err(|error| stopped(&error))?;
        let loaded = load::load(&keyspace, &folder)?;
        let tail = Tail { vote: loaded.vote, next_index: loaded.next_index() };
        if let Some(witnessed) = witnessed.filter(|witnessed| !tail.covers(witnessed)) {
            return Err(MetadataError::Damaged(format!("it once held {witnessed:?}, now it ends at {tail:?}")));
        }
        tail_file.witness(tail).map_err(|error| stopped(&error))?;
        let (sender, receiver) = mpsc::channel();
        let disk = Disk {
            tasks: sender,
            folder: folder.clone(),
            pace: Arc::default(),
            #[cfg(test)]
            fail_next_sync: Default::default(),
        };
        let writer = Writer {
            database,
            keyspace,
            tail_file,
            tail,
            folder,
            pace: disk.pace.clone(),
            failed: None,
            last_indexes: loaded.stored_indexes(),
            #[cfg(test)]
            fail_next_sync: disk.fail_next_sync.clone(),
        };
        std::thread::Builder::new()
            .name("control-disk".to_string())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| stopped(&error))?;
        Ok((disk, loaded))
    }

    /// Queues a task. When the writer has stopped, the task is answered with an error.
    pub(super) fn send(&self, task: Task) {
        if let Err(mpsc::SendError(task)) = self.tasks.send(task) {
            complete(task, &Err("it was shut down".to_string()));
        }
    }

    /// Queues a task and waits until it is durable.
    pub(super) async fn run(&self, task: impl FnOnce(Reply) -> Task) -> io::Result<()> {
        let (reply, receiver) = oneshot::channel();
        self.send(task(reply));
        receiver.await.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    /// The newest snapshot, sealed. Blocks.
    pub(super) fn read_snapshot(&self) -> io::Result<Option<Vec<u8>>> {
        load::read_snapshot(&self.folder)
    }
}

fn open_database(folder: &Path) -> Result<(Database, Keyspace), MetadataError> {
    storage::verify_journals(&folder.join("log")).map_err(|error| match error {
        StorageError::Io(error) => MetadataError::Stopped(format!("cannot open: {error}")),
        other => MetadataError::Damaged(other.to_string()),
    })?;
    let open = || {
        // Everything is read once, at opening: no cache worth the name is needed.
        let database = Database::builder(folder.join("log"))
            .cache_size(256 * 1024)
            .max_cached_files(Some(16))
            .worker_threads(1)
            .max_journaling_size(64 * 1024 * 1024)
            .open()?;
        let keyspace =
            database.keyspace("raft", || fjall::KeyspaceCreateOptions::default().max_memtable_size(2 * 1024 * 1024))?;
        Ok((database, keyspace))
    };
    open().map_err(|error: fjall::Error| match error {
        fjall::Error::Locked => MetadataError::Stopped("another process uses this data folder".to_string()),
        fjall::Error::Io(error) => MetadataError::Stopped(format!("cannot open: {error}")),
        other => MetadataError::Damaged(other.to_string()),
    })
}

fn complete(task: Task, result: &Result<(), String>) {
    match task {
        Task::Append { done, .. } => done.log_io_completed(result.clone().map_err(io::Error::other)),
        Task::Vote { reply, .. }
        | Task::Truncate { reply, .. }
        | Task::Snapshot { reply, .. }
        | Task::Stop { reply } => {
            // Nobody waits any longer when the Raft core was stopped meanwhile.
            let _ = reply.send(result.clone());
        }
        Task::Purge { .. } => {}
    }
}

struct Writer {
    database: Database,
    keyspace: Keyspace,
    tail_file: TailFile,
    tail: Tail,
    folder: PathBuf,
    pace: Arc<Pace>,
    failed: Option<String>,
    /// Entries on disk: index → how many pieces.
    last_indexes: std::collections::BTreeMap<u64, u16>,
    #[cfg(test)]
    fail_next_sync: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Writer {
    fn run(mut self, tasks: &mpsc::Receiver<Task>) {
        let mut stop = None;
        while stop.is_none() {
            let Ok(first) = tasks.recv() else { break };
            let mut round = vec![first];
            while let Some(task) = tasks.try_recv().ok().filter(|_| round.len() < ROUND_MAX) {
                round.push(task);
            }
            let result = match &self.failed {
                Some(failure) => Err(failure.clone()),
                None => {
                    let begun = Instant::now();
                    let written = self.write(&mut round);
                    self.pace.took(begun.elapsed());
                    written
                }
            };
            if let Err(failure) = &result
                && self.failed.is_none()
            {
                tracing::error!(%failure, "the metadata's disk failed: this node takes no further part in it");
                self.failed = Some(failure.clone());
            }
            for task in round {
                if let Task::Stop { reply } = task {
                    stop = Some(reply);
                } else {
                    complete(task, &result);
                }
            }
        }
        // The lock on the folder is released before anybody hears that we have stopped.
        drop((self.keyspace, self.database, self.tail_file));
        if let Some(reply) = stop {
            complete(Task::Stop { reply }, &Ok(()));
        }
    }

    /// Makes a round of tasks durable.
    fn write(&mut self, round: &mut [Task]) -> Result<(), String> {
        let mut batch = self.database.batch();
        let mut lowest = None;
        for task in round.iter_mut() {
            match task {
                Task::Vote { vote, .. } => {
                    batch.insert(&self.keyspace, VOTE_KEY, seal(vote)?);
                    self.tail.vote = Some(*vote);
                }
                Task::Append { entries, committed, .. } => {
                    for (index, sealed) in std::mem::take(entries) {
                        let mut pieces = 0u16;
                        for piece in sealed.chunks(PIECE_BYTES) {
                            batch.insert(&self.keyspace, log_key(index, pieces), piece);
                            pieces += 1;
                        }
                        self.last_indexes.insert(index, pieces);
                        self.tail.next_index = index + 1;
                    }
                    if let Some(committed) = committed {
                        batch.insert(&self.keyspace, COMMITTED_KEY, seal(committed)?);
                    }
                }
                Task::Truncate { from, .. } => {
                    for (index, pieces) in self.last_indexes.split_off(from) {
                        (0..pieces).for_each(|piece| batch.remove(&self.keyspace, log_key(index, piece)));
                    }
                    self.tail.next_index = self.tail.next_index.min(*from);
                    lowest = Some(lowest.unwrap_or(u64::MAX).min(self.tail.next_index));
                }
                Task::Purge { upto } => {
                    let kept = self.last_indexes.split_off(&(upto.index + 1));
                    for (index, pieces) in std::mem::replace(&mut self.last_indexes, kept) {
                        (0..pieces).for_each(|piece| batch.remove(&self.keyspace, log_key(index, piece)));
                    }
                    batch.insert(&self.keyspace, PURGED_KEY, seal(upto)?);
                    self.tail.next_index = self.tail.next_index.max(upto.index + 1);
                }
                Task::Snapshot { sealed, .. } => {
                    load::write_snapshot(&self.folder, sealed).map_err(|error| error.to_string())?;
                }
                Task::Stop { .. } => {}
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(next_index) = lowest {
            // The vote is in this very round, perhaps: do not witness it before it is durable.
            self.tail_file.lower(Tail { vote: None, next_index }).map_err(|error| error.to_string())?;
        }
        batch.commit().map_err(|error| error.to_string())?;
        self.sync()?;
        self.tail_file.witness(self.tail).map_err(|error| error.to_string())
    }

    fn sync(&self) -> Result<(), String> {
        #[cfg(test)]
        if self.fail_next_sync.load(std::sync::atomic::Ordering::SeqCst) {
            return Err("sync failed, as the test wanted".to_string());
        }
        self.database.persist(PersistMode::SyncData).map_err(|error| error.to_string())
    }
}
