//! `atoll cluster`: how the machines are, and tokens for more of them.

use crate::cli::ServerArgs;
use crate::demo::is_caught_up;
use crate::failure::Outcome;
use crate::layout::{self, DrainArgs, LayoutArgs};
use crate::remove::{self, RemoveArgs};
use crate::verdict::{idle, verdict};
use crate::way::{self, Way};
use crate::{output, span, verify};
use clap::{Args, Subcommand};
use client::{ClusterStatus, NodeState};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Show the cluster's machines, and let more join (administrators)
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll cluster status
  atoll cluster join-token --valid 10m     then, on the new machine: atoll up --join TOKEN
  atoll cluster status --data /srv/atoll   on a member, when nobody can sign in any more")]
pub struct ClusterArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterCommand,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Go by the data folder of a member on this machine, as the folder's owner, rather than by a session:
    /// straight to the nodes that it knows. For when nobody can sign in any more; some member must run
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
}

/// What can be done with a cluster.
#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Show how the cluster and each machine is
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which machine holds what; change shares and the number of copies
    Layout(LayoutArgs),
    /// Move everything off a machine, while it serves
    Drain(DrainArgs),
    /// Take a drained machine out of the cluster, for good
    Remove(RemoveArgs),
    /// Read every block on every machine now, and mend what is damaged or missing
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a token with which one more machine can join
    JoinToken {
        /// How long it may be used
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span::parse)]
        valid: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Carries it out.
pub async fn run(args: ClusterArgs) -> Outcome {
    match &args.command {
        ClusterCommand::Layout(layout) => layout.check()?,
        ClusterCommand::Remove(remove) => remove.check()?,
        _ => {}
    }
    let command = args.command.words();
    let by_session = args.data.is_none();
    let done = async {
        let way = Way::open(&args.server, args.data.as_deref()).await?;
        carry_out(args.command, &way).await
    };
    done.await.map_err(|failure| if by_session { way::or_by_the_folder(failure, &command) } else { failure })
}

async fn carry_out(command: ClusterCommand, way: &Way) -> Outcome {
    match command {
        ClusterCommand::Layout(args) => layout::layout(args, way).await,
        ClusterCommand::Drain(args) => layout::drain(args, way).await,
        ClusterCommand::Remove(args) => remove::run(args, way).await,
        ClusterCommand::Status { json } => {
            let status = way.status().await?;
            if json { output::json(&to_json(&status, way.flag())) } else { output::print(text(&status, way.flag())) }
        }
        ClusterCommand::Verify { json } => verify::run(way, json).await,
        ClusterCommand::JoinToken { valid, json } => {
            let made = way.join_token(valid).await?;
            if json {
                return output::json(&json!({"token": made.token, "expires_ms": made.expires.0}));
            }
            eprintln!("On the new machine, before {}:\n", output::date(made.expires));
            output::line(format!("atoll up --join {}", made.token))
        }
    }
}

impl ClusterCommand {
    /// The command, as far as it says what is asked for.
    fn words(&self) -> String {
        match self {
            ClusterCommand::Status { .. } => "status".into(),
            ClusterCommand::Layout(_) => "layout".into(),
            ClusterCommand::Drain(drain) => format!("drain {}", drain.node),
            ClusterCommand::Remove(remove) => remove.command(),
            ClusterCommand::Verify { .. } => "verify".into(),
            ClusterCommand::JoinToken { .. } => "join-token".into(),
        }
    }
}

/// What keeps the metadata, as the nodes say.
fn coordination(status: &ClusterStatus) -> &str {
    let mut reports = status.nodes.iter().filter_map(|node| node.report.as_ref().ok());
    reports.next().map_or("unknown", |report| report.coordination.as_str())
}

