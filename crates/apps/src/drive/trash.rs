//! The trash. What is thrown away leaves the tree in one transaction, whatever
//! its size, and stays whole, as a row of the trash, until it is restored, removed for good, or
//! has been there for long enough. Its bytes count meanwhile.

use super::brake::LateBrake;
use super::change::{Change, Commit, entry_key};
use super::path::{NAMES_MAX, numbered};
use super::rows::{EntryRow, PlaceRow, decode};
use super::tries::Tries;
use super::walk::Walk;
use super::{Clash, DriveError, DrivePath, Drives, Entry};
use crate::page::{Page, cursor_after, place_of};
use crate::store::get_all;
use crate::{DriveId, FolderId, TrashId, UserId};
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeSet, HashMap, HashSet};
use types::{Consistency, ItemKey, Query, Test, Version, WallMillis};

/// Rows in one page of the trash.
pub const TRASH_LIST_MAX: u32 = 1000;
/// Rows purged in one transaction.
const PURGED_AT_ONCE: u32 = 100;
/// How long one call goes on emptying the trash.
const EMPTYING_MS_MAX: u64 = 4000;

/// Something thrown away.
#[derive(Clone, PartialEq, Message)]
struct TrashRow {
    #[prost(message, optional, tag = "1")]
    entry: Option<EntryRow>,
    #[prost(string, tag = "2")]
    name: String,
    /// The folder that it was in.
    #[prost(bytes = "bytes", tag = "3")]
    parent: Bytes,
    /// Where it was, when it was thrown away.
    #[prost(string, tag = "4")]
    path: String,
    #[prost(uint64, tag = "5")]
    at: u64,
    #[prost(bytes = "bytes", tag = "6")]
    by: Bytes,
    /// The program that did it for them.
    #[prost(string, tag = "7")]
    program: String,
}

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// Names it while it is there.
    pub id: TrashId,
    /// What it is.
    pub entry: Entry,
    /// Where it was.
    pub path: String,
    /// When it was thrown away.
    pub at: WallMillis,
    /// When it goes for good.
    pub until: WallMillis,
    /// Who threw it away, if that is known.
    pub by: Option<UserId>,
}

/// What emptying the trash has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emptied {
    /// Removed for good.
    pub removed: u64,
    /// There is more to be removed: call again.
    pub more: bool,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where to.
    pub path: String,
    /// What.
    pub entry: Entry,
    /// What had to make room for it.
    pub replaced: Option<TrashId>,
}

/// A row of the trash as read.
pub(super) struct Thrown {
    version: Version,
    /// The folder that it was in.
    pub(super) parent: FolderId,
    pub(super) trashed: Trashed,
}

impl Change {
    /// An entry that was taken out of its folder goes to the trash.
    pub(super) fn throw_away(
        &mut self,
        drives: &Drives,
        parent: FolderId,
        path: &DrivePath,
        entry: &Entry,
        by: Option<UserId>,
    ) -> Trashed {
        self.require_unlocked(drives);
        let at = drives.now();
        let id = TrashId::at(at);
        let row = TrashRow {
            entry: Some(EntryRow::from_entry(entry)),
            name: entry.name.clone(),
            parent: parent.bytes(),
            path: path.to_string(),
            at: at.0,
            by: by.map(|by| by.bytes()).unwrap_or_default(),
            program: drives.program.as_deref().map(|(program, _)| program.id.clone()).unwrap_or_default(),
        };
        self.put(drives.inner.tables.trash, id.bytes(), row.encode_to_vec());
        self.put_place(entry, FolderId::TRASH, &id.to_string());
        Trashed { id, entry: entry.clone(), path: path.to_string(), at, until: drives.trash_until(at), by }
    }

    /// Something in the trash goes for good.
    fn purge(&mut self, drives: &Drives, held: &Thrown) {
        let Trashed { id, entry, .. } = &held.trashed;
        self.require(drives.inner.tables.trash, id.bytes(), Test::VersionIs(held.version));
        self.delete(drives.inner.tables.trash, id.bytes());
        self.leave_to_sweeper(entry, false);
        self.count_bytes(-(entry.size() as i64));
    }
}

impl Drives {
    fn trash_until(&self, at: WallMillis) -> WallMillis {
        WallMillis(at.0.saturating_add(self.inner.settings.trash.as_millis() as u64))
    }

