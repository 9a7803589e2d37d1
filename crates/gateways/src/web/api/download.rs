//! `GET /api/v1/drive/file` and `…/view`: a file's bytes, all or one range, never as active content.

use super::description::{FileBytes, Id};
use crate::turns::Share;
use crate::web::WebState;
use crate::web::place::Viewer;
use crate::web::problem::Problem;
use crate::web::stage;
use crate::web::text::words;
use crate::web::url::encode;
use apps::drive::{FileInfo, OpenFile, RecentAct};
use apps::{DriveError, DriveId, Drives, VersionId};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Deserialize;
use std::ops::Range;
use std::time::{Duration, SystemTime};
use utoipa::IntoParams;

/// Of a file: it may do nothing, wherever it is opened.
pub(super) const SANDBOX: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
/// Types that are told as they are; all others are plain bytes.
const PASSIVE: [&str; 9] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "audio/",
    "video/",
    "text/plain",
    "application/pdf",
    "application/zip",
];

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct At {
    #[param(example = "/notes.txt")]
    path: String,
    /// An earlier one.
    #[param(value_type = Option<Id>)]
    version: Option<VersionId>,
}

/// What of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    /// The file does not have it.
    Beyond,
}

/// A file's bytes, all or one range of them (`Range`), or an earlier version's.
#[utoipa::path(get, path = "/file", tag = "files", params(At), responses(
    (status = 200, body = FileBytes, content_type = "*/*"),
    (status = 206, description = "The part that was asked for", body = FileBytes, content_type = "*/*"),
    (status = 304, description = "It is as `If-None-Match` has it")))]
pub(in crate::web) async fn download(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    method: Method,
    headers: HeaderMap,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query?;
    let open = open(&state, at.drive, &asked).await?;
    // Those who seek or resume have opened it before.
    if method == Method::GET && !headers.contains_key(header::RANGE) {
        state.inner.drives.note(at.caller.user.id, at.drive, &open.entry, RecentAct::Opened);
    }
    send(&state.inner.drives, state.inner.downloads.share(at.who()), open, None, &method, &headers).await
}

/// The same for a page of ours: what its bytes say is an image, sound or a film comes as such, all else as an attachment.
#[utoipa::path(get, path = "/view", tag = "files", params(At), responses(
    (status = 200, body = FileBytes, content_type = "*/*"),
    (status = 206, description = "The part that was asked for", body = FileBytes, content_type = "*/*"),
    (status = 304, description = "It is as `If-None-Match` has it")))]
pub(in crate::web) async fn view(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    method: Method,
    headers: HeaderMap,
    query: Result<Query<At>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query?;
    let open = open(&state, at.drive, &asked).await?;
    let shown = stage::media(&state, at.drive, &open).await?.inline();
    send(&state.inner.drives, state.inner.downloads.share(at.who()), open, shown, &method, &headers).await
}

async fn open(state: &WebState, drive: DriveId, asked: &At) -> Result<OpenFile, DriveError> {
    match asked.version {
        Some(version) => state.inner.drives.open_version(drive, &asked.path, version).await,
        None => state.inner.drives.open(drive, &asked.path).await,
    }
}

