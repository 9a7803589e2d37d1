//! The calls of S3 that are answered. All others the library refuses as not implemented.

use crate::errors::refused;
use apps::{Accounts, Apps, Drives, Quotas};
use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What the gateway is told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Names of this service before which a bucket's may stand (`bucket.NAME`).
    pub domains: Vec<String>,
    /// Proxies whose connections count as this machine's.
    pub proxies: Vec<IpAddr>,
}

/// S3's calls on drives: cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    apps: Apps,
    quotas: Quotas,
    settings: Settings,
    uploads: Semaphore,
}

/// Bodies taken at a time; each holds some blocks in memory. Others wait.
const UPLOADS_MAX: usize = 32;
/// How long they do.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

impl Gateway {
    /// On these apps, which know what access keys are derived from.
    pub fn new(apps: Apps, settings: Settings) -> Gateway {
        Gateway {
            inner: Arc::new(Inner { apps, quotas: Quotas::default(), settings, uploads: Semaphore::new(UPLOADS_MAX) }),
        }
    }

    /// One of the bodies that are taken at a time; whoever waits for long is told to come back.
    pub(crate) async fn upload_room(&self) -> S3Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(ROOM_WITHIN, self.inner.uploads.acquire()).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(refused(S3ErrorCode::SlowDown, "this server takes as many uploads as it can: try again shortly")),
        }
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.inner.apps.accounts
    }

    pub(crate) fn drives(&self) -> &Drives {
        &self.inner.apps.drives
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }
}

macro_rules! calls {
    ($($name:ident ($input:ident) -> $output:ident = $own:ident;)*) => {
        #[async_trait]
        impl S3 for Gateway {
            $(
                async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    self.$own(request).await
                }
            )*
        }
    };
}

calls! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets;
    create_bucket(CreateBucketInput) -> CreateBucketOutput = make_bucket;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = delete_bucket;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = head_bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = versioning;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = policy;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput = put_policy;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = delete_policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = policy_status;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = cors;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = put_cors;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = delete_cors;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = block;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = put_block;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = delete_block;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = lifecycle;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = put_lifecycle;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = delete_lifecycle;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = put_versioning;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list_versions;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = bucket_acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = put_bucket_acl;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = object_acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = put_object_acl;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = ownership;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = put_ownership;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = delete_ownership;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = bucket_tags;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = put_bucket_tags;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = delete_bucket_tags;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = notification;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = accelerate;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = payment;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = website;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = encryption;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = replication;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = bucket_lock;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput = put_bucket_lock;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = retention;
    put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = put_retention;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = hold;
    put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = put_hold;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_v2;
    get_object(GetObjectInput) -> GetObjectOutput = get;
    head_object(HeadObjectInput) -> HeadObjectOutput = head;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tags;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = put_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = delete_tags;
    put_object(PutObjectInput) -> PutObjectOutput = put;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete_many;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = begin;
    upload_part(UploadPartInput) -> UploadPartOutput = part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = part_copy;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = abort;
    list_parts(ListPartsInput) -> ListPartsOutput = parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = uploads;
}
