//! What goes by itself with time: a bucket's lifecycle rules, as they are said, kept and judged.

use super::{Object, Pair};
use crate::DriveId;
use crate::drive::change::{Change, Commit};
use crate::drive::rows::decode;
use crate::drive::tries::Tries;
use crate::drive::{DriveError, DrivePath, Drives};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use types::{Consistency, ItemKey, Test, WallMillis};

/// For how long rules are taken for what they were, in milliseconds: only to tell whoever puts something.
const KNOWN_FOR: u64 = 2000;
/// Sort key of the row.
pub(in crate::drive) const LIFECYCLE: &[u8] = b"lifecycle";
/// Rules of one bucket.
pub const RULES_MAX: usize = 1000;
/// Bytes of all of them, as they are kept.
const ROW_BYTES_MAX: usize = 512 * 1024;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// A bucket's rules.
#[derive(Clone, PartialEq, Message)]
pub struct Lifecycle {
    /// In the order in which they were said.
    #[prost(message, repeated, tag = "1")]
    pub rules: Vec<LifecycleRule>,
}

/// What goes when.
#[derive(Clone, PartialEq, Message)]
pub struct LifecycleRule {
    /// Names it among the bucket's.
    #[prost(string, tag = "1")]
    pub id: String,
    /// It holds now.
    #[prost(bool, tag = "2")]
    pub enabled: bool,
    /// Of which objects.
    #[prost(message, optional, tag = "3")]
    pub filter: Option<LifecycleFilter>,
    /// Objects go so many days after they came.
    #[prost(uint32, optional, tag = "4")]
    pub days: Option<u32>,
    /// Objects go at that time, in milliseconds since 1970.
    #[prost(uint64, optional, tag = "5")]
    pub date: Option<u64>,
    /// Markers go behind which there is nothing.
    #[prost(bool, optional, tag = "6")]
    pub lone_markers: Option<bool>,
    /// Earlier versions go so many days after another took their place.
    #[prost(uint32, optional, tag = "7")]
    pub noncurrent_days: Option<u32>,
    /// So many of them stay, the newest.
    #[prost(uint32, optional, tag = "8")]
    pub newer_kept: Option<u32>,
    /// Uploads in parts are aborted so many days after they began.
    #[prost(uint32, optional, tag = "9")]
    pub abort_days: Option<u32>,
}

/// Of which objects a rule is. Everything that is said must hold.
#[derive(Clone, PartialEq, Message)]
pub struct LifecycleFilter {
    /// Their keys begin so.
    #[prost(string, optional, tag = "1")]
    pub prefix: Option<String>,
    /// They have these tags.
    #[prost(message, repeated, tag = "2")]
    pub tags: Vec<Pair>,
    /// They have more bytes.
    #[prost(uint64, optional, tag = "3")]
    pub larger: Option<u64>,
    /// They have fewer.
    #[prost(uint64, optional, tag = "4")]
    pub smaller: Option<u64>,
    /// How it was said, to be told again so.
    #[prost(enumeration = "FilterForm", tag = "5")]
    pub form: i32,
}

/// How a filter was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum FilterForm {
    /// One condition, or none.
    One = 0,
    /// Several.
    And = 1,
    /// A prefix of the rule itself, as it once was.
    Rule = 2,
}

/// A time so many days after another: the midnight (of Greenwich) after that.
pub(super) fn midnight_after(at: WallMillis, days: u32) -> WallMillis {
    let due = at.0.saturating_add(u64::from(days).saturating_mul(DAY));
    WallMillis(due.div_ceil(DAY).min(u64::MAX / DAY) * DAY)
}

impl LifecycleRule {
    /// How the keys begin that it is of.
    pub(super) fn prefix(&self) -> &str {
        self.filter.as_ref().and_then(|filter| filter.prefix.as_deref()).unwrap_or_default()
    }

    /// Does it depend on tags?
    pub(super) fn asks_for_tags(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| !filter.tags.is_empty())
    }

    /// Is it of an object of that key and size, but for its tags? Of a marker, which has no size and no tags?
    pub(super) fn is_of(&self, key: &str, size: Option<u64>) -> bool {
        let Some(filter) = &self.filter else { return self.enabled };
        let fits = match size {
            Some(size) => {
                filter.larger.is_none_or(|least| size > least) && filter.smaller.is_none_or(|most| size < most)
            }
            None => filter.tags.is_empty() && filter.larger.is_none() && filter.smaller.is_none(),
        };
        self.enabled && fits && key.starts_with(self.prefix())
    }

    /// Has the object these tags?
    pub(super) fn has_tags(&self, tags: &[Pair]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.tags.iter().all(|tag| tags.contains(tag)))
    }

    /// When what came then goes; none: by this rule it does not.
    pub(super) fn expires(&self, came: WallMillis) -> Option<WallMillis> {
        match (self.days, self.date) {
            (Some(days), _) => Some(midnight_after(came, days)),
            (None, Some(date)) => Some(WallMillis(date)),
            (None, None) => None,
        }
    }
}

