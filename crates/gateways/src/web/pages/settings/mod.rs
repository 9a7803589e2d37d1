//! One's own account, for its owner.

pub(in crate::web) mod devices;
pub(in crate::web::pages) mod guides;
pub(in crate::web) mod profile;
pub(in crate::web) mod security;

use super::failed;
use super::inner::Section;
use crate::web::problem::Problem;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};

/// What was typed, or a page that says what is wrong with the request.
pub(super) fn form<T>(asked: Result<Form<T>, FormRejection>) -> Result<T, Box<Response>> {
    asked.map(|Form(asked)| asked).map_err(|error| Box::new(failed(Problem::bad_request(error.body_text()))))
}

/// Back to the page, which says that it was done: loading it again does nothing again.
pub(super) fn done(section: Section, what: &str) -> Response {
    Redirect::to(&format!("{}?done={what}", section.url())).into_response()
}
