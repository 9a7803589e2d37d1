//! Buckets, which are drives.

use crate::auth::{Need, may};
use crate::errors::{of_account, of_drive, refused};
use crate::gateway::Gateway;
use crate::text::time;
use apps::AccountError;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput, Owner,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};
use types::{Action, Classify};

/// What every bucket's place is called.
pub(crate) const REGION: &str = "us-east-1";

impl Gateway {
    pub(crate) async fn buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let caller = self.caller(&request).await?;
        may(&caller, Need::Read)?;
        let prefix = request.input.prefix.clone().unwrap_or_default();
        let after = request.input.continuation_token.clone().unwrap_or_default();
        let most = request.input.max_buckets.map_or(usize::MAX, |most| most.max(1) as usize);
        let all = self.accounts().buckets_of(&caller.user).await.map_err(of_account)?.into_iter();
        let mut all = all
            .filter(|bucket| caller.is_for(&bucket.name, bucket.drive))
            .filter(|bucket| bucket.name.starts_with(&prefix) && bucket.name > after);
        let told = |bucket: apps::accounts::Bucket| Bucket {
            name: Some(bucket.name),
            creation_date: Some(time(bucket.made)),
            ..Bucket::default()
        };
        let buckets: Vec<Bucket> = all.by_ref().take(most).map(told).collect();
        let more = all.next().is_some();
        let owner = Owner { id: Some(caller.user.id.to_string()), display_name: Some(caller.user.display.clone()) };
        Ok(S3Response::new(ListBucketsOutput {
            continuation_token: buckets.last().and_then(|bucket| bucket.name.clone()).filter(|_| more),
            buckets: Some(buckets),
            owner: Some(owner),
            prefix: request.input.prefix,
        }))
    }

    pub(crate) async fn make_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let caller = self.caller(&request).await?;
        may(&caller, Need::Write)?;
        crate::acl::check_headers(&request.headers)?;
        let name = request.input.bucket;
        let locks = request.input.object_lock_enabled_for_bucket == Some(true);
        if !caller.scope.buckets.is_empty() {
            return Err(refused(S3ErrorCode::AccessDenied, "this access key is for certain buckets only"));
        }
        if [".-", "-."].iter().any(|pair| name.contains(pair)) {
            let what = "a bucket's name has letters or digits on both sides of a dot";
            return Err(refused(S3ErrorCode::InvalidBucketName, what));
        }
        // One of theirs that has no name yet may be called so.
        if let Ok(there) = self.accounts().bucket(&caller.user, &name).await {
            if !locks || !self.lock_at_last(&caller.user, &there).await? {
                let what = format!("the bucket {name} is there already");
                return Err(refused(S3ErrorCode::BucketAlreadyOwnedByYou, what));
            }
            let location = Some(format!("/{name}"));
            return Ok(S3Response::new(CreateBucketOutput { location }));
        }
        let made = match locks {
            true => self.accounts().make_locked_bucket(&caller.user, &name).await,
            false => self.accounts().make_bucket(&caller.user, &name).await,
        };
        match made {
            Ok(made) if locks => self.lock_new(made.id).await?,
            Ok(_) => {}
            Err(AccountError::NameTaken { .. }) => {
                let own = self.accounts().bucket(&caller.user, &name).await.is_ok();
                let code = if own { S3ErrorCode::BucketAlreadyOwnedByYou } else { S3ErrorCode::BucketAlreadyExists };
                return Err(refused(code, format!("the name {name} is taken")));
            }
            Err(error) => return Err(of_account(error)),
        }
        let location = Some(format!("/{name}"));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    pub(crate) async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        if at.bucket.shared.is_none() {
            return Err(refused(S3ErrorCode::AccessDenied, "this is somebody's own drive, which goes with them only"));
        }
        if !at.drives.close_empty(at.bucket.drive).await.map_err(of_drive)? {
            let what = "the bucket holds objects, or versions of some, or its trash does: see it on the pages, and by list-object-versions";
            return Err(refused(S3ErrorCode::BucketNotEmpty, what));
        }
        if let Err(error) = self.accounts().delete_empty_drive(&at.caller()?.user, at.bucket.drive).await {
            // It surely stays: then it is to be of use. Where nobody knows, deleting it again goes on with it; where
            // somebody else deletes it, nothing may come in.
            if error.action() == Action::Rejected && !matches!(error, AccountError::NotFound { .. }) {
                at.drives.open_again(at.bucket.drive).await.map_err(of_drive)?;
            }
            return Err(of_account(error));
        }
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    pub(crate) async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let bucket_region = Some(REGION.to_string());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() }))
    }

    pub(crate) async fn location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&request, &request.input.bucket, Need::Read).await?;
        // Of that region S3 says nothing.
        let location_constraint = Some(BucketLocationConstraint::from_static(""));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }
}
