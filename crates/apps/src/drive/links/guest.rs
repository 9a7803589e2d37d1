//! What whoever has a link can do. Nothing here tells where in the drive it leads: paths begin at what the link is to.

use super::super::change::Change;
use super::super::objects::Upload;
use super::super::put::Put;
use super::super::walk::Walk;
use super::super::{DriveError, DrivePath, Drives, Entry, NewFile, OpenFile, Order, PutCondition, Usage};
use super::folders::Within;
use super::rows::LinkToken;
use super::{Counter, LinkMode, Tries, counter_key, damaged, mode_of, received};
use crate::drive::path::numbered;
use crate::page::Page;
use crate::{DriveId, FolderId, LinkId, UserId, VersionId};
use bytes::Bytes;
use client::{ClientError, Content};
use std::time::Duration;
use types::{Condition, Consistency, ItemKey, Refusal, Test, Transaction, Update, Version, WallMillis};

/// Names that are tried for what comes into a drop-box: so many in their order, then others.
const PLAIN_NUMBERS: usize = 3;
pub(super) const NAMES_TRIED: usize = 12;
/// How long a guest's download, once counted, can be resumed without being counted again.
const RESUMED_WITHIN: Duration = Duration::from_secs(3600);

/// A link that works, found by its token.
#[derive(Clone, Debug)]
pub struct LinkFound {
    /// The link.
    pub id: LinkId,
    /// Whose drive it is of.
    pub drive: DriveId,
    /// What it is for.
    pub mode: LinkMode,
    /// Does it lead to a folder?
    pub folder: bool,
    /// Who made it.
    pub by: UserId,
    /// Until when it works.
    pub expires: Option<WallMillis>,
    /// The hash of the password that it asks for.
    pub password: Option<String>,
    /// Bytes that it takes.
    pub bytes_max: Option<u64>,
    /// What only this link and its password give: for proofs that someone knew the password. A secret.
    pub key: [u8; 32],
    downloads_max: Option<u64>,
    pub(super) entry: [u8; 16],
    version: Version,
}

impl LinkFound {
    /// May only so many downloads begin?
    pub fn bounds_downloads(&self) -> bool {
        self.downloads_max.is_some()
    }
}

/// What is to be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A file.
    File,
    /// A part of a file, or a look at it: within an hour of its being counted, the same guest has it once more.
    Part,
    /// A file or folder with all that is in it.
    Archive,
}

/// A download that may begin.
#[derive(Clone, Debug)]
pub struct Started {
    /// The file's entry, or the folder's.
    pub entry: Entry,
    /// The file; none for a folder, which comes as an archive.
    pub open: Option<OpenFile>,
    /// The folder that it is in.
    pub parent: FolderId,
}

impl Drives {
    /// The link of a token, if it works at this moment. Whether its downloads are used up shows when one begins, and by
    /// [`Self::link_used_up`].
    pub async fn find_link(&self, token: &str) -> Result<LinkFound, DriveError> {
        let token = LinkToken::parse(token)?;
        let (drive, id) = (token.drive, token.id());
        let (version, row) = self.link_row(drive, id).await?;
        let expires = Some(WallMillis(row.expires)).filter(|at| at.0 != 0);
        if expires.is_some_and(|at| at <= self.now()) {
            return Err(DriveError::LinkOver);
        }
        let mut key = blake3::Hasher::new_derive_key("atoll link guests 1");
        key.update(&drive.0).update(&token.secret).update(row.password.as_bytes());
        Ok(LinkFound {
            id,
            drive,
            mode: mode_of(&row).ok_or(DriveError::NoSuchLink)?,
            folder: row.folder,
            by: UserId::from_slice(&row.by).ok_or_else(damaged)?,
            expires,
            bytes_max: row.bytes_max,
            key: *key.finalize().as_bytes(),
            downloads_max: row.downloads_max,
            entry: row.entry[..].try_into().map_err(|_| damaged())?,
            password: Some(row.password).filter(|hash| !hash.is_empty()),
            version,
        })
    }

    /// Have as many downloads begun as it allows?
    pub async fn link_used_up(&self, link: &LinkFound) -> Result<bool, DriveError> {
        let Some(max) = link.downloads_max else { return Ok(false) };
        let key =
            ItemKey::new(self.inner.tables.link_counts, link.drive.bytes(), counter_key(link.id, Counter::Downloads));
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        let begun = item.map(|item| super::super::read::count_in(&item.value)).transpose()?.unwrap_or(0);
        Ok(u64::try_from(begun).unwrap_or(0) >= max)
    }

