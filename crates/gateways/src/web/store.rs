//! From bytes that arrive to a file in a drive.
//!
//! Bytes become blocks as they come; the entry is one small write afterwards, which
//! is tried again by itself while a part of the cluster fails over, so that nobody sends a
//! long file twice because of its last step.

use super::WebState;
use super::intake::{bounded, is_too_long};
use super::place::InDrive;
use super::problem::Problem;
use apps::drive::locks::Locks;
use apps::drive::objects::ObjectKey;
use apps::drive::{Entry, FileInfo, NewFile, PutCondition, RecentAct};
use apps::{DriveError, DriveId, DriveRole, Drives, PartsId, VersionId};
use bytes::Bytes;
use client::{Body, ClientError, Content, UploadId};
use futures::Stream;
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify, KeyHash};

/// How long the last step is tried.
const COMMIT_WITHIN: Duration = Duration::from_secs(15);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a finished upload is told of itself.
pub(super) struct Stored {
    pub entry: Entry,
    /// Machines that surely have it.
    pub copies: usize,
    /// Machines that are to have it, in the end.
    pub wanted: usize,
}

impl Stored {
    fn new(state: &WebState, drive: DriveId, source: &Source, entry: Entry) -> Stored {
        let layout = state.inner.client.layout();
        // On fewer machines there is none for the rest to come to.
        let wanted = usize::from(layout.replicas_wanted).min(layout.nodes.len());
        let copies = copies(state, drive, source);
        Stored { entry, copies, wanted: wanted.max(copies) }
    }
}

/// A file on its way into a drive.
#[derive(Clone)]
pub(super) struct Upload {
    pub drive: DriveId,
    /// What its owner may keep.
    pub quota: Option<u64>,
    pub path: String,
    pub new: NewFile,
    pub condition: PutCondition,
    /// It was tried before, and the answer was lost: what is there already by that name and content is it.
    pub again: bool,
    /// The locks that it was judged by, where locks count.
    pub locks: Option<Locks>,
}

