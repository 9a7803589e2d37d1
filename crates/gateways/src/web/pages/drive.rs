//! The Drive: a folder's page.

use super::look::Look;
use super::spot::Spot;
use super::storage::Storage;
use super::trash::HeldRow;
use super::{Frame, failed, render};
use crate::web::api::{OrderJson, stars};
use crate::web::filters;
use crate::web::place::{InDrive, ViewerOfPage};
use crate::web::problem::Problem;
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::drive::{DrivePath, Entry};
use apps::{DriveError, User, VersionId};
use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;

/// Entries on a page; scripts fetch what follows.
const ENTRIES_MAX: u32 = 500;

#[derive(Template)]
#[template(path = "drive.html")]
struct DrivePage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    path: String,
    /// The folder's address, for what refers to its own page.
    here: String,
    upload_action: String,
    crumbs: Vec<Crumb<'a>>,
    heads: Vec<Head>,
    order: &'static str,
    reverse: bool,
    grid: bool,
    rows: Vec<Row<'a>>,
    held: Vec<HeldRow>,
    /// What scripts make rows of.
    blank: Row<'a>,
    /// The next page, for browsers without scripts.
    more: Option<String>,
    cursor: &'a str,
    count: String,
    /// Where it cannot be read the folder is shown without.
    storage: Option<Storage>,
    empty: &'static str,
}

pub(super) struct Crumb<'a> {
    pub name: Cow<'a, str>,
    pub url: String,
    last: bool,
}

#[derive(Default)]
struct Row<'a> {
    name: &'a str,
    url: String,
    folder: bool,
    starred: bool,
    /// The content of which there may be a picture, and where that is.
    thumbnail: Option<(VersionId, String)>,
    bytes: u64,
    size: String,
    modified: u64,
    date: String,
    machine_date: String,
    actions: String,
    details: String,
}

/// Where a folder's page begins, and in which order.
#[derive(Default, Deserialize)]
pub(in crate::web) struct From {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    pub order: OrderJson,
    #[serde(default)]
    pub reverse: bool,
    /// How it is to be shown from now on.
    look: Option<Look>,
}

impl From {
    /// The order as a part of an address; nothing for the usual one.
    fn sorted(order: OrderJson, reverse: bool) -> String {
        let (_, name) = HEADS.into_iter().find(|(it, _)| *it == order).unwrap_or(HEADS[0]);
        match (order, reverse) {
            (OrderJson::Name, false) => String::new(),
            (_, false) => format!("?order={name}"),
            (_, true) => format!("?order={name}&reverse=true"),
        }
    }

    /// The same of what was asked for.
    pub fn as_chosen(&self) -> String {
        From::sorted(self.order, self.reverse)
    }

    /// A column that is chosen again turns round. Names begin with A; the largest and the latest are looked for first.
    fn heads(&self, here: &str) -> Vec<Head> {
        let text = words();
        let head = |(order, key): (OrderJson, &'static str)| {
            let now = order == self.order;
            let reverse = if now { !self.reverse } else { order != OrderJson::Name };
            Head {
                key,
                name: match order {
                    OrderJson::Name => text.column_name,
                    OrderJson::Size => text.column_size,
                    OrderJson::Modified => text.column_modified,
                },
                url: format!("{here}{}", From::sorted(order, reverse)),
                sorted: now.then_some(if self.reverse { "descending" } else { "ascending" }),
            }
        };
        HEADS.into_iter().map(head).collect()
    }
}

/// What a listing can be sorted by, in the order of its columns.
const HEADS: [(OrderJson, &str); 3] =
    [(OrderJson::Name, "name"), (OrderJson::Size, "size"), (OrderJson::Modified, "modified")];

/// A column's head.
struct Head {
    key: &'static str,
    name: &'static str,
    /// The listing sorted by it.
    url: String,
    /// As `aria-sort` has it.
    sorted: Option<&'static str>,
}

pub(in crate::web) async fn root(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    headers: HeaderMap,
    query: Result<Query<From>, QueryRejection>,
) -> Response {
    show(&state, &at, "/", &headers, query).await
}

#[derive(Deserialize)]
pub(in crate::web) struct FolderPath {
    pub path: String,
}

pub(in crate::web) async fn folder(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    path: Result<Path<FolderPath>, PathRejection>,
    headers: HeaderMap,
    query: Result<Query<From>, QueryRejection>,
) -> Response {
    match path {
        Ok(Path(FolderPath { path })) => show(&state, &at, &path, &headers, query).await,
        Err(_) => failed(DriveError::NotFound { path: String::new() }.into()),
    }
}

async fn show(
    state: &WebState,
    at: &InDrive,
    path: &str,
    headers: &HeaderMap,
    query: Result<Query<From>, QueryRejection>,
) -> Response {
    let from = query.map(|Query(query)| query).unwrap_or_default();
    let look = from.look.unwrap_or_else(|| Look::chosen(headers));
    match list(state, at, path, &from, look).await {
        Ok(mut response) => {
            if from.look.is_some() {
                look.remember(&mut response);
            }
            response
        }
        // A link to a file leads to the file.
        Err(DriveError::NotAFolder { .. }) => match DrivePath::parse(path) {
            Ok(path) => Redirect::to(&url::view(&at.base(), &path)).into_response(),
            Err(error) => failed(error.into()),
        },
        Err(error) => failed(Problem::from(error)),
    }
}

