//! Runs seeds, and tells how to repeat the ones that fail.

use atoll_simulator::{Bugs, Ended, Range, Strikes, World, sweep};
use clap::Parser;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Whole clusters of chain replicas under a seed that decides everything.
#[derive(Parser)]
#[command(name = "simulator")]
struct Options {
    /// Runs one seed and prints its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints only the last so many lines of the trace; 0 is all.
    #[arg(long, default_value_t = 0)]
    last: usize,
    /// Says only how the seed ended.
    #[arg(long)]
    quiet: bool,
    /// Prints the trace, which `--seed` does anyway unless `--quiet`.
    #[arg(long)]
    trace: bool,
    /// The first of many seeds.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many. Without this and `--minutes`: 500.
    #[arg(long)]
    count: Option<u64>,
    /// Goes on for so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Goes on after a failure.
    #[arg(long)]
    all: bool,
    /// Threads; as many as there are processors, if not said.
    #[arg(long)]
    threads: Option<usize>,
    /// Puts a known bug in, by name.
    #[arg(long)]
    bug: Option<String>,
    /// Looks at no invariant: only the clients' histories judge.
    #[arg(long)]
    blind: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut bugs = match options.bug.as_deref().map(|name| Bugs::named(name).ok_or(name)) {
        None => Bugs::default(),
        Some(Ok(bugs)) => bugs,
        Some(Err(name)) => {
            eprintln!("there is no bug {name:?}; there are: {}", Bugs::names().join(", "));
            return ExitCode::from(2);
        }
    };
    bugs.blind = options.blind;
    match options.seed {
        Some(seed) => one(seed, bugs, &options),
        None => many(bugs, &options),
    }
}

fn one(seed: u64, bugs: Bugs, options: &Options) -> ExitCode {
    let mut world = World::new(seed, bugs, options.trace || !options.quiet);
    // A panic in the code under test: show how it came about, too.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()))
        .unwrap_or_else(|_| Ended { failure: Some("panic".into()), ..Ended::default() });
    let lines = world.trace().lines();
    let skip = if options.last == 0 { 0 } else { lines.len().saturating_sub(options.last) };
    lines.iter().skip(skip).for_each(|line| println!("{line}"));
    println!(
        "seed {seed}: {} events, {} operations, {:.1} virtual seconds, trace {:016x}{}",
        ended.events,
        ended.operations,
        ended.duration as f64 / 1e9,
        ended.hash,
        if ended.undecided { ", history undecided" } else { "" }
    );
    match ended.failure {
        None => ExitCode::SUCCESS,
        Some(why) => {
            println!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

fn many(bugs: Bugs, options: &Options) -> ExitCode {
    let count = options.count.unwrap_or(if options.minutes.is_some() { u64::MAX } else { 500 });
    let (from, to) = (options.from, options.from.saturating_add(count));
    let until = options.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let threads = options.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let mut bug = options.bug.as_ref().map(|name| format!(" --bug {name}")).unwrap_or_default();
    bug.push_str(if options.blind { " --blind" } else { "" });
    let (mut failed, mut undecided, mut events) = (0u64, 0u64, 0u64);
    let mut strikes = Strikes::default();
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let done = sweep(Range { from, to }, bugs, threads, until, |seed, ended| {
        undecided += u64::from(ended.undecided);
        events += ended.events;
        strikes.add(&ended.strikes);
        if let Some(why) = &ended.failure {
            failed += 1;
            println!("seed {seed} FAILED: {why}");
            println!("  repeat: cargo run --release -p atoll-simulator -- --seed {seed}{bug}");
        }
        ended.failure.is_none() || options.all
    });
    let seconds = begun.elapsed().as_secs_f64();
    println!("what struck, and how often:");
    strikes.lines().for_each(|line| println!("{line}"));
    println!(
        "{done} seeds in {seconds:.1} s ({:.1} per second, {events} events), {failed} failed, {undecided} undecided",
        done as f64 / seconds
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