    /// What it leads to, for its title. A drop-box says its name and nothing else.
    pub async fn link_target(&self, link: &LinkFound) -> Result<Entry, DriveError> {
        let walk = self.guest_walk(link, &DrivePath::root()).await?;
        Ok(walk.required()?.entry.clone())
    }

    /// What is at a path from there.
    pub async fn guest_stat(&self, link: &LinkFound, path: &str) -> Result<Entry, DriveError> {
        link.must_be(LinkMode::View)?;
        let path = DrivePath::parse(path)?;
        let walk = self.guest_walk(link, &path).await?;
        Ok(walk.required()?.entry.clone())
    }

    /// A page of a folder, by name.
    pub async fn guest_list(
        &self,
        link: &LinkFound,
        path: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, DriveError> {
        let entry = self.guest_stat(link, path).await?;
        let folder = entry.folder().ok_or_else(|| DriveError::NotAFolder { path: path.to_string() })?;
        self.folder_page(link.drive, folder.id, cursor, limit).await
    }

    /// Names of the files before and after the one at the path, by name.
    pub async fn guest_beside(
        &self,
        link: &LinkFound,
        path: &str,
    ) -> Result<(Option<String>, Option<String>), DriveError> {
        link.must_be(LinkMode::View)?;
        let path = DrivePath::parse(path)?;
        // What the link itself leads to stands alone.
        if path.is_root() {
            return Ok((None, None));
        }
        self.beside_at(link.drive, &self.guest_walk(link, &path).await?, Order::Name, false).await
    }

    /// What a download would give, without beginning one.
    pub async fn guest_look(&self, link: &LinkFound, path: &str) -> Result<Started, DriveError> {
        link.must_be(LinkMode::View)?;
        if self.link_used_up(link).await? {
            return Err(DriveError::LinkOver);
        }
        let path = DrivePath::parse(path)?;
        self.guest_open(link, &path).await.map(|(started, _)| started)
    }

    /// What is at the path, ready to be read, and the way there.
    async fn guest_open(&self, link: &LinkFound, path: &DrivePath) -> Result<(Started, Walk), DriveError> {
        let mut tries = Tries::at(path);
        loop {
            let walk = self.guest_walk(link, path).await?;
            let entry = walk.required()?.entry.clone();
            let (parent, _) = walk.parent()?;
            let open = match entry.file() {
                Some(file) => self.open_entry(link.drive, &entry, file.clone()).await?,
                None => None,
            };
            if open.is_some() || entry.is_folder() {
                return Ok((Started { entry, open, parent }, walk));
            }
            // Replaced and swept meanwhile.
            tries.lost(self.store()).await?;
        }
    }

    /// Begins a download, and counts it.
    pub async fn guest_download(
        &self,
        link: &LinkFound,
        path: &str,
        guest: Option<[u8; 16]>,
        wanted: Wanted,
    ) -> Result<Started, DriveError> {
        link.must_be(LinkMode::View)?;
        let path = DrivePath::parse(path)?;
        let (mut tries, mut link) = (Tries::at(&path), link.clone());
        loop {
            let (started, walk) = self.guest_open(&link, &path).await?;
            if wanted != Wanted::Archive && started.open.is_none() {
                return Err(DriveError::IsAFolder { path: path.to_string() });
            }
            let what = started.entry.file().map_or(started.entry.id(), |file| file.version.0);
            let mark = guest.map(|guest| Bytes::from([&link.id.0[..], &guest, &what].concat()));
            // Several parts may be asked for at once: one of them is counted.
            let mut as_read = None;
            if let (Wanted::Part, Some(mark)) = (wanted, &mark) {
                let key = ItemKey::new(self.inner.tables.link_guests, link.drive.bytes(), mark.clone());
                let counted = self.inner.store.get(&key, Consistency::Strong).await?;
                as_read = Some(counted.as_ref().map_or(Test::Absent, |item| Test::VersionIs(item.version)));
                let until = counted.and_then(|item| Some(u64::from_be_bytes(item.value[..].try_into().ok()?)));
                if until.is_some_and(|until| until > self.now().0) {
                    return Ok(started);
                }
            }
            match self.count_download(&link, &walk, mark.map(|mark| (mark, as_read))).await {
                Ok(true) => return Ok(started),
                Ok(false) => {
                    // Taken back, changed, or something was renamed.
                    link = link.still(self).await?;
                    tries.lost(self.store()).await?;
                }
                // Nothing depends on the count where there is no limit: reading goes on where nothing can be written.
                Err(DriveError::Client(error)) if link.downloads_max.is_none() => {
                    tracing::debug!(%error, "a download was not counted");
                    return Ok(started);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn count_download(
        &self,
        link: &LinkFound,
        walk: &Walk,
        mark: Option<(Bytes, Option<Test>)>,
    ) -> Result<bool, DriveError> {
        let tables = self.inner.tables;
        let mut conditions = vec![link.condition(self)];
        conditions.extend(walk.steps().iter().map(|step| Condition {
            table: tables.entries,
            sort_key: step.key.clone(),
            test: Test::VersionIs(step.version),
        }));
        if let Some((mark, Some(test))) = &mark {
            conditions.push(Condition { table: tables.link_guests, sort_key: mark.clone(), test: test.clone() });
        }
        let max = link.downloads_max.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX));
        let sort_key = counter_key(link.id, Counter::Downloads);
        let mut updates = vec![Update::Add { table: tables.link_counts, sort_key, delta: 1, min: 0, max }];
        let until = self.now().0 + RESUMED_WITHIN.as_millis() as u64;
        updates.extend(mark.map(|(mark, _)| Update::Put {
            table: tables.link_guests,
            sort_key: mark.into(),
            value: Bytes::copy_from_slice(&until.to_be_bytes()).into(),
            expires: Some(WallMillis(until)),
        }));
        let partition_key = link.drive.bytes();
        let operation = self.inner.store.operation(&partition_key);
        match self.inner.store.transact(Transaction { operation, partition_key, conditions, updates }).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(Refusal::Condition { .. })) => Ok(false),
            Err(ClientError::Refused(Refusal::Bounds { .. })) => Err(DriveError::LinkOver),
            Err(error) => Err(error.into()),
        }
    }

    /// May something of that name and size be put? Better said before the bytes come; and how many may come at most,
    /// so that no more are stored than could be kept. None: nothing bounds them but the disks.
    pub async fn guest_may_put(
        &self,
        link: &LinkFound,
        name: &str,
        size: Option<u64>,
    ) -> Result<Option<u64>, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        super::super::path::valid_name(name)?;
        self.guest_walk(link, &DrivePath::root()).await?.folder().map_err(|error| as_guests_see(error, name))?;
        let Usage { room, .. } = self.usage(link.drive).await?;
        if let (Some(room), Some(size)) = (room, size)
            && size > room
        {
            return Err(DriveError::Quota { needed: size, room });
        }
        let Some(max) = link.bytes_max else { return Ok(room) };
        let key = ItemKey::new(self.inner.tables.link_counts, link.drive.bytes(), received(link.id));
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        let received =
            item.map(|item| super::super::read::count_in(&item.value)).transpose()?.unwrap_or(0).max(0) as u64;
        let left = max.saturating_sub(received);
        if size.is_some_and(|size| size > left) {
            return Err(DriveError::LinkFull);
        }
        Ok(Some(room.map_or(left, |room| room.min(left))))
    }

