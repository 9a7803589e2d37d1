//! Finding by name: what begins so, or what has it somewhere, in any case and
//! compatible form. A call looks at a bounded number of names and tells where to go on.

use super::index::{fold, name_parts, name_prefix};
use super::{DriveError, DrivePath, Drives, Entry};
use crate::page::{Page, cursor_after, place_of};
use crate::{DriveId, FolderId};
use std::collections::{HashMap, hash_map};
use types::limits::KEY_BYTES_MAX;
use types::{Consistency, Query};

/// Found in one call at most.
pub const SEARCH_MAX: u32 = 200;
/// Names looked at by one call at most.
const NAMES_MAX: usize = 20_000;
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
        let mut folders: HashMap<FolderId, Option<DrivePath>> = HashMap::new();
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                let (folded, parent, name) =
                    name_parts(&at.sort_key).ok_or_else(|| DriveError::Damaged("the key of an index".into()))?;
                looked_at += 1;
                if folded.contains(&wanted) {
                    let folder = match folders.entry(parent) {
                        hash_map::Entry::Occupied(known) => known.into_mut(),
                        hash_map::Entry::Vacant(place) => place.insert(self.locate(drive, parent).await?),
                    };
                    // What is in the trash, or being made or taken apart, is not found.
                    if let Some(path) = folder.as_ref().and_then(|path| path.join(name).ok()) {
                        found.push(Found { path: path.to_string(), entry: Entry::decode(name, &at.item.value)? });
                    }
                }
                if found.len() >= limit || looked_at >= NAMES_MAX {
                    return Ok(Page { items: found, next: Some(cursor_after(&at.sort_key)) });
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(Page { items: found, next: None }),
            }
        }
    }
}