fn text(status: &ClusterStatus, flag: &str) -> String {
    let mut table =
        output::table(["node", "zone", "state", "role", "partitions", "blocks", "used", "free", "release", "grpc"]);
    for node in &status.nodes {
        let report = node.report.as_ref().ok();
        let cell = |show: &dyn Fn(&rpc::wire::NodeStatus) -> String| report.map_or("–".to_string(), show);
        table.add_row([
            node.id.to_string(),
            if node.zone.is_empty() { "–".to_string() } else { node.zone.clone() },
            state(node).to_string(),
            if report.is_some_and(|report| report.leader) { "leader".to_string() } else { String::new() },
            cell(&|report| match report.syncing + report.waiting {
                0 => report.serving.to_string(),
                behind => format!("{} (+{behind} on the way)", report.serving),
            }),
            cell(&|report| match report.blocks_missing {
                0 => report.blocks.to_string(),
                missing => format!("{} (-{missing} missing)", report.blocks),
            }),
            cell(&|report| output::size(report.bytes_used)),
            cell(&|report| output::size(report.bytes_free)),
            node.release.clone(),
            node.grpc.clone(),
        ]);
    }
    let parts = &status.partitions;
    // What the map says was true when somebody with a lease last knew.
    let when =
        if idle(status).is_some() { format!("When last known (layout {}): ", status.layout) } else { String::new() };
    format!(
        "Can you lose a machine now? {}\n\n{}{}\n{when}{} partitions: {} complete, {} with fewer copies, {} read-only, {} \
         unavailable. Copies wanted {}, needed for a write {}.\nMetadata: {}.\n",
        verdict(status, flag),
        output::table_text(&table),
        unreached(status),
        parts.total,
        parts.full,
        parts.reduced,
        parts.read_only,
        parts.unavailable,
        status.replicas_wanted,
        status.replicas_min,
        coordination(status),
    )
}

/// A line for each machine that does not answer: at which address, and what that may mean.
fn unreached(status: &ClusterStatus) -> String {
    let line = |node: &NodeState| {
        let why = node.report.as_ref().err()?;
        let next = match node.alive {
            true => {
                "It renews its lease, so that it runs: nobody reaches it there. Open its port 7071, or start it again \
                 with the right --advertise HOST"
            }
            false => "Where it runs, start it again with the right --advertise HOST, or open its port",
        };
        let address = if node.address.is_empty() { "no address yet" } else { &node.address };
        Some(format!("Node {} does not answer ({address}): {why}. {next}.\n", node.id))
    };
    let lines: String = status.nodes.iter().filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn state(node: &NodeState) -> &'static str {
    match &node.report {
        Ok(report) if report.stopped.is_some() => "stopped",
        Ok(report) if report.syncing + report.waiting > 0 => "catching up",
        Ok(report) if node.alive && report.lease_valid => "up",
        Ok(_) if node.alive => "no lease",
        Ok(_) => "joining",
        Err(_) if node.alive => "not answering",
        Err(_) if node.released => "down, drained",
        Err(_) if node.draining => "down, draining",
        Err(_) => "down",
    }
}

fn to_json(status: &ClusterStatus, flag: &str) -> Value {
    let parts = &status.partitions;
    let node = |node: &NodeState| {
        let mut object = json!({
            "id": node.id, "address": node.address, "grpc": node.grpc, "web": node.web, "zone": node.zone,
            "capacity": node.capacity, "release": node.release, "alive": node.alive, "state": state(node),
            "caught_up": is_caught_up(node), "draining": node.draining, "released": node.released,
        });
        match &node.report {
            Ok(report) => object["report"] = serde_json::to_value(report).unwrap_or_default(),
            Err(why) => object["unreachable"] = json!(why),
        }
        object
    };
    json!({
        "cluster": format!("{:032x}", status.cluster.0),
        "layout": status.layout,
        "coordination": coordination(status),
        "verdict": verdict(status, flag),
        "replicas_min": status.replicas_min,
        "replicas_wanted": status.replicas_wanted,
        "partitions": {
            "total": parts.total, "full": parts.full, "reduced": parts.reduced,
            "read_only": parts.read_only, "unavailable": parts.unavailable, "waits_for": parts.waits_for,
            "copies": parts.copies, "whole_copies": parts.whole_copies, "acking": parts.acking,
            "stale": idle(status).is_some(),
        },
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
        "answered_by": status.answered_by,
    })
}
