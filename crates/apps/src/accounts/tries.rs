//! Limits on tries, so that guessing is slow and nobody can lock out anybody else.
//!
//! A try to sign in is counted twice: for its name *and* network, and for its network alone. Neither counts what
//! is tried elsewhere, so a stranger cannot lock anybody out but who shares their address; and a device that has
//! signed in before is counted by itself, so not even then. Tries are counted before the password is looked
//! at, so that many at once gain nothing. Every count expires with its window.

use super::sessions::Known;
use super::{AccountError, Accounts, Device};
use crate::UserId;
use bytes::Bytes;
use client::ClientError;
use std::net::IpAddr;
use std::time::Duration;
use types::{Refusal, Template, TemplatePart, Transaction, Update, WallMillis};

/// Tries for one name from one network in one window.
pub const TRIES_MAX: i64 = 10;
/// Tries from one network in one window, for all names.
pub const NETWORK_TRIES_MAX: i64 = 100;
/// Tries to sign up from one network in one window, where anybody may: a lecture hall behind one address gets in.
/// How many accounts there may be is [`super::Policy::users_max`].
pub const SIGN_UPS_MAX: i64 = 300;
/// Things of one kind that somebody makes in one window.
pub const MADE_MAX: i64 = 100;
/// How long a window is.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

/// A try that has been counted.
pub(super) struct Try {
    key: Bytes,
    window: u64,
    span: Duration,
    max: i64,
    /// It was the last of its window.
    pub last: bool,
}

/// A try to sign in, as it has been counted.
pub(super) struct SignInTry {
    own: Try,
    network: Option<Try>,
}

impl SignInTry {
    /// What is blocked from now on, if it was the last of a window.
    pub(super) fn last(&self, name: &str) -> Option<String> {
        match &self.network {
            _ if self.own.last => Some(format!("too many tries for {name}")),
            Some(network) if network.last => Some("too many tries from this network".into()),
            _ => None,
        }
    }
}

impl Accounts {
    /// Counts a try to sign in, or says how long to wait. `known`: whose known device it comes from.
    pub(super) async fn count_sign_in(
        &self,
        name: &str,
        device: &Device,
        known: Option<Known>,
    ) -> Result<SignInTry, AccountError> {
        if let Some(Known { hash, .. }) = known {
            let own = Try::of(&[b"device", &hash], TRIES_MAX, self.inner.store.now());
            return Ok(SignInTry { own: self.count(own).await?, network: None });
        }
        // The name first: what is refused for it is none of the network's tries, or a single name would do to lock
        // out everybody there.
        let own = self.count_try(name, device.address).await?;
        let Some(address) = device.address else { return Ok(SignInTry { own, network: None }) };
        let network = network(Some(address));
        let counted = Try::of(&[b"network", network.as_bytes()], NETWORK_TRIES_MAX, self.inner.store.now());
        match self.count(counted).await {
            Ok(network) => Ok(SignInTry { own, network: Some(network) }),
            Err(error) => {
                self.take_back(own).await;
                Err(error)
            }
        }
    }

    /// It was right: what was counted for the name is forgotten, and the try taken back from the network's count.
    pub(super) async fn forget_sign_in(&self, counted: SignInTry) {
        self.forget_tries(counted.own).await;
        if let Some(network) = counted.network {
            self.take_back(network).await;
        }
    }

    /// Counts a try for a name or purpose from an address.
    pub(super) async fn count_try(&self, name: &str, address: Option<IpAddr>) -> Result<Try, AccountError> {
        let network = network(address);
        let name = &name.as_bytes()[..name.len().min(256)];
        self.count(Try::of(&[b"name", name, network.as_bytes()], TRIES_MAX, self.inner.store.now())).await
    }

    /// Counts a try to sign up without an invitation: accounts are not made in masses, nor names listed, from one place.
    pub(super) async fn count_sign_up(&self, address: Option<IpAddr>) -> Result<Try, AccountError> {
        let network = network(address);
        self.count(Try::of(&[b"sign-up", network.as_bytes()], SIGN_UPS_MAX, self.inner.store.now())).await
    }

