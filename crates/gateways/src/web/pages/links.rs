//! What links that an administrator gives lead to, and signing up without one.

use super::enter::{Enter, Entered, done_sign_in, message, wrong_link};
use super::failed;
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::{self, Caller, From};
use crate::web::text::{fill, words};
use apps::accounts::{LinkPurpose, SignUp};
use apps::{AccountError, Device, NewUser, Role};
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

type Typed = Result<Form<Entered>, FormRejection>;

fn typed(form: Typed) -> Result<Entered, Box<Response>> {
    form.map(|Form(form)| form).map_err(|error| Box::new(failed(Problem::bad_request(error.body_text()))))
}

/// What is wrong with a link, or with asking.
fn refused(error: AccountError) -> Response {
    match error {
        AccountError::WrongLink => wrong_link(),
        AccountError::SignUpOff | AccountError::InvitationNeeded => {
            let (title, lead) = (words().sign_up_closed_title, words().sign_up_closed_lead);
            message(StatusCode::FORBIDDEN, title, lead, ("/login", words().sign_in))
        }
        AccountError::DoneSignIn => done_sign_in(),
        error => failed(error.into()),
    }
}

fn joining(status: StatusCode, typed: Option<&Entered>, error: &str, invited: bool) -> Response {
    let (title, lead) = match invited {
        true => (words().join_title, words().join_lead),
        false => (words().sign_up_title, words().sign_up_lead),
    };
    let name = Some(typed.map_or("", |typed| typed.name.trim()));
    let display = Some(typed.map_or("", |typed| typed.display.trim()));
    let submit = words().sign_up;
    Enter { title, lead, submit, error, name, display, sign_in: true, ..Enter::new("join") }.show(status)
}

/// The form behind an invitation.
pub(in crate::web) async fn invited(State(state): State<WebState>, Path(secret): Path<String>) -> Response {
    match state.inner.accounts.check_link(&secret).await {
        Ok(LinkPurpose::Invitation) => joining(StatusCode::OK, None, "", true),
        Ok(_) => wrong_link(),
        Err(error) => refused(error),
    }
}

/// The form for everybody, where everybody may.
pub(in crate::web) async fn sign_up(State(state): State<WebState>, caller: Result<Caller, Problem>) -> Response {
    if caller.is_ok() {
        return Redirect::to("/").into_response();
    }
    match state.inner.accounts.policy().await {
        Ok(policy) if policy.sign_up == SignUp::Open => joining(StatusCode::OK, None, "", false),
        Ok(_) => refused(AccountError::InvitationNeeded),
        Err(error) => failed(error.into()),
    }
}

pub(in crate::web) async fn join_invited(
    State(state): State<WebState>,
    Path(secret): Path<String>,
    From(device): From,
    form: Typed,
) -> Response {
    join(&state, Some(&secret), device, form).await
}

pub(in crate::web) async fn join_open(State(state): State<WebState>, From(device): From, form: Typed) -> Response {
    join(&state, None, device, form).await
}

async fn join(state: &WebState, secret: Option<&str>, device: Device, form: Typed) -> Response {
    let form = match typed(form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    if form.password != form.again {
        return joining(StatusCode::BAD_REQUEST, Some(&form), words().password_mismatch, secret.is_some());
    }
    let (name, display) = (form.name.trim().to_string(), form.display.trim().to_string());
    let new = NewUser { name, display, password: form.password.clone(), role: Role::User, quota: None };
    match state.inner.accounts.sign_up(secret, new, device).await {
        Ok(session) => {
            let mut response = Redirect::to("/").into_response();
            session::set_cookie(&mut response, &session, state.tls);
            response
        }
        Err(
            error @ (AccountError::WrongLink
            | AccountError::SignUpOff
            | AccountError::InvitationNeeded
            | AccountError::DoneSignIn),
        ) => refused(error),
        Err(error) => {
            let problem = Problem::from(error);
            joining(problem.status, Some(&form), &problem.message, secret.is_some())
        }
    }
}

fn resetting(status: StatusCode, account: &str, error: &str) -> Response {
    let lead = fill(words().reset_lead, &[("name", account)]);
    let (title, submit, account) = (words().reset_title, words().reset_submit, Some(account));
    Enter { title, lead: &lead, submit, error, account, ..Enter::new("reset") }.show(status)
}

/// The form behind a link that sets a password anew.
pub(in crate::web) async fn reset(State(state): State<WebState>, Path(secret): Path<String>) -> Response {
    match state.inner.accounts.check_link(&secret).await {
        Ok(LinkPurpose::Reset { name }) => resetting(StatusCode::OK, &name, ""),
        Ok(_) => wrong_link(),
        Err(error) => refused(error),
    }
}

pub(in crate::web) async fn set_password(
    State(state): State<WebState>,
    Path(secret): Path<String>,
    From(device): From,
    form: Typed,
) -> Response {
    let form = match typed(form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let accounts = &state.inner.accounts;
    // Whose it is, the link says; what the form says is for the browser.
    let name = match accounts.check_link(&secret).await {
        Ok(LinkPurpose::Reset { name }) => name,
        Ok(_) => return wrong_link(),
        Err(error) => return refused(error),
    };
    if form.password != form.again {
        return resetting(StatusCode::BAD_REQUEST, &name, words().password_mismatch);
    }
    match accounts.reset_password(&secret, &form.password, device).await {
        Ok(_) => {
            let (title, lead) = (words().reset_done_title, words().reset_done_lead);
            message(StatusCode::OK, title, lead, ("/login", words().sign_in))
        }
        Err(AccountError::WrongLink) => wrong_link(),
        Err(error) => {
            let problem = Problem::from(error);
            resetting(problem.status, &name, &problem.message)
        }
    }
}
