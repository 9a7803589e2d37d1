//! The demo's front door: one web address that outlives any node.
//!
//! **Owns** a stateless HTTP/1.1 reverse proxy over the nodes' web addresses: it
//! asks each `/health` twice a second, hands requests to live nodes in turn, and
//! tries another node when one fails before a byte of the answer has come.
//! **Invariants**: a request that may have been carried out is sent again only if
//! its method is idempotent; bodies stream both ways, with at most
//! [`body::REPLAY_BYTES_MAX`] kept of one; connections are bounded.
//! **Leaves to others**: everything about the requests (`gateways`). In
//! production a load balancer or DNS has this place. **Proved by** the tests
//! below, with real sockets.

mod backend;
mod body;
mod forward;
mod refusal;
#[cfg(test)]
mod tests;

use backend::Backend;
pub use backend::health;
use body::Lent;
use http_body_util::combinators::BoxBody;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Connections served at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// How long a connection may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests under way may go on after the stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

type Reply = hyper::Response<BoxBody<Bytes, std::io::Error>>;

/// What all connections share.
struct Front {
    backends: Vec<Arc<Backend>>,
    turn: AtomicUsize,
    client: Client<HttpConnector, Lent>,
}

impl Front {
    fn new(addresses: &[SocketAddr], cluster: Option<&str>) -> Arc<Front> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(800)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(64)
            .build(connector);
        let backends =
            addresses.iter().map(|address| Arc::new(Backend::new(*address, cluster.map(str::to_string)))).collect();
        Arc::new(Front { backends, turn: AtomicUsize::new(0), client })
    }

    /// The next live node that was not `tried`.
    fn pick(&self, tried: &[SocketAddr]) -> Option<Arc<Backend>> {
        let count = self.backends.len().max(1);
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        let in_turn = self.backends.iter().cycle().skip(start).take(self.backends.len());
        in_turn.into_iter().find(|backend| backend.is_up() && !tried.contains(&backend.address)).cloned()
    }
}

/// Serves until `stop` turns true, then lets requests under way finish, for a moment.
///
/// `cluster`: what answers for another one, or for none, on a node's port counts as down.
pub async fn serve(
    listener: TcpListener,
    backends: Vec<SocketAddr>,
    cluster: Option<String>,
    mut stop: watch::Receiver<bool>,
) {
    let front = Front::new(&backends, cluster.as_deref());
    let mut tasks = JoinSet::new();
    for backend in &front.backends {
        tasks.spawn(backend.clone().watch_health());
    }
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let (front, stop) = (front.clone(), stop.clone());
                connections.spawn(async move {
                    connection(front, stream, peer, stop).await;
                    drop(permit);
                });
            }
            // Out of descriptors, or a peer that left at once: neither may end the front.
            Err(error) => {
                tracing::debug!(%error, "front: accept failed");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    drop(listener);
    let _late_ones_are_cut =
        tokio::time::timeout(STOP_GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

async fn connection(front: Arc<Front>, stream: TcpStream, peer: SocketAddr, mut stop: watch::Receiver<bool>) {
    let service = service_fn(|request| {
        let front = front.clone();
        async move { Ok::<Reply, Infallible>(forward::forward(&front, request, peer).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        result = served.as_mut() => Some(result),
        () = stopped => None,
    };
    let result = match ended {
        Some(result) => result,
        None => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "front: connection ended");
    }
}
