//! Connections: bounded in number, in what they may say before a request is judged, and in how slowly.

use super::{WebState, router};
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// Bytes of a request's head, and of what is read ahead of its handler.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a request's head may take to come.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long requests under way may take to end after the gateway was asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// After an accept that failed, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(50);

/// The other end of a connection, among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Serves until `shutdown` is over and requests under way have ended, or had time enough to.
pub async fn serve(state: WebState, listener: TcpListener, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
    let router = router(state);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let connection = connection(stream, Peer(peer), router.clone(), closing.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
        tracing::warn!("web requests that did not end in time were broken off");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer.ip().to_canonical(), permit))
}

async fn connection(stream: TcpStream, peer: Peer, router: axum::Router, closing: CancellationToken) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
