//! Making a drive, its name and quota, and its members.

use super::read::no_drive;
use super::rows::{DriveRow, member_key};
use super::{ADMINISTRATORS_DRIVES_MAX, DRIVES_MAX, DriveRole, Member, SharedDrive};
use crate::accounts::act::Act;
use crate::accounts::names::valid_drive_name;
use crate::accounts::rows::{AuditRow, UserRow};
use crate::accounts::{AccountError, Accounts, By, TRIES_OF_A_CHANGE};
use crate::{DriveId, UserId};
use types::{Test, Version, WallMillis};

/// Whether somebody who is to have a role may be a member already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewMember {
    /// They must not be.
    Yes,
    /// They must be.
    No,
    /// Either.
    Either,
}

fn said_quota(quota: Option<u64>) -> String {
    quota.map_or("as for all".to_string(), |bytes| bytes.to_string())
}

fn named(line: AuditRow, row: &DriveRow, drive: DriveId, more: &str) -> AuditRow {
    line.detail(format!("{}{}{more} ({drive})", row.name, if more.is_empty() { "" } else { ": " }))
}

impl Accounts {
    /// Makes a drive, which its maker manages.
    pub async fn make_drive(&self, by: impl Into<By>, name: &str) -> Result<SharedDrive, AccountError> {
        self.make_drive_as(by.into(), name, None, false).await
    }

    /// The same as a bucket of that name, which must be free.
    pub async fn make_bucket(&self, by: impl Into<By>, name: &str) -> Result<SharedDrive, AccountError> {
        self.make_drive_as(by.into(), name, Some(name), false).await
    }

    /// The same of one that is to have object lock, which is known with it: whoever finds it without goes on.
    pub async fn make_locked_bucket(&self, by: impl Into<By>, name: &str) -> Result<SharedDrive, AccountError> {
        self.make_drive_as(by.into(), name, Some(name), true).await
    }

    /// Is the drive one with object lock, or about to be? For its managers.
    pub async fn is_to_be_locked(&self, by: &crate::User, drive: DriveId) -> Result<bool, AccountError> {
        Ok(self.authority(by, drive).await?.drive.locked)
    }

    async fn make_drive_as(
        &self,
        by: By,
        name: &str,
        bucket: Option<&str>,
        locked: bool,
    ) -> Result<SharedDrive, AccountError> {
        let row = DriveRow { name: valid_drive_name(name)?, made: self.inner.store.now().0, quota: None, locked };
        self.count_made("drives", by.user.id).await?;
        let (drive, tables) = (DriveId::random(), &self.inner.tables);
        for _ in 0..TRIES_OF_A_CHANGE {
            let (policy_version, policy) = self.read_policy().await?;
            let (version, user) = self.read_user(by.user.id).await?.ok_or(AccountError::NotSignedIn)?;
            // A program administers nothing, whoever's it is.
            let most = if user.administers() && by.user.is_administrator() { None } else { Some(policy.drives_max) };
            if most == Some(0) {
                return Err(AccountError::Forbidden { what: "make shared drives here" });
            }
            let act = Act::default().when(self.user_is(by.user.id, version));
            let act = match bucket {
                // Somebody's name is for their own drive, though nobody may have asked for that by S3 yet.
                Some(bucket)
                    if self.bucket_is_taken(bucket).await?
                        || (bucket != by.user.name && self.find_row(bucket).await?.is_some()) =>
                {
                    return Err(AccountError::NameTaken { name: bucket.to_string() });
                }
                Some(bucket) => act.name_bucket(self, bucket, drive),
                None => act,
            };
            let act = self.when_policy(act, policy_version);
            let act =
                self.with_member(act.put(tables.drives, drive.bytes(), &row), drive, by.user.id, DriveRole::Manage);
            let act = self.count_managers(act, drive, &row.name, 1);
            let act = self.count_drives(
                self.count_members(act, drive, 1),
                by.user.id,
                1,
                if most.is_some() { DRIVES_MAX } else { ADMINISTRATORS_DRIVES_MAX },
            );
            let act = self.count_managed(act, by.user.id, 1, most);
            let line = named(self.line("drive made", &by), &row, drive, "");
            if self.carried_out(self.noted(act, line).await?).await? {
                let (name, role, made) = (row.name, Some(DriveRole::Manage), WallMillis(row.made));
                return Ok(SharedDrive { id: drive, name, role, quota: None, made });
            }
        }
        Err(AccountError::Conflict)
    }

