//! The log in ZooKeeper: read by every node, written by the one that leads.
//!
//! A write is one atomic multi-operation: the writer's registration is there, the header is at the
//! version that the writer knows, the header goes one further, the entry is made. So a batch is ordered
//! only by the leader, after everything that came before it, and a leader whose registration is gone
//! orders nothing more. What became of a write whose answer was lost is told by the log itself: the header
//! is at the old version still, then the same write is tried again and cannot happen twice; or the entry
//! with the write's own id is there.

use super::Shared;
use super::election::Mine;
use super::records::{Entry, Header};
use super::session::{refused, within};
use crate::codec::{seal, unseal};
use crate::state::State;
use crate::store::{Batch, Committed, LifeChange, MetadataError};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, MultiWriteError, MultiWriteResult, Stat};

/// Entries asked for at once.
const WINDOW: u64 = 32;
/// Looks at a log that changes under the reader's hands before it gives up for now.
const LOOKS: usize = 16;
/// How many of the last writes are known by their id.
const RECENT: usize = 64;
/// How long a write may take before its outcome is given up as unknown.
const PATIENCE: Duration = Duration::from_secs(4);

/// Only who knows the cluster's secret may read or write.
pub(super) const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::creator_all());

/// The state and how far in the log it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub state: State,
    pub position: u64,
}

/// The header as this node last saw it, and the last writes.
#[derive(Default)]
pub(super) struct Tail {
    pub header: Option<Seen>,
    recent: VecDeque<(u128, u64)>,
    /// Entries since the last snapshot, in bytes.
    pub unsaved_bytes: usize,
}

/// A header, and when it was written.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub header: Header,
    pub version: i32,
    mzxid: i64,
}

impl Tail {
    fn outcome(&self, id: u128) -> Option<Committed> {
        self.recent.iter().find(|(known, _)| *known == id).map(|(_, revision)| Committed { revision: *revision })
    }

    fn remember(&mut self, id: u128, revision: u64) {
        self.recent.push_back((id, revision));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> MetadataError {
    MetadataError::Unavailable(error.to_string())
}

fn damaged(what: &str, error: impl std::fmt::Display) -> MetadataError {
    MetadataError::Damaged(format!("{what} in ZooKeeper: {error}"))
}

impl Shared {
    /// Takes a header's bytes. An error: it is not this cluster's, or damaged.
    pub(super) fn seen(&self, bytes: &[u8], stat: &Stat) -> Result<Seen, MetadataError> {
        let header: Header = unseal(bytes).map_err(|error| damaged("the header", error))?;
        if header.cluster != self.cluster {
            return Err(MetadataError::Invalid(format!(
                "{} keeps the metadata of another cluster ({}): give this one a path of its own",
                self.place, header.cluster
            )));
        }
        Ok(Seen { header, version: stat.version, mzxid: stat.mzxid })
    }

    pub(super) async fn read_header(&self, client: &Client) -> Result<Seen, MetadataError> {
        match within(client.get_data(&self.paths.header())).await {
            Ok((bytes, stat)) => self.seen(&bytes, &stat),
            Err(error) => Err(self.missing_header(error)),
        }
    }

    pub(super) fn missing_header(&self, error: Error) -> MetadataError {
        match error {
            Error::NoNode => unavailable(format!("{} holds no metadata: was it deleted?", self.place)),
            Error::NoAuth => MetadataError::Invalid(format!(
                "{} may not be read: it is another cluster's, or was made with another secret",
                self.place
            )),
            other => unavailable(format!("{}: {other}", self.place)),
        }
    }

    /// Reads everything up to the header that is there now.
    pub(super) async fn catch_up(&self, client: &Client, tail: &mut Tail) -> Result<(), MetadataError> {
        for _ in 0..LOOKS {
            let seen = self.read_header(client).await?;
            // It was read after everything that this node knows of.
            if tail.header.as_ref().is_some_and(|known| known.mzxid > seen.mzxid) {
                return Err(self.put_back(&seen, self.image.read().position));
            }
            if self.advance(client, tail, seen).await? {
                return Ok(());
            }
        }
        Err(unavailable("the log in ZooKeeper changes faster than it can be read"))
    }

    /// Reads up to this header, unless a newer one is known. False: what it names is not there any more.
    pub(super) async fn advance(&self, client: &Client, tail: &mut Tail, seen: Seen) -> Result<bool, MetadataError> {
        if tail.header.as_ref().is_some_and(|known| known.mzxid >= seen.mzxid) {
            return Ok(true);
        }
        let mut position = self.image.read().position;
        if seen.header.position < position {
            return Err(self.put_back(&seen, position));
        }
        if position + 1 < seen.header.first {
            let Some(image) = self.load_snapshot(client, &seen.header).await? else { return Ok(false) };
            position = image.position;
            self.show(image);
        }
        while position < seen.header.position {
            let upto = seen.header.position.min(position + WINDOW);
            let reads = (position + 1..=upto).map(|at| {
                let path = self.paths.entry(at);
                async move { within(client.get_data(&path)).await }
            });
            for read in futures::future::join_all(reads).await {
                let bytes = match read {
                    Ok((bytes, _)) => bytes,
                    Err(Error::NoNode) => return Ok(false),
                    Err(error) => return Err(unavailable(error)),
                };
                position += 1;
                let entry: Entry = unseal(&bytes).map_err(|error| damaged(&format!("entry {position}"), error))?;
                self.replay(tail, entry, position, bytes.len())?;
            }
        }
        tail.header = Some(seen);
        Ok(true)
    }

    fn put_back(&self, seen: &Seen, position: u64) -> MetadataError {
        let at = seen.header.position;
        let place = &self.place;
        unavailable(format!("{place} is at entry {at} and was at {position}: was an older copy of its data put back?"))
    }

    fn replay(&self, tail: &mut Tail, entry: Entry, position: u64, bytes: usize) -> Result<Committed, MetadataError> {
        let committed = {
            let mut image = self.image.write();
            // The writer has tried it on the same state.
            let applied = image.state.apply(entry.batch, entry.leadership);
            let committed = applied.map_err(|error| damaged(&format!("entry {position}"), error))?;
            image.position = position;
            committed
        };
        tail.remember(entry.id, committed.revision);
        tail.unsaved_bytes += bytes;
        self.announce(committed.revision);
        Ok(committed)
    }

    fn show(&self, image: Image) {
        let revision = image.state.revision();
        *self.image.write() = image;
        self.announce(revision);
    }

    fn announce(&self, revision: u64) {
        self.revision.send_if_modified(|seen| {
            let newer = revision > *seen;
            *seen = revision.max(*seen);
            newer
        });
    }

    /// Proves that the registration is there and that the image is all there is, by a write of the ensemble's majority.
    pub(super) async fn prove(&self, client: &Client, tail: &mut Tail, mine: &Mine) -> Result<(), MetadataError> {
        for _ in 0..LOOKS {
            let Some(version) = tail.header.as_ref().map(|seen| seen.version) else {
                self.catch_up(client, tail).await?;
                continue;
            };
            let begun = Instant::now();
            let mut multi = client.new_multi_writer();
            multi.add_check_version(&mine.path, -1).map_err(unavailable)?;
            multi.add_check_version(&self.paths.header(), version).map_err(unavailable)?;
            let proved = tokio::time::timeout(super::session::OPERATION, multi.commit()).await;
            self.pace.took(begun.elapsed());
            match proved {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(MultiWriteError::OperationFailed { index: 0, source: Error::NoNode })) => {
                    return Err(self.deposed(mine));
                }
                Ok(Err(MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion })) => {
                    self.catch_up(client, tail).await?;
                }
                Ok(Err(error)) => return Err(unavailable(format!("{}: {error}", self.place))),
                Err(_) => return Err(unavailable(format!("{} does not answer", self.place))),
            }
        }
        Err(unavailable("the log in ZooKeeper changes faster than it can be read"))
    }

