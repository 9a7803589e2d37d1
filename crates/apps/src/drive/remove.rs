//! Removing. Whatever its size, what is removed goes in one transaction; its
//! contents and, of a folder, all that is in it are left to the sweeper.

use super::change::{Change, Commit};
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives, Entry};
use crate::DriveId;
use types::Test;
use types::transaction::sortable;

impl Drives {
    /// Removes a file, or a folder: an empty one, or with `recursive` any. Says what it was.
    pub async fn remove(&self, drive: DriveId, path: &str, recursive: bool) -> Result<Entry, DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Err(DriveError::BadPath { why: "the drive itself cannot be removed" });
        }
        let tables = self.inner.tables;
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            let entry = walk.required()?.entry.clone();
            let (parent, _) = walk.parent()?;
            let mut change = Change::new(self, drive);
            change.require_steps(walk.steps());
            change.delete_entry(super::change::entry_key(parent, &entry.name));
            change.count_entries(parent, -1);
            match entry.folder() {
                Some(folder) if !recursive => {
                    let empty = match self.counter(drive, folder.id.bytes()).await? {
                        None => Test::Absent,
                        Some(0) => Test::ValueIs(sortable(0).to_vec().into()),
                        Some(_) => return Err(DriveError::NotEmpty { path: path.to_string() }),
                    };
                    change.require(tables.counts, folder.id.bytes(), empty);
                    change.delete(tables.folders, folder.id.bytes());
                    change.delete(tables.counts, folder.id.bytes());
                }
                _ => change.leave_to_sweeper(&entry, false),
            }
            change.count_bytes(-(entry.size() as i64));
            match change.commit(self.store(), &path).await? {
                Commit::Done(_) => return Ok(entry),
                Commit::Lost(_) => tries.lost().await?,
            }
        }
    }
}
