//! Stars: a row for each, under the person's id.

use super::super::read::count_in;
use super::super::rows::decode;
use super::super::{DriveError, DrivePath, Drives, Entry};
use super::{Placed, Thing, Whereabouts, key_of, thing_in};
use crate::{DriveId, UserId};
use bytes::Bytes;
use prost::Message;
use std::collections::HashSet;
use types::{Condition, Consistency, Query, Seq, Test, Update, WallMillis};

/// Things that one person may star: they are shown on one page.
pub const STARS_MAX: i64 = 500;
/// Sort key of their counter; a star's has 32 bytes.
const COUNT: &[u8] = b"!";

#[derive(Clone, PartialEq, Message)]
struct StarRow {
    #[prost(uint64, tag = "1")]
    since: u64,
}

/// Something starred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starred {
    /// What, and where it is.
    pub placed: Placed,
    /// Since when.
    pub since: WallMillis,
}

impl Drives {
    /// Stars what is at the path, or takes its star away; as often as one likes. What it is.
    pub async fn star(&self, user: UserId, drive: DriveId, path: &str, starred: bool) -> Result<Entry, DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Err(DriveError::BadPath { why: "a whole drive has no star" });
        }
        // Files from before there were places get theirs: stars are found by them.
        self.prepare(drive).await?;
        let entry = self.stat(drive, &path.to_string()).await?;
        match starred {
            true => self.put_star(user, (drive, entry.id())).await?,
            false => self.drop_star(user, (drive, entry.id())).await?,
        }
        Ok(entry)
    }

    async fn put_star(&self, user: UserId, thing: Thing) -> Result<(), DriveError> {
        let (table, sort_key) = (self.inner.tables.stars, key_of(&thing));
        let value = Bytes::from(StarRow { since: self.now().0 }.encode_to_vec());
        let updates = vec![
            Update::Put { table, sort_key: sort_key.clone().into(), value: value.into(), expires: None },
            Update::Add { table, sort_key: Bytes::from_static(COUNT), delta: 1, min: 0, max: STARS_MAX },
        ];
        // Where it does not hold, it is starred.
        self.change_personal(user, vec![Condition { table, sort_key, test: Test::Absent }], updates).await.map(drop)
    }

    async fn drop_star(&self, user: UserId, thing: Thing) -> Result<(), DriveError> {
        let (table, sort_key) = (self.inner.tables.stars, key_of(&thing));
        let updates = vec![
            Update::Delete { table, sort_key: sort_key.clone() },
            Update::Add { table, sort_key: Bytes::from_static(COUNT), delta: -1, min: 0, max: i64::MAX },
        ];
        self.change_personal(user, vec![Condition { table, sort_key, test: Test::Present }], updates).await.map(drop)
    }

    /// What has a star, since when, and in which order of writing.
    async fn star_rows(&self, user: UserId, prefix: &[u8]) -> Result<Vec<(Thing, WallMillis, Seq)>, DriveError> {
        let limit = STARS_MAX as u32 + 1;
        let query = Query { limit, ..Query::prefix(self.inner.tables.stars, user.bytes(), prefix) };
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let mut rows = Vec::with_capacity(page.items.len());
        for at in page.items.iter().filter(|at| &at.sort_key[..] != COUNT) {
            let thing = thing_in(&at.sort_key).ok_or_else(|| DriveError::Damaged("the key of a star".into()))?;
            let since = WallMillis(decode::<StarRow>("a star", &at.item.value)?.since);
            rows.push((thing, since, at.item.version.seq));
        }
        Ok(rows)
    }

    /// The counter says how many there are.
    pub(in crate::drive) async fn check_stars(
        &self,
        user: UserId,
        findings: &mut Vec<String>,
    ) -> Result<(), DriveError> {
        let (mut stars, mut said) = (0, 0);
        for (key, value) in self.all_rows_of(user.bytes(), self.inner.tables.stars).await? {
            if &key[..] == COUNT {
                said = count_in(&value)?;
                continue;
            }
            stars += 1;
            if thing_in(&key).is_none() || decode::<StarRow>("a star", &value).is_err() {
                findings.push(format!("a star of {user} leads nowhere, or cannot be read: {key:?}"));
            }
        }
        if said != stars || said > STARS_MAX {
            findings.push(format!("the counter of the stars of {user} says {said}; there are {stars}"));
        }
        Ok(())
    }

    /// What this person starred in one drive.
    pub async fn stars_in(&self, user: UserId, drive: DriveId) -> Result<HashSet<[u8; 16]>, DriveError> {
        Ok(self.star_rows(user, &drive.0).await?.into_iter().map(|((_, id), ..)| id).collect())
    }

    /// All that this person starred, in drives that they may look into (`within`), the latest first. Stars of what is gone for good, or of drives that they may
    /// not look into any more, are dropped.
    pub async fn starred(&self, user: UserId, within: &[DriveId]) -> Result<Vec<Starred>, DriveError> {
        let mut rows = self.star_rows(user, &[]).await?;
        // Clocks tell milliseconds; stars are given more often.
        rows.sort_by_key(|(_, since, seq)| std::cmp::Reverse((*since, *seq)));
        let things: Vec<Thing> = rows.iter().map(|(thing, ..)| *thing).collect();
        let mut starred = Vec::new();
        for ((thing, since, _), now) in rows.into_iter().zip(self.whereabouts(&things, within).await?) {
            match now {
                Whereabouts::Here(placed) => starred.push(Starred { placed: *placed, since }),
                // It keeps its star for when it comes back.
                Whereabouts::Away => {}
                Whereabouts::Gone => {
                    if let Err(error) = self.drop_star(user, thing).await {
                        tracing::debug!(%error, "the star of something that is gone stays for now");
                    }
                }
            }
        }
        Ok(starred)
    }
}
