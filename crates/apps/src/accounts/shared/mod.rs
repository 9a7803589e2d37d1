//! Shared drives: who may use them, and as what.
//!
//! What is in a drive is under its own id ([`crate::drive`]); what is here — its name, its members, and which drives
//! somebody is in — is under the key of all users. So each change of members is one transaction
//! that knows of everything it touches: the account that is added is there, the last manager stays, nobody is in more
//! drives than may be, and the log has its line.
//!
//! **Invariants.** (1) A member's row and its row in the user's list come and go together, and so do the counts. (2) A
//! drive that is there has a manager. (3) Who changes members, name or end manages the drive at that moment, or
//! is an administrator at that moment. (4) To who is neither member nor administrator, a drive looks like one that
//! is not there. (5) A drive that is deleted is gone at once, for everybody; its members' rows and what it holds follow,
//! whatever crashes ([`going`]). (6) An account that goes leaves no membership, and no drive without a manager ([`leaving`]).
//! **Proved by** `tests/apps/shared_drives.rs`.

mod change;
mod going;
mod leaving;
mod members;
mod read;
pub(super) mod rows;

pub use change::NewMember;

use crate::{DriveId, UserId};
use std::fmt;
use types::WallMillis;

/// Members of one drive at most.
pub const MEMBERS_MAX: u32 = 500;
/// Drives that one person may be in at most. An account that goes leaves them all in one transaction.
pub const DRIVES_MAX: u32 = 100;
/// The same for administrators, who also take over what others leave behind.
pub const ADMINISTRATORS_DRIVES_MAX: u32 = 150;
/// Drives in one page of a listing of all.
pub const ALL_DRIVES_MAX: u32 = 100;

/// What a member of a drive may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriveRole {
    /// List, search, download, look at earlier versions.
    View,
    /// Change whatever is in it.
    Edit,
    /// Decide on members, the name and the end.
    Manage,
}

impl DriveRole {
    /// `view`, `edit` or `manage`.
    pub fn as_str(self) -> &'static str {
        match self {
            DriveRole::View => "view",
            DriveRole::Edit => "edit",
            DriveRole::Manage => "manage",
        }
    }
}

impl fmt::Display for DriveRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for DriveRole {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<DriveRole, Self::Err> {
        match text {
            "view" => Ok(DriveRole::View),
            "edit" => Ok(DriveRole::Edit),
            "manage" => Ok(DriveRole::Manage),
            _ => Err("a role in a drive is view, edit or manage"),
        }
    }
}

/// A shared drive, as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedDrive {
    /// Stays for ever.
    pub id: DriveId,
    /// What it is called. Others may be called the same.
    pub name: String,
    /// What who asked may do in it; none: nothing, they look at it as an administrator.
    pub role: Option<DriveRole>,
    /// Bytes that it may hold, where that is not as for all.
    pub quota: Option<u64>,
    /// When it was made.
    pub made: WallMillis,
}

/// Somebody who is in a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they sign in with.
    pub name: String,
    /// What others see.
    pub display: String,
    /// They may not sign in at present.
    pub disabled: bool,
    /// What they may do.
    pub role: DriveRole,
    /// Since when they are in it.
    pub since: WallMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_back_and_are_ordered() {
        let roles = [DriveRole::View, DriveRole::Edit, DriveRole::Manage];
        assert!(roles.is_sorted());
        for role in roles {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(DriveRole::from(rows::DriveRoleRow::from(role)), role);
        }
        assert!("owner".parse::<DriveRole>().is_err());
        // What a newer release may add is the least here.
        assert_eq!(DriveRole::from(rows::MemberRow { role: 9, since: 0 }.role()), DriveRole::View);
    }
}
