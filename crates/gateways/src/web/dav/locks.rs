//! LOCK and UNLOCK (RFC 4918, sections 9.10 and 9.11).

use super::answer::Refusal;
use super::ask::{Ask, Touched};
use super::live::discovery;
use super::tree::{Depth, depth};
use super::xml::{self, Element};
use apps::DriveError;
use apps::drive::locks::{LOCK_LASTS_MAX, LOCK_NOTE_BYTES_MAX, Lock, Locks, NewLock, There};
use apps::drive::{DrivePath, NewFile, PutCondition};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use client::Content;
use std::time::Duration;

/// Of a lock for which no time is asked.
const USUAL: Duration = Duration::from_secs(10 * 60);
const LEAST: Duration = Duration::from_secs(1);

pub(super) async fn lock(ask: &Ask, path: &DrivePath, document: &[u8]) -> Result<Response, Refusal> {
    let lasts = lasts(ask.header("timeout")?);
    if document.is_empty() {
        let there = ask.find(path).await?;
        ask.if_holds(path, there.as_ref()).await?;
        return refresh(ask, path, lasts).await;
    }
    let read = xml::parse(document).map_err(Refusal::bad)?;
    let (shared, note) = wanted(&read).ok_or_else(|| Refusal::bad("the request is no lockinfo as RFC 4918 has it"))?;
    let deep = match depth(ask)? {
        None | Some(Depth::Infinity) => true,
        Some(Depth::Zero) => false,
        Some(Depth::One) => return Err(Refusal::bad("Depth is 0 or infinity")),
    };
    if note.len() > LOCK_NOTE_BYTES_MAX {
        return Err(Refusal::bad(format!("the owner of a lock has at most {LOCK_NOTE_BYTES_MAX} bytes")));
    }
    let there = ask.find(path).await?;
    if there.is_none() {
        ask.parent_is_there(path).await?;
    }
    // What is locked already is told as a conflict of locks; only a new member of a locked folder is a change of that.
    let touched = Touched { path, deep: false, member: true };
    let touched = if there.is_none() { vec![touched] } else { Vec::new() };
    let locks = ask.may_change(path, there.as_ref(), &touched).await?;
    let asked = NewLock {
        path: path.clone(),
        deep: deep && there.as_ref().is_none_or(apps::drive::Entry::is_folder),
        shared,
        note,
        by: ask.user.id,
        name: ask.user.name.clone(),
        lasts,
    };
    let still = there.as_ref().map_or(There::Nothing, |there| There::This(ask.only(there)));
    let taken = ask.drives().keeping(&locks).lock(ask.drive, asked, still).await;
    let (lock, locks) = match taken.map_err(Refusal::too_many)? {
        Ok(taken) => taken,
        Err(other) => return Err(Refusal::lock_conflicts(&other, &ask.root.href(&other.asked.path, false))),
    };
    let status = match there {
        Some(_) => StatusCode::OK,
        None => {
            // An empty file holds the name (RFC 4918, section 7.3).
            if let Err(refusal) = hold_name(ask, path, &locks).await {
                let _it_runs_out = ask.drives().unlock(ask.drive, path, ask.user.id, &lock.token).await;
                return Err(refusal);
            }
            StatusCode::CREATED
        }
    };
    let mut response = told(ask, status, &lock);
    if let Ok(value) = HeaderValue::from_str(&format!("<{}>", lock.token)) {
        response.headers_mut().insert(HeaderName::from_static("lock-token"), value);
    }
    Ok(response)
}

async fn hold_name(ask: &Ask, path: &DrivePath, locks: &Locks) -> Result<(), Refusal> {
    let drives = ask.drives().within(ask.quota().await?).keeping(locks);
    let (nothing, new) = (Content::inline(bytes::Bytes::new())?, NewFile::default());
    match drives.put_file(ask.drive, &path.to_string(), nothing, new, PutCondition::CreateNew).await {
        // Somebody was faster: the name is held as well.
        Ok(_) | Err(DriveError::Exists { .. }) => Ok(()),
        Err(error) => Err(Refusal::overtaken(error)),
    }
}

