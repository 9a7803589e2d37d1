//! Pages of versions: of each key all, the latest first.

use super::list::{LIST_MAX, Listed};
use super::{Listing, Object, ObjectKey, VersionName};
use crate::drive::succession::Left;
use crate::drive::versions::{Kept, Was, version_key};
use crate::drive::{DriveError, Drives};
use crate::{DriveId, FileId, VersionId};
use futures::{StreamExt, TryStreamExt, stream};
use types::{Bound, Consistency, Query, WallMillis};

/// Keys whose versions are read at the same time, at most: as many as it takes to fill the page, by those before.
const AT_ONCE: usize = 32;
/// Looks at a key that others change all the time.
const LOOKS_MAX: usize = 16;
/// Keys looked at together.
const KEYS: u32 = 128;
/// Instead of a place in the order: of what is there, which is the latest whatever its place.
const LATEST: u64 = u64::MAX;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct VersionListing {
    /// As of keys; its `after` and `limit` are of versions here.
    pub keys: Listing,
    /// Only versions of that last key that come after this one; none: none of them.
    pub after: Option<VersionName>,
}

/// A version, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: VersionName,
    /// It is what the key is now.
    pub latest: bool,
    /// When it came; of objects see [`Object::modified`], too.
    pub at: WallMillis,
    /// None: it says that the key was deleted.
    pub object: Option<Object>,
    place: (u64, VersionId),
}

/// A page of versions, in the order of their keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Of each key the latest first.
    pub versions: Vec<ListedVersion>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// Key and version for the next page; none at the end. Of a common prefix there is no version.
    pub next: Option<(String, Option<VersionName>)>,
}

/// All that a key is and was.
#[derive(Clone, Default)]
struct Key {
    key: String,
    object: Option<Object>,
    left: Left,
}

/// A version or a common prefix.
type Item = Result<ListedVersion, String>;

/// A key's object and what was left there belong together; common prefixes stand among them.
fn groups(listed: Vec<Listed>) -> Vec<Result<Key, String>> {
    let mut groups: Vec<Result<Key, String>> = Vec::new();
    for one in listed {
        match (one, groups.last_mut()) {
            (Listed::Prefix(prefix), _) => groups.push(Err(prefix)),
            (Listed::Left(key, left), Some(Ok(group))) if group.key == key => group.left = left,
            (Listed::Left(key, left), _) => groups.push(Ok(Key { key, object: None, left })),
            (Listed::Object(object), _) => {
                groups.push(Ok(Key { key: object.key.clone(), object: Some(object), left: Left::default() }));
            }
        }
    }
    groups
}

