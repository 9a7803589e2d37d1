//! Removing for good. Whatever its size, what is removed goes in one transaction; its
//! contents and, of a folder, all that is in it are left to the sweeper.

use super::change::{Change, Commit};
use super::read::count_in;
use super::tries::Tries;
use super::walk::Walk;
use super::{DriveError, DrivePath, Drives, Entry};
use crate::{DriveId, FolderId};
use types::transaction::sortable;
use types::{Consistency, ItemKey, Test};

impl Drives {
    /// Removes a file, or a folder: an empty one, or with `recursive` any, past
    /// the trash. Says what it was.
    pub async fn remove(&self, drive: DriveId, path: &str, recursive: bool) -> Result<Entry, DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Err(DriveError::BadPath { why: "the drive itself cannot be removed" });
        }
        let tables = self.inner.tables;
        let mut brake = self.brake(drive).await?;
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            let entry = walk.required()?.entry.clone();
            let (parent, _) = walk.parent()?;
            let mut change = Change::new(self, drive);
            change.require_steps(walk.steps());
            change.require_unlocked(self);
            let braked = brake.require(&mut change);
            change.delete_entry(parent, &entry);
            change.count_entries(parent, -1);
            match entry.folder() {
                Some(folder) if !recursive => {
                    let empty = match self.counter(drive, folder.id.bytes()).await? {
                        None => Test::Absent,
                        Some(0) => Test::ValueIs(sortable(0).to_vec().into()),
                        Some(_) if self.still_holds(drive, &walk, folder.id).await? => {
                            return Err(DriveError::NotEmpty { path: path.to_string() });
                        }
                        Some(_) => {
                            tries.lost(self.store()).await?;
                            continue;
                        }
                    };
                    change.require(tables.counts, folder.id.bytes(), empty);
                    change.delete(tables.places, folder.id.bytes());
                    change.delete(tables.counts, folder.id.bytes());
                    change.delete_properties(&entry);
                }
                _ => change.leave_to_sweeper(&entry, false),
            }
            change.count_bytes(-(entry.size() as i64));
            match change.commit(self.store(), &path).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(entry);
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Did the folder, still at the path, hold entries at one moment? What was read apart may never have been true together.
    async fn still_holds(&self, drive: DriveId, walk: &Walk, folder: FolderId) -> Result<bool, DriveError> {
        let tables = self.inner.tables;
        let mut keys = vec![ItemKey::new(tables.counts, drive.bytes(), folder.bytes())];
        keys.extend(walk.steps().iter().map(|step| ItemKey::new(tables.entries, drive.bytes(), step.key.clone())));
        let mut items = self.inner.store.get_many(keys, Consistency::Strong).await?.into_iter();
        let Some(Some(count)) = items.next() else { return Ok(false) };
        let same = items.zip(walk.steps()).all(|(item, step)| item.is_some_and(|item| item.version == step.version));
        Ok(same && count_in(&count.value)? > 0)
    }
}