async fn list(state: &WebState, at: &InDrive, path: &str, from: &From, look: Look) -> Result<Response, DriveError> {
    let path = DrivePath::parse(path)?;
    let after = Some(from.cursor.as_str()).filter(|cursor| !cursor.is_empty() && cursor.len() <= 4096);
    let (drives, order) = (&state.inner.drives, from.order.into());
    let place = path.to_string();
    let page = drives.list_by(at.drive, &place, order, from.reverse, after, ENTRIES_MAX);
    let (page, stars, held, storage) =
        tokio::join!(page, stars(state, at), super::trash::held(state, at), storage(state, at));
    let (mut page, held) = (page?, held?);
    // In the order of a long folder's pages nothing must move between them.
    if page.next.is_none() && after.is_none() && from.order == OrderJson::Name {
        in_shown_order(&mut page.items, from.reverse);
    }
    let text = words();
    let (spot, user) = (Spot::of(at), &at.caller.user);
    let sorted = from.as_chosen();
    let rows =
        page.items.iter().map(|entry| row(&spot.base, &path, entry, &sorted, &stars)).collect::<Result<Vec<_>, _>>()?;
    let here = url::folder(&spot.base, &path);
    let count = match (rows.len(), &page.next) {
        (1, None) => text.items_one.to_string(),
        (count, None) => fill(text.items_many, &[("count", &count.to_string())]),
        (count, Some(_)) => fill(text.items_more, &[("count", &count.to_string())]),
    };
    let page = DrivePage {
        frame: Frame::new(),
        place: if spot.shared { "drives" } else { "drive" },
        user,
        signed_in_as: fill(text.signed_in_as, &[("name", &user.display)]),
        path: path.to_string(),
        upload_action: format!("{}/forms/upload?path={}", spot.base, url::encode(&path.to_string())),
        crumbs: crumbs(&spot, &path),
        held,
        rows,
        blank: Row::default(),
        heads: from.heads(&here),
        order: HEADS.into_iter().find(|(order, _)| *order == from.order).map_or("", |(_, name)| name),
        reverse: from.reverse,
        grid: look == Look::Grid,
        more: page.next.as_ref().map(|next| {
            format!("{here}{sorted}{}cursor={}", if sorted.is_empty() { "?" } else { "&" }, url::encode(next))
        }),
        cursor: page.next.as_deref().unwrap_or_default(),
        here,
        count,
        storage,
        empty: match (path.is_root(), spot.edits) {
            (_, false) => text.empty_to_look_at,
            (true, _) => text.empty_root,
            _ => text.empty_folder,
        },
        spot,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn storage(state: &WebState, at: &InDrive) -> Option<Storage> {
    let usage = state.inner.drives.usage(at.drive);
    match tokio::join!(usage, state.quota_in(at)) {
        (Ok(usage), Ok(quota)) => Some(Storage::of(usage.bytes, quota)),
        (usage, quota) => {
            tracing::debug!(?usage, ?quota, "a folder is shown without how full the drive is");
            None
        }
    }
}

pub(super) fn crumbs<'a>(spot: &Spot, path: &'a DrivePath) -> Vec<Crumb<'a>> {
    let depth = path.names().len();
    let root = Crumb { name: spot.name.clone().into(), url: format!("{}/", spot.base), last: depth == 0 };
    let names = path.names().iter().enumerate().map(|(at, name)| Crumb {
        name: name.into(),
        url: url::folder(&spot.base, &path.ancestor(at + 1)),
        last: at + 1 == depth,
    });
    std::iter::once(root).chain(names).collect()
}

/// Folders first, each by names as people sort them: case does not matter, numbers count as numbers.
pub(super) fn in_shown_order(entries: &mut [Entry], reverse: bool) {
    entries.sort_by_cached_key(|entry| (natural(&entry.name), entry.name.clone()));
    if reverse {
        entries.reverse();
    }
    entries.sort_by_key(|entry| entry.file().is_some());
}

/// A name such that `2` comes before `10`: each number is told with its length in digits first.
fn natural(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut rest = name;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        out.extend(rest[..at].chars().flat_map(char::to_lowercase));
        let number = &rest[at..];
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let digits = number[..end].trim_start_matches('0');
        out.push_str(&format!("0{:03}{digits}", digits.len()));
        rest = &number[end..];
    }
    out.extend(rest.chars().flat_map(char::to_lowercase));
    out
}

fn row<'a>(
    base: &str,
    folder: &DrivePath,
    entry: &'a Entry,
    sorted: &str,
    stars: &HashSet<[u8; 16]>,
) -> Result<Row<'a>, DriveError> {
    let path = folder.join(&entry.name)?;
    let modified = entry.file().map_or(entry.modified, |file| file.mtime);
    Ok(Row {
        name: &entry.name,
        url: if entry.is_folder() { url::folder(base, &path) } else { url::view(base, &path) + sorted },
        folder: entry.is_folder(),
        starred: stars.contains(&entry.id()),
        thumbnail: entry
            .file()
            .filter(|_| entry.may_have_thumbnail())
            .map(|file| (file.version, url::thumbnail(base, file.version))),
        bytes: entry.size(),
        size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
        modified: modified.0,
        date: format::date(modified),
        machine_date: format::machine_date(modified),
        details: super::details::address(base, &path),
        actions: fill(words().actions_for, &[("name", &entry.name)]),
    })
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn names_are_sorted_as_people_do() {
        let mut names = ["img10", "Img2", "b", "img02", "a 1.5", "a 1.10", "A", "img2b", "", "10", "9"];
        names.sort_by_cached_key(|name| (natural(name), *name));
        assert_eq!(names, ["", "9", "10", "A", "a 1.5", "a 1.10", "b", "Img2", "img02", "img2b", "img10"]);
    }
}
