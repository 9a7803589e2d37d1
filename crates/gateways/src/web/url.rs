//! Addresses of what is in a drive.

use apps::VersionId;
use apps::drive::DrivePath;
use std::fmt::Write;

/// Percent-encodes everything but what is plain in every part of an address.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// The page of a folder, in the drive whose pages are under `base`: nothing for one's own.
pub(super) fn folder(base: &str, path: &DrivePath) -> String {
    if path.is_root() {
        return format!("{base}/");
    }
    path.names().iter().fold(format!("{base}/drive"), |url, name| url + "/" + &encode(name))
}

/// A file's content.
pub(super) fn file(base: &str, path: &DrivePath) -> String {
    let drive = if base.is_empty() { "/drive" } else { base };
    format!("/api/v1{drive}/file?path={}", encode(&path.to_string()))
}

/// The page that shows a file.
pub(super) fn view(base: &str, path: &DrivePath) -> String {
    path.names().iter().fold(format!("{base}/view"), |url, name| url + "/" + &encode(name))
}

/// A file's content as it may be shown within a page.
pub(super) fn shown(base: &str, path: &DrivePath) -> String {
    let drive = if base.is_empty() { "/drive" } else { base };
    format!("/api/v1{drive}/view?path={}", encode(&path.to_string()))
}

/// The small picture of a content.
pub(super) fn thumbnail(base: &str, version: VersionId) -> String {
    let drive = if base.is_empty() { "/drive" } else { base };
    format!("/api/v1{drive}/thumbnail?version={version}")
}

/// The address without what names a shared drive.
fn within_drive(path: &str) -> &str {
    let Some((id, _)) = path.strip_prefix("/drives/").and_then(|rest| rest.split_once('/')) else { return path };
    if id.parse::<apps::DriveId>().is_ok() { &path["/drives/".len() + id.len()..] } else { path }
}

/// A folder with all that is in it, as one archive.
pub(super) fn archive(base: &str, path: &DrivePath) -> String {
    let drive = if base.is_empty() { "/drive" } else { base };
    format!("/api/v1{drive}/archive?path={}", encode(&path.to_string()))
}

/// Where to go after signing in: only to pages of ours.
pub(super) fn safe_next(next: &str) -> &str {
    let path = next.split('?').next().unwrap_or_default();
    let within = within_drive(path);
    let ours =
        matches!(within, "/" | "/starred" | "/recent" | "/trash" | "/search" | "/details" | "/drives" | "/share")
            || within.starts_with("/drive/")
            || within.starts_with("/view/")
            || (within == "/members" && within != path)
            || super::pages::is_inner(path);
    let plain = next.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    if ours && plain && next.len() <= 4096 { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_an_address() {
        let path = DrivePath::root().join("a b").unwrap().join("50% <é>?#\"'\\&").unwrap();
        assert_eq!(folder("", &path), "/drive/a%20b/50%25%20%3C%C3%A9%3E%3F%23%22%27%5C%26");
        assert_eq!(file("", &DrivePath::parse("/a+b").unwrap()), "/api/v1/drive/file?path=%2Fa%2Bb");
        assert_eq!(folder("", &DrivePath::root()), "/");
        assert_eq!(folder("/drives/0a", &DrivePath::root()), "/drives/0a/");
        assert_eq!(file("/drives/0a", &DrivePath::root()), "/api/v1/drives/0a/file?path=%2F");
    }

    #[test]
    fn after_signing_in_nobody_is_sent_away() {
        for fine in [
            "/",
            "/drive/a%20b",
            "/view/a.png",
            "/?cursor=x",
            "/settings/devices",
            "/people",
            "/trash",
            "/search?text=x",
            "/drives",
        ] {
            assert_eq!(safe_next(fine), fine);
        }
        for fine in ["", "members", "trash", "drive/a"] {
            let fine = format!("/drives/000102030405060708090a0b0c0d0e0f/{fine}");
            assert_eq!(safe_next(&fine), fine);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/logout",
            "/drive/\\x",
            "/drive/\n",
            "/settings/password",
            "/trash/empty",
            "/members",
            "/drives/0a/",
            "/drives//evil.example/",
            "/drives/000102030405060708090a0b0c0d0e0f/trash/empty",
        ] {
            assert_eq!(safe_next(bad), "/", "{bad:?}");
        }
    }
}
