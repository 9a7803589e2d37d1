//! Everybody, and making accounts.

use super::super::inner::{Place, Section};
use super::super::settings::form;
use super::super::storage::Storage;
use super::super::{Frame, failed, render};
use super::{allowed, link, quota, role, role_name};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::{WebState, format, url};
use apps::{NewUser, User};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

/// People on a page.
const PEOPLE: u32 = 200;

#[derive(Template)]
#[template(path = "people/list.html")]
struct List {
    frame: Frame,
    place: Place,
    people: Vec<(Person, Storage)>,
    more: Option<String>,
    /// A name that could not be taken.
    typed: String,
}

/// Somebody, in words.
pub(super) struct Person {
    pub url: String,
    pub name: String,
    pub display: String,
    pub role: &'static str,
    pub administers: bool,
    pub since: String,
    pub disabled: bool,
}

impl Person {
    pub fn of(user: &User) -> Person {
        Person {
            url: address(&user.name),
            name: user.name.clone(),
            display: user.display.clone(),
            role: role_name(user.role),
            administers: user.role == apps::Role::Administrator,
            since: format::date(user.created),
            disabled: user.disabled,
        }
    }
}

/// The page of somebody.
pub(super) fn address(name: &str) -> String {
    format!("/people/of/{}", url::encode(name))
}

#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    done: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct New {
    name: String,
    #[serde(default)]
    display: String,
    role: String,
    #[serde(default)]
    quota: String,
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    page(&state, &caller, StatusCode::OK, &asked.cursor, "", |place| place.told(&asked.done)).await
}

async fn page(
    state: &WebState,
    caller: &Caller,
    status: StatusCode,
    cursor: &str,
    typed: &str,
    say: impl FnOnce(Place) -> Place,
) -> Response {
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    let found = match state.inner.accounts.list(&caller.user, cursor, PEOPLE).await {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let kept = async {
        let used = state.inner.drives.used(found.items.iter().map(|user| user.drive)).await.map_err(Problem::from)?;
        Ok((used, state.inner.accounts.policy().await.map_err(Problem::from)?.quota))
    };
    let (used, usual) = match kept.await {
        Ok(kept) => kept,
        Err(problem) => return failed(problem),
    };
    let storage = |user: &User, used| Storage::of(used, user.quota.or(usual));
    let page = List {
        frame: Frame::new(),
        place: say(Place::at(&caller.user, Section::People)),
        people: found.items.iter().zip(used).map(|(user, used)| (Person::of(user), storage(user, used))).collect(),
        more: found.next.map(|next| format!("/people?cursor={}", url::encode(&next))),
        typed: typed.to_string(),
    };
    render(status, &page)
}

/// Makes an account; its link, by which the person sets a password, is shown this once.
pub(in crate::web) async fn add(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<New>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let name = asked.name.trim().to_string();
    let made = async {
        let (role, quota) = (role(&asked.role)?, quota(&asked.quota)?);
        let (name, display) = (name.clone(), asked.display.trim().to_string());
        let new = NewUser { name, display, password: String::new(), role, quota };
        state.inner.accounts.create_user_by_link(caller.by(), new).await.map_err(Problem::from)
    };
    match made.await {
        Ok((user, secret)) => {
            let tls = state.tls;
            link(&caller.user, &headers, tls, Section::People, "reset", (&user.display, &secret))
        }
        Err(problem) => page(&state, &caller, problem.status, "", &name, |place| place.failed(&problem)).await,
    }
}
