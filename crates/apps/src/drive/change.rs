//! A drive's tables, its keys, and one change of it: a transaction under the
//! drive's partition key.

use super::objects::uploads::UPLOADS_MAX;
use super::rows::{PlaceRow, Work, WorkRow};
use super::rules::{self, Known, Rules};
use super::texts::Waiting;
use super::walk::Step;
use super::{DriveError, Drives, Entry, index, links, locks};
use crate::store::Store;
use crate::{DriveId, FileId, FolderId, LinkId, VersionId};
use bytes::Bytes;
use client::ClientError;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{
    Condition, Consistency, Item, ItemKey, Refusal, TableId, Test, Transaction, TransactionResult, Update, Version,
    WallMillis,
};

const NAMESPACE: &str = "drive";
/// Entries in a folder.
pub const FOLDER_ENTRIES_MAX: i64 = 10_000_000;

/// The tables, all keyed by drive, but for what is a person's own ([`super::personal`]).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    /// parent folder ‖ name → entry.
    pub entries: TableId,
    /// folder or file → parent and name.
    pub places: TableId,
    /// folder → counter of its entries; [`BYTES`] → counter of bytes.
    pub counts: TableId,
    /// version → content.
    pub contents: TableId,
    /// `v` version, `f` folder or `h` file → what the sweeper has to do.
    pub work: TableId,
    /// when ‖ random → what was thrown away, and where it was.
    pub trash: TableId,
    /// file ‖ when ‖ version → a content that the file had before.
    pub versions: TableId,
    /// when ‖ file → whose versions are to be thinned then.
    pub due: TableId,
    /// Entries again, by size, by date and by name; see [`index`].
    pub index: TableId,
    /// job → what it is and how far it is.
    pub jobs: TableId,
    /// job ‖ folder → how far the job is with that folder.
    pub steps: TableId,
    /// link → what it leads to.
    pub links: TableId,
    /// link ‖ what → counter: see [`super::links`].
    pub link_counts: TableId,
    /// link ‖ guest ‖ content → a download that was counted a short time ago.
    pub link_guests: TableId,
    /// link ‖ which and what path → a folder that came by it: see [`super::links`].
    pub link_folders: TableId,
    /// One row: what clients have locked.
    pub locks: TableId,
    /// folder or file → properties that clients keep with it.
    pub properties: TableId,
    /// version → small picture, or that there is none.
    pub thumbnails: TableId,
    /// file → its text, as it was read; see [`super::texts`].
    pub texts: TableId,
    /// word ‖ 0 ‖ file → that the word is in the file.
    pub words: TableId,
    /// file → that it is to be read.
    pub unread: TableId,
    /// program → that it is held, or was let go; see [`super::brake`].
    pub brakes: TableId,
    /// program → how much it removed lately; see [`super::removed`].
    pub removed: TableId,
    /// By person: drive ‖ folder or file → since when it is starred.
    pub stars: TableId,
    /// By person: one row, what they did last.
    pub recent: TableId,
    /// key → object that cannot be in the tree: see [`super::objects`].
    pub flat: TableId,
    /// version → what is said of an object.
    pub about: TableId,
    /// upload in parts → what was said when it began; [`UPLOADS`] → counter of those under way.
    pub uploads: TableId,
    /// upload → what was said of one that was completed lately.
    pub completed: TableId,
    /// upload ‖ number → part.
    pub parts: TableId,
    /// What holds for the drive as a bucket: see [`super::rules`].
    pub buckets: TableId,
    /// key ‖ file → a history whose key has no object: see [`super::succession`].
    pub gone: TableId,
    /// file → which of its earlier versions S3 calls `null`.
    pub nulls: TableId,
}

/// Sort key of the counter of bytes; folder ids are sixteen bytes long.
pub(super) const BYTES: &[u8] = b"bytes";

/// Sort key of the counter of uploads in parts; their ids are sixteen bytes long.
const UPLOADS: &[u8] = b"count";

