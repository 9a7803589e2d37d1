//! The brake: a program that throws away more than somebody would who meant it is held back, until its owner says
//! whether it was meant. A sync client that lost its folder then costs a look at the trash, not a drive.
//!
//! Each process counts what a program throws away through it. When that is too much it writes a row that holds the program;
//! every removal by a program is conditioned on there being no such row, so it holds at once, on all nodes. What counts is
//! approximate, what holds is not.

use super::change::{Change, Commit};
use super::rows::decode;
use super::tries::Tries;
use super::{Clash, DriveError, DrivePath, Drives};
use crate::{DriveId, UserId};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use types::{Consistency, Item, ItemKey, Query, Test, Version, WallMillis};

/// Within this, removals are counted together.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// How long a program that was let go removes what it likes.
const LET_GO: Duration = Duration::from_secs(60 * 60);
/// A program that nobody looks after is held for as long as the trash keeps what it threw away.
const HELD: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Programs that are counted at a time.
const COUNTED_MAX: usize = 10_000;
/// Bytes of what names a program.
const PROGRAM_BYTES_MAX: usize = 64;
/// Programs held in one drive, told at a time.
const HELD_MAX: u32 = 100;
/// Rows of the trash looked at together.
const PAGE: u32 = 100;
/// By so much may the clocks of two nodes differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// A program or device that acts for somebody, by a password of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Names it: at most 64 bytes.
    pub id: String,
    /// What its owner calls it.
    pub label: String,
}

/// A program that may remove nothing until somebody says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub program: Program,
    /// Since when.
    pub since: WallMillis,
    /// For whom it acts.
    pub user: Option<UserId>,
}

/// What putting back did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Brought back.
    pub restored: u64,
    /// Left in the trash: they cannot be brought back by themselves.
    pub left: u64,
    /// There is more: call again.
    pub more: bool,
}

#[derive(Clone, PartialEq, Message)]
struct BrakeRow {
    #[prost(string, tag = "1")]
    label: String,
    #[prost(uint64, tag = "2")]
    since: u64,
    /// Until then it may go on; 0: it is held.
    #[prost(uint64, tag = "3")]
    until: u64,
    #[prost(bytes = "bytes", tag = "4")]
    user: Bytes,
    /// Putting back has come so far: the last row of the trash that it looked at. Empty: it begins.
    #[prost(bytes = "bytes", tag = "5")]
    put_back: Bytes,
}

/// What programs have removed through this process: since when, how much.
#[derive(Default)]
pub(super) struct Counted {
    programs: Mutex<HashMap<(DriveId, String), (WallMillis, u32)>>,
}

impl Counted {
    /// How much it was, within the window.
    fn of(&self, drive: DriveId, program: &Program, now: WallMillis) -> u32 {
        let programs = self.programs.lock();
        let counted = programs.get(&(drive, program.id.clone()));
        counted.filter(|(since, _)| is_within(*since, now)).map_or(0, |(_, count)| *count)
    }

    fn add(&self, drive: DriveId, program: &Program, now: WallMillis) {
        let mut programs = self.programs.lock();
        if programs.len() >= COUNTED_MAX {
            programs.retain(|_, (since, _)| is_within(*since, now));
            if programs.len() >= COUNTED_MAX {
                programs.clear();
            }
        }
        let counted = programs.entry((drive, program.id.clone())).or_insert((now, 0));
        if !is_within(counted.0, now) {
            *counted = (now, 0);
        }
        counted.1 = counted.1.saturating_add(1);
    }

    fn forget(&self, drive: DriveId, program: &str) {
        self.programs.lock().remove(&(drive, program.to_string()));
    }
}

fn is_within(since: WallMillis, now: WallMillis) -> bool {
    u128::from(now.0.saturating_sub(since.0)) < WINDOW.as_millis()
}

fn after(now: WallMillis, time: Duration) -> WallMillis {
    WallMillis(now.0.saturating_add(time.as_millis() as u64))
}

/// How it is with a program.
enum State {
    /// As with others; of an earlier time there may be a row.
    Free(Option<Version>),
    LetGo(Version),
    Held,
}

impl State {
    /// That it is still so.
    fn test(&self) -> Test {
        match self {
            State::Free(None) | State::Held => Test::Absent,
            State::Free(Some(at)) | State::LetGo(at) => Test::VersionIs(*at),
        }
    }
}

/// What a removal by a program rests on.
pub(super) struct Brake<'a> {
    drives: &'a Drives,
    drive: DriveId,
    program: Option<(&'a Program, State)>,
}

impl Drives {
    /// The same drives for a program that acts for that person: what it removes is counted, and bounded.
    #[must_use]
    pub fn for_program(&self, program: Option<Program>, user: UserId) -> Drives {
        Drives { program: program.map(|program| Arc::new((program, user))), ..self.clone() }
    }

    fn brake_key(&self, drive: DriveId, program: &str) -> ItemKey {
        ItemKey::new(self.inner.tables.brakes, drive.bytes(), Bytes::copy_from_slice(program.as_bytes()))
    }

