//! Accounts: who people are, what they may do, and how they come in.
//!
//! Users, names, second factors, links, the policy, removals, the log and the counts are under one partition key, so
//! that names are unique, links and codes are used once, the last administrator stays, and every act has its line
//! in the log, each by the conditions of one transaction. They are few, small and seldom written; reads of them spread
//! over the replicas. Sessions, app passwords and known devices are under their user's id, counted tries under a
//! hash of what is counted.
//!
//! **Invariants.** (1) Passwords are kept as argon2id hashes; tokens, links, app passwords and recovery codes as
//! BLAKE3 hashes (they are random). (2) A wrong name and a wrong password look the same and cost the same.
//! (3) A change of password or a disabling ends all sessions of the user in the same write; [`cache`] delays that
//! by two seconds at most, elsewhere. (4) What only an administrator may do is conditioned on them being one at that
//! moment. (5) A user has exactly one drive, named in their row from the first moment on. (6) Nobody's tries lock
//! out anybody who does not share their network, nor a device that has signed in before ([`tries`]). (7) A code, a
//! recovery code and a link are each good once, whoever else shows them at the same moment. (8) An account that is
//! removed is gone at once, and what it kept follows, whatever crashes ([`leaving`]). (9) No secret is in the log.
//! Who may use which shared drive is in [`shared`], and what is mailed in [`mail`], with invariants of their own.
//! **Leaves to others**: cookies and who is asked for what (`gateways`); what drives keep ([`Estate`]).
//! **Proved by** the tests beside the code and `tests/apps/accounts*.rs`.

mod access_keys;
mod act;
mod app_passwords;
mod audit;
mod bucket_rules;
mod buckets;
mod cache;
mod error;
mod factor;
mod guests;
mod leaving;
mod links;
mod mail;
pub mod names;
mod password;
mod policy;
mod rows;
mod secrets;
mod sessions;
mod setup;
pub mod shared;
mod sign_in;
mod sizes;
mod totp;
mod tries;
mod user;
mod users;

pub use access_keys::{ACCESS_KEY_MARK, ACCESS_KEYS_MAX, AccessCaller, AccessKey, AccessScope};
pub use app_passwords::{APP_PASSWORDS_MAX, AppCaller, AppPassword, AppScope, Protocol};
pub use audit::{AUDIT_PAGE_MAX, AuditLine};
pub use bucket_rules::{
    BucketKeeper, BucketPolicy, BucketRules, BucketTag, CorsRule, PolicyPerson, PublicBlock, RULES_BYTES_MAX,
};
pub use buckets::{Bucket, BucketPlace};
pub use error::AccountError;
pub use factor::{FactorState, NewFactor, RECOVERY_CODES};
pub use leaving::{Estate, Kept, Leaving, SETTLED_AFTER};
pub use links::{INVITATION_LIFETIME_MAX, Invitation, LinkPurpose, NewInvitation, RESET_LIFETIME};
pub use mail::{
    ADDRESSES_SHARED_MAX, CONFIRM_LIFETIME, HOUR, Letter, MAILED_RESET_LIFETIME, Mailer, Message, NewRelay, RESETS_MAX,
    RecoveryState, Relay, RelayStatus, RelayTls, Undelivered,
};
pub use password::Cost;
pub use policy::{Policy, SignUp};
pub use sessions::{KNOWN_LIFETIME, LIFETIME as SESSION_LIFETIME, SESSIONS_MAX, SessionInfo};
pub use setup::LINK_LIFETIME;
pub use sign_in::CHALLENGE_LIFETIME;
pub use sizes::{parse_size, said_size, typed_size};
#[doc(hidden)]
pub use totp::code_now;
pub use tries::{NETWORK_TRIES_MAX, SIGN_UPS_MAX, TRIES_MAX, WINDOW as TRIES_WINDOW};
pub use user::{By, Device, NewUser, Role, Session, Token, User};
pub use users::{LIST_MAX, UserChange};

use crate::UserId;
use crate::store::Store;
use bytes::Bytes;
use cache::Cache;
use client::ClientError;
use parking_lot::Mutex;
use password::Passwords;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use types::{Condition, Refusal, TableId, Transaction, TransactionResult, Update};

const NAMESPACE: &str = "accounts";
/// The partition key of what concerns all users.
const EVERYONE: Bytes = Bytes::from_static(b"everyone");
/// Sort key of the count of administrators who are not disabled.
const ADMINISTRATORS: Bytes = Bytes::from_static(b"administrators");
/// Sort key of the count of users.
const USERS: Bytes = Bytes::from_static(b"users");
/// Tries of a change that others keep overtaking.
const TRIES_OF_A_CHANGE: usize = 8;
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
    sessions_seen: Cache<User>,
    apps_seen: Cache<AppCaller>,
    keys_seen: Cache<AccessCaller>,
    /// What secrets of access keys are derived from.
    access_secret: OnceLock<[u8; 32]>,
    /// What the relay's password is sealed with.
    mail_secret: OnceLock<[u8; 32]>,
    mailer: OnceLock<Arc<dyn Mailer>>,
    /// A mail was ordered here.
    orders: Notify,
    touching: Arc<Semaphore>,
    /// Days that the log is kept, and when that was read.
    audit_days: Mutex<Option<(u32, Instant)>>,
    estates: OnceLock<Vec<Arc<dyn Estate>>>,
    /// A removal has begun here.
    removals: Notify,
}

