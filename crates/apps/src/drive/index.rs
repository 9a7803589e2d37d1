//! A folder's entries by size and by date, and a drive's entries by name.
//!
//! Each entry stands in the index three times, with all that is known of it, so that
//! a page of a folder of any size is one or two queries. The rows are written
//! and deleted with the entry, in the same transaction. Entries from before
//! there was an index get theirs by [`Drives::prepare`], once.

use super::change::{Change, Commit, name_in};
use super::rows::{EntryRow, decode};
use super::{DriveError, Drives, Entry};
use crate::{DriveId, FolderId};
use bytes::Bytes;
use client::ClientError;
use types::{Consistency, ItemKey, Query, Test};
use unicode_normalization::UnicodeNormalization;

/// Of an entry whose rows here are those that this release writes.
pub(super) const GENERATION: u32 = 1;
const SIZE: u8 = b's';
const MODIFIED: u8 = b'm';
const NAME: u8 = b'n';
/// The row that says that every entry of the drive is here.
const COMPLETE: &[u8] = b"!";
/// How far bringing the entries here has come: the last of their keys.
const REACHED: &[u8] = b"?";
/// Entries that are looked at, and brought here, in one transaction.
const AT_ONCE: u32 = 150;
/// How long one call goes on bringing entries here.
const PREPARING_MS_MAX: u64 = 5000;
/// Drives known to be complete that are remembered.
const KNOWN_MAX: usize = 10_000;

/// What a folder can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The names' bytes; files and folders mixed.
    #[default]
    Name,
    /// Folders, then files by size.
    Size,
    /// Folders, then files, each by date.
    Modified,
}

impl Order {
    /// How the keys of one class of a folder's entries begin.
    pub(super) fn prefix(self, folder: FolderId, file: bool) -> Option<Vec<u8>> {
        let tag = match self {
            Order::Name => return None,
            Order::Size => SIZE,
            Order::Modified => MODIFIED,
        };
        Some([&[tag], &folder.0[..], &[u8::from(file)]].concat())
    }
}

/// The keys under which an entry is found.
pub(super) fn keys(parent: FolderId, entry: &Entry) -> [Bytes; 3] {
    let modified = entry.file().map_or(entry.modified, |file| file.mtime).0;
    let ordered = |tag: u8, value: u64| -> Bytes {
        let class = [u8::from(!entry.is_folder())];
        [&[tag], &parent.0[..], &class, &value.to_be_bytes(), entry.name.as_bytes()].concat().into()
    };
    let name = [&[NAME], fold(&entry.name).as_bytes(), &[0], &parent.0[..], entry.name.as_bytes()].concat();
    [ordered(SIZE, entry.size()), ordered(MODIFIED, modified), name.into()]
}

/// Bytes of a key before the name: tag, folder, class, value.
pub(super) const ORDERED_BYTES: usize = 1 + 16 + 1 + 8;

/// A name as it is searched: compatible forms and cases are one.
pub(super) fn fold(name: &str) -> String {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).filter(|c| *c != '\0').collect();
    let mut end = folded.len().min(super::path::NAME_BYTES_MAX);
    while !folded.is_char_boundary(end) {
        end -= 1;
    }
    folded[..end].to_string()
}

/// How the keys of names that begin so begin.
pub(super) fn name_prefix(folded: &str) -> Vec<u8> {
    [&[NAME], folded.as_bytes()].concat()
}

/// Folded name, folder and name of a key.
pub(super) fn name_parts(key: &[u8]) -> Option<(&str, FolderId, &str)> {
    let rest = key.strip_prefix(&[NAME])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let folder = FolderId::from_slice(rest.get(end + 1..end + 17)?)?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, folder, std::str::from_utf8(rest.get(end + 17..)?).ok()?))
}

impl Drives {
    /// Sees to it that every entry of the drive is in the index. Once done, one read or none.
    pub async fn prepare(&self, drive: DriveId) -> Result<(), DriveError> {
        if self.inner.complete.lock().contains(&drive) {
            return Ok(());
        }
        let tables = self.inner.tables;
        let key = ItemKey::new(tables.index, drive.bytes(), COMPLETE);
        if self.inner.store.get(&key, Consistency::Strong).await?.is_none() {
            self.index_all(drive).await?;
        }
        let mut complete = self.inner.complete.lock();
        if complete.len() >= KNOWN_MAX {
            complete.clear();
        }
        complete.insert(drive);
        Ok(())
    }

    /// Goes on where the last call ended. Entries that others put meanwhile are indexed by them.
    async fn index_all(&self, drive: DriveId) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let begun = self.now();
        let reached = ItemKey::new(tables.index, drive.bytes(), REACHED);
        let reached = self.inner.store.get(&reached, Consistency::Strong).await?;
        let mut query = Query { limit: AT_ONCE, ..Query::all(tables.entries, drive.bytes()) };
        if let Some(item) = reached {
            query = query.after(item.value);
        }
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let mut change = Change::new(self, drive);
            let mut old = 0;
            for at in &page.items {
                let row = decode::<EntryRow>("an entry", &at.item.value)?;
                if row.indexed >= GENERATION {
                    continue;
                }
                let parent = at.sort_key.get(..16).and_then(FolderId::from_slice);
                let parent = parent.ok_or_else(|| DriveError::Damaged("the key of an entry".into()))?;
                change.require(tables.entries, at.sort_key.clone(), Test::VersionIs(at.item.version));
                change.put_entry(parent, &row.into_entry(name_in(&at.sort_key)?)?);
                old += 1;
            }
            match &page.next {
                Some(next) => change.put(tables.index, Bytes::from_static(REACHED), next.clone()),
                None => {
                    change.put(tables.index, Bytes::from_static(COMPLETE), vec![GENERATION as u8]);
                    change.delete(tables.index, Bytes::from_static(REACHED));
                }
            }
            // A page with nothing to be brought here is passed over without a write, unless it is time to stop.
            let stop = self.now().0.saturating_sub(begun.0) >= PREPARING_MS_MAX;
            if (old > 0 || stop || page.next.is_none())
                && let Commit::Lost(_) = change.commit(self.store(), &drive).await?
            {
                // Changed by others just now: the same page again.
                if stop {
                    return Err(ClientError::Busy.into());
                }
                continue;
            }
            let Some(next) = page.next else { return Ok(()) };
            if stop {
                // More than one call does: the next goes on.
                return Err(ClientError::Busy.into());
            }
            query = query.after(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_found_by_their_beginnings(name in "[^/\\x00]{1,60}", cut in 0usize..60, folder: [u8; 16]) {
            let kind = super::super::EntryKind::Folder(super::super::FolderInfo::new(FolderId(folder)));
            let zero = types::WallMillis(0);
            let entry = Entry { name: name.clone(), created: zero, modified: zero, properties: false, kind };
            let [_, _, key] = keys(FolderId(folder), &entry);
            prop_assert!(key.len() <= types::limits::KEY_BYTES_MAX);
            prop_assert_eq!(name_parts(&key), Some((&*fold(&name), FolderId(folder), &*name)));
            let beginning: String = name.chars().take(cut).collect();
            let folded = fold(&beginning);
            if fold(&name).starts_with(&folded) {
                prop_assert!(key.starts_with(&name_prefix(&folded)));
            }
        }
    }
}
