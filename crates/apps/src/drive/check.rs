//! Is a drive whole? For `atoll doctor` and for tests.
//!
//! Reads all rows, page by page, so it tells the truth of a drive that nobody
//! changes meanwhile; on a busy one a finding that a second run repeats is real.

use super::change::{BYTES, FOLDER_ENTRIES_MAX, name_in};
use super::read::count_in;
use super::rows::{FolderRow, Work, WorkRow, decode};
use super::{DriveError, Drives, Entry};
use crate::{DriveId, FolderId, VersionId};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use types::{Consistency, Query, TableId};

/// Rows held in memory at most.
const ROWS_MAX: usize = 5_000_000;
/// Findings told at most.
const FINDINGS_MAX: usize = 1000;

/// All of a drive's rows, decoded.
struct Rows {
    entries: Vec<(FolderId, Entry)>,
    folders: BTreeMap<FolderId, FolderRow>,
    counts: BTreeMap<Bytes, i64>,
    contents: BTreeSet<VersionId>,
    puts: BTreeSet<VersionId>,
    releases: BTreeSet<VersionId>,
    dismantled: BTreeSet<FolderId>,
}

impl Drives {
    /// What is wrong with a drive, in words; empty when it is whole.
    pub async fn check(&self, drive: DriveId) -> Result<Vec<String>, DriveError> {
        let rows = self.read_rows(drive).await?;
        let mut findings = Vec::new();
        rows.check_folders(&mut findings);
        rows.check_contents(&mut findings);
        rows.check_counts(&mut findings);
        findings.truncate(FINDINGS_MAX);
        Ok(findings)
    }

    async fn read_rows(&self, drive: DriveId) -> Result<Rows, DriveError> {
        let tables = self.inner.tables;
        let damaged = || DriveError::Damaged("a key".into());
        let mut rows = Rows {
            entries: Vec::new(),
            folders: BTreeMap::new(),
            counts: BTreeMap::new(),
            contents: BTreeSet::new(),
            puts: BTreeSet::new(),
            releases: BTreeSet::new(),
            dismantled: BTreeSet::new(),
        };
        for (key, value) in self.all_rows(drive, tables.entries).await? {
            let parent = key.get(..16).and_then(FolderId::from_slice).ok_or_else(damaged)?;
            rows.entries.push((parent, Entry::decode(name_in(&key)?, &value)?));
        }
        for (key, value) in self.all_rows(drive, tables.folders).await? {
            rows.folders.insert(FolderId::from_slice(&key).ok_or_else(damaged)?, decode("a folder", &value)?);
        }
        for (key, value) in self.all_rows(drive, tables.counts).await? {
            rows.counts.insert(key, count_in(&value)?);
        }
        for (key, _) in self.all_rows(drive, tables.contents).await? {
            rows.contents.insert(VersionId::from_slice(&key).ok_or_else(damaged)?);
        }
        for (key, value) in self.all_rows(drive, tables.work).await? {
            let (_, id) = key.split_first().ok_or_else(damaged)?;
            let row = decode::<WorkRow>("a row of work", &value)?;
            match row.work() {
                Work::Put => rows.puts.insert(VersionId::from_slice(id).ok_or_else(damaged)?),
                Work::Release => rows.releases.insert(VersionId::from_slice(id).ok_or_else(damaged)?),
                Work::Dismantle => rows.dismantled.insert(FolderId::from_slice(id).ok_or_else(damaged)?),
                Work::Unknown => true,
            };
        }
        Ok(rows)
    }

    async fn all_rows(&self, drive: DriveId, table: TableId) -> Result<Vec<(Bytes, Bytes)>, DriveError> {
        let mut query = Query::all(table, drive.bytes());
        let mut rows = Vec::new();
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            rows.extend(page.items.into_iter().map(|at| (at.sort_key, at.item.value)));
            if rows.len() > ROWS_MAX {
                return Err(DriveError::Invalid("the drive is too large to be checked in one piece".into()));
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(rows),
            }
        }
    }
}

