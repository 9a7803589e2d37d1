//! What a key was before, in drives that number the versions of objects ([`super::rules`]).
//!
//! The versions of a file are those of its key: the entry is the latest, the others stand under the file's id in their
//! order. Where the latest is a *marker*, which says that the object was deleted, there is no entry: a row under the key
//! leads to the history then, and whatever is put there goes on with it. Files that people move take their history
//! along; so a key may have several: the one of what is there, and others that were left there.
//!
//! **Invariants.** (1) Within a history the order grows with every put and delete. (2) At most one version of it has no
//! name of its own: what S3 calls `null`; where that is not the latest, a row says which it is. (3) What S3 promises to
//! keep is marked so, and only who names it, or removes the whole file, removes it.

use super::change::{Change, work_key_of_history};
use super::objects::{About, KEY_BYTES_MAX};
use super::put::Before;
use super::rows::{Work, decode};
use super::rules::{Rules, Versioning};
use super::versions::{Kept, due_key, saved_after};
use super::{DriveError, Drives, Entry, EntryKind, FileInfo};
use crate::{DriveId, FileId, FolderId, UserId, VersionId};
use bytes::Bytes;
use prost::Message;
use types::{Consistency, Item, ItemKey, Test, Version, WallMillis};

/// Histories of one key.
const HISTORIES_MAX: usize = 100;

/// That an object was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub version: VersionId,
    /// As of [`FileInfo::order`].
    pub order: u64,
    pub named: bool,
    pub by: Option<UserId>,
}

/// Its part of a row; the order is told beside it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MarkerRow {
    #[prost(bytes = "bytes", tag = "1")]
    version: Bytes,
    #[prost(bool, tag = "2")]
    named: bool,
    #[prost(bytes = "bytes", tag = "3")]
    by: Bytes,
}

/// Of one key.
#[derive(Clone, PartialEq, Message)]
struct LeftRow {
    #[prost(message, repeated, tag = "1")]
    histories: Vec<HistoryRow>,
}

#[derive(Clone, PartialEq, Message)]
struct HistoryRow {
    #[prost(bytes = "bytes", tag = "1")]
    file: Bytes,
    /// None: it was taken away while something else was at the key.
    #[prost(message, optional, tag = "2")]
    marker: Option<MarkerRow>,
    #[prost(uint64, tag = "3")]
    order: u64,
    /// When the object was first made.
    #[prost(uint64, tag = "4")]
    created: u64,
}

/// A history whose key has no object, or another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub file: FileId,
    pub marker: Option<Marker>,
    pub created: WallMillis,
}

/// All histories that were left at a key, the latest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    pub histories: Vec<Gone>,
    row: Option<Version>,
}

impl MarkerRow {
    pub(super) fn of(marker: &Marker) -> MarkerRow {
        let by = marker.by.map(|by| by.bytes()).unwrap_or_default();
        MarkerRow { version: marker.version.bytes(), named: marker.named, by }
    }

    pub(super) fn into_marker(self, order: u64) -> Result<Marker, DriveError> {
        let version = VersionId::from_slice(&self.version).ok_or_else(|| damaged("a delete marker"))?;
        Ok(Marker { version, order, named: self.named, by: UserId::from_slice(&self.by) })
    }
}

fn damaged(what: &str) -> DriveError {
    DriveError::Damaged(what.into())
}

impl Left {
    pub(super) fn read(item: Option<&Item>) -> Result<Left, DriveError> {
        let Some(item) = item else { return Ok(Left::default()) };
        let mut histories = Vec::new();
        for row in decode::<LeftRow>("what was at a key", &item.value)?.histories {
            histories.push(Gone {
                file: FileId::from_slice(&row.file).ok_or_else(|| damaged("what was at a key"))?,
                marker: row.marker.map(|marker| marker.into_marker(row.order)).transpose()?,
                created: WallMillis(row.created),
            });
        }
        histories.sort_by_key(|gone| std::cmp::Reverse(gone.order()));
        Ok(Left { histories, row: Some(item.version) })
    }