impl Upload {
    /// Would it be refused whatever its content, or for its length if that is known? Better said before the bytes come.
    pub async fn check(&self, state: &WebState, length: Option<u64>) -> Result<Room, DriveError> {
        // The drive judges a put that cannot change anything as it would the real one.
        let path = apps::drive::DrivePath::parse(&self.path)?;
        let Some(parent) = path.parent() else {
            return Err(DriveError::IsAFolder { path: path.to_string() });
        };
        let folder = state.inner.drives.stat(self.drive, &parent.to_string()).await?;
        if !folder.is_folder() {
            return Err(DriveError::NotAFolder { path: parent.to_string() });
        }
        let there = match state.inner.drives.stat(self.drive, &self.path).await {
            Ok(entry) => Some(entry),
            Err(DriveError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let freed = there.as_ref().and_then(Entry::file).map_or(0, |file| file.size);
        let there_version = there.as_ref().and_then(Entry::file).map(|file| file.version);
        match (&self.condition, there) {
            // Sent once before, and applied: the put itself says so.
            _ if there_version == Some(self.new.version) => {}
            (PutCondition::CreateNew, Some(_)) if !self.again => {
                return Err(DriveError::Exists { path: self.path.clone() });
            }
            (_, Some(entry)) if entry.is_folder() => return Err(DriveError::IsAFolder { path: self.path.clone() }),
            _ => {}
        }
        let left = state.inner.drives.within(self.quota).room(self.drive).await?;
        let room = Room { left, freed };
        room.judge(length.unwrap_or(0))?;
        Ok(room)
    }

    /// Takes the bytes in, and puts the file.
    pub async fn run(
        self,
        state: &WebState,
        at: &InDrive,
        room: Room,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Stored, Problem> {
        let _place = state.inner.uploads.share(at.who()).place().await?;
        let content = state.inner.client.write_blob_stream(UploadId::random(), room.bound(source)).await;
        let content = content.map_err(|error| room.told(error))?;
        still_allowed(state, at).await?;
        Ok(self.commit(state, &Source::Content(content)).await?)
    }

    /// Puts the file whose blocks are stored.
    pub async fn commit(mut self, state: &WebState, source: &Source) -> Result<Stored, DriveError> {
        let deadline = Instant::now() + COMMIT_WITHIN;
        let mut drives = state.inner.drives.within(self.quota);
        if let Some(locks) = &self.locks {
            drives = drives.keeping(locks);
        }
        let (mut pause, mut unknown) = (PAUSE_FIRST, None);
        loop {
            let drive = self.drive;
            let error = match self.put(&drives, source).await {
                Ok(entry) => {
                    drives.thumbnail_soon(drive, &entry);
                    if let Some(user) = self.new.by {
                        drives.note(user, drive, &entry, RecentAct::Uploaded);
                    }
                    return Ok(Stored::new(state, drive, source, entry));
                }
                Err(error) => error,
            };
            match (&error, error.action()) {
                (DriveError::Exists { .. }, _) if self.again => {
                    let same = |file: &FileInfo| match source {
                        Source::Content(content) => (file.hash, file.size) == (content.hash, content.size),
                        // Parts that were used say themselves what they became.
                        Source::Parts(..) => false,
                    };
                    return match state.inner.drives.stat(drive, &self.path).await {
                        Ok(entry) if entry.file().is_some_and(same) => Ok(Stored::new(state, drive, source, entry)),
                        // An earlier try may have been applied, and be overtaken by now.
                        Ok(_) => Err(unknown.unwrap_or(error)),
                        Err(error) => Err(unknown.unwrap_or(error)),
                    };
                }
                // Surely given up: its version will not do any more.
                (DriveError::Conflict { .. }, _) => self.new.version = VersionId::random(),
                (_, Action::Retry | Action::RefreshLayout) => {}
                (_, Action::Unknown) => {
                    self.again = true;
                    unknown = Some(error.clone());
                }
                // An earlier try may have been applied, and be overtaken by now.
                (_, Action::Rejected | Action::Fatal) => return Err(unknown.unwrap_or(error)),
            }
            if Instant::now() + pause > deadline {
                return Err(unknown.unwrap_or(error));
            }
            tracing::debug!(%error, "a put is tried again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// What may come to where a file is to go: what comes beyond it would be refused at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Bytes more that the drive takes; none: there is no bound.
    left: Option<u64>,
    /// Bytes of what is replaced: whether they go with it is known at the end.
    freed: u64,
}

impl Room {
    /// For a file beside what is there.
    pub async fn beside(state: &WebState, drive: DriveId, quota: Option<u64>) -> Result<Room, DriveError> {
        Ok(Room { left: state.inner.drives.within(quota).room(drive).await?, freed: 0 })
    }

    fn judge(self, length: u64) -> Result<(), DriveError> {
        let needed = length.saturating_sub(self.freed);
        match self.left {
            Some(room) if needed > room => Err(DriveError::Quota { needed, room }),
            _ => Ok(()),
        }
    }

    /// The bytes of a file, as long as there is room for them.
    pub fn bound(
        self,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin {
        bounded(source, self.left.map_or(u64::MAX, |left| left.saturating_add(self.freed)))
    }

    /// Why the bytes were not taken.
    pub fn told(self, error: ClientError) -> DriveError {
        match self.left {
            Some(room) if is_too_long(&error) => DriveError::Quota { needed: room.saturating_add(1), room },
            _ => error.into(),
        }
    }
}

/// Where the bytes of a file are.
pub(super) enum Source {
    /// Stored and pinned.
    Content(Content),
    /// In the parts of an upload.
    Parts(PartsId, ObjectKey),
}

impl Upload {
    async fn put(&self, drives: &Drives, source: &Source) -> Result<Entry, DriveError> {
        let (drive, new, condition) = (self.drive, self.new.clone(), self.condition.clone());
        match source {
            Source::Content(content) => drives.put_file(drive, &self.path, content.clone(), new, condition).await,
            Source::Parts(id, key) => {
                let upload = drives.upload(drive, *id, key).await?;
                // The upload itself makes that it is put once; what was refused under another name needs another version.
                let new = NewFile { version: VersionId::random(), ..new };
                drives.complete_file(drive, &upload, &self.path, new, condition).await
            }
        }
    }
}

/// A task that was saving a file has ended without a word.
pub(super) fn uncertain(_: tokio::task::JoinError) -> DriveError {
    let (what, why) = ("the file was saved".into(), "this node broke down over it".into());
    DriveError::Client(ClientError::Uncertain { what, why })
}

/// Bytes may take hours to come. Whoever was signed out meanwhile, or whose account has gone, or who was taken out of the
/// drive, puts nothing any more.
pub(super) async fn still_allowed(state: &WebState, at: &InDrive) -> Result<(), Problem> {
    let deadline = Instant::now() + COMMIT_WITHIN;
    loop {
        let allowed = async {
            state.inner.accounts.authenticate(&at.caller.token).await?;
            at.still(state, DriveRole::Edit).await
        };
        let error = match allowed.await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let passes = matches!(error.action(), Action::Retry | Action::RefreshLayout);
        if !passes || Instant::now() + PAUSE_MAX > deadline {
            return Err(error.into());
        }
        tokio::time::sleep(PAUSE_MAX).await;
    }
}

/// Machines that surely have the content and its entry: all replicas in service
/// have what was acknowledged; of blocks, at least as many as a write needs.
fn copies(state: &WebState, drive: DriveId, source: &Source) -> usize {
    let layout = state.inner.client.layout();
    let chain = layout.chain(layout.partition(KeyHash::of(&drive.bytes())));
    let serving = chain.map_or(0, |chain| chain.serving().count()).max(1);
    let inline = matches!(source, Source::Content(Content { body: Body::Inline(_), .. }));
    if inline { serving } else { serving.min(usize::from(layout.replicas_min).max(1)) }
}
