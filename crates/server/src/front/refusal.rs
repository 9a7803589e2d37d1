//! What the front says when no node can.

use super::Reply;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

/// Every node is down.
pub fn no_node(html: bool) -> Reply {
    let text = "No node of this cluster is up just now. Nothing is lost; this page tries again by itself.";
    refuse(html, StatusCode::SERVICE_UNAVAILABLE, "no_node", text, "atoll demo status")
}

/// The node went away and the request may have been carried out.
pub fn unknown(html: bool) -> Reply {
    let text = "The machine that had this request went away. Whether it was done is not known.";
    refuse(html, StatusCode::BAD_GATEWAY, "unknown_outcome", text, "look whether it was done, then try again")
}

/// The node went away and the body could not be sent from its beginning again.
pub fn interrupted(html: bool, repeatable: bool) -> Reply {
    if !repeatable {
        return unknown(html);
    }
    let text = "The machine that had this request went away. Sending it again is harmless.";
    refuse(html, StatusCode::BAD_GATEWAY, "interrupted", text, "send it again")
}

fn refuse(html: bool, status: StatusCode, code: &str, what: &str, next: &str) -> Reply {
    let (kind, text) = if html {
        let page = format!(
            "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <meta http-equiv=refresh content=2><title>Reconnecting…</title>\
             <body style=\"font:1rem system-ui;margin:4rem auto;max-width:32rem;color-scheme:light dark\">\
             <h1>Reconnecting…</h1><p>{what}</p><p>Next: <code>{next}</code></p>"
        );
        ("text/html; charset=utf-8", page)
    } else {
        let error = serde_json::json!({"error": {"code": code, "message": what, "next": next}});
        ("application/json", error.to_string())
    };
    let mut reply = Reply::new(Full::new(text.into()).map_err(|never| match never {}).boxed());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}