impl Tables {
    pub(super) async fn open(store: &dyn Store) -> Result<Tables, ClientError> {
        Ok(Tables {
            entries: store.ensure_table(NAMESPACE, "entries").await?,
            // The name is from before files had places too.
            places: store.ensure_table(NAMESPACE, "folders").await?,
            counts: store.ensure_table(NAMESPACE, "counts").await?,
            contents: store.ensure_table(NAMESPACE, "contents").await?,
            work: store.ensure_table(NAMESPACE, "work").await?,
            trash: store.ensure_table(NAMESPACE, "trash").await?,
            versions: store.ensure_table(NAMESPACE, "versions").await?,
            due: store.ensure_table(NAMESPACE, "due").await?,
            index: store.ensure_table(NAMESPACE, "index").await?,
            jobs: store.ensure_table(NAMESPACE, "jobs").await?,
            steps: store.ensure_table(NAMESPACE, "steps").await?,
            links: store.ensure_table(NAMESPACE, "links").await?,
            link_counts: store.ensure_table(NAMESPACE, "link_counts").await?,
            link_guests: store.ensure_table(NAMESPACE, "link_guests").await?,
            link_folders: store.ensure_table(NAMESPACE, "link_folders").await?,
            locks: store.ensure_table(NAMESPACE, "locks").await?,
            properties: store.ensure_table(NAMESPACE, "properties").await?,
            thumbnails: store.ensure_table(NAMESPACE, "thumbnails").await?,
            texts: store.ensure_table(NAMESPACE, "texts").await?,
            words: store.ensure_table(NAMESPACE, "words").await?,
            unread: store.ensure_table(NAMESPACE, "unread").await?,
            brakes: store.ensure_table(NAMESPACE, "brakes").await?,
            removed: store.ensure_table(NAMESPACE, "removed").await?,
            stars: store.ensure_table(NAMESPACE, "stars").await?,
            recent: store.ensure_table(NAMESPACE, "recent").await?,
            flat: store.ensure_table(NAMESPACE, "flat").await?,
            about: store.ensure_table(NAMESPACE, "about").await?,
            uploads: store.ensure_table(NAMESPACE, "uploads").await?,
            completed: store.ensure_table(NAMESPACE, "completed").await?,
            parts: store.ensure_table(NAMESPACE, "parts").await?,
            buckets: store.ensure_table(NAMESPACE, "buckets").await?,
            gone: store.ensure_table(NAMESPACE, "gone").await?,
            nulls: store.ensure_table(NAMESPACE, "nulls").await?,
        })
    }

    pub(super) fn entry(&self, drive: DriveId, parent: FolderId, name: &str) -> ItemKey {
        ItemKey::new(self.entries, drive.bytes(), entry_key(parent, name))
    }
}

pub(super) fn entry_key(parent: FolderId, name: &str) -> Bytes {
    [&parent.0[..], name.as_bytes()].concat().into()
}

/// The name in an entry's sort key.
pub(super) fn name_in(sort_key: &[u8]) -> Result<&str, DriveError> {
    sort_key
        .get(16..)
        .and_then(|name| std::str::from_utf8(name).ok())
        .ok_or_else(|| DriveError::Damaged("the key of an entry".into()))
}

pub(super) fn work_key_of_version(version: VersionId) -> Bytes {
    [b"v", &version.0[..]].concat().into()
}

pub(super) fn work_key_of_folder(folder: FolderId) -> Bytes {
    [b"f", &folder.0[..]].concat().into()
}

pub(super) fn work_key_of_history(file: FileId) -> Bytes {
    [b"h", &file.0[..]].concat().into()
}

/// What one of a change's counters counts.
#[derive(Clone, Copy)]
enum Counted {
    Entries,
    /// The same, where one must be left.
    EntriesLeft,
    Bytes,
    /// What came by a link.
    ByLink,
    /// Uploads that are under way by it.
    UploadsByLink,
    /// Uploads in parts.
    Uploads,
}

/// A transaction being put together.
pub(super) struct Change {
    tables: Tables,
    drive: DriveId,
    quota: Option<u64>,
    conditions: Vec<Condition>,
    updates: Vec<Update>,
    entries: BTreeMap<FolderId, i64>,
    /// The folder must not become empty.
    kept: Option<FolderId>,
    bytes: i64,
    uploads: i64,
    /// Counters of a link, their changes and bounds.
    by_link: Vec<(Counted, Bytes, i64, i64)>,
    /// The condition that the drive's rules are as they were known, and where they are known.
    rules: Option<(usize, Arc<Known>)>,
    /// Who waits for something to read, and whether there is any.
    waiting: Arc<Waiting>,
    unread: bool,
    /// The condition that the locks are as they were judged.
    locks: Option<usize>,
    /// The condition that no object lock keeps what is in the drive.
    pub(super) unlocked: Option<usize>,
}

