//! Other people's accounts, for administrators. That the caller is one is tested by each act itself.

use super::types::{Body, Ended, Person, Sessions};
use super::user_types::{
    Audit, ChangePerson, Invitation, Invitations, Link, MadeInvitation, MadePerson, NewInvitation, NewPerson, Paging,
    PersonDetails, Persons, Policy,
};
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::Caller;
use apps::accounts::{self, UserChange};
use apps::{NewUser, Role};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use std::time::Duration;

/// How long an invitation lasts, unless said otherwise.
const INVITED_FOR: u64 = 7 * 24 * 3600;

fn role(text: &Option<String>) -> Result<Role, Problem> {
    text.as_deref().map_or(Ok(Role::User), |text| text.parse().map_err(|why: &str| Problem::bad_request(why)))
}

/// Everybody, in the order of names.
#[utoipa::path(get, path = "/users", tag = "users", params(Paging), responses((status = 200, body = Persons)))]
pub(super) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Persons>, Problem> {
    let Query(asked) = query?;
    let page = state.inner.accounts.list(&caller.user, asked.cursor.as_deref(), asked.limit).await?;
    let used = state.inner.drives.used(page.items.iter().map(|user| user.drive)).await?;
    let users = page.items.iter().zip(used).map(|(user, used)| Person::with_used(user, used)).collect();
    Ok(Json(Persons { users, next: page.next, usual_quota: state.inner.accounts.policy().await?.quota }))
}