    /// That the key has no object, as the latest that is known of it.
    pub(super) fn marker(&self) -> Option<&Marker> {
        self.histories.first().and_then(|gone| gone.marker.as_ref())
    }

    /// Neither has changed since the other was read.
    pub(super) fn is_as(&self, other: &Left) -> bool {
        self.row == other.row
    }

    fn files(&self) -> impl Iterator<Item = FileId> {
        self.histories.iter().map(|gone| gone.file)
    }
}

impl Gone {
    pub(super) fn order(&self) -> u64 {
        self.marker.as_ref().map_or(0, |marker| marker.order)
    }
}

impl Change {
    /// What was left at a key is as it was read.
    pub(super) fn require_left(&mut self, drives: &Drives, key: &str, left: &Left) {
        // No object has a longer one.
        if key.len() <= KEY_BYTES_MAX {
            let at = Bytes::copy_from_slice(key.as_bytes());
            self.require(drives.inner.tables.gone, at, left.row.map_or(Test::Absent, Test::VersionIs));
        }
    }

    /// What was left at a key is as it was read, and is this from now on.
    pub(super) fn put_left(
        &mut self,
        drives: &Drives,
        key: &str,
        before: &Left,
        histories: &[Gone],
    ) -> Result<(), DriveError> {
        if key.len() > KEY_BYTES_MAX {
            return Ok(());
        }
        self.require_left(drives, key, before);
        if histories == before.histories {
            return Ok(());
        }
        self.write_left(drives, key, before, histories)
    }

    /// The same, written anew also where it is the same: whoever read it before looks again.
    pub(super) fn write_left(
        &mut self,
        drives: &Drives,
        key: &str,
        before: &Left,
        histories: &[Gone],
    ) -> Result<(), DriveError> {
        let (table, at) = (drives.inner.tables.gone, Bytes::copy_from_slice(key.as_bytes()));
        if histories.len() > HISTORIES_MAX {
            return Err(DriveError::Invalid(format!(
                "{HISTORIES_MAX} files were moved to {key} and deleted there: remove some of their versions first"
            )));
        }
        let rows = histories.iter().map(|gone| HistoryRow {
            file: gone.file.bytes(),
            marker: gone.marker.as_ref().map(MarkerRow::of),
            order: gone.order(),
            created: gone.created.0,
        });
        match histories.is_empty() {
            true => self.delete(table, at),
            false => self.put(table, at, LeftRow { histories: rows.collect() }.encode_to_vec()),
        }
        let delta = i64::from(!histories.is_empty()) - i64::from(before.row.is_some());
        self.count_entries(FolderId::GONE, delta);
        Ok(())
    }

    /// What was the latest is kept, as S3 promises.
    pub(super) fn keep(&mut self, drives: &Drives, file: &FileInfo, order: u64) {
        let file = FileInfo { history: true, order, ..file.clone() };
        self.put_version(drives, &file, WallMillis(order), true);
    }

    /// A content that no entry and no version names any more.
    pub(super) fn release(&mut self, file: &FileInfo) {
        self.put_work_of_version(file.version, Work::Release, false);
        self.count_bytes(-(file.size as i64));
    }
}

impl Drives {
    /// What was left at a key.
    pub(super) async fn left(&self, drive: DriveId, key: &str) -> Result<Left, DriveError> {
        // No object has a longer one.
        if key.len() > KEY_BYTES_MAX {
            return Ok(Left::default());
        }
        let at = ItemKey::new(self.inner.tables.gone, drive.bytes(), Bytes::copy_from_slice(key.as_bytes()));
        Left::read(self.inner.store.get(&at, Consistency::Strong).await?.as_ref())
    }

    /// Where what an entry names stands in its order, also if it came before there was one.
    pub(super) async fn order_of(&self, drive: DriveId, entry: &Entry, file: &FileInfo) -> Result<u64, DriveError> {
        if file.order > 0 {
            return Ok(file.order);
        }
        let before = if file.history { self.version_rows(drive, file.id, 1).await? } else { Vec::new() };
        Ok(saved_after(&before, entry.modified).0)
    }