/// What became of a change.
pub(super) enum Commit {
    /// Applied.
    Done(TransactionResult),
    /// Not applied: that condition did not hold; none of them: a folder would have become empty.
    Lost(usize),
}

impl Change {
    pub(super) fn new(drives: &Drives, drive: DriveId) -> Change {
        Change {
            tables: drives.inner.tables,
            drive,
            quota: drives.quota,
            conditions: Vec::new(),
            updates: Vec::new(),
            entries: BTreeMap::new(),
            kept: None,
            bytes: 0,
            uploads: 0,
            by_link: Vec::new(),
            rules: None,
            waiting: drives.inner.waiting.clone(),
            unread: false,
            locks: None,
            unlocked: None,
        }
    }

    /// Adds a condition; its index.
    pub(super) fn require(&mut self, table: TableId, sort_key: Bytes, test: Test) -> usize {
        self.conditions.push(Condition { table, sort_key, test });
        self.conditions.len() - 1
    }

    /// All these entries are as they were read: the path that they make still
    /// leads where it led. Steps that two paths share are required once.
    pub(super) fn require_steps(&mut self, steps: &[Step]) {
        for step in steps {
            let condition = Condition {
                table: self.tables.entries,
                sort_key: step.key.clone(),
                test: Test::VersionIs(step.version),
            };
            if !self.conditions.contains(&condition) {
                self.conditions.push(condition);
            }
        }
    }

    /// The drive's rules are still those that are known.
    pub(super) fn require_rules(&mut self, drives: &Drives, rules: Rules) {
        if self.rules.is_none() {
            let at = self.require(self.tables.buckets, Bytes::from_static(rules::VERSIONING), rules.test());
            self.rules = Some((at, drives.inner.known.clone()));
        }
    }

    /// The drive's locks are still those that the act was judged by, where it was. Otherwise the commit is refused as
    /// [`DriveError::Changed`]: whoever judged has to look again.
    pub(super) fn require_locks(&mut self, drives: &Drives) {
        if let Some(test) = drives.locks_kept(self.drive) {
            self.locks = Some(self.require(self.tables.locks, locks::ROW, test));
        }
    }

    /// Reads these items, and whether all that the change rests on is as it was read: of one moment, since a drive's
    /// rows are one partition's.
    pub(super) async fn read_along(
        &self,
        store: &dyn Store,
        keys: Vec<ItemKey>,
    ) -> Result<(Vec<Option<Item>>, bool), DriveError> {
        let count = keys.len();
        let conditions = self.conditions.iter();
        let rests = conditions.map(|it| ItemKey::new(it.table, self.drive.bytes(), it.sort_key.clone()));
        let mut items = store.get_many(keys.into_iter().chain(rests).collect(), Consistency::Strong).await?;
        if items.len() != count + self.conditions.len() {
            return Err(DriveError::Damaged("the store answered for other keys than were asked".into()));
        }
        let rests = items.split_off(count);
        let holds = self.conditions.iter().zip(&rests).all(|(condition, item)| match &condition.test {
            Test::Absent => item.is_none(),
            Test::Present => item.is_some(),
            Test::VersionIs(version) => item.as_ref().is_some_and(|item| item.version == *version),
            Test::ValueIs(value) => item.as_ref().is_some_and(|item| item.value == *value),
        });
        Ok((items, holds))
    }

    /// Something is to be read once this is done.
    pub(super) fn wakes_readers(&mut self) {
        self.unread = true;
    }

    pub(super) fn unread_table(&self) -> TableId {
        self.tables.unread
    }

    pub(super) fn require_nothing_at(&mut self, key: Bytes) {
        self.require(self.tables.entries, key, Test::Absent);
    }

    pub(super) fn require_work(&mut self, key: Bytes, version: Version) -> usize {
        self.require(self.tables.work, key, Test::VersionIs(version))
    }

