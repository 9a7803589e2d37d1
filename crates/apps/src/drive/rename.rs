//! Renaming and moving: one transaction, whatever is below.
//!
//! No cycle forms, and nothing is lost or doubled, because the transaction rests
//! on every entry along both paths being as it was read: whoever moves a folder on
//! either path first makes the other look again.

use super::change::{Change, Commit};
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives, Entry, RenameCondition};
use crate::DriveId;

impl Drives {
    /// Moves what is at `from` to `to`. The new parent folder must be there.
    pub async fn rename(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        condition: RenameCondition,
    ) -> Result<Entry, DriveError> {
        let (from, to) = (DrivePath::parse(from)?, DrivePath::parse(to)?);
        let (Some(_), Some(name)) = (from.name(), to.name()) else {
            return Err(DriveError::BadPath { why: "the drive itself cannot be moved or replaced" });
        };
        let cycle = || DriveError::Cycle { from: from.to_string(), to: to.to_string() };
        let mut tries = Tries::at(&from);
        loop {
            let walks = self.walk_all(drive, &[&from, &to]).await?;
            let [source, target] = &walks[..] else { return Err(cycle()) };
            let moved = source.required()?.clone();
            let (old_parent, _) = source.parent()?;
            if from == to {
                return Ok(moved.entry);
            }
            let (new_parent, ancestors) = target.parent()?;
            if moved.entry.folder().is_some_and(|folder| target.passes(folder.id)) {
                return Err(cycle());
            }
            let mut entry = Entry { name: name.to_string(), ..moved.entry.clone() };
            if entry.is_folder() {
                entry.modified = self.now();
            }
            let mut change = Change::new(self, drive);
            change.require_steps(source.steps());
            change.require_steps(ancestors);
            let replaced = target.found();
            match replaced {
                None => change.require_nothing_at(super::change::entry_key(new_parent, name)),
                Some(there) => {
                    condition.check(&entry, &there.entry, &to)?;
                    if there.entry.folder().is_some_and(|folder| source.passes(folder.id)) {
                        // What is to go holds what is to come.
                        return Err(cycle());
                    }
                    change.require_steps(std::slice::from_ref(there));
                    change.leave_to_sweeper(&there.entry, false);
                    change.count_bytes(-(there.entry.size() as i64));
                }
            }
            change.delete_entry(moved.key.clone());
            change.put_entry(new_parent, &entry);
            let arrives = i64::from(replaced.is_none());
            if old_parent == new_parent {
                change.count_entries(new_parent, arrives - 1);
            } else {
                change.count_entries(old_parent, -1);
                change.count_entries(new_parent, arrives);
            }
            match change.commit(self.store(), &to).await? {
                Commit::Done(_) => return Ok(entry),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }
}

impl RenameCondition {
    fn check(self, moved: &Entry, there: &Entry, path: &DrivePath) -> Result<(), DriveError> {
        let path = || path.to_string();
        match self {
            RenameCondition::MustNotExist => Err(DriveError::Exists { path: path() }),
            RenameCondition::ReplaceAny => Ok(()),
            RenameCondition::ReplaceFile if there.is_folder() => Err(DriveError::IsAFolder { path: path() }),
            RenameCondition::ReplaceFile if moved.is_folder() => Err(DriveError::NotAFolder { path: path() }),
            RenameCondition::ReplaceFile => Ok(()),
        }
    }
}
