//! What guests hand in by parts, so that it goes on where it broke off. As `/api/v1/drive/uploads`, with the file's name in the
//! place of a path.

use super::upload::{Answer, Came, Received, Sent, told, within};
use super::{Guest, Place, who};
use crate::web::WebState;
use crate::web::api::parts::{
    Named, NamedPart, PartJson, UploadJson, id, named, part_bytes, part_number, told as told_of,
};
use crate::web::api::{FileBytes, Id, media_type};
use crate::web::intake::{drain, whole};
use crate::web::problem::Problem;
use crate::web::session::From;
use crate::web::store::uncertain;
use crate::web::text::Language;
use apps::drive::NewFile;
use apps::drive::objects::NewUpload;
use apps::{BatchId, DriveError};
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
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, ToSchema)]
#[schema(as = NewGuestUpload)]
pub(in crate::web) struct Begin {
    #[schema(example = "film.mp4")]
    name: String,
    /// Its bytes.
    size: u64,
    /// MIME type.
    #[serde(default, rename = "type")]
    media_type: Option<String>,
    /// In milliseconds since the Unix epoch.
    #[serde(default)]
    mtime: Option<u64>,
    /// Of the sender's choice, so that asking again is harmless.
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    upload: Option<String>,
    /// Below the link's folder, where it will go: better refused now than at the end. It comes with a batch.
    #[serde(default)]
    folder: String,
    /// Of the sender's choice, the same for all that is sent together: who says another gets folders of their own.
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    batch: Option<BatchId>,
}

/// An upload is named together with the name that was said when it began.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Begun {
    #[param(example = "film.mp4")]
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CompleteGuestUpload)]
pub(in crate::web) struct Complete {
    /// As it was said when the upload began.
    #[schema(example = "film.mp4")]
    name: String,
    /// As it was said when the upload began.
    #[serde(default)]
    folder: String,
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    batch: Option<BatchId>,
}

/// Begins to hand in a file in parts, each as long as is told here. It counts as received by the link from now on. What nobody
/// touches for a day is given up, and counts no more.
#[utoipa::path(post, path = "/links/{token}/uploads", tag = "guests", security(("guest" = []), ()),
    request_body = Begin, responses((status = 201, body = UploadJson)))]
pub(in crate::web) async fn begin(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    body: Result<Json<Begin>, JsonRejection>,
) -> Result<(StatusCode, Json<UploadJson>), Problem> {
    let begun = async {
        let Json(asked) = body?;
        let guest = Guest::sends(&state, &token, &headers, &device).await?;
        let within = within(&asked.folder, asked.batch)?;
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
                if !within.folder.is_root() {
                    drives.guest_make_folder(&guest.link, &within).await?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        let new = NewUpload { media_type: media_type.unwrap_or_default(), mtime: asked.mtime, ..NewUpload::default() };
        drives.guest_begin_upload(&guest.link, &asked.name, (id, asked.size), new).await?;
        Ok(UploadJson { upload: id.to_string(), part_bytes: Some(part_bytes), parts: Vec::new(), saved: false })
    };
    Ok((StatusCode::CREATED, Json(begun.await.map_err(told)?)))
}

/// Which parts of an upload are there.
#[utoipa::path(get, path = "/links/{token}/uploads/{upload}", tag = "guests", security(("guest" = []), ()),
    params(Named, Begun), responses((status = 200, body = UploadJson)))]
pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Path((token, upload)): Path<(String, String)>,
    From(device): Place,
    headers: HeaderMap,
    query: Result<Query<Begun>, QueryRejection>,
) -> Result<Json<UploadJson>, Problem> {
    let Query(begun) = query?;
    let guest = Guest::sends(&state, &token, &headers, &device).await?;
    let upload = state.inner.drives.guest_upload(&guest.link, id(&upload)?, &begun.name).await?;
    Ok(Json(told_of(&upload)))
}

/// Gives an upload up.
#[utoipa::path(delete, path = "/links/{token}/uploads/{upload}", tag = "guests", security(("guest" = []), ()),
    params(Named, Begun), responses((status = 204, description = "It is given up")))]
pub(in crate::web) async fn abort(
    State(state): State<WebState>,
    Path((token, upload)): Path<(String, String)>,
    From(device): Place,
    headers: HeaderMap,
    query: Result<Query<Begun>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(begun) = query?;
    let guest = Guest::sends(&state, &token, &headers, &device).await?;
    state.inner.drives.guest_abort_upload(&guest.link, id(&upload)?, &begun.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a part: the request's body. One of that number is replaced.
#[utoipa::path(put, path = "/links/{token}/uploads/{upload}/parts/{number}", tag = "guests",
    security(("guest" = []), ()), params(NamedPart, Begun),
    request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 200, body = PartJson)))]
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
        let guest = Guest::sends(&state, &token, &headers, &device).await?;
        let came = Came { state: &state, token: &token, headers: &headers, who: who(&device) };
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
    let room = state.inner.guests.uploads.share(came.who).place().await?;
    let content = state
        .inner
        .client
        .write_blob_stream(UploadId::random(), whole(body, said, state.inner.settings.bounds.silence))
        .await?;
    drop(room);
    // Bytes may take long to come: the link may have ended, or asks for another password.
    let guest = Guest::again(state, came.token, came.headers).await?;
    let drives = guest.drives(state).await?;
    let part =
        drives.guest_put_part(&guest.link, (id, name), number, content).await.map_err(|error| told(error.into()))?;
    Ok(PartJson { number, size: part.size })
}

/// Hands in the file that the parts make. Asking again is harmless.
#[utoipa::path(post, path = "/links/{token}/uploads/{upload}/complete", tag = "guests",
    security(("guest" = []), ()), params(Named), request_body = Complete,
    responses((status = 201, body = Answer)))]
pub(in crate::web) async fn complete(
    State(state): State<WebState>,
    Path((token, upload)): Path<(String, String)>,
    From(device): Place,
    headers: HeaderMap,
    body: Result<Json<Complete>, JsonRejection>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let Json(asked) = body?;
    let guest = Guest::sends(&state, &token, &headers, &device).await?;
    let (id, within) = (id(&upload)?, within(&asked.folder, asked.batch)?);
    let said = state.inner.drives.guest_upload_begun(&guest.link, id, &asked.name).await?;
    let new = NewFile {
        mtime: said.mtime.map(WallMillis),
        media_type: Some(said.media_type).filter(|text| !text.is_empty()),
        ..NewFile::default()
    };
    // What has begun ends though nobody waits: whoever asks again is told.
    let (name, language) = (asked.name.clone(), Language::now());
    let committing = tokio::spawn(language.answer(async move {
        let came = Came { state: &state, token: &token, headers: &headers, who: who(&device) };
        came.commit((&within, &name), new, Sent::Parts(id)).await.map_err(told)
    }));
    committing.await.map_err(uncertain)??;
    Ok((StatusCode::CREATED, Json(Answer { entry: Received { name: asked.name, size: said.size } })))
}
