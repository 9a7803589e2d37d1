//! Making, finding and changing users.

use super::act::{Act, Undone};
use super::rows::{LinkKind, RoleRow, UserRow, decode};
use super::{AccountError, Accounts, By, Device, NewUser, Role, Session, SignUp, Token, User};
use crate::page::{Page, cursor_after, place_of};
use crate::{DriveId, UserId, hex};
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use types::{Condition, Consistency, ItemKey, Query, Test, Update, Version};

/// Users in one page of a listing.
pub const LIST_MAX: u32 = 500;
/// Users that are read together.
const NAMES_AT_ONCE: usize = 500;

/// A user about to be made.
pub(super) struct Prepared {
    pub id: UserId,
    pub row: UserRow,
}

/// What an administrator changes of an account; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// What others see.
    pub display: Option<String>,
    /// What they may do.
    pub role: Option<Role>,
    /// Barred from signing in.
    pub disabled: Option<bool>,
    /// Bytes that they may keep; none within: as for everybody.
    pub quota: Option<Option<u64>>,
}

impl Prepared {
    pub(super) fn name_free(&self, accounts: &Accounts) -> Condition {
        Condition {
            table: accounts.inner.tables.names,
            sort_key: Bytes::copy_from_slice(self.row.name.as_bytes()),
            test: Test::Absent,
        }
    }

    /// User, name, and the counts. The drive needs no making but its id, so that a user has exactly one from the
    /// first moment on. `users_max`: accounts that there may be.
    pub(super) fn make(&self, act: Act, accounts: &Accounts, users_max: Option<u64>) -> Act {
        let names = Update::Put {
            table: accounts.inner.tables.names,
            sort_key: self.row.name.clone().into(),
            value: self.id.bytes().into(),
            expires: None,
        };
        let max = users_max.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX));
        let act = act.update(accounts.put_user(self.id, &self.row)).update(names);
        let act = accounts.count_users(act, 1, max);
        if self.row.administers() { accounts.count_administrators(act, 1) } else { act }
    }
}

impl Accounts {
    /// Makes a user. Only an administrator may.
    pub async fn create_user(&self, by: impl Into<By>, new: NewUser) -> Result<User, AccountError> {
        Ok(self.create(by.into(), new, false).await?.0)
    }

    /// The same without a password: the link that is given sets one.
    pub async fn create_user_by_link(&self, by: impl Into<By>, new: NewUser) -> Result<(User, Token), AccountError> {
        // One that nobody knows, so that the name looks like any other to who tries it.
        let password = hex::encode(&rand::random::<[u8; 32]>());
        match self.create(by.into(), NewUser { password, ..new }, true).await? {
            (user, Some(secret)) => Ok((user, secret)),
            (_, None) => Err(AccountError::Damaged("a link was not made".into())),
        }
    }

