//! Uploads in parts.

use crate::about::Kept;
use crate::auth::Need;
use crate::checksum::{Algorithm, Said, Watch, told};
use crate::conditions::{Conditions, of_write};
use crate::errors::{argument, of_drive, refused};
use crate::gateway::Gateway;
use crate::lifecycle::expiration_of;
use crate::list::{encoded, most, shown};
use crate::put::{PUT_MAX, key, new_object, part_number, plain_storage};
use crate::text::{etag, time};
use crate::versions::told_version;
use apps::drive::objects::{Checksum, NewUpload, PartAbout, Upload};
use apps::{DriveError, PartsId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::ClientError;
use futures::TryStreamExt;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, Range, StorageClass,
    StreamingBlob, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3ErrorCode, S3Request, S3Response, S3Result};
use std::cmp::Ordering;
use types::WallMillis;

/// Bytes of every part but the last, at least.
const PART_MIN: u64 = 5 * 1024 * 1024;

fn upload_id(text: &str) -> S3Result<PartsId> {
    let none = |_| refused(S3ErrorCode::NoSuchUpload, "there is no such upload");
    text.parse().map_err(none)
}

fn algorithm(new: &NewUpload) -> Option<Algorithm> {
    new.checksum.as_ref().and_then(|checksum| Algorithm::of_name(&checksum.algorithm))
}

fn kind(new: &NewUpload) -> Option<ChecksumType> {
    let checksum = new.checksum.as_ref()?;
    Some(ChecksumType::from_static(if checksum.composite {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    }))
}

fn named(new: &NewUpload) -> Option<ChecksumAlgorithm> {
    algorithm(new).map(|algorithm| ChecksumAlgorithm::from_static(algorithm.name()))
}

fn standard() -> Option<StorageClass> {
    Some(StorageClass::from_static(StorageClass::STANDARD))
}

