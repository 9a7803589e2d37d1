//! Reading objects and what is said of them.

use crate::about::{expires, header, metadata, valid_tags};
use crate::auth::{InBucket, Need};
use crate::checksum::{Algorithm, told};
use crate::conditions::Conditions;
use crate::errors::{argument, named, of_drive, refused};
use crate::gateway::Gateway;
use crate::lifecycle::expiration;
use crate::lock;
use crate::put::{key, part_number};
use crate::text::{etag, time};
use crate::versions::{told_version, version};
use apps::DriveError;
use apps::drive::objects::{About, Object, OpenObject, Pair, VersionName};
use futures::TryStreamExt;
use http_body_util::StreamBody;
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::HeaderName;
use s3s::dto::{
    ChecksumType, DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectAttributesInput,
    GetObjectAttributesOutput, GetObjectAttributesParts, GetObjectInput, GetObjectOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput, ObjectAttributes, ObjectPart, PutObjectTaggingInput,
    PutObjectTaggingOutput, Range, StorageClass, StreamingBlob, Tag,
};
use s3s::{Body, S3ErrorCode, S3Request, S3Response, S3Result};

/// Parts told of in one page.
const PARTS_MAX: i32 = 1000;

/// Which bytes, and how that is said.
struct Extent {
    bytes: std::ops::Range<u64>,
    content_range: Option<String>,
    parts: Option<i32>,
}

fn extent(open: &OpenObject, range: Option<Range>, part: Option<i32>) -> S3Result<Extent> {
    let size = open.object.size();
    let said =
        |bytes: &std::ops::Range<u64>| Some(format!("bytes {}-{}/{size}", bytes.start, bytes.end.saturating_sub(1)));
    let parts = i32::try_from(open.about.parts.len()).ok().filter(|parts| *parts > 0);
    match (range, part) {
        (Some(_), Some(_)) => Err(argument("ask for a range or for a part, not for both")),
        (None, None) => Ok(Extent { bytes: 0..size, content_range: None, parts: None }),
        (Some(range), None) => {
            let bytes = range.check(size);
            let outside = |_| refused(S3ErrorCode::InvalidRange, format!("the object has {size} bytes"));
            let bytes = bytes.map_err(outside)?;
            Ok(Extent { content_range: said(&bytes), bytes, parts: None })
        }
        (None, Some(number)) => {
            let number = part_number(number)?;
            let mut begin = 0;
            if open.about.parts.is_empty() && number == 1 {
                return Ok(Extent {
                    bytes: 0..size,
                    content_range: said(&(0..size)).filter(|_| size > 0),
                    parts: None,
                });
            }
            for (at, part) in open.about.parts.iter().enumerate() {
                if at + 1 == usize::from(number) {
                    let bytes = begin..begin + part.size;
                    return Ok(Extent { content_range: said(&bytes), bytes, parts });
                }
                begin += part.size;
            }
            let what = format!("the object has no part {number}");
            Err(named("InvalidPartNumber", StatusCode::RANGE_NOT_SATISFIABLE, what))
        }
    }
}

/// The checksum as the library tells it, for who wants it.
fn checksum(about: &About, wanted: bool) -> (s3s::dto::Checksum, Option<ChecksumType>) {
    let Some(checksum) = about.checksum.as_ref().filter(|_| wanted) else { return Default::default() };
    let kind = if checksum.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
    (told(Algorithm::of_name(&checksum.algorithm), &checksum.value), Some(ChecksumType::from_static(kind)))
}

impl Gateway {
    async fn open<T>(
        &self,
        request: &S3Request<T>,
        (bucket, text): (&str, &str),
        version_id: Option<&String>,
    ) -> S3Result<(apps::Drives, OpenObject)> {
        let at = self.bucket(request, bucket, Need::Read).await?;
        let name = version(version_id.map(String::as_str))?;
        let open = self.found(&at.drives, at.bucket.drive, text, name).await?;
        Ok((at.drives, open))
    }

