//! Copying objects: blocks are shared.

use crate::about::Kept;
use crate::access::Asked;
use crate::auth::{InBucket, Need};
use crate::checksum::{Algorithm, Said, Watch, told};
use crate::conditions::{Conditions, of_write};
use crate::errors::{argument, not_offered, of_drive, refused};
use crate::gateway::Gateway;
use crate::lifecycle::expiration_of;
use crate::put::{PUT_MAX, key, new_object, plain_storage};
use crate::text::{etag, time};
use crate::versions::{told_version, version};
use apps::DriveError;
use apps::drive::objects::{Checksum, ObjectCondition, OpenObject};
use futures::{StreamExt, TryStreamExt};
use http_body_util::StreamBody;
use hyper::HeaderMap;
use hyper::body::Frame;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use s3s::dto::{
    AccountId, ChecksumAlgorithm, ChecksumType, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag,
    ETagCondition, MetadataDirective, StreamingBlob, TaggingDirective,
};
use s3s::{Body, S3ErrorCode, S3Request, S3Response, S3Result};

impl Gateway {
    /// What a copy is of: the caller must be allowed to read it.
    pub(crate) async fn source(
        &self,
        at: &InBucket,
        (source, owner): (&CopySource, Option<&AccountId>),
        conditions: &Conditions,
    ) -> S3Result<(InBucket, OpenObject)> {
        let CopySource::Bucket { bucket, key: text, version_id } = source else {
            return Err(not_offered("a copy by way of an access point"));
        };
        let name = version(version_id.as_deref())?;
        let action = if name.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let asked = Asked { action, key: text.to_string(), ..Asked::default() };
        let from = self.bucket_for(at.caller.clone(), bucket, Need::Read, &asked).await?;
        from.is_of(owner.map(|owner| owner.as_bytes()))?;
        let open =
            self.found(&from.drives, from.bucket.drive, text, name).await.map_err(|error| match error.code() {
                S3ErrorCode::MethodNotAllowed => {
                    refused(S3ErrorCode::InvalidRequest, "the source says that the object was deleted: it has no bytes")
                }
                _ => error,
            })?;
        conditions.check_source(&open.object)?;
        Ok((from, open))
    }

