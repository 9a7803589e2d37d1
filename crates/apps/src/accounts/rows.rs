//! The rows of accounts as they are stored: protobuf, fields only ever added.

use super::{AccountError, Role, User};
use crate::{DriveId, UserId};
use bytes::Bytes;
use prost::Message;
use types::WallMillis;

/// A person.
#[derive(Clone, PartialEq, Message)]
pub(super) struct UserRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub display: String,
    #[prost(enumeration = "RoleRow", tag = "3")]
    pub role: i32,
    #[prost(bytes = "bytes", tag = "4")]
    pub drive: Bytes,
    #[prost(bool, tag = "5")]
    pub disabled: bool,
    #[prost(uint64, tag = "6")]
    pub created: u64,
    /// In PHC form, so that it says how it was made.
    #[prost(string, tag = "7")]
    pub password: String,
    /// Sessions of an earlier generation are over.
    #[prost(uint64, tag = "8")]
    pub generation: u64,
    /// Bytes; none: as the policy says.
    #[prost(uint64, optional, tag = "9")]
    pub quota: Option<u64>,
    /// App passwords of an earlier generation are over.
    #[prost(uint64, tag = "10")]
    pub app_generation: u64,
}

/// A role. Zero, and what a newer release may add, count as the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum RoleRow {
    Unknown = 0,
    User = 1,
    Administrator = 2,
}

/// A session, under its user and the hash of its token.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionRow {
    #[prost(uint64, tag = "1")]
    pub created: u64,
    #[prost(uint64, tag = "2")]
    pub used: u64,
    #[prost(uint64, tag = "3")]
    pub expires: u64,
    #[prost(uint64, tag = "4")]
    pub generation: u64,
    #[prost(string, tag = "5")]
    pub label: String,
    #[prost(string, tag = "6")]
    pub address: String,
}

/// A link that is good for one thing, once, under the hash of its secret.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LinkRow {
    #[prost(uint64, tag = "1")]
    pub created: u64,
    #[prost(uint64, tag = "2")]
    pub expires: u64,
    #[prost(enumeration = "LinkKind", tag = "3")]
    pub kind: i32,
    /// Whose password it sets.
    #[prost(bytes = "bytes", tag = "4")]
    pub user: Bytes,
    /// Of that user: the link ends with it.
    #[prost(uint64, tag = "5")]
    pub generation: u64,
    /// Of who is invited.
    #[prost(enumeration = "RoleRow", tag = "6")]
    pub role: i32,
    #[prost(uint64, optional, tag = "7")]
    pub quota: Option<u64>,
    /// Name of who made it.
    #[prost(string, tag = "8")]
    pub by: String,
    /// For the list of invitations.
    #[prost(string, tag = "9")]
    pub note: String,
    /// Who made it.
    #[prost(bytes = "bytes", tag = "10")]
    pub maker: Bytes,
}

/// What a link is good for. Zero, and what a newer release may add, is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum LinkKind {
    Unknown = 0,
    Setup = 1,
    Invitation = 2,
    Reset = 3,
    Address = 4,
}

/// A second factor, under its user.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FactorRow {
    /// Empty: not on.
    #[prost(bytes = "bytes", tag = "1")]
    pub secret: Bytes,
    #[prost(uint64, tag = "2")]
    pub since: u64,
    /// The step of the last code taken: it and those before are spent.
    #[prost(uint64, tag = "3")]
    pub last_step: u64,
    /// Hashes of recovery codes that are left.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub recovery: Vec<Bytes>,
    /// Shown to its user, and to be confirmed by a code.
    #[prost(bytes = "bytes", tag = "5")]
    pub pending: Bytes,
    #[prost(uint64, tag = "6")]
    pub pending_until: u64,
}

/// The password was right and a code is still to come, under its user and the hash of its token.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ChallengeRow {
    #[prost(uint64, tag = "1")]
    pub expires: u64,
    #[prost(uint64, tag = "2")]
    pub generation: u64,
}

/// A browser or program that signed in before, under its user and the hash of its token.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KnownRow {
    #[prost(uint64, tag = "1")]
    pub used: u64,
    #[prost(uint64, tag = "2")]
    pub expires: u64,
    /// Of the user then: what ends all sessions makes devices strangers again.
    #[prost(uint64, tag = "3")]
    pub generation: u64,
}