    /// Orders a batch, with what it begins and ends of lives.
    pub(super) async fn order(&self, batch: Batch, lives: &[LifeChange]) -> Result<Committed, MetadataError> {
        let deadline = Instant::now() + PATIENCE;
        let mine = self.leading()?;
        let mut client = self.client()?;
        let Ok(mut guard) = tokio::time::timeout_at(deadline, self.journal.lock()).await else {
            return Err(unavailable(format!("{} does not answer", self.place)));
        };
        let tail = &mut *guard;
        let entry = Entry { id: rand::random(), leadership: mine.token, batch };
        let sealed = seal(&entry).map_err(MetadataError::Invalid)?;
        // The header that an earlier try was made on, which may have been, or may yet be, carried out.
        let mut open: Option<i64> = None;
        loop {
            match self.try_once(&client, tail, &mine, &entry, &sealed, lives).await {
                Tried::Done(committed) => return Ok(committed),
                Tried::Refused(error) if open.is_none() => return Err(error),
                Tried::Refused(error) => {
                    // Of the earlier try it is not known: nothing of it may come later.
                    if self.overtake(&client, tail).await {
                        return tail.outcome(entry.id).ok_or(error);
                    }
                }
                Tried::Moved => {}
                Tried::Unknown(why) => {
                    tracing::debug!(%why, "finding out what became of a write");
                    open = tail.header.as_ref().map(|seen| seen.mzxid);
                    // Whatever the header is at now, it is to be read.
                    client = self.reconnect(&client, deadline).await;
                }
            }
            if Instant::now() >= deadline {
                return Err(match open {
                    Some(_) => MetadataError::Unknown(format!("{} did not answer in time", self.place)),
                    None => unavailable(format!("{} does not answer", self.place)),
                });
            }
            match self.catch_up(&client, tail).await {
                Ok(()) => {
                    if let Some(committed) = tail.outcome(entry.id) {
                        return Ok(committed);
                    }
                    // What was sent carries a version of the header that is no more.
                    open = open.filter(|at| tail.header.as_ref().is_some_and(|seen| seen.mzxid == *at));
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot read the log");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// The session, connected again, or the one after it; or the last one, when there is none in time.
    async fn reconnect(&self, last: &Client, deadline: Instant) -> Client {
        while Instant::now() < deadline {
            if let Ok(client) = self.sessions.connected()
                // After this its reads see what was carried out before.
                && within(client.sync(&self.paths.header())).await.is_ok()
            {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        last.clone()
    }

    /// Moves the header on without an entry, so that nothing sent before can be carried out any more, and
    /// reads what was. False: that is not known.
    async fn overtake(&self, client: &Client, tail: &mut Tail) -> bool {
        let Some(seen) = tail.header.clone() else { return self.catch_up(client, tail).await.is_ok() };
        let Ok(bytes) = seal(&seen.header) else { return false };
        match within(client.set_data(&self.paths.header(), &bytes, Some(seen.version))).await {
            Ok(stat) => {
                tail.header = Some(Seen { version: stat.version, mzxid: stat.mzxid, ..seen });
                true
            }
            Err(Error::BadVersion) => self.catch_up(client, tail).await.is_ok(),
            Err(_) => false,
        }
    }

    async fn try_once(
        &self,
        client: &Client,
        tail: &mut Tail,
        mine: &Mine,
        entry: &Entry,
        sealed: &[u8],
        lives: &[LifeChange],
    ) -> Tried {
        let Some(seen) = tail.header.clone() else { return Tried::Moved };
        let (checked, position) = {
            let image = self.image.read();
            (image.state.check(&entry.batch, mine.token), image.position)
        };
        if position != seen.header.position {
            tail.header = None;
            return Tried::Moved;
        }
        if checked.is_err() || (entry.batch.operations.is_empty() && lives.is_empty()) {
            // Said of the newest state, by who leads now.
            if let Err(error) = self.prove(client, tail, mine).await {
                return Tried::Refused(error);
            }
            let image = self.image.read();
            return match image.state.check(&entry.batch, mine.token) {
                Ok(()) if entry.batch.operations.is_empty() => {
                    Tried::Done(Committed { revision: image.state.revision() })
                }
                Ok(()) => Tried::Moved,
                Err(error) => Tried::Refused(error),
            };
        }
        let header = Header { position: position + 1, ..seen.header };
        let lives = match self.life_operations(client, lives).await {
            Ok(lives) => lives,
            Err(error) => return Tried::Refused(error),
        };
        let begun = Instant::now();
        let written = async {
            let mut multi = client.new_multi_writer();
            multi.add_check_version(&mine.path, -1)?;
            multi.add_set_data(&self.paths.header(), &seal(&header).unwrap_or_default(), Some(seen.version))?;
            multi.add_create(&self.paths.entry(header.position), sealed, &PERSISTENT)?;
            lives.iter().try_for_each(|life| life.add(&mut multi))?;
            multi.commit().await
        };
        let written = tokio::time::timeout(super::session::OPERATION, written).await;
        self.pace.took(begun.elapsed());
        let source = match written {
            Ok(Ok(results)) => return self.written(tail, entry, header, sealed.len(), &results),
            Ok(Err(MultiWriteError::OperationFailed { index: 0, source: Error::NoNode })) => {
                return Tried::Refused(self.deposed(mine));
            }
            Ok(Err(MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion })) => {
                return Tried::Moved;
            }
            Ok(Err(MultiWriteError::OperationFailed { index, source })) if index >= 3 && refused(&source) => {
                let key = lives.get(index - 3).map_or_else(String::new, |life| life.key());
                return Tried::Refused(MetadataError::Conflict { key, found: None });
            }
            Ok(Err(MultiWriteError::OperationFailed { source, .. } | MultiWriteError::RequestFailed { source })) => {
                source
            }
            Err(_) => Error::Timeout,
        };
        match refused(&source) {
            true => Tried::Refused(unavailable(format!("{}: {source}", self.place))),
            false => Tried::Unknown(source.to_string()),
        }
    }

    fn written(
        &self,
        tail: &mut Tail,
        entry: &Entry,
        header: Header,
        bytes: usize,
        results: &[MultiWriteResult],
    ) -> Tried {
        let position = header.position;
        tail.header = match results.get(1) {
            Some(MultiWriteResult::SetData { stat }) => Some(Seen { header, version: stat.version, mzxid: stat.mzxid }),
            // Read again.
            _ => None,
        };
        match self.replay(tail, entry.clone(), position, bytes) {
            Ok(committed) => Tried::Done(committed),
            Err(error) => Tried::Refused(error),
        }
    }
}

/// What came of one try.
enum Tried {
    Done(Committed),
    /// The header was another: it surely was not carried out, nor will any earlier one be.
    Moved,
    /// Surely not carried out, this time.
    Refused(MetadataError),
    /// Nobody knows.
    Unknown(String),
}