    /// Renames a drive, or sets what it may hold, or both, as one act; absent stays.
    pub async fn alter_drive(
        &self,
        by: impl Into<By>,
        drive: DriveId,
        name: Option<&str>,
        quota: Option<Option<u64>>,
    ) -> Result<(), AccountError> {
        match (name, quota) {
            (None, None) => Ok(()),
            (Some(name), None) => self.rename_drive(by, drive, name).await,
            (None, Some(quota)) => self.set_drive_quota(by, drive, quota).await,
            (Some(name), Some(quota)) => {
                let (by, name) = (by.into(), valid_drive_name(name)?);
                self.change_drive(&by, drive, |row, user| {
                    if !user.administers() {
                        return Err(AccountError::Forbidden { what: "set what a drive may hold" });
                    }
                    let more = format!("was {}; quota {}", row.name, said_quota(quota));
                    row.name.clone_from(&name);
                    row.quota = quota;
                    Ok(("drive renamed", more))
                })
                .await
            }
        }
    }

    /// Renames a drive. Its managers may, and administrators.
    pub async fn rename_drive(&self, by: impl Into<By>, drive: DriveId, name: &str) -> Result<(), AccountError> {
        let (by, name) = (by.into(), valid_drive_name(name)?);
        self.change_drive(&by, drive, |row, _| {
            let more = format!("was {}", row.name);
            row.name.clone_from(&name);
            Ok(("drive renamed", more))
        })
        .await
    }

    /// From now on, and for ever, what a drive holds may be locked: it is deleted only when it is empty. Its managers may.
    pub async fn lock_drive(&self, by: impl Into<By>, drive: DriveId) -> Result<(), AccountError> {
        let by = by.into();
        self.change_drive(&by, drive, |row, _| {
            row.locked = true;
            Ok(("drive locked", String::new()))
        })
        .await
    }

    /// Sets what a drive may hold; none: as for all. Only an administrator may.
    pub async fn set_drive_quota(
        &self,
        by: impl Into<By>,
        drive: DriveId,
        quota: Option<u64>,
    ) -> Result<(), AccountError> {
        let by = by.into();
        self.change_drive(&by, drive, |row, user| {
            if !user.administers() {
                return Err(AccountError::Forbidden { what: "set what a drive may hold" });
            }
            row.quota = quota;
            Ok(("drive quota", said_quota(quota)))
        })
        .await
    }

