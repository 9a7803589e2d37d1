//! Links to something in the drive: what there is, and a form for another. Without a path, all of them.

use super::spot::Spot;
use super::{Frame, failed, render};
use crate::web::api::{self, ModeJson};
use crate::web::filters;
use crate::web::place::{EditorOfPage, InDrive};
use crate::web::problem::Problem;
use crate::web::text::{fill, words};
use crate::web::{WebState, format, url};
use apps::accounts::typed_size;
use apps::drive::path::shown;
use apps::drive::{DrivePath, Link, LinkMode};
use apps::{DriveError, LinkId, User};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use types::WallMillis;

#[derive(Template)]
#[template(path = "share.html")]
struct SharePage<'a> {
    frame: Frame,
    place: &'static str,
    spot: Spot,
    user: &'a User,
    signed_in_as: String,
    title: String,
    /// Of what; empty: of everything.
    path: String,
    folder: bool,
    links: Vec<Row>,
    done: &'static str,
    error: String,
    /// What was typed for a new link that was refused.
    typed: Typed,
}

struct Row {
    id: LinkId,
    address: String,
    name: String,
    path: String,
    drop_box: bool,
    works: bool,
    words: String,
    password: bool,
    /// As the date field has it.
    expires: String,
    downloads: String,
    bytes: String,
}

#[derive(Default, Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    path: String,
    #[serde(default)]
    done: String,
}

/// A form's fields: all text, empty where nothing is wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Typed {
    /// Of a link that is changed or taken back.
    id: Option<LinkId>,
    path: String,
    mode: ModeJson,
    password: String,
    no_password: Option<String>,
    expires: String,
    downloads: String,
    bytes: String,
}

impl Typed {
    fn is_drop_box(&self) -> bool {
        matches!(self.mode, ModeJson::DropBox)
    }

    fn expires(&self) -> Result<Option<u64>, Problem> {
        match self.expires.trim() {
            "" => Ok(None),
            typed => match format::end_of_day(typed) {
                Some(at) => Ok(Some(at.0)),
                None => Err(Problem::bad_request("a day is typed as 2026-12-31")),
            },
        }
    }

    fn downloads(&self) -> Result<Option<u64>, Problem> {
        match self.downloads.trim() {
            "" => Ok(None),
            typed => typed.parse().map(Some).map_err(|_| Problem::bad_request("a number of downloads is a number")),
        }
    }

    fn bytes(&self) -> Result<Option<u64>, Problem> {
        match self.bytes.trim() {
            "" => Ok(None),
            typed => apps::accounts::parse_size(typed).map(Some).map_err(Problem::bad_request),
        }
    }
}

/// The page of an entry's links.
pub(super) fn address(base: &str, path: &DrivePath) -> String {
    format!("{base}/share?path={}", url::encode(&path.to_string()))
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    let done = match &*asked.done {
        "made" => words().link_made,
        "changed" => words().link_changed,
        "revoked" => words().link_revoked,
        _ => "",
    };
    page(&state, &at, &headers, StatusCode::OK, Typed { path: asked.path, ..Typed::default() }, done, String::new())
        .await
}

async fn page(
    state: &WebState,
    at: &InDrive,
    headers: &HeaderMap,
    status: StatusCode,
    typed: Typed,
    done: &'static str,
    error: String,
) -> Response {
    match read(state, at, &typed.path).await {
        Ok((path, folder, links)) => {
            let text = words();
            // Where its owner sees this page, others will find it.
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let site = format!("{}://{host}", if state.tls { "https" } else { "http" });
            let now = state.inner.client.now();
            let page = SharePage {
                frame: Frame::new(),
                place: "share",
                spot: Spot::of(at),
                user: &at.caller.user,
                signed_in_as: fill(text.signed_in_as, &[("name", &at.caller.user.display)]),
                title: match path.as_ref().and_then(DrivePath::name) {
                    Some(name) => fill(text.share_title, &[("name", &shown(name))]),
                    None => text.links_all.to_string(),
                },
                path: path.map(|path| path.to_string()).unwrap_or_default(),
                folder,
                links: links.into_iter().map(|link| row(link, &site, now)).collect(),
                done,
                error,
                typed,
            };
            render(status, &page)
        }
        Err(problem) => failed(problem),
    }
}

async fn read(state: &WebState, at: &InDrive, path: &str) -> Result<(Option<DrivePath>, bool, Vec<Link>), Problem> {
    let (drives, drive) = (&state.inner.drives, at.drive);
    let path = DrivePath::parse(path)?;
    if path.is_root() {
        return Ok((None, false, api::judged(state, at, drives.links(drive, None).await?).await?));
    }
    let entry = drives.stat(drive, &path.to_string()).await?;
    let links = drives.links(drive, Some(&path.to_string())).await?;
    Ok((Some(path), entry.is_folder(), api::judged(state, at, links).await?))
}

