//! A request: who asks, and on which conditions.

use super::answer::Refusal;
use super::condition::{self, State};
use super::place::{Place, href};
use crate::web::WebState;
use crate::web::session::From as CameFrom;
use apps::accounts::Protocol;
use apps::drive::locks::{Lock, barrier};
use apps::drive::{DrivePath, Entry};
use apps::{AccountError, Device, DriveError, DriveId, Drives, User};
use axum::extract::FromRequestParts;
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify};

/// How long the end of an upload waits for accounts to answer.
const ASK_AGAIN_WITHIN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// Somebody's request.
pub(super) struct Ask {
    pub state: WebState,
    pub user: User,
    pub headers: HeaderMap,
    pub drive: DriveId,
    /// For the program that asks.
    drives: Drives,
    /// May change things.
    write: bool,
    credentials: (String, String),
    device: Device,
}

/// Which of the resources that a change touches, and how far.
#[derive(Clone, Copy)]
pub(super) struct Touched<'a> {
    pub path: &'a DrivePath,
    /// And all below.
    pub deep: bool,
    /// It comes or goes: what its folder holds changes, too.
    pub member: bool,
}

impl Ask {
    pub async fn new(state: WebState, mut parts: Parts) -> Result<Ask, Refusal> {
        let Ok(CameFrom(device)) = CameFrom::from_request_parts(&mut parts, &state).await;
        let credentials = basic(&parts.headers).ok_or_else(unauthorized)?;
        let (name, secret) = &credentials;
        let caller = match state.inner.accounts.authenticate_app(name, secret, Protocol::Webdav, &device).await {
            Ok(caller) => caller,
            Err(AccountError::WrongAppPassword) => return Err(unauthorized()),
            Err(error) => return Err(error.into()),
        };
        let (drive, write) = (caller.user.drive, caller.write);
        let drives = state.inner.drives.for_program(Some(caller.program()), caller.user.id);
        Ok(Ask { state, user: caller.user, headers: parts.headers, drive, drives, write, credentials, device })
    }

    pub fn drives(&self) -> &Drives {
        &self.drives
    }

