//! `GET /api/v1/drive/thumbnail?version=…`: the small picture of a content, by the content's id: it never changes.

use super::description::{FileBytes, Id};
use super::download::SANDBOX;
use crate::web::WebState;
use crate::web::place::Viewer;
use crate::web::problem::Problem;
use apps::drive::Thumbnail;
use apps::{DriveError, VersionId};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Of {
    #[param(value_type = Id)]
    version: VersionId,
}

/// The small picture of a file, by the id of its version.
#[utoipa::path(get, path = "/thumbnail", tag = "files", params(Of),
    responses((status = 200, body = FileBytes, content_type = "image/*")))]
pub(in crate::web) async fn thumbnail(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<Of>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query?;
    Ok(answer(state.inner.drives.thumbnail(at.drive, asked.version).await?)?)
}

/// A picture of ours, for a page of ours.
pub(in crate::web) fn answer(picture: Option<Thumbnail>) -> Result<Response, DriveError> {
    let picture = picture.ok_or_else(|| DriveError::NotFound { path: "a thumbnail".into() })?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(picture.media_type)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX)),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
    ];
    Ok((headers, picture.bytes).into_response())
}
