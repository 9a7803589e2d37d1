//! What holds for a drive as a bucket: whether versions of its objects are kept.
//!
//! A row says so. What was read of it is remembered, and every transaction that depends on it rests on the row's being as it
//! was read: who knows an older state looks again, and nobody acts on it.

use super::change::{Change, Commit};
use super::objects::expiry::PASS;
use super::objects::lifecycle::LIFECYCLE;
use super::objects::lock::LOCK;
use super::objects::{BucketLock, DefaultLock, Lifecycle};
use super::rows::decode;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives};
use crate::DriveId;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use types::{Consistency, Item, ItemKey, Test, Version, WallMillis};

/// Sort key of the row.
pub(super) const VERSIONING: &[u8] = b"versioning";
/// Drives that are remembered.
const KNOWN_MAX: usize = 10_000;

/// Are versions of objects kept?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// They never were: the drive's own earlier versions are thinned out, and S3 does not see them.
    #[default]
    Off,
    /// Every put and delete adds one, and none goes by itself.
    Enabled,
    /// What is there stays; what comes replaces the one called `null`.
    Suspended,
}

#[derive(Clone, PartialEq, Message)]
struct VersioningRow {
    /// 1: enabled, 2: suspended.
    #[prost(uint32, tag = "1")]
    state: u32,
    /// There is object lock.
    #[prost(bool, tag = "2")]
    locks: bool,
    #[prost(message, optional, tag = "3")]
    lock: Option<DefaultLock>,
}

/// A drive's rules, as read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub versioning: Versioning,
    /// None: the drive has no locks.
    pub lock: Option<BucketLock>,
    row: Option<Version>,
}

impl Rules {
    pub(super) fn of(item: Option<&Item>) -> Result<Rules, DriveError> {
        let Some(item) = item else { return Ok(Rules::default()) };
        let row: VersioningRow = decode("a bucket's versioning", &item.value)?;
        let versioning = match row.state {
            1 => Versioning::Enabled,
            2 => Versioning::Suspended,
            other => return Err(DriveError::Damaged(format!("a bucket's versioning: {other}"))),
        };
        let lock = row.locks.then_some(BucketLock { default: row.lock });
        Ok(Rules { versioning, lock, row: Some(item.version) })
    }

    /// Versions have an order, and may have names.
    pub(super) fn numbers(&self) -> bool {
        self.versioning != Versioning::Off
    }

    pub(super) fn test(&self) -> Test {
        self.row.map_or(Test::Absent, Test::VersionIs)
    }
}

/// Rules as they were read last.
#[derive(Default)]
pub(super) struct Known {
    rules: Mutex<HashMap<DriveId, Rules>>,
    lifecycles: Mutex<HashMap<DriveId, KnownLifecycle>>,
}

/// A lifecycle, if there is one, and until when it is taken for what it was.
#[derive(Clone)]
struct KnownLifecycle {
    until: WallMillis,
    lifecycle: Option<Arc<Lifecycle>>,
}

impl Known {
    /// What is known stays if it is newer: reads may end in another order than they were answered in.
    fn learn(&self, drive: DriveId, rules: Rules) {
        let mut all = self.rules.lock();
        if all.get(&drive).is_some_and(|known| known.row > rules.row) {
            return;
        }
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(drive, rules);
    }

    pub(super) fn forget(&self, drive: DriveId) {
        self.rules.lock().remove(&drive);
    }

    pub(super) fn lifecycle(&self, drive: DriveId, now: WallMillis) -> Option<Option<Arc<Lifecycle>>> {
        let all = self.lifecycles.lock();
        all.get(&drive).filter(|known| known.until > now).map(|known| known.lifecycle.clone())
    }

    pub(super) fn learn_lifecycle(&self, drive: DriveId, until: WallMillis, lifecycle: Option<Arc<Lifecycle>>) {
        let mut all = self.lifecycles.lock();
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(drive, KnownLifecycle { until, lifecycle });
    }

