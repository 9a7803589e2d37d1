//! Links: what lets people without an account read a file or folder, or put files into a folder.
//!
//! A link leads to a file or folder by its id, so it goes along when that is renamed, moved or gets new content. In the
//! trash nothing is reached by it; restored, it is again; gone for good, the link goes some time later by itself.
//! All rows are under the drive's partition key: a download is counted, and an upload put, in one
//! transaction that rests on the link being as it was read. So never more downloads begin than it
//! allows, and after it has been taken back nothing is begun by it.
//!
//! Its owner's side is here, what its guests can do in [`guest`].

mod folders;
mod guest;
mod parts;
mod rows;

pub use folders::Within;
pub(super) use guest::Gate;
pub use guest::{LinkFound, Started, Wanted};

use super::change::{Change, Commit};
use super::rows::decode;
use super::tries::Tries;
use super::{DriveError, DrivePath, Drives};
use crate::store::get_all;
use crate::{DriveId, LinkId, UserId};
use bytes::Bytes;
use prost::Message;
use rows::{LinkRow, LinkToken, ModeRow};
use types::{Consistency, Item, ItemAt, ItemKey, Query, Test, Version, WallMillis};

/// Links of one drive.
pub const LINKS_MAX: usize = 1000;
/// How long one that has run out stays in its owner's list.
const OVER_KEPT_MS: u64 = 30 * 24 * 3600 * 1000;
/// How long one is kept whose file or folder is gone for good: what is moved is for a moment nowhere to be found.
const GONE_KEPT_MS: u64 = 24 * 3600 * 1000;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkMode {
    /// Looking and downloading.
    View,
    /// Putting files into a folder, and seeing nothing.
    DropBox,
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// What it is for.
    pub mode: LinkMode,
    /// The hash of its password.
    pub password: Option<String>,
    /// Until when it works; none: until it is taken back.
    pub expires: Option<WallMillis>,
    /// Downloads that may begin.
    pub downloads_max: Option<u64>,
    /// Bytes that it takes, all uploads together.
    pub bytes_max: Option<u64>,
}

/// What is to be different: none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct LinkChange {
    /// Hash of the new password; or no password any more.
    pub password: Option<Option<String>>,
    /// Until when it works.
    pub expires: Option<Option<WallMillis>>,
    /// Downloads that may begin, those that have counted.
    pub downloads_max: Option<Option<u64>>,
    /// Bytes that it takes, those that have come counted.
    pub bytes_max: Option<Option<u64>>,
}

/// A link, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// By which it is changed and taken back.
    pub id: LinkId,
    /// What its address ends in. A secret.
    pub token: String,
    /// What it is for.
    pub mode: LinkMode,
    /// Name of what it leads to, when it was made.
    pub name: String,
    /// Is that a folder?
    pub folder: bool,
    /// Where that is now; none: in the trash, or gone.
    pub path: Option<String>,
    /// Who made it.
    pub by: UserId,
    /// When.
    pub created: WallMillis,
    /// Until when it works.
    pub expires: Option<WallMillis>,
    /// Does it ask for a password?
    pub password: bool,
    /// Downloads begun.
    pub downloads: u64,
    /// Downloads that may begin.
    pub downloads_max: Option<u64>,
    /// Bytes received.
    pub received: u64,
    /// Bytes that it takes.
    pub bytes_max: Option<u64>,
    /// Who made it may not change what is in the drive any more, and so lets nobody in: for the gateways to find out.
    pub stopped: bool,
}

impl Link {
    /// Does it work at that moment?
    pub fn works(&self, now: WallMillis) -> bool {
        self.path.is_some()
            && !self.stopped
            && self.expires.is_none_or(|at| at > now)
            && self.downloads_max.is_none_or(|max| self.downloads < max)
    }
}

/// What of a link is counted.
#[derive(Clone, Copy)]
enum Counter {
    Downloads = b'd' as isize,
    Bytes = b'b' as isize,
    /// Uploads in parts that have begun and not ended.
    Uploads = b'u' as isize,
    /// Folders that came by it.
    Folders = b'f' as isize,
}

fn counter_key(link: LinkId, counter: Counter) -> Bytes {
    [&link.0[..], &[counter as u8]].concat().into()
}

/// The counter of what guests are handing in by parts.
pub(in crate::drive) fn uploads(link: LinkId) -> Bytes {
    counter_key(link, Counter::Uploads)
}

/// The counter of the folders that came by it.
fn folders(link: LinkId) -> Bytes {
    counter_key(link, Counter::Folders)
}

/// The counter of the bytes that came by it.
fn received(link: LinkId) -> Bytes {
    counter_key(link, Counter::Bytes)
}