    pub(super) fn put(&mut self, table: TableId, sort_key: Bytes, value: impl Into<Bytes>) {
        self.put_until(table, sort_key, value, None);
    }

    /// The same, for a while.
    pub(super) fn put_until(
        &mut self,
        table: TableId,
        sort_key: Bytes,
        value: impl Into<Bytes>,
        expires: Option<WallMillis>,
    ) {
        self.updates.push(Update::Put { table, sort_key: sort_key.into(), value: value.into().into(), expires });
    }

    pub(super) fn delete(&mut self, table: TableId, sort_key: Bytes) {
        self.updates.push(Update::Delete { table, sort_key });
    }

    /// Puts an entry with all that is kept of it elsewhere. What was at its place
    /// goes first, by [`Self::delete_entry`].
    pub(super) fn put_entry(&mut self, parent: FolderId, entry: &Entry) {
        let value = Bytes::from(entry.encode());
        self.put(self.tables.entries, entry_key(parent, &entry.name), value.clone());
        for key in index::keys(parent, entry) {
            self.put(self.tables.index, key, value.clone());
        }
        self.put_place(entry, parent, &entry.name);
    }

    /// Says where a file or folder is.
    pub(super) fn put_place(&mut self, entry: &Entry, parent: FolderId, name: &str) {
        let row = PlaceRow { parent: parent.bytes(), name: name.to_string() };
        self.put(self.tables.places, entry.id().to_vec().into(), row.encode_to_vec());
    }

    /// Takes an entry out of its folder. Where the file or folder is now remains to be said, or that it is gone.
    pub(super) fn delete_entry(&mut self, parent: FolderId, entry: &Entry) {
        self.delete(self.tables.entries, entry_key(parent, &entry.name));
        for key in index::keys(parent, entry) {
            self.delete(self.tables.index, key);
        }
    }

    pub(super) fn put_work_of_version(&mut self, version: VersionId, work: Work, at_once: bool) {
        self.put(self.tables.work, work_key_of_version(version), WorkRow::encoded(work, at_once));
    }

    pub(super) fn put_work(&mut self, key: Bytes, work: Work, at_once: bool) {
        self.put(self.tables.work, key, WorkRow::encoded(work, at_once));
    }

    /// Uploads in parts begin (or end).
    pub(super) fn count_uploads(&mut self, delta: i64) {
        self.uploads += delta;
    }

    /// What clients kept with an entry goes with it.
    pub(super) fn delete_properties(&mut self, entry: &Entry) {
        if entry.properties {
            self.delete(self.tables.properties, entry.id().to_vec().into());
        }
    }

    /// The entry is gone for good: its place is forgotten, what it held is left to the sweeper.
    pub(super) fn leave_to_sweeper(&mut self, entry: &Entry, at_once: bool) {
        self.delete(self.tables.places, entry.id().to_vec().into());
        self.delete_properties(entry);
        self.text_changes(Some(entry), None);
        if let Some(file) = entry.file() {
            self.put_work_of_version(file.version, Work::Release, at_once);
            if file.history {
                self.put(self.tables.work, work_key_of_history(file.id), WorkRow::encoded(Work::Forget, at_once));
            }
        }
        if let Some(folder) = entry.folder() {
            self.put(self.tables.work, work_key_of_folder(folder.id), WorkRow::encoded(Work::Dismantle, at_once));
        }
    }

    /// The folder gets (or loses) entries.
    pub(super) fn count_entries(&mut self, folder: FolderId, delta: i64) {
        *self.entries.entry(folder).or_default() += delta;
    }

    /// The folder loses an entry, which must not be its last.
    pub(super) fn count_off_but_one(&mut self, folder: FolderId) {
        self.count_entries(folder, -1);
        self.kept = Some(folder);
    }

    /// The drive gets (or loses) bytes. Losing is always allowed, over the quota too.
    pub(super) fn count_bytes(&mut self, delta: i64) {
        self.bytes = self.bytes.saturating_add(delta);
    }

    /// A counter of a link, which takes up to `max`.
    pub(super) fn count_by_link(&mut self, counter: Bytes, delta: i64, max: i64) {
        self.by_link.push((Counted::ByLink, counter, delta, max));
    }

