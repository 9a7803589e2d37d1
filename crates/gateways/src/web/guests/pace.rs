//! How fast guests of one network may ask, on this gateway: many pages in a minute, and no flood.

use crate::network::Network;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Requests of one network in a window; small pictures, of which a page shows hundreds; and what is handed in, many small files
/// and parts of large ones.
pub(super) const REQUESTS_MAX: u32 = 600;
pub(super) const PICTURES_MAX: u32 = 6000;
pub(super) const SENDING_MAX: u32 = 6000;
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Networks that are told apart in a window; the others share one count.
const NETWORKS_MAX: usize = 50_000;

pub(super) struct Pace {
    max: u32,
    window: Mutex<Option<Window>>,
}

struct Window {
    began: Instant,
    counts: HashMap<Option<Network>, u32>,
}

impl Pace {
    /// So many in a window.
    pub fn of(max: u32) -> Pace {
        Pace { max, window: Mutex::default() }
    }

    /// One request more: is it within the bound?
    pub fn allows(&self, address: Option<IpAddr>) -> bool {
        self.allows_at(address, Instant::now())
    }

    fn allows_at(&self, address: Option<IpAddr>, now: Instant) -> bool {
        let mut held = self.window.lock();
        let fresh = || Window { began: now, counts: HashMap::new() };
        let window = held.get_or_insert_with(fresh);
        if now.saturating_duration_since(window.began) >= WINDOW {
            *window = fresh();
        }
        let mut network = address.map(Network::of);
        if window.counts.len() >= NETWORKS_MAX && !window.counts.contains_key(&network) {
            network = None;
        }
        let count = window.counts.entry(network).or_default();
        *count = count.saturating_add(1);
        *count <= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_one_network_stops_nobody_else() {
        let (pace, now) = (Pace::of(REQUESTS_MAX), Instant::now());
        let at = |address: &str, now| pace.allows_at(address.parse().ok(), now);
        assert!((0..REQUESTS_MAX).all(|_| at("2001:db8::1", now)));
        assert!(!at("2001:db8::2", now));
        assert!(at("2001:db8:0:1::1", now) && at("10.0.0.1", now));
        assert!(at("2001:db8::1", now + WINDOW));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (pace, now) = (Pace::of(REQUESTS_MAX), Instant::now());
        for n in 0..2 * NETWORKS_MAX as u32 {
            pace.allows_at(Some(IpAddr::from(n.to_be_bytes())), now);
        }
        let held = pace.window.lock();
        assert!(held.as_ref().unwrap().counts.len() <= NETWORKS_MAX + 1);
    }
}
