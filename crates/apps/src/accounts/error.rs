//! Why accounts did not do what was asked, said to people.

use super::Token;
use super::shared::DriveRole;
use client::ClientError;
use std::time::Duration;
use types::{Action, Classify};

/// Why accounts did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AccountError {
    /// Wrong name or wrong password: from outside they look the same.
    #[error("the name or the password is wrong")]
    WrongCredentials,
    #[error("too many tries from here; wait {} and try again", minutes(wait))]
    TooManyTries { wait: Duration },
    #[error("too many people are signing in at this moment; try again shortly")]
    Busy,
    #[error("you are not signed in, or were signed out; sign in again")]
    NotSignedIn,
    #[error("only an administrator may {what}")]
    Forbidden { what: &'static str },
    /// A session alone does not do: it may have been stolen.
    #[error("not for your own account; {instead}")]
    OwnAccount { instead: &'static str },
    #[error("the name {name} is taken")]
    NameTaken { name: String },
    #[error("this name cannot be used: {why}")]
    BadName { why: &'static str },
    #[error("this password cannot be used: {why}")]
    BadPassword { why: &'static str },
    #[error("there is nobody named {name}")]
    NoSuchUser { name: String },
    #[error("this cluster has an administrator already; sign in instead")]
    SetupDone,
    /// Right so far: whoever shows this token and a code of the second factor is signed in.
    #[error("a code of your second factor is needed")]
    CodeNeeded { challenge: Token },
    #[error("this code is wrong, or was used before; wait for the next one")]
    WrongCode,
    #[error("this took too long; sign in again")]
    ChallengeOver,
    /// The code was right and is spent; the session was not begun.
    #[error("your code is used up, but you could not be signed in; wait for the next code")]
    CodeUsed,
    /// What was asked for is done; only the session that was to follow it was not begun.
    #[error("this is done, but you could not be signed in; sign in now")]
    DoneSignIn,
    #[error("the second factor is on already; turn it off first")]
    FactorOn,
    #[error("the second factor is not on")]
    FactorOff,
    #[error("nothing waits to be confirmed, or it waited too long; begin again")]
    NothingToConfirm,
    #[error("nobody can sign up here; an administrator can make an account for you")]
    SignUpOff,
    #[error("an invitation is needed to sign up here; ask an administrator for one")]
    InvitationNeeded,
    #[error("there are as many accounts as there may be; ask an administrator")]
    AccountsFull,
    #[error("this link is wrong, used or too old; ask for a new one")]
    WrongLink,
    #[error("there is no such {what}; look at the list again")]
    NotFound { what: &'static str },
    #[error("there are {max} {what} already; remove one first")]
    TooMany { what: &'static str, max: u32 },
    #[error("{0}")]
    Invalid(&'static str),
    #[error("the name or the app password is wrong, or it is not for this")]
    WrongAppPassword,
    #[error("this cluster sends no mail; an administrator can set up a relay for it")]
    NoRelay,
    #[error("too many mails wait to be sent; try again in some minutes")]
    MailFull,
    #[error("the mail was not sent: {why}")]
    MailNotSent { why: String },
    #[error("this set-up link is wrong, used or too old; `atoll up` prints a new one when it starts")]
    WrongSetupSecret,
    #[error("this is the last administrator; make another one first")]
    LastAdministrator,
    #[error("your role in this drive does not let you {}; ask one of its managers", needed(*needs))]
    DriveRole { needs: DriveRole },
    #[error("nobody else manages the drive {drive}; make somebody else a manager first, or delete the drive")]
    LastManager { drive: String },
    #[error("{name} is in this drive already")]
    MemberAlready { name: String },
    #[error("{name} is not in this drive")]
    NoMember { name: String },
    #[error("someone else changed this at the same moment; nothing was changed, try again")]
    Conflict,
    #[error("this is not a place in this listing; begin it again")]
    BadCursor,
    /// A row that this release cannot read.
    #[error("the records of accounts are damaged: {0}; `atoll doctor` tells more")]
    Damaged(String),
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn minutes(wait: &Duration) -> String {
    match wait.as_secs().div_ceil(60) {
        0 | 1 => "a minute".into(),
        n => format!("{n} minutes"),
    }
}

fn needed(role: DriveRole) -> &'static str {
    match role {
        DriveRole::View => "look at it",
        DriveRole::Edit => "change what is in it",
        DriveRole::Manage => "manage it",
    }
}

impl Classify for AccountError {
    fn action(&self) -> Action {
        match self {
            AccountError::Busy | AccountError::Conflict | AccountError::MailFull => Action::Retry,
            AccountError::Client(error) => error.action(),
            _ => Action::Rejected,
        }
    }
}
