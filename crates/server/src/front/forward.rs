//! A request's way to a node, and to another when that one fails.

use super::body::{Answer, Source};
use super::{Front, Reply, refusal};
use crate::front::backend::Backend;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a request waits for a node to be there at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node may be down before what waits for it, and may not be sent again, is given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How long a node may be down before an answer that it had begun is cut off.
const CUT_OFF: Duration = Duration::from_secs(2);

/// Why an attempt gave no answer.
enum Lost {
    /// Nothing of it reached a node.
    BeforeSending,
    /// A node may have carried it out.
    AfterSending,
}

/// Hands the request to a node and its answer to the client.
pub async fn forward(front: &Front, request: Request<Incoming>, peer: SocketAddr) -> Reply {
    let (mut parts, body) = request.into_parts();
    let (html, looks) = (wants_html(&parts), parts.method.is_safe());
    pass_headers(&mut parts.headers, peer);
    let repeatable = is_repeatable(&parts);
    let source = Source::new(body, repeatable);
    let deadline = Instant::now() + PATIENCE;
    let mut tried = Vec::new();
    loop {
        let Some(backend) = front.pick(&tried) else {
            if Instant::now() >= deadline {
                return refusal::no_node(html, looks);
            }
            // All are down or were tried: begin again shortly.
            tried.clear();
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        match attempt(front, &backend, &parts, &source, repeatable).await {
            Ok(reply) => return answer(reply, backend),
            Err(Lost::BeforeSending) => backend.mark_down(),
            Err(Lost::AfterSending) if repeatable => {}
            Err(Lost::AfterSending) => return refusal::unknown(html),
        }
        if !source.is_whole() || Instant::now() >= deadline {
            return refusal::interrupted(html, looks, repeatable);
        }
        tracing::debug!(backend = %backend.address, method = %parts.method, "front: trying another node");
        tried.push(backend.address);
    }
}

async fn attempt(
    front: &Front,
    backend: &Arc<Backend>,
    parts: &Parts,
    source: &Source,
    repeatable: bool,
) -> Result<hyper::Response<Incoming>, Lost> {
    let mut request = Request::new(source.lend());
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.uri_mut() = target(backend.address, &parts.uri).ok_or(Lost::BeforeSending)?;
    let patience = if repeatable { Duration::ZERO } else { GIVE_UP };
    tokio::select! {
        reply = front.client.request(request) => reply.map_err(|error| {
            tracing::debug!(backend = %backend.address, %error, "front: attempt failed");
            if error.is_connect() { Lost::BeforeSending } else { Lost::AfterSending }
        }),
        () = backend.clone().gone(patience) => Err(Lost::AfterSending),
    }
}

fn target(address: SocketAddr, uri: &Uri) -> Option<Uri> {
    // `OPTIONS *` has no path.
    let path = uri.path_and_query().map(|path| path.as_str()).filter(|path| path.starts_with('/')).unwrap_or("/");
    Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build().ok()
}

fn answer(reply: hyper::Response<Incoming>, backend: Arc<Backend>) -> Reply {
    let (mut parts, body) = reply.into_parts();
    drop_hop_headers(&mut parts.headers);
    if let Ok(node) = HeaderValue::from_str(&backend.address.to_string()) {
        parts.headers.insert("x-atoll-backend", node);
    }
    Reply::from_parts(parts, Answer::new(body, backend.gone(CUT_OFF)).boxed())
}

/// May be carried out twice with the effect of once.
fn is_repeatable(parts: &Parts) -> bool {
    // With a condition, the second would be judged by what the first has done.
    let conditional = [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE];
    match parts.method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => true,
        Method::PUT | Method::DELETE => !conditional.iter().any(|name| parts.headers.contains_key(name)),
        _ => parts.method.as_str() == "PROPFIND",
    }
}

fn wants_html(parts: &Parts) -> bool {
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|text| text.contains("text/html"))
}

fn pass_headers(headers: &mut HeaderMap, peer: SocketAddr) {
    drop_hop_headers(headers);
    // The front itself answers it as soon as a node reads the body.
    headers.remove(header::EXPECT);
    let name = HeaderName::from_static("x-forwarded-for");
    let before = headers.get(&name).and_then(|value| value.to_str().ok());
    let chain = before.map_or(peer.ip().to_string(), |before| format!("{before}, {}", peer.ip()));
    if let Ok(value) = HeaderValue::from_str(&chain) {
        headers.insert(name, value);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert("x-forwarded-host", host);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
}

/// Headers that speak of one connection only, and those that `Connection` names.
fn drop_hop_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    named.iter().chain(&always).for_each(|name| {
        headers.remove(name);
    });
}
