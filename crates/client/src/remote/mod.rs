//! The client for programs outside the cluster, and for the CLI: gRPC
//! `atoll.v1`, through any gateway.
//!
//! **Owns** the choice of gateway and failing over between them, what is sent
//! again and what is not, and how files are cut, sent and fetched.
//! **Invariants**: no token is shown before the gateway has said that it belongs to the
//! cluster that is meant; a write is repeated only under the operation id, or file
//! version, that it began with; when an attempt may have been applied, nothing
//! heard later but a certain answer about that very write turns *unknown* into
//! *done* or *refused*; a block is handed out only if its bytes have the hash
//! that it was asked by; memory is bounded whatever a file's size.
//! **Leaves to others**: who may do what (`gateways`), the data (`node`).
//! **Proved by** `tests/` beside this file, against scripted gateways on real
//! sockets, and by the gateways' own tests, which use this client.

mod accounts;
mod acts;
mod address;
mod blocks;
mod call;
mod cluster;
mod copies;
mod download;
mod drive;
mod drives;
mod error;
mod gateways;
mod key_value;
mod layout;
pub mod links;
mod personal;
mod tables;
mod trust;
mod upload;
mod users;
mod watch;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use crate::overview::{
    ClusterLayout, ClusterStatus, LayoutNode, LayoutPartition, NodeState, PartitionsHealth, Verification,
};
pub use accounts::{Account, SignedIn};
pub use acts::{Act, Clash, Done, Found, HeldProgram, Job, JobState, PastVersion, Trashed};
pub use address::GatewayAddress;
pub use trust::{Shown, Trust, shown_by};
/// Accounts as `atoll.v1` has them.
pub mod people {
    pub use rpc::grpc::v1::{
        AccessKey, AccountPolicy, AppPassword, AuditEntry, AuditPage, ChangeUserRequest, CreateAccessKeyRequest,
        CreateAppPasswordReply, CreateUserReply, CreateUserRequest, InvitationInfo, InviteReply, InviteRequest,
        Leaving, MailRelay, MailState, NewSecondFactor, Recovery, SecondFactor, SessionInfo, UserDetails, UserInfo,
        UserList,
    };
}
pub use cluster::JoinToken;
pub use drives::SharedDriveId;
pub use personal::{Placed, RecentAct};
/// Shared drives as `atoll.v1` has them.
pub mod shared {
    pub use rpc::grpc::v1::{ChangeDriveRequest, DriveInfo, MemberInfo, Membership};
}
pub use download::{DownloadOptions, DownloadProgress, Expect};
pub use drive::{Entry, EntryKind, FileCondition, FileInfo, FileVersion, FolderPage, Order};
pub use error::{Challenge, RemoteError};
pub use key_value::{ScanPage, ScannedItem};
pub use rpc::grpc::{
    TableChange, TableCondition, TableKey, TableQuery, TableTransaction, TableUpdate, WatchEvent, WatchKey,
};
pub use tables::TableInfo;
pub use upload::{UploadProgress, UploadTarget};

use gateways::Gateways;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::{ClusterId, WallMillis};

/// How patient a [`Remote`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// For a connection to one gateway.
    pub connect: Duration,
    /// For one attempt through one gateway. Gateways themselves retry for ten seconds.
    pub attempt: Duration,
    /// For a whole call, with all its attempts.
    pub total: Duration,
    /// How long to go on when every gateway refuses connections.
    pub refused: Duration,
    /// For one block from one node.
    pub block: Duration,
    /// How long a node that failed is avoided.
    pub avoid: Duration,
    /// When the next gateway is asked as well, while one is silent at first.
    pub hedge: Duration,
    /// How long to go on when gateways answer and none can serve, at first.
    pub idle: Duration,
    /// The same, once something was answered: the cluster may just be between two leaders.
    pub idle_later: Duration,
    /// Whether gateways that others tell of are asked too, or only those given.
    pub roam: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect: Duration::from_secs(2),
            attempt: Duration::from_secs(12),
            total: Duration::from_secs(25),
            refused: Duration::from_secs(2),
            block: Duration::from_secs(20),
            avoid: Duration::from_secs(5),
            hedge: Duration::from_millis(300),
            idle: Duration::from_secs(4),
            idle_later: Duration::from_secs(15),
            roam: true,
        }
    }
}

