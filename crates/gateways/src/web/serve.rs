//! Connections: bounded in number, in what they may say before a request is judged, and in how slowly they come and take.

use super::body::holding;
use super::certificate::Shown;
use super::connections::Place;
use super::problem::Problem;
use super::text::words;
use super::{WebState, router};
use crate::network::Network;
use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use hyper::body::Incoming;

use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Bytes of a request's head, and of what is read ahead of its handler.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a request's head may take to come.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long requests under way may take to end after the gateway was asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// After an accept that failed, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(50);

/// The other end of a connection, among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// How connections of a port come in.
#[derive(Clone, Debug)]
pub enum Door {
    /// Plain HTTP, for everybody.
    Plain,
    /// Plain HTTP for this machine and its proxies; others are sent to this port for TLS.
    Here {
        /// Where TLS is.
        tls_port: u16,
    },
    /// TLS.
    Tls(Shown),
}

/// Serves until `shutdown` is over and requests under way have ended, or had time enough to.
pub async fn serve(
    state: WebState,
    listener: TcpListener,
    door: Door,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let acceptor = match &door {
        Door::Tls(shown) => Some(shown.acceptor().map_err(std::io::Error::other)?),
        Door::Plain | Door::Here { .. } => None,
    };
    let places = state.inner.connections.clone();
    let entry = Arc::new(Entry {
        door,
        proxies: state.inner.settings.proxies.clone(),
        silence: state.inner.settings.bounds.silence,
        tls: router(state.over_tls()),
        plain: router(state),
    });
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = places.admit(entry.network_of(peer)) else {
                    tracing::debug!("all connections have something under way: another one was turned away");
                    continue;
                };
                let (entry, acceptor, closing) = (entry.clone(), acceptor.clone(), closing.clone());
                connections.spawn(async move {
                    let leave = place.leave.clone();
                    let served = async {
                        match acceptor {
                            None => connection(stream, (Peer(peer), place), entry, closing).await,
                            Some(acceptor) => {
                                match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                                    Ok(Ok(stream)) => connection(stream, (Peer(peer), place), entry, closing).await,
                                    Ok(Err(error)) => tracing::debug!(%error, "no TLS connection came about"),
                                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                                }
                            }
                        }
                    };
                    tokio::select! {
                        () = served => {}
                        () = leave.cancelled() => tracing::debug!("a connection that waited made room for another"),
                    }
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

async fn accept(listener: &TcpListener) -> std::io::Result<(TcpStream, IpAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer.ip().to_canonical()))
}

/// Where requests go, by how they came.
struct Entry {
    door: Door,
    proxies: Vec<IpAddr>,
    /// How long who takes an answer may take nothing of it.
    silence: Duration,
    plain: Router,
    tls: Router,
}

impl Entry {
    /// Whose connection it counts as: see [`Connections`](super::connections::Connections).
    fn network_of(&self, peer: IpAddr) -> Option<Network> {
        let ours = peer.is_loopback() || self.proxies.contains(&peer);
        (!ours).then(|| Network::of(peer))
    }

    async fn answer(&self, peer: Peer, mut request: Request<Incoming>) -> Result<Response, std::convert::Infallible> {
        request.extensions_mut().insert(peer);
        let is_proxy = self.proxies.contains(&peer.0);
        let is_tls = match self.door {
            Door::Tls(_) => true,
            Door::Plain | Door::Here { .. } => is_proxy && forwarded_over_tls(request.headers()),
        };
        match self.door {
            Door::Here { tls_port } if !peer.0.is_loopback() && !is_proxy && !is_open(request.uri()) => {
                Ok(elsewhere(&request, tls_port))
            }
            _ if is_tls => self.tls.clone().call(request).await,
            _ => self.plain.clone().call(request).await,
        }
    }
}

/// What programs that look after us ask for, and nobody's secret.
fn is_open(uri: &Uri) -> bool {
    matches!(uri.path(), "/health" | "/metrics")
}

/// The word of a proxy that is trusted.
fn forwarded_over_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

/// Looks go on over TLS. What should change something has already travelled in the open: that is said.
fn elsewhere<B>(request: &Request<B>, tls_port: u16) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<axum::http::uri::Authority>().ok());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    match authority {
        Some(authority) if looks => {
            Redirect::temporary(&format!("https://{}:{tls_port}{path}", authority.host())).into_response()
        }
        _ => {
            let (kind, what) = ("tls_required", words().tls_required);
            Problem::new(StatusCode::FORBIDDEN, kind, what, words().do_use_tls).into_response()
        }
    }
}

async fn connection<S>(stream: S, (peer, place): (Peer, Place), entry: Arc<Entry>, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(entry.silence));
    let place = Arc::new(place);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (entry, place) = (entry.clone(), place.clone());
        async move {
            match place.busy() {
                Some(busy) => entry.answer(peer, request).await.map(|response| holding(response, busy)),
                // It is about to be closed.
                None => std::future::pending().await,
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
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
