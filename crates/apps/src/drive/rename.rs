//! Renaming and moving: one transaction, whatever is below.
//!
//! No cycle forms, and nothing is lost or doubled, because the transaction rests
//! on every entry along both paths being as it was read: whoever moves a folder on
//! either path first makes the other look again.

use super::brake::LateBrake;
use super::change::{Change, Commit, entry_key};
use super::path::{NAMES_MAX, numbered};
use super::tries::Tries;
use super::{Clash, DriveError, DrivePath, Drives, Entry, RenameCondition};
use crate::{DriveId, FolderId, TrashId, UserId};

/// What has another name or place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// What had to make room for it.
    pub replaced: Option<TrashId>,
}

impl Drives {
    /// Moves what is at `from` to `to`. The new parent folder must be there. What
    /// is replaced goes to the trash.
    pub async fn rename(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        condition: RenameCondition,
    ) -> Result<Entry, DriveError> {
        let (from, to) = (DrivePath::parse(from)?, DrivePath::parse(to)?);
        Ok(self.rename_as(drive, &from, &to, condition, None, None).await?.entry)
    }

    /// The same with a rule for names that are taken; none: it stayed where it
    /// was. `only`: if it is still that file or folder.
    pub async fn move_to(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        clash: Clash,
        only: Option<[u8; 16]>,
        by: Option<UserId>,
    ) -> Result<Option<Renamed>, DriveError> {
        let (from, to) = (DrivePath::parse(from)?, DrivePath::parse(to)?);
        let condition = match clash {
            Clash::Replace => RenameCondition::ReplaceFile,
            Clash::Fail | Clash::KeepBoth | Clash::Skip => RenameCondition::MustNotExist,
        };
        let mut number = 1;
        loop {
            let place = match (to.parent(), to.name()) {
                (Some(folder), Some(name)) => folder.join(&numbered(name, number))?,
                _ => to.clone(),
            };
            match (self.rename_as(drive, &from, &place, condition, only, by).await, clash) {
                (Err(DriveError::Exists { .. }), Clash::KeepBoth) if number < NAMES_MAX => number += 1,
                (Err(DriveError::Exists { .. }), Clash::Skip) => return Ok(None),
                (result, _) => return result.map(Some),
            }
        }
    }

    /// The same of paths that were looked at. `only`: if that file or folder is there, by its id or the version of its
    /// content.
    pub async fn rename_as(
        &self,
        drive: DriveId,
        from: &DrivePath,
        to: &DrivePath,
        condition: RenameCondition,
        only: Option<[u8; 16]>,
        by: Option<UserId>,
    ) -> Result<Renamed, DriveError> {
        let (Some(_), Some(name)) = (from.name(), to.name()) else {
            return Err(DriveError::BadPath { why: "the drive itself cannot be moved or replaced" });
        };
        let cycle = || DriveError::Cycle { from: from.to_string(), to: to.to_string() };
        let mut tries = Tries::at(from);
        // Asked only where something is thrown away.
        let mut brake = LateBrake::default();
        loop {
            let walks = self.walk_all(drive, &[from, to]).await?;
            let [source, target] = &walks[..] else { return Err(cycle()) };
            let moved = source.required()?.clone();
            moved.entry.must_be(only, from)?;
            let (old_parent, _) = source.parent()?;
            if from == to {
                return Ok(Renamed { path: to.to_string(), entry: moved.entry, replaced: None });
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
            change.require_locks(self);
            change.require_steps(source.steps());
            change.require_steps(ancestors);
            change.require_unlocked(self);
            let (mut replaced, mut braked) = (None, None);
            match target.found() {
                None => condition.check_nothing(&mut change, new_parent, to)?,
                Some(there) => {
                    condition.check(&entry, &there.entry, to)?;
                    if there.entry.folder().is_some_and(|folder| source.passes(folder.id)) {
                        // What is to go holds what is to come.
                        return Err(cycle());
                    }
                    braked = brake.require(self, drive, &mut change).await?;
                    replaced = Some(change.make_room(self, target, to, by)?.id);
                }
            }
            change.delete_entry(old_parent, &moved.entry);
            if entry.is_folder() && old_parent != new_parent {
                let height = self.height_for(drive, &entry, from.names().len(), to).await?;
                entry.know_height(height);
                change.raise(ancestors, height)?;
            }
            change.put_entry(new_parent, &entry);
            change.name_changes(&moved.entry, &entry);
            change.count_entries(old_parent, -1);
            change.count_entries(new_parent, 1);
            match change.commit(self.store(), to).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(Renamed { path: to.to_string(), entry, replaced });
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }
}

impl RenameCondition {
    /// Where nothing is at the new place, in that folder.
    pub(super) fn check_nothing(self, change: &mut Change, parent: FolderId, at: &DrivePath) -> Result<(), DriveError> {
        if let RenameCondition::ReplaceOnly(_) = self {
            return Err(DriveError::Changed { path: at.to_string() });
        }
        change.require_nothing_at(entry_key(parent, at.name().unwrap_or_default()));
        Ok(())
    }

    pub(super) fn check(self, moved: &Entry, there: &Entry, at: &DrivePath) -> Result<(), DriveError> {
        let path = || at.to_string();
        match self {
            RenameCondition::MustNotExist => Err(DriveError::Exists { path: path() }),
            RenameCondition::ReplaceAny => Ok(()),
            RenameCondition::ReplaceOnly(meant) => there.must_be(Some(meant), at),
            RenameCondition::ReplaceFile if there.is_folder() => Err(DriveError::IsAFolder { path: path() }),
            RenameCondition::ReplaceFile if moved.is_folder() => Err(DriveError::NotAFolder { path: path() }),
            RenameCondition::ReplaceFile => Ok(()),
        }
    }
}
