//! Access lists: there are none, as in buckets of S3 that their owner keeps to themselves (*bucket owner enforced*). Who asks
//! for one that says what holds anyway is answered; any other is refused. Members' roles and the bucket's policy say who may.

use crate::auth::{InBucket, Need};
use crate::errors::{named, of_account};
use crate::gateway::Gateway;
use crate::versions::version;
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{
    AccessControlPolicy, DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput, GetBucketAclInput,
    GetBucketAclOutput, GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetObjectAclInput,
    GetObjectAclOutput, Grant, Grantee, ObjectOwnership, OwnershipControls, OwnershipControlsRule, Permission,
    PutBucketAclInput, PutBucketAclOutput, PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput,
    PutObjectAclInput, PutObjectAclOutput, Type,
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

/// Whose list it is, if it gives one owner everything and nobody else anything.
fn only_owner(list: &AccessControlPolicy) -> Option<&str> {
    let id = list.owner.as_ref()?.id.as_deref()?;
    let grants = list.grants.as_ref().filter(|grants| !grants.is_empty())?;
    let alone = grants.iter().all(|grant| {
        let everything = grant.permission.as_ref().map(Permission::as_str) == Some(Permission::FULL_CONTROL);
        everything && grant.grantee.as_ref().is_some_and(|to| to.id.as_deref() == Some(id) && to.uri.is_none())
    });
    alone.then_some(id)
}

impl Gateway {
    /// What programs read somewhere and put back (s3cmd does so when it copies and moves, from one bucket to another, too)
    /// says that the owner has all: that holds. Buckets of theirs are of one owner, as in S3.
    async fn check_list(&self, at: &InBucket, list: &AccessControlPolicy) -> S3Result<()> {
        let id = only_owner(list).ok_or_else(unsupported)?;
        if id == at.bucket.drive.to_string() {
            return Ok(());
        }
        let caller = at.caller()?;
        let theirs = self.accounts().buckets_of(&caller.user).await.map_err(of_account)?;
        let known = theirs.iter().any(|it| it.drive.to_string() == id && caller.is_for(&it.name, it.drive));
        known.then_some(()).ok_or_else(unsupported)
    }

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
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        if let Some(list) = &request.input.access_control_policy {
            self.check_list(&at, list).await?;
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
        if let Some(list) = &request.input.access_control_policy {
            self.check_list(&at, list).await?;
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
