//! Who one is: the name to show, what one keeps, the password, leaving.

use super::super::enter::done_sign_in;
use super::super::inner::{Place, Section, Told};
use super::super::storage::Storage;
use super::super::{Frame, failed, render};
use super::{done, form};
use crate::web::problem::Problem;
use crate::web::session::{self, Visitor};
use crate::web::text::{self, Language, fill, kept, words};
use crate::web::{WebState, format};
use apps::accounts::RecoveryState;
use apps::{AccountError, User};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "settings/profile.html")]
struct Page {
    frame: Frame,
    place: Place,
    storage: Storage,
    languages: [Language; Language::ALL.len()],
    /// As it was chosen in this browser.
    chosen: Option<Language>,
    recovery: Recovery,
}

/// The address that a link for a new password goes to.
struct Recovery {
    /// One can be given, or is there.
    offered: bool,
    /// The one that holds, in words.
    now: String,
    /// One that waits to be confirmed, in words.
    pending: String,
    /// There is one to be removed.
    some: bool,
}

impl Recovery {
    fn of(state: RecoveryState, mail: bool) -> Recovery {
        let text = words();
        let some = state.address.is_some() || state.pending.is_some();
        let now = state.address.map_or(text.recovery_none.to_string(), |(address, since)| {
            fill(text.recovery_now, &[("address", &address), ("date", &format::date(since))])
        });
        let pending = state.pending.map(|address| fill(text.recovery_pending, &[("address", &address)]));
        Recovery { offered: mail || some, now, pending: pending.unwrap_or_default(), some }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct NewAddress {
    #[serde(default)]
    address: String,
    password: String,
}

/// Empty: as the browser asks.
#[derive(Deserialize)]
pub(in crate::web) struct Chosen {
    language: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Display {
    display: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct NewPassword {
    old: String,
    password: String,
    again: String,
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller.user, &headers, StatusCode::OK, |place| place.told(&told)).await
}

async fn page(
    state: &WebState,
    user: &User,
    headers: &HeaderMap,
    status: StatusCode,
    say: impl FnOnce(Place) -> Place,
) -> Response {
    let kept = async {
        let used = state.inner.drives.usage(user.drive).await.map_err(Problem::from)?.bytes;
        let accounts = &state.inner.accounts;
        let (recovery, mail) = futures::try_join!(accounts.recovery(user.id), accounts.sends_mail())?;
        Ok::<_, Problem>((used, accounts.quota_of(user).await?, Recovery::of(recovery, mail)))
    };
    let (used, quota, recovery) = match kept.await {
        Ok(kept) => kept,
        Err(problem) => return failed(problem),
    };
    let place = say(Place::at(user, Section::Profile));
    let chosen = session::cookie(headers, text::COOKIE).and_then(Language::of_code);
    let (frame, storage) = (Frame::new(), Storage::of(used, quota));
    render(status, &Page { frame, place, storage, languages: Language::ALL, chosen, recovery })
}

async fn refused(state: &WebState, user: &User, headers: &HeaderMap, problem: Problem) -> Response {
    page(state, user, headers, problem.status, |place| place.failed(&problem)).await
}

/// Changes the name to show.
pub(in crate::web) async fn rename(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<Display>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.change_display(caller.by(), asked.display.trim()).await {
        Ok(_) => done(Section::Profile, "saved"),
        Err(error) => refused(&state, &caller.user, &headers, error.into()).await,
    }
}

/// Keeps the language of this browser.
pub(in crate::web) async fn language(
    State(state): State<WebState>,
    Visitor(_): Visitor,
    asked: Result<Form<Chosen>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let mut response = done(Section::Profile, "saved");
    session::put_language(&mut response, Language::of_code(&asked.language), state.tls);
    response
}

/// Changes the password. This browser stays signed in, under a new cookie.
pub(in crate::web) async fn change_password(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<NewPassword>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    if asked.password != asked.again {
        let mut problem = Problem::bad_request(words().password_mismatch);
        problem.action = "";
        return refused(&state, &caller.user, &headers, problem).await;
    }
    match state.inner.accounts.change_password(caller.by(), &asked.old, &asked.password).await {
        Ok(session) => {
            let mut response = done(Section::Profile, "password");
            session::set_cookie(&mut response, &session, state.tls);
            response
        }
        Err(AccountError::DoneSignIn) => {
            let mut response = done_sign_in();
            session::clear_cookie(&mut response, state.tls);
            response
        }
        Err(error) => refused(&state, &caller.user, &headers, error.into()).await,
    }
}

/// Has an address confirmed.
pub(in crate::web) async fn set_recovery(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<NewAddress>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let language = Language::now().code();
    match state.inner.accounts.set_recovery(caller.by(), &asked.password, &asked.address, language).await {
        Ok(()) => done(Section::Profile, "mailed"),
        Err(error) => refused(&state, &caller.user, &headers, error.into()).await,
    }
}

/// Uses none any more.
pub(in crate::web) async fn remove_recovery(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<NewAddress>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.remove_recovery(caller.by(), &asked.password, Language::now().code()).await {
        Ok(()) => done(Section::Profile, "removed"),
        Err(error) => refused(&state, &caller.user, &headers, error.into()).await,
    }
}

#[derive(Template)]
#[template(path = "settings/leave.html")]
struct Leave {
    frame: Frame,
    place: Place,
    goes: Vec<String>,
    /// A code is asked for, too.
    factor: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct Proof {
    password: String,
    #[serde(default)]
    code: String,
}

/// What goes with the account.
pub(in crate::web) async fn leaving(State(state): State<WebState>, Visitor(caller): Visitor) -> Response {
    leave_page(&state, &caller.user, StatusCode::OK, |place| place).await
}

async fn leave_page(state: &WebState, user: &User, status: StatusCode, say: impl FnOnce(Place) -> Place) -> Response {
    let accounts = &state.inner.accounts;
    let found =
        async { Ok::<_, AccountError>((accounts.leaving(user).await?, accounts.second_factor(user.id).await?)) };
    let (leaving, factor) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let text = words();
    let counted = |text, count: usize| fill(text, &[("count", &count.to_string())]);
    let mut goes: Vec<String> = leaving.estates.iter().map(kept).collect();
    goes.push(counted(text.leave_sessions, leaving.sessions));
    goes.push(counted(text.leave_app_passwords, leaving.app_passwords));
    let place = say(Place::at(user, Section::Profile));
    render(status, &Leave { frame: Frame::new(), place, goes, factor: factor.since.is_some() })
}

/// Removes the account, for good.
pub(in crate::web) async fn leave(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Proof>, FormRejection>,
) -> Response {
    let proof = match form(asked) {
        Ok(proof) => proof,
        Err(response) => return *response,
    };
    let code = Some(proof.code.trim()).filter(|code| !code.is_empty());
    match state.inner.accounts.delete_account(caller.by(), &proof.password, code).await {
        Ok(()) => {
            let mut response = Redirect::to("/login?done=left").into_response();
            session::clear_cookie(&mut response, state.tls);
            response
        }
        Err(error) => {
            let problem = Problem::from(error);
            leave_page(&state, &caller.user, problem.status, |place| place.failed(&problem)).await
        }
    }
}
