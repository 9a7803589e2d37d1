//! `PUT /api/v1/drive/file`: a file as the request's body, however long.
//!
//! `path`; `condition`: `create` or `replace` (default); `version`: 32 hexadecimal
//! digits of the sender's choice, the same for each try of the same upload, which
//! makes trying again harmless; `again=true` from the second try on; `mtime` in milliseconds.

use super::description::FileBytes;
use super::drive::{EntryJson, entry};
use crate::web::WebState;
use crate::web::intake::{drain, whole};
use crate::web::place::{Editor, InDrive};
use crate::web::problem::Problem;
use crate::web::store::{Stored, Upload};
use apps::VersionId;
use apps::drive::{NewFile, PutCondition};
use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use types::WallMillis;
use utoipa::{IntoParams, ToSchema};

/// Characters in a media type.
const MEDIA_TYPE_MAX: usize = 255;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Put {
    #[param(example = "/notes.txt")]
    path: String,
    #[serde(default)]
    #[param(inline)]
    condition: Condition,
    version: Option<String>,
    #[serde(default)]
    again: bool,
    mtime: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Condition {
    Create,
    #[default]
    Replace,
}

impl From<Condition> for PutCondition {
    fn from(condition: Condition) -> PutCondition {
        match condition {
            Condition::Create => PutCondition::CreateNew,
            Condition::Replace => PutCondition::Replace,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct StoredFile {
    entry: EntryJson,
    saved: Saved,
}

#[derive(Serialize, ToSchema)]
struct Saved {
    /// Machines that surely have it.
    copies: usize,
    /// Machines that are to have it, in the end.
    wanted: usize,
}

/// A media type as it may be kept, if it is one.
pub(in crate::web) fn media_type(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    let fine = text.len() <= MEDIA_TYPE_MAX
        && text.contains('/')
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"');
    fine.then(|| text.to_string())
}

/// An etag of a condition, without its quotes.
fn bare(etag: &HeaderValue) -> Option<String> {
    Some(etag.to_str().ok()?.trim().strip_prefix('"')?.strip_suffix('"')?.to_string())
}

fn parse(asked: Put, at: &InDrive, quota: Option<u64>, headers: &HeaderMap) -> Result<Upload, Problem> {
    let version = match &asked.version {
        Some(text) => text.parse::<VersionId>().map_err(Problem::bad_request)?,
        None => VersionId::random(),
    };
    let condition = match (headers.get(header::IF_MATCH), headers.get(header::IF_NONE_MATCH), asked.condition) {
        (Some(etag), ..) if etag == "*" => PutCondition::ReplaceExisting,
        (Some(etag), ..) => {
            PutCondition::ReplaceIfEtag(bare(etag).ok_or_else(|| Problem::bad_request("this is no etag"))?)
        }
        (None, Some(etag), _) if etag == "*" => PutCondition::CreateNew,
        (None, Some(_), _) => return Err(Problem::bad_request("If-None-Match may be * alone here")),
        (None, None, condition) => condition.into(),
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (mtime, by) = (asked.mtime.map(WallMillis), Some(at.caller.user.id));
    let new = NewFile { mtime, media_type: media_type(kind), etag: None, version, by };
    Ok(Upload { drive: at.drive, quota, path: asked.path, new, condition, again: asked.again, locks: None })
}

/// Puts a file, however long: the request's body. `If-Match` and `If-None-Match: *` are judged when it has come.
#[utoipa::path(put, path = "/file", tag = "files", params(Put),
    request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 200, description = "It was replaced", body = StoredFile),
        (status = 201, description = "It is new", body = StoredFile)))]
pub(in crate::web) async fn upload(
    State(state): State<WebState>,
    at: Result<Editor, Problem>,
    query: Result<Query<Put>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    let result = take(&state, at, query, &headers, &mut body).await;
    match result {
        Ok(response) => response,
        Err(problem) => {
            drain(&mut body).await;
            problem.into_response()
        }
    }
}

async fn take(
    state: &WebState,
    at: Result<Editor, Problem>,
    query: Result<Query<Put>, QueryRejection>,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Response, Problem> {
    let Editor(at) = at?;
    let Query(asked) = query?;
    let upload = parse(asked, &at, state.quota_in(&at).await?, headers)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let room = upload.check(state, length).await?;
    let body = whole(body, length, state.inner.settings.bounds.silence);
    let stored = upload.run(state, &at, room, body).await?;
    Ok(answer(&stored))
}

/// What is told of a file that is saved.
pub(super) fn answer(stored: &Stored) -> Response {
    let status = if stored.entry.created == stored.entry.modified { StatusCode::CREATED } else { StatusCode::OK };
    let answer =
        StoredFile { entry: entry(&stored.entry), saved: Saved { copies: stored.copies, wanted: stored.wanted } };
    let mut response = (status, Json(answer)).into_response();
    if let Some(etag) = stored.entry.file().and_then(|file| HeaderValue::from_str(&format!("\"{}\"", file.etag)).ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
