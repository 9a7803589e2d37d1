//! Is a drive whole, and what people keep for themselves? For tests.
//!
//! Reads all rows, page by page, so it tells the truth of a drive that nobody
//! changes meanwhile; on a busy one a finding that a second run repeats is real.

use super::change::{BYTES, FOLDER_ENTRIES_MAX, name_in};
use super::path::DEPTH_MAX;
use super::read::count_in;
use super::rows::{EntryRow, PlaceRow, Work, WorkRow, decode};
use super::versions::Kept;
use super::{DriveError, Drives, Entry, FileInfo, index};
use crate::{DriveId, FolderId, UserId, VersionId};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use types::{Consistency, Query, TableId};

/// Rows held in memory at most.
const ROWS_MAX: usize = 5_000_000;
/// Findings told at most.
const FINDINGS_MAX: usize = 1000;

/// An entry in its folder.
struct Found {
    parent: FolderId,
    entry: Entry,
    /// It must have a place and rows of the index.
    indexed: bool,
    value: Bytes,
}

/// All of a drive's rows, decoded.
#[derive(Default)]
struct Rows {
    entries: Vec<Found>,
    /// With the names that their places give them.
    trash: Vec<(String, Entry)>,
    versions: Vec<FileInfo>,
    /// Earlier versions that S3 calls `null`, and the rows that say which they are: file, then the rest of the key.
    nulls: BTreeSet<Bytes>,
    said_nulls: BTreeSet<Bytes>,
    /// Keys where a history was left.
    gone: i64,
    places: BTreeMap<[u8; 16], PlaceRow>,
    counts: BTreeMap<Bytes, i64>,
    contents: BTreeSet<VersionId>,
    index: BTreeMap<Bytes, Bytes>,
    puts: BTreeSet<VersionId>,
    releases: BTreeSet<VersionId>,
    dismantled: BTreeSet<FolderId>,
    /// Whose properties there are.
    properties: BTreeSet<Bytes>,
    thumbnails: BTreeSet<VersionId>,
    /// Of which contents something is said.
    about: BTreeSet<VersionId>,
    /// Parts of uploads, by upload and number, with their contents and bytes.
    parts: Vec<(Bytes, VersionId, u64)>,
    /// Uploads whose parts' bytes are those of an object.
    used: BTreeSet<Bytes>,
}

impl Drives {
    /// What is wrong with a drive, in words; empty when it is whole.
    pub async fn check(&self, drive: DriveId) -> Result<Vec<String>, DriveError> {
        let rows = self.read_rows(drive).await?;
        let mut findings = Vec::new();
        rows.check_places(&mut findings);
        rows.check_heights(&mut findings);
        rows.check_index(&mut findings);
        rows.check_contents(&mut findings);
        rows.check_counts(&mut findings);
        rows.check_properties(&mut findings);
        for key in rows.nulls.symmetric_difference(&rows.said_nulls) {
            findings.push(format!(
                "of a version without a name it is not known where it is, or where it is there is none: {key:?}"
            ));
        }
        self.check_texts(drive, rows.entries(), &mut findings).await?;
        self.check_brakes(drive, &mut findings).await?;
        self.check_removed(drive, &mut findings).await?;
        findings.truncate(FINDINGS_MAX);
        Ok(findings)
    }

    /// Are the stars of a person as many as are counted, and what they did last as it should be?
    pub async fn check_personal(&self, user: UserId) -> Result<Vec<String>, DriveError> {
        let mut findings = Vec::new();
        self.check_stars(user, &mut findings).await?;
        self.check_recent(user, &mut findings).await?;
        Ok(findings)
    }

