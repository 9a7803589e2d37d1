//! The shared drives that somebody is in, and making one.

use super::settings::form;
use super::spot::Spot;
use super::{Frame, failed, render};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{fill, words};
use crate::web::{WebState, place, url};
use apps::{AccountError, DriveId, DriveRole, SharedDrive, User};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "drives.html")]
struct DrivesPage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    drives: Vec<Row>,
    /// Drives of others, for administrators; none for others.
    all: Option<Vec<Row>>,
    more: Option<String>,
    typed: String,
    error: String,
}

struct Row {
    name: String,
    url: String,
    members_url: String,
    /// What the visitor may do there, in words.
    role: String,
}

impl From<SharedDrive> for Row {
    fn from(drive: SharedDrive) -> Row {
        let base = place::base(drive.id);
        Row {
            members_url: format!("{base}/members"),
            url: if drive.role.is_some() { format!("{base}/") } else { format!("{base}/members") },
            name: drive.name,
            role: drive.role.map_or(String::new(), |role| fill(words().drive_role_you, &[("role", role_words(role))])),
        }
    }
}

/// What a role lets one do.
pub(super) fn role_words(role: DriveRole) -> &'static str {
    match role {
        DriveRole::View => words().role_view,
        DriveRole::Edit => words().role_edit,
        DriveRole::Manage => words().role_manage,
    }
}

#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    cursor: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct New {
    name: String,
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    page(&state, &caller, StatusCode::OK, &asked.cursor, String::new(), String::new()).await
}

async fn page(
    state: &WebState,
    caller: &Caller,
    status: StatusCode,
    cursor: &str,
    typed: String,
    error: String,
) -> Response {
    match read(state, caller, cursor).await {
        Ok((drives, all, next)) => {
            let page = DrivesPage {
                frame: Frame::new(),
                place: "drives",
                spot: Spot::nowhere(),
                user: &caller.user,
                signed_in_as: fill(words().signed_in_as, &[("name", &caller.user.display)]),
                drives: drives.into_iter().map(Row::from).collect(),
                all: all.map(|all| all.into_iter().map(Row::from).collect()),
                more: next.map(|next| format!("/drives?cursor={}", url::encode(&next))),
                typed,
                error,
            };
            render(status, &page)
        }
        Err(error) => failed(error.into()),
    }
}

type Read = (Vec<SharedDrive>, Option<Vec<SharedDrive>>, Option<String>);

async fn read(state: &WebState, caller: &Caller, cursor: &str) -> Result<Read, AccountError> {
    let accounts = &state.inner.accounts;
    let own = accounts.drives_of(&caller.user).await?;
    if !caller.user.is_administrator() {
        return Ok((own, None, None));
    }
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    let page = accounts.all_drives(&caller.user, cursor, 0).await?;
    let others: Vec<SharedDrive> = page.items.into_iter().filter(|drive| drive.role.is_none()).collect();
    Ok((own, Some(others), page.next))
}

/// Makes one, and goes there.
pub(in crate::web) async fn make(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<New>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.make_drive(caller.by(), &asked.name).await {
        Ok(drive) => Redirect::to(&format!("{}/", place::base(drive.id))).into_response(),
        Err(error) => {
            let problem = Problem::from(error);
            let words = format!("{} {}", problem.message, problem.action).trim().to_string();
            page(&state, &caller, problem.status, "", asked.name, words).await
        }
    }
}

/// Without the slash behind it.
pub(in crate::web) async fn to_root(Path(id): Path<String>) -> Response {
    match id.parse::<DriveId>() {
        Ok(drive) => Redirect::to(&format!("{}/", place::base(drive))).into_response(),
        Err(_) => failed(AccountError::NotFound { what: "drive" }.into()),
    }
}