fn row(link: Link, site: &str, now: WallMillis) -> Row {
    let text = words();
    let mut words = Vec::new();
    if link.path.is_none() {
        words.push(text.link_gone.to_string());
    } else if link.stopped {
        words.push(text.link_maker_out.to_string());
    } else if !link.works(now) {
        words.push(text.link_over.to_string());
    }
    words.push(match link.mode {
        LinkMode::View => text.link_view.to_string(),
        LinkMode::DropBox => text.link_drop_box.to_string(),
    });
    if link.password {
        words.push(text.link_with_password.to_string());
    }
    words.extend(link.expires.map(|at| fill(text.link_until, &[("date", &format::date(at))])));
    words.push(match (link.mode, link.downloads_max, link.bytes_max) {
        (LinkMode::View, None, _) => fill(text.link_used, &[("count", &link.downloads.to_string())]),
        (LinkMode::View, Some(max), _) => {
            fill(text.link_used_of, &[("count", &link.downloads.to_string()), ("max", &max.to_string())])
        }
        (LinkMode::DropBox, _, None) => fill(text.link_received, &[("size", &format::size(link.received))]),
        (LinkMode::DropBox, _, Some(max)) => {
            let (size, max) = (format::size(link.received), format::size(max));
            fill(text.link_received_of, &[("size", &size), ("max", &max)])
        }
    });
    Row {
        id: link.id,
        address: format!("{site}{}", api::link_address(&link.token)),
        name: shown(&link.name),
        works: link.works(now),
        path: link.path.unwrap_or_default(),
        drop_box: link.mode == LinkMode::DropBox,
        words: words.join(" · "),
        password: link.password,
        expires: last_day(link.expires),
        downloads: link.downloads_max.map_or(String::new(), |max| max.to_string()),
        bytes: link.bytes_max.map(typed_size).unwrap_or_default(),
    }
}

/// The last day on which it works, as the date field has it.
fn last_day(expires: Option<WallMillis>) -> String {
    expires.map_or(String::new(), |at| {
        format::date(WallMillis(at.0.saturating_sub(1))).split(' ').next().unwrap_or_default().to_string()
    })
}

/// Makes a link, and leads back to what there is.
pub(in crate::web) async fn make(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    headers: HeaderMap,
    typed: Result<Form<Typed>, FormRejection>,
) -> Response {
    act(&state, &at, &headers, typed, "made", async |typed: &Typed| {
        let asked = api::Make {
            path: typed.path.clone(),
            mode: typed.mode,
            password: Some(typed.password.clone()),
            expires: typed.expires()?,
            downloads: typed.downloads()?,
            bytes: typed.bytes()?,
        };
        api::make(&state, &at, asked).await.map(drop)
    })
    .await
}

pub(in crate::web) async fn change(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    headers: HeaderMap,
    typed: Result<Form<Typed>, FormRejection>,
) -> Response {
    act(&state, &at, &headers, typed, "changed", async |typed: &Typed| {
        let password = match (&typed.no_password, &*typed.password) {
            (Some(_), _) => Some(None),
            (None, "") => None,
            (None, password) => Some(Some(password.to_string())),
        };
        let id = typed.id.ok_or(DriveError::NoSuchLink)?;
        // A form sends all that it shows: a day that stayed as it was is no later end of an hour that was set elsewhere.
        let shown = last_day(state.inner.drives.link(at.drive, id).await?.expires);
        let asked = api::Change {
            password,
            expires: if typed.expires.trim() == shown { None } else { Some(typed.expires()?) },
            downloads: Some(typed.downloads()?),
            bytes: Some(typed.bytes()?),
        };
        api::change_of(&state, &at, id, asked).await.map(drop)
    })
    .await
}

pub(in crate::web) async fn revoke(
    State(state): State<WebState>,
    EditorOfPage(at): EditorOfPage,
    headers: HeaderMap,
    typed: Result<Form<Typed>, FormRejection>,
) -> Response {
    act(&state, &at, &headers, typed, "revoked", async |typed: &Typed| {
        api::take_back(&state, &at, typed.id.ok_or(DriveError::NoSuchLink)?).await
    })
    .await
}

async fn act(
    state: &WebState,
    at: &InDrive,
    headers: &HeaderMap,
    typed: Result<Form<Typed>, FormRejection>,
    told: &str,
    work: impl AsyncFnOnce(&Typed) -> Result<(), Problem>,
) -> Response {
    let typed = match typed {
        Ok(Form(typed)) => typed,
        Err(error) => return failed(Problem::bad_request(error.body_text())),
    };
    match work(&typed).await {
        Ok(()) => {
            Redirect::to(&format!("{}/share?path={}&done={told}", at.base(), url::encode(&typed.path))).into_response()
        }
        Err(problem) => {
            let words = format!("{} {}", problem.message, problem.action).trim().to_string();
            // The form of a link that is there shows how that is.
            let typed = if typed.id.is_none() { typed } else { Typed { path: typed.path, ..Typed::default() } };
            page(state, at, headers, problem.status, typed, "", words).await
        }
    }
}
