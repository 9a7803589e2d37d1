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

/// A set-up link, under the hash of its secret.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SetupRow {
    #[prost(uint64, tag = "1")]
    pub created: u64,
    #[prost(uint64, tag = "2")]
    pub expires: u64,
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

impl UserRow {
    /// What others may know of it.
    pub(super) fn user(&self, id: UserId) -> Result<User, AccountError> {
        let drive = DriveId::from_slice(&self.drive)
            .ok_or_else(|| AccountError::Damaged(format!("the drive of {}", self.name)))?;
        Ok(User {
            id,
            name: self.name.clone(),
            display: self.display.clone(),
            role: if self.role() == RoleRow::Administrator { Role::Administrator } else { Role::User },
            drive,
            disabled: self.disabled,
            created: WallMillis(self.created),
        })
    }
}
