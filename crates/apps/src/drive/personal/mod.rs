//! What is a person's own, in whatever drive it is about: stars, and what they did last.
//!
//! These rows are under the person's id, not the drive's: one transaction writes them, one page reads them. They name files and
//! folders by id, so they follow whatever is renamed or moved, and are looked up when they are shown ([`Drives::whereabouts`]): what is
//! gone, or out of reach, is not shown. Whoever asks says which drives the person may look into.

mod recent;
mod stars;

pub use recent::{Recent, RecentAct};
pub use stars::{STARS_MAX, Starred};

pub(super) use recent::Notebook;

use super::rows::{PlaceRow, decode};
use super::{DriveError, DrivePath, Drives, Entry};
use crate::{DriveId, FolderId, UserId};
use bytes::Bytes;
use client::ClientError;
use std::collections::{BTreeMap, HashMap, HashSet};
use types::{Condition, Consistency, ItemKey, Query, Transaction, Update};

/// Looks at places that others change at the same time.
const LOOKS_MAX: usize = 3;
/// Keys asked for at a time.
const AT_ONCE: usize = 500;

/// A file or folder, wherever it is: the drive's id and its own.
pub(super) type Thing = (DriveId, [u8; 16]);

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// In which drive.
    pub drive: DriveId,
    /// Where in it.
    pub path: String,
    /// What it is.
    pub entry: Entry,
}

/// What became of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Here(Box<Placed>),
    /// In the trash, or being moved.
    Away,
    /// For good.
    Gone,
}

impl Drives {
    /// Where these are now, in their order; what is in no drive of `within` is gone. Few rounds, however many they are.
    pub(super) async fn whereabouts(
        &self,
        things: &[Thing],
        within: &[DriveId],
    ) -> Result<Vec<Whereabouts>, DriveError> {
        let mut by_drive: BTreeMap<DriveId, Vec<[u8; 16]>> = BTreeMap::new();
        for (drive, id) in things.iter().filter(|(drive, _)| within.contains(drive)) {
            by_drive.entry(*drive).or_default().push(*id);
        }
        let found = by_drive
            .into_iter()
            .map(|(drive, ids)| async move { Ok::<_, DriveError>((drive, self.in_drive(drive, ids).await?)) });
        let found: HashMap<_, _> = futures::future::try_join_all(found).await?.into_iter().collect();
        let of = |(drive, id): &Thing| found.get(drive).and_then(|found| found.get(id)).cloned();
        Ok(things.iter().map(|thing| of(thing).unwrap_or(Whereabouts::Gone)).collect())
    }

    async fn in_drive(&self, drive: DriveId, ids: Vec<[u8; 16]>) -> Result<HashMap<[u8; 16], Whereabouts>, DriveError> {
        let mut found = HashMap::new();
        let mut wanted: Vec<_> = ids;
        for _ in 0..LOOKS_MAX {
            let places = self.places(drive, &wanted).await?;
            let mut seen = Vec::new();
            for id in std::mem::take(&mut wanted) {
                match path_of(&places, id) {
                    Some(path) => seen.push((id, path)),
                    None if places.contains_key(&id) => drop(found.insert(id, Whereabouts::Away)),
                    None => drop(found.insert(id, Whereabouts::Gone)),
                }
            }
            for part in seen.chunks(AT_ONCE) {
                let keys = part.iter().map(|(id, path)| {
                    let parent =
                        places.get(id).and_then(|row| FolderId::from_slice(&row.parent)).unwrap_or(FolderId::ROOT);
                    self.inner.tables.entry(drive, parent, path.name().unwrap_or_default())
                });
                let items = self.inner.store.get_many(keys.collect(), Consistency::Strong).await?;
                for ((id, path), item) in part.iter().zip(items) {
                    let name = path.name().unwrap_or_default();
                    let entry = item.map(|item| Entry::decode(name, &item.value)).transpose()?;
                    match entry.filter(|entry| entry.id() == *id) {
                        Some(entry) => {
                            let placed = Placed { drive, path: path.to_string(), entry };
                            found.insert(*id, Whereabouts::Here(Box::new(placed)));
                        }
                        // Moved between the two.
                        None => wanted.push(*id),
                    }
                }
            }
            if wanted.is_empty() {
                break;
            }
        }
        found.extend(wanted.into_iter().map(|id| (id, Whereabouts::Away)));
        Ok(found)
    }

