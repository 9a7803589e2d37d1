//! Sessions: a token shown with every request, of which only the hash is stored.
//!
//! A token carries the user's id, so that session and user can be read together. Sessions of a user are under the
//! user's id; one counts while it is there, has not expired, is of the user's present generation, and the user is
//! not disabled. Raising the generation ends all sessions in one write.

use super::act::put;
use super::audit::plain;
use super::rows::{AuditRow, KnownRow, SessionRow, UserRow, decode};
use super::secrets::{Shown, long_prefix, short_id};
use super::{AccountError, Accounts, By, Device, Session, Token, User};
use crate::UserId;
use bytes::Bytes;
use client::ClientError;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::{
    Condition, Consistency, Item, ItemAt, ItemKey, Query, Refusal, TableId, Test, Transaction, Update, WallMillis,
};

/// How long a session lasts that is not used.
pub const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a device is known that does not sign in.
pub const KNOWN_LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);
/// Sessions of one user; the one unused for longest makes room.
pub const SESSIONS_MAX: usize = 100;
/// Known devices of one user; the same.
const KNOWN_MAX: usize = 50;
/// How exact the time of last use is.
pub(super) const TOUCH: Duration = Duration::from_secs(5 * 60);

/// A device that has signed its user in before, as its row says.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Of its token.
    pub hash: [u8; 32],
    /// When it did so last.
    pub used: WallMillis,
}

/// A session, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// By which it is ended.
    pub id: String,
    /// The browser or program.
    pub device: String,
    /// Where it began.
    pub address: String,
    /// When it began.
    pub created: WallMillis,
    /// When it was last used, to some five minutes.
    pub used: WallMillis,
    /// When it ends if it is not used before.
    pub expires: WallMillis,
    /// It is the one that asks.
    pub current: bool,
}

impl Accounts {
    /// Who shows this token?
    pub async fn authenticate(&self, token: &str) -> Result<User, AccountError> {
        Ok(self.authenticate_telling(token).await?.0)
    }

    /// The same, and whether its session is prolonged by it: whoever keeps the token for as long has to keep it anew.
    pub async fn authenticate_telling(&self, token: &str) -> Result<(User, bool), AccountError> {
        let shown = Shown::parse(token).ok_or(AccountError::NotSignedIn)?;
        if let Some(user) = self.inner.sessions_seen.get(&shown.hash) {
            return Ok((user, false));
        }
        let asked = Instant::now();
        let (user, session, row) = self.session(&shown, Consistency::Strong).await?;
        let now = self.inner.store.now();
        let prolonged = now.0.saturating_sub(row.used) >= TOUCH.as_millis() as u64;
        if prolonged {
            let key = self.session_key(&shown);
            let row = SessionRow { used: now.0, expires: after(now, LIFETIME).0, ..row };
            let put = put_session(&key, &row);
            self.note_use(key, session, put);
        }
        self.inner.sessions_seen.put(shown.hash, user.id, &user, asked);
        Ok((user, prolonged))
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
        match self.session(&shown, Consistency::Strong).await {
            Ok((user, _, row)) => {
                let by = By { user, device: Device { label: row.label, ..Device::default() } };
                self.note(self.line("sign-out", &by).about(by.user.id, &by.user.name)).await?;
            }
            Err(AccountError::NotSignedIn) => {}
            Err(error) => return Err(error),
        }
        // Anybody can make up a token: what is not there costs no write.
        let there = Condition { table: key.table, sort_key: key.sort_key.clone(), test: Test::Present };
        let delete = Update::Delete { table: key.table, sort_key: key.sort_key };
        let _ended_already = self.transact(key.partition_key, vec![there], vec![delete]).await?;
        self.inner.sessions_seen.forget(&shown.hash);
        Ok(())
    }

