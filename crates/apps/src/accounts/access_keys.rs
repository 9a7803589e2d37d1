//! Access keys: what programs that speak S3 sign their requests with.
//!
//! A signature is checked with the secret itself, so a hash of it would not do. It is not stored either: it is derived
//! from a key that the cluster's gateways share, and a random part in the row. Whoever reads the tables, or a copy of
//! them, has no secret. The key's public part begins with whose it is, so that one read finds it.

use super::act::put;
use super::audit::plain;
use super::rows::{AccessKeyRow, UserRow, decode};
use super::sessions::{TOUCH, text_of};
use super::{AccountError, Accounts, By, Device, Role, Token, User};
use crate::{DriveId, UserId, hex};
use bytes::Bytes;
use tokio::time::Instant;
use types::{Condition, Consistency, ItemKey, Test, Update, WallMillis};

/// Access keys of one user.
pub const ACCESS_KEYS_MAX: u32 = 50;
/// Buckets that a key is bound to, at most.
const BUCKETS_MAX: usize = 100;
/// What every public part begins with.
pub const ACCESS_KEY_MARK: &str = "AT";
/// Random bytes that tell one user's keys apart.
const OWN_BYTES: usize = 8;
/// Sort key of how many there are.
const COUNT: Bytes = Bytes::from_static(b"access keys");

/// What an access key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessScope {
    /// Listing and reading.
    pub read: bool,
    /// Changing things.
    pub write: bool,
    /// In these buckets; none named: in all that its owner may use.
    pub buckets: Vec<String>,
}

/// An access key, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The public part.
    pub id: String,
    /// What its owner called it.
    pub label: String,
    /// What it opens.
    pub scope: AccessScope,
    /// When it was made.
    pub created: WallMillis,
    /// When it was last used, to some five minutes; none: never.
    pub used: Option<WallMillis>,
    /// From where, then.
    pub used_from: String,
}

/// Whose key it is, and what a signature by it is checked with.
#[derive(Clone, Debug)]
pub struct AccessCaller {
    /// Never with an administrator's role.
    pub user: User,
    /// What the key opens.
    pub scope: AccessScope,
    /// The secret part.
    pub secret: Token,
    /// The drives that the key's buckets were when it was made.
    drives: Vec<DriveId>,
}

impl AccessCaller {
    /// Is the key for that bucket? Not for another drive that has got the name since.
    pub fn is_for(&self, bucket: &str, drive: DriveId) -> bool {
        let AccessScope { buckets, .. } = &self.scope;
        let place = buckets.iter().position(|name| name == bucket);
        buckets.is_empty() || place.is_some_and(|at| self.drives.get(at).is_none_or(|was| *was == drive))
    }
}

impl Accounts {
    fn secret_of(&self, id: &str, nonce: &[u8]) -> Result<Token, AccountError> {
        let key = self.inner.access_secret.get().ok_or(AccountError::Invalid("access keys are not offered here"))?;
        let mut hash = blake3::Hasher::new_keyed(key);
        hash.update(id.as_bytes()).update(&[0]).update(nonce);
        Ok(Token::shown(&hash.finalize().to_hex()[..40]))
    }

