//! Locks that clients take on paths: advice between those who ask for it (RFC 4918, section 6), kept in the store,
//! so that any gateway sees them and the death of none frees or forgets one. Each runs out by itself.
//!
//! All locks of a drive are one row, judged and changed as a whole: there are few, and two that exclude each other
//! cannot both come in. A lock stays with its path, not with what is there.

use super::change::{Change, Commit, entry_key};
use super::rows::decode;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives};
use crate::{DriveId, UserId};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use types::{Consistency, ItemKey, Test, WallMillis};

/// Locks of one drive.
pub const LOCKS_MAX: usize = 128;
/// Bytes that a lock's owner may say of themselves.
pub const LOCK_NOTE_BYTES_MAX: usize = 512;
/// Bytes of all locks of a drive.
const ROW_BYTES_MAX: usize = 128 * 1024;
/// A lock that nobody renews lasts no longer.
pub const LOCK_LASTS_MAX: Duration = Duration::from_secs(60 * 60);
pub(super) const ROW: Bytes = Bytes::from_static(b"locks");

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLock {
    /// Of the file or folder here; there may be nothing yet.
    pub path: DrivePath,
    /// With all that is below it.
    pub deep: bool,
    /// Others may have a shared one at the same time.
    pub shared: bool,
    /// What its owner says of themselves, as their program wrote it.
    pub note: String,
    /// Whose it is.
    pub by: UserId,
    /// The name that others are told.
    pub name: String,
    /// How long; at most [`LOCK_LASTS_MAX`].
    pub lasts: Duration,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// By which its owner shows it: a `urn:uuid:…`.
    pub token: String,
    /// As it was asked for.
    pub asked: NewLock,
    /// When it runs out.
    pub until: WallMillis,
}

/// The locks of a drive that had not run out at one moment.
#[derive(Clone, Debug)]
pub struct Locks {
    /// These.
    pub held: Vec<Lock>,
    kept: Arc<Kept>,
}

/// That the locks of a drive are as they were read.
#[derive(Debug)]
pub(super) struct Kept {
    drive: DriveId,
    as_read: Test,
}

/// What has to be at the path of a new lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Whatever there is.
    Any,
    /// Nothing.
    Nothing,
    /// This, by its id or the version of its content.
    This([u8; 16]),
}

#[derive(Clone, PartialEq, Message)]
struct LocksRow {
    #[prost(message, repeated, tag = "1")]
    locks: Vec<LockRow>,
}

#[derive(Clone, PartialEq, Message)]
struct LockRow {
    #[prost(string, tag = "1")]
    token: String,
    #[prost(string, tag = "2")]
    path: String,
    #[prost(bool, tag = "3")]
    deep: bool,
    #[prost(bool, tag = "4")]
    shared: bool,
    #[prost(string, tag = "5")]
    note: String,
    #[prost(bytes = "bytes", tag = "6")]
    by: Bytes,
    #[prost(string, tag = "7")]
    name: String,
    #[prost(uint64, tag = "8")]
    until: u64,
    /// Milliseconds.
    #[prost(uint64, tag = "9")]
    lasts: u64,
}

fn within(path: &DrivePath, folder: &DrivePath) -> bool {
    path.names().starts_with(folder.names())
}

impl Lock {
    /// Does it hold at that path?
    pub fn covers(&self, path: &DrivePath) -> bool {
        self.asked.path == *path || (self.asked.deep && within(path, &self.asked.path))
    }

    /// Does it hold there, or anywhere below?
    fn touches(&self, path: &DrivePath, deep: bool) -> bool {
        self.covers(path) || (deep && within(&self.asked.path, path))
    }

    fn from_row(row: LockRow) -> Result<Lock, DriveError> {
        let damaged = || DriveError::Damaged("a lock".into());
        Ok(Lock {
            token: row.token,
            asked: NewLock {
                path: DrivePath::parse(&row.path).map_err(|_| damaged())?,
                deep: row.deep,
                shared: row.shared,
                note: row.note,
                by: UserId::from_slice(&row.by).ok_or_else(damaged)?,
                name: row.name,
                lasts: Duration::from_millis(row.lasts),
            },
            until: WallMillis(row.until),
        })
    }

