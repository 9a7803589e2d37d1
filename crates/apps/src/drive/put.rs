//! Putting files.
//!
//! For a content with blocks there are steps before the entry comes: see [`super::intent`].

use super::change::{Change, Commit};
use super::intent::{Coming, version_used};
use super::links::Gate;
use super::objects::{About, Ending, Upload};
use super::tries::Tries;
use super::walk::Walk;
use super::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo, NewFile, PutCondition};
use crate::{DriveId, FileId, VersionId};
use bytes::Bytes;
use client::{Content, UploadId};
use futures::{Stream, StreamExt};
use types::Version;

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
            self.release_intent(&put.coming(), intent).await;
        }
        result
    }

    /// Stores what the stream gives, under pins that last for a day.
    pub async fn store_bytes(
        &self,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<Content, DriveError> {
        Ok(self.inner.store.write_blob(UploadId::random(), source.boxed()).await?)
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
        new.check()?;
        condition.check(&self.walk(drive, &parsed).await?, &parsed, new.version)?;
        let content = self.inner.store.write_blob(UploadId::random(), source.boxed()).await?;
        self.put_file(drive, path, content, new, condition).await
    }

    async fn put(&self, put: &Put, intent: &mut Option<Version>) -> Result<WasPut, DriveError> {
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
            if put.coming().needs_intent() && intent.is_none() {
                self.intend(&put.coming(), intent).await?;
                // Referencing took its time: look again.
                continue;
            }
            let (parent, ancestors) = walk.parent()?;
            let mut entry = put.entry(self.now(), old.map(|step| &step.entry));
            let mut change = Change::new(self, put.drive);
            change.require_locks(self);
            let by_link = match &put.gate {
                Some(gate) if gate.folder != parent => return Err(DriveError::Changed { path: put.path.to_string() }),
                Some(gate) => Some(gate.require(self, &mut change, put.content.size)),
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
            if let Some(row) = &put.earlier {
                self.require_earlier(put.drive, row, &mut change, &put.path).await?;
            }
            let own = put.coming().arrive(&mut change, self, *intent);
            let key = &put.path.key();
            let at = (put.drive, &**key);
            let before = self.succeed(&mut change, at, old.map(|step| &step.entry), &mut entry, &put.about).await?;
            match old {
                Some(step) => change.delete_entry(parent, &step.entry),
                None => change.count_entries(parent, 1),
            }
            change.put_entry(parent, &entry);
            change.text_changes(old.as_ref().map(|step| &step.entry), Some(&entry));
            change.count_bytes(put.content.size as i64);
            if let Some(ending) = &put.ends {
                ending.end(&mut change, self);
            }
            match change.commit(self.store(), &put.path).await? {
                Commit::Done(_) => return Ok(WasPut { entry, before }),
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
    /// The row of the earlier version that it is a copy of.
    pub earlier: Option<Bytes>,
    /// The link that it comes by.
    pub gate: Option<Gate>,
    /// Its hash is that of its blocks' names: see [`FileInfo`].
    pub composed: bool,
    /// What is said of it as an object.
    pub about: About,
    /// The upload whose parts it is made of, which ends by it.
    pub ends: Option<Ending>,
}

impl Put {
    pub(super) fn new(
        drive: DriveId,
        path: DrivePath,
        content: Content,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Put, DriveError> {
        new.check()?;
        if i64::try_from(content.size).is_err() {
            return Err(DriveError::Invalid("no file is that large".into()));
        }
        Ok(Put {
            drive,
            path,
            content,
            new,
            condition,
            source: None,
            earlier: None,
            gate: None,
            composed: false,
            about: About::default(),
            ends: None,
        })
    }

    /// Its content is that of an upload's parts.
    pub(super) fn made_of(&mut self, upload: &Upload) {
        self.composed = upload.parts.len() > 1;
        self.ends = Some(Ending::of(upload, etag_of(&self.content), self.new.version));
    }

    fn coming(&self) -> Coming<'_> {
        Coming { drive: self.drive, version: self.new.version, content: &self.content, said: &self.path }
    }

    fn same_content(&self, there: &FileInfo) -> Result<(), DriveError> {
        if there.hash == self.content.hash && there.size == self.content.size { Ok(()) } else { Err(version_used()) }
    }

    fn entry(&self, now: types::WallMillis, old: Option<&Entry>) -> Entry {
        let file = FileInfo {
            id: old.and_then(Entry::file).map_or_else(FileId::random, |file| file.id),
            version: self.new.version,
            size: self.content.size,
            hash: self.content.hash,
            mtime: self.new.mtime.unwrap_or(now),
            etag: self.new.etag.clone().unwrap_or_else(|| etag_of(&self.content)),
            media_type: self.new.media_type.clone().filter(|text| !text.is_empty()),
            history: false,
            by: self.new.by,
            composed: self.composed,
            order: 0,
            named: false,
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

/// The entity tag of a content that came without one.
pub(super) fn etag_of(content: &Content) -> String {
    crate::hex::encode(&content.hash[..16])
}

impl NewFile {
    /// Are these texts such as HTTP's headers can have? Better asked before the bytes come.
    pub fn check(&self) -> Result<(), DriveError> {
        let fits = |text: &str, but: Option<u8>| {
            text.len() <= TEXT_BYTES_MAX && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && Some(byte) != but)
        };
        // Parameters of a media type may be quoted.
        let fit = self.etag.as_ref().is_none_or(|etag| fits(etag, Some(b'"')))
            && self.media_type.as_ref().is_none_or(|kind| fits(kind, None));
        if fit {
            return Ok(());
        }
        Err(DriveError::Invalid("an etag or media type is at most 255 printable ASCII characters".into()))
    }
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
