//! Somebody's account.

use super::super::inner::{Place, Section, Told};
use super::super::settings::form;
use super::super::{Frame, failed, render};
use super::list::{Person, address};
use super::{allowed, link, quota, role};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{fill, kept, words};
use crate::web::{WebState, format};
use apps::AccountError;
use apps::accounts::{UserChange, typed_size};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "people/person.html")]
struct Page {
    frame: Frame,
    place: Place,
    person: Person,
    /// It is the caller's own: what one does to oneself asks for one's password, elsewhere.
    own: bool,
    quota: String,
    factor: String,
    has_factor: bool,
    /// Whether a link for a new password can be mailed, in words.
    recovery: String,
    /// What would go with the account.
    keeps: Vec<String>,
}

#[derive(Deserialize)]
pub(in crate::web) struct Change {
    #[serde(default)]
    display: String,
    role: String,
    #[serde(default)]
    quota: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Again {
    again: String,
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller, &name, StatusCode::OK, |place| place.told(&told)).await
}

async fn page(
    state: &WebState,
    caller: &Caller,
    name: &str,
    status: StatusCode,
    say: impl FnOnce(Place) -> Place,
) -> Response {
    let accounts = &state.inner.accounts;
    let found = async {
        let user = accounts.find_for(&caller.user, name).await?;
        let (factor, leaving) = (accounts.second_factor(user.id).await?, accounts.leaving(&user).await?);
        let recovery = accounts.recovery(user.id).await?;
        Ok::<_, AccountError>((user, factor, leaving, recovery))
    };
    let (user, factor, leaving, recovery) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let factor_words =
        factor.since.map_or(words().off.to_string(), |since| fill(words().on_since, &[("date", &format::date(since))]));
    let page = Page {
        frame: Frame::new(),
        place: say(Place::at(&caller.user, Section::People)),
        person: Person::of(&user),
        own: user.id == caller.user.id,
        quota: user.quota.map(typed_size).unwrap_or_default(),
        factor: factor_words,
        has_factor: factor.since.is_some(),
        // That there is one; which is theirs to tell.
        recovery: recovery.address.map_or(words().recovery_none.to_string(), |(_, since)| {
            fill(words().recovery_confirmed, &[("date", &format::date(since))])
        }),
        keeps: leaving.estates.iter().map(kept).collect(),
    };
    render(status, &page)
}

async fn answer(state: &WebState, caller: &Caller, name: &str, result: Result<(), Problem>) -> Response {
    match result {
        Ok(()) => Redirect::to(&format!("{}?done=saved", address(name))).into_response(),
        Err(problem) if problem.status == StatusCode::FORBIDDEN => failed(problem),
        Err(problem) => page(state, caller, name, problem.status, |place| place.failed(&problem)).await,
    }
}

pub(in crate::web) async fn change(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    asked: Result<Form<Change>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let result = async {
        let display = Some(asked.display.trim().to_string()).filter(|display| !display.is_empty());
        let (role, quota) = (Some(role(&asked.role)?), Some(quota(&asked.quota)?));
        let change = UserChange { display, role, disabled: None, quota };
        state.inner.accounts.change_user(caller.by(), &name, change).await.map(drop).map_err(Problem::from)
    };
    let result = result.await;
    answer(&state, &caller, &name, result).await
}

/// One of the acts that need nothing typed.
pub(in crate::web) async fn act(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path((name, act)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let accounts = &state.inner.accounts;
    let disabled = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
    let result = match act.as_str() {
        "reset" => match accounts.make_reset_link(caller.by(), &name).await {
            Ok(secret) => {
                let tls = state.tls;
                return link(&caller.user, &headers, tls, Section::People, "reset", (&name, &secret));
            }
            Err(error) => Err(error),
        },
        "sign-out" => accounts.end_sessions_of(caller.by(), &name, None).await.map(drop),
        "clear-factor" => accounts.clear_second_factor(caller.by(), &name).await.map(drop),
        "disable" => accounts.change_user(caller.by(), &name, disabled(true)).await.map(drop),
        "enable" => accounts.change_user(caller.by(), &name, disabled(false)).await.map(drop),
        _ => return super::super::not_found().await,
    };
    answer(&state, &caller, &name, result.map_err(Problem::from)).await
}

/// Removes the account, for good, once its name was typed again.
pub(in crate::web) async fn remove(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    asked: Result<Form<Again>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    if asked.again.trim() != name {
        let problem = Problem::bad_request(words().remove_mismatch);
        return answer(&state, &caller, &name, Err(problem)).await;
    }
    match state.inner.accounts.remove_user(caller.by(), &name).await {
        Ok(_) => super::super::settings::done(Section::People, "removed"),
        Err(error) => answer(&state, &caller, &name, Err(error.into())).await,
    }
}
