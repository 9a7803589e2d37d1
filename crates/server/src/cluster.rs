//! `atoll cluster`: how the machines are, and tokens for more of them.

use crate::cli::ServerArgs;
use crate::demo::is_caught_up;
use crate::failure::Outcome;
use crate::layout::{self, DrainArgs, LayoutArgs};
use crate::remove::{self, RemoveArgs};
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

/// Answers first: can a machine be lost now? `flag` is what a suggested command needs at its end.
fn verdict(status: &ClusterStatus, flag: &str) -> String {
    let alive = status.nodes.iter().filter(|node| node.alive).count();
    let parts = &status.partitions;
    let voters =
        status.nodes.iter().filter_map(|node| node.report.as_ref().ok()).map(|report| report.voters.len()).max();
    if let Some(why) = idle(status) {
        return why;
    }
    if parts.unavailable > 0 {
        let waits = parts.waits_for.iter().map(|node| node.to_string()).collect::<Vec<_>>().join(", ");
        let waits = match parts.waits_for.first() {
            None => " They are beginning again, or wait for the machine that has the newest copy.".to_string(),
            Some(first) => format!(
                " They wait for node {waits}, which is down and holds what was acknowledged last: start it. If it is \
                 lost for good: atoll cluster remove {first} --lost --plan{flag}"
            ),
        };
        return format!("No: {} of {} partitions have no serving copy now.{waits}", parts.unavailable, parts.total);
    }
    if parts.read_only > 0 {
        return format!(
            "No: {} of {} partitions can only be read now. A write needs {} copies: bring machines back, or add one: \
             atoll cluster join-token{flag}",
            parts.read_only, parts.total, status.replicas_min
        );
    }
    match (status.nodes.len(), alive) {
        (0 | 1, _) => format!("No: there is one machine. Add 2: atoll cluster join-token{flag}"),
        (2, _) => format!("No: there are two machines. Add 1: atoll cluster join-token{flag}"),
        (all, alive) if alive < all => {
            format!("Not safely: {alive} of {all} machines are up. Bring the others back first.")
        }
        (all, _) if parts.full < parts.total => {
            format!(
                "Not yet: {} of {} partitions are still being copied among the {all} machines.",
                parts.total - parts.full,
                parts.total
            )
        }
        // None: the control plane is elsewhere, and no machine of the cluster's own votes.
        (all, _) if voters.is_some_and(|voters| (1..3).contains(&voters)) => {
            format!("Not yet: of {all} machines, the control plane is still on one.")
        }
        (all, _) => format!("Yes, any 1 of {all}."),
    }
}

/// Nobody who answers has a lease: what the map says is old, and nobody is served.
pub fn idle(status: &ClusterStatus) -> Option<String> {
    let reports: Vec<_> = status.nodes.iter().filter_map(|node| node.report.as_ref().ok()).collect();
    if reports.is_empty() || reports.iter().any(|report| report.lease_valid) {
        return None;
    }
    let names = |nodes: &[u64]| nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let (here, away): (Vec<_>, Vec<_>) = status.nodes.iter().partition(|node| node.report.is_ok());
    let (here, away): (Vec<u64>, Vec<u64>) =
        (here.iter().map(|node| node.id.0).collect(), away.iter().map(|node| node.id.0).collect());
    let rest = "Everything that was acknowledged is on the machines' disks, and stale reads (--stale) go on.";
    Some(match away.is_empty() {
        true => format!("No: the cluster does not serve now: node {} has no lease. {rest}", names(&here)),
        false => format!(
            "No: the cluster does not serve. Node {} answers and has no lease, for most of the machines that decide \
             are away (node {}): start them. {rest}",
            names(&here),
            names(&away)
        ),
    })
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
    format!(
        "Can you lose a machine now? {}\n\n{}\n{} partitions: {} complete, {} with fewer copies, {} read-only, {} unavailable. \
         Copies wanted {}, needed for a write {}.\nMetadata: {}.\n",
        verdict(status, flag),
        output::table_text(&table),
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

fn state(node: &NodeState) -> &'static str {
    match &node.report {
        Ok(report) if report.stopped.is_some() => "stopped",
        Ok(report) if report.syncing + report.waiting > 0 => "catching up",
        Ok(report) if node.alive && report.lease_valid => "up",
        Ok(_) if node.alive => "no lease",
        Ok(_) => "joining",
        Err(_) if node.alive => "not answering",
        Err(_) => "down",
    }
}

fn to_json(status: &ClusterStatus, flag: &str) -> Value {
    let parts = &status.partitions;
    let node = |node: &NodeState| {
        let mut object = json!({
            "id": node.id, "address": node.address, "grpc": node.grpc, "web": node.web, "zone": node.zone,
            "capacity": node.capacity, "release": node.release, "alive": node.alive, "state": state(node),
            "caught_up": is_caught_up(node),
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
        },
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
        "answered_by": status.answered_by,
    })
}
