//! The first administrator: made by whoever has the link that the first start prints.
//!
//! Links, users and the count of administrators share a partition key, so that
//! using a link, making the user and ending the set-up are one transaction: of
//! several that try, exactly one wins.

use super::rows::{SetupRow, decode};
use super::{AccountError, Accounts, Device, NewUser, Role, Session};
use crate::hex;
use bytes::Bytes;
use prost::Message;
use std::net::IpAddr;
use std::time::Duration;
use types::{Condition, Consistency, Item, ItemKey, Test, Update, WallMillis};

/// How long a link can be used.
pub const LINK_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// In place of a name, for the count of tries. No account can be called so.
const TRIES_NAME: &str = "the set-up link";

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
        let bytes = rand::random::<[u8; 32]>();
        let now = self.inner.store.now();
        let expires = WallMillis(now.0.saturating_add(LINK_LIFETIME.as_millis() as u64));
        let put = Update::Put {
            table: self.inner.tables.setup,
            sort_key: hashed(&bytes).into(),
            value: SetupRow { created: now.0, expires: expires.0 }.encode_to_vec().into(),
            expires: Some(expires),
        };
        let done = self.transact(super::EVERYONE, vec![self.no_administrator()], vec![put]).await?;
        if done.is_err() {
            return Err(AccountError::SetupDone);
        }
        Ok(hex::encode(&bytes))
    }

    /// Is this the secret of a link that can be used now? Tries are counted per address, as those of
    /// passwords are, and forgotten when one is right.
    pub async fn check_setup_secret(&self, secret: &str, address: Option<IpAddr>) -> Result<(), AccountError> {
        if !self.setup_pending().await? {
            return Err(AccountError::SetupDone);
        }
        let counted = self.count_try(TRIES_NAME, address).await?;
        self.setup_link(secret).await?;
        self.forget_tries(counted).await;
        Ok(())
    }

    /// The link of a secret. It is looked up by the secret's hash, so that the time this takes tells nothing
    /// about how much of a guess was right.
    async fn setup_link(&self, secret: &str) -> Result<(ItemKey, Item), AccountError> {
        let bytes = hex::decode(secret.get(..64).unwrap_or_default()).unwrap_or_default();
        let link = ItemKey::new(self.inner.tables.setup, super::EVERYONE, hashed(&bytes));
        let item = self.inner.store.get(&link, Consistency::Strong).await?;
        let item = item.ok_or(AccountError::WrongSetupSecret)?;
        if secret.len() != 64 || decode::<SetupRow>("a set-up link", &item.value)?.expires <= self.inner.store.now().0 {
            return Err(AccountError::WrongSetupSecret);
        }
        Ok((link, item))
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
        self.check_setup_secret(secret, device.address).await?;
        let (link, item) = self.setup_link(secret).await?;
        let new = NewUser {
            name: name.to_string(),
            display: String::new(),
            password: password.to_string(),
            role: Role::Administrator,
        };
        let new = self.prepare_user(new).await?;
        let conditions = vec![
            self.no_administrator(),
            Condition { table: link.table, sort_key: link.sort_key.clone(), test: Test::VersionIs(item.version) },
            new.name_free(self),
        ];
        let mut updates = new.updates(self);
        updates.push(Update::Delete { table: link.table, sort_key: link.sort_key });
        match self.transact(super::EVERYONE, conditions, updates).await? {
            Ok(_) => self.begin_session(new.row.user(new.id)?, new.row.generation, device).await,
            Err(0) => Err(AccountError::SetupDone),
            Err(1) => Err(AccountError::WrongSetupSecret),
            Err(_) => Err(AccountError::NameTaken { name: new.row.name }),
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

fn hashed(secret: &[u8]) -> Bytes {
    Bytes::copy_from_slice(blake3::hash(secret).as_bytes())
}
