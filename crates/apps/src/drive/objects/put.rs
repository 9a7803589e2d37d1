//! Putting objects.

use super::about::About;
use super::copy::ObjectSource;
use super::find::Spot;
use super::{Object, ObjectKey};
use crate::drive::change::{Change, Commit, entry_key};
use crate::drive::intent::{Coming, version_used};
use crate::drive::put::etag_of;
use crate::drive::tries::Tries;
use crate::drive::walk::Walk;
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo, FolderInfo, NewFile};
use crate::{DriveId, FileId, FolderId, VersionId};
use client::Content;
use types::{Version, WallMillis};

/// What is put, beside the bytes.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// As for files; the entity tag is the MD5 where it is known.
    pub file: NewFile,
    /// What is said of it.
    pub about: About,
    /// The content's hash is not that of its bytes.
    pub composed: bool,
}

/// When a put, or a delete, may take place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ObjectCondition {
    /// Whatever is there.
    #[default]
    Any,
    /// Only if there is no such object.
    Absent,
    /// Only if there is one, with this entity tag.
    Is(String),
    /// Only if there is one.
    Present,
    /// Only if there is one, of this content.
    Version(VersionId),
}

impl ObjectCondition {
    /// Does it hold of what is there?
    pub fn check(&self, key: &ObjectKey, there: Option<&Object>) -> Result<(), DriveError> {
        let path = || key.to_string();
        match (self, there) {
            (ObjectCondition::Any, _) | (ObjectCondition::Absent, None) | (ObjectCondition::Present, Some(_)) => Ok(()),
            (ObjectCondition::Absent, Some(_)) => Err(DriveError::Exists { path: path() }),
            (ObjectCondition::Is(_) | ObjectCondition::Present | ObjectCondition::Version(_), None) => {
                Err(DriveError::NotFound { path: path() })
            }
            (ObjectCondition::Is(etag), Some(there)) if there.etag() == *etag => Ok(()),
            (ObjectCondition::Version(wanted), Some(there)) if there.version() == Some(*wanted) => Ok(()),
            (ObjectCondition::Is(_) | ObjectCondition::Version(_), Some(_)) => {
                Err(DriveError::Changed { path: path() })
            }
        }
    }
}

/// An object that is being put.
pub(super) struct Putting<'a> {
    pub drive: DriveId,
    pub key: &'a ObjectKey,
    pub content: Content,
    pub new: NewObject,
    pub condition: ObjectCondition,
    /// What it is a copy of.
    pub source: Option<ObjectSource>,
}

impl Drives {
    /// Puts an object whose blocks are stored and pinned. Sending the same version again, after an answer that was
    /// lost, is harmless.
    pub async fn put_object(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        content: Content,
        new: NewObject,
        condition: ObjectCondition,
    ) -> Result<Object, DriveError> {
        self.put_or_give_up(&Putting { drive, key, content, new, condition, source: None }, &mut |_| {}).await
    }

    /// `more`: what else is to happen in the last transaction.
    pub(super) async fn put_or_give_up(
        &self,
        put: &Putting<'_>,
        more: &mut (dyn FnMut(&mut Change) + Send),
    ) -> Result<Object, DriveError> {
        put.new.file.check()?;
        if put.is_folder() && put.new.about.lock.is_some() {
            let what = "a folder, which is a key that ends with a slash and has no bytes, has no lock";
            return Err(DriveError::Invalid(what.into()));
        }
        let mut intent = None;
        let result = self.put_into_spot(put, &mut intent, more).await;
        if let (Err(_), Some(intent)) = (&result, intent) {
            self.release_intent(&put.coming(), intent).await;
        }
        result
    }

