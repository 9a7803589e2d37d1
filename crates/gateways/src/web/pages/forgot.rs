//! Who forgot their password, and confirming the address that a link for a new one goes to.

use super::enter::{message, wrong_link};
use super::{Frame, failed, render};
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::From;
use crate::web::text::{Language, fill, words};
use apps::AccountError;
use apps::accounts::LinkPurpose;
use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::Response;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "forgot.html")]
struct Forgot<'a> {
    frame: Frame,
    who: &'a str,
    error: &'a str,
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct Recovery {
    frame: Frame,
    lead: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Who {
    who: String,
}

/// The form; where mail is sent.
pub(in crate::web) async fn show(State(state): State<WebState>) -> Response {
    match state.inner.accounts.sends_mail().await {
        Ok(true) => render(StatusCode::OK, &Forgot { frame: Frame::new(), who: "", error: "" }),
        Ok(false) => failed(AccountError::NoRelay.into()),
        Err(error) => failed(error.into()),
    }
}

/// The same answer for everybody: whether there is such an account is told in its mailbox alone.
pub(in crate::web) async fn ask(
    State(state): State<WebState>,
    From(device): From,
    form: Result<Form<Who>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    match state.inner.accounts.forgot_password(&form.who, &device, Language::now().code()).await {
        Ok(()) => {
            let (title, lead) = (words().forgot_done_title, words().forgot_done_lead);
            message(StatusCode::OK, title, lead, ("/login", words().sign_in))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let page = Forgot { frame: Frame::new(), who: form.who.trim(), error: &problem.message };
            let mut response = render(problem.status, &page);
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

/// Asks once more: programs that look at mails for their readers open links, too.
pub(in crate::web) async fn recovery(State(state): State<WebState>, Path(secret): Path<String>) -> Response {
    match state.inner.accounts.check_link(&secret).await {
        Ok(LinkPurpose::Address { name, address }) => {
            let lead = fill(words().recovery_confirm_lead, &[("name", &name), ("address", &address)]);
            render(StatusCode::OK, &Recovery { frame: Frame::new(), lead })
        }
        Ok(_) | Err(AccountError::WrongLink) => wrong_link(),
        Err(error) => failed(error.into()),
    }
}

/// The address is theirs: nobody else has the link.
pub(in crate::web) async fn confirm(
    State(state): State<WebState>,
    Path(secret): Path<String>,
    From(device): From,
) -> Response {
    match state.inner.accounts.confirm_recovery(&secret, device, Language::now().code()).await {
        Ok(user) => {
            let lead = fill(words().recovery_done_lead, &[("name", &user.name)]);
            message(StatusCode::OK, words().recovery_done_title, &lead, ("/", words().back_to_drive))
        }
        Err(AccountError::WrongLink) => wrong_link(),
        Err(error) => failed(error.into()),
    }
}