    /// The version that is the latest once what is now has gone.
    pub(super) async fn heir(&self, drive: DriveId, file: FileId) -> Result<Option<Kept>, DriveError> {
        Ok(self.version_rows_that(drive, file, 1, |row| row.kept).await?.pop())
    }

    /// The row that says which version has no name.
    pub(super) fn null_key(&self, drive: DriveId, file: FileId) -> ItemKey {
        ItemKey::new(self.inner.tables.nulls, drive.bytes(), file.bytes())
    }

    /// The version without a name, where it is not the latest.
    pub(super) async fn null_of(&self, drive: DriveId, files: &[FileId]) -> Result<Vec<(FileId, Kept)>, DriveError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.inner.tables;
        let keys = files.iter().map(|file| self.null_key(drive, *file)).collect();
        let mut rows = Vec::new();
        for (file, item) in files.iter().zip(self.inner.store.get_many(keys, Consistency::Strong).await?) {
            let Some(item) = item else { continue };
            let key: Bytes = [&file.0[..], &item.value].concat().into();
            let at = ItemKey::new(tables.versions, drive.bytes(), key.clone());
            // Taken away between the two reads: what rests on it will be refused.
            if let Some(item) = self.inner.store.get(&at, Consistency::Strong).await? {
                rows.push((*file, Kept::read(key, &item)?));
            }
        }
        Ok(rows)
    }

    /// A version without a name comes: an earlier one, if there is any, is none of S3's any more. `hide`: it stays as one
    /// of the drive's own. True: what was left at the key is to be written anew.
    pub(super) async fn end_null(
        &self,
        change: &mut Change,
        drive: DriveId,
        files: &[FileId],
        histories: &mut Vec<Gone>,
        hide: bool,
    ) -> Result<bool, DriveError> {
        let mut anew = false;
        for (id, row) in self.null_of(drive, files).await? {
            anew |= self.end_history(change, drive, histories, id, &row).await?;
            match row.file() {
                Some(file) if hide => {
                    change.take_version(self, &row);
                    change.put_version(self, file, row.saved, false);
                    change.put(self.inner.tables.due, due_key(self.now(), id), Bytes::new());
                }
                _ => change.drop_version(self, &row, false),
            }
        }
        Ok(anew)
    }

    /// A version of a history is none of S3's any more. If nothing but the list of what was left leads to the history, and
    /// it was the last, the list does so no more. True: the list is to be written, also where it is as it was: of two who
    /// each take one of the last two away, one is the last.
    pub(super) async fn end_history(
        &self,
        change: &mut Change,
        drive: DriveId,
        histories: &mut Vec<Gone>,
        file: FileId,
        row: &Kept,
    ) -> Result<bool, DriveError> {
        let headless = histories.iter().position(|gone| gone.file == file && gone.marker.is_none());
        let Some(at) = headless else { return Ok(false) };
        let rows = self.version_rows_that(drive, file, 2, |row| row.kept).await?;
        if rows.iter().all(|it| it.key == row.key) {
            histories.remove(at);
            // Of it there may be versions of the drive's own.
            change.put_work(work_key_of_history(file), Work::Forget, false);
        }
        Ok(true)
    }

    /// A content comes to a key, in the place of `old` or of nothing: what was there is kept as the drive's rules say, and
    /// the new one gets its place among the versions, its lock, and a row of what is said of it. What is read rests on `old` as it is in the tree.
    pub(super) async fn succeed(
        &self,
        change: &mut Change,
        (drive, key): (DriveId, &str),
        old: Option<&Entry>,
        new: &mut Entry,
        about: &About,
    ) -> Result<Before, DriveError> {
        let rules = self.rules(drive).await?;
        change.require_rules(self, rules);
        let EntryKind::File(file) = &mut new.kind else { return Ok(Before::Nothing) };
        let lock = rules.lock_of_new(about.lock, self.now())?;
        change.put_about(self, file.version, &About { lock, ..about.clone() });
        let old = old.and_then(|entry| entry.file().map(|file| (entry, file)));
        file.history = old.is_some_and(|(_, old)| old.history);
        if !rules.numbers() {
            let Some((entry, old)) = old else { return Ok(Before::Nothing) };
            let kept = self.keep_version(change, drive, entry, file.hash).await?;
            file.history |= kept;
            return Ok(if kept { Before::Kept(old.version) } else { Before::Gone });
        }
        let named = rules.versioning == Versioning::Enabled;
        let left = self.left(drive, key).await?;
        let (mut before, mut after, mut histories) = (Before::Nothing, 0, left.histories.clone());
        if let Some((entry, old)) = old {
            after = self.order_of(drive, entry, old).await?;
            let kept = if named || old.named {
                change.keep(self, old, after);
                true
            } else {
                let entry = Entry { modified: WallMillis(after), ..entry.clone() };
                self.keep_version(change, drive, &entry, file.hash).await?
            };
            file.history |= kept;
            before = if kept { Before::Kept(old.version) } else { Before::Gone };
        } else if let Some(past) = left.histories.first() {
            histories.remove(0);
            (file.id, file.history) = (past.file, true);
            after = self.keep_marker_of(change, past, named);
        }
        let mut anew = false;
        if !named {
            let current = old.filter(|(_, old)| old.named).map(|(_, old)| old.id);
            let files: Vec<FileId> = current.into_iter().chain(left.files()).collect();
            anew = self.end_null(change, drive, &files, &mut histories, true).await?;
        }
        match anew {
            true => {
                change.require_left(self, key, &left);
                change.write_left(self, key, &left, &histories)?;
            }
            false => change.put_left(self, key, &left, &histories)?,
        }
        (file.order, file.named) = (self.now().0.max(after.saturating_add(1)), named);
        Ok(before)
    }

    /// The history goes on: its marker, if it is not replaced, becomes an earlier version. Its place.
    fn keep_marker_of(&self, change: &mut Change, past: &Gone, keeps_null: bool) -> u64 {
        if let Some(marker) = past.marker.as_ref().filter(|marker| keeps_null || marker.named) {
            change.keep_marker(self, past.file, marker);
        }
        past.order()
    }

    /// A key's object is deleted, or there was none: a marker takes its place, and what it was is kept as the rules say.
    pub(super) async fn mark_gone(
        &self,
        change: &mut Change,
        rules: Rules,
        (drive, key): (DriveId, &str),
        old: Option<&Entry>,
    ) -> Result<Marker, DriveError> {
        let named = rules.versioning == Versioning::Enabled;
        let left = self.left(drive, key).await?;
        let (mut file, mut after, mut created) = (FileId::random(), 0, self.now());
        let mut histories = left.histories.clone();
        let old = old.and_then(|entry| entry.file().map(|file| (entry, file)));
        if let Some((entry, old)) = old {
            after = self.order_of(drive, entry, old).await?;
            (file, created) = (old.id, entry.created);
            match named || old.named {
                true => change.keep(self, old, after),
                false => change.release(old),
            }
        } else if let Some(past) = left.histories.first() {
            histories.remove(0);
            (file, created) = (past.file, past.created);
            after = self.keep_marker_of(change, past, named);
        }
        if !named {
            let current = old.filter(|(_, old)| old.named).map(|(_, old)| old.id);
            let files: Vec<FileId> = current.into_iter().chain(left.files()).collect();
            self.end_null(change, drive, &files, &mut histories, false).await?;
        }
        let order = self.now().0.max(after.saturating_add(1)).max(left.marker().map_or(0, |marker| marker.order + 1));
        let by = self.program.as_deref().map(|(_, user)| *user);
        let marker = Marker { version: VersionId::random(), order, named, by };
        histories.insert(0, Gone { file, marker: Some(marker.clone()), created });
        change.put_left(self, key, &left, &histories)?;
        Ok(marker)
    }
}
