//! Cleaning up what changes left behind, step by step. Every step is one
//! transaction conditioned on its row of work, or can be repeated without harm;
//! so it may stop anywhere, and several may sweep the same drive.

use super::change::{Change, Commit, name_in, work_key_of_folder};
use super::contents::{Stored, has_blocks};
use super::rows::{Work, WorkRow, decode};
use super::tidy::{DRIVES_AT_ONCE, TidyPass};
use super::{DriveError, Drives, Entry, Swept};
use crate::{DriveId, FileId, FolderId, PartsId, VersionId};
use bytes::Bytes;
use rand::Rng;
use std::time::Duration;
use types::{Action, Classify, Consistency, ItemAt, ItemKey, Query, Test, Version, WallMillis};

/// Rows of work that are looked at together.
const PAGE: u32 = 200;
/// Entries taken out of a folder in one transaction: each is a condition and up to nine changes.
const ENTRIES_AT_ONCE: u32 = 100;
/// Steps in one call, so that one drive does not keep others waiting.
const STEPS_MAX: u64 = 10_000;
/// How long what a guest hands in by parts stays when no part comes.
const GUESTS_UPLOADS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// What goes with days may wait for an hour.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// A row of work as read.
struct Task {
    key: Bytes,
    version: Version,
    made: WallMillis,
    row: WorkRow,
}

impl Task {
    fn read(at: &ItemAt) -> Result<Task, DriveError> {
        let row = decode::<WorkRow>("a row of work", &at.item.value)?;
        Ok(Task { key: at.sort_key.clone(), version: at.item.version, made: at.item.time.wall(), row })
    }
}

impl Drives {
    /// Cleans up a drive, until nothing is left that is old enough. What cannot be
    /// done (a damaged row, say) does not keep the rest waiting; it is the error in the end.
    pub async fn sweep(&self, drive: DriveId) -> Result<Swept, DriveError> {
        let mut swept = Swept::default();
        let mut steps = 0;
        // Dismantling makes work: go round until a round gets nothing done.
        loop {
            let before = steps;
            let mut failed = None;
            swept.waiting = 0;
            let mut query = Query { limit: PAGE, ..Query::all(self.inner.tables.work, drive.bytes()) };
            loop {
                let page = self.inner.store.query(&query, Consistency::Strong).await?;
                for at in &page.items {
                    let task = match Task::read(at) {
                        Ok(task) => task,
                        Err(error) => {
                            failed = failed.or(Some(error));
                            continue;
                        }
                    };
                    if steps >= STEPS_MAX || !self.is_due(&task) {
                        swept.waiting += 1;
                        continue;
                    }
                    match self.work_on(drive, &task, &mut swept).await {
                        Ok(()) => steps += 1,
                        // The next piece of work would fare no better.
                        Err(error) if error.action() != Action::Rejected => return Err(error),
                        Err(error) => {
                            swept.waiting += 1;
                            failed = failed.or(Some(error));
                        }
                    }
                }
                match page.next {
                    Some(next) => query = query.after(next),
                    None => break,
                }
            }
            if steps == before || steps >= STEPS_MAX {
                return failed.map_or(Ok(swept), Err);
            }
        }
    }

    /// Sweeps every drive that has work. One that cannot be swept does not keep others waiting.
    pub async fn sweep_all(&self) -> Result<Swept, DriveError> {
        let mut sum = Swept::default();
        let (mut cursor, mut last) = (None, None);
        loop {
            let (items, next) = self.inner.store.scan(self.inner.tables.work, cursor, PAGE).await?;
            for (key, _) in items {
                let drive = DriveId::from_slice(&key.partition_key);
                // A drive's items come one after the other.
                if drive.is_none() || drive == last {
                    continue;
                }
                last = drive;
                let Some(drive) = drive else { continue };
                match self.sweep(drive).await {
                    Ok(swept) => {
                        sum.released += swept.released;
                        sum.dismantled += swept.dismantled;
                        sum.waiting += swept.waiting;
                    }
                    Err(error) => tracing::warn!(%drive, %error, "the drive could not be swept"),
                }
            }
            if next.is_none() {
                return Ok(sum);
            }
            cursor = next;
        }
    }

