//! What a client says of the bytes that it puts (`OC-Checksum: SHA1:…`, as rclone and clients of ownCloud send it): they are
//! held to it before the file is there.

use super::answer::Refusal;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use ring::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NAMES: [(&str, &Algorithm); 2] = [("SHA1", &SHA1_FOR_LEGACY_USE_ONLY), ("SHA256", &SHA256)];

/// A checksum that was said, and whether other bytes came.
#[derive(Clone)]
pub(super) struct Checksum {
    name: &'static str,
    algorithm: &'static Algorithm,
    /// In small hexadecimal digits.
    value: String,
    missed: Arc<AtomicBool>,
}

impl Checksum {
    /// `NAME:HEX`, with the name in any case.
    pub fn parse(text: &str) -> Result<Checksum, Refusal> {
        let wrong =
            || Refusal::bad("OC-Checksum is SHA1 or SHA256, a colon, and its hexadecimal digits; or leave it out");
        let (name, value) = text.trim().split_once(':').ok_or_else(wrong)?;
        let known = NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).ok_or_else(wrong)?;
        let (name, algorithm) = known;
        let fits = value.len() == 2 * algorithm.output_len() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !fits {
            return Err(wrong());
        }
        Ok(Checksum { name, algorithm, value: value.to_ascii_lowercase(), missed: Arc::default() })
    }

    /// The same bytes; they end in an error where they are not those that were meant.
    pub fn over<S>(&self, bytes: S) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<S>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin,
    {
        let begun = (bytes, Context::new(self.algorithm), self.clone());
        Box::pin(futures::stream::try_unfold(begun, |(mut bytes, mut sum, said)| async move {
            if let Some(chunk) = bytes.try_next().await? {
                sum.update(&chunk);
                return Ok(Some((chunk, (bytes, sum, said))));
            }
            let came: String = sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            if came == said.value {
                return Ok(None);
            }
            said.missed.store(true, Ordering::Relaxed);
            Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes came than were meant"))
        }))
    }

    /// Why nothing was stored, if it was for this.
    pub fn missed(&self) -> Option<Refusal> {
        let what =
            format!("what came has another {} than OC-Checksum says: nothing was stored, send it again", self.name);
        self.missed.load(Ordering::Relaxed).then(|| Refusal::bad(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn passes(said: &str, pieces: &[&'static str]) -> (bool, bool) {
        let said = Checksum::parse(said).unwrap();
        let bytes = futures::stream::iter(pieces.to_vec()).map(|piece| Ok(Bytes::from(piece)));
        let came: Result<Vec<Bytes>, _> = said.over(bytes).try_collect().await;
        (came.is_ok_and(|came| came.concat() == pieces.concat().as_bytes()), said.missed().is_some())
    }

    #[tokio::test]
    async fn bytes_are_held_to_what_was_said() {
        // FIPS 180, of "abc"; and of nothing.
        let sha1 = "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(passes(sha1, &["a", "bc"]).await, (true, false));
        assert_eq!(passes(&sha1.replace("SHA1", "sha1").replace('a', "A"), &["abc"]).await, (true, false));
        assert_eq!(passes(sha1, &["ab"]).await, (false, true));
        assert_eq!(passes("SHA1:da39a3ee5e6b4b0d3255bfef95601890afd80709", &[]).await, (true, false));
        let sha256 = "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(passes(sha256, &["abc"]).await, (true, false));
        for wrong in ["", "SHA1", "SHA1:", "SHA1:a9", "MD5:900150983cd24fb0d6963f7d28e17f72", "SHA1:ü"] {
            assert!(Checksum::parse(wrong).is_err(), "{wrong}");
        }
    }
}
