//! The relay that mails are given to, for administrators. That the caller is one is tested by each act itself.

use super::types::Body;
use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::Caller;
use crate::web::text::Language;
use apps::accounts;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How mail is sent.
#[derive(Serialize, ToSchema)]
pub(super) struct Mail {
    /// Null: none is.
    relay: Option<Relay>,
    /// When the relay last took a mail.
    sent: Option<u64>,
    /// When it last did not.
    failed: Option<u64>,
    /// Why it did not.
    failure: Option<String>,
    /// Mails that wait to be sent.
    waiting: u64,
}

/// The server of mail that takes this cluster's mails. Its password is kept and never shown.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Relay {
    host: String,
    port: u16,
    /// `implicit`, `starttls`, or `none`, which is for a relay on the same machine.
    tls: String,
    /// Empty: it asks for none.
    #[serde(default)]
    user: String,
    /// In a change alone. Absent: as it is, for the same user at the same place.
    #[serde(default, skip_serializing)]
    password: Option<String>,
    /// Such as `Our cloud <cloud@example.org>`.
    from: String,
    /// Links in mails begin with it: `https://cloud.example.org`.
    site: String,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct TestMail {
    to: String,
}

/// How mail is sent, and whether it was.
#[utoipa::path(get, path = "/settings/mail", tag = "users", responses((status = 200, body = Mail)))]
pub(super) async fn show(State(state): State<WebState>, caller: Caller) -> Result<Json<Mail>, Problem> {
    let Some((relay, status)) = state.inner.accounts.relay(&caller.user).await? else {
        return Ok(Json(Mail { relay: None, sent: None, failed: None, failure: None, waiting: 0 }));
    };
    let (from, tls) = (relay.sender(), relay.tls.as_str().to_string());
    let accounts::Relay { host, port, user, site, .. } = relay;
    let relay = Some(Relay { host, port, tls, user, password: None, from, site });
    let (failed, failure) = status.failed.map(|(at, why)| (at.0, why)).unzip();
    Ok(Json(Mail { relay, sent: status.sent.map(|at| at.0), failed, failure, waiting: status.waiting }))
}

/// Sets the relay up.
#[utoipa::path(put, path = "/settings/mail", tag = "users", request_body = Relay, responses((status = 204)))]
pub(super) async fn set(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<Relay>,
) -> Result<StatusCode, Problem> {
    let tls = asked.tls.parse().map_err(|why: &str| Problem::bad_request(why))?;
    let Relay { host, port, user, password, from, site, .. } = asked;
    let new = accounts::NewRelay { host, port, tls, user, password, from, site };
    state.inner.accounts.set_relay(caller.by(), new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends no mail any more.
#[utoipa::path(delete, path = "/settings/mail", tag = "users", responses((status = 204)))]
pub(super) async fn off(State(state): State<WebState>, caller: Caller) -> Result<StatusCode, Problem> {
    state.inner.accounts.forget_relay(caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test message, and answers what the relay said: 204 if it has taken it.
#[utoipa::path(post, path = "/settings/mail/test", tag = "users", request_body = TestMail, responses((status = 204)))]
pub(super) async fn test(
    State(state): State<WebState>,
    caller: Caller,
    Body(asked): Body<TestMail>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.test_relay(caller.by(), &asked.to, Language::now().code()).await?;
    Ok(StatusCode::NO_CONTENT)
}
