//! Object lock: of a bucket, and of the versions in it.

use crate::auth::{InBucket, Need};
use crate::errors::{argument, named, of_account, of_drive, refused};
use crate::gateway::Gateway;
use crate::put::key;
use crate::text::time;
use crate::versions::version;
use apps::accounts::Bucket;
use apps::drive::Versioning;
use apps::drive::objects::{About, BucketLock, DefaultLock, LOCK_DAYS_MAX, Lock, LockMode, Object, VersionName};
use apps::{DriveError, DriveId, DriveRole, User};
use hyper::StatusCode;
use s3s::dto::{
    DefaultRetention, GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetObjectRetentionInput, GetObjectRetentionOutput, ObjectLockConfiguration,
    ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention,
    ObjectLockRetentionMode, ObjectLockRule, PutObjectLegalHoldInput, PutObjectLegalHoldOutput,
    PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput, PutObjectRetentionInput,
    PutObjectRetentionOutput, Timestamp, TimestampFormat,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use types::WallMillis;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn mode(text: &str) -> Option<LockMode> {
    match text {
        ObjectLockRetentionMode::GOVERNANCE => Some(LockMode::Governance),
        ObjectLockRetentionMode::COMPLIANCE => Some(LockMode::Compliance),
        _ => None,
    }
}

fn shown(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Compliance => ObjectLockRetentionMode::COMPLIANCE,
        _ => ObjectLockRetentionMode::GOVERNANCE,
    }
}

fn malformed(what: &str) -> S3Error {
    refused(S3ErrorCode::MalformedXML, what)
}

