//! The address that somebody's links go to: typed by its owner, and theirs once a link mailed to it was used.

use super::super::act::{Act, put};
use super::super::links::{Link, hashed};
use super::super::rows::{LinkKind, LinkRow, decode};
use super::super::tries::Try;
use super::super::{AccountError, Accounts, By, Device, EVERYONE, TRIES_OF_A_CHANGE, Token, User};
use super::address::alike;
use super::rows::{OrderKind, OrderRow, RecoveryRow};
use super::{CONFIRM_LIFETIME, HOUR, valid_address};
use crate::{UserId, hex};
use bytes::Bytes;
use types::{Condition, Consistency, ItemKey, Query, Test, Update, Version, WallMillis};

/// Accounts that may have the same address.
pub const ADDRESSES_SHARED_MAX: usize = 5;
/// Times within [`HOUR`] that somebody has an address confirmed, and that mail asking for it goes to one address.
const ASKED_MAX: i64 = 5;

/// How somebody can be reached when they forget their password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryState {
    /// Confirmed, and since when.
    pub address: Option<(String, WallMillis)>,
    /// Waits to be confirmed.
    pub pending: Option<String>,
}

impl Accounts {
    /// Somebody's address.
    pub async fn recovery(&self, user: UserId) -> Result<RecoveryState, AccountError> {
        let Some((_, row)) = self.read_recovery(user).await? else { return Ok(RecoveryState::default()) };
        let now = self.inner.store.now();
        let address = (!row.address.is_empty()).then_some((row.address, WallMillis(row.confirmed)));
        let pending = (!row.pending.is_empty() && row.pending_until > now.0).then_some(row.pending);
        Ok(RecoveryState { address, pending })
    }

