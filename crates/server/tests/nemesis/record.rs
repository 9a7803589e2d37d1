//! What clients did and saw: kept for the judge, and written as JSON lines while it happens.

use serde::Serialize;
use simulator::history::{Call, Operation, Outcome, Reply};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One line: an operation, and what a person wants to know of it besides.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    operation: &'a Operation,
    /// The gateway that it went to first.
    via: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
}

/// How many operations ended in which way.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub ok: u64,
    pub fail: u64,
    pub unknown: u64,
}

struct Inner {
    file: BufWriter<File>,
    operations: Vec<Operation>,
    tallies: BTreeMap<&'static str, Tally>,
    errors: BTreeMap<String, u64>,
    acknowledged: Instant,
    stall: Duration,
    slowest: Duration,
}

/// Where all clients write down what they do.
pub struct Recorder {
    start: Instant,
    inner: Mutex<Inner>,
}

impl Recorder {
    /// Begins a history.
    pub fn new(path: &Path) -> std::io::Result<Recorder> {
        let start = Instant::now();
        let inner = Inner {
            file: BufWriter::new(File::create(path)?),
            operations: Vec::new(),
            tallies: BTreeMap::new(),
            errors: BTreeMap::new(),
            acknowledged: start,
            stall: Duration::ZERO,
            slowest: Duration::ZERO,
        };
        Ok(Recorder { start, inner: Mutex::new(inner) })
    }

    /// The clock that all share.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation has ended, as far as it ever will. `sort` is what it is counted as.
    pub fn ended(&self, sort: &'static str, operation: Operation, via: &str, error: &str) {
        let taken = Duration::from_nanos(self.now().saturating_sub(operation.invoked));
        let mut inner = self.inner();
        let tally = inner.tallies.entry(sort).or_default();
        match &operation.outcome {
            Outcome::Ok(_) => tally.ok += 1,
            Outcome::Refused => tally.fail += 1,
            Outcome::Unknown => tally.unknown += 1,
        }
        if !error.is_empty() {
            // By what is said first: the rest is about this one only.
            let short: String = error.chars().take_while(|char| !char.is_ascii_digit()).take(70).collect();
            *inner.errors.entry(short).or_default() += 1;
        }
        if is_write(&operation) {
            inner.stall = inner.stall.max(inner.acknowledged.elapsed());
            inner.acknowledged = Instant::now();
        }
        inner.slowest = inner.slowest.max(taken);
        // A full disk here must not pass for a finding.
        let line = Line { operation: &operation, via, error };
        let written = serde_json::to_writer(&mut inner.file, &line).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|()| inner.file.write_all(b"\n")) {
            eprintln!("the history is incomplete on disk: {error}");
        }
        inner.operations.push(operation);
    }

    /// Everything.
    pub fn history(&self) -> Vec<Operation> {
        let mut inner = self.inner();
        let _told_at_the_next_line = inner.file.flush();
        inner.operations.clone()
    }

    /// Acknowledged writes so far.
    pub fn acknowledged(&self) -> usize {
        self.inner().operations.iter().filter(|operation| is_write(operation)).count()
    }

    /// Forgets how long nothing was acknowledged: nobody writes just now.
    pub fn rest(&self) {
        self.inner().acknowledged = Instant::now();
    }

    /// The longest time without any acknowledged write, and the longest that one operation took.
    pub fn longest(&self) -> (Duration, Duration) {
        let inner = self.inner();
        (inner.stall, inner.slowest)
    }

    /// By sort; and what was said of those that failed.
    pub fn tallies(&self) -> (BTreeMap<&'static str, Tally>, BTreeMap<String, u64>) {
        let inner = self.inner();
        (inner.tallies.clone(), inner.errors.clone())
    }
}

/// Is this an acknowledged write?
fn is_write(operation: &Operation) -> bool {
    let applied = matches!(operation.outcome, Outcome::Ok(Reply::Done | Reply::Swapped));
    applied && !matches!(operation.call, Call::Get | Call::GetMany { .. })
}
