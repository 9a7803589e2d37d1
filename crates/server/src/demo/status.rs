//! How the demo is: each process as the supervisor sees it, each node as the cluster does.

use super::admin::Admin;
use super::state::{DemoNode, DemoState};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::verdict::idle;
use client::remote::{ClusterStatus, NodeState};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    Running,
    Paused,
    Dead,
}

/// The whole demo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its folder.
    pub folder: PathBuf,
    /// Process of the supervisor.
    pub supervisor_pid: u32,
    /// The web address that outlives any node.
    pub web: String,
    /// Who may sign in; the password is in `demo.json`.
    pub user: String,
    /// In order of their numbers.
    pub nodes: Vec<NodeRow>,
    /// The partitions; none while the cluster does not answer.
    pub partitions: Option<Partitions>,
    /// Why the cluster does not answer.
    pub unreachable: Option<String>,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its number in the demo.
    pub number: u16,
    /// Its number in the cluster, once it has joined.
    pub node_id: Option<u64>,
    /// Its process, unless dead.
    pub pid: Option<i32>,
    /// What the process does.
    pub state: ProcessState,
    /// For browsers.
    pub web: String,
    /// For programs.
    pub grpc: String,
    /// For S3's programs.
    pub s3: String,
    /// For other nodes.
    pub address: String,
    /// `leader`, `voter`.
    pub roles: Vec<String>,
    /// Partitions that it serves.
    pub partitions: Option<u32>,
    /// Partitions that it is being filled with, or waits for.
    pub behind: Option<u32>,
    /// It has everything that it should have.
    pub caught_up: bool,
    /// Its log.
    pub log: PathBuf,
}

/// How many partitions are in which condition.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Partitions {
    pub total: u32,
    pub full: u32,
    pub reduced: u32,
    pub read_only: u32,
    pub unavailable: u32,
}

/// A process, as the supervisor knows it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub pid: Option<i32>,
    pub state: ProcessState,
}

/// Asks the cluster, and puts both views together.
pub async fn gather(folder: &Path, state: &DemoState, seen: Vec<Seen>, admin: &Admin) -> Status {
    // Nodes without a lease still tell how they are; a cluster that serves nobody is none that answers.
    let cluster = admin.status().await.and_then(|status| idle(&status).map_or(Ok(status), Err));
    Status {
        folder: folder.to_path_buf(),
        supervisor_pid: std::process::id(),
        web: format!("http://{}", state.address(state.web_port)),
        user: state.user.clone(),
        nodes: state.nodes.iter().zip(seen).map(|(node, seen)| row(folder, state, node, seen, &cluster)).collect(),
        partitions: cluster.as_ref().ok().map(|cluster| Partitions {
            total: cluster.partitions.total,
            full: cluster.partitions.full,
            reduced: cluster.partitions.reduced,
            read_only: cluster.partitions.read_only,
            unavailable: cluster.partitions.unavailable,
        }),
        unreachable: cluster.err(),
    }
}

fn row(
    folder: &Path,
    state: &DemoState,
    node: &DemoNode,
    seen: Seen,
    cluster: &Result<ClusterStatus, String>,
) -> NodeRow {
    let address = state.address(node.node_port).to_string();
    let known = cluster.as_ref().ok().and_then(|cluster| cluster.nodes.iter().find(|known| known.address == address));
    let report = known.and_then(|known| known.report.as_ref().ok());
    let mut roles = Vec::new();
    if let (Some(known), Some(cluster)) = (known, cluster.as_ref().ok()) {
        // Any node that answers knows the voters, of dead ones too.
        let reports = || cluster.nodes.iter().filter_map(|other| other.report.as_ref().ok());
        if report.is_some_and(|report| report.leader) {
            roles.push("leader".to_string());
        }
        if reports().any(|other| other.voters.contains(&known.id)) {
            roles.push("voter".to_string());
        }
    }
    NodeRow {
        number: node.number,
        node_id: known.map(|known| known.id.0),
        pid: seen.pid,
        state: seen.state,
        web: format!("http://{}", state.address(node.web_port)),
        grpc: state.address(node.grpc_port).to_string(),
        s3: format!("http://{}", state.address(node.s3_port)),
        address,
        roles,
        partitions: report.map(|report| report.serving),
        behind: report.map(|report| report.syncing + report.waiting),
        caught_up: known.is_some_and(is_caught_up),
        log: super::child::log(folder, node.number),
    }
}

/// True when the node has everything that it should have.
pub fn is_caught_up(node: &NodeState) -> bool {
    let complete = |report: &rpc::wire::NodeStatus| {
        report.lease_valid
            && report.syncing == 0
            && report.waiting == 0
            && report.blocks_missing == 0
            && report.blocks_unchecked == 0
            && report.stopped.is_none()
    };
    node.alive && node.report.as_ref().is_ok_and(complete)
}

fn serves_all(node: &NodeState, partitions: u32) -> bool {
    node.report.as_ref().is_ok_and(|report| report.serving == partitions)
}