    /// Carries on all jobs that nobody carries on.
    pub async fn carry_on_all(&self) -> Result<(), DriveError> {
        let mut from = None;
        loop {
            let (drives, next) = self.drives_from(self.inner.tables.jobs, from, DRIVES_AT_ONCE).await?;
            for drive in drives {
                if let Err(error) = self.carry_on_jobs(drive).await {
                    tracing::warn!(%drive, %error, "a job could not be carried on");
                }
            }
            if next.is_none() {
                return Ok(());
            }
            from = next;
        }
    }

    /// Sweeps all drives again and again, until the handle is aborted. One per node is fine.
    pub fn spawn_sweeper(&self, every: Duration) -> tokio::task::JoinHandle<()> {
        let drives = self.clone();
        tokio::spawn(async move {
            let (mut pass, mut begun) = (TidyPass::default(), tokio::time::Instant::now());
            loop {
                // Nodes that started together should not sweep together.
                let factor = rand::rng().random_range(0.5..1.5);
                tokio::time::sleep(every.max(Duration::from_secs(1)).mul_f64(factor)).await;
                match drives.sweep_all().await {
                    Ok(swept) if swept != Swept::default() => tracing::debug!(?swept, "drives swept"),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "drives could not be swept"),
                }
                if let Err(error) = drives.carry_on_all().await {
                    tracing::warn!(%error, "jobs could not be carried on");
                }
                if pass.is_over() && begun.elapsed() > TIDY_EVERY {
                    (pass, begun) = (TidyPass::default(), tokio::time::Instant::now());
                }
                if let Err(error) = drives.tidy_next(&mut pass, DRIVES_AT_ONCE).await {
                    tracing::warn!(%error, "drives could not be tidied");
                }
            }
        })
    }

    fn is_due(&self, task: &Task) -> bool {
        let age = Duration::from_millis(self.now().0.saturating_sub(task.made.0));
        match task.row.work() {
            Work::Unknown => false,
            Work::Put => age >= self.inner.settings.abandoned,
            // At once: a guest's.
            Work::Upload if task.row.at_once => age >= self.inner.settings.uploads.min(GUESTS_UPLOADS_KEPT),
            Work::Upload => age >= self.inner.settings.uploads,
            Work::Release | Work::Dismantle | Work::Forget | Work::Parts | Work::UsedParts => {
                task.row.at_once || age >= self.inner.settings.grace
            }
        }
    }

    async fn work_on(&self, drive: DriveId, task: &Task, swept: &mut Swept) -> Result<(), DriveError> {
        let damaged = || DriveError::Damaged("the key of a row of work".into());
        let (kind, id) = task.key.split_first().ok_or_else(damaged)?;
        match (kind, task.row.work()) {
            (b'v', Work::Put) => {
                // From here on the put cannot succeed.
                let mut change = self.change_for(drive, task);
                let version = VersionId::from_slice(id).ok_or_else(damaged)?;
                change.put_work_of_version(version, Work::Release, true);
                change.commit(self.store(), &drive).await?;
                Ok(())
            }
            (b'v', Work::Release) => {
                self.release(drive, task, VersionId::from_slice(id).ok_or_else(damaged)?, swept).await
            }
            (b'f', Work::Dismantle) => {
                self.dismantle(drive, task, FolderId::from_slice(id).ok_or_else(damaged)?, swept).await
            }
            (b'h', Work::Forget) => self.forget(drive, task, FileId::from_slice(id).ok_or_else(damaged)?).await,
            (b'u', Work::Upload) => {
                let id = PartsId::from_slice(id).ok_or_else(damaged)?;
                self.abort_abandoned(drive, self.change_for(drive, task), id).await
            }
            (b'u', work @ (Work::Parts | Work::UsedParts)) => {
                let id = PartsId::from_slice(id).ok_or_else(damaged)?;
                self.forget_parts(drive, task, id, work == Work::Parts).await
            }
            _ => Err(damaged()),
        }
    }

    /// Leaves the parts of an upload that has ended to be released. Nobody can add one any more.
    async fn forget_parts(&self, drive: DriveId, task: &Task, id: PartsId, counted: bool) -> Result<(), DriveError> {
        loop {
            let mut change = self.change_for(drive, task);
            let done = self.drop_parts(drive, &mut change, id, counted, ENTRIES_AT_ONCE).await?;
            if done {
                change.delete(self.inner.tables.work, task.key.clone());
            }
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) if done => return Ok(()),
                Commit::Done(_) => {}
                // Another sweeper is at it.
                Commit::Lost(_) => return Ok(()),
            }
        }
    }

    /// Leaves the earlier versions of a file that is gone to be released. Nobody can add one meanwhile.
    async fn forget(&self, drive: DriveId, task: &Task, file: FileId) -> Result<(), DriveError> {
        loop {
            let rows = self.version_rows(drive, file, ENTRIES_AT_ONCE).await?;
            let mut change = self.change_for(drive, task);
            rows.iter().for_each(|row| change.drop_version(self, row, true));
            if rows.is_empty() {
                change.delete(self.inner.tables.work, task.key.clone());
            }
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) if rows.is_empty() => return Ok(()),
                Commit::Done(_) => {}
                // Another sweeper is at it.
                Commit::Lost(_) => return Ok(()),
            }
        }
    }

    /// A change that rests on the row of work being as read.
    fn change_for(&self, drive: DriveId, task: &Task) -> Change {
        let mut change = Change::new(self, drive);
        change.require_work(task.key.clone(), task.version);
        change
    }

    /// Takes back a content's references, then forgets the content and the work.
    async fn release(
        &self,
        drive: DriveId,
        task: &Task,
        version: VersionId,
        swept: &mut Swept,
    ) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        // Together: the content that this work is about, not a later one of the same version.
        let keys = vec![
            ItemKey::new(tables.contents, drive.bytes(), version.bytes()),
            ItemKey::new(tables.work, drive.bytes(), task.key.clone()),
        ];
        let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let [content, work] = &rows[..] else { return Err(DriveError::Damaged("an answer for other keys".into())) };
        if work.as_ref().is_none_or(|work| work.version != task.version) {
            // Another sweeper is at it, or was.
            return Ok(());
        }
        if let Some(item) = content {
            let stored = Stored::decode(&item.value)?;
            if has_blocks(&stored.content) {
                self.inner.store.unreference_content(&stored.owner(drive, version), &stored.content).await?;
            }
        }
        let mut change = self.change_for(drive, task);
        change.delete(tables.contents, version.bytes());
        change.delete(tables.thumbnails, version.bytes());
        change.delete(tables.about, version.bytes());
        change.delete(tables.work, task.key.clone());
        if let Commit::Done(_) = change.commit(self.store(), &drive).await? {
            swept.released += 1;
        }
        Ok(())
    }

    /// Takes the entries out of a folder that is no longer in the tree; folders
    /// among them become work of their own. Nobody can put entries in meanwhile: every
    /// put rests on the whole path from the root.
    async fn dismantle(
        &self,
        drive: DriveId,
        task: &Task,
        folder: FolderId,
        swept: &mut Swept,
    ) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let mut query = Query::prefix(tables.entries, drive.bytes(), &folder.0);
        query.limit = ENTRIES_AT_ONCE;
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let mut change = self.change_for(drive, task);
            if page.items.is_empty() {
                change.delete(tables.counts, folder.bytes());
                change.delete(tables.work, task.key.clone());
                change.commit(self.store(), &drive).await?;
                return Ok(());
            }
            let mut bytes = 0i64;
            for at in &page.items {
                let entry = Entry::decode(name_in(&at.sort_key)?, &at.item.value)?;
                change.require(tables.entries, at.sort_key.clone(), Test::VersionIs(at.item.version));
                change.delete_entry(folder, &entry);
                debug_assert_ne!(entry.folder().map(|it| work_key_of_folder(it.id)).as_ref(), Some(&task.key));
                // Who could see these has had the grace of the folder that was removed.
                change.leave_to_sweeper(&entry, true);
                bytes = bytes.saturating_add(entry.size() as i64);
            }
            change.count_bytes(-bytes);
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) => swept.dismantled += page.items.len() as u64,
                // Another sweeper is at it.
                Commit::Lost(_) => return Ok(()),
            }
        }
    }
}
