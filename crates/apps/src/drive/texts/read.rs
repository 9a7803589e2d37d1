//! Reading texts, by the rows of `unread`.

use super::round::Turn;
use super::{TEXT_BYTES_MAX, TextRow, Way, words};
use crate::drive::change::{Change, Commit, entry_key};
use crate::drive::rows::{PlaceRow, decode};
use crate::drive::{DriveError, Drives, Entry};
use crate::{DriveId, FileId, FolderId, TrashId};
use client::{ClientError, Content};
use futures::StreamExt;
use prost::Message;
use std::time::{Duration, Instant};
use types::{Action, Classify, Consistency, Item, ItemKey, Query, Test, Version};

/// Rows that are looked at together.
const PAGE: u32 = 200;
/// Words that one transaction adds or takes away.
const WORDS_AT_ONCE: usize = 900;
/// Reading so much takes much less.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// A row that was put so long ago has been left: by a node that died, or has more to read than it can.
const FRESH_MS: u64 = 30_000;
/// How long nobody else reads a file: longer than reading one takes.
const CLAIMED_MS: u64 = 150_000;

/// Whoever reads a file that was left says so in its row. Older releases put nothing there, and look at nothing.
#[derive(Clone, PartialEq, Message)]
struct Claim {
    /// Milliseconds since the Unix epoch. When clocks differ, a file may be read twice, or later.
    #[prost(uint64, tag = "1")]
    until: u64,
}

/// What came of a file.
enum Turned {
    Done,
    /// Somebody else is at it.
    Taken,
    /// What it says is not to be had now: others may be. The row as it is now, and why.
    Later(Version, String),
}

/// Where a file is.
enum Place {
    At(Box<Entry>),
    Gone,
    /// It was moved while we looked.
    Moving,
}

impl Drives {
    /// Reads what is unread in the drive. A file that cannot be read does not keep the others; it stays unread, and is tried
    /// again by and by.
    pub async fn read_texts(&self, drive: DriveId) -> Result<(), DriveError> {
        self.read_turn(drive, Turn::default(), None).await.map(drop)
    }

