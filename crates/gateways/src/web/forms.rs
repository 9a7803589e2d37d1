//! Plain forms, for browsers without scripts: upload, new folder. Each leads back to the folder.

use super::place::{Editor, InDrive};
use super::problem::{Face, Problem};
use super::store::{Source, Upload, still_allowed};
use super::{WebState, url};
use apps::DriveError;
use apps::drive::path::numbered;
use apps::drive::{DrivePath, NewFile, PutCondition};
use axum::Form;
use axum::body::Body;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use client::UploadId;
use futures::TryStreamExt;
use multipart::{Multipart, boundary};
use serde::Deserialize;

/// Files in one form.
const FILES_MAX: usize = 1000;
/// Other names that are tried when one is taken.
const NAMES_MAX: usize = 100;

#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
pub(super) struct FolderForm {
    #[serde(default)]
    path: String,
    name: String,
}

fn back_to(at: &InDrive, folder: &DrivePath) -> Response {
    Redirect::to(&url::folder(&at.base(), folder)).into_response()
}

fn page(problem: impl Into<Problem>) -> Problem {
    problem.into().face(Face::Page)
}

pub(super) async fn folder(
    State(state): State<WebState>,
    at: Result<Editor, Problem>,
    form: Result<Form<FolderForm>, FormRejection>,
) -> Result<Response, Problem> {
    let Editor(at) = at.map_err(page)?;
    let Form(form) = form.map_err(|error| page(Problem::bad_request(error.body_text())))?;
    let parent = DrivePath::parse(&form.path).map_err(page)?;
    let path = parent.join(&form.name).map_err(page)?;
    state.inner.drives.make_folder(at.drive, &path.to_string()).await.map_err(page)?;
    Ok(back_to(&at, &parent))
}

/// A file of a name that is taken gets another: without scripts nobody can be asked.
pub(super) async fn upload(
    State(state): State<WebState>,
    at: Result<Editor, Problem>,
    place: Result<Query<Place>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Editor(at) = at.map_err(page)?;
    let Query(place) = place.map_err(|error| page(Problem::bad_request(error.body_text())))?;
    let parent = DrivePath::parse(&place.path).map_err(page)?;
    let quota = state.quota_in(&at).await.map_err(page)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = boundary(kind).ok_or_else(|| page(Problem::bad_request("this is no form with files")))?;
    let source = body.into_data_stream().map_err(std::io::Error::other);
    let mut form = Multipart::new(source, boundary);
    let incomplete = |error: std::io::Error| page(client::ClientError::Source(error.to_string()));
    for _ in 0..=FILES_MAX {
        let Some(part) = form.next_part().await.map_err(incomplete)? else {
            return Ok(back_to(&at, &parent));
        };
        // Folders' names come along where a folder was chosen.
        let name = part.file_name.as_deref().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        parent.join(name).map_err(page)?;
        let room = super::room(&state.inner.uploads).await.map_err(page)?;
        let content = form.content();
        let stored = state.inner.client.write_blob_stream(UploadId::random(), content).await.map_err(page)?;
        drop(room);
        still_allowed(&state, &at).await.map_err(page)?;
        for number in 1..=NAMES_MAX {
            let path = parent.join(&numbered(name, number)).map_err(page)?.to_string();
            let upload = Upload {
                drive: at.drive,
                quota,
                path,
                new: NewFile {
                    media_type: super::api::media_type(part.media_type.as_deref()),
                    by: Some(at.caller.user.id),
                    ..NewFile::default()
                },
                condition: PutCondition::CreateNew,
                again: false,
                locks: None,
            };
            match upload.commit(&state, &Source::Content(stored.clone())).await {
                Ok(_) => break,
                Err(DriveError::Exists { .. }) if number < NAMES_MAX => {}
                Err(error) => return Err(page(error)),
            }
        }
    }
    Err(page(Problem::bad_request(format!("a form may have {FILES_MAX} files"))))
}
