//! Earlier versions of files. A put that replaces a file keeps what was there,
//! as a row under the file's id; rows go when there are too many, and more of them with age.

use super::change::{Change, Commit};
use super::put::Put;
use super::rows::{EntryFile, Work, decode};
use super::succession::{Marker, MarkerRow};
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo, NewFile, OpenFile, PutCondition};
use crate::{DriveId, FileId, UserId, VersionId};
use bytes::Bytes;
use client::Content;
use prost::Message;
use types::{Consistency, Item, ItemKey, Query, Test, Version, WallMillis};

const DAY: u64 = 24 * 60 * 60 * 1000;
/// Rows of one file that are ever looked at together: more than [`super::Settings::versions`].
const ROWS_MAX: u32 = 2000;
/// Rows looked at together for one or two that are wanted.
const PAGE: u32 = 100;
/// Rows dropped by one put: the rest goes with the next.
const DROPPED_MAX: usize = 50;

/// An earlier version, as stored.
#[derive(Clone, PartialEq, Message)]
struct VersionRow {
    /// As its entry had it.
    #[prost(message, optional, tag = "1")]
    file: Option<EntryFile>,
    /// When it was put.
    #[prost(uint64, tag = "2")]
    saved: u64,
    // 3 was never written.
    /// S3 promises to keep it: it is not thinned out.
    #[prost(bool, tag = "4")]
    kept: bool,
    /// Instead of a file: the key had no object then.
    #[prost(message, optional, tag = "5")]
    marker: Option<MarkerRow>,
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldVersion {
    /// Its content.
    pub file: FileInfo,
    /// When it was put.
    pub saved: WallMillis,
    /// It is the file's content now.
    pub current: bool,
}

/// An earlier version as read.
pub(super) struct Kept {
    pub key: Bytes,
    pub version: Version,
    pub was: Was,
    pub saved: WallMillis,
    /// S3 promises to keep it.
    pub kept: bool,
}

/// What a key was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Was {
    File(FileInfo),
    Gone(Marker),
}

impl Kept {
    pub(super) fn read(key: Bytes, item: &Item) -> Result<Kept, DriveError> {
        Kept::of(key, item.version, &item.value)
    }

    pub(super) fn of(key: Bytes, version: Version, value: &[u8]) -> Result<Kept, DriveError> {
        let row = decode::<VersionRow>("an earlier version", value)?;
        let was = match (row.file, row.marker) {
            (Some(file), None) => Was::File(file.into_info()?),
            (None, Some(marker)) => Was::Gone(marker.into_marker(row.saved)?),
            _ => return Err(DriveError::Damaged("an earlier version".into())),
        };
        Ok(Kept { key, version, was, saved: WallMillis(row.saved), kept: row.kept })
    }

    pub(super) fn file(&self) -> Option<&FileInfo> {
        if let Was::File(file) = &self.was { Some(file) } else { None }
    }

    pub(super) fn is(&self, version: VersionId) -> bool {
        self.file().is_some_and(|file| file.version == version)
    }

    /// It is the one that S3 calls `null`.
    pub(super) fn is_null(&self) -> bool {
        let named = match &self.was {
            Was::File(file) => file.named,
            Was::Gone(marker) => marker.named,
        };
        self.kept && !named
    }
}

pub(super) fn version_key(file: FileId, saved: WallMillis, version: VersionId) -> Bytes {
    [&file.0[..], &saved.0.to_be_bytes(), &version.0].concat().into()
}

