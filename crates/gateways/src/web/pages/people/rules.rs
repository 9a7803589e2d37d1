//! What holds for all accounts.

use super::super::inner::{Place, Section, Told};
use super::super::settings::{done, form};
use super::super::{Frame, failed, render};
use super::{allowed, quota};
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::words;
use apps::accounts::{Policy, SignUp, typed_size};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "people/rules.html")]
struct Page {
    frame: Frame,
    place: Place,
    ways: [(&'static str, &'static str); 3],
    sign_up: &'static str,
    quota: String,
    users_max: u64,
    audit_days: u32,
    drive_quota: String,
    drives_max: u32,
}

#[derive(Deserialize)]
pub(in crate::web) struct Rules {
    sign_up: String,
    #[serde(default)]
    quota: String,
    users: u64,
    days: u32,
    #[serde(default)]
    drive_quota: String,
    /// Absent in a form of an older release: this and the quota of drives stay.
    drives: Option<u32>,
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    if let Err(response) = allowed(&caller.user) {
        return *response;
    }
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller, StatusCode::OK, |place| place.told(&told)).await
}

async fn page(state: &WebState, caller: &Caller, status: StatusCode, say: impl FnOnce(Place) -> Place) -> Response {
    let policy = match state.inner.accounts.policy().await {
        Ok(policy) => policy,
        Err(error) => return failed(error.into()),
    };
    let text = words();
    let ways = [
        (SignUp::Off.as_str(), text.sign_up_off),
        (SignUp::Invitation.as_str(), text.sign_up_invitation),
        (SignUp::Open.as_str(), text.sign_up_open),
    ];
    let page = Page {
        frame: Frame::new(),
        place: say(Place::at(&caller.user, Section::Rules)),
        ways,
        sign_up: policy.sign_up.as_str(),
        quota: policy.quota.map(typed_size).unwrap_or_default(),
        users_max: policy.users_max,
        audit_days: policy.audit_days,
        drive_quota: policy.drive_quota.map(typed_size).unwrap_or_default(),
        drives_max: policy.drives_max,
    };
    render(status, &page)
}

pub(in crate::web) async fn set(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Rules>, FormRejection>,
) -> Response {
    let asked = match allowed(&caller.user).and_then(|()| form(asked)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let set = async {
        let sign_up = asked.sign_up.parse().map_err(|why: &str| Problem::bad_request(why))?;
        let now = state.inner.accounts.policy().await?;
        let policy = Policy {
            sign_up,
            quota: quota(&asked.quota)?,
            audit_days: asked.days,
            users_max: asked.users,
            drive_quota: if asked.drives.is_some() { quota(&asked.drive_quota)? } else { now.drive_quota },
            drives_max: asked.drives.unwrap_or(now.drives_max),
        };
        state.inner.accounts.set_policy(caller.by(), policy).await.map_err(Problem::from)
    };
    match set.await {
        Ok(()) => done(Section::Rules, "saved"),
        Err(problem) => page(&state, &caller, problem.status, |place| place.failed(&problem)).await,
    }
}
