//! One's own account.

use super::types::{
    self, AppPassword, AppPasswords, Body, ChangeMe, ChangePassword, ChangeRecovery, Code, Ended, Leaving,
    MadeAppPassword, Me, NewAppPassword, NewFactor, Proof, Recovery, RecoveryCodes, Sessions, SignedIn,
};
use super::user_types::{Audit, Paging};
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session;
use crate::web::session::Caller;
use crate::web::text::Language;
use apps::accounts::{AppScope, Protocol};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// One's account.
#[utoipa::path(get, path = "/me", tag = "me", responses((status = 200, body = Me)))]
pub(super) async fn show(State(state): State<WebState>, caller: Caller) -> Result<Json<Me>, Problem> {
    let accounts = &state.inner.accounts;
    let second_factor = accounts.second_factor(caller.user.id).await?.into();
    let quota = accounts.quota_of(&caller.user).await?;
    let recovery = accounts.recovery(caller.user.id).await?.into();
    Ok(Json(Me { user: (&caller.user).into(), second_factor, recovery, quota }))
}

/// Changes the address that a link for a new password goes to: a link that confirms it is mailed to the new one.
#[utoipa::path(put, path = "/me/recovery", tag = "me", request_body = ChangeRecovery, responses((status = 200, body = Recovery)))]
pub(super) async fn change_recovery(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<ChangeRecovery>,
) -> Result<Json<Recovery>, Problem> {
    let (accounts, language) = (&state.inner.accounts, Language::now().code());
    match &asked.address {
        Some(address) => accounts.set_recovery(caller.by(), &asked.password, address, language).await?,
        None => accounts.remove_recovery(caller.by(), &asked.password, language).await?,
    }
    Ok(Json(accounts.recovery(caller.user.id).await?.into()))
}

/// What others see of one.
#[utoipa::path(patch, path = "/me", tag = "me", request_body = ChangeMe, responses((status = 200, body = types::Person)))]
pub(super) async fn change(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<ChangeMe>,
) -> Result<Json<types::Person>, Problem> {
    let user = state.inner.accounts.change_display(caller.by(), &asked.display).await?;
    Ok(Json((&user).into()))
}

/// What would go with one's account.
#[utoipa::path(get, path = "/me/leaving", tag = "me", responses((status = 200, body = Leaving)))]
pub(super) async fn leaving(State(state): State<WebState>, caller: Caller) -> Result<Json<Leaving>, Problem> {
    Ok(Json(state.inner.accounts.leaving(&caller.user).await?.into()))
}

