//! Object lock: versions that nobody can take away before a time, or while a hold is on them.
//!
//! A bucket has it or has not, and once it has, for ever; its versioning cannot be suspended then. What is locked is said
//! with the version ([`super::About`]), and whoever takes a version away by S3 rests on that row as it was read. People and
//! other programs take nothing away in such a drive, and move nothing: their transactions rest on a row that is there only
//! in drives with locks being absent, which costs no read. So there is no way round it by a folder, or by the trash.

use super::{Object, ObjectKey, VersionName};
use crate::DriveId;
use crate::drive::change::Change;
use crate::drive::rules::{Rules, Versioning};
use crate::drive::tries::Tries;
use crate::drive::{DriveError, DrivePath, Drives};
use bytes::Bytes;
use prost::Message;
use types::{Test, WallMillis};

/// Sort key of the row that is there in drives with locks.
pub(in crate::drive) const LOCK: &[u8] = b"object-lock";
const DAY: u64 = 24 * 60 * 60 * 1000;
/// For how long something may be locked.
pub const LOCK_DAYS_MAX: u32 = 36_500;

/// How firmly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum LockMode {
    /// Not at all.
    None = 0,
    /// Who has the right to may shorten and pass over it.
    Governance = 1,
    /// Nobody may.
    Compliance = 2,
}

/// What locks one version.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Lock {
    /// How firmly, up to that time.
    #[prost(int32, tag = "1")]
    pub mode: i32,
    /// In milliseconds since 1970.
    #[prost(uint64, tag = "2")]
    pub until: u64,
    /// It is locked whatever the time, until that is taken back.
    #[prost(bool, tag = "3")]
    pub hold: bool,
}

/// How long what comes is locked, where nobody says it. Days or years, the other being 0.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct DefaultLock {
    /// How firmly.
    #[prost(int32, tag = "1")]
    pub mode: i32,
    /// Days.
    #[prost(uint32, tag = "2")]
    pub days: u32,
    /// Years, of 365 days.
    #[prost(uint32, tag = "3")]
    pub years: u32,
}

/// A bucket's object lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketLock {
    /// Of what comes without a word of that.
    pub default: Option<DefaultLock>,
}

/// What a number in a row says. One of a later release keeps as firmly as anything does: nothing goes because it is not known.
fn mode_of(number: i32) -> LockMode {
    LockMode::try_from(number).unwrap_or(LockMode::Compliance)
}

impl DefaultLock {
    /// How firmly.
    pub fn mode(&self) -> LockMode {
        mode_of(self.mode)
    }
}

impl Lock {
    /// How firmly, up to its time.
    pub fn mode(&self) -> LockMode {
        mode_of(self.mode)
    }

    /// Does it keep the version now? `bypass`: from somebody who may pass over [`LockMode::Governance`].
    pub(super) fn keeps(&self, now: WallMillis, bypass: bool) -> bool {
        let retained = match self.mode() {
            LockMode::None => false,
            LockMode::Governance => !bypass && self.until > now.0,
            LockMode::Compliance => self.until > now.0,
        };
        self.hold || retained
    }

    /// May this retention take the place of what there is?
    fn may_become(&self, mode: LockMode, until: u64, now: WallMillis, bypass: bool) -> bool {
        let over = self.until <= now.0;
        match self.mode() {
            LockMode::None => true,
            _ if over => true,
            LockMode::Governance => bypass || (mode == LockMode::Governance && until >= self.until),
            LockMode::Compliance => mode == LockMode::Compliance && until >= self.until,
        }
    }
}

impl BucketLock {
    /// The lock of what comes now, of which `said` was said.
    fn of_new(&self, said: Option<Lock>, now: WallMillis) -> Option<Lock> {
        let mut lock = said.unwrap_or_default();
        if let Some(default) = self.default.filter(|_| lock.mode() == LockMode::None) {
            let days = u64::from(default.days) + 365 * u64::from(default.years);
            (lock.mode, lock.until) = (default.mode, now.0.saturating_add(days * DAY));
        }
        Some(lock).filter(|lock| *lock != Lock::default())
    }
}

fn no_lock() -> DriveError {
    DriveError::Invalid("this bucket has no object lock".into())
}

