//! Who may use a shared drive, and as what; its name and its end.

use super::drives::role_words;
use super::settings::form;
use super::spot::Spot;
use super::storage::Storage;
use super::{Frame, failed, render};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{fill, words};
use crate::web::{WebState, format, place};
use apps::accounts::shared::{Member, NewMember};
use apps::accounts::{parse_size, typed_size};
use apps::{AccountError, DriveId, DriveRole, SharedDrive, User};
use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

const ROLES: [DriveRole; 3] = [DriveRole::View, DriveRole::Edit, DriveRole::Manage];

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    name: String,
    /// What goes before the addresses of this page's forms.
    base: String,
    heading: String,
    members: Vec<Row>,
    /// As values and words, for who is added.
    roles: [(&'static str, &'static str); 3],
    manages: bool,
    /// They are in it themselves.
    own: bool,
    administers: bool,
    quota: String,
    storage: Storage,
    typed: String,
    error: String,
}

struct Row {
    name: String,
    display: String,
    disabled: bool,
    you: bool,
    role: &'static str,
    role_words: &'static str,
    since: String,
}

fn row(user: &User, it: Member) -> Row {
    Row {
        you: it.user == user.id,
        role: it.role.as_str(),
        role_words: role_words(it.role),
        since: fill(words().member_since, &[("date", format::date(it.since).split(' ').next().unwrap_or_default())]),
        name: it.name,
        display: it.display,
        disabled: it.disabled,
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct Whom {
    name: String,
    role: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Name {
    name: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Quota {
    quota: String,
}

/// What is no id is the id of no drive.
fn drive(id: &str) -> Result<DriveId, Problem> {
    id.parse().map_err(|_| AccountError::NotFound { what: "drive" }.into())
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
) -> Response {
    page(&state, &caller, &id, StatusCode::OK, String::new(), String::new()).await
}

async fn page(
    state: &WebState,
    caller: &Caller,
    id: &str,
    status: StatusCode,
    typed: String,
    error: String,
) -> Response {
    let user = &caller.user;
    let (shared, members, storage) = match read(state, user, id).await {
        Ok(read) => read,
        Err(problem) => return failed(problem),
    };
    let spot = match shared.role {
        // To who is no member, what is in it is not there.
        None => Spot::nowhere(),
        Some(role) => Spot {
            base: place::base(shared.id),
            name: shared.name.clone(),
            shared: true,
            edits: role >= DriveRole::Edit,
        },
    };
    let administers = user.is_administrator();
    let page = MembersPage {
        frame: Frame::new(),
        place: "drives",
        spot,
        user,
        signed_in_as: fill(words().signed_in_as, &[("name", &user.display)]),
        base: place::base(shared.id),
        heading: fill(words().members_of, &[("name", &shared.name)]),
        members: members.into_iter().map(|it| row(user, it)).collect(),
        roles: ROLES.map(|role| (role.as_str(), role_words(role))),
        manages: shared.role == Some(DriveRole::Manage) || administers,
        own: shared.role.is_some(),
        administers,
        quota: shared.quota.map(typed_size).unwrap_or_default(),
        storage,
        name: shared.name,
        typed,
        error,
    };
    render(status, &page)
}

async fn read(state: &WebState, user: &User, id: &str) -> Result<(SharedDrive, Vec<Member>, Storage), Problem> {
    let (drive, accounts) = (drive(id)?, &state.inner.accounts);
    let (shared, members) = (accounts.shared_drive(user, drive).await?, accounts.members(user, drive).await?);
    let quota = state.inner.quotas.of_drive(accounts, &shared).await?;
    Ok((shared, members, Storage::of(state.inner.drives.usage(drive).await?.bytes, quota)))
}

/// Back to the page, or the page again with what was wrong.
async fn answer(
    state: &WebState,
    caller: &Caller,
    id: &str,
    typed: String,
    done: impl Future<Output = Result<(), Problem>>,
) -> Response {
    match done.await {
        Ok(()) => Redirect::to(&format!("/drives/{id}/members")).into_response(),
        // Not a page that tells who is in a drive, to somebody to whom it is not there.
        Err(problem) if problem.status == StatusCode::NOT_FOUND && typed.is_empty() => failed(problem),
        Err(problem) => {
            let words = format!("{} {}", problem.message, problem.action).trim().to_string();
            page(state, caller, id, problem.status, typed, words).await
        }
    }
}

fn role_of(text: &str) -> Result<DriveRole, Problem> {
    text.parse().map_err(|why: &str| Problem::bad_request(why))
}

pub(in crate::web) async fn add(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    asked: Result<Form<Whom>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let done = async {
        let (drive, role) = (drive(&id)?, role_of(&asked.role)?);
        state.inner.accounts.put_member(caller.by(), drive, &asked.name, role, NewMember::Yes).await?;
        Ok(())
    };
    answer(&state, &caller, &id, asked.name.clone(), done).await
}

pub(in crate::web) async fn role(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    asked: Result<Form<Whom>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let done = async {
        let (drive, role) = (drive(&id)?, role_of(&asked.role)?);
        state.inner.accounts.put_member(caller.by(), drive, &asked.name, role, NewMember::No).await?;
        Ok(())
    };
    answer(&state, &caller, &id, String::new(), done).await
}

/// Takes somebody out; who leaves by themselves goes to the drives that are left.
pub(in crate::web) async fn remove(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    asked: Result<Form<Name>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let done = async {
        state.inner.accounts.remove_member(caller.by(), drive(&id)?, &asked.name).await?;
        Ok(())
    };
    let own = asked.name == caller.user.name && !caller.user.is_administrator();
    match (own, done.await) {
        (true, Ok(())) => Redirect::to("/drives").into_response(),
        (_, result) => answer(&state, &caller, &id, String::new(), std::future::ready(result)).await,
    }
}

pub(in crate::web) async fn rename(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    asked: Result<Form<Name>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let done = async { Ok(state.inner.accounts.rename_drive(caller.by(), drive(&id)?, &asked.name).await?) };
    answer(&state, &caller, &id, String::new(), done).await
}

pub(in crate::web) async fn quota(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    asked: Result<Form<Quota>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let done = async {
        let typed = asked.quota.trim();
        let quota = if typed.is_empty() { None } else { Some(parse_size(typed).map_err(Problem::bad_request)?) };
        Ok(state.inner.accounts.set_drive_quota(caller.by(), drive(&id)?, quota).await?)
    };
    answer(&state, &caller, &id, String::new(), done).await
}

/// Deletes the drive, if its name was typed.
pub(in crate::web) async fn delete(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(id): Path<String>,
    asked: Result<Form<Name>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let done = async {
        let drive = drive(&id)?;
        let shared = state.inner.accounts.shared_drive(&caller.user, drive).await?;
        if asked.name.trim() != shared.name {
            return Err(Problem::bad_request(words().drive_delete_mismatch));
        }
        Ok(state.inner.accounts.delete_drive(caller.by(), drive).await?)
    };
    match done.await {
        Ok(()) => Redirect::to("/drives").into_response(),
        Err(problem) => answer(&state, &caller, &id, String::new(), std::future::ready(Err(problem))).await,
    }
}