/// Which of the versions saved at these times (the latest first) go: of one day's, after a
/// day, all but the last; of a week's, after a month; all after a year. Where that
/// leaves too many, those go that are nearest to a later one.
fn surplus(now: WallMillis, saved: &[WallMillis], most: usize) -> Vec<usize> {
    let mut gone = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    let mut last_slot = None;
    for (at, time) in saved.iter().enumerate() {
        let slot = match now.0.saturating_sub(time.0) / DAY {
            0 => None,
            1..=30 => Some((1, time.0 / DAY)),
            31..=365 => Some((7, time.0 / (7 * DAY))),
            _ => {
                gone.push(at);
                continue;
            }
        };
        if slot.is_some() && slot == last_slot {
            gone.push(at);
        } else {
            kept.push(at);
            last_slot = slot;
        }
    }
    while kept.len() > most {
        let gap = |n: &usize| saved[kept[n - 1]].0.saturating_sub(saved[kept[*n]].0);
        let Some(nearest) = (1..kept.len()).min_by_key(gap) else { break };
        gone.push(kept.remove(nearest));
    }
    if most == 0 {
        gone.append(&mut kept);
    }
    gone.sort_unstable();
    gone
}

/// When what is current now is said to have been saved: later than every version kept before it, whatever the
/// clocks said, so that versions stay in the order in which they were current.
pub(super) fn saved_after(kept: &[Kept], modified: WallMillis) -> WallMillis {
    kept.first().map_or(modified, |last| modified.max(WallMillis(last.saved.0.saturating_add(1))))
}

impl Change {
    pub(super) fn put_version(&mut self, drives: &Drives, file: &FileInfo, saved: WallMillis, kept: bool) {
        let row = VersionRow { file: Some(EntryFile::from_info(file)), saved: saved.0, kept, marker: None };
        let key = version_key(file.id, saved, file.version);
        if kept && !file.named {
            self.put(drives.inner.tables.nulls, file.id.bytes(), key.slice(16..));
        }
        self.put(drives.inner.tables.versions, key, row.encode_to_vec());
    }

    /// That a key had no object is an earlier version of it.
    pub(super) fn keep_marker(&mut self, drives: &Drives, file: FileId, marker: &Marker) {
        let row = VersionRow { file: None, saved: marker.order, kept: true, marker: Some(MarkerRow::of(marker)) };
        let key = version_key(file, WallMillis(marker.order), marker.version);
        if !marker.named {
            self.put(drives.inner.tables.nulls, file.bytes(), key.slice(16..));
        }
        self.put(drives.inner.tables.versions, key, row.encode_to_vec());
    }

    /// An earlier version is still there.
    pub(super) fn require_version(&mut self, drives: &Drives, kept: &Kept) {
        self.require(drives.inner.tables.versions, kept.key.clone(), Test::VersionIs(kept.version));
    }

    /// An earlier version is none any more.
    pub(super) fn take_version(&mut self, drives: &Drives, kept: &Kept) {
        let table = drives.inner.tables.versions;
        self.require_version(drives, kept);
        self.delete(table, kept.key.clone());
        if kept.is_null() {
            self.delete(drives.inner.tables.nulls, kept.key.slice(..16));
        }
    }

    /// An earlier version goes for good.
    pub(super) fn drop_version(&mut self, drives: &Drives, kept: &Kept, at_once: bool) {
        self.take_version(drives, kept);
        if let Some(file) = kept.file() {
            self.put_work_of_version(file.version, Work::Release, at_once);
            self.count_bytes(-(file.size as i64));
        }
    }
}

impl Drives {
    /// A file's earlier versions, the latest first.
    pub(super) async fn version_rows(&self, drive: DriveId, file: FileId, most: u32) -> Result<Vec<Kept>, DriveError> {
        let mut query = Query::prefix(self.inner.tables.versions, drive.bytes(), &file.0);
        query.reverse = true;
        query.limit = most;
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        page.items.into_iter().map(|at| Kept::read(at.sort_key, &at.item)).collect()
    }

    /// A file's earlier version of that content, however many there are.
    pub(super) async fn version_row(
        &self,
        drive: DriveId,
        file: FileId,
        version: VersionId,
    ) -> Result<Option<Kept>, DriveError> {
        Ok(self.version_rows_that(drive, file, 1, |row| row.is(version)).await?.pop())
    }

