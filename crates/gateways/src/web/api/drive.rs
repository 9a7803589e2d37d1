//! Looking at a drive, and changing it in one step.

use super::acts::{ClashJson, DoneJson};
use crate::web::WebState;
use crate::web::place::{Editor, InDrive, Viewer};
use crate::web::problem::Problem;
use apps::drive::path::shown;
use apps::drive::{Act, Clash, Entry, Order};
use apps::{DriveError, DriveId, DriveRole};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// Bytes in a cursor.
const CURSOR_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
pub(in crate::web) struct List {
    #[serde(default)]
    path: String,
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
    /// A cursor belongs to one order.
    #[serde(default)]
    order: OrderJson,
    #[serde(default)]
    reverse: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::web) enum OrderJson {
    #[default]
    Name,
    Size,
    Modified,
}

impl From<OrderJson> for Order {
    fn from(order: OrderJson) -> Order {
        match order {
            OrderJson::Name => Order::Name,
            OrderJson::Size => Order::Size,
            OrderJson::Modified => Order::Modified,
        }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct At {
    path: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Remove {
    path: String,
    /// A folder that is not empty goes with all that is in it.
    #[serde(default)]
    recursive: bool,
    /// Past the trash.
    #[serde(default)]
    permanent: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct MakeFolder {
    path: String,
    /// Its parents too, and it may be there.
    #[serde(default)]
    parents: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct Move {
    from: String,
    to: String,
    /// As `clash: replace`.
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    clash: ClashJson,
}

#[derive(Deserialize)]
pub(in crate::web) struct Copy {
    /// The drive that `from` is in, where that is another one.
    from_drive: Option<OtherDrive>,
    from: String,
    to: String,
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    clash: ClashJson,
}

/// A drive's id, or `own`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::web) enum OtherDrive {
    Own,
    Shared(DriveId),
}

impl TryFrom<String> for OtherDrive {
    type Error = &'static str;

    fn try_from(text: String) -> Result<OtherDrive, Self::Error> {
        if text == "own" { Ok(OtherDrive::Own) } else { text.parse().map(OtherDrive::Shared) }
    }
}

impl OtherDrive {
    pub(super) fn of(self, at: &InDrive) -> DriveId {
        match self {
            OtherDrive::Own => at.caller.user.drive,
            OtherDrive::Shared(drive) => drive,
        }
    }
}

/// May the caller look at the drive that something is to be copied from?
pub(super) async fn may_copy_from(state: &WebState, at: &InDrive, drive: Option<DriveId>) -> Result<(), Problem> {
    match drive {
        Some(drive) if drive != at.drive && drive != at.caller.user.drive => {
            Ok(state.inner.accounts.drive_for(&at.caller.user, drive, DriveRole::View).await.map(drop)?)
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct Search {
    text: String,
    /// Anywhere in a name, rather than at its beginning.
    #[serde(default)]
    anywhere: bool,
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
}

/// An entry, as scripts see it.
#[derive(Serialize)]
pub(in crate::web) struct EntryJson {
    name: String,
    /// The name as it may be shown, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<String>,
    /// `file` or `folder`.
    kind: &'static str,
    /// Milliseconds since the Unix epoch.
    modified: u64,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// There may be earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<bool>,
    /// The content whose small picture there may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<String>,
}

pub(in crate::web) fn entry(entry: &Entry) -> EntryJson {
    let file = entry.file();
    let safe = shown(&entry.name);
    EntryJson {
        shown: (safe != entry.name).then_some(safe),
        name: entry.name.clone(),
        kind: if file.is_some() { "file" } else { "folder" },
        modified: file.map_or(entry.modified, |file| file.mtime).0,
        id: apps::FileId(entry.id()).to_string(),
        size: file.map(|file| file.size),
        etag: file.map(|file| file.etag.clone()),
        media_type: file.and_then(|file| file.media_type.clone()),
        version: file.map(|file| file.version.to_string()),
        history: file.map(|file| file.history),
        thumbnail: file.filter(|_| entry.may_have_thumbnail()).map(|file| file.version.to_string()),
    }
}

#[derive(Serialize)]
pub(in crate::web) struct One {
    entry: EntryJson,
}

#[derive(Serialize)]
pub(in crate::web) struct Listing {
    entries: Vec<EntryJson>,
    /// None at the end.
    next: Option<String>,
}

#[derive(Serialize)]
pub(in crate::web) struct UsageJson {
    bytes: u64,
    /// None: no quota.
    room: Option<u64>,
}

#[derive(Serialize)]
pub(in crate::web) struct FoundJson {
    path: String,
    entry: EntryJson,
}

#[derive(Serialize)]
pub(in crate::web) struct FoundPage {
    found: Vec<FoundJson>,
    next: Option<String>,
}

/// A cursor as the apps take it.
pub(super) fn cursor(given: Option<&str>) -> Result<Option<&str>, Problem> {
    let cursor = given.filter(|cursor| !cursor.is_empty());
    if cursor.is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
        return Err(DriveError::BadCursor.into());
    }
    Ok(cursor)
}

pub(in crate::web) async fn list(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Json<Listing>, Problem> {
    let Query(asked) = query?;
    let from = cursor(asked.cursor.as_deref())?;
    let drives = &state.inner.drives;
    let page = drives.list_by(at.drive, &asked.path, asked.order.into(), asked.reverse, from, asked.limit).await?;
    Ok(Json(Listing { entries: page.items.iter().map(entry).collect(), next: page.next }))
}

pub(in crate::web) async fn stat(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Json<One>, Problem> {
    let Query(asked) = query?;
    let found = state.inner.drives.stat(at.drive, &asked.path).await?;
    Ok(Json(One { entry: entry(&found) }))
}

pub(in crate::web) async fn usage(
    State(state): State<WebState>,
    Viewer(at): Viewer,
) -> Result<Json<UsageJson>, Problem> {
    let usage = state.drives_in(&at).await?.usage(at.drive).await?;
    Ok(Json(UsageJson { bytes: usage.bytes, room: usage.room }))
}

pub(in crate::web) async fn remove(
    State(state): State<WebState>,
    Editor(at): Editor,
    query: Result<Query<Remove>, QueryRejection>,
) -> Result<Json<DoneJson>, Problem> {
    let Query(asked) = query?;
    if asked.permanent {
        let removed = state.inner.drives.remove(at.drive, &asked.path, asked.recursive).await?;
        return Ok(Json(DoneJson::of_entry(&asked.path, &removed)));
    }
    let act = Act::Trash { path: asked.path, only: None, recursive: asked.recursive };
    act_one(&state, &at, &act).await
}

pub(in crate::web) async fn make_folder(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<MakeFolder>, JsonRejection>,
) -> Result<(StatusCode, Json<DoneJson>), Problem> {
    let Json(asked) = body?;
    let act = Act::MakeFolder { path: asked.path, parents: asked.parents };
    Ok((StatusCode::CREATED, act_one(&state, &at, &act).await?))
}

pub(in crate::web) async fn rename(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<Move>, JsonRejection>,
) -> Result<Json<DoneJson>, Problem> {
    let Json(asked) = body?;
    let clash = if asked.replace { Clash::Replace } else { asked.clash.into() };
    let act = Act::Move { from: asked.from, to: asked.to, clash, only: None };
    act_one(&state, &at, &act).await
}

pub(in crate::web) async fn copy(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<Copy>, JsonRejection>,
) -> Result<Json<DoneJson>, Problem> {
    let Json(asked) = body?;
    let clash = if asked.replace { Clash::Replace } else { asked.clash.into() };
    let drive = asked.from_drive.map(|named| named.of(&at));
    may_copy_from(&state, &at, drive).await?;
    let act = Act::Copy { drive, from: asked.from, to: asked.to, clash };
    act_one(&state, &at, &act).await
}

pub(in crate::web) async fn search(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<Search>, QueryRejection>,
) -> Result<Json<FoundPage>, Problem> {
    let Query(asked) = query?;
    let from = cursor(asked.cursor.as_deref())?;
    let drives = &state.inner.drives;
    let page = drives.search(at.drive, &asked.text, asked.anywhere, from, asked.limit).await?;
    let found = page.items.into_iter().map(|it| FoundJson { path: it.path, entry: entry(&it.entry) });
    Ok(Json(FoundPage { found: found.collect(), next: page.next }))
}

/// Does one act.
pub(super) async fn act_one(state: &WebState, at: &InDrive, act: &Act) -> Result<Json<DoneJson>, Problem> {
    let done = state.drives_in(at).await?.act(at.drive, act, Some(at.caller.user.id)).await?;
    Ok(Json(done.into()))
}
