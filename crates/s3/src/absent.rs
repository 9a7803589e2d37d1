//! What buckets here never have. Whoever asks for it is told so, as S3 tells it of a bucket that has none; whoever wants to set
//! it is refused by the library.

use crate::auth::Need;
use crate::errors::named;
use crate::gateway::Gateway;
use hyper::StatusCode;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

impl Gateway {
    async fn absent<T, O>(
        &self,
        request: S3Request<T>,
        bucket: impl Fn(&T) -> &String,
        answer: S3Result<O>,
    ) -> S3Result<S3Response<O>> {
        self.bucket(&request, bucket(&request.input), Need::Read).await?;
        Ok(S3Response::new(answer?))
    }

    pub(crate) async fn logging(
        &self,
        request: S3Request<GetBucketLoggingInput>,
    ) -> S3Result<S3Response<GetBucketLoggingOutput>> {
        self.absent(request, |it| &it.bucket, Ok(GetBucketLoggingOutput::default())).await
    }

    pub(crate) async fn notification(
        &self,
        request: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        self.absent(request, |it| &it.bucket, Ok(GetBucketNotificationConfigurationOutput::default())).await
    }

    pub(crate) async fn accelerate(
        &self,
        request: S3Request<GetBucketAccelerateConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketAccelerateConfigurationOutput>> {
        self.absent(request, |it| &it.bucket, Ok(GetBucketAccelerateConfigurationOutput::default())).await
    }

    pub(crate) async fn payment(
        &self,
        request: S3Request<GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
        let payer = Some(Payer::from_static(Payer::BUCKET_OWNER));
        self.absent(request, |it| &it.bucket, Ok(GetBucketRequestPaymentOutput { payer })).await
    }

    pub(crate) async fn website(
        &self,
        request: S3Request<GetBucketWebsiteInput>,
    ) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
        let none = named("NoSuchWebsiteConfiguration", StatusCode::NOT_FOUND, "the bucket is no website");
        self.absent(request, |it| &it.bucket, Err(none)).await
    }

    pub(crate) async fn encryption(
        &self,
        request: S3Request<GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
        let code = "ServerSideEncryptionConfigurationNotFoundError";
        let none = named(code, StatusCode::NOT_FOUND, "the bucket has no encryption of its own");
        self.absent(request, |it| &it.bucket, Err(none)).await
    }

    pub(crate) async fn replication(
        &self,
        request: S3Request<GetBucketReplicationInput>,
    ) -> S3Result<S3Response<GetBucketReplicationOutput>> {
        let what = "the bucket is not replicated to another: its nodes hold its copies";
        let none = named("ReplicationConfigurationNotFoundError", StatusCode::NOT_FOUND, what);
        self.absent(request, |it| &it.bucket, Err(none)).await
    }
}
