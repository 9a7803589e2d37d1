//! The rows of keys that cannot be in the tree.

use super::ObjectKey;
use crate::drive::change::{Change, work_key_of_history};
use crate::drive::rows::Work;
use crate::drive::succession::Left;
use crate::drive::{DriveError, Drives, Entry};
use crate::{DriveId, FolderId};
use bytes::Bytes;
use types::{Consistency, Query};

impl Drives {
    /// A page of the keys in the flat list, and where it goes on.
    pub(crate) async fn flat_keys(
        &self,
        drive: DriveId,
        after: Option<Bytes>,
        limit: u32,
    ) -> Result<(Vec<ObjectKey>, Option<Bytes>), DriveError> {
        let mut query = Query { limit, ..Query::all(self.inner.tables.flat, drive.bytes()) };
        if let Some(after) = after {
            query = query.after(after);
        }
        let page = self.store().query(&query, Consistency::Strong).await?;
        let key = |sort_key: &[u8]| ObjectKey::parse(&String::from_utf8_lossy(sort_key));
        let keys = page.items.iter().map(|at| key(&at.sort_key)).collect::<Result<_, _>>()?;
        Ok((keys, page.next))
    }
}

impl Drives {
    /// For the end of a drive: what was left at some keys is left to the sweeper. False: there was nothing.
    pub(crate) async fn clear_left(&self, drive: DriveId, most: u32) -> Result<bool, DriveError> {
        let query = Query { limit: most, ..Query::all(self.inner.tables.gone, drive.bytes()) };
        let page = self.store().query(&query, Consistency::Strong).await?;
        for at in &page.items {
            let left = Left::read(Some(&at.item))?;
            let mut change = Change::new(self, drive);
            for gone in &left.histories {
                change.put_work(work_key_of_history(gone.file), Work::Forget, false);
            }
            change.put_left(self, &String::from_utf8_lossy(&at.sort_key), &left, &[])?;
            // Where others were first there is something new: the next call sees it.
            change.commit(self.store(), &drive).await?;
        }
        Ok(!page.items.is_empty())
    }
}

impl Change {
    /// Puts an object into the flat list; what was there is replaced.
    pub(super) fn put_flat(&mut self, drives: &Drives, key: &ObjectKey, entry: &Entry) {
        self.put(drives.inner.tables.flat, Bytes::copy_from_slice(key.as_str().as_bytes()), entry.encode());
        self.put_place(entry, FolderId::FLAT, key.as_str());
    }

    /// Takes it out. Its place remains to be forgotten.
    pub(super) fn delete_flat(&mut self, drives: &Drives, key: &ObjectKey) {
        self.delete(drives.inner.tables.flat, Bytes::copy_from_slice(key.as_str().as_bytes()));
    }
}
