//! Small pictures of images.
//!
//! Each belongs to a content: its row has the key of the content's, is written only while that is there, and goes in the
//! same transaction ([`Drives::sweep`]). So it goes along with whatever is renamed or moved, shows each version as it is, and
//! outlives nothing. That no picture can be made is kept as well, so that nobody tries again. They are made by child processes
//! ([`extract`]), so that an image costs one of those at most.

use super::change::{Change, Commit};
use super::rows::decode;
use super::{DriveError, Drives, Entry};
use crate::{DriveId, VersionId};
use bytes::Bytes;
use client::{ClientError, Content};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use types::{Consistency, ItemKey, Test};

/// Bytes of an image that a picture is made of.
pub const IMAGE_BYTES_MAX: u64 = extract::DOCUMENT_BYTES_MAX;
/// Pictures made at a time by this process's children: each takes up to three quarters of a gigabyte and a core.
const MADE_AT_ONCE: usize = 2;
/// Uploads whose pictures wait to be made. More wait until somebody looks.
const WAITING_MAX: usize = 256;
/// How long one who looks waits for those before.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// What images are called. Others get no picture, so that a listing asks for none in vain.
const NAMES: [&str; 5] = ["jpg", "jpeg", "png", "gif", "webp"];

/// A small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// `image/jpeg` or `image/png`.
    pub media_type: &'static str,
    /// The picture.
    pub bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct ThumbnailRow {
    #[prost(enumeration = "Made", tag = "1")]
    made: i32,
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Made {
    /// Of a newer release.
    Unknown = 0,
    /// None can be made.
    None = 1,
    Jpeg = 2,
    Png = 3,
}

impl ThumbnailRow {
    fn of(made: Option<(extract::Kind, Bytes)>) -> ThumbnailRow {
        let (made, bytes) = match made {
            None => (Made::None, Bytes::new()),
            Some((extract::Kind::Jpeg, bytes)) => (Made::Jpeg, bytes),
            Some((extract::Kind::Png, bytes)) => (Made::Png, bytes),
        };
        ThumbnailRow { made: made as i32, bytes }
    }

    fn picture(self) -> Option<Thumbnail> {
        let media_type = match self.made() {
            Made::Jpeg => "image/jpeg",
            Made::Png => "image/png",
            Made::None | Made::Unknown => return None,
        };
        Some(Thumbnail { media_type, bytes: self.bytes })
    }
}

/// What this process makes, and is yet to make.
pub(super) struct Studio {
    making: Arc<Semaphore>,
    /// Of those, what nobody looks at yet: one at a time, so that whoever looks never waits for many.
    unasked: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Studio {
    fn default() -> Studio {
        let room = |most| Arc::new(Semaphore::new(most));
        Studio { making: room(MADE_AT_ONCE), unasked: room(1), waiting: room(WAITING_MAX) }
    }
}

impl Entry {
    /// Is it called like an image, and is it of a size such that there may be a picture of it?
    pub fn may_have_thumbnail(&self) -> bool {
        let end = self.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
        let named = end.is_some_and(|end| NAMES.contains(&&*end));
        named && (1..=IMAGE_BYTES_MAX).contains(&self.size())
    }
}

impl Drives {
    /// The picture of a content of the drive: kept, or made now. None where none can be made.
    pub async fn thumbnail(&self, drive: DriveId, version: VersionId) -> Result<Option<Thumbnail>, DriveError> {
        if let Some(row) = self.thumbnail_row(drive, version).await? {
            return Ok(row.picture());
        }
        let room = tokio::time::timeout(WAIT_MAX, self.inner.studio.making.clone().acquire_owned()).await;
        let room = room.map_err(|_| ClientError::Busy)?.map_err(|_| ClientError::Busy)?;
        self.make_thumbnail(drive, version, room).await
    }

    /// Makes the picture of what was just put, by and by.
    pub fn thumbnail_soon(&self, drive: DriveId, entry: &Entry) {
        let Some(version) = entry.file().filter(|_| entry.may_have_thumbnail()).map(|file| file.version) else {
            return;
        };
        let Ok(place) = self.inner.studio.waiting.clone().try_acquire_owned() else { return };
        let drives = self.clone();
        tokio::spawn(async move {
            let Ok(_turn) = drives.inner.studio.unasked.clone().acquire_owned().await else { return };
            let Ok(room) = drives.inner.studio.making.clone().acquire_owned().await else { return };
            drop(place);
            if let Err(error) = drives.make_thumbnail(drive, version, room).await {
                tracing::debug!(%drive, %version, %error, "a thumbnail is left to whoever looks");
            }
        });
    }

    async fn thumbnail_row(&self, drive: DriveId, version: VersionId) -> Result<Option<ThumbnailRow>, DriveError> {
        let key = ItemKey::new(self.inner.tables.thumbnails, drive.bytes(), version.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        item.map(|item| decode("a thumbnail", &item.value)).transpose()
    }

    async fn make_thumbnail(
        &self,
        drive: DriveId,
        version: VersionId,
        room: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Option<Thumbnail>, DriveError> {
        // Others who looked may have made it meanwhile.
        if let Some(row) = self.thumbnail_row(drive, version).await? {
            return Ok(row.picture());
        }
        let tables = self.inner.tables;
        let key = ItemKey::new(tables.contents, drive.bytes(), version.bytes());
        let missing = || DriveError::NotFound { path: version.to_string() };
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or_else(missing)?;
        let content = Content::decode(&item.value)?;
        let Some(made) = self.made_of(content, room).await? else { return Ok(None) };
        let row = ThumbnailRow::of(made);
        let mut change = Change::new(self, drive);
        change.require(tables.contents, version.bytes(), Test::Present);
        change.put(tables.thumbnails, version.bytes(), row.encode_to_vec());
        match change.commit(self.store(), &version).await {
            Ok(Commit::Done(_)) => {}
            Ok(Commit::Lost(_)) => return Err(missing()),
            // It is right all the same; the next who looks keeps it.
            Err(error) => tracing::debug!(%drive, %version, %error, "a thumbnail could not be kept"),
        }
        Ok(row.picture())
    }

    /// What a child makes of an image; none where this process has no children, and others must do it.
    async fn made_of(
        &self,
        content: Content,
        room: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Option<Option<(extract::Kind, Bytes)>>, DriveError> {
        let size = content.size;
        if size == 0 || size > IMAGE_BYTES_MAX {
            return Ok(Some(None));
        }
        let Some(extractor) = self.inner.documents.clone() else { return Ok(None) };
        let image = self.read(content, 0..size);
        // Whoever waits may go; the work goes on, and takes its room along.
        let making = tokio::spawn(async move {
            let _room = room;
            extractor.picture(image).await
        });
        match making.await.map_err(|_| ClientError::Busy)? {
            Ok(made) => Ok(Some(made)),
            Err(extract::ExtractError::Source(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "an image could not be read for now");
                Err(ClientError::Busy.into())
            }
        }
    }
}