#[derive(Clone, Copy)]
struct Tables {
    /// [`EVERYONE`], user id → user.
    users: TableId,
    /// [`EVERYONE`], name → user id.
    names: TableId,
    /// [`EVERYONE`], what is counted → counter. Under a user's id too.
    counts: TableId,
    /// [`EVERYONE`], hash of the secret → link.
    links: TableId,
    /// [`EVERYONE`], user id → second factor.
    factors: TableId,
    /// [`EVERYONE`], user id → address for recovery.
    recovery: TableId,
    /// [`EVERYONE`], confirmed address ‖ 0 ‖ user id.
    addresses: TableId,
    /// [`EVERYONE`], random → mail to be sent.
    orders: TableId,
    /// [`EVERYONE`] → policy; and the relay of mail.
    policy: TableId,
    /// [`EVERYONE`], user id → removal.
    removals: TableId,
    /// [`EVERYONE`], number → line of the log.
    audit: TableId,
    /// [`EVERYONE`], drive id → shared drive.
    drives: TableId,
    /// [`EVERYONE`], drive id ‖ user id → member.
    drive_members: TableId,
    /// [`EVERYONE`], user id ‖ drive id: the drives that somebody is in.
    drives_of_users: TableId,
    /// [`EVERYONE`], drive id → drive that is going.
    drives_going: TableId,
    /// [`EVERYONE`], bucket's name → drive; drive → bucket's name.
    buckets: TableId,
    /// User id, random → access key.
    access_keys: TableId,
    /// User id, hash of the token → session.
    sessions: TableId,
    /// User id, hash → app password.
    app_passwords: TableId,
    /// User id, hash of the token → device that has signed in.
    known: TableId,
    /// User id, hash of the token → sign-in that waits for a code.
    challenges: TableId,
    /// Hash of what is counted, window → counter.
    tries: TableId,
}

impl Accounts {
    /// The accounts on that store. Makes the tables that are missing.
    pub async fn open_store(store: Arc<dyn Store>, settings: Settings) -> Result<Accounts, ClientError> {
        let tables = Tables {
            users: store.ensure_table(NAMESPACE, "users").await?,
            names: store.ensure_table(NAMESPACE, "names").await?,
            counts: store.ensure_table(NAMESPACE, "counts").await?,
            links: store.ensure_table(NAMESPACE, "links").await?,
            factors: store.ensure_table(NAMESPACE, "factors").await?,
            recovery: store.ensure_table(NAMESPACE, "recovery").await?,
            addresses: store.ensure_table(NAMESPACE, "addresses").await?,
            orders: store.ensure_table(NAMESPACE, "mail_orders").await?,
            policy: store.ensure_table(NAMESPACE, "policy").await?,
            removals: store.ensure_table(NAMESPACE, "removals").await?,
            audit: store.ensure_table(NAMESPACE, "audit").await?,
            drives: store.ensure_table(NAMESPACE, "drives").await?,
            drive_members: store.ensure_table(NAMESPACE, "drive_members").await?,
            drives_of_users: store.ensure_table(NAMESPACE, "drives_of_users").await?,
            drives_going: store.ensure_table(NAMESPACE, "drives_going").await?,
            buckets: store.ensure_table(NAMESPACE, "buckets").await?,
            access_keys: store.ensure_table(NAMESPACE, "access_keys").await?,
            app_passwords: store.ensure_table(NAMESPACE, "app_passwords").await?,
            known: store.ensure_table(NAMESPACE, "known_devices").await?,
            challenges: store.ensure_table(NAMESPACE, "challenges").await?,
            sessions: store.ensure_table(NAMESPACE, "sessions").await?,
            tries: store.ensure_table(NAMESPACE, "tries").await?,
        };
        let passwords = Passwords::new(settings.cost).await.map_err(|error| ClientError::Invalid(error.to_string()))?;
        let touching = Arc::new(Semaphore::new(TOUCHING_MAX));
        let inner = Inner {
            store,
            tables,
            passwords,
            sessions_seen: Cache::default(),
            apps_seen: Cache::default(),
            keys_seen: Cache::default(),
            access_secret: OnceLock::new(),
            mail_secret: OnceLock::new(),
            mailer: OnceLock::new(),
            orders: Notify::new(),
            touching,
            audit_days: Mutex::default(),
            estates: OnceLock::new(),
            removals: Notify::new(),
        };
        Ok(Accounts { inner: Arc::new(inner) })
    }

    /// What secrets are derived from that are not stored: the same on every node, before the first call about access keys and mail.
    pub fn derive_secrets_from(&self, cluster_key: &[u8; 32]) {
        let key = |context| blake3::derive_key(context, cluster_key);
        let _ = self.inner.access_secret.set(key("atoll 2026 access keys"));
        let _ = self.inner.mail_secret.set(key("atoll 2026 mail relay"));
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

    /// What they show is looked up again at its next use.
    fn forget_user(&self, id: UserId) {
        self.inner.sessions_seen.forget_user(id);
        self.inner.apps_seen.forget_user(id);
        self.inner.keys_seen.forget_user(id);
    }

    /// One transaction without conditions.
    async fn write(&self, partition_key: Bytes, updates: Vec<Update>) -> Result<(), AccountError> {
        self.transact(partition_key, Vec::new(), updates).await?.map(drop).map_err(|_| AccountError::Conflict)
    }
}

/// A counter would have left its bounds.
fn is_bound(error: &AccountError) -> bool {
    matches!(error, AccountError::Client(ClientError::Refused(Refusal::Bounds { .. })))
}