fn no_lock() -> S3Error {
    refused(S3ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration: this bucket has no object lock")
}

fn wrong_state(what: &str) -> S3Error {
    named("InvalidBucketState", StatusCode::CONFLICT, what)
}

fn nothing_said() -> S3Error {
    named("NoSuchObjectLockConfiguration", StatusCode::NOT_FOUND, "this version has no such lock")
}

/// Up to when; it must lie ahead, and not further than a default may reach.
fn until(at: &Timestamp) -> S3Result<WallMillis> {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(u64::MAX, |it| it.as_millis() as u64);
    let mut text = Vec::new();
    let told = at.format(TimestampFormat::EpochSeconds, &mut text).ok().and_then(|()| String::from_utf8(text).ok());
    let seconds: f64 = told.and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let millis = (seconds * 1000.0).round() as u64;
    if millis <= now {
        return Err(argument("The retain until date must be in the future!"));
    }
    if millis - now > u64::from(LOCK_DAYS_MAX) * DAY {
        return Err(argument(format!("The retain until date must be within {LOCK_DAYS_MAX} days")));
    }
    Ok(WallMillis(millis))
}

/// What headers say of the lock of what comes.
pub(crate) fn said(
    kind: Option<&ObjectLockMode>,
    date: Option<&Timestamp>,
    hold: Option<&ObjectLockLegalHoldStatus>,
) -> S3Result<Option<Lock>> {
    let mut lock = Lock::default();
    match (kind, date) {
        (None, None) if hold.is_none() => return Ok(None),
        (None, None) => {}
        (Some(kind), Some(date)) => {
            let kind =
                mode(kind.as_str()).ok_or_else(|| argument("x-amz-object-lock-mode is GOVERNANCE or COMPLIANCE"))?;
            (lock.mode, lock.until) = (kind as i32, until(date)?.0);
        }
        _ => return Err(argument("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode belong together")),
    }
    if let Some(hold) = hold {
        lock.hold = held(hold).ok_or_else(|| argument("x-amz-object-lock-legal-hold is ON or OFF"))?;
    }
    Ok(Some(lock))
}

fn held(status: &ObjectLockLegalHoldStatus) -> Option<bool> {
    match status.as_str() {
        ObjectLockLegalHoldStatus::ON => Some(true),
        ObjectLockLegalHoldStatus::OFF => Some(false),
        _ => None,
    }
}

/// As headers tell it: mode, time and hold.
pub(crate) fn told(about: &About) -> (Option<ObjectLockMode>, Option<Timestamp>, Option<ObjectLockLegalHoldStatus>) {
    let Some(lock) = &about.lock else { return (None, None, None) };
    let retained = lock.mode() != LockMode::None;
    (
        retained.then(|| ObjectLockMode::from_static(shown(lock.mode()))),
        retained.then(|| time(WallMillis(lock.until))),
        Some(hold_of(lock)),
    )
}

fn hold_of(lock: &Lock) -> ObjectLockLegalHoldStatus {
    let status = if lock.hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    ObjectLockLegalHoldStatus::from_static(status)
}

/// The default that a configuration says.
fn default(rule: ObjectLockRule) -> S3Result<DefaultLock> {
    let said = rule.default_retention.ok_or_else(|| malformed("a Rule has a DefaultRetention"))?;
    let kind = said.mode.as_ref().and_then(|kind| mode(kind.as_str()));
    let kind = kind.ok_or_else(|| malformed("a DefaultRetention has a Mode, GOVERNANCE or COMPLIANCE"))?;
    let within = |count: i32, most: u32| {
        let count = u32::try_from(count).ok().filter(|count| (1..=most).contains(count));
        let what = format!("Default retention period must be a positive integer value of at most {most}");
        count.ok_or_else(|| named("InvalidRetentionPeriod", StatusCode::BAD_REQUEST, what))
    };
    let (days, years) = match (said.days, said.years) {
        (Some(days), None) => (within(days, LOCK_DAYS_MAX)?, 0),
        (None, Some(years)) => (0, within(years, LOCK_DAYS_MAX / 365)?),
        _ => return Err(malformed("a DefaultRetention has either Days or Years")),
    };
    Ok(DefaultLock { mode: kind as i32, days, years })
}

impl Gateway {
    /// What headers say of the lock of what comes; where the bucket has none, it is refused before the bytes come.
    pub(crate) async fn new_lock(
        &self,
        (at, key): (&InBucket, &str),
        kind: Option<&ObjectLockMode>,
        date: Option<&Timestamp>,
        hold: Option<&ObjectLockLegalHoldStatus>,
    ) -> S3Result<Option<Lock>> {
        let lock = said(kind, date, hold)?;
        if lock.is_some() {
            at.may_lock_as(kind.is_some(), hold.is_some(), key)?;
            self.locks(at).await?;
        }
        Ok(lock)
    }

    /// The bucket's object lock, which it must have.
    async fn locks(&self, at: &InBucket) -> S3Result<BucketLock> {
        at.drives.bucket_lock(at.bucket.drive).await.map_err(of_drive)?.ok_or_else(no_lock)
    }

    /// A bucket that was made to have object lock, as its drive says, and has none because whoever made it did not get
    /// so far: now it has. False: it is no such bucket.
    pub(crate) async fn lock_at_last(&self, by: &User, bucket: &Bucket) -> S3Result<bool> {
        let ours = bucket.shared.is_some() && bucket.role == DriveRole::Manage;
        if !ours
            || !self.accounts().is_to_be_locked(by, bucket.drive).await.map_err(of_account)?
            || self.drives().bucket_lock(bucket.drive).await.map_err(of_drive)?.is_some()
        {
            return Ok(false);
        }
        self.lock_new(bucket.drive).await?;
        Ok(true)
    }

    /// A bucket whose drive says that it is to have object lock has it.
    pub(crate) async fn lock_new(&self, drive: DriveId) -> S3Result<()> {
        let drives = self.drives();
        drives.set_versioning(drive, Versioning::Enabled).await.map_err(of_drive)?;
        drives.set_bucket_lock(drive, BucketLock::default()).await.map_err(of_drive)
    }

    pub(crate) async fn bucket_lock(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Read).await?;
        let missing = || {
            let what = "Object Lock configuration does not exist for this bucket";
            named("ObjectLockConfigurationNotFoundError", StatusCode::NOT_FOUND, what)
        };
        let lock = at.drives.bucket_lock(at.bucket.drive).await.map_err(of_drive)?.ok_or_else(missing)?;
        let number = |count: u32| i32::try_from(count).ok().filter(|count| *count > 0);
        let rule = lock.default.map(|default| ObjectLockRule {
            default_retention: Some(DefaultRetention {
                days: number(default.days),
                mode: Some(ObjectLockRetentionMode::from_static(shown(default.mode()))),
                years: number(default.years),
            }),
        });
        let object_lock_enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
        let told = ObjectLockConfiguration { object_lock_enabled, rule };
        Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(told) }))
    }

    pub(crate) async fn put_bucket_lock(
        &self,
        request: S3Request<PutObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Manage).await?;
        let told = request.input.object_lock_configuration;
        let told = told.ok_or_else(|| malformed("say an ObjectLockConfiguration"))?;
        if told.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
            return Err(malformed("ObjectLockEnabled is Enabled"));
        }
        let default = told.rule.map(default).transpose()?;
        if at.bucket.shared.is_none() {
            return Err(wrong_state(
                "this is somebody's own drive, which goes with them: make a bucket for what is locked",
            ));
        }
        let versioning = at.drives.versioning(at.bucket.drive).await.map_err(of_drive)?;
        if versioning != Versioning::Enabled {
            return Err(wrong_state("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"));
        }
        self.accounts().lock_drive(&at.caller()?.user, at.bucket.drive).await.map_err(of_account)?;
        at.drives.set_bucket_lock(at.bucket.drive, BucketLock { default }).await.map_err(of_drive)?;
        Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
    }

    /// What was done to the version that is named; of a marker, and of none, the answer is that of a read.
    async fn locked(
        &self,
        at: &InBucket,
        (text, name): (&str, Option<VersionName>),
        done: Result<Object, DriveError>,
    ) -> S3Result<()> {
        match done {
            Err(error @ (DriveError::NotFound { .. } | DriveError::NoSuchVersion { .. })) => {
                self.found(&at.drives, at.bucket.drive, text, name).await?;
                Err(of_drive(error))
            }
            done => done.map(drop).map_err(of_drive),
        }
    }

    pub(crate) async fn put_retention(
        &self,
        request: S3Request<PutObjectRetentionInput>,
    ) -> S3Result<S3Response<PutObjectRetentionOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        at.may_lock_as(true, false, &input.key)?;
        self.locks(&at).await?;
        let told = input.retention.ok_or_else(|| malformed("say a Retention"))?;
        let new = match (&told.mode, &told.retain_until_date) {
            (None, None) => (LockMode::None, WallMillis(0)),
            (Some(kind), Some(date)) => {
                let kind = mode(kind.as_str()).ok_or_else(|| malformed("a Mode is GOVERNANCE or COMPLIANCE"))?;
                (kind, until(date)?)
            }
            _ => return Err(malformed("a Retention has a Mode and a RetainUntilDate")),
        };
        let (place, name) = (key(&input.key)?, version(input.version_id.as_deref())?);
        let bypass = at.may_bypass(input.bypass_governance_retention, &input.key);
        let done = at.drives.set_retention(at.bucket.drive, (&place, name), new, bypass).await;
        self.locked(&at, (&input.key, name), done).await?;
        Ok(S3Response::new(PutObjectRetentionOutput::default()))
    }

    /// What is said of a version's lock, for who may read there.
    async fn lock_on<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> S3Result<Lock> {
        let at = self.bucket(request, bucket, Need::Read).await?;
        self.locks(&at).await?;
        let open = self.found(&at.drives, at.bucket.drive, key, version(version_id)?).await?;
        open.about.lock.ok_or_else(nothing_said)
    }

    pub(crate) async fn retention(
        &self,
        request: S3Request<GetObjectRetentionInput>,
    ) -> S3Result<S3Response<GetObjectRetentionOutput>> {
        let input = &request.input;
        let lock = self.lock_on(&request, &input.bucket, &input.key, input.version_id.as_deref()).await?;
        let lock = Some(lock).filter(|lock| lock.mode() != LockMode::None).ok_or_else(nothing_said)?;
        let retention = ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(shown(lock.mode()))),
            retain_until_date: Some(time(WallMillis(lock.until))),
        };
        Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
    }

    pub(crate) async fn put_hold(
        &self,
        request: S3Request<PutObjectLegalHoldInput>,
    ) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
        let at = self.bucket(&request, &request.input.bucket, Need::Write).await?;
        let input = request.input;
        at.may_lock_as(false, true, &input.key)?;
        self.locks(&at).await?;
        let hold = input.legal_hold.and_then(|hold| hold.status).as_ref().and_then(held);
        let hold = hold.ok_or_else(|| malformed("a LegalHold has a Status, ON or OFF"))?;
        let (place, name) = (key(&input.key)?, version(input.version_id.as_deref())?);
        let done = at.drives.set_hold(at.bucket.drive, (&place, name), hold).await;
        self.locked(&at, (&input.key, name), done).await?;
        Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
    }

    pub(crate) async fn hold(
        &self,
        request: S3Request<GetObjectLegalHoldInput>,
    ) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
        let input = &request.input;
        let lock = self.lock_on(&request, &input.bucket, &input.key, input.version_id.as_deref()).await?;
        let legal_hold = Some(ObjectLockLegalHold { status: Some(hold_of(&lock)) });
        Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold }))
    }
}
