//! The second factor: codes of RFC 6238, each good once, and recovery codes for when the device is lost.
//!
//! It is under the key of all users, so that spending a code, and turning the factor on or off, are each one
//! transaction with the line in the log; two who show the same code at once cannot both get in.

use super::act::Act;
use super::rows::{AuditRow, FactorRow, decode};
use super::secrets::{typed_hash, typed_secret};
use super::sessions::after;
use super::{AccountError, Accounts, By, User, totp};
use crate::UserId;
use bytes::Bytes;
use prost::Message;
use std::time::Duration;
use types::{Consistency, ItemKey, Update, Version, WallMillis};

/// Recovery codes given at a time.
pub const RECOVERY_CODES: usize = 10;
/// How long a new factor waits for its first code.
const CONFIRM_WITHIN: Duration = Duration::from_secs(15 * 60);
const RECOVERY: &str = "recovery code";
/// Codes of who is signed in are counted apart: whoever else knows the password tries none of these.
const SIGNED_IN: &str = "code of who is signed in";

/// A second factor about to be turned on. A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFactor {
    /// To be typed into the authenticator program.
    pub secret: String,
    /// The same and more, for its camera.
    pub address: String,
}

impl std::fmt::Debug for NewFactor {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewFactor(…)")
    }
}

/// How someone's second factor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactorState {
    /// Since when it is on.
    pub since: Option<WallMillis>,
    /// Recovery codes not used yet.
    pub recovery_codes: usize,
}

impl Accounts {
    /// How one's second factor is.
    pub async fn second_factor(&self, user: UserId) -> Result<FactorState, AccountError> {
        Ok(match self.read_factor(user).await? {
            Some((_, row)) if !row.secret.is_empty() => {
                FactorState { since: Some(WallMillis(row.since)), recovery_codes: row.recovery.len() }
            }
            _ => FactorState::default(),
        })
    }

