//! The last step of a copy.

use super::run::Turn;
use super::{JobRow, Read, State};
use crate::drive::change::{Change, Commit, entry_key, work_key_of_folder};
use crate::drive::path::{NAMES_MAX, numbered};
use crate::drive::rows::{Work, WorkRow};
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo};
use crate::{DriveId, FolderId, JobId};
use bytes::Bytes;
use types::{Consistency, Test};

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
            let mut change = Change::new(self, drive);
            change.require_job(self, job, read);
            let entry = match read.row.file.is_empty() {
                true => {
                    let kind = EntryKind::Folder(FolderInfo { id: made, implied: false });
                    let entry = Entry { name, created: now, modified: now, properties: false, kind };
                    self.with_properties_of(drive, &read.row, entry, &mut change).await?
                }
                false => {
                    let made = self.take_out(drive, made, &read.row.file, &mut change).await?;
                    let entry = Entry { name, ..made.clone() };
                    change.name_changes(&made, &entry);
                    entry
                }
            };
            change.require_steps(ancestors);
            change.require_nothing_at(entry_key(parent, &entry.name));
            change.put_entry(parent, &entry);
            change.count_entries(parent, 1);
            let folder = Bytes::copy_from_slice(&entry.id());
            let row = JobRow { state: State::Done as i32, to: place.to_string(), folder, ..read.row.clone() };
            change.put_job(self, job, &row);
            return change.commit(self.store(), &place).await.map(|done: Commit| done.into());
        }
        Err(DriveError::Exists { path: wanted.to_string() })
    }

    /// The copy of a folder has the properties of the folder, if that is still where it was.
    async fn with_properties_of(
        &self,
        drive: DriveId,
        row: &JobRow,
        copy: Entry,
        change: &mut Change,
    ) -> Result<Entry, DriveError> {
        let walk = self.walk(drive, &DrivePath::parse(&row.from)?).await?;
        let Some(source) = walk.found().filter(|step| step.entry.id()[..] == row.source[..]) else { return Ok(copy) };
        let Some(row) = self.properties_row(drive, &source.entry).await? else { return Ok(copy) };
        change.put_properties(self, &copy, row);
        Ok(Entry { properties: true, ..copy })
    }

    /// The file that was made leaves the folder that it was made in, and that folder goes.
    async fn take_out(
        &self,
        drive: DriveId,
        made: FolderId,
        name: &str,
        change: &mut Change,
    ) -> Result<Entry, DriveError> {
        let key = self.inner.tables.entry(drive, made, name);
        let damaged = || DriveError::Damaged("the file that a job has made".into());
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or_else(damaged)?;
        let entry = Entry::decode(name, &item.value)?;
        change.require(self.inner.tables.entries, key.sort_key, Test::VersionIs(item.version));
        change.delete_entry(made, &entry);
        change.count_entries(made, -1);
        change.delete(self.inner.tables.places, made.bytes());
        change.put(self.inner.tables.work, work_key_of_folder(made), WorkRow::encoded(Work::Dismantle, true));
        Ok(entry)
    }
}
