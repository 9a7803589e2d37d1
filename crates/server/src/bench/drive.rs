//! The loops that send requests.
//!
//! *Closed*: each client sends the next request when the last has ended. *Open*: requests are due at a steady rate,
//! whoever is free sends the next one, and latency counts from when it was due, however late it was sent.

use super::measure::{Kind, Measured};
use super::work::{Request, Work};
use crate::failure::{Failure, Outcome};
use clap::Args;
use parking_lot::Mutex;
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
    #[arg(long, short, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=32_768))]
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
        let now = Instant::now();
        if now >= self.end {
            return None;
        }
        let due = match self.every {
            None => now,
            Some(every) => {
                let nth = self.sent.fetch_add(1, Ordering::Relaxed);
                self.start + Duration::from_nanos((every.as_nanos() as u64).saturating_mul(nth))
            }
        };
        (due < self.end).then_some(due)
    }

    /// Requests that were due before the end, and that nobody took.
    fn behind(&self) -> u64 {
        let Some(every) = self.every else { return 0 };
        let due = (self.end - self.start).as_nanos().div_ceil(every.as_nanos().max(1)) as u64;
        due.saturating_sub(self.sent.load(Ordering::Relaxed))
    }
}

/// What clients saw of each kind of request. A few share one: a histogram for each of thousands takes gigabytes.
type Shared = Arc<Mutex<Vec<Kind>>>;
/// So many there are at most.
const SHARED_MAX: usize = 64;

/// What a client saw by itself.
struct Seen {
    /// Longest time without a success.
    stall: Duration,
    /// Its last request came to nothing.
    stuck: bool,
}

fn kinds(work: &dyn Work) -> Outcome<Vec<Kind>> {
    let named = work.kinds().iter().enumerate();
    named.map(|(n, name)| Kind::new(name, work.in_vain() != Some(n))).collect()
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
    let number = usize::from(pace.clients);
    let shared = (0..number.min(SHARED_MAX))
        .map(|_| Ok(Shared::new(Mutex::new(kinds(&*work)?))))
        .collect::<Outcome<Vec<_>>>()?;
    let clients = (0..number)
        .map(|n| tokio::spawn(client(work.clone(), n, schedule.clone(), shared[n % shared.len()].clone())))
        .collect::<Vec<_>>();
    tokio::time::sleep_until(begin).await;
    let begun = at_begin();
    tokio::time::sleep_until(schedule.end).await;
    at_end(begun)?;
    let behind = schedule.behind();
    let mut measured = Measured { kinds: kinds(&*work)?, took: pace.duration, stalls: Vec::new(), stuck: 0, behind };
    for client in clients {
        let Seen { stall, stuck } =
            client.await.map_err(|error| Failure::failed(format!("a client failed: {error}")))?;
        measured.stalls.push(stall);
        measured.stuck += usize::from(stuck);
    }
    for kinds in shared {
        for (all, one) in measured.kinds.iter_mut().zip(&*kinds.lock()) {
            all.add(one)?;
        }
    }
    measured.stalls.sort_unstable();
    Ok(measured)
}

async fn client(work: Arc<dyn Work>, nth: usize, schedule: Arc<Schedule>, kinds: Shared) -> Seen {
    let mut seen = Seen { stall: Duration::ZERO, stuck: false };
    let mut random = SmallRng::from_os_rng();
    // Since when this client has been without an answer that it can use.
    let mut since = None;
    while let Some(due) = schedule.next() {
        tokio::time::sleep_until(due).await;
        let waiting: Instant = *since.get_or_insert(due);
        let Request { kind, result } = work.request(nth, &mut random).await;
        let ended = Instant::now();
        seen.stuck = result.is_err();
        let (from, to) = (waiting.max(schedule.begin), ended.min(schedule.end));
        seen.stall = seen.stall.max(to.saturating_duration_since(from));
        // By its end: what ends in the measured time is what that time has achieved. What comes to nothing is told
        // whenever it does.
        if ended >= schedule.begin && (ended < schedule.end || seen.stuck) {
            kinds.lock()[kind].record(ended - due, result);
        }
        match seen.stuck {
            false => since = None,
            true => tokio::time::sleep(AFTER_A_MISS).await,
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::super::work::Miss;
    use super::*;

    /// Takes so long for each request; from then on nothing succeeds.
    struct Slow {
        takes: Duration,
        dies_after: Option<Duration>,
        begun: Instant,
    }

    #[async_trait::async_trait]
    impl Work for Slow {
        fn kinds(&self) -> &'static [&'static str] {
            &["put"]
        }

        async fn prepare(&self) -> Result<(), Miss> {
            Ok(())
        }

        async fn request(&self, _: usize, _: &mut SmallRng) -> Request {
            tokio::time::sleep(self.takes).await;
            let dead = self.dies_after.is_some_and(|after| self.begun.elapsed() > after);
            let result = if dead { Err(Miss::Failed("dead".into())) } else { Ok(0) };
            Request { kind: 0, result }
        }
    }

    async fn run(takes: u64, dies_after: Option<u64>, rate: Option<u32>) -> Measured {
        let millis = Duration::from_millis;
        let slow = Slow { takes: millis(takes), dies_after: dies_after.map(millis), begun: Instant::now() };
        let pace = Pace { clients: 2, rate, duration: millis(10_000), warm_up: millis(1_000) };
        drive(Arc::new(slow), &pace, || (), |()| Ok(())).await.expect("it runs")
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_counts_from_when_a_request_was_due() {
        // 2 clients of 100 ms each carry 20 a second.
        let carried = run(100, None, Some(10)).await;
        assert!(carried.done().abs_diff(100) <= 2 && carried.behind == 0, "{carried:?}");
        assert!(carried.kinds[0].millis(0.99) < 110.0);
        let too_much = run(100, None, Some(40)).await;
        assert!(too_much.done().abs_diff(200) <= 2, "{}", too_much.done());
        assert!(too_much.kinds[0].millis(0.99) > 4_000.0, "they wait for each other");
        assert!(too_much.behind.abs_diff(220) <= 4, "{}", too_much.behind);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_back_is_a_stall_to_the_end() {
        let died = run(10, Some(4_000), None).await;
        assert_eq!(died.stuck, 2);
        assert!(died.stalls.iter().all(|stall| stall.as_millis().abs_diff(7_000) < 50), "{:?}", died.stalls);
        assert!(died.missed() > 100);
        let lives = run(10, None, None).await;
        assert_eq!((lives.stuck, lives.missed()), (0, 0));
        assert!(lives.stalls.iter().all(|stall| stall.as_millis() < 20), "{:?}", lives.stalls);
    }
}
