//! What callers see of people and their sessions.

use crate::{DriveId, UserId};
use std::fmt;
use std::net::IpAddr;
use types::WallMillis;

/// What someone may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Use the apps.
    #[default]
    User,
    /// And manage people and the cluster.
    Administrator,
}

impl Role {
    /// `user` or `administrator`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Role, Self::Err> {
        match text {
            "user" => Ok(Role::User),
            "administrator" => Ok(Role::Administrator),
            _ => Err("a role is user or administrator"),
        }
    }
}

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Stays for ever.
    pub id: UserId,
    /// What they sign in with.
    pub name: String,
    /// What others see.
    pub display: String,
    /// What they may do.
    pub role: Role,
    /// Their personal drive.
    pub drive: DriveId,
    /// May not sign in.
    pub disabled: bool,
    /// When the account was made.
    pub created: WallMillis,
    /// Bytes that they may keep, where that is not as for everybody.
    pub quota: Option<u64>,
}

impl User {
    /// May they manage people and the cluster?
    pub fn is_administrator(&self) -> bool {
        self.role == Role::Administrator && !self.disabled
    }
}

/// What a browser or program shows to be someone. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(super) String);

impl Token {
    /// One that was shown to us; whether it is good is another matter.
    pub fn shown(text: impl Into<String>) -> Token {
        Token(text.into())
    }

    /// As a cookie or bearer text: hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Someone signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// To be shown with every request.
    pub token: Token,
    /// Who.
    pub user: User,
    /// When it ends if it is not used before.
    pub expires: WallMillis,
    /// To be kept beyond the session and shown at the next sign-in ([`Device::known`]), if it is new.
    pub device: Option<Token>,
}

/// Where someone signs in from.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// For the list of sessions: the browser, or "command line on HOST".
    pub label: String,
    /// The person's address, for the limit on tries.
    pub address: Option<IpAddr>,
    /// What [`Session::device`] gave it: who has one is not locked out by what others try.
    pub known: Option<Token>,
}

/// Who does something, and from where.
#[derive(Clone, Debug)]
pub struct By {
    /// Who, as they were recognised; what they may do is looked up again.
    pub user: User,
    /// Where from.
    pub device: Device,
}

impl From<&User> for By {
    fn from(user: &User) -> By {
        By { user: user.clone(), device: Device::default() }
    }
}

impl From<&By> for By {
    fn from(by: &By) -> By {
        by.clone()
    }
}

/// An account to be made.
#[derive(Clone, Default)]
pub struct NewUser {
    /// Lower-cased; 1–64 of a–z, 0–9, `.`, `_`, `-`.
    pub name: String,
    /// What others see; empty is the name.
    pub display: String,
    /// At least eight characters.
    pub password: String,
    /// What they may do.
    pub role: Role,
    /// Bytes that they may keep; none: as for everybody.
    pub quota: Option<u64>,
}

impl fmt::Debug for NewUser {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("name", &self.name)
            .field("display", &self.display)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
