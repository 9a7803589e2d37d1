//! A file or folder by itself: what it is, and a file's versions. Also what the listing shows beside itself.

use super::spot::{Spot, location};
use super::{Frame, failed, render};
use crate::copies;
use crate::web::api::stars;
use crate::web::filters;
use crate::web::place::{EditorOfPage, InDrive, ViewerOfPage};
use crate::web::problem::Problem;
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::drive::{Act, DrivePath, Entry, FileInfo, OldVersion};
use apps::{User, UserId, VersionId};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use client::Copies;
use serde::Deserialize;
use std::collections::BTreeMap;
use types::WallMillis;

#[derive(Template)]
#[template(path = "details.html")]
struct DetailsPage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    name: String,
    path: String,
    parent: String,
    parent_url: String,
    folder: bool,
    url: String,
    /// Its own page; empty for a folder, whose page is its address.
    view: String,
    archive: String,
    starred: bool,
    /// Links to it may be made here.
    links_here: bool,
    share: String,
    links: String,
    /// How many intact copies there are; none for a folder.
    copies: Option<CopiesShown>,
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
pub(super) struct Moment {
    pub at: u64,
    pub date: String,
    pub machine: String,
}

impl From<WallMillis> for Moment {
    fn from(at: WallMillis) -> Moment {
        Moment { at: at.0, date: format::date(at), machine: format::machine_date(at) }
    }
}

/// How many machines have the file intact.
struct CopiesShown {
    words: String,
    /// It has checksums that can be verified; a small file has none of its own.
    blocks: bool,
    /// Some machine lacks what it should have.
    lacking: bool,
    verified: Option<Moment>,
    /// A large file, of which only the beginning was looked at.
    part: Option<String>,
    version: String,
    size: u64,
}

impl CopiesShown {
    fn of(file: &FileInfo, copies: &Copies) -> CopiesShown {
        let fill_in = |text| {
            let (intact, wanted) = (copies.intact.to_string(), copies.wanted.to_string());
            fill(text, &[("intact", &intact), ("wanted", &wanted), ("unasked", &copies.unasked().to_string())])
        };
        let text = words();
        let unasked = match copies.unasked() {
            0 => String::new(),
            1 => format!(" {}", text.copies_unasked_one),
            _ => format!(" {}", fill_in(text.copies_unasked)),
        };
        let known = if copies.blocks == 0 { text.copies_held } else { text.copies_intact };
        CopiesShown {
            words: if copies.untold() { text.copies_untold.into() } else { format!("{}{unasked}", fill_in(known)) },
            blocks: copies.blocks > 0,
            lacking: copies.lacking(),
            verified: copies.verified.map(Moment::from),
            part: copies.next.map(|next| fill(text.copies_part, &[("size", &format::size(next))])),
            version: file.version.to_string(),
            size: file.size,
        }
    }

    /// Nobody could say just now.
    fn untold(file: &FileInfo) -> CopiesShown {
        CopiesShown { blocks: true, ..CopiesShown::of(file, &Copies::default()) }
    }
}

