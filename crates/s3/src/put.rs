//! Putting an object in one piece.

use crate::about::{Kept, mtime};
use crate::acl;
use crate::auth::{InBucket, Need};
use crate::checksum::{Said, Sums, Watch, told};
use crate::conditions::of_write;
use crate::errors::{argument, not_offered, of_drive, refused};
use crate::gateway::Gateway;
use crate::lifecycle::expiration_of;
use crate::text::etag;
use apps::drive::NewFile;
use apps::drive::objects::{About, Checksum, NewObject, Object, ObjectCondition, ObjectKey};
use apps::{DriveError, User, VersionId};
use client::Content;
use s3s::dto::{ChecksumType, PutObjectInput, PutObjectOutput, StorageClass, StreamingBlob};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify, WallMillis};

/// Bytes in one put: as S3 has it.
pub(crate) const PUT_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// How long the last step of a put is tried.
const COMMIT_WITHIN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);

pub(crate) fn key(text: &str) -> S3Result<ObjectKey> {
    ObjectKey::parse(text).map_err(|error| refused(S3ErrorCode::KeyTooLongError, error.to_string()))
}

/// Storage classes are one here; keys of one's own are not kept for anybody.
pub(crate) fn plain_storage(class: Option<&StorageClass>, customer_key: bool, kms: bool) -> S3Result<()> {
    if class.is_some_and(|class| class.as_str() != StorageClass::STANDARD) {
        return Err(refused(S3ErrorCode::InvalidStorageClass, "the only storage class here is STANDARD"));
    }
    if customer_key || kms {
        return Err(not_offered("encryption by keys that the client names"));
    }
    Ok(())
}

/// The file's part of a new object.
pub(crate) fn new_object(by: &User, md5: Option<String>, media_type: Option<String>, about: About) -> NewObject {
    let mtime: Option<WallMillis> = mtime(&about);
    let media_type = media_type.or_else(|| Some("binary/octet-stream".into()));
    let file = NewFile { mtime, media_type, etag: md5, by: Some(by.id), ..NewFile::default() };
    NewObject { file, about, composed: false }
}

impl Gateway {
    /// Stores a body; what it is was checked.
    pub(crate) async fn take_body(
        &self,
        at: &InBucket,
        body: Option<StreamingBlob>,
        said: Said,
    ) -> S3Result<(Content, Sums)> {
        let Some(length) = said.length else {
            return Err(refused(S3ErrorCode::MissingContentLength, "say how long the body is: Content-Length"));
        };
        if length > PUT_MAX {
            return Err(refused(S3ErrorCode::EntityTooLarge, "one put takes at most 5 GiB: upload it in parts"));
        }
        self.room_for(at, length).await?;
        self.store_body(at, body, said).await
    }

    /// Not after hours should someone learn that there is no room.
    pub(crate) async fn room_for(&self, at: &InBucket, length: u64) -> S3Result<()> {
        let room = at.drives.room(at.bucket.drive).await.map_err(of_drive)?;
        match room.filter(|room| *room < length) {
            Some(room) => Err(of_drive(DriveError::Quota { needed: length, room })),
            None => Ok(()),
        }
    }

    /// The same of a body whose length nobody knows, and somebody else holds to a bound.
    pub(crate) async fn store_body(
        &self,
        at: &InBucket,
        body: Option<StreamingBlob>,
        said: Said,
    ) -> S3Result<(Content, Sums)> {
        let _room = self.upload_room().await?;
        let (watch, body) = Watch::over(body, said);
        match at.drives.store_bytes(body).await {
            Ok(content) => Ok((content, watch.check()?)),
            Err(error) => Err(watch.wrong().unwrap_or_else(|| of_drive(error))),
        }
    }

