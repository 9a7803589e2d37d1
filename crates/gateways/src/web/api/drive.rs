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
use std::collections::HashSet;
use utoipa::{IntoParams, ToSchema};

/// Bytes in a cursor.
const CURSOR_BYTES_MAX: usize = 4096;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct List {
    #[serde(default)]
    #[param(example = "/")]
    path: String,
    /// `next` of the page before.
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
    /// A cursor belongs to one order.
    #[serde(default)]
    #[param(inline)]
    order: OrderJson,
    #[serde(default)]
    reverse: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = Order)]
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct At {
    #[param(example = "/notes.txt")]
    pub(super) path: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Remove {
    #[param(example = "/notes.txt")]
    path: String,
    /// A folder that is not empty goes with all that is in it.
    #[serde(default)]
    recursive: bool,
    /// Past the trash.
    #[serde(default)]
    permanent: bool,
}

#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct MakeFolder {
    #[schema(example = "/ideas")]
    path: String,
    /// Its parents too, and it may be there.
    #[serde(default)]
    parents: bool,
}

#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct Move {
    #[schema(example = "/notes.txt")]
    from: String,
    #[schema(example = "/ideas/notes.txt")]
    to: String,
    /// As `clash: replace`.
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    clash: ClashJson,
}

#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct Copy {
    /// The drive that `from` is in, where that is another one: its id, or `own`.
    #[schema(value_type = Option<String>, example = "own")]
    from_drive: Option<OtherDrive>,
    #[schema(example = "/notes.txt")]
    from: String,
    #[schema(example = "/copy.txt")]
    to: String,
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    clash: ClashJson,
}

/// A drive's id, or `own`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl From<OtherDrive> for String {
    fn from(drive: OtherDrive) -> String {
        match drive {
            OtherDrive::Own => "own".into(),
            OtherDrive::Shared(drive) => drive.to_string(),
        }
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Search {
    #[param(example = "note")]
    text: String,
    /// Anywhere in a name, rather than at its beginning.
    #[serde(default)]
    anywhere: bool,
    /// `next` of the page before.
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
}

/// An entry, as scripts see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
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
    /// The caller starred it: told in listings of folders.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) starred: bool,
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
        starred: false,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = OneEntry)]
pub(in crate::web) struct One {
    pub(super) entry: EntryJson,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Listing {
    entries: Vec<EntryJson>,
    /// None at the end.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
pub(in crate::web) struct UsageJson {
    bytes: u64,
    /// Bytes that may still come. None: no quota.
    room: Option<u64>,
    /// Bytes that may be there. None: no quota.
    quota: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Found)]
pub(in crate::web) struct FoundJson {
    path: String,
    entry: EntryJson,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct FoundPage {
    found: Vec<FoundJson>,
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct FindText {
    /// Words, or their beginnings, all of which are in the file; in any case, without accents. Up to eight.
    #[param(example = "tide reef")]
    text: String,
    /// `next` of the page before.
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
}

/// A file found by words in it.
#[derive(Serialize, ToSchema)]
#[schema(as = TextFound)]
pub(in crate::web) struct TextFoundJson {
    path: String,
    entry: EntryJson,
    /// Where the words stand, in pieces.
    passage: Vec<PassageJson>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Passage)]
pub(in crate::web) struct PassageJson {
    text: String,
    /// It is a word that was looked for.
    hit: bool,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct TextPage {
    /// The best first.
    found: Vec<TextFoundJson>,
    next: Option<String>,
}

/// A cursor as the apps take it.
pub(in crate::web) fn cursor(given: Option<&str>) -> Result<Option<&str>, Problem> {
    let cursor = given.filter(|cursor| !cursor.is_empty());
    if cursor.is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
        return Err(DriveError::BadCursor.into());
    }
    Ok(cursor)
}

/// A page of what is in a folder.
#[utoipa::path(get, path = "/list", tag = "files", params(List), responses((status = 200, body = Listing)))]
pub(in crate::web) async fn list(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Json<Listing>, Problem> {
    let Query(asked) = query?;
    let from = cursor(asked.cursor.as_deref())?;
    let drives = &state.inner.drives;
    let page = drives.list_by(at.drive, &asked.path, asked.order.into(), asked.reverse, from, asked.limit);
    let (page, stars) = tokio::join!(page, stars(&state, &at));
    let page = page?;
    let entries = page.items.iter().map(|it| EntryJson { starred: stars.contains(&it.id()), ..entry(it) });
    Ok(Json(Listing { entries: entries.collect(), next: page.next }))
}

/// What the caller starred in the drive. Where that cannot be read the folder is shown all the same.
pub(in crate::web) async fn stars(state: &WebState, at: &InDrive) -> HashSet<[u8; 16]> {
    state.inner.drives.stars_in(at.caller.user.id, at.drive).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "a folder is shown without stars");
        HashSet::new()
    })
}