impl Rules {
    /// The lock of what comes now, of which `said` was said.
    pub(in crate::drive) fn lock_of_new(
        &self,
        said: Option<Lock>,
        now: WallMillis,
    ) -> Result<Option<Lock>, DriveError> {
        match (self.lock, said) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(no_lock()),
            (Some(bucket), said) => Ok(bucket.of_new(said, now)),
        }
    }
}

impl Change {
    /// The drive has no locks, or this is refused: what it takes out of its place might be locked, or hold what is.
    pub(in crate::drive) fn require_unlocked(&mut self, drives: &Drives) {
        if self.unlocked.is_none() {
            let at = self.require(drives.inner.tables.buckets, Bytes::from_static(LOCK), Test::Absent);
            self.unlocked = Some(at);
        }
    }
}

impl Drives {
    /// A bucket's object lock, as it is now.
    pub async fn bucket_lock(&self, drive: DriveId) -> Result<Option<BucketLock>, DriveError> {
        Ok(self.read_rules(drive).await?.lock)
    }

    /// A bucket has object lock from now on, and for ever, with that for what comes. Its versions must be kept.
    pub async fn set_bucket_lock(&self, drive: DriveId, lock: BucketLock) -> Result<(), DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let rules = self.read_rules(drive).await?;
            if rules.versioning != Versioning::Enabled {
                return Err(DriveError::Invalid("object lock needs versioning: enable it first".into()));
            }
            if self.put_rules(drive, rules, Versioning::Enabled, Some(lock)).await? {
                return Ok(());
            }
            tries.lost(self.store()).await?;
        }
    }

    /// Takes a version only if nothing locks it, resting on what was read of that.
    pub(super) async fn require_unlocked_version(
        &self,
        change: &mut Change,
        (drive, rules): (DriveId, Rules),
        object: &Object,
        bypass: bool,
    ) -> Result<(), DriveError> {
        let Some(version) = object.version().filter(|_| rules.lock.is_some()) else { return Ok(()) };
        let (about, test) = self.about_row(drive, version).await?;
        if about.lock.is_some_and(|lock| lock.keeps(self.now(), bypass)) {
            return Err(DriveError::Locked { path: object.key.clone() });
        }
        change.require(self.inner.tables.about, version.bytes(), test);
        Ok(())
    }

    /// Says until when a version is locked, and how firmly; [`LockMode::None`]: not at all.
    pub async fn set_retention(
        &self,
        drive: DriveId,
        (key, name): (&ObjectKey, Option<VersionName>),
        (mode, until): (LockMode, WallMillis),
        bypass: bool,
    ) -> Result<Object, DriveError> {
        let now = self.now();
        self.change_lock(drive, key, name, |lock| {
            if !lock.may_become(mode, until.0, now, bypass) {
                return Err(DriveError::Locked { path: key.to_string() });
            }
            (lock.mode, lock.until) = (mode as i32, if mode == LockMode::None { 0 } else { until.0 });
            Ok(())
        })
        .await
    }

    /// Puts a hold on a version, or takes it back.
    pub async fn set_hold(
        &self,
        drive: DriveId,
        (key, name): (&ObjectKey, Option<VersionName>),
        hold: bool,
    ) -> Result<Object, DriveError> {
        self.change_lock(drive, key, name, |lock| {
            lock.hold = hold;
            Ok(())
        })
        .await
    }

    async fn change_lock(
        &self,
        drive: DriveId,
        key: &ObjectKey,
        name: Option<VersionName>,
        change: impl Fn(&mut Lock) -> Result<(), DriveError>,
    ) -> Result<Object, DriveError> {
        if self.read_rules(drive).await?.lock.is_none() {
            return Err(no_lock());
        }
        self.change_about(drive, key, name, |about| {
            let mut lock = about.lock.unwrap_or_default();
            change(&mut lock)?;
            about.lock = Some(lock);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_of_a_later_release_keeps() {
        let (now, row) = (WallMillis(10), Lock { mode: 7, until: 20, hold: false }.encode_to_vec());
        let lock = Lock::decode(&row[..]).unwrap();
        assert!(lock.keeps(now, true) && !lock.keeps(WallMillis(20), false));
        assert!(!lock.may_become(LockMode::Governance, 30, now, true));
        assert!(!lock.may_become(LockMode::None, 0, now, true));
        let bucket = BucketLock { default: Some(DefaultLock { mode: 7, days: 1, years: 0 }) };
        assert!(bucket.of_new(None, now).unwrap().keeps(now, true));
    }
}
