//! How a command fails: what happened, what is safe, what to do next, and
//! which exit code says so to scripts.
//!
//! **Owns** [`Failure`] and its exit codes. **Invariant**: 0 done, 1 refused or
//! failed, 2 usage, 3 unknown outcome, 130 stopped by Ctrl-C; a write that may have been applied never
//! exits with 1. **Proved by** the tests below.

use client::remote::RemoteError;
use std::io;
use std::process::ExitCode;
use types::{Action, Classify};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line or the configuration makes no sense.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// What to type instead.
        next: Option<String>,
    },
    /// Refused or failed, surely without effect beyond what is said.
    #[error("{what}")]
    Failed {
        /// What happened.
        what: String,
        /// What is safe.
        safe: Option<String>,
        /// What to do next.
        next: Option<String>,
    },
    /// May have been done, or not.
    #[error("{what}")]
    Unknown {
        /// What happened.
        what: String,
        /// How to find out.
        next: Option<String>,
    },
    /// The cluster's answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Ctrl-C.
    #[error("{0}")]
    Stopped(String),
    /// Whoever read our output has gone: nothing is left to say.
    #[error("output closed")]
    OutputClosed,
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Bad usage.
    pub fn usage(what: impl Into<String>) -> Failure {
        Failure::Usage { what: what.into(), next: None }
    }

    /// Refused or failed.
    pub fn failed(what: impl Into<String>) -> Failure {
        Failure::Failed { what: what.into(), safe: None, next: None }
    }

    /// Failed on a local file or socket.
    pub fn io(doing: impl AsRef<str>, error: &io::Error) -> Failure {
        Failure::failed(format!("{}: {error}", doing.as_ref()))
    }

    /// Adds what is safe.
    #[must_use]
    pub fn safe(mut self, text: impl Into<String>) -> Failure {
        if let Failure::Failed { safe, .. } = &mut self {
            *safe = Some(text.into());
        }
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, text: impl Into<String>) -> Failure {
        match &mut self {
            Failure::Usage { next, .. } | Failure::Failed { next, .. } | Failure::Unknown { next, .. } => {
                *next = Some(text.into());
            }
            Failure::Remote(_) | Failure::Stopped(_) | Failure::OutputClosed => {}
        }
        self
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::OutputClosed => 0,
            Failure::Usage { .. } => 2,
            Failure::Stopped(_) => 130,
            other => match other.action() {
                Action::Unknown => 3,
                _ => 1,
            },
        }
    }

    /// Tells the person, on standard error.
    pub fn report(&self) -> ExitCode {
        if let Failure::Stopped(how_far) = self {
            eprintln!("{how_far}");
        } else if !matches!(self, Failure::OutputClosed) {
            eprintln!("error: {self}");
            let (safe, next) = self.advice();
            if let Some(safe) = safe {
                eprintln!(" safe: {safe}");
            }
            if let Some(next) = next {
                eprintln!(" next: {next}");
            }
        }
        ExitCode::from(self.code())
    }

    /// What is safe, and what to do next.
    fn advice(&self) -> (Option<String>, Option<String>) {
        match self {
            Failure::Usage { next, .. } => (None, next.clone()),
            Failure::Unknown { next, .. } => {
                (Some("nothing that was acknowledged before is lost".into()), next.clone())
            }
            Failure::Failed { safe, next, .. } => (safe.clone(), next.clone()),
            Failure::Remote(error) => remote_advice(error),
            Failure::Stopped(_) | Failure::OutputClosed => (None, None),
        }
    }
}

