//! What guests hand in: the same bytes to blocks to one small write as everybody's, tried again by itself while a part of the
//! cluster fails over.

use super::{Guest, Place, refused};
use crate::web::WebState;
use crate::web::api::{drain, link_address, media_type, whole};
use crate::web::problem::{Outcome, Problem};
use crate::web::session::From;
use crate::web::text::{fill, words};
use apps::drive::{Entry, NewFile};
use apps::{DriveError, PartsId, VersionId};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use client::{ClientError, Content, UploadId};
use futures::{Stream, TryStreamExt};
use multipart::{Multipart, boundary};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify, WallMillis};

/// Files in one form.
const FILES_MAX: usize = 1000;
/// How long the last step is tried.
const COMMIT_WITHIN: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
pub(in crate::web) struct Put {
    name: String,
    /// 32 hexadecimal digits of the sender's choice, the same for each try of the same upload.
    version: Option<VersionId>,
    mtime: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    pub entry: Received,
}

/// All that a guest is told: not the name that it got, which tells what was there before.
#[derive(Serialize)]
pub(super) struct Received {
    pub name: String,
    pub size: u64,
}

/// A file as the request's body, for scripts.
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
        let came = Came { state: &state, token: &token, headers: &headers };
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let most = guest.drives(&state).await?.guest_may_put(&guest.link, &asked.name, length).await?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let version = asked.version.unwrap_or_else(VersionId::random);
        let new =
            NewFile { mtime: asked.mtime.map(WallMillis), media_type: media_type(kind), etag: None, version, by: None };
        let entry = came.take(most, &asked.name, new, whole(&mut body, length)).await?;
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

/// Files of a form, for browsers without scripts.
pub(in crate::web) async fn form(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut body = body.into_data_stream();
    let done = async {
        let came = Came { state: &state, token: &token, headers: &headers };
        let guest = Guest::let_in(&state, &token, &headers, &device).await?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = boundary(kind).ok_or_else(|| Problem::bad_request("this is no form with files"))?;
        // Who falls silent holds up nobody.
        let mut form = Multipart::new(whole(&mut body, None), boundary);
        let incomplete = |error: std::io::Error| Problem::from(ClientError::Source(error.to_string()));
        let mut received = 0;
        while let Some(part) = form.next_part().await.map_err(incomplete)? {
            // Folders' names come along where a folder was chosen.
            let name = part.file_name.as_deref().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            if received == FILES_MAX {
                return Err(Problem::bad_request(words().guest_forms_max));
            }
            let most = guest.drives(&state).await?.guest_may_put(&guest.link, name, None).await.map_err(Problem::from);
            let most = most.map_err(|problem| after(received, problem))?;
            let new = NewFile { media_type: media_type(part.media_type.as_deref()), ..NewFile::default() };
            came.take(most, name, new, form.content()).await.map_err(|problem| after(received, problem))?;
            received += 1;
        }
        Ok(received)
    };
    match done.await {
        Ok(received) => Redirect::to(&format!("{}?received={received}", link_address(&token))).into_response(),
        Err(problem) => {
            drain(&mut body).await;
            refused(told(problem), None)
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

/// What failed after so many files of the same form were taken.
fn after(received: usize, mut problem: Problem) -> Problem {
    if received == 0 {
        return problem;
    }
    problem = told(problem);
    let values = [("count", &*received.to_string()), ("problem", &*problem.message)];
    problem.message = fill(words().guest_some_received, &values);
    if problem.outcome != Outcome::Unknown {
        problem.outcome = Outcome::Applied;
    }
    // Said already, and not to be said anew.
    problem.kind = "some_received";
    problem
}

/// Where a request came from, to be judged again when its bytes have come.
pub(super) struct Came<'a> {
    pub state: &'a WebState,
    pub token: &'a str,
    pub headers: &'a HeaderMap,
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
        name: &str,
        new: NewFile,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Entry, Problem> {
        let state = self.state;
        let room = crate::web::room(&state.inner.guests.uploads).await?;
        let source = bounded(source, most.unwrap_or(u64::MAX));
        let content = state.inner.client.write_blob_stream(UploadId::random(), source).await;
        let content = content.map_err(|error| match error {
            ClientError::Source(text) if text.contains(TOO_LONG) => Problem::from(DriveError::LinkFull),
            error => error.into(),
        })?;
        drop(room);
        let entry = self.commit(name, new, Sent::Whole(content)).await?;
        entry.ok_or_else(|| DriveError::Conflict { path: name.into() }.into())
    }

    /// Puts the file of which all is there. None: an upload in parts that was completed before.
    pub async fn commit(&self, name: &str, mut new: NewFile, sent: Sent) -> Result<Option<Entry>, Problem> {
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
                        drives.guest_put(&guest.link, name, content.clone(), new.clone()).await.map(Some)
                    }
                    Sent::Parts(id) => {
                        // The upload itself makes that it is put once.
                        let new = NewFile { version: VersionId::random(), ..new.clone() };
                        drives.guest_complete(&guest.link, (*id, name), new).await
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

const TOO_LONG: &str = "longer than this link takes";

/// The bytes, as long as they are no more than the link takes in all.
fn bounded<S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin>(
    source: S,
    max: u64,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin {
    let mut seen = 0u64;
    source.and_then(move |chunk| {
        seen = seen.saturating_add(chunk.len() as u64);
        futures::future::ready(if seen > max { Err(std::io::Error::other(TOO_LONG)) } else { Ok(chunk) })
    })
}
