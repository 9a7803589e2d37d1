//! Who asks: the session's cookie, or a bearer token.

use super::problem::{Face, Problem};
use super::serve::Peer;
use super::text::{self, Language, words};
use super::{Settings, WebState, pages};
use crate::network::Network;
use apps::accounts::{By, KNOWN_LIFETIME, SESSION_LIFETIME};
use apps::{AccountError, Device, Session, Token, User};
use axum::extract::FromRequestParts;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes in a token at most.
const TOKEN_BYTES_MAX: usize = 256;
/// Characters of the browser's name that are kept.
const LABEL_CHARS_MAX: usize = 200;

/// Someone signed in, who asks for JSON or for a file.
#[derive(Clone)]
pub(super) struct Caller {
    pub user: User,
    /// What they showed. A secret.
    pub token: String,
    /// Where they are.
    pub device: Device,
}

impl Caller {
    /// As accounts want to know them.
    pub fn by(&self) -> By {
        By { user: self.user.clone(), device: self.device.clone() }
    }
}

impl FromRequestParts<WebState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Caller, Problem> {
        let Some(token) = token(&parts.headers, state.tls) else {
            return Err(not_signed_in());
        };
        let (user, prolonged) = state.inner.accounts.authenticate_telling(&token).await.map_err(Problem::from)?;
        if prolonged
            && !parts.headers.contains_key(header::AUTHORIZATION)
            && let Some(told) = parts.extensions.get::<Prolonged>()
        {
            told.0.store(true, Ordering::Relaxed);
        }
        let Ok(From(device)) = From::from_request_parts(parts, state).await;
        Ok(Caller { user, token, device })
    }
}

/// Someone signed in, who looks at a page. Others are sent to sign in and back.
pub(super) struct Visitor(pub Caller);

impl FromRequestParts<WebState> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Visitor, Response> {
        let caller = Caller::from_request_parts(parts, state).await;
        let fetch = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        match caller {
            Ok(caller) => Ok(Visitor(caller)),
            Err(problem) if problem.status != StatusCode::UNAUTHORIZED => Err(pages::failed(problem)),
            // The cookie stays at home when a link on another site leads here: once more, from here.
            Err(_) if fetch("sec-fetch-site") == Some("cross-site") && fetch("sec-fetch-mode") == Some("navigate") => {
                Err(pages::once_more(parts.uri.path_and_query().map_or("/", |uri| uri.as_str())))
            }
            Err(_) => {
                let next = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
                let to = match super::url::safe_next(next) {
                    "/" => "/login".to_string(),
                    next => format!("/login?next={}", super::url::encode(next)),
                };
                Err(Redirect::to(&to).into_response())
            }
        }
    }
}

pub(super) fn not_signed_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "not_signed_in", words().not_signed_in, words().do_sign_in).face(Face::Json)
}

/// The bearer token that the request shows.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token that the request shows. Where there is an `Authorization`, no cookie counts.
pub(super) fn token(headers: &HeaderMap, tls: bool) -> Option<String> {
    let found =
        if headers.contains_key(header::AUTHORIZATION) { bearer(headers) } else { cookie(headers, cookie_name(tls)) };
    found.filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX).map(str::to_string)
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// Over TLS, a name that browsers accept from this very host only.
fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-atoll" } else { "atoll" }
}

/// The cookie of a browser that has signed in before.
fn known_name(tls: bool) -> &'static str {
    if tls { "__Host-atoll-device" } else { "atoll-device" }
}

/// Keeps the language that was chosen; none goes by what the browser asks for. It opens nothing, so it has one name.
pub(super) fn put_language(response: &mut Response, language: Option<Language>, tls: bool) {
    let (code, seconds) = language.map_or(("", 0), |language| (language.code(), KNOWN_LIFETIME.as_secs()));
    put_cookie(response, text::COOKIE, code, seconds, tls);
}

/// Sets the session's cookie, and that of the browser where it is new.
pub(super) fn set_cookie(response: &mut Response, session: &Session, tls: bool) {
    put_cookie(response, cookie_name(tls), session.token.as_str(), SESSION_LIFETIME.as_secs(), tls);
    if let Some(device) = &session.device {
        put_cookie(response, known_name(tls), device.as_str(), KNOWN_LIFETIME.as_secs(), tls);
    }
}

/// Whether the session of a request's cookie is prolonged by it. Among a request's extensions.
#[derive(Clone, Default)]
pub(super) struct Prolonged(Arc<AtomicBool>);

