//! Reads what a Raft node left on disk, and refuses what cannot be the whole of it.

use super::disk::{COMMITTED_KEY, PURGED_KEY, VOTE_KEY};
use super::machine::Image;
use super::types::{Entry, LogId, Vote, unseal};
use crate::store::MetadataError;
use fjall::Keyspace;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const LOG_PREFIX: u8 = b'l';

/// Where a piece of a log entry is kept: in index order.
pub(super) fn log_key(index: u64, piece: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(11);
    key.push(LOG_PREFIX);
    key.extend_from_slice(&index.to_be_bytes());
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

fn parse_log_key(key: &[u8]) -> Option<(u64, u16)> {
    let (index, piece) = key.strip_prefix(&[LOG_PREFIX])?.split_at_checked(8)?;
    Some((u64::from_be_bytes(index.try_into().ok()?), u16::from_be_bytes(piece.try_into().ok()?)))
}

/// An entry as it was found.
pub(super) struct LoadedEntry {
    pub(super) entry: Entry,
    pub(super) pieces: u16,
    pub(super) bytes: usize,
}

/// What a node held when it last ran.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) entries: BTreeMap<u64, LoadedEntry>,
    pub(super) snapshot: Option<Image>,
}

impl Loaded {
    /// Index after the last entry.
    pub(super) fn next_index(&self) -> u64 {
        let last = self.entries.keys().next_back().copied();
        last.max(self.purged.map(|purged| purged.index)).map_or(0, |last| last + 1)
    }

    pub(super) fn stored_indexes(&self) -> BTreeMap<u64, u16> {
        self.entries.iter().map(|(index, loaded)| (*index, loaded.pieces)).collect()
    }

    /// Refuses what a node that lost nothing cannot hold.
    fn check(&self) -> Result<(), String> {
        let mut expected = self.purged.map_or(0, |purged| purged.index + 1);
        for (index, loaded) in &self.entries {
            if *index != expected || loaded.entry.log_id.index != *index {
                return Err(format!("log entry {expected} is missing"));
            }
            expected += 1;
        }
        let snapshot = self.snapshot.as_ref().and_then(|image| image.last_applied);
        if self.purged > snapshot {
            return Err("the log was purged beyond the snapshot".to_string());
        }
        if self.committed.map(|id| id.index) > snapshot.map(|id| id.index)
            && self.committed.map_or(0, |id| id.index + 1) > expected
        {
            return Err("committed entries are missing at the log's end".to_string());
        }
        let last = self.entries.values().next_back().map(|loaded| loaded.entry.log_id.leader_id);
        if last > Some(self.vote.unwrap_or_default().leader_id) {
            return Err("the last vote is missing".to_string());
        }
        Ok(())
    }
}

pub(super) fn load(keyspace: &Keyspace, folder: &Path) -> Result<Loaded, MetadataError> {
    let damaged = |what: &str, error: &dyn std::fmt::Display| MetadataError::Damaged(format!("{what}: {error}"));
    let mut loaded = Loaded {
        vote: read(keyspace, VOTE_KEY).map_err(|error| damaged("vote", &error))?,
        committed: read(keyspace, COMMITTED_KEY).map_err(|error| damaged("commit index", &error))?,
        purged: read(keyspace, PURGED_KEY).map_err(|error| damaged("purge point", &error))?,
        entries: BTreeMap::new(),
        snapshot: None,
    };
    let mut pieces: BTreeMap<u64, (u16, Vec<u8>)> = BTreeMap::new();
    for guard in keyspace.prefix([LOG_PREFIX]) {
        let (key, value) = guard.into_inner().map_err(|error| damaged("log", &error))?;
        let (index, piece) = parse_log_key(&key).ok_or_else(|| damaged("log", &"a key of unknown form"))?;
        let (count, bytes) = pieces.entry(index).or_default();
        if piece != *count {
            return Err(damaged("log", &format!("entry {index} lacks a piece")));
        }
        *count += 1;
        bytes.extend_from_slice(&value);
    }
    for (index, (pieces, sealed)) in pieces {
        let entry = unseal(&sealed).map_err(|error| damaged(&format!("log entry {index}"), &error))?;
        loaded.entries.insert(index, LoadedEntry { entry, pieces, bytes: sealed.len() });
    }
    if let Some(sealed) = read_snapshot(folder).map_err(|error| damaged("snapshot", &error))? {
        loaded.snapshot = Some(unseal(&sealed).map_err(|error| damaged("snapshot", &error))?);
    }
    loaded.check().map_err(MetadataError::Damaged)?;
    Ok(loaded)
}

fn read<T: DeserializeOwned>(keyspace: &Keyspace, key: &[u8]) -> Result<Option<T>, String> {
    let Some(sealed) = keyspace.get(key).map_err(|error| error.to_string())? else { return Ok(None) };
    unseal(&sealed).map(Some)
}

pub(super) fn read_snapshot(folder: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join("snapshot")) {
        Ok(sealed) => Ok(Some(sealed)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the snapshot; durable on return.
pub(super) fn write_snapshot(folder: &Path, sealed: &[u8]) -> io::Result<()> {
    let fresh = folder.join("snapshot.new");
    let mut file = File::create(&fresh)?;
    file.write_all(sealed)?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join("snapshot"))?;
    File::open(folder)?.sync_all()
}