    /// Puts a file whose blocks are stored into a drop-box; beside what has its name. The same version again is harmless.
    pub async fn guest_put(
        &self,
        link: &LinkFound,
        (within, name): (&Within, &str),
        content: Content,
        new: NewFile,
    ) -> Result<Entry, DriveError> {
        self.guest_put_what_came(link, (within, name), Came::Whole(&content), new).await
    }

    pub(super) async fn guest_put_what_came(
        &self,
        link: &LinkFound,
        (within, name): (&Within, &str),
        came: Came<'_>,
        new: NewFile,
    ) -> Result<Entry, DriveError> {
        link.must_be(LinkMode::DropBox)?;
        let mut tries = Tries::at(&DrivePath::root());
        let (mut tried, mut new, mut link) = (0, new, link.clone());
        loop {
            let walk = self.guest_folder(&link, within).await?;
            let folder = walk.folder().map_err(|error| as_guests_see(error, name))?;
            let counted = matches!(came, Came::InParts(..));
            let gate = Gate { folder, link: link.clone(), counted };
            let path = walk.path().join(&numbered(name, number_of(tried)))?;
            let (Came::Whole(content) | Came::InParts(_, content)) = came;
            let mut put = Put::new(link.drive, path, content.clone(), new.clone(), PutCondition::CreateNew)?;
            put.gate = Some(gate);
            if let Came::InParts(upload, _) = came {
                put.made_of(upload);
            }
            match self.put_or_release(&put).await {
                Ok(done) => return Ok(done.entry),
                Err(DriveError::Exists { .. }) if tried < NAMES_TRIED => tried += 1,
                // Another took the name while this was on its way; or moved what came by an earlier try.
                Err(DriveError::Invalid(_)) => {
                    new.version = VersionId::random();
                    tries.lost(self.store()).await?;
                }
                Err(DriveError::Changed { .. } | DriveError::NotFound { .. } | DriveError::NotAFolder { .. }) => {
                    link = link.still(self).await?;
                    tries.lost(self.store()).await?;
                }
                Err(error) => return Err(as_guests_see(error, name)),
            }
        }
    }

