//! WebDAV (RFC 4918, classes 1, 2 and 3) under `/dav/`: one's own drive, and shared ones, as folders of any file manager.
//!
//! People come in by name and app password. Locks and properties are the drive's (`apps::drive::{locks, properties}`):
//! every gateway knows of them. A lock is kept by those who come by WebDAV; elsewhere nothing is overwritten for
//! good, because what is replaced becomes an earlier version. What is deleted or replaced by a move goes to the trash.
//!
//! **Invariants.** (1) Each change of a tree is one transaction, or a job that replaces nothing. (2) A change is
//! judged by the `If` headers and by all locks above, at, and below what it touches, before it is made. (3) A listing
//! that cannot be ended breaks off: it never looks whole. **Proved by** the tests beside the code and
//! `tests/web/dav.rs`; the decision not to build on a WebDAV library is in `docs/decisions/webdav.md`.

mod answer;
mod ask;
mod condition;
mod file;
mod live;
mod locks;
mod place;
mod propfind;
mod proppatch;
mod tree;
mod xml;

use super::WebState;
use answer::Refusal;
use ask::Ask;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use place::Place;

/// Bytes in a request that is XML.
const XML_BYTES_MAX: usize = 64 * 1024;
const METHODS: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK";

/// Every request under `/dav`.
pub(super) async fn handle(State(state): State<WebState>, request: Request) -> Response {
    let mut response = match answer(state, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    // Clients look for it on any answer.
    response.headers_mut().insert(HeaderName::from_static("dav"), HeaderValue::from_static("1, 2, 3"));
    response
}

async fn answer(state: WebState, request: Request) -> Result<Response, Refusal> {
    let method = request.method().clone();
    if method == Method::OPTIONS {
        return Ok(options());
    }
    let (parts, body) = request.into_parts();
    let place = Place::parse(parts.uri.path())?;
    let ask = Ask::new(state, parts, &place).await?;
    match method.as_str() {
        "GET" | "HEAD" => file::get(&ask, &place, &method).await,
        "PROPFIND" => propfind::propfind(ask, &place, &document(body).await?).await,
        "PUT" => file::put(&ask, &ask.to_change(&place)?, body).await,
        "PROPPATCH" => proppatch::proppatch(&ask, &ask.to_change(&place)?, &document(body).await?).await,
        "MKCOL" => tree::make_collection(&ask, &ask.to_change(&place)?, body).await,
        "DELETE" => tree::delete(&ask, &ask.to_change(&place)?).await,
        "COPY" => tree::copy(&ask, &place).await,
        "MOVE" => tree::rename(&ask, &ask.to_change(&place)?).await,
        "LOCK" => locks::lock(&ask, &ask.to_change(&place)?, &document(body).await?).await,
        "UNLOCK" => locks::unlock(&ask, &ask.to_change(&place)?).await,
        _ => {
            let mut response =
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not for WebDAV here").into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
            Ok(response)
        }
    }
}

fn options() -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(HeaderName::from_static("ms-author-via"), HeaderValue::from_static("DAV"));
    response
}

/// The request's document, whole.
async fn document(body: Body) -> Result<Vec<u8>, Refusal> {
    match axum::body::to_bytes(body, XML_BYTES_MAX).await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the request is longer than 64 KiB, or broke off")),
    }
}
