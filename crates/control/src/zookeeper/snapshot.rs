//! Snapshots of the state, in pieces, and what they make superfluous.
//!
//! A snapshot is named by the header only once it is there in full; the header says which entries are kept
//! before the others go. So who reads and does not find what the header named reads a newer header.

use super::Shared;
use super::election::Mine;
use super::journal::{Image, PERSISTENT, Tail, unavailable};
use super::records::{Header, PIECE_BYTES, SNAPSHOT_BYTES_MAX, SnapshotName, piece_name};
use super::session::{OPERATION, within};
use crate::codec::{seal, unseal};
use crate::state::State;
use crate::store::MetadataError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zookeeper_client::{Client, Error, MultiWriteError};

/// Entries between snapshots.
const EVERY: u64 = 256;
/// Bytes of entries between snapshots.
const EVERY_BYTES: usize = 8 * 1024 * 1024;
/// Entries kept behind a snapshot, for readers that are a little late.
const KEPT: u64 = 64;
/// Pieces asked for at once.
const WINDOW: usize = 8;
/// Znodes deleted at once.
const CHUNK: usize = 100;
/// Tries of naming a snapshot while others write.
const TRIES: usize = 8;

impl Shared {
    /// The state in the snapshot that this header names. None: it is not there any more.
    pub(super) async fn load_snapshot(&self, client: &Client, header: &Header) -> Result<Option<Image>, MetadataError> {
        let damaged = |why: String| MetadataError::Damaged(format!("the snapshot in ZooKeeper: {why}"));
        let name = header.snapshot.as_ref().ok_or_else(|| damaged("there is none, and entries are missing".into()))?;
        if name.pieces as usize > SNAPSHOT_BYTES_MAX / PIECE_BYTES + 1 {
            return Err(damaged(format!("{} pieces", name.pieces)));
        }
        let mut sealed = Vec::new();
        let pieces: Vec<u32> = (0..name.pieces).collect();
        for window in pieces.chunks(WINDOW) {
            let reads = window.iter().map(|piece| {
                let path = self.paths.piece(name, *piece);
                async move { within(client.get_data(&path)).await }
            });
            for read in futures::future::join_all(reads).await {
                match read {
                    Ok((bytes, _)) => sealed.extend_from_slice(&bytes),
                    Err(Error::NoNode) => return Ok(None),
                    Err(error) => return Err(unavailable(error)),
                }
            }
        }
        let (state, position): (State, u64) = unseal(&sealed).map_err(damaged)?;
        if position != name.position {
            return Err(damaged(format!("it is of entry {position}, not of {}", name.position)));
        }
        Ok(Some(Image { state, position }))
    }

    /// Makes a snapshot if it is time to; one at a time.
    pub(super) fn save_if_due(self: &Arc<Self>, tail: &Tail, mine: &Mine) {
        let Some(seen) = &tail.header else { return };
        let saved = seen.header.snapshot.as_ref().map_or(0, |name| name.position);
        let due = seen.header.position >= saved + EVERY || tail.unsaved_bytes >= EVERY_BYTES;
        if !due || self.saving.swap(true, Ordering::SeqCst) {
            return;
        }
        let (shared, mine) = (self.clone(), mine.clone());
        tokio::spawn(async move {
            match shared.save(&mine).await {
                Ok(()) => {}
                Err(error @ MetadataError::Invalid(_)) => shared.tell(&error),
                Err(error) => tracing::debug!(%error, "no snapshot was made"),
            }
            shared.saving.store(false, Ordering::SeqCst);
        });
    }

