//! Signing in and out.

use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::{self, Caller, From};
use apps::User;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(in crate::web) struct SignIn {
    name: String,
    password: String,
    /// For programs: the token in the answer rather than in a cookie.
    #[serde(default)]
    bearer: bool,
}

fn person(user: &User) -> Value {
    json!({ "name": user.name, "display": user.display, "role": user.role.as_str() })
}

pub(in crate::web) async fn show(caller: Caller) -> Json<Value> {
    Json(json!({ "user": person(&caller.user) }))
}

pub(in crate::web) async fn sign_in(
    State(state): State<WebState>,
    From(device): From,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(asked) = body?;
    let session = state.inner.accounts.sign_in(&asked.name, &asked.password, device).await?;
    let mut answer = json!({ "user": person(&session.user), "expires": session.expires.0 });
    if asked.bearer {
        answer["token"] = Value::from(session.token.as_str());
        return Ok(Json(answer).into_response());
    }
    let mut response = Json(answer).into_response();
    session::set_cookie(&mut response, &session, &state.inner.settings);
    Ok(response)
}

pub(in crate::web) async fn sign_out(State(state): State<WebState>, headers: HeaderMap) -> Result<Response, Problem> {
    session::sign_out(&state, &headers).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    session::clear_cookie(&mut response, &state.inner.settings);
    Ok(response)
}
