//! Bodies in chunks (`aws-chunked`), made small before the library sees them: it holds a whole chunk in memory, and a
//! client may announce one of 4 GiB.
//!
//! A chunk without a signature is cut into several as it comes. One with a signature over all of it cannot be cut, and has at
//! most [`SIGNED_MAX`] bytes. Everything else is passed on as it is, and judged by the library.

use bytes::BytesMut;
use futures::TryStreamExt;
use http_body_util::{BodyDataStream, StreamBody};
use hyper::HeaderMap;
use hyper::body::{Frame, Incoming};
use s3s::Body;
use std::io;

/// Bytes of a chunk with a signature of its own: clients send 64 KiB to 1 MiB.
const SIGNED_MAX: u32 = 8 * 1024 * 1024;
/// Bytes of the line that begins a chunk: its size and its signature.
const LINE_MAX: usize = 1024;
/// Bytes passed on together, so that a body that trickles in is not kept as a crowd of pieces.
const PIECE: usize = 64 * 1024;

/// What a request's body is for the library.
pub(crate) fn body(headers: &HeaderMap, body: Incoming) -> Body {
    let kind = headers.get("x-amz-content-sha256").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("STREAMING-") {
        return Body::from(body);
    }
    let state = (BodyDataStream::new(body), Chunks::default(), false);
    let pieces = futures::stream::try_unfold(state, async |(mut body, mut chunks, mut ended)| {
        while !ended && chunks.out.len() < PIECE {
            match body.try_next().await.map_err(io::Error::other)? {
                Some(bytes) => chunks.feed(&bytes)?,
                None => ended = true,
            }
        }
        let piece = chunks.out.split().freeze();
        io::Result::Ok((!piece.is_empty()).then_some((Frame::data(piece), (body, chunks, ended))))
    });
    Body::http_body_unsync(StreamBody::new(pieces))
}

/// Where in the chunks the body is.
enum At {
    /// In the line that begins one; what of it has come.
    Line(Vec<u8>),
    /// In one that is passed on as it is: bytes left.
    Whole(u32),
    /// In one that is cut: bytes left.
    Cut(u32),
    /// Behind a chunk's bytes: of `\r\n`, so much is left. True: pass it on.
    End(u8, bool),
    /// Behind the last chunk.
    Rest,
}

struct Chunks {
    at: At,
    out: BytesMut,
}

impl Default for Chunks {
    fn default() -> Chunks {
        Chunks { at: At::Line(Vec::new()), out: BytesMut::new() }
    }
}

/// How errors begin here, by which they are known behind the library.
pub(crate) const A_CHUNK: &str = "a chunk ";
/// How that of a chunk that is too long does.
pub(crate) const TOO_LONG: &str = "a signed chunk ";

impl Chunks {
    fn feed(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Line(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                    line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end..];
                    if line.len() > LINE_MAX {
                        return Err(wrong("begins with a line that is too long"));
                    }
                    if line.last() == Some(&b'\n') {
                        let line = std::mem::take(line);
                        self.begin(&line)?;
                    }
                }
                At::Whole(left) => {
                    let here = take(&mut bytes, left);
                    self.out.extend_from_slice(here);
                    if *left == 0 {
                        self.at = At::End(2, true);
                    }
                }
                At::Cut(left) => {
                    let here = take(&mut bytes, left);
                    self.out.extend_from_slice(format!("{:x}\r\n", here.len()).as_bytes());
                    self.out.extend_from_slice(here);
                    self.out.extend_from_slice(b"\r\n");
                    if *left == 0 {
                        self.at = At::End(2, false);
                    }
                }
                At::End(left, pass) => {
                    let wanted = if *left == 2 { b'\r' } else { b'\n' };
                    if bytes[0] != wanted {
                        return Err(wrong("is longer than it says"));
                    }
                    if *pass {
                        self.out.extend_from_slice(&bytes[..1]);
                    }
                    bytes = &bytes[1..];
                    *left -= 1;
                    if *left == 0 {
                        self.at = At::Line(Vec::new());
                    }
                }
                At::Rest => {
                    self.out.extend_from_slice(bytes);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, line: &[u8]) -> io::Result<()> {
        let size = line.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let size = size.and_then(|text| u32::from_str_radix(text, 16).ok());
        let size = size.ok_or_else(|| wrong("does not begin with its size"))?;
        let signed = line.contains(&b';');
        if signed && size > SIGNED_MAX {
            return Err(io::Error::other(format!("{TOO_LONG}has at most {SIGNED_MAX} bytes here, not {size}")));
        }
        self.at = match (size, signed) {
            (0, _) => At::Rest,
            (_, true) => At::Whole(size),
            (_, false) => At::Cut(size),
        };
        if size == 0 || signed {
            self.out.extend_from_slice(line);
        }
        Ok(())
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("{A_CHUNK}{what}"))
}