    pub(crate) async fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let asked = &request.input;
        let (drives, open) = self.open(&request, (&asked.bucket, &asked.key), asked.version_id.as_ref()).await?;
        let input = request.input;
        let conditions = Conditions {
            is: input.if_match,
            is_not: input.if_none_match,
            since: input.if_modified_since,
            not_since: input.if_unmodified_since,
        };
        conditions.check(&open.object)?;
        let extent = extent(&open, input.range, input.part_number)?;
        let whole = extent.bytes == (0..open.object.size());
        let wanted = whole && input.checksum_mode.is_some();
        let (checksum, checksum_type) = checksum(&open.about, wanted);
        let length = extent.bytes.end - extent.bytes.start;
        let about = &open.about;
        let (object_lock_mode, object_lock_retain_until_date, object_lock_legal_hold_status) = lock::told(about);
        let output = GetObjectOutput {
            object_lock_mode,
            object_lock_retain_until_date,
            object_lock_legal_hold_status,
            accept_ranges: Some("bytes".into()),
            cache_control: header(about, "cache-control"),
            content_disposition: header(about, "content-disposition"),
            content_encoding: header(about, "content-encoding"),
            content_language: header(about, "content-language"),
            website_redirect_location: header(about, "x-amz-website-redirect-location"),
            expires: expires(about),
            content_length: i64::try_from(length).ok(),
            content_range: extent.content_range,
            content_type: Some(open.object.media_type().unwrap_or("binary/octet-stream").to_string()),
            e_tag: Some(etag(open.object.etag())),
            last_modified: Some(time(open.object.modified())),
            metadata: metadata(about),
            version_id: told_version(open.versioning, &open.object),
            expiration: expiration(&open),
            parts_count: extent.parts,
            tag_count: i32::try_from(about.tags.len()).ok().filter(|count| *count > 0),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type,
            ..GetObjectOutput::default()
        };
        let bytes = drives.read(open.content, extent.bytes).map_ok(Frame::data);
        let body = StreamingBlob::from(Body::http_body_unsync(StreamBody::new(bytes)));
        Ok(S3Response::new(GetObjectOutput { body: Some(body), ..output }))
    }

    pub(crate) async fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let asked = &request.input;
        let (_, open) = self.open(&request, (&asked.bucket, &asked.key), asked.version_id.as_ref()).await?;
        let input = request.input;
        let conditions = Conditions {
            is: input.if_match,
            is_not: input.if_none_match,
            since: input.if_modified_since,
            not_since: input.if_unmodified_since,
        };
        conditions.check(&open.object)?;
        let extent = extent(&open, input.range, input.part_number)?;
        let (checksum, checksum_type) = checksum(&open.about, input.checksum_mode.is_some());
        let about = &open.about;
        let tags = &about.tags;
        let status = extent.content_range.is_some().then_some(StatusCode::PARTIAL_CONTENT);
        let (object_lock_mode, object_lock_retain_until_date, object_lock_legal_hold_status) = lock::told(about);
        let output = HeadObjectOutput {
            object_lock_mode,
            object_lock_retain_until_date,
            object_lock_legal_hold_status,
            accept_ranges: Some("bytes".into()),
            cache_control: header(about, "cache-control"),
            content_disposition: header(about, "content-disposition"),
            content_encoding: header(about, "content-encoding"),
            content_language: header(about, "content-language"),
            website_redirect_location: header(about, "x-amz-website-redirect-location"),
            expires: expires(about),
            content_length: i64::try_from(extent.bytes.end - extent.bytes.start).ok(),
            content_range: extent.content_range,
            content_type: Some(open.object.media_type().unwrap_or("binary/octet-stream").to_string()),
            e_tag: Some(etag(open.object.etag())),
            last_modified: Some(time(open.object.modified())),
            metadata: metadata(about),
            version_id: told_version(open.versioning, &open.object),
            expiration: expiration(&open),
            parts_count: extent.parts,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type,
            ..HeadObjectOutput::default()
        };
        let mut response = S3Response { status, ..S3Response::new(output) };
        if !tags.is_empty() {
            // The library has no place for it.
            response.headers.insert(HeaderName::from_static("x-amz-tagging-count"), tags.len().into());
        }
        Ok(response)
    }

    pub(crate) async fn attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let asked = &request.input;
        let (_, open) = self.open(&request, (&asked.bucket, &asked.key), asked.version_id.as_ref()).await?;
        let input = request.input;
        let wants = |name: &str| {
            // Told in one header or in several.
            let mut told = input.object_attributes.iter().flat_map(|it| it.as_str().split(','));
            told.any(|it| it.trim() == name)
        };
        let (checksum, checksum_type) = checksum(&open.about, wants(ObjectAttributes::CHECKSUM));
        let told_checksum = checksum_type.clone().map(|_| s3s::dto::Checksum { checksum_type, ..checksum });
        let mut parts = None;
        if wants(ObjectAttributes::OBJECT_PARTS) && !open.about.parts.is_empty() {
            let most = input.max_parts.unwrap_or(PARTS_MAX).clamp(0, PARTS_MAX);
            let after = input.part_number_marker.unwrap_or(0).max(0);
            let algorithm = open.about.checksum.as_ref().and_then(|it| Algorithm::of_name(&it.algorithm));
            let all = open.about.parts.iter().zip(1i32..).skip(after as usize);
            let page: Vec<ObjectPart> = all
                .take(most as usize)
                .map(|(part, number)| {
                    let sums = told(algorithm, &part.checksum);
                    ObjectPart {
                        part_number: Some(number),
                        size: i64::try_from(part.size).ok(),
                        checksum_crc32: sums.checksum_crc32,
                        checksum_crc32c: sums.checksum_crc32c,
                        checksum_crc64nvme: sums.checksum_crc64nvme,
                        checksum_sha1: sums.checksum_sha1,
                        checksum_sha256: sums.checksum_sha256,
                    }
                })
                .collect();
            let total = open.about.parts.len() as i32;
            let last = after + page.len() as i32;
            parts = Some(GetObjectAttributesParts {
                is_truncated: Some(last < total),
                max_parts: Some(most),
                next_part_number_marker: Some(last),
                part_number_marker: Some(after),
                parts: Some(page).filter(|_| algorithm.is_some()),
                total_parts_count: Some(total),
            });
        }
        let class = StorageClass::from_static(StorageClass::STANDARD);
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: told_checksum,
            version_id: told_version(open.versioning, &open.object),
            e_tag: wants(ObjectAttributes::ETAG).then(|| etag(open.object.etag())),
            last_modified: Some(time(open.object.modified())),
            object_parts: parts,
            object_size: i64::try_from(open.object.size()).ok().filter(|_| wants(ObjectAttributes::OBJECT_SIZE)),
            storage_class: wants(ObjectAttributes::STORAGE_CLASS).then_some(class),
            ..GetObjectAttributesOutput::default()
        }))
    }

    pub(crate) async fn tags(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let asked = &request.input;
        let (_, open) = self.open(&request, (&asked.bucket, &asked.key), asked.version_id.as_ref()).await?;
        let version_id = told_version(open.versioning, &open.object);
        let tags = open.about.tags.into_iter();
        let tag_set = tags.map(|pair| Tag { key: Some(pair.name), value: Some(pair.value) }).collect();
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id }))
    }

    async fn tag(&self, at: &InBucket, text: &str, name: Option<VersionName>, tags: Vec<Pair>) -> S3Result<Object> {
        match at.drives.tag_object(at.bucket.drive, &key(text)?, name, tags).await {
            Err(error @ (DriveError::NotFound { .. } | DriveError::NoSuchVersion { .. })) => {
                // Of a marker, the answer to whoever looks for it says so.
                self.found(&at.drives, at.bucket.drive, text, name).await?;
                Err(of_drive(error))
            }
            tagged => tagged.map_err(of_drive),
        }
    }

    pub(crate) async fn put_tags(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        let name = version(input.version_id.as_deref())?;
        let pairs = input.tagging.tag_set.into_iter();
        let pairs = pairs.map(|tag| Pair::new(tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
        let tags = valid_tags(pairs.collect())?;
        let tagged = self.tag(&at, &input.key, name, tags).await?;
        let version_id = self.version_of(&at.drives, at.bucket.drive, &tagged).await;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
    }

    pub(crate) async fn delete_tags(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let name = version(request.input.version_id.as_deref())?;
        let tagged = self.tag(&at, &request.input.key, name, Vec::new()).await?;
        let version_id = self.version_of(&at.drives, at.bucket.drive, &tagged).await;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
    }
}
