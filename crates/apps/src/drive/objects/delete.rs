//! Taking objects and versions of them away: for good, as S3 means it, or behind a marker where versions are kept.

use super::find::Spot;
use super::history::Place;
use super::put::ObjectCondition;
use super::{Object, ObjectKey, VersionName};
use crate::drive::change::{Change, Commit, entry_key, work_key_of_history};
use crate::drive::read::count_in;
use crate::drive::rows::Work;
use crate::drive::rules::Rules;
use crate::drive::succession::{Gone, Left};
use crate::drive::tries::Tries;
use crate::drive::versions::{Kept, Was};
use crate::drive::walk::{Step, Walk};
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo, FolderInfo};
use crate::{DriveId, FileId, FolderId};
use bytes::Bytes;
use types::transaction::sortable;
use types::{Consistency, ItemKey, Test, Version, WallMillis};

/// What a delete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// What was taken away, or is an earlier version now.
    pub object: Option<Object>,
    /// The marker that came, or, of a delete of one version, that was taken away.
    pub marker: Option<VersionName>,
}

impl Drives {
    /// Takes an object away, past the trash. Where versions are kept a marker comes in its place, also where there was
    /// none. Folders that were made for it go with the last key.
    pub async fn delete_object(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        condition: &ObjectCondition,
    ) -> Result<Deleted, DriveError> {
        self.delete_object_if(drive, key, condition, None).await
    }

