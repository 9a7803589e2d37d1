//! The first administrator: made by whoever has the link that the first start prints.

use super::act::{Act, Undone};
use super::rows::{LinkKind, LinkRow};
use super::{AccountError, Accounts, Device, NewUser, Role, Session};
use std::time::Duration;
use types::{Condition, Consistency, Item, ItemKey, Test};

/// How long a link can be used.
pub const LINK_LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Accounts {
    /// Is there no administrator yet?
    pub async fn setup_pending(&self) -> Result<bool, AccountError> {
        Ok(self.administrators(Consistency::Strong).await?.is_none())
    }

    /// The secret of a new set-up link. Earlier ones stay good until one is used.
    pub async fn make_setup_secret(&self) -> Result<String, AccountError> {
        // Once there was an administrator there always is: any copy that has heard of one may say so, and a node that
        // starts while most others are away need not wait for them to be told.
        if let Ok(Some(_)) = self.administrators(Consistency::Stale).await {
            return Err(AccountError::SetupDone);
        }
        let row = LinkRow { kind: LinkKind::Setup as i32, ..LinkRow::default() };
        let (secret, put, _) = self.new_link(row, LINK_LIFETIME);
        let line = self.line_from("set-up link made", &Device::default());
        let act = Act::default().when(self.no_administrator()).update(put);
        if !self.carried_out(self.noted(act, line).await?).await? {
            return Err(AccountError::SetupDone);
        }
        Ok(secret.as_str().to_string())
    }

    /// Is this the secret of a link that can be used now?
    pub async fn check_setup_secret(&self, secret: &str) -> Result<(), AccountError> {
        self.setup_link(secret).await.map(drop)
    }

    async fn setup_link(&self, secret: &str) -> Result<super::links::Link, AccountError> {
        if !self.setup_pending().await? {
            return Err(AccountError::SetupDone);
        }
        match self.find_link(secret, Some(LinkKind::Setup)).await {
            Err(AccountError::WrongLink) => Err(AccountError::WrongSetupSecret),
            found => found,
        }
    }

    /// Uses a link: makes the first administrator and signs them in.
    pub async fn complete_setup(
        &self,
        secret: &str,
        name: &str,
        password: &str,
        device: Device,
    ) -> Result<Session, AccountError> {
        // Judged before the password is hashed: guessing links shall cost us little.
        let link = self.setup_link(secret).await?;
        let new = NewUser {
            name: name.to_string(),
            password: password.to_string(),
            role: Role::Administrator,
            ..NewUser::default()
        };
        let new = self.prepare_user(new).await?;
        let line = self.line_from("set up", &device).about(new.id, &new.row.name);
        let act = self.spend(Act::default().when(self.no_administrator()), &link);
        let act = self.noted(new.make(act.when(new.name_free(self)), self, None), line).await?;
        match self.carry_out(act).await? {
            Ok(()) => self.begin_session_after(new.row.user(new.id)?, new.row.generation, device).await,
            Err(Undone::Condition(0)) => Err(AccountError::SetupDone),
            Err(Undone::Condition(1)) => Err(AccountError::WrongSetupSecret),
            Err(Undone::Condition(_)) => Err(AccountError::NameTaken { name: new.row.name }),
            Err(Undone::Bound(error)) => Err(error),
        }
    }

    /// The item that counts administrators; it comes with the first.
    async fn administrators(&self, consistency: Consistency) -> Result<Option<Item>, AccountError> {
        let key = ItemKey::new(self.inner.tables.counts, super::EVERYONE, super::ADMINISTRATORS);
        Ok(self.inner.store.get(&key, consistency).await?)
    }

    fn no_administrator(&self) -> Condition {
        Condition { table: self.inner.tables.counts, sort_key: super::ADMINISTRATORS, test: Test::Absent }
    }
}
