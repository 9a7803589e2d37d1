//! Guests' pages: the password, a file, a folder, a place to hand in files, and the end of a link.

use super::cookie::Proof;
use super::{Guest, Place, refused};
use crate::web::filters;
use crate::web::pages::view::{Beside, neighbours};
use crate::web::pages::{Frame, render};
use crate::web::problem::Problem;
use crate::web::session::From;
use crate::web::stage::Stage;
use crate::web::text::{fill, words};
use crate::web::{WebState, api, format, url};
use apps::DriveError;
use apps::drive::path::shown;
use apps::drive::{DrivePath, Entry, LinkMode};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

/// Entries on a page.
const ENTRIES_MAX: u32 = 500;
const CURSOR_BYTES_MAX: usize = 1024;

/// A link does not work: nothing else is told.
#[derive(Template)]
#[template(path = "guest/over.html")]
struct Over {
    frame: Frame,
    title: &'static str,
    lead: &'static str,
    action: &'static str,
    /// The link's own page, where that works.
    top: Option<String>,
}

#[derive(Template)]
#[template(path = "guest/password.html")]
struct Password<'a> {
    frame: Frame,
    error: &'a str,
}

#[derive(Template)]
#[template(path = "guest/file.html")]
struct FilePage {
    frame: Frame,
    name: String,
    from: String,
    until: String,
    size: String,
    date: String,
    machine_date: String,
    at: u64,
    file: String,
    /// The folder that it is in, where the link is to one.
    up: Option<String>,
    /// None where downloads are counted: looking would be one.
    stage: Option<Stage>,
    previous: Option<Beside>,
    next: Option<Beside>,
}

#[derive(Template)]
#[template(path = "guest/folder.html")]
struct FolderPage {
    frame: Frame,
    name: String,
    from: String,
    until: String,
    /// Name and address of each folder above, the link's own first.
    above: Vec<(String, String)>,
    rows: Vec<Row>,
    archive: String,
    more: Option<String>,
}

struct Row {
    name: String,
    url: String,
    /// Where its small picture is.
    thumbnail: Option<String>,
    folder: bool,
    size: String,
    at: u64,
    date: String,
    machine_date: String,
}

#[derive(Template)]
#[template(path = "guest/drop.html")]
struct DropPage {
    frame: Frame,
    title: String,
    lead: String,
    until: String,
    max: String,
    done: String,
    action: String,
}

#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    path: String,
    #[serde(default)]
    cursor: String,
    /// Files that were just handed in.
    #[serde(default)]
    received: u32,
}

#[derive(Deserialize)]
pub(in crate::web) struct Typed {
    #[serde(default)]
    password: String,
}

pub(super) fn over(status: StatusCode, guest: Option<&Guest>) -> Response {
    let text = words();
    let (title, lead, action) = match guest {
        // The link works; only what was asked for within it is not there.
        Some(_) => (text.not_found_title, text.not_found_lead, ""),
        None => (text.guest_over_title, text.guest_over_lead, text.guest_over_action),
    };
    let status = if status == StatusCode::CONFLICT { StatusCode::NOT_FOUND } else { status };
    render(status, &Over { frame: Frame::new(), title, lead, action, top: guest.map(|guest| guest.address("")) })
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let mut guest = match Guest::come(&state, &token, &headers, &device).await {
        Ok(guest) => guest,
        Err(problem) => return refused(problem, None),
    };
    if guest.locked() {
        return render(StatusCode::OK, &Password { frame: Frame::new(), error: "" });
    }
    // Before the page is made: what it shows counts for the guest who then asks for it, once.
    let fresh = guest.proof.is_none().then(Proof::fresh);
    guest.proof = guest.proof.or(fresh);
    let mut response = match page(&state, &guest, &asked).await {
        Ok(response) => response,
        Err(DriveError::NotFound { .. } | DriveError::NotAFolder { .. } | DriveError::BadPath { .. }) => {
            return over(StatusCode::NOT_FOUND, Some(&guest));
        }
        Err(DriveError::BadName { .. } | DriveError::BadCursor) => return over(StatusCode::NOT_FOUND, Some(&guest)),
        Err(error) => return refused(error.into(), None),
    };
    if let Some(proof) = fresh {
        proof.give(&mut response, &guest.link, &token, state.inner.client.now(), state.tls);
    }
    response
}

