//! One step of copying a folder: some entries of one of its folders.
//!
//! Contents with blocks first get rows of their own, with rows of work, then references, as in a put; then one
//! transaction puts the entries, takes the rows of work away and says how far the job is. A step that comes to nothing
//! has used ids that no other uses.

use super::run::Turn;
use super::{JobRow, Read, StepRow, step_key};
use crate::drive::change::{Change, Commit, entry_key, name_in, work_key_of_version};
use crate::drive::contents::{Stored, has_blocks};
use crate::drive::objects::{About, about_in};
use crate::drive::read::count_in;
use crate::drive::rows::{Work, decode};
use crate::drive::rules::Rules;
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo, FolderInfo, Versioning};
use crate::store::Store;
use crate::{DriveId, FileId, FolderId, JobId, UserId, VersionId};
use bytes::Bytes;
use client::{ClientError, Content};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use prost::Message;
use std::sync::Arc;
use types::limits::BLOCK_BYTES;
use types::{Consistency, ItemKey, Query, Test, Version};

/// Entries in one step: each takes up to eleven changes.
const ENTRIES: u32 = 64;
/// Blocks in one step, if it has more files than one: each is referenced by a transaction of its own.
const BLOCKS: u64 = 20_000;
/// Contents that are referenced at a time.
const AT_ONCE: usize = 8;

/// An entry of a step, as read, and its copy.
struct Copied {
    key: Bytes,
    version: Version,
    copy: Entry,
    what: What,
    /// Of the properties that clients keep with it.
    properties: Option<Bytes>,
}

#[allow(clippy::large_enum_variant)] // Some dozens at a time, and short-lived.
enum What {
    /// The folder that it is a copy of, and the entries counted there.
    Folder { source: FolderId, count: u64 },
    /// Its content, and what is said of it as an object.
    File(Stored, About),
}

/// What a step does.
struct Step {
    /// The row that says where it begins.
    row: Bytes,
    /// The drive of the source, where it is not the target's.
    elsewhere: Option<DriveId>,
    source: FolderId,
    target: FolderId,
    /// Levels between the target and what the job makes.
    level: u32,
    copied: Vec<Copied>,
    /// Where the next one of this folder begins.
    next: Option<String>,
    /// One file of the folder, and nothing else.
    alone: bool,
    /// By which the copies have names as versions.
    rules: Rules,
}

impl Step {
    /// The copies were put by whoever began the job.
    fn put_by(&mut self, by: Option<UserId>) {
        for copied in &mut self.copied {
            if let EntryKind::File(file) = &mut copied.copy.kind {
                file.by = by;
            }
        }
    }
}

/// How many entries, from the first on, one step takes: at least one, and not too many blocks. Folders have size 0.
fn portion(sizes: impl Iterator<Item = u64>) -> usize {
    let mut blocks = 0u64;
    let fitting = sizes.take_while(|size| {
        blocks = blocks.saturating_add(size.div_ceil(BLOCK_BYTES as u64));
        blocks <= BLOCKS
    });
    fitting.count().max(1)
}

/// Boxed, so that what runs a job can be sent between threads.
fn reference(store: Arc<dyn Store>, owner: Vec<u8>, content: Content) -> BoxFuture<'static, Result<(), ClientError>> {
    async move { store.reference_content(&owner, &content).await }.boxed()
}

impl Drives {
    /// One step, or the last one.
    pub(super) async fn step(&self, drive: DriveId, job: JobId, read: &mut Read) -> Result<Turn, DriveError> {
        let query = Query { limit: 1, ..Query::prefix(self.inner.tables.steps, drive.bytes(), &job.0) };
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let Some(at) = page.items.first() else { return self.attach(drive, job, read).await };
        let source_drive = read.row.source_drive(drive)?;
        // Of the drive into which it copies.
        let rules = self.rules(drive).await?;
        let Some(mut step) = self.read_step((source_drive, drive), rules, at, &read.row).await? else {
            return Ok(Turn::Lost);
        };
        step.put_by(UserId::from_slice(&read.row.by));
        let Some(intent) = self.intend_copies(drive, job, read, &step).await? else { return Ok(Turn::Lost) };
        let added = self.add_copies(drive, job, read, &step, intent).await;
        if let (false, Some(intent)) = (matches!(added, Ok(Turn::Made)), intent) {
            self.release_copies(drive, &step, intent).await;
        }
        added
    }