    /// May this remove something? Programs that have removed too much are held from now on.
    pub(super) async fn brake(&self, drive: DriveId) -> Result<Brake<'_>, DriveError> {
        let Some((program, user)) = self.program.as_deref() else {
            return Ok(Brake { drives: self, drive, program: None });
        };
        let mut brake = Brake { drives: self, drive, program: Some((program, State::Free(None))) };
        let (max, now) = (self.inner.settings.brake, self.now());
        if max == 0 || self.inner.counted.of(drive, program, now) < max {
            return Ok(brake);
        }
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let seen = brake.read().await?;
            match seen {
                State::Held => return Err(DriveError::Held { program: program.label.clone() }),
                State::LetGo(_) => {
                    brake.program = Some((program, seen));
                    return Ok(brake);
                }
                State::Free(_) => {}
            }
            let (label, user) = (program.label.clone(), user.bytes());
            let row = BrakeRow { label, since: now.0, until: 0, user, put_back: Bytes::new() };
            let key = self.brake_key(drive, &program.id);
            let mut change = Change::new(self, drive);
            change.require(key.table, key.sort_key.clone(), seen.test());
            change.put_until(key.table, key.sort_key, row.encode_to_vec(), Some(after(now, HELD)));
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) => {
                    tracing::warn!(%drive, program = %program.label, max, "a program removed too much, and is held")
                }
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Programs that are held in the drive.
    pub async fn held_programs(&self, drive: DriveId) -> Result<Vec<Held>, DriveError> {
        let query = Query { limit: HELD_MAX, ..Query::all(self.inner.tables.brakes, drive.bytes()) };
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let held = page.items.iter().filter_map(|at| held(&at.sort_key, &at.item).transpose());
        held.collect()
    }

    /// Every row can be read, is of a program, and is held or let go for no longer than it may be.
    pub(super) async fn check_brakes(&self, drive: DriveId, findings: &mut Vec<String>) -> Result<(), DriveError> {
        let skew = after(self.now(), SKEW);
        for (key, value) in self.all_rows(drive, self.inner.tables.brakes).await? {
            let program = String::from_utf8_lossy(&key);
            if key.is_empty() || key.len() > PROGRAM_BYTES_MAX || std::str::from_utf8(&key).is_err() {
                findings.push(format!("a brake is of no program: {program:?}"));
            }
            match decode::<BrakeRow>("a brake", &value) {
                Err(_) => findings.push(format!("the brake of {program:?} cannot be read")),
                Ok(row) if !row.user.is_empty() && UserId::from_slice(&row.user).is_none() => {
                    findings.push(format!("the brake of {program:?} is of nobody"));
                }
                Ok(row) if row.since > skew.0 => findings.push(format!("{program:?} will be held one day")),
                Ok(row) if row.until > after(skew, LET_GO).0 => {
                    findings.push(format!("{program:?} may remove what it likes for longer than an hour"));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// One of them.
    pub async fn held_program(&self, drive: DriveId, program: &str) -> Result<Held, DriveError> {
        let (key, item) = self.read_held(drive, program).await?;
        held(&key.sort_key, &item)?.ok_or(DriveError::NotHeld)
    }

    /// A held program may go on: for an hour it removes what it likes.
    pub async fn let_go(&self, drive: DriveId, program: &str) -> Result<(), DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let (key, item) = self.read_held(drive, program).await?;
            let row = decode::<BrakeRow>("a brake", &item.value)?;
            let until = after(self.now(), LET_GO);
            let mut change = Change::new(self, drive);
            change.require(key.table, key.sort_key.clone(), Test::VersionIs(item.version));
            change.put_until(key.table, key.sort_key, BrakeRow { until: until.0, ..row }.encode_to_vec(), Some(until));
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) => break,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
        self.inner.counted.forget(drive, program);
        Ok(())
    }

    /// Brings back, for some seconds, what a held program threw away within the hour before, the latest first: so a folder comes back
    /// before what was in it. It stays held. Where there is more, the next call goes on from there.
    pub async fn put_back(&self, drive: DriveId, program: &str, by: Option<UserId>) -> Result<PutBack, DriveError> {
        let (key, item) = self.read_held(drive, program).await?;
        let row = decode::<BrakeRow>("a brake", &item.value)?;
        let (done, upto) = self.put_back_from(drive, program, by, &row).await?;
        let put_back = upto.unwrap_or_default();
        if put_back != row.put_back {
            // Only where to go on: should it be lost to others, the next call looks at some of it again.
            let until = after(WallMillis(row.since), HELD);
            let mut change = Change::new(self, drive);
            change.require(key.table, key.sort_key.clone(), Test::VersionIs(item.version));
            change.put_until(key.table, key.sort_key, BrakeRow { put_back, ..row }.encode_to_vec(), Some(until));
            change.commit(self.store(), &drive).await?;
        }
        Ok(done)
    }

    /// One go at it, and the last row that was looked at, where there is more.
    async fn put_back_from(
        &self,
        drive: DriveId,
        program: &str,
        by: Option<UserId>,
        row: &BrakeRow,
    ) -> Result<(PutBack, Option<Bytes>), DriveError> {
        let since = row.since;
        let from = since.saturating_sub(WINDOW.as_millis() as u64);
        let mut query = Query { reverse: true, limit: PAGE, ..Query::all(self.inner.tables.trash, drive.bytes()) };
        query.from = types::Bound::Included(Bytes::copy_from_slice(&from.to_be_bytes()));
        // What others threw away since is not looked at.
        let until = since.saturating_add(SKEW.as_millis() as u64);
        query.to = match row.put_back.is_empty() {
            true => types::Bound::Excluded(Bytes::copy_from_slice(&until.to_be_bytes())),
            false => types::Bound::Excluded(row.put_back.clone()),
        };
        let (begun, mut done) = (self.now(), PutBack::default());
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            // A page is done whole: what went in its last millisecond and is on the next one comes back after it.
            let mut thrown = Vec::new();
            for at in &page.items {
                thrown.extend(self.thrown_by(&at.sort_key, &at.item, program)?);
            }
            // Of what went in the same millisecond, folders before what was in them.
            thrown.sort_by_key(|it| (std::cmp::Reverse(it.at), it.path.len()));
            for it in thrown {
                match self.restore(drive, it.id, None, Clash::KeepBoth, by).await {
                    Ok(_) => done.restored += 1,
                    // Somebody else brought it back, or removed it.
                    Err(DriveError::NotInTrash) => {}
                    Err(DriveError::Client(error)) => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(%drive, %error, "something that a program threw away stays in the trash");
                        done.left += 1;
                    }
                }
            }
            let Some(next) = page.next else { return Ok((done, None)) };
            if u128::from(self.now().0.saturating_sub(begun.0)) >= self.inner.settings.putting_back.as_millis() {
                let last = page.items.last().map(|at| at.sort_key.clone());
                return Ok((PutBack { more: true, ..done }, last));
            }
            query = query.after(next);
        }
    }

    async fn read_held(&self, drive: DriveId, program: &str) -> Result<(ItemKey, Item), DriveError> {
        if program.is_empty() || program.len() > PROGRAM_BYTES_MAX {
            return Err(DriveError::NotHeld);
        }
        let key = self.brake_key(drive, program);
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or(DriveError::NotHeld)?;
        match held(&key.sort_key, &item)? {
            Some(_) => Ok((key, item)),
            None => Err(DriveError::NotHeld),
        }
    }
}

