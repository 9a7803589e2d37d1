//! What a secret opens, remembered for a moment: a page of many requests asks the store once.
//!
//! Sessions and app passwords have a cache each, of different types: whatever somebody shows as the one is never
//! looked up among the other.

use crate::UserId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a sign-out elsewhere may go unnoticed.
pub(super) const FRESH: Duration = Duration::from_secs(2);
const MAX: usize = 20_000;

/// By the hash of what was shown.
pub(super) struct Cache<T> {
    held: Mutex<HashMap<[u8; 32], Held<T>>>,
}

struct Held<T> {
    user: UserId,
    opens: T,
    read: Instant,
}

impl<T> Default for Cache<T> {
    fn default() -> Cache<T> {
        Cache { held: Mutex::default() }
    }
}

impl<T: Clone> Cache<T> {
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<T> {
        let held = self.held.lock();
        held.get(hash).filter(|held| held.read.elapsed() < FRESH).map(|held| held.opens.clone())
    }

    /// `read`: before the store was asked.
    pub(super) fn put(&self, hash: [u8; 32], user: UserId, opens: &T, read: Instant) {
        let mut held = self.held.lock();
        if held.len() >= MAX {
            held.retain(|_, held| held.read.elapsed() < FRESH);
            if held.len() >= MAX {
                held.clear();
            }
        }
        held.insert(hash, Held { user, opens: opens.clone(), read });
    }

    pub(super) fn forget(&self, hash: &[u8; 32]) {
        self.held.lock().remove(hash);
    }

    pub(super) fn forget_user(&self, id: UserId) {
        self.held.lock().retain(|_, held| held.user != id);
    }
}
