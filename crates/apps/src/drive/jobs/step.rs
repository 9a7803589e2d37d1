//! One step of copying a folder: some entries of one of its folders.

use super::{JobRow, Read, StepRow, step_key};
use crate::drive::change::{Change, Commit, entry_key, name_in, owner, work_key_of_version};
use crate::drive::rows::{Work, WorkRow, decode};
use crate::drive::{DriveError, Drives, Entry, EntryKind, FileInfo, FolderInfo};
use crate::store::Store;
use crate::{DriveId, FileId, FolderId, JobId, VersionId};
use bytes::Bytes;
use client::{Body, ClientError, Content};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use types::{Consistency, ItemKey, Query, Test, Version};

/// Entries in one step: each takes up to ten changes.
const ENTRIES: u32 = 64;
/// Contents that are referenced at a time.
const AT_ONCE: usize = 8;

/// A file of a step, and its copy.
struct Copied {
    source: FileInfo,
    copy: FileInfo,
    content: Content,
    /// The row of work that keeps the copy's references from being lost sight of; none for content without.
    intent: Option<Version>,
}

/// Boxed, so that what runs a job can be sent between threads.
fn reference(store: Arc<dyn Store>, owner: Vec<u8>, content: Content) -> BoxFuture<'static, Result<(), ClientError>> {
    async move { store.reference_content(&owner, &content).await }.boxed()
}

/// An entry of a step, as read.
struct Listed {
    key: Bytes,
    version: Version,
    entry: Entry,
}

/// An id in the copy: the same whenever the step is repeated.
fn derived(job: JobId, of: [u8; 16]) -> [u8; 16] {
    let hash = blake3::Hasher::new().update(&job.0).update(&of).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    id
}

