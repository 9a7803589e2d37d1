//! Who a token belongs to, remembered for a moment: a page of many requests
//! asks the store once.

use crate::{User, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a sign-out elsewhere may go unnoticed.
pub(super) const FRESH: Duration = Duration::from_secs(2);
const MAX: usize = 20_000;

/// By the hash of the token.
#[derive(Default)]
pub(super) struct Cache {
    users: Mutex<HashMap<[u8; 32], (User, bool, Instant)>>,
}

impl Cache {
    /// The user, and whether they may write this way.
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<(User, bool)> {
        let users = self.users.lock();
        users.get(hash).filter(|(.., read)| read.elapsed() < FRESH).map(|(user, write, _)| (user.clone(), *write))
    }

    /// `read`: before the store was asked.
    pub(super) fn put(&self, hash: [u8; 32], user: &User, write: bool, read: Instant) {
        let mut users = self.users.lock();
        if users.len() >= MAX {
            users.retain(|_, (.., read)| read.elapsed() < FRESH);
            if users.len() >= MAX {
                users.clear();
            }
        }
        users.insert(hash, (user.clone(), write, read));
    }

    pub(super) fn forget(&self, hash: &[u8; 32]) {
        self.users.lock().remove(hash);
    }

    pub(super) fn forget_user(&self, id: UserId) {
        self.users.lock().retain(|_, (user, ..)| user.id != id);
    }
}
