//! Putting files.
//!
//! Order of durability, for a content with blocks: the blocks are stored and
//! pinned (by the caller); then the content's record and a row of work that says
//! *put under way*; then the references; then, in one transaction, the entry comes
//! and that row goes. A crash before the last step leaves the row, by which the sweeper
//! finds and releases what there is. Once the sweeper has taken a row, the last
//! step cannot succeed any more. Content without blocks needs the last step alone.

use super::change::{Change, Commit, work_key_of_version};
use super::contents::{Stored, has_blocks};
use super::links::Gate;
use super::rows::{Work, WorkRow, decode};
use super::tries::Tries;
use super::walk::Walk;
use super::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo, NewFile, PutCondition};
use crate::{DriveId, FileId, VersionId};
use bytes::Bytes;
use client::{Content, UploadId};
use futures::{Stream, StreamExt};
use types::{Consistency, ItemKey, Test, Version};

/// Bytes in an etag and in a MIME type.
const TEXT_BYTES_MAX: usize = 255;

impl Drives {
    /// Puts a file whose blocks are stored and pinned. The parent folder must
    /// be there. A folder is never replaced by a file. Sending the same version again, after an
    /// answer that was lost, is harmless.
    pub async fn put_file(
        &self,
        drive: DriveId,
        path: &str,
        content: Content,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Entry, DriveError> {
        let path = DrivePath::parse(path)?;
        Ok(self.put_or_release(&Put::new(drive, path, content, new, condition)?).await?.entry)
    }

    pub(super) async fn put_or_release(&self, put: &Put) -> Result<WasPut, DriveError> {
        let mut intent = None;
        let result = self.put(put, &mut intent).await;
        if let (Err(_), Some(intent)) = (&result, intent) {
            self.release_intent(put, intent).await;
        }
        result
    }

    /// Stores what the stream gives, then puts it as a file. What fails or is
    /// given up on the way leaves nothing visible; its blocks are collected once
    /// the upload's pins have run out.
    pub async fn upload_file(
        &self,
        drive: DriveId,
        path: &str,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Entry, DriveError> {
        // Not after a long upload should someone learn that the folder is missing.
        let parsed = DrivePath::parse(path)?;
        check_texts(&new)?;
        condition.check(&self.walk(drive, &parsed).await?, &parsed, new.version)?;
        let content = self.inner.store.write_blob(UploadId::random(), source.boxed()).await?;
        self.put_file(drive, path, content, new, condition).await
    }

    async fn put(&self, put: &Put, intent: &mut Option<Version>) -> Result<WasPut, DriveError> {
        let tables = self.inner.tables;
        let mut tries = Tries::at(&put.path);
        loop {
            let walk = self.walk(put.drive, &put.path).await?;
            put.condition.check(&walk, &put.path, put.new.version)?;
            let old = walk.found();
            let old_file = old.and_then(|step| step.entry.file());
            if let (Some(step), Some(file)) = (old, old_file)
                && file.version == put.new.version
            {
                // By an earlier call: what it replaced is not known any more.
                return put.same_content(file).map(|()| WasPut { entry: step.entry.clone(), before: Before::Gone });
            }
            if has_blocks(&put.content) && intent.is_none() {
                self.intend(put, intent).await?;
                // Referencing took its time: look again.
                continue;
            }
            let (parent, ancestors) = walk.parent()?;
            let mut entry = put.entry(self.now(), old.map(|step| &step.entry));
            let mut change = Change::new(self, put.drive);
            let by_link = match &put.gate {
                Some(gate) if gate.folder != parent => return Err(DriveError::Changed { path: put.path.to_string() }),
                Some(gate) => Some(gate.require(&mut change, put.content.size)),
                None => None,
            };
            if let Some(source) = &put.source {
                // It still names the content, so that the content had references all the time. In another drive this
                // cannot be a condition, and need not: ours are there already.
                let step = self.source_of(source).await?;
                let row = self.properties_row(source.0, &step.entry).await?;
                change.replace_properties(self, &mut entry, row);
                if source.0 == put.drive {
                    change.require_steps(std::slice::from_ref(&step));
                }
            }
            change.require_steps(ancestors);
            match old {
                Some(step) => change.require_steps(std::slice::from_ref(step)),
                None => change.require_nothing_at(super::change::entry_key(parent, &entry.name)),
            }
            let version = put.new.version;
            let own = match *intent {
                Some(at) => change.require_work(work_key_of_version(version), at),
                None => change.require(tables.contents, version.bytes(), Test::Absent),
            };
            if intent.is_some() {
                change.delete(tables.work, work_key_of_version(version));
            } else {
                change.put(tables.contents, version.bytes(), Stored::new(put.content.clone()).encode());
            }
            let mut before = Before::Nothing;
            match (old, old_file) {
                (Some(step), Some(file)) => {
                    change.delete_entry(parent, &step.entry);
                    let kept = self.keep_version(&mut change, put.drive, &step.entry, put.content.hash).await?;
                    before = if kept { Before::Kept(file.version) } else { Before::Gone };
                    if let (true, EntryKind::File(new)) = (kept || file.history, &mut entry.kind) {
                        new.history = true;
                    }
                }
                _ => change.count_entries(parent, 1),
            }
            change.put_entry(parent, &entry);
            if let Some(file) = entry.file().filter(|_| old.is_some() || entry.tells_of_text()) {
                change.unread(file.id);
            }
            change.count_bytes(put.content.size as i64);
            match change.commit(self.store(), &put.path).await? {
                Commit::Done(_) => {
                    self.inner.waiting.add(put.drive);
                    return Ok(WasPut { entry, before });
                }
                Commit::Lost(at) if Some(at) == by_link => {
                    return Err(DriveError::Changed { path: put.path.to_string() });
                }
                Commit::Lost(at) if at == own && intent.is_none() => return Err(version_used()),
                // The sweeper took it for dead.
                Commit::Lost(at) if at == own => return Err(DriveError::Conflict { path: put.path.to_string() }),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// The record of the content, the row of work, then the references.
    async fn intend(&self, put: &Put, intent: &mut Option<Version>) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let version = put.new.version;
        let mut change = Change::new(self, put.drive);
        change.require(tables.contents, version.bytes(), Test::Absent);
        let stored = Stored::new(put.content.clone());
        change.put(tables.contents, version.bytes(), stored.encode());
        change.put_work_of_version(version, Work::Put, true);
        let (at, stored) = match change.commit(self.store(), &put.path).await? {
            Commit::Done(result) => (result.version, stored),
            Commit::Lost(_) => self.earlier_intent(put).await?,
        };
        // Within a part of the time after which the put counts as abandoned: no
        // reference may arrive when the sweeper has been and gone.
        let owner = stored.owner(put.drive, version);
        let referenced = self.inner.store.reference_content(&owner, &put.content);
        match tokio::time::timeout(self.inner.settings.abandoned / 4, referenced).await {
            Ok(done) => done?,
            Err(_) => return Err(DriveError::Conflict { path: put.path.to_string() }),
        }
        // Not before: what may still be on its way must not be released at once.
        *intent = Some(at);
        Ok(())
    }

    /// The row of work that an earlier try of the same put left.
    async fn earlier_intent(&self, put: &Put) -> Result<(Version, Stored), DriveError> {
        let tables = self.inner.tables;
        let keys = vec![
            ItemKey::new(tables.contents, put.drive.bytes(), put.new.version.bytes()),
            ItemKey::new(tables.work, put.drive.bytes(), work_key_of_version(put.new.version)),
        ];
        let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let [Some(content), Some(work)] = &rows[..] else { return Err(version_used()) };
        let stored = Stored::decode(&content.value)?;
        if stored.content != put.content {
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
        let mut change = Change::new(self, put.drive);
        change.require_work(work_key_of_version(put.new.version), work.version);
        change.put_work_of_version(put.new.version, Work::Put, true);
        match change.commit(self.store(), &put.path).await? {
            Commit::Done(result) => Ok((result.version, stored)),
            Commit::Lost(_) => Err(DriveError::Conflict { path: put.path.to_string() }),
        }
    }

    /// The put was refused: what it referenced goes the sweeper's way. If this
    /// fails too, the row of work stays as it is, and the sweeper takes it when it is old.
    async fn release_intent(&self, put: &Put, intent: Version) {
        let mut change = Change::new(self, put.drive);
        change.require_work(work_key_of_version(put.new.version), intent);
        change.put_work_of_version(put.new.version, Work::Release, true);
        if let Err(error) = change.commit(self.store(), &put.path).await {
            tracing::debug!(%error, "a refused put is left to the sweeper");
        }
    }
}

/// What a put has done.
pub(super) struct WasPut {
    pub entry: Entry,
    pub before: Before,
}

/// What was at a path before something was put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// A file whose content is an earlier version now: this one.
    Kept(VersionId),
    /// A file whose content was not kept: it was the same, or no versions are kept.
    Gone,
}

/// A put, checked as far as it can be without looking at the drive.
pub(super) struct Put {
    drive: DriveId,
    path: DrivePath,
    content: Content,
    new: NewFile,
    condition: PutCondition,
    /// The file that it is a copy of, in which drive, and which of its versions.
    pub source: Option<(DriveId, DrivePath, VersionId)>,
    /// The link that it comes by.
    pub gate: Option<Gate>,
}

impl Put {
    pub(super) fn new(
        drive: DriveId,
        path: DrivePath,
        content: Content,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Put, DriveError> {
        check_texts(&new)?;
        if i64::try_from(content.size).is_err() {
            return Err(DriveError::Invalid("no file is that large".into()));
        }
        Ok(Put { drive, path, content, new, condition, source: None, gate: None })
    }

    fn same_content(&self, there: &FileInfo) -> Result<(), DriveError> {
        if there.hash == self.content.hash && there.size == self.content.size { Ok(()) } else { Err(version_used()) }
    }

    fn entry(&self, now: types::WallMillis, old: Option<&Entry>) -> Entry {
        let default_etag = || crate::hex::encode(&self.content.hash[..16]);
        let file = FileInfo {
            id: old.and_then(Entry::file).map_or_else(FileId::random, |file| file.id),
            version: self.new.version,
            size: self.content.size,
            hash: self.content.hash,
            mtime: self.new.mtime.unwrap_or(now),
            etag: self.new.etag.clone().unwrap_or_else(default_etag),
            media_type: self.new.media_type.clone().filter(|text| !text.is_empty()),
            history: false,
            by: self.new.by,
        };
        Entry {
            name: self.path.name().unwrap_or_default().to_string(),
            created: old.map_or(now, |entry| entry.created),
            modified: now,
            properties: old.is_some_and(|entry| entry.properties),
            kind: EntryKind::File(file),
        }
    }
}

/// Put before, with another content or at another path; or replaced, moved or given up since.
fn version_used() -> DriveError {
    DriveError::Invalid("this version was used already: make a new one for each put".into())
}

/// Texts that end up in HTTP headers.
fn check_texts(new: &NewFile) -> Result<(), DriveError> {
    for text in [&new.etag, &new.media_type].into_iter().flatten() {
        if text.len() > TEXT_BYTES_MAX || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"') {
            return Err(DriveError::Invalid("an etag or media type is at most 255 printable ASCII characters".into()));
        }
    }
    Ok(())
}

impl PutCondition {
    /// Does it hold of what the walk found? What is there already by the same
    /// version is a put that was applied: that always passes.
    fn check(&self, walk: &Walk, path: &DrivePath, version: VersionId) -> Result<(), DriveError> {
        let text = || path.to_string();
        if path.is_root() {
            return Err(DriveError::IsAFolder { path: text() });
        }
        walk.parent()?;
        let Some(found) = walk.found() else {
            return match self {
                PutCondition::Replace | PutCondition::CreateNew => Ok(()),
                PutCondition::ReplaceExisting => Err(DriveError::NotFound { path: text() }),
                PutCondition::ReplaceIfVersion(_) | PutCondition::ReplaceIfEtag(_) => {
                    Err(DriveError::Changed { path: text() })
                }
            };
        };
        let Some(file) = found.entry.file() else {
            return Err(match self {
                PutCondition::CreateNew => DriveError::Exists { path: text() },
                _ => DriveError::IsAFolder { path: text() },
            });
        };
        if file.version == version {
            return Ok(());
        }
        match self {
            PutCondition::Replace | PutCondition::ReplaceExisting => Ok(()),
            PutCondition::CreateNew => Err(DriveError::Exists { path: text() }),
            PutCondition::ReplaceIfVersion(wanted) if file.version == *wanted => Ok(()),
            PutCondition::ReplaceIfEtag(wanted) if file.etag == *wanted => Ok(()),
            PutCondition::ReplaceIfVersion(_) | PutCondition::ReplaceIfEtag(_) => {
                Err(DriveError::Changed { path: text() })
            }
        }
    }
}
