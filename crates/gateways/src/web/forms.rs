//! Plain forms, for browsers without scripts: upload, new folder. Each leads back to the folder.

use super::intake::{after, drain, whole};
use super::place::{Editor, InDrive};
use super::problem::{Face, Problem};
use super::store::{Room, Source, Upload, still_allowed};
use super::text::words;
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
use bytes::Bytes;
use client::{ClientError, UploadId};
use futures::Stream;
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
) -> Response {
    let mut body = body.into_data_stream();
    let mut saved = 0;
    let done = async {
        let Editor(at) = at?;
        let Query(place) = place?;
        let parent = DrivePath::parse(&place.path)?;
        if !state.inner.drives.stat(at.drive, &parent.to_string()).await?.is_folder() {
            return Err(DriveError::NotAFolder { path: parent.to_string() }.into());
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind).ok_or_else(|| Problem::bad_request("this is no form with files"))?;
        let mut form = Multipart::new(whole(&mut body, None, state.inner.settings.bounds.silence), boundary);
        let incomplete = |error: std::io::Error| Problem::from(ClientError::Source(error.to_string()));
        while let Some(part) = form.next_part().await.map_err(incomplete)? {
            // Folders' names come along where a folder was chosen.
            let name = part.file_name.as_deref().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            if saved == FILES_MAX {
                return Err(Problem::bad_request(words().forms_max));
            }
            let media_type = super::api::media_type(part.media_type.as_deref());
            take(&state, &at, &parent, (name, media_type), form.content()).await?;
            saved += 1;
        }
        Ok::<_, Problem>(back_to(&at, &parent))
    };
    match done.await {
        Ok(response) => response,
        Err(problem) => {
            drain(&mut body).await;
            page(after(saved, problem)).into_response()
        }
    }
}

/// One of its files.
async fn take(
    state: &WebState,
    at: &InDrive,
    parent: &DrivePath,
    (name, media_type): (&str, Option<String>),
    content: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
) -> Result<(), Problem> {
    parent.join(name)?;
    let quota = state.quota_in(at).await?;
    let room = Room::beside(state, at.drive, quota).await?;
    let place = state.inner.uploads.share(at.who()).place().await?;
    let stored = state.inner.client.write_blob_stream(UploadId::random(), room.bound(content)).await;
    let stored = stored.map_err(|error| room.told(error))?;
    drop(place);
    still_allowed(state, at).await?;
    for number in 1..=NAMES_MAX {
        let path = parent.join(&numbered(name, number))?.to_string();
        let by = Some(at.caller.user.id);
        let new = NewFile { media_type: media_type.clone(), by, ..NewFile::default() };
        let condition = PutCondition::CreateNew;
        let upload = Upload { drive: at.drive, quota, path, new, condition, again: false, locks: None };
        match upload.commit(state, &Source::Content(stored.clone())).await {
            Err(DriveError::Exists { .. }) if number < NAMES_MAX => {}
            done => return Ok(done.map(drop)?),
        }
    }
    Ok(())
}
