//! Signing in and out, by plain forms.

use super::{Frame, failed, render};
use crate::web::problem::Problem;
use crate::web::session::{self, Caller, From};
use crate::web::text::words;
use crate::web::{WebState, url};
use apps::AccountError;
use apps::accounts::SignUp;
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    frame: Frame,
    name: &'a str,
    next: &'a str,
    error: &'a str,
    setup_pending: bool,
    /// What was done just before.
    done: &'a str,
    /// A link for a new password can be mailed.
    forgot: bool,
    /// Anybody may make an account.
    sign_up: bool,
    /// The password was right; a code is asked for.
    challenge: &'a str,
}

#[derive(Deserialize)]
pub(in crate::web) struct Next {
    #[serde(default)]
    next: String,
    /// What was done just before: `left`.
    #[serde(default)]
    done: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct SignIn {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    /// Of the first step, in the second.
    #[serde(default)]
    challenge: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

impl Login<'_> {
    fn new() -> Login<'static> {
        let frame = Frame::new();
        let (setup_pending, forgot, sign_up) = (false, false, false);
        Login { frame, name: "", next: "/", error: "", setup_pending, done: "", forgot, sign_up, challenge: "" }
    }
}

fn wait(mut response: Response, seconds: Option<u64>) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    caller: Result<Caller, Problem>,
    query: Result<Query<Next>, QueryRejection>,
) -> Response {
    let (next, done) = query.map(|Query(query)| (query.next, query.done)).unwrap_or_default();
    let next = url::safe_next(&next);
    if caller.is_ok() {
        return Redirect::to(next).into_response();
    }
    // The page itself needs nothing of the cluster; the hints do.
    let accounts = &state.inner.accounts;
    let (setup_pending, policy, forgot) =
        futures::join!(accounts.setup_pending(), accounts.policy(), accounts.sends_mail());
    let sign_up = policy.is_ok_and(|policy| policy.sign_up == SignUp::Open);
    let setup_pending = setup_pending.unwrap_or(false);
    let done = if done == "left" { words().leave_done } else { "" };
    render(
        StatusCode::OK,
        &Login { next, setup_pending, done, forgot: forgot.unwrap_or(false), sign_up, ..Login::new() },
    )
}

pub(in crate::web) async fn submit(
    State(state): State<WebState>,
    From(device): From,
    form: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let name = form.name.trim();
    let accounts = &state.inner.accounts;
    let session = match form.challenge.is_empty() {
        true => accounts.sign_in(name, &form.password, device).await,
        false => accounts.sign_in_with_code(&form.challenge, &form.code, device).await,
    };
    let (challenge, problem) = match &session {
        Err(AccountError::CodeNeeded { challenge }) => (challenge.as_str(), None),
        Ok(_) | Err(AccountError::ChallengeOver) => ("", None),
        // What passes does not end the second step.
        Err(error) => (form.challenge.as_str(), Some(Problem::from(error.clone()))),
    };
    if !challenge.is_empty() {
        let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.status);
        let error = problem.as_ref().map_or("", |problem| problem.message.as_str());
        let next = url::safe_next(&form.next);
        let page = Login { name, next, error, challenge, ..Login::new() };
        return wait(render(status, &page), problem.as_ref().and_then(|problem| problem.retry_after));
    }
    match session {
        Ok(session) => {
            let mut response = Redirect::to(url::safe_next(&form.next)).into_response();
            session::set_cookie(&mut response, &session, state.tls);
            response
        }
        Err(error) => {
            let problem = Problem::from(error);
            let next = url::safe_next(&form.next);
            // It is then that people find that they have forgotten it.
            let forgot = accounts.sends_mail().await.unwrap_or(false);
            let page = Login { name, next, error: &problem.message, forgot, ..Login::new() };
            wait(render(problem.status, &page), problem.retry_after)
        }
    }
}

pub(in crate::web) async fn sign_out(State(state): State<WebState>, headers: HeaderMap) -> Response {
    match session::sign_out(&state, &headers).await {
        Ok(()) | Err(AccountError::NotSignedIn) => {
            let mut response = Redirect::to("/login").into_response();
            session::clear_cookie(&mut response, state.tls);
            response
        }
        // Not said to be done when it is not.
        Err(error) => failed(error.into()),
    }
}
