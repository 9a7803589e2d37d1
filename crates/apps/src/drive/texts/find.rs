//! Finding: each word, or beginning of one, is a range; what all ranges lead to is looked up, put in order, and shown with a passage.

use super::{TextRow, words};
use crate::drive::change::entry_key;
use crate::drive::rows::{PlaceRow, decode};
use crate::drive::search::Places;
use crate::drive::{DriveError, Drives, Entry};
use crate::page::{Page, cursor_after, place_of};
use crate::{DriveId, FileId, FolderId};
use bytes::Bytes;
use client::ClientError;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use types::limits::KEYS_MAX;
use types::{Consistency, ItemKey, Query};

/// Found in one call at most.
pub const FOUND_MAX: u32 = 50;
/// Bytes and words that are looked for.
const ASKED_BYTES_MAX: usize = 1000;
const ASKED_WORDS_MAX: usize = 8;
/// Rows of one word that are looked at: of a word in more files, only some are found.
const ROWS_MAX: usize = 50_000;
/// Files put in order: of more, only some are found.
const FILES_MAX: usize = KEYS_MAX;
/// Searches at a time by this process, for each may look at rows of eight words; others wait so long.
const AT_ONCE: usize = 4;
const ROOM_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a passage, before and after the first word found.
const BEFORE: usize = 60;
const AFTER: usize = 180;

/// How many search at a time.
pub(in crate::drive) struct Searches(Semaphore);

impl Default for Searches {
    fn default() -> Searches {
        Searches(Semaphore::new(AT_ONCE))
    }
}

/// A file found by words in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFound {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// Where the words stand, in pieces.
    pub passage: Vec<Passage>,
}

/// A piece of a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// As it stands there; white space is one space.
    pub text: String,
    /// It is a word that was looked for.
    pub hit: bool,
}

/// A file that all words lead to.
struct Candidate {
    file: FileId,
    parent: FolderId,
    entry: Entry,
    /// Words that are in its name, and words that are in it whole.
    named: usize,
    whole: usize,
}

pub(super) fn word_key(word: &str, file: FileId) -> Bytes {
    [word.as_bytes(), &[0], &file.0].concat().into()
}

