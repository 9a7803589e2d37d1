//! Small requests about what is in a drive are read to their end before it is judged who may make them: their sender may
//! take their time over it, and be taken out of the drive meanwhile. Files are judged again at their end by who takes them.
//! All others are read by their handlers, and have to come within the same time.

use super::body::{TooSlow, within};
use super::place::InDrive;
use super::problem::Problem;
use super::session::Caller;
use super::text::words;
use super::{FORM_BYTES_MAX, ROOM_WITHIN, WebState, api, room_to_keep};
use crate::turns::{Turn, Turns};
use apps::{DriveRole, UserId};
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use std::sync::{Arc, LazyLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests that are read or answered at a time: forms, and those that may be as long as a batch. Others wait.
const FORMS_MAX: usize = 512;
const BATCHES_MAX: usize = 16;
/// Batches of one person: others have room, however slowly theirs come.
static TURNS: LazyLock<Turns> = LazyLock::new(|| Turns::of(4));

/// What those that are read ahead take at most in memory.
pub(super) struct Rooms {
    forms: Arc<Semaphore>,
    batches: Arc<Semaphore>,
}

impl Default for Rooms {
    fn default() -> Rooms {
        Rooms { forms: Arc::new(Semaphore::new(FORMS_MAX)), batches: Arc::new(Semaphore::new(BATCHES_MAX)) }
    }
}

/// Room for a request, until it is answered.
pub(super) struct Held {
    _room: OwnedSemaphorePermit,
    _turn: Option<Turn>,
}

/// Whatever the sender says of it: the route alone tells what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Form,
    Batch,
    /// As long as it takes: its handler sees to it that it does not fall silent.
    File,
    /// Nothing of it is read ahead.
    Other,
}

/// Routes by which files come, beside those that name a drive.
const FILES: [&str; 7] = [
    "/forms/upload",
    "/s/{token}/upload",
    "/api/v1/links/{token}/file",
    "/api/v1/links/{token}/uploads/{upload}/parts/{number}",
    "/dav",
    "/dav/",
    "/dav/{*path}",
];

fn kind(route: &str) -> Kind {
    let bases = ["/api/v1/drives/{drive}/", "/api/v1/drive/", "/drives/{drive}/"];
    match bases.iter().find_map(|base| route.strip_prefix(base)) {
        None if FILES.contains(&route) => Kind::File,
        None => Kind::Other,
        Some("file" | "forms/upload" | "uploads/{upload}/parts/{number}") => Kind::File,
        Some("batch" | "archive") => Kind::Batch,
        Some(_) => Kind::Form,
    }
}

/// A request for its handler.
pub(super) struct Come {
    pub request: Request,
    /// Whether the handler waited in vain for the rest.
    pub slow: TooSlow,
    /// To be held until it is answered.
    pub room: Option<Held>,
}

/// The request, come whole or on its way. Whoever may not even look at the drive is not waited for: the handler, which
/// judges again, refuses them.
pub(super) async fn read_ahead(state: &WebState, request: Request) -> Result<Come, Problem> {
    let kind = request.extensions().get::<MatchedPath>().map_or(Kind::Other, |route| kind(route.as_str()));
    let slow = TooSlow::default();
    if kind == Kind::File || request.body().is_end_stream() {
        return Ok(Come { request, slow, room: None });
    }
    let body_within = state.inner.settings.bounds.body_within;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let (mut parts, body) = request.into_parts();
    let who = match kind {
        Kind::Form | Kind::Batch if !reads => viewer(&mut parts, state).await,
        _ => None,
    };
    let Some(who) = who else {
        let body = within(body_within, body, slow.clone());
        return Ok(Come { request: Request::from_parts(parts, body), slow, room: None });
    };
    let rooms = &state.inner.ahead;
    let (rooms, most) = match kind {
        Kind::Batch => (&rooms.batches, api::BATCH_BYTES_MAX),
        _ => (&rooms.forms, FORM_BYTES_MAX),
    };
    let turn = match kind {
        Kind::Batch => Some(TURNS.take(who, ROOM_WITHIN).await.map_err(Problem::from)?),
        _ => None,
    };
    let held = Held { _room: room_to_keep(rooms).await.map_err(Problem::from)?, _turn: turn };
    match tokio::time::timeout(body_within, axum::body::to_bytes(body, most)).await {
        Ok(Ok(whole)) => Ok(Come { request: Request::from_parts(parts, Body::from(whole)), slow, room: Some(held) }),
        Ok(Err(_)) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(Problem::new(status, "too_large", words().too_large, words().do_rejected))
        }
        Err(_) => Err(too_slow()),
    }
}

/// Who asks, if they may look at the drive.
async fn viewer(parts: &mut Parts, state: &WebState) -> Option<UserId> {
    let caller = Caller::from_request_parts(parts, state).await.ok()?;
    let who = caller.user.id;
    InDrive::of(parts, state, caller, DriveRole::View).await.is_ok().then_some(who)
}

pub(super) fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", words().too_slow, words().do_retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_tells_what_is_read_ahead() {
        for (route, expected) in [
            ("/api/v1/drives/{drive}/folder", Kind::Form),
            ("/api/v1/drive/move", Kind::Form),
            ("/drives/{drive}/trash/empty", Kind::Form),
            ("/api/v1/drives/{drive}/batch", Kind::Batch),
            ("/api/v1/drive/archive", Kind::Batch),
            ("/api/v1/drives/{drive}/file", Kind::File),
            ("/api/v1/drive/uploads/{upload}/parts/{number}", Kind::File),
            ("/api/v1/drive/uploads/{upload}/complete", Kind::Form),
            ("/drives/{drive}/forms/upload", Kind::File),
            ("/forms/upload", Kind::File),
            ("/forms/folder", Kind::Other),
            ("/dav/{*path}", Kind::File),
            ("/s/{token}/upload", Kind::File),
            ("/api/v1/links/{token}/file", Kind::File),
            ("/api/v1/links/{token}/uploads/{upload}/parts/{number}", Kind::File),
            ("/api/v1/links/{token}/uploads", Kind::Other),
            ("/login", Kind::Other),
        ] {
            assert_eq!(kind(route), expected, "{route}");
        }
    }
}
