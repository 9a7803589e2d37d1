//! Is what was read of a drive's files what they say? For [`Drives::check`].

use super::{TextRow, Way, words};
use crate::drive::rows::decode;
use crate::drive::{DriveError, Drives, Entry};
use crate::{DriveId, FileId};
use std::collections::{BTreeSet, HashMap, HashSet};

impl Drives {
    /// `files`: all that the drive has, in the tree and in the trash. What is unread may be as it likes.
    pub(in crate::drive) async fn check_texts<'a>(
        &self,
        drive: DriveId,
        files: impl Iterator<Item = &'a Entry>,
        findings: &mut Vec<String>,
    ) -> Result<(), DriveError> {
        let tables = self.inner.tables;
        let files: HashMap<[u8; 16], &Entry> = files.map(|entry| (entry.id(), entry)).collect();
        let unread = self.all_rows(drive, tables.unread).await?;
        let unread: HashSet<FileId> = unread.iter().filter_map(|(key, _)| FileId::from_slice(key)).collect();
        let mut wanted: HashMap<FileId, BTreeSet<String>> = HashMap::new();
        for (key, value) in self.all_rows(drive, tables.texts).await? {
            // How far the files of before were gathered is told by shorter keys.
            let Some(file) = FileId::from_slice(&key).filter(|file| !unread.contains(file)) else { continue };
            let row = decode::<TextRow>("a text", &value)?;
            let entry = files.get(&file.0);
            let is_its =
                entry.and_then(|entry| Some((entry.file()?, entry.way_of_text()?))).is_some_and(|(it, way)| {
                    row.version == it.version.bytes() && row.document == (way == Way::Document) && !row.unsettled
                });
            if !is_its {
                findings.push(format!("the text of {file} is not that of the file, and nobody is to read it"));
            }
            wanted.insert(file, words::set(&row.text));
        }
        for (key, _) in self.all_rows(drive, tables.words).await? {
            let (word, file) = key.split_at(key.len().saturating_sub(16));
            let file = FileId::from_slice(file).ok_or_else(|| DriveError::Damaged("the key of a word".into()))?;
            let word = word.strip_suffix(&[0]).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default();
            let known = wanted.get_mut(&file).is_some_and(|words| words.remove(word));
            if !known && !unread.contains(&file) {
                findings.push(format!("the word {word:?} leads to {file}, in which it is not"));
            }
        }
        for (file, words) in wanted.iter().filter(|(_, words)| !words.is_empty()) {
            findings.push(format!("{} words of {file} do not lead to it", words.len()));
        }
        Ok(())
    }
}