    /// The same for a while, or to the end; what is left for the next turn.
    pub(super) async fn read_turn(
        &self,
        drive: DriveId,
        turn: Turn,
        within: Option<Duration>,
    ) -> Result<Option<Turn>, DriveError> {
        let (begun, ms) = (Instant::now(), turn.left_for.as_millis() as u64);
        let mut query = Query { limit: PAGE, ..Query::all(self.inner.tables.unread, drive.bytes()) };
        if let Some(file) = turn.after {
            query = query.after(file.bytes());
        }
        let mut failed = None;
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                let Some(file) = FileId::from_slice(&at.sort_key) else { continue };
                let (later, row, now) = (&self.inner.later, at.item.version, self.now());
                let since = now.0.saturating_sub(at.item.time.wall().0);
                if since < ms || later.waits(drive, file, row, now) {
                    continue;
                }
                match self.read_claimed(drive, file, &at.item).await {
                    Ok(Turned::Done) => later.was_read(drive, file),
                    Ok(Turned::Taken) => continue,
                    Ok(Turned::Later(now_row, why)) => {
                        tracing::info!(%drive, %file, why, "the text of a file is read later");
                        later.put_off(drive, file, (row, now_row), self.now());
                    }
                    // The next would fare no better.
                    Err(error) if error.action() != Action::Rejected => return Err(error),
                    Err(error) => failed = failed.or(Some(error)),
                }
                if within.is_some_and(|within| begun.elapsed() >= within) {
                    if let Some(error) = failed {
                        tracing::warn!(%drive, %error, "a text could not be read");
                    }
                    return Ok(Some(Turn { after: Some(file), ..turn }));
                }
            }
            match page.next {
                Some(next) => query = query.after(next),
                None => return failed.map_or(Ok(None), Err),
            }
        }
    }

    /// Reads what nobody else reads: who comes to a row that has waited says in it that they are at it, and one that is
    /// fresh is that of who put the file.
    async fn read_claimed(&self, drive: DriveId, file: FileId, row: &Item) -> Result<Turned, DriveError> {
        let claim = decode::<Claim>("a row of what is unread", &row.value)?;
        let now = self.now();
        // One that reaches further was made by a clock that ran ahead.
        if claim.until > now.0 && claim.until <= now.0.saturating_add(CLAIMED_MS) {
            return Ok(Turned::Taken);
        }
        let mut version = row.version;
        if now.0.saturating_sub(row.time.wall().0) >= FRESH_MS {
            let unread = self.inner.tables.unread;
            let claim = Claim { until: now.0.saturating_add(CLAIMED_MS) };
            let mut change = Change::new(self, drive);
            change.require(unread, file.bytes(), Test::VersionIs(version));
            change.put(unread, file.bytes(), claim.encode_to_vec());
            match change.commit(self.store(), &drive).await? {
                Commit::Done(done) => version = done.version,
                Commit::Lost(_) => return Ok(Turned::Taken),
            }
        }
        Ok(match self.read_text(drive, file, version).await? {
            None => Turned::Done,
            Some(why) => Turned::Later(version, why),
        })
    }

    /// None: it was read, or need not be by us. Or why what it says is not to be had now.
    async fn read_text(&self, drive: DriveId, file: FileId, unread: Version) -> Result<Option<String>, DriveError> {
        let key = ItemKey::new(self.inner.tables.texts, drive.bytes(), file.bytes());
        let mut kept = None;
        if let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? {
            let row = decode::<TextRow>("a text", &item.value)?;
            // What somebody else began is brought to its end first.
            kept = match row.unsettled {
                true => match self.settle(drive, file, row, item.version).await? {
                    Some(settled) => Some(settled),
                    None => return Ok(None),
                },
                false => Some((row, item.version)),
            };
        }
        let mut next = TextRow::default();
        match self.place_of_file(drive, file).await? {
            // The row stays, and leads here again.
            Place::Moving => return Ok(None),
            Place::At(entry) => {
                if let (Some(way), Some(info)) = (entry.way_of_text(), entry.file()) {
                    (next.version, next.document) = (info.version.bytes(), way == Way::Document);
                    if kept.as_ref().is_none_or(|(row, _)| !row.is_read_as(&next)) {
                        let open = self.open_entry(drive, &entry, info.clone()).await?;
                        let Some(open) = open else { return Ok(None) };
                        next.text = match self.text_of(open.content, way).await {
                            Ok(text) => text,
                            Err(why) => return Ok(Some(why)),
                        };
                    }
                }
            }
            Place::Gone => {}
        }
        let same = kept.as_ref().map_or(next.text.is_empty(), |(row, _)| row.is_read_as(&next));
        if !same {
            next.unsettled = true;
            let test = kept.as_ref().map_or(Test::Absent, |(_, at)| Test::VersionIs(*at));
            next.before = kept.map(|(row, _)| row.text).unwrap_or_default();
            let mut change = Change::new(self, drive);
            change.require(self.inner.tables.texts, file.bytes(), test);
            change.require(self.inner.tables.unread, file.bytes(), Test::VersionIs(unread));
            change.put(self.inner.tables.texts, file.bytes(), next.encode_to_vec());
            // Another reads it too, or it was put again.
            let Commit::Done(done) = change.commit(self.store(), &drive).await? else { return Ok(None) };
            kept = match self.settle(drive, file, next, done.version).await? {
                Some(settled) => Some(settled),
                None => return Ok(None),
            };
        }
        let mut change = Change::new(self, drive);
        change.require(self.inner.tables.unread, file.bytes(), Test::VersionIs(unread));
        change.delete(self.inner.tables.unread, file.bytes());
        if let Some((row, at)) = kept.filter(|(row, _)| row.text.is_empty()) {
            debug_assert!(row.before.is_empty());
            change.require(self.inner.tables.texts, file.bytes(), Test::VersionIs(at));
            change.delete(self.inner.tables.texts, file.bytes());
        }
        change.commit(self.store(), &drive).await?;
        Ok(None)
    }

    /// Brings the words of a file to what its row says. None: the row has changed.
    async fn settle(
        &self,
        drive: DriveId,
        file: FileId,
        row: TextRow,
        at: Version,
    ) -> Result<Option<(TextRow, Version)>, DriveError> {
        let tables = self.inner.tables;
        let (new, old) = (words::set(&row.text), words::set(&row.before));
        let changed: Vec<(&String, bool)> = new
            .difference(&old)
            .map(|word| (word, true))
            .chain(old.difference(&new).map(|word| (word, false)))
            .collect();
        for some in changed.chunks(WORDS_AT_ONCE) {
            let mut change = Change::new(self, drive);
            change.require(tables.texts, file.bytes(), Test::VersionIs(at));
            for (word, comes) in some {
                let key = super::find::word_key(word, file);
                if *comes {
                    change.put(tables.words, key, bytes::Bytes::new())
                } else {
                    change.delete(tables.words, key)
                }
            }
            if let Commit::Lost(_) = change.commit(self.store(), &drive).await? {
                return Ok(None);
            }
        }
        let row = TextRow { before: String::new(), unsettled: false, ..row };
        let mut change = Change::new(self, drive);
        change.require(tables.texts, file.bytes(), Test::VersionIs(at));
        change.put(tables.texts, file.bytes(), row.encode_to_vec());
        match change.commit(self.store(), &drive).await? {
            Commit::Done(done) => Ok(Some((row, done.version))),
            Commit::Lost(_) => Ok(None),
        }
    }

    async fn place_of_file(&self, drive: DriveId, file: FileId) -> Result<Place, DriveError> {
        let key = ItemKey::new(self.inner.tables.places, drive.bytes(), file.bytes());
        let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else { return Ok(Place::Gone) };
        let row = decode::<PlaceRow>("a place", &item.value)?;
        let damaged = || DriveError::Damaged("the place of a file".into());
        let parent = FolderId::from_slice(&row.parent).ok_or_else(damaged)?;
        let entry = if parent == FolderId::TRASH {
            match self.trashed(drive, row.name.parse::<TrashId>().map_err(|_| damaged())?).await {
                Ok(trashed) => Some(trashed.entry),
                Err(DriveError::NotInTrash) => None,
                Err(error) => return Err(error),
            }
        } else {
            let key = ItemKey::new(self.inner.tables.entries, drive.bytes(), entry_key(parent, &row.name));
            let item = self.inner.store.get(&key, Consistency::Strong).await?;
            item.map(|item| Entry::decode(&row.name, &item.value)).transpose()?
        };
        let entry = entry.filter(|entry| entry.id() == file.0);
        Ok(entry.map_or(Place::Moving, |entry| Place::At(Box::new(entry))))
    }

    /// The text of a content, or its beginning; none is empty. Or why that is not known now.
    async fn text_of(&self, content: Content, way: Way) -> Result<String, String> {
        match way {
            Way::Plain => match tokio::time::timeout(READ_WITHIN, self.plain_text(content)).await {
                Ok(text) => text.map_err(|error| error.to_string()),
                Err(_) => Err(format!("it did not come within {} seconds", READ_WITHIN.as_secs())),
            },
            Way::Document if content.size > extract::DOCUMENT_BYTES_MAX => Ok(String::new()),
            Way::Document => {
                let documents = self.inner.documents.as_ref().ok_or("this process reads plain text only")?;
                let size = content.size;
                documents.text(self.read(content, 0..size)).await.map_err(|error| error.to_string())
            }
        }
    }

    /// The beginning of a content, where it is text.
    async fn plain_text(&self, content: Content) -> Result<String, ClientError> {
        let size = content.size.min(TEXT_BYTES_MAX);
        let mut chunks = self.read(content, 0..size);
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await.transpose()? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(decoded(&bytes, size == TEXT_BYTES_MAX))
    }
}

