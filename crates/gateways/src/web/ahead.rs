//! Small requests about what is in a drive are read to their end before it is judged who may make them: their sender may
//! take their time over it, and be taken out of the drive meanwhile. Files are judged again at their end by who takes them.

use super::place::InDrive;
use super::problem::Problem;
use super::session::Caller;
use super::text::words;
use super::{FORM_BYTES_MAX, ROOM_WITHIN, WebState, api, room_to_keep};
use crate::turns::{Turn, Turns};
use apps::DriveRole;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests that are read or answered at a time: forms, and those that may be as long as a batch. Others wait.
const FORMS_MAX: usize = 512;
const BATCHES_MAX: usize = 16;
/// Batches of one person: others have room, however slowly theirs come.
static TURNS: Turns = Turns::of(4);
/// How long one may take to come.
const WITHIN: Duration = Duration::from_secs(60);

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
    _turn: Option<Turn<'static>>,
}

/// Whatever the sender says of it: the route alone tells what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Form,
    Batch,
    /// Nothing of it is read ahead.
    Other,
}

fn kind(route: &str) -> Kind {
    let bases = ["/api/v1/drives/{drive}/", "/api/v1/drive/", "/drives/{drive}/"];
    match bases.iter().find_map(|base| route.strip_prefix(base)) {
        None | Some("file" | "forms/upload" | "uploads/{upload}/parts/{number}") => Kind::Other,
        Some("batch" | "archive") => Kind::Batch,
        Some(_) => Kind::Form,
    }
}

/// The request, come whole, and its room: to be held until it is answered. Whoever may not even look at the drive is not
/// waited for: the handler, which judges again, refuses them.
pub(super) async fn read_ahead(state: &WebState, request: Request) -> Result<(Request, Option<Held>), Problem> {
    let kind = request.extensions().get::<MatchedPath>().map_or(Kind::Other, |route| kind(route.as_str()));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if kind == Kind::Other || reads || request.body().is_end_stream() {
        return Ok((request, None));
    }
    let (mut parts, body) = request.into_parts();
    let who = match Caller::from_request_parts(&mut parts, state).await {
        Ok(caller) => {
            let who = caller.user.id;
            InDrive::of(&mut parts, state, caller, DriveRole::View).await.is_ok().then_some(who)
        }
        Err(_) => None,
    };
    let Some(who) = who else { return Ok((Request::from_parts(parts, body), None)) };
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
    match tokio::time::timeout(WITHIN, axum::body::to_bytes(body, most)).await {
        Ok(Ok(whole)) => Ok((Request::from_parts(parts, Body::from(whole)), Some(held))),
        Ok(Err(_)) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(Problem::new(status, "too_large", words().too_large, words().do_rejected))
        }
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            Err(Problem::new(status, "too_slow", words().too_slow, words().do_retry))
        }
    }
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
            ("/api/v1/drives/{drive}/file", Kind::Other),
            ("/api/v1/drive/uploads/{upload}/parts/{number}", Kind::Other),
            ("/api/v1/drive/uploads/{upload}/complete", Kind::Form),
            ("/drives/{drive}/forms/upload", Kind::Other),
            ("/dav/{*path}", Kind::Other),
            ("/login", Kind::Other),
        ] {
            assert_eq!(kind(route), expected, "{route}");
        }
    }
}
