//! Accounts: who people are, what they may do, and their sessions.
//!
//! Users, names, set-up links and the count of administrators are under one
//! partition key, so that names are unique, a set-up link is used once, and the last
//! administrator stays, each by the conditions of one transaction. They are few,
//! small and seldom written; reads of them spread over the replicas. Sessions are
//! under their user's id, counted tries under a hash of name and address.
//!
//! **Invariants.** (1) Passwords are kept as argon2id hashes, tokens and links as
//! BLAKE3 hashes (they are random). (2) A wrong name and a wrong password look the same
//! and cost the same. (3) A change of password or a disabling ends all sessions of the
//! user in the same write; [`cache`] delays that by two seconds at most, elsewhere.
//! (4) What only an administrator may do is conditioned on them being one at that moment.
//! (5) A user has exactly one drive, named in their row from the first moment on.
//! **Leaves to others**: cookies and who is asked for what (`gateways`); second
//! factors, app passwords and the audit log come later, as fields and tables beside these.
//! **Proved by** the tests beside the code and `tests/accounts.rs`.

mod cache;
mod error;
pub mod names;
mod password;
mod rows;
mod sessions;
mod setup;
mod tries;
mod user;
mod users;

pub use error::AccountError;
pub use password::Cost;
pub use sessions::LIFETIME as SESSION_LIFETIME;
pub use setup::LINK_LIFETIME;
pub use tries::{TRIES_MAX, WINDOW as TRIES_WINDOW};
pub use user::{Device, NewUser, Role, Session, Token, User};
pub use users::LIST_MAX;

use crate::store::Store;
use bytes::Bytes;
use cache::Cache;
use client::ClientError;
use password::Passwords;
use std::sync::Arc;
use tokio::sync::Semaphore;
use types::{Condition, Refusal, TableId, Transaction, TransactionResult, Update};

const NAMESPACE: &str = "accounts";
/// The partition key of what concerns all users.
const EVERYONE: Bytes = Bytes::from_static(b"everyone");
/// Sort key of the count of administrators who are not disabled.
const ADMINISTRATORS: Bytes = Bytes::from_static(b"administrators");
/// Notes of a session's use that may be under way.
const TOUCHING_MAX: usize = 64;

/// What accounts can be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Of a new password's hash.
    pub cost: Cost,
}

/// All accounts of a cluster: cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    tables: Tables,
    passwords: Passwords,
    cache: Cache,
    touching: Arc<Semaphore>,
}

#[derive(Clone, Copy)]
struct Tables {
    /// [`EVERYONE`], user id → user.
    users: TableId,
    /// [`EVERYONE`], name → user id.
    names: TableId,
    /// [`EVERYONE`], [`ADMINISTRATORS`] → counter.
    counts: TableId,
    /// [`EVERYONE`], hash of the secret → set-up link.
    setup: TableId,
    /// User id, hash of the token → session.
    sessions: TableId,
    /// Hash of name and address, window → counter.
    tries: TableId,
}

impl Accounts {
    /// The accounts on that store. Makes the tables that are missing.
    pub async fn open_store(store: Arc<dyn Store>, settings: Settings) -> Result<Accounts, ClientError> {
        let tables = Tables {
            users: store.ensure_table(NAMESPACE, "users").await?,
            names: store.ensure_table(NAMESPACE, "names").await?,
            counts: store.ensure_table(NAMESPACE, "counts").await?,
            setup: store.ensure_table(NAMESPACE, "setup").await?,
            sessions: store.ensure_table(NAMESPACE, "sessions").await?,
            tries: store.ensure_table(NAMESPACE, "tries").await?,
        };
        let passwords = Passwords::new(settings.cost).await.map_err(|error| ClientError::Invalid(error.to_string()))?;
        let touching = Arc::new(Semaphore::new(TOUCHING_MAX));
        Ok(Accounts { inner: Arc::new(Inner { store, tables, passwords, cache: Cache::default(), touching }) })
    }

    /// One transaction; the index of the condition that did not hold, if one did not.
    async fn transact(
        &self,
        partition_key: Bytes,
        conditions: Vec<Condition>,
        updates: Vec<Update>,
    ) -> Result<Result<TransactionResult, u32>, AccountError> {
        let operation = self.inner.store.operation(&partition_key);
        match self.inner.store.transact(Transaction { operation, partition_key, conditions, updates }).await {
            Ok(result) => Ok(Ok(result)),
            Err(ClientError::Refused(Refusal::Condition { index, .. })) => Ok(Err(index)),
            Err(error) => Err(error.into()),
        }
    }

    /// One transaction without conditions.
    async fn write(&self, partition_key: Bytes, updates: Vec<Update>) -> Result<(), AccountError> {
        self.transact(partition_key, Vec::new(), updates).await?.map(drop).map_err(|_| AccountError::Conflict)
    }
}
