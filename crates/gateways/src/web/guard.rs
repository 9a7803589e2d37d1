//! What every request passes: bounds, where it comes from, and the headers of every answer.

use super::ahead::{Come, read_ahead, too_slow};
use super::body::holding;
use super::problem::{Face, Problem};
use super::text::{Language, words};
use super::{WebState, guests, session};
use crate::metrics::{Ending, Service};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use client::ClientError;
use percent_encoding::percent_decode_str;
use std::time::Instant;

/// Bytes in a request's address: every path that people make, percent-encoded.
const URI_BYTES_MAX: usize = 16 * 1024;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Sent with every answer that does not say otherwise.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // Not `no-referrer`: browsers would then send forms with `Origin: null`.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ),
];

/// Lets a request in, or not, and has it answered in the language that it asks for.
pub(super) async fn guard(State(state): State<WebState>, request: Request, next: Next) -> Response {
    let language = Language::asked(request.headers());
    language.answer(guarded(state, request, next)).await
}

async fn guarded(state: WebState, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let service = match request.uri().path() {
        // Asked all the time, by programs that look after us.
        "/health" | "/metrics" => None,
        path if path.starts_with("/api/") => Some(Service::WebApi),
        _ => Some(Service::WebPages),
    };
    let uri_bytes = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    let looks = is_safe(request.method());
    let mut response = if uri_bytes > URI_BYTES_MAX {
        Problem::new(StatusCode::URI_TOO_LONG, "too_long", words().too_long, words().do_rejected).into_response()
    } else if percent_decode_str(request.uri().path()).decode_utf8().is_err() {
        Problem::bad_request(words().not_utf8).into_response()
    } else if !is_safe(request.method())
        && !is_ours(request.uri().path(), request.headers())
        && !is_guests_form(&request)
    {
        let (kind, what) = ("wrong_origin", words().wrong_origin);
        Problem::new(StatusCode::FORBIDDEN, kind, what, words().do_reload).into_response()
    } else {
        admitted(&state, request, next).await
    };
    if let Some(service) = service {
        state.inner.metrics.record(service, Ending::of_http(response.status().as_u16()), began.elapsed());
    }
    let waits = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    // A page that was only looked at is looked at again by itself; a form is sent again by whoever filled it in.
    if waits && looks && service == Some(Service::WebPages) {
        headers.insert(header::REFRESH, HeaderValue::from_static("2"));
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if state.tls {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
    response
}

/// What is not refused by its head alone.
async fn admitted(state: &WebState, mut request: Request, next: Next) -> Response {
    let face = if request.uri().path().starts_with("/api/") { Face::Json } else { Face::Page };
    let network = session::network(request.headers(), request.extensions(), &state.inner.settings);
    let asking = match network.map(|network| state.inner.connections.ask(network)) {
        Some(None) => return Problem::from(ClientError::Busy).face(face).into_response(),
        Some(asking) => asking,
        None => None,
    };
    let (prolonged, shown) = (session::Prolonged::default(), session::token(request.headers(), state.tls));
    request.extensions_mut().insert(prolonged.clone());
    let mut response = match read_ahead(state, request).await {
        Ok(Come { request, slow, room: _room }) => {
            let response = next.run(request).await;
            // Whatever its handler made of half of it.
            if slow.is() { too_slow().face(face).into_response() } else { response }
        }
        Err(problem) => problem.into_response(),
    };
    prolonged.keep_cookie(state, shown, &mut response).await;
    holding(response, asking)
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A form of a guest's page, which tells nobody where it comes from. Whoever can send it has the link, and nothing of the
/// browser's that would help: no session counts there, and a guest's cookie stays at home when another site sends.
fn is_guests_form(request: &Request) -> bool {
    let headers = request.headers();
    let untold = headers.get(header::ORIGIN).is_some_and(|origin| origin == "null");
    guests::is_guests(request.uri()) && untold && !headers.contains_key("sec-fetch-site")
}

/// Does it come from a page of ours, or from a program that shows a token of
/// its own? Browsers always say the first, and other sites cannot make them do the
/// second without being asked first, which is refused.
fn is_ours(path: &str, headers: &HeaderMap) -> bool {
    if session::bearer(headers).is_some() {
        return true;
    }
    // No cookie opens anything there; what a browser keeps of a name and password, it sends for other sites, too.
    let dav = path == "/dav" || path.starts_with("/dav/");
    if dav && !headers.contains_key("sec-fetch-site") && !headers.contains_key(header::ORIGIN) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
        // Programs that keep a cookie say so by a header that no form can have.
        (None, _) => headers.contains_key("x-atoll-client"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        is_ours("/api/v1", &headers.collect())
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        let host = ("host", "atoll.example:8080");
        assert!(ours(&[host, ("origin", "http://atoll.example:8080")]));
        assert!(ours(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(ours(&[host, ("authorization", "Bearer abc")]));
        assert!(ours(&[host, ("x-atoll-client", "script")]));
        for bad in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "http://atoll.example")],
            &[host, ("origin", "http://evil.example/?://atoll.example:8080")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://atoll.example:8080")],
            &[host, ("sec-fetch-site", "same-site")],
            &[("origin", "http://atoll.example:8080")],
            &[host, ("authorization", "Basic abc")],
        ] {
            assert!(!ours(bad), "{bad:?}");
        }
    }
}
