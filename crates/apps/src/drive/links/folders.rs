//! Folders that guests hand in. What was sent as one folder stays one, however many files it has and however they come.
//!
//! A guest sees nothing of what is there, so they cannot say which folder they mean by its place alone. They say a *batch*, an id
//! of their own choice, and the path as they know it; a row remembers for a while which folder that became. Whoever sends
//! another batch gets folders of their own, under another name where that is taken: nothing is told of what was there before,
//! and nothing comes into folders that did not come by the same link.

use super::guest::{NAMES_TRIED, as_guests_see, number_of};
use super::{LinkFound, LinkMode, Tries};
use crate::drive::change::{Change, Commit, entry_key};
use crate::drive::path::numbered;
use crate::drive::walk::Walk;
use crate::drive::{DriveError, DrivePath, Drives};
use crate::store::get_all;
use crate::{BatchId, FolderId};
use bytes::Bytes;
use std::time::Duration;
use types::{Item, ItemKey, Test, WallMillis};

/// Folders that may come by one link.
const FOLDERS_MAX: i64 = 10_000;
/// How long it is remembered what a folder of a batch became: longer than an upload in parts may rest.
const REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where below a link's folder something is to go, as its guest knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// The root: the link's own folder.
    pub folder: DrivePath,
    /// What was sent together.
    pub batch: BatchId,
}

/// Under which it is remembered what these folders became, from the top.
fn keys(link: &LinkFound, within: &Within) -> Vec<Bytes> {
    let depths = 1..=within.folder.names().len();
    let key = |depth| {
        let mut hash = blake3::Hasher::new_derive_key("atoll link folder 1");
        hash.update(&within.batch.0).update(within.folder.ancestor(depth).to_string().as_bytes());
        Bytes::from([&link.id.0[..], hash.finalize().as_bytes()].concat())
    };
    depths.map(key).collect()
}

impl Drives {
    /// Makes a folder that a guest sends, and those above it, below the link's. One of the same batch that is there already is fine.
    pub async fn guest_make_folder(&self, link: &LinkFound, within: &Within) -> Result<(), DriveError> {
        self.guest_folder(link, within).await.map(|_| ())
    }

    /// The way to the folder that something is to go into, which is made if need be.
    pub(super) async fn guest_folder(&self, link: &LinkFound, within: &Within) -> Result<Walk, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        if within.folder.is_root() {
            return self.guest_walk(link, &DrivePath::root()).await;
        }
        let said = within.folder.to_string();
        let as_seen = |error| as_guests_see(error, &said);
        let keys = keys(link, within);
        let (mut link, mut tries) = (link.clone(), Tries::at(&within.folder));
        // Names that were taken, at what depth.
        let mut taken_at = (0, 0);
        loop {
            let item = |key: &Bytes| ItemKey::new(self.inner.tables.link_folders, link.drive.bytes(), key.clone());
            let known = get_all(&*self.inner.store, keys.iter().map(item).collect()).await?;
            let (depth, walk) = self.deepest(&link, &known).await?;
            if taken_at.0 != depth {
                taken_at = (depth, 0);
            }
            let names = &within.folder.names()[depth..];
            let Some((first, rest)) = names.split_first() else { return Ok(walk) };
            let parent = walk.folder().map_err(as_seen)?;
            let path = walk.path().join(&numbered(first, number_of(taken_at.1)))?;
            // What is below would not fit a path.
            rest.iter().try_fold(path.clone(), |path, name| path.join(name))?;
            let new: Vec<String> = path.name().map(str::to_string).into_iter().chain(rest.iter().cloned()).collect();

            let mut change = Change::new(self, link.drive);
            let condition = link.condition(self);
            let by_link = change.require(condition.table, condition.sort_key, condition.test);
            change.count_by_link(super::folders(link.id), new.len() as i64, FOLDERS_MAX);
            change.require_locks(self);
            change.require_steps(walk.steps());
            change.raise(walk.steps(), Some(rest.len() as u32))?;
            let now = self.now();
            let until = WallMillis(now.0 + REMEMBERED_FOR.as_millis() as u64);
            let put = change.put_folders(parent, &new, now);
            for ((key, known), entry) in keys[depth..].iter().zip(&known[depth..]).zip(&put) {
                let test = known.as_ref().map_or(Test::Absent, |item| Test::VersionIs(item.version));
                change.require(self.inner.tables.link_folders, key.clone(), test);
                change.put_until(self.inner.tables.link_folders, key.clone(), entry.id().to_vec(), Some(until));
            }
            // Asked last: what another of the same batch has made is no other's name.
            let taken = change.require(self.inner.tables.entries, entry_key(parent, &new[0]), Test::Absent);
            match change.commit(self.store(), &said).await.map_err(as_seen)? {
                // The way there is to be found as it is by now.
                Commit::Done(_) => continue,
                Commit::Lost(at) if at == taken && taken_at.1 < NAMES_TRIED => {
                    taken_at.1 += 1;
                    continue;
                }
                Commit::Lost(at) if at == by_link => link = link.still(self).await?,
                Commit::Lost(_) => {}
            }
            tries.lost(self.store()).await?;
        }
    }

    /// The deepest of a batch's folders that is below the link's still, and the way there; else the link's own.
    async fn deepest(&self, link: &LinkFound, known: &[Option<Item>]) -> Result<(usize, Walk), DriveError> {
        let id = |item: &Option<Item>| item.as_ref().and_then(|item| FolderId::from_slice(&item.value));
        let known: Vec<(usize, FolderId)> =
            known.iter().enumerate().filter_map(|(at, item)| Some((at, id(item)?))).collect();
        let ids: Vec<[u8; 16]> = known.iter().map(|(_, id)| id.0).collect();
        let paths = self.locate_all(link.drive, &ids).await?;
        for ((at, id), path) in known.into_iter().zip(paths).rev() {
            let Some(path) = path else { continue };
            let walk = self.walk(link.drive, &path).await?;
            let there = walk.found().is_some_and(|step| step.entry.folder().is_some_and(|folder| folder.id == id));
            if there && walk.passes(FolderId(link.entry)) {
                return Ok((at + 1, walk));
            }
        }
        Ok((0, self.guest_walk(link, &DrivePath::root()).await?))
    }
}
