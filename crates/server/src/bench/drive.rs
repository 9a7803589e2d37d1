//! The loops that send requests.
//!
//! *Closed*: each client sends the next request when the last has ended. *Open*: requests are due at a steady rate,
//! whoever is free sends the next one, and latency counts from when it was due, however late it was sent.

use super::measure::{Kind, Measured};
use super::work::{Request, Work};
use crate::failure::{Failure, Outcome};
use clap::Args;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A target that refuses at once must not be drowned in questions.
const AFTER_A_MISS: Duration = Duration::from_millis(5);

/// How much is sent, and for how long.
#[derive(Args, Debug, Clone)]
pub struct Pace {
    /// Clients, each with one request under way
    #[arg(long, short, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub clients: u16,
    /// Requests a second, sent whether the ones before have ended or not, as far as clients are free; latency counts from when a
    /// request was due [default: each client sends the next when the last has ended]
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// How long to measure
    #[arg(long, short, value_name = "TIME", default_value = "10s", value_parser = crate::span::parse)]
    pub duration: Duration,
    /// Load before that, not measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::span::parse)]
    pub warm_up: Duration,
}

/// When requests are due.
struct Schedule {
    /// Between two of them; none in a closed loop.
    every: Option<Duration>,
    start: Instant,
    begin: Instant,
    end: Instant,
    sent: AtomicU64,
}

impl Schedule {
    /// When the next request is due; none when time is over.
    fn next(&self) -> Option<Instant> {
        let due = match self.every {
            None => Instant::now(),
            Some(every) => {
                let nth = self.sent.fetch_add(1, Ordering::Relaxed);
                self.start + Duration::from_nanos((every.as_nanos() as u64).saturating_mul(nth))
            }
        };
        (due < self.end).then_some(due)
    }
}

/// Puts there what is needed, warms up, measures. `at_begin` runs when measuring begins, `at_end` when it ends.
pub async fn drive<B>(
    work: Arc<dyn Work>,
    pace: &Pace,
    at_begin: impl FnOnce() -> B,
    at_end: impl FnOnce(B) -> Outcome,
) -> Outcome<Measured> {
    if pace.duration.is_zero() {
        return Err(Failure::usage("--duration 0 measures nothing"));
    }
    work.prepare().await.map_err(|miss| Failure::failed(format!("cannot fill in what is needed: {}", miss.text())))?;
    let start = Instant::now();
    let begin = start + pace.warm_up;
    let every = pace.rate.map(|rate| Duration::from_nanos(1_000_000_000 / u64::from(rate)));
    let schedule = Arc::new(Schedule { every, start, begin, end: begin + pace.duration, sent: AtomicU64::new(0) });
    let clients = (0..usize::from(pace.clients))
        .map(|n| tokio::spawn(client(work.clone(), n, schedule.clone())))
        .collect::<Vec<_>>();
    tokio::time::sleep_until(begin).await;
    let begun = at_begin();
    tokio::time::sleep_until(schedule.end).await;
    at_end(begun)?;
    let kinds = work.kinds().iter().map(|name| Kind::new(name)).collect::<Outcome<Vec<_>>>()?;
    let mut measured = Measured { kinds, took: pace.duration, stalls: Vec::new() };
    for client in clients {
        let (kinds, stall) = client.await.map_err(|error| Failure::failed(format!("a client failed: {error}")))??;
        for (all, one) in measured.kinds.iter_mut().zip(&kinds) {
            all.add(one)?;
        }
        measured.stalls.push(stall);
    }
    measured.stalls.sort_unstable();
    Ok(measured)
}

async fn client(work: Arc<dyn Work>, nth: usize, schedule: Arc<Schedule>) -> Outcome<(Vec<Kind>, Duration)> {
    let mut kinds = work.kinds().iter().map(|name| Kind::new(name)).collect::<Outcome<Vec<_>>>()?;
    let mut random = SmallRng::from_os_rng();
    let mut stall = Duration::ZERO;
    // Since when this client has been without an answer that it can use.
    let mut since = None;
    while let Some(due) = schedule.next() {
        tokio::time::sleep_until(due).await;
        let waiting: Instant = *since.get_or_insert(due);
        let Request { kind, result } = work.request(nth, &mut random).await;
        let ended = Instant::now();
        let missed = result.is_err();
        // By its end: what ends in the measured time is what that time has achieved.
        if ended >= schedule.begin && ended < schedule.end {
            stall = stall.max(ended - waiting.max(schedule.begin).min(ended));
            kinds[kind].record(ended - due, result);
        }
        match missed {
            false => since = None,
            true => tokio::time::sleep(AFTER_A_MISS).await,
        }
    }
    Ok((kinds, stall))
}