impl TextRow {
    /// Are both of the same content, read in the same way?
    fn is_read_as(&self, other: &TextRow) -> bool {
        self.version == other.version && self.document == other.document
    }
}

/// UTF-8, or UTF-16 that says so; of anything else, nothing. `cut`: the last character may not be whole.
fn decoded(bytes: &[u8], cut: bool) -> String {
    let units = |of: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..].chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => String::from_utf16_lossy(&units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => String::from_utf16_lossy(&units(u16::from_be_bytes)),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => text.to_string(),
                Err(error) if cut && error.error_len().is_none() => {
                    String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned()
                }
                Err(_) => String::new(),
            }
        }
    };
    // What has zeros in it is no text, whatever it is called.
    if text.contains('\0') { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_told_from_what_is_none() {
        assert_eq!(decoded("\u{feff}grün".as_bytes(), false), "grün");
        assert_eq!(decoded(&[0xff, 0xfe, b'a', 0, 0xfc, 0], false), "aü");
        assert_eq!(decoded(&[0xfe, 0xff, 0, b'a'], false), "a");
        assert_eq!(decoded(&"grün".as_bytes()[..3], true), "gr");
        assert_eq!(decoded(&"grün".as_bytes()[..3], false), "");
        assert_eq!(decoded(b"a\0b", false), "");
        assert_eq!(decoded(&[0xff, 0xfe], false), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, cut: bool) {
            prop_assert!(!decoded(&bytes, cut).contains('\0'));
        }
    }
}