    /// The same, while that row of the bucket's is as it was read.
    pub(super) async fn delete_object_if(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        condition: &ObjectCondition,
        rests: Option<(Bytes, Version)>,
    ) -> Result<Deleted, DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let rules = self.rules(drive).await?;
            let spot = self.spot(drive, key).await?;
            match self.delete_at(drive, (key, &spot), rules, condition, &rests).await? {
                Some(deleted) => return Ok(deleted),
                None => tries.lost(self.store()).await?,
            }
        }
    }

    /// One try, by these rules. None: lost to others.
    async fn delete_at(
        &self,
        drive: DriveId,
        (key, spot): (&ObjectKey, &Spot),
        rules: Rules,
        condition: &ObjectCondition,
        rests: &Option<(Bytes, Version)>,
    ) -> Result<Option<Deleted>, DriveError> {
        let object = match spot.object(key) {
            Some(object) if self.is_key(drive, &object.entry).await? => Some(object),
            _ => None,
        };
        condition.check(key, object.as_ref())?;
        let mut change = Change::new(self, drive);
        change.require_rules(self, rules);
        let rested = self.rest_on(&mut change, rests);
        spot.require(self, &mut change, key);
        let mut deleted = Deleted { object, marker: None };
        match &deleted.object {
            Some(object) if object.entry.is_folder() => {
                let Spot::There(walk) = spot else { return Ok(Some(Deleted::default())) };
                if !self.unmake_folder(&mut change, drive, walk).await? {
                    return Ok(None);
                }
            }
            None if !rules.numbers() => {
                // No transaction rests on what was known of the rules.
                let still = !self.read_rules(drive).await?.numbers();
                return Ok(still.then_some(deleted));
            }
            object => {
                let entry = object.as_ref().map(|object| &object.entry);
                if let Some(entry) = entry {
                    self.take_away(&mut change, drive, key, spot, entry).await?;
                }
                match (rules.numbers(), entry) {
                    (false, Some(entry)) => self.leave_for_good(&mut change, entry),
                    _ => {
                        entry.inspect(|entry| self.forget_place(&mut change, entry));
                        let marker = self.mark_gone(&mut change, rules, (drive, key.as_str()), entry).await?;
                        deleted.marker = Some(marker.name());
                    }
                }
            }
        }
        match change.commit(self.store(), key).await? {
            Commit::Done(_) => Ok(Some(deleted)),
            Commit::Lost(at) if Some(at) == rested => Err(DriveError::Changed { path: key.to_string() }),
            Commit::Lost(_) => Ok(None),
        }
    }

    /// Takes one version away, for good. Where it was the latest, the one before it is that now: an object comes back, or
    /// a marker stands there.
    pub async fn delete_version(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        name: VersionName,
        condition: &ObjectCondition,
    ) -> Result<Deleted, DriveError> {
        self.delete_version_if(drive, key, name, condition, (None, false)).await
    }

    /// The same by somebody who may pass over [`super::LockMode::Governance`].
    pub async fn delete_governed_version(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        name: VersionName,
        condition: &ObjectCondition,
    ) -> Result<Deleted, DriveError> {
        self.delete_version_if(drive, key, name, condition, (None, true)).await
    }

    /// The same, while that row of the bucket's is as it was read.
    pub(super) async fn delete_version_if(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        name: VersionName,
        condition: &ObjectCondition,
        (rests, bypass): (Option<(Bytes, Version)>, bool),
    ) -> Result<Deleted, DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let mut rules = self.rules(drive).await?;
            if !rules.numbers() && name != VersionName::Null {
                // No transaction rests on what was known.
                rules = self.read_rules(drive).await?;
                if !rules.numbers() {
                    return Ok(Deleted::default());
                }
            }
            if !rules.numbers() {
                let spot = self.spot(drive, key).await?;
                match self.delete_at(drive, (key, &spot), rules, condition, &rests).await? {
                    Some(deleted) => return Ok(deleted),
                    None => tries.lost(self.store()).await?,
                }
                continue;
            }
            let (spot, left, place) = self.place_of(drive, key, name).await?;
            let mut deleted = Deleted::default();
            let mut change = Change::new(self, drive);
            change.require_rules(self, rules);
            let rested = self.rest_on(&mut change, &rests);
            match place {
                Place::Nowhere => {
                    condition.check(key, None)?;
                    return Ok(deleted);
                }
                Place::Latest(object) if object.entry.is_folder() => {
                    match self.delete_at(drive, (key, &spot), rules, condition, &rests).await? {
                        Some(deleted) => return Ok(deleted),
                        None => tries.lost(self.store()).await?,
                    }
                    continue;
                }
                Place::Latest(object) => {
                    condition.check(key, Some(&object))?;
                    self.require_unlocked_version(&mut change, (drive, rules), &object, bypass).await?;
                    spot.require(self, &mut change, key);
                    self.drop_latest(&mut change, (drive, key), &spot, &left, &object.entry).await?;
                    deleted.object = Some(object);
                }
                Place::Earlier(file, row) => {
                    match &row.was {
                        Was::File(file) => {
                            let object = Object::of_version(key.as_str(), file, row.saved);
                            condition.check(key, Some(&object))?;
                            self.require_unlocked_version(&mut change, (drive, rules), &object, bypass).await?;
                            deleted.object = Some(object);
                        }
                        Was::Gone(marker) => {
                            condition.check(key, None)?;
                            deleted.marker = Some(marker.name());
                        }
                    }
                    change.drop_version(self, &row, false);
                    self.end_headless(&mut change, (drive, key), &left, file, &row).await?;
                }
                Place::Marker(gone) => {
                    condition.check(key, None)?;
                    spot.require(self, &mut change, key);
                    deleted.marker = gone.marker.as_ref().map(|marker| marker.name());
                    self.drop_marker(&mut change, (drive, key), &spot, &left, &gone).await?;
                }
            }
            match change.commit(self.store(), key).await? {
                Commit::Done(_) => return Ok(deleted),
                Commit::Lost(at) if Some(at) == rested => return Err(DriveError::Changed { path: key.to_string() }),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    fn rest_on(&self, change: &mut Change, rests: &Option<(Bytes, Version)>) -> Option<usize> {
        let (row, version) = rests.as_ref()?;
        Some(change.require(self.inner.tables.buckets, row.clone(), Test::VersionIs(*version)))
    }

    /// The object that is there goes for good, and the version before it takes its place.
    async fn drop_latest(
        &self,
        change: &mut Change,
        (drive, key): (DriveId, &ObjectKey),
        spot: &Spot,
        left: &Left,
        entry: &Entry,
    ) -> Result<(), DriveError> {
        let Some(file) = entry.file() else { return Ok(()) };
        let Some(heir) = self.heir(drive, file.id).await? else {
            self.take_away(change, drive, key, spot, entry).await?;
            self.leave_for_good(change, entry);
            return Ok(());
        };
        change.take_version(self, &heir);
        change.release(file);
        match heir.was {
            Was::File(was) => {
                let next = revived(&was, heir.saved, entry);
                match spot {
                    Spot::There(walk) => {
                        let (parent, _) = walk.parent()?;
                        change.delete_entry(parent, &walk.required()?.entry);
                        change.put_entry(parent, &next);
                        change.text_changes(Some(entry), Some(&next));
                    }
                    _ => change.put_flat(self, key, &next),
                }
            }
            Was::Gone(marker) => {
                self.take_away(change, drive, key, spot, entry).await?;
                self.forget_place(change, entry);
                let gone = Gone { file: file.id, marker: Some(marker), created: entry.created };
                let histories: Vec<Gone> = std::iter::once(gone).chain(left.histories.iter().cloned()).collect();
                change.put_left(self, key.as_str(), left, &histories)?;
            }
        }
        Ok(())
    }

    /// The marker of a history that was left goes. Nothing else being there, the version before it comes back.
    async fn drop_marker(
        &self,
        change: &mut Change,
        (drive, key): (DriveId, &ObjectKey),
        spot: &Spot,
        left: &Left,
        gone: &Gone,
    ) -> Result<(), DriveError> {
        let mut histories: Vec<Gone> = left.histories.iter().filter(|it| it.file != gone.file).cloned().collect();
        let occupied = match spot.object(key) {
            Some(object) => !object.entry.is_folder(),
            None => false,
        };
        let heir = self.heir(drive, gone.file).await?;
        let later = |heir: &Kept| histories.iter().any(|it| it.order() > heir.saved.0);
        match heir {
            // Of it there may be versions of the drive's own.
            None => change.put_work(work_key_of_history(gone.file), Work::Forget, false),
            Some(heir) => match &heir.was {
                Was::Gone(marker) => {
                    change.take_version(self, &heir);
                    histories.push(Gone { marker: Some(marker.clone()), ..gone.clone() });
                }
                Was::File(_) if occupied || later(&heir) => {
                    // Somebody must remain for whose sake the history stays.
                    change.require_version(self, &heir);
                    histories.push(Gone { marker: None, ..gone.clone() });
                }
                Was::File(was) => {
                    change.take_version(self, &heir);
                    self.come_back(change, (drive, key), spot, revived_at(key, was, heir.saved, gone.created)).await?;
                }
            },
        }
        change.put_left(self, key.as_str(), left, &histories)
    }

    /// An object is there again, with the folders that it needs.
    async fn come_back(
        &self,
        change: &mut Change,
        (drive, key): (DriveId, &ObjectKey),
        spot: &Spot,
        entry: Entry,
    ) -> Result<(), DriveError> {
        match spot {
            Spot::Tree(walk) if !key.is_folder() => {
                let (parent, name) = self.make_implied(change, walk, key)?;
                let entry = Entry { name, ..entry };
                change.put_entry(parent, &entry);
                change.count_entries(parent, 1);
                change.text_changes(None, Some(&entry));
                self.inner.waiting.add(drive);
            }
            _ => {
                if !matches!(spot, Spot::Flat { .. }) {
                    Spot::Flat { row: None, obstacle: None }.require(self, change, key);
                }
                change.count_entries(FolderId::FLAT, 1);
                change.put_flat(self, key, &entry);
            }
        }
        Ok(())
    }

    /// An earlier version goes, perhaps the last of a history to which only the list of what was left leads.
    async fn end_headless(
        &self,
        change: &mut Change,
        (drive, key): (DriveId, &ObjectKey),
        left: &Left,
        file: FileId,
        row: &Kept,
    ) -> Result<(), DriveError> {
        if !left.histories.iter().any(|gone| gone.file == file) {
            return Ok(());
        }
        // It has a marker, or has none, as it was read.
        change.require_left(self, key.as_str(), left);
        let mut histories = left.histories.clone();
        if self.end_history(change, drive, &mut histories, file, row).await? {
            change.write_left(self, key.as_str(), left, &histories)?;
        }
        Ok(())
    }

    /// A file leaves the tree, or the flat list; what it was remains to be kept or released.
    async fn take_away(
        &self,
        change: &mut Change,
        drive: DriveId,
        key: &ObjectKey,
        spot: &Spot,
        entry: &Entry,
    ) -> Result<(), DriveError> {
        match spot {
            Spot::There(walk) => {
                let (parent, ancestors) = walk.parent()?;
                change.delete_entry(parent, entry);
                self.count_off(change, drive, ancestors).await?;
            }
            Spot::Flat { .. } => {
                change.delete_flat(self, key);
                change.count_entries(FolderId::FLAT, -1);
                if key.is_folder() {
                    // The folder of that name is no key either.
                    self.imply(change, drive, key).await?;
                }
            }
            Spot::Tree(_) => {}
        }
        Ok(())
    }

    /// A file that was taken out is nowhere; its versions stay.
    fn forget_place(&self, change: &mut Change, entry: &Entry) {
        change.delete(self.inner.tables.places, entry.id().to_vec().into());
        change.delete_properties(entry);
        change.text_changes(Some(entry), None);
    }

    /// Nothing of a file that was taken out stays.
    fn leave_for_good(&self, change: &mut Change, entry: &Entry) {
        change.leave_to_sweeper(entry, false);
        change.count_bytes(-(entry.size() as i64));
    }

    /// The key that is a folder goes: the folder with it when it is empty, else it is there for others only.
    /// False: what was read apart was never true together.
    async fn unmake_folder(&self, change: &mut Change, drive: DriveId, walk: &Walk) -> Result<bool, DriveError> {
        let step = walk.required()?;
        let (parent, ancestors) = walk.parent()?;
        let Some(folder) = step.entry.folder() else { return Ok(false) };
        let tables = self.inner.tables;
        match self.counter(drive, folder.id.bytes()).await? {
            count @ (None | Some(0)) => {
                let empty = count.map_or(Test::Absent, |_| Test::ValueIs(sortable(0).to_vec().into()));
                change.require(tables.counts, folder.id.bytes(), empty);
                self.drop_folder(change, parent, &step.entry);
                self.count_off(change, drive, ancestors).await?;
                Ok(true)
            }
            Some(_) if folder.implied => Ok(false),
            Some(_) => {
                change_to_implied(change, parent, step);
                Ok(true)
            }
        }
    }

    /// The folder at the key, if somebody made it, is there for others only from now on.
    async fn imply(&self, change: &mut Change, drive: DriveId, key: &ObjectKey) -> Result<(), DriveError> {
        let Some(path) = key.path() else { return Ok(()) };
        let walk = self.walk(drive, path).await?;
        if let Some(step) = walk.found()
            && step.entry.folder().is_some_and(|folder| !folder.implied)
        {
            let (parent, _) = walk.parent()?;
            change.require_steps(walk.steps());
            change_to_implied(change, parent, step);
        }
        Ok(())
    }

    /// The last of these folders loses an entry; those that are implied and become empty by that go.
    async fn count_off(&self, change: &mut Change, drive: DriveId, folders: &[Step]) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let implied = |step: &&Step| step.entry.folder().is_some_and(|folder| folder.implied);
        let chain: Vec<&Step> = folders.iter().rev().take_while(implied).collect();
        let id = |step: &Step| step.entry.folder().map_or(FolderId::ROOT, |folder| folder.id);
        let mut counts = Vec::new();
        if !chain.is_empty() {
            let keys = chain.iter().map(|step| ItemKey::new(tables.counts, drive.bytes(), id(step).bytes())).collect();
            counts = self.inner.store.get_many(keys, Consistency::Strong).await?;
        }
        for (at, (step, count)) in chain.iter().zip(counts).enumerate() {
            let count = count.map_or(Ok(0), |item| count_in(&item.value))?;
            if count != 1 {
                change.count_off_but_one(id(step));
                return Ok(());
            }
            change.require(tables.counts, id(step).bytes(), Test::ValueIs(sortable(1).to_vec().into()));
            let above = folders.len().checked_sub(at + 2).map_or(FolderId::ROOT, |above| id(&folders[above]));
            self.drop_folder(change, above, &step.entry);
        }
        let left = folders.len() - chain.len();
        change.count_entries(left.checked_sub(1).map_or(FolderId::ROOT, |last| id(&folders[last])), -1);
        Ok(())
    }

    /// An empty folder goes. Its parent's count remains to be settled.
    fn drop_folder(&self, change: &mut Change, parent: FolderId, entry: &Entry) {
        let tables = self.inner.tables;
        change.delete_entry(parent, entry);
        change.delete(tables.places, entry.id().to_vec().into());
        change.delete(tables.counts, entry.id().to_vec().into());
        change.delete_properties(entry);
    }
}

fn change_to_implied(change: &mut Change, parent: FolderId, step: &Step) {
    let Some(folder) = step.entry.folder() else { return };
    let kind = EntryKind::Folder(FolderInfo { implied: true, ..folder.clone() });
    let entry = Entry { kind, ..step.entry.clone() };
    debug_assert_eq!(step.key, entry_key(parent, &entry.name));
    change.delete_entry(parent, &step.entry);
    change.put_entry(parent, &entry);
}

/// An earlier version in the place of what is there.
fn revived(was: &FileInfo, saved: WallMillis, entry: &Entry) -> Entry {
    let kind = EntryKind::File(FileInfo { order: saved.0, history: true, ..was.clone() });
    Entry { modified: saved, kind, ..entry.clone() }
}

/// The same where nothing is.
fn revived_at(key: &ObjectKey, was: &FileInfo, saved: WallMillis, created: WallMillis) -> Entry {
    let nothing = Entry {
        name: key.to_string(),
        created,
        modified: saved,
        properties: false,
        kind: EntryKind::File(was.clone()),
    };
    revived(was, saved, &nothing)
}
