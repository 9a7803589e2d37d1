//! The brake: a program that throws away more than somebody would who meant it is held back, until its owner says
//! whether it was meant. A sync client that lost its folder then costs a look at the trash, not a drive.
//!
//! What a program throws away is counted ([`super::removed`]). Who finds that it is too much writes a row that holds the program;
//! every removal by a program is conditioned on there being no such row, so it holds at once, on all nodes. What counts is
//! approximate, what holds is not.

use super::change::{Change, Commit};
use super::rows::decode;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives};
use crate::{DriveId, UserId};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use types::{Consistency, Item, ItemKey, Query, Test, Version, WallMillis};

/// Within this, removals are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(60 * 60);
/// How long a program that was let go removes what it likes.
const LET_GO: Duration = Duration::from_secs(60 * 60);
/// A program that nobody looks after is held for as long as the trash keeps what it threw away.
pub(super) const HELD: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Bytes of what names a program.
const PROGRAM_BYTES_MAX: usize = 64;
/// Programs held in one drive, told at a time.
const HELD_MAX: u32 = 100;
/// By so much may the clocks of two nodes differ.
pub(super) const SKEW: Duration = Duration::from_secs(5 * 60);

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

#[derive(Clone, PartialEq, Message)]
pub(super) struct BrakeRow {
    #[prost(string, tag = "1")]
    pub(super) label: String,
    #[prost(uint64, tag = "2")]
    pub(super) since: u64,
    /// Until then it may go on; 0: it is held.
    #[prost(uint64, tag = "3")]
    pub(super) until: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) user: Bytes,
    /// Putting back has come so far: the last row of the trash that it looked at. Empty: it begins.
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) put_back: Bytes,
}

pub(super) fn after(now: WallMillis, time: Duration) -> WallMillis {
    WallMillis(now.0.saturating_add(time.as_millis() as u64))
}

/// How it is with a program.
enum State {
    /// As with others; of an earlier time there may be a row.
    Free(Option<Version>),
    /// Until then.
    LetGo(Version, WallMillis),
    Held,
}

impl State {
    /// That it is still so.
    fn test(&self) -> Test {
        match self {
            State::Free(None) | State::Held => Test::Absent,
            State::Free(Some(at)) | State::LetGo(at, _) => Test::VersionIs(*at),
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
        if let Some((at, until)) = self.inner.counted.let_go(drive, program, now) {
            brake.program = Some((program, State::LetGo(at, until)));
            return Ok(brake);
        }
        if max == 0 || self.removed_by(drive, program, max).await < max {
            return Ok(brake);
        }
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let seen = brake.read().await?;
            match seen {
                State::Held => return Err(DriveError::Held { program: program.label.clone() }),
                State::LetGo(at, until) => {
                    self.inner.counted.note_let_go(drive, program, Some((at, until)), now);
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
            if !names_a_program(&key) {
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
            let removed = self.removed_key(drive, program);
            change.delete(removed.table, removed.sort_key);
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) => break,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
        self.inner.counted.forget(drive, program);
        Ok(())
    }

    pub(super) async fn read_held(&self, drive: DriveId, program: &str) -> Result<(ItemKey, Item), DriveError> {
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

/// Can this be a row of a program?
pub(super) fn names_a_program(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= PROGRAM_BYTES_MAX && std::str::from_utf8(key).is_ok()
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
            until if until > self.drives.now().0 => State::LetGo(item.version, WallMillis(until)),
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
        let let_go = match state {
            State::LetGo(at, until) => Some((at, until)),
            State::Free(_) | State::Held => None,
        };
        self.drives.inner.counted.note_let_go(self.drive, program, let_go, self.drives.now());
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