    /// Asks for the address to be confirmed, by a link that is mailed to it. The one that holds goes on to hold until then.
    pub async fn set_recovery(
        &self,
        by: impl Into<By>,
        password: &str,
        address: &str,
        language: &str,
    ) -> Result<(), AccountError> {
        let (by, address) = (by.into(), valid_address(address)?);
        let id = by.user.id;
        self.confirm_password(id, password).await?;
        if !self.sends_mail().await? {
            return Err(AccountError::NoRelay);
        }
        let now = self.inner.store.now();
        // Neither a flood from one account nor one on one inbox.
        for (what, whose) in [("addresses of", &id.0[..]), ("mails to", alike(&address).as_bytes())] {
            self.count(Try::within(&[b"own", what.as_bytes(), whose], ASKED_MAX, HOUR, now)).await?;
        }
        let order = self.order(OrderKind::Confirm, Some(id), language);
        let line = self.line("recovery address asked for", &by).about(id, &by.user.name);
        for _ in 0..TRIES_OF_A_CHANGE {
            let (version, mut row) = self.recovery_row(id).await?;
            let act = self.end_link(Act::default(), &mut row.pending_link);
            row.pending = address.clone();
            row.pending_until = super::super::sessions::after(now, CONFIRM_LIFETIME).0;
            let act = self.when_recovery(act, id, version).update(self.put_recovery(id, &row));
            let act = self.also_ordered(act.when(self.user_there(id)), &order);
            if self.carried_out(self.noted(act, line.clone()).await?).await? {
                self.inner.orders.notify_one();
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// No address any more, confirmed or not. The one that was is told.
    pub async fn remove_recovery(&self, by: impl Into<By>, password: &str, language: &str) -> Result<(), AccountError> {
        let by = by.into();
        let id = by.user.id;
        self.confirm_password(id, password).await?;
        for _ in 0..TRIES_OF_A_CHANGE {
            let Some((version, row)) = self.read_recovery(id).await? else { return Ok(()) };
            let act = self.when_recovery(Act::default(), id, Some(version));
            let act = self.tell_former(self.without_recovery(act, id, row.clone()), id, &row, None, language).await?;
            let line = self.line("recovery address removed", &by).about(id, &by.user.name);
            if self.carried_out(self.noted(act, line).await?).await? {
                self.inner.orders.notify_one();
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Uses a link that confirms an address.
    pub async fn confirm_recovery(&self, secret: &str, device: Device, language: &str) -> Result<User, AccountError> {
        let link = self.find_link(secret, Some(LinkKind::Address)).await?;
        for _ in 0..TRIES_OF_A_CHANGE {
            let (id, user_version, user, version, row) = self.confirmable(&link).await?;
            let address = row.pending.clone();
            let act = self.when_recovery(Act::default(), id, Some(version)).when(self.user_is(id, user_version));
            let act = self
                .tell_former(self.without_recovery(act, id, row.clone()), id, &row, Some(&address), language)
                .await?;
            let mut new = RecoveryRow { address, confirmed: self.inner.store.now().0, ..RecoveryRow::default() };
            // What was mailed to the one before counts on.
            new.mailed = row.mailed;
            self.has_room(&new.address, id).await?;
            let index = Update::Put {
                table: self.inner.tables.addresses,
                sort_key: index_key(&new.address, id).into(),
                value: Bytes::new().into(),
                expires: None,
            };
            let act = self.spend(act, &link).update(index).update(self.put_recovery(id, &new));
            let line = self.line_from("recovery address confirmed", &device).about(id, &user.name);
            if self.carried_out(self.noted(act, line).await?).await? {
                self.inner.orders.notify_one();
                return user.user(id);
            }
        }
        Err(AccountError::Conflict)
    }

    /// Whose address a link confirms, and which: while it is the newest, and they are not barred.
    pub(in crate::accounts) async fn confirmable(
        &self,
        link: &Link,
    ) -> Result<(UserId, Version, super::super::rows::UserRow, Version, RecoveryRow), AccountError> {
        let id = UserId::from_slice(&link.row.user).ok_or(AccountError::WrongLink)?;
        let (user_version, user) = self.read_user(id).await?.ok_or(AccountError::WrongLink)?;
        let (version, row) = self.read_recovery(id).await?.ok_or(AccountError::WrongLink)?;
        if user.disabled || row.pending.is_empty() || row.pending_link != link.key {
            return Err(AccountError::WrongLink);
        }
        Ok((id, user_version, user, version, row))
    }

    /// All that a person's address left, for one that goes.
    pub(in crate::accounts) async fn forget_recovery(&self, act: Act, id: UserId) -> Result<Act, AccountError> {
        Ok(match self.read_recovery(id).await? {
            Some((version, row)) => self.without_recovery(self.when_recovery(act, id, Some(version)), id, row),
            None => self.when_recovery(act, id, None),
        })
    }

    /// A link of that kind for somebody, in place of the one before.
    pub(super) fn replace_link(
        &self,
        act: Act,
        kept: &mut Bytes,
        row: LinkRow,
        valid: std::time::Duration,
    ) -> (Act, Token) {
        let act = self.end_link(act, kept);
        let (secret, put, _) = self.new_link(row, valid);
        *kept = hashed(&hex::decode(secret.as_str()).unwrap_or_default());
        (act.update(put), secret)
    }

    fn end_link(&self, act: Act, kept: &mut Bytes) -> Act {
        match std::mem::take(kept) {
            key if key.is_empty() => act,
            key => act.delete(self.inner.tables.links, key),
        }
    }

    fn without_recovery(&self, act: Act, id: UserId, mut row: RecoveryRow) -> Act {
        let act = self.end_link(act, &mut row.pending_link);
        let act = row.reset_links.iter_mut().fold(act, |act, link| self.end_link(act, link));
        let act = match row.address.is_empty() {
            true => act,
            false => act.delete(self.inner.tables.addresses, index_key(&row.address, id)),
        };
        act.delete(self.inner.tables.recovery, id.bytes())
    }

    /// The address that held until now is told that it does not any more: whoever took an account over cannot do so in silence.
    async fn tell_former(
        &self,
        act: Act,
        id: UserId,
        row: &RecoveryRow,
        new: Option<&str>,
        language: &str,
    ) -> Result<Act, AccountError> {
        let same = new.is_some_and(|new| alike(&row.address) == alike(new));
        if row.address.is_empty() || same || !self.sends_mail().await? {
            return Ok(act);
        }
        let order = OrderRow { to: row.address.clone(), ..self.order(OrderKind::Changed, Some(id), language) };
        Ok(self.also_ordered(act, &order))
    }

    /// An address may be that of several accounts of one person, or family.
    async fn has_room(&self, address: &str, id: UserId) -> Result<(), AccountError> {
        let others = self.users_at(address).await?.into_iter().filter(|other| *other != id).count();
        match others < ADDRESSES_SHARED_MAX {
            true => Ok(()),
            false => Err(AccountError::Invalid("this is the address of five accounts already")),
        }
    }

    /// Whose confirmed address that is.
    pub(super) async fn users_at(&self, address: &str) -> Result<Vec<UserId>, AccountError> {
        let prefix = index_prefix(address);
        let mut query = Query::prefix(self.inner.tables.addresses, EVERYONE, &prefix);
        query.limit = 2 * ADDRESSES_SHARED_MAX as u32;
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        Ok(page.items.iter().filter_map(|at| UserId::from_slice(at.sort_key.get(prefix.len()..)?)).collect())
    }

    pub(super) async fn read_recovery(&self, id: UserId) -> Result<Option<(Version, RecoveryRow)>, AccountError> {
        let key = ItemKey::new(self.inner.tables.recovery, EVERYONE, id.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        item.map(|item| Ok((item.version, decode("an address", &item.value)?))).transpose()
    }

    async fn recovery_row(&self, id: UserId) -> Result<(Option<Version>, RecoveryRow), AccountError> {
        Ok(self.read_recovery(id).await?.map_or((None, RecoveryRow::default()), |(version, row)| (Some(version), row)))
    }

    pub(super) fn when_recovery(&self, act: Act, id: UserId, version: Option<Version>) -> Act {
        let test = version.map_or(Test::Absent, Test::VersionIs);
        act.when(Condition { table: self.inner.tables.recovery, sort_key: id.bytes(), test })
    }

    fn user_there(&self, id: UserId) -> Condition {
        Condition { table: self.inner.tables.users, sort_key: id.bytes(), test: Test::Present }
    }

    pub(super) fn put_recovery(&self, id: UserId, row: &RecoveryRow) -> Update {
        put(self.inner.tables.recovery, id.bytes(), row, None)
    }
}

/// No address has this byte in it.
fn index_prefix(address: &str) -> Vec<u8> {
    [alike(address).as_bytes(), &[0]].concat()
}

fn index_key(address: &str, id: UserId) -> Bytes {
    [&index_prefix(address)[..], &id.0].concat().into()
}
