//! The form by which somebody gets a password: at set-up, by an invitation, by signing up, by a link that sets one anew.

use super::{Frame, Message, render};
use crate::web::text::words;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

/// What is typed. Fields that a form does not have are empty.
#[derive(Deserialize)]
pub(in crate::web) struct Entered {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub display: String,
    pub password: String,
    pub again: String,
}

/// One of these forms.
#[derive(Template)]
#[template(path = "enter.html")]
pub(super) struct Enter<'a> {
    pub frame: Frame,
    /// Which form it is, for tests.
    pub id: &'static str,
    pub title: &'a str,
    pub lead: &'a str,
    pub submit: &'a str,
    pub error: &'a str,
    /// Whose password it is, where that is known: for the browser's memory of passwords.
    pub account: Option<&'a str>,
    /// Where a name is asked for: what was typed.
    pub name: Option<&'a str>,
    /// Where the name to show is asked for.
    pub display: Option<&'a str>,
    /// Offers to sign in instead.
    pub sign_in: bool,
}

impl Enter<'_> {
    pub fn new(id: &'static str) -> Enter<'static> {
        let frame = Frame::new();
        Enter {
            frame,
            id,
            title: "",
            lead: "",
            submit: "",
            error: "",
            account: None,
            name: None,
            display: None,
            sign_in: false,
        }
    }

    pub fn show(&self, status: StatusCode) -> Response {
        render(status, self)
    }
}

/// A few words, and a way on.
pub(super) fn message(status: StatusCode, title: &str, lead: &str, (link, link_text): (&str, &str)) -> Response {
    let page = Message { frame: Frame::new(), title, lead, action: "", link, link_text, id: "", refresh: None };
    render(status, &page)
}

/// It is done, and is not to be tried again: only the session after it was not begun.
pub(super) fn done_sign_in() -> Response {
    let (title, lead) = (words().done_sign_in_title, words().done_sign_in_lead);
    message(StatusCode::CONFLICT, title, lead, ("/login", words().sign_in))
}

/// The link has been used, has run out, or was never one.
pub(super) fn wrong_link() -> Response {
    let (title, lead) = (words().wrong_link_title, words().wrong_link_lead);
    message(StatusCode::NOT_FOUND, title, lead, ("/login", words().sign_in))
}
