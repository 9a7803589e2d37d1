//! What a guest shows again: which guest it is, and that they knew the link's password. Browsers by a cookie, programs as a bearer
//! token.
//!
//! Nothing is stored: it is sealed with a key that only the link and its password give, so it ends when either changes. The
//! cookie is for the link's own addresses.

use super::api_address;
use crate::web::api::link_address;
use crate::web::session;
use apps::drive::LinkFound;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::Response;
use std::time::Duration;
use types::WallMillis;

/// How long a guest need not type the password again.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const NAME: &str = "atoll-guest";

/// A guest who has been here before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// Tells one guest from another.
    pub guest: [u8; 16],
}

fn seal(link: &LinkFound, guest: &[u8; 16], until: u64) -> blake3::Hash {
    blake3::keyed_hash(&link.key, &[&guest[..], &until.to_be_bytes()].concat())
}

impl Proof {
    /// The one that the request shows, if it is good.
    pub fn shown(headers: &HeaderMap, link: &LinkFound, now: WallMillis) -> Option<Proof> {
        // A proxy may ask for a name and password of its own, beside the cookie.
        let text = session::bearer(headers).or_else(|| session::cookie(headers, NAME))?;
        let mut parts = text.splitn(3, '.');
        let (guest, until, sealed) = (parts.next()?, parts.next()?, parts.next()?);
        let guest = u128::from_str_radix(guest, 16).ok().filter(|_| guest.len() == 32)?.to_be_bytes();
        let until: u64 = until.parse().ok()?;
        // Compared in constant time.
        let sealed = blake3::Hash::from_hex(sealed).ok()?;
        (until > now.0 && sealed == seal(link, &guest, until)).then_some(Proof { guest })
    }

    /// Of a guest who was never here.
    pub fn fresh() -> Proof {
        Proof { guest: rand::random() }
    }

    /// In words, and until when it is good.
    pub fn text(&self, link: &LinkFound, now: WallMillis) -> (String, WallMillis) {
        let until = now.0 + LIFETIME.as_millis() as u64;
        let sealed = seal(link, &self.guest, until);
        (format!("{:032x}.{until}.{sealed}", u128::from_be_bytes(self.guest)), WallMillis(until))
    }

    /// Lets a browser keep it for the link's addresses.
    pub fn give(&self, response: &mut Response, link: &LinkFound, token: &str, now: WallMillis, tls: bool) {
        let (text, _) = self.text(link, now);
        let (seconds, secure) = (LIFETIME.as_secs(), if tls { "; Secure" } else { "" });
        // Lax: who comes by the link in a message again need not type the password again. What scripts ask, pages of ours ask.
        for (path, same_site) in [(link_address(token), "Lax"), (api_address(token), "Strict")] {
            let cookie =
                format!("{NAME}={text}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}");
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
    }
}
