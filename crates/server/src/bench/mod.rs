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
    let (run, told) = match args.command {
        BenchCommand::Kv { load, told } => (Run::kv(&load, server).await?, told),
        BenchCommand::Blob { load, told } => {
            (Run::new("atoll", load.work(server).await?, &load.load.pace, load.json()), told)
        }
        BenchCommand::S3 { load, told } => (Run::new("s3", load.work()?, &load.load.pace, load.json()), told),
        BenchCommand::Http { load, told } => (Run::new("http", load.work()?, &load.pace, load.json()), told),
        BenchCommand::Failover { load, kill, told } => {
            return failover(Run::kv(&load, server).await?, kill, told).await;
        }
    };
    let report = run.measure(&told, || ()).await?.0;
    tell(&report, &told)?;
    let measured = &report.measured;
    match (measured.done(), measured.missed()) {
        (0, _) => {
            Err(Failure::failed("not one request succeeded").next("see the first errors above; atoll cluster status"))
        }
        (_, 0) => Ok(()),
        (_, missed) => Err(Failure::failed(format!("{missed} requests did not succeed"))),
    }
}

/// A load, ready to be sent.
struct Run {
    target: &'static str,
    work: Arc<dyn Work>,
    pace: Pace,
    load: Value,
}

impl Run {
    fn new(target: &'static str, work: Arc<dyn Work>, pace: &Pace, load: Value) -> Run {
        Run { target, work, pace: pace.clone(), load }
    }

    async fn kv(load: &kv::KvLoad, server: &ServerArgs) -> Outcome<Run> {
        Ok(Run::new(load.target(), load.work(server).await?, &load.pace, load.json()))
    }

    /// Sends it; `at_begin` runs when measuring begins.
    async fn measure<B>(self, told: &Told, at_begin: impl FnOnce() -> B) -> Outcome<(Report, B)> {
        let processes = usage::find(&told.processes)?;
        eprintln!("{}: {} for {:?} …", self.target, self.load, self.pace.duration);
        let (mut used, mut ended, mut own, mut begun) = (Vec::new(), Vec::new(), None, None);
        let begin = || {
            begun = Some(at_begin());
            let watched = processes.into_iter().map(usage::Watched::begin).collect::<Vec<_>>();
            (watched, usage::Watched::begin(std::process::id()))
        };
        let end = |(watched, this): (Vec<usage::Watched>, usage::Watched)| {
            for one in watched {
                match one.end() {
                    Some(one) => used.push(one),
                    None => ended.push(one.pid),
                }
            }
            own = this.end();
            Ok(())
        };
        let measured = drive::drive(self.work, &self.pace, begin, end).await?;
        let begun = begun.ok_or_else(|| Failure::failed("nothing was measured"))?;
        let open = self.pace.rate.is_some();
        Ok((Report { target: self.target, load: self.load, measured, used, ended, own, open }, begun))
    }
}

fn tell(report: &Report, told: &Told) -> Outcome {
    if told.json { output::json(&report.json()) } else { output::print(report.text()) }
}

/// Puts all the time; a third into it, kills.
async fn failover(run: Run, kill_it: Option<i32>, told: Told) -> Outcome {
    if let Some(pid) = kill_it.filter(|pid| *pid <= 1) {
        return Err(Failure::usage(format!("--kill {pid} names no process that may be killed")));
    }
    let after = run.pace.duration / 3;
    let killer = move || {
        kill_it.map(|pid| {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                kill(Pid::from_raw(pid), Signal::SIGKILL)
            })
        })
    };
    let (report, killer) = run.measure(&told, killer).await?;
    if let Some(killer) = killer {
        let killed = killer.await.map_err(|error| Failure::failed(format!("nobody was killed: {error}")))?;
        killed.map_err(|error| Failure::failed(format!("the process could not be killed: {error}")))?;
    }
    let stalls = &report.measured.stalls;
    if !told.json {
        let millis = |stall: Option<&Duration>| stall.copied().unwrap_or_default().as_secs_f64() * 1e3;
        output::print(format!(
            "longest time without an answer, of {} clients: median {:.0} ms, most {:.0} ms\n",
            stalls.len(),
            millis(stalls.get(stalls.len() / 2)),
            millis(stalls.last())
        ))?;
    }
    tell(&report, &told)?;
    match report.measured.stuck {
        0 => Ok(()),
        stuck => Err(Failure::failed(format!("{stuck} of {} clients had no answer at the end", stalls.len()))
            .next("run it for longer, or see atoll cluster status")),
    }
}
