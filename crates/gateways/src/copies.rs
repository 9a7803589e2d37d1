//! How many intact copies there are of a file, for who may look at it.

use crate::grpc::Backend;
use crate::turns::Turns;
use apps::drive::{Drives, OpenFile};
use apps::{DriveError, DriveId, UserId, VersionId};
use client::{ClientError, Copies};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Files that are read for this at a time, by way of one gateway: every holder reads. Others wait.
static VERIFYING: Semaphore = Semaphore::const_new(4);
/// Files that are looked at without being read.
static LOOKING: Semaphore = Semaphore::const_new(16);
/// Each person has one file read at a time, however many they ask for.
static TURNS: LazyLock<Turns> = LazyLock::new(|| Turns::of(1));
const READ_ROOM_WITHIN: Duration = Duration::from_secs(5);
const LOOK_ROOM_WITHIN: Duration = Duration::from_secs(1);

/// What is asked of a file.
pub(crate) struct Asked<'a> {
    pub who: UserId,
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
    let row = drives.row_of_content(drive, open.file.version);
    let (rooms, within) = if asked.read { (&VERIFYING, READ_ROOM_WITHIN) } else { (&LOOKING, LOOK_ROOM_WITHIN) };
    let _turn = match asked.read {
        true => Some(TURNS.take(asked.who, READ_ROOM_WITHIN).await?),
        false => None,
    };
    let Ok(Ok(_room)) = tokio::time::timeout(within, rooms.acquire()).await else {
        return Err(ClientError::Busy.into());
    };
    let copies = backend.copies(&row, &open.content, asked.from, asked.read).await?;
    Ok((open, copies))
}
