//! What somebody starred, and what they did last, in all of their drives.

use super::spot::{Spot, location};
use super::{Frame, failed, render};
use crate::web::filters;
use crate::web::place::ViewerOfPage;
use crate::web::problem::Problem;
use crate::web::reach::Reach;
use crate::web::session::Visitor;
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::drive::{DrivePath, Placed, RecentAct};
use apps::{DriveError, User};
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use types::WallMillis;

#[derive(Template)]
#[template(path = "personal.html")]
struct PersonalPage<'a> {
    frame: Frame,
    /// `starred` or `recent`.
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    title: &'static str,
    nothing: &'static str,
    when: &'static str,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    path: String,
    folder: bool,
    url: String,
    thumbnail: Option<String>,
    /// The drive and the folder that it is in.
    parent: String,
    parent_url: String,
    base: String,
    size: String,
    at: u64,
    date: String,
    machine_date: String,
    /// What was done with it.
    act: &'static str,
    details: String,
}

fn row(reach: &Reach, it: &Placed, at: WallMillis, act: &'static str) -> Result<Row, DriveError> {
    let path = DrivePath::parse(&it.path)?;
    let parent = path.parent().unwrap_or_default();
    let (drive, base) = reach.told(it.drive);
    let entry = &it.entry;
    Ok(Row {
        name: entry.name.clone(),
        path: it.path.clone(),
        folder: entry.is_folder(),
        url: if entry.is_folder() { url::folder(base, &path) } else { url::view(base, &path) },
        thumbnail: entry.file().filter(|_| entry.may_have_thumbnail()).map(|file| url::thumbnail(base, file.version)),
        parent: location(drive, &parent),
        parent_url: url::folder(base, &parent),
        base: base.to_string(),
        size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
        at: at.0,
        date: format::date(at),
        machine_date: format::machine_date(at),
        act,
        details: super::details::address(base, &path),
    })
}

pub(in crate::web) async fn starred(State(state): State<WebState>, Visitor(caller): Visitor) -> Response {
    let user = &caller.user;
    let rows = async {
        let reach = Reach::of(&state, user).await?;
        let found = state.inner.drives.starred(user.id, &reach.drives()).await?;
        let rows = found.iter().map(|it| row(&reach, &it.placed, it.since, ""));
        Ok::<_, Problem>(rows.collect::<Result<Vec<_>, _>>()?)
    };
    page(user, "starred", rows.await)
}

pub(in crate::web) async fn recent(State(state): State<WebState>, Visitor(caller): Visitor) -> Response {
    let user = &caller.user;
    let rows = async {
        let reach = Reach::of(&state, user).await?;
        let found = state.inner.drives.recent(user.id, &reach.drives()).await?;
        let done = |act| match act {
            RecentAct::Opened => words().recent_opened,
            RecentAct::Uploaded => words().recent_uploaded,
            RecentAct::Changed => words().recent_changed,
        };
        let rows = found.iter().map(|it| row(&reach, &it.placed, it.at, done(it.act)));
        Ok::<_, Problem>(rows.collect::<Result<Vec<_>, _>>()?)
    };
    page(user, "recent", rows.await)
}

fn page(user: &User, place: &'static str, rows: Result<Vec<Row>, Problem>) -> Response {
    let rows = match rows {
        Ok(rows) => rows,
        Err(problem) => return failed(problem),
    };
    let text = words();
    let (title, nothing, when) = match place {
        "starred" => (text.starred, text.starred_nothing, text.starred_since),
        _ => (text.recent, text.recent_nothing, text.when_local),
    };
    let signed_in_as = fill(text.signed_in_as, &[("name", &user.display)]);
    let (frame, spot) = (Frame::new(), Spot::nowhere());
    render(StatusCode::OK, &PersonalPage { frame, place, spot, user, signed_in_as, title, nothing, when, rows })
}

/// A star from a plain page.
#[derive(Deserialize)]
pub(in crate::web) struct Star {
    path: String,
    #[serde(default)]
    on: bool,
    /// Back to the page of all stars, rather than to that of the entry.
    #[serde(default)]
    all: bool,
}

pub(in crate::web) async fn star(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    asked: Result<Form<Star>, FormRejection>,
) -> Response {
    let Form(asked) = match asked {
        Ok(asked) => asked,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let done = async {
        let path = DrivePath::parse(&asked.path)?;
        state.inner.drives.star(at.caller.user.id, at.drive, &asked.path, asked.on).await?;
        Ok::<_, DriveError>(path)
    };
    match done.await {
        Ok(_) if asked.all => Redirect::to("/starred").into_response(),
        Ok(path) => Redirect::to(&super::details::address(&at.base(), &path)).into_response(),
        Err(error) => failed(error.into()),
    }
}
