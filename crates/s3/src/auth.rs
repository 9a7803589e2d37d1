//! Who signed, and what they may do in which bucket: by their role in the drive, and by what the bucket's policy allows and
//! denies.

use super::gateway::Gateway;
use crate::access::Asked;
use crate::errors::{of_account, refused};
use crate::listen::PEER;
use crate::policy::{Policy, Verdict, Who};
use apps::accounts::{AccessCaller, Bucket, BucketKeeper, BucketPlace};
use apps::{AccountError, Device, DriveRole, Drives};
use async_trait::async_trait;
use hyper::header::HeaderValue;
use hyper::http::Extensions;
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};
use types::WallMillis;

/// What a request is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
    /// Of the bucket itself. No policy allows that: roles do.
    Manage,
}

/// A bucket, for somebody who may do there what they are about to.
pub(crate) struct InBucket {
    /// None: who did not sign.
    pub caller: Option<AccessCaller>,
    /// As far as who asks may know it: of who is no member, without the shared drive.
    pub bucket: Bucket,
    pub place: BucketPlace,
    /// Held to what may be kept there, for writes.
    pub drives: Drives,
    /// By their role.
    by_role: bool,
    policy: Option<Policy>,
}

impl InBucket {
    /// Who signed, for what nobody does without.
    pub(crate) fn caller(&self) -> S3Result<&AccessCaller> {
        self.caller.as_ref().ok_or_else(unsigned)
    }

    /// Is it whose the request expects it to be, if it does?
    pub(crate) fn is_of(&self, owner: Option<&[u8]>) -> S3Result<()> {
        match owner.is_some_and(|owner| owner != self.bucket.drive.to_string().as_bytes()) {
            true => Err(refused(S3ErrorCode::AccessDenied, "the bucket is not whose the request expects it to be")),
            false => Ok(()),
        }
    }

    /// May they do that to this key? For calls that name keys in their body.
    pub(crate) fn may(&self, action: &'static str, key: &str) -> S3Result<()> {
        let asked = Asked { action, key: key.to_string(), ..Asked::default() };
        match judge(self.policy.as_ref(), &self.place, self.caller.as_ref(), &asked) {
            Verdict::Denied => Err(denied()),
            Verdict::Silent if !self.by_role => Err(no_role()),
            Verdict::Silent | Verdict::Allowed => Ok(()),
        }
    }

    /// May they say how long the key is retained, or whether it is held? What nobody can take away is for managers to say,
    /// and for whom the policy lets.
    pub(crate) fn may_lock_as(&self, retained: bool, held: bool, key: &str) -> S3Result<()> {
        let actions = [(retained, "s3:PutObjectRetention"), (held, "s3:PutObjectLegalHold")];
        for (_, action) in actions.into_iter().filter(|(said, _)| *said) {
            let asked = Asked { action, key: key.to_string(), ..Asked::default() };
            match judge(self.policy.as_ref(), &self.place, self.caller.as_ref(), &asked) {
                Verdict::Denied => return Err(denied()),
                Verdict::Silent if self.bucket.role != DriveRole::Manage => return Err(no_lock_role(action)),
                Verdict::Silent | Verdict::Allowed => {}
            }
        }
        Ok(())
    }

    /// May they pass over locks of governance there, as they say they want to? Managers may, where no policy says otherwise.
    pub(crate) fn may_bypass(&self, said: Option<bool>, key: &str) -> bool {
        let asked = Asked { action: "s3:BypassGovernanceRetention", key: key.to_string(), ..Asked::default() };
        said == Some(true)
            && match judge(self.policy.as_ref(), &self.place, self.caller.as_ref(), &asked) {
                Verdict::Denied => false,
                Verdict::Allowed => true,
                Verdict::Silent => self.bucket.role == DriveRole::Manage,
            }
    }
}

/// From where a request comes.
pub(crate) fn device() -> Device {
    Device { address: PEER.try_with(|peer| *peer).ok(), ..Device::default() }
}

fn unsigned() -> S3Error {
    refused(S3ErrorCode::AccessDenied, "sign the request with an access key")
}

fn not_for() -> S3Error {
    refused(S3ErrorCode::AccessDenied, "this access key is not for that bucket")
}

fn denied() -> S3Error {
    refused(S3ErrorCode::AccessDenied, "the bucket's policy denies that")
}

fn no_role() -> S3Error {
    refused(S3ErrorCode::AccessDenied, "neither your role in this drive nor the bucket's policy allows that")
}

fn no_lock_role(action: &str) -> S3Error {
    let what = format!("what locks objects is set by who manages this drive, or whom its policy allows {action}");
    refused(S3ErrorCode::AccessDenied, what)
}

fn judge(policy: Option<&Policy>, place: &BucketPlace, caller: Option<&AccessCaller>, asked: &Asked) -> Verdict {
    let Some(policy) = policy else { return Verdict::Silent };
    let rules = &place.rules;
    let name = caller.and_then(|caller| rules.policy.as_ref()?.name_of(caller.user.id));
    let who = if caller.is_some() { Who::Person(name) } else { Who::Nobody };
    let restricted = rules.block.as_ref().is_some_and(|block| block.restrict);
    let resource = if asked.key.is_empty() { place.name.clone() } else { format!("{}/{}", place.name, asked.key) };
    let mut verdict = policy.judge(who, asked.action, &resource, restricted);
    for action in &asked.also {
        // Allowed is what is allowed in each respect.
        verdict = match (verdict, policy.judge(who, action, &resource, restricted)) {
            (Verdict::Denied, _) | (_, Verdict::Denied) => return Verdict::Denied,
            (Verdict::Allowed, Verdict::Allowed) => Verdict::Allowed,
            _ => Verdict::Silent,
        };
    }
    verdict
}

