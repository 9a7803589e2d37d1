//! The rows of keys that cannot be in the tree.

use super::ObjectKey;
use crate::FolderId;
use crate::drive::Drives;
use crate::drive::Entry;
use crate::drive::change::Change;
use bytes::Bytes;

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
