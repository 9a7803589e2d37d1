//! A file, shown: its folder is one key away, so are the files before and after it.

use super::details::Moment;
use super::drive::{Crumb, FolderPath, From, crumbs, in_shown_order};
use super::spot::Spot;
use super::{Frame, failed, render};
use crate::web::api::OrderJson;
use crate::web::filters;
use crate::web::place::{InDrive, ViewerOfPage};
use crate::web::problem::Problem;
use crate::web::stage::Stage;
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::drive::{DrivePath, Entry, OpenFile, RecentAct};
use apps::{DriveError, User, VersionId};
use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use types::WallMillis;

/// Entries of a folder that a page lists in its own order; the neighbours in longer ones are found by the store's.
const ENTRIES_MAX: u32 = 500;

#[derive(Template)]
#[template(path = "view.html")]
struct ViewPage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    /// The folders above.
    crumbs: Vec<Crumb<'a>>,
    name: String,
    back: String,
    previous: Option<Beside>,
    next: Option<Beside>,
    file: String,
    details: String,
    size: String,
    at: u64,
    date: String,
    machine_date: String,
    stage: Stage,
    /// None: it is the content of now.
    earlier: Option<Earlier>,
}

/// An earlier version that is looked at.
struct Earlier {
    id: VersionId,
    saved: Moment,
    /// For the form that restores it.
    path: String,
    /// The page of what the file holds now.
    newest: String,
}

/// Which content is to be shown; none: that of now.
#[derive(Deserialize)]
pub(in crate::web) struct Which {
    version: Option<VersionId>,
}

/// The file before or after.
pub(in crate::web) struct Beside {
    pub name: String,
    pub url: String,
}

/// Names of the files before and after that one, in the order of their folder's entries.
pub(in crate::web) fn neighbours(entries: Vec<Entry>, name: Option<&str>) -> (Option<String>, Option<String>) {
    let names: Vec<String> = entries.into_iter().filter(|entry| !entry.is_folder()).map(|entry| entry.name).collect();
    let Some(here) = names.iter().position(|it| Some(it.as_str()) == name) else { return (None, None) };
    (here.checked_sub(1).and_then(|before| names.get(before)).cloned(), names.get(here + 1).cloned())
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    path: Result<Path<FolderPath>, PathRejection>,
    query: Result<Query<From>, QueryRejection>,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let which = match which {
        Ok(Query(which)) => which,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    let from = query.map(|Query(query)| query).unwrap_or_default();
    let Ok(Path(FolderPath { path })) = path else {
        return failed(DriveError::NotFound { path: String::new() }.into());
    };
    match page(&state, &at, &path, &from, which.version).await {
        Ok(response) => response,
        // An address of a folder leads to the folder.
        Err(DriveError::IsAFolder { .. }) => match DrivePath::parse(&path) {
            Ok(path) => Redirect::to(&url::folder(&at.base(), &path)).into_response(),
            Err(error) => failed(error.into()),
        },
        Err(error) => failed(Problem::from(error)),
    }
}

/// What is to be shown, and since when it was, if something else is by now.
async fn open(
    state: &WebState,
    at: &InDrive,
    path: &str,
    version: Option<VersionId>,
) -> Result<(OpenFile, Option<WallMillis>), DriveError> {
    let drives = &state.inner.drives;
    if let Some(version) = version {
        let open = drives.open_version(at.drive, path, version).await?;
        let known = drives.versions(at.drive, path).await?.into_iter().find(|it| it.file.version == version);
        match known {
            Some(known) if known.current => {}
            Some(known) => return Ok((open, Some(known.saved))),
            // Thinned out just now.
            None => return Err(DriveError::NoSuchVersion { path: path.to_string() }),
        }
    }
    let open = drives.open(at.drive, path).await?;
    drives.note(at.caller.user.id, at.drive, &open.entry, RecentAct::Opened);
    Ok((open, None))
}

async fn page(
    state: &WebState,
    at: &InDrive,
    path: &str,
    from: &From,
    version: Option<VersionId>,
) -> Result<Response, DriveError> {
    let path = DrivePath::parse(path)?;
    let (open, saved) = open(state, at, &path.to_string(), version).await?;
    let folder = path.parent().unwrap_or_default();
    let (spot, user) = (Spot::of(at), &at.caller.user);
    let one = saved.map(|_| format!("&version={}", open.file.version)).unwrap_or_default();
    let shown = url::shown(&spot.base, &path) + &one;
    let (stage, (previous, next)) = futures::try_join!(
        async { Ok(Stage::of(state, at.drive, &open, shown).await?) },
        beside(state, at, &path, &folder, from)
    )?;
    let sorted = from.as_chosen();
    let leads = |name: String| -> Result<Beside, DriveError> {
        let url = url::view(&spot.base, &folder.join(&name)?) + &sorted;
        Ok(Beside { name, url })
    };
    let page = ViewPage {
        frame: Frame::new(),
        place: "view",
        user,
        signed_in_as: fill(words().signed_in_as, &[("name", &user.display)]),
        crumbs: crumbs(&spot, &folder),
        name: open.entry.name.clone(),
        back: url::folder(&spot.base, &folder) + &sorted,
        previous: previous.map(leads).transpose()?,
        next: next.map(leads).transpose()?,
        file: url::file(&spot.base, &path) + &one,
        earlier: saved.map(|saved| Earlier {
            id: open.file.version,
            saved: saved.into(),
            path: path.to_string(),
            newest: url::view(&spot.base, &path) + &sorted,
        }),
        details: super::details::address(&spot.base, &path),
        size: format::size(open.file.size),
        at: open.file.mtime.0,
        date: format::date(open.file.mtime),
        machine_date: format::machine_date(open.file.mtime),
        stage,
        spot,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Names of the files before and after it, as the folder's page has them.
async fn beside(
    state: &WebState,
    at: &InDrive,
    path: &DrivePath,
    folder: &DrivePath,
    from: &From,
) -> Result<(Option<String>, Option<String>), DriveError> {
    let (drives, order) = (&state.inner.drives, from.order.into());
    if from.order == OrderJson::Name {
        let mut page = drives.list_by(at.drive, &folder.to_string(), order, false, None, ENTRIES_MAX).await?;
        if page.next.is_none() {
            in_shown_order(&mut page.items, from.reverse);
            return Ok(neighbours(page.items, path.name()));
        }
    }
    match drives.beside(at.drive, &path.to_string(), order, from.reverse).await {
        // Removed or renamed just now: what was read is shown.
        Err(DriveError::NotFound { .. } | DriveError::NotAFolder { .. }) => Ok((None, None)),
        found => found,
    }
}