    /// Counts a code typed by who has the password: a code is short, so that all devices share a count; but for each
    /// that is known to have shown one, or else whoever has the password alone would lock its owner out everywhere.
    pub(super) async fn count_code(&self, user: UserId, known: Option<Known>) -> Result<Try, AccountError> {
        match known {
            Some(Known { hash, .. }) => self.count_own_try("code", &hash).await,
            None => self.count_own_try("code", &user.0).await,
        }
    }

    /// Counts what someone tries who has proved something already, so that nobody else's tries are in it.
    /// `whose`: a user's id, or the hash of a link.
    pub(super) async fn count_own_try(&self, what: &str, whose: &[u8]) -> Result<Try, AccountError> {
        self.count(Try::of(&[b"own", what.as_bytes(), whose], TRIES_MAX, self.inner.store.now())).await
    }

    /// Counts what someone makes who is signed in, where each has a line in the log.
    pub(super) async fn count_made(&self, what: &str, user: UserId) -> Result<(), AccountError> {
        let counted = Try::of(&[b"made", what.as_bytes(), &user.0], MADE_MAX, self.inner.store.now());
        self.count(counted).await.map(drop)
    }

    pub(super) async fn count(&self, counted: Try) -> Result<Try, AccountError> {
        let store = &*self.inner.store;
        match store.transact(counted.add(self, 1)).await {
            Ok(result) => Ok(Try { last: result.counters.first() == Some(&counted.max), ..counted }),
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

    pub(super) async fn take_back(&self, counted: Try) {
        if let Err(error) = self.inner.store.transact(counted.add(self, -1)).await {
            tracing::debug!(%error, "a counted try was not taken back");
        }
    }
}

impl Try {
    fn of(parts: &[&[u8]], max: i64, now: WallMillis) -> Try {
        Try::within(parts, max, WINDOW, now)
    }

    /// What somebody on a network does, in windows of that length.
    pub(super) fn from_network(what: &str, address: Option<IpAddr>, max: i64, span: Duration, now: WallMillis) -> Try {
        Try::within(&[what.as_bytes(), network(address).as_bytes()], max, span, now)
    }

    /// Counted in windows of that length.
    pub(super) fn within(parts: &[&[u8]], max: i64, span: Duration, now: WallMillis) -> Try {
        let mut hash = blake3::Hasher::new();
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let key = Bytes::copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Try { key, window: now.0 / span.as_millis() as u64, span, max, last: false }
    }

    /// The count, and the same item again as the counter has left it, so that it expires.
    fn add(&self, accounts: &Accounts, delta: i64) -> Transaction {
        let table = accounts.inner.tables.tries;
        let sort_key = self.sort_key();
        let add = Update::Add { table, sort_key: sort_key.clone(), delta, min: 0, max: self.max };
        let keep = Update::Put {
            table,
            sort_key: Template::Fixed(sort_key),
            value: Template::Parts(vec![TemplatePart::Counter(0)]),
            expires: Some(self.ends()),
        };
        Transaction {
            operation: accounts.inner.store.operation(&self.key),
            partition_key: self.key.clone(),
            conditions: Vec::new(),
            updates: vec![add, keep],
        }
    }

    fn sort_key(&self) -> Bytes {
        Bytes::copy_from_slice(&self.window.to_be_bytes())
    }

    fn ends(&self) -> WallMillis {
        WallMillis((self.window + 1) * self.span.as_millis() as u64)
    }
}

/// Who has one address of a /64 usually has all of them.
fn network(address: Option<IpAddr>) -> String {
    address.map_or_else(String::new, |address| match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_told_apart_by_network() {
        let of = |address: &str| network(address.parse().ok());
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        let key = |parts: &[&[u8]]| Try::of(parts, 1, WallMillis(0)).key;
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
    }
}
