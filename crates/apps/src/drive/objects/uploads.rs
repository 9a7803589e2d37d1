//! Uploads in parts.
//!
//! A part is a content of its own, with durable references, named by its row. Completing is one transaction: it rests on
//! the upload's row, which every part rewrites, so that it sees all parts or none of what comes after; it puts the object,
//! whose content is the parts' blocks one after the other, and leaves the parts to the sweeper. Aborting is one
//! transaction as well. An upload that nobody touches for [`crate::drive::Settings::uploads`] is aborted.

use super::about::{About, Checksum};
use super::put::{NewObject, ObjectCondition, Putting};
use super::{Object, ObjectKey};
use crate::drive::change::{Change, Commit};
use crate::drive::intent::Coming;
use crate::drive::put::Put;
use crate::drive::rows::{Work, decode};
use crate::drive::tries::Tries;
use crate::drive::{DriveError, DrivePath, Drives, Entry, NewFile, PutCondition};
use crate::{DriveId, LinkId, PartsId, VersionId};
use bytes::Bytes;
use client::{Content, UploadId};
use prost::Message;
use std::time::Duration;
use types::{Consistency, Item, ItemKey, Query, Test, Version, WallMillis};

/// Parts of one upload.
pub const PARTS_MAX: u32 = 10_000;
/// Uploads under way in one drive.
pub const UPLOADS_MAX: i64 = 5000;
/// How long it is known that an upload was completed, for whoever asks again.
const DONE_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Contents read together.
const CONTENTS_AT_ONCE: usize = 500;

/// What is said when an upload begins.
#[derive(Clone, PartialEq, Message)]
pub struct NewUpload {
    /// Its object's key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// When it began, in milliseconds since 1970.
    #[prost(uint64, tag = "2")]
    pub begun: u64,
    /// What will be said of the object.
    #[prost(message, optional, tag = "3")]
    pub about: Option<About>,
    /// The object's MIME type; empty: none.
    #[prost(string, tag = "4")]
    pub media_type: String,
    /// The object's time, in milliseconds since 1970; none: when it is completed.
    #[prost(uint64, optional, tag = "5")]
    pub mtime: Option<u64>,
    /// Which checksum parts have; the value is empty.
    #[prost(message, optional, tag = "6")]
    pub checksum: Option<Checksum>,
    /// It was completed: the object's entity tag.
    #[prost(string, optional, tag = "7")]
    pub done: Option<String>,
    /// The object's content, once it was completed.
    #[prost(bytes = "bytes", tag = "8")]
    pub version: Bytes,
    /// The link that it comes by; empty: none.
    #[prost(bytes = "bytes", tag = "9")]
    pub link: Bytes,
    /// Bytes of the file, if they were said: by a link always, which counts them from the beginning on.
    #[prost(uint64, tag = "10")]
    pub size: u64,
}

/// A part.
#[derive(Clone, PartialEq, Message)]
pub struct Part {
    #[prost(bytes = "bytes", tag = "1")]
    version: Bytes,
    /// Bytes.
    #[prost(uint64, tag = "2")]
    pub size: u64,
    /// MD5, in hexadecimal digits.
    #[prost(string, tag = "3")]
    pub md5: String,
    /// Base 64, of the upload's algorithm; empty: none.
    #[prost(string, tag = "4")]
    pub checksum: String,
    /// When it was uploaded, in milliseconds since 1970.
    #[prost(uint64, tag = "5")]
    pub modified: u64,
}

impl Part {
    fn version(&self) -> Result<VersionId, DriveError> {
        VersionId::from_slice(&self.version).ok_or_else(|| DriveError::Damaged("a part of an upload".into()))
    }
}

/// An upload as it was read, with all its parts.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Which.
    pub id: PartsId,
    /// What was said when it began.
    pub new: NewUpload,
    /// By number.
    pub parts: Vec<(u16, Part)>,
    version: Version,
}

impl Upload {
    /// Bytes of all parts.
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, part)| part.size).sum()
    }

    /// What a guest hands in is completed by the guest alone.
    fn is_own(&self) -> Result<(), DriveError> {
        if self.new.link.is_empty() { Ok(()) } else { Err(none(self.id)) }
    }
}

