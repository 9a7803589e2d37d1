//! Links to what is in a drive: make, list, change, take back. In a shared one, for those who may change what is in it.

use super::acts::Nothing;
use super::description::Id;
use crate::web::WebState;
use crate::web::place::{Editor, InDrive};
use crate::web::problem::Problem;

use apps::drive::{Link, LinkChange, LinkMode, NewLink};
use apps::{DriveError, LinkId};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use types::WallMillis;
use utoipa::{IntoParams, ToSchema};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LinkMode)]
#[serde(rename_all = "snake_case")]
pub(in crate::web) enum ModeJson {
    /// Looking and downloading.
    #[default]
    View,
    /// Putting files in, and seeing none.
    DropBox,
}

impl From<ModeJson> for LinkMode {
    fn from(mode: ModeJson) -> LinkMode {
        match mode {
            ModeJson::View => LinkMode::View,
            ModeJson::DropBox => LinkMode::DropBox,
        }
    }
}

/// A link to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = NewLink)]
pub(in crate::web) struct Make {
    #[schema(example = "/notes.txt")]
    pub path: String,
    #[serde(default)]
    pub mode: ModeJson,
    pub password: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub expires: Option<u64>,
    /// That may begin.
    pub downloads: Option<u64>,
    /// That it takes.
    pub bytes: Option<u64>,
}

/// What is to be different; null: none.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = LinkChange)]
pub(in crate::web) struct Change {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub expires: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub downloads: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub bytes: Option<Option<u64>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ChangeLink)]
pub(in crate::web) struct ChangeOne {
    #[schema(value_type = Id)]
    id: LinkId,
    #[serde(flatten)]
    change: Change,
}

/// What is given is told from what is not, null being given.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Which {
    #[param(example = "/notes.txt")]
    path: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct One {
    #[param(value_type = Id)]
    id: LinkId,
}

/// A link, as scripts see it.
#[derive(Serialize, ToSchema)]
#[schema(as = GuestLink)]
pub(in crate::web) struct LinkJson {
    #[schema(value_type = Id)]
    id: LinkId,
    /// Its address on this server.
    address: String,
    mode: ModeJson,
    name: String,
    /// `file` or `folder`.
    kind: &'static str,
    /// Where it leads to now; none: it is in the trash, or gone.
    path: Option<String>,
    works: bool,
    created: u64,
    expires: Option<u64>,
    password: bool,
    downloads: u64,
    downloads_max: Option<u64>,
    received: u64,
    bytes_max: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Links {
    links: Vec<LinkJson>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LinkAnswer)]
pub(in crate::web) struct Answer {
    link: LinkJson,
}

/// The page that a link leads to.
pub(crate) fn address(token: &str) -> String {
    format!("/s/{token}")
}

fn json(link: Link, now: WallMillis) -> LinkJson {
    LinkJson {
        id: link.id,
        address: address(&link.token),
        mode: match link.mode {
            LinkMode::View => ModeJson::View,
            LinkMode::DropBox => ModeJson::DropBox,
        },
        works: link.works(now),
        kind: if link.folder { "folder" } else { "file" },
        name: link.name,
        path: link.path,
        created: link.created.0,
        expires: link.expires.map(|at| at.0),
        password: link.password,
        downloads: link.downloads,
        downloads_max: link.downloads_max,
        received: link.received,
        bytes_max: link.bytes_max,
    }
}

/// A line in the log, of what is about to be done.
async fn note(state: &WebState, at: &InDrive, act: &str, what: &str) -> Result<(), Problem> {
    let what = match &at.shared {
        None => what.to_string(),
        Some(shared) => format!("{}: {what}", shared.name),
    };
    Ok(state.inner.accounts.note_link(&at.caller.by(), act, &what).await?)
}

