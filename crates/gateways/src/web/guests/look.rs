//! What programs learn of a link: what it is for, and what is there to be downloaded.

use super::cookie::Proof;
use super::files::At;
use super::{Guest, Place};
use crate::web::WebState;
use crate::web::api::{ModeJson, cursor};
use crate::web::problem::Problem;
use crate::web::session::From;
use crate::web::text::words;
use apps::DriveError;
use apps::drive::path::shown;
use apps::drive::{Entry, LinkMode};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A link, as whoever has it sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = LinkSeen)]
pub(in crate::web) struct Seen {
    mode: ModeJson,
    /// Of the file or folder that it is to.
    name: String,
    /// `file` or `folder`.
    kind: &'static str,
    /// Who made it.
    from: String,
    /// When it ends, in milliseconds since the Unix epoch.
    expires: Option<u64>,
    /// Bytes that it takes in all, what came before included.
    bytes_max: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = OpenLink)]
pub(in crate::web) struct Open {
    /// Where the link asks for one.
    #[serde(default)]
    password: String,
}

/// That somebody may come in, and which guest they are.
#[derive(Serialize, ToSchema)]
#[schema(as = LinkOpened)]
pub(in crate::web) struct Opened {
    /// To be shown with each request from now on: `Authorization: Bearer PROOF`.
    proof: String,
    /// Until when it is good, in milliseconds since the Unix epoch; no longer, though, than the link has this password.
    until: u64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct List {
    /// Within what the link is to; left out, that itself.
    #[serde(default)]
    #[param(example = "/")]
    path: String,
    /// `next` of the page before.
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
}

/// A file or folder, as guests see it.
#[derive(Serialize, ToSchema)]
#[schema(as = GuestEntry)]
pub(in crate::web) struct EntryJson {
    name: String,
    /// The name as it may be shown, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<String>,
    /// `file` or `folder`.
    kind: &'static str,
    /// Milliseconds since the Unix epoch.
    modified: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneGuestEntry)]
pub(in crate::web) struct One {
    entry: EntryJson,
}

#[derive(Serialize, ToSchema)]
#[schema(as = GuestListing)]
pub(in crate::web) struct Listing {
    entries: Vec<EntryJson>,
    /// None at the end.
    next: Option<String>,
}

fn entry(entry: &Entry) -> EntryJson {
    let (file, safe) = (entry.file(), shown(&entry.name));
    EntryJson {
        shown: (safe != entry.name).then_some(safe),
        name: entry.name.clone(),
        kind: if file.is_some() { "file" } else { "folder" },
        modified: file.map_or(entry.modified, |file| file.mtime).0,
        size: file.map(|file| file.size),
        etag: file.map(|file| file.etag.clone()),
        media_type: file.and_then(|file| file.media_type.clone()),
    }
}

/// A link whose downloads are used up shows nothing any more.
async fn looks(state: &WebState, token: &str, headers: &HeaderMap, From(device): Place) -> Result<Guest, Problem> {
    let guest = Guest::let_in(state, token, headers, &device).await?;
    match state.inner.drives.link_used_up(&guest.link).await? {
        true => Err(DriveError::LinkOver.into()),
        false => Ok(guest),
    }
}

/// What a link is for, once it lets you in.
#[utoipa::path(get, path = "/links/{token}", tag = "guests", security(("guest" = []), ()),
    responses((status = 200, body = Seen)))]
pub(in crate::web) async fn about(
    State(state): State<WebState>,
    Path(token): Path<String>,
    place: Place,
    headers: HeaderMap,
) -> Result<Json<Seen>, Problem> {
    let guest = looks(&state, &token, &headers, place).await?;
    let link = &guest.link;
    let name = state.inner.drives.link_target(link).await?.name;
    Ok(Json(Seen {
        mode: match link.mode {
            LinkMode::View => ModeJson::View,
            LinkMode::DropBox => ModeJson::DropBox,
        },
        name,
        kind: if link.folder { "folder" } else { "file" },
        from: guest.maker.display,
        expires: link.expires.map(|at| at.0),
        bytes_max: link.bytes_max,
    }))
}

/// Opens a link by its password. What comes back proves for some hours that you know it; and it tells you from other guests, so
/// that a download that you resume counts once. Only a link with a password has to be opened.
#[utoipa::path(post, path = "/links/{token}/open", tag = "guests", security(()), request_body = Open,
    responses((status = 200, body = Opened)))]
pub(in crate::web) async fn open(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    body: Result<Json<Open>, JsonRejection>,
) -> Result<Json<Opened>, Problem> {
    let Json(asked) = body?;
    let guest = Guest::come(&state, &token, &headers, &device).await?;
    if !guest.opened_by(&state, &asked.password, &device).await? {
        let (what, next) = (words().guest_password_wrong, words().guest_password_lead);
        return Err(Problem::new(StatusCode::FORBIDDEN, "wrong_password", what, next));
    }
    let (proof, until) = Proof::fresh().text(&guest.link, state.inner.client.now());
    Ok(Json(Opened { proof, until: until.0 }))
}

/// A page of a folder that the link shows, by name.
#[utoipa::path(get, path = "/links/{token}/list", tag = "guests", security(("guest" = []), ()), params(List),
    responses((status = 200, body = Listing)))]
pub(in crate::web) async fn list(
    State(state): State<WebState>,
    Path(token): Path<String>,
    place: Place,
    headers: HeaderMap,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Json<Listing>, Problem> {
    let Query(asked) = query?;
    let from = cursor(asked.cursor.as_deref())?;
    let guest = looks(&state, &token, &headers, place).await?;
    let page = state.inner.drives.guest_list(&guest.link, &asked.path, from, asked.limit).await?;
    Ok(Json(Listing { entries: page.items.iter().map(entry).collect(), next: page.next }))
}

/// One file or folder that the link shows.
#[utoipa::path(get, path = "/links/{token}/stat", tag = "guests", security(("guest" = []), ()), params(At),
    responses((status = 200, body = One)))]
pub(in crate::web) async fn stat(
    State(state): State<WebState>,
    Path(token): Path<String>,
    place: Place,
    headers: HeaderMap,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Json<One>, Problem> {
    let Query(asked) = query?;
    let guest = looks(&state, &token, &headers, place).await?;
    Ok(Json(One { entry: entry(&state.inner.drives.guest_stat(&guest.link, &asked.path).await?) }))
}