impl Rows {
    /// Entries and folders' own rows agree; every folder hangs from the root or from one being dismantled.
    fn check_folders(&self, findings: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for (parent, entry) in &self.entries {
            if *parent != FolderId::ROOT && !self.folders.contains_key(parent) && !self.dismantled.contains(parent) {
                findings.push(format!("the entry {:?} is in the folder {parent}, which is not there", entry.name));
            }
            let Some(folder) = entry.folder() else { continue };
            if !seen.insert(folder.id) {
                findings.push(format!("the folder {} is in two places", folder.id));
            }
            match self.folders.get(&folder.id) {
                Some(row) if row.parent == parent.bytes() && row.name == entry.name => {}
                Some(_) => findings.push(format!("the folder {} does not know where it is", folder.id)),
                None => findings.push(format!("the folder {} has an entry and no row", folder.id)),
            }
        }
        for folder in self.folders.keys() {
            if !seen.contains(folder) {
                findings.push(format!("the folder {folder} has a row and no entry"));
            }
            let mut at = *folder;
            for _ in 0..=self.folders.len() {
                match self.folders.get(&at).and_then(|row| FolderId::from_slice(&row.parent)) {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            if at != FolderId::ROOT && !self.dismantled.contains(&at) {
                findings.push(format!("the folder {folder} does not hang from the root: a cycle, or lost"));
            }
        }
    }

    /// Every file has a content of its own; every content has an entry or work.
    fn check_contents(&self, findings: &mut Vec<String>) {
        let mut named = BTreeSet::new();
        for file in self.entries.iter().filter_map(|(_, entry)| entry.file()) {
            if !named.insert(file.version) {
                findings.push(format!("two entries name the version {}", file.version));
            }
            if !self.contents.contains(&file.version) {
                findings.push(format!("the version {} has an entry and no content", file.version));
            }
        }
        for version in &self.contents {
            let places = [&named, &self.puts, &self.releases].iter().filter(|set| set.contains(version)).count();
            if places != 1 {
                findings.push(format!("the version {version} is in {places} of: an entry, a put, a release"));
            }
        }
        for version in self.puts.union(&self.releases).filter(|version| !self.contents.contains(version)) {
            findings.push(format!("there is work for the version {version}, which has no content"));
        }
    }

    /// Counters say what is there.
    fn check_counts(&self, findings: &mut Vec<String>) {
        let mut entries: BTreeMap<Bytes, i64> = BTreeMap::new();
        for (parent, _) in self.entries.iter().filter(|(parent, _)| !self.dismantled.contains(parent)) {
            *entries.entry(parent.bytes()).or_default() += 1;
        }
        let bytes: i64 = self.entries.iter().map(|(_, entry)| entry.size() as i64).sum();
        entries.insert(Bytes::from_static(BYTES), bytes);
        let dismantled: BTreeSet<Bytes> = self.dismantled.iter().map(FolderId::bytes).collect();
        let keys: BTreeSet<&Bytes> = entries.keys().chain(self.counts.keys()).collect();
        for key in keys.into_iter().filter(|key| !dismantled.contains(*key)) {
            let (said, is) = (self.counts.get(key).unwrap_or(&0), entries.get(key).unwrap_or(&0));
            if said != is {
                let what = FolderId::from_slice(key).map_or("bytes".into(), |folder| format!("entries of {folder}"));
                findings.push(format!("the counter of {what} says {said}; it is {is}"));
            }
            if *said < 0 || (key != BYTES && *said > FOLDER_ENTRIES_MAX) {
                findings.push(format!("a counter is out of bounds: {said}"));
            }
            let known = key == BYTES
                || FolderId::from_slice(key)
                    .is_some_and(|folder| folder == FolderId::ROOT || self.folders.contains_key(&folder));
            if !known {
                findings.push(format!("a counter is left of something that is gone: {key:?}"));
            }
        }
    }
}
