//! The nemesis: a cluster of real processes, each in a network namespace, on a disk and by clocks of its own, under every
//! fault at once, alone and in combination, while clients read and write. What they saw must be linearizable, what
//! was acknowledged must be there in the end, through every gateway, and the cluster must become whole again.
//!
//! ```text
//! cargo test --release -p atoll-server --test nemesis -- --minutes 10 --seed 7 --faults kill,cut,power
//! ```
//!
//! A seed decides the faults, their times and what clients ask; not how fast the machine is, so a run is repeated in
//! what is done to the cluster, not to the microsecond. `pure.rs` tests what is decided.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot go on should end loudly.

mod args;
mod clients;
mod clock;
mod cluster;
mod disk;
#[path = "../../../control/tests/conformance/ensemble.rs"]
mod ensemble;
mod fault;
mod last_reads;
mod load;
mod network;
mod node;
mod record;
mod report;
mod run;
mod sandbox;
mod schedule;
mod work;

use args::Args;
use clap::Parser;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        println!("nemesis: test");
        return ExitCode::SUCCESS;
    }
    if !args.filter.is_empty() && !args.filter.iter().any(|part| "nemesis".contains(part.as_str())) {
        return ExitCode::SUCCESS;
    }
    if let Some(path) = &args.judge {
        return report::judge_file(path);
    }
    if !sandbox::is_inside() {
        if args.is_usual() && !on_zookeeper_first() {
            return ExitCode::FAILURE;
        }
        eprintln!("nemesis: {}", sandbox::enter());
        return ExitCode::FAILURE;
    }
    let seed = args.seed.unwrap_or_else(|| rand::random::<u32>().into());
    println!("nemesis, seed {seed}; again: {}", args.again(seed));
    if !sandbox::is_root() {
        println!("without root: no disks that lose power; file systems are in memory");
    }
    let work = match work::Work::new(seed) {
        Ok(work) => work,
        Err(why) => {
            eprintln!("nemesis: {why}");
            return ExitCode::FAILURE;
        }
    };
    let history = args.history.clone().unwrap_or_else(|| work.folder.join("history.jsonl"));
    let recorder = match record::Recorder::new(&history) {
        Ok(recorder) => Arc::new(recorder),
        Err(error) => {
            eprintln!("nemesis: {}: {error}", history.display());
            return ExitCode::FAILURE;
        }
    };
    let wrong = match run::run(&args, seed, &work.folder, &recorder) {
        Ok(findings) => report::reckon(&recorder, findings, args.phases().iter().map(|phase| phase.lasts).sum()),
        Err(why) => vec![why],
    };
    if wrong.is_empty() {
        println!("nemesis: all is well");
        work.remove();
        return ExitCode::SUCCESS;
    }
    wrong.iter().for_each(|what| eprintln!("WRONG: {what}"));
    eprintln!("history: {}", history.display());
    eprintln!("logs and disks: {}", work.keep().display());
    eprintln!("again: {}", args.again(seed));
    ExitCode::FAILURE
}

/// The same program, for a while with the metadata in ZooKeeper. Whether all was well.
fn on_zookeeper_first() -> bool {
    let minutes = if std::env::var_os("ATOLL_TEST_LONG").is_some() { "10" } else { "0.8" };
    let Ok(program) = std::env::current_exe() else { return false };
    let mut command = std::process::Command::new(program);
    command.args(["--coordination", "zookeeper", "--minutes", minutes]);
    command.status().is_ok_and(|status| status.success())
}
