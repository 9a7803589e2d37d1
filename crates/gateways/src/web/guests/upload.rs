//! What guests hand in: the same bytes to blocks to one small write as everybody's, tried again by itself while a part of the
//! cluster fails over.

use super::{Guest, Place, refused, who};
use crate::turns::Who;
use crate::web::WebState;
use crate::web::api::{FileBytes, Id, link_address, media_type};
use crate::web::intake::{after, bounded, drain, is_too_long, whole};
use crate::web::problem::Problem;
use crate::web::session::From;
use crate::web::text::words;
use apps::drive::{DrivePath, Entry, NewFile, Within};
use apps::{BatchId, DriveError, PartsId, VersionId};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use client::{ClientError, Content, UploadId};
use futures::Stream;
use multipart::{Multipart, boundary};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify, WallMillis};
use utoipa::{IntoParams, ToSchema};

/// Files in one form.
const FILES_MAX: usize = 1000;
/// How long the last step is tried.
const COMMIT_WITHIN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Put {
    #[param(example = "notes.txt")]
    name: String,
    /// Below the link's folder: what is sent as a folder stays one. It comes with a batch.
    #[serde(default)]
    folder: String,
    /// Of the sender's choice, the same for all that is sent together: who says another gets folders of their own.
    #[param(value_type = Option<Id>)]
    batch: Option<BatchId>,
    /// Of the sender's choice, the same for each try of the same upload: then trying again is harmless.
    #[param(value_type = Option<Id>)]
    version: Option<VersionId>,
    /// In milliseconds since the Unix epoch.
    mtime: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Received)]
pub(in crate::web) struct Answer {
    pub entry: Received,
}

/// Where below the link's folder, in the sender's words. Of two senders who name no batch, one would come into the other's folders.
pub(super) fn within(folder: &str, batch: Option<BatchId>) -> Result<Within, Problem> {
    let folder = DrivePath::parse(folder)?;
    match batch {
        None if !folder.is_root() => Err(Problem::bad_request(
            "a folder comes with a batch: 32 hexadecimal digits of your choice, the same for all that is sent together",
        )),
        batch => Ok(Within { folder, batch: batch.unwrap_or_default() }),
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewGuestFolder)]
pub(in crate::web) struct NewFolder {
    #[schema(example = "/Trip")]
    folder: String,
    /// Of the sender's choice, the same for all that is sent together.
    #[schema(value_type = Id)]
    batch: Option<BatchId>,
}

/// All that a guest is told: not the name that it got, which tells what was there before.
#[derive(Serialize, ToSchema)]
#[schema(as = ReceivedFile)]
pub(in crate::web) struct Received {
    pub name: String,
    pub size: u64,
}

/// Hands in a file, however long: the request's body. One of its name that is there already stays, beside it.
#[utoipa::path(put, path = "/links/{token}/file", tag = "guests", security(("guest" = []), ()), params(Put),
    request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 201, body = Answer)))]
pub(in crate::web) async fn put(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    query: Result<Query<Put>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    let done = async {
        let Query(asked) = query?;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let came = Came { state: &state, token: &token, headers: &headers, who: who(&device) };
        let guest = Guest::sends(&state, &token, &headers, &device).await?;
        let within = within(&asked.folder, asked.batch)?;
        let most = guest.drives(&state).await?.guest_may_put(&guest.link, &asked.name, length).await?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let version = asked.version.unwrap_or_else(VersionId::random);
        let new =
            NewFile { mtime: asked.mtime.map(WallMillis), media_type: media_type(kind), etag: None, version, by: None };
        let source = whole(&mut body, length, state.inner.settings.bounds.silence);
        let entry = came.take(most, (&within, &asked.name), new, source).await?;
        Ok::<_, Problem>(Received { name: asked.name, size: entry.size() })
    };
    match done.await {
        Ok(entry) => (StatusCode::CREATED, Json(Answer { entry })).into_response(),
        Err(problem) => {
            drain(&mut body).await;
            told(problem).into_response()
        }
    }
}

/// Hands in a folder, with those above it: one that is empty comes by no file. Asking again is harmless.
#[utoipa::path(post, path = "/links/{token}/folder", tag = "guests", security(("guest" = []), ()),
    request_body = NewFolder, responses((status = 204, description = "It is there")))]
