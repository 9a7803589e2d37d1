//! What was done to accounts, the latest first: one's own, or, for administrators, everybody's.

use super::inner::{Place, Section};
use super::{Frame, failed, render};
use crate::web::format;
use crate::web::problem::Problem;
use crate::web::session::Visitor;
use crate::web::text::words;
use crate::web::{WebState, url};
use apps::accounts::AuditLine;
use apps::{AccountError, Page};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

/// Lines on a page.
const LINES: u32 = 100;

#[derive(Template)]
#[template(path = "log.html")]
struct Log {
    frame: Frame,
    place: Place,
    title: &'static str,
    /// Where it can be asked for.
    about: Option<String>,
    lines: Vec<Line>,
    more: Option<String>,
}

struct Line {
    date: String,
    machine_date: String,
    action: String,
    detail: String,
    who: String,
    address: String,
}

impl From<AuditLine> for Line {
    fn from(line: AuditLine) -> Line {
        let who = match (line.actor_name.is_empty(), line.actor_name == line.subject_name) {
            (true, _) | (_, true) => line.subject_name,
            _ if line.subject_name.is_empty() => line.actor_name,
            _ => format!("{} → {}", line.actor_name, line.subject_name),
        };
        Line {
            date: format::date(line.at),
            machine_date: format::machine_date(line.at),
            action: line.action,
            detail: line.detail,
            who,
            address: line.address,
        }
    }
}

#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    about: String,
}

impl Asked {
    fn cursor(&self) -> Option<&str> {
        Some(self.cursor.as_str()).filter(|cursor| !cursor.is_empty())
    }
}

fn page(place: Place, title: &'static str, about: Option<String>, found: Page<AuditLine>, here: Section) -> Response {
    let more = found.next.map(|next| {
        let about = about.as_deref().filter(|about| !about.is_empty());
        let about = about.map(|about| format!("&about={}", url::encode(about))).unwrap_or_default();
        format!("{}?cursor={}{about}", here.url(), url::encode(&next))
    });
    let lines = found.items.into_iter().map(Line::from).collect();
    render(StatusCode::OK, &Log { frame: Frame::new(), place, title, about, lines, more })
}

/// What one has done, and what was done to one.
pub(in crate::web) async fn own(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    match state.inner.accounts.activity(&caller.user, asked.cursor(), LINES).await {
        Ok(found) => {
            let here = Section::Activity;
            page(Place::at(&caller.user, here), words().settings_activity, None, found, here)
        }
        Err(error) => failed(error.into()),
    }
}

/// Everybody's.
pub(in crate::web) async fn all(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let about = asked.about.trim();
    let about_whom = Some(about).filter(|about| !about.is_empty());
    match state.inner.accounts.audit(&caller.user, about_whom, asked.cursor(), LINES).await {
        Ok(found) => {
            let here = Section::Log;
            page(Place::at(&caller.user, here), words().log, Some(about.to_string()), found, here)
        }
        Err(error @ AccountError::BadName { .. }) => {
            let here = Section::Log;
            let mut problem = Problem::from(error);
            problem.action = "";
            let place = Place::at(&caller.user, here).failed(&problem);
            page(place, words().log, Some(about.to_string()), Page { items: Vec::new(), next: None }, here)
        }
        Err(error) => failed(error.into()),
    }
}