    fn to_row(&self) -> LockRow {
        let Lock { token, asked, until } = self;
        LockRow {
            token: token.clone(),
            path: asked.path.to_string(),
            deep: asked.deep,
            shared: asked.shared,
            note: asked.note.clone(),
            by: asked.by.bytes(),
            name: asked.name.clone(),
            until: until.0,
            lasts: asked.lasts.as_millis() as u64,
        }
    }
}

/// The lock that excludes a new one, if one does.
pub fn excludes<'a>(locks: &'a [Lock], asked: &NewLock) -> Option<&'a Lock> {
    locks.iter().find(|lock| lock.touches(&asked.path, asked.deep) && !(lock.asked.shared && asked.shared))
}

/// The lock that keeps `by` from changing what is at a path (and, if `deep`, below it) although they show these
/// tokens. Where several shared ones hold, showing one of them will do (RFC 4918, section 7).
pub fn barrier<'a>(locks: &'a [Lock], path: &DrivePath, deep: bool, by: UserId, tokens: &[String]) -> Option<&'a Lock> {
    let shown = |lock: &Lock| lock.asked.by == by && tokens.contains(&lock.token);
    let here: Vec<&Lock> = locks.iter().filter(|lock| lock.touches(path, deep)).collect();
    here.iter().copied().find(|lock| {
        // Of something below, that must be one that holds there.
        let at = if lock.covers(path) { path } else { &lock.asked.path };
        let beside = |other: &&Lock| other.asked.shared && shown(other) && other.covers(at);
        !(shown(lock) || (lock.asked.shared && here.iter().any(beside)))
    })
}

impl Locks {
    fn of(drive: DriveId, held: Vec<Lock>, as_read: Test) -> Locks {
        Locks { held, kept: Arc::new(Kept { drive, as_read }) }
    }
}

impl Drives {
    /// All locks of the drive that have not run out.
    pub async fn locks(&self, drive: DriveId) -> Result<Locks, DriveError> {
        let key = ItemKey::new(self.inner.tables.locks, drive.bytes(), ROW);
        let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else {
            return Ok(Locks::of(drive, Vec::new(), Test::Absent));
        };
        let row: LocksRow = decode("the locks of a drive", &item.value)?;
        let locks = row.locks.into_iter().map(Lock::from_row).collect::<Result<Vec<_>, _>>()?;
        let now = self.now();
        let held = locks.into_iter().filter(|lock| lock.until > now).collect();
        Ok(Locks::of(drive, held, Test::VersionIs(item.version)))
    }

    /// The same drives for what was judged by these locks: files and folders are changed in the drive only while its
    /// locks are those. Otherwise nothing is, and the error is [`DriveError::Changed`].
    #[must_use]
    pub fn keeping(&self, locks: &Locks) -> Drives {
        Drives { keeps: Some(locks.kept.clone()), ..self.clone() }
    }

    /// What must be so of the row of locks, if anything must.
    pub(super) fn locks_kept(&self, drive: DriveId) -> Option<Test> {
        self.keeps.as_ref().filter(|kept| kept.drive == drive).map(|kept| kept.as_read.clone())
    }

