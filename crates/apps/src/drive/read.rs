//! Looking: stat, list, open, read.

use super::change::{BYTES, name_in};
use super::index::ORDERED_BYTES;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo, OpenFile, Order, Usage};
use crate::page::{Page, cursor_after, place_of};
use crate::store::{ByteStream, get_all};
use crate::{DriveId, FolderId};
use bytes::Bytes;
use client::Content;
use std::ops::Range;
use types::transaction::from_sortable;
use types::{Consistency, ItemKey, Query, QueryPage, Seq, TableId, WallMillis};

/// Entries in one page of a listing.
pub const LIST_MAX: u32 = 1000;

impl Drives {
    /// What is at the path.
    pub async fn stat(&self, drive: DriveId, path: &str) -> Result<Entry, DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Ok(root());
        }
        Ok(self.walk(drive, &path).await?.required()?.entry.clone())
    }

    /// A folder's entries in the order of their names' bytes, after `cursor`; at
    /// most `limit` (0: as many as a page holds, [`LIST_MAX`]). Each page is a snapshot.
    pub async fn list(
        &self,
        drive: DriveId,
        path: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, DriveError> {
        let path = DrivePath::parse(path)?;
        let after = match cursor {
            Some(cursor) => Some(place_of(cursor, super::path::NAME_BYTES_MAX).ok_or(DriveError::BadCursor)?),
            None => None,
        };
        let mut tries = Tries::at(&path);
        let mut folder = match self.inner.seen.folder(drive, &path) {
            Some(folder) => folder,
            None => self.walk(drive, &path).await?.folder()?,
        };
        loop {
            let mut query = Query::prefix(self.inner.tables.entries, drive.bytes(), &folder.0);
            query.limit = if limit == 0 { LIST_MAX } else { limit.min(LIST_MAX) };
            if let Some(name) = &after {
                query = query.after([&folder.0[..], name].concat().into());
            }
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            // Walked afterwards: if the path was as it is when the page was read, both are of one moment.
            let walk = self.walk(drive, &path).await?;
            let there = walk.folder()?;
            if there == folder && walk.steps().iter().all(|step| step.version.seq <= page.at) {
                return listing(&page);
            }
            folder = there;
            tries.lost(self.store()).await?;
        }
    }

    /// The same in another order, or from the end. Folders come first then, whichever way files go.
    pub async fn list_by(
        &self,
        drive: DriveId,
        path: &str,
        order: Order,
        reverse: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, DriveError> {
        if order == Order::Name && !reverse {
            return self.list(drive, path, cursor, limit).await;
        }
        let path = DrivePath::parse(path)?;
        let limit = if limit == 0 { LIST_MAX } else { limit.min(LIST_MAX) };
        let after = cursor.map(|cursor| place_of(cursor, ORDERED_BYTES + super::path::NAME_BYTES_MAX));
        let after = after.map(|place| place.ok_or(DriveError::BadCursor)).transpose()?;
        self.prepare(drive).await?;
        let mut tries = Tries::at(&path);
        loop {
            let folder = self.walk(drive, &path).await?.folder()?;
            let (items, next, at) = self.ordered(drive, folder, order, reverse, after.as_deref(), limit).await?;
            // As in `list`.
            let walk = self.walk(drive, &path).await?;
            if walk.folder()? == folder && walk.steps().iter().all(|step| step.version.seq <= at) {
                return Ok(Page { items, next });
            }
            tries.lost(self.store()).await?;
        }
    }

    /// A page, where it goes on, and of which moment it is at the earliest.
    async fn ordered(
        &self,
        drive: DriveId,
        folder: FolderId,
        order: Order,
        reverse: bool,
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<(Vec<Entry>, Option<String>, Seq), DriveError> {
        let tables = self.inner.tables;
        // Ranges one after the other, each with what is before the names in its keys.
        let ranges: Vec<(TableId, Vec<u8>, usize)> = match order {
            Order::Name => vec![(tables.entries, folder.0.to_vec(), 16)],
            _ => [false, true]
                .into_iter()
                .filter_map(|file| Some((tables.index, order.prefix(folder, file)?, ORDERED_BYTES)))
                .collect(),
        };
        if after.is_some_and(|after| after.first().is_none_or(|class| usize::from(*class) >= ranges.len())) {
            return Err(DriveError::BadCursor);
        }
        let (mut items, mut at) = (Vec::new(), None);
        for (n, (table, prefix, before)) in ranges.iter().enumerate() {
            let mut query = Query { reverse, ..Query::prefix(*table, drive.bytes(), prefix) };
            match after {
                // Beyond this range.
                Some([class, ..]) if usize::from(*class) > n => continue,
                Some([class, rest @ ..]) if usize::from(*class) == n => {
                    query = query.after([&prefix[..], rest].concat().into());
                }
                _ => {}
            }
            query.limit = limit - items.len() as u32;
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            at = at.or(Some(page.at));
            for found in &page.items {
                let name = found.sort_key.get(*before..).and_then(|name| std::str::from_utf8(name).ok());
                let name = name.ok_or_else(|| DriveError::Damaged("the key of an index".into()))?;
                items.push(Entry::decode(name, &found.item.value)?);
            }
            let last = page.items.last().map(|last| last.sort_key.clone());
            let cursor = |key: &[u8]| cursor_after(&[&[n as u8], key.get(prefix.len()..).unwrap_or_default()].concat());
            if let Some(next) = &page.next {
                return Ok((items, Some(cursor(next)), page.at));
            }
            if items.len() as u32 >= limit && n + 1 < ranges.len() {
                let next = last.map_or_else(|| cursor(prefix), |key| cursor(&key));
                return Ok((items, Some(next), page.at));
            }
        }
        Ok((items, None, at.unwrap_or_default()))
    }

    /// The file at the path, ready to be read.
    pub async fn open(&self, drive: DriveId, path: &str) -> Result<OpenFile, DriveError> {
        let path = DrivePath::parse(path)?;
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            if path.is_root() {
                return Err(DriveError::IsAFolder { path: path.to_string() });
            }
            let entry = walk.required()?.entry.clone();
            let EntryKind::File(file) = &entry.kind else {
                return Err(DriveError::IsAFolder { path: path.to_string() });
            };
            if let Some(open) = self.open_entry(drive, &entry, file.clone()).await? {
                return Ok(open);
            }
            // Replaced and swept between the two reads; then there is something else by now.
            tries.lost(self.store()).await?;
        }
    }

    /// The bytes of a content, verified.
    pub fn read(&self, content: Content, range: Range<u64>) -> ByteStream {
        self.inner.store.read_blob(content, range)
    }

    /// How full the drive is.
    pub async fn usage(&self, drive: DriveId) -> Result<Usage, DriveError> {
        let bytes = self.counter(drive, Bytes::from_static(BYTES)).await?.unwrap_or(0).max(0) as u64;
        Ok(Usage { bytes, room: self.quota.map(|quota| quota.saturating_sub(bytes)) })
    }

    /// Bytes kept in each of these drives, in their order: counters read together, however many drives there are.
    pub async fn used(&self, drives: impl IntoIterator<Item = DriveId>) -> Result<Vec<u64>, DriveError> {
        let key = |drive: DriveId| ItemKey::new(self.inner.tables.counts, drive.bytes(), Bytes::from_static(BYTES));
        let found = get_all(&*self.inner.store, drives.into_iter().map(key).collect()).await?;
        let bytes = |item: Option<types::Item>| item.map_or(Ok(0), |item| count_in(&item.value));
        found.into_iter().map(|item| Ok(bytes(item)?.max(0) as u64)).collect()
    }

    /// Bytes that may still be kept there; none: there is no bound. Then nothing is read: that counter changes with each put.
    pub async fn room(&self, drive: DriveId) -> Result<Option<u64>, DriveError> {
        match self.quota {
            Some(_) => Ok(self.usage(drive).await?.room),
            None => Ok(None),
        }
    }

    /// A counter's state; none when it was never used.
    pub(super) async fn counter(&self, drive: DriveId, sort_key: Bytes) -> Result<Option<i64>, DriveError> {
        let key = ItemKey::new(self.inner.tables.counts, drive.bytes(), sort_key);
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        item.map(|item| count_in(&item.value)).transpose()
    }
}

pub(super) fn listing(page: &QueryPage) -> Result<Page<Entry>, DriveError> {
    let entries = page.items.iter().map(|at| Entry::decode(name_in(&at.sort_key)?, &at.item.value));
    let next = page.next.as_ref().and_then(|key| key.get(16..)).map(cursor_after);
    Ok(Page { items: entries.collect::<Result<_, _>>()?, next })
}

/// What a counter's item says.
pub(super) fn count_in(value: &[u8]) -> Result<i64, DriveError> {
    let bytes = value.try_into().map_err(|_| DriveError::Damaged("a counter".into()))?;
    Ok(from_sortable(bytes))
}

/// Every drive's root, which is nowhere stored.
pub(super) fn root() -> Entry {
    Entry {
        name: String::new(),
        created: WallMillis(0),
        modified: WallMillis(0),
        properties: false,
        kind: EntryKind::Folder(FolderInfo { height: None, ..FolderInfo::new(FolderId::ROOT) }),
    }
}