impl Prolonged {
    /// Lets the browser keep the session's cookie for as long as the session lasts, if that is longer now, and the answer says
    /// nothing else of it. `shown`: the request's token.
    pub async fn keep_cookie(&self, state: &WebState, shown: Option<String>, response: &mut Response) {
        let Some(shown) = shown.filter(|_| self.0.load(Ordering::Relaxed)) else { return };
        let name = cookie_name(state.tls);
        let is_of_it = |set: &HeaderValue| {
            set.to_str().ok().and_then(|set| set.split_once('=')).is_some_and(|(set, _)| set == name)
        };
        let said = response.headers().get_all(header::SET_COOKIE).iter().any(is_of_it);
        // Another request may have ended it meanwhile, and given the browser another.
        if !said && state.inner.accounts.authenticate(&shown).await.is_ok() {
            put_cookie(response, name, &shown, SESSION_LIFETIME.as_secs(), state.tls);
        }
    }
}

/// Takes the session's cookie away. The browser's stays: it opens nothing.
pub(super) fn clear_cookie(response: &mut Response, tls: bool) {
    put_cookie(response, cookie_name(tls), "", 0, tls);
}

fn put_cookie(response: &mut Response, name: &str, value: &str, seconds: u64, tls: bool) {
    let secure = if tls { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    // Tokens are hexadecimal digits, languages letters: this never fails.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// Where the request comes from.
pub(super) struct From(pub Device);

impl FromRequestParts<WebState> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<From, Self::Rejection> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let label = agent.chars().take(LABEL_CHARS_MAX).collect();
        let known = cookie(&parts.headers, known_name(state.tls)).filter(|known| known.len() <= TOKEN_BYTES_MAX);
        let address = address(&parts.headers, &parts.extensions, &state.inner.settings);
        Ok(From(Device { label, address, known: known.map(Token::shown) }))
    }
}

/// The caller's address: the connection's, or what a trusted proxy says it to be.
fn address(headers: &HeaderMap, extensions: &Extensions, settings: &Settings) -> Option<IpAddr> {
    let Peer(peer) = *extensions.get::<Peer>()?;
    if !settings.proxies.contains(&peer) {
        return Some(peer);
    }
    // The proxy added the last; what stands before it, anybody can have written.
    let told = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    told.and_then(|told| told.rsplit(',').next()?.trim().parse().ok()).or(Some(peer))
}

/// Whose request it is, for what each has a share of; none: it comes from this machine or a proxy that tells nothing.
pub(super) fn network(headers: &HeaderMap, extensions: &Extensions, settings: &Settings) -> Option<Network> {
    let address = address(headers, extensions, settings)?;
    let ours = address.is_loopback() || settings.proxies.contains(&address);
    (!ours).then(|| Network::of(address))
}

/// Signs out where there is something to sign out from; harmless otherwise.
pub(super) async fn sign_out(state: &WebState, headers: &HeaderMap) -> Result<(), AccountError> {
    match token(headers, state.tls) {
        Some(token) => state.inner.accounts.sign_out(&token).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let name = header::HeaderName::from_static;
        pairs.iter().map(|(key, value)| (name(key), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn tokens_are_found_where_they_belong() {
        let (plain, tls) = (false, true);
        let cookies = headers(&[("cookie", "a=b; atoll=abc;c=d"), ("cookie", "__Host-atoll=def")]);
        assert_eq!(token(&cookies, plain).as_deref(), Some("abc"));
        assert_eq!(token(&cookies, tls), token(&headers(&[("cookie", "__Host-atoll=def")]), tls));
        let both = headers(&[("cookie", "atoll=abc"), ("authorization", "bearer xyz")]);
        assert_eq!(token(&both, plain).as_deref(), Some("xyz"));
        for none in [&[("cookie", "atoll=abc"), ("authorization", "Basic eA==")][..], &[("cookie", "atoll=")], &[]] {
            assert_eq!(token(&headers(none), plain), None);
        }
    }

    #[test]
    fn only_trusted_proxies_tell_where_someone_is() {
        let settings = Settings { proxies: vec![[127, 0, 0, 1].into()], ..Settings::default() };
        let told = headers(&[("x-forwarded-for", "6.6.6.6, 10.1.2.3")]);
        let from = |peer: [u8; 4], headers: &HeaderMap| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.into()));
            address(headers, &extensions, &settings).unwrap().to_string()
        };
        assert_eq!(from([127, 0, 0, 1], &told), "10.1.2.3");
        assert_eq!(from([127, 0, 0, 1], &HeaderMap::new()), "127.0.0.1");
        assert_eq!(from([127, 0, 0, 1], &headers(&[("x-forwarded-for", "nobody")])), "127.0.0.1");
        assert_eq!(from([10, 9, 9, 9], &told), "10.9.9.9");
    }
}
