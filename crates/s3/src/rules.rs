//! Calls about what is said of a bucket: its policy, its rules for pages of other sites, the block of public access, and
//! access lists, which are as in buckets of S3 without any.

use crate::about::checked_tags;
use crate::auth::Need;
use crate::cors;
use crate::errors::{named, of_account, refused};
use crate::gateway::Gateway;
use crate::policy::Policy;
use apps::AccountError;
use apps::accounts::{BucketPolicy, BucketRules, BucketTag, PublicBlock};
use apps::drive::objects::Pair;
use hyper::StatusCode;
use s3s::dto::{
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketPolicyInput, DeleteBucketPolicyOutput,
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput,
    GetBucketCorsInput, GetBucketCorsOutput, GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketPolicyStatusInput,
    GetBucketPolicyStatusOutput, GetBucketTaggingInput, GetBucketTaggingOutput, GetPublicAccessBlockInput,
    GetPublicAccessBlockOutput, PolicyStatus, PublicAccessBlockConfiguration, PutBucketCorsInput, PutBucketCorsOutput,
    PutBucketPolicyInput, PutBucketPolicyOutput, PutBucketTaggingInput, PutBucketTaggingOutput,
    PutPublicAccessBlockInput, PutPublicAccessBlockOutput, Tag,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

/// Tags of a bucket: as S3 has it.
const BUCKET_TAGS_MAX: usize = 50;
/// Why a policy is not taken.
const BLOCKED: &str = "the bucket's public access block lets no policy in that is for everybody";

fn no_policy() -> S3Error {
    refused(S3ErrorCode::NoSuchBucketPolicy, "the bucket has no policy")
}

impl Gateway {
    /// Changes what is said of a bucket, for one of its managers.
    async fn rule<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        action: &str,
        change: impl Fn(&mut BucketRules),
    ) -> S3Result<()> {
        let at = self.bucket(request, bucket, Need::Manage).await?;
        let change = |rules: &mut BucketRules| {
            change(rules);
            Ok(())
        };
        let by = &at.caller()?.user;
        self.accounts().set_bucket_rules(by, bucket, action, change).await.map_err(of_account)
    }

    pub(crate) async fn policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let policy = at.place.rules.policy.ok_or_else(no_policy)?;
        Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy.text) }))
    }

    pub(crate) async fn policy_status(
        &self,
        request: S3Request<GetBucketPolicyStatusInput>,
    ) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let policy = at.place.rules.policy.ok_or_else(no_policy)?;
        let is_public = Policy::parse(&policy.text, &at.place.name)?.is_public();
        let policy_status = Some(PolicyStatus { is_public: Some(is_public) });
        Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
    }

    pub(crate) async fn put_policy(
        &self,
        request: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let (bucket, text) = (&request.input.bucket, &request.input.policy);
        let policy = Policy::of_new(text, bucket)?;
        let people = self.accounts().policy_people(&at.caller()?.user, at.bucket.drive, &policy.people()).await;
        let people = people.map_err(|error| match error {
            error @ (AccountError::NoSuchUser { .. } | AccountError::BadName { .. }) => {
                refused(S3ErrorCode::MalformedPolicy, format!("the policy cannot be taken: {error}"))
            }
            error => of_account(error),
        })?;
        let kept = BucketPolicy { text: text.clone(), people };
        // Judged by the rules that it comes to stand beside.
        let put = |rules: &mut BucketRules| {
            if policy.is_public() && rules.block.as_ref().is_some_and(|block| block.block_policy) {
                return Err(AccountError::Forbidden { what: BLOCKED });
            }
            rules.policy = Some(kept.clone());
            Ok(())
        };
        let by = &at.caller()?.user;
        let put = self.accounts().set_bucket_rules(by, bucket, "bucket policy set", put).await;
        put.map_err(|error| match error {
            AccountError::Forbidden { what: BLOCKED } => refused(S3ErrorCode::AccessDenied, BLOCKED),
            error => of_account(error),
        })?;
        Ok(S3Response::new(PutBucketPolicyOutput::default()))
    }

    pub(crate) async fn delete_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
        self.rule(&request, &request.input.bucket, "bucket policy removed", |rules| rules.policy = None).await?;
        Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
    }

    pub(crate) async fn cors(
        &self,
        request: S3Request<GetBucketCorsInput>,
    ) -> S3Result<S3Response<GetBucketCorsOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let rules = at.place.rules.cors;
        if rules.is_empty() {
            let what = "the bucket has no CORS rules";
            return Err(named("NoSuchCORSConfiguration", StatusCode::NOT_FOUND, what));
        }
        let cors_rules = Some(rules.into_iter().map(cors::told).collect());
        Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
    }

    pub(crate) async fn put_cors(
        &self,
        request: S3Request<PutBucketCorsInput>,
    ) -> S3Result<S3Response<PutBucketCorsOutput>> {
        let kept = cors::rules(request.input.cors_configuration.cors_rules.clone())?;
        self.rule(&request, &request.input.bucket, "bucket CORS set", |rules| rules.cors.clone_from(&kept)).await?;
        Ok(S3Response::new(PutBucketCorsOutput::default()))
    }

    pub(crate) async fn delete_cors(
        &self,
        request: S3Request<DeleteBucketCorsInput>,
    ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
        self.rule(&request, &request.input.bucket, "bucket CORS removed", |rules| rules.cors.clear()).await?;
        Ok(S3Response::new(DeleteBucketCorsOutput::default()))
    }

    pub(crate) async fn block(
        &self,
        request: S3Request<GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let missing = || {
            let what = "the bucket has no public access block";
            named("NoSuchPublicAccessBlockConfiguration", StatusCode::NOT_FOUND, what)
        };
        let block = at.place.rules.block.ok_or_else(missing)?;
        let told = PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_lists),
            ignore_public_acls: Some(block.ignore_lists),
            block_public_policy: Some(block.block_policy),
            restrict_public_buckets: Some(block.restrict),
        };
        Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(told) }))
    }

    pub(crate) async fn put_block(
        &self,
        request: S3Request<PutPublicAccessBlockInput>,
    ) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
        let told = &request.input.public_access_block_configuration;
        let kept = PublicBlock {
            block_lists: told.block_public_acls.unwrap_or(false),
            ignore_lists: told.ignore_public_acls.unwrap_or(false),
            block_policy: told.block_public_policy.unwrap_or(false),
            restrict: told.restrict_public_buckets.unwrap_or(false),
        };
        let bucket = &request.input.bucket;
        self.rule(&request, bucket, "bucket public access block set", |rules| rules.block = Some(kept.clone())).await?;
        Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
    }

    pub(crate) async fn delete_block(
        &self,
        request: S3Request<DeletePublicAccessBlockInput>,
    ) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
        let bucket = &request.input.bucket;
        self.rule(&request, bucket, "bucket public access block removed", |rules| rules.block = None).await?;
        Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
    }

    pub(crate) async fn bucket_tags(
        &self,
        request: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let tags = at.place.rules.tags;
        if tags.is_empty() {
            return Err(named("NoSuchTagSet", StatusCode::NOT_FOUND, "the bucket has no tags"));
        }
        let told = |tag: BucketTag| Tag { key: Some(tag.name), value: Some(tag.value) };
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tags.into_iter().map(told).collect() }))
    }

    pub(crate) async fn put_bucket_tags(
        &self,
        request: S3Request<PutBucketTaggingInput>,
    ) -> S3Result<S3Response<PutBucketTaggingOutput>> {
        let said = request.input.tagging.tag_set.iter();
        let pair = |tag: &Tag| Pair::new(tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
        let pairs = checked_tags(said.map(pair).collect(), BUCKET_TAGS_MAX)?;
        let tag = |pair: Pair| BucketTag { name: pair.name, value: pair.value };
        let kept: Vec<BucketTag> = pairs.into_iter().map(tag).collect();
        self.rule(&request, &request.input.bucket, "bucket tags set", |rules| rules.tags.clone_from(&kept)).await?;
        Ok(S3Response::new(PutBucketTaggingOutput::default()))
    }

    pub(crate) async fn delete_bucket_tags(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
        self.rule(&request, &request.input.bucket, "bucket tags removed", |rules| rules.tags.clear()).await?;
        Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
    }
}
