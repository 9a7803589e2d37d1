//! Deleting a drive, and what goes with it.
//!
//! One transaction takes the drive away and leaves a row in its place that says that it is going: from then on it is
//! there for nobody. Its members' rows and what it holds — files, trash, versions, jobs — go in steps that can be repeated,
//! by whichever node gets to it. That row goes last, and not before everything that was under way when the drive was deleted
//! has surely ended: what such a request still put there is cleared too.

use super::rows::{GoingRow, MemberRow, member_key, second};
use super::{DRIVES_MAX, MEMBERS_MAX};
use crate::accounts::act::Act;
use crate::accounts::leaving::SETTLED_AFTER;
use crate::accounts::rows::decode;
use crate::accounts::sessions::after;
use crate::accounts::{AccountError, Accounts, By, EVERYONE, TRIES_OF_A_CHANGE};
use crate::{DriveId, UserId};
use types::{Consistency, Query, Version, WallMillis};

/// Rows read at a time.
const PAGE: u32 = 100;
/// Why a drive is not deleted.
const LOCKED: &str = "what is in this drive may be locked (object lock): empty it by S3, and delete the bucket there";
/// Members taken out in one transaction: five changes each.
const MEMBERS: u32 = 150;

impl Accounts {
    /// Deletes a drive with everything that it holds. Its managers may, and administrators. There is no way back.
    pub async fn delete_drive(&self, by: impl Into<By>, drive: DriveId) -> Result<(), AccountError> {
        self.delete_drive_if(by.into(), drive, false).await
    }

    /// The same of one that is empty, and into which nothing can come any more.
    pub async fn delete_empty_drive(&self, by: impl Into<By>, drive: DriveId) -> Result<(), AccountError> {
        self.delete_drive_if(by.into(), drive, true).await
    }

    async fn delete_drive_if(&self, by: By, drive: DriveId, empty: bool) -> Result<(), AccountError> {
        for _ in 0..TRIES_OF_A_CHANGE {
            let authority = self.authority(&by.user, drive).await?;
            if authority.drive.locked && !empty {
                return Err(AccountError::Invalid(LOCKED));
            }
            let tables = &self.inner.tables;
            let going = GoingRow { name: authority.drive.name.clone(), at: self.inner.store.now().0 };
            let act = self.with_all(Act::default(), authority.conditions);
            let act = act.when_is(tables.drives, drive.bytes(), authority.version);
            let act = act.delete(tables.drives, drive.bytes()).put(tables.drives_going, drive.bytes(), &going);
            let act = act.forget_bucket(self, drive, self.bucket_name(drive).await?.as_deref());
            let line = self.line("drive deleted", &by).detail(format!("{} ({drive})", going.name));
            if self.carried_out(self.noted(act, line).await?).await? {
                self.inner.removals.notify_one();
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Carries on what deleted drives leave behind. Says how many are still to be ended.
    pub async fn carry_on_drives(&self) -> Result<usize, AccountError> {
        let mut query = Query::all(self.inner.tables.drives_going, EVERYONE);
        query.limit = PAGE;
        let mut left = 0;
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in page.items {
                let drive = DriveId::from_slice(&at.sort_key);
                let drive = drive.ok_or_else(|| AccountError::Damaged("a drive that is going".into()))?;
                let row: GoingRow = decode("a drive that is going", &at.item.value)?;
                match self.carry_on_drive(drive, &row, at.item.version).await {
                    Ok(true) => {}
                    Ok(false) => left += 1,
                    // The others go on.
                    Err(error) => {
                        left += 1;
                        tracing::warn!(%drive, %error, "what a deleted drive leaves behind goes on later");
                    }
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(left),
            }
        }
    }

    /// Every step again, in order. True when all has ended.
    async fn carry_on_drive(&self, drive: DriveId, row: &GoingRow, version: Version) -> Result<bool, AccountError> {
        let tables = &self.inner.tables;
        if !self.clear_members(drive).await? {
            return Ok(false);
        }
        let Some(estates) = self.inner.estates.get() else { return Ok(false) };
        for estate in estates {
            if !estate.clear_drive(drive).await? {
                return Ok(false);
            }
        }
        if self.inner.store.now() < after(WallMillis(row.at), SETTLED_AFTER) {
            return Ok(false);
        }
        let act = Act::default().when_is(tables.drives_going, drive.bytes(), version);
        self.carried_out(act.delete(tables.drives_going, drive.bytes())).await?;
        Ok(true)
    }

    /// Rows and counts of who was a member. False: others changed them meanwhile.
    async fn clear_members(&self, drive: DriveId) -> Result<bool, AccountError> {
        let tables = &self.inner.tables;
        for _ in 0..=MEMBERS_MAX / MEMBERS + 1 {
            let mut query = Query::prefix(tables.drive_members, EVERYONE, &drive.0);
            query.limit = MEMBERS;
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            if page.items.is_empty() {
                self.carried_out(self.without_counts_of_drive(Act::default(), drive)).await?;
                return Ok(true);
            }
            let mut act = Act::default();
            for at in &page.items {
                let damaged = || AccountError::Damaged("a member of a drive".into());
                let user = second(&at.sort_key).map(UserId).ok_or_else(damaged)?;
                let row: MemberRow = decode("a member of a drive", &at.item.value)?;
                act = act.when_is(tables.drive_members, member_key(drive, user), at.item.version);
                act = self.count_drives(self.without_member(act, drive, user), user, -1, DRIVES_MAX);
                if row.manages() {
                    act = self.count_managed(act, user, -1, None);
                }
            }
            if !self.carried_out(act).await? {
                return Ok(false);
            }
        }
        Ok(false)
    }
}