    /// Throws away a file, or a folder with everything in it. `only`: if it is still that file or folder.
    pub async fn trash(
        &self,
        drive: DriveId,
        path: &str,
        only: Option<[u8; 16]>,
        by: Option<UserId>,
    ) -> Result<Trashed, DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Err(DriveError::BadPath { why: "the drive itself cannot be removed" });
        }
        let mut brake = self.brake(drive).await?;
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            let entry = walk.required()?.entry.clone();
            entry.must_be(only, &path)?;
            let (parent, _) = walk.parent()?;
            let mut change = Change::new(self, drive);
            change.require_locks(self);
            change.require_steps(walk.steps());
            let braked = brake.require(&mut change);
            change.delete_entry(parent, &entry);
            change.count_entries(parent, -1);
            let trashed = change.throw_away(self, parent, &path, &entry, by);
            match change.commit(self.store(), &path).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(trashed);
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// What is in the trash, the latest first.
    pub async fn trash_list(
        &self,
        drive: DriveId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Trashed>, DriveError> {
        let mut query = Query { reverse: true, ..Query::all(self.inner.tables.trash, drive.bytes()) };
        query.limit = if limit == 0 { TRASH_LIST_MAX } else { limit.min(TRASH_LIST_MAX) };
        if let Some(cursor) = cursor {
            query = query.after(place_of(cursor, 16).ok_or(DriveError::BadCursor)?.into());
        }
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let items = page.items.iter().map(|at| Ok(self.thrown(&at.sort_key, &at.item)?.trashed));
        let items = items.collect::<Result<_, DriveError>>()?;
        Ok(Page { items, next: page.next.as_deref().map(cursor_after) })
    }

    /// Brings something back: to `to`, or to the folder that it was in, wherever
    /// that is now; if that is gone, to where it was, its folders made anew.
    pub async fn restore(
        &self,
        drive: DriveId,
        id: TrashId,
        to: Option<&str>,
        clash: Clash,
        by: Option<UserId>,
    ) -> Result<Restored, DriveError> {
        let wanted = to.map(DrivePath::parse).transpose()?;
        if wanted.as_ref().is_some_and(DrivePath::is_root) {
            return Err(DriveError::Exists { path: "/".into() });
        }
        let mut tries = Tries::at(&DrivePath::root());
        let mut brake = LateBrake::default();
        let mut number = 1;
        loop {
            let held = self.held_in_trash(drive, id).await?;
            // The folder that it was in, if it goes back there.
            let mut home = None;
            let place = match &wanted {
                Some(to) => to.clone(),
                None => match self.locate(drive, held.parent).await? {
                    Some(folder) => {
                        home = Some(held.parent);
                        folder.join(&held.trashed.entry.name)?
                    }
                    None => {
                        let place = DrivePath::parse(&held.trashed.path)?;
                        self.make_folders(drive, &place.parent().unwrap_or_default().to_string()).await?;
                        place
                    }
                },
            };
            let (Some(folder), Some(name)) = (place.parent(), place.name()) else {
                return Err(DriveError::Damaged("something in the trash has no name".into()));
            };
            let place = folder.join(&numbered(name, number))?;
            let walk = self.walk(drive, &place).await?;
            let (parent, ancestors) = match walk.parent() {
                Ok(found) if home.is_none_or(|home| home == found.0) => found,
                Err(error) if home.is_none() => return Err(error),
                // Its folder was moved since it was located.
                _ => {
                    tries.lost(self.store()).await?;
                    continue;
                }
            };
            let mut entry = Entry { name: place.name().unwrap_or_default().to_string(), ..held.trashed.entry.clone() };
            if entry.is_folder() {
                entry.modified = self.now();
            }
            let mut change = Change::new(self, drive);
            change.require_steps(ancestors);
            change.require(self.inner.tables.trash, id.bytes(), Test::VersionIs(held.version));
            let (mut replaced, mut braked) = (None, None);
            match (walk.found(), clash) {
                (None, _) => change.require_nothing_at(entry_key(parent, &entry.name)),
                (Some(_), Clash::KeepBoth) if number < NAMES_MAX => {
                    number += 1;
                    continue;
                }
                (Some(there), Clash::Replace) if entry.file().is_some() && there.entry.file().is_some() => {
                    braked = brake.require(self, drive, &mut change).await?;
                    replaced = Some(change.make_room(self, &walk, &place, by)?.id);
                }
                (Some(_), _) => return Err(DriveError::Exists { path: place.to_string() }),
            }
            change.delete(self.inner.tables.trash, id.bytes());
            if entry.is_folder() {
                let depth = DrivePath::parse(&held.trashed.path)?.names().len();
                let height = self.height_for(drive, &entry, depth, &place).await?;
                entry.know_height(height);
                change.raise(ancestors, height)?;
            }
            change.put_entry(parent, &entry);
            change.name_changes(&held.trashed.entry, &entry);
            change.count_entries(parent, 1);
            match change.commit(self.store(), &place).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(Restored { path: place.to_string(), entry, replaced });
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Removes something in the trash for good.
    pub async fn purge(&self, drive: DriveId, id: TrashId) -> Result<Entry, DriveError> {
        let mut brake = self.brake(drive).await?;
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let held = self.held_in_trash(drive, id).await?;
            let mut change = Change::new(self, drive);
            let braked = brake.require(&mut change);
            change.purge(self, &held);
            match change.commit(self.store(), &held.trashed.path).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(held.trashed.entry);
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Removes for good what was thrown away at or before that time, for some seconds: how much, and whether there is
    /// more. What is restored meanwhile stays; what cannot be read is passed over.
    pub async fn empty_trash(&self, drive: DriveId, until: WallMillis) -> Result<Emptied, DriveError> {
        let trash = self.inner.tables.trash;
        let mut query = Query { limit: PURGED_AT_ONCE, ..Query::all(trash, drive.bytes()) };
        query.to = types::Bound::Excluded(Bytes::copy_from_slice(&until.0.saturating_add(1).to_be_bytes()));
        let begun = self.now();
        let mut tries = Tries::at(&DrivePath::root());
        let mut removed = 0;
        let mut looked = None;
        loop {
            // For each page: a program may be held in the midst of it.
            let mut brake = match looked.take() {
                Some(brake) => brake,
                None => self.brake(drive).await?,
            };
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let mut change = Change::new(self, drive);
            let braked = brake.require(&mut change);
            let mut purged = 0;
            for at in &page.items {
                match self.thrown(&at.sort_key, &at.item) {
                    Ok(held) => {
                        change.purge(self, &held);
                        purged += 1;
                    }
                    Err(error) => tracing::warn!(%drive, %error, "something in the trash is left there"),
                }
            }
            if purged > 0
                && let Commit::Lost(at) = change.commit(self.store(), &drive).await?
            {
                // The same page again: one was restored, say.
                tries.lost(self.store()).await?;
                if Some(at) == braked {
                    brake.look().await?;
                    looked = Some(brake);
                }
                continue;
            }
            (0..purged).for_each(|_| brake.count());
            removed += purged;
            let Some(next) = page.next else { return Ok(Emptied { removed, more: false }) };
            if self.now().0.saturating_sub(begun.0) >= EMPTYING_MS_MAX {
                return Ok(Emptied { removed, more: true });
            }
            query = query.after(next);
        }
    }

    /// What is in the trash by that id.
    pub(super) async fn trashed(&self, drive: DriveId, id: TrashId) -> Result<Trashed, DriveError> {
        Ok(self.held_in_trash(drive, id).await?.trashed)
    }

    async fn held_in_trash(&self, drive: DriveId, id: TrashId) -> Result<Thrown, DriveError> {
        let key = ItemKey::new(self.inner.tables.trash, drive.bytes(), id.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or(DriveError::NotInTrash)?;
        self.thrown(&key.sort_key, &item)
    }

    /// What it is, if that program threw it away.
    pub(super) fn thrown_by(
        &self,
        key: &[u8],
        item: &types::Item,
        program: &str,
    ) -> Result<Option<Thrown>, DriveError> {
        let row = decode::<TrashRow>("something in the trash", &item.value)?;
        if row.program != program {
            return Ok(None);
        }
        Ok(Some(self.thrown(key, item)?))
    }

    fn thrown(&self, key: &[u8], item: &types::Item) -> Result<Thrown, DriveError> {
        let row = decode::<TrashRow>("something in the trash", &item.value)?;
        let entry = row.entry.ok_or_else(damaged)?.into_entry(&row.name)?;
        let at = WallMillis(row.at);
        let id = TrashId::from_slice(key).ok_or_else(damaged)?;
        let by = UserId::from_slice(&row.by);
        let trashed = Trashed { id, entry, path: row.path, at, until: self.trash_until(at), by };
        Ok(Thrown { version: item.version, parent: FolderId::from_slice(&row.parent).ok_or_else(damaged)?, trashed })
    }

    /// Which of these folders are in the trash.
    pub(super) async fn folders_in_trash(
        &self,
        drive: DriveId,
        ids: BTreeSet<FolderId>,
    ) -> Result<HashSet<FolderId>, DriveError> {
        let key = |id: &FolderId| ItemKey::new(self.inner.tables.places, drive.bytes(), id.bytes());
        let found = get_all(&*self.inner.store, ids.iter().map(key).collect()).await?;
        let mut thrown = HashSet::new();
        for (id, item) in ids.into_iter().zip(found) {
            if let Some(item) = item
                && decode::<PlaceRow>("a place", &item.value)?.parent[..] == FolderId::TRASH.0
            {
                thrown.insert(id);
            }
        }
        Ok(thrown)
    }

    /// Where a folder or file is; none when it is not in the tree. True at no certain moment: walk there.
    pub async fn locate(&self, drive: DriveId, id: impl Into<[u8; 16]>) -> Result<Option<DrivePath>, DriveError> {
        Ok(self.locate_all(drive, &[id.into()]).await?.pop().flatten())
    }

    /// The same of many, in their order: each level above them is read at once.
    pub(in crate::drive) async fn locate_all(
        &self,
        drive: DriveId,
        ids: &[[u8; 16]],
    ) -> Result<Vec<Option<DrivePath>>, DriveError> {
        let mut places: HashMap<[u8; 16], Option<([u8; 16], String)>> = HashMap::new();
        let mut asked: BTreeSet<[u8; 16]> = ids.iter().copied().collect();
        for _ in 0..=super::path::DEPTH_MAX {
            asked.retain(|id| *id != FolderId::ROOT.0 && !places.contains_key(id));
            if asked.is_empty() {
                break;
            }
            let key = |id: &[u8; 16]| ItemKey::new(self.inner.tables.places, drive.bytes(), id.to_vec());
            let found = get_all(&*self.inner.store, asked.iter().map(key).collect()).await?;
            for (id, item) in std::mem::take(&mut asked).into_iter().zip(found) {
                let place = match item {
                    None => None,
                    Some(item) => {
                        let row = decode::<PlaceRow>("a place", &item.value)?;
                        let parent: [u8; 16] = row.parent[..].try_into().map_err(|_| damaged())?;
                        asked.insert(parent);
                        Some((parent, row.name))
                    }
                };
                places.insert(id, place);
            }
        }
        Ok(ids.iter().map(|id| path_by(&places, *id)).collect())
    }
}

/// The path that these places make; none where one is missing, or when it was moved deeper than allowed while we looked.
fn path_by(places: &HashMap<[u8; 16], Option<([u8; 16], String)>>, mut at: [u8; 16]) -> Option<DrivePath> {
    let mut names = Vec::new();
    while at != FolderId::ROOT.0 {
        let (parent, name) = places.get(&at)?.as_ref()?;
        names.push(name);
        if names.len() > super::path::DEPTH_MAX {
            return None;
        }
        at = *parent;
    }
    names.iter().rev().try_fold(DrivePath::root(), |path, name| path.join(name)).ok()
}

impl Change {
    /// The file at the path goes to the trash, to make room for another.
    pub(super) fn make_room(
        &mut self,
        drives: &Drives,
        walk: &Walk,
        path: &DrivePath,
        by: Option<UserId>,
    ) -> Result<Trashed, DriveError> {
        let there = walk.required()?.clone();
        let (parent, _) = walk.parent()?;
        self.require_steps(std::slice::from_ref(&there));
        self.delete_entry(parent, &there.entry);
        self.count_entries(parent, -1);
        Ok(self.throw_away(drives, parent, path, &there.entry, by))
    }
}

fn damaged() -> DriveError {
    DriveError::Damaged("a row of the trash".into())
}

impl Entry {
    /// Is it still the one that was meant: by its id, or by the version of its content?
    pub(super) fn must_be(&self, only: Option<[u8; 16]>, path: &DrivePath) -> Result<(), DriveError> {
        let is = |meant| meant == self.id() || self.file().is_some_and(|file| file.version.0 == meant);
        match only {
            Some(meant) if !is(meant) => Err(DriveError::Changed { path: path.to_string() }),
            _ => Ok(()),
        }
    }
}
