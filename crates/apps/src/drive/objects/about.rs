//! What is said of an object beside its bytes: one row under its content's version, which nobody reads who only lists.

use super::history::Place;
use super::{Lock, Object, VersionName};
use crate::DriveId;
use crate::VersionId;
use crate::drive::change::{Change, Commit};
use crate::drive::rows::decode;
use crate::drive::tries::Tries;
use crate::drive::{DriveError, DrivePath, Drives};
use bytes::Bytes;
use prost::Message;
use types::{Consistency, ItemKey, Test};

/// Said of one object.
#[derive(Clone, PartialEq, Message)]
pub struct About {
    /// What the client keeps with it: names in lower case.
    #[prost(message, repeated, tag = "1")]
    pub user: Vec<Pair>,
    /// Headers that are sent with it again, such as `cache-control`.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<Pair>,
    /// Tags.
    #[prost(message, repeated, tag = "3")]
    pub tags: Vec<Pair>,
    /// A checksum that its uploader chose.
    #[prost(message, optional, tag = "4")]
    pub checksum: Option<Checksum>,
    /// Its parts, in order, if it was put together from some.
    #[prost(message, repeated, tag = "5")]
    pub parts: Vec<PartAbout>,
    /// What locks it, in drives with locks. It is of this version: no copy has it.
    #[prost(message, optional, tag = "6")]
    pub lock: Option<Lock>,
}

/// A name and what it stands for.
#[derive(Clone, PartialEq, Message)]
pub struct Pair {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A checksum of an object or part.
#[derive(Clone, PartialEq, Message)]
pub struct Checksum {
    /// Such as `CRC32C`.
    #[prost(string, tag = "1")]
    pub algorithm: String,
    /// Base 64; of one over parts' checksums, with `-` and their number.
    #[prost(string, tag = "2")]
    pub value: String,
    /// It is over the checksums of parts rather than over the bytes.
    #[prost(bool, tag = "3")]
    pub composite: bool,
}

/// A part of an object.
#[derive(Clone, PartialEq, Message)]
pub struct PartAbout {
    /// Bytes.
    #[prost(uint64, tag = "1")]
    pub size: u64,
    /// Of the object's algorithm, base 64; empty: none.
    #[prost(string, tag = "2")]
    pub checksum: String,
    /// Its number, as the client gave it.
    #[prost(uint32, tag = "3")]
    pub number: u32,
}

impl Pair {
    /// A name with its value.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Pair {
        Pair { name: name.into(), value: value.into() }
    }
}

impl About {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|pair| pair.name == name).map(|pair| pair.value.as_str())
    }

    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == About::default()
    }
}

impl Change {
    /// What is said of a content that comes. Its version is fresh: nothing is said of it yet.
    pub(in crate::drive) fn put_about(&mut self, drives: &Drives, version: VersionId, about: &About) {
        if !about.is_empty() {
            self.put(drives.inner.tables.about, version.bytes(), about.encode_to_vec());
        }
    }
}

impl Drives {
    fn about_key(&self, drive: DriveId, version: VersionId) -> ItemKey {
        ItemKey::new(self.inner.tables.about, drive.bytes(), version.bytes())
    }

    /// What is said of a content.
    pub async fn about(&self, drive: DriveId, version: VersionId) -> Result<About, DriveError> {
        Ok(self.about_row(drive, version).await?.0)
    }

    /// What is said of a copy of it: but for the lock, which is the version's own.
    pub(in crate::drive) async fn about_copy(&self, drive: DriveId, version: VersionId) -> Result<About, DriveError> {
        Ok(About { lock: None, ..self.about(drive, version).await? })
    }

    /// What is said of a content, and the test that it is still so.
    pub(super) async fn about_row(&self, drive: DriveId, version: VersionId) -> Result<(About, Test), DriveError> {
        let item = self.inner.store.get(&self.about_key(drive, version), Consistency::Strong).await?;
        let about = item.as_ref().map_or(Ok(About::default()), |item| about_in(&item.value))?;
        Ok((about, item.map_or(Test::Absent, |item| Test::VersionIs(item.version))))
    }

    /// Replaces the tags of an object, or of the version of that name.
    pub async fn tag_object(
        &self,
        drive: DriveId,
        key: &super::ObjectKey,
        name: Option<VersionName>,
        tags: Vec<Pair>,
    ) -> Result<Object, DriveError> {
        self.change_about(drive, key, name, |about| {
            about.tags.clone_from(&tags);
            Ok(())
        })
        .await
    }

    /// Changes what is said of an object, or of the version of that name.
    pub(super) async fn change_about(
        &self,
        drive: DriveId,
        key: &super::ObjectKey,
        name: Option<VersionName>,
        say: impl Fn(&mut About) -> Result<(), DriveError>,
    ) -> Result<Object, DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let mut earlier = None;
            let (spot, object) = match name {
                None => {
                    let spot = self.spot(drive, key).await?;
                    let object = spot.object(key);
                    (spot, object)
                }
                Some(name) => {
                    let (spot, _, place) = self.place_of(drive, key, name).await?;
                    let object = match place {
                        Place::Latest(object) => Some(object),
                        Place::Earlier(_, row) => {
                            let object = row.file().map(|file| Object::of_version(key.as_str(), file, row.saved));
                            earlier = Some(row.key);
                            object
                        }
                        Place::Marker(_) | Place::Nowhere => None,
                    };
                    (spot, object)
                }
            };
            let Some(object) = object else {
                let path = key.to_string();
                return Err(match name {
                    None => DriveError::NotFound { path },
                    Some(_) => DriveError::NoSuchVersion { path },
                });
            };
            let Some(version) = object.version() else {
                return Err(DriveError::Invalid("a folder has no tags, and no lock".into()));
            };
            let row = self.about_key(drive, version);
            let (mut about, as_read) = self.about_row(drive, version).await?;
            say(&mut about)?;
            let mut change = Change::new(self, drive);
            match &earlier {
                None => spot.require(self, &mut change, key),
                Some(row) => {
                    // Perhaps it is the latest by now.
                    if !self.require_row_of_earlier(drive, row, &mut change).await? {
                        tries.lost(self.store()).await?;
                        continue;
                    }
                }
            }
            change.require(row.table, row.sort_key.clone(), as_read);
            change.put(row.table, row.sort_key, Bytes::from(about.encode_to_vec()));
            match change.commit(self.store(), key).await? {
                Commit::Done(_) => return Ok(object),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }
}

pub(in crate::drive) fn about_in(row: &[u8]) -> Result<About, DriveError> {
    decode("what is said of an object", row)
}
