//! The Drive: a folder's page.

use super::{Frame, failed, render};
use crate::web::problem::Problem;
use crate::web::session::Visitor;
use crate::web::text::{ENGLISH, fill};
use crate::web::{WebState, format, url};
use apps::drive::{DrivePath, Entry};
use apps::{DriveError, User};
use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

/// Entries on a page; scripts fetch what follows.
const ENTRIES_MAX: u32 = 500;

#[derive(Template)]
#[template(path = "drive.html")]
struct DrivePage<'a> {
    frame: Frame,
    place: &'static str,
    user: &'a User,
    signed_in_as: String,
    path: String,
    /// The folder's address, for what refers to its own page.
    here: String,
    upload_action: String,
    crumbs: Vec<Crumb<'a>>,
    rows: Vec<Row<'a>>,
    /// What scripts make rows of.
    blank: Row<'a>,
    /// The next page, for browsers without scripts.
    more: Option<String>,
    cursor: &'a str,
    count: String,
    empty: &'static str,
}

struct Crumb<'a> {
    name: &'a str,
    url: String,
    last: bool,
}

#[derive(Default)]
struct Row<'a> {
    name: &'a str,
    url: String,
    folder: bool,
    bytes: u64,
    size: String,
    modified: u64,
    date: String,
    machine_date: String,
    actions: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct From {
    #[serde(default)]
    cursor: String,
}

pub(in crate::web) async fn root(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<From>, QueryRejection>,
) -> Response {
    show(&state, &caller.user, "/", query).await
}

pub(in crate::web) async fn folder(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<From>, QueryRejection>,
) -> Response {
    match path {
        Ok(Path(path)) => show(&state, &caller.user, &path, query).await,
        Err(_) => failed(DriveError::NotFound { path: String::new() }.into()),
    }
}

async fn show(state: &WebState, user: &User, path: &str, query: Result<Query<From>, QueryRejection>) -> Response {
    let cursor = query.map(|Query(query)| query.cursor).unwrap_or_default();
    match list(state, user, path, &cursor).await {
        Ok(response) => response,
        // A link to a file leads to the file.
        Err(DriveError::NotAFolder { .. }) => match DrivePath::parse(path) {
            Ok(path) => Redirect::to(&url::file(&path)).into_response(),
            Err(error) => failed(error.into()),
        },
        Err(error) => failed(Problem::from(error)),
    }
}

async fn list(state: &WebState, user: &User, path: &str, cursor: &str) -> Result<Response, DriveError> {
    let path = DrivePath::parse(path)?;
    let after = Some(cursor).filter(|cursor| !cursor.is_empty() && cursor.len() <= 4096);
    let mut page = state.inner.drives.list(user.drive, &path.to_string(), after, ENTRIES_MAX).await?;
    // In the order of a long folder's pages nothing must move between them.
    if page.next.is_none() && after.is_none() {
        page.items.sort_by_cached_key(|entry| (entry.file().is_some(), entry.name.to_lowercase(), entry.name.clone()));
    }
    let text = &ENGLISH;
    let rows = page.items.iter().map(|entry| row(&path, entry)).collect::<Result<Vec<_>, _>>()?;
    let here = url::folder(&path);
    let count = match (rows.len(), &page.next) {
        (1, None) => text.items_one.to_string(),
        (count, None) => fill(text.items_many, &[("count", &count.to_string())]),
        (count, Some(_)) => fill(text.items_more, &[("count", &count.to_string())]),
    };
    let page = DrivePage {
        frame: Frame::new(),
        place: "drive",
        user,
        signed_in_as: fill(text.signed_in_as, &[("name", &user.display)]),
        path: path.to_string(),
        upload_action: format!("/forms/upload?path={}", url::encode(&path.to_string())),
        crumbs: crumbs(&path),
        rows,
        blank: Row::default(),
        more: page.next.as_ref().map(|next| format!("{here}?cursor={}", url::encode(next))),
        cursor: page.next.as_deref().unwrap_or_default(),
        here,
        count,
        empty: if path.is_root() { text.empty_root } else { text.empty_folder },
    };
    Ok(render(StatusCode::OK, &page))
}

fn crumbs(path: &DrivePath) -> Vec<Crumb<'_>> {
    let depth = path.names().len();
    let root = Crumb { name: ENGLISH.drive_root, url: "/".to_string(), last: depth == 0 };
    let names = path.names().iter().enumerate().map(|(at, name)| Crumb {
        name,
        url: url::folder(&path.ancestor(at + 1)),
        last: at + 1 == depth,
    });
    std::iter::once(root).chain(names).collect()
}

fn row<'a>(folder: &DrivePath, entry: &'a Entry) -> Result<Row<'a>, DriveError> {
    let path = folder.join(&entry.name)?;
    let modified = entry.file().map_or(entry.modified, |file| file.mtime);
    Ok(Row {
        name: &entry.name,
        url: if entry.is_folder() { url::folder(&path) } else { url::file(&path) },
        folder: entry.is_folder(),
        bytes: entry.size(),
        size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
        modified: modified.0,
        date: format::date(modified),
        machine_date: format::machine_date(modified),
        actions: fill(ENGLISH.actions_for, &[("name", &entry.name)]),
    })
}
