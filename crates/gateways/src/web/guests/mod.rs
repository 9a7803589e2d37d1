//! What whoever has a link sees: plain pages at `/s/TOKEN`, complete without scripts.
//!
//! **Invariants.** (1) Nobody's session counts here, and nothing here gives one: whoever has the link is a guest.
//! (2) What is wrong with a link is never told: one page says that it does not work. (3) Nothing names what lies beside or above
//! what the link is to. (4) The address, which is the secret, is told to no other site, and asks not to be indexed.

mod cookie;
mod files;
mod pace;
mod pages;
mod parts;
mod upload;

use super::problem::Problem;
use super::session::From;
use super::text::words;
use super::{GUEST_ARCHIVES_MAX, GUEST_DOWNLOADS_MAX, GUEST_UPLOADS_MAX, WebState};
use apps::drive::{Entry, LinkFound, Started};
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
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long who made a link counts as known.
const MAKER_KNOWN_FOR: Duration = Duration::from_secs(5);
const MAKERS_MAX: usize = 10_000;

/// What is kept for guests: how many do what at a time, and how fast.
pub(super) struct Guests {
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    archives: Arc<Semaphore>,
    pace: Pace,
    pictures: Pace,
    parts: Pace,
    makers: Mutex<HashMap<UserId, (Instant, Option<User>)>>,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            uploads: Arc::new(Semaphore::new(GUEST_UPLOADS_MAX)),
            downloads: Arc::new(Semaphore::new(GUEST_DOWNLOADS_MAX)),
            archives: Arc::new(Semaphore::new(GUEST_ARCHIVES_MAX)),
            pace: Pace::of(pace::REQUESTS_MAX),
            pictures: Pace::of(pace::PICTURES_MAX),
            parts: Pace::of(pace::PARTS_MAX),
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
        .route("/s/{token}/upload", post(upload::form).put(upload::put).layer(DefaultBodyLimit::disable()))
        .route("/s/{token}/uploads", post(parts::begin))
        .route("/s/{token}/uploads/{upload}", get(parts::show).delete(parts::abort))
        .route(
            "/s/{token}/uploads/{upload}/parts/{number}",
            axum::routing::put(parts::put).layer(DefaultBodyLimit::disable()),
        )
        .route("/s/{token}/uploads/{upload}/complete", post(parts::complete))
        .layer(axum::middleware::map_response(private))
}

/// The address is a secret: no other site is told of it, and nobody lists it.
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow, noarchive"));
    response
}

/// Is it an address of these? No session counts there, so a request from anywhere does nothing that its sender could not do.
pub(super) fn is_guests(uri: &Uri) -> bool {
    uri.path().starts_with("/s/")
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

    /// Once more for the same request, when its bytes have come: that counts no second time.
    async fn again(state: &WebState, token: &str, headers: &HeaderMap) -> Result<Guest, Problem> {
        Guest::found(state, token, headers).await?.unlocked()
    }

    fn unlocked(self) -> Result<Guest, Problem> {
        match self.locked() {
            true => Err(Problem::new(StatusCode::FORBIDDEN, "password_needed", words().guest_password_title, "")),
            false => Ok(self),
        }
    }

    fn locked(&self) -> bool {
        self.link.password.is_some() && self.proof.is_none()
    }

    /// A file, to be shown on a page. It has been seen then: that counts as a download, within an hour once.
    async fn look(&self, state: &WebState, path: &str) -> Result<Started, DriveError> {
        state.inner.drives.guest_download(&self.link, path, self.proof.map(|proof| proof.guest), true).await
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