    async fn save(&self, mine: &Mine) -> Result<(), MetadataError> {
        let client = self.client()?;
        let image = self.image.read().clone();
        let (position, state) = (image.position, image.state);
        let sealing = tokio::task::spawn_blocking(move || seal(&(state, position))).await;
        let sealed = sealing.map_err(unavailable)?.map_err(MetadataError::Invalid)?;
        if sealed.len() > SNAPSHOT_BYTES_MAX {
            return Err(MetadataError::Invalid(format!("the metadata has grown to {} bytes", sealed.len())));
        }
        let pieces = sealed.chunks(PIECE_BYTES);
        let name = SnapshotName { position, term: mine.token.term, pieces: pieces.len() as u32 };
        for (piece, bytes) in (0..).zip(pieces) {
            match within(client.create(&self.paths.piece(&name, piece), bytes, &PERSISTENT)).await {
                // Of an earlier try: the same state gives the same bytes.
                Ok(_) | Err(Error::NodeExists) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        let first = self.name_snapshot(&client, mine, &name).await?;
        self.clear(&client, mine, &name, first).await
    }

    /// Says in the header that it is there. Returns the first entry that is kept.
    async fn name_snapshot(&self, client: &Client, mine: &Mine, name: &SnapshotName) -> Result<u64, MetadataError> {
        let mut tail = self.journal.lock().await;
        for _ in 0..TRIES {
            let Some(seen) = tail.header.clone() else {
                self.catch_up(client, &mut tail).await?;
                continue;
            };
            let first = seen.header.first.max((name.position + 1).saturating_sub(KEPT));
            let header = Header { first, snapshot: Some(name.clone()), ..seen.header };
            let mut multi = client.new_multi_writer();
            let bytes = seal(&header).map_err(MetadataError::Invalid)?;
            multi.add_check_version(&mine.path, -1).map_err(unavailable)?;
            multi.add_set_data(&self.paths.header(), &bytes, Some(seen.version)).map_err(unavailable)?;
            let written = tokio::time::timeout(OPERATION, multi.commit()).await;
            // Read again, whatever came of it: what was asked for may also have been done unheard.
            tail.header = None;
            match written {
                Ok(Ok(_)) => {
                    tail.unsaved_bytes = 0;
                    self.catch_up(client, &mut tail).await?;
                    return Ok(first);
                }
                Ok(Err(MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion })) => {}
                Ok(Err(error)) => return Err(unavailable(error)),
                Err(_) => return Err(unavailable("no answer in time")),
            }
        }
        Err(unavailable("the header changes all the time"))
    }

    /// Deletes what the header names no more.
    async fn clear(&self, client: &Client, mine: &Mine, name: &SnapshotName, first: u64) -> Result<(), MetadataError> {
        let log = within(client.list_children(&self.paths.log())).await.map_err(unavailable)?;
        let old_entry = |entry: &String| entry.parse::<u64>().is_ok_and(|position| position < first);
        let mut gone: Vec<String> =
            log.iter().filter(|entry| old_entry(entry)).map(|entry| format!("{}/{entry}", self.paths.log())).collect();
        let pieces = within(client.list_children(&self.paths.snapshots())).await.map_err(unavailable)?;
        let kept: Vec<String> = (0..name.pieces).map(|piece| piece_name(name, piece)).collect();
        // One that is newer is being made by a newer leader.
        let old = |piece: &String| {
            let position = piece.split('-').next().and_then(|text| text.parse::<u64>().ok());
            position.is_some_and(|position| position <= name.position) && !kept.contains(piece)
        };
        gone.extend(pieces.iter().filter(|p| old(p)).map(|piece| format!("{}/{piece}", self.paths.snapshots())));
        for chunk in gone.chunks(CHUNK) {
            let mut multi = client.new_multi_writer();
            multi.add_check_version(&mine.path, -1).map_err(unavailable)?;
            chunk.iter().try_for_each(|path| multi.add_delete(path, None)).map_err(unavailable)?;
            match tokio::time::timeout(OPERATION, multi.commit()).await {
                Ok(Ok(_)) => {}
                // The next snapshot's leader looks again.
                Ok(Err(error)) => return Err(unavailable(error)),
                Err(_) => return Err(unavailable("no answer in time")),
            }
        }
        Ok(())
    }
}