    pub(super) fn forget_lifecycle(&self, drive: DriveId) {
        self.lifecycles.lock().remove(&drive);
    }
}

impl Drives {
    pub(super) fn rules_key(&self, drive: DriveId) -> ItemKey {
        ItemKey::new(self.inner.tables.buckets, drive.bytes(), Bytes::from_static(VERSIONING))
    }

    /// The drive's rules as they were known lately: for transactions, which rest on them.
    pub(super) async fn rules(&self, drive: DriveId) -> Result<Rules, DriveError> {
        let known = self.inner.known.rules.lock().get(&drive).copied();
        match known {
            Some(rules) => Ok(rules),
            None => self.read_rules(drive).await,
        }
    }

    pub(super) async fn read_rules(&self, drive: DriveId) -> Result<Rules, DriveError> {
        let item = self.inner.store.get(&self.rules_key(drive), Consistency::Strong).await?;
        self.learn_rules(drive, item.as_ref())
    }

    /// The row was read along with others.
    pub(super) fn learn_rules(&self, drive: DriveId, item: Option<&Item>) -> Result<Rules, DriveError> {
        let rules = Rules::of(item)?;
        self.inner.known.learn(drive, rules);
        Ok(rules)
    }

    /// Are versions of objects kept, as it is now?
    pub async fn versioning(&self, drive: DriveId) -> Result<Versioning, DriveError> {
        Ok(self.read_rules(drive).await?.versioning)
    }

    /// The same as it was known lately: to whoever just changed something, as it was then.
    pub async fn versioning_lately(&self, drive: DriveId) -> Result<Versioning, DriveError> {
        Ok(self.rules(drive).await?.versioning)
    }

    /// The drive is no bucket any more, and empty.
    pub(crate) async fn forget_rules(&self, drive: DriveId) -> Result<(), DriveError> {
        let mut change = Change::new(self, drive);
        for row in [VERSIONING, LIFECYCLE, PASS, LOCK] {
            change.delete(self.inner.tables.buckets, Bytes::from_static(row));
        }
        change.commit(self.store(), &drive).await?;
        self.inner.known.forget(drive);
        Ok(())
    }

    /// Says whether versions of objects are kept from now on. What once kept versions cannot be as if it never had.
    pub async fn set_versioning(&self, drive: DriveId, versioning: Versioning) -> Result<(), DriveError> {
        if versioning == Versioning::Off {
            return Err(DriveError::Invalid("versioning can be suspended, not undone".into()));
        }
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let rules = self.read_rules(drive).await?;
            if rules.lock.is_some() && versioning != Versioning::Enabled {
                return Err(DriveError::LockedDrive);
            }
            if self.put_rules(drive, rules, versioning, rules.lock).await? {
                return Ok(());
            }
            tries.lost(self.store()).await?;
        }
    }

    /// False: they are others by now.
    pub(super) async fn put_rules(
        &self,
        drive: DriveId,
        before: Rules,
        versioning: Versioning,
        lock: Option<BucketLock>,
    ) -> Result<bool, DriveError> {
        let buckets = self.inner.tables.buckets;
        let mut change = Change::new(self, drive);
        change.require_rules(self, before);
        let state = if versioning == Versioning::Enabled { 1 } else { 2 };
        let row = VersioningRow { state, locks: lock.is_some(), lock: lock.and_then(|lock| lock.default) };
        change.put(buckets, Bytes::from_static(VERSIONING), row.encode_to_vec());
        if lock.is_some() && before.lock.is_none() {
            change.put(buckets, Bytes::from_static(LOCK), Bytes::new());
        }
        let commit = change.commit(self.store(), &drive).await;
        // Whatever came of it: what was known is not so any more, or may not be.
        self.inner.known.forget(drive);
        match commit? {
            Commit::Done(result) => {
                self.inner.known.learn(drive, Rules { versioning, lock, row: Some(result.version) });
                Ok(true)
            }
            Commit::Lost(_) => Ok(false),
        }
    }
}
