//! What people use: accounts and drives, on the client alone.
//!
//! **Owns** the rules of accounts (who someone is, what a role may do) and of
//! drives (what a path means, what a rename promises), and the rows in which
//! they are kept. **Invariants** stand at the head of [`accounts`] and
//! [`drive`]; common to both: an act is one transaction, or leaves an intent
//! record first and has steps that can be repeated; rows are protobuf, readable by
//! an older and a newer release. **Leaves to others**: where data is and how it
//! survives (`client` and below), protocols and cookies (`gateways`).
//! **Proved by** the tests beside the code and, in `tests/`, concurrent histories
//! and crashes at every step against a store in memory.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod accounts;
pub mod drive;
mod estate;
mod hex;
mod ids;
mod page;
mod quotas;
pub mod store;

pub use accounts::shared::{DriveRole, SharedDrive};
pub use accounts::{AccountError, Accounts, Device, NewUser, Role, Session, Token, User};
pub use drive::{DriveError, Drives};
pub use ids::{BatchId, DriveId, FileId, FolderId, JobId, LinkId, PartsId, TrashId, UserId, VersionId};
pub use page::Page;
pub use quotas::Quotas;
pub use store::{ByteSource, ByteStream, Store};

use client::{Client, ClientError};
use std::sync::Arc;

/// What the apps can be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// For accounts.
    pub accounts: accounts::Settings,
    /// For drives.
    pub drives: drive::Settings,
}

/// All apps of a cluster: cheap to clone.
#[derive(Clone)]
pub struct Apps {
    /// Who people are.
    pub accounts: Accounts,
    /// What they keep.
    pub drives: Drives,
}

impl Apps {
    /// The apps of the cluster that `client` speaks to, with the usual settings.
    pub async fn open(client: Client) -> Result<Apps, ClientError> {
        Apps::with_store(Arc::new(client), Settings::default()).await
    }

    /// The apps on any store. Makes the tables that are missing.
    pub async fn with_store(store: Arc<dyn Store>, settings: Settings) -> Result<Apps, ClientError> {
        let accounts = Accounts::open_store(store.clone(), settings.accounts).await?;
        let drives = Drives::open_store(store, settings.drives).await?;
        accounts.keep_estates(vec![Arc::new(drives.clone())]);
        Ok(Apps { accounts, drives })
    }
}
