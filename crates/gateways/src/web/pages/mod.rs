//! Pages for people: complete without scripts, better with them.

pub(super) mod details;
pub(super) mod drive;
pub(super) mod drives;
mod enter;
pub(super) mod forgot;
mod inner;
pub(super) mod links;
pub(super) mod log;
pub(super) mod login;
mod look;
pub(super) mod members;
pub(super) mod people;
mod personal;
pub(super) mod reference;
pub(super) mod search;
pub(super) mod settings;
pub(super) mod setup;
pub(super) mod share;
mod spot;
mod storage;
pub(super) mod trash;
pub(super) mod view;
mod ways;

pub(super) use inner::is_inner;

use super::problem::{Face, Problem};
use super::text::{Language, Text, words};
use super::{WebState, assets};
use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

/// Pages about accounts, and those of the drive beside its folders.
pub(super) fn routes() -> Router<WebState> {
    use people::{invitations, list, mail, person, rules};
    use settings::{devices, profile, security};
    Router::new()
        .merge(of_a_drive(""))
        .route("/starred", get(personal::starred))
        .route("/recent", get(personal::recent))
        .route("/drives", get(drives::show).post(drives::make))
        .route("/drives/{drive}", get(drives::to_root))
        .route("/drives/{drive}/", get(drive::root))
        .route("/drives/{drive}/members", get(members::show).post(members::add))
        .route("/drives/{drive}/members/role", post(members::role))
        .route("/drives/{drive}/members/remove", post(members::remove))
        .route("/drives/{drive}/members/name", post(members::rename))
        .route("/drives/{drive}/members/quota", post(members::quota))
        .route("/drives/{drive}/members/delete", post(members::delete))
        .merge(of_a_drive("/drives/{drive}"))
        .route("/join/{secret}", get(links::invited).post(links::join_invited))
        .route("/sign-up", get(links::sign_up).post(links::join_open))
        .route("/reset/{secret}", get(links::reset).post(links::set_password))
        .route("/forgot", get(forgot::show).post(forgot::ask))
        .route("/recovery/{secret}", get(forgot::recovery).post(forgot::confirm))
        .route("/settings", get(profile::show))
        .route("/settings/profile", post(profile::rename))
        .route("/settings/language", post(profile::language))
        .route("/settings/password", post(profile::change_password))
        .route("/settings/recovery", post(profile::set_recovery))
        .route("/settings/recovery/remove", post(profile::remove_recovery))
        .route("/settings/leave", get(profile::leaving).post(profile::leave))
        .route("/settings/security", get(security::show))
        .route("/settings/security/begin", post(security::begin))
        .route("/settings/security/confirm", post(security::confirm))
        .route("/settings/security/codes", post(security::new_codes))
        .route("/settings/security/off", post(security::off))
        .route("/settings/devices", get(devices::show))
        .route("/settings/devices/sign-out", post(devices::sign_out))
        .route("/settings/devices/sign-out-others", post(devices::sign_out_others))
        .route("/settings/devices/connect", post(devices::connect))
        .route("/settings/devices/remove", post(devices::remove))
        .route("/settings/activity", get(log::own))
        .route("/people", get(list::show).post(list::add))
        .route("/people/of/{name}", get(person::show).post(person::change))
        .route("/people/of/{name}/remove", post(person::remove))
        .route("/people/of/{name}/{act}", post(person::act))
        .route("/people/invitations", get(invitations::show).post(invitations::invite))
        .route("/people/invitations/take-back", post(invitations::take_back))
        .route("/people/rules", get(rules::show).post(rules::set))
        .route("/people/mail", get(mail::show).post(mail::set))
        .route("/people/mail/test", post(mail::test))
        .route("/people/mail/off", post(mail::off))
        .route("/people/log", get(log::all))
}