impl Drives {
    /// One step, or the last one.
    pub(super) async fn step(&self, drive: DriveId, job: JobId, read: &Read) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let query = Query { limit: 1, ..Query::prefix(tables.steps, drive.bytes(), &job.0) };
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let Some(at) = page.items.first() else { return self.attach(drive, job, read).await };
        let row: StepRow = decode("a step of a job", &at.item.value)?;
        let damaged = || DriveError::Damaged("a step of a job".into());
        let source = FolderId::from_slice(&row.source).ok_or_else(damaged)?;
        let target = FolderId::from_slice(&row.target).ok_or_else(damaged)?;
        let mut query = Query::prefix(tables.entries, drive.bytes(), &source.0).after(entry_key(source, &row.after));
        query.limit = ENTRIES;
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let mut entries = Vec::new();
        for at in &page.items {
            let entry = Entry::decode(name_in(&at.sort_key)?, &at.item.value)?;
            entries.push(Listed { key: at.sort_key.clone(), version: at.item.version, entry });
        }
        let Some((read, files)) = self.intend_copies(drive, job, read, &entries).await? else { return Ok(()) };
        self.add_copies(drive, job, &read, source, target, &entries, files, page.next.is_some()).await
    }

    /// Contents with blocks get their records and rows of work, then their
    /// references. None: lost to someone else.
    async fn intend_copies(
        &self,
        drive: DriveId,
        job: JobId,
        read: &Read,
        entries: &[Listed],
    ) -> Result<Option<(Read, Vec<Copied>)>, DriveError> {
        let tables = self.inner.tables;
        let infos: Vec<&FileInfo> = entries.iter().filter_map(|it| it.entry.file()).collect();
        if infos.is_empty() {
            return Ok(Some((Read { version: read.version, row: read.row.clone() }, Vec::new())));
        }
        let key = |table, sort_key| ItemKey::new(table, drive.bytes(), sort_key);
        let keys = infos.iter().flat_map(|file| {
            let version = VersionId(derived(job, file.version.0));
            [
                key(tables.contents, file.version.bytes()),
                key(tables.contents, version.bytes()),
                key(tables.work, work_key_of_version(version)),
            ]
        });
        let items = self.inner.store.get_many(keys.collect(), Consistency::Strong).await?;
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        let (mut files, mut missing) = (Vec::new(), false);
        for (source, rows) in infos.into_iter().zip(items.chunks(3)) {
            let [Some(content), own, work] = rows else {
                // Replaced since the page was read: look again.
                return Ok(None);
            };
            let content = Content::decode(&content.value)?;
            let version = VersionId(derived(job, source.version.0));
            let id = FileId(derived(job, source.id.0));
            let copy = FileInfo { id, version, history: false, ..source.clone() };
            let mut intent = None;
            if !matches!(content.body, Body::Inline(_)) {
                match (own, work) {
                    (None, None) => {
                        change.put(tables.contents, version.bytes(), content.encode());
                        change.put_work_of_version(version, Work::Put, true);
                        missing = true;
                    }
                    (Some(_), Some(work)) if decode::<WorkRow>("a row of work", &work.value)?.work() == Work::Put => {
                        intent = Some(work.version);
                    }
                    // An earlier try is being cleaned up.
                    _ => return Err(DriveError::Conflict { path: read.row.to.clone() }),
                }
            }
            files.push(Copied { source: source.clone(), copy, content, intent });
        }
        let mut now = Read { version: read.version, row: read.row.clone() };
        if missing {
            change.put_job(self, job, &read.row);
            let Commit::Done(done) = change.commit(self.store(), &read.row.to).await? else { return Ok(None) };
            now.version = done.version;
            let blocks = |file: &&mut Copied| !matches!(file.content.body, Body::Inline(_)) && file.intent.is_none();
            files.iter_mut().filter(blocks).for_each(|file| file.intent = Some(done.version));
        }
        let wanted: Vec<BoxFuture<'static, Result<(), ClientError>>> = files
            .iter()
            .filter(|file| file.intent.is_some())
            .map(|file| reference(self.inner.store.clone(), owner(drive, file.copy.version), file.content.clone()))
            .collect();
        let referenced = stream::iter(wanted).buffer_unordered(AT_ONCE).try_collect::<()>();
        // As for a put: nothing may arrive when the sweeper has been and gone.
        match tokio::time::timeout(self.inner.settings.abandoned / 4, referenced).await {
            Ok(done) => done?,
            Err(_) => return Err(DriveError::Conflict { path: read.row.to.clone() }),
        }
        Ok(Some((now, files)))
    }

    /// The entries come, and the step is done.
    #[allow(clippy::too_many_arguments)]
    async fn add_copies(
        &self,
        drive: DriveId,
        job: JobId,
        read: &Read,
        source: FolderId,
        target: FolderId,
        entries: &[Listed],
        files: Vec<Copied>,
        more: bool,
    ) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let now = self.now();
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        let mut row = JobRow { done: read.row.done + entries.len() as u64, ..read.row.clone() };
        let mut files = files.into_iter();
        for Listed { key, version, entry } in entries {
            // It still names its content, so that the content had references all the time.
            change.require(tables.entries, key.clone(), Test::VersionIs(*version));
            let kind = match &entry.kind {
                EntryKind::Folder(folder) => {
                    let id = FolderId(derived(job, folder.id.0));
                    change.put(tables.steps, step_key(job, folder.id), StepRow::encoded(folder.id, id, String::new()));
                    row.found += self.counter(drive, folder.id.bytes()).await?.unwrap_or(0).max(0) as u64;
                    EntryKind::Folder(FolderInfo { id })
                }
                EntryKind::File(_) => {
                    let Some(file) = files.next() else { return Err(DriveError::Damaged("a step".into())) };
                    debug_assert_eq!(Some(&file.source), entry.file());
                    let work = work_key_of_version(file.copy.version);
                    match file.intent {
                        Some(intent) => {
                            change.require_work(work.clone(), intent);
                            change.delete(tables.work, work);
                        }
                        None => {
                            change.require(tables.contents, file.copy.version.bytes(), Test::Absent);
                            change.put(tables.contents, file.copy.version.bytes(), file.content.encode());
                        }
                    }
                    row.bytes += file.copy.size;
                    change.count_bytes(file.copy.size as i64);
                    EntryKind::File(file.copy)
                }
            };
            change.put_entry(target, &Entry { name: entry.name.clone(), created: now, modified: now, kind });
        }
        change.count_entries(target, entries.len() as i64);
        match entries.last() {
            Some(last) if more => {
                let done = StepRow::encoded(source, target, last.entry.name.clone());
                change.put(tables.steps, step_key(job, source), done);
            }
            _ => change.delete(tables.steps, step_key(job, source)),
        }
        change.put_job(self, job, &row);
        // Lost: looked at again.
        change.commit(self.store(), &read.row.to).await.map(|_: Commit| ())
    }
}

/// An empty name stands before every name.
#[cfg(test)]
#[test]
fn a_step_begins_before_every_name() {
    assert!(entry_key(FolderId::ROOT, "") < entry_key(FolderId::ROOT, "\u{1}"));
}