impl Drives {
    /// Makes a link to what is at the path.
    pub async fn make_link(&self, drive: DriveId, path: &str, new: NewLink, by: UserId) -> Result<Link, DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Err(DriveError::BadPath { why: "a link is to a file or folder, not to a whole drive" });
        }
        if new.expires.is_some_and(|at| at <= self.now()) {
            return Err(DriveError::Invalid("a link ends in the future".into()));
        }
        if self.link_ids(drive).await?.len() >= LINKS_MAX {
            return Err(DriveError::TooManyLinks { max: LINKS_MAX });
        }
        // What an older release put does not know where it is.
        self.prepare(drive).await?;
        let token = LinkToken::new(drive);
        let mut tries = Tries::at(&path);
        loop {
            let walk = self.walk(drive, &path).await?;
            let entry = walk.required()?.entry.clone();
            if new.mode == LinkMode::DropBox && !entry.is_folder() {
                return Err(DriveError::NotAFolder { path: path.to_string() });
            }
            let mode = match new.mode {
                LinkMode::View => ModeRow::View,
                LinkMode::DropBox => ModeRow::DropBox,
            };
            let row = LinkRow {
                secret: token.secret.clone(),
                entry: entry.id().to_vec().into(),
                folder: entry.is_folder(),
                mode: mode as i32,
                by: by.bytes(),
                created: self.now().0,
                expires: new.expires.map_or(0, |at| at.0),
                password: new.password.clone().unwrap_or_default(),
                downloads_max: new.downloads_max,
                bytes_max: new.bytes_max,
                name: entry.name.clone(),
            };
            let mut change = Change::new(self, drive);
            change.require_steps(walk.steps());
            change.require(self.inner.tables.links, token.id().bytes(), Test::Absent);
            change.put(self.inner.tables.links, token.id().bytes(), row.encode_to_vec());
            match change.commit(self.store(), &path).await? {
                Commit::Done(_) => return seen(drive, token.id(), row, Some(path.to_string()), (0, 0)),
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// A drive's links, the latest first; or those to what is at that path.
    pub async fn links(&self, drive: DriveId, only: Option<&str>) -> Result<Vec<Link>, DriveError> {
        let only = match only {
            Some(path) => Some(self.stat(drive, path).await?.id()),
            None => None,
        };
        let mut rows = Vec::new();
        for at in self.link_rows(drive).await? {
            // One that cannot be read does not hide the others.
            let row = match decode::<LinkRow>("a link", &at.item.value) {
                Ok(row) if only.is_none_or(|id| row.entry == id[..]) => row,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%drive, %error, "a link is passed over");
                    continue;
                }
            };
            rows.push((at.sort_key, row));
        }
        let mut links = self.links_of(drive, rows).await?;
        links.sort_by_key(|link| (std::cmp::Reverse(link.created), link.id));
        Ok(links)
    }

    /// How many links lead to a file or folder.
    pub async fn links_to(&self, drive: DriveId, id: [u8; 16]) -> Result<usize, DriveError> {
        let rows = self.link_rows(drive).await?;
        let rows = rows.iter().filter_map(|at| decode::<LinkRow>("a link", &at.item.value).ok());
        Ok(rows.filter(|row| row.entry == id[..]).count())
    }

    /// One link.
    pub async fn link(&self, drive: DriveId, id: LinkId) -> Result<Link, DriveError> {
        let (_, row) = self.link_row(drive, id).await?;
        self.links_of(drive, vec![(id.bytes(), row)]).await?.pop().ok_or(DriveError::NoSuchLink)
    }

    /// Changes a link. Who is downloading goes on.
    pub async fn change_link(&self, drive: DriveId, id: LinkId, to: &LinkChange) -> Result<Link, DriveError> {
        if to.expires.flatten().is_some_and(|at| at <= self.now()) {
            return Err(DriveError::Invalid("a link ends in the future; to end it now, take it back".into()));
        }
        let mut tries = Tries::at(&DrivePath::root());
        loop {
            let (version, mut row) = self.link_row(drive, id).await?;
            if let Some(password) = &to.password {
                row.password = password.clone().unwrap_or_default();
            }
            if let Some(expires) = to.expires {
                row.expires = expires.map_or(0, |at| at.0);
            }
            row.downloads_max = to.downloads_max.unwrap_or(row.downloads_max);
            row.bytes_max = to.bytes_max.unwrap_or(row.bytes_max);
            let mut change = Change::new(self, drive);
            change.require(self.inner.tables.links, id.bytes(), Test::VersionIs(version));
            change.put(self.inner.tables.links, id.bytes(), row.encode_to_vec());
            match change.commit(self.store(), &id).await? {
                Commit::Done(_) => return self.link(drive, id).await,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Takes a link back.
    pub async fn revoke_link(&self, drive: DriveId, id: LinkId) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let mut change = Change::new(self, drive);
        change.require(tables.links, id.bytes(), Test::Present);
        change.delete(tables.links, id.bytes());
        for counter in [Counter::Downloads, Counter::Bytes, Counter::Uploads, Counter::Folders] {
            change.delete(tables.link_counts, counter_key(id, counter));
        }
        match change.commit(self.store(), &id).await? {
            Commit::Done(_) => Ok(()),
            Commit::Lost(_) => Err(DriveError::NoSuchLink),
        }
    }

    /// Takes back links that ran out long ago, or whose file or folder is gone for good: how many.
    pub(super) async fn tidy_links(&self, drive: DriveId) -> Result<u64, DriveError> {
        let mut gone = 0;
        let now = self.now();
        for at in self.link_rows(drive).await? {
            let (Ok(row), Some(id)) = (decode::<LinkRow>("a link", &at.item.value), LinkId::from_slice(&at.sort_key))
            else {
                continue;
            };
            let long_over = row.expires != 0 && row.expires.saturating_add(OVER_KEPT_MS) < now.0;
            let old = at.item.time.wall().0.saturating_add(GONE_KEPT_MS) < now.0;
            let place = ItemKey::new(self.inner.tables.places, drive.bytes(), row.entry.clone());
            let lost = old && self.inner.store.get(&place, Consistency::Strong).await?.is_none();
            if long_over || lost {
                match self.revoke_link(drive, id).await {
                    Ok(()) => gone += 1,
                    Err(DriveError::NoSuchLink) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(gone)
    }

    pub(crate) async fn link_ids(&self, drive: DriveId) -> Result<Vec<LinkId>, DriveError> {
        Ok(self.link_rows(drive).await?.iter().filter_map(|at| LinkId::from_slice(&at.sort_key)).collect())
    }

    async fn link_rows(&self, drive: DriveId) -> Result<Vec<ItemAt>, DriveError> {
        let mut query = Query::all(self.inner.tables.links, drive.bytes());
        let mut rows = Vec::new();
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            rows.extend(page.items);
            match page.next {
                // Twice what anybody could make but by racing.
                Some(next) if rows.len() < 2 * LINKS_MAX => query = query.after(next),
                _ => return Ok(rows),
            }
        }
    }

    async fn link_row(&self, drive: DriveId, id: LinkId) -> Result<(Version, LinkRow), DriveError> {
        let key = ItemKey::new(self.inner.tables.links, drive.bytes(), id.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or(DriveError::NoSuchLink)?;
        Ok((item.version, decode("a link", &item.value)?))
    }

    /// As their owner sees them, but for those of a newer release. Read together: there may be many.
    async fn links_of(&self, drive: DriveId, rows: Vec<(Bytes, LinkRow)>) -> Result<Vec<Link>, DriveError> {
        let mut ids = Vec::with_capacity(rows.len());
        let mut entries = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            ids.push(LinkId::from_slice(key).ok_or_else(damaged)?);
            entries.push(row.entry[..].try_into().map_err(|_| damaged())?);
        }
        let key = |(id, counter)| ItemKey::new(self.inner.tables.link_counts, drive.bytes(), counter_key(id, counter));
        let counts = ids.iter().flat_map(|id| [(*id, Counter::Downloads), (*id, Counter::Bytes)]).map(key).collect();
        let counts = get_all(&*self.inner.store, counts).await?;
        let count = |item: &Option<Item>| match item {
            Some(item) => super::read::count_in(&item.value).map(|count| count.max(0) as u64),
            None => Ok(0),
        };
        let paths = self.locate_all(drive, &entries).await?;
        let mut links = Vec::with_capacity(rows.len());
        for ((((_, row), id), counts), path) in rows.into_iter().zip(ids).zip(counts.chunks(2)).zip(paths) {
            let [downloads, received] = counts else { return Err(damaged()) };
            if row.mode() != ModeRow::Unknown {
                let path = path.map(|path| path.to_string());
                links.push(seen(drive, id, row, path, (count(downloads)?, count(received)?))?);
            }
        }
        Ok(links)
    }
}

fn seen(
    drive: DriveId,
    id: LinkId,
    row: LinkRow,
    path: Option<String>,
    (downloads, received): (u64, u64),
) -> Result<Link, DriveError> {
    Ok(Link {
        id,
        token: LinkToken { drive, secret: row.secret.clone() }.to_string(),
        mode: mode_of(&row).ok_or_else(damaged)?,
        folder: row.folder,
        path,
        by: UserId::from_slice(&row.by).ok_or_else(damaged)?,
        created: WallMillis(row.created),
        expires: Some(WallMillis(row.expires)).filter(|at| at.0 != 0),
        password: !row.password.is_empty(),
        downloads,
        downloads_max: row.downloads_max,
        received,
        bytes_max: row.bytes_max,
        name: row.name,
        stopped: false,
    })
}

fn mode_of(row: &LinkRow) -> Option<LinkMode> {
    match row.mode() {
        ModeRow::View => Some(LinkMode::View),
        ModeRow::DropBox => Some(LinkMode::DropBox),
        ModeRow::Unknown => None,
    }
}

fn damaged() -> DriveError {
    DriveError::Damaged("a link".into())
}