    /// The places of these and of all folders above them: a round for each level.
    async fn places(&self, drive: DriveId, ids: &[[u8; 16]]) -> Result<HashMap<[u8; 16], PlaceRow>, DriveError> {
        let mut places = HashMap::new();
        let mut asked: HashSet<[u8; 16]> = [FolderId::ROOT.0].into();
        let mut level: Vec<[u8; 16]> = ids.iter().copied().filter(|id| asked.insert(*id)).collect();
        // Each level is one name of a path, or beyond what a path may have.
        for _ in 0..=super::path::DEPTH_MAX {
            if level.is_empty() {
                break;
            }
            let mut next = Vec::new();
            for part in level.chunks(AT_ONCE) {
                let key = |id: &[u8; 16]| ItemKey::new(self.inner.tables.places, drive.bytes(), id.to_vec());
                let items = self.inner.store.get_many(part.iter().map(key).collect(), Consistency::Strong).await?;
                for (id, item) in part.iter().zip(items) {
                    let Some(item) = item else { continue };
                    let row: PlaceRow = decode("a place", &item.value)?;
                    let parent: Option<[u8; 16]> = row.parent[..].try_into().ok();
                    next.extend(parent.filter(|parent| asked.insert(*parent)));
                    places.insert(*id, row);
                }
            }
            level = next;
        }
        Ok(places)
    }

    /// Applies it to the person's rows; false where a condition did not hold.
    async fn change_personal(
        &self,
        user: UserId,
        conditions: Vec<Condition>,
        updates: Vec<Update>,
    ) -> Result<bool, DriveError> {
        let partition_key = user.bytes();
        let operation = self.inner.store.operation(&partition_key);
        match self.inner.store.transact(Transaction { operation, partition_key, conditions, updates }).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(types::Refusal::Condition { .. })) => Ok(false),
            Err(ClientError::Refused(types::Refusal::Bounds { .. })) => {
                Err(DriveError::TooManyStars { max: STARS_MAX })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes away all that is a person's own: the account is going. Can be repeated.
    pub(crate) async fn clear_personal(&self, user: UserId) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        for table in [tables.stars, tables.recent] {
            let query = Query { limit: AT_ONCE as u32, ..Query::all(table, user.bytes()) };
            loop {
                let page = self.inner.store.query(&query, Consistency::Strong).await?;
                if page.items.is_empty() {
                    break;
                }
                let gone = |at: &types::ItemAt| Update::Delete { table, sort_key: at.sort_key.clone() };
                self.change_personal(user, Vec::new(), page.items.iter().map(gone).collect()).await?;
            }
        }
        Ok(())
    }
}

/// The path to the root; none where it ends elsewhere.
fn path_of(places: &HashMap<[u8; 16], PlaceRow>, id: [u8; 16]) -> Option<DrivePath> {
    let (mut at, mut names) = (id, Vec::new());
    while at != FolderId::ROOT.0 {
        let row = places.get(&at)?;
        names.push(&row.name);
        at = row.parent[..].try_into().ok()?;
        if names.len() > super::path::DEPTH_MAX {
            return None;
        }
    }
    names.iter().rev().try_fold(DrivePath::root(), |path, name| path.join(name)).ok()
}

fn key_of((drive, id): &Thing) -> Bytes {
    [&drive.0[..], id].concat().into()
}

fn thing_in(key: &[u8]) -> Option<Thing> {
    let (drive, id) = key.split_at_checked(16)?;
    Some((DriveId::from_slice(drive)?, id.try_into().ok()?))
}
