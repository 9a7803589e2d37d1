//! Finding by name, and by words in files, in the whole drive.

use super::spot::{Spot, location};
use super::{Frame, failed, render};
use crate::web::filters;
use crate::web::place::{InDrive, ViewerOfPage};
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::drive::{DrivePath, Found, Passage, TextFound};
use apps::{DriveError, Page, User};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

/// Found on one page, by name and by words.
const FOUND: u32 = 100;
const TEXTS: u32 = 20;
/// A call that looked at many names and found nothing is followed by another, so often.
const CALLS_MAX: usize = 5;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    text: &'a str,
    rows: Vec<Row>,
    /// Where the search goes on; with it, nothing found is not yet nothing there.
    more: Option<String>,
    words: String,
    /// Files with these words in them; their rows say where.
    texts: Vec<(Row, Vec<Passage>)>,
    more_texts: Option<String>,
    error: String,
}

struct Row {
    name: String,
    folder: bool,
    url: String,
    details: String,
    parent: String,
    parent_url: String,
    size: String,
    modified: u64,
    date: String,
    machine_date: String,
}

/// What is looked for.
#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    text: String,
    #[serde(default)]
    cursor: String,
    /// Where words in files go on; names are not looked at again then.
    #[serde(default)]
    texts: String,
}

fn row(spot: &Spot, found: &Found) -> Result<Row, DriveError> {
    let path = DrivePath::parse(&found.path)?;
    let parent = path.parent().unwrap_or_default();
    let entry = &found.entry;
    let modified = entry.file().map_or(entry.modified, |file| file.mtime);
    Ok(Row {
        name: entry.name.clone(),
        folder: entry.is_folder(),
        url: if entry.is_folder() { url::folder(&spot.base, &path) } else { url::view(&spot.base, &path) },
        details: super::details::address(&spot.base, &path),
        parent: location(&spot.name, &parent),
        parent_url: url::folder(&spot.base, &parent),
        size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
        modified: modified.0,
        date: format::date(modified),
        machine_date: format::machine_date(modified),
    })
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    ViewerOfPage(at): ViewerOfPage,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let text = asked.text.trim();
    let found = match text.is_empty() || !asked.texts.is_empty() {
        true => Ok(Page { items: Vec::new(), next: None }),
        false => find(&state, &at, text, &asked.cursor).await,
    };
    let (status, found, error) = match found {
        Ok(found) => (StatusCode::OK, found, String::new()),
        Err(error @ (DriveError::Invalid(_) | DriveError::BadCursor)) => {
            let problem = crate::web::problem::Problem::from(error);
            (problem.status, Page { items: Vec::new(), next: None }, problem.message)
        }
        Err(error) => return failed(error.into()),
    };
    let spot = Spot::of(&at);
    let rows = match found.items.iter().map(|found| row(&spot, found)).collect::<Result<Vec<_>, _>>() {
        Ok(rows) => rows,
        Err(error) => return failed(error.into()),
    };
    let by_words = match text.is_empty() || !asked.cursor.is_empty() {
        true => Ok(Page { items: Vec::new(), next: None }),
        false => find_text(&state, &at, text, &asked.texts).await,
    };
    // Names are found all the same.
    let by_words = by_words.unwrap_or_else(|error| {
        tracing::warn!(%error, "nothing could be found by words");
        Page { items: Vec::new(), next: None }
    });
    let mut texts = Vec::with_capacity(by_words.items.len());
    for it in by_words.items {
        match row(&spot, &Found { path: it.path, entry: it.entry }) {
            Ok(row) => texts.push((row, it.passage)),
            Err(error) => return failed(error.into()),
        }
    }
    let here = format!("{}/search?text={}", spot.base, url::encode(text));
    let more_texts = by_words.next.map(|next| format!("{here}&texts={}", url::encode(&next)));
    let told = match (rows.len(), &found.next) {
        _ if text.is_empty() || !error.is_empty() || !asked.texts.is_empty() => "",
        (0, None) => words().search_nothing,
        (0, Some(_)) => words().search_nothing_yet,
        (1, None) => words().search_one,
        (_, None) => words().search_many,
        (_, Some(_)) => words().search_more,
    };
    let told = fill(told, &[("count", &rows.len().to_string()), ("text", text)]);
    let more = found.next.map(|next| format!("{here}&cursor={}", url::encode(&next)));
    let user = &at.caller.user;
    let signed_in_as = fill(words().signed_in_as, &[("name", &user.display)]);
    let frame = Frame::new();
    let page = SearchPage {
        frame,
        place: "search",
        spot,
        user,
        signed_in_as,
        text,
        rows,
        more,
        words: told,
        texts,
        more_texts,
        error,
    };
    render(status, &page)
}

async fn find(state: &WebState, at: &InDrive, text: &str, cursor: &str) -> Result<Page<Found>, DriveError> {
    let mut cursor = Some(cursor.to_string()).filter(|cursor| !cursor.is_empty() && cursor.len() <= 4096);
    let mut calls = 1;
    loop {
        let page = state.inner.drives.search(at.drive, text, true, cursor.as_deref(), FOUND).await?;
        if !page.items.is_empty() || page.next.is_none() || calls == CALLS_MAX {
            return Ok(page);
        }
        cursor = page.next;
        calls += 1;
    }
}

/// What is no word, or too many, is looked for among names alone.
async fn find_text(state: &WebState, at: &InDrive, text: &str, cursor: &str) -> Result<Page<TextFound>, DriveError> {
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    match state.inner.drives.find_text(at.drive, text, cursor, TEXTS).await {
        Err(DriveError::Invalid(_) | DriveError::BadCursor) => Ok(Page { items: Vec::new(), next: None }),
        other => other,
    }
}
