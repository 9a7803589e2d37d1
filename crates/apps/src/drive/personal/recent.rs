//! What a person opened, put or changed last: one row of a bounded list.
//!
//! Nobody waits for it. What is noted while another note of the same person is being written goes with the next write, so that
//! a thousand uploads cost few; what was noted when this process dies is forgotten. Noting again makes no copy: a thing is there once.

use super::super::rows::decode;
use super::super::{Act, Done, DriveError, Drives, Entry};
use super::{Placed, Thing, Whereabouts};
use crate::{DriveId, UserId};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use std::collections::{HashMap, HashSet};
use types::{Condition, Consistency, ItemKey, Test, Update, Version, WallMillis};

/// Things that are remembered of one person.
const RECENT_MAX: usize = 100;
/// People whose notes wait to be written by this process. Those of others are not taken.
const PEOPLE_MAX: usize = 10_000;
/// Others may write the same row at the same time.
const TRIES_MAX: usize = 5;
/// Opened again within this time, it is not noted anew.
const SAME_MS: u64 = 60_000;
/// Sort key of the row.
const ROW: &[u8] = b"recent";

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum RecentAct {
    /// Looked at it, or downloaded it.
    Opened = 0,
    /// Put it there.
    Uploaded = 1,
    /// Renamed, moved or restored it.
    Changed = 2,
}

/// Something that somebody did something with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// What, and where it is.
    pub placed: Placed,
    /// What they did last.
    pub act: RecentAct,
    /// When.
    pub at: WallMillis,
}

#[derive(Clone, PartialEq, Message)]
struct RecentRow {
    #[prost(message, repeated, tag = "1")]
    notes: Vec<NoteRow>,
}

#[derive(Clone, PartialEq, Message)]
struct NoteRow {
    #[prost(bytes = "bytes", tag = "1")]
    drive: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    id: Bytes,
    #[prost(uint64, tag = "3")]
    at: u64,
    #[prost(enumeration = "RecentAct", tag = "4")]
    act: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    thing: Thing,
    at: u64,
    act: RecentAct,
}

/// Notes that wait, or are being written, by person.
#[derive(Default)]
pub(in crate::drive) struct Notebook {
    people: Mutex<HashMap<UserId, Waiting>>,
}

#[derive(Default)]
struct Waiting {
    writing: Vec<Note>,
    next: Vec<Note>,
}

/// The latest of each thing, the latest first: of those before, the latest first, and of those since, the latest last. Clocks
/// tell milliseconds: within one, the order in which they came counts.
fn merged(before: &[Note], since: &[Note]) -> Vec<Note> {
    let mut notes: Vec<Note> = since.iter().rev().chain(before).copied().collect();
    notes.sort_by_key(|note| std::cmp::Reverse(note.at));
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.thing));
    notes.truncate(RECENT_MAX);
    notes
}

impl Drives {
    /// One row, of so many things, each once, the latest first.
    pub(in crate::drive) async fn check_recent(
        &self,
        user: UserId,
        findings: &mut Vec<String>,
    ) -> Result<(), DriveError> {
        for (key, value) in self.all_rows_of(user.bytes(), self.inner.tables.recent).await? {
            let row = decode::<RecentRow>("what was done last", &value);
            let notes = row.map(|row| row.notes).unwrap_or_default();
            let things: HashSet<_> = notes.iter().map(|note| (&note.drive, &note.id)).collect();
            let ids = notes.iter().all(|note| (note.drive.len(), note.id.len()) == (16, 16));
            let ordered = notes.is_sorted_by_key(|note| std::cmp::Reverse(note.at));
            if &key[..] != ROW
                || !ids
                || !ordered
                || things.len() != notes.len()
                || !(1..=RECENT_MAX).contains(&notes.len())
            {
                findings.push(format!("what {user} did last is not told as it should be: {key:?}"));
            }
        }
        Ok(())
    }

    /// Notes that this person did that with a file, at this moment.
    pub fn note(&self, user: UserId, drive: DriveId, entry: &Entry, act: RecentAct) {
        if entry.is_folder() {
            return;
        }
        let note = Note { thing: (drive, entry.id()), at: self.now().0, act };
        let mut people = self.inner.notebook.people.lock();
        if let Some(waiting) = people.get_mut(&user) {
            waiting.next.push(note);
            if waiting.next.len() > 2 * RECENT_MAX {
                waiting.next = merged(&[], &waiting.next);
                waiting.next.reverse();
            }
            return;
        }
        if people.len() >= PEOPLE_MAX {
            return;
        }
        people.insert(user, Waiting { writing: vec![note], next: Vec::new() });
        drop(people);
        let drives = self.clone();
        tokio::spawn(async move { drives.write_notes(user).await });
    }

