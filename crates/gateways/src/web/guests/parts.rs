//! What guests hand in by parts, so that it goes on where it broke off: for scripts. As `/api/v1/drive/uploads`, with the file's
//! name in the place of a path.

use super::upload::{Answer, Came, Received, Sent, told};
use super::{Guest, Place};
use crate::web::WebState;
use crate::web::api::parts::{PartJson, UploadJson, id, named, part_bytes, part_number, told as told_of};
use crate::web::api::{drain, media_type, whole};
use crate::web::problem::Problem;
use crate::web::session::From;
use crate::web::store::uncertain;
use crate::web::text::Language;
use apps::DriveError;
use apps::drive::NewFile;
use apps::drive::objects::NewUpload;
use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use client::UploadId;
use serde::Deserialize;
use types::WallMillis;

#[derive(Deserialize)]
pub(in crate::web) struct Begin {
    name: String,
    size: u64,
    #[serde(default, rename = "type")]
    media_type: Option<String>,
    #[serde(default)]
    mtime: Option<u64>,
    /// Of the sender's choice, so that asking again is harmless.
    #[serde(default)]
    upload: Option<String>,
}

#[derive(Deserialize)]
pub(in crate::web) struct Begun {
    name: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Complete {
    name: String,
}

pub(in crate::web) async fn begin(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    body: Result<Json<Begin>, JsonRejection>,
) -> Result<(StatusCode, Json<UploadJson>), Problem> {
    let begun = async {
        let Json(asked) = body?;
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let part_bytes = part_bytes(asked.size)?;
        let media_type = media_type(asked.media_type.as_deref());
        let new = NewFile { media_type: media_type.clone(), ..NewFile::default() };
        new.check()?;
        let (drives, id) = (guest.drives(&state).await?, named(asked.upload.as_deref())?);
        // What has begun is counted already.
        match drives.guest_upload_of(&guest.link, id, &asked.name).await {
            Ok(_) => {}
            Err(DriveError::NoSuchUpload { .. }) => {
                drives.guest_may_put(&guest.link, &asked.name, Some(asked.size)).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let new = NewUpload { media_type: media_type.unwrap_or_default(), mtime: asked.mtime, ..NewUpload::default() };
        drives.guest_begin_upload(&guest.link, &asked.name, (id, asked.size), new).await?;
        Ok(UploadJson { upload: id.to_string(), part_bytes: Some(part_bytes), parts: Vec::new(), saved: false })
    };
    Ok((StatusCode::CREATED, Json(begun.await.map_err(told)?)))
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Path((token, upload)): Path<(String, String)>,
    From(device): Place,
    headers: HeaderMap,
    query: Result<Query<Begun>, QueryRejection>,
) -> Result<Json<UploadJson>, Problem> {
    let Query(begun) = query?;
    let guest = Guest::let_in(&state, &token, &headers, &device).await?;
    let upload = state.inner.drives.guest_upload(&guest.link, id(&upload)?, &begun.name).await?;
    Ok(Json(told_of(&upload)))
}

pub(in crate::web) async fn abort(
    State(state): State<WebState>,
    Path((token, upload)): Path<(String, String)>,
    From(device): Place,
    headers: HeaderMap,
    query: Result<Query<Begun>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(begun) = query?;
    let guest = Guest::let_in(&state, &token, &headers, &device).await?;
    state.inner.drives.guest_abort_upload(&guest.link, id(&upload)?, &begun.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::web) async fn put(
    State(state): State<WebState>,
    Path((token, upload, number)): Path<(String, String, String)>,
    From(device): Place,
    query: Result<Query<Begun>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    let taken = async {
        let Query(begun) = query?;
        let guest = Guest::within(&state.inner.guests.parts, &state, &token, &headers, &device).await?.unlocked()?;
        let came = Came { state: &state, token: &token, headers: &headers };
        take(&came, &guest, (&upload, &number), &begun.name, &mut body).await
    };
    match taken.await {
        Ok(part) => Json(part).into_response(),
        Err(problem) => {
            drain(&mut body).await;
            problem.into_response()
        }
    }
}

async fn take(
    came: &Came<'_>,
    guest: &Guest,
    (upload, number): (&str, &str),
    name: &str,
    body: &mut BodyDataStream,
) -> Result<PartJson, Problem> {
    let state = came.state;
    let (id, number) = (id(upload)?, part_number(number)?);
    let upload = state.inner.drives.guest_upload_of(&guest.link, id, name).await?;
    // Exactly the bytes that are missing there: all parts together are what the link has counted.
    let (size, part_bytes) = (upload.size, part_bytes(upload.size)?);
    let before = u64::from(number - 1) * part_bytes;
    if before >= size.max(1) {
        return Err(Problem::bad_request("the file has no such part"));
    }
    let length = (size - before).min(part_bytes);
    let said: Option<u64> = came.headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
    if said != Some(length) {
        return Err(Problem::bad_request(format!("this part has {length} bytes")));
    }
    let drives = guest.drives(state).await?;
    if let Some(room) = drives.room(guest.link.drive).await?.filter(|room| *room < length) {
        return Err(told(DriveError::Quota { needed: length, room }.into()));
    }
    let room = crate::web::room(&state.inner.guests.uploads).await?;
    let content = state.inner.client.write_blob_stream(UploadId::random(), whole(body, said)).await?;
    drop(room);
    // Bytes may take long to come: the link may have ended, or asks for another password.
    let guest = Guest::again(state, came.token, came.headers).await?;
    let drives = guest.drives(state).await?;
    let part =
        drives.guest_put_part(&guest.link, (id, name), number, content).await.map_err(|error| told(error.into()))?;
    Ok(PartJson { number, size: part.size })
}

pub(in crate::web) async fn complete(
    State(state): State<WebState>,
    Path((token, upload)): Path<(String, String)>,
    From(device): Place,
    headers: HeaderMap,
    body: Result<Json<Complete>, JsonRejection>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let Json(asked) = body?;
    let guest = Guest::let_in(&state, &token, &headers, &device).await?;
    let id = id(&upload)?;
    let said = state.inner.drives.guest_upload_begun(&guest.link, id, &asked.name).await?;
    let new = NewFile {
        mtime: said.mtime.map(WallMillis),
        media_type: Some(said.media_type).filter(|text| !text.is_empty()),
        ..NewFile::default()
    };
    // What has begun ends though nobody waits: whoever asks again is told.
    let (name, language) = (asked.name.clone(), Language::now());
    let committing = tokio::spawn(language.answer(async move {
        let came = Came { state: &state, token: &token, headers: &headers };
        came.commit(&name, new, Sent::Parts(id)).await.map_err(told)
    }));
    committing.await.map_err(uncertain)??;
    Ok((StatusCode::CREATED, Json(Answer { entry: Received { name: asked.name, size: said.size } })))
}