/// The same for what the cluster answers.
fn remote_advice(error: &RemoteError) -> (Option<String>, Option<String>) {
    let unchanged = Some("nothing was changed".to_string());
    let next = |text: &str| Some(text.to_string());
    match error {
        RemoteError::Unreachable { why, .. } if why.contains("certificate") => {
            (unchanged, next("atoll login HOST:7070, to see whose it is; or --ca FILE, with authority.pem of a node's data folder"))
        }
        RemoteError::Unreachable { .. } => {
            (unchanged, next("check that a node runs (`atoll up`), or name another one with --server HOST:7070"))
        }
        RemoteError::NotServing { silent, .. } => (
            Some("nothing was changed, and what was saved is kept; nothing but stale reads is answered until most machines are back".into()),
            Some(match silent.as_slice() {
                [] => "wait a moment and try again: it may just be choosing a leader".to_string(),
                away => format!("bring machines back (at {}); the cluster goes on by itself", away.join(", ")),
            }),
        ),
        RemoteError::Waiting(_) => (
            Some("nothing was changed, and what was saved is kept".into()),
            next("start that machine; `atoll cluster status` tells what to do if it is lost for good"),
        ),
        RemoteError::WrongCluster(_) => (
            Some("your session was not shown to it".into()),
            next("name an address of your cluster with --server HOST:7070, or sign in to this one: atoll login HOST:7070"),
        ),
        RemoteError::SignedOut => (unchanged, next("atoll login")),
        RemoteError::WrongPassword(_) => (unchanged, next("try again")),
        RemoteError::CodeNeeded { .. } => (unchanged, next("sign in again with --code CODE")),
        RemoteError::DoneSignIn(_) => (Some("it was done".into()), next("atoll login")),
        // What no administrator may do either.
        RemoteError::Denied(why) if why.contains("object lock") || why.contains("a retention, or a legal hold") => {
            (unchanged, next("locks are told and set by S3 (get-object-retention, put-object-legal-hold): docs/s3.md"))
        }
        RemoteError::Denied(why) if why.contains("on the page Trash") => {
            (unchanged, next("`atoll trash held` shows what was removed; put-back or let-go ends it"))
        }
        RemoteError::Denied(_) => (unchanged, next("`atoll whoami` shows who you are; ask an administrator")),
        RemoteError::NoSuchTable(_) => {
            (unchanged, next("`atoll table list` shows the tables; `atoll table create NAME` makes one"))
        }
        RemoteError::TooFewReplicas(_) => {
            (Some("nothing was written, reads go on".into()), next("`atoll cluster status` shows what is missing"))
        }
        RemoteError::NoSpace(_) => (unchanged, next("delete something, or add a machine: atoll cluster join-token")),
        RemoteError::NoRoom(_) => (unchanged, next("`atoll trash empty` makes room for good; or ask an administrator for more")),
        RemoteError::Busy(_) | RemoteError::TooMany(_) => (unchanged, next("try again shortly")),
        RemoteError::Changed(_) => (unchanged, next("read it again, then decide")),
        RemoteError::NotEmpty(_) => (unchanged, next("with -r it goes with everything in it")),
        RemoteError::BlocksMissing(_) => (unchanged, next("run the same command again: only what is missing is sent")),
        RemoteError::Damaged { .. } => (
            Some("the other parts are intact; repair goes on by itself when a machine with a good copy returns".into()),
            next("atoll cluster status"),
        ),
        RemoteError::Unknown { operation: Some(operation), .. } => (
            Some("running it again under the same id is harmless".into()),
            Some(format!("atoll kv verify {operation}")),
        ),
        RemoteError::Unknown { operation: None, .. } => (None, next("look whether it was done, then try again")),
        _ => (None, None),
    }
}

impl Classify for Failure {
    fn action(&self) -> Action {
        match self {
            Failure::Usage { .. } | Failure::Failed { .. } | Failure::Stopped(_) | Failure::OutputClosed => {
                Action::Rejected
            }
            Failure::Unknown { .. } => Action::Unknown,
            Failure::Remote(error) => error.action(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_as_documented() {
        assert_eq!(Failure::usage("x").code(), 2);
        assert_eq!(Failure::failed("x").code(), 1);
        assert_eq!(Failure::Unknown { what: "x".into(), next: None }.code(), 3);
        assert_eq!(Failure::OutputClosed.code(), 0);
        assert_eq!(Failure::Remote(RemoteError::SignedOut).code(), 1);
        assert_eq!(Failure::Remote(RemoteError::NotFound("x".into())).code(), 1);
        assert_eq!(Failure::Remote(RemoteError::Unreachable { tried: vec![], why: "x".into() }).code(), 1);
        let unknown = RemoteError::Unknown { operation: None, why: "x".into() };
        assert_eq!(Failure::Remote(unknown).code(), 3);
    }

    #[test]
    fn an_unknown_outcome_names_the_command_that_finds_out() {
        let id = types::OperationId { created: types::WallMillis(1), key_hash: types::KeyHash(2), nonce: 3 };
        let failure = Failure::Remote(RemoteError::Unknown { operation: Some(id), why: "x".into() });
        assert_eq!(failure.advice().1, Some(format!("atoll kv verify {id}")));
    }
}