    /// What is to be copied next. None: changed while it was read.
    async fn read_step(
        &self,
        (drive, into): (DriveId, DriveId),
        rules: Rules,
        at: &types::ItemAt,
        job: &JobRow,
    ) -> Result<Option<Step>, DriveError> {
        let from = &job.from;
        let elsewhere = (drive != into).then_some(drive);
        let tables = self.inner.tables;
        let row: StepRow = decode("a step of a job", &at.item.value)?;
        let damaged = || DriveError::Damaged("a step of a job".into());
        let source = FolderId::from_slice(&row.source).ok_or_else(damaged)?;
        let target = FolderId::from_slice(&row.target).ok_or_else(damaged)?;
        if !row.file.is_empty() {
            let step = self.read_file((drive, rules), at.sort_key.clone(), (source, target), &row.file, job).await?;
            return Ok(step.map(|step| Step { elsewhere, ..step }));
        }
        let place = ItemKey::new(tables.places, drive.bytes(), source.bytes());
        if self.inner.store.get(&place, Consistency::Strong).await?.is_none() {
            return Err(DriveError::Invalid(format!("{from}, or a folder in it, was removed while it was copied")));
        }
        let mut query = Query::prefix(tables.entries, drive.bytes(), &source.0).after(entry_key(source, &row.after));
        query.limit = ENTRIES;
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let mut entries = Vec::new();
        for at in &page.items {
            entries.push((
                at.sort_key.clone(),
                at.item.version,
                Entry::decode(name_in(&at.sort_key)?, &at.item.value)?,
            ));
        }
        let taken = portion(entries.iter().map(|(.., entry)| entry.size())).min(entries.len());
        let more = page.next.is_some() || taken < entries.len();
        entries.truncate(taken);
        let next = entries.last().filter(|_| more).map(|(.., last)| last.name.clone());
        let Some(copied) = self.copies(drive, rules, entries).await? else { return Ok(None) };
        let (row, level) = (at.sort_key.clone(), row.level);
        Ok(Some(Step { row, elsewhere, source, target, level, copied, next, alone: false, rules }))
    }

    /// The same, of one file.
    async fn read_file(
        &self,
        (drive, rules): (DriveId, Rules),
        row: Bytes,
        (source, target): (FolderId, FolderId),
        name: &str,
        job: &JobRow,
    ) -> Result<Option<Step>, DriveError> {
        let from = &job.from;
        let gone = || DriveError::Invalid(format!("{from} was moved or removed while it was copied"));
        let key = entry_key(source, name);
        let item = ItemKey::new(self.inner.tables.entries, drive.bytes(), key.clone());
        let item = self.inner.store.get(&item, Consistency::Strong).await?.ok_or_else(gone)?;
        let entry = Entry::decode(name, &item.value)?;
        if entry.is_folder() {
            return Err(gone());
        }
        entry.must_be(job.only[..].try_into().ok(), &DrivePath::parse(from)?)?;
        let Some(copied) = self.copies(drive, rules, vec![(key, item.version, entry)]).await? else { return Ok(None) };
        Ok(Some(Step { row, elsewhere: None, source, target, level: 0, copied, next: None, alone: true, rules }))
    }

