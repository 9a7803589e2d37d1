//! The verdict, and the closing lines.

use crate::record::Recorder;
use crate::run::Findings;
use simulator::history::{check, read_json_lines};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Acknowledged writes in a second, on average, below which a run proves nothing.
const RATE_MIN: f64 = 10.0;

/// Judges what was recorded and says how it went; what was wrong.
pub fn reckon(recorder: &Recorder, findings: Findings, lasted: Duration) -> Vec<String> {
    let Findings { faults, mut recoveries, between, ended, complaints } = findings;
    let mut wrong = complaints;
    let (tallies, errors) = recorder.tallies();
    println!("\n{:<18}{:>9}{:>9}{:>9}", "operations", "ok", "fail", "unknown");
    for (sort, tally) in &tallies {
        println!("  {sort:<16}{:>9}{:>9}{:>9}", tally.ok, tally.fail, tally.unknown);
    }
    let mut errors: Vec<_> = errors.into_iter().collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (error, count) in errors.iter().take(12) {
        println!("  {count:>6} times: {error}");
    }
    let listed: Vec<String> = faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!(
        "faults: {} ({}); nodes that ended by themselves: {ended}",
        faults.values().sum::<u32>(),
        listed.join(", ")
    );
    let (stall, slowest) = recorder.longest();
    println!("longest without an acknowledged write {stall:.1?}; slowest operation {slowest:.1?}");
    recoveries.sort_unstable();
    if let (Some(median), Some(longest)) = (recoveries.get(recoveries.len() / 2), recoveries.last()) {
        println!("whole again {} times, in {median:.1?} (median), {longest:.1?} (longest)", recoveries.len());
    }
    if !between.is_empty() {
        println!("acknowledged writes between one death of all nodes and the next: {between:?}");
        if between.iter().filter(|count| **count > 0).count() * 2 < between.len() {
            wrong.push("between most deaths of all nodes nothing was acknowledged".into());
        }
    }
    let acknowledged = recorder.acknowledged();
    println!("{acknowledged} acknowledged writes");
    if (acknowledged as f64) < RATE_MIN * lasted.as_secs_f64() {
        wrong.push(format!("only {acknowledged} writes were acknowledged: this proves nothing"));
    }
    if errors.iter().any(|(error, _)| error.starts_with("HANGS")) {
        wrong.push("an operation was not answered for a minute".into());
    }
    let history = recorder.history();
    let begun = Instant::now();
    match check(&history) {
        Ok(()) => println!("{} operations are linearizable (judged in {:.1?})", history.len(), begun.elapsed()),
        Err(error) => wrong.push(error.to_string()),
    }
    wrong
}

/// Judges a history from a file.
pub fn judge_file(path: &Path) -> ExitCode {
    let read = File::open(path).map_err(|error| error.to_string());
    let read = read.and_then(|file| read_json_lines(BufReader::new(file)).map_err(|error| error.to_string()));
    let verdict = read.and_then(|history| check(&history).map(|()| history.len()).map_err(|error| error.to_string()));
    match verdict {
        Ok(count) => {
            println!("{count} operations are linearizable");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{}: {why}", path.display());
            ExitCode::FAILURE
        }
    }
}