    /// The latest of a file's earlier versions that are so: `most` of them, wherever they stand among the others.
    pub(super) async fn version_rows_that(
        &self,
        drive: DriveId,
        file: FileId,
        most: usize,
        so: impl Fn(&Kept) -> bool,
    ) -> Result<Vec<Kept>, DriveError> {
        let mut query = Query::prefix(self.inner.tables.versions, drive.bytes(), &file.0);
        (query.reverse, query.limit) = (true, ROWS_MAX.min((most as u32).max(PAGE)));
        let mut rows = Vec::new();
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in page.items {
                let row = Kept::read(at.sort_key, &at.item)?;
                if so(&row) {
                    rows.push(row);
                    if rows.len() >= most {
                        return Ok(rows);
                    }
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(rows),
            }
        }
    }

    /// What an entry names becomes an earlier version of the drive's own, if it is worth it: true then.
    pub(super) async fn keep_version(
        &self,
        change: &mut Change,
        drive: DriveId,
        old: &Entry,
        new_hash: [u8; 32],
    ) -> Result<bool, DriveError> {
        let Some(file) = old.file() else { return Ok(false) };
        let most = self.inner.settings.versions.min(ROWS_MAX as usize / 2);
        if most == 0 || file.hash == new_hash {
            change.put_work_of_version(file.version, Work::Release, false);
            change.count_bytes(-(file.size as i64));
            return Ok(false);
        }
        let now = self.now();
        let mut last = old.modified;
        if file.history {
            let mut kept = self.version_rows(drive, file.id, ROWS_MAX).await?;
            last = saved_after(&kept, last);
            kept.retain(|row| !row.kept);
            let saved: Vec<_> = std::iter::once(last).chain(kept.iter().map(|row| row.saved)).collect();
            // The first is the one that is being kept.
            for at in surplus(now, &saved, most).into_iter().filter(|at| *at > 0).take(DROPPED_MAX) {
                change.drop_version(self, &kept[at - 1], false);
            }
        }
        change.put_version(self, file, last, false);
        change.put(self.inner.tables.due, due_key(now, file.id), Bytes::new());
        Ok(true)
    }

    /// All versions of a file, the latest first; the first is the current one.
    pub async fn versions(&self, drive: DriveId, path: &str) -> Result<Vec<OldVersion>, DriveError> {
        let path = DrivePath::parse(path)?;
        let (entry, file) = self.file_at(drive, &path).await?;
        let current = OldVersion { file: file.clone(), saved: entry.modified, current: true };
        let rows = if file.history { self.version_rows(drive, file.id, ROWS_MAX).await? } else { Vec::new() };
        // One that was made current between the two reads is not told twice.
        let old = rows.iter().filter_map(|row| {
            let old = row.file().filter(|old| old.version != file.version)?.clone();
            Some(OldVersion { file: old, saved: row.saved, current: false })
        });
        Ok(std::iter::once(current).chain(old).collect())
    }

    async fn file_at(&self, drive: DriveId, path: &DrivePath) -> Result<(Entry, FileInfo), DriveError> {
        if path.is_root() {
            return Err(DriveError::IsAFolder { path: path.to_string() });
        }
        let entry = self.walk(drive, path).await?.required()?.entry.clone();
        let EntryKind::File(file) = &entry.kind else {
            return Err(DriveError::IsAFolder { path: path.to_string() });
        };
        let file = file.clone();
        Ok((entry, file))
    }

