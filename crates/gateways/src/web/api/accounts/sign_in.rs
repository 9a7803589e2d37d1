//! Coming in: signing in, up and out, and links.

use super::types::{
    Body, CodeNeeded, Forgotten, LinkFound, LinkSecret, Person, PublicPolicy, ResetPassword, SignIn, SignInWithCode,
    SignUp, SignedIn, Whoami,
};
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::{self, Caller, From};
use crate::web::text::Language;
use apps::{AccountError, NewUser, Role, Session};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

fn signed_in(state: &WebState, status: StatusCode, session: &Session, bearer: bool) -> Response {
    let mut response = (status, Json(SignedIn::of(session, bearer))).into_response();
    if !bearer {
        session::set_cookie(&mut response, session, state.tls);
    }
    response
}

/// Who one is.
#[utoipa::path(get, path = "/session", tag = "session",
    responses((status = 200, body = Whoami)))]
pub(super) async fn show(caller: Caller) -> Json<Whoami> {
    Json(Whoami { user: (&caller.user).into() })
}

/// Signs in. 202 where a code of the second factor is still to come.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn, security(()),
    responses((status = 200, body = SignedIn), (status = 202, body = CodeNeeded)))]
pub(super) async fn sign_in(
    State(state): State<WebState>,
    From(device): From,
    Body(asked): Body<SignIn>,
) -> Result<Response, Problem> {
    match state.inner.accounts.sign_in(&asked.name, &asked.password, device).await {
        Ok(session) => Ok(signed_in(&state, StatusCode::OK, &session, asked.bearer)),
        Err(AccountError::CodeNeeded { challenge }) => {
            let needed = CodeNeeded { challenge: challenge.as_str().to_string() };
            Ok((StatusCode::ACCEPTED, Json(needed)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// The second step of signing in.
#[utoipa::path(post, path = "/session/code", tag = "session", request_body = SignInWithCode, security(()),
    responses((status = 200, body = SignedIn)))]
pub(super) async fn sign_in_with_code(
    State(state): State<WebState>,
    From(device): From,
    Body(asked): Body<SignInWithCode>,
) -> Result<Response, Problem> {
    let session = state.inner.accounts.sign_in_with_code(&asked.challenge, &asked.code, device).await?;
    Ok(signed_in(&state, StatusCode::OK, &session, asked.bearer))
}

/// Signs out here.
#[utoipa::path(delete, path = "/session", tag = "session",
    responses((status = 204)))]
pub(super) async fn sign_out(State(state): State<WebState>, headers: HeaderMap) -> Result<Response, Problem> {
    session::sign_out(&state, &headers).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    session::clear_cookie(&mut response, state.tls);
    Ok(response)
}

/// Who may sign up.
#[utoipa::path(get, path = "/sign-up", tag = "session", security(()), responses((status = 200, body = PublicPolicy)))]
pub(super) async fn policy(State(state): State<WebState>) -> Result<Json<PublicPolicy>, Problem> {
    let accounts = &state.inner.accounts;
    let sign_up = accounts.policy().await?.sign_up.as_str().to_string();
    Ok(Json(PublicPolicy { sign_up, setup_pending: accounts.setup_pending().await? }))
}

/// Makes one's own account, where the cluster lets one, and signs in.
#[utoipa::path(post, path = "/sign-up", tag = "session", request_body = SignUp, security(()),
    responses((status = 201, body = SignedIn)))]
pub(super) async fn sign_up(
    State(state): State<WebState>,
    From(device): From,
    Body(asked): Body<SignUp>,
) -> Result<Response, Problem> {
    let new =
        NewUser { name: asked.name, display: asked.display, password: asked.password, role: Role::User, quota: None };
    let invitation = asked.invitation.as_deref().filter(|secret| !secret.is_empty());
    let session = state.inner.accounts.sign_up(invitation, new, device).await?;
    Ok(signed_in(&state, StatusCode::CREATED, &session, asked.bearer))
}

/// What a link does, without using it.
#[utoipa::path(post, path = "/links/check", tag = "session", request_body = LinkSecret, security(()),
    responses((status = 200, body = LinkFound)))]
pub(super) async fn check_link(
    State(state): State<WebState>,
    Body(asked): Body<LinkSecret>,
) -> Result<Json<LinkFound>, Problem> {
    Ok(Json(state.inner.accounts.check_link(&asked.secret).await?.into()))
}

/// Sets a password by a link. One signs in with it then.
#[utoipa::path(post, path = "/links/reset", tag = "session", request_body = ResetPassword, security(()),
    responses((status = 200, body = Person)))]
pub(super) async fn reset_password(
    State(state): State<WebState>,
    From(device): From,
    Body(asked): Body<ResetPassword>,
) -> Result<Json<Person>, Problem> {
    let user = state.inner.accounts.reset_password(&asked.secret, &asked.password, device).await?;
    Ok(Json((&user).into()))
}

/// Has a link for a new password mailed to somebody, if there is such an account and its address is confirmed. Whether one is
/// mailed is not told.
#[utoipa::path(post, path = "/links/forgotten", tag = "session", request_body = Forgotten, security(()),
    responses((status = 202)))]
pub(super) async fn forgotten(
    State(state): State<WebState>,
    From(device): From,
    Body(asked): Body<Forgotten>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.forgot_password(&asked.who, &device, Language::now().code()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Confirms an address by the link that was mailed to it.
#[utoipa::path(post, path = "/links/confirm", tag = "session", request_body = LinkSecret, security(()),
    responses((status = 200, body = Person)))]
pub(super) async fn confirm_address(
    State(state): State<WebState>,
    From(device): From,
    Body(asked): Body<LinkSecret>,
) -> Result<Json<Person>, Problem> {
    let user = state.inner.accounts.confirm_recovery(&asked.secret, device, Language::now().code()).await?;
    Ok(Json((&user).into()))
}