/// An app password, under its user and its hash.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AppRow {
    #[prost(string, tag = "1")]
    pub label: String,
    #[prost(uint64, tag = "2")]
    pub created: u64,
    #[prost(uint64, tag = "3")]
    pub used: u64,
    #[prost(string, tag = "4")]
    pub used_from: String,
    /// Names of protocols; those that this release does not know open nothing.
    #[prost(string, repeated, tag = "5")]
    pub protocols: Vec<String>,
    #[prost(bool, tag = "6")]
    pub write: bool,
    #[prost(uint64, tag = "7")]
    pub generation: u64,
}

/// An access key, under its user and a random part of its own.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AccessKeyRow {
    #[prost(string, tag = "1")]
    pub label: String,
    #[prost(uint64, tag = "2")]
    pub created: u64,
    #[prost(uint64, tag = "3")]
    pub used: u64,
    #[prost(string, tag = "4")]
    pub used_from: String,
    /// Of the secret, which is derived from it and from what gateways share.
    #[prost(bytes = "bytes", tag = "5")]
    pub nonce: Bytes,
    #[prost(bool, tag = "6")]
    pub read: bool,
    #[prost(bool, tag = "7")]
    pub write: bool,
    /// Empty: all.
    #[prost(string, repeated, tag = "8")]
    pub buckets: Vec<String>,
    #[prost(uint64, tag = "9")]
    pub generation: u64,
    /// Which drives those buckets were; none by releases that did not ask.
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub drives: Vec<Bytes>,
}

/// A bucket, under its name and under its drive.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BucketRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub drive: Bytes,
    /// Only under its name.
    #[prost(message, optional, tag = "3")]
    pub rules: Option<super::bucket_rules::BucketRules>,
}

/// What an administrator has decided for all.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PolicyRow {
    #[prost(enumeration = "SignUpRow", tag = "1")]
    pub sign_up: i32,
    #[prost(uint64, optional, tag = "2")]
    pub quota: Option<u64>,
    #[prost(uint32, tag = "3")]
    pub audit_days: u32,
    #[prost(uint64, tag = "4")]
    pub users_max: u64,
    #[prost(uint64, optional, tag = "5")]
    pub drive_quota: Option<u64>,
    /// None: nobody decided.
    #[prost(uint32, optional, tag = "6")]
    pub drives_max: Option<u32>,
}

/// Who may make an account. Zero, and what a newer release may add: nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum SignUpRow {
    Off = 0,
    Invitation = 1,
    Open = 2,
}

/// An account that is going, with what goes with it, under the user's id.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RemovalRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub drive: Bytes,
    #[prost(uint64, tag = "3")]
    pub at: u64,
}

/// A line of the log.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AuditRow {
    #[prost(uint64, tag = "1")]
    pub at: u64,
    #[prost(string, tag = "2")]
    pub action: String,
    /// Who did it; empty: nobody signed in.
    #[prost(bytes = "bytes", tag = "3")]
    pub actor: Bytes,
    #[prost(string, tag = "4")]
    pub actor_name: String,
    /// To whom; empty: nobody in particular.
    #[prost(bytes = "bytes", tag = "5")]
    pub subject: Bytes,
    #[prost(string, tag = "6")]
    pub subject_name: String,
    #[prost(string, tag = "7")]
    pub address: String,
    #[prost(string, tag = "8")]
    pub device: String,
    #[prost(string, tag = "9")]
    pub detail: String,
}

/// Reads a row, or says which kind is damaged.
pub(super) fn decode<M: Message + Default>(what: &str, value: &[u8]) -> Result<M, AccountError> {
    M::decode(value).map_err(|error| AccountError::Damaged(format!("{what}: {error}")))
}

impl From<Role> for RoleRow {
    fn from(role: Role) -> RoleRow {
        match role {
            Role::User => RoleRow::User,
            Role::Administrator => RoleRow::Administrator,
        }
    }
}

impl From<RoleRow> for Role {
    fn from(role: RoleRow) -> Role {
        match role {
            RoleRow::Administrator => Role::Administrator,
            RoleRow::User | RoleRow::Unknown => Role::User,
        }
    }
}

impl UserRow {
    /// Does it count among the administrators?
    pub(super) fn administers(&self) -> bool {
        self.role() == RoleRow::Administrator && !self.disabled
    }

    /// What others may know of it.
    pub(super) fn user(&self, id: UserId) -> Result<User, AccountError> {
        let drive = DriveId::from_slice(&self.drive)
            .ok_or_else(|| AccountError::Damaged(format!("the drive of {}", self.name)))?;
        Ok(User {
            id,
            name: self.name.clone(),
            display: self.display.clone(),
            role: self.role().into(),
            drive,
            disabled: self.disabled,
            created: WallMillis(self.created),
            quota: self.quota,
        })
    }
}
