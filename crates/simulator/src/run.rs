//! One seed, or many at once.

use crate::bugs::Bugs;
use crate::world::{Ended, World};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Runs a seed. A panic in the code under test counts as a violation.
pub fn run(seed: u64, bugs: Bugs) -> Ended {
    let result = std::panic::catch_unwind(|| World::new(seed, bugs, false).run());
    result.unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Ended { failure: Some(format!("panic: {}", why.unwrap_or_default())), ..Ended::default() }
    })
}

/// Seeds to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First.
    pub from: u64,
    /// Behind the last.
    pub to: u64,
}

/// Runs many seeds on so many threads, until the end or until a moment has come. `seen` is told of each;
/// it says whether to go on. Gives how many were run.
pub fn sweep(
    range: Range,
    bugs: Bugs,
    threads: usize,
    until: Option<Instant>,
    seen: impl FnMut(u64, &Ended) -> bool + Send,
) -> u64 {
    let next = AtomicU64::new(range.from);
    let stop = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    let seen = Mutex::new(seen);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= range.to {
                        return;
                    }
                    let ended = run(seed, bugs);
                    done.fetch_add(1, Ordering::Relaxed);
                    let go_on = seen.lock().is_ok_and(|mut seen| seen(seed, &ended));
                    if !go_on {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.load(Ordering::Relaxed)
}