/// One file or folder.
#[utoipa::path(get, path = "/entry", tag = "files", params(At), responses((status = 200, body = One)))]
pub(in crate::web) async fn stat(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Json<One>, Problem> {
    let Query(asked) = query?;
    let found = state.inner.drives.stat(at.drive, &asked.path).await?;
    Ok(Json(One { entry: entry(&found) }))
}

/// Bytes that the drive holds, and may still take.
#[utoipa::path(get, path = "/usage", tag = "files", responses((status = 200, body = UsageJson)))]
pub(in crate::web) async fn usage(
    State(state): State<WebState>,
    Viewer(at): Viewer,
) -> Result<Json<UsageJson>, Problem> {
    let quota = state.quota_in(&at).await?;
    let usage = state.inner.drives.within(quota).usage(at.drive).await?;
    Ok(Json(UsageJson { bytes: usage.bytes, room: usage.room, quota }))
}

/// Into the trash, or past it.
#[utoipa::path(delete, path = "/file", tag = "files", params(Remove), responses((status = 200, body = DoneJson)))]
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

/// Makes a folder.
#[utoipa::path(post, path = "/folder", tag = "files", request_body = MakeFolder,
    responses((status = 201, body = DoneJson)))]
pub(in crate::web) async fn make_folder(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<MakeFolder>, JsonRejection>,
) -> Result<(StatusCode, Json<DoneJson>), Problem> {
    let Json(asked) = body?;
    let act = Act::MakeFolder { path: asked.path, parents: asked.parents };
    Ok((StatusCode::CREATED, act_one(&state, &at, &act).await?))
}

/// Moves or renames a file or a folder, whatever its size, at once.
#[utoipa::path(post, path = "/move", tag = "files", request_body = Move, responses((status = 200, body = DoneJson)))]
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

/// Copies a file at once; a folder by a job that goes on by itself.
#[utoipa::path(post, path = "/copy", tag = "files", request_body = Copy, responses((status = 200, body = DoneJson)))]
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

/// Files and folders by their names, in any case.
#[utoipa::path(get, path = "/search", tag = "files", params(Search), responses((status = 200, body = FoundPage)))]
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

/// Texts, PDFs, pages and office files by the words in them.
#[utoipa::path(get, path = "/search/text", tag = "files", params(FindText), responses((status = 200, body = TextPage)))]
pub(in crate::web) async fn find_text(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<FindText>, QueryRejection>,
) -> Result<Json<TextPage>, Problem> {
    let Query(asked) = query?;
    let from = cursor(asked.cursor.as_deref())?;
    let page = state.inner.drives.find_text(at.drive, &asked.text, from, asked.limit).await?;
    let found = page.items.into_iter().map(|it| TextFoundJson {
        path: it.path,
        entry: entry(&it.entry),
        passage: it.passage.into_iter().map(|piece| PassageJson { text: piece.text, hit: piece.hit }).collect(),
    });
    Ok(Json(TextPage { found: found.collect(), next: page.next }))
}

/// Does one act.
pub(super) async fn act_one(state: &WebState, at: &InDrive, act: &Act) -> Result<Json<DoneJson>, Problem> {
    let done = state.drives_in(at).await?.act(at.drive, act, Some(at.caller.user.id)).await?;
    state.inner.drives.note_act(at.caller.user.id, at.drive, act, &done);
    Ok(Json(done.into()))
}
