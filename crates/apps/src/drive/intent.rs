//! What comes before a content gets a name.
//!
//! Order of durability, for a content with blocks: the blocks are stored and
//! pinned (by the caller); then the content's record and a row of work that says
//! *put under way*; then the references; then, in one transaction, the name comes
//! and that row goes. A crash before the last step leaves the row, by which the sweeper
//! finds and releases what there is. Once the sweeper has taken a row, the last
//! step cannot succeed any more. Content without blocks needs the last step alone.

use super::change::{Change, Commit, work_key_of_version};
use super::contents::{Stored, has_blocks};
use super::rows::{Work, WorkRow, decode};
use super::{DriveError, Drives};
use crate::{DriveId, VersionId};
use client::Content;
use types::{Consistency, ItemKey, Test, Version};

/// A content that is to get a name in a drive.
pub(super) struct Coming<'a> {
    pub drive: DriveId,
    pub version: VersionId,
    pub content: &'a Content,
    /// What the person is told of.
    pub said: &'a (dyn ToString + Sync),
}

impl Coming<'_> {
    /// The last step's part: the content's row is there, and the row of work goes. The condition that it rests on.
    pub(super) fn arrive(&self, change: &mut Change, drives: &Drives, intent: Option<Version>) -> usize {
        let tables = drives.inner.tables;
        match intent {
            Some(at) => {
                change.delete(tables.work, work_key_of_version(self.version));
                change.require_work(work_key_of_version(self.version), at)
            }
            None => {
                change.put(tables.contents, self.version.bytes(), Stored::new(self.content.clone()).encode());
                change.require(tables.contents, self.version.bytes(), Test::Absent)
            }
        }
    }

    /// Are there steps before the last?
    pub(super) fn needs_intent(&self) -> bool {
        has_blocks(self.content)
    }
}

impl Drives {
    /// The record of the content, the row of work, then the references.
    pub(super) async fn intend(&self, coming: &Coming<'_>, intent: &mut Option<Version>) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let version = coming.version;
        let mut change = Change::new(self, coming.drive);
        change.require(tables.contents, version.bytes(), Test::Absent);
        let stored = Stored::new(coming.content.clone());
        change.put(tables.contents, version.bytes(), stored.encode());
        change.put_work_of_version(version, Work::Put, true);
        let (at, stored) = match change.commit(self.store(), coming.said).await? {
            Commit::Done(result) => (result.version, stored),
            Commit::Lost(_) => self.earlier_intent(coming).await?,
        };
        // Within a part of the time after which the put counts as abandoned: no
        // reference may arrive when the sweeper has been and gone.
        let owner = stored.owner(coming.drive, version);
        let referenced = self.inner.store.reference_content(&owner, coming.content);
        match tokio::time::timeout(self.inner.settings.abandoned / 4, referenced).await {
            Ok(done) => done?,
            Err(_) => return Err(DriveError::Conflict { path: coming.said.to_string() }),
        }
        // Not before: what may still be on its way must not be released at once.
        *intent = Some(at);
        Ok(())
    }

    /// The row of work that an earlier try of the same put left.
    async fn earlier_intent(&self, coming: &Coming<'_>) -> Result<(Version, Stored), DriveError> {
        let tables = self.inner.tables;
        let keys = vec![
            ItemKey::new(tables.contents, coming.drive.bytes(), coming.version.bytes()),
            ItemKey::new(tables.work, coming.drive.bytes(), work_key_of_version(coming.version)),
        ];
        let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let [Some(content), Some(work)] = &rows[..] else { return Err(version_used()) };
        let stored = Stored::decode(&content.value)?;
        if stored.content != *coming.content {
            return Err(version_used());
        }
        if decode::<WorkRow>("a row of work", &work.value)?.work() != Work::Put {
            return Err(version_used());
        }
        let age = self.now().0.saturating_sub(work.time.wall().0);
        if u128::from(age) < self.inner.settings.abandoned.as_millis() / 4 {
            return Ok((work.version, stored));
        }
        // The sweeper would come before the references are there: it is to count from now.
        let mut change = Change::new(self, coming.drive);
        change.require_work(work_key_of_version(coming.version), work.version);
        change.put_work_of_version(coming.version, Work::Put, true);
        match change.commit(self.store(), coming.said).await? {
            Commit::Done(result) => Ok((result.version, stored)),
            Commit::Lost(_) => Err(DriveError::Conflict { path: coming.said.to_string() }),
        }
    }

    /// The put was refused: what it referenced goes the sweeper's way. If this
    /// fails too, the row of work stays as it is, and the sweeper takes it when it is old.
    pub(super) async fn release_intent(&self, coming: &Coming<'_>, intent: Version) {
        let mut change = Change::new(self, coming.drive);
        change.require_work(work_key_of_version(coming.version), intent);
        change.put_work_of_version(coming.version, Work::Release, true);
        if let Err(error) = change.commit(self.store(), coming.said).await {
            tracing::debug!(%error, "a refused put is left to the sweeper");
        }
    }
}

/// Put before, with another content or at another path; or replaced, moved or given up since.
pub(super) fn version_used() -> DriveError {
    DriveError::Invalid("this version was used already: make a new one for each put".into())
}
