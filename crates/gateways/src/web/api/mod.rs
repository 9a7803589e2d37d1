//! `/api/v1`: JSON for our scripts and for others'. Each error is `{error: {kind, message, action, outcome, id}}`.

mod accounts;
mod acts;
mod archive;
mod download;
mod drive;
mod drives;
mod links;
mod thumbnail;
mod upload;

pub(super) use archive::send as send_archive;
pub(super) use download::send as send_file;
pub(super) use drive::OrderJson;
pub(super) use links::{Change, Make, ModeJson, address as link_address, change_of, make, take_back};
pub(super) use thumbnail::answer as send_thumbnail;
pub(super) use upload::{drain, media_type, whole};

use super::WebState;
use super::problem::Problem;
use super::text::words;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post, put};

pub(super) fn routes() -> Router<WebState> {
    let (accounts, description) = accounts::routes().split_for_parts();
    let description = description.to_json().unwrap_or_default();
    let description = move || std::future::ready(([(CONTENT_TYPE, "application/json")], description.clone()));
    accounts
        .route("/openapi.json", get(description))
        .route("/discovery", get(super::health::discovery))
        .nest("/drive", drive_routes())
        .route("/drive/links", get(links::list).post(links::create).patch(links::change).delete(links::revoke))
        .route("/drives", get(drives::list).post(drives::create))
        .route("/drives/{drive}", get(drives::show).patch(drives::change).delete(drives::delete))
        .route("/drives/{drive}/members", get(drives::members))
        .route("/drives/{drive}/members/{name}", put(drives::put_member).delete(drives::remove_member))
        .nest("/drives/{drive}", drive_routes())
        .fallback(nothing)
        .method_not_allowed_fallback(bad_method)
}

/// What is in a drive: the caller's own, or the one that is named before.
fn drive_routes() -> Router<WebState> {
    // Uploads are passed on as they come: their length is for the disks to bound.
    let file = get(download::download).put(upload::upload).delete(drive::remove);
    Router::new()
        .route("/list", get(drive::list))
        .route("/entry", get(drive::stat))
        .route("/view", get(download::view))
        .route("/thumbnail", get(thumbnail::thumbnail))
        .route("/file", file.layer(DefaultBodyLimit::disable()))
        .route(
            "/archive",
            get(archive::by_query).post(archive::by_form).layer(DefaultBodyLimit::max(acts::BATCH_BYTES_MAX)),
        )
        .route("/folder", post(drive::make_folder))
        .route("/move", post(drive::rename))
        .route("/copy", post(drive::copy))
        .route("/batch", post(acts::batch).layer(DefaultBodyLimit::max(acts::BATCH_BYTES_MAX)))
        .route("/search", get(drive::search))
        .route("/trash", get(acts::trash).delete(acts::purge))
        .route("/trash/restore", post(acts::restore))
        .route("/trash/empty", post(acts::empty))
        .route("/versions", get(acts::versions).delete(acts::remove_version))
        .route("/versions/restore", post(acts::restore_version))
        .route("/jobs", get(acts::jobs))
        .route("/job", get(acts::job))
        .route("/job/cancel", post(acts::cancel_job))
        .route("/usage", get(drive::usage))
}

async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", words().no_such_page, words().do_rejected)
}

async fn bad_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad_method", words().bad_method, words().do_rejected)
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::bad_request(rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Problem::new(status, "too_large", words().too_large, words().do_rejected);
        }
        Problem::bad_request(rejection.body_text())
    }
}
