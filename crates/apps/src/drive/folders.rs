//! Making folders.

use super::change::{Change, Commit, entry_key};
use super::read::root;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo};
use crate::{DriveId, FolderId};
use types::WallMillis;

impl Change {
    /// Puts new folders, each into the one before. What is above them is the caller's to require and to raise.
    pub(super) fn put_folders(&mut self, mut parent: FolderId, names: &[String], now: WallMillis) -> Vec<Entry> {
        let mut put = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let id = FolderId::random();
            let height = Some((names.len() - at - 1) as u32);
            let kind = EntryKind::Folder(FolderInfo { height, ..FolderInfo::new(id) });
            let entry = Entry { name: name.clone(), created: now, modified: now, properties: false, kind };
            self.put_entry(parent, &entry);
            self.count_entries(parent, 1);
            parent = id;
            put.push(entry);
        }
        put
    }
}

impl Drives {
    /// Makes one folder; its parent must be there.
    pub async fn make_folder(&self, drive: DriveId, path: &str) -> Result<Entry, DriveError> {
        let path = DrivePath::parse(path)?;
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            walk.parent()?;
            if path.is_root() || walk.found().is_some() {
                return Err(DriveError::Exists { path: path.to_string() });
            }
            if let Some(entry) = self.make_missing(drive, &path, &walk).await? {
                return Ok(entry);
            }
            tries.lost(self.store()).await?;
        }
    }

    /// Makes a folder and the parents that are missing, all at once. A folder
    /// that is there already is fine.
    pub async fn make_folders(&self, drive: DriveId, path: &str) -> Result<Entry, DriveError> {
        Ok(self.ensure_folders(drive, path).await?.0)
    }

    /// The same; and whether this call made it.
    pub(super) async fn ensure_folders(&self, drive: DriveId, path: &str) -> Result<(Entry, bool), DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Ok((root(), false));
        }
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            if let Some(found) = walk.found() {
                walk.folder()?;
                return Ok((found.entry.clone(), false));
            }
            if let Some(entry) = self.make_missing(drive, &path, &walk).await? {
                return Ok((entry, true));
            }
            tries.lost(self.store()).await?;
        }
    }

    /// Makes the folders that the walk did not find; none when others changed the path meanwhile.
    async fn make_missing(
        &self,
        drive: DriveId,
        path: &DrivePath,
        walk: &super::walk::Walk,
    ) -> Result<Option<Entry>, DriveError> {
        let parent = walk.last_folder()?;
        let mut change = Change::new(self, drive);
        change.require_locks(self);
        change.require_steps(walk.steps());
        let new = path.names().len() - walk.depth();
        change.raise(walk.steps(), Some(new.saturating_sub(1) as u32))?;
        let missing = &path.names()[walk.depth()..];
        if let Some(name) = missing.first() {
            change.require_nothing_at(entry_key(parent, name));
        }
        let last = change.put_folders(parent, missing, self.now()).pop();
        match change.commit(self.store(), path).await? {
            Commit::Done(_) => Ok(last),
            Commit::Lost(_) => Ok(None),
        }
    }
}