fn take<'a>(bytes: &mut &'a [u8], left: &mut u32) -> &'a [u8] {
    let (here, rest) = bytes.split_at(bytes.len().min(*left as usize));
    *left -= here.len() as u32;
    *bytes = rest;
    here
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
        let mut chunks = Chunks::default();
        pieces.iter().try_for_each(|piece| chunks.feed(piece))?;
        Ok(chunks.out.to_vec())
    }

    /// The bytes of plain chunks, and what comes behind the last.
    fn plain(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut all = Vec::new();
        loop {
            let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
            bytes = &bytes[end + 2..];
            if size == 0 {
                return (all, bytes.to_vec());
            }
            all.extend_from_slice(&bytes[..size]);
            assert_eq!(&bytes[size..size + 2], b"\r\n");
            bytes = &bytes[size + 2..];
        }
    }

    proptest! {
        #[test]
        fn plain_chunks_say_the_same_however_they_come(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
            cut in 1usize..50,
        ) {
            let mut sent = Vec::new();
            for body in &bodies {
                sent.extend_from_slice(format!("{:X}\r\n", body.len()).as_bytes());
                sent.extend_from_slice(body);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"0\r\nx-amz-checksum-crc32: 1\r\n\r\n");
            let pieces: Vec<&[u8]> = sent.chunks(cut).collect();
            let (all, behind) = plain(&through(&pieces).unwrap());
            prop_assert_eq!(all, bodies.concat());
            prop_assert_eq!(behind, b"x-amz-checksum-crc32: 1\r\n\r\n");
        }

        #[test]
        fn signed_chunks_pass_as_they_are(body in prop::collection::vec(any::<u8>(), 1..300), cut in 1usize..50) {
            let mut sent = format!("{:x};chunk-signature={}\r\n", body.len(), "0".repeat(64)).into_bytes();
            sent.extend_from_slice(&body);
            sent.extend_from_slice(format!("\r\n0;chunk-signature={}\r\n\r\n", "1".repeat(64)).as_bytes());
            let pieces: Vec<&[u8]> = sent.chunks(cut).collect();
            prop_assert_eq!(through(&pieces).unwrap(), sent);
        }

        #[test]
        fn any_bytes_are_passed_on_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = through(&[&bytes]);
        }
    }

    #[test]
    fn what_nobody_could_hold_is_cut_or_refused() {
        // Of 4 GiB announced, what has come is passed on.
        let out = through(&[b"ffffffff\r\n", b"abc"]).unwrap();
        assert_eq!(out, b"3\r\nabc\r\n");
        assert!(through(&[b"800000;chunk-signature=x\r\n"]).is_ok());
        let error = through(&[b"800001;chunk-signature=x\r\n"]).unwrap_err();
        assert!(error.to_string().starts_with(TOO_LONG));
        for wrong in ["100000000\r\n", "\r\n", "+5\r\n", "-1\r\n", "x\r\n", "1\r\nab"] {
            assert!(through(&[wrong.as_bytes()]).is_err(), "{wrong:?}");
        }
        assert!(through(&[&[b'1'; LINE_MAX + 1]]).is_err());
    }
}