    async fn put_into_spot(
        &self,
        put: &Putting<'_>,
        intent: &mut Option<Version>,
        more: &mut (dyn FnMut(&mut Change) + Send),
    ) -> Result<Object, DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let spot = self.spot(put.drive, put.key).await?;
            let there = spot.object(put.key);
            if let Some(there) = &there
                && there.version() == Some(put.new.file.version)
            {
                // By an earlier call.
                let same = there.entry.file().is_some_and(|file| file.hash == put.content.hash);
                return if same { Ok(there.clone()) } else { Err(version_used()) };
            }
            let told = match &there {
                Some(object) if self.is_key(put.drive, &object.entry).await? => Some(object),
                _ => None,
            };
            put.condition.check(put.key, told)?;
            let spot = match spot {
                Spot::There(_) | Spot::Tree(_) if put.key.is_folder() => {
                    if put.is_folder() {
                        match self.put_folder(put, &spot).await? {
                            Some(object) => return Ok(object),
                            None => tries.lost(self.store()).await?,
                        }
                        continue;
                    }
                    // A folder has no bytes: they stand beside it.
                    Spot::Flat { row: None, obstacle: None }
                }
                spot => spot,
            };
            if put.coming().needs_intent() && intent.is_none() {
                match self.intend(&put.coming(), intent).await {
                    Err(error) if error == version_used() => return self.put_before(put).await?.ok_or(error),
                    done => done?,
                }
                // Referencing took its time: look again.
                continue;
            }
            let mut change = Change::new(self, put.drive);
            if let Some(source) = &put.source {
                self.require_source(put.drive, source, &mut change).await?;
            }
            spot.require(self, &mut change, put.key);
            let entry = match &spot {
                Spot::There(walk) => self.put_over(put, &mut change, walk).await?,
                Spot::Tree(walk) => self.put_under(put, &mut change, walk).await?,
                Spot::Flat { .. } => self.put_beside(put, &mut change, &spot).await?,
            };
            let own = put.coming().arrive(&mut change, self, *intent);
            change.count_bytes(put.content.size as i64);
            more(&mut change);
            match change.commit(self.store(), put.key).await? {
                Commit::Done(_) => {
                    self.inner.waiting.add(put.drive);
                    return Ok(Object { key: put.key.to_string(), entry });
                }
                Commit::Lost(at) if at == own && intent.is_none() => {
                    return self.put_before(put).await?.ok_or_else(version_used);
                }
                // The sweeper took it for dead.
                Commit::Lost(at) if at == own => return Err(DriveError::Conflict { path: put.key.to_string() }),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// What an earlier call put, and something else has come after: it is one of the key's versions.
    async fn put_before(&self, put: &Putting<'_>) -> Result<Option<Object>, DriveError> {
        let object = self.object_of(put.drive, put.key, put.new.file.version).await?;
        let same = |object: &Object| object.entry.file().is_some_and(|file| file.hash == put.content.hash);
        Ok(object.filter(same))
    }

    /// The object of that content: what is at the key, or a version of it.
    pub async fn object_of(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        version: VersionId,
    ) -> Result<Option<Object>, DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let spot = self.spot(drive, key).await?;
            let left = self.left(drive, key.as_str()).await?;
            let there = spot.object(key);
            if let Some(there) = there.as_ref().filter(|there| there.version() == Some(version)) {
                return Ok(Some(there.clone()));
            }
            let current = there.as_ref().and_then(|there| there.entry.file()).map(|file| file.id);
            for file in current.into_iter().chain(left.histories.iter().map(|gone| gone.file)) {
                let row = self.version_row(drive, file, version).await?.filter(|row| row.kept);
                if let Some((file, row)) = row.as_ref().and_then(|row| Some((row.file()?, row))) {
                    return Ok(Some(Object::of_version(key.as_str(), file, row.saved)));
                }
            }
            // A version that moves could have been missed in both its places.
            let mut so = Change::new(self, drive);
            spot.require(self, &mut so, key);
            spot.require_nothing(&mut so)?;
            so.require_left(self, key.as_str(), &left);
            if so.read_along(self.store(), Vec::new()).await?.1 {
                return Ok(None);
            }
            tries.lost(self.store()).await?;
        }
    }

    /// In the place of a file that is in the tree.
    async fn put_over(&self, put: &Putting<'_>, change: &mut Change, walk: &Walk) -> Result<Entry, DriveError> {
        let (parent, _) = walk.parent()?;
        let old = &walk.required()?.entry;
        let mut entry = put.entry(self.now(), Some(old));
        self.succeed(change, (put.drive, put.key.as_str()), Some(old), &mut entry, &put.new.about).await?;
        change.delete_entry(parent, old);
        change.put_entry(parent, &entry);
        change.text_changes(Some(old), Some(&entry));
        Ok(entry)
    }

    /// Where nothing is, with the folders that are missing.
    async fn put_under(&self, put: &Putting<'_>, change: &mut Change, walk: &Walk) -> Result<Entry, DriveError> {
        let (parent, name) = self.make_implied(change, walk, put.key)?;
        let mut entry = Entry { name, ..put.entry(self.now(), None) };
        self.succeed(change, (put.drive, put.key.as_str()), None, &mut entry, &put.new.about).await?;
        change.put_entry(parent, &entry);
        change.text_changes(None, Some(&entry));
        change.count_entries(parent, 1);
        Ok(entry)
    }

    /// Into the flat list.
    async fn put_beside(&self, put: &Putting<'_>, change: &mut Change, spot: &Spot) -> Result<Entry, DriveError> {
        let old = match spot {
            Spot::Flat { row: Some((_, old)), .. } => Some(old),
            _ => {
                change.count_entries(FolderId::FLAT, 1);
                None
            }
        };
        let mut entry = put.entry(self.now(), old);
        self.succeed(change, (put.drive, put.key.as_str()), old, &mut entry, &put.new.about).await?;
        change.put_flat(self, put.key, &entry);
        Ok(entry)
    }

    /// The folders before the last name that the walk did not find; the last of them, and that name.
    pub(super) fn make_implied(
        &self,
        change: &mut Change,
        walk: &Walk,
        key: &ObjectKey,
    ) -> Result<(FolderId, String), DriveError> {
        let now = self.now();
        let mut parent = walk.last_folder()?;
        let names = walk.path().names();
        let Some((last, folders)) = names.split_last() else {
            return Err(DriveError::Invalid(format!("{key:?} is no place for an object")));
        };
        if let Some(first) = names.get(walk.depth()) {
            change.require_nothing_at(entry_key(parent, first));
        }
        // A key of a folder makes one more, in the last of these.
        let all = names.len() - usize::from(!key.is_folder());
        if let Some(below) = all.checked_sub(walk.depth() + 1) {
            change.raise(walk.steps(), Some(below as u32))?;
        }
        for (at, name) in folders.iter().enumerate().skip(walk.depth()) {
            let id = FolderId::random();
            let height = Some((all - at - 1) as u32);
            let kind = EntryKind::Folder(FolderInfo { id, implied: true, height });
            let entry = Entry { name: name.clone(), created: now, modified: now, properties: false, kind };
            change.put_entry(parent, &entry);
            change.count_entries(parent, 1);
            parent = id;
        }
        Ok((parent, last.clone()))
    }

    /// The key `a/` without bytes is the folder itself. None: others were quicker.
    async fn put_folder(&self, put: &Putting<'_>, spot: &Spot) -> Result<Option<Object>, DriveError> {
        let mut change = Change::new(self, put.drive);
        spot.require(self, &mut change, put.key);
        let entry = match spot {
            Spot::There(walk) => {
                let step = walk.required()?;
                let (parent, _) = walk.parent()?;
                let Some(folder) = step.entry.folder() else { return Ok(None) };
                let kind = EntryKind::Folder(FolderInfo { implied: false, ..folder.clone() });
                let entry = Entry { modified: self.now(), kind, ..step.entry.clone() };
                change.delete_entry(parent, &step.entry);
                change.put_entry(parent, &entry);
                entry
            }
            Spot::Tree(walk) => {
                let (parent, name) = self.make_implied(&mut change, walk, put.key)?;
                let now = self.now();
                let kind = EntryKind::Folder(FolderInfo::new(FolderId::random()));
                let entry = Entry { name, created: now, modified: now, properties: false, kind };
                change.put_entry(parent, &entry);
                change.count_entries(parent, 1);
                entry
            }
            Spot::Flat { .. } => return Ok(None),
        };
        match change.commit(self.store(), put.key).await? {
            Commit::Done(_) => Ok(Some(Object { key: put.key.to_string(), entry })),
            Commit::Lost(_) => Ok(None),
        }
    }
}

