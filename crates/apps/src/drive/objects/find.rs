//! Where a key is, or would be put.

use super::{About, ObjectKey};
use crate::drive::change::{Change, entry_key};
use crate::drive::walk::{Step, Walk};
use crate::drive::{DriveError, Drives, Entry, FileInfo, FolderInfo, Versioning};
use crate::{DriveId, VersionId};
use bytes::Bytes;
use client::Content;
use types::{Consistency, ItemKey, Test, Version, WallMillis};

/// MD5 of nothing: the entity tag of a folder.
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// Looks at an object that others replace all the time.
const LOOKS_MAX: usize = 16;

/// An object, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// The file that it is, or the folder.
    pub entry: Entry,
}

/// An object ready to be read.
#[derive(Clone, Debug)]
pub struct OpenObject {
    /// As listed.
    pub object: Object,
    /// Goes to [`Drives::read`].
    pub content: Content,
    /// What is said of it.
    pub about: About,
    /// The row that names it, where it is an earlier version.
    pub(super) earlier: Option<Bytes>,
    /// Are versions kept there?
    pub versioning: Versioning,
    /// When it goes by the bucket's lifecycle, and by which rule.
    pub(super) expires: Option<(WallMillis, String)>,
}

impl OpenObject {
    /// When it goes by the bucket's lifecycle, and by which rule.
    pub fn expiry(&self) -> Option<(WallMillis, String)> {
        self.expires.clone()
    }

    /// It is no earlier version.
    pub fn is_latest(&self) -> bool {
        self.earlier.is_none()
    }
}

impl Object {
    /// Bytes.
    pub fn size(&self) -> u64 {
        self.entry.size()
    }

    /// Which content it has; none: it is a folder.
    pub fn version(&self) -> Option<VersionId> {
        self.entry.file().map(|file| file.version)
    }

    /// When its content is from.
    pub fn modified(&self) -> WallMillis {
        self.entry.file().map_or(self.entry.modified, |file| file.mtime)
    }

    /// MIME type, if one was said.
    pub fn media_type(&self) -> Option<&str> {
        self.entry.file().and_then(|file| file.media_type.as_deref())
    }

    /// Its entity tag, without quotes. Where nobody told the MD5, one that nobody takes for an MD5.
    pub fn etag(&self) -> String {
        let Some(file) = self.entry.file() else { return EMPTY_MD5.into() };
        if file.etag == own_etag(file) { format!("{}-0", file.etag) } else { file.etag.clone() }
    }
}

/// The entity tag that files have whose uploader says none.
fn own_etag(file: &FileInfo) -> String {
    crate::hex::encode(&file.hash[..16])
}

/// Where a key is, or would be.
#[allow(clippy::large_enum_variant)] // One at a time, and short-lived.
pub(super) enum Spot {
    /// A file in the tree, or a folder for a key with a slash at its end.
    There(Walk),
    /// Nothing yet, and the tree has room for it.
    Tree(Walk),
    /// In the flat list, or to be put there.
    Flat {
        /// As it is there.
        row: Option<(Version, Entry)>,
        /// What keeps it out of the tree.
        obstacle: Option<Step>,
    },
}

impl Spot {
    /// What is there.
    pub(super) fn object(&self, key: &ObjectKey) -> Option<Object> {
        let entry = match self {
            Spot::There(walk) => walk.found()?.entry.clone(),
            Spot::Tree(_) => return None,
            Spot::Flat { row, .. } => row.as_ref()?.1.clone(),
        };
        Some(Object { key: key.to_string(), entry })
    }

    /// That nothing has come where nothing was, beside [`Self::require`]: for acts that put nothing there themselves.
    pub(super) fn require_nothing(&self, change: &mut Change) -> Result<(), DriveError> {
        if let Spot::Tree(walk) = self
            && let Some(first) = walk.path().names().get(walk.depth())
        {
            change.require_nothing_at(entry_key(walk.last_folder()?, first));
        }
        Ok(())
    }

    /// That it is still so, as a condition.
    pub(super) fn require(&self, drives: &Drives, change: &mut Change, key: &ObjectKey) {
        let tables = drives.inner.tables;
        let at = || Bytes::copy_from_slice(key.as_str().as_bytes());
        match self {
            Spot::There(walk) => change.require_steps(walk.steps()),
            Spot::Tree(walk) => {
                change.require_steps(walk.steps());
                change.require(tables.flat, at(), Test::Absent);
            }
            Spot::Flat { row, obstacle } => {
                let test = row.as_ref().map_or(Test::Absent, |(version, _)| Test::VersionIs(*version));
                change.require(tables.flat, at(), test);
                if row.is_none() {
                    change.require_steps(obstacle.as_slice());
                }
            }
        }
    }
}

impl Drives {
    /// Where a key is, or would be.
    pub(super) async fn spot(&self, drive: DriveId, key: &ObjectKey) -> Result<Spot, DriveError> {
        let Some(path) = key.path() else {
            return Ok(Spot::Flat { row: self.flat_row(drive, key).await?, obstacle: None });
        };
        if key.is_folder()
            && let Some(row) = self.flat_row(drive, key).await?
        {
            // With bytes, which a folder has not.
            return Ok(Spot::Flat { row: Some(row), obstacle: None });
        }
        let walk = self.walk(drive, path).await?;
        let found = walk.found().map(|step| step.entry.is_folder());
        if found == Some(key.is_folder()) {
            return Ok(Spot::There(walk));
        }
        // A file where a folder must be, or the other way round.
        let obstacle = match found {
            Some(_) => walk.steps().last().cloned(),
            None => walk.steps().iter().find(|step| !step.entry.is_folder()).cloned(),
        };
        match (self.flat_row(drive, key).await?, obstacle) {
            (None, None) => Ok(Spot::Tree(walk)),
            (row, obstacle) => Ok(Spot::Flat { row, obstacle }),
        }
    }

    async fn flat_row(&self, drive: DriveId, key: &ObjectKey) -> Result<Option<(Version, Entry)>, DriveError> {
        let at = ItemKey::new(self.inner.tables.flat, drive.bytes(), Bytes::copy_from_slice(key.as_str().as_bytes()));
        let item = self.inner.store.get(&at, Consistency::Strong).await?;
        item.map(|item| Ok((item.version, Entry::decode(key.as_str(), &item.value)?))).transpose()
    }

    /// Is there such an object?
    pub async fn object(&self, drive: DriveId, key: &ObjectKey) -> Result<Option<Object>, DriveError> {
        let spot = self.spot(drive, key).await?;
        match spot.object(key) {
            Some(object) if self.is_key(drive, &object.entry).await? => Ok(Some(object)),
            _ => Ok(None),
        }
    }

    /// Is a folder an object by itself? One that is there for others only is not.
    pub(super) async fn is_key(&self, drive: DriveId, entry: &Entry) -> Result<bool, DriveError> {
        match entry.folder() {
            Some(FolderInfo { id, implied: true, .. }) => Ok(self.counter(drive, id.bytes()).await?.unwrap_or(0) == 0),
            _ => Ok(true),
        }
    }

    /// An object with its content.
    pub async fn open_object(&self, drive: DriveId, key: &ObjectKey) -> Result<Option<OpenObject>, DriveError> {
        for _ in 0..LOOKS_MAX {
            let Some(object) = self.object(drive, key).await? else { return Ok(None) };
            if let Some(open) = self.open_found(drive, object, None).await? {
                return Ok(Some(open));
            }
            // Replaced and swept between the two reads.
        }
        Err(DriveError::Conflict { path: key.to_string() })
    }
}
