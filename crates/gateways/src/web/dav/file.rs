//! GET, HEAD and PUT.

use super::answer::{Looks, Refusal};
use super::ask::{Ask, Touched};
use super::checksum::Checksum;
use super::place::Place;
use crate::web::api::{media_type, send_file};
use crate::web::intake::{drain, whole};
use crate::web::store::{Source, Stored, Upload};
use apps::VersionId;
use apps::drive::{DrivePath, Entry, NewFile, PutCondition};
use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use client::{Content, UploadId};
use types::WallMillis;

const MTIME: HeaderName = HeaderName::from_static("x-oc-mtime");
/// What a person is told who opens a folder's address in a browser.
const FOLDER: &str = "This is a folder, as programs see it by WebDAV.\n\
     Connect a file manager to this address, or open the same folder on the web page of this server.\n";

pub(super) async fn get(ask: &Ask, place: &Place, method: &Method) -> Result<Response, Refusal> {
    let path = match place {
        Place::In(_, path) => path,
        Place::Top | Place::Drives => return Ok(FOLDER.into_response()),
        Place::Nowhere => return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such drive")),
    };
    let entry = ask.found(path).await?;
    ask.if_holds(path, Some(&entry)).await?;
    if entry.is_folder() {
        return Ok(FOLDER.into_response());
    }
    let open = ask.drives().open(ask.drive, &path.to_string()).await?;
    Ok(send_file(ask.drives(), ask.state.inner.downloads.share(ask.who()), open, None, method, &ask.headers).await?)
}

/// Puts a file. What comes shorter than promised leaves nothing.
pub(super) async fn put(ask: &Ask, path: &DrivePath, body: Body) -> Result<Response, Refusal> {
    let mut body = body.into_data_stream();
    match take(ask, path, &mut body).await {
        // Whoever is still sending would otherwise see a broken connection and not the reason.
        Err(refusal) => {
            drain(&mut body).await;
            Err(refusal)
        }
        done => done,
    }
}

async fn take(ask: &Ask, path: &DrivePath, body: &mut axum::body::BodyDataStream) -> Result<Response, Refusal> {
    if ask.headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110, section 14.5.
        return Err(Refusal::bad("a part of a file cannot be put: send the whole"));
    }
    let there = ask.find(path).await?;
    if path.is_root() || there.as_ref().is_some_and(Entry::is_folder) {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} is a folder")));
    }
    ask.parent_is_there(path).await?;
    let member = there.is_none();
    ask.may_change(path, there.as_ref(), &[Touched { path, deep: false, member }]).await?;
    let mtime = ask.header(MTIME)?.and_then(|text| text.parse::<f64>().ok()).filter(|seconds| *seconds > 0.0);
    let mtime = mtime.map(|seconds| WallMillis((seconds * 1000.0) as u64));
    let kind = ask.header(header::CONTENT_TYPE)?;
    let new = NewFile {
        mtime,
        media_type: media_type(kind),
        etag: None,
        version: VersionId::random(),
        by: Some(ask.user.id),
    };
    let checksum = ask.header("oc-checksum")?.map(Checksum::parse).transpose()?;
    let quota = ask.quota().await?;
    // On which condition is known when the bytes have come.
    let (drive, path_said, condition) = (ask.drive, path.to_string(), PutCondition::Replace);
    let upload = Upload { drive, quota, path: path_said, new, condition, again: false, locks: None };
    let length = ask.header(header::CONTENT_LENGTH)?.and_then(|text| text.parse().ok());
    // Finder sends what it does not know the length of yet in pieces, and says the length here.
    let said = ask.header("x-expected-entity-length")?.and_then(|text| text.parse().ok());
    let length = length.or(said);
    let room = upload.check(&ask.state, length).await?;

    let _place = ask.state.inner.uploads.share(ask.who()).place().await?;
    let body = room.bound(whole(body, length, ask.state.inner.settings.bounds.silence));
    let (client, id) = (&ask.state.inner.client, UploadId::random());
    let content = match &checksum {
        None => client.write_blob_stream(id, body).await.map_err(|error| room.told(error))?,
        Some(checksum) => {
            let content = client.write_blob_stream(id, checksum.over(body)).await;
            content.map_err(|error| checksum.missed().unwrap_or_else(|| room.told(error).into()))?
        }
    };
    ask.still_welcome().await?;
    // Bytes may take hours to come: is it still as it was looked at, and has nobody locked it?
    let mut looks = Looks::at(path);
    let (there, stored) = loop {
        match place(ask, path, &upload, &content).await {
            Ok(done) => break done,
            Err(refusal) => looks.again(refusal).await?,
        }
    };
    let status = if there { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    let mut response = status.into_response();
    let headers = response.headers_mut();
    if let Some(etag) = stored.entry.file().and_then(|file| HeaderValue::from_str(&format!("\"{}\"", file.etag)).ok()) {
        headers.insert(header::ETAG, etag);
    }
    if mtime.is_some() {
        headers.insert(MTIME, HeaderValue::from_static("accepted"));
    }
    Ok(response)
}

/// What came becomes the file at the path, by what is there now; was there one?
async fn place(ask: &Ask, path: &DrivePath, upload: &Upload, content: &Content) -> Result<(bool, Stored), Refusal> {
    let there = ask.find(path).await?;
    let member = there.is_none();
    let locks = ask.may_change(path, there.as_ref(), &[Touched { path, deep: false, member }]).await?;
    let condition = condition(there.as_ref());
    // A version that was refused will not do any more.
    let new = NewFile { version: VersionId::random(), ..upload.new.clone() };
    let upload = Upload { new, condition, locks: Some(locks), ..upload.clone() };
    let stored = upload.commit(&ask.state, &Source::Content(content.clone())).await.map_err(Refusal::overtaken)?;
    Ok((!member, stored))
}

/// What was looked at is what is replaced: locks and conditions were judged by it, and an answer that is lost does not
/// bring older bytes over what came after them.
fn condition(there: Option<&Entry>) -> PutCondition {
    match there.and_then(Entry::file) {
        Some(file) => PutCondition::ReplaceIfVersion(file.version),
        None => PutCondition::CreateNew,
    }
}
