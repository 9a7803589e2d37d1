//! The last step of a copy.

use super::run::Turn;
use super::{JobRow, Read, State};
use crate::drive::change::{Change, Commit, entry_key};
use crate::drive::path::{NAMES_MAX, numbered};
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo};
use crate::{DriveId, FolderId, JobId};

impl Drives {
    /// Hangs what was made into the tree, whole.
    pub(super) async fn attach(&self, drive: DriveId, job: JobId, read: &Read) -> Result<Turn, DriveError> {
        let ids = (FolderId::from_slice(&read.row.folder), FolderId::from_slice(&read.row.parent));
        let (Some(made), Some(parent)) = ids else { return Err(DriveError::NoSuchJob) };
        let wanted = DrivePath::parse(&read.row.to)?;
        let name = wanted.name().unwrap_or_default();
        // The folder that was meant, wherever it is now.
        let gone = || DriveError::NotFound { path: wanted.parent().unwrap_or_default().to_string() };
        let folder = self.locate(drive, parent).await?.ok_or_else(gone)?;
        let most = if read.row.clash == 1 { NAMES_MAX } else { 1 };
        for number in 1..=most {
            let place = folder.join(&numbered(name, number))?;
            let walk = self.walk(drive, &place).await?;
            let Ok((there, ancestors)) = walk.parent() else { return Ok(Turn::Lost) };
            if there != parent {
                // Moved just now: looked for again.
                return Ok(Turn::Lost);
            }
            if walk.found().is_some() {
                continue;
            }
            let now = self.now();
            let name = place.name().unwrap_or_default().to_string();
            let kind = EntryKind::Folder(FolderInfo { id: made });
            let entry = Entry { name, created: now, modified: now, kind };
            let mut change = Change::new(self, drive);
            change.require_job(self, job, read);
            change.require_steps(ancestors);
            change.require_nothing_at(entry_key(parent, &entry.name));
            change.put_entry(parent, &entry);
            change.count_entries(parent, 1);
            let row = JobRow { state: State::Done as i32, to: place.to_string(), ..read.row.clone() };
            change.put_job(self, job, &row);
            return change.commit(self.store(), &place).await.map(|done: Commit| done.into());
        }
        Err(DriveError::Exists { path: wanted.to_string() })
    }
}