    /// Uploads that begin by a link, or end, of which `max` may be under way.
    pub(super) fn count_uploads_by_link(&mut self, link: LinkId, delta: i64, max: i64) {
        self.by_link.push((Counted::UploadsByLink, links::uploads(link), delta, max));
    }

    /// What was counted becomes changes of counters.
    fn settle(&mut self) -> Vec<(Counted, i64)> {
        let quota = self.quota.map_or(i64::MAX, |quota| i64::try_from(quota).unwrap_or(i64::MAX));
        let max = if self.bytes > 0 { quota } else { i64::MAX };
        let bytes = (Bytes::from_static(BYTES), Counted::Bytes, self.bytes, max);
        let kept = self.kept;
        let entries = std::mem::take(&mut self.entries).into_iter().map(|(folder, delta)| {
            let what = if kept == Some(folder) { Counted::EntriesLeft } else { Counted::Entries };
            (folder.bytes(), what, delta, FOLDER_ENTRIES_MAX)
        });
        let mut counted = Vec::new();
        for (sort_key, what, delta, max) in entries.chain([bytes]).filter(|(_, _, delta, _)| *delta != 0) {
            let min = i64::from(matches!(what, Counted::EntriesLeft));
            self.updates.push(Update::Add { table: self.tables.counts, sort_key, delta, min, max });
            counted.push((what, delta));
        }
        if self.uploads != 0 {
            let (sort_key, delta, max) = (Bytes::from_static(UPLOADS), self.uploads, UPLOADS_MAX);
            self.updates.push(Update::Add { table: self.tables.uploads, sort_key, delta, min: 0, max });
            counted.push((Counted::Uploads, delta));
        }
        for (what, sort_key, delta, max) in std::mem::take(&mut self.by_link) {
            counted.push((what, delta));
            self.updates.push(Update::Add { table: self.tables.link_counts, sort_key, delta, min: 0, max });
        }
        counted
    }

    /// Applies it, all or nothing. `path` is what the person is told of.
    pub(super) async fn commit(
        mut self,
        store: &dyn Store,
        path: &(dyn ToString + Sync),
    ) -> Result<Commit, DriveError> {
        let partition_key = self.drive.bytes();
        let operation = store.operation(&partition_key);
        let counted = self.settle();
        let transaction = Transaction { operation, partition_key, conditions: self.conditions, updates: self.updates };
        match store.transact(transaction).await {
            Ok(result) => {
                if self.unread {
                    self.waiting.add(self.drive);
                }
                Ok(Commit::Done(result))
            }
            Err(ClientError::Refused(Refusal::Condition { index, .. })) => {
                if let Some((at, known)) = &self.rules
                    && *at == index as usize
                {
                    known.forget(self.drive);
                }
                if self.unlocked == Some(index as usize) {
                    return Err(DriveError::LockedDrive);
                }
                match self.locks == Some(index as usize) {
                    true => Err(DriveError::Changed { path: path.to_string() }),
                    false => Ok(Commit::Lost(index as usize)),
                }
            }
            Err(ClientError::Refused(Refusal::Bounds { index, .. }))
                if matches!(counted.get(index as usize), Some((Counted::EntriesLeft, _))) =>
            {
                Ok(Commit::Lost(usize::MAX))
            }
            Err(ClientError::Refused(Refusal::Bounds { index, would_be, max, .. })) => {
                Err(match counted.get(index as usize) {
                    Some((Counted::Bytes, delta)) if *delta > 0 => {
                        let used = would_be.saturating_sub(*delta);
                        DriveError::Quota { needed: *delta as u64, room: max.saturating_sub(used).max(0) as u64 }
                    }
                    Some((Counted::ByLink, _)) => DriveError::LinkFull,
                    Some((Counted::UploadsByLink, delta)) if *delta > 0 => DriveError::LinkBusy { max },
                    Some((Counted::Uploads, delta)) if *delta > 0 => {
                        DriveError::Invalid(format!("{UPLOADS_MAX} uploads are under way here: end some of them first"))
                    }
                    Some((Counted::Entries, delta)) if *delta > 0 => DriveError::FolderFull { path: path.to_string() },
                    _ => DriveError::Damaged(format!("a counter would become {would_be}")),
                })
            }
            Err(other) => Err(other.into()),
        }
    }
}