    /// Begins to turn it on: the secret is shown, and waits to be confirmed by a code.
    pub async fn begin_second_factor(&self, by: impl Into<By>, password: &str) -> Result<NewFactor, AccountError> {
        let by = by.into();
        let user = &by.user;
        self.confirm_password(user.id, password).await?;
        let secret: [u8; 32] = rand::random();
        let secret = &secret[..totp::SECRET_BYTES];
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let (version, mut row) = self.factor_row(user.id).await?;
            if !row.secret.is_empty() {
                return Err(AccountError::FactorOn);
            }
            row.pending = Bytes::copy_from_slice(secret);
            row.pending_until = after(self.inner.store.now(), CONFIRM_WITHIN).0;
            let act = self.when_factor(Act::default(), user.id, version).update(self.put_factor(user.id, &row));
            let line = self.line("second factor begun", &by).about(user.id, &user.name);
            if self.carried_out(self.noted(act, line).await?).await? {
                let secret_text = super::secrets::base32(secret).to_ascii_uppercase();
                return Ok(NewFactor { secret: secret_text, address: totp::address(&user.name, secret) });
            }
        }
        Err(AccountError::Conflict)
    }

    /// Turns it on: the code proves that the device has the secret. Gives the recovery codes, this once.
    pub async fn confirm_second_factor(&self, by: impl Into<By>, code: &str) -> Result<Vec<String>, AccountError> {
        let by = by.into();
        let (counted, codes) = (self.count_own_try(SIGNED_IN, &by.user.id.0).await?, recovery_codes());
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let (version, mut row) = self.factor_row(by.user.id).await?;
            let now = self.inner.store.now();
            if !row.secret.is_empty() {
                return Err(AccountError::FactorOn);
            }
            if row.pending.is_empty() || row.pending_until <= now.0 {
                return Err(AccountError::NothingToConfirm);
            }
            let step = totp::step_of(&row.pending, code, 0, now).ok_or(AccountError::WrongCode)?;
            row = FactorRow {
                secret: std::mem::take(&mut row.pending),
                since: now.0,
                last_step: step,
                recovery: hashes(by.user.id, &codes),
                ..FactorRow::default()
            };
            let act = self.when_factor(Act::default(), by.user.id, version).update(self.put_factor(by.user.id, &row));
            let line = self.line("second factor on", &by).about(by.user.id, &by.user.name);
            if self.carried_out(self.noted(act, line).await?).await? {
                self.forget_tries(counted).await;
                return Ok(codes);
            }
        }
        Err(AccountError::Conflict)
    }

    /// New recovery codes in place of those that are left.
    pub async fn new_recovery_codes(
        &self,
        by: impl Into<By>,
        password: &str,
        code: &str,
    ) -> Result<Vec<String>, AccountError> {
        let by = by.into();
        self.confirm(&by.user, password, Some(code), &by).await?;
        let codes = recovery_codes();
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let (version, mut row) = self.factor_row(by.user.id).await?;
            if row.secret.is_empty() {
                return Err(AccountError::FactorOff);
            }
            row.recovery = hashes(by.user.id, &codes);
            let act = self.when_factor(Act::default(), by.user.id, version).update(self.put_factor(by.user.id, &row));
            let line = self.line("new recovery codes", &by).about(by.user.id, &by.user.name);
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(codes);
            }
        }
        Err(AccountError::Conflict)
    }

    /// Turns it off, by password and code.
    pub async fn stop_second_factor(&self, by: impl Into<By>, password: &str, code: &str) -> Result<(), AccountError> {
        let by = by.into();
        self.confirm(&by.user, password, Some(code), &by).await?;
        let line = self.line("second factor off", &by).about(by.user.id, &by.user.name);
        let act = Act::default().delete(self.inner.tables.factors, by.user.id.bytes());
        self.carried_out(self.noted(act, line).await?).await.map(drop)
    }

    /// Turns somebody's off, who has lost device and recovery codes. Only an administrator may; one's own
    /// takes password and code, as everybody's ([`Self::stop_second_factor`]).
    pub async fn clear_second_factor(&self, by: impl Into<By>, name: &str) -> Result<(), AccountError> {
        let by = by.into();
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "turn off others' second factors").await?;
            let user = self.find(name).await?;
            if user.id == by.user.id {
                let instead = "turn your second factor off in your own settings, with your password and a code";
                return Err(AccountError::OwnAccount { instead });
            }
            if !self.has_factor(user.id).await? {
                return Err(AccountError::FactorOff);
            }
            let line = self.line("second factor cleared", &by).about(user.id, &user.name);
            let act = Act::default().when(allowed).delete(self.inner.tables.factors, user.id.bytes());
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Password, and code where there is a second factor: for what cannot be taken back.
    pub(super) async fn confirm(
        &self,
        user: &User,
        password: &str,
        code: Option<&str>,
        by: &By,
    ) -> Result<(), AccountError> {
        self.confirm_password(user.id, password).await?;
        if !self.has_factor(user.id).await? {
            return Ok(());
        }
        let code = code.filter(|code| !code.is_empty()).ok_or(AccountError::WrongCode)?;
        let counted = self.count_own_try(SIGNED_IN, &user.id.0).await?;
        let used = self.use_code(user.id, code, self.line("code used", by).about(user.id, &user.name)).await;
        if let Err(AccountError::WrongCode) = used {
            let line = self.line("codes blocked", by).about(user.id, &user.name);
            self.note_blocked(counted.last, line).await?;
        }
        used?;
        self.forget_tries(counted).await;
        Ok(())
    }

    /// Spends a code, or a recovery code, and says so in the log.
    pub(super) async fn use_code(&self, user: UserId, code: &str, line: AuditRow) -> Result<(), AccountError> {
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let Some((version, mut row)) = self.read_factor(user).await? else { return Err(AccountError::FactorOff) };
            if row.secret.is_empty() {
                return Err(AccountError::FactorOff);
            }
            let mut line = line.clone();
            match totp::step_of(&row.secret, code, row.last_step, self.inner.store.now()) {
                Some(step) => row.last_step = step,
                None => {
                    let typed = blake3::Hash::from_bytes(typed_hash(RECOVERY, user, code));
                    // blake3 compares in constant time.
                    let same = |hash: &Bytes| <[u8; 32]>::try_from(&hash[..]).is_ok_and(|hash| typed == hash);
                    let at = row.recovery.iter().position(same).ok_or(AccountError::WrongCode)?;
                    row.recovery.remove(at);
                    line = line.detail(format!("by a recovery code; {} left", row.recovery.len()));
                }
            }
            let act = Act::default().when_is(self.inner.tables.factors, user.bytes(), version);
            let act = act.update(self.put_factor(user, &row));
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    pub(super) async fn has_factor(&self, user: UserId) -> Result<bool, AccountError> {
        Ok(self.read_factor(user).await?.is_some_and(|(_, row)| !row.secret.is_empty()))
    }

    async fn read_factor(&self, user: UserId) -> Result<Option<(Version, FactorRow)>, AccountError> {
        let key = ItemKey::new(self.inner.tables.factors, super::EVERYONE, user.bytes());
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        item.map(|item| Ok((item.version, decode("a second factor", &item.value)?))).transpose()
    }

    async fn factor_row(&self, user: UserId) -> Result<(Option<Version>, FactorRow), AccountError> {
        Ok(self.read_factor(user).await?.map_or((None, FactorRow::default()), |(version, row)| (Some(version), row)))
    }

    fn when_factor(&self, act: Act, user: UserId, version: Option<Version>) -> Act {
        let (table, sort_key) = (self.inner.tables.factors, user.bytes());
        // The user is there still: a row of somebody who has gone would stay for ever.
        let users =
            types::Condition { table: self.inner.tables.users, sort_key: user.bytes(), test: types::Test::Present };
        let act = act.when(users);
        match version {
            Some(version) => act.when_is(table, sort_key, version),
            None => act.when(types::Condition { table, sort_key, test: types::Test::Absent }),
        }
    }

    fn put_factor(&self, user: UserId, row: &FactorRow) -> Update {
        Update::Put {
            table: self.inner.tables.factors,
            sort_key: user.bytes().into(),
            value: row.encode_to_vec().into(),
            expires: None,
        }
    }
}

fn recovery_codes() -> Vec<String> {
    (0..RECOVERY_CODES).map(|_| typed_secret::<10>()).collect()
}

fn hashes(user: UserId, codes: &[String]) -> Vec<Bytes> {
    codes.iter().map(|code| Bytes::copy_from_slice(&typed_hash(RECOVERY, user, code))).collect()
}
