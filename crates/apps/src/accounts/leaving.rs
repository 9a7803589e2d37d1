//! Removing an account, and what goes with it.
//!
//! One transaction takes the user and the name away and leaves a *removal* in their place: from then on nobody
//! can come in as that user, and the name is free. What is elsewhere — sessions, app passwords, the drive — goes in
//! steps that can be repeated, by whichever node gets to it. The removal itself goes last, and not before
//! everything that was under way when the user went has surely ended: what such a request still left is swept up too.

use super::act::Act;
use super::rows::{RemovalRow, UserRow, decode};
use super::sessions::after;
use super::{AccountError, Accounts, By, User, said_size};
use crate::{DriveId, UserId};
use async_trait::async_trait;
use client::ClientError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use types::{Consistency, Query, Update, Version};

/// How long after the user the removal goes at the earliest: no write that began before can still arrive.
pub const SETTLED_AFTER: Duration = Duration::from_secs(20 * 60);
/// Removals read at a time.
const PAGE: u32 = 100;

/// Something that accounts keep elsewhere, such as a drive.
#[async_trait]
pub trait Estate: Send + Sync + 'static {
    /// What would go.
    async fn describe(&self, user: UserId, drive: DriveId) -> Result<Option<Kept>, ClientError>;

    /// Takes it away, or a part of it. True once nothing is left; asked again until then, and once more after
    /// that. May be asked by several nodes at once, and after it was broken off anywhere.
    async fn clear(&self, user: UserId, drive: DriveId) -> Result<bool, ClientError>;

    /// The same for a drive that was nobody's own.
    async fn clear_drive(&self, drive: DriveId) -> Result<bool, ClientError>;
}

/// Something that goes with an account. Shown, it speaks English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A drive with so many bytes in files, where that is known.
    Drive(Option<u64>),
    /// Places in so many shared drives.
    Places(usize),
    /// Of that shared drive they are the only manager.
    OnlyManager(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Drive(Some(bytes)) => write!(f, "a drive with {} in files", said_size(*bytes)),
            Kept::Drive(None) => write!(f, "a drive"),
            Kept::Places(1) => write!(f, "a place in a shared drive"),
            Kept::Places(count) => write!(f, "places in {count} shared drives"),
            Kept::OnlyManager(name) => write!(f, "the drive {name}'s only manager"),
        }
    }
}

/// What goes with an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Sessions that end.
    pub sessions: usize,
    /// Programs that are shut out.
    pub app_passwords: usize,
    /// What is kept in drives, and the like.
    pub estates: Vec<Kept>,
}

impl Accounts {
    /// Says who keeps what for accounts. Once, at the start; until then no removal ends.
    pub fn keep_estates(&self, estates: Vec<Arc<dyn Estate>>) {
        if self.inner.estates.set(estates).is_err() {
            tracing::warn!("who keeps what for accounts was said twice; the first holds");
        }
    }

    /// What would go with one's account.
    pub async fn leaving(&self, user: &User) -> Result<Leaving, AccountError> {
        let mut estates = Vec::new();
        for estate in self.inner.estates.get().into_iter().flatten() {
            estates.extend(estate.describe(user.id, user.drive).await?);
        }
        let held = self.memberships(user.id).await?;
        estates.extend(Some(held.count()).filter(|count| *count > 0).map(Kept::Places));
        estates.extend(held.alone().into_iter().map(|name| Kept::OnlyManager(name.to_string())));
        Ok(Leaving {
            sessions: self.sessions(user, None).await?.len(),
            app_passwords: self.app_passwords(user.id).await?.len(),
            estates,
        })
    }