    /// The copies of these entries, under new ids. None: one has another content by now.
    async fn copies(
        &self,
        drive: DriveId,
        rules: Rules,
        entries: Vec<(Bytes, Version, Entry)>,
    ) -> Result<Option<Vec<Copied>>, DriveError> {
        let tables = self.inner.tables;
        if entries.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let keys = entries.iter().map(|(.., entry)| match &entry.kind {
            EntryKind::Folder(folder) => ItemKey::new(tables.counts, drive.bytes(), folder.id.bytes()),
            EntryKind::File(file) => ItemKey::new(tables.contents, drive.bytes(), file.version.bytes()),
        });
        let files = entries.iter().filter_map(|(.., entry)| entry.file());
        let said = files.map(|file| ItemKey::new(tables.about, drive.bytes(), file.version.bytes()));
        let mut items = self.inner.store.get_many(keys.chain(said).collect(), Consistency::Strong).await?;
        let mut said = items.split_off(entries.len().min(items.len())).into_iter();
        let now = self.now();
        let mut copied = Vec::new();
        for ((key, version, entry), item) in entries.into_iter().zip(items) {
            let (kind, what) = match (&entry.kind, item) {
                (EntryKind::Folder(folder), count) => {
                    let count = count.map(|item| count_in(&item.value)).transpose()?.unwrap_or(0).max(0) as u64;
                    let id = FolderId::random();
                    // How high it is while others change it: whoever has to know sees for themselves.
                    let made = FolderInfo { height: None, ..FolderInfo::new(id) };
                    (EntryKind::Folder(made), What::Folder { source: folder.id, count })
                }
                (EntryKind::File(file), Some(item)) => {
                    let content = Stored::decode(&item.value)?.content;
                    let (id, version) = (FileId::random(), VersionId::random());
                    let named = rules.versioning == Versioning::Enabled;
                    let order = if named { now.0 } else { 0 };
                    let copy = FileInfo { id, version, history: false, order, named, ..file.clone() };
                    let about = said.next().flatten().map_or(Ok(About::default()), |item| about_in(&item.value))?;
                    // Of many parts much is said; a copy is in one piece.
                    let about = About { parts: Vec::new(), lock: rules.lock_of_new(None, now)?, ..about };
                    (EntryKind::File(copy), What::File(Stored::new(content), about))
                }
                (EntryKind::File(_), None) => return Ok(None),
            };
            let properties = self.properties_row(drive, &entry).await?;
            let copy = Entry { created: now, modified: now, properties: properties.is_some(), kind, ..entry };
            copied.push(Copied { key, version, copy, what, properties });
        }
        Ok(Some(copied))
    }

    /// Contents with blocks get their rows and rows of work, then their references. The version of those rows; none
    /// of them: there are no such contents. None at all: lost to someone else.
    async fn intend_copies(
        &self,
        drive: DriveId,
        job: JobId,
        read: &mut Read,
        step: &Step,
    ) -> Result<Option<Option<Version>>, DriveError> {
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        let mut wanted = Vec::new();
        for (version, stored) in step.with_blocks() {
            change.put(self.inner.tables.contents, version.bytes(), stored.encode());
            change.put_work_of_version(version, Work::Put, true);
            let owner = stored.owner(drive, version);
            wanted.push(reference(self.inner.store.clone(), owner, stored.content.clone()));
        }
        if wanted.is_empty() {
            return Ok(Some(None));
        }
        let Commit::Done(done) = change.commit(self.store(), &read.row.to).await? else { return Ok(None) };
        let referenced = stream::iter(wanted).buffer_unordered(AT_ONCE).try_collect::<()>();
        // As for a put: nothing may arrive when the sweeper has been and gone.
        let referenced = tokio::time::timeout(self.inner.settings.abandoned / 4, referenced);
        match self.meanwhile(drive, job, read, referenced).await? {
            Some(Ok(all)) => all?,
            // What may still be on its way is the sweeper's, when it is old.
            Some(Err(_)) | None => return Ok(None),
        }
        Ok(Some(Some(done.version)))
    }