/// A connection to a cluster, through whichever gateway answers. A cheap handle:
/// clones share connections and the session.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
    /// The shared drive that calls about files are about; none: the caller's own.
    drive: Option<SharedDriveId>,
}

struct Shared {
    gateways: Gateways,
    options: Options,
    token: RwLock<Option<String>>,
    /// The cluster's clock minus ours, in milliseconds: a machine whose clock is
    /// wrong would otherwise make operation ids that are refused as too old.
    clock_offset: AtomicI64,
    /// A call was answered.
    served: AtomicBool,
}

impl std::fmt::Debug for Remote {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Remote {
    /// Connects to the first of the addresses (see [`GatewayAddress`]) that answers. A token that is no longer good is an error.
    pub async fn connect(addresses: Vec<String>, token: Option<String>) -> Result<Remote, RemoteError> {
        Remote::with_options(addresses, token, Options::default()).await
    }

    /// The same, with that patience.
    pub async fn with_options(
        addresses: Vec<String>,
        token: Option<String>,
        options: Options,
    ) -> Result<Remote, RemoteError> {
        Remote::at(addresses, None, token, options).await
    }

    /// The same, for that cluster alone: to any other that answers at the addresses, nothing is shown.
    pub async fn at(
        addresses: Vec<String>,
        cluster: Option<ClusterId>,
        token: Option<String>,
        options: Options,
    ) -> Result<Remote, RemoteError> {
        Remote::trusting(Trust::system()?, addresses, cluster, token, options).await
    }

    /// The same, believing those certificates.
    pub async fn trusting(
        trust: Trust,
        addresses: Vec<String>,
        cluster: Option<ClusterId>,
        token: Option<String>,
        options: Options,
    ) -> Result<Remote, RemoteError> {
        let shared = Shared {
            gateways: Gateways::new(&addresses, trust, cluster, options)?,
            options,
            token: RwLock::new(token),
            clock_offset: AtomicI64::new(0),
            served: AtomicBool::new(false),
        };
        let remote = Remote { shared: Arc::new(shared), drive: None };
        match remote.who_am_i().await {
            // Without a token that is the proof that a gateway of Atoll answers.
            Err(RemoteError::SignedOut) if remote.token().is_none() => Ok(remote),
            Err(error) => Err(error),
            Ok(_) => Ok(remote),
        }
    }

    /// The cluster that this is a connection to.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.shared.gateways.cluster()
    }

    /// The cluster's own authority (PEM), if it was heard of by a way that was trusted without it.
    pub fn learned_authority(&self) -> Option<String> {
        self.shared.gateways.trust().learned()
    }

    /// The gateways that are known, the one that answered last first.
    pub fn addresses(&self) -> Vec<String> {
        self.shared.gateways.addresses()
    }

    /// The session's token, if there is one. A secret.
    pub fn token(&self) -> Option<String> {
        self.shared.token.read().clone()
    }

    /// The gateway that calls go to now.
    pub fn address(&self) -> String {
        self.shared.gateways.preferred().address().to_string()
    }

    fn set_token(&self, token: Option<String>) {
        *self.shared.token.write() = token;
    }

    /// The cluster's clock, as far as this program knows it.
    fn now(&self) -> WallMillis {
        let offset = self.shared.clock_offset.load(Ordering::Relaxed);
        WallMillis(local_millis().saturating_add_signed(offset))
    }

    /// A gateway said what time it is; its answer took that long.
    fn heard_the_time(&self, now_ms: u64, took: Duration) {
        let theirs = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(took.as_millis() as i64 / 2);
        let offset = theirs.saturating_sub(i64::try_from(local_millis()).unwrap_or(i64::MAX));
        self.shared.clock_offset.store(offset, Ordering::Relaxed);
    }
}

fn local_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
