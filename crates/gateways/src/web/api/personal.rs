//! Stars, and what the caller did last: `PUT` and `DELETE …/star?path=…` in a drive; `GET /api/v1/starred` and `/api/v1/recent` over all of theirs.

use super::drive::{At, EntryJson, One, entry};
use crate::web::WebState;
use crate::web::place::{InDrive, Viewer};
use crate::web::problem::Problem;
use crate::web::reach::Reach;
use crate::web::session::Caller;
use apps::DriveId;
use apps::drive::{Placed, RecentAct};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;
use utoipa::ToSchema;

/// Something somewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Placed)]
pub(in crate::web) struct PlacedJson {
    /// The drive's id, or `own`.
    drive: String,
    drive_name: String,
    path: String,
    entry: EntryJson,
    /// When it was starred, or something done with it: milliseconds since the Unix epoch.
    at: u64,
    /// `opened`, `uploaded` or `changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct PlacedList {
    /// The latest first.
    items: Vec<PlacedJson>,
}

fn placed(own: DriveId, reach: &Reach, it: &Placed, at: u64, act: Option<RecentAct>) -> PlacedJson {
    PlacedJson {
        drive: if it.drive == own { "own".into() } else { it.drive.to_string() },
        drive_name: reach.told(it.drive).0.to_string(),
        path: it.path.clone(),
        entry: entry(&it.entry),
        at,
        act: act.map(|act| match act {
            RecentAct::Opened => "opened",
            RecentAct::Uploaded => "uploaded",
            RecentAct::Changed => "changed",
        }),
    }
}

/// Stars a file or folder, for the caller alone.
#[utoipa::path(put, path = "/star", tag = "files", params(At), responses((status = 200, body = One)))]
pub(in crate::web) async fn star(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Json<One>, Problem> {
    set(&state, &at, query, true).await
}

/// Takes a star away.
#[utoipa::path(delete, path = "/star", tag = "files", params(At), responses((status = 200, body = One)))]
pub(in crate::web) async fn unstar(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Json<One>, Problem> {
    set(&state, &at, query, false).await
}

async fn set(
    state: &WebState,
    at: &InDrive,
    query: Result<Query<At>, QueryRejection>,
    starred: bool,
) -> Result<Json<One>, Problem> {
    let Query(asked) = query?;
    let found = state.inner.drives.star(at.caller.user.id, at.drive, &asked.path, starred).await?;
    let mut told = entry(&found);
    told.starred = starred;
    Ok(Json(One { entry: told }))
}

/// What the caller starred, in all of their drives.
#[utoipa::path(get, path = "/starred", tag = "files", responses((status = 200, body = PlacedList)))]
pub(in crate::web) async fn starred(
    State(state): State<WebState>,
    caller: Caller,
) -> Result<Json<PlacedList>, Problem> {
    let user = &caller.user;
    let reach = Reach::of(&state, user).await?;
    let found = state.inner.drives.starred(user.id, &reach.drives()).await?;
    let items = found.iter().map(|it| {
        let mut told = placed(user.drive, &reach, &it.placed, it.since.0, None);
        told.entry.starred = true;
        told
    });
    Ok(Json(PlacedList { items: items.collect() }))
}

/// What the caller opened, uploaded or changed last.
#[utoipa::path(get, path = "/recent", tag = "files", responses((status = 200, body = PlacedList)))]
pub(in crate::web) async fn recent(State(state): State<WebState>, caller: Caller) -> Result<Json<PlacedList>, Problem> {
    let user = &caller.user;
    let reach = Reach::of(&state, user).await?;
    let found = state.inner.drives.recent(user.id, &reach.drives()).await?;
    let items = found.iter().map(|it| placed(user.drive, &reach, &it.placed, it.at.0, Some(it.act)));
    Ok(Json(PlacedList { items: items.collect() }))
}
