//! Files from before there was anything to find them by: they become unread once, when somebody looks for words in their drive.

use crate::DriveId;
use crate::drive::change::{Change, name_in};
use crate::drive::{DriveError, Drives, Entry};
use bytes::Bytes;
use types::{Consistency, ItemKey, Query};

/// The row that says that all files of before are unread, or have been read. Files' ids are sixteen bytes long.
const COMPLETE: &[u8] = b"!2";
/// How far that has come: the last of the entries' keys.
const REACHED: &[u8] = b"?2";
/// The same of a release that read plain text only.
const OF_PLAIN_TEXT: [&[u8]; 2] = [b"!", b"?"];
/// Entries that are looked at in one transaction.
const AT_ONCE: u32 = 900;
/// How long one call goes on; the next goes on from there.
const GATHERING_MS_MAX: u64 = 2000;
/// Drives that are remembered.
const KNOWN_MAX: usize = 10_000;

impl Drives {
    pub(super) async fn gather_texts(&self, drive: DriveId) -> Result<(), DriveError> {
        if self.inner.gathered.lock().contains(&drive) {
            return Ok(());
        }
        let (texts, begun) = (self.inner.tables.texts, self.now());
        let keys = [COMPLETE, REACHED].map(|key| ItemKey::new(texts, drive.bytes(), key));
        let rows = self.inner.store.get_many(keys.into(), Consistency::Strong).await?;
        let [complete, reached] = &rows[..] else { return Err(DriveError::Damaged("an answer for other keys".into())) };
        let mut query = Query { limit: AT_ONCE, ..Query::all(self.inner.tables.entries, drive.bytes()) };
        if let Some(item) = reached {
            query = query.after(item.value.clone());
        }
        let mut done = complete.is_some();
        while !done {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let mut change = Change::new(self, drive);
            for at in &page.items {
                let entry = Entry::decode(name_in(&at.sort_key)?, &at.item.value)?;
                // No condition: a row too many is a look too many.
                change.text_changes(None, Some(&entry));
            }
            match &page.next {
                Some(next) => change.put(texts, Bytes::from_static(REACHED), next.clone()),
                None => {
                    change.put(texts, Bytes::from_static(COMPLETE), vec![1]);
                    change.delete(texts, Bytes::from_static(REACHED));
                    OF_PLAIN_TEXT.into_iter().for_each(|key| change.delete(texts, Bytes::from_static(key)));
                }
            }
            change.commit(self.store(), &drive).await?;
            done = page.next.is_none();
            if let Some(next) = page.next {
                query = query.after(next);
            }
            if !done && self.now().0.saturating_sub(begun.0) >= GATHERING_MS_MAX {
                return Ok(());
            }
        }
        let mut gathered = self.inner.gathered.lock();
        if gathered.len() >= KNOWN_MAX {
            gathered.clear();
        }
        gathered.insert(drive);
        Ok(())
    }

    /// The drive goes: nothing is kept of how far its files were gathered.
    pub(crate) async fn forget_gathered(&self, drive: DriveId) -> Result<(), DriveError> {
        let mut change = Change::new(self, drive);
        for key in [COMPLETE, REACHED].into_iter().chain(OF_PLAIN_TEXT) {
            change.delete(self.inner.tables.texts, Bytes::from_static(key));
        }
        change.commit(self.store(), &drive).await?;
        self.inner.gathered.lock().remove(&drive);
        Ok(())
    }
}
