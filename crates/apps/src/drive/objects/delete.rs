//! Taking objects away: for good, as S3 means it.

use super::find::Spot;
use super::put::ObjectCondition;
use super::{Object, ObjectKey};
use crate::drive::change::{Change, Commit, entry_key};
use crate::drive::read::count_in;
use crate::drive::tries::Tries;
use crate::drive::walk::{Step, Walk};
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo};
use crate::{DriveId, FolderId};
use types::transaction::sortable;
use types::{Consistency, ItemKey, Test};

impl Drives {
    /// Takes an object away, past the trash; none: there was none. Folders that were made for it go with the last key.
    pub async fn delete_object(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        condition: &ObjectCondition,
    ) -> Result<Option<Object>, DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let spot = self.spot(drive, key).await?;
            let object = match spot.object(key) {
                Some(object) if self.is_key(drive, &object.entry).await? => Some(object),
                _ => None,
            };
            condition.check(key, object.as_ref())?;
            let Some(object) = object else { return Ok(None) };
            let mut change = Change::new(self, drive);
            spot.require(self, &mut change, key);
            match &spot {
                Spot::There(walk) if object.entry.is_folder() => {
                    if !self.unmake_folder(&mut change, drive, walk).await? {
                        tries.lost(self.store()).await?;
                        continue;
                    }
                }
                Spot::There(walk) => {
                    let (parent, ancestors) = walk.parent()?;
                    change.delete_entry(parent, &object.entry);
                    change.leave_to_sweeper(&object.entry, false);
                    change.count_bytes(-(object.size() as i64));
                    self.count_off(&mut change, drive, ancestors).await?;
                }
                Spot::Flat { .. } => {
                    change.delete_flat(self, key);
                    change.leave_to_sweeper(&object.entry, false);
                    change.count_bytes(-(object.size() as i64));
                    change.count_entries(FolderId::FLAT, -1);
                    if key.is_folder() {
                        // The folder of that name is no key either.
                        self.imply(&mut change, drive, key).await?;
                    }
                }
                Spot::Tree(_) => return Ok(None),
            }
            match change.commit(self.store(), key).await? {
                Commit::Done(_) => return Ok(Some(object)),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
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
