//! What links into drives need of accounts: passwords of links, who made one, and lines in the log.

use super::audit::plain;
use super::{AccountError, Accounts, By, Device, User};
use crate::{LinkId, UserId};

/// Characters of a link's password.
const PASSWORD_CHARS_MIN: usize = 6;
const PASSWORD_CHARS_MAX: usize = 1024;

impl Accounts {
    /// The hash of a link's password.
    pub async fn hash_link_password(&self, password: &str) -> Result<String, AccountError> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(AccountError::BadPassword { why: "a link's password has at least six characters" });
        }
        if password.chars().count() > PASSWORD_CHARS_MAX {
            return Err(AccountError::BadPassword { why: "it is longer than 1024 characters" });
        }
        self.inner.passwords.hash(password).await
    }

    /// Is it the link's password? Tries are counted per link and network, so that nobody locks out anybody elsewhere.
    pub async fn check_link_password(
        &self,
        link: LinkId,
        password: &str,
        hash: &str,
        device: &Device,
    ) -> Result<bool, AccountError> {
        let counted = self.count_try(&format!("a link {link}"), device.address).await?;
        if password.len() <= 4 * PASSWORD_CHARS_MAX && self.inner.passwords.verify(password, Some(hash)).await? {
            self.forget_tries(counted).await;
            return Ok(true);
        }
        let line = self.line_from("guests blocked", device).detail(format!("too many tries for the link {link}"));
        self.note_blocked(counted.last, line).await?;
        Ok(false)
    }

    /// Who made a link; none: their account is gone, or disabled.
    pub async fn maker(&self, id: UserId) -> Result<Option<User>, AccountError> {
        match self.read_user(id).await? {
            Some((_, row)) if !row.disabled => row.user(id).map(Some),
            _ => Ok(None),
        }
    }

    /// Notes what is about to be done with a link.
    pub async fn note_link(&self, by: &By, action: &str, detail: &str) -> Result<(), AccountError> {
        self.note(self.line(action, by).detail(plain(detail))).await
    }
}
