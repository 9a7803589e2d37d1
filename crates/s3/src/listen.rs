//! Connections: one port for TLS and plain HTTP, told apart by their first byte; bounded in number, in what they may say
//! before a request is judged, and in how slowly.

use crate::front::{self, Hosts};
use crate::gateway::Gateway;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpRequest, HttpResponse};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// Bytes of a request's head, and of what is read ahead of its handler.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// How long a request's head may take to come, and a TLS handshake.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long requests under way may take to end after the gateway was asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// After an accept that failed, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of XML in a request: the longest is a list of 10 000 parts.
const XML_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How a TLS connection begins.
const HANDSHAKE: u8 = 0x16;

tokio::task_local! {
    /// From where the request comes that this task answers: the library asks for keys without a word of that.
    pub(crate) static PEER: IpAddr;
}

/// How connections come in.
#[derive(Clone)]
pub struct Door {
    /// For those that begin so; none: only plain HTTP is spoken.
    pub tls: Option<TlsAcceptor>,
    /// Plain HTTP is for everybody, rather than for this machine and its proxies.
    pub plain: bool,
}

/// Serves until `shutdown` is over and requests under way have ended, or had time enough to.
pub async fn serve(
    gateway: Gateway,
    listener: TcpListener,
    door: Door,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let entry = Arc::new(Entry::new(gateway, door));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted?,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (entry, closing) = (entry.clone(), closing.clone());
                connections.spawn(async move {
                    entry.meet(stream, peer.ip().to_canonical(), closing).await;
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
        tracing::warn!("S3 requests that did not end in time were broken off");
    }
    Ok(())
}

struct Entry {
    service: S3Service,
    gateway: Gateway,
    door: Door,
    proxies: Vec<IpAddr>,
}

impl Entry {
    fn new(gateway: Gateway, door: Door) -> Entry {
        let settings = gateway.settings().clone();
        let mut config = S3Config::default();
        config.xml_max_body_size = XML_BYTES_MAX;
        // Forms do not come here; should one, it is not read.
        (config.post_object_max_file_size, config.form_max_parts) = (0, 0);
        let mut builder = S3ServiceBuilder::new(gateway.clone());
        builder.set_auth(gateway.clone());
        builder.set_access(gateway.clone());
        builder.set_host(Hosts(settings.domains));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Entry { service: builder.build(), gateway, door, proxies: settings.proxies }
    }

    async fn meet(self: &Arc<Entry>, stream: TcpStream, peer: IpAddr, closing: CancellationToken) {
        let _ = stream.set_nodelay(true);
        let mut first = [0];
        let begins = match tokio::time::timeout(HEAD_WITHIN, stream.peek(&mut first)).await {
            Ok(Ok(1)) => first[0],
            _ => return,
        };
        match (&self.door.tls, begins) {
            (Some(tls), HANDSHAKE) => match tokio::time::timeout(HEAD_WITHIN, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream, (peer, true), closing).await,
                Ok(Err(error)) => tracing::debug!(%error, "no TLS connection came about"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
            _ => {
                let near = peer.is_loopback() || self.proxies.contains(&peer);
                self.speak(stream, (peer, self.door.plain || near), closing).await;
            }
        }
    }

    /// `safe`: what is said here nobody else hears, or may hear.
    async fn speak<S>(self: &Arc<Entry>, stream: S, (peer, safe): (IpAddr, bool), closing: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let entry = self.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let entry = entry.clone();
            async move { PEER.scope(peer, entry.answer(request, safe)).await }
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

    async fn answer(&self, request: Request<Incoming>, safe: bool) -> Result<HttpResponse, std::convert::Infallible> {
        let id: [u8; 8] = rand::random();
        let id: String = id.iter().map(|byte| format!("{byte:02X}")).collect();
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let page = self.gateway.asking_page(method, uri, headers).filter(|_| safe);
        let asks = *method == Method::OPTIONS;
        let expects = headers.contains_key(EXPECT);
        let checked = match safe {
            true => front::check(uri, headers),
            false => Err(front::in_the_open()),
        };
        let mut response = match checked {
            Err(error) => front::answer(error, &id),
            Ok(()) if asks => {
                let answer = self.gateway.preflight(uri, headers).await;
                answer.unwrap_or_else(|error| front::answer(error, &id))
            }
            Ok(()) if front::is_form(method, uri, headers) => {
                self.gateway.form(request).await.unwrap_or_else(|error| front::answer(error, &id))
            }
            Ok(()) => match self.service.call(bounded(request)).await {
                Ok(response) => response,
                Err(error) => {
                    tracing::warn!(error = ?error, "an S3 request could not be answered");
                    front::answer(s3s::S3ErrorCode::InternalError.into(), &id)
                }
            },
        };
        if let Some(page) = page.filter(|_| !asks) {
            self.gateway.show(page, response.headers_mut()).await;
        }
        if expects && !response.status().is_success() {
            // Whoever waited to be asked for the body does not send it now: on this connection the next request would be
            // taken for it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        front::explain(&mut response, &id);
        front::sign(&mut response, &id);
        Ok(response)
    }
}

/// Of which the library holds no more at a time than it should.
fn bounded(request: Request<Incoming>) -> HttpRequest {
    let (mut head, body) = request.into_parts();
    front::forget_range(&mut head.headers, &head.uri);
    let body = crate::chunks::body(&head.headers, body);
    Request::from_parts(head, body)
}
