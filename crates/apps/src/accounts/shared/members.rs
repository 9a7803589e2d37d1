//! The pieces that changes of members are put together from.

use super::rows::{MemberRow, drives_key, index_key, managers_key, manages_key, member_key, members_key};
use super::{DriveRole, MEMBERS_MAX};
use crate::accounts::act::Act;
use crate::accounts::{AccountError, Accounts};
use crate::{DriveId, UserId};
use bytes::Bytes;

impl Accounts {
    fn counted(&self, act: Act, key: Bytes, delta: i64, bounds: (i64, i64), out: Option<AccountError>) -> Act {
        act.count(self.inner.tables.counts, key, delta, bounds, out)
    }

    /// One more, or one fewer, who manages the drive: there is always one.
    pub(super) fn count_managers(&self, act: Act, drive: DriveId, name: &str, delta: i64) -> Act {
        let last = AccountError::LastManager { drive: name.to_string() };
        self.counted(act, managers_key(drive), delta, (1, i64::MAX), Some(last))
    }

    pub(super) fn count_members(&self, act: Act, drive: DriveId, delta: i64) -> Act {
        let max = if delta > 0 { i64::from(MEMBERS_MAX) } else { i64::MAX };
        let full = AccountError::TooMany { what: "members in this drive", max: MEMBERS_MAX };
        self.counted(act, members_key(drive), delta, (0, max), Some(full))
    }

    pub(super) fn count_drives(&self, act: Act, user: UserId, delta: i64, most: u32) -> Act {
        let max = if delta > 0 { i64::from(most) } else { i64::MAX };
        let full = AccountError::TooMany { what: "drives that this person is in", max: most };
        self.counted(act, drives_key(user), delta, (0, max), Some(full))
    }

    /// `most`: drives that they may manage then.
    pub(super) fn count_managed(&self, act: Act, user: UserId, delta: i64, most: Option<u32>) -> Act {
        let max = most.map_or(i64::MAX, i64::from);
        let full = most.map(|max| AccountError::TooMany { what: "drives that you manage", max });
        self.counted(act, manages_key(user), delta, (0, max), full)
    }

    /// Somebody becomes a member who was none.
    pub(super) fn with_member(&self, act: Act, drive: DriveId, user: UserId, role: DriveRole) -> Act {
        let row = MemberRow::new(role, self.inner.store.now().0);
        let act = act.put(self.inner.tables.drive_members, member_key(drive, user), &row);
        act.update(self.index_update(user, drive))
    }

    /// Somebody is a member no more.
    pub(super) fn without_member(&self, act: Act, drive: DriveId, user: UserId) -> Act {
        let tables = &self.inner.tables;
        act.delete(tables.drive_members, member_key(drive, user)).delete(tables.drives_of_users, index_key(user, drive))
    }

    pub(super) fn without_counts_of_drive(&self, act: Act, drive: DriveId) -> Act {
        let counts = self.inner.tables.counts;
        act.delete(counts, members_key(drive)).delete(counts, managers_key(drive))
    }

    pub(super) fn without_counts_of_user(&self, act: Act, user: UserId) -> Act {
        let counts = self.inner.tables.counts;
        act.delete(counts, drives_key(user)).delete(counts, manages_key(user))
    }

    pub(in crate::accounts) fn with_all(&self, act: Act, conditions: Vec<types::Condition>) -> Act {
        conditions.into_iter().fold(act, Act::when)
    }
}

impl MemberRow {
    /// The same member in another role.
    pub(super) fn as_role(&self, role: DriveRole) -> MemberRow {
        MemberRow::new(role, self.since)
    }
}
