//! How much a program has removed lately, through whichever process.
//!
//! Each process counts for itself, and every so often adds what it counted to a row of the drive: so that it learns what went through
//! the others, and others what went through it, at no cost to most removals. What it has not told yet is all that a restart forgets,
//! and all by which a program gets past the bound that removes through many.

use super::brake::{Program, SKEW, WINDOW, after, names_a_program};
use super::change::{Change, Commit};
use super::rows::decode;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives};
use crate::DriveId;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use std::collections::HashMap;
use types::{Consistency, ItemKey, Test, Version, WallMillis};

/// So often a process tells what it counted, on the way to the bound.
const TOLD_TIMES: u32 = 16;
/// Programs that are counted at a time.
const COUNTED_MAX: usize = 10_000;

#[derive(Clone, PartialEq, Message)]
struct RemovedRow {
    /// When the first of these was removed.
    #[prost(uint64, tag = "1")]
    since: u64,
    #[prost(uint32, tag = "2")]
    count: u32,
}

/// What programs have removed, as far as this process knows.
#[derive(Default)]
pub(super) struct Counted {
    programs: Mutex<HashMap<(DriveId, String), Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    since: WallMillis,
    /// As the row said.
    told: u32,
    /// On its way to the row.
    telling: u32,
    /// Through this process, since.
    more: u32,
    /// By which row, and until when, it may remove what it likes.
    let_go: Option<(Version, WallMillis)>,
}

impl Count {
    fn from(since: WallMillis) -> Count {
        Count { since, told: 0, telling: 0, more: 0, let_go: None }
    }

    fn sum(&self) -> u32 {
        self.told.saturating_add(self.telling).saturating_add(self.more)
    }
}

/// What is on its way to the row. Unless it came there, it is still to be told.
struct Telling<'a> {
    counted: &'a Counted,
    key: (DriveId, String),
    count: u32,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.ended(|count, on_its_way| count.more = count.more.saturating_add(on_its_way));
    }
}

impl Telling<'_> {
    /// How much it is then, if it is still counted.
    fn ended(&mut self, then: impl FnOnce(&mut Count, u32)) -> Option<u32> {
        let on_its_way = std::mem::take(&mut self.count);
        let mut programs = self.counted.programs.lock();
        let count = programs.get_mut(&self.key).filter(|_| on_its_way > 0)?;
        count.telling = count.telling.saturating_sub(on_its_way);
        then(count, on_its_way);
        Some(count.sum())
    }

    /// The row says so now. How much it is, with what came meanwhile.
    fn came(mut self, row: &RemovedRow) -> u32 {
        let sum = self.ended(|count, _| {
            let is_older = count.since.0 < row.since;
            count.told = if is_older { row.count } else { count.told.max(row.count) };
            count.since = WallMillis(row.since);
        });
        sum.unwrap_or(row.count)
    }
}

impl Counted {
    /// How much it was within the window; and what is to be told of it now.
    fn of(&self, drive: DriveId, program: &Program, (max, now): (u32, WallMillis)) -> (u32, Option<Telling<'_>>) {
        let mut programs = self.programs.lock();
        let key = (drive, program.id.clone());
        let Some(count) = programs.get_mut(&key).filter(|count| is_within(count.since, now)) else { return (0, None) };
        // One at a time: else what one has written is counted once more, in what another read and in what is on its way.
        let due =
            count.telling == 0 && (count.more >= (max / TOLD_TIMES).max(1) || count.more > 0 && count.sum() >= max);
        let telling = due.then(|| {
            let more = std::mem::take(&mut count.more);
            count.telling = count.telling.saturating_add(more);
            Telling { counted: self, key, count: more }
        });
        (count.sum(), telling)
    }

    pub(super) fn add(&self, drive: DriveId, program: &Program, now: WallMillis) {
        self.with(drive, program, now, |count| count.more = count.more.saturating_add(1));
    }

    /// By which row somebody let it go, if so: the next removals need not find that out anew. They rest on the row all the same.
    pub(super) fn note_let_go(
        &self,
        drive: DriveId,
        program: &Program,
        row: Option<(Version, WallMillis)>,
        now: WallMillis,
    ) {
        self.with(drive, program, now, |count| count.let_go = row);
    }

