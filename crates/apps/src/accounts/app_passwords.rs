//! App passwords: one per device or program, for the protocols that it was made for and nothing else. 160 random
//! bits, shown once, stored under their hash.

use super::act::put;
use super::audit::plain;
use super::rows::{AppRow, UserRow, decode};
use super::secrets::{long_prefix, short_id, typed_hash, typed_secret};
use super::sessions::{TOUCH, text_of};
use super::{AccountError, Accounts, By, Device, Role, Token, User};
use crate::UserId;
use bytes::Bytes;
use std::fmt;
use tokio::time::Instant;
use types::{Condition, Consistency, ItemKey, Query, Test, Update, WallMillis};

/// App passwords of one user.
pub const APP_PASSWORDS_MAX: u32 = 50;
const PURPOSE: &str = "app password";
/// Sort key of how many there are.
const COUNT: Bytes = Bytes::from_static(b"app passwords");

/// What an app password may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Webdav,
    S3,
    Imap,
    Smtp,
    Grpc,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 5] = [Protocol::Webdav, Protocol::S3, Protocol::Imap, Protocol::Smtp, Protocol::Grpc];

    /// As it is stored and typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Webdav => "webdav",
            Protocol::S3 => "s3",
            Protocol::Imap => "imap",
            Protocol::Smtp => "smtp",
            Protocol::Grpc => "grpc",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Protocol, Self::Err> {
        let found = Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == text);
        found.ok_or("a protocol is webdav, s3, imap, smtp or grpc")
    }
}

/// What an app password opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppScope {
    /// By which protocols.
    pub protocols: Vec<Protocol>,
    /// Changing things, beside reading them.
    pub write: bool,
}

/// An app password, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPassword {
    /// By which it is removed.
    pub id: String,
    /// What its owner called it.
    pub label: String,
    /// What it opens.
    pub scope: AppScope,
    /// When it was made.
    pub created: WallMillis,
    /// When it was last used, to some five minutes; none: never.
    pub used: Option<WallMillis>,
    /// From where, then.
    pub used_from: String,
}

/// Someone who came in by an app password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCaller {
    /// Who; never with an administrator's role.
    pub user: User,
    /// May change things.
    pub write: bool,
    /// Which app password it was: [`AppPassword::id`].
    pub id: String,
    /// What its owner calls it.
    pub label: String,
}

impl AppCaller {
    /// As drives know them.
    pub fn program(&self) -> crate::drive::Program {
        crate::drive::Program { id: self.id.clone(), label: self.label.clone() }
    }
}

impl Accounts {
    /// Makes one; its secret is shown this once.
    pub async fn create_app_password(
        &self,
        by: impl Into<By>,
        label: &str,
        scope: AppScope,
    ) -> Result<(AppPassword, Token), AccountError> {
        let by = by.into();
        let label = plain(label.trim());
        if label.is_empty() {
            return Err(AccountError::Invalid("an app password needs a name, such as that of the device"));
        }
        let mut protocols = scope.protocols;
        protocols.sort();
        protocols.dedup();
        if protocols.is_empty() {
            return Err(AccountError::Invalid("an app password is for at least one protocol"));
        }
        let Some((_, user_row)) = self.read_user(by.user.id).await? else { return Err(AccountError::NotSignedIn) };
        // Judged and counted before there is a line: whoever is signed in cannot fill the log.
        let held = self.app_passwords(by.user.id).await?.len();
        if held >= APP_PASSWORDS_MAX as usize {
            return Err(AccountError::TooMany { what: "app passwords", max: APP_PASSWORDS_MAX });
        }
        self.count_made("app password", by.user.id).await?;
        let secret = typed_secret::<20>();
        let hash = Bytes::copy_from_slice(&typed_hash(PURPOSE, by.user.id, &secret));
        let row = AppRow {
            label: label.clone(),
            created: self.inner.store.now().0,
            protocols: protocols.iter().map(|protocol| protocol.to_string()).collect(),
            write: scope.write,
            generation: user_row.app_generation,
            ..AppRow::default()
        };
        let names: Vec<&str> = protocols.iter().map(|protocol| protocol.as_str()).collect();
        let may = if scope.write { "read and write" } else { "read only" };
        let line = self.line("app password made", &by).about(by.user.id, &by.user.name);
        self.note(line.detail(format!("{label}: {}, {may}", names.join(", ")))).await?;
        for _ in 0..super::TRIES_OF_A_CHANGE {
            // Those that ended with an earlier generation make room.
            let (mut conditions, mut updates) = (Vec::new(), Vec::new());
            for at in self.rows_of(self.inner.tables.app_passwords, by.user.id).await? {
                let old: AppRow = decode("an app password", &at.item.value)?;
                if old.generation != user_row.app_generation {
                    conditions.push(self.app_is_there(at.sort_key.clone()));
                    updates.push(Update::Delete { table: self.inner.tables.app_passwords, sort_key: at.sort_key });
                }
            }
            let delta = 1 - updates.len() as i64;
            updates.push(self.count_apps(delta));
            updates.push(put(self.inner.tables.app_passwords, hash.clone(), &row, None));
            match self.transact(by.user.id.bytes(), conditions, updates).await {
                Ok(Ok(_)) => return Ok((app_password(&hash, row), Token::shown(secret))),
                Ok(Err(_)) => {}
                Err(error) if super::is_bound(&error) => {
                    return Err(AccountError::TooMany { what: "app passwords", max: APP_PASSWORDS_MAX });
                }
                Err(error) => return Err(error),
            }
        }
        Err(AccountError::Conflict)
    }

