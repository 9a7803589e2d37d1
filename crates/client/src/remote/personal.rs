//! Stars of the signed-in person, and what they did last.

use super::call::Safety;
use super::drive::{Entry, service};
use super::{Remote, RemoteError, SharedDriveId};
use rpc::grpc::v1::{self, RecentAct as Wire};
use rpc::grpc::{Malformed, bytes16};
use types::WallMillis;

/// What somebody did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecentAct {
    /// Looked at it, or downloaded it.
    Opened,
    /// Put it there.
    Uploaded,
    /// Renamed, moved, copied or restored it.
    Changed,
}

impl RecentAct {
    /// As it is said.
    pub fn as_str(self) -> &'static str {
        match self {
            RecentAct::Opened => "opened",
            RecentAct::Uploaded => "uploaded",
            RecentAct::Changed => "changed",
        }
    }
}

/// A file or folder in one of the person's drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which shared drive, and what it is called; none: their own.
    pub drive: Option<(SharedDriveId, String)>,
    /// Where in it.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// When it was starred, or something done with it.
    pub at: WallMillis,
    /// What was done; none of what is starred.
    pub act: Option<RecentAct>,
}

fn placed(it: v1::Placed) -> Result<Placed, Malformed> {
    let act = match it.act() {
        Wire::Unspecified => None,
        Wire::Opened => Some(RecentAct::Opened),
        Wire::Uploaded => Some(RecentAct::Uploaded),
        Wire::Changed => Some(RecentAct::Changed),
    };
    let drive = match it.drive.is_empty() {
        true => None,
        false => Some((SharedDriveId(bytes16("a drive's id", &it.drive)?), it.drive_name)),
    };
    let entry = it.entry.ok_or_else(|| Malformed::new("an entry is missing"))?;
    Ok(Placed { drive, path: it.path, entry: Entry::from_wire(entry)?, at: WallMillis(it.at_ms), act })
}

fn all(reply: v1::PlacedReply) -> Result<Vec<Placed>, RemoteError> {
    Ok(reply.items.into_iter().map(placed).collect::<Result<_, Malformed>>()?)
}

impl Remote {
    /// Stars a file or folder, or takes its star away; may be repeated. What it is.
    pub async fn star(&self, path: &str, starred: bool) -> Result<Entry, RemoteError> {
        let message = v1::StarRequest { path: path.to_string(), starred };
        let send = |channel, request| async move { service(channel).star(request).await };
        Ok(Entry::from_wire(self.call(Safety::Write, message, send).await?)?)
    }

    /// What is starred, in all drives, the latest first.
    pub async fn starred(&self) -> Result<Vec<Placed>, RemoteError> {
        let send = |channel, request| async move { service(channel).list_starred(request).await };
        all(self.read(v1::ListStarredRequest {}, send).await?)
    }

    /// The files that were opened, uploaded or changed last, in all drives, the latest first.
    pub async fn recent(&self) -> Result<Vec<Placed>, RemoteError> {
        let send = |channel, request| async move { service(channel).list_recent(request).await };
        all(self.read(v1::ListRecentRequest {}, send).await?)
    }
}
