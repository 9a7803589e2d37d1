//! Remembers the first failure of a write or sync, after which nothing more is taken.

use crate::StorageError;
use parking_lot::Mutex;

/// Set once, never cleared: what is on disk after a failed write or sync is not known,
/// and only opening it again finds out.
#[derive(Debug, Default)]
pub(crate) struct Poison(Mutex<Option<String>>);

impl Poison {
    /// An error when an earlier write or sync failed.
    pub fn check(&self) -> Result<(), StorageError> {
        match &*self.0.lock() {
            Some(why) => Err(StorageError::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    /// Passes `result` on; a failure is remembered.
    pub fn watch<T, E: Into<StorageError>>(&self, what: &str, result: Result<T, E>) -> Result<T, StorageError> {
        result.map_err(|error| {
            let error = error.into();
            // First of all: telling may take long, and nobody is to be told meanwhile that all is well.
            self.0.lock().get_or_insert_with(|| format!("{what}: {error}"));
            tracing::error!(%error, "{what} failed: storage takes nothing more");
            error
        })
    }

    /// A new start.
    pub fn clear(&self) {
        *self.0.lock() = None;
    }
}
