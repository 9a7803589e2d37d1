//! Drives: files and folders under paths.
//!
//! Everything of a drive is under one partition key, its id, so that every
//! change is one transaction: an entry is (parent folder id ‖ name), files and folders know
//! their place, each folder counts its entries, each content stands apart from the
//! entry, earlier version or row of the trash that names it; an index has the
//! entries in other orders. A drive needs no making: it is there once a user names it.
//!
//! **Invariants.** (1) A change rests on the entries along its paths being as
//! they were read, all the way from the root: so what was written at a path was
//! there, no cycle forms, and nothing is put into a folder that has been taken out
//! of the tree. (2) An entry, its place and its rows of the index are written in the same
//! transaction. (3) A content has durable references before an entry names it, and
//! until after none does. (4) Whatever has or may get references, and no entry, has a
//! row of work, written in the same transaction that made it so or before it:
//! a crash anywhere leaves work, never litter. (5) Each step of the sweeper
//! can be repeated, and two sweepers do not disturb each other.
//! (6) A thumbnail is written while its content is there, and goes with it in one transaction.
//! (7) A link counts downloads, and takes uploads, in transactions that rest on the link itself. (8) What a
//! program removes rests on its not being held ([`Program`]). (9) A folder says how many levels of folders are below it at
//! most, so that nothing comes to lie deeper than a path can say ([`height`]).
//! **Leaves to others**: storing and reading blocks (`client`), who may use which
//! drive (`gateways`, by the user's drive id). **Proved by** `tests/apps/drive_*.rs`;
//! [`Drives::check`] says what is wrong with a drive.

pub mod acts;
mod beside;
mod brake;
mod change;
mod check;
mod contents;
mod copy;
mod entry;
mod error;
mod folders;
mod height;
mod index;
mod inside;
mod intent;
mod jobs;
pub mod links;
pub mod locks;
pub mod objects;
pub mod path;
mod personal;
pub mod properties;
mod put;
mod put_back;
mod read;
mod remove;
mod removed;
mod rename;
mod rows;
pub(crate) mod rules;
mod search;
mod succession;
mod sweep;
pub mod texts;
mod thumbnails;
mod tidy;
mod trash;
mod tries;
mod versions;
mod walk;

pub use acts::{Act, Done};
pub use brake::{Held, Program};
pub use change::FOLDER_ENTRIES_MAX;
pub use copy::{Copied, Copying, FileCopied, Over};
pub use entry::{
    Clash, Entry, EntryKind, FileInfo, FolderInfo, NewFile, OpenFile, PutCondition, RenameCondition, Swept, Usage,
};
pub use error::DriveError;
pub use index::Order;
pub use inside::Inside;
pub use jobs::{Job, JobState, Replaced};
pub use links::{Link, LinkChange, LinkFound, LinkMode, NewLink, Started, Wanted, Within};
pub use path::DrivePath;
pub use personal::{Placed, Recent, RecentAct, STARS_MAX, Starred};
pub use put::Before;
pub use put_back::PutBack;
pub use read::LIST_MAX;
pub use rename::Renamed;
pub use rules::Versioning;
pub use search::{Found, SEARCH_MAX};
pub use texts::{Passage, TextFound};
pub use thumbnails::{IMAGE_BYTES_MAX, Thumbnail};
pub use tidy::TidyPass;
pub use trash::{Emptied, Restored, TRASH_LIST_MAX, Trashed};
pub use versions::OldVersion;

use crate::store::Store;
use crate::{DriveId, UserId};
use change::Tables;
use client::ClientError;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use types::WallMillis;
use walk::Seen;

/// What drives can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that a drive may hold; none is no limit.
    pub quota: Option<u64>,
    /// How long what was replaced or removed stays, for those who are reading it.
    pub grace: Duration,
    /// When a put that neither ended nor failed is taken for dead. Much longer
    /// than operations are remembered, so that nothing of it can arrive later.
    pub abandoned: Duration,
    /// When an upload in parts that nobody touches is aborted.
    pub uploads: Duration,
    /// How long the trash keeps what is thrown away.
    pub trash: Duration,
    /// Earlier versions kept of one file at most; 0 keeps none.
    pub versions: usize,
    /// What a program may remove of a drive within an hour, by way of one node; 0 is no limit.
    pub brake: u32,
    /// How long one call goes on putting back what a program removed.
    pub putting_back: Duration,
    /// How long one call goes on carrying out a bucket's lifecycle; the next goes on there.
    pub expiring: Duration,
    /// What reads the text of documents and makes pictures of images; none: they wait for a process that has it.
    pub documents: Option<extract::Program>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            quota: None,
            grace: Duration::from_secs(10 * 60),
            abandoned: Duration::from_secs(60 * 60),
            uploads: Duration::from_secs(7 * 24 * 60 * 60),
            trash: Duration::from_secs(30 * 24 * 60 * 60),
            versions: 100,
            brake: 500,
            putting_back: Duration::from_secs(4),
            expiring: Duration::from_secs(60),
            documents: None,
        }
    }
}

/// All drives of a cluster: cheap to clone.
#[derive(Clone)]
pub struct Drives {
    inner: Arc<Inner>,
    /// Bytes that a drive may hold for whom this was made.
    quota: Option<u64>,
    /// The program that it was made for, and for whom that acts.
    program: Option<Arc<(Program, UserId)>>,
    /// The locks that what is done was judged by.
    keeps: Option<Arc<locks::Kept>>,
}

struct Inner {
    store: Arc<dyn Store>,
    tables: Tables,
    settings: Settings,
    seen: Seen,
    /// What programs removed through this process.
    counted: removed::Counted,
    /// Jobs that this process carries on.
    keeper: jobs::Keeper,
    studio: thumbnails::Studio,
    notebook: personal::Notebook,
    /// What holds for drives as buckets, as far as it is known.
    known: Arc<rules::Known>,
    /// Drives whose index is known to be complete.
    complete: Mutex<HashSet<DriveId>>,
    /// Drives in which something is to be read.
    waiting: Arc<texts::Waiting>,
    /// Files that could not be read.
    later: texts::Later,
    searches: texts::Searches,
    documents: Option<extract::Extractor>,
    /// Drives whose files of before are known to have been read, or to be unread.
    gathered: Mutex<HashSet<DriveId>>,
}

impl Drives {
    /// The drives on that store. Makes the tables that are missing.
    pub async fn open_store(store: Arc<dyn Store>, settings: Settings) -> Result<Drives, ClientError> {
        let tables = Tables::open(&*store).await?;
        let quota = settings.quota;
        let documents = settings.documents.clone().map(extract::Extractor::new);
        Ok(Drives {
            quota,
            program: None,
            keeps: None,
            inner: Arc::new(Inner {
                store,
                tables,
                settings,
                seen: Seen::default(),
                counted: removed::Counted::default(),
                keeper: jobs::Keeper::default(),
                studio: thumbnails::Studio::default(),
                notebook: personal::Notebook::default(),
                known: Arc::default(),
                complete: Mutex::default(),
                waiting: Arc::default(),
                later: texts::Later::default(),
                searches: texts::Searches::default(),
                documents,
                gathered: Mutex::default(),
            }),
        })
    }

    /// The same drives for somebody with that quota: what makes a drive larger than it is refused. Jobs begun keep to it.
    #[must_use]
    pub fn within(&self, quota: Option<u64>) -> Drives {
        let quota = [self.inner.settings.quota, quota].into_iter().flatten().min();
        Drives { quota, ..self.clone() }
    }

    fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    fn now(&self) -> WallMillis {
        self.inner.store.now()
    }
}
