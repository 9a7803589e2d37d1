//! Versions of one key: their names, and which is meant.

use super::about::about_in;
use super::find::Spot;
use super::lifecycle::lifecycle_in;
use super::{About, Object, ObjectKey, OpenObject};
use crate::drive::change::Change;
use crate::drive::succession::{Gone, Left, Marker};
use crate::drive::tries::Tries;
use crate::drive::versions::{Kept, Was, version_key};
use crate::drive::{DriveError, DrivePath, Drives, Entry, EntryKind, FileInfo};
use crate::{DriveId, FileId, VersionId};
use bytes::Bytes;
use client::Content;
use types::{Consistency, ItemKey, WallMillis};

/// Looks at versions that others take away all the time.
const LOOKS_MAX: usize = 16;

/// A version's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionName {
    /// The one that came while versions were not kept.
    Null,
    /// Any other: its place in their order, and which it is.
    Named(u64, VersionId),
}

impl std::fmt::Display for VersionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VersionName::Null => f.write_str("null"),
            VersionName::Named(order, version) => write!(f, "{order:016x}{version}"),
        }
    }
}

impl std::str::FromStr for VersionName {
    type Err = DriveError;

    fn from_str(text: &str) -> Result<VersionName, DriveError> {
        if text == "null" {
            return Ok(VersionName::Null);
        }
        let wrong = || DriveError::Invalid("this is no version's id".into());
        let (order, version) = text.split_at_checked(16).ok_or_else(wrong)?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'+') {
            return Err(wrong());
        }
        let order = u64::from_str_radix(order, 16).map_err(|_| wrong())?;
        Ok(VersionName::Named(order, version.parse().map_err(|_| wrong())?))
    }
}

impl FileInfo {
    pub(in crate::drive) fn version_name(&self) -> VersionName {
        if self.named { VersionName::Named(self.order, self.version) } else { VersionName::Null }
    }
}

impl Marker {
    pub(in crate::drive) fn name(&self) -> VersionName {
        if self.named { VersionName::Named(self.order, self.version) } else { VersionName::Null }
    }
}

impl Object {
    /// Its version's name, where versions are kept, or were.
    pub fn version_name(&self) -> VersionName {
        self.entry.file().map_or(VersionName::Null, FileInfo::version_name)
    }

    /// An earlier version as an object.
    pub(super) fn of_version(key: &str, file: &FileInfo, saved: WallMillis) -> Object {
        let name = key.rsplit('/').next().unwrap_or_default().to_string();
        let kind = EntryKind::File(file.clone());
        let entry = Entry { name, created: saved, modified: saved, properties: false, kind };
        Object { key: key.to_string(), entry }
    }
}

/// What is at a key.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // One at a time, and short-lived.
pub enum Found {
    /// An object, or an earlier version of it.
    Object(OpenObject),
    /// That there is none: it was deleted.
    Marker {
        /// Its name.
        name: VersionName,
        /// When it was deleted.
        at: WallMillis,
    },
    /// Nothing of that name.
    Nothing,
}

/// Where a version stands.
#[allow(clippy::large_enum_variant)] // As above.
pub(super) enum Place {
    /// It is the object that is there.
    Latest(Object),
    /// It is an earlier one, or one of another history of that key.
    Earlier(FileId, Kept),
    /// It is the marker of a history that was left.
    Marker(Gone),
    Nowhere,
}

