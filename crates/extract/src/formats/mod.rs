//! What is read of which format. What a document is, its bytes tell; what it is called does not count.

mod archive;
mod epub;
mod html;
mod office;
mod open_document;
mod pdf;
mod rtf;
mod sheets;
mod xml;

use crate::text::{Stop, Text};
use archive::Archive;

/// Where the mark of a PDF may stand (ISO 32000-1, annex H.3.4.1).
const PDF_WITHIN: usize = 1024;

/// Reads a document.
pub(crate) fn read(bytes: &[u8], text: &mut Text<'_>) -> Result<(), Stop> {
    let read = match () {
        () if bytes.starts_with(b"PK\x03\x04") => read_archive(bytes, text),
        () if bytes.starts_with(b"{\\rtf") => rtf::read(bytes, text),
        () if bytes[..bytes.len().min(PDF_WITHIN)].windows(5).any(|five| five == b"%PDF-") => pdf::read(bytes, text),
        () => html::read(bytes, text),
    };
    match read {
        Err(Stop::Enough) => Ok(()),
        other => other,
    }
}

fn read_archive(bytes: &[u8], text: &mut Text<'_>) -> Result<(), Stop> {
    let mut archive = Archive::open(bytes)?;
    match () {
        () if archive.has("word/document.xml") => office::read_word(&mut archive, text),
        () if archive.has("ppt/presentation.xml") => office::read_slides(&mut archive, text),
        () if archive.has("xl/workbook.xml") => sheets::read(&mut archive, text),
        () if archive.has("META-INF/container.xml") => epub::read(&mut archive, text),
        () if archive.has("content.xml") => open_document::read(&mut archive, text),
        () => Err(Stop::Unreadable),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// What is read of it, and whether it is a document.
    pub fn text_of(bytes: &[u8]) -> (String, bool) {
        let mut out = Vec::new();
        let mut text = Text::new(&mut out, crate::TEXT_BYTES_MAX);
        let fine = read(bytes, &mut text).is_ok();
        text.flush().unwrap();
        (String::from_utf8(out).unwrap(), fine)
    }

    /// An archive with these parts.
    pub fn packed(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, part) in parts {
            out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            out.write_all(part.as_bytes()).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    #[test]
    fn what_is_no_document_has_no_text() {
        for bytes in [&b""[..], b"PK\x03\x04nonsense", b"\x7fELF\0\0\0", &packed(&[("a.txt", "a")])] {
            assert_eq!(text_of(bytes).0, "", "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(begin in 0usize..5, bytes: Vec<u8>) {
            let begin = [&b""[..], b"{\\rtf1", b"%PDF-1.4\n", b"<html>", b"PK\x03\x04"][begin];
            text_of(&[begin, &bytes].concat());
        }

        #[test]
        fn rotten_archives_do_no_harm(at in 0usize..2000, with: u8) {
            let xml = "<w:document><w:p><w:t>one &amp; two</w:t></w:p></w:document>".repeat(3);
            let mut bytes = packed(&[("word/document.xml", &xml)]);
            let at = at % bytes.len();
            bytes[at] ^= with;
            text_of(&bytes);
        }
    }
}
