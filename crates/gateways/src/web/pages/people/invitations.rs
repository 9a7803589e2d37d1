//! Invitations.

use super::super::inner::{Place, Section, Told};
use super::super::settings::{done, form};
use super::super::{Frame, failed, render};
use super::{allowed, link, quota, role, role_name};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{fill, words};
use crate::web::{WebState, format};
use apps::accounts::{Invitation, NewInvitation};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use std::time::Duration;

const DAY: u64 = 24 * 3600;
/// Days that an invitation can last.
const DAYS_MAX: u64 = 90;

#[derive(Template)]
#[template(path = "people/invitations.html")]
struct Page {
    frame: Frame,
    place: Place,
    invitations: Vec<Row>,
}

struct Row {
    id: String,
    note: String,
    role: &'static str,
    words: String,
}

impl From<Invitation> for Row {
    fn from(made: Invitation) -> Row {
        let values = [("by", made.by.as_str()), ("expires", &format::date(made.expires))];
        let told = fill(words().invitation_words, &values);
        let note = if made.note.is_empty() { words().invitation_for_anybody.to_string() } else { made.note };
        Row { id: made.id, note, role: role_name(made.role), words: told }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct New {
    #[serde(default)]
    note: String,
    role: String,
    #[serde(default)]
    quota: String,
    days: u64,
}

#[derive(Deserialize)]
pub(in crate::web) struct Which {
    id: String,
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller, StatusCode::OK, |place| place.told(&told)).await
}

async fn page(state: &WebState, caller: &Caller, status: StatusCode, say: impl FnOnce(Place) -> Place) -> Response {
    match state.inner.accounts.invitations(&caller.user).await {
        Ok(found) => {
            let place = say(Place::at(&caller.user, Section::Invitations));
            let invitations = found.into_iter().map(Row::from).collect();
            render(status, &Page { frame: Frame::new(), place, invitations })
        }
        Err(error) => failed(error.into()),
    }
}

/// Makes one; its link is shown this once.
pub(in crate::web) async fn invite(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<New>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let made = async {
        let valid = Duration::from_secs(asked.days.clamp(1, DAYS_MAX) * DAY);
        let (role, quota) = (role(&asked.role)?, quota(&asked.quota)?);
        let new = NewInvitation { role, quota, valid, note: asked.note.trim().to_string() };
        state.inner.accounts.invite(caller.by(), new).await.map_err(Problem::from)
    };
    match made.await {
        Ok((made, secret)) => {
            let tls = state.tls;
            link(&caller.user, &headers, tls, Section::Invitations, "join", (&made.note, &secret))
        }
        Err(problem) => page(&state, &caller, problem.status, |place| place.failed(&problem)).await,
    }
}

pub(in crate::web) async fn take_back(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Which>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.uninvite(caller.by(), &asked.id).await {
        Ok(()) => done(Section::Invitations, "removed"),
        Err(error) => {
            let problem = Problem::from(error);
            page(&state, &caller, problem.status, |place| place.failed(&problem)).await
        }
    }
}
