//! `/api/v1`: JSON for our scripts and for others'. Each error is `{error: {kind, message, action, outcome, id}}`.

mod accounts;
mod acts;
mod archive;
mod copies;
mod description;
mod download;
mod drive;
mod drives;
mod held;
mod links;
pub(super) mod parts;
mod personal;
mod thumbnail;
mod upload;

pub(super) use acts::BATCH_BYTES_MAX;
pub(super) use archive::send as send_archive;
pub(super) use description::{FileBytes, Id, document};
pub(super) use download::send as send_file;
pub(super) use drive::{OrderJson, cursor, stars};
pub(super) use held::let_go_on;
pub(crate) use links::address as link_address;
pub(super) use links::{Change, Make, ModeJson, change_of, judged, make, take_back};
pub(super) use thumbnail::answer as send_thumbnail;
pub(super) use upload::media_type;

use super::WebState;
use super::problem::Problem;
use super::text::words;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use description::Description;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// The routes, and what they say of themselves.
pub(super) fn routes() -> (Router<WebState>, OpenApi) {
    let described = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(description::openapi))
        .routes(routes!(super::health::discovery))
        .merge(accounts::routes())
        .nest("/drive", drive_routes())
        .routes(routes!(personal::starred))
        .routes(routes!(personal::recent))
        .routes(routes!(drives::list, drives::create))
        .routes(routes!(drives::show, drives::change, drives::delete))
        .routes(routes!(drives::members))
        .routes(routes!(drives::put_member, drives::remove_member))
        .nest("/drives/{drive}", drive_routes())
        .merge(super::guests::described());
    let (router, document) = described.split_for_parts();
    (router.fallback(nothing).method_not_allowed_fallback(bad_method), description::complete(document))
}

/// What is in a drive: the caller's own, or the one that is named before.
fn drive_routes() -> OpenApiRouter<WebState> {
    // Uploads are passed on as they come: their length is for the disks to bound.
    let file = routes!(download::download, upload::upload, drive::remove).layer(DefaultBodyLimit::disable());
    let part = routes!(parts::put).layer(DefaultBodyLimit::disable());
    let long = DefaultBodyLimit::max(acts::BATCH_BYTES_MAX);
    OpenApiRouter::new()
        .routes(routes!(drive::list))
        .routes(routes!(drive::stat))
        .routes(routes!(download::view))
        .routes(routes!(thumbnail::thumbnail))
        .routes(routes!(copies::copies, copies::verify))
        .routes(routes!(personal::star, personal::unstar))
        .routes(file)
        .routes(routes!(parts::begin))
        .routes(routes!(parts::show, parts::abort))
        .routes(part)
        .routes(routes!(parts::complete))
        .routes(routes!(archive::by_query, archive::by_form).layer(long))
        .routes(routes!(drive::make_folder))
        .routes(routes!(drive::rename))
        .routes(routes!(drive::copy))
        .routes(routes!(acts::batch).layer(long))
        .routes(routes!(drive::search))
        .routes(routes!(drive::find_text))
        .routes(routes!(acts::trash, acts::purge))
        .routes(routes!(acts::restore))
        .routes(routes!(acts::empty))
        .routes(routes!(held::held))
        .routes(routes!(held::let_go))
        .routes(routes!(held::put_back))
        .routes(routes!(acts::versions, acts::remove_version))
        .routes(routes!(acts::restore_version))
        .routes(routes!(acts::jobs))
        .routes(routes!(acts::job))
        .routes(routes!(acts::cancel_job))
        .routes(routes!(drive::usage))
        .routes(routes!(links::list, links::create, links::change, links::revoke))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Paths that the router answers, by its own telling of itself.
    fn answered() -> BTreeSet<String> {
        let told = format!("{:?}", routes().0);
        let (_, paths) = told.split_once("node: Node { paths: {").expect("the router tells its paths");
        let (paths, _) = paths.split_once("\"}").expect("their end");
        paths.split('"').skip(1).step_by(2).map(str::to_string).collect()
    }

    #[test]
    fn what_is_answered_is_described_and_what_is_described_is_answered() {
        let described: BTreeSet<String> = routes().1.paths.paths.keys().cloned().collect();
        assert_eq!(answered(), described);
    }
}
