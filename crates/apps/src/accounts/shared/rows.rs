//! The rows of shared drives as they are stored: protobuf, fields only ever added.

use super::DriveRole;
use crate::{DriveId, UserId};
use bytes::Bytes;
use prost::Message;

/// A shared drive, under its id.
#[derive(Clone, PartialEq, Message)]
pub(in crate::accounts) struct DriveRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub made: u64,
    /// Bytes; none: as the policy says.
    #[prost(uint64, optional, tag = "3")]
    pub quota: Option<u64>,
    /// What it holds may be locked: it is deleted only when it is empty.
    #[prost(bool, tag = "4")]
    pub locked: bool,
}

/// Somebody who is in a drive, under (drive, user).
#[derive(Clone, PartialEq, Message)]
pub(in crate::accounts) struct MemberRow {
    #[prost(enumeration = "DriveRoleRow", tag = "1")]
    pub role: i32,
    #[prost(uint64, tag = "2")]
    pub since: u64,
}

/// A drive that is going, under its id: what it holds follows.
#[derive(Clone, PartialEq, Message)]
pub(in crate::accounts) struct GoingRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub at: u64,
}

/// What a member may do. Zero, and what a newer release may add: look, as the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(in crate::accounts) enum DriveRoleRow {
    Unknown = 0,
    View = 1,
    Edit = 2,
    Manage = 3,
}

impl From<DriveRole> for DriveRoleRow {
    fn from(role: DriveRole) -> DriveRoleRow {
        match role {
            DriveRole::View => DriveRoleRow::View,
            DriveRole::Edit => DriveRoleRow::Edit,
            DriveRole::Manage => DriveRoleRow::Manage,
        }
    }
}

impl From<DriveRoleRow> for DriveRole {
    fn from(role: DriveRoleRow) -> DriveRole {
        match role {
            DriveRoleRow::Manage => DriveRole::Manage,
            DriveRoleRow::Edit => DriveRole::Edit,
            DriveRoleRow::View | DriveRoleRow::Unknown => DriveRole::View,
        }
    }
}

impl MemberRow {
    pub(super) fn new(role: DriveRole, since: u64) -> MemberRow {
        MemberRow { role: DriveRoleRow::from(role) as i32, since }
    }

    pub(super) fn manages(&self) -> bool {
        self.role() == DriveRoleRow::Manage
    }
}

/// Of a member's row.
pub(super) fn member_key(drive: DriveId, user: UserId) -> Bytes {
    [drive.0, user.0].concat().into()
}

/// Of the row by which a user's drives are found.
pub(super) fn index_key(user: UserId, drive: DriveId) -> Bytes {
    [user.0, drive.0].concat().into()
}

/// The latter half of such a key.
pub(super) fn second(key: &[u8]) -> Option<[u8; 16]> {
    key.get(16..)?.try_into().ok()
}

/// Of the count of a drive's members.
pub(super) fn members_key(drive: DriveId) -> Bytes {
    [b"drive-members/", &drive.0[..]].concat().into()
}

/// Of the count of those of them who manage it.
pub(super) fn managers_key(drive: DriveId) -> Bytes {
    [b"drive-managers/", &drive.0[..]].concat().into()
}

/// Of the count of drives that a user is in.
pub(super) fn drives_key(user: UserId) -> Bytes {
    [b"user-drives/", &user.0[..]].concat().into()
}

/// Of the count of those of them that the user manages.
pub(super) fn manages_key(user: UserId) -> Bytes {
    [b"user-manages/", &user.0[..]].concat().into()
}
