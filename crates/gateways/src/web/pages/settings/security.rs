//! The second factor.

use super::super::inner::{Place, Section, ShownOnce, Told};
use super::super::{Frame, failed, render};
use super::{done, form};
use crate::web::problem::Problem;
use crate::web::session::Visitor;
use crate::web::text::{fill, words};
use crate::web::{WebState, format};
use apps::accounts::NewFactor;
use apps::{AccountError, User};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "settings/security.html")]
struct Page {
    frame: Frame,
    place: Place,
    on: bool,
    /// In words.
    state: String,
    /// Begun, and waits to be confirmed.
    new: Option<Begun>,
}

struct Begun {
    secret: String,
    address: String,
    /// The address as a QR code, in SVG of our own making: numbers only.
    picture: String,
}

impl Begun {
    fn new(secret: String, address: String) -> Begun {
        let code = QrCode::new(address.as_bytes());
        let picture = code.map(|code| code.render::<svg::Color<'_>>().min_dimensions(220, 220).build());
        // An address that is too long for a picture can still be typed.
        Begun { picture: picture.unwrap_or_default(), secret, address }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct Password {
    password: String,
    #[serde(default)]
    code: String,
}

/// The code, and what the page showed, so that it can show it again after a slip.
#[derive(Deserialize)]
pub(in crate::web) struct Code {
    code: String,
    secret: String,
    address: String,
}

impl Code {
    fn begun(self) -> Option<Begun> {
        let fits = self.address.starts_with("otpauth://totp/") && self.address.len() <= 1024 && self.secret.len() <= 64;
        fits.then(|| Begun::new(self.secret, self.address))
    }
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller.user, StatusCode::OK, None, |place| place.told(&told)).await
}

async fn page(
    state: &WebState,
    user: &User,
    status: StatusCode,
    new: Option<Begun>,
    say: impl FnOnce(Place) -> Place,
) -> Response {
    let factor = match state.inner.accounts.second_factor(user.id).await {
        Ok(factor) => factor,
        Err(error) => return failed(error.into()),
    };
    let words = factor.since.map(|since| {
        let (date, codes) = (format::date(since), factor.recovery_codes.to_string());
        fill(words().factor_on, &[("date", &date), ("codes", &codes)])
    });
    let place = say(Place::at(user, Section::Security));
    let page = Page { frame: Frame::new(), place, on: words.is_some(), state: words.unwrap_or_default(), new };
    render(status, &page)
}

async fn refused(state: &WebState, user: &User, problem: Problem) -> Response {
    page(state, user, problem.status, None, |place| place.failed(&problem)).await
}

/// A secret for the authenticator program.
pub(in crate::web) async fn begin(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Password>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.begin_second_factor(caller.by(), &asked.password).await {
        Ok(NewFactor { secret, address }) => {
            page(&state, &caller.user, StatusCode::OK, Some(Begun::new(secret, address)), |place| place).await
        }
        Err(error) => refused(&state, &caller.user, error.into()).await,
    }
}

fn codes(user: &User, codes: Vec<String>) -> Response {
    let page = ShownOnce {
        frame: Frame::new(),
        place: Place::at(user, Section::Security),
        title: words().recovery_codes,
        lead: words().recovery_codes_lead.to_string(),
        secrets: codes,
        details: Vec::new(),
        guides: Vec::new(),
        back: Section::Security.url(),
    };
    render(StatusCode::OK, &page)
}

/// Turns it on.
pub(in crate::web) async fn confirm(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Code>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.confirm_second_factor(caller.by(), asked.code.trim()).await {
        Ok(made) => codes(&caller.user, made),
        Err(error @ AccountError::WrongCode) => {
            let problem = Problem::from(error);
            page(&state, &caller.user, problem.status, asked.begun(), |place| place.failed(&problem)).await
        }
        Err(error) => refused(&state, &caller.user, error.into()).await,
    }
}

/// New recovery codes; the old ones open nothing any more.
pub(in crate::web) async fn new_codes(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Password>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.new_recovery_codes(caller.by(), &asked.password, asked.code.trim()).await {
        Ok(made) => codes(&caller.user, made),
        Err(error) => refused(&state, &caller.user, error.into()).await,
    }
}

/// Turns it off.
pub(in crate::web) async fn off(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Password>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    match state.inner.accounts.stop_second_factor(caller.by(), &asked.password, asked.code.trim()).await {
        Ok(()) => done(Section::Security, "factor-off"),
        Err(error) => refused(&state, &caller.user, error.into()).await,
    }
}