/// Makes a link, with its line in the log.
pub(in crate::web) async fn make(state: &WebState, at: &InDrive, asked: Make) -> Result<Link, Problem> {
    let password = match asked.password.filter(|password| !password.is_empty()) {
        Some(password) => Some(state.inner.accounts.hash_link_password(&password).await?),
        None => None,
    };
    let new = NewLink {
        mode: asked.mode.into(),
        password,
        expires: asked.expires.map(WallMillis),
        downloads_max: asked.downloads,
        bytes_max: asked.bytes,
    };
    note(state, at, "link into the drive made", &asked.path).await?;
    Ok(state.inner.drives.make_link(at.drive, &asked.path, new, at.caller.user.id).await?)
}

/// Changes a link, with its line in the log.
pub(in crate::web) async fn change_of(
    state: &WebState,
    at: &InDrive,
    id: LinkId,
    asked: Change,
) -> Result<Link, Problem> {
    let password = match asked.password {
        Some(Some(password)) if !password.is_empty() => {
            Some(Some(state.inner.accounts.hash_link_password(&password).await?))
        }
        Some(_) => Some(None),
        None => None,
    };
    let change = LinkChange {
        password,
        expires: asked.expires.map(|at| at.map(WallMillis)),
        downloads_max: asked.downloads,
        bytes_max: asked.bytes,
    };
    let (drives, drive) = (&state.inner.drives, at.drive);
    let link = drives.link(drive, id).await?;
    note(state, at, "link into the drive changed", &link.name).await?;
    let changed = drives.change_link(drive, id, &change).await?;
    judged(state, at, vec![changed]).await?.pop().ok_or_else(|| DriveError::NoSuchLink.into())
}

/// Links, each knowing whether it lets anybody in.
pub(in crate::web) async fn judged(state: &WebState, at: &InDrive, links: Vec<Link>) -> Result<Vec<Link>, Problem> {
    Ok(crate::links::judged(&state.inner.accounts, at.shared.as_ref(), links).await?)
}

/// Takes a link back, with its line in the log.
pub(in crate::web) async fn take_back(state: &WebState, at: &InDrive, id: LinkId) -> Result<(), Problem> {
    let (drives, drive) = (&state.inner.drives, at.drive);
    let link = drives.link(drive, id).await?;
    note(state, at, "link into the drive taken back", &link.name).await?;
    Ok(drives.revoke_link(drive, id).await?)
}

/// Makes a link by which guests come to a file or folder.
#[utoipa::path(post, path = "/links", tag = "links", request_body = Make, responses((status = 201, body = Answer)))]
pub(in crate::web) async fn create(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<Make>, JsonRejection>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let Json(asked) = body?;
    let link = make(&state, &at, asked).await?;
    Ok((StatusCode::CREATED, Json(Answer { link: json(link, state.inner.client.now()) })))
}

/// Links into the drive, or to one thing in it.
#[utoipa::path(get, path = "/links", tag = "links", params(Which), responses((status = 200, body = Links)))]
pub(in crate::web) async fn list(
    State(state): State<WebState>,
    Editor(at): Editor,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Links>, Problem> {
    let Query(asked) = query?;
    let links = state.inner.drives.links(at.drive, asked.path.as_deref()).await?;
    let links = judged(&state, &at, links).await?;
    let now = state.inner.client.now();
    Ok(Json(Links { links: links.into_iter().map(|link| json(link, now)).collect() }))
}

/// Changes a link. What is left out stays.
#[utoipa::path(patch, path = "/links", tag = "links", request_body = ChangeOne,
    responses((status = 200, body = Answer)))]
pub(in crate::web) async fn change(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<ChangeOne>, JsonRejection>,
) -> Result<Json<Answer>, Problem> {
    let Json(asked) = body?;
    let link = change_of(&state, &at, asked.id, asked.change).await?;
    Ok(Json(Answer { link: json(link, state.inner.client.now()) }))
}

/// Takes a link back: it leads nowhere from then on.
#[utoipa::path(delete, path = "/links", tag = "links", params(One), responses((status = 200, body = Nothing)))]
pub(in crate::web) async fn revoke(
    State(state): State<WebState>,
    Editor(at): Editor,
    query: Result<Query<One>, QueryRejection>,
) -> Result<Json<Nothing>, Problem> {
    let Query(asked) = query?;
    take_back(&state, &at, asked.id).await?;
    Ok(Json(Nothing {}))
}
