//! `atoll bench`: load, and what it measures.
//!
//! **Owns** the loops that send requests, what is driven by them, and the report. **Invariants**: every
//! request counts as done, failed or unknown; latency is what a client sees,
//! retries included; whatever is driven is driven in the same way. **Leaves to others**: what the numbers mean
//! (`docs/benchmarks.md`), and running peers beside each other (`bench/compare`).

mod drive;
mod kv;
mod measure;
mod objects;
mod report;
mod usage;
mod work;

use self::drive::Pace;
use self::report::Report;
use self::work::Work;
use crate::cli::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use clap::{Args, Subcommand};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Measure a cluster under load
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll bench kv put
  atoll bench kv mixed --reads 90 --clients 64 --duration 30s --process atoll --json
  atoll bench kv put --rate 2000                 latency at a steady pace
  atoll bench kv put --etcd localhost:2379       the same load on an etcd, to compare
  atoll bench s3 get --endpoint http://localhost:9000 --bucket bench --size 1MiB
  atoll bench failover --kill 4711               the longest stall when that process dies")]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be measured.
#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    /// Items of the key-value store
    Kv {
        #[command(flatten)]
        load: kv::KvLoad,
        #[command(flatten)]
        told: Told,
    },
    /// Files of your drive
    Blob {
        #[command(flatten)]
        load: objects::FileLoad,
        #[command(flatten)]
        told: Told,
    },
    /// Objects of any S3 service
    S3 {
        #[command(flatten)]
        load: objects::S3Load,
        #[command(flatten)]
        told: Told,
    },
    /// Whatever an address gives by HTTP
    Http {
        #[command(flatten)]
        load: objects::HttpLoad,
        #[command(flatten)]
        told: Told,
    },
    /// The longest time without an answer while puts go on and a process dies
    Failover {
        #[command(flatten)]
        load: kv::KvLoad,
        /// Process that is killed a third into the run [default: none; kill one yourself]
        #[arg(long, value_name = "PID")]
        kill: Option<i32>,
        #[command(flatten)]
        told: Told,
    },
}

/// What is told of a run, and how.
#[derive(Args, Debug, Clone)]
pub struct Told {
    /// Tell what these processes of this machine used meanwhile: a number, or a program's name for all that run it
    #[arg(long = "process", value_name = "PID|NAME")]
    pub processes: Vec<String>,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Measures.
pub async fn run(args: BenchArgs) -> Outcome {
    let server = &args.server;
    let (target, work, pace, load, told) = match args.command {
        BenchCommand::Kv { load, told } => {
            (load.target(), load.work(server).await?, load.pace.clone(), load.json(), told)
        }
        BenchCommand::Blob { load, told } => {
            ("atoll", load.work(server).await?, load.load.pace.clone(), load.json(), told)
        }
        BenchCommand::S3 { load, told } => ("s3", load.work()?, load.load.pace.clone(), load.json(), told),
        BenchCommand::Http { load, told } => ("http", load.work()?, load.pace.clone(), load.json(), told),
        BenchCommand::Failover { load, kill, told } => return failover(server, load, kill, told).await,
    };
    tell(measure(target, work, &pace, load, &told).await?, &told)
}

async fn measure(target: &'static str, work: Arc<dyn Work>, pace: &Pace, load: Value, told: &Told) -> Outcome<Report> {
    let processes = usage::find(&told.processes)?;
    eprintln!("{target}: {load} for {:?} …", pace.duration);
    let mut used = Vec::new();
    let begin = || processes.into_iter().map(usage::Watched::begin).collect::<Vec<_>>();
    let end = |watched: Vec<usage::Watched>| {
        used = watched.iter().filter_map(usage::Watched::end).collect();
        Ok(())
    };
    let measured = drive::drive(work, pace, begin, end).await?;
    Ok(Report { target, load, measured, used, open: pace.rate.is_some() })
}

fn tell(report: Report, told: &Told) -> Outcome {
    if told.json { output::json(&report.json()) } else { output::print(report.text()) }?;
    match report.measured.done() {
        0 => Err(Failure::failed("not one request succeeded").next("see the first errors above; atoll cluster status")),
        _ => Ok(()),
    }
}

/// Puts all the time; a third into it, kills.
async fn failover(server: &ServerArgs, load: kv::KvLoad, kill_it: Option<i32>, told: Told) -> Outcome {
    let pace = load.pace.clone();
    if let Some(pid) = kill_it.filter(|pid| *pid <= 1) {
        return Err(Failure::usage(format!("--kill {pid} names no process that may be killed")));
    }
    let work = load.work(server).await?;
    let killer = kill_it.map(|pid| {
        let after = pace.warm_up + pace.duration / 3;
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            kill(Pid::from_raw(pid), Signal::SIGKILL)
        })
    });
    let report = measure(load.target(), work, &pace, load.json(), &told).await?;
    if let Some(killer) = killer {
        let killed = killer.await.map_err(|error| Failure::failed(format!("nobody was killed: {error}")))?;
        killed.map_err(|error| Failure::failed(format!("the process could not be killed: {error}")))?;
    }
    if !told.json {
        let stalls = &report.measured.stalls;
        let millis = |stall: Option<&Duration>| stall.copied().unwrap_or_default().as_secs_f64() * 1e3;
        output::print(format!(
            "longest time without an answer, of {} clients: median {:.0} ms, most {:.0} ms\n",
            stalls.len(),
            millis(stalls.get(stalls.len() / 2)),
            millis(stalls.last())
        ))?;
    }
    tell(report, &told)
}