    pub(crate) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let mut at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        crate::acl::check_headers(&request.headers)?;
        let condition = on_target(&request.headers)?;
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
        let conditions = Conditions {
            is: input.copy_source_if_match,
            is_not: input.copy_source_if_none_match,
            since: input.copy_source_if_modified_since,
            not_since: input.copy_source_if_unmodified_since,
        };
        let (from, source) =
            self.source(&at, (&input.copy_source, input.expected_source_bucket_owner.as_ref()), &conditions).await?;
        let drive = from.bucket.drive;
        let key = key(&input.key)?;
        let is = |directive: Option<&str>| directive == Some(MetadataDirective::REPLACE);
        let replaces = is(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
        let replaces_tags =
            input.tagging_directive.as_ref().map(TaggingDirective::as_str) == Some(TaggingDirective::REPLACE);
        let version = matches!(&input.copy_source, CopySource::Bucket { version_id: Some(_), .. });
        let may_take = |at: &InBucket, from: &InBucket| {
            if replaces_tags || source.about.tags.is_empty() {
                return Ok(());
            }
            from.may(if version { "s3:GetObjectVersionTagging" } else { "s3:GetObjectTagging" }, &source.object.key)?;
            at.may("s3:PutObjectTagging", key.as_str())
        };
        may_take(&at, &from)?;
        if !replaces
            && !replaces_tags
            && drive == at.bucket.drive
            && source.is_latest()
            && source.object.key == key.as_str()
        {
            let what = "an object is copied to itself only with other metadata: say x-amz-metadata-directive: REPLACE";
            return Err(refused(S3ErrorCode::InvalidRequest, what));
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
        let said = kept.about()?;
        let mut about = source.about.clone();
        // The source's own is the source's.
        about.lock = lock;
        let mut media_type = source.object.media_type().map(str::to_string);
        if replaces {
            (about.user, about.headers) = (said.user, said.headers);
            media_type = input.content_type;
        }
        if replaces_tags {
            about.tags = said.tags;
        }
        if let Some(algorithm) = wanted(input.checksum_algorithm.as_ref())? {
            let there = about.checksum.as_ref();
            if there.is_none_or(|it| it.composite || it.algorithm != algorithm.name()) {
                let value = self.checksum_of(&from, &source, algorithm).await?;
                // Hours may have gone by.
                at = self.again(&request.credentials, &request.extensions, &input.bucket, Need::Write).await?;
                at.may_lock_as(retained, held, &input.key)?;
                let (from, _) = self
                    .source(&at, (&input.copy_source, input.expected_source_bucket_owner.as_ref()), &conditions)
                    .await?;
                if from.bucket.drive != drive {
                    return Err(refused(
                        S3ErrorCode::OperationAborted,
                        "the source's bucket is another by now: try again",
                    ));
                }
                may_take(&at, &from)?;
                about.checksum = Some(Checksum { algorithm: algorithm.name().into(), value, composite: false });
                // Their checksums were another algorithm's.
                about.parts.clear();
            }
        }
        let (tags, checksum) = (about.tags.clone(), about.checksum.clone().unwrap_or_default());
        let file = source.object.entry.file();
        let tag = file.map(|file| file.etag.clone());
        let mut new = new_object(&at.caller()?.user, tag, media_type, about);
        new.composed = file.is_some_and(|file| file.composed);
        let to = (at.bucket.drive, &key);
        let any = condition == ObjectCondition::Any;
        let copied =
            at.drives.copy_object(to, (drive, &source), new, condition).await.map_err(|error| match error {
                // Nobody set a condition: it is the source that was replaced meanwhile.
                DriveError::Changed { .. } if any => {
                    refused(S3ErrorCode::OperationAborted, "the source was replaced or deleted meanwhile: try again")
                }
                error => of_drive(error),
            })?;
        let sums = told(Algorithm::of_name(&checksum.algorithm), &checksum.value);
        let kind = if checksum.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
        let result = CopyObjectResult {
            e_tag: Some(etag(copied.etag())),
            last_modified: Some(time(copied.modified())),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: (!checksum.value.is_empty()).then(|| ChecksumType::from_static(kind)),
        };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            expiration: expiration_of(&at, &copied, &tags).await,
            copy_source_version_id: told_version(source.versioning, &source.object),
            version_id: self.version_of(&at.drives, at.bucket.drive, &copied).await,
            ..CopyObjectOutput::default()
        }))
    }
}

/// The checksum that a copy is to have, if it says one.
fn wanted(name: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    let Some(name) = name else { return Ok(None) };
    let unknown = || refused(S3ErrorCode::InvalidRequest, "this checksum algorithm is not known here");
    Algorithm::of_name(name.as_str()).ok_or_else(unknown).map(Some)
}

impl Gateway {
    /// Of an object that has no such checksum yet: its bytes are read.
    async fn checksum_of(&self, at: &InBucket, source: &OpenObject, algorithm: Algorithm) -> S3Result<String> {
        let size = source.object.size();
        if size > PUT_MAX {
            return Err(refused(S3ErrorCode::InvalidRequest, "a copy with another checksum is of at most 5 GiB"));
        }
        let _room = self.upload_room().await?;
        let bytes = at.drives.read(source.content.clone(), 0..size).map_ok(Frame::data);
        let body = StreamingBlob::from(Body::http_body_unsync(StreamBody::new(bytes)));
        let (watch, mut body) = Watch::over(Some(body), Said::default().with(Some(algorithm)));
        while let Some(piece) = body.next().await {
            let unread = |why| refused(S3ErrorCode::ServiceUnavailable, format!("the source could not be read: {why}"));
            piece.map_err(unread)?;
        }
        Ok(watch.check()?.checksum.map(|(_, value)| value).unwrap_or_default())
    }
}

/// Under which condition on what is there already, of which the library does not tell.
fn on_target(headers: &HeaderMap) -> S3Result<ObjectCondition> {
    let said = |name: HeaderName| -> S3Result<Option<ETagCondition>> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let text = value.to_str().map_err(|_| argument("a condition is no entity tag"))?.trim();
        let tag = || ETag::Strong(text.trim_matches('"').to_string());
        Ok(Some(if text == "*" { ETagCondition::Any } else { ETagCondition::ETag(tag()) }))
    };
    of_write(said(IF_MATCH)?.as_ref(), said(IF_NONE_MATCH)?.as_ref())
}