/// Pages and forms of a drive: one's own, or the one that `base` names. Not nested: whoever has to sign in first comes back to
/// the whole address.
fn of_a_drive(base: &str) -> Router<WebState> {
    let at = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&at("/drive"), get(drive::root))
        .route(&at("/drive/"), get(drive::root))
        .route(&at("/drive/{*path}"), get(drive::folder))
        .route(&at("/view/{*path}"), get(view::show))
        .route(&at("/details"), get(details::show))
        .route(&at("/star"), post(personal::star))
        .route(&at("/details/restore"), post(details::restore))
        .route(&at("/search"), get(search::show))
        .route(&at("/share"), get(share::show).post(share::make))
        .route(&at("/share/change"), post(share::change))
        .route(&at("/share/revoke"), post(share::revoke))
        .route(&at("/trash"), get(trash::show))
        .route(&at("/trash/restore"), post(trash::restore))
        .route(&at("/trash/purge"), post(trash::purge))
        .route(&at("/trash/empty"), post(trash::empty))
        .route(&at("/trash/put-back"), post(trash::put_back))
        .route(&at("/trash/let-go"), post(trash::let_go))
        .route(&at("/forms/upload"), post(super::forms::upload))
        .route(&at("/forms/folder"), post(super::forms::folder))
}

/// What every page shows.
pub(super) struct Frame {
    pub text: &'static Text,
    /// Part of the assets' addresses.
    pub assets: &'static str,
}

impl Frame {
    pub fn new() -> Frame {
        let language = Language::now();
        Frame { text: language.words(), assets: assets::version(language) }
    }
}

/// A few words and a way on.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    title: &'a str,
    lead: &'a str,
    action: &'a str,
    link: &'a str,
    link_text: &'a str,
    id: &'a str,
    /// Goes there by itself.
    refresh: Option<&'a str>,
}

pub(super) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, words().something_failed).into_response()
        }
    }
}

/// A problem as a page.
pub(super) fn problem(problem: &Problem) -> Response {
    let not_found = problem.status == StatusCode::NOT_FOUND;
    let waiting = problem.status == StatusCode::SERVICE_UNAVAILABLE;
    let text = words();
    let title = match problem.status {
        StatusCode::NOT_FOUND => text.not_found_title,
        StatusCode::FORBIDDEN => text.forbidden_title,
        _ if waiting => text.unavailable_title,
        _ => text.something_failed,
    };
    // Nobody needs to look into that.
    let plain = not_found || problem.kind == "forbidden";
    let page = Message {
        frame: Frame::new(),
        title,
        lead: if not_found { text.not_found_lead } else { &problem.message },
        action: if plain { "" } else { problem.action },
        link: if problem.status == StatusCode::UNAUTHORIZED { "/login" } else { "/" },
        link_text: if problem.status == StatusCode::UNAUTHORIZED { text.sign_in } else { text.back_to_drive },
        id: if plain { "" } else { &problem.id },
        // Whoever only looked looks again by itself: see `guard`.
        refresh: None,
    };
    render(problem.status, &page)
}

/// The same, for someone who looks at a page.
pub(super) fn failed(problem: Problem) -> Response {
    let waiting = problem.retry_after.map(HeaderValue::from);
    let mut response = problem.face(Face::Page).into_response();
    if let Some(seconds) = waiting {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// The same address again, from a page of ours.
pub(super) fn once_more(uri: &str) -> Response {
    let text = words();
    let uri = super::url::safe_next(uri);
    let (title, lead) = (text.loading, "");
    let page = Message {
        frame: Frame::new(),
        title,
        lead,
        action: "",
        link: uri,
        link_text: text.open,
        id: "",
        refresh: Some(uri),
    };
    render(StatusCode::OK, &page)
}

pub(super) async fn not_found() -> Response {
    failed(Problem::new(StatusCode::NOT_FOUND, "not_found", words().no_such_page, ""))
}

pub(super) async fn bad_method() -> Response {
    failed(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad_method", words().bad_method, words().do_rejected))
}
