//! A request: who asks, and on which conditions.

use super::answer::Refusal;
use super::condition::{self, State};
use super::place::{Place, Root};
use crate::turns::Who;
use crate::web::WebState;
use crate::web::session::From as CameFrom;
use apps::accounts::Protocol;
use apps::drive::locks::{Lock, Locks, barrier};
use apps::drive::{DrivePath, Entry};
use apps::{AccountError, Device, DriveError, DriveId, DriveRole, Drives, SharedDrive, User};
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
    /// In which drive; of the lists, one's own.
    pub root: Root,
    pub drive: DriveId,
    /// None: their own.
    shared: Option<SharedDrive>,
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
    pub async fn new(state: WebState, mut parts: Parts, place: &Place) -> Result<Ask, Refusal> {
        let Ok(CameFrom(device)) = CameFrom::from_request_parts(&mut parts, &state).await;
        let credentials = basic(&parts.headers).ok_or_else(unauthorized)?;
        let (name, secret) = &credentials;
        let caller = match state.inner.accounts.authenticate_app(name, secret, Protocol::Webdav, &device).await {
            Ok(caller) => caller,
            Err(AccountError::WrongAppPassword) => return Err(unauthorized()),
            Err(error) => return Err(error.into()),
        };
        let (root, shared) = match place {
            Place::In(root @ Root::Shared(named), _) => {
                (root.clone(), Some(shared_drive(&state, &caller.user, named).await?))
            }
            _ => (Root::Home, None),
        };
        let drive = shared.as_ref().map_or(caller.user.drive, |shared| shared.id);
        let write = caller.write;
        let drives = state.inner.drives.for_program(Some(caller.program()), caller.user.id);
        let (user, headers) = (caller.user, parts.headers);
        Ok(Ask { state, user, headers, root, drive, shared, drives, write, credentials, device })
    }

    /// Bytes that may be kept there.
    pub async fn quota(&self) -> Result<Option<u64>, Refusal> {
        Ok(match &self.shared {
            None => self.state.quota(&self.user).await?,
            Some(shared) => self.state.inner.quotas.of_drive(&self.state.inner.accounts, shared).await?,
        })
    }

    /// The shared drives that they are in, each with what its folder is called: its name where that is clear.
    pub async fn shared_drives(&self) -> Result<Vec<(Root, SharedDrive)>, Refusal> {
        let all = self.state.inner.accounts.drives_of(&self.user).await?;
        let clear = |name: &str| {
            let plain = !name.contains('/') && name != "." && name != ".." && name.parse::<DriveId>().is_err();
            plain && all.iter().filter(|drive| drive.name == name).count() == 1
        };
        let named = |drive: &SharedDrive| match clear(&drive.name) {
            true => drive.name.clone(),
            false => drive.id.to_string(),
        };
        Ok(all.iter().map(|drive| (Root::Shared(named(drive)), drive.clone())).collect())
    }

    /// Whose share of the gateway's places it has.
    pub fn who(&self) -> Who {
        Who::Person(self.user.id)
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
            let found = match (found, &self.shared) {
                (Ok(caller), Some(shared)) if caller.write => {
                    let accounts = &self.state.inner.accounts;
                    accounts.drive_for(&self.user, shared.id, DriveRole::Edit).await.map(|_| caller)
                }
                (found, _) => found,
            };
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
        let refuse = |status, why: &str| Err(Refusal::new(status, why));
        match place {
            Place::In(root, path) if *root == self.root => {
                let role = self.shared.as_ref().map(|shared| shared.role);
                match role.is_none_or(|role| role >= Some(DriveRole::Edit)) {
                    true => Ok(path.clone()),
                    false => refuse(StatusCode::FORBIDDEN, "you may look at what is in this drive, and not change it"),
                }
            }
            Place::In(..) => refuse(
                StatusCode::BAD_GATEWAY,
                "that is in another drive: from one to the other things are copied on the web page, or by `atoll cp`",
            ),
            Place::Top | Place::Drives | Place::Nowhere => refuse(
                StatusCode::FORBIDDEN,
                "the list of drives is not changed by WebDAV; write into /dav/home/, or a drive in /dav/drives/",
            ),
        }
    }

    /// The path that is to be looked at.
    pub fn to_look_at(&self, place: &Place) -> Result<DrivePath, Refusal> {
        match place {
            Place::In(_, path) => Ok(path.clone()),
            _ => Err(Refusal::new(StatusCode::FORBIDDEN, "the list of drives cannot be copied")),
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

    /// Does the `If` header hold, where there is one? For what changes nothing at the path.
    pub async fn if_holds(&self, path: &DrivePath, entry: Option<&Entry>) -> Result<(), Refusal> {
        if !self.headers.contains_key("if") {
            return Ok(());
        }
        let locks = self.drives().locks(self.drive).await?;
        self.dav_conditions(path, entry, &locks.held).await.map(drop)
    }

    /// The tokens of locks that the request shows.
    pub fn tokens(&self) -> Result<Vec<String>, Refusal> {
        let lists = self.header(HeaderName::from_static("if"))?.and_then(condition::parse);
        Ok(lists.map(|lists| condition::tokens(&lists)).unwrap_or_default())
    }

    /// What a change of the entry rests on: on its content, where the request has conditions, else on its being that.
    pub fn only(&self, entry: &Entry) -> [u8; 16] {
        let named =
            [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE, HeaderName::from_static("if")];
        match entry.file() {
            Some(file) if named.iter().any(|name| self.headers.contains_key(name)) => file.version.0,
            _ => entry.id(),
        }
    }

    /// Do the conditions of the request hold, and is nothing in the way? `entry` is what is at the request's own
    /// `path`. The locks that were looked at: the change is made by drives that [keep](Drives::keeping) them.
    pub async fn may_change(
        &self,
        path: &DrivePath,
        entry: Option<&Entry>,
        touched: &[Touched<'_>],
    ) -> Result<Locks, Refusal> {
        self.http_conditions(entry)?;
        let locks = self.drives().locks(self.drive).await?;
        let shown = self.dav_conditions(path, entry, &locks.held).await?;
        for one in touched {
            let parent = one.path.parent().filter(|_| one.member);
            let here = barrier(&locks.held, one.path, one.deep, self.user.id, &shown);
            let there = || parent.as_ref().and_then(|parent| barrier(&locks.held, parent, false, self.user.id, &shown));
            if let Some(lock) = here.or_else(there) {
                return Err(Refusal::locked(lock, &self.root.href(&lock.asked.path, false)));
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
                    Ok(Place::In(root, other)) if root == self.root => Some(other),
                    // Nothing holds of what is not here.
                    Ok(_) | Err(_) => continue,
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

/// The drive of that name or id, if this person is in it. To others it is not there.
async fn shared_drive(state: &WebState, user: &User, named: &str) -> Result<SharedDrive, Refusal> {
    let accounts = &state.inner.accounts;
    if let Ok(id) = named.parse::<DriveId>() {
        return Ok(accounts.drive_for(user, id, DriveRole::View).await?);
    }
    let mut found: Vec<_> = accounts.drives_of(user).await?.into_iter().filter(|it| it.name == named).collect();
    match (found.pop(), found.is_empty()) {
        (Some(drive), true) => Ok(drive),
        (Some(_), false) => {
            let message = format!("several drives are called {named}: name one by its id, as /dav/drives/ has it");
            Err(Refusal::new(StatusCode::CONFLICT, message))
        }
        (None, _) => Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such drive")),
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
