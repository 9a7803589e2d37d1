//! Sessions: a token shown with every request, of which only the hash is stored.
//!
//! A token is the user's id and 32 random bytes, so that session and user can be
//! read together. Sessions of a user are under the user's id; one counts while it
//! is there, has not expired, is of the user's present generation, and the user is
//! not disabled. Raising the generation ends all sessions in one write.

use super::rows::{SessionRow, UserRow, decode};
use super::{AccountError, Accounts, Device, Session, Token, User};
use crate::{UserId, hex};
use bytes::Bytes;
use client::ClientError;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::{Condition, Consistency, Item, ItemKey, Refusal, Test, Transaction, Update, WallMillis};

/// How long a session lasts that is not used.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How exact the time of last use is.
const TOUCH: Duration = Duration::from_secs(5 * 60);
/// Characters of a device's label that are kept.
const LABEL_MAX: usize = 200;

/// A token taken apart.
struct Shown {
    user: UserId,
    hash: [u8; 32],
}

impl Shown {
    fn parse(token: &str) -> Option<Shown> {
        if token.len() != 2 * 48 {
            return None;
        }
        let bytes = hex::decode(token)?;
        Some(Shown { user: UserId::from_slice(&bytes[..16])?, hash: *blake3::hash(&bytes).as_bytes() })
    }
}

impl Accounts {
    /// Signs someone in. Wrong names and wrong passwords look the same and cost the same.
    pub async fn sign_in(&self, name: &str, password: &str, device: Device) -> Result<Session, AccountError> {
        let name = super::names::valid_name(name);
        let counted = self.count_try(name.as_deref().unwrap_or_default(), device.address).await?;
        let found = match &name {
            Ok(name) => self.find_row(name).await?,
            Err(_) => None,
        };
        let hash = found.as_ref().map(|(_, _, row)| row.password.as_str());
        let too_long = password.len() > super::names::PASSWORD_BYTES_MAX;
        let right = self.inner.passwords.verify(if too_long { "" } else { password }, hash).await?;
        let (Some((id, _, row)), true, false) = (found, right, too_long) else {
            return Err(AccountError::WrongCredentials);
        };
        if row.disabled {
            return Err(AccountError::WrongCredentials);
        }
        self.forget_tries(counted).await;
        self.begin_session(row.user(id)?, row.generation, device).await
    }

    /// Who shows this token?
    pub async fn authenticate(&self, token: &str) -> Result<User, AccountError> {
        let shown = Shown::parse(token).ok_or(AccountError::NotSignedIn)?;
        if let Some(user) = self.inner.cache.get(&shown.hash) {
            return Ok(user);
        }
        let asked = Instant::now();
        let (user, session, row) = self.session(&shown, Consistency::Strong).await?;
        let now = self.inner.store.now();
        if now.0.saturating_sub(row.used) >= TOUCH.as_millis() as u64 {
            self.touch(&shown, session, row, now);
        }
        self.inner.cache.put(shown.hash, &user, asked);
        Ok(user)
    }

    /// Who showed this token, by whatever copy can be asked: while there is no majority, for those who want to see
    /// how things are. A sign-out that this copy has not heard of goes unnoticed.
    pub async fn recognise(&self, token: &str) -> Result<User, AccountError> {
        let shown = Shown::parse(token).ok_or(AccountError::NotSignedIn)?;
        Ok(self.session(&shown, Consistency::Stale).await?.0)
    }

    async fn session(&self, shown: &Shown, consistency: Consistency) -> Result<(User, Item, SessionRow), AccountError> {
        let keys = vec![self.session_key(shown), self.user_key(shown.user)];
        let mut rows = self.inner.store.get_many(keys, consistency).await?.into_iter();
        let (Some(Some(session)), Some(Some(user))) = (rows.next(), rows.next()) else {
            return Err(AccountError::NotSignedIn);
        };
        let row: SessionRow = decode("a session", &session.value)?;
        let user_row: UserRow = decode("a user", &user.value)?;
        let now = self.inner.store.now();
        if row.expires <= now.0 || row.generation != user_row.generation || user_row.disabled {
            return Err(AccountError::NotSignedIn);
        }
        Ok((user_row.user(shown.user)?, session, row))
    }

    /// Ends a session. Harmless when it has ended already.
    pub async fn sign_out(&self, token: &str) -> Result<(), AccountError> {
        let Some(shown) = Shown::parse(token) else { return Ok(()) };
        let key = self.session_key(&shown);
        let delete = Update::Delete { table: key.table, sort_key: key.sort_key };
        self.write(key.partition_key, vec![delete]).await?;
        self.inner.cache.forget(&shown.hash);
        Ok(())
    }

    /// A new session of that user, of that generation.
    pub(super) async fn begin_session(
        &self,
        user: User,
        generation: u64,
        device: Device,
    ) -> Result<Session, AccountError> {
        let bytes = [&user.id.0[..], &rand::random::<[u8; 32]>()].concat();
        let token = Token(hex::encode(&bytes));
        let shown = Shown { user: user.id, hash: *blake3::hash(&bytes).as_bytes() };
        let now = self.inner.store.now();
        let expires = expiry(now);
        let row = SessionRow {
            created: now.0,
            used: now.0,
            expires: expires.0,
            generation,
            label: device.label.chars().filter(|c| !c.is_control()).take(LABEL_MAX).collect(),
            address: device.address.map(|address| address.to_string()).unwrap_or_default(),
        };
        let key = self.session_key(&shown);
        let put = put_session(&key, &row);
        self.write(key.partition_key, vec![put]).await?;
        Ok(Session { token, user, expires })
    }

    /// Notes the use and moves the expiry, while the request goes on. Not noted
    /// is no harm; a session that ends meanwhile stays ended.
    fn touch(&self, shown: &Shown, item: Item, row: SessionRow, now: WallMillis) {
        let Ok(permit) = self.inner.touching.clone().try_acquire_owned() else { return };
        let key = self.session_key(shown);
        let row = SessionRow { used: now.0, expires: expiry(now).0, ..row };
        let put = put_session(&key, &row);
        let condition = Condition { table: key.table, sort_key: key.sort_key, test: Test::VersionIs(item.version) };
        let store = Arc::clone(&self.inner.store);
        let transaction = Transaction {
            operation: store.operation(&key.partition_key),
            partition_key: key.partition_key,
            conditions: vec![condition],
            updates: vec![put],
        };
        tokio::spawn(async move {
            let _permit = permit;
            match store.transact(transaction).await {
                Ok(_) | Err(ClientError::Refused(Refusal::Condition { .. })) => {}
                Err(error) => tracing::debug!(%error, "the use of a session was not noted"),
            }
        });
    }

    fn session_key(&self, shown: &Shown) -> ItemKey {
        let hash = Bytes::copy_from_slice(&shown.hash);
        ItemKey::new(self.inner.tables.sessions, shown.user.bytes(), hash)
    }
}

fn expiry(now: WallMillis) -> WallMillis {
    WallMillis(now.0.saturating_add(LIFETIME.as_millis() as u64))
}

fn put_session(key: &ItemKey, row: &SessionRow) -> Update {
    Update::Put {
        table: key.table,
        sort_key: key.sort_key.clone().into(),
        value: row.encode_to_vec().into(),
        expires: Some(WallMillis(row.expires)),
    }
}
