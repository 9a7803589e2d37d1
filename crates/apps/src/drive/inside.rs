//! Reading by a folder's id rather than by a path: it goes on undisturbed while folders above are renamed or moved.
//!
//! Whoever asks has found the folder by a walk that they were allowed to make.

use super::change::entry_key;
use super::read::listing;
use super::{DriveError, Drives, Entry, EntryKind, LIST_MAX, OpenFile};
use crate::page::{Page, place_of};
use crate::{DriveId, FolderId, VersionId};
use client::Content;
use types::{Consistency, ItemKey, Query};

/// Looks at a file that others replace all the time.
const LOOKS_MAX: usize = 16;

impl Drives {
    /// A page of what the folder holds, by name. Empty where the folder is gone: see [`Self::folder_is_there`].
    pub async fn folder_page(
        &self,
        drive: DriveId,
        folder: FolderId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, DriveError> {
        let mut query = Query::prefix(self.inner.tables.entries, drive.bytes(), &folder.0);
        query.limit = if limit == 0 { LIST_MAX } else { limit.min(LIST_MAX) };
        if let Some(cursor) = cursor {
            let name = place_of(cursor, super::path::NAME_BYTES_MAX).ok_or(DriveError::BadCursor)?;
            query = query.after([&folder.0[..], &name].concat().into());
        }
        listing(&self.inner.store.query(&query, Consistency::Strong).await?)
    }

    /// Is the folder somewhere in the drive, its trash included? Once it is gone for good its entries go one by one.
    pub async fn folder_is_there(&self, drive: DriveId, folder: FolderId) -> Result<bool, DriveError> {
        if folder == FolderId::ROOT {
            return Ok(true);
        }
        let key = ItemKey::new(self.inner.tables.places, drive.bytes(), folder.bytes());
        Ok(self.inner.store.get(&key, Consistency::Strong).await?.is_some())
    }

    /// What has that name in the folder; a file with its content.
    pub async fn look_inside(
        &self,
        drive: DriveId,
        folder: FolderId,
        name: &str,
    ) -> Result<Option<(Entry, Option<OpenFile>)>, DriveError> {
        for _ in 0..LOOKS_MAX {
            let key = ItemKey::new(self.inner.tables.entries, drive.bytes(), entry_key(folder, name));
            let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else { return Ok(None) };
            let entry = Entry::decode(name, &item.value)?;
            let EntryKind::File(file) = &entry.kind else { return Ok(Some((entry, None))) };
            if let Some(open) = self.open_entry(drive, &entry, file.clone()).await? {
                return Ok(Some((entry, Some(open))));
            }
            // Replaced and swept between the two reads.
        }
        Err(DriveError::Conflict { path: name.to_string() })
    }

    /// The item that names what a version of a file holds.
    pub fn row_of_content(&self, drive: DriveId, version: VersionId) -> ItemKey {
        ItemKey::new(self.inner.tables.contents, drive.bytes(), version.bytes())
    }

    /// An entry as it was read, with its content; none if that has been swept since.
    pub(super) async fn open_entry(
        &self,
        drive: DriveId,
        entry: &Entry,
        file: super::FileInfo,
    ) -> Result<Option<OpenFile>, DriveError> {
        let key = self.row_of_content(drive, file.version);
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        let content = item.map(|item| Content::decode(&item.value)).transpose()?;
        Ok(content.map(|content| OpenFile { entry: entry.clone(), file, content }))
    }
}
