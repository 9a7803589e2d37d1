//! Lifecycle rules at work: once a day, after midnight, a pass over the bucket takes away what is due.
//!
//! A row says how far the pass is and until when somebody is at it; whoever finds that nobody is goes on there. So it
//! outlives any node, and two disturb each other no more than two clients would. Every delete rests on the object's being
//! the one that was judged, and on the rules' being those by which it was.

use super::lifecycle::{LIFECYCLE, Lifecycle, LifecycleRule, lifecycle_in, midnight_after};
use super::list::LIST_MAX;
use super::put::ObjectCondition;
use super::versions::ListedVersion;
use super::{Listing, Object, ObjectKey, VersionListing, VersionName};
use crate::DriveId;
use crate::drive::change::{Change, Commit};
use crate::drive::rows::decode;
use crate::drive::{DriveError, Drives, Emptied};
use bytes::Bytes;
use futures::{StreamExt, stream};
use prost::Message;
use std::time::Duration;
use types::{Action, Classify, Consistency, ItemKey, Test, Version, WallMillis};

/// Sort key of the row that says how far a pass is.
pub(in crate::drive) const PASS: &[u8] = b"lifecycle-pass";
const DAY: u64 = 24 * 60 * 60 * 1000;
/// Whoever is at it says so again within this.
const AT_IT: Duration = Duration::from_secs(5 * 60);
/// Deletes at the same time.
const AT_ONCE: usize = 8;

/// How far a pass is.
#[derive(Clone, PartialEq, Message)]
struct PassRow {
    /// In milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    begun: u64,
    /// Until then somebody is at it.
    #[prost(uint64, tag = "2")]
    until: u64,
    /// All keys up to this one are done.
    #[prost(string, tag = "3")]
    after: String,
    #[prost(bool, tag = "4")]
    done: bool,
    /// How far it is within the key behind that, if it has begun with its versions.
    #[prost(message, optional, tag = "5")]
    within: Option<WithinRow>,
}

/// How far a pass is in one key's versions.
#[derive(Clone, PartialEq, Message)]
struct WithinRow {
    #[prost(string, tag = "1")]
    key: String,
    /// All up to this one are done.
    #[prost(string, tag = "2")]
    name: String,
    /// As in [`Seen`]; in milliseconds since 1970.
    #[prost(uint64, optional, tag = "3")]
    newer: Option<u64>,
    #[prost(uint32, tag = "4")]
    noncurrent: u32,
}

/// A pass, by whoever is at it.
struct Pass {
    row: PassRow,
    /// The row as it was written last; none: there is none.
    there: Option<Version>,
    rules: Version,
}

/// What one version needs to be judged: what came before it in the listing.
#[derive(Default)]
struct Seen {
    key: String,
    /// When the version came that is next newer.
    newer: Option<WallMillis>,
    /// Earlier versions of the key that are newer.
    noncurrent: u32,
    /// The marker that is the key's latest, if nothing has been seen behind it.
    marker: Option<ListedVersion>,
}

impl Seen {
    fn at(row: &PassRow) -> Seen {
        match &row.within {
            None => Seen { key: row.after.clone(), ..Seen::default() },
            Some(within) => Seen {
                key: within.key.clone(),
                newer: within.newer.map(WallMillis),
                noncurrent: within.noncurrent,
                marker: None,
            },
        }
    }

    /// Where another call goes on in this key. Of a marker behind which nothing has been seen, before it.
    fn within(&self, (key, name): &(String, Option<VersionName>)) -> Option<WithinRow> {
        let name = name.filter(|_| *key == self.key && self.marker.is_none())?;
        let newer = self.newer.map(|at| at.0);
        Some(WithinRow { key: key.clone(), name: name.to_string(), newer, noncurrent: self.noncurrent })
    }
}

/// What is to go.
struct Due {
    key: String,
    /// None: the latest, as a delete without a version takes it away.
    name: Option<VersionName>,
    condition: ObjectCondition,
}

