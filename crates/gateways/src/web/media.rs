//! What a file is, by its bytes alone: neither its name nor what its uploader said decides what a browser may show.
//!
//! The list is short on purpose. What is not on it is plain bytes, and leaves as an attachment. Nothing that can
//! carry a script (HTML, SVG, XML) is ever anything but text.

use apps::{DriveId, VersionId};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Bytes at a file's beginning that are looked at, and of a text that is shown.
pub(super) const HEAD_BYTES_MAX: u64 = 512 * 1024;
/// Where the mark of a PDF may stand (ISO 32000-1, annex H.3.4.1).
const PDF_WITHIN: usize = 1024;
/// Contents whose kind is remembered.
const KNOWN_MAX: usize = 10_000;

/// What can be shown of a file; the media type where a browser gets the bytes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Image(&'static str),
    Audio(&'static str),
    Video(&'static str),
    Pdf,
    Text,
    Empty,
    /// Plain bytes.
    Other,
}

impl Media {
    /// Judges by the first bytes; `whole`: there are no more.
    pub fn of(head: &[u8], whole: bool) -> Media {
        if head.is_empty() && whole {
            return Media::Empty;
        }
        if let Some(marked) = by_mark(head) {
            return marked;
        }
        if text(head, whole).is_some() { Media::Text } else { Media::Other }
    }

    /// The type under which a browser may show the bytes within a page of ours.
    pub fn inline(self) -> Option<&'static str> {
        match self {
            Media::Image(kind) | Media::Audio(kind) | Media::Video(kind) => Some(kind),
            Media::Pdf | Media::Text | Media::Empty | Media::Other => None,
        }
    }
}

fn by_mark(head: &[u8]) -> Option<Media> {
    let at = |place: usize, mark: &[u8]| head.get(place..place + mark.len()) == Some(mark);
    let pdf = || head[..head.len().min(PDF_WITHIN)].windows(5).any(|five| five == b"%PDF-");
    Some(match () {
        () if at(0, b"\x89PNG\r\n\x1a\n") => Media::Image("image/png"),
        () if at(0, b"\xff\xd8\xff") => Media::Image("image/jpeg"),
        () if at(0, b"GIF87a") || at(0, b"GIF89a") => Media::Image("image/gif"),
        () if at(0, b"RIFF") && at(8, b"WEBP") => Media::Image("image/webp"),
        () if at(0, b"RIFF") && at(8, b"WAVE") => Media::Audio("audio/wav"),
        () if at(0, b"fLaC") => Media::Audio("audio/flac"),
        () if at(0, b"OggS") => ogg(head),
        // ISO 14496-12: the first box tells the brand.
        () if at(4, b"ftyp") => match head.get(8..12) {
            Some(b"avif" | b"avis") => Media::Image("image/avif"),
            Some(b"M4A " | b"M4B ") => Media::Audio("audio/mp4"),
            Some(b"heic" | b"heix" | b"mif1" | b"msf1" | b"hevc") => Media::Other,
            _ => Media::Video("video/mp4"),
        },
        // EBML: a browser that cannot play what is in it says so.
        () if at(0, b"\x1a\x45\xdf\xa3") => Media::Video("video/webm"),
        () if at(0, b"ID3") || mp3_frame(head) => Media::Audio("audio/mpeg"),
        () if pdf() => Media::Pdf,
        () => return None,
    })
}

/// The first page of an Ogg stream begins with its codec's mark (RFC 3533, RFC 7845).
fn ogg(head: &[u8]) -> Media {
    let first = &head[..head.len().min(128)];
    let has = |mark: &[u8]| first.windows(mark.len()).any(|found| found == mark);
    if has(b"\x80theora") { Media::Video("video/ogg") } else { Media::Audio("audio/ogg") }
}

/// Two frames of MPEG audio, layer III, one behind the other: a single mark is too little to tell (ISO 11172-3, 2.4.1.3).
fn mp3_frame(head: &[u8]) -> bool {
    frame_bytes(head).and_then(|length| head.get(length..)).and_then(frame_bytes).is_some()
}