/// True when every partition is on as many nodes as it should be, and all nodes have everything.
pub fn is_settled(cluster: &ClusterStatus, nodes: usize) -> bool {
    cluster.nodes.len() == nodes
        && cluster.nodes.iter().all(is_caught_up)
        && match nodes < usize::from(cluster.replicas_wanted) {
            // As many copies as there are nodes: no more can be had.
            true => cluster.nodes.iter().all(|node| serves_all(node, cluster.partitions.total)),
            false => cluster.partitions.full == cluster.partitions.total,
        }
}

/// Fails when the cluster does not serve.
pub fn judge(status: &Status) -> Outcome {
    let Some(why) = &status.unreachable else { return Ok(()) };
    let down: Vec<u16> =
        status.nodes.iter().filter(|node| node.state != ProcessState::Running).map(|node| node.number).collect();
    let of = |state| status.nodes.iter().filter(|node| node.state == state).map(|node| node.number).next();
    let what = match (down.len(), status.nodes.len()) {
        (0, _) => why.clone(),
        (down, all) if 2 * down < all => {
            return Err(Failure::failed(format!(
                "the cluster is doing without {down} of its {all} nodes, and not ready yet"
            ))
            .safe("what was acknowledged is kept")
            .next("ask again in a second"));
        }
        (down, all) if down == all => "no node runs".to_string(),
        (down, all) => format!("the cluster does not serve: {down} of {all} nodes are away"),
    };
    let failure = Failure::failed(what).safe("what was acknowledged is on the nodes' disks");
    Err(match (of(ProcessState::Dead), of(ProcessState::Paused)) {
        (Some(dead), _) => failure.next(format!("atoll demo start {dead}")),
        (None, Some(paused)) => failure.next(format!("atoll demo resume {paused}")),
        (None, None) => failure.next("ask again in a moment; the nodes' logs are beside demo.json"),
    })
}

/// For people.
pub fn table(status: &Status) -> String {
    let mut table = output::table(["node", "process", "state", "role", "partitions", "caught up", "web", "grpc", "s3"]);
    for node in &status.nodes {
        let state = match node.state {
            ProcessState::Running => "running",
            ProcessState::Paused => "paused",
            ProcessState::Dead => "dead",
        };
        let partitions = match (node.partitions, node.behind) {
            (Some(serving), Some(behind)) if behind > 0 => format!("{serving} (+{behind} on the way)"),
            (Some(serving), _) => serving.to_string(),
            (None, _) => "–".to_string(),
        };
        table.add_row([
            node.number.to_string(),
            node.pid.map_or("–".to_string(), |pid| pid.to_string()),
            state.to_string(),
            if node.roles.is_empty() { "–".to_string() } else { node.roles.join(", ") },
            partitions,
            if node.caught_up { "yes" } else { "no" }.to_string(),
            node.web.clone(),
            node.grpc.clone(),
            node.s3.clone(),
        ]);
    }
    let away = status.nodes.iter().any(|node| node.state != ProcessState::Running);
    let verdict = match (&status.partitions, &status.unreachable) {
        (Some(p), _) if p.full + p.reduced == p.total && !away && status.nodes.len() < 3 => {
            "Everything is in service. No redundancy: three nodes have some (atoll demo --nodes 3).".to_string()
        }
        (Some(p), _) if p.full == p.total && away => {
            "The cluster has not noticed yet that a node is away; ask again in a second.".to_string()
        }
        (Some(p), _) if p.full == p.total => {
            format!("All {} partitions are on as many nodes as they should be.", p.total)
        }
        (Some(p), _) => format!(
            "{} partitions: {} complete, {} with fewer copies, {} read-only, {} unavailable.",
            p.total, p.full, p.reduced, p.read_only, p.unavailable
        ),
        // Said by the failure that follows.
        (None, _) => String::new(),
    };
    format!("Demo at {} (sign in as {})\n\n{}\n{verdict}", status.web, status.user, output::table_text(&table))
        .trim_end()
        .to_string()
        + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_every_node() {
        let row = |number: u16, state, pid| NodeRow {
            number,
            node_id: Some(u64::from(number)),
            pid,
            state,
            web: format!("http://127.0.0.1:808{number}"),
            s3: String::new(),
            grpc: "127.0.0.1:7070".into(),
            address: "127.0.0.1:7071".into(),
            roles: vec!["leader".into(), "voter".into()],
            partitions: Some(64),
            behind: Some(2),
            caught_up: false,
            log: "x".into(),
        };
        let status = Status {
            folder: "d".into(),
            supervisor_pid: 1,
            web: "http://127.0.0.1:8080".into(),
            user: "demo".into(),
            nodes: vec![row(1, ProcessState::Running, Some(77)), row(2, ProcessState::Dead, None)],
            partitions: None,
            unreachable: Some("two of three are dead".into()),
        };
        let text = table(&status);
        for words in ["running", "dead", "77", "leader, voter", "64 (+2 on the way)", "8081"] {
            assert!(text.contains(words), "{words} is missing in:\n{text}");
        }
        let failure = judge(&status).expect_err("it does not serve");
        assert_eq!((failure.to_string().contains("1 of 2 nodes are away"), failure.code()), (true, 1), "{failure}");
        let json = serde_json::to_string(&status).expect("json");
        assert_eq!(serde_json::from_str::<Status>(&json).expect("back").nodes[1].state, ProcessState::Dead);
    }
}
