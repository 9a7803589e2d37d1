//! Files that are sent in parts, so that what broke off goes on where it was: `/uploads`.
//!
//! Whoever begins an upload is told how long its parts are to be: part 1 is the file's first bytes. Parts may come in any order,
//! some at a time, and again. The file is there when the upload is completed, not before. An upload that nobody touches for a week
//! is given up.

use super::description::{FileBytes, Id};
use super::upload::{Condition, StoredFile, media_type};
use crate::web::WebState;
use crate::web::intake::{drain, whole};
use crate::web::place::{Editor, InDrive};
use crate::web::problem::Problem;
use crate::web::store::{Source, Upload, still_allowed, uncertain};
use apps::drive::objects::{NewUpload, ObjectKey, PARTS_MAX};
use apps::drive::{DrivePath, NewFile};
use apps::{DriveError, PartsId};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Response};
use client::UploadId;
use serde::{Deserialize, Serialize};
use types::WallMillis;
use utoipa::{IntoParams, ToSchema};

const MIB: u64 = 1024 * 1024;
/// Bytes of a part of a file that is not too long for parts of this length.
const PART_BYTES: u64 = 16 * MIB;
/// Bytes of any part.
const PART_BYTES_MAX: u64 = 1024 * MIB;

#[derive(Deserialize, ToSchema)]
#[schema(as = NewUpload)]
pub(in crate::web) struct Begin {
    /// Where the file is to go.
    #[schema(example = "/film.mp4")]
    path: String,
    /// Its bytes.
    size: u64,
    /// An id of the sender's choice, 32 hexadecimal digits: then asking again, after an answer that was lost, is harmless.
    #[serde(default)]
    #[schema(value_type = Option<Id>)]
    upload: Option<String>,
    /// MIME type.
    #[serde(default, rename = "type")]
    media_type: Option<String>,
    /// In milliseconds.
    #[serde(default)]
    mtime: Option<u64>,
    #[serde(default)]
    #[schema(inline)]
    condition: Condition,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub(in crate::web) struct UploadJson {
    #[schema(value_type = Id)]
    pub upload: String,
    /// How long each part is to be; the last is what is left. Told when the upload begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_bytes: Option<u64>,
    /// Those that are there.
    pub parts: Vec<PartJson>,
    /// It was completed.
    pub saved: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Part)]
pub(in crate::web) struct PartJson {
    pub number: u16,
    pub size: u64,
}

/// An upload is named together with the path that was said when it began.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Begun {
    #[param(example = "/film.mp4")]
    path: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::web) struct Named {
    #[param(value_type = Id)]
    upload: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::web) struct NamedPart {
    #[param(value_type = Id)]
    upload: String,
    /// 1, 2, 3 …
    #[param(value_type = u16, minimum = 1, maximum = 10_000)]
    number: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CompleteUpload)]
pub(in crate::web) struct Complete {
    /// As it was said when the upload began.
    #[schema(example = "/film.mp4")]
    path: String,
    /// Where the file goes, if not there: its name may be taken meanwhile.
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    #[schema(inline)]
    condition: Condition,
    /// In milliseconds; else as it was said when the upload began.
    #[serde(default)]
    mtime: Option<u64>,
}

pub(in crate::web) fn id(text: &str) -> Result<PartsId, Problem> {
    text.parse().map_err(|why: &str| Problem::bad_request(why))
}

/// The id that the sender chose, or another.
pub(in crate::web) fn named(text: Option<&str>) -> Result<PartsId, Problem> {
    text.map_or_else(|| Ok(PartsId::random()), id)
}

/// The place that the path names, as uploads are kept by it.
fn key(path: &str) -> Result<ObjectKey, DriveError> {
    let path = DrivePath::parse(path)?.to_string();
    ObjectKey::parse(path.trim_start_matches('/'))
}

/// Judged here, so that nobody hears of it before they are known.
pub(in crate::web) fn part_number(text: &str) -> Result<u16, Problem> {
    let number = text.parse::<u16>().ok().filter(|number| (1..=PARTS_MAX).contains(&u32::from(*number)));
    number.ok_or_else(|| Problem::bad_request("parts have numbers from 1 to 10000"))
}

/// How long the parts of a file are: as many as an upload may have are enough for it.
pub(in crate::web) fn part_bytes(size: u64) -> Result<u64, DriveError> {
    let least = size.div_ceil(u64::from(PARTS_MAX)).div_ceil(MIB) * MIB;
    match least.max(PART_BYTES) {
        bytes if bytes <= PART_BYTES_MAX => Ok(bytes),
        _ => Err(DriveError::Invalid("no file is that large".into())),
    }
}

/// Begins an upload in parts.
#[utoipa::path(post, path = "/uploads", tag = "files", request_body = Begin,
    responses((status = 201, body = UploadJson)))]
pub(in crate::web) async fn begin(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<Begin>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(asked) = body?;
    let (key, part_bytes) = (key(&asked.path)?, part_bytes(asked.size)?);
    let quota = state.quota_in(&at).await?;
    let (mtime, media_type) = (asked.mtime.map(WallMillis), media_type(asked.media_type.as_deref()));
    let new = NewFile { mtime, media_type: media_type.clone(), by: Some(at.caller.user.id), ..NewFile::default() };
    new.check()?;
    let condition = asked.condition.into();
    let upload = Upload { drive: at.drive, quota, path: asked.path, new, condition, again: false, locks: None };
    upload.check(&state, Some(asked.size)).await?;
    let drives = state.inner.drives.within(quota);
    let (media_type, mtime, size) = (media_type.unwrap_or_default(), asked.mtime, asked.size);
    let new = NewUpload { media_type, mtime, size, ..NewUpload::default() };
    let named = named(asked.upload.as_deref())?;
    drives.begin_upload_as(at.drive, named, &key, new).await?;
    let begun = UploadJson { upload: named.to_string(), part_bytes: Some(part_bytes), parts: Vec::new(), saved: false };
    Ok((StatusCode::CREATED, Json(begun)).into_response())
}