impl Drives {
    /// Carries a bucket's lifecycle on for some time: how much went, and whether there is more to be looked at.
    pub async fn expire(&self, drive: DriveId) -> Result<Emptied, DriveError> {
        let nothing = Emptied { removed: 0, more: false };
        let keys = vec![self.lifecycle_key(drive), self.pass_key(drive)];
        let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let [Some(rules), pass] = &rows[..] else { return Ok(nothing) };
        let lifecycle = lifecycle_in(&rules.value)?;
        let now = self.now().0;
        let row = match pass {
            None => PassRow { begun: now, ..PassRow::default() },
            Some(item) => {
                let row: PassRow = decode("a pass of a bucket's lifecycle", &item.value)?;
                match row.done {
                    true if row.begun / DAY >= now / DAY => return Ok(nothing),
                    true => PassRow { begun: now, ..PassRow::default() },
                    false if row.until > now => return Ok(nothing),
                    false => row,
                }
            }
        };
        let mut pass = Pass { row, there: pass.as_ref().map(|item| item.version), rules: rules.version };
        if !self.keep_at(drive, &mut pass, true).await? {
            return Ok(nothing);
        }
        let uploads = self.expire_uploads(drive, &lifecycle).await?;
        let versions = self.expire_versions(drive, &lifecycle, &mut pass).await?;
        Ok(Emptied { removed: uploads + versions, more: !pass.row.done })
    }

    fn pass_key(&self, drive: DriveId) -> ItemKey {
        ItemKey::new(self.inner.tables.buckets, drive.bytes(), Bytes::from_static(PASS))
    }

    /// Says how far it is, and that somebody is at it, or is no more. False: somebody else is, or the rules are others.
    async fn keep_at(&self, drive: DriveId, pass: &mut Pass, at_it: bool) -> Result<bool, DriveError> {
        let key = self.pass_key(drive);
        pass.row.until = if at_it { self.now().0.saturating_add(AT_IT.as_millis() as u64) } else { 0 };
        let mut change = Change::new(self, drive);
        change.require(key.table, key.sort_key.clone(), pass.there.map_or(Test::Absent, Test::VersionIs));
        change.require(key.table, Bytes::from_static(LIFECYCLE), Test::VersionIs(pass.rules));
        change.put(key.table, key.sort_key, pass.row.encode_to_vec());
        match change.commit(self.store(), &drive).await? {
            Commit::Done(result) => {
                pass.there = Some(result.version);
                Ok(true)
            }
            Commit::Lost(_) => Ok(false),
        }
    }

