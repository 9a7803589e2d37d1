//! Which nodes failed just now: a small circuit breaker per address.
//!
//! A node that failed is asked last for a while, longer each time in a row;
//! then a single request tries it before the others do.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The pause doubles this often.
const DOUBLINGS_MAX: u32 = 3;

struct Trouble {
    until: Instant,
    in_a_row: u32,
}

/// Health of nodes, by address.
pub(crate) struct Health {
    avoid: Duration,
    troubles: Mutex<HashMap<String, Trouble>>,
}

impl Health {
    pub(crate) fn new(avoid: Duration) -> Health {
        Health { avoid, troubles: Mutex::new(HashMap::new()) }
    }

    /// True while others are to be asked first.
    pub(crate) fn avoided(&self, address: &str) -> bool {
        self.avoided_at(address, Instant::now())
    }

    /// An attempt begins. If the node had failed before, others wait for its outcome.
    pub(crate) fn begin(&self, address: &str) {
        self.begin_at(address, Instant::now());
    }

    /// The node answered.
    pub(crate) fn good(&self, address: &str) {
        self.troubles.lock().remove(address);
    }

    /// The node failed.
    pub(crate) fn bad(&self, address: &str) {
        self.bad_at(address, Instant::now());
    }

    fn avoided_at(&self, address: &str, now: Instant) -> bool {
        self.troubles.lock().get(address).is_some_and(|trouble| trouble.until > now)
    }

    fn begin_at(&self, address: &str, now: Instant) {
        if let Some(trouble) = self.troubles.lock().get_mut(address) {
            trouble.until = trouble.until.max(now + self.avoid);
        }
    }

    fn bad_at(&self, address: &str, now: Instant) {
        let mut troubles = self.troubles.lock();
        let trouble = troubles.entry(address.to_string()).or_insert(Trouble { until: now, in_a_row: 0 });
        trouble.until = now + self.avoid * 2u32.pow(trouble.in_a_row.min(DOUBLINGS_MAX));
        trouble.in_a_row = trouble.in_a_row.saturating_add(1);
    }

    /// Forgets addresses that are no longer of use.
    pub(crate) fn retain(&self, mut wanted: impl FnMut(&str) -> bool) {
        self.troubles.lock().retain(|address, _| wanted(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_node_is_avoided_then_tried_once_at_a_time() {
        let health = Health::new(Duration::from_secs(1));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!health.avoided_at("a", at(0)));
        health.bad_at("a", at(0));
        assert!(health.avoided_at("a", at(999)) && !health.avoided_at("b", at(0)));
        assert!(!health.avoided_at("a", at(1001)));
        health.begin_at("a", at(1001));
        assert!(health.avoided_at("a", at(1002)), "one probe is enough");
        health.bad_at("a", at(1500));
        assert!(health.avoided_at("a", at(3400)), "the second time lasts longer");
        assert!(!health.avoided_at("a", at(3501)));
        health.good("a");
        health.begin_at("a", at(1600));
        assert!(!health.avoided_at("a", at(1601)));
    }
}