    async fn create(&self, by: By, new: NewUser, link: bool) -> Result<(User, Option<Token>), AccountError> {
        self.require_administrator(&by.user, "make users").await?;
        let new = self.prepare_user(new).await?;
        let line = self.line("user made", &by).about(new.id, &new.row.name).detail(Role::from(new.row.role()).as_str());
        let link = link.then(|| self.reset_link(new.id, new.row.generation, &by.user));
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "make users").await?;
            let mut act = new.make(Act::default().when(new.name_free(self)).when(allowed), self, None);
            if let Some((_, put)) = &link {
                act = act.update(put.clone());
            }
            match self.carry_out(self.noted(act, line.clone()).await?).await? {
                Ok(()) => return Ok((new.row.user(new.id)?, link.map(|(secret, _)| secret))),
                Err(Undone::Condition(0)) => return Err(AccountError::NameTaken { name: new.row.name }),
                Err(Undone::Condition(_)) => {}
                Err(Undone::Bound(error)) => return Err(error),
            }
        }
        Err(AccountError::Conflict)
    }

    /// Makes one's own account, where the policy lets one, and signs in. Never an administrator's, but by an
    /// invitation that says so.
    pub async fn sign_up(
        &self,
        invitation: Option<&str>,
        new: NewUser,
        device: Device,
    ) -> Result<Session, AccountError> {
        let policy = self.policy().await?;
        match (policy.sign_up, invitation) {
            (SignUp::Off, _) => return Err(AccountError::SignUpOff),
            (SignUp::Invitation, None) => return Err(AccountError::InvitationNeeded),
            _ => {}
        }
        // Judged before the password is hashed, and counted: accounts are not made in masses from one place.
        let link = match invitation {
            Some(secret) => {
                let link = self.find_link(secret, Some(LinkKind::Invitation)).await?;
                // Who is invited finds out which names are taken, but not of everybody.
                self.count_own_try("signing up", &link.key).await?;
                Some(link)
            }
            None => {
                let counted = self.count_sign_up(device.address).await?;
                self.note_blocked(counted.last, self.line_from("sign-up blocked", &device)).await?;
                None
            }
        };
        let mut new = self.prepare_user(NewUser { role: Role::User, ..new }).await?;
        if let Some(link) = &link {
            new.row.role = link.row.role;
            new.row.quota = link.row.quota;
        }
        let line = self.line_from("signed up", &device).about(new.id, &new.row.name);
        let line = line.detail(link.as_ref().map_or("", |_| "by invitation"));
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let (version, policy) = self.read_policy().await?;
            if policy.sign_up == SignUp::Off || (policy.sign_up == SignUp::Invitation && link.is_none()) {
                return Err(AccountError::SignUpOff);
            }
            let mut act = self.when_policy(Act::default().when(new.name_free(self)), version);
            let mut maker = None;
            if let Some(link) = &link {
                maker = self.maker_may(&link.row, new.row.administers()).await?;
                act = self.spend(maker.iter().cloned().fold(act, Act::when), link);
            }
            let act = new.make(act, self, Some(policy.users_max));
            match self.carry_out(self.noted(act, line.clone()).await?).await? {
                Ok(()) => {
                    return self.begin_session_after(new.row.user(new.id)?, new.row.generation, device).await;
                }
                Err(Undone::Condition(0)) => return Err(AccountError::NameTaken { name: new.row.name }),
                Err(Undone::Condition(1)) => {}
                Err(Undone::Condition(2)) if maker.is_some() => {}
                Err(Undone::Condition(_)) => return Err(AccountError::WrongLink),
                Err(Undone::Bound(error)) => return Err(error),
            }
        }
        Err(AccountError::Conflict)
    }

    /// Changes one's own password. All sessions end, and a new one begins; app passwords stay.
    pub async fn change_password(&self, by: impl Into<By>, old: &str, new: &str) -> Result<Session, AccountError> {
        let by = by.into();
        let id = by.user.id;
        let (version, mut row) = self.confirm_password(id, old).await?;
        super::names::check_password(new, &row.name)?;
        row.password = self.inner.passwords.hash(new).await?;
        row.generation += 1;
        let act = Act::default().when(self.user_is(id, version)).update(self.put_user(id, &row));
        let line = self.line("password changed", &by).about(id, &row.name);
        if !self.carried_out(self.noted(act, line).await?).await? {
            return Err(AccountError::Conflict);
        }
        self.forget_user(id);
        self.begin_session_after(row.user(id)?, row.generation, by.device).await
    }

    /// Changes what others see of one.
    pub async fn change_display(&self, by: impl Into<By>, display: &str) -> Result<User, AccountError> {
        let by = by.into();
        let id = by.user.id;
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let (version, mut row) = self.read_user(id).await?.ok_or(AccountError::NotSignedIn)?;
            let before = row.clone();
            row.display = super::names::valid_display(display, &row.name)?;
            if row == before {
                return row.user(id);
            }
            let act = Act::default().when(self.user_is(id, version)).update(self.put_user(id, &row));
            let line = self.line("user changed", &by).about(id, &row.name).detail(told(&before, &row));
            if self.carried_out(self.noted(act, line).await?).await? {
                self.forget_user(id);
                return row.user(id);
            }
        }
        Err(AccountError::Conflict)
    }

    /// Changes an account. Disabling ends its sessions in the same write. Only an administrator may, and the last
    /// of them stays one.
    pub async fn change_user(&self, by: impl Into<By>, name: &str, change: UserChange) -> Result<User, AccountError> {
        let by = by.into();
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "change accounts").await?;
            let (id, version, mut row) = self.find_required(name).await?;
            let (before, administered) = (row.clone(), row.administers());
            if let Some(display) = &change.display {
                row.display = super::names::valid_display(display, &row.name)?;
            }
            if let Some(role) = change.role {
                row.role = RoleRow::from(role) as i32;
            }
            if let Some(quota) = change.quota {
                row.quota = quota;
            }
            if let Some(disabled) = change.disabled {
                row.generation += u64::from(disabled != row.disabled);
                row.disabled = disabled;
            }
            if row == before {
                return row.user(id);
            }
            let mut act = Act::default().when(allowed).when(self.user_is(id, version)).update(self.put_user(id, &row));
            match (administered, row.administers()) {
                (true, false) => act = self.count_administrators(act, -1),
                (false, true) => act = self.count_administrators(act, 1),
                _ => {}
            }
            let line = self.line("user changed", &by).about(id, &row.name).detail(told(&before, &row));
            if self.carried_out(self.noted(act, line).await?).await? {
                self.forget_user(id);
                return row.user(id);
            }
        }
        Err(AccountError::Conflict)
    }

    /// [`Self::change_user`].
    pub async fn disable(&self, by: impl Into<By>, name: &str) -> Result<User, AccountError> {
        self.change_user(by, name, UserChange { disabled: Some(true), ..UserChange::default() }).await
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

    /// The names that these people show to others; who has no account any more has none.
    pub async fn displays(
        &self,
        of: impl IntoIterator<Item = UserId>,
    ) -> Result<BTreeMap<UserId, String>, AccountError> {
        let ids: Vec<UserId> = of.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut names = BTreeMap::new();
        for part in ids.chunks(NAMES_AT_ONCE) {
            let keys = part.iter().map(|id| self.user_key(*id)).collect();
            let users = self.inner.store.get_many(keys, Consistency::Strong).await?;
            for (id, user) in part.iter().zip(users) {
                if let Some(user) = user {
                    names.insert(*id, decode::<UserRow>("a user", &user.value)?.display);
                }
            }
        }
        Ok(names)
    }

    /// The same, for an administrator alone.
    pub async fn find_for(&self, by: &User, name: &str) -> Result<User, AccountError> {
        self.require_administrator(by, "look at accounts").await?;
        self.find(name).await
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
            quota: new.quota,
            app_generation: 0,
            name,
        };
        Ok(Prepared { id: UserId::random(), row })
    }

    /// That `by` is an administrator now, as a condition of what they do.
    pub(super) async fn require_administrator(&self, by: &User, what: &'static str) -> Result<Condition, AccountError> {
        let forbidden = AccountError::Forbidden { what };
        let Some((version, row)) = self.read_user(by.id).await? else { return Err(forbidden) };
        if !row.administers() {
            return Err(forbidden);
        }
        Ok(self.user_is(by.id, version))
    }

    pub(super) async fn read_user(&self, id: UserId) -> Result<Option<(Version, UserRow)>, AccountError> {
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

    pub(super) async fn find_required(&self, name: &str) -> Result<(UserId, Version, UserRow), AccountError> {
        let name = super::names::valid_name(name)?;
        self.find_row(&name).await?.ok_or(AccountError::NoSuchUser { name })
    }

    pub(super) fn user_key(&self, id: UserId) -> ItemKey {
        ItemKey::new(self.inner.tables.users, super::EVERYONE, id.bytes())
    }

    pub(super) fn user_is(&self, id: UserId, version: Version) -> Condition {
        Condition { table: self.inner.tables.users, sort_key: id.bytes(), test: Test::VersionIs(version) }
    }

    pub(super) fn put_user(&self, id: UserId, row: &UserRow) -> Update {
        Update::Put {
            table: self.inner.tables.users,
            sort_key: id.bytes().into(),
            value: row.encode_to_vec().into(),
            expires: None,
        }
    }

    /// Once there was one, there is always one.
    pub(super) fn count_administrators(&self, act: Act, delta: i64) -> Act {
        let last = Some(AccountError::LastAdministrator);
        act.count(self.inner.tables.counts, super::ADMINISTRATORS, delta, (1, i64::MAX), last)
    }

    pub(super) fn count_users(&self, act: Act, delta: i64, max: i64) -> Act {
        let full = Some(AccountError::AccountsFull);
        act.count(self.inner.tables.counts, super::USERS, delta, (0, max), full)
    }
}

/// What was changed, for the log.
fn told(before: &UserRow, after: &UserRow) -> String {
    let mut words = Vec::new();
    if before.disabled != after.disabled {
        words.push(if after.disabled { "disabled".to_string() } else { "enabled".into() });
    }
    if before.role != after.role {
        words.push(format!("role {}", Role::from(after.role())));
    }
    if before.quota != after.quota {
        words.push(after.quota.map_or("quota as for everybody".into(), |bytes| format!("quota {bytes}")));
    }
    if before.display != after.display {
        words.push("display name".into());
    }
    words.join(", ")
}
