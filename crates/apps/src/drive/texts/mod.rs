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

mod find;
mod gather;
mod read;
mod words;

pub use find::{FOUND_MAX, Passage, TextFound};

use super::Entry;
use super::change::Change;
use crate::{DriveId, FileId};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeSet;
use tokio::sync::Notify;

/// Bytes of a file that are read: its beginning.
pub const TEXT_BYTES_MAX: u64 = 128 * 1024;
/// Drives that wait to be read at once; those beyond wait for the next round.
const WAITING_MAX: usize = 1000;
/// What files of plain text are called.
const NAMES: [&str; 44] = [
    "adoc", "asc", "bib", "c", "cc", "cfg", "conf", "cpp", "cs", "css", "csv", "go", "h", "hpp", "ics", "ini", "java",
    "js", "json", "kt", "log", "lua", "markdown", "md", "mjs", "org", "php", "pl", "py", "rb", "rs", "rst", "sh",
    "sql", "srt", "tex", "text", "toml", "ts", "tsv", "txt", "vcf", "yaml", "yml",
];

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
}

/// Drives in which this process has put something to be read.
#[derive(Default)]
pub(super) struct Waiting {
    drives: Mutex<BTreeSet<DriveId>>,
    woken: Notify,
}

impl Waiting {
    pub(super) fn add(&self, drive: DriveId) {
        let mut drives = self.drives.lock();
        if drives.len() < WAITING_MAX {
            drives.insert(drive);
        }
        self.woken.notify_one();
    }
}

impl Entry {
    /// Is it, by name or type, a file of plain text?
    pub(super) fn tells_of_text(&self) -> bool {
        let Some(file) = self.file() else { return false };
        let kind = file.media_type.as_deref().and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let end = self.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
        (kind.starts_with("text/") && kind != "text/html") || end.is_some_and(|end| NAMES.contains(&&*end))
    }
}

impl Change {
    /// The file is to be read, or what was read of it forgotten.
    pub(super) fn unread(&mut self, file: FileId) {
        self.put(self.unread_table(), file.bytes(), Bytes::new());
    }
}
