//! What a guest's browser shows again: which guest it is, and that they knew the link's password.
//!
//! Nothing is stored: a cookie is sealed with a key that only the link and its password give, so it ends when either
//! changes. It is for the link's own addresses.

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
        let text = session::cookie(headers, NAME)?;
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

    /// Sets it for the link's addresses.
    pub fn give(&self, response: &mut Response, link: &LinkFound, token: &str, now: WallMillis, tls: bool) {
        let guest = self.guest;
        let until = now.0 + LIFETIME.as_millis() as u64;
        let sealed = seal(link, &guest, until);
        let secure = if tls { "; Secure" } else { "" };
        // Lax: who comes by the link in a message again need not type the password again.
        let cookie = format!(
            "{NAME}={:032x}.{until}.{sealed}; Path=/s/{token}; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            u128::from_be_bytes(guest),
            LIFETIME.as_secs()
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}
