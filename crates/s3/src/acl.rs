//! Access lists: there are none, as in buckets of S3 that their owner keeps to themselves (*bucket owner enforced*). Who asks
//! for one that says what holds anyway is answered; any other is refused. Members' roles and the bucket's policy say who may.

use crate::auth::{InBucket, Need};
use crate::errors::named;
use crate::gateway::Gateway;
use crate::versions::version;
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput, GetBucketAclInput, GetBucketAclOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetObjectAclInput, GetObjectAclOutput, Grant,
    Grantee, ObjectOwnership, OwnershipControls, OwnershipControlsRule, Permission, PutBucketAclInput,
    PutBucketAclOutput, PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput, PutObjectAclInput,
    PutObjectAclOutput, Type,
};
use s3s::{S3Error, S3Request, S3Response, S3Result};

fn unsupported() -> S3Error {
    let what = "the bucket does not allow ACLs: give people a role in the drive, or the bucket a policy";
    named("AccessControlListNotSupported", StatusCode::BAD_REQUEST, what)
}

/// A canned one, if it says no more than what holds anyway.
pub(crate) fn check(canned: Option<&str>) -> S3Result<()> {
    match canned {
        None | Some("" | "private" | "bucket-owner-full-control") => Ok(()),
        Some(_) => Err(unsupported()),
    }
}

/// The same of a request's headers.
pub(crate) fn check_headers(headers: &HeaderMap) -> S3Result<()> {
    if headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-")) {
        return Err(unsupported());
    }
    check(headers.get("x-amz-acl").map(|value| value.to_str().unwrap_or("?")))
}

impl Gateway {
    fn grants(&self, at: &InBucket) -> Vec<Grant> {
        let owner = self.owner(at);
        let grantee = Grantee {
            id: owner.id,
            display_name: owner.display_name,
            type_: Type::from_static(Type::CANONICAL_USER),
            email_address: None,
            uri: None,
        };
        let permission = Some(Permission::from_static(Permission::FULL_CONTROL));
        vec![Grant { grantee: Some(grantee), permission }]
    }

    pub(crate) async fn bucket_acl(
        &self,
        request: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let (grants, owner) = (Some(self.grants(&at)), Some(self.owner(&at)));
        Ok(S3Response::new(GetBucketAclOutput { grants, owner }))
    }

    pub(crate) async fn object_acl(
        &self,
        request: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        self.there(&at, &request.input.key, request.input.version_id.as_deref()).await?;
        let (grants, owner) = (Some(self.grants(&at)), Some(self.owner(&at)));
        Ok(S3Response::new(GetObjectAclOutput { grants, owner, request_charged: None }))
    }

    pub(crate) async fn put_bucket_acl(
        &self,
        request: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        if request.input.access_control_policy.is_some() {
            return Err(unsupported());
        }
        check_headers(&request.headers)?;
        Ok(S3Response::new(PutBucketAclOutput::default()))
    }

    pub(crate) async fn put_object_acl(
        &self,
        request: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        self.there(&at, &request.input.key, request.input.version_id.as_deref()).await?;
        if request.input.access_control_policy.is_some() {
            return Err(unsupported());
        }
        check_headers(&request.headers)?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }

    async fn there(&self, at: &InBucket, text: &str, name: Option<&str>) -> S3Result<()> {
        self.found(&at.drives, at.bucket.drive, text, version(name)?).await.map(drop)
    }

    pub(crate) async fn ownership(
        &self,
        request: S3Request<GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let object_ownership = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
        let ownership_controls = Some(OwnershipControls { rules: vec![OwnershipControlsRule { object_ownership }] });
        Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
    }

    pub(crate) async fn put_ownership(
        &self,
        request: S3Request<PutBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
        self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let mut rules = request.input.ownership_controls.rules.iter().map(|rule| rule.object_ownership.as_str());
        if rules.any(|rule| rule != ObjectOwnership::BUCKET_OWNER_ENFORCED) {
            return Err(unsupported());
        }
        Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
    }

    pub(crate) async fn delete_ownership(
        &self,
        request: S3Request<DeleteBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
        self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        Err(unsupported())
    }
}