/// Makes an account.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewPerson, responses((status = 201, body = MadePerson)))]
pub(super) async fn create(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<NewPerson>,
) -> Result<(StatusCode, Json<MadePerson>), Problem> {
    let (role, quota) = (role(&asked.role)?, asked.quota);
    let (name, display) = (asked.name, asked.display);
    let new = |password| NewUser { name, display, password, role, quota };
    let accounts = &state.inner.accounts;
    let made = match asked.password {
        Some(password) => {
            let user = accounts.create_user(caller.by(), new(password)).await?;
            MadePerson { user: (&user).into(), link: None }
        }
        None => {
            let (user, secret) = accounts.create_user_by_link(caller.by(), new(String::new())).await?;
            MadePerson { user: (&user).into(), link: Some(Link::of("reset", &secret)) }
        }
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Somebody's account.
#[utoipa::path(get, path = "/users/{name}", tag = "users", params(("name" = String, Path, description = "The name to sign in with")), responses((status = 200, body = PersonDetails)))]
pub(super) async fn show(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<PersonDetails>, Problem> {
    let accounts = &state.inner.accounts;
    let user = accounts.find_for(&caller.user, &name).await?;
    let second_factor = accounts.second_factor(user.id).await?.into();
    let leaving = accounts.leaving(&user).await?.into();
    let quota = accounts.quota_of(&user).await?;
    let used = state.inner.drives.usage(user.drive).await?.bytes;
    let recovery = accounts.recovery(user.id).await?.address.is_some();
    Ok(Json(PersonDetails { user: Person::with_used(&user, used), second_factor, recovery, leaving, quota }))
}

/// Changes role, quota and name to show; disables and enables.
#[utoipa::path(patch, path = "/users/{name}", tag = "users", request_body = ChangePerson, params(("name" = String, Path, description = "The name to sign in with")), responses((status = 200, body = Person)))]
pub(super) async fn change(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
    Body(asked): Body<ChangePerson>,
) -> Result<Json<Person>, Problem> {
    let role = asked.role.is_some().then(|| role(&asked.role)).transpose()?;
    let change = UserChange { display: asked.display, role, disabled: asked.disabled, quota: asked.quota };
    let user = state.inner.accounts.change_user(caller.by(), &name, change).await?;
    Ok(Json((&user).into()))
}

/// Removes an account, and what goes with it. There is no way back.
#[utoipa::path(delete, path = "/users/{name}", tag = "users", params(("name" = String, Path, description = "The name to sign in with")), responses((status = 204)))]
pub(super) async fn remove(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.remove_user(caller.by(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link by which the password is set anew, once, within a day.
#[utoipa::path(post, path = "/users/{name}/reset", tag = "users", params(("name" = String, Path, description = "The name to sign in with")), responses((status = 201, body = Link)))]
pub(super) async fn reset(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Link>), Problem> {
    let secret = state.inner.accounts.make_reset_link(caller.by(), &name).await?;
    Ok((StatusCode::CREATED, Json(Link::of("reset", &secret))))
}

/// Where somebody is signed in.
#[utoipa::path(get, path = "/users/{name}/sessions", tag = "users", params(("name" = String, Path, description = "The name to sign in with")), responses((status = 200, body = Sessions)))]
pub(super) async fn sessions(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Sessions>, Problem> {
    Ok(Json(state.inner.accounts.sessions_of(&caller.user, &name).await?.into()))
}

/// Signs somebody out everywhere.
#[utoipa::path(delete, path = "/users/{name}/sessions", tag = "users", params(("name" = String, Path, description = "The name to sign in with")), responses((status = 200, body = Ended)))]
pub(super) async fn end_sessions(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Ended>, Problem> {
    let ended = state.inner.accounts.end_sessions_of(caller.by(), &name, None).await?;
    Ok(Json(Ended { ended }))
}

/// Signs somebody out there.
#[utoipa::path(delete, path = "/users/{name}/sessions/{id}", tag = "users", params(("name" = String, Path, description = "The name to sign in with"), ("id" = String, Path, description = "Of the session")), responses((status = 204)))]
pub(super) async fn end_session(
    State(state): State<WebState>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.end_sessions_of(caller.by(), &name, Some(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Turns off the second factor of somebody who has lost device and recovery codes.
#[utoipa::path(delete, path = "/users/{name}/second-factor", tag = "users", params(("name" = String, Path, description = "The name to sign in with")), responses((status = 204)))]
pub(super) async fn clear_factor(
    State(state): State<WebState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.clear_second_factor(caller.by(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Invitations that can be used.
#[utoipa::path(get, path = "/invitations", tag = "users", responses((status = 200, body = Invitations)))]
pub(super) async fn invitations(State(state): State<WebState>, caller: Caller) -> Result<Json<Invitations>, Problem> {
    let found = state.inner.accounts.invitations(&caller.user).await?;
    Ok(Json(Invitations { invitations: found.into_iter().map(Invitation::from).collect() }))
}

/// Makes an invitation; its link is shown this once.
#[utoipa::path(post, path = "/invitations", tag = "users", request_body = NewInvitation, responses((status = 201, body = MadeInvitation)))]
pub(super) async fn invite(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<NewInvitation>,
) -> Result<(StatusCode, Json<MadeInvitation>), Problem> {
    let valid = Duration::from_secs(asked.valid_seconds.unwrap_or(INVITED_FOR));
    let new = accounts::NewInvitation { role: role(&asked.role)?, quota: asked.quota, valid, note: asked.note };
    let (made, secret) = state.inner.accounts.invite(caller.by(), new).await?;
    let made = MadeInvitation { invitation: made.into(), link: Link::of("join", &secret) };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Takes an invitation back.
#[utoipa::path(delete, path = "/invitations/{id}", tag = "users", params(("id" = String, Path, description = "Of the invitation")), responses((status = 204)))]
pub(super) async fn uninvite(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.uninvite(caller.by(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What holds for all accounts.
#[utoipa::path(get, path = "/settings/accounts", tag = "users", responses((status = 200, body = Policy)))]
pub(super) async fn policy(State(state): State<WebState>, caller: Caller) -> Result<Json<Policy>, Problem> {
    if !caller.user.is_administrator() {
        return Err(apps::AccountError::Forbidden { what: "see the settings" }.into());
    }
    let policy = state.inner.accounts.policy().await?;
    let (sign_up, quota) = (policy.sign_up.as_str().to_string(), policy.quota);
    let (drive_quota, drives_max) = (policy.drive_quota, Some(policy.drives_max));
    let (audit_days, users_max) = (policy.audit_days, policy.users_max);
    Ok(Json(Policy { sign_up, quota, audit_days, users_max, drive_quota, drives_max }))
}

/// Decides anew what holds for all accounts.
#[utoipa::path(put, path = "/settings/accounts", tag = "users", request_body = Policy, responses((status = 204)))]
pub(super) async fn set_policy(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<Policy>,
) -> Result<StatusCode, Problem> {
    let sign_up = asked.sign_up.parse().map_err(|why: &str| Problem::bad_request(why))?;
    let (quota, audit_days, users_max) = (asked.quota, asked.audit_days, asked.users_max);
    let now = state.inner.accounts.policy().await?;
    let drive_quota = if asked.drives_max.is_some() { asked.drive_quota } else { now.drive_quota };
    let drives_max = asked.drives_max.unwrap_or(now.drives_max);
    let policy = accounts::Policy { sign_up, quota, audit_days, users_max, drive_quota, drives_max };
    state.inner.accounts.set_policy(caller.by(), policy).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The log, the latest first.
#[utoipa::path(get, path = "/audit", tag = "users", params(Paging), responses((status = 200, body = Audit)))]
pub(super) async fn audit(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Audit>, Problem> {
    let Query(asked) = query?;
    let about = asked.about.as_deref().filter(|about| !about.is_empty());
    let page = state.inner.accounts.audit(&caller.user, about, asked.cursor.as_deref(), asked.limit).await?;
    Ok(Json(page.into()))
}