/// The version of a part's content, as its row has it.
pub(in crate::drive) fn part_in(row: &[u8]) -> Result<(VersionId, u64), DriveError> {
    let part: Part = decode("a part of an upload", row)?;
    Ok((part.version()?, part.size))
}

fn part_key(id: PartsId, number: u16) -> Bytes {
    [&id.0[..], &number.to_be_bytes()].concat().into()
}

pub(in crate::drive) fn work_key_of_upload(id: PartsId) -> Bytes {
    [b"u", &id.0[..]].concat().into()
}

fn none(id: PartsId) -> DriveError {
    DriveError::NoSuchUpload { id: id.to_string() }
}

impl Drives {
    fn upload_item(&self, drive: DriveId, id: PartsId) -> ItemKey {
        ItemKey::new(self.inner.tables.uploads, drive.bytes(), id.bytes())
    }

    /// Begins an upload.
    pub async fn begin_upload(&self, drive: DriveId, key: &ObjectKey, new: NewUpload) -> Result<PartsId, DriveError> {
        let id = PartsId::random();
        self.begin_upload_as(drive, id, key, new).await.map(|()| id)
    }

    /// Begins an upload of that id. Asking again, after an answer that was lost, is harmless.
    pub async fn begin_upload_as(
        &self,
        drive: DriveId,
        id: PartsId,
        key: &ObjectKey,
        new: NewUpload,
    ) -> Result<(), DriveError> {
        let mut change = Change::new(self, drive);
        self.add_upload(&mut change, id, key, &new);
        match change.commit(self.store(), key).await? {
            Commit::Done(_) => Ok(()),
            Commit::Lost(_) => self.has_begun(drive, id, key, &new).await,
        }
    }

    /// By an earlier try?
    pub(in crate::drive) async fn has_begun(
        &self,
        drive: DriveId,
        id: PartsId,
        key: &ObjectKey,
        new: &NewUpload,
    ) -> Result<(), DriveError> {
        match self.upload_of(drive, id, key).await {
            Ok(row) if (row.size, &row.link) == (new.size, &new.link) => Ok(()),
            Ok(_) | Err(DriveError::NoSuchUpload { .. }) => {
                Err(DriveError::Invalid("this upload was begun before: make a new one for each file".into()))
            }
            Err(error) => Err(error),
        }
    }

    pub(in crate::drive) fn add_upload(&self, change: &mut Change, id: PartsId, key: &ObjectKey, new: &NewUpload) {
        let tables = self.inner.tables;
        let row = NewUpload { key: key.to_string(), begun: self.now().0, done: None, ..new.clone() };
        change.require(tables.uploads, id.bytes(), Test::Absent);
        change.put(tables.uploads, id.bytes(), row.encode_to_vec());
        change.count_uploads(1);
        change.put_work(work_key_of_upload(id), Work::Upload, !new.link.is_empty());
    }

    async fn upload_row(&self, drive: DriveId, id: PartsId, key: &ObjectKey) -> Result<(Item, NewUpload), DriveError> {
        let keys =
            vec![self.upload_item(drive, id), ItemKey::new(self.inner.tables.completed, drive.bytes(), id.bytes())];
        let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let item = rows.into_iter().flatten().next().ok_or_else(|| none(id))?;
        let row: NewUpload = decode("an upload", &item.value)?;
        if row.key != key.as_str() {
            return Err(none(id));
        }
        Ok((item, row))
    }

    /// What was said when an upload began, also of one that was completed lately; its parts are not read.
    pub async fn upload_begun(&self, drive: DriveId, id: PartsId, key: &ObjectKey) -> Result<NewUpload, DriveError> {
        Ok(self.upload_row(drive, id, key).await?.1)
    }

    /// What was said when an upload, still under way, began.
    pub async fn upload_of(&self, drive: DriveId, id: PartsId, key: &ObjectKey) -> Result<NewUpload, DriveError> {
        let row = self.upload_begun(drive, id, key).await?;
        if row.done.is_some() { Err(none(id)) } else { Ok(row) }
    }