    async fn read_rows(&self, drive: DriveId) -> Result<Rows, DriveError> {
        let tables = self.inner.tables;
        let damaged = || DriveError::Damaged("a key".into());
        let mut rows = Rows::default();
        for (key, value) in self.all_rows(drive, tables.entries).await? {
            let parent = key.get(..16).and_then(FolderId::from_slice).ok_or_else(damaged)?;
            let row = decode::<EntryRow>("an entry", &value)?;
            let indexed = row.indexed >= index::GENERATION;
            rows.entries.push(Found { parent, entry: row.into_entry(name_in(&key)?)?, indexed, value });
        }
        for (key, value) in self.all_rows(drive, tables.flat).await? {
            let name = std::str::from_utf8(&key).map_err(|_| damaged())?;
            let entry = decode::<EntryRow>("an object", &value)?.into_entry(name)?;
            rows.entries.push(Found { parent: FolderId::FLAT, entry, indexed: false, value });
        }
        for (key, value) in self.all_rows(drive, tables.parts).await? {
            let (version, size) = super::objects::uploads::part_in(&value)?;
            rows.parts.push((key, version, size));
        }
        for (key, _) in self.all_rows(drive, tables.about).await? {
            rows.about.insert(VersionId::from_slice(&key).ok_or_else(damaged)?);
        }
        let mut cursor = None;
        loop {
            let page = self.trash_list(drive, cursor.as_deref(), 0).await?;
            rows.trash.extend(page.items.into_iter().map(|it| (it.id.to_string(), it.entry)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        for (key, value) in self.all_rows(drive, tables.versions).await? {
            let row = Kept::of(key, types::Version::default(), &value)?;
            if row.is_null() {
                rows.nulls.insert(row.key.clone());
            }
            rows.versions.extend(row.file().cloned());
        }
        for (key, value) in self.all_rows(drive, tables.nulls).await? {
            rows.said_nulls.insert([&key[..], &value].concat().into());
        }
        rows.gone = self.all_rows(drive, tables.gone).await?.len() as i64;
        for (key, value) in self.all_rows(drive, tables.places).await? {
            rows.places.insert(key[..].try_into().map_err(|_| damaged())?, decode("a place", &value)?);
        }
        rows.index.extend(self.all_rows(drive, tables.index).await?);
        for (key, value) in self.all_rows(drive, tables.counts).await? {
            rows.counts.insert(key, count_in(&value)?);
        }
        for (key, _) in self.all_rows(drive, tables.contents).await? {
            rows.contents.insert(VersionId::from_slice(&key).ok_or_else(damaged)?);
        }
        for (key, _) in self.all_rows(drive, tables.properties).await? {
            rows.properties.insert(key);
        }
        for (key, _) in self.all_rows(drive, tables.thumbnails).await? {
            rows.thumbnails.insert(VersionId::from_slice(&key).ok_or_else(damaged)?);
        }
        for (key, value) in self.all_rows(drive, tables.work).await? {
            let (_, id) = key.split_first().ok_or_else(damaged)?;
            let row = decode::<WorkRow>("a row of work", &value)?;
            match row.work() {
                Work::Put => rows.puts.insert(VersionId::from_slice(id).ok_or_else(damaged)?),
                Work::Release => rows.releases.insert(VersionId::from_slice(id).ok_or_else(damaged)?),
                Work::Dismantle => rows.dismantled.insert(FolderId::from_slice(id).ok_or_else(damaged)?),
                Work::UsedParts => rows.used.insert(Bytes::copy_from_slice(id)),
                Work::Forget | Work::Upload | Work::Parts | Work::Unknown => true,
            };
        }
        Ok(rows)
    }

    pub(super) async fn all_rows(&self, drive: DriveId, table: TableId) -> Result<Vec<(Bytes, Bytes)>, DriveError> {
        self.all_rows_of(drive.bytes(), table).await
    }

    /// The same of rows that are a person's.
    pub(super) async fn all_rows_of(&self, owner: Bytes, table: TableId) -> Result<Vec<(Bytes, Bytes)>, DriveError> {
        let mut query = Query::all(table, owner);
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
    /// Entries and places agree; every folder hangs from the root, from the trash, from a job or from one being dismantled.
    fn check_places(&self, findings: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        let there = self.entries.iter().map(|it| (it.parent, &it.entry.name, &it.entry, it.indexed));
        let thrown = self.trash.iter().map(|(name, entry)| (FolderId::TRASH, name, entry, true));
        for (parent, name, entry, indexed) in there.chain(thrown) {
            let known = [FolderId::ROOT, FolderId::TRASH, FolderId::FLAT].contains(&parent)
                || self.places.contains_key(&parent.0)
                || self.dismantled.contains(&parent);
            if !known {
                findings.push(format!("the entry {name:?} is in the folder {parent}, which is not there"));
            }
            let id = entry.id();
            if !seen.insert(id) {
                findings.push(format!("{name:?} is in two places"));
            }
            match self.places.get(&id) {
                Some(row) if row.parent == parent.bytes() && row.name == *name => {}
                Some(row) => findings.push(format!("{name:?} does not know where it is: {row:?}")),
                None if indexed || entry.is_folder() => findings.push(format!("{name:?} has no place")),
                None => {}
            }
        }
        for (id, row) in &self.places {
            let made_by_job = row.parent == FolderId::JOBS.bytes();
            if !seen.contains(id) && !made_by_job {
                findings.push(format!("{:?} has a place and no entry", row.name));
            }
            let mut at = FolderId(*id);
            for _ in 0..=self.places.len() {
                match self.places.get(&at.0).and_then(|row| FolderId::from_slice(&row.parent)) {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            if ![FolderId::ROOT, FolderId::TRASH, FolderId::JOBS, FolderId::FLAT].contains(&at)
                && !self.dismantled.contains(&at)
            {
                findings.push(format!("{:?} does not hang from the root: a cycle, or lost", row.name));
            }
        }
    }

    /// No folder has more levels of folders below it than it says, and nothing is too deep for a path.
    fn check_heights(&self, findings: &mut Vec<String>) {
        let said: BTreeMap<[u8; 16], Option<u32>> =
            self.entries().filter_map(|entry| Some((entry.id(), entry.folder()?.height))).collect();
        for entry in self.entries() {
            let (mut at, mut level) = (entry.id(), 0);
            while let Some(row) = self.places.get(&at).filter(|_| level <= DEPTH_MAX) {
                let Ok(parent) = <[u8; 16]>::try_from(&row.parent[..]) else { break };
                (at, level) = (parent, level + 1);
                let levels = level as u32 - u32::from(!entry.is_folder());
                if said.get(&at).copied().flatten().is_some_and(|height| height < levels) {
                    findings.push(format!("above {:?} are folders that say that they are less high", entry.name));
                    break;
                }
            }
            if level > DEPTH_MAX {
                findings.push(format!("{:?} is deeper than a path may be", entry.name));
            }
        }
    }

    /// The index says what the entries say.
    fn check_index(&self, findings: &mut Vec<String>) {
        let mut wanted = BTreeMap::new();
        for found in self.entries.iter().filter(|found| found.indexed) {
            wanted.extend(index::keys(found.parent, &found.entry).map(|key| (key, (&found.entry.name, &found.value))));
        }
        for (key, (name, value)) in &wanted {
            if self.index.get(key) != Some(*value) {
                findings.push(format!("{name:?} is not in the index as it is"));
            }
        }
        for key in self.index.keys().filter(|key| key.len() > 1 && !wanted.contains_key(*key)) {
            findings.push(format!("the index has something that is not there: {key:?}"));
        }
    }

    /// Whatever says that it has properties has a row of them, and nothing else has.
    fn check_properties(&self, findings: &mut Vec<String>) {
        let said: BTreeSet<Bytes> =
            self.entries().filter(|entry| entry.properties).map(|entry| Bytes::copy_from_slice(&entry.id())).collect();
        for id in said.symmetric_difference(&self.properties) {
            let what = if said.contains(id) { "are said to be there and are not" } else { "belong to nothing" };
            findings.push(format!("the properties of {id:?} {what}"));
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|it| &it.entry).chain(self.trash.iter().map(|(_, entry)| entry))
    }

    fn files(&self) -> impl Iterator<Item = &FileInfo> {
        self.entries().filter_map(Entry::file).chain(&self.versions)
    }

    /// Every file and earlier version has a content of its own; every content has one of them, or work.
    fn check_contents(&self, findings: &mut Vec<String>) {
        let mut named = BTreeSet::new();
        for file in self.files() {
            if !named.insert(file.version) {
                findings.push(format!("two entries name the version {}", file.version));
            }
            if !self.contents.contains(&file.version) {
                findings.push(format!("the version {} has an entry and no content", file.version));
            }
        }
        for (_, version, _) in &self.parts {
            if !named.insert(*version) || !self.contents.contains(version) {
                findings.push(format!("a part names the version {version}, which has no content, or two names"));
            }
        }
        for version in self.about.difference(&self.contents) {
            findings.push(format!("something is said of the version {version}, which has no content"));
        }
        for version in &self.contents {
            let places = [&named, &self.puts, &self.releases].iter().filter(|set| set.contains(version)).count();
            if places != 1 {
                findings.push(format!("the version {version} is in {places} of: an entry, a put, a release"));
            }
        }
        for version in self.thumbnails.difference(&self.contents) {
            findings.push(format!("the version {version} has a thumbnail and no content"));
        }
        for version in self.puts.union(&self.releases).filter(|version| !self.contents.contains(version)) {
            findings.push(format!("there is work for the version {version}, which has no content"));
        }
    }

    /// Counters say what is there.
    fn check_counts(&self, findings: &mut Vec<String>) {
        let mut entries: BTreeMap<Bytes, i64> = BTreeMap::new();
        for found in self.entries.iter().filter(|found| !self.dismantled.contains(&found.parent)) {
            *entries.entry(found.parent.bytes()).or_default() += 1;
        }
        let unused = self.parts.iter().filter(|(key, ..)| !key.get(..16).is_some_and(|id| self.used.contains(id)));
        let parts: u64 = unused.map(|(_, _, size)| size).sum();
        let bytes = self.files().map(|file| file.size as i64).sum::<i64>() + parts as i64;
        entries.insert(Bytes::from_static(BYTES), bytes);
        entries.insert(FolderId::GONE.bytes(), self.gone);
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
                || FolderId::from_slice(key).is_some_and(|folder| {
                    [FolderId::ROOT, FolderId::FLAT, FolderId::GONE].contains(&folder)
                        || self.places.contains_key(&folder.0)
                });
            if !known {
                findings.push(format!("a counter is left of something that is gone: {key:?}"));
            }
        }
    }
}
