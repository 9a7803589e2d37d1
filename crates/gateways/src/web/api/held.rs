//! Programs that removed too much and are held, until somebody puts it back or lets them go on.

use super::acts::Nothing;
use crate::web::WebState;
use crate::web::place::{Editor, InDrive, Viewer};
use crate::web::problem::Problem;
use apps::drive::{Held, PutBack};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A program that may remove nothing.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct HeldJson {
    id: String,
    /// What its owner calls it.
    program: String,
    /// Milliseconds since 1970.
    since: u64,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct AllHeld {
    programs: Vec<HeldJson>,
}

#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct WhichProgram {
    id: String,
}

/// What putting back did.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct PutBackJson {
    restored: u64,
    /// What could not be brought back by itself, and is in the trash.
    left: u64,
    /// There is more than one call does.
    more: bool,
}

impl From<Held> for HeldJson {
    fn from(it: Held) -> HeldJson {
        HeldJson { id: it.program.id, program: it.program.label, since: it.since.0 }
    }
}

/// Programs that removed unusually much within an hour, and may remove nothing until somebody says so.
#[utoipa::path(get, path = "/held", tag = "trash", responses((status = 200, body = AllHeld)))]
pub(in crate::web) async fn held(State(state): State<WebState>, Viewer(at): Viewer) -> Result<Json<AllHeld>, Problem> {
    let held = state.inner.drives.held_programs(at.drive).await?;
    Ok(Json(AllHeld { programs: held.into_iter().map(HeldJson::from).collect() }))
}

/// Lets a held program go on, for an hour unasked.
#[utoipa::path(post, path = "/held/let-go", tag = "trash", request_body = WhichProgram, responses((status = 200, body = Nothing)))]
pub(in crate::web) async fn let_go(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<WhichProgram>, JsonRejection>,
) -> Result<Json<Nothing>, Problem> {
    let_go_on(&state, &at, &body?.0.id).await?;
    Ok(Json(Nothing {}))
}

/// The same for a page. The log says who did it.
pub(in crate::web) async fn let_go_on(state: &WebState, at: &InDrive, id: &str) -> Result<(), Problem> {
    let drives = &state.inner.drives;
    // Written before it is done, for it may then remove what it likes.
    let label = drives.held_program(at.drive, id).await?.program.label;
    let what = at.shared.as_ref().map_or(label.clone(), |shared| format!("{}: {label}", shared.name));
    state.inner.accounts.note_link(&at.caller.by(), "held program let go", &what).await?;
    Ok(drives.let_go(at.drive, id).await?)
}

/// Puts back what a held program threw away within the hour before it was held.
#[utoipa::path(post, path = "/held/put-back", tag = "trash", request_body = WhichProgram,
    responses((status = 200, body = PutBackJson)))]
pub(in crate::web) async fn put_back(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<WhichProgram>, JsonRejection>,
) -> Result<Json<PutBackJson>, Problem> {
    let PutBack { restored, left, more } =
        state.inner.drives.put_back(at.drive, &body?.0.id, Some(at.caller.user.id)).await?;
    Ok(Json(PutBackJson { restored, left, more }))
}