    /// An upload with its parts, also one that was completed lately: without parts then.
    pub async fn upload(&self, drive: DriveId, id: PartsId, key: &ObjectKey) -> Result<Upload, DriveError> {
        let (item, new) = self.upload_row(drive, id, key).await?;
        let mut parts = Vec::new();
        if new.done.is_none() {
            // Read after the row: whoever rests on the row rests on these.
            let mut query = Query::prefix(self.inner.tables.parts, drive.bytes(), &id.0);
            loop {
                let page = self.inner.store.query(&query, Consistency::Strong).await?;
                for at in &page.items {
                    let number = at.sort_key.get(16..).and_then(|number| number.try_into().ok());
                    let number = number.ok_or_else(|| DriveError::Damaged("the key of a part".into()))?;
                    parts.push((u16::from_be_bytes(number), decode("a part of an upload", &at.item.value)?));
                }
                match page.next {
                    Some(next) => query = query.after(next),
                    None => break,
                }
            }
        }
        Ok(Upload { id, new, parts, version: item.version })
    }

    /// Puts a part, whose blocks are stored and pinned; one of that number is replaced.
    pub async fn put_part(
        &self,
        drive: DriveId,
        (id, key): (PartsId, &ObjectKey),
        number: u16,
        content: Content,
        (md5, checksum): (String, String),
    ) -> Result<Part, DriveError> {
        let version = VersionId::random();
        let coming = Coming { drive, version, content: &content, said: key };
        let mut intent = None;
        let part = Part { version: version.bytes(), size: content.size, md5, checksum, modified: self.now().0 };
        let result = async {
            self.upload_of(drive, id, key).await?;
            if coming.needs_intent() {
                self.intend(&coming, &mut intent).await?;
            }
            self.put_part_row(&coming, (id, key), number, &part, intent).await
        };
        match result.await {
            Ok(()) => Ok(part),
            Err(error) => {
                if let Some(intent) = intent {
                    self.release_intent(&coming, intent).await;
                }
                Err(error)
            }
        }
    }