    /// Whether they may still come in: bytes may take hours to come.
    pub async fn still_welcome(&self) -> Result<(), Refusal> {
        let (name, secret) = &self.credentials;
        let deadline = Instant::now() + ASK_AGAIN_WITHIN;
        loop {
            let found = self.state.inner.accounts.authenticate_app(name, secret, Protocol::Webdav, &self.device).await;
            match found {
                Ok(caller) if caller.write => return Ok(()),
                Ok(_) => return Err(read_only()),
                Err(AccountError::WrongAppPassword) => return Err(unauthorized()),
                // Nobody sends a long file twice because of a failover.
                Err(error) if error.action() == Action::Retry && Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A header's text; one that is no text is refused.
    pub fn header(&self, name: impl header::AsHeaderName) -> Result<Option<&str>, Refusal> {
        let value = self.headers.get(name).map(|value| value.to_str());
        value
            .transpose()
            .map_err(|_| Refusal::bad("a header of the request is not plain text"))
            .map(|it| it.map(str::trim))
    }

    /// The path that is to be changed, by someone who may.
    pub fn to_change(&self, place: &Place) -> Result<DrivePath, Refusal> {
        if !self.write {
            return Err(read_only());
        }
        match place {
            Place::Home(path) => Ok(path.clone()),
            Place::Top | Place::Nowhere => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the list of drives is not changed by WebDAV; write into /dav/home/",
            )),
        }
    }

    /// What is at a path, if something is.
    pub async fn find(&self, path: &DrivePath) -> Result<Option<Entry>, Refusal> {
        match self.drives().stat(self.drive, &path.to_string()).await {
            Ok(entry) => Ok(Some(entry)),
            Err(DriveError::NotFound { .. } | DriveError::NotAFolder { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn found(&self, path: &DrivePath) -> Result<Entry, Refusal> {
        let missing = || Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}"));
        self.find(path).await?.ok_or_else(missing)
    }

    /// The folder that something is to be in must be there (RFC 4918, sections 9.3.1, 9.7.1 and 9.8.5).
    pub async fn parent_is_there(&self, path: &DrivePath) -> Result<(), Refusal> {
        let parent = path.parent().unwrap_or_default();
        match self.find(&parent).await? {
            Some(entry) if entry.is_folder() => Ok(()),
            _ => Err(Refusal::new(StatusCode::CONFLICT, format!("there is no folder {parent}: make it first"))),
        }
    }

    /// Do the conditions of the request hold, and is nothing in the way? `entry` is what is at the request's own
    /// `path`. The locks that were looked at.
    pub async fn may_change(
        &self,
        path: &DrivePath,
        entry: Option<&Entry>,
        touched: &[Touched<'_>],
    ) -> Result<Vec<Lock>, Refusal> {
        self.http_conditions(entry)?;
        let locks = self.drives().locks(self.drive).await?;
        let shown = self.dav_conditions(path, entry, &locks).await?;
        for one in touched {
            let parent = one.path.parent().filter(|_| one.member);
            let here = barrier(&locks, one.path, one.deep, self.user.id, &shown);
            let there = || parent.as_ref().and_then(|parent| barrier(&locks, parent, false, self.user.id, &shown));
            if let Some(lock) = here.or_else(there) {
                return Err(Refusal::locked(lock, &href(&lock.asked.path, false)));
            }
        }
        Ok(locks)
    }

    /// `If-Match`, `If-None-Match`, `If-Unmodified-Since` (RFC 9110, section 13).
    fn http_conditions(&self, entry: Option<&Entry>) -> Result<(), Refusal> {
        let failed =
            || Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "what is there is not what the request expects"));
        let etag = entry.and_then(Entry::file).map(|file| format!("\"{}\"", file.etag));
        let one_of = |list: &str, weak: bool| match list {
            "*" => entry.is_some(),
            list => list.split(',').map(str::trim).any(|one| {
                let one = if weak { one.strip_prefix("W/").unwrap_or(one) } else { one };
                Some(one) == etag.as_deref()
            }),
        };
        if let Some(list) = self.header(header::IF_MATCH)? {
            if !one_of(list, false) {
                return failed();
            }
        } else if let Some(date) = self.header(header::IF_UNMODIFIED_SINCE)?
            && let Ok(date) = httpdate::parse_http_date(date)
        {
            let since = date.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let changed = entry.is_none_or(|entry| super::live::modified(entry).0 / 1000 > since);
            if changed {
                return failed();
            }
        }
        match self.header(header::IF_NONE_MATCH)? {
            Some(list) if one_of(list, true) => failed(),
            _ => Ok(()),
        }
    }

    /// The `If` header; the tokens that it shows.
    async fn dav_conditions(
        &self,
        path: &DrivePath,
        entry: Option<&Entry>,
        locks: &[Lock],
    ) -> Result<Vec<String>, Refusal> {
        let Some(text) = self.header(HeaderName::from_static("if"))? else { return Ok(Vec::new()) };
        let lists = condition::parse(text).ok_or_else(|| Refusal::bad("the If header is not well-formed"))?;
        let shown = condition::tokens(&lists);
        for list in &lists {
            let other = match &list.resource {
                None => None,
                Some(reference) => match Place::refer(reference, self.header(header::HOST)?) {
                    Ok(Place::Home(other)) => Some(other),
                    // Nothing holds of what is not here.
                    Ok(Place::Top | Place::Nowhere) | Err(_) => continue,
                },
            };
            let there = match &other {
                Some(other) if other != path => self.find(other).await?,
                _ => entry.cloned(),
            };
            let at = other.as_ref().unwrap_or(path);
            let etag = there.as_ref().and_then(Entry::file).map(|file| file.etag.as_str());
            let holds = |state: &State| match state {
                State::Token(token) => locks.iter().any(|lock| lock.token == *token && lock.covers(at)),
                State::Etag(wanted) => wanted.is_some() && wanted.as_deref() == etag,
            };
            if list.conditions.iter().all(|condition| holds(&condition.state) != condition.not) {
                return Ok(shown);
            }
        }
        Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "no list of the If header holds"))
    }
}

fn unauthorized() -> Refusal {
    let message = "sign in with your name and an app password; make one in Settings, under Devices";
    Refusal::new(StatusCode::UNAUTHORIZED, message)
}

fn read_only() -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "this app password may only read; make another in Settings, under Devices")
        .condition("need-privileges", "")
}

/// Name and secret (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 1024 {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_string(), secret.to_string()))
}
