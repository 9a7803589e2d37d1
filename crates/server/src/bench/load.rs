//! The closed loop: each client sends the next request when the last has ended.

use super::{KvLoad, Miss, Mode, Target};
use crate::failure::{Failure, Outcome};
use futures::{StreamExt, stream};
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest latency that is told apart, in microseconds: ten minutes.
const LATENCY_MAX: u64 = 600_000_000;
/// Errors whose text is kept.
const SAMPLES_MAX: usize = 3;

/// What was measured of one kind of request.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Microseconds.
    pub latency: Histogram<u64>,
    pub failed: u64,
    pub unknown: u64,
    pub samples: Vec<String>,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    pub puts: Kind,
    pub gets: Kind,
    pub took: Duration,
}

impl Measured {
    /// Requests that succeeded.
    pub fn done(&self) -> u64 {
        self.puts.latency.len() + self.gets.latency.len()
    }
}

impl Kind {
    /// Nothing yet.
    pub fn new() -> Outcome<Kind> {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX, 3)
            .map_err(|error| Failure::failed(format!("no room to measure: {error}")))?;
        Ok(Kind { latency, failed: 0, unknown: 0, samples: Vec::new() })
    }

    fn record(&mut self, took: Duration, result: Result<(), Miss>) {
        let text = match result {
            Ok(()) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.latency.saturating_record(micros.clamp(1, LATENCY_MAX));
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

    fn add(&mut self, other: &Kind) -> Outcome {
        self.failed += other.failed;
        self.unknown += other.unknown;
        for text in &other.samples {
            if self.samples.len() < SAMPLES_MAX && !self.samples.contains(text) {
                self.samples.push(text.clone());
            }
        }
        self.latency.add(&other.latency).map_err(|error| Failure::failed(format!("cannot add up: {error}")))
    }
}

/// Fills what will be read, warms up, measures.
pub async fn drive(targets: &[Arc<dyn Target>], load: &KvLoad) -> Outcome<Measured> {
    if load.mode != Mode::Put {
        fill(targets, load).await?;
    }
    let begin = Instant::now() + load.warm_up;
    let end = begin + load.duration;
    let clients = (0..usize::from(load.clients))
        .map(|n| tokio::spawn(client(targets[n % targets.len()].clone(), load.clone(), begin, end)))
        .collect::<Vec<_>>();
    let mut measured = Measured { puts: Kind::new()?, gets: Kind::new()?, took: load.duration };
    for client in clients {
        let (puts, gets) = client.await.map_err(|error| Failure::failed(format!("a client failed: {error}")))??;
        measured.puts.add(&puts)?;
        measured.gets.add(&gets)?;
    }
    Ok(measured)
}

fn key(n: u32) -> String {
    format!("bench/{n:08}")
}

async fn fill(targets: &[Arc<dyn Target>], load: &KvLoad) -> Outcome {
    let value = vec![b'f'; load.value_size];
    let puts = stream::iter(0..load.keys).map(|n| {
        let (target, value) = (targets[n as usize % targets.len()].clone(), value.clone());
        async move { target.put(&key(n), &value).await }
    });
    let mut puts = puts.buffer_unordered(usize::from(load.clients));
    while let Some(result) = puts.next().await {
        if let Err(Miss::Failed(why) | Miss::Unknown(why)) = result {
            return Err(Failure::failed(format!("cannot fill in what is to be read: {why}")));
        }
    }
    Ok(())
}

async fn client(target: Arc<dyn Target>, load: KvLoad, begin: Instant, end: Instant) -> Outcome<(Kind, Kind)> {
    let (mut puts, mut gets) = (Kind::new()?, Kind::new()?);
    let mut random = SmallRng::from_os_rng();
    let mut value = vec![0; load.value_size];
    let reads = match load.mode {
        Mode::Put => 0,
        Mode::Get => 100,
        Mode::Mixed => load.reads,
    };
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok((puts, gets));
        }
        let key = key(random.random_range(0..load.keys));
        let is_get = random.random_range(0..100) < reads;
        let result = if is_get {
            target.get(&key).await.map(drop)
        } else {
            random.fill_bytes(&mut value);
            target.put(&key, &value).await
        };
        let ended = Instant::now();
        let failed = result.is_err();
        // By its end: what ends in the measured time is what that time has achieved.
        if ended >= begin && ended < end {
            if is_get { &mut gets } else { &mut puts }.record(ended - sent, result);
        }
        if failed {
            // A target that refuses at once must not be drowned in questions.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