fn frame_bytes(frame: &[u8]) -> Option<usize> {
    const MPEG1: [usize; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const MPEG2: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    const RATES: [usize; 3] = [44_100, 48_000, 32_000];
    let [0xff, second, third, ..] = *frame else { return None };
    let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
    if second & 0xe0 != 0xe0 || version == 1 || layer != 1 {
        return None;
    }
    let bits = usize::from(third >> 4).checked_sub(1)?;
    let rate = *RATES.get(usize::from((third >> 2) & 3))?;
    let padding = usize::from((third >> 1) & 1);
    Some(match version {
        3 => 144_000 * MPEG1.get(bits)? / rate + padding,
        2 => 72_000 * MPEG2.get(bits)? / (rate / 2) + padding,
        _ => 72_000 * MPEG2.get(bits)? / (rate / 4) + padding,
    })
}

/// The bytes as text (UTF-8 without what no text has), but for a character that the end cuts.
pub(super) fn text(head: &[u8], whole: bool) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if !whole && error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b');
    (!text.chars().any(odd)).then_some(text)
}

/// Kinds of contents that were looked at: those who seek in a film ask for parts of it again and again.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<(DriveId, VersionId), Media>>);

impl Known {
    pub fn get(&self, drive: DriveId, version: VersionId) -> Option<Media> {
        self.0.lock().get(&(drive, version)).copied()
    }

    pub fn learn(&self, drive: DriveId, version: VersionId, media: Media) {
        let mut known = self.0.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((drive, version), media);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_are_told_by_their_marks() {
        let mp3 = [&[0xff, 0xfb, 0x90, 0x00][..], &[0; 413], &[0xff, 0xfb, 0x90, 0x00]].concat();
        let ogg = |codec: &[u8]| [b"OggS\0\x02", &[0; 22][..], codec].concat();
        for (head, media) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], Media::Image("image/png")),
            (b"\xff\xd8\xff\xe0..", Media::Image("image/jpeg")),
            (b"GIF89a..", Media::Image("image/gif")),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", Media::Image("image/webp")),
            (b"RIFF\x01\x02\x03\x04WAVEfmt ", Media::Audio("audio/wav")),
            (b"RIFF\x01\x02\x03\x04AVI LIST", Media::Other),
            (b"\0\0\0\x1cftypisom\0\0", Media::Video("video/mp4")),
            (b"\0\0\0\x1cftypM4A \0\0", Media::Audio("audio/mp4")),
            (b"\0\0\0\x1cftypavif\0\0", Media::Image("image/avif")),
            (b"\0\0\0\x1cftypheic\0\0", Media::Other),
            (b"\x1a\x45\xdf\xa3\x01", Media::Video("video/webm")),
            (b"ID3\x04\0", Media::Audio("audio/mpeg")),
            (&mp3, Media::Audio("audio/mpeg")),
            (b"\xff\xfb\x90\x00", Media::Other),
            (&ogg(b"\x01vorbis"), Media::Audio("audio/ogg")),
            (&ogg(b"\x80theora"), Media::Video("video/ogg")),
            (b"%PDF-1.7\n", Media::Pdf),
            (b"\x00junk\n%PDF-1.4", Media::Pdf),
            (b"", Media::Empty),
            ("dürfen".as_bytes(), Media::Text),
            (b"a\0b", Media::Other),
            (b"\xffa", Media::Other),
            // What could be a page with a script is text, whatever it is called.
            (b"<!doctype html><script>alert(1)</script>", Media::Text),
            (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", Media::Text),
            (b"<?xml version='1.0'?><svg/>", Media::Text),
        ] {
            assert_eq!(Media::of(head, true), media, "{head:?}");
        }
    }

    #[test]
    fn a_character_that_the_end_cuts_is_no_fault() {
        let cut = &"aé".as_bytes()[..2];
        assert_eq!((text(cut, false), text(cut, true)), (Some("a"), None));
        assert_eq!(Media::of(cut, false), Media::Text);
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(head: Vec<u8>, whole: bool) {
            let _ = Media::of(&head, whole);
        }

        /// However it goes on, what begins as markup is shown by no browser as anything but text.
        #[test]
        fn markup_is_never_inline(head in "[ \\n\\ufeff]{0,4}<[!?a-zA-Z][ -~\\n]{0,200}") {
            prop_assert_eq!(Media::of(head.as_bytes(), true).inline(), None);
        }
    }
}