/// Removes one's account, and what goes with it. There is no way back.
#[utoipa::path(post, path = "/me/delete", tag = "me", request_body = Proof, responses((status = 204)))]
pub(super) async fn delete(
    State(state): State<WebState>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<StatusCode, Problem> {
    let code = (!proof.code.is_empty()).then_some(proof.code.as_str());
    state.inner.accounts.delete_account(caller.by(), &proof.password, code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's password. All sessions end; the one that asks goes on under a new cookie, or token.
#[utoipa::path(post, path = "/me/password", tag = "me", request_body = ChangePassword,
    responses((status = 200, body = SignedIn)))]
pub(super) async fn change_password(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<ChangePassword>,
) -> Result<Response, Problem> {
    let session = state.inner.accounts.change_password(caller.by(), &asked.old, &asked.new).await?;
    let mut response = Json(SignedIn::of(&session, asked.bearer)).into_response();
    if !asked.bearer {
        session::set_cookie(&mut response, &session, state.tls);
    }
    Ok(response)
}

/// Where one is signed in.
#[utoipa::path(get, path = "/me/sessions", tag = "me", responses((status = 200, body = Sessions)))]
pub(super) async fn sessions(State(state): State<WebState>, caller: Caller) -> Result<Json<Sessions>, Problem> {
    Ok(Json(state.inner.accounts.sessions(&caller.user, Some(&caller.token)).await?.into()))
}

/// Signs out everywhere but here.
#[utoipa::path(delete, path = "/me/sessions", tag = "me", responses((status = 200, body = Ended)))]
pub(super) async fn end_others(State(state): State<WebState>, caller: Caller) -> Result<Json<Ended>, Problem> {
    let ended = state.inner.accounts.end_other_sessions(caller.by(), &caller.token).await?;
    Ok(Json(Ended { ended }))
}

/// Signs out there.
#[utoipa::path(delete, path = "/me/sessions/{id}", tag = "me", params(("id" = String, Path, description = "Of the session")), responses((status = 204)))]
pub(super) async fn end_session(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.end_session(caller.by(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's app passwords.
#[utoipa::path(get, path = "/me/app-passwords", tag = "me", responses((status = 200, body = AppPasswords)))]
pub(super) async fn app_passwords(
    State(state): State<WebState>,
    caller: Caller,
) -> Result<Json<AppPasswords>, Problem> {
    let found = state.inner.accounts.app_passwords(caller.user.id).await?;
    Ok(Json(AppPasswords { app_passwords: found.into_iter().map(AppPassword::from).collect() }))
}

/// Makes an app password; its secret is shown this once.
#[utoipa::path(post, path = "/me/app-passwords", tag = "me", request_body = NewAppPassword, responses((status = 201, body = MadeAppPassword)))]
pub(super) async fn make_app_password(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<NewAppPassword>,
) -> Result<(StatusCode, Json<MadeAppPassword>), Problem> {
    let protocols: Result<Vec<Protocol>, _> = asked.protocols.iter().take(16).map(|name| name.parse()).collect();
    let protocols = protocols.map_err(|why: &str| Problem::bad_request(why))?;
    let scope = AppScope { protocols, write: asked.write };
    let (made, secret) = state.inner.accounts.create_app_password(caller.by(), &asked.label, scope).await?;
    let made = MadeAppPassword { app_password: made.into(), secret: secret.as_str().to_string() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Removes an app password.
#[utoipa::path(delete, path = "/me/app-passwords/{id}", tag = "me", params(("id" = String, Path, description = "Of the app password")), responses((status = 204)))]
pub(super) async fn remove_app_password(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.remove_app_password(caller.by(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins to turn the second factor on; it waits fifteen minutes to be confirmed.
#[utoipa::path(post, path = "/me/second-factor", tag = "me", request_body = Proof, responses((status = 200, body = NewFactor)))]
pub(super) async fn begin_factor(
    State(state): State<WebState>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<Json<NewFactor>, Problem> {
    let new = state.inner.accounts.begin_second_factor(caller.by(), &proof.password).await?;
    Ok(Json(NewFactor { secret: new.secret, address: new.address }))
}

/// Turns the second factor on.
#[utoipa::path(post, path = "/me/second-factor/confirm", tag = "me", request_body = Code, responses((status = 200, body = RecoveryCodes)))]
pub(super) async fn confirm_factor(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<Code>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let recovery_codes = state.inner.accounts.confirm_second_factor(caller.by(), &asked.code).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// New recovery codes in place of the old ones.
#[utoipa::path(post, path = "/me/second-factor/recovery-codes", tag = "me", request_body = Proof, responses((status = 200, body = RecoveryCodes)))]
pub(super) async fn new_codes(
    State(state): State<WebState>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let recovery_codes = state.inner.accounts.new_recovery_codes(caller.by(), &proof.password, &proof.code).await?;
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// Turns the second factor off.
#[utoipa::path(post, path = "/me/second-factor/off", tag = "me", request_body = Proof, responses((status = 204)))]
pub(super) async fn stop_factor(
    State(state): State<WebState>,
    caller: Caller,
    Body(proof): Body<Proof>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.stop_second_factor(caller.by(), &proof.password, &proof.code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What one has done, and what was done to one.
#[utoipa::path(get, path = "/me/activity", tag = "me", params(Paging), responses((status = 200, body = Audit)))]
pub(super) async fn activity(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Audit>, Problem> {
    let Query(asked) = query?;
    Ok(Json(state.inner.accounts.activity(&caller.user, asked.cursor.as_deref(), asked.limit).await?.into()))
}
