//! What an account that goes leaves of its memberships: nothing, and no drive without a manager.
//!
//! Who removes their own account is refused while they are the only manager of a drive: they know who shall have it. Whose
//! account an administrator removes cannot be asked: that administrator takes their place.

use super::rows::{DriveRow, MemberRow, drives_key, managers_key, member_key};
use super::{ADMINISTRATORS_DRIVES_MAX, DriveRole};
use crate::accounts::act::Act;
use crate::accounts::rows::decode;
use crate::accounts::{AccountError, Accounts};
use crate::store::get_all;
use crate::{DriveId, UserId};
use types::transaction::from_sortable;
use types::{Consistency, Test, Version};

/// The drives that somebody is in, as read.
pub(in crate::accounts) struct Memberships {
    /// Of the count of them: another one makes it another.
    counted: Option<Version>,
    held: Vec<Held>,
}

struct Held {
    drive: DriveId,
    version: Version,
    manages: bool,
    /// None: it is being deleted, and counts for nothing any more.
    row: Option<DriveRow>,
    /// How many manage it, and the version of that count.
    managers: Option<(i64, Version)>,
}

impl Held {
    fn alone(&self) -> Option<&DriveRow> {
        let alone = self.manages && self.managers.is_some_and(|(count, _)| count <= 1);
        self.row.as_ref().filter(|_| alone)
    }
}

impl Memberships {
    /// Names of the drives that nobody else manages.
    pub(in crate::accounts) fn alone(&self) -> Vec<&str> {
        self.held.iter().filter_map(|held| held.alone().map(|row| row.name.as_str())).collect()
    }

    /// How many there are.
    pub(in crate::accounts) fn count(&self) -> usize {
        self.held.iter().filter(|held| held.row.is_some()).count()
    }
}

impl Accounts {
    pub(in crate::accounts) async fn memberships(&self, user: UserId) -> Result<Memberships, AccountError> {
        // First: what comes later makes it another.
        let counted = self.inner.store.get(&self.count_item(drives_key(user)), Consistency::Strong).await?;
        let drives = self.drive_ids_of(user).await?;
        let keys = |drive: &DriveId| {
            [self.member_item(*drive, user), self.drive_row_key(*drive), self.count_item(managers_key(*drive))]
        };
        let rows = get_all(&*self.inner.store, drives.iter().flat_map(keys).collect()).await?;
        let mut held = Vec::new();
        for (drive, found) in drives.into_iter().zip(rows.chunks(3)) {
            let [Some(member), row, managers] = found else { continue };
            let manages = decode::<MemberRow>("a member of a drive", &member.value)?.manages();
            let row = row.as_ref().map(|item| decode("a drive", &item.value)).transpose()?;
            let managers = managers.as_ref().map(|item| {
                let damaged = |_| AccountError::Damaged("a count".into());
                let bytes = item.value[..].try_into().map_err(damaged)?;
                Ok::<_, AccountError>((from_sortable(bytes), item.version))
            });
            held.push(Held { drive, version: member.version, manages, row, managers: managers.transpose()? });
        }
        Ok(Memberships { counted: counted.map(|item| item.version), held })
    }

    /// They leave all of them. `taker` manages those that nobody else does; without one, there must be none.
    pub(in crate::accounts) async fn leave_drives(
        &self,
        mut act: Act,
        user: UserId,
        all: &Memberships,
        taker: Option<UserId>,
    ) -> Result<Act, AccountError> {
        let tables = &self.inner.tables;
        let counted = match all.counted {
            Some(version) => Test::VersionIs(version),
            None => Test::Absent,
        };
        act = act.when(self.condition(tables.counts, drives_key(user), counted));
        let (mut joined, mut managed) = (0, 0);
        for held in &all.held {
            let drive = held.drive;
            act = act.when_is(tables.drive_members, member_key(drive, user), held.version);
            act = self.without_member(act, drive, user);
            let Some(row) = &held.row else {
                // Its counts may be there or not: they go with it.
                act = act.when(self.condition(tables.drives, drive.bytes(), Test::Absent));
                continue;
            };
            act = act.when(self.condition(tables.drives, drive.bytes(), Test::Present));
            if let Some((_, version)) = held.managers {
                act = act.when_is(tables.counts, managers_key(drive), version);
            }
            match (held.alone(), taker) {
                (None, _) => {
                    act = self.count_members(act, drive, -1);
                    if held.manages {
                        act = self.count_managers(act, drive, &row.name, -1);
                    }
                }
                (Some(row), None) => return Err(AccountError::LastManager { drive: row.name.clone() }),
                (Some(_), Some(taker)) => {
                    managed += 1;
                    let key = member_key(drive, taker);
                    match self.read_member(drive, taker).await? {
                        Some((version, before)) => {
                            act = act.when_is(tables.drive_members, key.clone(), version);
                            act = act.put(tables.drive_members, key, &before.as_role(DriveRole::Manage));
                            act = self.count_members(act, drive, -1);
                        }
                        // One goes, and one comes.
                        None => {
                            joined += 1;
                            act = act.when(self.condition(tables.drive_members, key, Test::Absent));
                            act = self.with_member(act, drive, taker, DriveRole::Manage);
                        }
                    }
                }
            }
        }
        if let (Some(taker), true) = (taker, managed > 0) {
            act = self.count_managed(act, taker, managed, None);
            if joined > 0 {
                act = self.count_drives(act, taker, joined, ADMINISTRATORS_DRIVES_MAX);
            }
        }
        Ok(self.without_counts_of_user(act, user))
    }
}
