//! Why a drive did not do what was asked, said to people.

use crate::accounts::said_size;
use client::ClientError;
use types::{Action, Classify};

/// Why a drive did not do what was asked. Unless said otherwise nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DriveError {
    #[error("there is nothing at {path}")]
    NotFound { path: String },
    #[error("there is something at {path} already")]
    Exists { path: String },
    #[error("{path} is a file, not a folder")]
    NotAFolder { path: String },
    #[error("{path} is a folder, not a file")]
    IsAFolder { path: String },
    #[error("the folder {path} is not empty")]
    NotEmpty { path: String },
    #[error("{name:?} cannot be a name: {why}")]
    BadName { name: String, why: &'static str },
    #[error("this path is not allowed: {why}")]
    BadPath { why: &'static str },
    #[error("{from} cannot go to {to}: a folder cannot be put into itself")]
    Cycle { from: String, to: String },
    /// Another version is there than the one that the caller wanted to replace.
    #[error("{path} has been changed by someone else since you read it; look at it again before replacing it")]
    Changed { path: String },
    /// Every try met a change by others.
    #[error("others are changing {path} at this moment; nothing was changed, try again")]
    Conflict { path: String },
    #[error("this is not in the trash: it was restored or removed for good")]
    NotInTrash,
    #[error("{path} has no such version: it may have been thinned out")]
    NoSuchVersion { path: String },
    #[error("there is no upload {id} under way for this key: it was completed, aborted or abandoned")]
    NoSuchUpload { id: String },
    #[error("there is no such job; finished ones are kept for a day")]
    NoSuchJob,
    #[error("the drive is full: {} more would have to be free", said_size(needed.saturating_sub(*room)))]
    Quota { needed: u64, room: u64 },
    #[error("the folder {path} holds as many entries as a folder may")]
    FolderFull { path: String },
    /// A program has removed more than it may without somebody having looked.
    #[error(
        "“{program}” has removed more within an hour than a program may unasked; nothing more is removed until its owner, \
         on the page Trash, puts it back or lets it go on"
    )]
    Held { program: String },
    /// An object lock keeps it.
    #[error("{path} is locked: a retention, or a legal hold, forbids that")]
    Locked { path: String },
    #[error(
        "what is in this drive is kept by an object lock: nothing here is moved, renamed or removed; by S3 a delete puts a \
         marker before it"
    )]
    LockedDrive,
    #[error("this program is not held back, or not any more")]
    NotHeld,
    /// Never made, taken back, or not for this.
    #[error("there is no such link")]
    NoSuchLink,
    /// It has run out, is used up, or what it led to is gone.
    #[error("this link does not work any more")]
    LinkOver,
    #[error("this is more than the link takes")]
    LinkFull,
    /// Passes when one of them ends.
    #[error("{max} files are on their way by this link: it takes the next when one of them has come")]
    LinkBusy { max: i64 },
    #[error("a drive has at most {max} links; take some back first")]
    TooManyLinks { max: usize },
    #[error("one person has at most {max} stars; take some away first")]
    TooManyStars { max: i64 },
    #[error("this is not a place in this listing; begin it again")]
    BadCursor,
    #[error("{0}")]
    Invalid(String),
    /// A row that this release cannot read, or rows that contradict each other.
    #[error("the drive's records are damaged: {0}; `atoll doctor` tells more")]
    Damaged(String),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Classify for DriveError {
    fn action(&self) -> Action {
        match self {
            DriveError::Conflict { .. } => Action::Retry,
            DriveError::Client(error) => error.action(),
            _ => Action::Rejected,
        }
    }
}