#[async_trait]
impl S3Auth for Gateway {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let caller = self.accounts().access_key(access_key, &device()).await.map_err(of_account)?;
        Ok(SecretKey::from(caller.secret.as_str()))
    }
}

impl Gateway {
    /// Who signed the request.
    pub(crate) async fn caller<T>(&self, request: &S3Request<T>) -> S3Result<AccessCaller> {
        self.signed_by(&request.credentials).await?.ok_or_else(unsigned)
    }

    async fn signed_by(&self, credentials: &Option<Credentials>) -> S3Result<Option<AccessCaller>> {
        let Some(credentials) = credentials else { return Ok(None) };
        let caller = self.accounts().access_key(&credentials.access_key, &device()).await;
        caller.map(Some).map_err(of_account)
    }

    /// The bucket, if who asks may do that there.
    pub(crate) async fn bucket<T>(&self, request: &S3Request<T>, name: &str, need: Need) -> S3Result<InBucket> {
        let at = self.again(&request.credentials, &request.extensions, name, need).await?;
        at.is_of(request.headers.get("x-amz-expected-bucket-owner").map(HeaderValue::as_bytes))?;
        Ok(at)
    }

    /// The same for a request under way: keys, accounts, members and policies may have changed since it began.
    pub(crate) async fn again(
        &self,
        credentials: &Option<Credentials>,
        extensions: &Extensions,
        name: &str,
        need: Need,
    ) -> S3Result<InBucket> {
        let caller = self.signed_by(credentials).await?;
        let asked = extensions.get::<Asked>();
        let asked = asked.ok_or_else(|| refused(S3ErrorCode::InternalError, "it is not known what is asked for"))?;
        self.bucket_for(caller, name, need, asked).await
    }

    pub(crate) async fn bucket_for(
        &self,
        caller: Option<AccessCaller>,
        name: &str,
        need: Need,
        asked: &Asked,
    ) -> S3Result<InBucket> {
        if let Some(caller) = &caller {
            may(caller, need)?;
            if !caller.scope.buckets.is_empty() && !caller.scope.buckets.iter().any(|bucket| bucket == name) {
                return Err(not_for());
            }
        }
        let place = self.place(caller.as_ref(), name).await?;
        if caller.as_ref().is_some_and(|caller| !caller.is_for(name, place.drive)) {
            return Err(not_for());
        }
        let member = match &caller {
            None => None,
            Some(caller) => match self.accounts().bucket_at(&caller.user, &place).await {
                Ok(bucket) => Some(bucket),
                Err(AccountError::Forbidden { .. }) => None,
                Err(error) => return Err(of_account(error)),
            },
        };
        let needs = match need {
            Need::Read => DriveRole::View,
            Need::Write => DriveRole::Edit,
            Need::Manage => DriveRole::Manage,
        };
        let role = member.as_ref().map(|bucket| bucket.role);
        let by_role = role >= Some(needs);
        let policy = place.rules.policy.as_ref().map(|policy| Policy::parse(&policy.text, name)).transpose();
        let policy = policy.map_err(|_| refused(S3ErrorCode::InternalError, "the bucket's policy is unreadable"))?;
        let verdict = match asked.each {
            false => judge(policy.as_ref(), &place, caller.as_ref(), asked),
            // Each key is judged; here only those stay out whom the policy lets in nowhere.
            true if caller.is_some() && policy.is_some() => Verdict::Allowed,
            true => Verdict::Silent,
        };
        // Nobody shuts themselves out for good.
        let own_policy = role == Some(DriveRole::Manage) && asked.action.ends_with("BucketPolicy");
        match verdict {
            Verdict::Denied if !own_policy => return Err(denied()),
            Verdict::Allowed if need != Need::Manage => {}
            _ if by_role => {}
            _ if caller.is_none() => return Err(unsigned()),
            _ => return Err(no_role()),
        }
        let drives = match need {
            Need::Read => self.drives().clone(),
            Need::Write | Need::Manage => self.drives().within(self.room(&caller, &member, &place).await?),
        };
        let outside = || Bucket {
            name: place.name.clone(),
            drive: place.drive,
            role: DriveRole::View,
            shared: None,
            made: WallMillis(0),
        };
        let bucket = member.unwrap_or_else(outside);
        Ok(InBucket { caller, bucket, place, drives, by_role, policy })
    }

    /// Where the bucket is. Who did not sign does not learn which there are.
    async fn place(&self, caller: Option<&AccessCaller>, name: &str) -> S3Result<BucketPlace> {
        if let Some(place) = self.accounts().bucket_place(name).await.map_err(of_account)? {
            return Ok(place);
        }
        let caller = caller.ok_or_else(unsigned)?;
        // One of theirs that has no name yet may get this one.
        self.accounts().bucket(&caller.user, name).await.map_err(of_account)?;
        let place = self.accounts().bucket_place(name).await.map_err(of_account)?;
        place.ok_or_else(|| of_account(AccountError::NotFound { what: "bucket" }))
    }

    /// What may be kept there.
    async fn room(
        &self,
        caller: &Option<AccessCaller>,
        member: &Option<Bucket>,
        place: &BucketPlace,
    ) -> S3Result<Option<u64>> {
        let (accounts, quotas) = (self.accounts(), self.quotas());
        let room = match (member, caller) {
            (Some(Bucket { shared: Some(shared), .. }), _) => quotas.of_drive(accounts, shared).await,
            (Some(_), Some(caller)) => quotas.of(accounts, &caller.user).await,
            _ => match accounts.bucket_keeper(place).await.map_err(of_account)? {
                BucketKeeper::Drive(shared) => quotas.of_drive(accounts, &shared).await,
                BucketKeeper::Person(user) => quotas.of(accounts, &user).await,
            },
        };
        room.map_err(of_account)
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
