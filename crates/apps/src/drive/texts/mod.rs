//! Finding files by the words in them.
//!
//! A file's text is read after it was put, in the background. `texts` keeps it, for the passages that are shown; `words` has a
//! row for each word and file, so that a word, or the beginning of one, is found by one range. Both belong to the file,
//! whatever it is called and wherever it is: what is moved is found at its new place, what is thrown away is not found.
//!
//! **Invariants.** (1) Whatever gives a file a content, a name that tells of text, or an end writes, in the same transaction, a
//! row of `unread`: a crash anywhere leaves that row, by which any node reads the file again. (2) The words of a file are
//! those of the text in its row, those of the text before as long as that is named there, and no others. So each step can
//! be repeated, and two who read the same file do not disturb each other: a step rests on that row.

mod check;
mod find;
mod gather;
mod later;
mod read;
mod round;
mod words;

pub(super) use find::Searches;
pub use find::{FOUND_MAX, Passage, TextFound};
pub(super) use later::Later;
pub(super) use round::Waiting;

use super::Entry;
use super::change::Change;
use crate::FileId;
use bytes::Bytes;
use prost::Message;

/// Bytes of a file of plain text that are read: its beginning. Of documents, as many bytes of text are kept.
pub const TEXT_BYTES_MAX: u64 = extract::TEXT_BYTES_MAX as u64;
/// What files of plain text are called.
const NAMES: [&str; 44] = [
    "adoc", "asc", "bib", "c", "cc", "cfg", "conf", "cpp", "cs", "css", "csv", "go", "h", "hpp", "ics", "ini", "java",
    "js", "json", "kt", "log", "lua", "markdown", "md", "mjs", "org", "php", "pl", "py", "rb", "rs", "rst", "sh",
    "sql", "srt", "tex", "text", "toml", "ts", "tsv", "txt", "vcf", "yaml", "yml",
];
/// What documents are called that a child process reads ([`extract`]).
const DOCUMENTS: [&str; 25] = [
    "docm", "docx", "dotm", "dotx", "epub", "htm", "html", "odg", "odp", "ods", "odt", "otp", "ots", "ott", "pdf",
    "potx", "ppsm", "ppsx", "pptm", "pptx", "rtf", "xhtml", "xlsm", "xlsx", "xltx",
];
/// Types of documents, or how those of office programs begin.
const DOCUMENT_TYPES: [&str; 8] = [
    "application/epub+zip",
    "application/pdf",
    "application/rtf",
    "application/vnd.oasis.opendocument.",
    "application/vnd.openxmlformats-officedocument.",
    "application/xhtml+xml",
    "text/html",
    "text/rtf",
];

/// How the text of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As it stands.
    Plain,
    Document,
}

/// What is kept of a file's text.
#[derive(Clone, PartialEq, Message)]
struct TextRow {
    /// The version that it is of; empty: the file is gone, or has no text any more.
    #[prost(bytes = "bytes", tag = "1")]
    version: Bytes,
    #[prost(string, tag = "2")]
    text: String,
    /// Whose words may still lead here.
    #[prost(string, tag = "3")]
    before: String,
    /// Not all words are as they should be yet.
    #[prost(bool, tag = "4")]
    unsettled: bool,
    /// It was read as a document.
    #[prost(bool, tag = "5")]
    document: bool,
}

impl Entry {
    /// By its name, or else by its type.
    fn way_of_text(&self) -> Option<Way> {
        let file = self.file()?;
        if let Some(end) = self.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()) {
            if DOCUMENTS.contains(&&*end) {
                return Some(Way::Document);
            }
            if NAMES.contains(&&*end) {
                return Some(Way::Plain);
            }
        }
        let kind = file.media_type.as_deref()?.split(';').next().unwrap_or_default().trim();
        match DOCUMENT_TYPES.iter().any(|begin| kind.starts_with(begin)) {
            true => Some(Way::Document),
            false => kind.starts_with("text/").then_some(Way::Plain),
        }
    }

    /// Is it, by name or type, a file whose text is read?
    pub(super) fn tells_of_text(&self) -> bool {
        self.way_of_text().is_some()
    }
}

impl Change {
    /// A file comes, goes or gets another content: what was read of it does not hold.
    pub(super) fn text_changes(&mut self, old: Option<&Entry>, new: Option<&Entry>) {
        let told = [old, new].into_iter().flatten().find(|entry| entry.tells_of_text());
        if let Some(file) = told.and_then(Entry::file) {
            self.unread(file.id);
        }
    }

    /// A file gets another name, by which it may be read another way, or no more.
    pub(super) fn name_changes(&mut self, old: &Entry, new: &Entry) {
        if old.way_of_text() != new.way_of_text() {
            self.text_changes(Some(old), Some(new));
        }
    }

    /// The file is to be read, or what was read of it forgotten.
    fn unread(&mut self, file: FileId) {
        self.put(self.unread_table(), file.bytes(), Bytes::new());
        self.wakes_readers();
    }
}

#[cfg(test)]
#[test]
fn a_name_tells_more_than_a_type() {
    let way = |name: &str, kind: Option<&str>| {
        let file = super::rows::EntryFile {
            id: Bytes::from(vec![1; 16]),
            version: Bytes::from(vec![1; 16]),
            hash: Bytes::from(vec![1; 32]),
            media_type: kind.unwrap_or_default().into(),
            ..Default::default()
        };
        let row = super::rows::EntryRow { file: Some(file), ..Default::default() };
        row.into_entry(name).unwrap().way_of_text()
    };
    assert_eq!(way("a.PDF", None), Some(Way::Document));
    assert_eq!(way("a.txt", Some("text/html")), Some(Way::Plain));
    assert_eq!(way("a", Some("text/html; charset=utf-8")), Some(Way::Document));
    assert_eq!(way("a", Some("application/vnd.oasis.opendocument.text")), Some(Way::Document));
    assert_eq!(way("a", Some("text/x-whatever")), Some(Way::Plain));
    assert_eq!(way("a.jpg", Some("image/jpeg")), None);
    assert_eq!(way("pdf", None), None);
}