    /// Removes one's own account, by password, and code where there is a second factor. There is no way back.
    pub async fn delete_account(
        &self,
        by: impl Into<By>,
        password: &str,
        code: Option<&str>,
    ) -> Result<(), AccountError> {
        let by = by.into();
        self.confirm(&by.user, password, code, &by).await?;
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let (version, row) = self.read_user(by.user.id).await?.ok_or(AccountError::NotSignedIn)?;
            if self.remove(&by, by.user.id, version, &row, Act::default()).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Removes somebody's account. Only an administrator may; one's own takes one's password
    /// ([`Self::delete_account`]).
    pub async fn remove_user(&self, by: impl Into<By>, name: &str) -> Result<User, AccountError> {
        let by = by.into();
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "remove accounts").await?;
            let (id, version, row) = self.find_required(name).await?;
            if id == by.user.id {
                let instead = "remove it in your own settings, with your password";
                return Err(AccountError::OwnAccount { instead });
            }
            if self.remove(&by, id, version, &row, Act::default().when(allowed)).await? {
                return row.user(id);
            }
        }
        Err(AccountError::Conflict)
    }

    async fn remove(
        &self,
        by: &By,
        id: UserId,
        version: Version,
        row: &UserRow,
        act: Act,
    ) -> Result<bool, AccountError> {
        let tables = &self.inner.tables;
        let removal = RemovalRow { name: row.name.clone(), drive: row.drive.clone(), at: self.inner.store.now().0 };
        let act = act
            .when(self.user_is(id, version))
            .delete(tables.users, id.bytes())
            .delete(tables.names, row.name.clone().into())
            .delete(tables.factors, id.bytes())
            .put(tables.removals, id.bytes(), &removal);
        let act = self.forget_recovery(act, id).await?;
        let act = match DriveId::from_slice(&row.drive) {
            Some(drive) => act.forget_bucket(self, drive, self.bucket_name(drive).await?.as_deref()),
            None => act,
        };
        let act = self.count_users(act, -1, i64::MAX);
        let act = if row.administers() { self.count_administrators(act, -1) } else { act };
        let held = self.memberships(id).await?;
        // Who goes by themselves knows who shall manage their drives; else who removes them has to.
        let taker = (by.user.id != id).then_some(by.user.id);
        let act = self.leave_drives(act, id, &held, taker).await?;
        let taken = held.alone().join(", ");
        let detail = if taken.is_empty() { taken } else { format!("now managed by {}: {taken}", by.user.name) };
        let line = self.line("account removed", by).about(id, &row.name).detail(detail);
        let gone = self.carried_out(self.noted(act, line).await?).await?;
        if gone {
            self.forget_user(id);
            self.inner.removals.notify_one();
        }
        Ok(gone)
    }

    /// Carries removals on. Says how many are still to be ended.
    pub async fn carry_on_removals(&self) -> Result<usize, AccountError> {
        let mut query = Query::all(self.inner.tables.removals, super::EVERYONE);
        query.limit = PAGE;
        let mut left = 0;
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in page.items {
                let id = UserId::from_slice(&at.sort_key).ok_or_else(|| AccountError::Damaged("a removal".into()))?;
                let row: RemovalRow = decode("a removal", &at.item.value)?;
                match self.carry_on(id, &row, at.item.version).await {
                    Ok(true) => {}
                    Ok(false) => left += 1,
                    // The others go on.
                    Err(error) => {
                        left += 1;
                        tracing::warn!(user = %id, %error, "the removal of an account goes on later");
                    }
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return Ok(left),
            }
        }
    }

    /// Every step again, in order. True when the removal has ended.
    async fn carry_on(&self, id: UserId, row: &RemovalRow, version: Version) -> Result<bool, AccountError> {
        let tables = &self.inner.tables;
        for table in
            [tables.sessions, tables.app_passwords, tables.access_keys, tables.known, tables.challenges, tables.counts]
        {
            for page in self.rows_of(table, id).await?.chunks(types::limits::TRANSACTION_CHANGES_MAX) {
                let delete = |at: &types::ItemAt| Update::Delete { table, sort_key: at.sort_key.clone() };
                self.write(id.bytes(), page.iter().map(delete).collect()).await?;
            }
        }
        let Some(estates) = self.inner.estates.get() else { return Ok(false) };
        let drive = DriveId::from_slice(&row.drive)
            .ok_or_else(|| AccountError::Damaged(format!("the drive of {}, who has gone", row.name)))?;
        for estate in estates {
            if !estate.clear(id, drive).await? {
                return Ok(false);
            }
        }
        if self.inner.store.now() < after(types::WallMillis(row.at), SETTLED_AFTER) {
            return Ok(false);
        }
        let act = Act::default().when_is(tables.removals, id.bytes(), version).delete(tables.removals, id.bytes());
        self.carried_out(act).await?;
        Ok(true)
    }

    /// Carries removals on for as long as the task lives: at once when one begins here, and every so often.
    pub fn spawn_keeper(&self, every: Duration) -> JoinHandle<()> {
        let accounts = self.clone();
        tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(every, accounts.inner.removals.notified()).await;
                if let Err(error) = accounts.carry_on_removals().await {
                    tracing::debug!(%error, "removals of accounts were not looked for");
                }
                if let Err(error) = accounts.carry_on_drives().await {
                    tracing::debug!(%error, "deleted drives were not looked for");
                }
            }
        })
    }
}
