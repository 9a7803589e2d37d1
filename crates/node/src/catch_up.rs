//! Reading the log and the tables for catch-up: beside the replicas, no faster than the throttle allows.

use crate::partition::{Partition, SendingCopy};
use crate::throttle::Moved;
use bytes::Bytes;
use replication::chain::{CopyId, Grain, Step, Want};
use std::sync::Arc;
use storage::StorageError;
use types::{Epoch, Found, LogEntry, Piece, RowRange, Seq};

/// Bytes of one read of the log, and of rows in one step of a copy: little enough that nobody waits long
/// behind it.
const TRANSFER_BYTES: usize = 256 * 1024;
/// Bytes of rows in one piece of a coarse outline, and of a fine one.
const COARSE_BYTES: usize = 128 * 1024;
const FINE_BYTES: usize = 8 * 1024;

impl Partition {
    /// Reads, beside the replica, something for a neighbour; `then` hears of it when its turn has come.
    fn aside<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Partition) -> (T, Moved) + Send + 'static,
        then: impl FnOnce(&Arc<Partition>, T) + Send + 'static,
    ) {
        let runtime = self.shared.runtime.clone();
        runtime.spawn(async move {
            let here = self.clone();
            let reading = tokio::task::spawn_blocking(move || {
                here.shared.health.guard(|| format!("partition {}: reading for a neighbour", here.id), || read(&here))
            });
            let Ok(Some((found, moved))) = reading.await else { return };
            tokio::time::sleep(self.shared.throttle.spend(moved)).await;
            then(&self, found);
        });
    }

    /// What could be read; otherwise says so, and none.
    fn checked<T>(&self, read: Result<T, StorageError>, what: &str) -> Option<T> {
        if let Err(error) = &read {
            tracing::error!(partition = %self.id, %error, "cannot read {what}");
            self.shared.health.check(error);
        }
        read.ok()
    }

    /// Reads the log for a neighbour that is behind.
    pub(crate) fn fetch(self: Arc<Self>, epoch: Epoch, from: Seq) {
        let read = move |here: &Partition| {
            let entries = match here.shared.engine.entries(here.id, from, TRANSFER_BYTES) {
                Err(StorageError::Compacted { .. }) => None,
                read => here.checked(read, "the log for catch-up"),
            };
            let bytes = entries.iter().flatten().map(LogEntry::weight).sum();
            (entries, Moved::Entries(bytes))
        };
        self.aside(read, move |here, entries| {
            here.step(|replica, env, _, out| replica.fetched(env, epoch, entries, out));
        });
    }

    /// Reads a step of a copy; the first takes a snapshot.
    pub(crate) fn read_step(self: Arc<Self>, copy: CopyId, index: u32, want: Want) {
        let read = move |here: &Partition| {
            let read = here.checked(here.wanted(copy, want), "the tables for a copy");
            let moved = read.as_ref().map_or(Moved::Rows(0), |(_, moved)| *moved);
            (read.map(|(step, _)| step), moved)
        };
        self.aside(read, move |here, step| {
            here.step(|replica, env, _, out| replica.step_read(env, copy, index, step, out));
        });
    }

    fn wanted(&self, copy: CopyId, want: Want) -> Result<(Step, Moved), StorageError> {
        let mut sending = self.copy.lock();
        if sending.as_ref().is_none_or(|sending| sending.copy != copy) {
            *sending = Some(SendingCopy { copy, snapshot: self.shared.engine.snapshot(self.id)? });
        }
        let Some(SendingCopy { snapshot, .. }) = &*sending else {
            return Err(StorageError::Poisoned("no copy".into()));
        };
        Ok(match want {
            Want::Outline { range, grain } => {
                let piece = if grain == Grain::Coarse { COARSE_BYTES } else { FINE_BYTES };
                let (pieces, read) = snapshot.outline(&range, piece)?;
                let keys: usize = pieces.iter().map(|piece| 34 + piece.upto.as_ref().map_or(0, Bytes::len)).sum();
                (Step::Outline { after: range.after, pieces }, Moved::Outline { read, sent: keys })
            }
            Want::Rows(range) => {
                let export = snapshot.export(&range, TRANSFER_BYTES)?;
                let rows = rpc::codec::encode(&export.rows);
                let range = RowRange { upto: export.next.or(range.upto), ..range };
                let moved = Moved::Rows(rows.len());
                (Step::Rows { range, rows }, moved)
            }
            Want::End => {
                let (version, time) = (snapshot.at(), snapshot.time());
                *sending = None;
                (Step::End { version, time }, Moved::Rows(0))
            }
        })
    }

    /// Compares an outline with what is here. Nothing else touches these tables meanwhile.
    pub(crate) fn compare(self: Arc<Self>, copy: CopyId, index: u32, after: Option<Bytes>, pieces: Vec<Piece>) {
        let about = pieces.len() * FINE_BYTES;
        let read = move |here: &Partition| {
            let found = here.shared.engine.snapshot(here.id).and_then(|here| here.compare(after.as_ref(), &pieces));
            (here.checked(found, "the tables to compare them"), Moved::Compared(about))
        };
        self.aside(read, move |here, found: Option<Found>| {
            if let Some(found) = found {
                here.step(|replica, _, _, out| replica.compared(copy, index, found, out));
            }
        });
    }

    /// Rows of a copy are in the tables. This node has others to serve too: the next come when their turn is.
    pub(crate) fn imported(self: Arc<Self>, copy: CopyId, index: u32, bytes: usize) {
        let wait = self.shared.throttle.spend(Moved::Taken(bytes));
        let runtime = self.shared.runtime.clone();
        runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            self.step(|replica, _, _, out| replica.imported(copy, index, out));
        });
    }
}