    /// The entries come, and the step is done.
    async fn add_copies(
        &self,
        drive: DriveId,
        job: JobId,
        read: &Read,
        step: &Step,
        intent: Option<Version>,
    ) -> Result<Turn, DriveError> {
        let tables = self.inner.tables;
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        change.require_rules(self, step.rules);
        if let Some(source) = step.elsewhere {
            if !self.still_there(source, step).await? {
                return Ok(Turn::Lost);
            }
        } else if !step.alone {
            // What has been taken apart has no place first, and no entries then.
            change.require(tables.places, step.source.bytes(), Test::Present);
        }
        let mut row = JobRow { done: read.row.done + step.copied.len() as u64, ..read.row.clone() };
        for Copied { key, version, copy, what, properties } in &step.copied {
            if step.elsewhere.is_none() {
                // It still names its content, so that the content had references all the time.
                change.require(tables.entries, key.clone(), Test::VersionIs(*version));
            }
            if let (EntryKind::File(file), What::File(_, about)) = (&copy.kind, what) {
                change.put_about(self, file.version, about);
            }
            match (&copy.kind, what, intent) {
                (EntryKind::File(file), What::File(stored, _), Some(intent)) if has_blocks(&stored.content) => {
                    let work = work_key_of_version(file.version);
                    change.require_work(work.clone(), intent);
                    change.delete(tables.work, work);
                }
                (EntryKind::File(file), What::File(stored, _), _) => {
                    change.put(tables.contents, file.version.bytes(), stored.encode());
                }
                (EntryKind::Folder(folder), What::Folder { source, count }, _) => {
                    let next = StepRow::new(*source, folder.id, String::new(), step.level + 1);
                    row.height = row.height.map(|height| height.max(step.level + 1));
                    change.put(tables.steps, step_key(job, folder.id), next.encode_to_vec());
                    row.found += count;
                }
                _ => return Err(DriveError::Damaged("a step of a job".into())),
            }
            row.bytes += copy.size();
            change.count_bytes(copy.size() as i64);
            change.put_entry(step.target, copy);
            change.text_changes(None, Some(copy));
            if let Some(row) = properties {
                change.put_properties(self, copy, row.clone());
            }
        }
        change.count_entries(step.target, step.copied.len() as i64);
        match &step.next {
            Some(after) => {
                let next = StepRow::new(step.source, step.target, after.clone(), step.level);
                change.put(tables.steps, step.row.clone(), next.encode_to_vec());
            }
            None => change.delete(tables.steps, step.row.clone()),
        }
        change.put_job(self, job, &row);
        Ok(change.commit(self.store(), &read.row.to).await?.into())
    }

    /// Is all of another drive that the step copies as it was read? The copies have references of their own by now: what named
    /// the contents until after that kept them all the time, whatever becomes of it later.
    async fn still_there(&self, drive: DriveId, step: &Step) -> Result<bool, DriveError> {
        let tables = self.inner.tables;
        let place = ItemKey::new(tables.places, drive.bytes(), step.source.bytes());
        let entries = step.copied.iter().map(|it| ItemKey::new(tables.entries, drive.bytes(), it.key.clone()));
        let keys: Vec<ItemKey> = std::iter::once(place).chain(entries).collect();
        let items = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let Some((place, entries)) = items.split_first() else { return Ok(false) };
        let same = |(it, item): (&Copied, &Option<types::Item>)| item.as_ref().is_some_and(|i| i.version == it.version);
        Ok((step.alone || place.is_some()) && step.copied.iter().zip(entries).all(same))
    }

    /// The step came to nothing, or it is not known whether it did: if so, what it referenced goes the sweeper's
    /// way. If this fails too, the sweeper takes it when it is old.
    async fn release_copies(&self, drive: DriveId, step: &Step, intent: Version) {
        let mut change = Change::new(self, drive);
        for (version, _) in step.with_blocks() {
            change.require_work(work_key_of_version(version), intent);
            change.put_work_of_version(version, Work::Release, true);
        }
        if let Err(error) = change.commit(self.store(), &drive).await {
            tracing::debug!(%error, "a step of a copy is left to the sweeper");
        }
    }
}

impl Step {
    fn with_blocks(&self) -> impl Iterator<Item = (VersionId, &Stored)> {
        self.copied.iter().filter_map(|it| match (&it.copy.kind, &it.what) {
            (EntryKind::File(file), What::File(stored, _)) if has_blocks(&stored.content) => {
                Some((file.version, stored))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty name stands before every name.
    #[test]
    fn a_step_begins_before_every_name() {
        assert!(entry_key(FolderId::ROOT, "") < entry_key(FolderId::ROOT, "\u{1}"));
    }

    #[test]
    fn a_step_has_so_many_blocks_or_one_file() {
        let gib = 1 << 30;
        assert_eq!(portion([0, 1, 20, 0].into_iter()), 4);
        assert_eq!(portion([10 * gib, 9 * gib, 0, gib].into_iter()), 3);
        assert_eq!(portion([0, 40 * gib, 1].into_iter()), 1);
        assert_eq!(portion([40 * gib, 1].into_iter()), 1);
        assert_eq!(portion(std::iter::once(u64::MAX)), 1);
    }
}