pub(in crate::web) async fn folder(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    body: Result<Json<NewFolder>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let made = async {
        let Json(asked) = body?;
        let guest = Guest::sends(&state, &token, &headers, &device).await?;
        let within = within(&asked.folder, asked.batch)?;
        Ok::<_, Problem>(state.inner.drives.guest_make_folder(&guest.link, &within).await?)
    };
    made.await.map_err(told)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Files of a form, for browsers without scripts.
pub(in crate::web) async fn form(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    let mut received = 0;
    let done = async {
        let came = Came { state: &state, token: &token, headers: &headers, who: who(&device) };
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind).ok_or_else(|| Problem::bad_request("this is no form with files"))?;
        let mut form = Multipart::new(whole(&mut body, None, state.inner.settings.bounds.silence), boundary);
        let incomplete = |error: std::io::Error| Problem::from(ClientError::Source(error.to_string()));
        while let Some(part) = form.next_part().await.map_err(incomplete)? {
            // Folders' names come along where a folder was chosen.
            let name = part.file_name.as_deref().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            if received == FILES_MAX {
                return Err(Problem::bad_request(words().forms_max));
            }
            let most = guest.drives(&state).await?.guest_may_put(&guest.link, name, None).await?;
            let new = NewFile { media_type: media_type(part.media_type.as_deref()), ..NewFile::default() };
            came.take(most, (&Within::default(), name), new, form.content()).await?;
            received += 1;
        }
        Ok::<_, Problem>(())
    };
    match done.await {
        Ok(()) => Redirect::to(&format!("{}?received={received}", link_address(&token))).into_response(),
        Err(problem) => {
            drain(&mut body).await;
            refused(after(received, told(problem)), None)
        }
    }
}

/// How full the drive is, or which folders it has, is nothing for guests.
pub(super) fn told(problem: Problem) -> Problem {
    match problem.kind {
        "quota" | "no_space" | "folder_full" => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no_room", words().guest_no_room, words().do_ask_sender)
        }
        "not_a_folder" | "not_found" | "changed" => DriveError::LinkOver.into(),
        _ => problem,
    }
}

/// Where a request came from, to be judged again when its bytes have come.
pub(super) struct Came<'a> {
    pub state: &'a WebState,
    pub token: &'a str,
    pub headers: &'a HeaderMap,
    pub who: Who,
}

/// What a guest has sent.
pub(super) enum Sent {
    Whole(Content),
    Parts(PartsId),
}

impl Came<'_> {
    /// Takes the bytes in, and puts the file.
    async fn take(
        &self,
        most: Option<u64>,
        (within, name): (&Within, &str),
        new: NewFile,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Entry, Problem> {
        let state = self.state;
        let room = state.inner.guests.uploads.share(self.who).place().await?;
        let source = bounded(source, most.unwrap_or(u64::MAX));
        let content = state.inner.client.write_blob_stream(UploadId::random(), source).await;
        let content = content.map_err(|error| match error {
            error if is_too_long(&error) => Problem::from(DriveError::LinkFull),
            error => error.into(),
        })?;
        drop(room);
        let entry = self.commit((within, name), new, Sent::Whole(content)).await?;
        entry.ok_or_else(|| DriveError::Conflict { path: name.into() }.into())
    }

    /// Puts the file of which all is there. None: an upload in parts that was completed before.
    pub async fn commit(
        &self,
        (within, name): (&Within, &str),
        mut new: NewFile,
        sent: Sent,
    ) -> Result<Option<Entry>, Problem> {
        let state = self.state;
        let deadline = Instant::now() + COMMIT_WITHIN;
        // Of an earlier try, of which it is not known what came of it: what a later one is told says nothing of that.
        let mut unknown = None;
        loop {
            // Bytes may take hours to come: the link may have ended, or asks for another password.
            let put = async {
                let guest = Guest::again(state, self.token, self.headers).await?;
                let drives = guest.drives(state).await?;
                let put = match &sent {
                    Sent::Whole(content) => {
                        drives.guest_put(&guest.link, (within, name), content.clone(), new.clone()).await.map(Some)
                    }
                    Sent::Parts(id) => {
                        // The upload itself makes that it is put once.
                        let new = NewFile { version: VersionId::random(), ..new.clone() };
                        drives.guest_complete(&guest.link, (*id, within, name), new).await
                    }
                };
                if let Ok(Some(entry)) = &put {
                    drives.thumbnail_soon(guest.link.drive, entry);
                }
                Ok::<_, Problem>(put)
            };
            let problem = match put.await {
                Ok(Ok(entry)) => return Ok(entry),
                Ok(Err(error)) => {
                    match (&error, error.action()) {
                        // Surely given up: its version will not do any more.
                        (DriveError::Conflict { .. }, _) => new.version = VersionId::random(),
                        // With the same version another try is harmless.
                        (_, Action::Unknown) => unknown = Some(Problem::from(error.clone())),
                        (_, Action::Retry | Action::RefreshLayout) => {}
                        (_, Action::Rejected | Action::Fatal) => return Err(unknown.unwrap_or(error.into())),
                    }
                    error.into()
                }
                Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => problem,
                Err(problem) => return Err(unknown.unwrap_or(problem)),
            };
            if Instant::now() + PAUSE > deadline {
                return Err(unknown.unwrap_or(problem));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