impl Drives {
    /// Files in which all these words stand, or words that begin so: those first that are called so, then those in which
    /// more of the words stand whole, then the newest.
    pub async fn find_text(
        &self,
        drive: DriveId,
        text: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<TextFound>, DriveError> {
        if text.len() > ASKED_BYTES_MAX {
            return Err(DriveError::Invalid(format!("look for no more than {ASKED_BYTES_MAX} bytes")));
        }
        let wanted: Vec<String> = words::set(text).into_iter().collect();
        if wanted.is_empty() || wanted.len() > ASKED_WORDS_MAX {
            return Err(DriveError::Invalid(format!("look for one to {ASKED_WORDS_MAX} words")));
        }
        let limit = if limit == 0 { FOUND_MAX } else { limit.min(FOUND_MAX) } as usize;
        let skip = match cursor {
            None => 0,
            Some(cursor) => {
                let place = place_of(cursor, 4).and_then(|place| Some(u32::from_be_bytes(place.try_into().ok()?)));
                place.ok_or(DriveError::BadCursor)? as usize
            }
        };
        let room = tokio::time::timeout(ROOM_WITHIN, self.inner.searches.0.acquire()).await;
        let _room = room.map_err(|_| ClientError::Busy)?.map_err(|_| ClientError::Busy)?;
        self.gather_texts(drive).await?;
        let files = self.files_with(drive, &wanted).await?;
        let mut found = self.candidates(drive, &wanted, files).await?;
        let mut places = Places::default();
        self.learn_places(drive, found.iter().map(|it| it.parent).collect(), &mut places).await?;
        // What is in the trash, or being taken apart, is not found.
        let in_tree = |it: Candidate| {
            let path = places.path(it.parent)?.join(&it.entry.name).ok()?;
            Some((path.to_string(), it))
        };
        let mut found: Vec<(String, Candidate)> = found.drain(..).filter_map(in_tree).collect();
        let modified = |it: &Candidate| it.entry.file().map(|file| file.mtime);
        found.sort_by(|(a_path, a), (b_path, b)| {
            let order = |it: &Candidate| Reverse((it.named, it.whole, modified(it)));
            order(a).cmp(&order(b)).then_with(|| a_path.cmp(b_path))
        });
        let end = skip.saturating_add(limit);
        let next = (found.len() > end).then(|| cursor_after(&(end as u32).to_be_bytes()));
        let page: Vec<(String, Candidate)> = found.into_iter().skip(skip).take(limit).collect();
        let key = |it: &Candidate| ItemKey::new(self.inner.tables.texts, drive.bytes(), it.file.bytes());
        let keys: Vec<ItemKey> = page.iter().map(|(_, it)| key(it)).collect();
        let rows =
            if keys.is_empty() { Vec::new() } else { self.inner.store.get_many(keys, Consistency::Strong).await? };
        let mut items = Vec::with_capacity(page.len());
        for ((path, it), row) in page.into_iter().zip(rows) {
            let row = row.map(|item| decode::<TextRow>("a text", &item.value)).transpose()?.unwrap_or_default();
            // What was put since has not been read yet: those words may stand in it no more.
            if it.entry.file().is_none_or(|file| row.version != file.version.bytes()) {
                continue;
            }
            items.push(TextFound { path, entry: it.entry, passage: passage(&row.text, &wanted) });
        }
        Ok(Page { items, next })
    }

    /// Files that every word leads to, each with how many of the words stand there whole.
    async fn files_with(&self, drive: DriveId, wanted: &[String]) -> Result<HashMap<FileId, usize>, DriveError> {
        let mut all: Option<HashMap<FileId, usize>> = None;
        for word in wanted {
            let mut query = Query::prefix(self.inner.tables.words, drive.bytes(), word.as_bytes());
            let mut found: HashMap<FileId, bool> = HashMap::new();
            let mut seen = 0;
            loop {
                let page = self.inner.store.query(&query, Consistency::Strong).await?;
                for at in &page.items {
                    let split = at.sort_key.len().saturating_sub(16);
                    let file = at.sort_key.get(split..).and_then(FileId::from_slice);
                    let file = file.ok_or_else(|| DriveError::Damaged("the key of a word".into()))?;
                    let whole = at.sort_key.get(..split.saturating_sub(1)) == Some(word.as_bytes());
                    *found.entry(file).or_default() |= whole;
                }
                seen += page.items.len();
                match page.next {
                    Some(next) if seen < ROWS_MAX => query = query.after(next),
                    _ => break,
                }
            }
            let both = match all {
                None => found.into_iter().map(|(file, whole)| (file, usize::from(whole))).collect(),
                Some(mut all) => {
                    all.retain(|file, _| found.contains_key(file));
                    for (file, count) in &mut all {
                        *count += usize::from(found.get(file).copied().unwrap_or_default());
                    }
                    all
                }
            };
            if both.is_empty() {
                return Ok(both);
            }
            all = Some(both);
        }
        Ok(all.unwrap_or_default())
    }

    /// What these files are now: two reads for all of them.
    async fn candidates(
        &self,
        drive: DriveId,
        wanted: &[String],
        files: HashMap<FileId, usize>,
    ) -> Result<Vec<Candidate>, DriveError> {
        let (store, tables) = (&self.inner.store, self.inner.tables);
        // The same ones each time, so that pages fit together.
        let mut files: Vec<(FileId, usize)> = files.into_iter().collect();
        files.sort_unstable_by_key(|(file, whole)| (Reverse(*whole), *file));
        files.truncate(FILES_MAX);
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let keys = files.iter().map(|(file, _)| ItemKey::new(tables.places, drive.bytes(), file.bytes()));
        let rows = store.get_many(keys.collect(), Consistency::Strong).await?;
        let mut placed = Vec::new();
        for ((file, whole), item) in files.into_iter().zip(rows) {
            let Some(item) = item else { continue };
            let row = decode::<PlaceRow>("a place", &item.value)?;
            if let Some(parent) = FolderId::from_slice(&row.parent).filter(|parent| *parent != FolderId::TRASH) {
                placed.push((file, whole, parent, row.name));
            }
        }
        if placed.is_empty() {
            return Ok(Vec::new());
        }
        let key = |parent: &FolderId, name: &str| ItemKey::new(tables.entries, drive.bytes(), entry_key(*parent, name));
        let keys = placed.iter().map(|(_, _, parent, name)| key(parent, name)).collect();
        let rows = store.get_many(keys, Consistency::Strong).await?;
        let mut found = Vec::new();
        for ((file, whole, parent, name), item) in placed.into_iter().zip(rows) {
            let Some(entry) = item.map(|item| Entry::decode(&name, &item.value)).transpose()? else { continue };
            // Another file by now, or one that is none of text any more and will be forgotten.
            if entry.id() != file.0 || !entry.tells_of_text() {
                continue;
            }
            let called = words::set(&name);
            let named = wanted.iter().filter(|word| called.iter().any(|it| it.starts_with(*word))).count();
            found.push(Candidate { file, parent, entry, named, whole });
        }
        Ok(found)
    }
}

/// Where the words stand first, with what is around.
fn passage(text: &str, wanted: &[String]) -> Vec<Passage> {
    let is_hit = |word: &str| wanted.iter().any(|wanted| word.starts_with(wanted.as_str()));
    let Some((first, _)) = words::words(text).find(|(_, word)| is_hit(word)) else { return Vec::new() };
    let mut begin = first.start.saturating_sub(BEFORE);
    while !text.is_char_boundary(begin) {
        begin -= 1;
    }
    let mut end = (first.end + AFTER).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    // Not in the middle of a word, where that is near.
    let before = &text[begin..first.start];
    if begin > 0
        && let Some(space) = before.find(char::is_whitespace)
    {
        begin += space;
    }
    let shown = &text[begin..end];
    let mut pieces = Vec::new();
    let mut add = |text: &str, hit| {
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            let space = c.is_whitespace() || c.is_control();
            if !space || !plain.ends_with(' ') {
                plain.push(if space { ' ' } else { c });
            }
        }
        if !plain.is_empty() {
            pieces.push(Passage { text: plain, hit });
        }
    };
    let mut last = 0;
    for (at, _) in words::words(shown).filter(|(_, word)| is_hit(word)) {
        add(&shown[last..at.start], false);
        add(&shown[at.clone()], true);
        last = at.end;
    }
    add(&shown[last..], false);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_passage_marks_the_words() {
        let text = "Far before.\n".repeat(20) + "The crème   brûlée was\tfine.";
        let pieces = passage(&text, &["brul".into(), "fine".into()]);
        let hits: Vec<&str> = pieces.iter().filter(|it| it.hit).map(|it| it.text.as_str()).collect();
        assert_eq!(hits, ["brûlée", "fine"]);
        let all: String = pieces.iter().map(|it| it.text.as_str()).collect();
        assert!(all.contains("The crème brûlée was fine.") && all.len() < 120, "{all}");
        assert_eq!(passage("nothing here", &["other".into()]), []);
    }

    proptest! {
        #[test]
        fn a_passage_is_short_and_has_a_hit(text in "(?s).{0,400}", word in "[a-e]") {
            let pieces = passage(&text, std::slice::from_ref(&word));
            let there = words::words(&text).any(|(_, it)| it.starts_with(&word));
            prop_assert_eq!(pieces.iter().any(|it| it.hit), there);
            prop_assert!(pieces.iter().map(|it| it.text.len()).sum::<usize>() <= 2 * text.len());
        }
    }
}
