//! A limit on tries to sign in, per name and address: a stranger cannot lock out
//! anybody but who shares their address, and a try is counted before the
//! password is looked at, so that many at once gain nothing.

use super::{AccountError, Accounts};
use bytes::Bytes;
use client::ClientError;
use std::net::IpAddr;
use std::time::Duration;
use types::{Refusal, Template, TemplatePart, Transaction, Update, WallMillis};

/// Tries in one window.
pub const TRIES_MAX: i64 = 10;
/// How long a window is.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

/// A try that has been counted.
pub(super) struct Try {
    key: Bytes,
    window: u64,
}

impl Accounts {
    /// Counts a try, or says how long to wait.
    pub(super) async fn count_try(&self, name: &str, address: Option<IpAddr>) -> Result<Try, AccountError> {
        let counted = Try::new(name, address, self.inner.store.now());
        let store = &*self.inner.store;
        let table = self.inner.tables.tries;
        let sort_key = counted.sort_key();
        let add = Update::Add { table, sort_key: sort_key.clone(), delta: 1, min: 0, max: TRIES_MAX };
        // The same item again, as the counter has left it, so that it expires.
        let keep = Update::Put {
            table,
            sort_key: Template::Fixed(sort_key),
            value: Template::Parts(vec![TemplatePart::Counter(0)]),
            expires: Some(counted.ends()),
        };
        let transaction = Transaction {
            operation: store.operation(&counted.key),
            partition_key: counted.key.clone(),
            conditions: Vec::new(),
            updates: vec![add, keep],
        };
        match store.transact(transaction).await {
            Ok(_) => Ok(counted),
            Err(ClientError::Refused(Refusal::Bounds { .. })) => {
                let wait = counted.ends().0.saturating_sub(store.now().0);
                Err(AccountError::TooManyTries { wait: Duration::from_millis(wait) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The try was the right one: those before it are forgotten. If that fails, they expire.
    pub(super) async fn forget_tries(&self, counted: Try) {
        let store = &*self.inner.store;
        let transaction = Transaction {
            operation: store.operation(&counted.key),
            partition_key: counted.key.clone(),
            conditions: Vec::new(),
            updates: vec![Update::Delete { table: self.inner.tables.tries, sort_key: counted.sort_key() }],
        };
        if let Err(error) = store.transact(transaction).await {
            tracing::debug!(%error, "counted tries were not forgotten");
        }
    }
}

impl Try {
    fn new(name: &str, address: Option<IpAddr>, now: WallMillis) -> Try {
        let from = address.map_or_else(String::new, |address| match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            // Who has one address of a /64 usually has all of them.
            IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
        });
        let name = &name.as_bytes()[..name.len().min(256)];
        let mut hash = blake3::Hasher::new();
        hash.update(&(name.len() as u64).to_be_bytes()).update(name).update(from.as_bytes());
        let key = Bytes::copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Try { key, window: now.0 / WINDOW.as_millis() as u64 }
    }

    fn sort_key(&self) -> Bytes {
        Bytes::copy_from_slice(&self.window.to_be_bytes())
    }

    fn ends(&self) -> WallMillis {
        WallMillis((self.window + 1) * WINDOW.as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_told_apart_by_name_and_network() {
        let key = |name: &str, address: &str| Try::new(name, address.parse().ok(), WallMillis(0)).key;
        assert_eq!(key("ada", "10.0.0.1"), key("ada", "::ffff:10.0.0.1"));
        assert_ne!(key("ada", "10.0.0.1"), key("ada", "10.0.0.2"));
        assert_ne!(key("ada", "10.0.0.1"), key("bob", "10.0.0.1"));
        assert_eq!(key("ada", "2001:db8:1:2:3::4"), key("ada", "2001:db8:1:2:ffff::1"));
        assert_ne!(key("ada", "2001:db8:1:2::1"), key("ada", "2001:db8:1:3::1"));
    }
}
