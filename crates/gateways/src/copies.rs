//! How many intact copies there are of a file, for who may look at it.

use crate::grpc::Backend;
use apps::drive::{Drives, OpenFile};
use apps::{DriveError, DriveId, VersionId};
use client::{ClientError, Copies};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Files that are read for this at a time, by way of one gateway: every holder reads. Others wait.
static VERIFYING: Semaphore = Semaphore::const_new(4);
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// What is asked of a file.
pub(crate) struct Asked<'a> {
    pub path: &'a str,
    /// Where the part begins.
    pub from: u64,
    /// The version that it must be: that of the part before.
    pub expect: Option<VersionId>,
    /// Its holders read it first.
    pub read: bool,
}

/// Of one part of a file. The whole is all parts, one after the other.
pub(crate) async fn look(
    backend: &dyn Backend,
    drives: &Drives,
    drive: DriveId,
    asked: Asked<'_>,
) -> Result<(OpenFile, Copies), DriveError> {
    let open = drives.open(drive, asked.path).await?;
    if asked.expect.is_some_and(|expected| expected != open.file.version) {
        return Err(DriveError::Changed { path: asked.path.to_string() });
    }
    if asked.from > open.content.size {
        return Err(DriveError::Invalid(format!("{} has {} bytes", asked.path, open.content.size)));
    }
    let _room = match asked.read {
        true => match tokio::time::timeout(ROOM_WITHIN, VERIFYING.acquire()).await {
            Ok(Ok(room)) => Some(room),
            _ => return Err(ClientError::Busy.into()),
        },
        false => None,
    };
    let row = drives.row_of_content(drive, open.file.version);
    let copies = backend.copies(&row, &open.content, asked.from, asked.read).await?;
    Ok((open, copies))
}
