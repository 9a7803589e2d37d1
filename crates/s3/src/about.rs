//! What clients say of an object in headers.

use crate::errors::{argument, refused};
use crate::text::plain;
use apps::drive::objects::{About, Pair};
use s3s::dto::{Metadata, TaggingHeader, Timestamp, TimestampFormat};
use s3s::{S3ErrorCode, S3Result};
use types::WallMillis;

/// Bytes of names and values of user metadata.
const METADATA_MAX: usize = 2 * 1024;
/// Bytes of any other header that is kept.
const HEADER_MAX: usize = 1024;
const TAGS_MAX: usize = 10;

/// Headers that are kept and sent again.
#[derive(Default)]
pub(crate) struct Kept {
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<Timestamp>,
    pub website_redirect_location: Option<String>,
    pub metadata: Option<Metadata>,
    pub tagging: Option<TaggingHeader>,
}

impl Kept {
    pub(crate) fn about(self) -> S3Result<About> {
        let mut about = About::default();
        let expires = self.expires.as_ref().and_then(http_date);
        // Of a body sent in chunks; the rest is the object's own.
        let encoding = self.content_encoding.map(|text| {
            let own: Vec<&str> =
                text.split(',').map(str::trim).filter(|it| !it.eq_ignore_ascii_case("aws-chunked")).collect();
            own.join(", ")
        });
        let headers = [
            ("cache-control", self.cache_control),
            ("content-disposition", self.content_disposition),
            ("content-encoding", encoding.filter(|text| !text.is_empty())),
            ("content-language", self.content_language),
            ("expires", expires),
            ("x-amz-website-redirect-location", self.website_redirect_location),
        ];
        for (name, value) in headers {
            let Some(value) = value else { continue };
            if value.len() > HEADER_MAX {
                return Err(argument(format!("{name} has more than {HEADER_MAX} bytes")));
            }
            about.headers.push(Pair::new(name, value));
        }
        let mut bytes = 0;
        for (name, value) in self.metadata.unwrap_or_default() {
            bytes += name.len() + value.len();
            about.user.push(Pair::new(name.to_ascii_lowercase(), value));
        }
        if bytes > METADATA_MAX {
            return Err(refused(S3ErrorCode::MetadataTooLarge, "user metadata has more than 2 KiB"));
        }
        about.user.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(tagging) = self.tagging {
            let mut pairs = Vec::new();
            for pair in tagging.split('&').filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let (Some(name), Some(value)) = (plain(name), plain(value)) else {
                    return Err(refused(S3ErrorCode::InvalidTag, "a tag is not UTF-8"));
                };
                pairs.push(Pair::new(name, value));
            }
            about.tags = valid_tags(pairs)?;
        }
        Ok(about)
    }
}

/// An object's tags, within S3's bounds.
pub(crate) fn valid_tags(tags: Vec<Pair>) -> S3Result<Vec<Pair>> {
    checked_tags(tags, TAGS_MAX)
}

/// At most so many tags.
pub(crate) fn checked_tags(tags: Vec<Pair>, most: usize) -> S3Result<Vec<Pair>> {
    if tags.len() > most {
        return Err(refused(S3ErrorCode::InvalidTag, format!("there are more than {most} tags")));
    }
    for (at, tag) in tags.iter().enumerate() {
        let (name, value) = (tag.name.chars().count(), tag.value.chars().count());
        if !(1..=128).contains(&name) || value > 256 {
            let what = "a tag's name has 1 to 128 characters, its value at most 256";
            return Err(refused(S3ErrorCode::InvalidTag, what));
        }
        if tags[..at].iter().any(|other| other.name == tag.name) {
            return Err(refused(S3ErrorCode::InvalidTag, "two tags have the same name"));
        }
    }
    Ok(tags)
}

fn http_date(time: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// The user metadata as the library tells it.
pub(crate) fn metadata(about: &About) -> Option<Metadata> {
    let pairs = about.user.iter().map(|pair| (pair.name.clone(), pair.value.clone()));
    Some(pairs.collect::<Metadata>()).filter(|all| !all.is_empty())
}

/// A header as it was put.
pub(crate) fn header(about: &About, name: &str) -> Option<String> {
    about.header(name).map(str::to_string)
}

pub(crate) fn expires(about: &About) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, about.header("expires")?).ok()
}

/// The time that rclone and others keep with a file: seconds since 1970, with fractions.
pub(crate) fn mtime(about: &About) -> Option<WallMillis> {
    let pair = about.user.iter().find(|pair| pair.name == "mtime")?;
    let seconds: f64 = pair.value.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)?;
    (seconds < 1e11).then(|| WallMillis((seconds * 1000.0).round() as u64))
}
