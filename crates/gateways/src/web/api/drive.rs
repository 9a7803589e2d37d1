//! Looking at the caller's drive, and changing it in one step.

use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::Caller;
use apps::drive::{Entry, RenameCondition};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes in a cursor.
const CURSOR_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
pub(in crate::web) struct List {
    #[serde(default)]
    path: String,
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
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
    /// A file there goes.
    #[serde(default)]
    replace: bool,
}

/// An entry, as scripts see it.
pub(in crate::web) fn entry(entry: &Entry) -> Value {
    match entry.file() {
        Some(file) => json!({
            "name": entry.name, "kind": "file", "modified": file.mtime.0, "size": file.size, "etag": file.etag,
            "type": file.media_type, "id": file.id.to_string(), "version": file.version.to_string(),
        }),
        None => json!({
            "name": entry.name, "kind": "folder", "modified": entry.modified.0,
            "id": entry.folder().map(|folder| folder.id.to_string()),
        }),
    }
}

pub(in crate::web) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<List>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = query?;
    let cursor = asked.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    if cursor.is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
        return Err(apps::DriveError::BadCursor.into());
    }
    let page = state.inner.drives.list(caller.user.drive, &asked.path, cursor, asked.limit).await?;
    let entries: Vec<Value> = page.items.iter().map(entry).collect();
    Ok(Json(json!({ "entries": entries, "next": page.next })))
}

pub(in crate::web) async fn stat(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = query?;
    let found = state.inner.drives.stat(caller.user.drive, &asked.path).await?;
    Ok(Json(json!({ "entry": entry(&found) })))
}

pub(in crate::web) async fn usage(State(state): State<WebState>, caller: Caller) -> Result<Json<Value>, Problem> {
    let usage = state.inner.drives.usage(caller.user.drive).await?;
    Ok(Json(json!({ "bytes": usage.bytes, "room": usage.room })))
}

pub(in crate::web) async fn remove(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<Remove>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = query?;
    let removed = state.inner.drives.remove(caller.user.drive, &asked.path, asked.recursive).await?;
    Ok(Json(json!({ "entry": entry(&removed) })))
}

pub(in crate::web) async fn make_folder(
    State(state): State<WebState>,
    caller: Caller,
    body: Result<Json<MakeFolder>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(asked) = body?;
    let drives = &state.inner.drives;
    let made = match asked.parents {
        true => drives.make_folders(caller.user.drive, &asked.path).await?,
        false => drives.make_folder(caller.user.drive, &asked.path).await?,
    };
    Ok((StatusCode::CREATED, Json(json!({ "entry": entry(&made) }))))
}

pub(in crate::web) async fn rename(
    State(state): State<WebState>,
    caller: Caller,
    body: Result<Json<Move>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(asked) = body?;
    let condition = if asked.replace { RenameCondition::ReplaceFile } else { RenameCondition::MustNotExist };
    let moved = state.inner.drives.rename(caller.user.drive, &asked.from, &asked.to, condition).await?;
    Ok(Json(json!({ "entry": entry(&moved) })))
}