    /// Makes one; its secret is shown this once.
    pub async fn create_access_key(
        &self,
        by: impl Into<By>,
        label: &str,
        scope: AccessScope,
    ) -> Result<(AccessKey, Token), AccountError> {
        let by = by.into();
        let label = plain(label.trim());
        if label.is_empty() {
            return Err(AccountError::Invalid("an access key needs a name, such as that of the program"));
        }
        if !scope.read && !scope.write {
            return Err(AccountError::Invalid("an access key is for reading, writing or both"));
        }
        if scope.buckets.len() > BUCKETS_MAX {
            return Err(AccountError::Invalid("an access key is for at most 100 buckets, or for all"));
        }
        let mut drives = Vec::new();
        for bucket in &scope.buckets {
            drives.push(self.bucket(&by.user, bucket).await?.drive.bytes());
        }
        let Some((_, user_row)) = self.read_user(by.user.id).await? else { return Err(AccountError::NotSignedIn) };
        self.count_made("access key", by.user.id).await?;
        let own = rand::random::<[u8; OWN_BYTES]>();
        let id = format!("{ACCESS_KEY_MARK}{}{}", hex::encode(&by.user.id.0), hex::encode(&own));
        let row = AccessKeyRow {
            label: label.clone(),
            created: self.inner.store.now().0,
            nonce: Bytes::copy_from_slice(&rand::random::<[u8; 32]>()),
            read: scope.read,
            write: scope.write,
            buckets: scope.buckets,
            drives,
            generation: user_row.app_generation,
            ..AccessKeyRow::default()
        };
        let secret = self.secret_of(&id, &row.nonce)?;
        let line = self.line("access key made", &by).about(by.user.id, &by.user.name);
        self.note(line.detail(format!("{label}: {id}"))).await?;
        let table = self.inner.tables.access_keys;
        let key = Bytes::copy_from_slice(&own);
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let mut conditions = vec![Condition { table, sort_key: key.clone(), test: Test::Absent }];
            // Those that ended with an earlier generation make room.
            let mut updates = Vec::new();
            for at in self.rows_of(table, by.user.id).await? {
                let old: AccessKeyRow = decode("an access key", &at.item.value)?;
                if old.generation != user_row.app_generation {
                    conditions.push(Condition { table, sort_key: at.sort_key.clone(), test: Test::Present });
                    updates.push(Update::Delete { table, sort_key: at.sort_key });
                }
            }
            let delta = 1 - updates.len() as i64;
            updates.push(self.count_access_keys(delta));
            updates.push(put(table, key.clone(), &row, None));
            match self.transact(by.user.id.bytes(), conditions, updates).await {
                Ok(Ok(_)) => return Ok((access_key(id, row), secret)),
                Ok(Err(_)) => {}
                Err(error) if super::is_bound(&error) => {
                    return Err(AccountError::TooMany { what: "access keys", max: ACCESS_KEYS_MAX });
                }
                Err(error) => return Err(error),
            }
        }
        Err(AccountError::Conflict)
    }

    /// One's access keys, the newest first.
    pub async fn access_keys(&self, user: UserId) -> Result<Vec<AccessKey>, AccountError> {
        let Some((_, user_row)) = self.read_user(user).await? else { return Err(AccountError::NotSignedIn) };
        let mut found = Vec::new();
        for at in self.rows_of(self.inner.tables.access_keys, user).await? {
            let row: AccessKeyRow = decode("an access key", &at.item.value)?;
            if row.generation == user_row.app_generation {
                let id = format!("{ACCESS_KEY_MARK}{}{}", hex::encode(&user.0), hex::encode(&at.sort_key));
                found.push(access_key(id, row));
            }
        }
        found.sort_by_key(|key| std::cmp::Reverse(key.created));
        Ok(found)
    }

    /// Removes one: what signs with it is shut out.
    pub async fn remove_access_key(&self, by: impl Into<By>, id: &str) -> Result<(), AccountError> {
        let by = by.into();
        let missing = AccountError::NotFound { what: "access key" };
        let (user, own) = parts(id).ok_or(missing.clone())?;
        if user != by.user.id {
            return Err(missing);
        }
        let table = self.inner.tables.access_keys;
        let key = ItemKey::new(table, user.bytes(), own.clone());
        let item = self.inner.store.get(&key, Consistency::Strong).await?.ok_or(missing)?;
        let row: AccessKeyRow = decode("an access key", &item.value)?;
        let line = self.line("access key removed", &by).about(user, &by.user.name);
        self.note(line.detail(format!("{}: {id}", row.label))).await?;
        let there = Condition { table, sort_key: own.clone(), test: Test::Present };
        let updates = vec![Update::Delete { table, sort_key: own }, self.count_access_keys(-1)];
        // Gone already is as well.
        let _ = self.transact(user.bytes(), vec![there], updates).await?;
        self.forget_user(user);
        Ok(())
    }

    /// Whose key is that? Whether they hold its secret is for the signature to show.
    pub async fn access_key(&self, id: &str, device: &Device) -> Result<AccessCaller, AccountError> {
        let missing = || AccountError::NotFound { what: "access key" };
        let (user, own) = parts(id).ok_or_else(missing)?;
        let cached = *blake3::hash(id.as_bytes()).as_bytes();
        if let Some(caller) = self.inner.keys_seen.get(&cached) {
            return Ok(caller);
        }
        let asked = Instant::now();
        let key = ItemKey::new(self.inner.tables.access_keys, user.bytes(), own);
        let keys = vec![key.clone(), self.user_key(user)];
        let mut rows = self.inner.store.get_many(keys, Consistency::Strong).await?.into_iter();
        let (Some(Some(item)), Some(Some(user_item))) = (rows.next(), rows.next()) else { return Err(missing()) };
        let row: AccessKeyRow = decode("an access key", &item.value)?;
        let user_row: UserRow = decode("a user", &user_item.value)?;
        if user_row.disabled || row.generation != user_row.app_generation {
            return Err(missing());
        }
        // A program administers nothing, whoever's it is.
        let caller = AccessCaller {
            user: User { role: Role::User, ..user_row.user(user)? },
            scope: AccessScope { read: row.read, write: row.write, buckets: row.buckets.clone() },
            secret: self.secret_of(id, &row.nonce)?,
            drives: row.drives.iter().filter_map(|drive| DriveId::from_slice(drive)).collect(),
        };
        let now = self.inner.store.now();
        if now.0.saturating_sub(row.used) >= TOUCH.as_millis() as u64 {
            match self.bound(&row).await {
                Ok(drives) => {
                    let row = AccessKeyRow { used: now.0, used_from: text_of(device.address), drives, ..row };
                    let put = put(key.table, key.sort_key.clone(), &row, None);
                    self.note_use(key, item, put);
                }
                // The next time.
                Err(error) => tracing::debug!(%error, "a use was not noted"),
            }
        }
        self.inner.keys_seen.put(cached, user, &caller, asked);
        Ok(caller)
    }

    /// The drives that the key's buckets are. Of a key that was made before keys knew them: those that they are now, so that
    /// it is for no other that gets the name; none where there is no such bucket.
    async fn bound(&self, row: &AccessKeyRow) -> Result<Vec<Bytes>, AccountError> {
        let mut drives = row.drives.clone();
        for name in row.buckets.iter().skip(drives.len()) {
            let place = self.bucket_place(name).await?;
            drives.push(place.map_or(DriveId([0; 16]), |place| place.drive).bytes());
        }
        Ok(drives)
    }

    fn count_access_keys(&self, delta: i64) -> Update {
        let (min, max) = (0, i64::from(ACCESS_KEYS_MAX));
        Update::Add { table: self.inner.tables.counts, sort_key: COUNT, delta, min, max }
    }
}

/// Whose it is, and which of theirs.
fn parts(id: &str) -> Option<(UserId, Bytes)> {
    let text = id.strip_prefix(ACCESS_KEY_MARK).filter(|text| text.len() == 2 * (16 + OWN_BYTES))?;
    let bytes = hex::decode(text)?;
    Some((UserId::from_slice(&bytes[..16])?, Bytes::copy_from_slice(&bytes[16..])))
}

fn access_key(id: String, row: AccessKeyRow) -> AccessKey {
    AccessKey {
        id,
        label: row.label,
        scope: AccessScope { read: row.read, write: row.write, buckets: row.buckets },
        created: WallMillis(row.created),
        used: (row.used > 0).then_some(WallMillis(row.used)),
        used_from: row.used_from,
    }
}
