//! Versions of objects: a bucket's versioning, their names, and their listing.

use crate::auth::Need;
use crate::errors::{argument, named, no_such_key, not_offered, of_drive, refused};
use crate::gateway::Gateway;
use crate::list::{encoded, most, prefixes, shown};
use crate::put::key;
use crate::text::{etag, http_time, time};
use apps::drive::Versioning;
use apps::drive::objects::{Found, Listing, Object, OpenObject, VersionListing, VersionName};
use apps::{DriveId, Drives};
use hyper::header::{ALLOW, HeaderName, HeaderValue, LAST_MODIFIED};
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{
    BucketVersioningStatus, DeleteMarkerEntry, GetBucketVersioningInput, GetBucketVersioningOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, MFADelete, ObjectVersion, ObjectVersionStorageClass,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use types::WallMillis;

/// The version that a request names.
pub(crate) fn version(text: Option<&str>) -> S3Result<Option<VersionName>> {
    text.map(|text| text.parse().map_err(|_| argument("this is no version's id"))).transpose()
}

/// An object's version as answers tell it, where there are versions.
pub(crate) fn told_version(versioning: Versioning, object: &Object) -> Option<String> {
    (versioning != Versioning::Off).then(|| object.version_name().to_string())
}

/// What is opened is a marker: the error says so.
fn marked(mut error: S3Error, name: VersionName, at: Option<WallMillis>) -> S3Error {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    if let Ok(name) = HeaderValue::from_str(&name.to_string()) {
        headers.insert(HeaderName::from_static("x-amz-version-id"), name);
    }
    if let Some(at) = at {
        headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
        if let Some(at) = http_time(at).and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(LAST_MODIFIED, at);
        }
    }
    error.set_headers(headers);
    error
}

pub(crate) fn no_such_version(key: &str) -> S3Error {
    refused(S3ErrorCode::NoSuchVersion, format!("{key:?} has no such version"))
}

impl Gateway {
    /// The object, or the version of it that is named.
    pub(crate) async fn found(
        &self,
        drives: &Drives,
        drive: DriveId,
        text: &str,
        name: Option<VersionName>,
    ) -> S3Result<OpenObject> {
        match (drives.find_object(drive, &key(text)?, name).await.map_err(of_drive)?, name) {
            (Found::Object(open), _) => Ok(open),
            (Found::Nothing, None) => Err(no_such_key(text)),
            (Found::Nothing, Some(_)) => Err(no_such_version(text)),
            (Found::Marker { name, .. }, None) => Err(marked(no_such_key(text), name, None)),
            (Found::Marker { name, at }, Some(_)) => {
                let what = "this version says that the object was deleted: it can be deleted, and nothing else";
                Err(marked(refused(S3ErrorCode::MethodNotAllowed, what), name, Some(at)))
            }
        }
    }

    /// An object's version as answers tell it: of one that was just put.
    pub(crate) async fn version_of(&self, drives: &Drives, drive: DriveId, object: &Object) -> Option<String> {
        let versioning = drives.versioning_lately(drive).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "it is not known whether the bucket's versions are kept");
            let null = object.version_name() == VersionName::Null;
            if null { Versioning::Off } else { Versioning::Enabled }
        });
        told_version(versioning, object)
    }

    pub(crate) async fn versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let status = match at.drives.versioning(at.bucket.drive).await.map_err(of_drive)? {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(S3Response::new(GetBucketVersioningOutput { status, mfa_delete: None }))
    }

    pub(crate) async fn put_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let asked = request.input.versioning_configuration;
        if asked.mfa_delete.is_some_and(|mfa| mfa.as_str() == MFADelete::ENABLED) || request.input.mfa.is_some() {
            return Err(not_offered("deletes by a second factor (MfaDelete)"));
        }
        let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            Some(_) => return Err(refused(S3ErrorCode::MalformedXML, "Status is Enabled or Suspended")),
            None => {
                let code = "IllegalVersioningConfigurationException";
                return Err(named(code, StatusCode::BAD_REQUEST, "say a Status: Enabled or Suspended"));
            }
        };
        at.drives.set_versioning(at.bucket.drive, versioning).await.map_err(of_drive)?;
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    pub(crate) async fn list_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let input = request.input;
        let (limit, encoded) = (most(input.max_keys, "max-keys")?, encoded(input.encoding_type.as_ref())?);
        let after = version(input.version_id_marker.as_deref().filter(|text| !text.is_empty()))?;
        let key_marker = input.key_marker.clone().unwrap_or_default();
        if after.is_some() && key_marker.is_empty() {
            return Err(argument("a version-id-marker needs a key-marker"));
        }
        let keys = Listing {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: key_marker,
            limit: limit as u32,
        };
        let asked = VersionListing { keys, after };
        let page = at.drives.list_versions(at.bucket.drive, &asked).await.map_err(of_drive)?;
        let owner = self.owner(&at);
        let (mut versions, mut markers) = (Vec::new(), Vec::new());
        for version in page.versions {
            let (key, version_id) = (Some(shown(version.key, encoded)), Some(version.name.to_string()));
            let (is_latest, last_modified) = (Some(version.latest), Some(time(version.at)));
            let owner = Some(owner.clone());
            match version.object {
                None => markers.push(DeleteMarkerEntry { is_latest, key, last_modified, owner, version_id }),
                Some(object) => versions.push(ObjectVersion {
                    e_tag: Some(etag(object.etag())),
                    is_latest,
                    key,
                    last_modified,
                    owner,
                    size: i64::try_from(object.size()).ok(),
                    storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
                    version_id,
                    ..ObjectVersion::default()
                }),
            }
        }
        let (next_key, next_version) = page.next.unzip();
        Ok(S3Response::new(ListObjectVersionsOutput {
            common_prefixes: Some(prefixes(page.prefixes, encoded)),
            delete_markers: Some(markers),
            delimiter: input.delimiter.map(|delimiter| shown(delimiter, encoded)),
            encoding_type: input.encoding_type,
            is_truncated: Some(next_key.is_some()),
            key_marker: Some(shown(asked.keys.after, encoded)),
            max_keys: Some(limit),
            name: Some(input.bucket),
            next_key_marker: next_key.map(|key| shown(key, encoded)),
            next_version_id_marker: next_version.flatten().map(|name| name.to_string()),
            prefix: Some(shown(asked.keys.prefix, encoded)),
            version_id_marker: input.version_id_marker,
            versions: Some(versions),
            ..ListObjectVersionsOutput::default()
        }))
    }
}
