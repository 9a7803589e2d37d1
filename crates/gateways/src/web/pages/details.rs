//! A file or folder by itself: what it is, and a file's versions. Also what the listing shows beside itself.

use super::{Frame, failed, render};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{ENGLISH, fill};
use crate::web::{WebState, format, url};
use apps::drive::{Act, DrivePath, Entry, OldVersion};
use apps::{DriveError, User, VersionId};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use types::WallMillis;

#[derive(Template)]
#[template(path = "details.html")]
struct DetailsPage<'a> {
    frame: Frame,
    place: &'static str,
    user: &'a User,
    signed_in_as: String,
    name: String,
    path: String,
    parent: String,
    parent_url: String,
    folder: bool,
    url: String,
    archive: String,
    root: bool,
    share: String,
    links: String,
    size: String,
    media_type: String,
    modified: Moment,
    saved: Moment,
    created: Moment,
    /// The current one first; none for a folder.
    versions: Vec<VersionRow>,
    done: &'static str,
    error: String,
}

/// A time, for people, for programs, and for scripts.
struct Moment {
    at: u64,
    date: String,
    machine: String,
}

impl From<WallMillis> for Moment {
    fn from(at: WallMillis) -> Moment {
        Moment { at: at.0, date: format::date(at), machine: format::machine_date(at) }
    }
}

struct VersionRow {
    id: String,
    url: String,
    size: String,
    saved: Moment,
    current: bool,
}

/// What is looked at, and what was just done.
#[derive(Deserialize)]
pub(in crate::web) struct Asked {
    path: String,
    #[serde(default)]
    done: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct OneVersion {
    path: String,
    version: VersionId,
}

/// The page of an entry.
pub(super) fn address(path: &DrivePath) -> String {
    format!("/details?path={}", url::encode(&path.to_string()))
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = match query {
        Ok(Query(asked)) => asked,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let done = if asked.done == "restored" { ENGLISH.version_restored } else { "" };
    page(&state, &caller, StatusCode::OK, &asked.path, done, String::new()).await
}

async fn page(
    state: &WebState,
    caller: &Caller,
    status: StatusCode,
    path: &str,
    done: &'static str,
    error: String,
) -> Response {
    match read(state, caller, path).await {
        Ok((path, entry, versions, links)) => {
            render(status, &details(&caller.user, &path, &entry, (versions, links), done, error))
        }
        Err(error) => failed(error.into()),
    }
}

async fn read(
    state: &WebState,
    caller: &Caller,
    path: &str,
) -> Result<(DrivePath, Entry, Vec<OldVersion>, usize), DriveError> {
    let path = DrivePath::parse(path)?;
    let (drives, drive, text) = (&state.inner.drives, caller.user.drive, path.to_string());
    let entry = drives.stat(drive, &text).await?;
    let versions = if entry.is_folder() { Vec::new() } else { drives.versions(drive, &text).await? };
    let links = drives.links_to(drive, entry.id()).await?;
    Ok((path, entry, versions, links))
}

fn details<'a>(
    user: &'a User,
    path: &DrivePath,
    entry: &Entry,
    (versions, links): (Vec<OldVersion>, usize),
    done: &'static str,
    error: String,
) -> DetailsPage<'a> {
    let parent = path.parent().unwrap_or_default();
    let row = |it: OldVersion| VersionRow {
        id: it.file.version.to_string(),
        url: format!("{}&version={}", url::file(path), it.file.version),
        size: format::size(it.file.size),
        saved: it.saved.into(),
        current: it.current,
    };
    let file = entry.file();
    DetailsPage {
        frame: Frame::new(),
        place: "details",
        user,
        signed_in_as: fill(ENGLISH.signed_in_as, &[("name", &user.display)]),
        name: if path.is_root() { ENGLISH.drive_root.to_string() } else { entry.name.clone() },
        path: path.to_string(),
        parent: if parent.is_root() { ENGLISH.drive_root.to_string() } else { parent.to_string() },
        parent_url: url::folder(&parent),
        folder: entry.is_folder(),
        url: if entry.is_folder() { url::folder(path) } else { url::file(path) },
        archive: url::archive(path),
        root: path.is_root(),
        share: super::share::address(path),
        links: match links {
            0 => ENGLISH.links_none.to_string(),
            1 => ENGLISH.links_one.to_string(),
            count => fill(ENGLISH.links_many, &[("count", &count.to_string())]),
        },
        size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
        media_type: file.and_then(|file| file.media_type.clone()).unwrap_or_default(),
        modified: file.map_or(entry.modified, |file| file.mtime).into(),
        saved: entry.modified.into(),
        created: entry.created.into(),
        versions: versions.into_iter().map(row).collect(),
        done,
        error,
    }
}

/// An earlier version becomes the current one; what was current stays as a version.
pub(in crate::web) async fn restore(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<OneVersion>, FormRejection>,
) -> Response {
    let asked = match asked {
        Ok(Form(asked)) => asked,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let act = Act::RestoreVersion { path: asked.path.clone(), version: asked.version, only: None };
    let done = async {
        let path = DrivePath::parse(&asked.path)?;
        let drives = state.drives_for(&caller.user).await.map_err(Problem::from)?;
        drives.act(caller.user.drive, &act, Some(caller.user.id)).await?;
        Ok::<_, Problem>(path)
    };
    match done.await {
        Ok(path) => Redirect::to(&format!("{}&done=restored", address(&path))).into_response(),
        Err(problem) => {
            let words = format!("{} {}", problem.message, problem.action).trim().to_string();
            page(&state, &caller, problem.status, &asked.path, "", words).await
        }
    }
}
