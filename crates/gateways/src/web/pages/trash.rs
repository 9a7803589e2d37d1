//! The trash: what was deleted, where it was, and the ways back and for good.

use super::spot::{Spot, location};
use super::{Frame, failed, render};
use crate::web::api;
use crate::web::filters;
use crate::web::place::{EditorOfPage, InDrive, ViewerOfPage};
use crate::web::problem::Problem;
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::drive::{Act, Clash, Held, PutBack, Trashed};
use apps::{DriveError, FileId, TrashId, User, UserId};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Things on a page.
const THINGS: u32 = 200;

#[derive(Template)]
#[template(path = "trash.html")]
struct TrashPage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    held: Vec<HeldRow>,
    rows: Vec<Row>,
    more: Option<String>,
    done: String,
    /// Where to find what came back.
    done_link: Option<String>,
    error: String,
}

struct Row {
    id: String,
    name: String,
    folder: bool,
    /// The folder that it was in.
    was_in: String,
    size: String,
    at: u64,
    date: String,
    machine_date: String,
    until: String,
    /// Who threw it away, where several may.
    by: Option<String>,
}

/// A program that removed too much.
pub(super) struct HeldRow {
    pub id: String,
    pub words: String,
}

/// Programs that are held in the drive, for who may look at it.
pub(super) async fn held(state: &WebState, at: &InDrive) -> Result<Vec<HeldRow>, DriveError> {
    let held = state.inner.drives.held_programs(at.drive).await?.into_iter();
    let row = |it: Held| HeldRow {
        words: fill(words().held, &[("program", &it.program.label), ("since", &format::date(it.since))]),
        id: it.program.id,
    };
    Ok(held.map(row).collect())
}

impl Row {
    fn of(drive: &str, it: Trashed, names: &BTreeMap<UserId, String>) -> Row {
        let (parent, _) = it.path.rsplit_once('/').unwrap_or_default();
        Row {
            id: it.id.to_string(),
            folder: it.entry.is_folder(),
            was_in: format!("{drive}{parent}"),
            size: if it.entry.is_folder() { String::new() } else { format::size(it.entry.size()) },
            by: it.by.and_then(|by| names.get(&by).cloned()),
            name: it.entry.name,
            at: it.at.0,
            date: format::date(it.at),
            machine_date: format::machine_date(it.at),
            until: fill(words().trash_until, &[("date", format::date(it.until).split(' ').next().unwrap_or_default())]),
        }
    }
}

/// What an address of the trash may ask for.
#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    cursor: String,
    /// What was just done.
    #[serde(default)]
    done: String,
    /// What came back, by its id: where it is now is looked up.
    restored: Option<FileId>,
}

#[derive(Deserialize)]
pub(in crate::web) struct Which {
    id: TrashId,
}

/// What was just done, in words, and where it is to be seen.
type Told = (String, Option<String>);

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    match told(&state, &at, &asked).await {
        Ok(told) => page(&state, &at, StatusCode::OK, &asked.cursor, told, String::new()).await,
        Err(error) => failed(error.into()),
    }
}

async fn told(state: &WebState, at: &InDrive, asked: &Asked) -> Result<Told, DriveError> {
    let text = match (asked.done.as_str(), asked.restored) {
        ("restored", Some(id)) => {
            let found = state.inner.drives.locate(at.drive, id.0).await?;
            let Some(path) = found.filter(|path| !path.is_root()) else { return Ok(Told::default()) };
            let words = fill(words().restored_to, &[("path", &location(&Spot::of(at).name, &path))]);
            return Ok((words, path.parent().map(|parent| url::folder(&at.base(), &parent))));
        }
        ("put-back-none", _) => words().held_put_back_none,
        ("put-back", _) => words().held_put_back_done,
        ("put-back-partly", _) => words().held_put_back_partly,
        ("let-go", _) => words().held_let_go_done,
        ("purged", _) => words().purged,
        ("emptied", _) => words().trash_emptied,
        ("emptied-partly", _) => words().trash_emptied_partly,
        _ => "",
    };
    Ok((text.to_string(), None))
}