    async fn change_drive(
        &self,
        by: &By,
        drive: DriveId,
        change: impl Fn(&mut DriveRow, &UserRow) -> Result<(&'static str, String), AccountError>,
    ) -> Result<(), AccountError> {
        for _ in 0..TRIES_OF_A_CHANGE {
            let authority = self.authority(&by.user, drive).await?;
            let (version, user) = self.read_user(by.user.id).await?.ok_or(AccountError::NotSignedIn)?;
            let mut row = authority.drive.clone();
            let (action, more) = change(&mut row, &user)?;
            if row == authority.drive {
                return Ok(());
            }
            let act = self.with_all(Act::default(), authority.conditions).when(self.user_is(by.user.id, version));
            let act = act.when_is(self.inner.tables.drives, drive.bytes(), authority.version);
            let act = act.put(self.inner.tables.drives, drive.bytes(), &row);
            let line = named(self.line(action, by), &row, drive, &more);
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Gives somebody a role in a drive. Its managers may, and administrators; its last manager stays one.
    pub async fn put_member(
        &self,
        by: impl Into<By>,
        drive: DriveId,
        name: &str,
        role: DriveRole,
        new: NewMember,
    ) -> Result<Member, AccountError> {
        let by = by.into();
        for _ in 0..TRIES_OF_A_CHANGE {
            let authority = self.authority(&by.user, drive).await?;
            let (id, version, user) = self.find_for_drive(&by, drive, name, new != NewMember::No).await?;
            let before = self.read_member(drive, id).await?;
            let row = match (&before, new) {
                (Some(_), NewMember::Yes) => return Err(AccountError::MemberAlready { name: user.name }),
                (None, NewMember::No) => return Err(AccountError::NoMember { name: user.name }),
                (Some((_, row)), _) => row.as_role(role),
                (None, _) => super::rows::MemberRow::new(role, self.inner.store.now().0),
            };
            let told = Member {
                user: id,
                name: user.name.clone(),
                display: user.display.clone(),
                disabled: user.disabled,
                role,
                since: WallMillis(row.since),
            };
            if before.as_ref().is_some_and(|(_, before)| *before == row) {
                return Ok(told);
            }
            let act = self.with_all(Act::default(), authority.conditions);
            let act = self.put_member_act(act, (drive, &authority.drive), (id, version), before, role);
            let line = self.line("drive member", &by).about(id, &user.name);
            let line = named(line, &authority.drive, drive, &format!("may {role}"));
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(told);
            }
        }
        Err(AccountError::Conflict)
    }

    fn put_member_act(
        &self,
        act: Act,
        (drive, row): (DriveId, &DriveRow),
        (user, version): (UserId, Version),
        before: Option<(Version, super::rows::MemberRow)>,
        role: DriveRole,
    ) -> Act {
        let table = self.inner.tables.drive_members;
        let key = member_key(drive, user);
        // The account is there when its row comes: one that goes takes its rows along.
        let act = act.when(self.user_is(user, version));
        let (act, managed) = match before {
            Some((version, before)) => {
                let managed = before.manages();
                (act.when_is(table, key.clone(), version).put(table, key, &before.as_role(role)), managed)
            }
            None => {
                let act = act.when(self.condition(table, key, Test::Absent));
                let act = self.with_member(act, drive, user, role);
                (self.count_drives(self.count_members(act, drive, 1), user, 1, DRIVES_MAX), false)
            }
        };
        match (managed, role == DriveRole::Manage) {
            (false, true) => self.count_managed(self.count_managers(act, drive, &row.name, 1), user, 1, None),
            (true, false) => self.count_managed(self.count_managers(act, drive, &row.name, -1), user, -1, None),
            _ => act,
        }
    }

    /// Takes somebody out of a drive. Its managers may, and administrators; and everybody may go. The last manager stays.
    pub async fn remove_member(&self, by: impl Into<By>, drive: DriveId, name: &str) -> Result<(), AccountError> {
        let by = by.into();
        for _ in 0..TRIES_OF_A_CHANGE {
            let own = crate::accounts::names::valid_name(name).is_ok_and(|name| name == by.user.name);
            let (conditions, row) = if own {
                let item = self.inner.store.get(&self.drive_row_key(drive), types::Consistency::Strong).await?;
                let row = item.ok_or_else(no_drive)?;
                let there = self.condition(self.inner.tables.drives, drive.bytes(), Test::Present);
                (vec![there], crate::accounts::rows::decode("a drive", &row.value)?)
            } else {
                let authority = self.authority(&by.user, drive).await?;
                (authority.conditions, authority.drive)
            };
            let (id, user) = match own {
                true => (by.user.id, by.user.name.clone()),
                false => {
                    let (id, _, user) = self.find_for_drive(&by, drive, name, false).await?;
                    (id, user.name)
                }
            };
            let Some((version, member)) = self.read_member(drive, id).await? else {
                return Err(if own { no_drive() } else { AccountError::NoMember { name: user } });
            };
            let act = self.with_all(Act::default(), conditions);
            let act = act.when_is(self.inner.tables.drive_members, member_key(drive, id), version);
            let act = self.without_member(act, drive, id);
            let act = self.count_drives(self.count_members(act, drive, -1), id, -1, DRIVES_MAX);
            let act = match member.manages() {
                true => self.count_managed(self.count_managers(act, drive, &row.name, -1), id, -1, None),
                false => act,
            };
            let action = if own { "drive left" } else { "drive member removed" };
            let line = named(self.line(action, &by).about(id, &user), &row, drive, "");
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// An account by its name, for who may add it. Looking for who is no member is counted before it is answered,
    /// whether there is such an account or not, unless they are added: nobody finds out many.
    pub(in crate::accounts) async fn find_for_drive(
        &self,
        by: &By,
        drive: DriveId,
        name: &str,
        to_add: bool,
    ) -> Result<(UserId, Version, UserRow), AccountError> {
        let name = crate::accounts::names::valid_name(name)?;
        let found = self.find_row(&name).await?;
        let member = match &found {
            Some((id, ..)) => self.read_member(drive, *id).await?.is_some(),
            None => false,
        };
        if member || by.user.is_administrator() {
            return found.ok_or(AccountError::NoSuchUser { name });
        }
        let counted = self.count_own_try("looking for people", &by.user.id.0).await?;
        let found = found.ok_or(AccountError::NoSuchUser { name })?;
        if to_add {
            self.take_back(counted).await;
        }
        Ok(found)
    }
}