    /// A version of a file, ready to be read.
    pub async fn open_version(&self, drive: DriveId, path: &str, version: VersionId) -> Result<OpenFile, DriveError> {
        let parsed = DrivePath::parse(path)?;
        let (entry, current) = self.file_at(drive, &parsed).await?;
        let missing = || DriveError::NoSuchVersion { path: parsed.to_string() };
        let file = if current.version == version {
            current
        } else {
            let row = self.version_row(drive, current.id, version).await?;
            row.and_then(|row| row.file().cloned()).ok_or_else(missing)?
        };
        let key = ItemKey::new(self.inner.tables.contents, drive.bytes(), version.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or_else(missing)?;
        Ok(OpenFile { entry, file, content: Content::decode(&item.value)? })
    }

    /// Makes an earlier version the current one; what is current becomes an
    /// earlier version: its id is told beside the entry. `only`: if that is the current one.
    pub async fn restore_version(
        &self,
        drive: DriveId,
        path: &str,
        version: VersionId,
        only: Option<VersionId>,
        by: Option<UserId>,
    ) -> Result<(Entry, VersionId), DriveError> {
        let path = DrivePath::parse(path)?;
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            let (_, current) = self.file_at(drive, &path).await?;
            let step = walk.required()?;
            let (parent, _) = walk.parent()?;
            if step.entry.file() != Some(&current) {
                tries.lost(self.store()).await?;
                continue;
            }
            if current.version == version {
                return Ok((step.entry.clone(), version));
            }
            if only.is_some_and(|only| only != current.version) {
                return Err(DriveError::Changed { path: path.to_string() });
            }
            let found = self.version_row(drive, current.id, version).await?;
            let found = found.as_ref().and_then(|row| Some((row, row.file()?)));
            let Some((row, old)) = found else {
                return Err(DriveError::NoSuchVersion { path: path.to_string() });
            };
            let rules = self.rules(drive).await?;
            if rules.numbers() {
                // Each stays where it is in their order: a copy comes.
                let entry = self.restore_copy(drive, &path, old, &row.key, current.version, by).await?;
                return Ok((entry, current.version));
            }
            let mut change = Change::new(self, drive);
            change.require_rules(self, rules);
            change.require_steps(walk.steps());
            change.take_version(self, row);
            let last = self.version_rows(drive, current.id, 1).await?;
            change.put_version(self, &current, saved_after(&last, step.entry.modified), false);
            change.put(self.inner.tables.due, due_key(self.now(), current.id), Bytes::new());
            change.delete_entry(parent, &step.entry);
            let file = FileInfo { history: true, ..old.clone() };
            let entry = Entry { modified: self.now(), kind: EntryKind::File(file), ..step.entry.clone() };
            change.put_entry(parent, &entry);
            change.text_changes(Some(&step.entry), Some(&entry));
            match change.commit(self.store(), &path).await? {
                Commit::Done(_) => return Ok((entry, current.version)),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Removes an earlier version for good.
    pub async fn remove_version(&self, drive: DriveId, path: &str, version: VersionId) -> Result<(), DriveError> {
        let path = DrivePath::parse(path)?;
        let mut brake = self.brake(drive).await?;
        let mut tries = Tries::at(&path);
        loop {
            let (_, current) = self.file_at(drive, &path).await?;
            if current.version == version {
                return Err(DriveError::Invalid(
                    "this version is the current one: remove the file, or put another".into(),
                ));
            }
            let Some(row) = self.version_row(drive, current.id, version).await? else {
                return Err(DriveError::NoSuchVersion { path: path.to_string() });
            };
            let mut change = Change::new(self, drive);
            let braked = brake.require(&mut change);
            change.require_unlocked(self);
            change.drop_version(self, &row, false);
            match change.commit(self.store(), &path).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(());
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Puts a copy of an earlier version over what is current, if that is still current.
    async fn restore_copy(
        &self,
        drive: DriveId,
        path: &DrivePath,
        old: &FileInfo,
        row: &Bytes,
        current: VersionId,
        by: Option<UserId>,
    ) -> Result<Entry, DriveError> {
        let key = ItemKey::new(self.inner.tables.contents, drive.bytes(), old.version.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        let item = item.ok_or_else(|| DriveError::NoSuchVersion { path: path.to_string() })?;
        let new = NewFile {
            mtime: Some(old.mtime),
            media_type: old.media_type.clone(),
            etag: Some(old.etag.clone()),
            version: VersionId::random(),
            by,
        };
        let only = PutCondition::ReplaceIfVersion(current);
        let mut put = Put::new(drive, path.clone(), Content::decode(&item.value)?, new, only)?;
        put.composed = old.composed;
        put.about = self.about_copy(drive, old.version).await?;
        put.earlier = Some(row.clone());
        Ok(self.put_or_release(&put).await?.entry)
    }

    /// Thins the versions of the files whose time has come.
    pub(super) async fn thin_due(&self, drive: DriveId) -> Result<u64, DriveError> {
        let tables = self.inner.tables;
        let now = self.now();
        let mut query = Query { limit: 200, ..Query::all(tables.due, drive.bytes()) };
        query.to = types::Bound::Excluded(Bytes::copy_from_slice(&now.0.to_be_bytes()));
        let mut thinned = 0;
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                let file = at.sort_key.get(8..).and_then(FileId::from_slice);
                let file = file.ok_or_else(|| DriveError::Damaged("the key of a file to be thinned".into()))?;
                let rows = self.version_rows_that(drive, file, ROWS_MAX as usize, |row| !row.kept).await?;
                let saved: Vec<_> = rows.iter().map(|row| row.saved).collect();
                let gone = surplus(now, &saved, self.inner.settings.versions);
                let mut change = Change::new(self, drive);
                change.require(tables.due, at.sort_key.clone(), Test::VersionIs(at.item.version));
                change.delete(tables.due, at.sort_key.clone());
                for row in gone.iter().take(200) {
                    change.drop_version(self, &rows[*row], false);
                }
                if rows.len() > gone.len().min(200) {
                    change.put(tables.due, due_key(now, file), Bytes::new());
                }
                if let Commit::Done(_) = change.commit(self.store(), &drive).await? {
                    thinned += gone.len().min(200) as u64;
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(thinned),
            }
        }
    }
}

/// Looked at again in a day or two: one row for all puts of a day.
pub(super) fn due_key(now: WallMillis, file: FileId) -> Bytes {
    let day = (now.0 / DAY + 2) * DAY;
    [&day.to_be_bytes()[..], &file.0].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_thin_out_with_age() {
        let now = WallMillis(1000 * DAY + DAY / 2);
        let ago = |days: u64, minutes: u64| WallMillis(now.0 - days * DAY - minutes * 60_000);
        // Three of today, three of one day last week, two of one week months ago, one very old.
        let saved =
            [ago(0, 1), ago(0, 2), ago(0, 3), ago(5, 1), ago(5, 2), ago(5, 3), ago(100, 1), ago(100, 2), ago(400, 0)];
        assert_eq!(surplus(now, &saved, 100), [4, 5, 7, 8]);
        // The nearest to a later one go first.
        assert_eq!(surplus(now, &saved, 4), [1, 4, 5, 7, 8]);
        assert_eq!(surplus(now, &saved, 0).len(), saved.len());
    }

    proptest! {
        #[test]
        fn thinning_keeps_the_last_and_is_done_once(mut ages in proptest::collection::vec(0u64..500 * DAY, 0..60), most in 1usize..20) {
            ages.sort_unstable();
            let now = WallMillis(1000 * DAY);
            let saved: Vec<_> = ages.iter().map(|age| WallMillis(now.0 - age)).collect();
            let gone = surplus(now, &saved, most);
            let kept: Vec<_> = (0..saved.len()).filter(|at| !gone.contains(at)).map(|at| saved[at]).collect();
            prop_assert!(kept.len() <= most);
            prop_assert_eq!(surplus(now, &kept, most), Vec::<usize>::new());
            if ages.first().is_some_and(|age| *age < 365 * DAY) {
                prop_assert_eq!(kept.first(), saved.first());
            }
        }
    }
}
