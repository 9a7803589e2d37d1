//! What processes used meanwhile, by the operating system's own accounting (`proc(5)`).

use crate::failure::{Failure, Outcome};
use std::fs;
use std::path::PathBuf;

/// A process that is looked at.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its number.
    pub pid: u32,
    /// Its program.
    pub name: String,
    before: Counters,
}

/// What a process has used since it began.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    cpu_seconds: f64,
    written: u64,
}

/// What a process used while it was looked at.
#[derive(Debug, Clone)]
pub struct Used {
    /// Its number.
    pub pid: u32,
    /// Its program.
    pub name: String,
    /// Seconds of user and system time.
    pub cpu_seconds: f64,
    /// Bytes that went to the disk.
    pub written: u64,
    /// Bytes of memory that it holds at the end.
    pub memory: u64,
}

/// Finds the processes: a number names one, anything else all whose program is called so, without this one.
pub fn find(names: &[String]) -> Outcome<Vec<u32>> {
    let mut found = Vec::new();
    for name in names {
        let before = found.len();
        match name.parse::<u32>() {
            Ok(pid) if counters(pid).is_some() => found.push(pid),
            Ok(_) => {}
            Err(_) => {
                found.extend(running().filter(|pid| program(*pid).as_deref() == Some(name) && counters(*pid).is_some()))
            }
        }
        if found.len() == before {
            return Err(Failure::failed(format!("no process {name} runs on this machine"))
                .next("name a process's number or program, as `ps` shows them"));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Every process but this one.
fn running() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != own)
}

fn path(pid: u32, file: &str) -> PathBuf {
    format!("/proc/{pid}/{file}").into()
}

fn program(pid: u32) -> Option<String> {
    Some(fs::read_to_string(path(pid, "comm")).ok()?.trim_end().to_string())
}

impl Watched {
    /// Begins to look.
    pub fn begin(pid: u32) -> Watched {
        Watched { pid, name: program(pid).unwrap_or_default(), before: counters(pid).unwrap_or_default() }
    }

    /// What it used since. None when it has ended.
    pub fn end(&self) -> Option<Used> {
        let now = counters(self.pid)?;
        Some(Used {
            pid: self.pid,
            name: self.name.clone(),
            cpu_seconds: now.cpu_seconds - self.before.cpu_seconds,
            written: now.written - self.before.written,
            memory: memory(self.pid).unwrap_or_default(),
        })
    }
}

fn counters(pid: u32) -> Option<Counters> {
    let stat = fs::read_to_string(path(pid, "stat")).ok()?;
    // Who is not its owner may not see this one.
    let io = fs::read_to_string(path(pid, "io")).unwrap_or_default();
    let written = field(&io, "write_bytes:").unwrap_or_default();
    // One that has ended, and that nobody has asked for its end.
    if stat.rsplit_once(") ")?.1.starts_with('Z') {
        return None;
    }
    Some(Counters { cpu_seconds: cpu_ticks(&stat)? as f64 / ticks_per_second(), written })
}

/// User and system time of all its threads, in ticks: fields 14 and 15. The second one, the program's name in brackets, may
/// hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut rest = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    Some(rest.next()?.parse::<u64>().ok()? + rest.next()?.parse::<u64>().ok()?)
}

fn ticks_per_second() -> f64 {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK) {
        Ok(Some(ticks)) => ticks as f64,
        _ => 100.0,
    }
}

fn memory(pid: u32) -> Option<u64> {
    Some(field(&fs::read_to_string(path(pid, "status")).ok()?, "VmRSS:")? * 1024)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a) S (b) ) R 1 42 42 0 -1 4194304 100 0 0 0 17 5 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some(22));
        assert_eq!(cpu_ticks("42 (a"), None);
    }

    #[test]
    fn work_that_this_process_does_is_seen() {
        let own = Watched::begin(std::process::id());
        let mut sum = 0u64;
        let begun = std::time::Instant::now();
        while own.end().is_some_and(|used| used.cpu_seconds < 0.05) {
            sum = (0..1_000_000u64).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_add(n)));
            assert!(begun.elapsed().as_secs() < 60, "no time is seen to pass");
        }
        let used = own.end().expect("it runs");
        assert!(used.memory > 1024 * 1024 && !used.name.is_empty(), "{used:?}");
    }

    #[test]
    fn what_does_not_run_is_an_error() {
        assert!(find(&["no such program".into()]).is_err());
        assert!(find(&["4294967295".into()]).is_err());
        assert_eq!(find(&["1".into(), "1".into()]).expect("the first process"), [1]);
    }
}
