//! The web gateway: pages for people, JSON for scripts, on any node or on machines that store nothing.
//!
//! **Owns** cookies, pages, `/api/v1`, and what a browser is allowed to do.
//! **Invariants**
//! 1. A request that may change something comes from this site's own pages, or
//!    shows a bearer token: [`guard`] refuses everything else before it is read.
//! 2. A drive is the caller's own, or a shared one that the address names and whose members the store was asked for in
//!    this very request ([`place`]): no handler knows a drive otherwise. Who has a link reaches what it is to, and nothing
//!    beside it ([`guests`]).
//! 3. Nothing that people store is ever active content here: files leave sandboxed, as attachments but for images, sound
//!    and films by their bytes ([`media`]); texts are shown escaped, names wherever they are.
//! 4. An answer tells refused from not known, and an upload that ends early
//!    leaves nothing under a name.
//! 5. What a request costs in memory is bounded before its body is read; an
//!    upload's length is bounded by the disks alone.
//!
//! **Leaves to others**: accounts and drives (`apps`), retries and routing
//! (`client`), whose certificate is shown ([`Door::Tls`]).
//! **Proved by** `tests/web/`, over a real node in the same process.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ahead;
mod api;
mod assets;
mod body;
mod bounds;
mod certificate;
mod connections;
mod dav;
mod filters;
mod format;
mod forms;
mod guard;
mod guests;
mod health;
mod intake;
mod markdown;
mod media;
mod pages;
mod place;
mod problem;
mod reach;
mod serve;
mod session;
mod stage;
mod store;
mod text;
mod url;
mod zip;

pub(crate) use api::link_address;
pub use bounds::Bounds;
pub use certificate::{Shown, TlsFailure};
pub use serve::{Door, Peer, serve};
pub(crate) use text::{Language, fill};

use crate::turns::Places;
use crate::{HealthCheck, Metrics};
use apps::Quotas;
use apps::{AccountError, Accounts, Apps, Drives, User};
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use axum::{Router, middleware};
use client::Client;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes in a form or a JSON request.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Uploads that take their bytes at a time; each holds some ten blocks in memory. Others wait; of these, downloads and archives
/// nobody has more than half.
const UPLOADS_MAX: usize = 32;
/// Listings by WebDAV that are told at a time. Others wait.
const LISTINGS_MAX: usize = 32;
/// Downloads at a time. Others wait.
const DOWNLOADS_MAX: usize = 128;
/// Archives made at a time; each keeps its directory in memory, up to 32 MiB. Others wait.
const ARCHIVES_MAX: usize = 8;

/// Texts made into HTML at a time; others wait a little, and are then shown as they stand.
const RENDERINGS_MAX: usize = 2;

/// The same for guests, so that they do not keep out who has an account.
const GUEST_UPLOADS_MAX: usize = 8;
const GUEST_DOWNLOADS_MAX: usize = 64;
const GUEST_ARCHIVES_MAX: usize = 4;

/// How long one waits for others to end.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// What the gateway can be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Proxies whose word about the caller is taken (`X-Forwarded-For`, `X-Forwarded-Proto`).
    pub proxies: Vec<IpAddr>,
    /// Who may read `/metrics`, beside this machine and administrators.
    pub metrics_from: Vec<IpAddr>,
    /// The port of S3, for who connects a program to it.
    pub s3_port: Option<u16>,
    /// Where gRPC listens, for programs that ask here.
    pub grpc: Option<String>,
    /// What `/health` repeats, so that whoever started this process knows it again.
    pub instance: Option<String>,
    /// How much, and for how long, it bears of strangers.
    pub bounds: Bounds,
}

/// What the gateway works with. A cheap handle.
#[derive(Clone)]
pub struct WebState {
    inner: Arc<Inner>,
    /// These requests come over TLS: cookies are for TLS only, and browsers are told to stay with it.
    tls: bool,
}

struct Inner {
    client: Client,
    accounts: Accounts,
    drives: Drives,
    quotas: Quotas,
    settings: Settings,
    health: HealthCheck,
    metrics: Arc<Metrics>,
    connections: Arc<connections::Connections>,
    uploads: Places,
    downloads: Places,
    listings: Arc<Semaphore>,
    archives: Places,
    renderings: Arc<Semaphore>,
    ahead: ahead::Rooms,
    guests: guests::Guests,
    known: media::Known,
}

impl WebState {
    /// A gateway; `health` tells at any time whether it can serve.
    pub fn new(client: Client, apps: Apps, settings: Settings, health: HealthCheck, metrics: Arc<Metrics>) -> WebState {
        let connections = Arc::new(connections::Connections::within(&settings.bounds));
        let inner = Inner {
            client,
            accounts: apps.accounts,
            drives: apps.drives,
            quotas: Quotas::default(),
            settings,
            health,
            metrics,
            connections,
            uploads: Places::of(UPLOADS_MAX, ROOM_WITHIN),
            downloads: Places::of(DOWNLOADS_MAX, ROOM_WITHIN),
            listings: Arc::new(Semaphore::new(LISTINGS_MAX)),
            archives: Places::of(ARCHIVES_MAX, ROOM_WITHIN),
            renderings: Arc::new(Semaphore::new(RENDERINGS_MAX)),
            ahead: ahead::Rooms::default(),
            guests: guests::Guests::default(),
            known: media::Known::default(),
        };
        WebState { inner: Arc::new(inner), tls: false }
    }

    /// The same gateway, for requests that come over TLS.
    fn over_tls(&self) -> WebState {
        WebState { tls: true, ..self.clone() }
    }

    /// Bytes that this person may keep.
    async fn quota(&self, user: &User) -> Result<Option<u64>, AccountError> {
        self.inner.quotas.of(&self.inner.accounts, user).await
    }
}

/// One of so many that there may be at a time; who waits for long is told so.
async fn room_to_keep(of: &Arc<Semaphore>) -> Result<tokio::sync::OwnedSemaphorePermit, client::ClientError> {
    let room = tokio::time::timeout(ROOM_WITHIN, of.clone().acquire_owned()).await;
    room.map_err(|_| client::ClientError::Busy)?.map_err(|_| client::ClientError::Busy)
}

/// Everything that the gateway answers, behind its guard.
pub fn router(state: WebState) -> Router {
    let guarded = middleware::from_fn_with_state(state.clone(), guard::guard);
    Router::new()
        .route("/", get(pages::drive::root).options(dav::offered))
        .route("/login", get(pages::login::show).post(pages::login::submit))
        .route("/logout", post(pages::login::sign_out))
        .route("/setup/{secret}", get(pages::setup::show).post(pages::setup::submit))
        .merge(pages::routes())
        .merge(guests::routes())
        .route("/assets/{version}/{name}", get(assets::asset))
        .route("/dav", any(dav::handle))
        .route("/dav/", any(dav::handle))
        .route("/dav/{*path}", any(dav::handle))
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .nest("/api/v1", api::routes().0)
        .route("/api", get(pages::reference::to_page))
        .route("/api/docs", get(pages::reference::show))
        .fallback(pages::not_found)
        .method_not_allowed_fallback(pages::bad_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(guarded)
        .with_state(state)
}
