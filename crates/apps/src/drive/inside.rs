//! Reading by a folder's id rather than by a path: it goes on undisturbed while folders above are renamed or moved.
//!
//! Whoever asks has found the folder by a walk that they were allowed to make.

use super::change::entry_key;
use super::read::listing;
use super::rows::{PlaceRow, decode};
use super::{DriveError, Drives, Entry, EntryKind, LIST_MAX, OpenFile};
use crate::page::{Page, place_of};
use crate::{DriveId, FolderId, VersionId};
use bytes::Bytes;
use client::Content;
use std::collections::HashSet;
use types::{Consistency, ItemKey, Query, WallMillis};

/// Looks at a file that others replace all the time.
const LOOKS_MAX: usize = 16;
/// Times that a folder of several pages is gone through for what was renamed from one to another meanwhile.
const LISTINGS_MAX: usize = 4;

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inside {
    /// What it was called when it was come to. Two may have been called the same, one after the other.
    pub name: String,
    /// What it is, whatever it is called.
    pub id: [u8; 16],
    /// None: it is a file.
    pub folder: Option<FolderId>,
    /// Of a folder.
    pub modified: WallMillis,
}

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

    /// All that is in the folder for as long as this takes, by name; empty where the folder is gone. One page is of one
    /// moment. Where there are several, they are gone through again until nothing new is found: a name that is changed
    /// moves an entry behind whoever lists. More than `most` are refused.
    pub async fn folder_listing(
        &self,
        drive: DriveId,
        folder: FolderId,
        most: usize,
    ) -> Result<Vec<Inside>, DriveError> {
        let (mut listed, mut known) = (Vec::new(), HashSet::new());
        for _ in 0..LISTINGS_MAX {
            let (before, mut pages, mut cursor) = (listed.len(), 0, None::<String>);
            loop {
                let page = self.folder_page(drive, folder, cursor.as_deref(), 0).await?;
                pages += 1;
                for entry in page.items.into_iter().filter(|entry| known.insert(entry.id())) {
                    let (id, folder) = (entry.id(), entry.folder().map(|folder| folder.id));
                    listed.push(Inside { name: entry.name, id, folder, modified: entry.modified });
                }
                if listed.len() > most {
                    return Err(DriveError::Invalid(format!("there are more than {most} files and folders")));
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            if pages == 1 || (before > 0 && listed.len() == before) {
                break;
            }
        }
        listed.sort();
        Ok(listed)
    }

    /// The file of that id, if it is in the folder, whatever it is called by now. `name`: what it was called.
    pub async fn file_inside(
        &self,
        drive: DriveId,
        folder: FolderId,
        id: [u8; 16],
        name: &str,
    ) -> Result<Option<OpenFile>, DriveError> {
        let mut name = name.to_string();
        for _ in 0..LOOKS_MAX {
            match self.look_inside(drive, folder, &name).await? {
                Some((entry, Some(open))) if entry.id() == id => return Ok(Some(open)),
                _ => {}
            }
            let key = ItemKey::new(self.inner.tables.places, drive.bytes(), Bytes::copy_from_slice(&id));
            let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else { return Ok(None) };
            let place = decode::<PlaceRow>("a place", &item.value)?;
            if place.parent != folder.bytes() {
                return Ok(None);
            }
            name = place.name;
        }
        Err(DriveError::Conflict { path: name })
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