impl Drives {
    /// Where the version of that name stands, and what it was told from. That it is nowhere is told of one moment:
    /// else a version that moves, because another goes or comes, could be missed in both its places.
    pub(super) async fn place_of(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        name: VersionName,
    ) -> Result<(Spot, Left, Place), DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let spot = self.spot(drive, key).await?;
            let left = self.left(drive, key.as_str()).await?;
            if let Some(place) = self.place_among(drive, (key, &spot, &left), name).await? {
                return Ok((spot, left, place));
            }
            tries.lost(self.store()).await?;
        }
    }

    /// None: what was read apart was never true together.
    async fn place_among(
        &self,
        drive: DriveId,
        (key, spot, left): (&ObjectKey, &Spot, &Left),
        name: VersionName,
    ) -> Result<Option<Place>, DriveError> {
        let there = match spot.object(key) {
            Some(object) if self.is_key(drive, &object.entry).await? => Some(object),
            _ => None,
        };
        let current = there.as_ref().and_then(|object| object.entry.file()).map(|file| file.id);
        if let Some(object) = there.filter(|object| object.version_name() == name) {
            return Ok(Some(Place::Latest(object)));
        }
        let gone = &left.histories;
        if let Some(gone) = gone.iter().find(|it| it.marker.as_ref().is_some_and(|marker| marker.name() == name)) {
            return Ok(Some(Place::Marker(gone.clone())));
        }
        let files: Vec<FileId> = current.into_iter().chain(gone.iter().map(|gone| gone.file)).collect();
        let mut so = Change::new(self, drive);
        spot.require(self, &mut so, key);
        spot.require_nothing(&mut so)?;
        so.require_left(self, key.as_str(), left);
        let VersionName::Named(order, version) = name else {
            let nulls = files.iter().map(|file| self.null_key(drive, *file)).collect();
            let (nulls, holds) = so.read_along(self.store(), nulls).await?;
            let none = nulls.iter().all(Option::is_none);
            let found = if none { None } else { self.null_of(drive, &files).await?.into_iter().next() };
            return Ok(match found {
                Some((file, row)) => Some(Place::Earlier(file, row)),
                None => (none && holds).then_some(Place::Nowhere),
            });
        };
        let table = self.inner.tables.versions;
        let keys: Vec<Bytes> = files.iter().map(|file| version_key(*file, WallMillis(order), version)).collect();
        let items = keys.iter().map(|key| ItemKey::new(table, drive.bytes(), key.clone())).collect();
        let (items, holds) = so.read_along(self.store(), items).await?;
        for ((file, key), item) in files.into_iter().zip(keys).zip(items) {
            let Some(item) = item else { continue };
            let row = Kept::read(key, &item)?;
            if row.kept && !row.is_null() {
                return Ok(Some(Place::Earlier(file, row)));
            }
        }
        Ok(holds.then_some(Place::Nowhere))
    }

    /// What is at a key: now, or the version of that name.
    pub async fn find_object(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        name: Option<VersionName>,
    ) -> Result<Found, DriveError> {
        for _ in 0..LOOKS_MAX {
            let Some(name) = name else {
                if let Some(open) = self.open_object(drive, key).await? {
                    return Ok(Found::Object(open));
                }
                let left = self.left(drive, key.as_str()).await?;
                return Ok(left.marker().map_or(Found::Nothing, found_marker));
            };
            let (_, _, place) = self.place_of(drive, key, name).await?;
            let (row, object) = match place {
                Place::Nowhere => return Ok(Found::Nothing),
                Place::Marker(gone) => return Ok(gone.marker.as_ref().map_or(Found::Nothing, found_marker)),
                Place::Latest(object) => (None, object),
                Place::Earlier(_, row) => match &row.was {
                    Was::Gone(marker) => return Ok(found_marker(marker)),
                    Was::File(file) => (Some(row.key.clone()), Object::of_version(key.as_str(), file, row.saved)),
                },
            };
            if let Some(open) = self.open_found(drive, object, row).await? {
                return Ok(Found::Object(open));
            }
            // Taken away and swept between the reads.
        }
        Err(DriveError::Conflict { path: key.to_string() })
    }

    /// With its content, and with what is said of it; none: it was swept since.
    pub(super) async fn open_found(
        &self,
        drive: DriveId,
        object: Object,
        earlier: Option<Bytes>,
    ) -> Result<Option<OpenObject>, DriveError> {
        let tables = self.inner.tables;
        let rules = self.rules_key(drive);
        let Some(version) = object.version() else {
            let item = self.inner.store.get(&rules, Consistency::Strong).await?;
            let versioning = self.learn_rules(drive, item.as_ref())?.versioning;
            let content = Content::inline(Bytes::new())?;
            return Ok(Some(OpenObject {
                object,
                content,
                about: About::default(),
                earlier,
                versioning,
                expires: None,
            }));
        };
        let row = |table| ItemKey::new(table, drive.bytes(), version.bytes());
        let rows = vec![row(tables.contents), row(tables.about), rules, self.lifecycle_key(drive)];
        let rows = self.inner.store.get_many(rows, Consistency::Strong).await?;
        let [content, about, rules, lifecycle] = &rows[..] else {
            return Err(DriveError::Damaged("the store answered for other keys than were asked".into()));
        };
        let versioning = self.learn_rules(drive, rules.as_ref())?.versioning;
        let Some(item) = content else { return Ok(None) };
        let about = about.as_ref().map_or(Ok(About::default()), |item| about_in(&item.value))?;
        let content = Content::decode(&item.value)?;
        let mut expires = None;
        if let (Some(row), None) = (lifecycle, &earlier) {
            let rules = lifecycle_in(&row.value)?;
            let expiry = rules.expiry(&object.key, object.size(), object.entry.modified, &about.tags);
            expires = expiry.map(|(at, rule)| (at, rule.to_string()));
        }
        Ok(Some(OpenObject { object, content, about, earlier, versioning, expires }))
    }
}

fn found_marker(marker: &Marker) -> Found {
    Found::Marker { name: marker.name(), at: WallMillis(marker.order) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_of_versions_read_back(order: u64, id: [u8; 16]) {
            let name = VersionName::Named(order, VersionId(id));
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn other_texts_are_no_names(text in "\\PC{0,50}") {
            if let Ok(name) = text.parse::<VersionName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
