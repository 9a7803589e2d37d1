//! How much, and for how long, the gateway bears of those whom it does not know.

use std::time::Duration;

/// See each; the defaults are for everybody, and tests are less patient.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// Requests under way of one network: as many people as there are behind one address, and no flood.
    pub requests_of_network: usize,
    /// How long a request may take to come that is no file.
    pub body_within: Duration,
    /// Between two pieces of a file that comes, or of an answer that goes: who is silent for longer has gone.
    pub silence: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 4096,
            requests_of_network: 512,
            body_within: Duration::from_secs(60),
            silence: Duration::from_secs(120),
        }
    }
}
