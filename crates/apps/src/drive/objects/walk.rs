//! Walking all keys of a drive in the order of their bytes, from any place on.
//!
//! The tree is walked in depth, a frame for each folder on the way. The store gives a folder's entries by name; a folder
//! sorts as its name with a slash, so it is held back until the entries that come before that (`a-b` before `a/`) have been
//! given. The flat list is a second stream, merged in, and so is the list of what was left at keys.

use crate::drive::change::name_in;
use crate::drive::succession::Left;
use crate::drive::{DriveError, Drives, Entry};
use crate::{DriveId, FolderId};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use types::query::prefix_end;
use types::{Bound, Consistency, Item, ItemKey, Query};

/// What comes next.
pub(super) enum Step {
    /// An object.
    Object(String, Entry),
    /// A folder; its key ends with a slash. What is in it comes only when it is entered.
    Folder(String, Entry),
    /// What was left at a key, whether or not there is an object. It comes after that.
    Left(String, Left),
}

impl Step {
    pub(super) fn key(&self) -> &str {
        match self {
            Step::Object(key, _) | Step::Folder(key, _) | Step::Left(key, _) => key,
        }
    }
}

/// A walk over keys that begin with a prefix.
pub(super) struct KeyWalk<'a> {
    drives: &'a Drives,
    drive: DriveId,
    prefix: &'a str,
    /// Entries to be read at a time.
    page: u32,
    frames: Vec<Frame>,
    flat: Beside<Entry>,
    left: Beside<Left>,
}

/// A folder that is being walked.
struct Frame {
    folder: FolderId,
    /// Its key, with the slash; nothing for the root.
    base: String,
    /// The rest of its entries; none: there are no more.
    query: Option<Query>,
    read: VecDeque<Entry>,
    /// Folders held back, by their names with a slash.
    held: BTreeMap<String, Entry>,
}

/// Rows by keys, beside the tree.
struct Beside<T> {
    query: Option<Query>,
    read: VecDeque<(String, T)>,
    decode: fn(&str, &Item) -> Result<T, DriveError>,
}

impl<'a> KeyWalk<'a> {
    /// Of keys with the prefix, from `from` on; `left`: and of what was left at keys. Keys before it may come still: of
    /// folders that it is in.
    pub(super) async fn start(
        drives: &'a Drives,
        drive: DriveId,
        prefix: &'a str,
        from: &[u8],
        page: u32,
        left: bool,
    ) -> Result<KeyWalk<'a>, DriveError> {
        let page = page.clamp(16, super::list::LIST_MAX);
        let query = |table| {
            let mut query = Query::prefix(table, drive.bytes(), prefix.as_bytes());
            if from > prefix.as_bytes() {
                query.from = Bound::Included(Bytes::copy_from_slice(from));
            }
            query.limit = page;
            query
        };
        let tables = drives.inner.tables;
        let flat = Beside::of(Some(query(tables.flat)), |key, item| Entry::decode(key, &item.value));
        let left = Beside::of(left.then(|| query(tables.gone)), |_, item| Left::read(Some(item)));
        let mut walk = KeyWalk { drives, drive, prefix, page, frames: Vec::new(), flat, left };
        walk.open(FolderId::ROOT, String::new(), from).await?;
        Ok(walk)
    }

    /// The next key: of folders, before what is in them.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, DriveError> {
        self.flat.fill(self.drives).await?;
        self.left.fill(self.drives).await?;
        let tree = self.peek_tree().await?;
        let flat = self.flat.read.front();
        let object = tree.as_ref().into_iter().chain(flat.map(|(key, _)| key)).min();
        if let Some((left, _)) = self.left.read.front()
            && object.is_none_or(|object| left < object)
        {
            return Ok(self.left.read.pop_front().map(|(key, left)| Step::Left(key, left)));
        }
        match (tree, flat) {
            (Some(tree), Some((flat, _))) if *flat <= tree => self.next_flat(),
            (None, Some(_)) => self.next_flat(),
            (Some(_), _) => self.next_in_tree(),
            (None, None) => Ok(None),
        }
    }

    fn next_flat(&mut self) -> Result<Option<Step>, DriveError> {
        Ok(self.flat.read.pop_front().map(|(key, entry)| Step::Object(key, entry)))
    }

    fn next_in_tree(&mut self) -> Result<Option<Step>, DriveError> {
        let Some(frame) = self.frames.last_mut() else { return Ok(None) };
        Ok(frame.take().map(|(name, entry)| {
            let key = format!("{}{name}", frame.base);
            if entry.is_folder() { Step::Folder(key, entry) } else { Step::Object(key, entry) }
        }))
    }

    /// The next key in the tree. Frames at their end are left.
    async fn peek_tree(&mut self) -> Result<Option<String>, DriveError> {
        while let Some(frame) = self.frames.last_mut() {
            frame.fill(self.drives).await?;
            match frame.peek() {
                Some(name) => return Ok(Some(format!("{}{name}", frame.base))),
                None => drop(self.frames.pop()),
            }
        }
        Ok(None)
    }

    /// Goes into the folder that came last. False: it is empty.
    pub(super) async fn enter(&mut self, key: String, folder: FolderId, from: &[u8]) -> Result<bool, DriveError> {
        self.open(folder, key, from).await?;
        let Some(frame) = self.frames.last_mut() else { return Ok(false) };
        frame.fill(self.drives).await?;
        Ok(frame.peek().is_some())
    }

    async fn open(&mut self, folder: FolderId, base: String, from: &[u8]) -> Result<(), DriveError> {
        let tables = self.drives.inner.tables;
        // Only names that go on as the prefix does.
        let wanted = self.prefix.get(base.len()..).unwrap_or_default();
        let (name, within) = wanted.split_once('/').map_or((wanted, false), |(name, _)| (name, true));
        let mut query = Query::prefix(tables.entries, self.drive.bytes(), &[&folder.0[..], name.as_bytes()].concat());
        if within {
            query.to = Bound::Included([&folder.0[..], name.as_bytes()].concat().into());
        }
        query.limit = self.page;
        let mut held = BTreeMap::new();
        let rest = from.strip_prefix(base.as_bytes()).unwrap_or_default();
        let segment = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
        if segment > name.as_bytes() {
            query.from = Bound::Included([&folder.0[..], segment].concat().into());
            if !within {
                held = self.before(folder, name, segment).await?;
            }
        }
        self.frames.push(Frame { folder, base, query: Some(query), read: VecDeque::new(), held });
        Ok(())
    }

    /// Folders whose names come before the segment, but not with their slash: `a` before `a-b`.
    async fn before(
        &self,
        folder: FolderId,
        least: &str,
        segment: &[u8],
    ) -> Result<BTreeMap<String, Entry>, DriveError> {
        let tables = self.drives.inner.tables;
        let ends = (least.len().max(1)..segment.len()).filter(|end| segment[*end] < b'/');
        let names: Vec<&str> = ends.filter_map(|end| std::str::from_utf8(&segment[..end]).ok()).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<ItemKey> = names.iter().take(1000).map(|name| tables.entry(self.drive, folder, name)).collect();
        let items = self.drives.inner.store.get_many(keys, Consistency::Strong).await?;
        let mut held = BTreeMap::new();
        for (name, item) in names.iter().zip(items) {
            let Some(item) = item else { continue };
            let entry = Entry::decode(name, &item.value)?;
            if entry.is_folder() {
                held.insert(format!("{name}/"), entry);
            }
        }
        Ok(held)
    }
}