    async fn put_part_row(
        &self,
        coming: &Coming<'_>,
        (id, key): (PartsId, &ObjectKey),
        number: u16,
        part: &Part,
        intent: Option<Version>,
    ) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let drive = coming.drive;
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let at = ItemKey::new(tables.parts, drive.bytes(), part_key(id, number));
            let rows = vec![self.upload_item(drive, id), at.clone()];
            let mut rows = self.inner.store.get_many(rows, Consistency::Strong).await?.into_iter();
            let (upload, old) = (rows.next().flatten().ok_or_else(|| none(id))?, rows.next().flatten());
            let new: NewUpload = decode("an upload", &upload.value)?;
            let of_guest = !new.link.is_empty();
            if new.done.is_some() || new.key != key.as_str() {
                return Err(none(id));
            }
            let mut change = Change::new(self, drive);
            // Written anew, so that whoever is completing the upload looks again. Other parts do not mind.
            change.require(tables.uploads, id.bytes(), Test::ValueIs(upload.value.clone()));
            change.put(tables.uploads, id.bytes(), upload.value);
            change.put_work(work_key_of_upload(id), Work::Upload, of_guest);
            match &old {
                None => drop(change.require(at.table, at.sort_key.clone(), Test::Absent)),
                Some(item) => {
                    change.require(at.table, at.sort_key.clone(), Test::VersionIs(item.version));
                    let (version, size) = part_in(&item.value)?;
                    change.put_work_of_version(version, Work::Release, true);
                    change.count_bytes(-(size as i64));
                }
            }
            change.put(at.table, at.sort_key, part.encode_to_vec());
            change.count_bytes(part.size as i64);
            let own = coming.arrive(&mut change, self, intent);
            match change.commit(self.store(), key).await? {
                Commit::Done(_) => return Ok(()),
                Commit::Lost(at) if at == own => return Err(DriveError::Conflict { path: key.to_string() }),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Puts the object that the chosen parts of an upload make, in their order. Where a part came or went since the
    /// upload was read, nothing is put.
    pub async fn complete_upload(
        &self,
        drive: DriveId,
        upload: &Upload,
        chosen: &[u16],
        mut new: NewObject,
        condition: ObjectCondition,
    ) -> Result<Object, DriveError> {
        upload.is_own()?;
        let key = ObjectKey::parse(&upload.new.key)?;
        let content = self.composed(drive, upload, chosen).await?;
        new.composed = chosen.len() > 1;
        let ending = Ending::of(upload, new.file.etag.clone().unwrap_or_default(), new.file.version);
        let put = Putting { drive, key: &key, content, new, condition, source: None };
        self.put_or_give_up(&put, &mut |change| ending.end(change, self)).await
    }

    /// Puts the file that all parts of an upload make, which are those from 1 on, at a path: also another one than was said when
    /// it began. Once it is there, asking again with the same version tells of it again.
    pub async fn complete_file(
        &self,
        drive: DriveId,
        upload: &Upload,
        path: &str,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Entry, DriveError> {
        upload.is_own()?;
        if upload.new.done.is_some() {
            let there = self.stat(drive, path).await?;
            let is_it = there.file().is_some_and(|file| file.version.bytes() == upload.new.version);
            return if is_it { Ok(there) } else { Err(DriveError::Changed { path: path.into() }) };
        }
        let content = self.content_of_parts(drive, upload).await?;
        let mut put = Put::new(drive, DrivePath::parse(path)?, content, new, condition)?;
        put.made_of(upload);
        Ok(self.put_or_release(&put).await?.entry)
    }

    /// What all parts make, which are those from 1 on.
    pub(in crate::drive) async fn content_of_parts(
        &self,
        drive: DriveId,
        upload: &Upload,
    ) -> Result<Content, DriveError> {
        let chosen: Vec<u16> = upload.parts.iter().map(|(number, _)| *number).collect();
        let missing = (1..).zip(&chosen).find(|(wanted, number)| wanted != *number).map(|(wanted, _)| wanted);
        if let Some(missing) = missing.or(chosen.is_empty().then_some(1u16)) {
            return Err(DriveError::Invalid(format!("part {missing} is missing: send it first")));
        }
        if ![0, upload.bytes()].contains(&upload.new.size) {
            return Err(DriveError::Invalid("the parts are not yet as long as the file was said to be".into()));
        }
        self.composed(drive, upload, &chosen).await
    }

    /// What an upload that is completed has put, if it is there still.
    pub async fn completed(&self, drive: DriveId, upload: &Upload) -> Result<Option<Object>, DriveError> {
        let Some(version) = VersionId::from_slice(&upload.new.version) else { return Ok(None) };
        self.object_of(drive, &ObjectKey::parse(&upload.new.key)?, version).await
    }

    /// The parts' blocks, one after the other.
    async fn composed(&self, drive: DriveId, upload: &Upload, chosen: &[u16]) -> Result<Content, DriveError> {
        let tables = self.inner.tables;
        let mut keys = Vec::with_capacity(chosen.len());
        for number in chosen {
            let at = upload.parts.binary_search_by_key(number, |(number, _)| *number);
            let at = at.map_err(|_| DriveError::Invalid(format!("there is no part {number}")))?;
            keys.push(ItemKey::new(tables.contents, drive.bytes(), upload.parts[at].1.version()?.bytes()));
        }
        let mut contents = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CONTENTS_AT_ONCE) {
            for item in self.inner.store.get_many(keys.to_vec(), Consistency::Strong).await? {
                // Replaced or aborted since.
                let item = item.ok_or_else(|| DriveError::Conflict { path: upload.new.key.clone() })?;
                contents.push(Content::decode(&item.value)?);
            }
        }
        Ok(self.inner.store.compose(UploadId::random(), contents).await?)
    }

    /// Ends an upload; its parts go.
    pub async fn abort_upload(&self, drive: DriveId, id: PartsId, key: &ObjectKey) -> Result<(), DriveError> {
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let (item, row) = self.upload_row(drive, id, key).await?;
            if row.done.is_some() {
                return Err(none(id));
            }
            let mut change = Change::new(self, drive);
            change.abort_upload(self, id, item.version);
            self.give_back(drive, &row, &mut change).await?;
            match change.commit(self.store(), key).await? {
                Commit::Done(_) => return Ok(()),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// All uploads under way in a drive, by key, then by when they began.
    pub async fn uploads(&self, drive: DriveId) -> Result<Vec<(PartsId, NewUpload)>, DriveError> {
        let mut found = Vec::new();
        let mut query = Query::all(self.inner.tables.uploads, drive.bytes());
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                // The other row counts them.
                let Some(id) = PartsId::from_slice(&at.sort_key) else { continue };
                let row: NewUpload = decode("an upload", &at.item.value)?;
                if row.done.is_none() {
                    found.push((id, row));
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => break,
            }
        }
        found.sort_by(|(a, x), (b, y)| (&x.key, x.begun, a).cmp(&(&y.key, y.begun, b)));
        Ok(found)
    }

    /// The sweeper's: nobody has touched the upload for long.
    pub(in crate::drive) async fn abort_abandoned(
        &self,
        drive: DriveId,
        mut change: Change,
        id: PartsId,
    ) -> Result<(), DriveError> {
        let item = self.inner.store.get(&self.upload_item(drive, id), Consistency::Strong).await?;
        let Some(item) = item else { return Ok(()) };
        change.abort_upload(self, id, item.version);
        self.give_back(drive, &decode("an upload", &item.value)?, &mut change).await?;
        change.commit(self.store(), &drive).await?;
        Ok(())
    }

    /// The sweeper's: takes some parts of an upload that has ended. True: there are no more.
    pub(in crate::drive) async fn drop_parts(
        &self,
        drive: DriveId,
        change: &mut Change,
        id: PartsId,
        counted: bool,
        most: u32,
    ) -> Result<bool, DriveError> {
        let table = self.inner.tables.parts;
        let query = Query { limit: most, ..Query::prefix(table, drive.bytes(), &id.0) };
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        for at in &page.items {
            let (version, size) = part_in(&at.item.value)?;
            change.require(table, at.sort_key.clone(), Test::VersionIs(at.item.version));
            change.delete(table, at.sort_key.clone());
            change.put_work_of_version(version, Work::Release, true);
            if counted {
                change.count_bytes(-(size as i64));
            }
        }
        Ok(page.items.is_empty())
    }
}

/// How an upload ends when what its parts make is put.
pub(in crate::drive) struct Ending {
    id: PartsId,
    /// What was read: whoever puts a part meanwhile writes it anew.
    read: Version,
    done: NewUpload,
    /// Of all parts.
    bytes: u64,
}

impl Ending {
    /// By that version, with that entity tag to be told to whoever asks again.
    pub fn of(upload: &Upload, etag: String, version: VersionId) -> Ending {
        let done = NewUpload { done: Some(etag), version: version.bytes(), about: None, ..upload.new.clone() };
        Ending { id: upload.id, read: upload.version, done, bytes: upload.bytes() }
    }

    pub fn end(&self, change: &mut Change, drives: &Drives) {
        let tables = drives.inner.tables;
        let until = WallMillis(drives.now().0.saturating_add(DONE_FOR.as_millis() as u64));
        change.require(tables.uploads, self.id.bytes(), Test::VersionIs(self.read));
        change.delete(tables.uploads, self.id.bytes());
        // Apart, so that no listing reads it.
        change.put_until(tables.completed, self.id.bytes(), self.done.encode_to_vec(), Some(until));
        change.count_uploads(-1);
        change.put_work(work_key_of_upload(self.id), Work::UsedParts, true);
        // What was put has them now.
        change.count_bytes(-(self.bytes as i64));
        // Its put rests on the link's being there.
        if let Some(link) = LinkId::from_slice(&self.done.link) {
            change.count_uploads_by_link(link, -1, i64::MAX);
        }
    }
}

impl Change {
    fn abort_upload(&mut self, drives: &Drives, id: PartsId, version: Version) {
        let tables = drives.inner.tables;
        self.require(tables.uploads, id.bytes(), Test::VersionIs(version));
        self.delete(tables.uploads, id.bytes());
        self.count_uploads(-1);
        self.put_work(work_key_of_upload(id), Work::Parts, true);
    }
}