    /// Changes the locks as a whole, if `there` is at the path, and answers what `change` does, and how the locks are
    /// then. None: nothing is to be changed.
    async fn change_locks<T>(
        &self,
        drive: DriveId,
        path: &DrivePath,
        there: There,
        mut change: impl FnMut(&mut Vec<Lock>) -> Result<Option<T>, DriveError>,
    ) -> Result<Option<(T, Locks)>, DriveError> {
        let mut tries = Tries::at(path);
        loop {
            let Locks { held: mut locks, kept } = self.locks(drive).await?;
            if self.locks_kept(drive).is_some_and(|test| test != kept.as_read) {
                return Err(DriveError::Changed { path: path.to_string() });
            }
            let Some(answer) = change(&mut locks)? else { return Ok(None) };
            let row = LocksRow { locks: locks.iter().map(Lock::to_row).collect() }.encode_to_vec();
            if locks.len() > LOCKS_MAX || row.len() > ROW_BYTES_MAX {
                return Err(DriveError::Invalid(
                    "there are too many locks in this drive: wait until some run out".into(),
                ));
            }
            let mut commit = Change::new(self, drive);
            commit.require(self.inner.tables.locks, ROW, kept.as_read.clone());
            if there != There::Any && !path.is_root() {
                self.require_there(drive, path, there, &mut commit).await?;
            }
            // The row goes with the last of its locks.
            let until = locks.iter().map(|lock| lock.until).max();
            match until {
                Some(until) => commit.put_until(self.inner.tables.locks, ROW, row, Some(until)),
                None => commit.delete(self.inner.tables.locks, ROW),
            }
            match commit.commit(self.store(), path).await? {
                Commit::Done(done) => {
                    let as_read = until.map_or(Test::Absent, |_| Test::VersionIs(done.version));
                    return Ok(Some((answer, Locks::of(drive, locks, as_read))));
                }
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Whoever changes what is at the path meanwhile comes before the lock, and it is looked at again.
    async fn require_there(
        &self,
        drive: DriveId,
        path: &DrivePath,
        there: There,
        change: &mut Change,
    ) -> Result<(), DriveError> {
        let walk = self.walk(drive, path).await?;
        let (parent, _) = walk.parent()?;
        change.require_steps(walk.steps());
        match (walk.found(), there) {
            (None, There::Nothing) => change.require_nothing_at(entry_key(parent, path.name().unwrap_or_default())),
            (Some(step), There::This(meant)) => step.entry.must_be(Some(meant), path)?,
            _ => return Err(DriveError::Changed { path: path.to_string() }),
        }
        Ok(())
    }

    /// Takes a lock where `there` is, and says how the drive's locks are then; or the one that excludes it.
    pub async fn lock(
        &self,
        drive: DriveId,
        asked: NewLock,
        there: There,
    ) -> Result<Result<(Lock, Locks), Lock>, DriveError> {
        if asked.note.len() > LOCK_NOTE_BYTES_MAX {
            return Err(DriveError::Invalid(format!("a lock's owner has at most {LOCK_NOTE_BYTES_MAX} bytes")));
        }
        let asked = NewLock { lasts: asked.lasts.min(LOCK_LASTS_MAX), ..asked };
        let token = format!("urn:uuid:{}", uuid(rand::random()));
        let mut against = None;
        let taken = self
            .change_locks(drive, &asked.path, there, |locks| {
                against = excludes(locks, &asked).cloned();
                if against.is_some() {
                    return Ok(None);
                }
                let lock = Lock { token: token.clone(), asked: asked.clone(), until: self.after(asked.lasts) };
                locks.push(lock.clone());
                Ok(Some(lock))
            })
            .await?;
        match (taken, against) {
            (Some(taken), _) => Ok(Ok(taken)),
            (None, Some(against)) => Ok(Err(against)),
            (None, None) => Err(DriveError::Damaged("a lock".into())),
        }
    }

    /// Makes a lock of theirs that covers the path last longer. None: there is no such lock.
    pub async fn refresh_lock(
        &self,
        drive: DriveId,
        path: &DrivePath,
        by: UserId,
        token: &str,
        lasts: Duration,
    ) -> Result<Option<Lock>, DriveError> {
        let lasts = lasts.min(LOCK_LASTS_MAX);
        let changed = self.change_locks(drive, path, There::Any, |locks| {
            let found = locks.iter_mut().find(|lock| lock.token == token && lock.asked.by == by && lock.covers(path));
            Ok(found.map(|lock| {
                (lock.until, lock.asked.lasts) = (self.after(lasts), lasts);
                lock.clone()
            }))
        });
        Ok(changed.await?.map(|(lock, _)| lock))
    }

    /// Gives a lock of theirs that covers the path back. False: there is no such lock.
    pub async fn unlock(&self, drive: DriveId, path: &DrivePath, by: UserId, token: &str) -> Result<bool, DriveError> {
        let gone = self
            .change_locks(drive, path, There::Any, |locks| {
                let held = locks.len();
                locks.retain(|lock| !(lock.token == token && lock.asked.by == by && lock.covers(path)));
                Ok((locks.len() < held).then_some(()))
            })
            .await?;
        Ok(gone.is_some())
    }

    /// What was at a path is there no more: nor are these of the locks on it, and below it.
    pub async fn drop_locks(&self, drive: DriveId, path: &DrivePath, known: &[Lock]) -> Result<(), DriveError> {
        let gone = |lock: &Lock| within(&lock.asked.path, path) && known.iter().any(|it| it.token == lock.token);
        if !known.iter().any(gone) {
            return Ok(());
        }
        self.change_locks(drive, path, There::Any, |locks| {
            let held = locks.len();
            locks.retain(|lock| !gone(lock));
            Ok((locks.len() < held).then_some(()))
        })
        .await
        .map(drop)
    }

    fn after(&self, lasts: Duration) -> WallMillis {
        WallMillis(self.now().0.saturating_add(lasts.as_millis() as u64))
    }
}

/// A random UUID's text (RFC 9562, section 5.4).
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = (random[6] & 0x0f) | 0x40;
    random[8] = (random[8] & 0x3f) | 0x80;
    let text = crate::hex::encode(&random);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ME: UserId = UserId([1; 16]);

    fn path(text: &str) -> DrivePath {
        DrivePath::parse(text).unwrap()
    }

    fn lock(at: &str, deep: bool, shared: bool) -> Lock {
        let asked = NewLock {
            path: path(at),
            deep,
            shared,
            note: String::new(),
            by: ME,
            name: "me".into(),
            lasts: Duration::from_secs(60),
        };
        Lock { token: format!("{at}{deep}{shared}"), asked, until: WallMillis(1) }
    }

    #[test]
    fn deep_locks_hold_below_and_shared_ones_side_by_side() {
        let held = [lock("/a", true, false), lock("/s", false, true)];
        let asked = |at, deep, shared| excludes(&held, &lock(at, deep, shared).asked).is_some();
        assert!(asked("/a", false, false) && asked("/a/b/c", false, true) && asked("/", true, false));
        assert!(!asked("/ab", true, false) && !asked("/", false, false));
        assert!(!asked("/s", false, true) && asked("/s", false, false) && !asked("/s/x", true, false));
    }

    #[test]
    fn whoever_shows_the_token_may() {
        let held =
            [lock("/a", true, false), lock("/s", false, true), Lock { token: "2".into(), ..lock("/s", false, true) }];
        let token = |at: usize| vec![held[at].token.clone()];
        let stopped = |at, deep, by, tokens: &[String]| barrier(&held, &path(at), deep, by, tokens).is_some();
        assert!(stopped("/a/b", false, ME, &[]) && !stopped("/a/b", false, ME, &token(0)));
        assert!(stopped("/a/b", false, UserId([2; 16]), &token(0)), "a token is no use to others");
        assert!(!stopped("/s", false, ME, &token(1)) && !stopped("/s", false, ME, &token(2)));
        assert!(stopped("/", true, ME, &token(0)), "something below is another's");
        assert!(!stopped("/", true, ME, &[token(0), token(1)].concat()));
        assert!(!stopped("/", false, ME, &[]));
        let held = [lock("/t", true, true), lock("/t/f", false, true)];
        assert!(barrier(&held, &path("/t/f"), false, ME, &[held[1].token.clone()]).is_none(), "either will do");
    }

    #[test]
    fn tokens_are_uuids() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    proptest! {
        /// Whatever is let in beside each other excludes nothing that is in.
        #[test]
        fn locks_that_are_in_do_not_exclude_each_other(
            asked in prop::collection::vec((prop::sample::select(vec!["/", "/a", "/a/b", "/a/b/c", "/d"]), any::<bool>(), any::<bool>()), 0..12)
        ) {
            let mut held: Vec<Lock> = Vec::new();
            for (at, deep, shared) in asked {
                let new = lock(at, deep, shared);
                if excludes(&held, &new.asked).is_none() {
                    held.push(new);
                }
            }
            for (index, one) in held.iter().enumerate() {
                let others: Vec<Lock> = held.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, lock)| lock.clone()).collect();
                prop_assert!(excludes(&others, &one.asked).is_none());
            }
        }

        #[test]
        fn rows_read_back(at in "(/[a-z]{1,4}){0,4}", deep: bool, shared: bool) {
            let one = lock(if at.is_empty() { "/" } else { &at }, deep, shared);
            prop_assert_eq!(Lock::from_row(one.to_row()).unwrap(), one);
        }
    }
}