/// Which parts of an upload are there.
#[utoipa::path(get, path = "/uploads/{upload}", tag = "files", params(Named, Begun),
    responses((status = 200, body = UploadJson)))]
pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Editor(at): Editor,
    Path(named): Path<Named>,
    query: Result<Query<Begun>, QueryRejection>,
) -> Result<Json<UploadJson>, Problem> {
    let Query(begun) = query?;
    let upload = state.inner.drives.upload(at.drive, id(&named.upload)?, &key(&begun.path)?).await?;
    Ok(Json(told(&upload)))
}

/// What is told of an upload that has begun.
pub(in crate::web) fn told(upload: &apps::drive::objects::Upload) -> UploadJson {
    let parts = upload.parts.iter().map(|(number, part)| PartJson { number: *number, size: part.size }).collect();
    UploadJson { upload: upload.id.to_string(), part_bytes: None, parts, saved: upload.new.done.is_some() }
}

/// Sends a part: the request's body. One of that number is replaced.
#[utoipa::path(put, path = "/uploads/{upload}/parts/{number}", tag = "files", params(NamedPart, Begun),
    request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 200, body = PartJson)))]
pub(in crate::web) async fn put(
    State(state): State<WebState>,
    at: Result<Editor, Problem>,
    Path(named): Path<NamedPart>,
    query: Result<Query<Begun>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    let taken = async {
        let (Editor(at), Query(begun)) = (at?, query?);
        take(&state, &at, named, &begun, &headers, &mut body).await
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
    state: &WebState,
    at: &InDrive,
    named: NamedPart,
    begun: &Begun,
    headers: &HeaderMap,
    body: &mut axum::body::BodyDataStream,
) -> Result<PartJson, Problem> {
    let (id, key) = (id(&named.upload)?, key(&begun.path)?);
    let number = part_number(&named.number)?;
    let length: Option<u64> = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(length) = length else {
        return Err(Problem::bad_request("say how long the part is: Content-Length"));
    };
    let quota = state.quota_in(at).await?;
    let drives = state.inner.drives.within(quota);
    if length > PART_BYTES_MAX {
        return Err(DriveError::Invalid("a part is too long".into()).into());
    }
    drives.upload_of(at.drive, id, &key).await?;
    if let Some(room) = drives.room(at.drive).await?.filter(|room| *room < length) {
        return Err(DriveError::Quota { needed: length, room }.into());
    }
    let _room = state.inner.uploads.share(at.who()).place().await?;
    let content = state
        .inner
        .client
        .write_blob_stream(UploadId::random(), whole(body, Some(length), state.inner.settings.bounds.silence))
        .await?;
    still_allowed(state, at).await?;
    let part = drives.put_part(at.drive, (id, &key), number, content, Default::default()).await?;
    Ok(PartJson { number, size: part.size })
}

/// Puts the file that the parts make. Asking again is harmless.
#[utoipa::path(post, path = "/uploads/{upload}/complete", tag = "files", params(Named), request_body = Complete,
    responses((status = 200, description = "It was replaced", body = StoredFile),
        (status = 201, description = "It is new", body = StoredFile)))]
pub(in crate::web) async fn complete(
    State(state): State<WebState>,
    Editor(at): Editor,
    Path(named): Path<Named>,
    body: Result<Json<Complete>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(asked) = body?;
    let (id, key) = (id(&named.upload)?, key(&asked.path)?);
    let said = state.inner.drives.upload_begun(at.drive, id, &key).await?;
    let mtime = asked.mtime.or(said.mtime).map(WallMillis);
    let media_type = Some(said.media_type).filter(|text| !text.is_empty());
    let new = NewFile { mtime, media_type, by: Some(at.caller.user.id), ..NewFile::default() };
    let path = asked.to.unwrap_or(asked.path);
    let (quota, condition) = (state.quota_in(&at).await?, asked.condition.into());
    let upload = Upload { drive: at.drive, quota, path, new, condition, again: false, locks: None };
    // Files of many blocks take their time: what has begun ends though nobody waits, and whoever asks again is told.
    let committing = tokio::spawn(async move { upload.commit(&state, &Source::Parts(id, key)).await });
    let stored = committing.await.map_err(uncertain)??;
    Ok(super::upload::answer(&stored))
}

/// Gives an upload up; its parts go.
#[utoipa::path(delete, path = "/uploads/{upload}", tag = "files", params(Named, Begun), responses((status = 204)))]
pub(in crate::web) async fn abort(
    State(state): State<WebState>,
    Editor(at): Editor,
    Path(named): Path<Named>,
    query: Result<Query<Begun>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(begun) = query?;
    state.inner.drives.abort_upload(at.drive, id(&named.upload)?, &key(&begun.path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_fits_into_its_parts() {
        for size in [0, 1, PART_BYTES, PART_BYTES * 10_000, PART_BYTES * 10_000 + 1, PART_BYTES_MAX * 10_000] {
            let bytes = part_bytes(size).unwrap();
            assert!(bytes.is_multiple_of(MIB) && size.div_ceil(bytes) <= u64::from(PARTS_MAX), "{size}: {bytes}");
        }
        assert_eq!(part_bytes(PART_BYTES * 10_000).unwrap(), PART_BYTES);
        assert!(part_bytes(u64::MAX).is_err());
    }
}
