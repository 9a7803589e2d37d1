//! Forms with files (`multipart/form-data`, RFC 7578), read as they come: a part's bytes are passed on without being kept.
//! What browsers send without scripts, to the pages and to S3.
//!
//! **Owns** the form's frame. **Invariants.** (1) What is kept of a form has a bound, however it comes. (2) A form that is cut
//! short is an error. **Leaves to others** what the parts mean. **Proved by** the tests here.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::io;

/// Bytes of the headers of a part.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Characters in a boundary, by the standard.
const BOUNDARY_BYTES_MAX: usize = 70;

/// A form as it comes in.
pub struct Multipart<S> {
    source: S,
    buffer: BytesMut,
    /// Line break, two dashes, boundary.
    delimiter: Vec<u8>,
    /// Within a part's content.
    inside: bool,
    ended: bool,
}

/// What a part says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Of its field.
    pub name: String,
    /// Only files have one; empty when no file was chosen.
    pub file_name: Option<String>,
    /// Its content type.
    pub media_type: Option<String>,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the form is not complete: {what}"))
}

/// The boundary in a content type.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let (_, value) = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let value = value.trim_matches('"');
    (!value.is_empty() && value.len() <= BOUNDARY_BYTES_MAX).then_some(value)
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Multipart<S> {
    /// A form whose parts that boundary parts.
    pub fn new(source: S, boundary: &str) -> Multipart<S> {
        // So that the first delimiter is like the others.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Multipart { source, buffer, delimiter, inside: true, ended: false }
    }

    /// The next part; what is left of the one before is passed over.
    pub async fn next_part(&mut self) -> io::Result<Option<Part>> {
        while self.chunk().await?.is_some() {}
        if self.ended {
            return Ok(None);
        }
        while self.buffer.len() < 2 {
            self.more("it ends after a boundary").await?;
        }
        if self.buffer.starts_with(b"--") {
            self.ended = true;
            return Ok(None);
        }
        // The end of the boundary's line, then headers, then an empty line.
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end,
                None if self.buffer.len() > HEAD_BYTES_MAX => return Err(broken("a part's headers are too long")),
                None => self.more("it ends within a part's headers").await?,
            }
        };
        let head = self.buffer.split_to(end + 4);
        self.inside = true;
        Ok(Some(part(&String::from_utf8_lossy(&head))))
    }

    /// The next bytes of this part; none at its end.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        while self.inside {
            if let Some(end) = find(&self.buffer, &self.delimiter) {
                let rest = self.buffer.split_to(end).freeze();
                self.buffer.advance(self.delimiter.len());
                self.inside = false;
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            }
            // What may be the beginning of a delimiter stays.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.more("it ends within a part").await?;
        }
        Ok(None)
    }

    /// This part's bytes.
    pub fn content(&mut self) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin
    where
        S: Send,
    {
        Box::pin(futures::stream::try_unfold(
            self,
            |form| async move { Ok(form.chunk().await?.map(|bytes| (bytes, form))) },
        ))
    }

    async fn more(&mut self, otherwise: &str) -> io::Result<()> {
        match self.source.next().await {
            Some(chunk) => {
                self.buffer.extend_from_slice(&chunk?);
                Ok(())
            }
            None => Err(broken(otherwise)),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let (first, last) = (what[0], what.len());
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        from += at;
        if text.get(from..from + last)? == what {
            return Some(from);
        }
        from += 1;
    }
    None
}

fn part(head: &str) -> Part {
    let header = |wanted: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_string()))
    };
    let disposition = header("content-disposition").unwrap_or_default();
    // Browsers write names in UTF-8, and of their characters only these three differently.
    let plain = |name: &str| name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
    let quoted = |before: &str| {
        let (_, rest) = disposition.split_once(before)?;
        rest.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(text, _)| plain(text)).or_else(|| {
            // Some programs write no quotes.
            rest.split(';').next().filter(|text| !text.starts_with('"')).map(|text| plain(text.trim()))
        })
    };
    let name = quoted("; name=").or_else(|| quoted(";name=")).unwrap_or_default();
    Part { name, file_name: quoted(" filename=").or_else(|| quoted(";filename=")), media_type: header("content-type") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: Vec<u8>, sizes: usize) -> io::Result<Vec<(Part, Vec<u8>)>> {
        let chunks: Vec<_> = body.chunks(sizes).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        futures::executor::block_on(async {
            let mut form = Multipart::new(futures::stream::iter(chunks), "xyz");
            let mut parts = Vec::new();
            while let Some(part) = form.next_part().await? {
                let mut content = Vec::new();
                while let Some(chunk) = form.chunk().await? {
                    content.extend_from_slice(&chunk);
                }
                parts.push((part, content));
            }
            Ok(parts)
        })
    }

    fn write(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for (n, content) in contents.iter().enumerate() {
            body.extend_from_slice(b"--xyz\r\nContent-Disposition: form-data; name=\"file\"; ");
            body.extend_from_slice(
                format!("filename=\"ü %22{n}%22.txt\"\r\nContent-Type: text/plain\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--xyz--\r\n");
        body
    }

    proptest! {
        #[test]
        fn parts_come_out_as_they_went_in(
            contents in proptest::collection::vec("([xyz\\r\\n-]|.){0,60}".prop_map(String::into_bytes), 0..4),
            sizes in 1usize..80,
        ) {
            prop_assume!(contents.iter().all(|content| find(content, b"--xyz").is_none()));
            let parts = read(write(&contents), sizes).unwrap();
            prop_assert_eq!(parts.len(), contents.len());
            for (n, ((part, content), wanted)) in parts.iter().zip(&contents).enumerate() {
                prop_assert_eq!(part.file_name.clone(), Some(format!("ü \"{n}\".txt")));
                prop_assert_eq!(&part.name, "file");
                prop_assert_eq!(content, wanted);
            }
        }

        #[test]
        fn a_form_cut_short_is_an_error(content in "[a-z\\r\\n-]{0,40}", cut in 0usize..100, sizes in 1usize..20) {
            let body = write(&[content.into_bytes()]);
            let end = body.len().saturating_sub(4);
            prop_assert!(read(body[..cut.min(end)].to_vec(), sizes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>, sizes in 1usize..20) {
            let _ = read(body, sizes);
        }
    }

    #[test]
    fn fields_have_names() {
        for (line, name, file) in [
            ("form-data; name=\"key\"", "key", None),
            ("form-data; filename=\"name=x\"; name=\"file\"", "file", Some("name=x")),
            ("form-data; name=file; filename=a.txt", "file", Some("a.txt")),
            ("form-data;name=\"file\";filename=\"\"", "file", Some("")),
            ("form-data", "", None),
        ] {
            let found = part(&format!("\r\nContent-Disposition: {line}\r\n\r\n"));
            assert_eq!((found.name.as_str(), found.file_name.as_deref()), (name, file), "{line}");
        }
    }

    #[test]
    fn boundaries_are_found() {
        assert_eq!(boundary("multipart/form-data; boundary=xyz"), Some("xyz"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("text/plain; boundary=xyz"), None);
        assert_eq!(boundary("multipart/form-data; boundary="), None);
    }
}
