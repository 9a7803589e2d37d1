//! What guests download: each that begins is counted before its first byte leaves.

use super::{Guest, Place, refused, who};
use crate::web::api::{FileBytes, send_archive, send_file, send_thumbnail};
use crate::web::problem::Problem;
use crate::web::stage;
use crate::web::zip::{Still, Top};
use crate::web::{WebState, text::words};
use apps::DriveError;
use apps::drive::{Started, Wanted};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::http::header::{self, HeaderMap};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct At {
    /// Within what the link is to; left out, that itself.
    #[serde(default)]
    #[param(example = "/")]
    pub path: String,
}

type Asked = Result<Query<At>, QueryRejection>;

/// One file, for people.
pub(in crate::web) async fn file(
    state: State<WebState>,
    Path(token): Path<String>,
    device: Place,
    method: Method,
    headers: HeaderMap,
    query: Asked,
) -> Response {
    answer(download(state, Path(token.clone()), device, method, headers, query).await, &token)
}

/// Downloads a file. Counted, as the link's downloads are; but what is resumed within an hour, by `Range` and with the
/// proof that opening gave, is one download.
#[utoipa::path(get, path = "/links/{token}/file", tag = "guests", security(("guest" = []), ()), params(At), responses(
    (status = 200, body = FileBytes, content_type = "*/*"),
    (status = 206, description = "The part that was asked for", body = FileBytes, content_type = "*/*")))]
pub(in crate::web) async fn download(
    State(state): State<WebState>,
    Path(token): Path<String>,
    super::From(device): Place,
    method: Method,
    mut headers: HeaderMap,
    query: Asked,
) -> Result<Response, Problem> {
    // What a guest has is told by no condition: each answer with a body is a download.
    headers.remove(header::IF_NONE_MATCH);
    let guest = Guest::let_in(&state, &token, &headers, &device).await?;
    let Query(asked) = query?;
    let wanted = if headers.contains_key(header::RANGE) { Wanted::Part } else { Wanted::File };
    let started = begin(&state, &guest, &asked.path, &method, wanted).await?;
    let open = started.open.ok_or(DriveError::IsAFolder { path: asked.path })?;
    let downloads = state.inner.guests.downloads.share(who(&device));
    send_file(&state.inner.drives, downloads, open, None, &method, &headers).await
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
        send_file(&state.inner.drives, state.inner.guests.downloads.share(who(&device)), open, shown, &method, &headers)
            .await
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

/// A folder with all that is in it, for people.
pub(in crate::web) async fn archive(
    state: State<WebState>,
    Path(token): Path<String>,
    device: Place,
    method: Method,
    headers: HeaderMap,
    query: Asked,
) -> Response {
    answer(zip(state, Path(token.clone()), device, method, headers, query).await, &token)
}

/// A folder with all that is in it, or a file, as one ZIP archive. Counted as one download.
#[utoipa::path(get, path = "/links/{token}/archive", tag = "guests", security(("guest" = []), ()), params(At),
    responses((status = 200, body = FileBytes, content_type = "application/zip")))]
pub(in crate::web) async fn zip(
    State(state): State<WebState>,
    Path(token): Path<String>,
    super::From(device): Place,
    method: Method,
    headers: HeaderMap,
    query: Asked,
) -> Result<Response, Problem> {
    let guest = Guest::let_in(&state, &token, &headers, &device).await?;
    let Query(asked) = query?;
    let started = begin(&state, &guest, &asked.path, &method, Wanted::Archive).await?;
    let name = started.entry.name.clone();
    let tops = vec![Top::Of(started.parent, Box::new(started.entry))];
    let (archives, still) = (state.inner.guests.archives.share(who(&device)), still(&state, &token, &headers));
    send_archive(&state, archives, (guest.link.drive, tops), still, &name, &method).await
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
    path: &str,
    method: &Method,
    wanted: Wanted,
) -> Result<Started, Problem> {
    let (drives, link) = (&state.inner.drives, &guest.link);
    let guest_id = guest.proof.map(|proof| proof.guest);
    if *method == Method::HEAD {
        return Ok(drives.guest_look(link, path).await?);
    }
    Ok(drives.guest_download(link, path, guest_id, wanted).await?)
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
