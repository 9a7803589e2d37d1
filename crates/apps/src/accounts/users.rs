//! Making, finding and changing users.

use super::rows::{RoleRow, UserRow, decode};
use super::{AccountError, Accounts, Device, NewUser, Session, User};
use crate::page::{Page, cursor_after, place_of};
use crate::{DriveId, UserId};
use bytes::Bytes;
use client::ClientError;
use prost::Message;
use types::{Condition, Consistency, ItemKey, Query, Refusal, Test, Update, Version};

/// Users in one page of a listing.
pub const LIST_MAX: u32 = 500;
/// Tries of a change that others keep overtaking.
const TRIES_MAX: usize = 5;

/// A user about to be made.
pub(super) struct Prepared {
    pub id: UserId,
    pub row: UserRow,
}

impl Prepared {
    pub(super) fn name_free(&self, accounts: &Accounts) -> Condition {
        Condition {
            table: accounts.inner.tables.names,
            sort_key: Bytes::copy_from_slice(self.row.name.as_bytes()),
            test: Test::Absent,
        }
    }

    /// User, name, and the count of administrators. The drive needs no making
    /// but its id, so that a user has exactly one from the first moment on.
    pub(super) fn updates(&self, accounts: &Accounts) -> Vec<Update> {
        let tables = accounts.inner.tables;
        let mut updates = vec![
            accounts.put_user(self.id, &self.row),
            Update::Put {
                table: tables.names,
                sort_key: self.row.name.clone().into(),
                value: self.id.bytes().into(),
                expires: None,
            },
        ];
        if self.row.role() == RoleRow::Administrator {
            updates.push(accounts.count_administrators(1));
        }
        updates
    }
}

impl Accounts {
    /// Makes a user. Only an administrator may.
    pub async fn create_user(&self, by: &User, new: NewUser) -> Result<User, AccountError> {
        let allowed = self.require_administrator(by, "make users").await?;
        let new = self.prepare_user(new).await?;
        match self.transact(super::EVERYONE, vec![new.name_free(self), allowed], new.updates(self)).await? {
            Ok(_) => new.row.user(new.id),
            Err(0) => Err(AccountError::NameTaken { name: new.row.name }),
            Err(_) => Err(AccountError::Conflict),
        }
    }

    /// Gives someone a new password and ends their sessions. Only an administrator may.
    pub async fn set_password(&self, by: &User, name: &str, new: &str) -> Result<(), AccountError> {
        let allowed = self.require_administrator(by, "set passwords").await?;
        let (id, version, mut row) = self.find_required(name).await?;
        super::names::check_password(new, &row.name)?;
        row.password = self.inner.passwords.hash(new).await?;
        row.generation += 1;
        let conditions = vec![allowed, self.user_is(id, version)];
        self.transact(super::EVERYONE, conditions, vec![self.put_user(id, &row)])
            .await?
            .map_err(|_| AccountError::Conflict)?;
        self.inner.cache.forget_user(id);
        Ok(())
    }

    /// Changes one's own password. All sessions end, and a new one begins.
    pub async fn change_password(
        &self,
        user: &User,
        old: &str,
        new: &str,
        device: Device,
    ) -> Result<Session, AccountError> {
        let counted = self.count_try(&user.name, device.address).await?;
        let (version, mut row) = self.read_user(user.id).await?.ok_or(AccountError::NotSignedIn)?;
        if row.disabled {
            return Err(AccountError::NotSignedIn);
        }
        let too_long = old.len() > super::names::PASSWORD_BYTES_MAX;
        if too_long || !self.inner.passwords.verify(old, Some(&row.password)).await? {
            return Err(AccountError::WrongCredentials);
        }
        super::names::check_password(new, &row.name)?;
        row.password = self.inner.passwords.hash(new).await?;
        row.generation += 1;
        self.transact(super::EVERYONE, vec![self.user_is(user.id, version)], vec![self.put_user(user.id, &row)])
            .await?
            .map_err(|_| AccountError::Conflict)?;
        self.inner.cache.forget_user(user.id);
        self.forget_tries(counted).await;
        self.begin_session(row.user(user.id)?, row.generation, device).await
    }

    /// Bars someone from signing in, and ends their sessions; or lets them in
    /// again. Only an administrator may, and the last of them stays.
    pub async fn set_disabled(&self, by: &User, name: &str, disabled: bool) -> Result<User, AccountError> {
        for _ in 0..TRIES_MAX {
            let allowed = self.require_administrator(by, "disable users").await?;
            let (id, version, mut row) = self.find_required(name).await?;
            if row.disabled == disabled {
                return row.user(id);
            }
            row.disabled = disabled;
            row.generation += 1;
            let mut updates = vec![self.put_user(id, &row)];
            if row.role() == RoleRow::Administrator {
                updates.push(self.count_administrators(if disabled { -1 } else { 1 }));
            }
            let conditions = vec![allowed, self.user_is(id, version)];
            match self.transact(super::EVERYONE, conditions, updates).await {
                Ok(Ok(_)) => {
                    self.inner.cache.forget_user(id);
                    return row.user(id);
                }
                Ok(Err(_)) => {}
                Err(AccountError::Client(ClientError::Refused(Refusal::Bounds { .. }))) => {
                    return Err(AccountError::LastAdministrator);
                }
                Err(error) => return Err(error),
            }
        }
        Err(AccountError::Conflict)
    }

