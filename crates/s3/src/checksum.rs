//! Lengths, MD5s and checksums of bodies, worked out while they stream by.

use crate::chunks::{A_CHUNK, TOO_LONG};
use crate::errors::{argument, named, refused};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use hyper::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};
use std::sync::Arc;

/// A checksum's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Algorithm; 5] =
        [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

    /// As S3 calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    /// Bytes of its value.
    fn len(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// Is that a value of it, in base 64?
    pub(crate) fn fits(self, value: &str) -> bool {
        STANDARD.decode(value).is_ok_and(|bytes| bytes.len() == self.len())
    }

    /// Of bytes.
    pub(crate) fn of(self, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Puts a value where the library looks for it.
pub(crate) fn told(algorithm: Option<Algorithm>, value: &str) -> Checksum {
    let mut told = Checksum::default();
    let place = match algorithm {
        None => return told,
        Some(Algorithm::Crc32) => &mut told.checksum_crc32,
        Some(Algorithm::Crc32c) => &mut told.checksum_crc32c,
        Some(Algorithm::Crc64Nvme) => &mut told.checksum_crc64nvme,
        Some(Algorithm::Sha1) => &mut told.checksum_sha1,
        Some(Algorithm::Sha256) => &mut told.checksum_sha256,
    };
    if !value.is_empty() {
        *place = Some(value.to_string());
    }
    told
}

enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64Nvme(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Crc32 => Hasher::Crc32(Crc32::new()),
            Algorithm::Crc32c => Hasher::Crc32c(Crc32c::new()),
            Algorithm::Crc64Nvme => Hasher::Crc64Nvme(Crc64Nvme::new()),
            Algorithm::Sha1 => Hasher::Sha1(Sha1::new()),
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc32(hasher) => hasher.update(bytes),
            Hasher::Crc32c(hasher) => hasher.update(bytes),
            Hasher::Crc64Nvme(hasher) => hasher.update(bytes),
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Hasher::Crc32(hasher) => STANDARD.encode(hasher.finalize()),
            Hasher::Crc32c(hasher) => STANDARD.encode(hasher.finalize()),
            Hasher::Crc64Nvme(hasher) => STANDARD.encode(hasher.finalize()),
            Hasher::Sha1(hasher) => STANDARD.encode(hasher.finalize()),
            Hasher::Sha256(hasher) => STANDARD.encode(hasher.finalize()),
        }
    }
}

/// What a body is said to be.
#[derive(Default)]
pub(crate) struct Said {
    pub length: Option<u64>,
    /// Base 64.
    pub md5: Option<String>,
    /// Which checksum it has, and its value if that does not come behind the body.
    pub checksum: Option<(Algorithm, Option<String>)>,
    /// The value comes behind the body.
    pub behind: bool,
    pub trailers: Option<TrailingHeaders>,
}

impl Said {
    /// By the headers of a request.
    pub(crate) fn by(headers: &HeaderMap, length: Option<i64>, trailers: Option<TrailingHeaders>) -> S3Result<Said> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let md5 = text("content-md5").map(str::to_string);
        if let Some(md5) = &md5
            && STANDARD.decode(md5).map_or(0, |bytes| bytes.len()) != 16
        {
            return Err(refused(S3ErrorCode::InvalidDigest, "Content-MD5 is not the base 64 of an MD5"));
        }
        let (mut checksum, mut behind) = (None, false);
        for algorithm in Algorithm::ALL {
            let Some(value) = text(&algorithm.header()) else { continue };
            if checksum.is_some() {
                return Err(refused(S3ErrorCode::InvalidRequest, "one request has one checksum"));
            }
            if !algorithm.fits(value) {
                let what = format!("the value of {} is not one of that algorithm", algorithm.header());
                return Err(refused(S3ErrorCode::InvalidRequest, what));
            }
            checksum = Some((algorithm, Some(value.to_string())));
        }
        if checksum.is_none()
            && let Some(trailer) = text("x-amz-trailer")
        {
            let found = Algorithm::ALL.into_iter().find(|it| it.header().eq_ignore_ascii_case(trailer.trim()));
            let wrong = || argument(format!("{trailer:?} is no checksum that can come behind a body"));
            checksum = Some((found.ok_or_else(wrong)?, None));
            behind = true;
        }
        if checksum.is_none()
            && let Some(name) = text("x-amz-sdk-checksum-algorithm")
        {
            checksum = Algorithm::of_name(name).map(|algorithm| (algorithm, None));
        }
        // Of a body in signed pieces it is told apart from what those take.
        let decoded = text("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
        let length = decoded.or(length.and_then(|length| u64::try_from(length).ok()));
        Ok(Said { length, md5, checksum, behind, trailers })
    }

    /// The same for something that has that checksum, whether the client says so or not.
    pub(crate) fn with(mut self, algorithm: Option<Algorithm>) -> Said {
        self.checksum = self.checksum.or(algorithm.map(|algorithm| (algorithm, None)));
        self
    }
}

/// What a body was.
#[derive(Debug)]
pub(crate) struct Sums {
    /// Hexadecimal digits.
    pub md5: String,
    pub checksum: Option<(Algorithm, String)>,
}

struct Running {
    bytes: u64,
    md5: Md5,
    hasher: Option<(Algorithm, Hasher)>,
    /// Why the body could not be read to its end.
    wrong: Option<S3Error>,
}

/// Of a file in a form that says how long one may be.
pub(crate) const FILE_TOO_LONG: &str = "the file is too long";

/// What S3 calls an error of a body. The library's own have no type that one could ask for.
fn of_body(said: &str) -> S3Error {
    if said.contains("Sha256Mismatch") {
        let what = "the body has another SHA-256 than x-amz-content-sha256 says";
        return named("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST, what);
    }
    if said.contains("SignatureMismatch") {
        return refused(S3ErrorCode::SignatureDoesNotMatch, "a chunk of the body, or its end, has another signature");
    }
    if said.contains(FILE_TOO_LONG) {
        return refused(S3ErrorCode::EntityTooLarge, "the file has more bytes than its form may put");
    }
    if said.contains(TOO_LONG) {
        return named("InvalidChunkSizeError", StatusCode::FORBIDDEN, "send signed chunks of at most 8 MiB");
    }
    if ["FormatError", "ChunkMetaTooLarge", "Trailer", A_CHUNK].iter().any(|word| said.contains(word)) {
        return refused(S3ErrorCode::InvalidRequest, "the body is not in the chunks that its headers announce");
    }
    refused(S3ErrorCode::IncompleteBody, format!("the body broke off: {said}"))
}

/// Adds up while a body streams by.
pub(crate) struct Watch {
    said: Said,
    running: Arc<Mutex<Option<Running>>>,
}

impl Watch {
    /// The body, and who watches it.
    pub(crate) fn over(
        body: Option<StreamingBlob>,
        said: Said,
    ) -> (Watch, impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) {
        let hasher = said.checksum.as_ref().map(|(algorithm, _)| (*algorithm, Hasher::new(*algorithm)));
        let running = Arc::new(Mutex::new(Some(Running { bytes: 0, md5: Md5::new(), hasher, wrong: None })));
        let watching = running.clone();
        let most = said.length.unwrap_or(u64::MAX);
        let body = futures::stream::iter(body).flatten().map(move |piece| {
            let piece = piece.map_err(|error| {
                if let Some(running) = watching.lock().as_mut() {
                    running.wrong = Some(of_body(&error.to_string()));
                }
                std::io::Error::other(error)
            })?;
            if let Some(running) = watching.lock().as_mut() {
                running.bytes += piece.len() as u64;
                if running.bytes > most {
                    return Err(std::io::Error::other("the body is longer than was announced"));
                }
                running.md5.update(&piece);
                if let Some((_, hasher)) = &mut running.hasher {
                    hasher.update(&piece);
                }
            }
            Ok(piece)
        });
        (Watch { said, running }, body)
    }

    /// Why the body could not be read, if it was that.
    pub(crate) fn wrong(&self) -> Option<S3Error> {
        self.running.lock().as_mut()?.wrong.take()
    }

    /// Once the body is through: is it what was said?
    pub(crate) fn check(self) -> S3Result<Sums> {
        let Some(running) = self.running.lock().take() else {
            return Err(refused(S3ErrorCode::InternalError, "the body was looked at twice"));
        };
        if self.said.length.is_some_and(|length| length != running.bytes) {
            return Err(refused(S3ErrorCode::IncompleteBody, "the body has not the length that was announced"));
        }
        let md5 = running.md5.finalize();
        if self.said.md5.is_some_and(|said| said != STANDARD.encode(md5)) {
            return Err(refused(S3ErrorCode::BadDigest, "the body has another MD5 than Content-MD5 says"));
        }
        let checksum = running.hasher.map(|(algorithm, hasher)| (algorithm, hasher.finish()));
        if let (Some((algorithm, is)), Some((_, said))) = (&checksum, &self.said.checksum) {
            let trailing = self.said.trailers.as_ref().and_then(|trailers| {
                trailers.read(|headers| {
                    let value = headers.get(algorithm.header()).and_then(|value| value.to_str().ok());
                    value.map(|value| value.trim().to_string())
                })?
            });
            if self.said.behind && trailing.is_none() {
                let what = format!("the {} that was announced did not come behind the body", algorithm.name());
                return Err(named("MalformedTrailerError", StatusCode::BAD_REQUEST, what));
            }
            if said.as_ref().or(trailing.as_ref()).is_some_and(|said| said != is) {
                let what = format!("the body has another {} than was said", algorithm.name());
                return Err(refused(S3ErrorCode::BadDigest, what));
            }
        }
        let md5 = md5.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Sums { md5, checksum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_catalogues() {
        // Check values over "123456789".
        for (algorithm, hex) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        ] {
            let bytes: Vec<u8> =
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
            assert_eq!(algorithm.of(b"123456789"), STANDARD.encode(bytes));
        }
        assert!(Algorithm::Sha1.fits(&Algorithm::Sha1.of(b"x")) && !Algorithm::Sha256.fits(&Algorithm::Sha1.of(b"x")));
    }
}
