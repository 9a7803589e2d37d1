//! The gRPC gateway: `atoll.v1` on any node, or on machines that store nothing.
//!
//! **Owns** who may call what, bounds on what a stranger can make it do, and
//! the translation between messages and the calls of `client` and `apps`.
//! **Invariants**
//! 1. No call but hello, signing in or up, resetting a password by a link, health and reflection gets past
//!    [`guard`] without a session or an app password; the way in is closed by default, so that a new call is guarded
//!    too. An app password opens data alone, and changes it only where it may.
//! 2. Tables are named by name and looked up in the namespace `kv` alone: nothing
//!    that a caller says reaches a table of an app.
//! 3. A drive is the caller's own, or a shared one whose members the store was asked for in this very call
//!    ([`guard`]): no handler knows a drive otherwise. A block is given to whoever holds a ticket for
//!    it that was made out to them, for a file of that drive.
//! 4. An error tells, in its detail, whether the change may have been made.
//! 5. What a call may cost in memory is bounded before its body is read.
//!
//! **Leaves to others**: accounts and drives (`apps`), retries and routing
//! (`client`), secrecy on the wire (TLS goes underneath).
//! **Proved by** `tests/`, on real sockets with `client::remote` as the caller.

mod accounts;
mod backend;
mod blocks;
mod cluster;
mod connections;
mod copies;
mod drive;
mod drive_acts;
mod drives;
mod guard;
mod key_value;
mod layout;
mod links;
mod people;
mod personal;
mod problems;
mod tables;
mod tickets;
mod users;
mod watch;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use backend::Backend;
pub use connections::Door;

use crate::{Health, HealthCheck, Metrics};
use apps::Quotas;
use apps::{Accounts, Apps, Drives};
use bytes::Bytes;
use client::{Client, ClusterKey};
use futures::future::BoxFuture;
use rpc::grpc::limits::{MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX};
use rpc::grpc::v1::{
    accounts_server::AccountsServer, cluster_server::ClusterServer, drive_server::DriveServer,
    drives_server::DrivesServer, key_value_server::KeyValueServer, tables_server::TablesServer,
    users_server::UsersServer,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use types::{BlockHash, NodeId};

/// How long calls under way may take to end after the gateway was asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Calls at a time on one connection.
const STREAMS_MAX: u32 = 256;

/// Blocks on this machine's own disk, so that they need no way through the network.
pub trait LocalBlocks: Send + Sync {
    /// The block, intact; none when it is not here, or not in good order.
    fn get(&self, hash: BlockHash) -> BoxFuture<'_, Option<Bytes>>;
}

/// What the gateway works with. A cheap handle.
#[derive(Clone)]
pub struct GrpcState {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Arc<dyn Backend>,
    accounts: Accounts,
    drives: Drives,
    quotas: Quotas,
    tickets: tickets::Tickets,
    local_blocks: Option<Arc<dyn LocalBlocks>>,
    node: Option<NodeId>,
    watches: Arc<tokio::sync::Semaphore>,
    guard: guard::Bulkheads,
    health: HealthCheck,
    metrics: Arc<Metrics>,
    /// Certificate of the authority that made the gateways' certificates, if that is the cluster's own; else empty.
    authority: String,
    /// Ends the streams that have no end of their own.
    closing: CancellationToken,
}

impl GrpcState {
    /// A gateway on a machine that holds nothing.
    pub fn new(client: Client, apps: Apps, key: &ClusterKey) -> GrpcState {
        GrpcState::with_backend(Arc::new(client), apps, key, None)
    }

    /// The gateway of a node, which serves blocks from its own disk.
    pub fn on_node(
        client: Client,
        apps: Apps,
        key: &ClusterKey,
        node: NodeId,
        local_blocks: Arc<dyn LocalBlocks>,
        health: HealthCheck,
        metrics: Arc<Metrics>,
    ) -> GrpcState {
        let state = GrpcState::with_backend(Arc::new(client), apps, key, Some((node, local_blocks)));
        state.watched(health, metrics)
    }

    /// The same, told how it is by `health`, and counting in `metrics`. Before it is shared.
    fn watched(self, health: HealthCheck, metrics: Arc<Metrics>) -> GrpcState {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => GrpcState { inner: Arc::new(Inner { health, metrics, ..inner }) },
            Err(inner) => GrpcState { inner },
        }
    }

    /// The same, whose callers are told of that authority. Before it is shared.
    pub fn certified_by(self, authority: String) -> GrpcState {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => GrpcState { inner: Arc::new(Inner { authority, ..inner }) },
            Err(inner) => GrpcState { inner },
        }
    }

    /// On any backend.
    pub fn with_backend(
        backend: Arc<dyn Backend>,
        apps: Apps,
        key: &ClusterKey,
        local: Option<(NodeId, Arc<dyn LocalBlocks>)>,
    ) -> GrpcState {
        let (node, local_blocks) = local.unzip();
        let inner = Inner {
            backend,
            accounts: apps.accounts,
            drives: apps.drives,
            quotas: Quotas::default(),
            tickets: tickets::Tickets::new(key),
            local_blocks,
            node,
            watches: Arc::new(tokio::sync::Semaphore::new(watch::WATCHES_MAX)),
            guard: guard::Bulkheads::default(),
            health: Arc::new(|| Health { ready: true, ..Health::default() }),
            metrics: Arc::default(),
            authority: String::new(),
            closing: CancellationToken::new(),
        };
        GrpcState { inner: Arc::new(inner) }
    }
}

/// All services, behind their guard.
pub fn router(state: GrpcState) -> axum::Router {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(rpc::grpc::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    routes
        .add_service(
            KeyValueServer::new(state.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            DriveServer::new(state.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(TablesServer::new(state.clone()).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(AccountsServer::new(state.clone()).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(DrivesServer::new(state.clone()).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(UsersServer::new(state.clone()).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(ClusterServer::new(state.clone()).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
        .add_service(health_service);
    // Both versions, for tools old and new. The definitions are compiled in: reading them cannot fail in one
    // build and not in another, and a gateway without reflection is a gateway still.
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no gRPC reflection"),
    }
    let report = async move {
        health.set_serving::<KeyValueServer<GrpcState>>().await;
        health.set_serving::<DriveServer<GrpcState>>().await;
        health.set_serving::<TablesServer<GrpcState>>().await;
        health.set_serving::<AccountsServer<GrpcState>>().await;
        health.set_serving::<UsersServer<GrpcState>>().await;
        health.set_serving::<DrivesServer<GrpcState>>().await;
        health.set_serving::<ClusterServer<GrpcState>>().await;
    };
    tokio::spawn(report);
    let guard = axum::middleware::from_fn_with_state(state, guard::guard);
    routes.routes().into_axum_router().layer(guard)
}

/// Serves until `shutdown` is over and calls under way have ended, or had time enough to. Call it within a tokio runtime.
pub async fn serve(
    state: GrpcState,
    listener: TcpListener,
    door: Door,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let closing = state.inner.closing.clone();
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(2 * 1024 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(15)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .add_routes(Routes::from(router(state)))
        .serve_with_incoming_shutdown(connections::incoming(listener, door), closing.clone().cancelled_owned());
    tokio::pin!(server, shutdown);
    tokio::select! {
        ended = &mut server => return ended.map_err(std::io::Error::other),
        () = &mut shutdown => closing.cancel(),
    }
    match tokio::time::timeout(STOP_WITHIN, server).await {
        Ok(ended) => ended.map_err(std::io::Error::other),
        Err(_) => {
            tracing::warn!("calls that did not end in time were broken off");
            Ok(())
        }
    }
}