struct VersionRow {
    id: String,
    url: String,
    /// The page that shows it.
    view: String,
    size: String,
    saved: Moment,
    /// Who put it, where several may.
    by: Option<String>,
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
pub(super) fn address(base: &str, path: &DrivePath) -> String {
    format!("{base}/details?path={}", url::encode(&path.to_string()))
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = match query {
        Ok(Query(asked)) => asked,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let done = if asked.done == "restored" { words().version_restored } else { "" };
    page(&state, &at, StatusCode::OK, &asked.path, done, String::new()).await
}

async fn page(
    state: &WebState,
    at: &InDrive,
    status: StatusCode,
    path: &str,
    done: &'static str,
    error: String,
) -> Response {
    match read(state, at, path).await {
        Ok(found) => render(status, &details(at, found, done, error)),
        Err(problem) => failed(problem),
    }
}

/// What there is to tell.
struct Found {
    path: DrivePath,
    entry: Entry,
    versions: Vec<OldVersion>,
    /// Of those who put them, in a shared drive.
    names: BTreeMap<UserId, String>,
    /// How many links lead here.
    links: usize,
    starred: bool,
    copies: Option<CopiesShown>,
}

/// Not being able to tell is no reason not to show the rest.
async fn copies_of(state: &WebState, at: &InDrive, path: &str, entry: &Entry) -> Option<CopiesShown> {
    let file = entry.file()?;
    let asked = copies::Asked { who: at.caller.user.id, path, from: 0, expect: None, read: false };
    match copies::look(&state.inner.client, &state.inner.drives, at.drive, asked).await {
        Ok((open, copies)) => Some(CopiesShown::of(&open.file, &copies)),
        Err(error) => {
            tracing::debug!(%error, "how many copies there are could not be told");
            Some(CopiesShown::untold(file))
        }
    }
}

async fn read(state: &WebState, at: &InDrive, path: &str) -> Result<Found, Problem> {
    let path = DrivePath::parse(path)?;
    let (drives, drive, text) = (&state.inner.drives, at.drive, path.to_string());
    let entry = drives.stat(drive, &text).await?;
    let versions = if entry.is_folder() { Vec::new() } else { drives.versions(drive, &text).await? };
    let links = drives.links_to(drive, entry.id()).await?;
    let starred = stars(state, at).await.contains(&entry.id());
    let by = versions.iter().filter_map(|it| it.file.by).filter(|_| at.shared.is_some());
    let names = state.inner.accounts.displays(by).await?;
    let copies = copies_of(state, at, &text, &entry).await;
    Ok(Found { path, entry, versions, names, links, starred, copies })
}

fn details<'a>(at: &'a InDrive, found: Found, done: &'static str, error: String) -> DetailsPage<'a> {
    let Found { path, entry, versions, names, links, starred, copies } = found;
    let (spot, user) = (Spot::of(at), &at.caller.user);
    let base = spot.base.clone();
    let parent = path.parent().unwrap_or_default();
    let row = |it: &OldVersion| VersionRow {
        id: it.file.version.to_string(),
        url: format!("{}&version={}", url::file(&base, &path), it.file.version),
        view: match it.current {
            true => url::view(&base, &path),
            false => format!("{}?version={}", url::view(&base, &path), it.file.version),
        },
        size: format::size(it.file.size),
        saved: it.saved.into(),
        by: it.file.by.and_then(|by| names.get(&by).cloned()),
        current: it.current,
    };
    let file = entry.file();
    DetailsPage {
        frame: Frame::new(),
        place: "details",
        user,
        signed_in_as: fill(words().signed_in_as, &[("name", &user.display)]),
        name: if path.is_root() { spot.name.clone() } else { entry.name.clone() },
        path: path.to_string(),
        parent: location(&spot.name, &parent),
        parent_url: url::folder(&base, &parent),
        folder: entry.is_folder(),
        url: if entry.is_folder() { url::folder(&base, &path) } else { url::file(&base, &path) },
        view: if entry.is_folder() { String::new() } else { url::view(&base, &path) },
        archive: url::archive(&base, &path),
        starred,
        copies,
        links_here: !path.is_root() && spot.edits,
        share: super::share::address(&base, &path),
        links: match links {
            0 => words().links_none.to_string(),
            1 => words().links_one.to_string(),
            count => fill(words().links_many, &[("count", &count.to_string())]),
        },
        size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
        media_type: file.and_then(|file| file.media_type.clone()).unwrap_or_default(),
        modified: file.map_or(entry.modified, |file| file.mtime).into(),
        saved: entry.modified.into(),
        created: entry.created.into(),
        versions: versions.iter().map(row).collect(),
        done,
        error,
        spot,
    }
}

/// An earlier version becomes the current one; what was current stays as a version.
pub(in crate::web) async fn restore(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    asked: Result<Form<OneVersion>, FormRejection>,
) -> Response {
    let asked = match asked {
        Ok(Form(asked)) => asked,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let act = Act::RestoreVersion { path: asked.path.clone(), version: asked.version, only: None };
    let done = async {
        let path = DrivePath::parse(&asked.path)?;
        let drives = state.drives_in(&at).await.map_err(Problem::from)?;
        drives.act(at.drive, &act, Some(at.caller.user.id)).await?;
        Ok::<_, Problem>(path)
    };
    match done.await {
        Ok(path) => Redirect::to(&format!("{}&done=restored", address(&at.base(), &path))).into_response(),
        Err(problem) => {
            let words = format!("{} {}", problem.message, problem.action).trim().to_string();
            page(&state, &at, problem.status, &asked.path, "", words).await
        }
    }
}