    /// Walks from the drive's root through what the link leads to, in one snapshot.
    pub(super) async fn guest_walk(&self, link: &LinkFound, path: &DrivePath) -> Result<Walk, DriveError> {
        self.walk_from(link, path).await.map_err(|error| as_guests_see(error, &path.to_string()))
    }

    async fn walk_from(&self, link: &LinkFound, path: &DrivePath) -> Result<Walk, DriveError> {
        let mut tries = Tries::at(path);
        loop {
            let base = self.locate(link.drive, crate::FileId(link.entry)).await?.ok_or(DriveError::LinkOver)?;
            let whole = path.names().iter().try_fold(base.clone(), |whole, name| whole.join(name))?;
            let walk = self.walk(link.drive, &whole).await?;
            let there = base.names().len().checked_sub(1).and_then(|at| walk.steps().get(at));
            if there.is_some_and(|step| step.entry.id() == link.entry) {
                if walk.found().is_none() {
                    return Err(DriveError::NotFound { path: path.to_string() });
                }
                return Ok(walk);
            }
            // Moved between the two.
            tries.lost(self.store()).await?;
        }
    }
}

/// The number of the name that comes next. Where many have that name no time is lost in counting, and nobody learns how many
/// they are.
pub(super) fn number_of(tried: usize) -> usize {
    if tried < PLAIN_NUMBERS { tried + 1 } else { rand::random_range(1_000..1_000_000_000) }
}

/// What is wrong with a place of the owner's, said of the place as the guest knows it.
pub(super) fn as_guests_see(error: DriveError, place: &str) -> DriveError {
    let path = place.to_string();
    match error {
        DriveError::NotFound { .. } => DriveError::NotFound { path },
        DriveError::NotAFolder { .. } => DriveError::NotAFolder { path },
        DriveError::IsAFolder { .. } => DriveError::IsAFolder { path },
        DriveError::Changed { .. } => DriveError::Changed { path },
        DriveError::FolderFull { .. } => DriveError::FolderFull { path },
        DriveError::Exists { .. } | DriveError::Conflict { .. } => DriveError::Conflict { path },
        other => other,
    }
}

impl LinkFound {
    pub(super) fn must_be(&self, mode: LinkMode) -> Result<(), DriveError> {
        if self.mode == mode { Ok(()) } else { Err(DriveError::NoSuchLink) }
    }

    /// It is as it was read.
    pub(super) fn condition(&self, drives: &Drives) -> Condition {
        let (table, test) = (drives.inner.tables.links, Test::VersionIs(self.version));
        Condition { table, sort_key: self.id.bytes(), test }
    }

    /// It is as it was read, and takes so many bytes more; which condition that is.
    pub(super) fn require(&self, drives: &Drives, change: &mut Change, bytes: u64) -> usize {
        let max = self.bytes_max.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX));
        change.count_by_link(received(self.id), i64::try_from(bytes).unwrap_or(i64::MAX), max);
        let Condition { table, sort_key, test } = self.condition(drives);
        change.require(table, sort_key, test)
    }

    /// The same link as it is now. What it asks for may have changed; then whoever came by it comes anew.
    pub(super) async fn still(&self, drives: &Drives) -> Result<LinkFound, DriveError> {
        let (version, row) = drives.link_row(self.drive, self.id).await?;
        let over = row.expires != 0 && row.expires <= drives.now().0;
        if over || Some(&row.password).filter(|hash| !hash.is_empty()) != self.password.as_ref() {
            return Err(DriveError::LinkOver);
        }
        Ok(LinkFound { version, downloads_max: row.downloads_max, bytes_max: row.bytes_max, ..self.clone() })
    }
}

/// What a guest has sent.
#[derive(Clone, Copy)]
pub(super) enum Came<'a> {
    /// At once.
    Whole(&'a Content),
    /// In parts, and what they are together; counted when it began.
    InParts(&'a Upload, &'a Content),
}

/// What a put by a link rests on, beside the path.
#[derive(Clone, Debug)]
pub(in crate::drive) struct Gate {
    /// The folder that the link is to.
    pub folder: FolderId,
    link: LinkFound,
    /// The bytes count as received already.
    counted: bool,
}

impl Gate {
    /// The link is as it was read, and takes so many bytes; which condition that is.
    pub fn require(&self, drives: &Drives, change: &mut Change, bytes: u64) -> usize {
        if self.counted {
            let Condition { table, sort_key, test } = self.link.condition(drives);
            return change.require(table, sort_key, test);
        }
        self.link.require(drives, change, bytes)
    }
}
