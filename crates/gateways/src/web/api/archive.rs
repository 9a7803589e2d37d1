//! `/api/v1/drive/archive`, and the same of a shared drive: files and folders with all that is in them, as one ZIP archive.
//!
//! Each `path` names one. A folder is in the archive under its own name, several things side by side; of the drive itself, what is in
//! it. By POST where the paths are too long for an address.

use super::description::FileBytes;
use super::download::{SANDBOX, disposition, put};
use crate::turns::Share;
use crate::web::WebState;
use crate::web::place::{InDrive, Viewer};
use crate::web::problem::Problem;
use crate::web::text::words;
use crate::web::zip::{Still, Top, archive};
use apps::drive::DrivePath;
use apps::{DriveError, DriveId, DriveRole, FolderId};
use axum::Form;
use axum::body::Body;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use types::{Action, Classify};
use utoipa::{IntoParams, ToSchema};

/// Things in one archive, beside what is in them.
const TOPS_MAX: usize = 1000;

type Pairs = Vec<(String, String)>;

/// What the archive is of, for the description: repeated pairs are not read into a struct.
#[derive(IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct Paths {
    /// One for each file or folder.
    #[param(example = json!(["/ideas"]))]
    #[schema(example = json!(["/ideas"]))]
    path: Vec<String>,
}

/// Files and folders with all that is in them, as one ZIP archive.
#[utoipa::path(get, path = "/archive", tag = "files", params(Paths),
    responses((status = 200, body = FileBytes, content_type = "application/zip")))]
pub(in crate::web) async fn by_query(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    method: Method,
    query: Result<Query<Pairs>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(pairs) = query?;
    answer(&state, &at, pairs, &method).await
}

/// The same, where the paths are too long for an address.
#[utoipa::path(post, path = "/archive", tag = "files",
    request_body(content = Paths, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = FileBytes, content_type = "application/zip")))]
pub(in crate::web) async fn by_form(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    form: Result<Form<Pairs>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(pairs) = form.map_err(|error| Problem::bad_request(error.body_text()))?;
    answer(&state, &at, pairs, &Method::POST).await
}

async fn answer(state: &WebState, at: &InDrive, pairs: Pairs, method: &Method) -> Result<Response, Problem> {
    let drive = at.drive;
    let whole = at.shared.as_ref().map_or(words().drive_root, |shared| &shared.name);
    let paths = pairs.into_iter().filter(|(key, _)| key == "path").map(|(_, path)| DrivePath::parse(&path));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() || paths.len() > TOPS_MAX {
        return Err(Problem::bad_request(format!("an archive is of 1 to {TOPS_MAX} files or folders")));
    }
    let drives = &state.inner.drives;
    let mut tops = Vec::with_capacity(paths.len());
    let mut last: Option<(DrivePath, FolderId)> = None;
    for path in &paths {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            let root = drives.stat(drive, "/").await?;
            tops.extend(root.folder().map(|folder| Top::All(folder.clone())));
            continue;
        };
        let folder = match &last {
            Some((known, id)) if *known == parent => *id,
            _ => {
                let entry = drives.stat(drive, &parent.to_string()).await?;
                let not_there = || DriveError::NotAFolder { path: parent.to_string() };
                entry.folder().ok_or_else(not_there)?.id
            }
        };
        let found = drives.look_inside(drive, folder, name).await?;
        let (entry, _) = found.ok_or_else(|| DriveError::NotFound { path: path.to_string() })?;
        tops.push(Top::Of(folder, Box::new(entry)));
        last = Some((parent, folder));
    }
    let name = match &paths[..] {
        [one] => one.name().unwrap_or(whole).to_string(),
        // What is side by side is called as what it is in.
        [first, others @ ..] if others.iter().all(|path| path.parent() == first.parent()) => {
            let parent = first.parent().unwrap_or_default();
            parent.name().unwrap_or(whole).to_string()
        }
        _ => whole.to_string(),
    };
    send(state, state.inner.archives.share(at.who()), (drive, tops), still(state, at), &name, method).await
}

/// The caller is signed in, and in the drive. Where that cannot be told just now, it is taken to be so.
fn still(state: &WebState, at: &InDrive) -> Still {
    let (state, at) = (state.clone(), at.clone());
    Box::new(move || {
        let (state, at) = (state.clone(), at.clone());
        Box::pin(async move {
            let allowed = async {
                state.inner.accounts.authenticate(&at.caller.token).await?;
                at.still(&state, DriveRole::View).await
            };
            allowed.await.map_err(|error| error.action()) != Err(Action::Rejected)
        })
    })
}

/// The archive as an answer: how long it will be is not known. `archives`: the share of those that there may be at a time.
pub(in crate::web) async fn send(
    state: &WebState,
    archives: Share<'_>,
    (drive, tops): (DriveId, Vec<Top>),
    still: Still,
    name: &str,
    method: &Method,
) -> Result<Response, Problem> {
    let mut response = (StatusCode::OK, Body::empty()).into_response();
    if *method != Method::HEAD {
        let room = archives.place().await?;
        *response.body_mut() = Body::from_stream(archive(state.inner.drives.clone(), drive, tops, still, room));
    }
    let headers: &mut HeaderMap = response.headers_mut();
    put(headers, header::CONTENT_TYPE, "application/zip");
    put(headers, header::CONTENT_DISPOSITION, &disposition(&format!("{name}.zip")));
    put(headers, header::CONTENT_SECURITY_POLICY, SANDBOX);
    put(headers, header::CACHE_CONTROL, "no-store");
    put(headers, header::ACCEPT_RANGES, "none");
    Ok(response)
}
