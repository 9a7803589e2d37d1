//! Connections by address, made when needed.
//!
//! One connection per address; a second caller joins the attempt of the first.
//! After a failed attempt the next one is made at once, then after 50 ms,
//! doubling to 500 ms; what is asked meanwhile fails at once with
//! [`RpcError::NotSent`]. A connection that had worked for a while is replaced at
//! once; one that broke soon counts as a failed attempt.
//!
//! Notifications to one address keep their order within one connection. When
//! that breaks, those queued or under way are lost without a word, and later
//! ones go over the next connection: protocols on top number and repeat theirs.

use crate::client::{Connection, Phase};
use crate::config::ClientConfig;
use crate::error::RpcError;
use crate::frame::Body;
use crate::peer::Peer;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// Connections by address; clones share them.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    places: Mutex<HashMap<String, Place>>,
}

struct Place {
    connection: Connection,
    /// Attempts in a row that came to nothing much, before this one.
    failures: u32,
}

/// How long after the n-th failure in a row nothing is tried.
fn backoff(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => BACKOFF_MAX.min(BACKOFF_MIN * 2u32.saturating_pow(n.min(20) - 2)),
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(config: ClientConfig) -> Pool {
        Pool { inner: Arc::new(Inner { config, places: Mutex::new(HashMap::new()) }) }
    }

    /// What it was made with. [`crate::Identity::set`] on its credentials takes
    /// effect on connections made from then on; [`Pool::clear`] ends the others.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// Calls a method at `host:port`; see [`Connection::call`].
    pub async fn call(
        &self,
        address: &str,
        method: u16,
        body: impl Into<Body>,
        timeout: Duration,
    ) -> Result<Bytes, RpcError> {
        self.connection(address)?.call(method, body, timeout).await
    }

    /// Sends a one-way message to `host:port`, at once or not at all; see
    /// [`Connection::notify`]. Needs a runtime, as it may begin to connect.
    pub fn notify(&self, address: &str, method: u16, body: impl Into<Body>) -> Result<(), RpcError> {
        self.connection(address)?.notify(method, body)
    }

    /// Who is at that address, connecting if need be.
    pub async fn peer(&self, address: &str) -> Result<Peer, RpcError> {
        self.connection(address)?.ready().await
    }

    /// The connection to that address: the present one, or a new one that is
    /// being made. Fails while nothing is to be tried.
    pub fn connection(&self, address: &str) -> Result<Connection, RpcError> {
        let Inner { config, places } = &*self.inner;
        let mut places = places.lock();
        if let Some(place) = places.get_mut(address) {
            // Nearly always; to look at the reason would copy it.
            if !place.connection.is_closed() {
                return Ok(place.connection.clone());
            }
            let Phase::Closed { why, at, lived } = place.connection.phase() else {
                return Ok(place.connection.clone());
            };
            let steady = lived.is_some_and(|lived| lived >= BACKOFF_MAX);
            let failures = if steady { 0 } else { place.failures.saturating_add(1) };
            if at + backoff(failures) > Instant::now() {
                return Err(match why {
                    RpcError::Handshake(_) | RpcError::NotSent(_) => why,
                    other => RpcError::NotSent(other.to_string()),
                });
            }
            *place = Place { connection: Connection::open(address, config), failures };
            return Ok(place.connection.clone());
        }
        if places.len() >= config.addresses_max {
            places.retain(|_, place| !place.connection.is_closed());
            if places.len() >= config.addresses_max {
                return Err(RpcError::NotSent(format!("connected to {} addresses already", places.len())));
            }
        }
        let connection = Connection::open(address, config);
        places.insert(address.to_string(), Place { connection: connection.clone(), failures: 0 });
        Ok(connection)
    }

    /// Forgets the addresses that are not wanted: what is queued for them is
    /// still written, then their connections close.
    pub fn retain(&self, mut wanted: impl FnMut(&str) -> bool) {
        self.inner.places.lock().retain(|address, _| wanted(address));
    }

    /// Forgets all addresses, likewise.
    pub fn clear(&self) {
        self.retain(|_| false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_at_once_and_the_pause_is_bounded() {
        let pauses: Vec<u128> = (0..9).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 50, 100, 200, 400, 500, 500, 500]);
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }
}
