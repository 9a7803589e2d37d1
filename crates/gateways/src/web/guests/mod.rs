//! What whoever has a link sees: plain pages at `/s/TOKEN`, complete without scripts, and the same as JSON at
//! `/api/v1/links/TOKEN`.
//!
//! **Invariants.** (1) Nobody's session counts here, and nothing here gives one: whoever has the link is a guest.
//! (2) What is wrong with a link is never told: one page says that it does not work. (3) Nothing names what lies beside or above
//! what the link is to. (4) The address, which is the secret, is told to no other site, and asks not to be indexed.

mod cookie;
mod files;
mod look;
mod pace;
mod pages;
mod parts;
mod upload;

use super::problem::Problem;
use super::session::From;
use super::text::words;
use super::{GUEST_ARCHIVES_MAX, GUEST_DOWNLOADS_MAX, GUEST_UPLOADS_MAX, ROOM_WITHIN, WebState};
use crate::network::Network;
use crate::turns::{Places, Who};
use apps::drive::{Entry, LinkFound, Started, Wanted};
use apps::{AccountError, Device, DriveError, DriveRole, Drives, SharedDrive, User, UserId};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cookie::Proof;
use pace::Pace;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// How long who made a link counts as known.
const MAKER_KNOWN_FOR: Duration = Duration::from_secs(5);
const MAKERS_MAX: usize = 10_000;

/// What is kept for guests: how many do what at a time, and how fast.
pub(super) struct Guests {
    uploads: Places,
    downloads: Places,
    archives: Places,
    pace: Pace,
    pictures: Pace,
    sending: Pace,
    makers: Mutex<HashMap<UserId, (Instant, Option<User>)>>,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            uploads: Places::of(GUEST_UPLOADS_MAX, ROOM_WITHIN),
            downloads: Places::of(GUEST_DOWNLOADS_MAX, ROOM_WITHIN),
            archives: Places::of(GUEST_ARCHIVES_MAX, ROOM_WITHIN),
            pace: Pace::of(pace::REQUESTS_MAX),
            pictures: Pace::of(pace::PICTURES_MAX),
            sending: Pace::of(pace::SENDING_MAX),
            makers: Mutex::default(),
        }
    }
}

pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route("/s/{token}", get(pages::show).post(pages::unlock))
        .route("/s/{token}/file", get(files::file))
        .route("/s/{token}/show", get(files::show))
        .route("/s/{token}/thumbnail", get(files::thumbnail))
        .route("/s/{token}/archive", get(files::archive))
        .route("/s/{token}/upload", post(upload::form).layer(DefaultBodyLimit::disable()))
        .layer(axum::middleware::map_response(private))
}

/// The same for programs, and for the scripts of these pages: routes below `/api/v1`, with what they say of themselves.
pub(super) fn described() -> OpenApiRouter<WebState> {
    // As long as they are: the link and the disks bound them.
    let file = routes!(files::download, upload::put).layer(DefaultBodyLimit::disable());
    let part = routes!(parts::put).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .routes(routes!(look::about))
        .routes(routes!(look::open))
        .routes(routes!(look::list))
        .routes(routes!(look::stat))
        .routes(file)
        .routes(routes!(files::zip))
        .routes(routes!(upload::folder))
        .routes(routes!(parts::begin))
        .routes(routes!(parts::show, parts::abort))
        .routes(part)
        .routes(routes!(parts::complete))
        .layer(axum::middleware::map_response(private))
}

/// Where a link's JSON is.
fn api_address(token: &str) -> String {
    format!("/api/v1/links/{token}")
}

/// The address is a secret: no other site is told of it, and nobody lists it.
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow, noarchive"));
    response
}

/// Is it a page of these? No session counts there, so a request from anywhere does nothing that its sender could not do.
pub(super) fn is_guests(uri: &Uri) -> bool {
    uri.path().starts_with("/s/")
}

/// Whose share of the places they have.
fn who(device: &Device) -> Who {
    Who::Guests(device.address.map(Network::of))
}

/// Someone who has a link that works.
struct Guest {
    link: LinkFound,
    token: String,
    /// Who made the link.
    maker: User,
    /// The shared drive that it leads into, if it is one.
    shared: Option<SharedDrive>,
    /// Which of its guests, and that they knew the password if there is one.
    proof: Option<Proof>,
}

impl Guest {
    /// Those who have a link, as far as it and its password let them in.
    async fn come(state: &WebState, token: &str, headers: &HeaderMap, device: &Device) -> Result<Guest, Problem> {
        Guest::within(&state.inner.guests.pace, state, token, headers, device).await
    }

    /// The same, as far as that pace allows.
    async fn within(
        pace: &Pace,
        state: &WebState,
        token: &str,
        headers: &HeaderMap,
        device: &Device,
    ) -> Result<Guest, Problem> {
        if !pace.allows(device.address) {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut problem = Problem::new(status, "too_many", words().guest_too_many, words().guest_wait);
            problem.retry_after = Some(pace::WINDOW.as_secs());
            return Err(problem);
        }
        Guest::found(state, token, headers).await
    }

