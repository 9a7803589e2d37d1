//! `atoll demo`: a whole cluster on this machine, of real processes with real
//! disks, to play with and to break.
//!
//! **Owns** the supervisor, its children, the socket by which another terminal
//! speaks to it, and `demo.json`. **Invariants**: one supervisor per folder; no
//! child outlives it; a node that was killed stays dead until it is started;
//! ports and data come back with the demo. **Leaves to others**: the nodes
//! themselves (`atoll up`), the web address in front of them ([`crate::front`]).

mod actions;
mod admin;
mod arrange;
mod child;
mod control;
mod leftovers;
pub mod state;
mod status;
mod supervisor;

pub use status::is_caught_up;

use crate::failure::{Failure, Outcome};
use crate::output;
use clap::{Args, Subcommand};
use control::{Request, ask};
use node::Backend;
use std::net::IpAddr;
use std::path::PathBuf;

/// Run a cluster of several nodes on this machine, to try things out
#[derive(Args, Debug, Clone)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "Examples:
  atoll demo --nodes 3          start it (or bring it back, with its data); Ctrl-C stops it
  atoll demo status             from another terminal: how is each node?
  atoll demo kill 2             as if the power cord were pulled
  atoll demo start 2            plug it in again
  atoll demo pause 3            freeze it, as a stalled machine would; later: atoll demo resume 3
  atoll demo --fresh            throw the demo's data away and begin again"
)]
pub struct DemoArgs {
    /// How many nodes [default: 3, or as many as there were]
    #[arg(long, env = "ATOLL_NODES", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    pub nodes: Option<u16>,
    /// Folder of the demo: data, logs, password
    #[arg(long, env = "ATOLL_DEMO_DATA", value_name = "DIR", default_value = "./atoll-demo", global = true)]
    pub data: PathBuf,
    /// Throw away what the demo holds, and begin again
    #[arg(long)]
    pub fresh: bool,
    /// What keeps a new demo's metadata: raft, or zookeeper://host:port,…/path
    #[arg(long, env = "ATOLL_COORDINATION", value_name = "WHERE")]
    pub coordination: Option<Backend>,
    /// Address to listen on
    #[arg(long, env = "ATOLL_LISTEN", value_name = "IP", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// What to do with the demo that runs.
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What can be done with a running demo.
#[derive(Subcommand, Debug, Clone)]
pub enum Action {
    /// Kill a node, as a power cut would (SIGKILL); it stays dead until started
    Kill(Which),
    /// Start a node that is dead
    Start(Which),
    /// Freeze a node (SIGSTOP)
    Pause(Which),
    /// Let a frozen node go on (SIGCONT)
    Resume(Which),
    /// Show how each node is; exit code 1 when the cluster does not serve
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop the demo; its data stays
    Stop,
}

/// A node of the demo.
#[derive(Args, Debug, Clone, Copy)]
pub struct Which {
    /// Which node: 1, 2, 3 …
    pub node: u16,
}

/// Runs the demo, or speaks to the one that runs.
pub async fn run(args: DemoArgs) -> Outcome {
    let folder =
        std::path::absolute(&args.data).map_err(|error| Failure::io("cannot tell the demo's folder", &error))?;
    let Some(action) = args.action else {
        return supervisor::run(&folder, args.nodes, args.listen, args.fresh, args.coordination.as_ref()).await;
    };
    let request = match action {
        Action::Kill(Which { node }) => Request::Kill { node },
        Action::Start(Which { node }) => Request::Start { node },
        Action::Pause(Which { node }) => Request::Pause { node },
        Action::Resume(Which { node }) => Request::Resume { node },
        Action::Stop => Request::Stop,
        Action::Status { json } => {
            let status =
                ask(&folder, Request::Status).await?.status.ok_or_else(|| Failure::failed("no status came"))?;
            if json {
                output::json(&status)?
            } else {
                output::print(status::table(&status))?
            }
            return status::judge(&status);
        }
    };
    output::line(ask(&folder, request).await?.text)
}
