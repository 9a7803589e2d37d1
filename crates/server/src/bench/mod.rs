//! `atoll bench`: load, and what it measures.
//!
//! **Owns** the closed loop of clients, and the report. **Invariants**: every
//! request counts as done, failed or unknown; latency is what a client sees,
//! retries included; a target is driven the same way whichever it is, by gRPC
//! over as many connections. **Leaves to others**: what the numbers mean.

mod atoll;
mod etcd;
mod load;
mod report;

use crate::cli::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, span};
use clap::{Args, Subcommand, ValueEnum};
use std::sync::Arc;
use std::time::Duration;
use types::limits::VALUE_BYTES_MAX;

/// Measure a cluster under load
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll bench kv put
  atoll bench kv mixed --reads 90 --clients 64 --duration 30s --json
  atoll bench kv put --etcd localhost:2379       the same load on an etcd, to compare")]
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
    /// Puts and gets of the key-value store
    Kv(KvLoad),
}

/// The mix of requests.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Puts only
    Put,
    /// Linearizable gets only
    Get,
    /// Both
    Mixed,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Put => "put",
            Mode::Get => "get",
            Mode::Mixed => "mixed",
        }
    }
}

/// A load.
#[derive(Args, Debug, Clone)]
pub struct KvLoad {
    /// Which requests
    #[arg(value_enum)]
    pub mode: Mode,
    /// Percentage of gets in the mix
    #[arg(long, value_name = "PERCENT", default_value = "50", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// Clients, each with one request under way
    #[arg(long, short, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub clients: u16,
    /// Connections that they share [default: one for each 8 clients]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: Option<u16>,
    /// How long to measure
    #[arg(long, short, value_name = "TIME", default_value = "10s", value_parser = span::parse)]
    pub duration: Duration,
    /// Load before that, not measured
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = span::parse)]
    pub warm_up: Duration,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = value_size)]
    pub value_size: usize,
    /// Different keys
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// Table; made if it is not there
    #[arg(long, value_name = "NAME", default_value = "bench")]
    pub table: String,
    /// Drive an etcd at these addresses instead
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub etcd: Vec<String>,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
}

fn value_size(text: &str) -> Result<usize, String> {
    let size: usize = text.parse().map_err(|_| "a number of bytes")?;
    if size <= VALUE_BYTES_MAX { Ok(size) } else { Err(format!("at most {VALUE_BYTES_MAX}")) }
}

/// How a request ended, when it was not done.
#[derive(Debug)]
pub enum Miss {
    /// Surely without effect.
    Failed(String),
    /// Perhaps applied.
    Unknown(String),
}

/// A store under load. One per connection.
#[async_trait::async_trait]
pub trait Target: Send + Sync {
    /// Puts, durably.
    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Miss>;
    /// Gets, linearizably. True when there was something.
    async fn get(&self, key: &str) -> Result<bool, Miss>;
}

/// Measures.
pub async fn run(args: BenchArgs) -> Outcome {
    let BenchCommand::Kv(load) = args.command;
    let connections = usize::from(load.connections.unwrap_or(load.clients.div_ceil(8)).min(load.clients));
    let targets: Vec<Arc<dyn Target>> = match load.etcd.is_empty() {
        true => atoll::connect(&args.server, &load.table, connections).await?,
        false => etcd::connect(&load.etcd, connections).await?,
    };
    if load.duration.is_zero() {
        return Err(Failure::usage("--duration 0 measures nothing"));
    }
    let what = if load.etcd.is_empty() { "atoll" } else { "etcd" };
    eprintln!(
        "{what}: {}, {} clients over {} connections, values of {} bytes, {} keys, {:?} …",
        load.mode.name(),
        load.clients,
        connections,
        load.value_size,
        load.keys,
        load.duration
    );
    let measured = load::drive(&targets, &load).await?;
    if load.json {
        output::json(&report::to_json(what, &load, connections, &measured))
    } else {
        output::print(report::text(&measured))
    }?;
    match measured.done() {
        0 => Err(Failure::failed("not one request succeeded").next("see the first errors above; atoll cluster status")),
        _ => Ok(()),
    }
}
