//! The replicated state machine: applies committed batches in memory, and makes,
//! keeps and installs snapshots of itself. Durable are only snapshot and log;
//! the state is rebuilt from them at start.

use super::disk::{Disk, Task};
use super::types::{
    Applied, Entry, LogId, Membership, SnapshotMeta, StorageError, StorageIOError, Types, seal, token, unseal,
};
use crate::state::State;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::io::{self, Cursor};
use std::sync::Arc;
use tokio::sync::watch;

/// Everything that applied entries have made: what a snapshot holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Image {
    pub(super) state: State,
    pub(super) last_applied: Option<LogId>,
    pub(super) membership: Membership,
}

impl Image {
    fn meta(&self) -> SnapshotMeta {
        let snapshot_id = match self.last_applied {
            Some(id) => format!("{}-{}-{}", id.leader_id.term, id.leader_id.node_id, id.index),
            None => "empty".to_string(),
        };
        SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone(), snapshot_id }
    }
}

/// The applied state, for readers outside the Raft core.
pub(super) struct View {
    pub(super) image: RwLock<Image>,
    revision: watch::Sender<u64>,
}

impl View {
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn announce(&self, revision: u64) {
        self.revision.send_if_modified(|seen| {
            let newer = revision > *seen;
            *seen = revision.max(*seen);
            newer
        });
    }
}

/// The state machine. Clones share the state.
#[derive(Clone)]
pub struct Machine {
    pub(super) view: Arc<View>,
    disk: Disk,
}

impl Machine {
    pub(super) fn new(image: Option<Image>, disk: Disk) -> Machine {
        let image = image.unwrap_or_default();
        let revision = watch::Sender::new(image.state.revision());
        Machine { view: Arc::new(View { image: RwLock::new(image), revision }), disk }
    }
}

fn snapshot_error(meta: &SnapshotMeta, write: bool, error: &io::Error) -> StorageError {
    let error = AnyError::new(error);
    match write {
        true => StorageIOError::write_snapshot(Some(meta.signature()), error).into(),
        false => StorageIOError::read_snapshot(Some(meta.signature()), error).into(),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?.map_err(io::Error::other)
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        let image = self.view.image.read();
        Ok((image.last_applied, image.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut results = Vec::new();
        let revision = {
            let mut image = self.view.image.write();
            for entry in entries {
                image.last_applied = Some(entry.log_id);
                results.push(match entry.payload {
                    EntryPayload::Blank => None,
                    EntryPayload::Normal(batch) => Some(image.state.apply(batch, token(&entry.log_id.leader_id))),
                    EntryPayload::Membership(membership) => {
                        image.membership = Membership::new(Some(entry.log_id), membership);
                        None
                    }
                });
            }
            image.state.revision()
        };
        self.view.announce(revision);
        Ok(results)
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let sealed = snapshot.into_inner();
        let unsealing = blocking(move || unseal::<Image>(&sealed).map(|image| (image, sealed))).await;
        let (image, sealed) = unsealing.map_err(|error| snapshot_error(meta, false, &error))?;
        if image.last_applied != meta.last_log_id {
            let error = io::Error::other("the snapshot is not the one that was announced");
            return Err(snapshot_error(meta, false, &error));
        }
        // Durable before visible: the log in front of it is purged next.
        let written = self.disk.run(|reply| Task::Snapshot { sealed, reply }).await;
        written.map_err(|error| snapshot_error(meta, true, &error))?;
        let revision = image.state.revision();
        *self.view.image.write() = image;
        self.view.announce(revision);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let disk = self.disk.clone();
        let read = blocking(move || {
            let Some(sealed) = disk.read_snapshot().map_err(|error| error.to_string())? else { return Ok(None) };
            Ok(Some((unseal::<Image>(&sealed)?.meta(), sealed)))
        });
        let found = read.await.map_err(|error| snapshot_error(&SnapshotMeta::default(), false, &error))?;
        Ok(found.map(|(meta, sealed)| Snapshot { meta, snapshot: Box::new(Cursor::new(sealed)) }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let image = self.view.image.read().clone();
        let meta = image.meta();
        let sealed = blocking(move || seal(&image)).await.map_err(|error| snapshot_error(&meta, true, &error))?;
        let copy = sealed.clone();
        let written = self.disk.run(|reply| Task::Snapshot { sealed: copy, reply }).await;
        written.map_err(|error| snapshot_error(&meta, true, &error))?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(sealed)) })
    }
}
