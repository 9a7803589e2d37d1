//! Addresses of what is in a drive.

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

/// The page of a folder.
pub(super) fn folder(path: &DrivePath) -> String {
    if path.is_root() {
        return "/".to_string();
    }
    path.names().iter().fold("/drive".to_string(), |url, name| url + "/" + &encode(name))
}

/// A file's content.
pub(super) fn file(path: &DrivePath) -> String {
    format!("/api/v1/drive/file?path={}", encode(&path.to_string()))
}

/// A folder with all that is in it, as one archive.
pub(super) fn archive(path: &DrivePath) -> String {
    format!("/api/v1/drive/archive?path={}", encode(&path.to_string()))
}

/// Where to go after signing in: only to pages of ours.
pub(super) fn safe_next(next: &str) -> &str {
    let path = next.split('?').next().unwrap_or_default();
    let ours = matches!(path, "/" | "/trash" | "/search" | "/details" | "/share")
        || path.starts_with("/drive/")
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
        assert_eq!(folder(&path), "/drive/a%20b/50%25%20%3C%C3%A9%3E%3F%23%22%27%5C%26");
        assert_eq!(file(&DrivePath::parse("/a+b").unwrap()), "/api/v1/drive/file?path=%2Fa%2Bb");
        assert_eq!(folder(&DrivePath::root()), "/");
    }

    #[test]
    fn after_signing_in_nobody_is_sent_away() {
        for fine in ["/", "/drive/a%20b", "/?cursor=x", "/settings/devices", "/people", "/trash", "/search?text=x"] {
            assert_eq!(safe_next(fine), fine);
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
        ] {
            assert_eq!(safe_next(bad), "/", "{bad:?}");
        }
    }
}
