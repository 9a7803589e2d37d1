//! What guests download: each that begins is counted before its first byte leaves.

use super::{Guest, Place, refused};
use crate::web::api::{send_archive, send_file, send_thumbnail};
use crate::web::problem::Problem;
use crate::web::stage;
use crate::web::zip::{Still, Top};
use crate::web::{WebState, text::words};
use apps::DriveError;
use apps::drive::Started;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::http::header::{self, HeaderMap};
use axum::response::Response;
use serde::Deserialize;

#[derive(Default, Deserialize)]
pub(in crate::web) struct At {
    #[serde(default)]
    pub path: String,
}

type Asked = Result<Query<At>, QueryRejection>;

/// One file.
pub(in crate::web) async fn file(
    State(state): State<WebState>,
    Path(token): Path<String>,
    super::From(device): Place,
    method: Method,
    mut headers: HeaderMap,
    query: Asked,
) -> Response {
    // What a guest has is told by no condition: each answer with a body is a download.
    headers.remove(header::IF_NONE_MATCH);
    let done = async {
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let started = begin(&state, &guest, query, &method, &headers).await?;
        let open = started.open.ok_or_else(|| DriveError::NotFound { path: String::new() })?;
        send_file(&state.inner.drives, &state.inner.guests.downloads, open, None, &method, &headers).await
    };
    answer(done.await, &token)
}

/// One file for the page that shows it. What a guest looks at counts as a download, within an hour once.
pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Path(token): Path<String>,
    super::From(device): Place,
    method: Method,
    mut headers: HeaderMap,
    query: Asked,
) -> Response {
    headers.remove(header::IF_NONE_MATCH);
    let done = async {
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let Query(asked) = query?;
        let started = match method == Method::HEAD {
            true => state.inner.drives.guest_look(&guest.link, &asked.path).await?,
            false => guest.look(&state, &asked.path).await?,
        };
        let open = started.open;
        let open = open.ok_or_else(|| DriveError::NotFound { path: String::new() })?;
        let shown = stage::media(&state, guest.link.drive, &open).await?.inline();
        send_file(&state.inner.drives, &state.inner.guests.downloads, open, shown, &method, &headers).await
    };
    answer(done.await, &token)
}

/// A small picture of a file, where downloads are not counted.
pub(in crate::web) async fn thumbnail(
    State(state): State<WebState>,
    Path(token): Path<String>,
    super::From(device): Place,
    headers: HeaderMap,
    query: Asked,
) -> Response {
    let done = async {
        let pace = &state.inner.guests.pictures;
        let guest = Guest::within(pace, &state, &token, &headers, &device).await?.unlocked()?;
        let Query(asked) = query?;
        let (drives, link) = (&state.inner.drives, &guest.link);
        let entry = drives.guest_stat(link, &asked.path).await?;
        let file = entry.file().filter(|_| guest.shows_pictures(&entry));
        let file = file.ok_or_else(|| DriveError::NotFound { path: String::new() })?;
        Ok(send_thumbnail(drives.thumbnail(link.drive, file.version).await?)?)
    };
    answer(done.await, &token)
}

/// A folder, with all that is in it.
pub(in crate::web) async fn archive(
    State(state): State<WebState>,
    Path(token): Path<String>,
    super::From(device): Place,
    method: Method,
    headers: HeaderMap,
    query: Asked,
) -> Response {
    let done = async {
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let started = begin(&state, &guest, query, &method, &HeaderMap::new()).await?;
        let name = started.entry.name.clone();
        let tops = vec![Top::Of(started.parent, Box::new(started.entry))];
        let (archives, still) = (&state.inner.guests.archives, still(&state, &token, &headers));
        send_archive(&state, archives, (guest.link.drive, tops), still, &name, &method).await
    };
    answer(done.await, &token)
}

/// The link lets its guest in. Where that cannot be told just now, it is taken to be so.
fn still(state: &WebState, token: &str, headers: &HeaderMap) -> Still {
    let (state, token, headers) = (state.clone(), token.to_string(), headers.clone());
    Box::new(move || {
        let (state, token, headers) = (state.clone(), token.clone(), headers.clone());
        Box::pin(async move {
            match Guest::again(&state, &token, &headers).await {
                Ok(_) => true,
                Err(problem) => !problem.status.is_client_error(),
            }
        })
    })
}

/// Looking at the headers alone is no download.
async fn begin(
    state: &WebState,
    guest: &Guest,
    query: Asked,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Started, Problem> {
    let Query(asked) = query?;
    let (drives, link) = (&state.inner.drives, &guest.link);
    let guest_id = guest.proof.map(|proof| proof.guest);
    if *method == Method::HEAD {
        return Ok(drives.guest_look(link, &asked.path).await?);
    }
    let resumed = headers.contains_key(header::RANGE);
    Ok(drives.guest_download(link, &asked.path, guest_id, resumed).await?)
}

fn answer(done: Result<Response, Problem>, token: &str) -> Response {
    match done {
        Ok(response) => response,
        // To the page that asks for it.
        Err(problem) if problem.kind == "password_needed" => {
            use axum::response::IntoResponse;
            axum::response::Redirect::to(&crate::web::api::link_address(token)).into_response()
        }
        Err(problem) if problem.kind == "not_found" => {
            refused(Problem::new(problem.status, problem.kind, words().not_found_lead, ""), None)
        }
        Err(problem) => refused(problem, None),
    }
}