impl Drives {
    /// A page of a drive's versions.
    pub async fn list_versions(&self, drive: DriveId, asked: &VersionListing) -> Result<Versions, DriveError> {
        let limit = asked.keys.limit.min(LIST_MAX) as usize;
        // One more than is told: whether there is.
        let most = limit + 1;
        let mut found: Vec<Item> = Vec::new();
        let rolled = asked.keys.common(&asked.keys.after).is_some();
        if let Some(after) = asked.after
            && limit > 0
            && !rolled
            && asked.keys.after.starts_with(&asked.keys.prefix)
        {
            let rest = self.versions_at(drive, &asked.keys.after, Some(after), most).await?;
            found.extend(rest.into_iter().map(Ok));
        }
        let mut asked = asked.keys.clone();
        let mut at_once = 2;
        while limit > 0 && found.len() < most {
            let rest = most - found.len();
            asked.limit = KEYS.min(rest as u32);
            let (items, next) = self.versions_after(drive, &asked, rest, &mut at_once).await?;
            found.extend(items);
            match next {
                Some(next) => asked.after = next,
                None => break,
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|last| match last {
            Ok(version) => (version.key.clone(), Some(version.marker())),
            Err(prefix) => (prefix.clone(), None),
        });
        let mut versions = Versions { next, ..Versions::default() };
        for item in found {
            match item {
                Ok(version) => versions.versions.push(version),
                Err(prefix) => versions.prefixes.push(prefix),
            }
        }
        Ok(versions)
    }

    /// The versions of a page of keys, `most` or some more, and where the next page begins. A version that moves, because
    /// another of its key goes or comes, could be missed in both its places: what is not the same before and after its
    /// versions were read is read again. (A key that goes behind a marker and comes back, each time while it is looked for,
    /// is missed.)
    async fn versions_after(
        &self,
        drive: DriveId,
        asked: &Listing,
        most: usize,
        at_once: &mut usize,
    ) -> Result<(Vec<Item>, Option<String>), DriveError> {
        let (listed, mut next) = self.list_keys(drive, asked, true).await?;
        let mut read: Vec<(Result<Key, String>, Vec<ListedVersion>)> = Vec::new();
        let mut count = 0;
        let mut rest = groups(listed).into_iter().peekable();
        while count < most && rest.peek().is_some() {
            let together: Vec<_> = rest.by_ref().take(*at_once).collect();
            let wanted = most - count;
            let some: Vec<_> = stream::iter(together)
                .map(|group| async move {
                    let versions = match &group {
                        Err(_) => Vec::new(),
                        Ok(key) => self.versions_of(drive, key, None, wanted).await?,
                    };
                    Ok::<_, DriveError>((group, versions))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            let here: usize = some.iter().map(|(group, versions)| versions.len() + usize::from(group.is_err())).sum();
            count += here;
            *at_once = (most.saturating_sub(count) * some.len() / here.max(1)).clamp(1, AT_ONCE);
            read.extend(some);
        }
        let mut again: Vec<Result<Key, String>> = read.iter().map(|(group, _)| group.clone()).collect();
        if self.rules(drive).await?.numbers() {
            let (listed, later) = self.list_keys(drive, asked, true).await?;
            (again, next) = (groups(listed), later);
        }
        let mut read = read.into_iter().peekable();
        let mut items: Vec<Item> = Vec::new();
        for group in again {
            if items.len() >= most {
                break;
            }
            let key = match group {
                Err(prefix) => {
                    items.push(Err(prefix));
                    continue;
                }
                Ok(key) => key,
            };
            while read.next_if(|(group, _)| group.as_ref().is_ok_and(|it| it.key < key.key) || group.is_err()).is_some()
            {
            }
            let versions = match read.next_if(|(group, _)| group.as_ref().is_ok_and(|it| it.is_as(&key))) {
                Some((_, versions)) => versions,
                None => self.versions_at(drive, &key.key, None, most).await?,
            };
            items.extend(versions.into_iter().map(Ok));
        }
        Ok((items, next))
    }

    /// A key's versions, read until it is the same before and after.
    async fn versions_at(
        &self,
        drive: DriveId,
        text: &str,
        after: Option<VersionName>,
        most: usize,
    ) -> Result<Vec<ListedVersion>, DriveError> {
        let place = ObjectKey::parse(text)?;
        let mut key = self.key(drive, &place).await?;
        for look in 1.. {
            let after = match after {
                Some(name) => Some(self.place_in(drive, &key, name).await?),
                None => None,
            };
            let versions = self.versions_of(drive, &key, after, most).await?;
            let again = self.key(drive, &place).await?;
            if again.is_as(&key) || look >= LOOKS_MAX {
                return Ok(versions);
            }
            key = again;
        }
        Ok(Vec::new())
    }

    /// What a key is and was.
    async fn key(&self, drive: DriveId, key: &ObjectKey) -> Result<Key, DriveError> {
        let object = self.object(drive, key).await?;
        let left = self.left(drive, key.as_str()).await?;
        Ok(Key { key: key.to_string(), object, left })
    }

    /// Where in the order of a key's versions that name stands.
    async fn place_in(&self, drive: DriveId, key: &Key, name: VersionName) -> Result<(u64, VersionId), DriveError> {
        if let Some(object) = key.object.as_ref().filter(|object| object.version_name() == name) {
            return Ok((LATEST, object.version().unwrap_or(VersionId([0; 16]))));
        }
        match name {
            VersionName::Named(order, version) => Ok((order, version)),
            VersionName::Null => {
                let markers = key.left.histories.iter().filter_map(|gone| gone.marker.as_ref());
                if let Some(marker) = markers.filter(|marker| !marker.named).max_by_key(|marker| marker.order) {
                    return Ok((marker.order, marker.version));
                }
                let null = self.null_of(drive, &key.files()).await?.into_iter().next();
                // Nobody knows where one was that is not there.
                Ok(null.map_or((0, VersionId([0; 16])), |(_, row)| place(&row)))
            }
        }
    }

    /// A key's versions that come after that place, `most` at most.
    async fn versions_of(
        &self,
        drive: DriveId,
        key: &Key,
        after: Option<(u64, VersionId)>,
        most: usize,
    ) -> Result<Vec<ListedVersion>, DriveError> {
        let mut all = Vec::new();
        let latest = key.left.marker().filter(|_| key.object.is_none()).map(|marker| marker.version);
        for gone in &key.left.histories {
            let Some(marker) = &gone.marker else { continue };
            all.push(ListedVersion {
                key: key.key.clone(),
                name: marker.name(),
                latest: latest == Some(marker.version),
                at: WallMillis(marker.order),
                object: None,
                place: (marker.order, marker.version),
            });
        }
        for file in key.files() {
            self.earlier_of(drive, (&key.key, file), after, most, &mut all).await?;
        }
        if let Some(after) = after {
            all.retain(|version| version.place < after);
        }
        // What is there now was perhaps an earlier one when that was read.
        let current = key.object.as_ref().and_then(Object::version);
        all.retain(|version| current.is_none() || version.object.as_ref().and_then(Object::version) != current);
        all.sort_by_key(|version| std::cmp::Reverse(version.place));
        if let Some(object) = key.object.as_ref().filter(|object| comes_after(object, after)) {
            let name = object.version_name();
            let own = own_place(object);
            // Where others of the key have later places, it is the latest all the same.
            let first = own.0 > 0 && all.first().is_none_or(|first| first.place < own);
            let place = if first { own } else { (LATEST, own.1) };
            let at = object.modified();
            let object = Some(object.clone());
            all.insert(0, ListedVersion { key: key.key.clone(), name, latest: true, at, object, place });
        }
        all.truncate(most);
        Ok(all)
    }

    /// The earlier versions in one history.
    async fn earlier_of(
        &self,
        drive: DriveId,
        (key, file): (&str, FileId),
        after: Option<(u64, VersionId)>,
        most: usize,
        all: &mut Vec<ListedVersion>,
    ) -> Result<(), DriveError> {
        let mut query = Query::prefix(self.inner.tables.versions, drive.bytes(), &file.0);
        (query.reverse, query.limit) = (true, most.min(LIST_MAX as usize) as u32);
        if let Some((order, version)) = after {
            query.to = Bound::Excluded(version_key(file, WallMillis(order), version));
        }
        let mut count = 0;
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in page.items {
                let row = Kept::read(at.sort_key, &at.item)?;
                // Others are the drive's own.
                if !row.kept {
                    continue;
                }
                let (name, object) = match &row.was {
                    Was::File(file) => (file.version_name(), Some(Object::of_version(key, file, row.saved))),
                    Was::Gone(marker) => (marker.name(), None),
                };
                let at = object.as_ref().map_or(row.saved, Object::modified);
                all.push(ListedVersion { key: key.to_string(), name, latest: false, at, object, place: place(&row) });
                count += 1;
            }
            match page.next {
                Some(next) if count < most => query = query.after(next),
                _ => return Ok(()),
            }
        }
    }
}

fn own_place(object: &Object) -> (u64, VersionId) {
    object.entry.file().map_or((0, VersionId([0; 16])), |file| (file.order, file.version))
}

/// Is what is there now told behind that place? It may have become the latest since that was.
fn comes_after(object: &Object, after: Option<(u64, VersionId)>) -> bool {
    let own = own_place(object);
    match after {
        None => true,
        Some((LATEST, version)) => version != own.1,
        Some(after) => own.0 > 0 && own < after,
    }
}

fn place(row: &Kept) -> (u64, VersionId) {
    let version = match &row.was {
        Was::File(file) => file.version,
        Was::Gone(marker) => marker.version,
    };
    (row.saved.0, version)
}

impl Key {
    /// Nothing has come and nothing has gone.
    fn is_as(&self, other: &Key) -> bool {
        let file = |key: &Key| key.object.as_ref().and_then(|object| object.entry.file().cloned());
        self.key == other.key
            && self.object.is_some() == other.object.is_some()
            && file(self) == file(other)
            && self.left.is_as(&other.left)
    }

    /// The files whose earlier versions are this key's.
    fn files(&self) -> Vec<FileId> {
        let file = self.object.as_ref().and_then(|object| object.entry.file());
        let file = file.filter(|file| file.history).map(|file| file.id);
        file.into_iter().chain(self.left.histories.iter().map(|gone| gone.file)).collect()
    }
}

impl ListedVersion {
    /// When it came here, whatever time the object itself says.
    pub(super) fn came(&self) -> WallMillis {
        self.object.as_ref().map_or(self.at, |object| object.entry.modified)
    }

    /// Its place as a name, for the next page: also of what has no name, and though it be gone by then.
    fn marker(&self) -> VersionName {
        VersionName::Named(self.place.0, self.place.1)
    }
}
