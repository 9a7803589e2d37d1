//! Who signed, and what they may do in which bucket.

use super::gateway::Gateway;
use crate::errors::{of_account, refused};
use apps::accounts::{AccessCaller, Bucket};
use apps::{Device, DriveRole, Drives};
use async_trait::async_trait;
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::{S3ErrorCode, S3Request, S3Result};

/// What a request is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
    /// Of the bucket itself.
    Manage,
}

/// A bucket, for somebody who may do there what they are about to.
pub(crate) struct InBucket {
    pub caller: AccessCaller,
    pub bucket: Bucket,
    /// Held to what may be kept there, for writes.
    pub drives: Drives,
}

#[async_trait]
impl S3Auth for Gateway {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let caller = self.accounts().access_key(access_key, &Device::default()).await.map_err(of_account)?;
        Ok(SecretKey::from(caller.secret.as_str()))
    }
}

impl Gateway {
    /// Who signed the request.
    pub(crate) async fn caller<T>(&self, request: &S3Request<T>) -> S3Result<AccessCaller> {
        self.signed_by(&request.credentials).await
    }

    async fn signed_by(&self, credentials: &Option<Credentials>) -> S3Result<AccessCaller> {
        let Some(credentials) = credentials else {
            return Err(refused(S3ErrorCode::AccessDenied, "sign the request with an access key"));
        };
        self.accounts().access_key(&credentials.access_key, &Device::default()).await.map_err(of_account)
    }

    /// The bucket, if who signed may do that there.
    pub(crate) async fn bucket<T>(&self, request: &S3Request<T>, name: &str, need: Need) -> S3Result<InBucket> {
        let caller = self.caller(request).await?;
        self.bucket_for(caller, name, need).await
    }

    /// The same for a request under way: keys, accounts and members may have gone since it began.
    pub(crate) async fn again(&self, credentials: &Option<Credentials>, name: &str, need: Need) -> S3Result<InBucket> {
        let caller = self.signed_by(credentials).await?;
        self.bucket_for(caller, name, need).await
    }

    pub(crate) async fn bucket_for(&self, caller: AccessCaller, name: &str, need: Need) -> S3Result<InBucket> {
        may(&caller, need)?;
        let scope = &caller.scope;
        if !scope.buckets.is_empty() && !scope.buckets.iter().any(|bucket| bucket == name) {
            return Err(refused(S3ErrorCode::AccessDenied, "this access key is not for that bucket"));
        }
        let bucket = self.accounts().bucket(&caller.user, name).await.map_err(of_account)?;
        let needs = match need {
            Need::Read => DriveRole::View,
            Need::Write => DriveRole::Edit,
            Need::Manage => DriveRole::Manage,
        };
        if bucket.role < needs {
            return Err(refused(S3ErrorCode::AccessDenied, "your role in this drive does not allow that"));
        }
        let drives = match need {
            Need::Read => self.drives().clone(),
            Need::Write | Need::Manage => {
                let quota = match &bucket.shared {
                    None => self.quotas().of(self.accounts(), &caller.user).await,
                    Some(shared) => self.quotas().of_drive(self.accounts(), shared).await,
                };
                self.drives().within(quota.map_err(of_account)?)
            }
        };
        Ok(InBucket { caller, bucket, drives })
    }
}

/// Does the key open that?
pub(crate) fn may(caller: &AccessCaller, need: Need) -> S3Result<()> {
    let opens = if need == Need::Read { caller.scope.read } else { caller.scope.write };
    if opens {
        return Ok(());
    }
    let what = if need == Need::Read { "reading" } else { "writing" };
    Err(refused(S3ErrorCode::AccessDenied, format!("this access key is not for {what}")))
}