impl Gateway {
    pub(crate) async fn begin(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        crate::acl::check_headers(&request.headers)?;
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
        let key = key(&input.key)?;
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
        let checksum = match &input.checksum_algorithm {
            None => None,
            Some(name) => {
                let algorithm = Algorithm::of_name(name.as_str())
                    .ok_or_else(|| refused(S3ErrorCode::InvalidRequest, "this checksum algorithm is not known here"))?;
                let asked = input.checksum_type.as_ref().map(ChecksumType::as_str);
                let composite = match (asked, algorithm) {
                    (None, Algorithm::Crc64Nvme) => false,
                    (None, _) => true,
                    (Some(ChecksumType::COMPOSITE), Algorithm::Crc64Nvme)
                    | (Some(ChecksumType::FULL_OBJECT), Algorithm::Sha1 | Algorithm::Sha256) => {
                        let what = "this algorithm has no checksum of that type";
                        return Err(refused(S3ErrorCode::InvalidRequest, what));
                    }
                    (Some(kind), _) => kind == ChecksumType::COMPOSITE,
                };
                Some(Checksum { algorithm: algorithm.name().into(), value: String::new(), composite })
            }
        };
        let mut about = kept.about()?;
        about.lock = lock;
        crate::put::check_type(input.content_type.as_ref())?;
        let mtime = crate::about::mtime(&about).map(|time| time.0);
        let new = NewUpload {
            about: Some(about),
            media_type: input.content_type.unwrap_or_default(),
            mtime,
            checksum,
            ..NewUpload::default()
        };
        let (algorithm, kind) = (named(&new), kind(&new));
        let id = at.drives.begin_upload(at.bucket.drive, &key, new).await.map_err(of_drive)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.to_string()),
            checksum_algorithm: algorithm,
            checksum_type: kind,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(crate) async fn part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let said = Said::by(&request.headers, request.input.content_length, request.trailing_headers.clone())?;
        let input = request.input;
        let (key, id, number) = (key(&input.key)?, upload_id(&input.upload_id)?, part_number(input.part_number)?);
        let upload = at.drives.upload_of(at.bucket.drive, id, &key).await.map_err(of_drive)?;
        if let (Some((is, _)), Some(wanted)) = (&said.checksum, algorithm(&upload))
            && *is != wanted
        {
            let what = format!("parts of this upload have a {}, not a {}", wanted.name(), is.name());
            return Err(refused(S3ErrorCode::InvalidRequest, what));
        }
        let (content, sums) = self.take_body(&at, input.body, said.with(algorithm(&upload))).await?;
        let at = self.again(&request.credentials, &request.extensions, &input.bucket, Need::Write).await?;
        let of_upload = sums.checksum.clone().filter(|(is, _)| Some(*is) == algorithm(&upload));
        let kept = (sums.md5, of_upload.map(|(_, value)| value).unwrap_or_default());
        let part = at.drives.put_part(at.bucket.drive, (id, &key), number, content, kept).await.map_err(of_drive)?;
        let (is, value) = sums.checksum.map_or((None, String::new()), |(is, value)| (Some(is), value));
        let checksum = told(is, &value);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(etag(part.md5)),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..UploadPartOutput::default()
        }))
    }

    /// Blocks that the store has already are not stored again.
    pub(crate) async fn part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        let (key, id, number) = (key(&input.key)?, upload_id(&input.upload_id)?, part_number(input.part_number)?);
        let upload = at.drives.upload_of(at.bucket.drive, id, &key).await.map_err(of_drive)?;
        let conditions = Conditions {
            is: input.copy_source_if_match,
            is_not: input.copy_source_if_none_match,
            since: input.copy_source_if_modified_since,
            not_since: input.copy_source_if_unmodified_since,
        };
        let (_, source) =
            self.source(&at, (&input.copy_source, input.expected_source_bucket_owner.as_ref()), &conditions).await?;
        let size = source.object.size();
        let range = match &input.copy_source_range {
            None => 0..size,
            Some(text) => {
                let range = Range::parse(text).ok();
                let Some(Range::Int { first, last: Some(last) }) = range else {
                    return Err(argument("x-amz-copy-source-range is bytes=FIRST-LAST"));
                };
                if first > last || last >= size {
                    return Err(refused(S3ErrorCode::InvalidRange, format!("the source has {size} bytes")));
                }
                first..last + 1
            }
        };
        if range.end - range.start > PUT_MAX {
            return Err(refused(S3ErrorCode::EntityTooLarge, "a part has at most 5 GiB"));
        }
        let _room = self.upload_room().await?;
        let bytes = at.drives.read(source.content, range).map_ok(hyper::body::Frame::data);
        let body = StreamingBlob::from(Body::http_body_unsync(http_body_util::StreamBody::new(bytes)));
        let (watch, body) = Watch::over(Some(body), Said::default().with(algorithm(&upload)));
        let content = at.drives.store_bytes(body).await.map_err(|error| match error {
            // Here it is the store that did not give it.
            DriveError::Client(ClientError::Source(why)) => {
                refused(S3ErrorCode::ServiceUnavailable, format!("the source could not be read: {why}; try again"))
            }
            error => of_drive(error),
        })?;
        let sums = watch.check()?;
        let at = self.again(&request.credentials, &request.extensions, &input.bucket, Need::Write).await?;
        let value = sums.checksum.map(|(_, value)| value).unwrap_or_default();
        let checksum = told(algorithm(&upload), &value);
        let kept = (sums.md5, value);
        let part = at.drives.put_part(at.bucket.drive, (id, &key), number, content, kept).await.map_err(of_drive)?;
        let result = CopyPartResult {
            e_tag: Some(etag(part.md5)),
            last_modified: Some(time(WallMillis(part.modified))),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
        };
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id: told_version(source.versioning, &source.object),
            ..UploadPartCopyOutput::default()
        }))
    }

    pub(crate) async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        let (key, id) = (key(&input.key)?, upload_id(&input.upload_id)?);
        let condition = of_write(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let chosen = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if chosen.is_empty() {
            return Err(refused(S3ErrorCode::MalformedXML, "an upload is completed with at least one part"));
        }
        let upload = at.drives.upload(at.bucket.drive, id, &key).await.map_err(of_drive)?;
        let location = Some(format!("/{}/{}", input.bucket, input.key));
        let answer = CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            location,
            ..CompleteMultipartUploadOutput::default()
        };
        if let Some(done) = &upload.new.done {
            // The answer to an earlier call was lost.
            let put = at.drives.completed(at.bucket.drive, &upload).await.map_err(of_drive)?;
            let version_id = match &put {
                Some(put) => self.version_of(&at.drives, at.bucket.drive, put).await,
                None => None,
            };
            let e_tag = Some(etag(done.clone()));
            return Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag, version_id, ..answer }));
        }
        let whole = Whole::of(&upload, &chosen)?;
        if input.mpu_object_size.is_some_and(|said| u64::try_from(said) != Ok(whole.size)) {
            return Err(refused(S3ErrorCode::InvalidRequest, "the parts have not the size that was said"));
        }
        let said = [
            (Algorithm::Crc32, input.checksum_crc32),
            (Algorithm::Crc32c, input.checksum_crc32c),
            (Algorithm::Crc64Nvme, input.checksum_crc64nvme),
            (Algorithm::Sha1, input.checksum_sha1),
            (Algorithm::Sha256, input.checksum_sha256),
        ];
        for (is, value) in said {
            let Some(value) = value else { continue };
            let plain = |text: &str| text.split('-').next().unwrap_or_default().to_string();
            if algorithm(&upload.new) == Some(is) && plain(&value) != plain(&whole.checksum) {
                let what = format!("the object has another {} than was said", is.name());
                return Err(refused(S3ErrorCode::BadDigest, what));
            }
        }
        let mut about = upload.new.about.clone().unwrap_or_default();
        about.checksum = upload.new.checksum.clone().map(|it| Checksum { value: whole.checksum.clone(), ..it });
        about.parts = whole.about;
        let media_type = Some(upload.new.media_type.clone()).filter(|text| !text.is_empty());
        let tags = about.tags.clone();
        let mut new = new_object(&at.caller()?.user, Some(whole.etag.clone()), media_type, about);
        new.file.mtime = upload.new.mtime.map(WallMillis);
        let put = at.drives.complete_upload(at.bucket.drive, &upload, &whole.numbers, new, condition).await;
        let put = put.map_err(of_drive)?;
        let version_id = self.version_of(&at.drives, at.bucket.drive, &put).await;
        let checksum = told(algorithm(&upload.new), &whole.checksum);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            e_tag: Some(etag(whole.etag)),
            expiration: expiration_of(&at, &put, &tags).await,
            version_id,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: kind(&upload.new),
            ..answer
        }))
    }

    pub(crate) async fn abort(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        let (key, id) = (key(&input.key)?, upload_id(&input.upload_id)?);
        if input.if_match_initiated_time.is_some() {
            return Err(crate::errors::not_offered("an abort under a condition on time"));
        }
        at.drives.abort_upload(at.bucket.drive, id, &key).await.map_err(of_drive)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(crate) async fn parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let input = request.input;
        let (key, id) = (key(&input.key)?, upload_id(&input.upload_id)?);
        let (limit, after) = (most(input.max_parts, "max-parts")?, input.part_number_marker.unwrap_or(0));
        let upload = at.drives.upload(at.bucket.drive, id, &key).await.map_err(of_drive)?;
        if upload.new.done.is_some() {
            return Err(refused(S3ErrorCode::NoSuchUpload, "the upload is completed"));
        }
        let algorithm = algorithm(&upload.new);
        let mut rest = upload.parts.into_iter().filter(|(number, _)| i32::from(*number) > after);
        let parts: Vec<Part> = rest
            .by_ref()
            .take(limit as usize)
            .map(|(number, part)| {
                let checksum = told(algorithm, &part.checksum);
                Part {
                    part_number: Some(number.into()),
                    size: i64::try_from(part.size).ok(),
                    last_modified: Some(time(WallMillis(part.modified))),
                    e_tag: Some(etag(part.md5)),
                    checksum_crc32: checksum.checksum_crc32,
                    checksum_crc32c: checksum.checksum_crc32c,
                    checksum_crc64nvme: checksum.checksum_crc64nvme,
                    checksum_sha1: checksum.checksum_sha1,
                    checksum_sha256: checksum.checksum_sha256,
                }
            })
            .collect();
        let owner = self.owner(&at);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: named(&upload.new),
            checksum_type: kind(&upload.new),
            initiator: Some(Initiator { id: owner.id.clone(), display_name: owner.display_name.clone() }),
            owner: Some(owner),
            is_truncated: Some(rest.next().is_some()),
            max_parts: Some(limit),
            next_part_number_marker: Some(parts.last().and_then(|part| part.part_number).unwrap_or(after)),
            part_number_marker: Some(after),
            parts: Some(parts),
            storage_class: standard(),
            ..ListPartsOutput::default()
        }))
    }

    pub(crate) async fn uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let input = request.input;
        let (limit, encoded) = (most(input.max_uploads, "max-uploads")?, encoded(input.encoding_type.as_ref())?);
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let key_after = input.key_marker.clone().unwrap_or_default();
        let all = at.drives.uploads(at.bucket.drive).await.map_err(of_drive)?;
        let owner = self.owner(&at);
        let (mut uploads, mut prefixes): (Vec<MultipartUpload>, Vec<String>) = (Vec::new(), Vec::new());
        let (mut last, mut more) = ((String::new(), String::new()), false);
        // Behind the upload that is named, which may have ended since, or behind all of the key where none is.
        let id_after = input.upload_id_marker.as_deref().filter(|text| !text.is_empty());
        let place_after = id_after.and_then(|text| place_in(text, &all));
        for (id, new) in all {
            let passed = match new.key.cmp(&key_after) {
                Ordering::Less => true,
                Ordering::Equal => place_after.is_none_or(|after| (new.begun, id) <= after),
                Ordering::Greater => false,
            };
            if passed || !new.key.starts_with(&prefix) {
                continue;
            }
            let rest = &new.key[prefix.len()..];
            let common = rest.find(&*delimiter).filter(|_| !delimiter.is_empty());
            let common = common.map(|at| new.key[..prefix.len() + at + delimiter.len()].to_string());
            if common.as_ref().is_some_and(|common| prefixes.last() == Some(common) || *common <= key_after) {
                continue;
            }
            if (uploads.len() + prefixes.len()) as i32 >= limit {
                more = limit > 0;
                break;
            }
            match common {
                Some(common) => {
                    last = (common.clone(), String::new());
                    prefixes.push(common);
                }
                None => {
                    last = (new.key.clone(), format!("{}.{id}", new.begun));
                    uploads.push(MultipartUpload {
                        checksum_algorithm: named(&new),
                        checksum_type: kind(&new),
                        initiated: Some(time(WallMillis(new.begun))),
                        initiator: Some(Initiator { id: owner.id.clone(), display_name: owner.display_name.clone() }),
                        key: Some(shown(new.key, encoded)),
                        owner: Some(owner.clone()),
                        storage_class: standard(),
                        upload_id: Some(id.to_string()),
                    });
                }
            }
        }
        let prefixes = prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(shown(prefix, encoded)) });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: Some(prefixes.collect()),
            delimiter: input.delimiter.map(|text| shown(text, encoded)),
            encoding_type: input.encoding_type,
            is_truncated: Some(more),
            key_marker: input.key_marker.map(|text| shown(text, encoded)),
            max_uploads: Some(limit),
            next_key_marker: more.then(|| shown(last.0, encoded)),
            next_upload_id_marker: more.then_some(last.1).filter(|id| !id.is_empty()),
            prefix: input.prefix.map(|text| shown(text, encoded)),
            upload_id_marker: input.upload_id_marker,
            uploads: Some(uploads),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

