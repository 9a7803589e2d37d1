//! WebDAV (RFC 4918, classes 1, 2 and 3) under `/dav/`: one's own drive, and shared ones, as folders of any file manager.
//!
//! People come in by name and app password. Locks and properties are the drive's (`apps::drive::{locks, properties}`):
//! every gateway knows of them. A lock is kept by those who come by WebDAV; elsewhere nothing is overwritten for
//! good, because what is replaced becomes an earlier version. What is deleted or replaced by a move goes to the trash.
//!
//! **Invariants.** (1) Each change of a tree is one transaction, or a job whose last step is. (2) A change is
//! judged by the conditions of its request and by all locks above, at, and below what it touches, and made only while what was
//! judged is still so: otherwise it is looked at again. (3) Who may change something is asked once the request is there.
//! (4) A listing that cannot be ended breaks off: it never looks whole. **Proved by** the tests beside the code and
//! `tests/web/dav.rs`; the decision not to build on a WebDAV library is in `docs/decisions/webdav.md`.

mod answer;
mod ask;
mod checksum;
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
use answer::{Looks, Refusal};
use ask::Ask;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use place::Place;
use std::time::Duration;

/// Bytes in a request that is XML.
const XML_BYTES_MAX: usize = 64 * 1024;
/// How long such a request may take to come.
const XML_WITHIN: Duration = Duration::from_secs(30);
const DAV: HeaderName = HeaderName::from_static("dav");
const CLASSES: HeaderValue = HeaderValue::from_static("1, 2, 3");
const METHODS: &str = "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK";

/// Every request under `/dav`.
pub(super) async fn handle(State(state): State<WebState>, request: Request) -> Response {
    let mut response = match answer(state, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    // Clients look for it on any answer.
    response.headers_mut().insert(DAV, CLASSES);
    response
}

/// `OPTIONS` of the server's root: Windows asks there first whether it speaks WebDAV, and goes on only then.
pub(super) async fn offered() -> Response {
    let mut response = options();
    response.headers_mut().insert(DAV, CLASSES);
    response
}

async fn answer(state: WebState, request: Request) -> Result<Response, Refusal> {
    let method = request.method().clone();
    if method == Method::OPTIONS {
        return Ok(options());
    }
    let (parts, body) = request.into_parts();
    let place = Place::parse(parts.uri.path())?;
    let mut body = body;
    // Before it is asked who they are and what they may: a document may be long in coming.
    let document = match method.as_str() {
        "PROPFIND" | "PROPPATCH" | "MKCOL" | "LOCK" => document(std::mem::take(&mut body)).await,
        _ => Ok(Vec::new()),
    };
    let ask = Ask::new(state, parts, &place).await?;
    match method.as_str() {
        "GET" | "HEAD" => return file::get(&ask, &place, &method).await,
        "PROPFIND" => return propfind::propfind(ask, &place, &document?).await,
        "PUT" => return file::put(&ask, &ask.to_change(&place)?, body).await,
        "PROPPATCH" | "MKCOL" | "DELETE" | "COPY" | "MOVE" | "LOCK" | "UNLOCK" => {}
        _ => {
            let mut response =
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not for WebDAV here").into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
            return Ok(response);
        }
    }
    let path = match method.as_str() {
        "COPY" => ask.to_look_at(&place)?,
        _ => ask.to_change(&place)?,
    };
    let document = match method.as_str() {
        "MKCOL" => tree::without_body(document)?,
        _ => document?,
    };
    let mut looks = Looks::at(&path);
    loop {
        let done = match method.as_str() {
            "PROPPATCH" => proppatch::proppatch(&ask, &path, &document).await,
            "MKCOL" => tree::make_collection(&ask, &path).await,
            "DELETE" => tree::delete(&ask, &path).await,
            "COPY" => tree::copy(&ask, &path).await,
            "MOVE" => tree::rename(&ask, &path).await,
            "LOCK" => locks::lock(&ask, &path, &document).await,
            _ => locks::unlock(&ask, &path).await,
        };
        match done {
            Ok(response) => return Ok(response),
            Err(refusal) => looks.again(refusal).await?,
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
    match tokio::time::timeout(XML_WITHIN, axum::body::to_bytes(body, XML_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_)) => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the request is longer than 64 KiB, or broke off"))
        }
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request did not come within half a minute")),
    }
}