/// The file, or the part of it that is asked for. `downloads`: the share of those that there may be at a time; `shown`: as what a page
/// may show it, by its bytes.
pub(in crate::web) async fn send(
    drives: &Drives,
    downloads: Share<'_>,
    open: OpenFile,
    shown: Option<&'static str>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let etag = format!("\"{}\"", open.file.etag);
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut response = if text(header::IF_NONE_MATCH).is_some_and(|given| matches(given, &etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let current = text(header::IF_RANGE).is_none_or(|given| given.trim() == etag);
        let asked = text(header::RANGE).filter(|_| current).map_or(Asked::All, |text| range(text, open.file.size));
        let (status, range) = match asked {
            Asked::All => (StatusCode::OK, 0..open.file.size),
            Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Asked::Beyond => return Ok(beyond(open.file.size)),
        };
        let length = range.end - range.start;
        let mut body = Body::empty();
        if *method == Method::GET && length > 0 {
            let room = downloads.place().await?;
            let mut bytes = drives.read(open.content, range.clone());
            // While nothing has been said, a failure can still be told as one.
            let first = bytes.next().await.transpose()?.unwrap_or_default();
            let all = futures::stream::iter([Ok(first)]).chain(bytes).map(move |chunk| {
                let _held = &room;
                chunk.map_err(std::io::Error::other)
            });
            body = Body::from_stream(all);
        }
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if status == StatusCode::PARTIAL_CONTENT {
            put(headers, header::CONTENT_RANGE, &content_range(&range, open.file.size));
        }
        response
    };
    describe(response.headers_mut(), &open.entry.name, &open.file, shown, &etag);
    Ok(response)
}

pub(super) fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // Everything put here is visible ASCII by its making.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

fn describe(headers: &mut HeaderMap, name: &str, file: &FileInfo, shown: Option<&str>, etag: &str) {
    let kind = file.media_type.as_deref().map(str::to_ascii_lowercase).unwrap_or_default();
    let told = PASSIVE.iter().any(|passive| {
        if passive.ends_with('/') {
            kind.starts_with(passive)
        } else {
            kind.split(';').next().unwrap_or("") == *passive
        }
    });
    let told = if told { &kind } else { "application/octet-stream" };
    put(headers, header::CONTENT_TYPE, shown.unwrap_or(told));
    put(headers, header::CONTENT_DISPOSITION, &if shown.is_some() { "inline".into() } else { disposition(name) });
    put(headers, header::CONTENT_SECURITY_POLICY, SANDBOX);
    put(headers, header::ETAG, etag);
    put(headers, header::ACCEPT_RANGES, "bytes");
    // Kept by the browser for its owner alone, and asked for again each time.
    put(headers, header::CACHE_CONTROL, "private, no-cache");
    let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(file.mtime.0));
    // Dates beyond the year 9999 have no form in HTTP.
    if let Some(modified) = modified.filter(|_| file.mtime.0 < 253_402_300_800_000) {
        put(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    }
}

/// The name twice: for browsers of old in ASCII, for others as it is (RFC 6266, RFC 5987).
pub(super) fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%' | ';') { c } else { '_' })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(name))
}

fn matches(given: &str, etag: &str) -> bool {
    given.trim() == "*" || given.split(',').any(|one| one.trim().trim_start_matches("W/") == etag)
}

fn beyond(size: u64) -> Response {
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    let what = words().range_unsatisfiable;
    let mut response = Problem::new(status, "range_not_satisfiable", what, words().do_look_again).into_response();
    put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// One range of bytes. Several at once, and what is not understood, are answered
/// with the whole, as the standard allows.
fn range(text: &str, size: u64) -> Asked {
    let Some(text) = text.trim().strip_prefix("bytes=") else { return Asked::All };
    let Some((first, last)) = text.split_once('-').filter(|_| !text.contains(',')) else { return Asked::All };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than fit are more than any file has.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            None => Asked::All,
            Some(0) => Asked::Beyond,
            Some(_) if size == 0 => Asked::Beyond,
            Some(count) => Asked::Part(size.saturating_sub(count)..size),
        },
        (first, last) => {
            let end = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), end) {
                (Some(first), Some(last)) if first > last => Asked::All,
                (Some(first), Some(_)) if first >= size => Asked::Beyond,
                (Some(first), Some(last)) => Asked::Part(first..last.saturating_add(1).min(size)),
                _ => Asked::All,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_as_the_standard_has_them() {
        for (text, size, asked) in [
            ("bytes=0-9", 100, Asked::Part(0..10)),
            ("bytes=90-", 100, Asked::Part(90..100)),
            ("bytes=90-1000", 100, Asked::Part(90..100)),
            ("bytes=-10", 100, Asked::Part(90..100)),
            ("bytes=-1000", 100, Asked::Part(0..100)),
            ("bytes=0-99999999999999999999999", 100, Asked::Part(0..100)),
            ("bytes=100-", 100, Asked::Beyond),
            ("bytes=-0", 100, Asked::Beyond),
            ("bytes=0-", 0, Asked::Beyond),
            ("bytes=-5", 0, Asked::Beyond),
            ("bytes=9-0", 100, Asked::All),
            ("bytes=0-1,5-6", 100, Asked::All),
            ("bytes=a-b", 100, Asked::All),
            ("bytes=-", 100, Asked::All),
            ("lines=0-9", 100, Asked::All),
        ] {
            assert_eq!(range(text, size), asked, "{text}");
        }
    }

    #[test]
    fn names_cannot_break_out_of_a_header() {
        assert_eq!(
            disposition("ü\"; a=b\r\n<script>.html"),
            "attachment; filename=\"___ a=b__<script>.html\"; \
             filename*=UTF-8''%C3%BC%22%3B%20a%3Db%0D%0A%3Cscript%3E.html"
        );
    }

    proptest! {
        #[test]
        fn ranges_stay_within_the_file(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            if let Asked::Part(range) = range(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn any_name_makes_a_header(name in ".{0,80}") {
            prop_assert!(HeaderValue::from_str(&disposition(&name)).is_ok());
        }
    }
}