    async fn found(state: &WebState, token: &str, headers: &HeaderMap) -> Result<Guest, Problem> {
        let guests = &state.inner.guests;
        let link = state.inner.drives.find_link(token).await?;
        let maker = guests.maker(state, link.by).await?.ok_or(DriveError::LinkOver)?;
        // Into a shared drive it leads as long as its maker may change what is in there.
        let shared = match link.drive == maker.drive {
            true => None,
            false => match state.inner.accounts.drive_for(&maker, link.drive, DriveRole::Edit).await {
                Ok(shared) => Some(shared),
                Err(AccountError::NotFound { .. } | AccountError::DriveRole { .. }) => {
                    return Err(DriveError::LinkOver.into());
                }
                Err(error) => return Err(error.into()),
            },
        };
        let proof = Proof::shown(headers, &link, state.inner.client.now());
        Ok(Guest { link, token: token.to_string(), maker, shared, proof })
    }

    /// The same, where the password has been given if there is one.
    async fn let_in(state: &WebState, token: &str, headers: &HeaderMap, device: &Device) -> Result<Guest, Problem> {
        Guest::come(state, token, headers, device).await?.unlocked()
    }

    /// The same, of those who hand something in, which comes as fast as the line is.
    async fn sends(state: &WebState, token: &str, headers: &HeaderMap, device: &Device) -> Result<Guest, Problem> {
        Guest::within(&state.inner.guests.sending, state, token, headers, device).await?.unlocked()
    }

    /// Once more for the same request, when its bytes have come: that counts no second time.
    async fn again(state: &WebState, token: &str, headers: &HeaderMap) -> Result<Guest, Problem> {
        Guest::found(state, token, headers).await?.unlocked()
    }

    fn unlocked(self) -> Result<Guest, Problem> {
        match self.locked() {
            true => {
                let (what, next) = (words().guest_password_title, words().guest_password_lead);
                Err(Problem::new(StatusCode::FORBIDDEN, "password_needed", what, next))
            }
            false => Ok(self),
        }
    }

    fn locked(&self) -> bool {
        self.link.password.is_some() && self.proof.is_none()
    }

    /// A file, to be shown on a page. It has been seen then: that counts as a download, within an hour once.
    async fn look(&self, state: &WebState, path: &str) -> Result<Started, DriveError> {
        state.inner.drives.guest_download(&self.link, path, self.proof.map(|proof| proof.guest), Wanted::Part).await
    }

    /// May there be a small picture of it? Where downloads are counted there is none: it would show what it is.
    fn shows_pictures(&self, entry: &Entry) -> bool {
        entry.may_have_thumbnail() && !self.link.bounds_downloads()
    }

    /// The drives, held to what may be kept in the one that the link leads into.
    async fn drives(&self, state: &WebState) -> Result<Drives, AccountError> {
        let quota = match &self.shared {
            None => state.quota(&self.maker).await?,
            Some(shared) => state.inner.quotas.of_drive(&state.inner.accounts, shared).await?,
        };
        Ok(state.inner.drives.within(quota))
    }

    /// Is it the password that the link asks for, if it does? Tries are counted.
    async fn opened_by(&self, state: &WebState, password: &str, device: &Device) -> Result<bool, AccountError> {
        let Some(hash) = &self.link.password else { return Ok(true) };
        state.inner.accounts.check_link_password(self.link.id, password, hash, device).await
    }

    /// The link's page, at a path within it.
    fn address(&self, path: &str) -> String {
        let base = super::api::link_address(&self.token);
        if path.trim_matches('/').is_empty() { base } else { format!("{base}?path={}", super::url::encode(path)) }
    }
}

impl Guests {
    async fn maker(&self, state: &WebState, id: UserId) -> Result<Option<User>, AccountError> {
        if let Some((read, user)) = self.makers.lock().get(&id)
            && read.elapsed() < MAKER_KNOWN_FOR
        {
            return Ok(user.clone());
        }
        let (read, user) = (Instant::now(), state.inner.accounts.maker(id).await?);
        let mut makers = self.makers.lock();
        if makers.len() >= MAKERS_MAX {
            makers.clear();
        }
        makers.insert(id, (read, user.clone()));
        Ok(user)
    }
}

/// What went wrong, for someone at a page. Of the link itself, only that it does not work.
fn refused(problem: Problem, guest: Option<&Guest>) -> Response {
    match problem.status {
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::CONFLICT => pages::over(problem.status, guest),
        StatusCode::FORBIDDEN => match guest {
            Some(guest) => axum::response::Redirect::to(&guest.address("")).into_response(),
            None => pages::over(StatusCode::NOT_FOUND, None),
        },
        _ => super::pages::failed(problem),
    }
}

/// Where a guest is.
type Place = From;