impl Lifecycle {
    /// When an object goes, and by which rule: the first that does it.
    pub fn expiry(&self, key: &str, size: u64, came: WallMillis, tags: &[Pair]) -> Option<(WallMillis, &str)> {
        let rules = self.rules.iter().filter(|rule| rule.is_of(key, Some(size)) && rule.has_tags(tags));
        rules.filter_map(|rule| Some((rule.expires(came)?, rule.id.as_str()))).min()
    }
}

impl Drives {
    pub(super) fn lifecycle_key(&self, drive: DriveId) -> ItemKey {
        ItemKey::new(self.inner.tables.buckets, drive.bytes(), Bytes::from_static(LIFECYCLE))
    }

    /// A bucket's rules; none: there are none.
    pub async fn lifecycle(&self, drive: DriveId) -> Result<Option<Lifecycle>, DriveError> {
        let item = self.inner.store.get(&self.lifecycle_key(drive), Consistency::Strong).await?;
        item.map(|item| lifecycle_in(&item.value)).transpose()
    }

    /// When an object that has just come goes by the bucket's rules, as they were known a moment ago, and by which.
    pub async fn expiry_lately(
        &self,
        drive: DriveId,
        object: &Object,
        tags: &[Pair],
    ) -> Result<Option<(WallMillis, String)>, DriveError> {
        let now = self.now();
        let lifecycle = match self.inner.known.lifecycle(drive, now) {
            Some(known) => known,
            None => {
                let lifecycle = self.lifecycle(drive).await?.map(Arc::new);
                self.inner.known.learn_lifecycle(drive, WallMillis(now.0 + KNOWN_FOR), lifecycle.clone());
                lifecycle
            }
        };
        let rules = lifecycle.filter(|_| !object.entry.is_folder());
        let expiry = |rules: &Lifecycle| {
            let (at, rule) = rules.expiry(&object.key, object.size(), object.entry.modified, tags)?;
            Some((at, rule.to_string()))
        };
        Ok(rules.as_deref().and_then(expiry))
    }

    /// Replaces a bucket's rules; none: it has none any more. What is checked of each is up to the caller.
    pub async fn set_lifecycle(&self, drive: DriveId, lifecycle: Option<&Lifecycle>) -> Result<(), DriveError> {
        let row = lifecycle.map(Message::encode_to_vec);
        if row.as_ref().is_some_and(|row| row.len() > ROW_BYTES_MAX) {
            return Err(DriveError::Invalid(format!("all rules together have at most {ROW_BYTES_MAX} bytes")));
        }
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let key = self.lifecycle_key(drive);
            let there = self.inner.store.get(&key, Consistency::Strong).await?;
            let mut change = Change::new(self, drive);
            let as_read = there.as_ref().map_or(Test::Absent, |item| Test::VersionIs(item.version));
            change.require(key.table, key.sort_key.clone(), as_read);
            match &row {
                Some(row) => change.put(key.table, key.sort_key, row.clone()),
                None if there.is_none() => return Ok(()),
                None => change.delete(key.table, key.sort_key),
            }
            // A pass by other rules is none by these.
            change.delete(key.table, Bytes::from_static(super::expiry::PASS));
            let commit = change.commit(self.store(), &drive).await;
            self.inner.known.forget_lifecycle(drive);
            match commit? {
                Commit::Done(_) => return Ok(()),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }
}

pub(super) fn lifecycle_in(row: &[u8]) -> Result<Lifecycle, DriveError> {
    decode("a bucket's lifecycle", row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_at_midnight() {
        let noon = WallMillis(100 * DAY + DAY / 2);
        assert_eq!(midnight_after(noon, 1), WallMillis(102 * DAY));
        assert_eq!(midnight_after(WallMillis(100 * DAY), 1), WallMillis(101 * DAY));
        assert_eq!(midnight_after(WallMillis(u64::MAX), 1).0 % DAY, 0);
    }

    #[test]
    fn a_filter_holds_where_all_of_it_does() {
        let tag = Pair::new("a", "b");
        let filter = LifecycleFilter {
            prefix: Some("log/".into()),
            tags: vec![tag.clone()],
            larger: Some(10),
            smaller: Some(20),
            form: FilterForm::And as i32,
        };
        let rule = LifecycleRule { enabled: true, filter: Some(filter), days: Some(1), ..LifecycleRule::default() };
        assert!(rule.is_of("log/x", Some(11)) && rule.has_tags(&[Pair::new("x", "y"), tag]));
        for (key, size) in [("log", Some(11)), ("log/x", Some(10)), ("log/x", Some(20)), ("log/x", None)] {
            assert!(!rule.is_of(key, size), "{key} {size:?}");
        }
        assert!(!rule.has_tags(&[Pair::new("a", "c")]));
        let all = LifecycleRule { enabled: true, ..LifecycleRule::default() };
        assert!(all.is_of("", Some(0)) && all.is_of("x", None));
        assert!(!LifecycleRule { enabled: false, ..all }.is_of("x", Some(1)));
    }
}
