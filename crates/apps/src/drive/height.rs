//! How many levels of folders are below a folder, so that nothing comes to lie deeper than a path can say.
//!
//! A folder's entry says how many there have been at most. Whoever puts a folder below it raises that in the same
//! transaction, all the way up; nothing lowers it. So a move knows at once how deep all that it takes along would be, whatever its
//! size, and rests on its being so. What older releases made, and folders within copies, do not say it: they are gone
//! through when they are to go deeper.

use super::change::Change;
use super::path::DEPTH_MAX;
use super::walk::Step;
use super::{DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo};
use crate::{DriveId, FolderId};
use futures::{StreamExt, TryStreamExt, stream};

/// Entries looked at to learn a height that is not known.
const LOOKED_AT_MAX: usize = 100_000;
/// Folders read at once meanwhile.
const AT_ONCE: usize = 16;

impl Change {
    /// Below the last of these folders, which lead there from the root, comes a folder that has that many levels below
    /// itself; none: nobody knows how many.
    pub(super) fn raise(&mut self, ancestors: &[Step], height: Option<u32>) -> Result<(), DriveError> {
        let mut height = height.map(|height| height + 1);
        for step in ancestors.iter().rev() {
            let Some(folder) = step.entry.folder() else { continue };
            // What is not known stays so; what is above may know all but this new branch.
            if folder.height.is_some_and(|known| height.is_none_or(|height| known < height)) {
                let parent = step.key.get(..16).and_then(FolderId::from_slice);
                let parent = parent.ok_or_else(|| DriveError::Damaged("the key of an entry".into()))?;
                let kind = EntryKind::Folder(FolderInfo { height, ..folder.clone() });
                self.put_entry(parent, &Entry { kind, ..step.entry.clone() });
            }
            height = height.map(|height| height + 1);
        }
        Ok(())
    }
}

impl Drives {
    /// The levels below what goes from that depth to that path, as far as they have to be known; refused where what is
    /// below would be too deep.
    pub(super) async fn height_for(
        &self,
        drive: DriveId,
        entry: &Entry,
        depth: usize,
        to: &DrivePath,
    ) -> Result<Option<u32>, DriveError> {
        let Some(folder) = entry.folder() else { return Ok(None) };
        if to.names().len() <= depth {
            return Ok(folder.height);
        }
        let (height, whole) = match folder.height {
            Some(height) => (height, true),
            None => self.height_of(drive, folder.id).await?,
        };
        fits(to, height)?;
        Ok(whole.then_some(height))
    }

    /// By going through all that is below; or, where that is too much, as far as that goes: it stays unknown then, and what
    /// is that large is not kept from moving.
    async fn height_of(&self, drive: DriveId, folder: FolderId) -> Result<(u32, bool), DriveError> {
        let (mut level, mut height, mut looked_at) = (vec![folder], 0, 0);
        loop {
            let mut below = Vec::new();
            let read = level.into_iter().map(|folder| self.folders_in(drive, folder));
            let mut read = stream::iter(read).buffer_unordered(AT_ONCE);
            while let Some((count, folders)) = read.try_next().await? {
                looked_at += count;
                below.extend(folders);
                if looked_at > LOOKED_AT_MAX {
                    return Ok((height, false));
                }
            }
            if below.is_empty() {
                return Ok((height, true));
            }
            (level, height) = (below, height + 1);
        }
    }

    /// How many entries were looked at, and the folders among them.
    async fn folders_in(&self, drive: DriveId, folder: FolderId) -> Result<(usize, Vec<FolderId>), DriveError> {
        let (mut count, mut folders, mut cursor) = (0, Vec::new(), None::<String>);
        loop {
            let page = self.folder_page(drive, folder, cursor.as_deref(), 0).await?;
            count += page.items.len();
            folders.extend(page.items.iter().filter_map(|entry| Some(entry.folder()?.id)));
            cursor = page.next.filter(|_| count <= LOOKED_AT_MAX);
            if cursor.is_none() {
                return Ok((count, folders));
            }
        }
    }
}

/// May a folder with so many levels of folders below it, and files in the last, be at that path?
pub(super) fn fits(to: &DrivePath, height: u32) -> Result<(), DriveError> {
    match to.names().len() + height as usize + 1 > DEPTH_MAX {
        true => Err(DriveError::BadPath { why: "what is in the folder would be more than 100 folders deep" }),
        false => Ok(()),
    }
}
