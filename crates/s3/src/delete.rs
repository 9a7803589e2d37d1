//! Deleting objects, one or many.

use crate::auth::{InBucket, Need};
use crate::conditions::of_write;
use crate::errors::{not_offered, of_drive, refused};
use crate::gateway::Gateway;
use crate::put::key;
use crate::versions::version;
use apps::DriveError;
use apps::drive::objects::{Deleted, ObjectCondition, ObjectKey, VersionName};
use futures::{StreamExt, stream};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition, Error,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

/// Objects in one request.
const DELETED_MAX: usize = 1000;
/// Of them at the same time.
const AT_ONCE: usize = 16;

/// An object, or the version of it that is named.
async fn delete(
    at: &InBucket,
    key: &ObjectKey,
    name: Option<VersionName>,
    condition: &ObjectCondition,
    bypass: Option<bool>,
) -> Result<Deleted, DriveError> {
    match name {
        Some(name) if at.may_bypass(bypass, key.as_str()) => {
            at.drives.delete_governed_version(at.bucket.drive, key, name, condition).await
        }
        None => at.drives.delete_object(at.bucket.drive, key, condition).await,
        Some(name) => at.drives.delete_version(at.bucket.drive, key, name, condition).await,
    }
}

impl Gateway {
    pub(crate) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        let name = version(input.version_id.as_deref())?;
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(not_offered("a delete under a condition on time or size"));
        }
        let condition = of_write(input.if_match.as_ref(), None)?;
        let deleted = delete(&at, &key(&input.key)?, name, &condition, input.bypass_governance_retention)
            .await
            .map_err(of_drive)?;
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: deleted.marker.map(|_| true),
            version_id: name.or(deleted.marker).map(|name| name.to_string()),
            ..DeleteObjectOutput::default()
        }))
    }

    pub(crate) async fn delete_many(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let asked = request.input.delete;
        if asked.objects.is_empty() || asked.objects.len() > DELETED_MAX {
            return Err(refused(S3ErrorCode::MalformedXML, "one request deletes 1 to 1000 objects"));
        }
        let quiet = asked.quiet.unwrap_or(false);
        let (at, bypass) = (&at, request.input.bypass_governance_retention);
        let results = stream::iter(asked.objects).map(|object| async move {
            let done = async {
                // A thousand keys and a long policy take their time: others have their turn between.
                tokio::task::yield_now().await;
                let action = if object.version_id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
                // Before the policy's patterns are held against it: a body's keys can be of any length.
                let place = key(&object.key)?;
                at.may(action, &object.key)?;
                let name = version(object.version_id.as_deref())?;
                if object.last_modified_time.is_some() || object.size.is_some() {
                    return Err(not_offered("a delete under a condition on time or size"));
                }
                let condition = match object.e_tag.clone() {
                    Some(tag) => of_write(Some(&ETagCondition::ETag(tag)), None)?,
                    None => ObjectCondition::Any,
                };
                delete(at, &place, name, &condition, bypass).await.map_err(of_drive)
            };
            let done = done.await;
            (object, done)
        });
        let results: Vec<_> = results.buffered(AT_ONCE).collect().await;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (object, done) in results {
            match done {
                Ok(_) if quiet => {}
                Ok(done) => deleted.push(DeletedObject {
                    delete_marker: done.marker.map(|_| true),
                    delete_marker_version_id: done.marker.map(|name| name.to_string()),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_string()),
                    message: error.message().map(str::to_string),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }
}