    /// The same of what an act did, where it moved, copied or brought something.
    pub fn note_act(&self, user: UserId, drive: DriveId, act: &Act, done: &Done) {
        let changes =
            matches!(act, Act::Move { .. } | Act::Copy { .. } | Act::Restore { .. } | Act::RestoreVersion { .. });
        if let Some(entry) = done.entry.as_ref().filter(|_| changes) {
            self.note(user, drive, entry, RecentAct::Changed);
        }
    }

    async fn write_notes(&self, user: UserId) {
        loop {
            let notes = match self.inner.notebook.people.lock().get(&user) {
                Some(waiting) => waiting.writing.clone(),
                None => return,
            };
            if let Err(error) = self.write_recent(user, notes).await {
                tracing::debug!(%error, "what somebody did last is not remembered");
            }
            let mut people = self.inner.notebook.people.lock();
            match people.get_mut(&user) {
                Some(waiting) if !waiting.next.is_empty() => waiting.writing = std::mem::take(&mut waiting.next),
                _ => {
                    people.remove(&user);
                    return;
                }
            }
        }
    }

    async fn write_recent(&self, user: UserId, notes: Vec<Note>) -> Result<(), DriveError> {
        for _ in 0..TRIES_MAX {
            let (before, version) = self.recent_row(user).await?;
            let told = |note: &Note| {
                let same = |old: &&Note| old.thing == note.thing && old.act == note.act;
                before.iter().find(same).is_some_and(|old| note.at.saturating_sub(old.at) < SAME_MS)
            };
            if notes.iter().all(told) {
                return Ok(());
            }
            let rows = merged(&before, &notes).into_iter().map(|note| NoteRow {
                drive: note.thing.0.bytes(),
                id: Bytes::copy_from_slice(&note.thing.1),
                at: note.at,
                act: note.act as i32,
            });
            let value = Bytes::from(RecentRow { notes: rows.collect() }.encode_to_vec());
            let (table, sort_key) = (self.inner.tables.recent, Bytes::from_static(ROW));
            let test = version.map_or(Test::Absent, Test::VersionIs);
            let put = Update::Put { table, sort_key: sort_key.clone().into(), value: value.into(), expires: None };
            if self.change_personal(user, vec![Condition { table, sort_key, test }], vec![put]).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn recent_row(&self, user: UserId) -> Result<(Vec<Note>, Option<Version>), DriveError> {
        let key = ItemKey::new(self.inner.tables.recent, user.bytes(), ROW);
        let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else { return Ok((Vec::new(), None)) };
        let row: RecentRow = decode("what somebody did last", &item.value)?;
        let note = |row: &NoteRow| {
            let thing = (DriveId::from_slice(&row.drive)?, row.id[..].try_into().ok()?);
            Some(Note { thing, at: row.at, act: row.act() })
        };
        Ok((row.notes.iter().filter_map(note).collect(), Some(item.version)))
    }

    /// What this person did last in drives that they may look into, the latest first. What is gone is left out.
    pub async fn recent(&self, user: UserId, within: &[DriveId]) -> Result<Vec<Recent>, DriveError> {
        // Before the row: what is written meanwhile is in both, and not in neither.
        let waiting = match self.inner.notebook.people.lock().get(&user) {
            Some(waiting) => [&waiting.writing[..], &waiting.next].concat(),
            None => Vec::new(),
        };
        let (kept, _) = self.recent_row(user).await?;
        let notes = merged(&kept, &waiting);
        let things: Vec<Thing> = notes.iter().map(|note| note.thing).collect();
        let found = self.whereabouts(&things, within).await?;
        let recent = notes.into_iter().zip(found).filter_map(|(note, now)| match now {
            Whereabouts::Here(placed) => Some(Recent { placed: *placed, act: note.act, at: WallMillis(note.at) }),
            Whereabouts::Away | Whereabouts::Gone => None,
        });
        Ok(recent.collect())
    }
}
