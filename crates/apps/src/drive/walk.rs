//! From a path to what is there.
//!
//! A walk's answer is one snapshot: all rows along the path are read together
//! in its last round, so it never mixes two states of the tree. Folder ids learned
//! earlier let most walks be one round; a wrong guess costs a round, never an error,
//! because the snapshot itself tells whether the ids still belong to the names.

use super::change::name_in;
use super::{DriveError, DrivePath, Drives, Entry};
use crate::{DriveId, FolderId};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use types::{Consistency, ItemKey, Version};

/// An entry on the way, as read.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its sort key.
    pub key: Bytes,
    /// The write that put it.
    pub version: Version,
    /// What it says.
    pub entry: Entry,
}

/// How far a path leads.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    path: DrivePath,
    /// What was found, from the root down: all names, or up to the first that
    /// is missing or is a file although more names follow.
    steps: Vec<Step>,
}

impl Walk {
    /// What is at the path.
    pub(super) fn found(&self) -> Option<&Step> {
        if self.steps.len() == self.path.names().len() { self.steps.last() } else { None }
    }

    /// Where it went.
    pub(super) fn path(&self) -> &DrivePath {
        &self.path
    }

    /// What is at the path, or the error that says how far it leads. Not for the root.
    pub(super) fn required(&self) -> Result<&Step, DriveError> {
        self.through_folders(self.path.names().len())?;
        self.found().ok_or_else(|| DriveError::NotFound { path: self.path.to_string() })
    }

    /// The folder at the path.
    pub(super) fn folder(&self) -> Result<FolderId, DriveError> {
        if self.path.is_root() {
            return Ok(FolderId::ROOT);
        }
        let step = self.required()?;
        let folder = step.entry.folder().ok_or_else(|| DriveError::NotAFolder { path: self.path.to_string() })?;
        Ok(folder.id)
    }

    /// The folder that the path's last name is, or would be, in; and the steps to it.
    pub(super) fn parent(&self) -> Result<(FolderId, &[Step]), DriveError> {
        let depth = self.path.names().len().saturating_sub(1);
        self.through_folders(depth + 1)?;
        let steps = self
            .steps
            .get(..depth)
            .ok_or_else(|| DriveError::NotFound { path: self.path.ancestor(self.steps.len() + 1).to_string() })?;
        let parent = steps.last().and_then(|step| step.entry.folder()).map_or(FolderId::ROOT, |folder| folder.id);
        Ok((parent, steps))
    }

    /// How many names of the path are there.
    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// The steps found.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The last folder found, or the root.
    pub(super) fn last_folder(&self) -> Result<FolderId, DriveError> {
        let Some(last) = self.steps.last() else { return Ok(FolderId::ROOT) };
        let folder = last
            .entry
            .folder()
            .ok_or_else(|| DriveError::NotAFolder { path: self.path.ancestor(self.steps.len()).to_string() })?;
        Ok(folder.id)
    }

    /// No file stands where, within the first `depth` names, a folder must.
    fn through_folders(&self, depth: usize) -> Result<(), DriveError> {
        match self.steps.iter().position(|step| !step.entry.is_folder()) {
            Some(at) if at + 1 < depth => Err(DriveError::NotAFolder { path: self.path.ancestor(at + 1).to_string() }),
            _ => Ok(()),
        }
    }

    /// Does the path lead through or to that folder?
    pub(super) fn passes(&self, folder: FolderId) -> bool {
        self.steps.iter().any(|step| step.entry.folder().is_some_and(|it| it.id == folder))
    }
}

/// Which folder a name was, when last seen. Only ever a guess.
#[derive(Default)]
pub(super) struct Seen {
    ids: Mutex<HashMap<(DriveId, FolderId, String), FolderId>>,
}

impl Seen {
    const MAX: usize = 20_000;

    fn guess(&self, drive: DriveId, path: &DrivePath) -> Vec<FolderId> {
        let ids = self.ids.lock();
        let mut out = Vec::new();
        let mut parent = FolderId::ROOT;
        for name in path.names() {
            let Some(id) = ids.get(&(drive, parent, name.clone())) else { break };
            out.push(*id);
            parent = *id;
        }
        out
    }