    /// Aborts uploads in parts that began too long ago.
    async fn expire_uploads(&self, drive: DriveId, lifecycle: &Lifecycle) -> Result<u64, DriveError> {
        let rules: Vec<_> = lifecycle.rules.iter().filter(|rule| rule.enabled).collect();
        if rules.iter().all(|rule| rule.abort_days.is_none()) {
            return Ok(0);
        }
        let now = self.now();
        let mut gone = 0;
        for (id, upload) in self.uploads(drive).await? {
            let due = rules.iter().any(|rule| {
                let due = rule.abort_days.map(|days| midnight_after(WallMillis(upload.begun), days));
                due.is_some_and(|due| due <= now) && upload.key.starts_with(rule.prefix())
            });
            if due {
                match self.abort_upload(drive, id, &ObjectKey::parse(&upload.key)?).await {
                    Ok(()) => gone += 1,
                    Err(DriveError::NoSuchUpload { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(gone)
    }

    async fn expire_versions(&self, drive: DriveId, lifecycle: &Lifecycle, pass: &mut Pass) -> Result<u64, DriveError> {
        let begun = self.now();
        let rules: Vec<_> = lifecycle.rules.iter().filter(|rule| rule.enabled).cloned().collect();
        let (mut seen, mut gone) = (Seen::at(&pass.row), 0);
        let name = pass.row.within.as_ref().map(|within| within.name.parse()).transpose()?;
        let keys = Listing { prefix: common(&rules), after: seen.key.clone(), limit: LIST_MAX, ..Listing::default() };
        let mut asked = VersionListing { keys, after: name };
        while !rules.is_empty() {
            let page = self.list_versions(drive, &asked).await?;
            let mut due = Vec::new();
            for version in page.versions {
                if version.key != seen.key {
                    let before = std::mem::replace(&mut seen, Seen { key: version.key.clone(), ..Seen::default() });
                    due.extend(self.close(&rules, before.marker));
                    pass.row.after = before.key;
                }
                due.extend(self.judge(drive, &rules, version, &mut seen).await?);
            }
            let last = page.next.is_none();
            if last {
                due.extend(self.close(&rules, seen.marker.take()));
            }
            gone += self.take_due(drive, due, pass.rules).await?;
            if last {
                break;
            }
            let enough = self.now().0.saturating_sub(begun.0) >= self.inner.settings.expiring.as_millis() as u64;
            pass.row.within = page.next.as_ref().and_then(|next| seen.within(next));
            if !self.keep_at(drive, pass, !enough).await? || enough {
                return Ok(gone);
            }
            let Some((key, after)) = page.next else { break };
            (asked.keys.after, asked.after) = (key, after);
        }
        pass.row.done = true;
        self.keep_at(drive, pass, false).await?;
        Ok(gone)
    }

    /// Is the version due?
    async fn judge(
        &self,
        drive: DriveId,
        rules: &[LifecycleRule],
        version: ListedVersion,
        seen: &mut Seen,
    ) -> Result<Option<Due>, DriveError> {
        let now = self.now();
        let came = version.came();
        let newer = seen.newer.replace(came);
        seen.marker = None;
        if version.latest && version.object.is_none() {
            seen.marker = Some(version);
            return Ok(None);
        }
        let is_folder = version.object.as_ref().is_some_and(|object| object.entry.is_folder());
        if is_folder {
            return Ok(None);
        }
        let size = version.object.as_ref().map(Object::size);
        let newer_kept = seen.noncurrent;
        seen.noncurrent += u32::from(!version.latest);
        let mut due = rules.iter().filter(|rule| {
            rule.is_of(&version.key, size)
                && match version.latest {
                    true => rule.expires(came).is_some_and(|due| due <= now),
                    false => rule.noncurrent_days.is_some_and(|days| {
                        midnight_after(newer.unwrap_or(came), days) <= now && newer_kept >= rule.newer_kept.unwrap_or(0)
                    }),
                }
        });
        let mut due_now = false;
        for rule in due.by_ref() {
            due_now = match version.object.as_ref().and_then(Object::version) {
                Some(content) if rule.asks_for_tags() => rule.has_tags(&self.about(drive, content).await?.tags),
                _ => true,
            };
            if due_now {
                break;
            }
        }
        let content = version.object.as_ref().and_then(Object::version);
        Ok(due_now.then(|| Due {
            key: version.key.clone(),
            name: (!version.latest).then_some(version.name),
            condition: content.map_or(ObjectCondition::Absent, ObjectCondition::Version),
        }))
    }

    /// All versions of a key were seen: was there a marker alone?
    fn close(&self, rules: &[LifecycleRule], marker: Option<ListedVersion>) -> Option<Due> {
        let marker = marker?;
        let due = rules.iter().any(|rule| {
            let due = rule.expires(marker.came()).is_some_and(|due| due <= self.now());
            rule.is_of(&marker.key, None) && (rule.lone_markers == Some(true) || due)
        });
        let condition = ObjectCondition::Absent;
        due.then(|| Due { key: marker.key.clone(), name: Some(marker.name), condition })
    }

    /// Takes away what is due, where it is still as it was.
    async fn take_due(&self, drive: DriveId, due: Vec<Due>, rules: Version) -> Result<u64, DriveError> {
        let mut done = stream::iter(due)
            .map(|due| async move {
                let key = ObjectKey::parse(&due.key)?;
                let rests = Some((Bytes::from_static(LIFECYCLE), rules));
                match due.name {
                    None => self.delete_object_if(drive, &key, &due.condition, rests).await.map(drop),
                    Some(name) => {
                        self.delete_version_if(drive, &key, name, &due.condition, (rests, false)).await.map(drop)
                    }
                }
            })
            .buffer_unordered(AT_ONCE);
        let mut gone = 0;
        while let Some(done) = done.next().await {
            match done {
                Ok(()) => gone += 1,
                // It is another by now, or gone.
                Err(DriveError::Changed { .. } | DriveError::NotFound { .. } | DriveError::Exists { .. }) => {}
                // It goes when its time is over, too.
                Err(DriveError::Locked { .. }) => {}
                // Others would fare no better.
                Err(error) if error.action() != Action::Rejected => return Err(error),
                Err(error) => tracing::warn!(%drive, %error, "an object that is due stays"),
            }
        }
        Ok(gone)
    }
}

/// How the keys begin that any of the rules is of.
fn common(rules: &[LifecycleRule]) -> String {
    let Some(first) = rules.first().map(LifecycleRule::prefix) else { return String::new() };
    let mut end = first.len();
    for rule in rules {
        let same = first.bytes().zip(rule.prefix().bytes()).take_while(|(a, b)| a == b).count();
        end = end.min(same);
    }
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    first[..end].to_string()
}