    /// One's app passwords, the newest first.
    pub async fn app_passwords(&self, user: UserId) -> Result<Vec<AppPassword>, AccountError> {
        let Some((_, user_row)) = self.read_user(user).await? else { return Err(AccountError::NotSignedIn) };
        let mut found = Vec::new();
        for at in self.rows_of(self.inner.tables.app_passwords, user).await? {
            let row: AppRow = decode("an app password", &at.item.value)?;
            if row.generation == user_row.app_generation {
                found.push(app_password(&at.sort_key, row));
            }
        }
        found.sort_by_key(|app| std::cmp::Reverse(app.created));
        Ok(found)
    }

    /// Removes one: what uses it is shut out.
    pub async fn remove_app_password(&self, by: impl Into<By>, id: &str) -> Result<(), AccountError> {
        let by = by.into();
        let missing = AccountError::NotFound { what: "app password" };
        let prefix = long_prefix(id).ok_or(missing.clone())?;
        let table = self.inner.tables.app_passwords;
        let query = Query::prefix(table, by.user.id.bytes(), &prefix);
        let page = self.inner.store.query(&query, Consistency::Strong).await?;
        let found = page.items.into_iter().next().ok_or(missing)?;
        let row: AppRow = decode("an app password", &found.item.value)?;
        let line = self.line("app password removed", &by).about(by.user.id, &by.user.name).detail(row.label);
        self.note(line).await?;
        let conditions = vec![self.app_is_there(found.sort_key.clone())];
        let updates = vec![Update::Delete { table, sort_key: found.sort_key }, self.count_apps(-1)];
        // Gone already is as well.
        let _ = self.transact(by.user.id.bytes(), conditions, updates).await?;
        self.forget_user(by.user.id);
        Ok(())
    }

    /// Who comes in by that name and app password? Guessing one is hopeless, so tries need not be counted.
    pub async fn authenticate_app(
        &self,
        name: &str,
        secret: &str,
        protocol: Protocol,
        device: &Device,
    ) -> Result<AppCaller, AccountError> {
        let name = super::names::valid_name(name).map_err(|_| AccountError::WrongAppPassword)?;
        let parts = [name.as_bytes(), &[0], secret.as_bytes(), &[0], protocol.as_str().as_bytes()];
        let cached = *blake3::hash(&parts.concat()).as_bytes();
        if let Some(caller) = self.inner.apps_seen.get(&cached) {
            return Ok(caller);
        }
        let asked = Instant::now();
        let key = ItemKey::new(self.inner.tables.names, super::EVERYONE, name);
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        let id = item.and_then(|item| UserId::from_slice(&item.value)).unwrap_or(UserId([0; 16]));
        let hash = Bytes::copy_from_slice(&typed_hash(PURPOSE, id, secret));
        let key = ItemKey::new(self.inner.tables.app_passwords, id.bytes(), hash);
        let keys = vec![key.clone(), self.user_key(id)];
        let mut rows = self.inner.store.get_many(keys, Consistency::Strong).await?.into_iter();
        let (Some(Some(app)), Some(Some(user))) = (rows.next(), rows.next()) else {
            return Err(AccountError::WrongAppPassword);
        };
        let (row, user_row) =
            (decode::<AppRow>("an app password", &app.value)?, decode::<UserRow>("a user", &user.value)?);
        let fits = row.protocols.iter().any(|name| name == protocol.as_str());
        if !fits || user_row.disabled || row.generation != user_row.app_generation {
            return Err(AccountError::WrongAppPassword);
        }
        // A device or program administers nothing, whoever's it is.
        let user = User { role: Role::User, ..user_row.user(id)? };
        let (caller, now) = (
            AppCaller { user, write: row.write, id: short_id(&key.sort_key), label: row.label.clone() },
            self.inner.store.now(),
        );
        if now.0.saturating_sub(row.used) >= TOUCH.as_millis() as u64 {
            let row = AppRow { used: now.0, used_from: text_of(device.address), ..row };
            let put = put(key.table, key.sort_key.clone(), &row, None);
            self.note_use(key, app, put);
        }
        self.inner.apps_seen.put(cached, id, &caller, asked);
        Ok(caller)
    }

    fn app_is_there(&self, sort_key: Bytes) -> Condition {
        Condition { table: self.inner.tables.app_passwords, sort_key, test: Test::Present }
    }

    fn count_apps(&self, delta: i64) -> Update {
        let (min, max) = (0, i64::from(APP_PASSWORDS_MAX));
        Update::Add { table: self.inner.tables.counts, sort_key: COUNT, delta, min, max }
    }
}

fn app_password(hash: &[u8], row: AppRow) -> AppPassword {
    AppPassword {
        id: short_id(hash),
        label: row.label,
        scope: AppScope {
            protocols: row.protocols.iter().filter_map(|name| name.parse().ok()).collect(),
            write: row.write,
        },
        created: WallMillis(row.created),
        used: (row.used > 0).then_some(WallMillis(row.used)),
        used_from: row.used_from,
    }
}