    pub(crate) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        acl::check_headers(&request.headers)?;
        let said = Said::by(&request.headers, request.input.content_length, request.trailing_headers.clone())?;
        let input = request.input;
        plain_storage(
            input.storage_class.as_ref(),
            input.sse_customer_algorithm.is_some(),
            input.ssekms_key_id.is_some(),
        )?;
        let lock = {
            let (mode, until) = (input.object_lock_mode.as_ref(), input.object_lock_retain_until_date.as_ref());
            self.new_lock((&at, &input.key), mode, until, input.object_lock_legal_hold_status.as_ref()).await?
        };
        let (retained, held) = (input.object_lock_mode.is_some(), input.object_lock_legal_hold_status.is_some());
        if input.write_offset_bytes.is_some() {
            return Err(not_offered("appending to an object"));
        }
        let key = key(&input.key)?;
        let condition = of_write(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        if condition != ObjectCondition::Any {
            // Not after a long upload should someone learn that it is in vain.
            let there = at.drives.object(at.bucket.drive, &key).await.map_err(of_drive)?;
            condition.check(&key, there.as_ref()).map_err(of_drive)?;
        }
        let kept = Kept {
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            expires: input.expires,
            website_redirect_location: input.website_redirect_location,
            metadata: input.metadata,
            tagging: input.tagging,
        };
        let mut about = kept.about()?;
        about.lock = lock;
        check_type(input.content_type.as_ref())?;
        let (content, sums) = self.take_body(&at, input.body, said).await?;
        // Hours may have gone by.
        let at = self.again(&request.credentials, &request.extensions, &input.bucket, Need::Write).await?;
        at.may_lock_as(retained, held, &input.key)?;
        let tags = about.tags.clone();
        about.checksum = sums.checksum.as_ref().map(|(algorithm, value)| Checksum {
            algorithm: algorithm.name().into(),
            value: value.clone(),
            composite: false,
        });
        let new = new_object(&at.caller()?.user, Some(sums.md5), input.content_type, about);
        let put = put_surely(&at, &key, content, new, condition).await.map_err(of_drive)?;
        let version_id = self.version_of(&at.drives, at.bucket.drive, &put).await;
        let sums = sums.checksum;
        let checksum =
            told(sums.as_ref().map(|(algorithm, _)| *algorithm), sums.as_ref().map_or("", |(_, value)| value));
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(put.etag())),
            expiration: expiration_of(&at, &put, &tags).await,
            version_id,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: sums.map(|_| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            ..PutObjectOutput::default()
        }))
    }
}

/// Could an object have that media type?
pub(crate) fn check_type(kind: Option<&String>) -> S3Result<()> {
    NewFile { media_type: kind.cloned(), ..NewFile::default() }.check().map_err(of_drive)
}

/// The last step, tried again by itself while a part of the cluster fails over: nobody sends a long body twice for that, and
/// nobody who put under a condition is told that somebody else was first when it was they.
pub(crate) async fn put_surely(
    at: &InBucket,
    key: &ObjectKey,
    content: Content,
    mut new: NewObject,
    condition: ObjectCondition,
) -> Result<Object, DriveError> {
    let deadline = Instant::now() + COMMIT_WITHIN;
    let mut unknown = None;
    loop {
        let put = at.drives.put_object(at.bucket.drive, key, content.clone(), new.clone(), condition.clone());
        let error = match put.await {
            Ok(put) => {
                at.drives.thumbnail_soon(at.bucket.drive, &put.entry);
                return Ok(put);
            }
            Err(error) => error,
        };
        match (&error, error.action()) {
            // Surely given up: its version will not do any more.
            (DriveError::Conflict { .. }, _) if unknown.is_none() => new.file.version = VersionId::random(),
            (_, Action::Retry | Action::RefreshLayout | Action::Unknown) => {}
            // Of a try before that nobody knows of, this says nothing.
            (_, Action::Rejected | Action::Fatal) => return Err(unknown.unwrap_or(error)),
        }
        if Instant::now() + PAUSE > deadline {
            return Err(unknown.unwrap_or(error));
        }
        tracing::debug!(%error, "a put is tried again");
        if error.action() == Action::Unknown {
            unknown = Some(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A number of a part.
pub(crate) fn part_number(number: i32) -> S3Result<u16> {
    let wrong = || argument("a part's number is 1 to 10000");
    u16::try_from(number).ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(wrong)
}