async fn refresh(ask: &Ask, path: &DrivePath, lasts: Duration) -> Result<Response, Refusal> {
    let tokens = ask.tokens()?;
    let [token] = &tokens[..] else {
        return Err(Refusal::bad(
            "to renew a lock, show its token, alone, in an If header; to take one, send a lockinfo",
        ));
    };
    match ask.drives().refresh_lock(ask.drive, path, ask.user.id, token, lasts).await? {
        Some(lock) => Ok(told(ask, StatusCode::OK, &lock)),
        None => {
            let refusal =
                Refusal::new(StatusCode::PRECONDITION_FAILED, "you have no such lock there: it may have run out");
            Err(refusal.condition("lock-token-matches-request-uri", ""))
        }
    }
}

pub(super) async fn unlock(ask: &Ask, path: &DrivePath) -> Result<Response, Refusal> {
    let token = ask.header(HeaderName::from_static("lock-token"))?;
    let token = token.and_then(|text| text.strip_prefix('<')?.strip_suffix('>'));
    let token = token.ok_or_else(|| Refusal::bad("the request needs a Lock-Token: <…>"))?;
    ask.if_holds(path, ask.find(path).await?.as_ref()).await?;
    if ask.drives().unlock(ask.drive, path, ask.user.id, token).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let locks = ask.drives().locks(ask.drive).await?;
    match locks.held.iter().find(|lock| lock.token == token && lock.covers(path)) {
        Some(lock) => {
            let message = format!("that lock is {}'s: only they can give it back", lock.asked.name);
            Err(Refusal::new(StatusCode::FORBIDDEN, message))
        }
        None => {
            let refusal = Refusal::new(StatusCode::CONFLICT, "there is no such lock there: it may have run out");
            Err(refusal.condition("lock-token-matches-request-uri", ""))
        }
    }
}

fn told(ask: &Ask, status: StatusCode, lock: &Lock) -> Response {
    let discovery = discovery(std::iter::once(lock), &ask.root, ask.state.inner.client.now());
    let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:prop xmlns:D=\"DAV:\">{discovery}</D:prop>\n");
    let mut response = (status, body).into_response();
    let value = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// The first time of the header that is understood (RFC 4918, section 10.7).
fn lasts(timeout: Option<&str>) -> Duration {
    let one = |text: &str| match text.trim() {
        text if text.eq_ignore_ascii_case("infinite") => Some(LOCK_LASTS_MAX),
        text => text.strip_prefix("Second-").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
    };
    timeout.and_then(|text| text.split(',').find_map(one)).unwrap_or(USUAL).clamp(LEAST, LOCK_LASTS_MAX)
}

/// Shared or not, and the owner as the client has it; none: it is no `lockinfo`.
fn wanted(document: &Element) -> Option<(bool, String)> {
    if !document.is("lockinfo") {
        return None;
    }
    document.child("locktype")?.child("write")?;
    let scope = document.child("lockscope")?;
    let shared = match (scope.child("shared"), scope.child("exclusive")) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        _ => return None,
    };
    Some((shared, document.child("owner").map(Element::to_xml).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_bounded() {
        let seconds = |text| lasts(text).as_secs();
        assert_eq!(seconds(None), 600);
        assert_eq!(seconds(Some("Second-30")), 30);
        assert_eq!(seconds(Some("Extend, Infinite, Second-30")), 3600);
        assert_eq!(seconds(Some("Second-4100000000")), 3600);
        assert_eq!(seconds(Some("Second-0")), 1);
        assert_eq!(seconds(Some("soon")), 600);
    }

    #[test]
    fn what_is_wanted_is_read() {
        let read = |text: &str| wanted(&xml::parse(text.as_bytes()).unwrap());
        let info = |scope: &str, owner: &str| {
            format!(
                "<lockinfo xmlns='DAV:'><lockscope>{scope}</lockscope><locktype><write/></locktype>{owner}</lockinfo>"
            )
        };
        let owner = "<owner xmlns=\"DAV:\"><href>me</href></owner>";
        assert_eq!(read(&info("<exclusive/>", "<owner><href>me</href></owner>")), Some((false, owner.into())));
        assert_eq!(read(&info("<shared/>", "")), Some((true, String::new())));
        assert_eq!(read(&info("<shared/><exclusive/>", "")), None);
        assert_eq!(read("<lockinfo xmlns='DAV:'/>"), None);
    }
}
