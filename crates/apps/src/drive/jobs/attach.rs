//! The last step of a copy.

use super::run::Turn;
use super::{JobRow, Read, State};
use crate::drive::change::{Change, Commit, entry_key, work_key_of_folder};
use crate::drive::copy::Over;
use crate::drive::locks::barrier;
use crate::drive::objects::About;
use crate::drive::path::{NAMES_MAX, numbered};
use crate::drive::put::Before;
use crate::drive::rows::{Work, WorkRow};
use crate::drive::walk::Walk;
use crate::drive::{Clash, DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo, Program};
use crate::{DriveId, FolderId, JobId, UserId};
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
        let over = read.row.over()?;
        let most = if over == Over::Rule(Clash::KeepBoth) { NAMES_MAX } else { 1 };
        for number in 1..=most {
            let place = folder.join(&numbered(name, number))?;
            let walk = self.walk(drive, &place).await?;
            let Ok((there, _)) = walk.parent() else { return Ok(Turn::Lost) };
            if there != parent {
                // Moved just now: looked for again.
                return Ok(Turn::Lost);
            }
            if walk.found().is_some() && over == Over::Rule(Clash::KeepBoth) {
                continue;
            }
            over.check(walk.found().map(|step| &step.entry), read.row.file.is_empty(), &place)?;
            return self.hang(drive, job, read, (made, over), &walk).await;
        }
        Err(DriveError::Exists { path: wanted.to_string() })
    }

    /// The same, at the end of that walk.
    async fn hang(
        &self,
        drive: DriveId,
        job: JobId,
        read: &Read,
        (made, over): (FolderId, Over),
        walk: &Walk,
    ) -> Result<Turn, DriveError> {
        let place = walk.path();
        let (parent, ancestors) = walk.parent()?;
        let now = self.now();
        let name = place.name().unwrap_or_default().to_string();
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        self.keep_out(drive, &read.row, place, walk.found().is_none(), &mut change).await?;
        change.require_steps(ancestors);
        let mut entry = match read.row.file.is_empty() {
            true => {
                let kind = EntryKind::Folder(FolderInfo { height: read.row.height, ..FolderInfo::new(made) });
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
        let mut row = JobRow { state: State::Done as i32, to: place.to_string(), ..read.row.clone() };
        // What goes by a program's job goes by the program.
        let asker = self.asker(&row);
        let mut brake = None;
        match (walk.found(), over) {
            (None, _) => {
                change.require_nothing_at(entry_key(parent, &entry.name));
                change.count_entries(parent, 1);
            }
            (Some(_), Over::Trash(_)) => {
                let asks = asker.brake(drive).await?;
                let at = asks.require(&mut change);
                brake = Some((asks, at));
                row.trashed = change.make_room(&asker, walk, place, UserId::from_slice(&row.by))?.id.bytes();
                change.count_entries(parent, 1);
            }
            (Some(step), _) => {
                change.require_steps(std::slice::from_ref(step));
                let before = self.take_place(drive, walk, &step.entry, &mut entry, &mut change).await?;
                change.delete_entry(parent, &step.entry);
                row.put = entry.file().map(|file| file.version.bytes()).unwrap_or_default();
                if let Before::Kept(version) = before {
                    row.kept = version.bytes();
                }
            }
        }
        if entry.is_folder() {
            // It was nowhere: whatever its place, it goes deeper.
            let height = self.height_for(drive, &entry, 0, place).await?;
            entry.know_height(height);
            change.raise(ancestors, height)?;
        }
        change.put_entry(parent, &entry);
        row.folder = Bytes::copy_from_slice(&entry.id());
        change.put_job(self, job, &row);
        match (change.commit(self.store(), place).await, &mut brake) {
            (Ok(Commit::Lost(at)), Some((asks, Some(braked)))) if at == *braked => {
                asks.look().await?;
                Ok(Turn::Lost)
            }
            (Ok(Commit::Done(_)), Some((asks, _))) => {
                asks.count();
                Ok(Turn::Made)
            }
            (Ok(done), _) => Ok(done.into()),
            // Somebody took a lock, or gave one back.
            (Err(DriveError::Changed { .. }), _) => Ok(Turn::Lost),
            (Err(error), _) => Err(error),
        }
    }

    /// The drives of whoever began the job.
    fn asker(&self, row: &JobRow) -> Drives {
        let program = Some(Program { id: row.program.clone(), label: row.label.clone() });
        match UserId::from_slice(&row.by) {
            Some(by) => self.for_program(program.filter(|program| !program.id.is_empty()), by),
            None => self.clone(),
        }
    }

    /// Nobody else has locked what changes, where the job is to keep out of locks.
    async fn keep_out(
        &self,
        drive: DriveId,
        row: &JobRow,
        place: &DrivePath,
        new: bool,
        change: &mut Change,
    ) -> Result<(), DriveError> {
        let Some(by) = UserId::from_slice(&row.by).filter(|_| row.keeps_out) else { return Ok(()) };
        let locks = self.locks(drive).await?;
        let above = place.parent().filter(|_| new);
        let stands = |path: &DrivePath, deep| barrier(&locks.held, path, deep, by, &row.tokens);
        if let Some(lock) = stands(place, true).or_else(|| stands(&above?, false)) {
            let (path, name) = (&lock.asked.path, &lock.asked.name);
            return Err(DriveError::Invalid(format!("{path} was locked by {name} while it was copied")));
        }
        change.require_locks(&self.keeping(&locks));
        Ok(())
    }

    /// The file that was made is `there` from now on, with another content and other properties.
    async fn take_place(
        &self,
        drive: DriveId,
        walk: &Walk,
        there: &Entry,
        made: &mut Entry,
        change: &mut Change,
    ) -> Result<Before, DriveError> {
        let row = self.require_properties(drive, made, change).await?;
        change.delete(self.inner.tables.places, made.id().to_vec().into());
        change.delete_properties(made);
        change.text_changes(Some(made), None);
        made.created = there.created;
        if let (EntryKind::File(file), Some(old)) = (&mut made.kind, there.file()) {
            file.id = old.id;
        }
        made.properties = there.properties;
        change.replace_properties(self, made, row);
        let about = match made.file() {
            Some(file) => self.about_copy(drive, file.version).await?,
            None => About::default(),
        };
        let before = self.succeed(change, (drive, &walk.path().key()), Some(there), made, &about).await?;
        change.text_changes(Some(there), Some(made));
        Ok(before)
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
