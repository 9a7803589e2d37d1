//! The gateways that are known, and the connection to each.
//!
//! Connections are made by hand rather than lazily by the transport, so that a
//! failure to connect is told apart from a call that was lost on its way.

use super::{Options, RemoteError};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};

/// Gateways remembered at most: clusters are smaller.
const GATEWAYS_MAX: usize = 256;

/// All gateways that are known; the given ones first, then those heard of.
pub(super) struct Gateways {
    known: RwLock<Vec<Arc<Gateway>>>,
    /// Index of the one that answered last.
    preferred: AtomicUsize,
    options: Options,
}

/// One gateway.
pub(super) struct Gateway {
    address: String,
    endpoint: Endpoint,
    slot: Mutex<Slot>,
    avoid: Duration,
    /// Kept beside the slot, which is locked while a connection is being made.
    failed: parking_lot::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Slot {
    channel: Option<Channel>,
    generation: u64,
}

/// A connection, and which one it is.
pub(super) struct Link {
    pub channel: Channel,
    generation: u64,
}

impl Gateways {
    /// The addresses must be readable; whether somebody answers there is seen later.
    pub(super) fn new(addresses: &[String], options: Options) -> Result<Gateways, RemoteError> {
        if addresses.is_empty() {
            return Err(RemoteError::Invalid("no gateway's address was given".into()));
        }
        let known = addresses.iter().take(GATEWAYS_MAX).map(|address| Gateway::new(address, options));
        let known = known.collect::<Result<Vec<_>, _>>()?;
        Ok(Gateways { known: RwLock::new(known), preferred: AtomicUsize::new(0), options })
    }

    /// The one that answered last.
    pub(super) fn preferred(&self) -> Arc<Gateway> {
        self.at(0)
    }

    /// The `n`-th to try, counted from the preferred one.
    pub(super) fn at(&self, n: usize) -> Arc<Gateway> {
        let known = self.known.read();
        let index = self.preferred.load(Ordering::Relaxed).wrapping_add(n) % known.len();
        known[index].clone()
    }

    /// How many there are to try.
    pub(super) fn count(&self) -> usize {
        self.known.read().len()
    }

    /// Calls go to this one from now on.
    pub(super) fn prefer(&self, gateway: &Arc<Gateway>) {
        if let Some(index) = self.known.read().iter().position(|known| Arc::ptr_eq(known, gateway)) {
            self.preferred.store(index, Ordering::Relaxed);
        }
    }

    /// Somebody said that there are gateways here. Unreadable addresses are passed over.
    pub(super) fn heard_of(&self, addresses: impl IntoIterator<Item = String>) {
        for address in addresses {
            self.named(&address);
        }
    }

    /// The gateway with that address; none when it cannot be read or there are too many.
    pub(super) fn named(&self, address: &str) -> Option<Arc<Gateway>> {
        let find = |known: &[Arc<Gateway>]| known.iter().find(|gateway| gateway.address == bare(address)).cloned();
        if let Some(gateway) = find(&self.known.read()) {
            return Some(gateway);
        }
        let made = Gateway::new(address, self.options).ok()?;
        let mut known = self.known.write();
        if let Some(gateway) = find(&known) {
            return Some(gateway);
        }
        if known.len() >= GATEWAYS_MAX {
            return None;
        }
        known.push(made.clone());
        Some(made)
    }
}

/// Without `http://`, as nodes announce themselves.
fn bare(address: &str) -> &str {
    address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/')
}

impl Gateway {
    fn new(address: &str, options: Options) -> Result<Arc<Gateway>, RemoteError> {
        let invalid = |why: &str| RemoteError::Invalid(format!("{address:?} is not the address of a gateway: {why}"));
        if address.starts_with("https://") {
            return Err(invalid("TLS is not offered here yet"));
        }
        let bare = bare(address);
        if !bare.contains(':') {
            return Err(invalid("it has no port; an address looks like host:7070"));
        }
        let endpoint = Endpoint::from_shared(format!("http://{bare}"))
            .map_err(|error| invalid(&error.to_string()))?
            .connect_timeout(options.connect)
            .tcp_nodelay(true)
            // A machine that has stopped without closing its connections is
            // noticed by this, not by the time-out of each call.
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(3))
            .initial_stream_window_size(2 * 1024 * 1024)
            .initial_connection_window_size(16 * 1024 * 1024)
            .user_agent(concat!("atoll/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| invalid(&error.to_string()))?;
        Ok(Arc::new(Gateway {
            address: bare.to_string(),
            endpoint,
            slot: Mutex::default(),
            avoid: options.avoid,
            failed: parking_lot::Mutex::new(None),
        }))
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// It failed a moment ago: others first.
    pub(super) fn is_avoided(&self) -> bool {
        self.failed.lock().is_some_and(|at| at.elapsed() < self.avoid)
    }

    /// The connection, made if need be. Callers who come while it is being made wait for it.
    pub(super) async fn link(&self) -> Result<Link, String> {
        let mut slot = self.slot.lock().await;
        if let Some(channel) = &slot.channel {
            return Ok(Link { channel: channel.clone(), generation: slot.generation });
        }
        match self.endpoint.connect().await {
            Ok(channel) => {
                slot.generation += 1;
                slot.channel = Some(channel.clone());
                *self.failed.lock() = None;
                Ok(Link { channel, generation: slot.generation })
            }
            Err(error) => {
                *self.failed.lock() = Some(Instant::now());
                Err(innermost(&error))
            }
        }
    }

    /// That connection does not work: the next call makes another.
    pub(super) async fn broken(&self, link: &Link) {
        *self.failed.lock() = Some(Instant::now());
        let mut slot = self.slot.lock().await;
        if slot.generation == link.generation {
            slot.channel = None;
        }
    }

    /// An answer came from it.
    pub(super) fn answered(&self) {
        *self.failed.lock() = None;
    }
}

/// What an error is about in the end: "connection refused", not "transport error".
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn gateways(addresses: &[&str]) -> Result<Gateways, RemoteError> {
        Gateways::new(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), Options::default())
    }

    #[tokio::test]
    async fn addresses_are_read_with_and_without_a_scheme() {
        let known = gateways(&["a:7070", "http://b:7071/"]).unwrap();
        assert_eq!((known.at(0).address(), known.at(1).address()), ("a:7070", "b:7071"));
        for wrong in ["", "a", "https://a:7070", "a b:7070"] {
            assert!(matches!(gateways(&[wrong]), Err(RemoteError::Invalid(_))), "{wrong:?}");
        }
        assert!(matches!(gateways(&[]), Err(RemoteError::Invalid(_))));
    }

    #[tokio::test]
    async fn those_heard_of_are_tried_after_those_given() {
        let known = gateways(&["a:1", "b:2"]).unwrap();
        known.heard_of(["b:2".to_string(), "c:3".to_string(), "nonsense".to_string()]);
        assert_eq!(known.count(), 3);
        known.prefer(&known.at(2));
        let order: Vec<_> = (0..3).map(|n| known.at(n).address().to_string()).collect();
        assert_eq!(order, ["c:3", "a:1", "b:2"]);
    }

    #[tokio::test]
    async fn there_is_an_end_to_those_heard_of() {
        let known = gateways(&["a:1"]).unwrap();
        known.heard_of((1..2000).map(|port| format!("b:{port}")));
        assert_eq!(known.count(), GATEWAYS_MAX);
    }
}
