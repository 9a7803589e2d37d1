//! What guests hand in by parts. From its beginning an upload counts as received by the link, so that no more is stored than the
//! link takes; given up, it counts no more.

use super::guest::Came;
use super::{LinkFound, LinkMode, Tries, Within};
use crate::drive::change::{Change, Commit};
use crate::drive::objects::{NewUpload, ObjectKey, Part, Upload};
use crate::drive::{DriveError, DrivePath, Drives, Entry, NewFile};
use crate::{DriveId, LinkId, PartsId};
use client::Content;
use types::Test;

/// Uploads that may be under way by one link, so that whoever has it does not take all that the drive may have. Who comes later waits.
const UPLOADS_MAX: i64 = 200;

/// By which uploads of guests are kept: nobody comes to one by another link.
fn key(link: &LinkFound, name: &str) -> Result<ObjectKey, DriveError> {
    ObjectKey::parse(&format!("{}/{}", link.id, crate::drive::path::valid_name(name)?))
}

impl Drives {
    /// Begins an upload of a file of that size, after [`Drives::guest_may_put`]. Asking again is harmless.
    pub async fn guest_begin_upload(
        &self,
        link: &LinkFound,
        name: &str,
        (id, size): (PartsId, u64),
        new: NewUpload,
    ) -> Result<(), DriveError> {
        link.must_be(LinkMode::DropBox)?;
        let key = key(link, name)?;
        let row = NewUpload { link: link.id.bytes(), size, ..new };
        let (mut link, mut tries) = (link.clone(), Tries::at(&DrivePath::root()));
        loop {
            let mut change = Change::new(self, link.drive);
            let by_link = link.require(self, &mut change, size);
            change.count_uploads_by_link(link.id, 1, UPLOADS_MAX);
            self.add_upload(&mut change, id, &key, &row);
            match change.commit(self.store(), &name).await? {
                Commit::Done(_) => return Ok(()),
                Commit::Lost(at) if at == by_link => {
                    link = link.still(self).await?;
                    tries.lost(self.store()).await?;
                }
                Commit::Lost(_) => return self.has_begun(link.drive, id, &key, &row).await,
            }
        }
    }

    /// An upload of this link's, with its parts.
    pub async fn guest_upload(&self, link: &LinkFound, id: PartsId, name: &str) -> Result<Upload, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        self.upload(link.drive, id, &key(link, name)?).await
    }

    /// What was said when an upload of this link's, still under way, began.
    pub async fn guest_upload_of(&self, link: &LinkFound, id: PartsId, name: &str) -> Result<NewUpload, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        self.upload_of(link.drive, id, &key(link, name)?).await
    }

    /// The same, also of one that was completed lately.
    pub async fn guest_upload_begun(&self, link: &LinkFound, id: PartsId, name: &str) -> Result<NewUpload, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        self.upload_begun(link.drive, id, &key(link, name)?).await
    }

    /// Puts a part, whose blocks are stored and pinned.
    pub async fn guest_put_part(
        &self,
        link: &LinkFound,
        (id, name): (PartsId, &str),
        number: u16,
        content: Content,
    ) -> Result<Part, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        self.put_part(link.drive, (id, &key(link, name)?), number, content, Default::default()).await
    }

    /// Puts the file that the parts make there; beside what has its name. None: that was done before.
    pub async fn guest_complete(
        &self,
        link: &LinkFound,
        (id, within, name): (PartsId, &Within, &str),
        new: NewFile,
    ) -> Result<Option<Entry>, DriveError> {
        let upload = self.guest_upload(link, id, name).await?;
        if upload.new.done.is_some() {
            return Ok(None);
        }
        let content = self.content_of_parts(link.drive, &upload).await?;
        self.guest_put_what_came(link, (within, name), Came::InParts(&upload, &content), new).await.map(Some)
    }

    /// Gives an upload up.
    pub async fn guest_abort_upload(&self, link: &LinkFound, id: PartsId, name: &str) -> Result<(), DriveError> {
        link.must_be(LinkMode::DropBox)?;
        self.abort_upload(link.drive, id, &key(link, name)?).await
    }

    /// What an upload that is given up had counted counts no more, if its link is there still.
    pub(in crate::drive) async fn give_back(
        &self,
        drive: DriveId,
        upload: &NewUpload,
        change: &mut Change,
    ) -> Result<(), DriveError> {
        let Some(link) = LinkId::from_slice(&upload.link) else { return Ok(()) };
        match self.link_row(drive, link).await {
            Ok(_) => {
                change.require(self.inner.tables.links, link.bytes(), Test::Present);
                change.count_by_link(super::received(link), -i64::try_from(upload.size).unwrap_or(0), i64::MAX);
                change.count_uploads_by_link(link, -1, i64::MAX);
                Ok(())
            }
            Err(DriveError::NoSuchLink) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