/// Where in the order of its key's uploads a marker is: one of ours, which says when it began, or an upload's id.
fn place_in(marker: &str, all: &[(PartsId, NewUpload)]) -> Option<(u64, PartsId)> {
    if let Some((begun, id)) = marker.split_once('.') {
        return Some((begun.parse().ok()?, id.parse().ok()?));
    }
    let id: PartsId = marker.parse().ok()?;
    all.iter().find(|(other, _)| *other == id).map(|(_, new)| (new.begun, id))
}

/// What the chosen parts make.
struct Whole {
    numbers: Vec<u16>,
    size: u64,
    etag: String,
    checksum: String,
    about: Vec<PartAbout>,
}

impl Whole {
    fn of(upload: &Upload, chosen: &[CompletedPart]) -> S3Result<Whole> {
        if !chosen.is_sorted_by(|a, b| a.part_number < b.part_number) {
            return Err(refused(S3ErrorCode::InvalidPartOrder, "the parts are not in the order of their numbers"));
        }
        let mut numbers: Vec<u16> = Vec::with_capacity(chosen.len());
        let (mut md5s, mut about) = (Md5::new(), Vec::with_capacity(chosen.len()));
        let mut size = 0u64;
        for (at, part) in chosen.iter().enumerate() {
            let number = part_number(part.part_number.unwrap_or(0))?;
            let missing =
                || refused(S3ErrorCode::InvalidPart, format!("part {number} is not there, or has another ETag"));
            let found = upload.parts.binary_search_by_key(&number, |(number, _)| *number).map_err(|_| missing())?;
            let there = &upload.parts[found].1;
            if part.e_tag.as_ref().is_some_and(|tag| tag.value() != there.md5) {
                return Err(missing());
            }
            let said = [
                &part.checksum_crc32,
                &part.checksum_crc32c,
                &part.checksum_crc64nvme,
                &part.checksum_sha1,
                &part.checksum_sha256,
            ];
            if said.into_iter().flatten().any(|said| !there.checksum.is_empty() && *said != there.checksum) {
                return Err(refused(S3ErrorCode::InvalidPart, format!("part {number} has another checksum")));
            }
            if at + 1 < chosen.len() && there.size < PART_MIN {
                let what = format!("part {number} has {} bytes; only the last may have less than 5 MiB", there.size);
                return Err(refused(S3ErrorCode::EntityTooSmall, what));
            }
            let md5: Vec<u8> =
                (0..16).filter_map(|at| u8::from_str_radix(there.md5.get(2 * at..2 * at + 2)?, 16).ok()).collect();
            md5s.update(&md5);
            size += there.size;
            numbers.push(number);
            about.push(PartAbout { size: there.size, checksum: there.checksum.clone(), number: number.into() });
        }
        let md5: String = md5s.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let checksum = match algorithm(&upload.new) {
            Some(algorithm) => {
                let composite = upload.new.checksum.as_ref().is_some_and(|checksum| checksum.composite);
                combined(algorithm, composite, &about)
            }
            None => String::new(),
        };
        Ok(Whole { etag: format!("{md5}-{}", numbers.len()), numbers, size, checksum, about })
    }
}

