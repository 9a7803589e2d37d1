//! A node's clocks: dates that jump, and rates that differ, of a running process (see `skew.c`).

use crate::sandbox::run;
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Makes the library that answers for the clocks, and sees that it does.
pub fn library(work: &Path) -> Result<PathBuf, String> {
    let (source, library) = (work.join("skew.c"), work.join("skew.so"));
    std::fs::write(&source, include_str!("skew.c")).map_err(|error| error.to_string())?;
    let words = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"];
    run("cc", &[words.as_slice(), &[&library.to_string_lossy(), &source.to_string_lossy(), "-ldl"]].concat())?;
    let mut clock = Clock::new(work, 0)?;
    clock.jump(100_000)?;
    let mut date = Command::new("date");
    date.arg("+%s").env("LD_PRELOAD", &library).env(Clock::VARIABLE, clock.path());
    let said = date.output().map_err(|error| error.to_string())?;
    let said: i64 = String::from_utf8_lossy(&said.stdout).trim().parse().map_err(|_| "date(1) says no date")?;
    let ours = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    if (said - ours - 100_000).abs() > 5 {
        return Err(format!("clocks cannot be skewed here: {} s instead of 100000", said - ours));
    }
    Ok(library)
}

/// What a node's clocks are off by.
pub struct Clock {
    path: PathBuf,
    file: File,
    turn: u64,
    date: i64,
    since: i64,
    gained: i64,
    millionths: i64,
}

impl Clock {
    /// The variable by which a node finds its own.
    pub const VARIABLE: &str = "ATOLL_NEMESIS_CLOCK";

    /// Right, but that the time since the machine's start differs from node to node.
    pub fn new(work: &Path, node: u16) -> Result<Clock, String> {
        let path = work.join(format!("clock-{node}"));
        let file = File::create(&path).map_err(|error| error.to_string())?;
        let ahead = Duration::from_secs(1000 * u64::from(node)).as_nanos() as i64;
        // The date comes from the same gain: it is put right again.
        let mut clock = Clock { path, file, turn: 0, date: -ahead, since: now(), gained: ahead, millionths: 0 };
        clock.write()?;
        Ok(clock)
    }

    /// Where it is written down.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The date, and nothing else, jumps.
    pub fn jump(&mut self, seconds: i64) -> Result<(), String> {
        self.date += seconds * 1_000_000_000;
        self.write()
    }

    /// All clocks run that much faster from now on.
    pub fn rate(&mut self, millionths: i32) -> Result<(), String> {
        let now = now();
        let gain = (now - self.since) / 1000 * self.millionths / 1000;
        // The date must be right in the end: what was gained stays, but for that.
        self.gained += gain;
        self.since = now;
        self.millionths = millionths.into();
        self.write()
    }

    fn write(&mut self) -> Result<(), String> {
        let put = |at: u64, value: i64| self.file.write_all_at(&value.to_ne_bytes(), at);
        let done = put(0, self.turn as i64 + 1)
            .and_then(|()| put(8, self.date))
            .and_then(|()| put(16, self.since))
            .and_then(|()| put(24, self.gained))
            .and_then(|()| put(32, self.millionths))
            .and_then(|()| put(0, self.turn as i64 + 2));
        self.turn += 2;
        done.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

fn now() -> i64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(|time| Duration::from(time).as_nanos() as i64).unwrap_or_default()
}
