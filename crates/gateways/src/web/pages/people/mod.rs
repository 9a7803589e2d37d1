//! Other people's accounts, for administrators. Each act of `apps::Accounts` judges by itself whether the caller may.

pub(in crate::web) mod invitations;
pub(in crate::web) mod list;
pub(in crate::web) mod mail;
pub(in crate::web) mod person;
pub(in crate::web) mod rules;

use super::failed;
use super::inner::{Place, Section, ShownOnce};
use super::{Frame, render};
use crate::web::problem::Problem;
use crate::web::text::{fill, words};
use apps::accounts::parse_size;
use apps::{Role, Token, User};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

/// A quota as it is typed: nothing is as for everybody.
fn quota(typed: &str) -> Result<Option<u64>, Problem> {
    let typed = typed.trim();
    if typed.is_empty() { Ok(None) } else { parse_size(typed).map(Some).map_err(Problem::bad_request) }
}

fn role(typed: &str) -> Result<Role, Problem> {
    typed.parse().map_err(|why: &str| Problem::bad_request(why))
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => words().role_user,
        Role::Administrator => words().role_administrator,
    }
}

/// These pages are for administrators: others are told so, before anything is read for them.
fn allowed(user: &User) -> Result<(), Box<Response>> {
    if user.is_administrator() {
        return Ok(());
    }
    let error = apps::AccountError::Forbidden { what: words().look_after_people };
    Err(Box::new(failed(error.into())))
}

/// A link to be given to somebody, shown this once.
fn link(
    user: &User,
    headers: &HeaderMap,
    tls: bool,
    section: Section,
    path: &str,
    (name, secret): (&str, &Token),
) -> Response {
    // Where the administrator sees this page, others will find it.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let scheme = if tls { "https" } else { "http" };
    let address = format!("{scheme}://{host}/{path}/{}", secret.as_str());
    let (title, lead) = match path {
        "join" => (words().invitation_made, words().invitation_made_lead),
        _ => (words().reset_link_made, words().reset_link_made_lead),
    };
    let page = ShownOnce {
        frame: Frame::new(),
        place: Place::at(user, section),
        title,
        lead: fill(lead, &[("name", name)]),
        secrets: vec![address],
        details: Vec::new(),
        guides: Vec::new(),
        back: section.url(),
    };
    render(StatusCode::OK, &page)
}