    /// One's sessions that are good, the one last used first. `current`: the token that asks.
    pub async fn sessions(&self, user: &User, current: Option<&str>) -> Result<Vec<SessionInfo>, AccountError> {
        let Some((_, user_row)) = self.read_user(user.id).await? else { return Err(AccountError::NotSignedIn) };
        let current = current.and_then(Shown::parse).map(|shown| shown.hash);
        let now = self.inner.store.now();
        let mut sessions = Vec::new();
        for at in self.rows_of(self.inner.tables.sessions, user.id).await? {
            let row: SessionRow = decode("a session", &at.item.value)?;
            if row.expires <= now.0 || row.generation != user_row.generation || user_row.disabled {
                continue;
            }
            sessions.push(SessionInfo {
                id: short_id(&at.sort_key),
                device: row.label,
                address: row.address,
                created: WallMillis(row.created),
                used: WallMillis(row.used),
                expires: WallMillis(row.expires),
                current: current.is_some_and(|hash| at.sort_key == hash[..]),
            });
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.used));
        Ok(sessions)
    }

    /// Ends one of one's sessions.
    pub async fn end_session(&self, by: impl Into<By>, id: &str) -> Result<(), AccountError> {
        let by = by.into();
        let line = self.line("session ended", &by).about(by.user.id, &by.user.name);
        self.end_one(by.user.id, id, line, None).await
    }

    /// Ends all of one's sessions but the one of this token. Says how many.
    pub async fn end_other_sessions(&self, by: impl Into<By>, token: &str) -> Result<usize, AccountError> {
        let by = by.into();
        let keep = Shown::parse(token).ok_or(AccountError::NotSignedIn)?;
        let line = self.line("other sessions ended", &by).about(by.user.id, &by.user.name);
        self.end_all_but(by.user.id, Some(keep.hash), line, None).await
    }

    /// Somebody's sessions. Only an administrator may.
    pub async fn sessions_of(&self, by: &User, name: &str) -> Result<Vec<SessionInfo>, AccountError> {
        self.require_administrator(by, "see others' sessions").await?;
        let user = self.find(name).await?;
        self.sessions(&user, None).await
    }

    /// Ends one of somebody's sessions, or all. Only an administrator may.
    pub async fn end_sessions_of(
        &self,
        by: impl Into<By>,
        name: &str,
        id: Option<&str>,
    ) -> Result<usize, AccountError> {
        let by = by.into();
        let allowed = Some(self.require_administrator(&by.user, "end others' sessions").await?);
        let user = self.find(name).await?;
        let line = self.line("sessions ended", &by).about(user.id, &user.name);
        match id {
            Some(id) => self.end_one(user.id, id, line, allowed).await.map(|()| 1),
            None => self.end_all_but(user.id, None, line, allowed).await,
        }
    }

    /// `allowed`: what must hold when its line is written.
    async fn end_one(
        &self,
        user: UserId,
        id: &str,
        line: AuditRow,
        allowed: Option<Condition>,
    ) -> Result<(), AccountError> {
        let missing = AccountError::NotFound { what: "session" };
        let prefix = long_prefix(id).ok_or(missing.clone())?;
        let table = self.inner.tables.sessions;
        let page = self.inner.store.query(&Query::prefix(table, user.bytes(), &prefix), Consistency::Strong).await?;
        let found = page.items.into_iter().next().ok_or(missing)?;
        // Told of before it is done: nothing happens that is not in the log.
        self.note_when(line, allowed).await?;
        self.write(user.bytes(), vec![Update::Delete { table, sort_key: found.sort_key }]).await?;
        self.forget_user(user);
        Ok(())
    }

    async fn end_all_but(
        &self,
        user: UserId,
        keep: Option<[u8; 32]>,
        line: AuditRow,
        allowed: Option<Condition>,
    ) -> Result<usize, AccountError> {
        let table = self.inner.tables.sessions;
        let mut others = self.rows_of(table, user).await?;
        others.retain(|at| keep.is_none_or(|keep| at.sort_key != keep[..]));
        // Where there is none to end there is nothing to tell of.
        if !others.is_empty() {
            self.note_when(line, allowed).await?;
        }
        for page in others.chunks(types::limits::TRANSACTION_CHANGES_MAX) {
            let delete = |at: &ItemAt| Update::Delete { table, sort_key: at.sort_key.clone() };
            self.write(user.bytes(), page.iter().map(delete).collect()).await?;
        }
        self.forget_user(user);
        Ok(others.len())
    }

    /// A new session of that user, of that generation, on a device that is known, or becomes known. `spent`: a
    /// challenge that ends with it.
    pub(super) async fn begin_session(
        &self,
        user: User,
        generation: u64,
        device: Device,
        known: Option<Known>,
        spent: Option<Bytes>,
    ) -> Result<Session, AccountError> {
        let (token, shown) = Shown::make(user.id);
        let now = self.inner.store.now();
        let expires = after(now, LIFETIME);
        let row = SessionRow {
            created: now.0,
            used: now.0,
            expires: expires.0,
            generation,
            label: plain(&device.label),
            address: text_of(device.address),
        };
        let key = self.session_key(&shown);
        let tables = self.inner.tables;
        let mut updates = vec![put_session(&key, &row)];
        updates.extend(self.make_room(tables.sessions, user.id, SESSIONS_MAX).await?);
        // A token that was only shown is none: anybody can make up one that looks right.
        let (new, known) = match known {
            Some(Known { hash, .. }) => (None, Bytes::copy_from_slice(&hash)),
            None => {
                updates.extend(self.make_room(tables.known, user.id, KNOWN_MAX).await?);
                let (token, known) = Shown::make(user.id);
                (Some(token), known.sort_key())
            }
        };
        let expires_known = after(now, KNOWN_LIFETIME);
        let row = KnownRow { used: now.0, expires: expires_known.0, generation };
        updates.push(put(tables.known, known, &row, Some(expires_known)));
        let mut conditions = Vec::new();
        if let Some(sort_key) = spent {
            let table = tables.challenges;
            conditions.push(Condition { table, sort_key: sort_key.clone(), test: Test::Present });
            updates.push(Update::Delete { table, sort_key });
        }
        match self.transact(key.partition_key, conditions, updates).await? {
            Ok(_) => Ok(Session { token, user, expires, device: new }),
            Err(_) => Err(AccountError::ChallengeOver),
        }
    }

    /// The session that follows something that was done: if it cannot be begun, that does not make it undone.
    pub(super) async fn begin_session_after(
        &self,
        user: User,
        generation: u64,
        device: Device,
    ) -> Result<Session, AccountError> {
        self.begin_session(user, generation, device, None, None).await.map_err(|error| {
            tracing::info!(%error, "something was done, and no session begun after it");
            AccountError::DoneSignIn
        })
    }

    /// Is this a device that signed this user, of this generation, in before?
    pub(super) async fn known_device(
        &self,
        user: Option<(UserId, u64)>,
        known: Option<&Token>,
    ) -> Result<Option<Known>, AccountError> {
        let Some(shown) = known.and_then(|known| Shown::parse(known.as_str())) else { return Ok(None) };
        // Looked up whoever signs in, so that names are not told apart by how long this takes.
        let key = ItemKey::new(self.inner.tables.known, shown.user.bytes(), shown.sort_key());
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        let user = user.filter(|(id, _)| *id == shown.user);
        let (Some(item), Some((_, generation))) = (item, user) else { return Ok(None) };
        let row: KnownRow = decode("a known device", &item.value)?;
        let good = row.expires > self.inner.store.now().0 && row.generation == generation;
        Ok(good.then_some(Known { hash: shown.hash, used: WallMillis(row.used) }))
    }

    /// Takes away the rows that were written longest ago, so that one more makes at most so many.
    async fn make_room(&self, table: TableId, user: UserId, max: usize) -> Result<Vec<Update>, AccountError> {
        let mut rows = self.rows_of(table, user).await?;
        rows.sort_by_key(|at| at.item.time);
        let too_many = (rows.len() + 1).saturating_sub(max).min(100);
        Ok(rows.drain(..too_many).map(|at| Update::Delete { table, sort_key: at.sort_key }).collect())
    }

    /// What is under a user in a table whose rows are bounded in number.
    pub(super) async fn rows_of(&self, table: TableId, user: UserId) -> Result<Vec<ItemAt>, AccountError> {
        Ok(self.inner.store.query(&Query::all(table, user.bytes()), Consistency::Strong).await?.items)
    }

    /// Notes a use while the request goes on. Not noted is no harm; what ends meanwhile stays ended.
    pub(super) fn note_use(&self, key: ItemKey, item: Item, put: Update) {
        let Ok(permit) = self.inner.touching.clone().try_acquire_owned() else { return };
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
                Err(error) => tracing::debug!(%error, "a use was not noted"),
            }
        });
    }

    fn session_key(&self, shown: &Shown) -> ItemKey {
        ItemKey::new(self.inner.tables.sessions, shown.user.bytes(), shown.sort_key())
    }
}

/// An address as rows have it.
pub(super) fn text_of(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

pub(super) fn after(now: WallMillis, time: Duration) -> WallMillis {
    WallMillis(now.0.saturating_add(time.as_millis() as u64))
}

fn put_session(key: &ItemKey, row: &SessionRow) -> Update {
    put(key.table, key.sort_key.clone(), row, Some(WallMillis(row.expires)))
}
