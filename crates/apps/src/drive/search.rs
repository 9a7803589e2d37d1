//! Finding by name: what begins so, or what has it somewhere, in any case and
//! compatible form. A call looks at a bounded number of names and tells where to go on.

use super::index::{fold, name_parts, name_prefix};
use super::path::DEPTH_MAX;
use super::rows::{PlaceRow, decode};
use super::{DriveError, DrivePath, Drives, Entry};
use crate::page::{Page, cursor_after, place_of};
use crate::{DriveId, FolderId};
use std::collections::{BTreeSet, HashMap};
use types::limits::{KEY_BYTES_MAX, KEYS_MAX};
use types::{Consistency, ItemKey, Query};

/// Found in one call at most.
pub const SEARCH_MAX: u32 = 200;
/// Names looked at by one call at most.
const NAMES_MAX: usize = 20_000;
/// Folders whose places one call looks up, about: the last lot may go beyond.
const FOLDERS_MAX: usize = 300;
const PAGE: u32 = 5_000;

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub entry: Entry,
}

impl Drives {
    /// Entries whose names begin with the text, or with `anywhere` contain it, by
    /// name. A page may be short, even empty, and not be the last.
    pub async fn search(
        &self,
        drive: DriveId,
        text: &str,
        anywhere: bool,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Found>, DriveError> {
        let wanted = fold(text);
        if wanted.is_empty() || text.len() > 4 * super::path::NAME_BYTES_MAX {
            return Err(DriveError::Invalid(
                "search for one character or more, and for no more than a name has".into(),
            ));
        }
        let limit = if limit == 0 { SEARCH_MAX } else { limit.min(SEARCH_MAX) } as usize;
        let after = cursor.map(|cursor| place_of(cursor, KEY_BYTES_MAX).ok_or(DriveError::BadCursor)).transpose()?;
        self.prepare(drive).await?;
        let prefix = name_prefix(if anywhere { "" } else { &wanted });
        let mut query = Query::prefix(self.inner.tables.index, drive.bytes(), &prefix);
        query.limit = if anywhere { PAGE } else { limit as u32 };
        if let Some(key) = after {
            // Never before the beginning: a cursor is anybody's to make up.
            query = if key.starts_with(&prefix) { query.after(key.into()) } else { return Err(DriveError::BadCursor) };
        }
        let mut places = Places::default();
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let mut rows = page.items.iter().peekable();
            while rows.peek().is_some() {
                let (mut hits, mut folders, mut last) = (Vec::new(), BTreeSet::new(), None);
                while hits.len() + found.len() < limit
                    && looked_at < NAMES_MAX
                    && places.known.len() + folders.len() < FOLDERS_MAX
                    && let Some(at) = rows.next()
                {
                    let (folded, parent, name) =
                        name_parts(&at.sort_key).ok_or_else(|| DriveError::Damaged("the key of an index".into()))?;
                    looked_at += 1;
                    last = Some(&at.sort_key);
                    if folded.contains(&wanted) {
                        folders.insert(parent);
                        hits.push((parent, name, at));
                    }
                }
                self.learn_places(drive, folders, &mut places).await?;
                for (parent, name, at) in hits {
                    // What is in the trash, or being made or taken apart, is not found.
                    if let Some(path) = places.path(parent).and_then(|path| path.join(name).ok()) {
                        found.push(Found { path: path.to_string(), entry: Entry::decode(name, &at.item.value)? });
                    }
                }
                if found.len() >= limit || looked_at >= NAMES_MAX || places.known.len() >= FOLDERS_MAX {
                    return Ok(Page { items: found, next: last.map(|key| cursor_after(key)) });
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(Page { items: found, next: None }),
            }
        }
    }

    /// Where these folders are, and those that they are in: a read for each level.
    pub(super) async fn learn_places(
        &self,
        drive: DriveId,
        folders: BTreeSet<FolderId>,
        places: &mut Places,
    ) -> Result<(), DriveError> {
        let mut unknown = folders;
        for _ in 0..=DEPTH_MAX {
            unknown.retain(|folder| *folder != FolderId::ROOT && !places.known.contains_key(folder));
            if unknown.is_empty() {
                break;
            }
            let mut above = BTreeSet::new();
            let asked: Vec<FolderId> = std::mem::take(&mut unknown).into_iter().collect();
            for asked in asked.chunks(KEYS_MAX) {
                let key = |folder: &FolderId| ItemKey::new(self.inner.tables.places, drive.bytes(), folder.bytes());
                let items = self.inner.store.get_many(asked.iter().map(key).collect(), Consistency::Strong).await?;
                for (folder, item) in asked.iter().zip(items) {
                    let place = item.map(|item| decode::<PlaceRow>("a place", &item.value)).transpose()?;
                    let place = place.and_then(|row| Some((FolderId::from_slice(&row.parent)?, row.name)));
                    above.extend(place.as_ref().map(|(parent, _)| *parent));
                    places.known.insert(*folder, place);
                }
            }
            unknown = above;
        }
        Ok(())
    }
}

/// Folders' places, as read by one call. True at no certain moment, as [`Drives::locate`].
#[derive(Default)]
pub(super) struct Places {
    /// The folder above, and the name there; none: it is nowhere.
    known: HashMap<FolderId, Option<(FolderId, String)>>,
}

impl Places {
    pub(super) fn path(&self, folder: FolderId) -> Option<DrivePath> {
        let (mut at, mut names) = (folder, Vec::new());
        while at != FolderId::ROOT {
            let (above, name) = self.known.get(&at)?.as_ref()?;
            names.push(name);
            if names.len() > DEPTH_MAX {
                return None;
            }
            at = *above;
        }
        names.iter().rev().try_fold(DrivePath::root(), |path, name| path.join(name)).ok()
    }
}
