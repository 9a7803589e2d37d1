//! The first administrator, by the link that the first start prints.

use super::{Frame, Message, failed, render};
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::{self, From};
use crate::web::text::ENGLISH;
use apps::AccountError;
use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup<'a> {
    frame: Frame,
    name: &'a str,
    error: &'a str,
}

#[derive(Deserialize)]
pub(in crate::web) struct First {
    name: String,
    password: String,
    again: String,
}

fn page(status: StatusCode, name: &str, error: &str) -> Response {
    render(status, &Setup { frame: Frame::new(), name, error })
}

fn over(status: StatusCode, lead: &str) -> Response {
    let page = Message {
        frame: Frame::new(),
        title: ENGLISH.setup_over_title,
        lead,
        action: "",
        link: "/login",
        link_text: ENGLISH.sign_in,
        id: "",
        refresh: None,
    };
    render(status, &page)
}

/// Whether the link is good is told when it is used: looking does not help to guess.
pub(in crate::web) async fn show(State(state): State<WebState>) -> Response {
    match state.inner.accounts.setup_pending().await {
        Ok(true) => page(StatusCode::OK, "", ""),
        Ok(false) => {
            let problem = Problem::from(AccountError::SetupDone);
            over(StatusCode::GONE, &problem.message)
        }
        Err(error) => failed(error.into()),
    }
}

pub(in crate::web) async fn submit(
    State(state): State<WebState>,
    Path(secret): Path<String>,
    From(device): From,
    form: Result<Form<First>, FormRejection>,
) -> Response {
    let form = match form {
        Ok(Form(form)) => form,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let name = form.name.trim();
    if form.password != form.again {
        return page(StatusCode::BAD_REQUEST, name, ENGLISH.setup_mismatch);
    }
    match state.inner.accounts.complete_setup(&secret, name, &form.password, device).await {
        Ok(session) => {
            let mut response = Redirect::to("/").into_response();
            session::set_cookie(&mut response, &session, &state.inner.settings);
            response
        }
        Err(error @ AccountError::SetupDone) => over(StatusCode::GONE, &Problem::from(error).message),
        Err(error) => {
            let problem = Problem::from(error);
            page(problem.status, name, &problem.message)
        }
    }
}