async fn page(state: &WebState, guest: &Guest, asked: &Asked) -> Result<Response, DriveError> {
    let (text, link, drives) = (words(), &guest.link, &state.inner.drives);
    let until = link.expires.map_or(String::new(), |at| fill(text.guest_until, &[("date", &format::date(at))]));
    let from = fill(text.guest_from, &[("name", &guest.maker.display)]);
    let base = api::link_address(&guest.token);
    if link.mode == LinkMode::DropBox {
        let target = drives.link_target(link).await?;
        let page = DropPage {
            frame: Frame::new(),
            title: fill(text.guest_drop_title, &[("name", &shown(&target.name))]),
            lead: fill(text.guest_drop_lead, &[("name", &guest.maker.display)]),
            until,
            max: link.bytes_max.map_or(String::new(), |max| fill(text.guest_drop_max, &[("size", &format::size(max))])),
            done: match asked.received {
                0 => String::new(),
                1 => text.guest_drop_done_one.to_string(),
                count => fill(text.guest_drop_done_many, &[("count", &count.to_string())]),
            },
            action: format!("{base}/upload"),
        };
        return Ok(render(StatusCode::OK, &page));
    }
    if drives.link_used_up(link).await? {
        return Err(DriveError::LinkOver);
    }
    let path = DrivePath::parse(&asked.path)?;
    let entry = drives.guest_stat(link, &path.to_string()).await?;
    let within = |what: &str, path: &DrivePath| match path.is_root() {
        true => format!("{base}/{what}"),
        false => format!("{base}/{what}?path={}", url::encode(&path.to_string())),
    };
    if let Some(file) = entry.file() {
        let stage = match link.bounds_downloads() {
            true => None,
            false => match guest.look(state, &path.to_string()).await?.open {
                Some(open) => Some(Stage::of(state, link.drive, &open, within("show", &path)).await?),
                None => None,
            },
        };
        let (previous, next) = match stage {
            Some(_) => beside(state, guest, &path).await?,
            None => (None, None),
        };
        let leads = |name: String| -> Result<Beside, DriveError> {
            let path = path.parent().unwrap_or_default().join(&name)?;
            Ok(Beside { name: shown(&name), url: guest.address(&path.to_string()) })
        };
        let page = FilePage {
            frame: Frame::new(),
            name: shown(&entry.name),
            from,
            until,
            size: format::size(file.size),
            date: format::date(file.mtime),
            machine_date: format::machine_date(file.mtime),
            at: file.mtime.0,
            file: within("file", &path),
            up: path.parent().map(|folder| guest.address(&folder.to_string())),
            stage,
            previous: previous.map(leads).transpose()?,
            next: next.map(leads).transpose()?,
        };
        return Ok(render(StatusCode::OK, &page));
    }
    let cursor = Some(asked.cursor.as_str()).filter(|cursor| !cursor.is_empty() && cursor.len() <= CURSOR_BYTES_MAX);
    let mut listed = drives.guest_list(link, &path.to_string(), cursor, ENTRIES_MAX).await?;
    if listed.next.is_none() && cursor.is_none() {
        in_order(&mut listed.items);
    }
    let row = |entry: &Entry| {
        let path = path.join(&entry.name)?;
        let at = entry.file().map_or(entry.modified, |file| file.mtime);
        Ok(Row {
            name: shown(&entry.name),
            url: guest.address(&path.to_string()),
            thumbnail: entry.file().filter(|_| guest.shows_pictures(entry)).map(|file| {
                // Kept by browsers for long: another content is another address.
                format!("{}&v={}", within("thumbnail", &path), file.version)
            }),
            folder: entry.is_folder(),
            size: if entry.is_folder() { String::new() } else { format::size(entry.size()) },
            at: at.0,
            date: format::date(at),
            machine_date: format::machine_date(at),
        })
    };
    let target = match path.is_root() {
        true => entry.name.clone(),
        false => drives.link_target(link).await?.name,
    };
    let mut above: Vec<(String, String)> = (0..path.names().len())
        .map(|depth| {
            let folder = path.ancestor(depth);
            (shown(folder.name().unwrap_or(&target)), guest.address(&folder.to_string()))
        })
        .collect();
    above.truncate(apps::drive::path::DEPTH_MAX);
    let here = guest.address(&path.to_string());
    let page = FolderPage {
        frame: Frame::new(),
        name: shown(&entry.name),
        from,
        until,
        above,
        rows: listed.items.iter().map(row).collect::<Result<_, DriveError>>()?,
        archive: within("archive", &path),
        more: listed
            .next
            .map(|next| format!("{here}{}cursor={}", if here.contains('?') { "&" } else { "?" }, url::encode(&next))),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Folders first, then by name, as far as a page has them all.
fn in_order(entries: &mut [Entry]) {
    entries.sort_by_cached_key(|entry| (entry.file().is_some(), entry.name.to_lowercase()));
}

/// Names of the files before and after it, as the folder's page has them.
async fn beside(
    state: &WebState,
    guest: &Guest,
    path: &DrivePath,
) -> Result<(Option<String>, Option<String>), DriveError> {
    let (drives, link) = (&state.inner.drives, &guest.link);
    // What the link itself leads to stands alone.
    let Some(folder) = path.parent() else { return Ok((None, None)) };
    let mut listed = drives.guest_list(link, &folder.to_string(), None, ENTRIES_MAX).await?;
    if listed.next.is_some() {
        return drives.guest_beside(link, &path.to_string()).await;
    }
    in_order(&mut listed.items);
    Ok(neighbours(listed.items, path.name()))
}

/// The password is typed.
pub(in crate::web) async fn unlock(
    State(state): State<WebState>,
    Path(token): Path<String>,
    From(device): Place,
    headers: HeaderMap,
    typed: Result<Form<Typed>, FormRejection>,
) -> Response {
    let done = async {
        let guest = Guest::come(&state, &token, &headers, &device).await?;
        let Form(typed) = typed.map_err(|error| Problem::bad_request(error.body_text()))?;
        let right = guest.opened_by(&state, &typed.password, &device).await?;
        Ok::<_, Problem>((guest, right))
    };
    match done.await {
        Ok((guest, true)) => {
            let mut response = Redirect::to(&guest.address("")).into_response();
            Proof::fresh().give(&mut response, &guest.link, &token, state.inner.client.now(), state.tls);
            response
        }
        Ok((_, false)) => {
            let page = Password { frame: Frame::new(), error: words().guest_password_wrong };
            render(StatusCode::FORBIDDEN, &page)
        }
        Err(problem) if problem.kind == "too_many" => {
            let page = Password { frame: Frame::new(), error: &problem.message };
            let mut response = render(StatusCode::TOO_MANY_REQUESTS, &page);
            let wait = HeaderValue::from(problem.retry_after.unwrap_or(1));
            response.headers_mut().insert(RETRY_AFTER, wait);
            response
        }
        Err(problem) => refused(problem, None),
    }
}
