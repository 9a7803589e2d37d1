//! Drives: files and folders under paths.

mod entry;
mod error;
pub mod path;

pub use entry::{
    Entry, EntryKind, FileInfo, FolderInfo, NewFile, OpenFile, PutCondition, RenameCondition, Swept, Usage,
};
pub use error::DriveError;
pub use path::DrivePath;

use crate::store::{ByteStream, Store};
use crate::{DriveId, Page};
use bytes::Bytes;
use client::{ClientError, Content};
use futures::Stream;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What drives can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that a drive may hold; none is no limit.
    pub quota: Option<u64>,
    /// How long what was replaced or removed stays, for those who are reading it.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { quota: None, grace: Duration::from_secs(10 * 60) }
    }
}

/// All drives of a cluster: cheap to clone.
#[derive(Clone)]
pub struct Drives {
    store: Arc<dyn Store>,
}

fn soon<T>() -> Result<T, DriveError> {
    Err(ClientError::NotOffered("this call".into()).into())
}

#[allow(clippy::unused_async, unused_variables, missing_docs)]
impl Drives {
    pub async fn open_store(store: Arc<dyn Store>, settings: Settings) -> Result<Drives, ClientError> {
        Ok(Drives { store })
    }
    pub async fn stat(&self, drive: DriveId, path: &str) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn list(
        &self,
        drive: DriveId,
        path: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, DriveError> {
        soon()
    }
    pub async fn open(&self, drive: DriveId, path: &str) -> Result<OpenFile, DriveError> {
        soon()
    }
    pub fn read(&self, content: Content, range: Range<u64>) -> ByteStream {
        self.store.read_blob(content, range)
    }
    pub async fn make_folder(&self, drive: DriveId, path: &str) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn make_folders(&self, drive: DriveId, path: &str) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn put_file(
        &self,
        drive: DriveId,
        path: &str,
        content: Content,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn upload_file(
        &self,
        drive: DriveId,
        path: &str,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        new: NewFile,
        condition: PutCondition,
    ) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn remove(&self, drive: DriveId, path: &str, recursive: bool) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn rename(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        condition: RenameCondition,
    ) -> Result<Entry, DriveError> {
        soon()
    }
    pub async fn usage(&self, drive: DriveId) -> Result<Usage, DriveError> {
        soon()
    }
    pub async fn sweep(&self, drive: DriveId) -> Result<Swept, DriveError> {
        soon()
    }
    pub async fn sweep_all(&self) -> Result<Swept, DriveError> {
        soon()
    }
    pub fn spawn_sweeper(&self, every: Duration) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async {})
    }
}