    /// The folder at the path, when last seen.
    pub(super) fn folder(&self, drive: DriveId, path: &DrivePath) -> Option<FolderId> {
        let ids = self.guess(drive, path);
        if ids.len() == path.names().len() { Some(ids.last().copied().unwrap_or(FolderId::ROOT)) } else { None }
    }

    fn learn(&self, drive: DriveId, parent: FolderId, name: &str, id: Option<FolderId>) {
        let mut ids = self.ids.lock();
        let key = (drive, parent, name.to_string());
        match id {
            Some(id) => {
                if ids.len() >= Seen::MAX {
                    ids.clear();
                }
                ids.insert(key, id);
            }
            None => {
                ids.remove(&key);
            }
        }
    }
}

impl Drives {
    /// Walks one path.
    pub(super) async fn walk(&self, drive: DriveId, path: &DrivePath) -> Result<Walk, DriveError> {
        let mut walks = self.walk_all(drive, &[path]).await?;
        Ok(walks.remove(0))
    }

    /// Walks several paths; the answers are of one snapshot.
    pub(super) async fn walk_all(&self, drive: DriveId, paths: &[&DrivePath]) -> Result<Vec<Walk>, DriveError> {
        if paths.iter().all(|path| path.is_root()) {
            return Ok(paths.iter().map(|path| Walk { path: (*path).clone(), steps: Vec::new() }).collect());
        }
        let names: usize = paths.iter().map(|path| path.names().len()).sum();
        let mut guesses: Vec<Vec<FolderId>> = paths.iter().map(|path| self.inner.seen.guess(drive, path)).collect();
        // A round that does not end learns a folder id more, unless others change the path.
        for _ in 0..names + 16 {
            let keys: Vec<Vec<ItemKey>> =
                paths.iter().zip(&guesses).map(|(path, ids)| self.keys_along(drive, path, ids)).collect();
            let flat: Vec<ItemKey> = keys.iter().flatten().cloned().collect();
            let items = self.inner.store.get_many(flat.clone(), Consistency::Strong).await?;
            if items.len() != flat.len() {
                return Err(DriveError::Damaged("the store answered for other keys than were asked".into()));
            }
            let mut items = flat.iter().zip(items);
            let mut walks = Vec::with_capacity(paths.len());
            for ((path, keys), guess) in paths.iter().zip(&keys).zip(&mut guesses) {
                let mine: Vec<_> = items.by_ref().take(keys.len()).collect();
                let mut steps = Vec::new();
                let mut ended = path.is_root();
                for (at, (key, item)) in mine.into_iter().enumerate() {
                    let name = name_in(&key.sort_key)?;
                    let parent = if at == 0 { FolderId::ROOT } else { guess[at - 1] };
                    let entry = item.as_ref().map(|item| Entry::decode(name, &item.value)).transpose()?;
                    let folder = entry.as_ref().and_then(|entry| entry.folder()).map(|folder| folder.id);
                    self.inner.seen.learn(drive, parent, name, folder);
                    if let (Some(item), Some(entry)) = (item, entry) {
                        steps.push(Step { key: key.sort_key.clone(), version: item.version, entry });
                    }
                    if folder.is_none() || at + 1 == path.names().len() {
                        ended = true;
                        break;
                    }
                    if guess.get(at).copied() != folder {
                        guess.truncate(at);
                        guess.extend(folder);
                        break;
                    }
                }
                walks.push((ended, Walk { path: (*path).clone(), steps }));
            }
            if walks.iter().all(|(ended, _)| *ended) {
                return Ok(walks.into_iter().map(|(_, walk)| walk).collect());
            }
        }
        let path = paths.first().map(ToString::to_string).unwrap_or_default();
        Err(DriveError::Conflict { path })
    }

    /// The entries' keys along a path, as far as the folders before them are known or guessed.
    fn keys_along(&self, drive: DriveId, path: &DrivePath, guesses: &[FolderId]) -> Vec<ItemKey> {
        let parents = std::iter::once(&FolderId::ROOT).chain(guesses);
        parents.zip(path.names()).map(|(parent, name)| self.inner.tables.entry(drive, *parent, name)).collect()
    }
}