/// What a row says, if it holds.
fn held(sort_key: &[u8], item: &Item) -> Result<Option<Held>, DriveError> {
    let row = decode::<BrakeRow>("a brake", &item.value)?;
    let id = String::from_utf8_lossy(sort_key).into_owned();
    let program = Program { id, label: row.label };
    Ok((row.until == 0).then(|| Held { program, since: WallMillis(row.since), user: UserId::from_slice(&row.user) }))
}

/// Of acts that remove something only where they meet it: asked for then.
#[derive(Default)]
pub(super) struct LateBrake<'a>(Option<Brake<'a>>);

impl<'a> LateBrake<'a> {
    pub(super) async fn require(
        &mut self,
        drives: &'a Drives,
        drive: DriveId,
        change: &mut Change,
    ) -> Result<Option<usize>, DriveError> {
        if self.0.is_none() {
            self.0 = Some(drives.brake(drive).await?);
        }
        Ok(self.0.as_ref().and_then(|brake| brake.require(change)))
    }

    pub(super) async fn look(&mut self) -> Result<(), DriveError> {
        match &mut self.0 {
            Some(brake) => brake.look().await,
            None => Ok(()),
        }
    }

    pub(super) fn count(&self) {
        if let Some(brake) = &self.0 {
            brake.count();
        }
    }
}

impl Brake<'_> {
    /// The condition, if there is one: its index.
    pub(super) fn require(&self, change: &mut Change) -> Option<usize> {
        let (program, state) = self.program.as_ref()?;
        let key = self.drives.brake_key(self.drive, &program.id);
        Some(change.require(key.table, key.sort_key, state.test()))
    }

    async fn read(&self) -> Result<State, DriveError> {
        let Some((program, _)) = &self.program else { return Ok(State::Free(None)) };
        let key = self.drives.brake_key(self.drive, &program.id);
        let Some(item) = self.drives.inner.store.get(&key, Consistency::Strong).await? else {
            return Ok(State::Free(None));
        };
        let row = decode::<BrakeRow>("a brake", &item.value)?;
        Ok(match row.until {
            0 => State::Held,
            until if until > self.drives.now().0 => State::LetGo(item.version),
            _ => State::Free(Some(item.version)),
        })
    }

    /// The condition did not hold: the program is held, or was let go, or the time for which it was is over.
    pub(super) async fn look(&mut self) -> Result<(), DriveError> {
        let state = self.read().await?;
        let Some((program, seen)) = &mut self.program else { return Ok(()) };
        if matches!(state, State::Held) {
            return Err(DriveError::Held { program: program.label.clone() });
        }
        *seen = state;
        Ok(())
    }

    /// Something was removed. What somebody allowed does not count.
    pub(super) fn count(&self) {
        if let Some((program, State::Free(_))) = &self.program {
            self.drives.inner.counted.add(self.drive, program, self.drives.now());
        }
    }
}
