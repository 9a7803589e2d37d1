//! Signing in and out, by plain forms.

use super::{Frame, failed, render};
use crate::web::problem::Problem;
use crate::web::session::{self, Caller, From};
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
    /// Anybody may make an account.
    sign_up: bool,
    /// The password was right; a code is asked for.
    challenge: &'a str,
}

#[derive(Deserialize)]
pub(in crate::web) struct Next {
    #[serde(default)]
    next: String,
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

fn page(status: StatusCode, name: &str, next: &str, error: &str, (setup_pending, sign_up): (bool, bool)) -> Response {
    let next = url::safe_next(next);
    render(status, &Login { frame: Frame::new(), name, next, error, setup_pending, sign_up, challenge: "" })
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
    let next = query.map(|Query(query)| query.next).unwrap_or_default();
    if caller.is_ok() {
        return Redirect::to(url::safe_next(&next)).into_response();
    }
    // The page itself needs nothing of the cluster; the hints do.
    let accounts = &state.inner.accounts;
    let (setup_pending, policy) = futures::join!(accounts.setup_pending(), accounts.policy());
    let sign_up = policy.is_ok_and(|policy| policy.sign_up == SignUp::Open);
    page(StatusCode::OK, "", &next, "", (setup_pending.unwrap_or(false), sign_up))
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
        let page = Login { frame: Frame::new(), name, next, error, setup_pending: false, sign_up: false, challenge };
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
            wait(page(problem.status, name, &form.next, &problem.message, (false, false)), problem.retry_after)
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
