//! Signing in: a name and a password, and then a code where there is a second factor.

use super::act::put;
use super::rows::{ChallengeRow, UserRow, decode};
use super::secrets::Shown;
use super::sessions::after;
use super::{AccountError, Accounts, Device, Session, Token, User};
use crate::UserId;
use std::time::Duration;
use types::{Consistency, ItemKey, Version};

/// How long the code may take.
pub const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

impl Accounts {
    /// Signs someone in. Wrong names and wrong passwords look the same and cost the same. Where there is a second
    /// factor, a right password gives [`AccountError::CodeNeeded`]: go on with [`Self::sign_in_with_code`].
    pub async fn sign_in(&self, name: &str, password: &str, device: Device) -> Result<Session, AccountError> {
        let name = super::names::valid_name(name);
        let found = match &name {
            Ok(name) => self.find_row(name).await?,
            Err(_) => None,
        };
        let user = found.as_ref().map(|(id, _, row)| (*id, row.generation));
        let known = self.known_device(user, device.known.as_ref()).await?;
        let counted = self.count_sign_in(name.as_deref().unwrap_or_default(), &device, known).await?;
        let hash = found.as_ref().map(|(_, _, row)| row.password.as_str());
        let right = self.is_password(password, hash).await?;
        let (id, row) = match found {
            Some((id, _, row)) if right && !row.disabled => (id, row),
            found => {
                if let Some(what) = counted.last(name.as_deref().unwrap_or_default()) {
                    let line = self.line_from("sign-in blocked", &device).detail(what);
                    self.note(found.iter().fold(line, |line, (id, _, row)| line.about(*id, &row.name))).await?;
                }
                return Err(AccountError::WrongCredentials);
            }
        };
        self.forget_sign_in(counted).await;
        let user = row.user(id)?;
        if self.has_factor(id).await? {
            return Err(AccountError::CodeNeeded { challenge: self.challenge(&user, row.generation).await? });
        }
        self.note(self.line_of("sign-in", &user, &device)).await?;
        self.begin_session(user, row.generation, device, known, None).await
    }

    /// The second step: the challenge that the first gave, and a code or a recovery code.
    pub async fn sign_in_with_code(
        &self,
        challenge: &str,
        code: &str,
        device: Device,
    ) -> Result<Session, AccountError> {
        let shown = Shown::parse(challenge).ok_or(AccountError::ChallengeOver)?;
        let key = ItemKey::new(self.inner.tables.challenges, shown.user.bytes(), shown.sort_key());
        let keys = vec![key, self.user_key(shown.user)];
        let mut rows = self.inner.store.get_many(keys, Consistency::Strong).await?.into_iter();
        let (Some(Some(item)), Some(Some(user))) = (rows.next(), rows.next()) else {
            return Err(AccountError::ChallengeOver);
        };
        let (challenge, row) =
            (decode::<ChallengeRow>("a challenge", &item.value)?, decode::<UserRow>("a user", &user.value)?);
        let over = challenge.expires <= self.inner.store.now().0;
        if over || challenge.generation != row.generation || row.disabled {
            return Err(AccountError::ChallengeOver);
        }
        let user = row.user(shown.user)?;
        let known = self.known_device(Some((user.id, row.generation)), device.known.as_ref()).await?;
        // Since there are codes, only who showed one has signed in.
        let since = self.second_factor(user.id).await?.since;
        let showed_one = known.filter(|known| since.is_some_and(|since| known.used > since));
        let counted = self.count_code(user.id, showed_one).await?;
        let line = self.line_of("sign-in", &user, &device);
        match self.use_code(user.id, code, line).await {
            Err(AccountError::WrongCode) => {
                let line = self.line_from("codes blocked", &device).about(user.id, &user.name);
                self.note_blocked(counted.last, line).await?;
                Err(AccountError::WrongCode)
            }
            // Turned off in between: then the password alone is asked for, from the start.
            Err(AccountError::FactorOff) => Err(AccountError::ChallengeOver),
            Err(error) => Err(error),
            Ok(()) => {
                self.forget_tries(counted).await;
                match self.begin_session(user, row.generation, device, known, Some(shown.sort_key())).await {
                    Err(AccountError::ChallengeOver) => Err(AccountError::ChallengeOver),
                    // Not to be tried again as it is: the code is used up.
                    begun => begun.map_err(|error| {
                        tracing::info!(%error, "a code was used, and no session begun");
                        AccountError::CodeUsed
                    }),
                }
            }
        }
    }

    /// That it is really this person who asks, before something that cannot be taken back. Signed in already, they
    /// are counted by themselves.
    pub(super) async fn confirm_password(
        &self,
        id: UserId,
        password: &str,
    ) -> Result<(Version, UserRow), AccountError> {
        let counted = self.count_own_try("password", &id.0).await?;
        let (version, row) = self.read_user(id).await?.ok_or(AccountError::NotSignedIn)?;
        if row.disabled {
            return Err(AccountError::NotSignedIn);
        }
        if !self.is_password(password, Some(&row.password)).await? {
            let line = self.line_from("password tries blocked", &Device::default()).about(id, &row.name);
            self.note_blocked(counted.last, line).await?;
            return Err(AccountError::WrongCredentials);
        }
        self.forget_tries(counted).await;
        Ok((version, row))
    }

    async fn is_password(&self, password: &str, hash: Option<&str>) -> Result<bool, AccountError> {
        let too_long = password.len() > super::names::PASSWORD_BYTES_MAX;
        Ok(self.inner.passwords.verify(if too_long { "" } else { password }, hash).await? && !too_long)
    }

    async fn challenge(&self, user: &User, generation: u64) -> Result<Token, AccountError> {
        let (token, shown) = Shown::make(user.id);
        let expires = after(self.inner.store.now(), CHALLENGE_LIFETIME);
        let row = ChallengeRow { expires: expires.0, generation };
        let put = put(self.inner.tables.challenges, shown.sort_key(), &row, Some(expires));
        self.write(user.id.bytes(), vec![put]).await?;
        Ok(token)
    }

    fn line_of(&self, action: &str, user: &User, device: &Device) -> super::rows::AuditRow {
        self.line(action, &super::By { user: user.clone(), device: device.clone() })
    }
}