    /// [`Self::set_disabled`].
    pub async fn disable(&self, by: &User, name: &str) -> Result<User, AccountError> {
        self.set_disabled(by, name, true).await
    }

    /// Users in the order of their names. Only an administrator may.
    pub async fn list(&self, by: &User, cursor: Option<&str>, limit: u32) -> Result<Page<User>, AccountError> {
        self.require_administrator(by, "list users").await?;
        let mut query = Query::all(self.inner.tables.names, super::EVERYONE);
        query.limit = if limit == 0 { LIST_MAX } else { limit.min(LIST_MAX) };
        if let Some(cursor) = cursor {
            let name = place_of(cursor, super::names::NAME_MAX).ok_or(AccountError::BadCursor)?;
            query = query.after(name.into());
        }
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let damaged = || AccountError::Damaged("a name".into());
        let ids = page
            .items
            .iter()
            .map(|at| UserId::from_slice(&at.item.value).ok_or_else(damaged))
            .collect::<Result<Vec<_>, _>>()?;
        let mut users = Vec::with_capacity(ids.len());
        if !ids.is_empty() {
            let keys = ids.iter().map(|id| self.user_key(*id)).collect();
            let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
            for (id, item) in ids.into_iter().zip(rows) {
                if let Some(item) = item {
                    users.push(decode::<UserRow>("a user", &item.value)?.user(id)?);
                }
            }
        }
        Ok(Page { items: users, next: page.next.map(|name| cursor_after(&name)) })
    }

    /// The user of that name.
    pub async fn find(&self, name: &str) -> Result<User, AccountError> {
        let (id, _, row) = self.find_required(name).await?;
        row.user(id)
    }

    /// Checks a new user and hashes the password.
    pub(super) async fn prepare_user(&self, new: NewUser) -> Result<Prepared, AccountError> {
        let name = super::names::valid_name(&new.name)?;
        let display = super::names::valid_display(&new.display, &name)?;
        super::names::check_password(&new.password, &name)?;
        let row = UserRow {
            display,
            role: RoleRow::from(new.role) as i32,
            drive: DriveId::random().bytes(),
            disabled: false,
            created: self.inner.store.now().0,
            password: self.inner.passwords.hash(&new.password).await?,
            generation: 1,
            name,
        };
        Ok(Prepared { id: UserId::random(), row })
    }

    /// That `by` is an administrator now, as a condition of what they do.
    async fn require_administrator(&self, by: &User, what: &'static str) -> Result<Condition, AccountError> {
        let forbidden = AccountError::Forbidden { what };
        let Some((version, row)) = self.read_user(by.id).await? else { return Err(forbidden) };
        if row.disabled || row.role() != RoleRow::Administrator {
            return Err(forbidden);
        }
        Ok(self.user_is(by.id, version))
    }

    async fn read_user(&self, id: UserId) -> Result<Option<(Version, UserRow)>, AccountError> {
        let item = self.inner.store.get(&self.user_key(id), Consistency::Strong).await?;
        item.map(|item| Ok((item.version, decode("a user", &item.value)?))).transpose()
    }

    /// A user's id, row and version, by a valid name.
    pub(super) async fn find_row(&self, name: &str) -> Result<Option<(UserId, Version, UserRow)>, AccountError> {
        let key = ItemKey::new(self.inner.tables.names, super::EVERYONE, name.to_string());
        let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else {
            // As many reads as for a name that there is.
            self.read_user(UserId([0; 16])).await?;
            return Ok(None);
        };
        let id = UserId::from_slice(&item.value).ok_or_else(|| AccountError::Damaged("a name".into()))?;
        Ok(self.read_user(id).await?.map(|(version, row)| (id, version, row)))
    }

    async fn find_required(&self, name: &str) -> Result<(UserId, Version, UserRow), AccountError> {
        let name = super::names::valid_name(name)?;
        self.find_row(&name).await?.ok_or(AccountError::NoSuchUser { name })
    }

    pub(super) fn user_key(&self, id: UserId) -> ItemKey {
        ItemKey::new(self.inner.tables.users, super::EVERYONE, id.bytes())
    }

    fn user_is(&self, id: UserId, version: Version) -> Condition {
        Condition { table: self.inner.tables.users, sort_key: id.bytes(), test: Test::VersionIs(version) }
    }

    fn put_user(&self, id: UserId, row: &UserRow) -> Update {
        Update::Put {
            table: self.inner.tables.users,
            sort_key: id.bytes().into(),
            value: row.encode_to_vec().into(),
            expires: None,
        }
    }

    /// Once there was one, there is always one.
    fn count_administrators(&self, delta: i64) -> Update {
        Update::Add { table: self.inner.tables.counts, sort_key: super::ADMINISTRATORS, delta, min: 1, max: i64::MAX }
    }
}
