//! How a folder is shown: as a list or as pictures. Remembered by the browser, for scripts and for the server.

use crate::web::session::cookie;
use axum::http::HeaderValue;
use axum::http::header::{HeaderMap, SET_COOKIE};
use axum::response::Response;
use serde::Deserialize;

/// No secret, and nothing rests on it: scripts write it too (`listing.js`).
const COOKIE: &str = "atoll-look";

/// How a folder is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::web) enum Look {
    #[default]
    List,
    Grid,
}

impl Look {
    /// As it was chosen last.
    pub fn chosen(headers: &HeaderMap) -> Look {
        if cookie(headers, COOKIE) == Some("grid") { Look::Grid } else { Look::List }
    }

    /// Remembers it for a year.
    pub fn remember(self, response: &mut Response) {
        let kept = match self {
            Look::Grid => "atoll-look=grid; Path=/; Max-Age=31536000; SameSite=Lax",
            Look::List => "atoll-look=list; Path=/; Max-Age=31536000; SameSite=Lax",
        };
        response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(kept));
    }
}
