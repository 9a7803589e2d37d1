//! The relay that mails are given to.

use super::super::inner::{Place, Section, Told};
use super::super::settings::{done, form};
use super::super::{Frame, failed, render};
use super::allowed;
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{Language, fill, words};
use crate::web::{WebState, format};
use apps::accounts::{NewRelay, Relay, RelayStatus, RelayTls};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "people/mail.html")]
struct Page {
    frame: Frame,
    place: Place,
    /// There is a relay.
    on: bool,
    /// What was heard of it, in sentences.
    state: Vec<String>,
    ways: [(&'static str, &'static str); 3],
    typed: Typed,
}

/// The relay as it is typed.
#[derive(Clone, Deserialize)]
pub(in crate::web) struct Typed {
    host: String,
    port: u16,
    tls: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    from: String,
    site: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct To {
    to: String,
}

impl Typed {
    fn empty() -> Typed {
        let nothing = String::new;
        let tls = RelayTls::Implicit.as_str().to_string();
        Typed {
            host: nothing(),
            port: 465,
            tls,
            user: nothing(),
            password: nothing(),
            from: nothing(),
            site: nothing(),
        }
    }

    fn of(relay: Relay) -> Typed {
        let from = relay.sender();
        let (tls, password) = (relay.tls.as_str().to_string(), String::new());
        Typed { host: relay.host, port: relay.port, tls, user: relay.user, password, from, site: relay.site }
    }
}

fn told(status: RelayStatus) -> Vec<String> {
    let text = words();
    let mut state = Vec::new();
    state.push(match status.sent {
        Some(at) => fill(text.mail_sent, &[("date", &format::date(at))]),
        None => text.mail_unused.to_string(),
    });
    if let Some((at, why)) = status.failed {
        state.push(fill(text.mail_failed, &[("date", &format::date(at)), ("why", &why)]));
    }
    if status.waiting > 0 {
        state.push(fill(text.mail_waiting, &[("count", &status.waiting.to_string())]));
    }
    state
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller, StatusCode::OK, None, |place| place.told(&told)).await
}

/// `typed`: what could not be taken, to be typed on.
async fn page(
    state: &WebState,
    caller: &Caller,
    status: StatusCode,
    typed: Option<Typed>,
    say: impl FnOnce(Place) -> Place,
) -> Response {
    let found = match state.inner.accounts.relay(&caller.user).await {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let text = words();
    let ways = [
        (RelayTls::Implicit.as_str(), text.mail_tls_implicit),
        (RelayTls::StartTls.as_str(), text.mail_tls_starttls),
        (RelayTls::Plain.as_str(), text.mail_tls_none),
    ];
    let on = found.is_some();
    let (relay, heard) = match found {
        Some((relay, heard)) => (Typed::of(relay), told(heard)),
        None => (Typed::empty(), vec![text.mail_none.to_string()]),
    };
    let place = say(Place::at(&caller.user, Section::Mail));
    render(status, &Page { frame: Frame::new(), place, on, state: heard, ways, typed: typed.unwrap_or(relay) })
}

pub(in crate::web) async fn set(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Typed>, FormRejection>,
) -> Response {
    let typed = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(typed) => typed,
        Err(response) => return *response,
    };
    let again = Typed { password: String::new(), ..typed.clone() };
    let set = async {
        let tls = typed.tls.parse().map_err(|why: &str| Problem::bad_request(why))?;
        let password = Some(typed.password).filter(|password| !password.is_empty());
        let Typed { host, port, user, from, site, .. } = typed;
        let new = NewRelay { host, port, tls, user, password, from, site };
        state.inner.accounts.set_relay(caller.by(), new).await.map_err(Problem::from)
    };
    match set.await {
        Ok(()) => done(Section::Mail, "saved"),
        Err(problem) => page(&state, &caller, problem.status, Some(again), |place| place.failed(&problem)).await,
    }
}

/// Sends a test message, and waits for what the relay says.
pub(in crate::web) async fn test(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<To>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.test_relay(caller.by(), &asked.to, Language::now().code()).await {
        Ok(()) => done(Section::Mail, "tested"),
        Err(error) => {
            let mut problem = Problem::from(error);
            problem.action = "";
            page(&state, &caller, problem.status, None, |place| place.failed(&problem)).await
        }
    }
}

pub(in crate::web) async fn off(State(state): State<WebState>, Visitor(caller): Visitor) -> Response {
    match state.inner.accounts.forget_relay(caller.by()).await {
        Ok(()) => done(Section::Mail, "removed"),
        Err(error) => {
            let problem = Problem::from(error);
            if problem.status == StatusCode::FORBIDDEN {
                return failed(problem);
            }
            page(&state, &caller, problem.status, None, |place| place.failed(&problem)).await
        }
    }
}
