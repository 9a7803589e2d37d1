//! What was measured: a histogram of latencies for each kind of request, and what went wrong.

use super::work::Miss;
use crate::failure::{Failure, Outcome};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Longest latency that is told apart, in microseconds: ten minutes.
const LATENCY_MAX: u64 = 600_000_000;
/// Errors whose text is kept.
const SAMPLES_MAX: usize = 3;

/// What was measured of one kind of request.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its requests achieve something: they are what a run has done.
    pub counts: bool,
    /// Microseconds.
    pub latency: Histogram<u64>,
    /// Bytes of content that requests moved.
    pub bytes: u64,
    /// Surely without effect.
    pub failed: u64,
    /// Perhaps applied.
    pub unknown: u64,
    /// What the first errors said.
    pub samples: Vec<String>,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// By kind, as the work names them.
    pub kinds: Vec<Kind>,
    /// How long was measured.
    pub took: Duration,
    /// Longest time in which a client had no success, for each client.
    pub stalls: Vec<Duration>,
    /// Clients whose last request came to nothing.
    pub stuck: usize,
    /// Requests that were due in time, and could not be sent before it was over: nobody was free.
    pub behind: u64,
}

impl Kind {
    /// Nothing yet.
    pub fn new(name: &'static str, counts: bool) -> Outcome<Kind> {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX, 3)
            .map_err(|error| Failure::failed(format!("no room to measure: {error}")))?;
        Ok(Kind { name, counts, latency, bytes: 0, failed: 0, unknown: 0, samples: Vec::new() })
    }

    /// One request, and how long it took.
    pub fn record(&mut self, took: Duration, result: Result<u64, Miss>) {
        let text = match result {
            Ok(bytes) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.latency.saturating_record(micros.clamp(1, LATENCY_MAX));
                self.bytes += bytes;
                return;
            }
            Err(Miss::Failed(text)) => {
                self.failed += 1;
                text
            }
            Err(Miss::Unknown(text)) => {
                self.unknown += 1;
                text
            }
        };
        if self.samples.len() < SAMPLES_MAX && !self.samples.contains(&text) {
            self.samples.push(text);
        }
    }

    /// Takes in what another client measured.
    pub fn add(&mut self, other: &Kind) -> Outcome {
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.unknown += other.unknown;
        for text in &other.samples {
            if self.samples.len() < SAMPLES_MAX && !self.samples.contains(text) {
                self.samples.push(text.clone());
            }
        }
        self.latency.add(&other.latency).map_err(|error| Failure::failed(format!("cannot add up: {error}")))
    }

    /// Milliseconds that this part of the requests took at most.
    pub fn millis(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The same as a client would have seen it that sends at a steady pace: in a closed loop a slow request keeps
    /// others from being sent, and so from being counted as slow (*coordinated omission*). Those are put in, at the
    /// distance of the median.
    pub fn corrected(&self) -> Kind {
        let steady = self.latency.value_at_quantile(0.5);
        Kind { latency: self.latency.clone_correct(steady), ..self.clone() }
    }

    /// Nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.latency.is_empty() && self.failed + self.unknown == 0
    }
}

impl Measured {
    /// Requests that achieved something.
    pub fn done(&self) -> u64 {
        self.kinds.iter().filter(|kind| kind.counts).map(|kind| kind.latency.len()).sum()
    }

    /// Requests that did not end as they should.
    pub fn missed(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.failed + kind.unknown).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_for_all_that_would_have_been_sent_meanwhile() {
        let mut kind = Kind::new("put", true).expect("histogram");
        for _ in 0..990 {
            kind.record(Duration::from_millis(1), Ok(0));
        }
        kind.record(Duration::from_secs(1), Ok(0));
        assert!(kind.millis(0.99) < 1.1, "{}", kind.millis(0.99));
        let corrected = kind.corrected();
        // 1000 requests more, of 1 to 999 ms: nearly half of all were slow.
        assert!((1980..=2000).contains(&corrected.latency.len()), "{}", corrected.latency.len());
        assert!(corrected.millis(0.75) > 400.0, "{}", corrected.millis(0.75));
    }
}