impl Putting<'_> {
    pub(super) fn coming(&self) -> Coming<'_> {
        Coming { drive: self.drive, version: self.new.file.version, content: &self.content, said: self.key }
    }

    /// Nothing but a folder: what has bytes, or of which something is said, needs a row of its own.
    fn is_folder(&self) -> bool {
        let said = !self.new.about.user.is_empty() || !self.new.about.tags.is_empty();
        self.key.is_folder() && self.content.size == 0 && !said
    }

    fn entry(&self, now: WallMillis, old: Option<&Entry>) -> Entry {
        let new = &self.new.file;
        let file = FileInfo {
            id: old.and_then(Entry::file).map_or_else(FileId::random, |file| file.id),
            version: new.version,
            size: self.content.size,
            hash: self.content.hash,
            mtime: new.mtime.unwrap_or(now),
            etag: new.etag.clone().unwrap_or_else(|| etag_of(&self.content)),
            media_type: new.media_type.clone().filter(|text| !text.is_empty()),
            history: false,
            composed: self.new.composed,
            by: new.by,
            order: 0,
            named: false,
        };
        Entry {
            name: old.map_or_else(|| self.key.to_string(), |entry| entry.name.clone()),
            created: old.map_or(now, |entry| entry.created),
            modified: now,
            properties: old.is_some_and(|entry| entry.properties),
            kind: EntryKind::File(file),
        }
    }
}
