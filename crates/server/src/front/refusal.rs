//! What the front says when no node can, in the form of the web gateway's own errors.

use super::Reply;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde_json::json;

/// Every node is down, or cannot serve because most others are.
pub fn no_node(html: bool, looks: bool) -> Reply {
    let what = "No node of this cluster can serve just now: most of them are away.";
    let next = "Nothing was changed, and nothing that was saved is lost. It goes on by itself when they are back.";
    refuse((html, looks), StatusCode::SERVICE_UNAVAILABLE, "no_node", "not_applied", what, next)
}

/// The node went away and the request may have been carried out.
pub fn unknown(html: bool) -> Reply {
    let what = "The machine that had this request went away.";
    let next = "It may or may not have been done. Look, then try again.";
    refuse((html, false), StatusCode::BAD_GATEWAY, "unknown_outcome", "unknown", what, next)
}

/// The node went away and the body could not be sent from its beginning again.
pub fn interrupted(html: bool, looks: bool, repeatable: bool) -> Reply {
    if !repeatable {
        return unknown(html);
    }
    let what = "The machine that had this request went away.";
    refuse((html, looks), StatusCode::BAD_GATEWAY, "interrupted", "unknown", what, "Send it again; that is harmless.")
}

/// Whoever only `looks` has the page look again by itself; a form, which that would lose, is sent again by who filled it in.
fn refuse(
    (html, looks): (bool, bool),
    status: StatusCode,
    kind: &str,
    outcome: &str,
    what: &str,
    action: &str,
) -> Reply {
    let (media_type, text) = if html {
        let (refresh, title, way_on) = match looks {
            true => ("<meta http-equiv=refresh content=2>", "Reconnecting…", "This page tries again by itself."),
            false => ("", "The connection was lost", "What was typed is on the page before this one: go back."),
        };
        let page = format!(
            "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             {refresh}<title>{title}</title>\
             <body style=\"font:1rem system-ui;margin:4rem auto;max-width:32rem;color-scheme:light dark\">\
             <h1>{title}</h1><p>{what} {action}</p><p>{way_on}</p>"
        );
        ("text/html; charset=utf-8", page)
    } else {
        let id = format!("{:012x}", rand::random::<u64>() >> 16);
        let error = json!({"kind": kind, "message": what, "action": action, "outcome": outcome, "id": id});
        ("application/json", json!({ "error": error }).to_string())
    };
    let mut reply = Reply::new(Full::new(text.into()).map_err(|never| match never {}).boxed());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_only_looked_at_is_looked_at_again() {
        for (reply, again) in [
            (no_node(true, true), true),
            (no_node(true, false), false),
            (interrupted(true, true, true), true),
            (interrupted(true, false, false), false),
            (unknown(true), false),
        ] {
            let page = reply.into_body().collect().await.unwrap().to_bytes();
            let page = String::from_utf8_lossy(&page);
            assert_eq!(page.contains("http-equiv=refresh"), again, "{page}");
            assert_eq!(page.contains("go back"), !again, "{page}");
        }
    }
}