    /// Is it known that it was let go?
    pub(super) fn let_go(&self, drive: DriveId, program: &Program, now: WallMillis) -> Option<(Version, WallMillis)> {
        let programs = self.programs.lock();
        programs.get(&(drive, program.id.clone()))?.let_go.filter(|(_, until)| until.0 > now.0)
    }

    fn with(&self, drive: DriveId, program: &Program, now: WallMillis, act: impl FnOnce(&mut Count)) {
        let mut programs = self.programs.lock();
        if programs.len() >= COUNTED_MAX {
            programs.retain(|_, count| is_within(count.since, now));
            if programs.len() >= COUNTED_MAX {
                programs.clear();
            }
        }
        let count = programs.entry((drive, program.id.clone())).or_insert(Count::from(now));
        if !is_within(count.since, now) {
            *count = Count::from(now);
        }
        act(count);
    }

    pub(super) fn forget(&self, drive: DriveId, program: &str) {
        self.programs.lock().remove(&(drive, program.to_string()));
    }
}

fn is_within(since: WallMillis, now: WallMillis) -> bool {
    u128::from(now.0.saturating_sub(since.0)) < WINDOW.as_millis()
}

impl Drives {
    pub(super) fn removed_key(&self, drive: DriveId, program: &str) -> ItemKey {
        ItemKey::new(self.inner.tables.removed, drive.bytes(), Bytes::copy_from_slice(program.as_bytes()))
    }

    /// How much the program has removed lately. The row is asked where enough has come together, or `max` seems to be reached.
    pub(super) async fn removed_by(&self, drive: DriveId, program: &Program, max: u32) -> u32 {
        let counted = &self.inner.counted;
        let (sum, telling) = counted.of(drive, program, (max, self.now()));
        let Some(telling) = telling else { return sum };
        match self.tell_removed(drive, program, telling.count).await {
            Ok(row) => telling.came(&row),
            // What this process knows is enough to go by, and the removal itself says what is wrong with the store.
            Err(error) => {
                tracing::debug!(%drive, %error, "what a program removed is told to others later");
                sum
            }
        }
    }

    /// Adds to the row, and what it says then.
    async fn tell_removed(&self, drive: DriveId, program: &Program, more: u32) -> Result<RemovedRow, DriveError> {
        let (key, mut tries) = (self.removed_key(drive, &program.id), Tries::at(&DrivePath::root()));
        loop {
            let (found, now) = (self.inner.store.get(&key, Consistency::Strong).await?, self.now());
            let test = found.as_ref().map_or(Test::Absent, |item| Test::VersionIs(item.version));
            let row = found.map(|item| decode::<RemovedRow>("what was removed", &item.value)).transpose()?;
            let row = row.filter(|row| is_within(WallMillis(row.since), now));
            let row = row.unwrap_or(RemovedRow { since: now.0, count: 0 });
            let row = RemovedRow { count: row.count.saturating_add(more), ..row };
            let mut change = Change::new(self, drive);
            change.require(key.table, key.sort_key.clone(), test);
            let until = after(WallMillis(row.since), WINDOW);
            change.put_until(key.table, key.sort_key.clone(), row.encode_to_vec(), Some(until));
            match change.commit(self.store(), &drive).await? {
                Commit::Done(_) => return Ok(row),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Every row can be read, and is of a program and of a time that has come.
    pub(super) async fn check_removed(&self, drive: DriveId, findings: &mut Vec<String>) -> Result<(), DriveError> {
        let skew = after(self.now(), SKEW);
        for (key, value) in self.all_rows(drive, self.inner.tables.removed).await? {
            let program = String::from_utf8_lossy(&key);
            if !names_a_program(&key) {
                findings.push(format!("what was removed is of no program: {program:?}"));
            }
            match decode::<RemovedRow>("what was removed", &value) {
                Err(_) => findings.push(format!("how much {program:?} removed cannot be read")),
                Ok(row) if row.since > skew.0 => findings.push(format!("{program:?} will have removed something")),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}
