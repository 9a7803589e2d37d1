//! The first administrator, by the link that the first start prints.

use super::enter::{Enter, Entered, done_sign_in, message};
use super::failed;
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::{self, From};
use crate::web::text::words;
use apps::AccountError;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

fn page(status: StatusCode, name: &str, error: &str) -> Response {
    let (title, lead, submit) = (words().setup_title, words().setup_lead, words().setup_submit);
    Enter { title, lead, submit, error, name: Some(name), ..Enter::new("setup") }.show(status)
}

/// The form, for who has the link; nobody else gets to see it.
pub(in crate::web) async fn show(State(state): State<WebState>, Path(secret): Path<String>) -> Response {
    match state.inner.accounts.check_setup_secret(&secret).await {
        Ok(()) => page(StatusCode::OK, "", ""),
        Err(error) => refused(error),
    }
}

/// What is wrong with the link itself.
fn refused(error: AccountError) -> Response {
    match error {
        AccountError::SetupDone => {
            let lead = Problem::from(error).message;
            message(StatusCode::GONE, words().setup_over_title, &lead, ("/login", words().sign_in))
        }
        AccountError::WrongSetupSecret => {
            let (title, lead) = (words().setup_wrong_title, words().setup_wrong_lead);
            message(StatusCode::NOT_FOUND, title, lead, ("/login", words().sign_in))
        }
        error => failed(error.into()),
    }
}

pub(in crate::web) async fn submit(
    State(state): State<WebState>,
    Path(secret): Path<String>,
    From(device): From,
    form: Result<Form<Entered>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let name = form.name.trim();
    if form.password != form.again {
        // Only who has the link gets as far as to be told.
        if let Err(error) = state.inner.accounts.check_setup_secret(&secret).await {
            return refused(error);
        }
        return page(StatusCode::BAD_REQUEST, name, words().password_mismatch);
    }
    match state.inner.accounts.complete_setup(&secret, name, &form.password, device).await {
        Ok(session) => {
            let mut response = Redirect::to("/").into_response();
            session::set_cookie(&mut response, &session, state.tls);
            response
        }
        Err(error @ (AccountError::SetupDone | AccountError::WrongSetupSecret)) => refused(error),
        Err(AccountError::DoneSignIn) => done_sign_in(),
        Err(error) => {
            let problem = Problem::from(error);
            page(problem.status, name, &problem.message)
        }
    }
}