impl Frame {
    /// Reads on until the next key is known, and no further.
    async fn fill(&mut self, drives: &Drives) -> Result<(), DriveError> {
        loop {
            while let Some(entry) = self.read.front() {
                // Names come in order: what is held and sorts before this one sorts before all that comes.
                let held = self.held.first_key_value().map(|(name, _)| name);
                if !entry.is_folder() || held.is_some_and(|held| *held < entry.name) {
                    return Ok(());
                }
                let Some(entry) = self.read.pop_front() else { break };
                self.held.insert(format!("{}/", entry.name), entry);
            }
            let Some(query) = self.query.take() else { return Ok(()) };
            let page = drives.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                self.read.push_back(Entry::decode(name_in(&at.sort_key)?, &at.item.value)?);
            }
            debug_assert!(page.items.iter().all(|at| at.sort_key.starts_with(&self.folder.0)));
            self.query = page.next.map(|next| query.after(next));
        }
    }

    fn peek(&self) -> Option<&str> {
        let file = self.read.front().map(|entry| entry.name.as_str());
        let folder = self.held.first_key_value().map(|(name, _)| name.as_str());
        [file, folder].into_iter().flatten().min()
    }

    fn take(&mut self) -> Option<(String, Entry)> {
        let next = self.peek()?.to_string();
        match self.held.remove(&next) {
            Some(entry) => Some((next, entry)),
            None => self.read.pop_front().map(|entry| (next, entry)),
        }
    }
}

impl<T> Beside<T> {
    fn of(query: Option<Query>, decode: fn(&str, &Item) -> Result<T, DriveError>) -> Beside<T> {
        Beside { query, read: VecDeque::new(), decode }
    }

    async fn fill(&mut self, drives: &Drives) -> Result<(), DriveError> {
        while self.read.is_empty() {
            let Some(query) = self.query.take() else { return Ok(()) };
            let page = drives.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                let key = std::str::from_utf8(&at.sort_key)
                    .map_err(|_| DriveError::Damaged("the key of an object".into()))?;
                self.read.push_back((key.to_string(), (self.decode)(key, &at.item)?));
            }
            self.query = page.next.map(|next| query.after(next));
        }
        Ok(())
    }
}

/// The least text above all that begins so; none: there is none.
pub(super) fn past(prefix: &str) -> Option<Vec<u8>> {
    prefix_end(prefix.as_bytes())
}
