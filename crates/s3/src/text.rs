//! Small forms: times, entity tags, percent-encoding.

use s3s::dto::{ETag, Timestamp, TimestampFormat};
use std::time::{Duration, SystemTime};
use types::WallMillis;

pub(crate) fn time(at: WallMillis) -> Timestamp {
    // Times that no clock shows are the last that one does: year 9999.
    let millis = at.0.min(253_402_300_799_000);
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

/// As HTTP's headers have it.
pub(crate) fn http_time(at: WallMillis) -> Option<String> {
    let mut text = Vec::new();
    time(at).format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// S3 tells objects' times to the second in headers: conditions are judged so.
pub(crate) fn seconds(at: WallMillis) -> i64 {
    i64::try_from(at.0 / 1000).unwrap_or(i64::MAX)
}

pub(crate) fn etag(text: String) -> ETag {
    ETag::Strong(text)
}

/// As `encoding-type: url` wants it.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Percent-decoded, with `+` for a space; none: it is not UTF-8.
pub(crate) fn plain(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let coded = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (byte, coded.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
#[test]
fn encoded_text_reads_back() {
    for text in ["a b/ü+%", "", "x\ny"] {
        assert_eq!(plain(&percent(text)).as_deref(), Some(text));
    }
    assert_eq!(percent("a b/ü"), "a%20b/%C3%BC");
    assert_eq!(plain("%"), Some("%".into()));
    assert_eq!(plain("%FF"), None);
}
