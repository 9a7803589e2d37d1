//! Putting back what a held program threw away: folders before what was in them, so that all is where it was.

use super::brake::{BrakeRow, HELD, SKEW, WINDOW, after};
use super::change::Change;
use super::rows::decode;
use super::trash::Thrown;
use super::{Clash, DriveError, Drives};
use crate::{DriveId, FolderId, TrashId, UserId};
use bytes::Bytes;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use types::{Bound, Consistency, Query, WallMillis};

/// Rows of the trash read together.
const PAGE: u32 = 100;
/// Programs throw away through several nodes at once; by so much may a folder seem to have gone before what was in it.
const CLOCKS: Duration = Duration::from_secs(1);
/// Of what went so close together, so much is put in order.
const TOGETHER_MAX: usize = 1000;

/// What putting back did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Brought back.
    pub restored: u64,
    /// Left in the trash: they cannot be brought back by themselves.
    pub left: u64,
    /// There is more: call again.
    pub more: bool,
}

impl Drives {
    /// Brings back, for some seconds, what a held program threw away within the hour before, the latest first, but folders
    /// before what was in them. It stays held. Where there is more, the next call goes on from there.
    pub async fn put_back(&self, drive: DriveId, program: &str, by: Option<UserId>) -> Result<PutBack, DriveError> {
        let (key, item) = self.read_held(drive, program).await?;
        let row = decode::<BrakeRow>("a brake", &item.value)?;
        let (done, upto) = self.put_back_from(drive, program, by, &row).await?;
        let put_back = upto.unwrap_or_default();
        if put_back != row.put_back {
            // Only where to go on: should it be lost to others, the next call looks at some of it again.
            let until = after(WallMillis(row.since), HELD);
            let mut change = Change::new(self, drive);
            change.require(key.table, key.sort_key.clone(), types::Test::VersionIs(item.version));
            change.put_until(key.table, key.sort_key, BrakeRow { put_back, ..row }.encode_to_vec(), Some(until));
            change.commit(self.store(), &drive).await?;
        }
        Ok(done)
    }

    /// One go at it, and the last row that was seen to, where there is more.
    async fn put_back_from(
        &self,
        drive: DriveId,
        program: &str,
        by: Option<UserId>,
        row: &BrakeRow,
    ) -> Result<(PutBack, Option<Bytes>), DriveError> {
        let since = row.since;
        let from = since.saturating_sub(WINDOW.as_millis() as u64);
        let mut query = Query { reverse: true, limit: PAGE, ..Query::all(self.inner.tables.trash, drive.bytes()) };
        query.from = Bound::Included(Bytes::copy_from_slice(&from.to_be_bytes()));
        // What others threw away since is not looked at.
        let until = since.saturating_add(SKEW.as_millis() as u64);
        query.to = match row.put_back.is_empty() {
            true => Bound::Excluded(Bytes::copy_from_slice(&until.to_be_bytes())),
            false => Bound::Excluded(row.put_back.clone()),
        };
        let (begun, mut done) = (self.now(), PutBack::default());
        let mut thrown = Vec::new();
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                thrown.extend(self.thrown_by(&at.sort_key, &at.item, program)?);
            }
            let read_to = page.items.last().and_then(|at| TrashId::from_slice(&at.sort_key));
            // What was in a folder may be on this page, and the folder itself on the next one.
            let ready = match read_to {
                Some(id) if page.next.is_some() && thrown.len() < TOGETHER_MAX => {
                    let apart = id.time().0.saturating_add(CLOCKS.as_millis() as u64);
                    thrown.partition_point(|it| it.trashed.id.time().0 > apart)
                }
                _ => thrown.len(),
            };
            let waiting = thrown.split_off(ready);
            let seen_to = match waiting.is_empty() {
                true => read_to.map(|id| id.bytes()),
                false => thrown.last().map(|it| it.trashed.id.bytes()),
            };
            // Where its folder is in the trash, too, it would come back in one that only looks like that.
            let among: HashSet<FolderId> = thrown.iter().filter_map(Thrown::folder).collect();
            let elsewhere = thrown.iter().map(|it| it.parent).filter(|parent| !among.contains(parent)).collect();
            let mut left = self.folders_in_trash(drive, elsewhere).await?;
            for it in folders_first(&thrown) {
                let restored = match left.contains(&it.parent) {
                    true => Err(DriveError::NotFound { path: it.trashed.path.clone() }),
                    false => self.restore(drive, it.trashed.id, None, Clash::KeepBoth, by).await,
                };
                match restored {
                    Ok(_) => done.restored += 1,
                    // Somebody else brought it back, or removed it.
                    Err(DriveError::NotInTrash) => {}
                    Err(DriveError::Client(error)) => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(%drive, %error, "something that a program threw away stays in the trash");
                        done.left += 1;
                        left.extend(it.folder());
                    }
                }
            }
            thrown = waiting;
            let Some(next) = page.next else { return Ok((done, None)) };
            let is_over =
                u128::from(self.now().0.saturating_sub(begun.0)) >= self.inner.settings.putting_back.as_millis();
            if is_over && seen_to.is_some() {
                return Ok((PutBack { more: true, ..done }, seen_to));
            }
            query = query.after(next);
        }
    }
}

impl Thrown {
    fn folder(&self) -> Option<FolderId> {
        self.trashed.entry.folder().map(|folder| folder.id)
    }
}

/// In which order they come back: as they are, but each after the folder that it was in, if that was thrown away, too.
fn folders_first(thrown: &[Thrown]) -> Vec<&Thrown> {
    let folders: HashMap<FolderId, usize> =
        thrown.iter().enumerate().filter_map(|(at, it)| Some((it.folder()?, at))).collect();
    let mut placed = vec![false; thrown.len()];
    let mut order = Vec::with_capacity(thrown.len());
    for first in 0..thrown.len() {
        let (mut outwards, mut at) = (Vec::new(), Some(first));
        while let Some(now) = at.filter(|now| !placed[*now]) {
            placed[now] = true;
            outwards.push(&thrown[now]);
            at = folders.get(&thrown[now].parent).copied();
        }
        order.extend(outwards.into_iter().rev());
    }
    order
}