async fn page(
    state: &WebState,
    at: &InDrive,
    status: StatusCode,
    cursor: &str,
    (done, done_link): Told,
    error: String,
) -> Response {
    let after = Some(cursor).filter(|cursor| !cursor.is_empty() && cursor.len() <= 4096);
    let found = match state.inner.drives.trash_list(at.drive, after, THINGS).await {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let held = match held(state, at).await {
        Ok(held) => held,
        Err(error) => return failed(error.into()),
    };
    let by = found.items.iter().filter_map(|it| it.by).filter(|_| at.shared.is_some());
    let names = match state.inner.accounts.displays(by).await {
        Ok(names) => names,
        Err(error) => return failed(error.into()),
    };
    let (spot, user) = (Spot::of(at), &at.caller.user);
    let page = TrashPage {
        frame: Frame::new(),
        place: "trash",
        user,
        signed_in_as: fill(words().signed_in_as, &[("name", &user.display)]),
        held,
        rows: found.items.into_iter().map(|it| Row::of(&spot.name, it, &names)).collect(),
        more: found.next.map(|next| format!("{}/trash?cursor={}", spot.base, url::encode(&next))),
        done,
        done_link,
        error,
        spot,
    };
    render(status, &page)
}

/// The page again, which says why it was not done, or that nobody knows.
async fn refused(state: &WebState, at: &InDrive, error: impl Into<Problem>) -> Response {
    let problem = error.into();
    let words = format!("{} {}", problem.message, problem.action).trim().to_string();
    page(state, at, problem.status, "", Told::default(), words).await
}

fn which(asked: Result<Form<Which>, FormRejection>) -> Result<TrashId, Problem> {
    asked.map(|Form(asked)| asked.id).map_err(|error| Problem::bad_request(error.body_text()))
}

/// To where it was; under another name when that is taken.
pub(in crate::web) async fn restore(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    asked: Result<Form<Which>, FormRejection>,
) -> Response {
    let id = match which(asked) {
        Ok(id) => id,
        Err(problem) => return failed(problem),
    };
    let act = Act::Restore { id, to: None, clash: Clash::KeepBoth };
    let by = Some(at.caller.user.id);
    match state.inner.drives.act(at.drive, &act, by).await {
        Ok(done) => {
            let id = done.entry.map(|entry| FileId(entry.id()).to_string()).unwrap_or_default();
            Redirect::to(&format!("{}/trash?done=restored&restored={id}", at.base())).into_response()
        }
        Err(error) => refused(&state, &at, error).await,
    }
}

/// One thing, for good.
pub(in crate::web) async fn purge(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    asked: Result<Form<Which>, FormRejection>,
) -> Response {
    let id = match which(asked) {
        Ok(id) => id,
        Err(problem) => return failed(problem),
    };
    match state.inner.drives.purge(at.drive, id).await {
        Ok(_) => Redirect::to(&format!("{}/trash?done=purged", at.base())).into_response(),
        Err(error) => refused(&state, &at, error).await,
    }
}

/// All of it, for good: as much as one request does.
pub(in crate::web) async fn empty(State(state): State<WebState>, EditorOfPage(at): EditorOfPage) -> Response {
    let now = state.inner.client.now();
    match state.inner.drives.empty_trash(at.drive, now).await {
        Ok(emptied) if emptied.more => {
            Redirect::to(&format!("{}/trash?done=emptied-partly", at.base())).into_response()
        }
        Ok(_) => Redirect::to(&format!("{}/trash?done=emptied", at.base())).into_response(),
        Err(error) => refused(&state, &at, error).await,
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct WhichProgram {
    id: String,
}

/// What a held program removed comes back: as much as one request does.
pub(in crate::web) async fn put_back(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    asked: Result<Form<WhichProgram>, FormRejection>,
) -> Response {
    let id = match asked {
        Ok(Form(asked)) => asked.id,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let done = match state.inner.drives.put_back(at.drive, &id, Some(at.caller.user.id)).await {
        Ok(PutBack { restored: 0, left: 0, more: false }) => "put-back-none",
        Ok(PutBack { left: 0, more: false, .. }) => "put-back",
        Ok(_) => "put-back-partly",
        Err(error) => return refused(&state, &at, error).await,
    };
    Redirect::to(&format!("{}/trash?done={done}", at.base())).into_response()
}

/// A held program may go on.
pub(in crate::web) async fn let_go(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    asked: Result<Form<WhichProgram>, FormRejection>,
) -> Response {
    let id = match asked {
        Ok(Form(asked)) => asked.id,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    match api::let_go_on(&state, &at, &id).await {
        Ok(()) => Redirect::to(&format!("{}/trash?done=let-go", at.base())).into_response(),
        Err(error) => refused(&state, &at, error).await,
    }
}