/// The checksum of the whole from those of the parts: over them, or, of CRCs, as over all bytes.
fn combined(algorithm: Algorithm, composite: bool, parts: &[PartAbout]) -> String {
    let of = |part: &PartAbout| STANDARD.decode(&part.checksum).unwrap_or_default();
    if composite {
        let all: Vec<u8> = parts.iter().flat_map(of).collect();
        return format!("{}-{}", algorithm.of(&all), parts.len());
    }
    let (crc, bytes) = match algorithm {
        Algorithm::Crc32 => (crc_fast::CrcAlgorithm::Crc32IsoHdlc, 4),
        Algorithm::Crc32c => (crc_fast::CrcAlgorithm::Crc32Iscsi, 4),
        Algorithm::Crc64Nvme => (crc_fast::CrcAlgorithm::Crc64Nvme, 8),
        Algorithm::Sha1 | Algorithm::Sha256 => return String::new(),
    };
    let number = |part: &PartAbout| of(part).iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut parts = parts.iter();
    let first = parts.next().map_or(0, number);
    let whole = parts.fold(first, |sum, part| crc_fast::checksum_combine(crc, sum, number(part), part.size));
    STANDARD.encode(&whole.to_be_bytes()[8 - bytes..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_of_parts_make_that_of_the_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|n| (n * 31 % 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let part = |bytes: &[u8]| PartAbout { size: bytes.len() as u64, checksum: algorithm.of(bytes), number: 0 };
            let parts = [part(&bytes[..7]), part(&bytes[7..4000]), part(&bytes[4000..])];
            assert_eq!(combined(algorithm, false, &parts), algorithm.of(&bytes));
            assert!(combined(algorithm, true, &parts).ends_with("-3"));
        }
    }
}
