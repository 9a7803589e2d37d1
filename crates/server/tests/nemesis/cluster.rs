//! The cluster under test: all nodes, what they stand on, and an administrator of it.

use crate::clock;
use crate::ensemble::Ensemble;
use crate::fault::{Act, CLIENTS, SERVERS};
use crate::network::{Network, address};
use crate::node::{Node, PASSWORD, USER};
use client::remote::{ClusterStatus, Options, Remote, RemoteError};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long a cluster that nothing ails any more may take until it is whole.
const WHOLE_WITHIN: Duration = Duration::from_secs(90);

/// Two tables, so that transactions are about more than one.
pub const TABLES: [&str; 2] = ["ant", "bee"];

/// Nodes, network, and a way in.
pub struct Cluster {
    work: PathBuf,
    binary: PathBuf,
    pub nodes: Vec<Node>,
    ensemble: Option<Ensemble>,
    network: Network,
    runtime: Handle,
    token: String,
    remote: Option<Remote>,
    /// What is not as it should be, beyond what clients see.
    pub complaints: Vec<String>,
}

impl Cluster {
    /// A new one, whole and with its tables.
    pub fn start(
        work: &Path,
        nodes: u16,
        binary: &Path,
        on_zookeeper: bool,
        runtime: Handle,
    ) -> Result<Cluster, String> {
        let skew = clock::library(work)?;
        let network = Network::new(nodes)?;
        let host = address(CLIENTS).parse().map_err(|_| "the clients' address")?;
        let ensemble = on_zookeeper.then(|| Ensemble::start_at(host, SERVERS, ""));
        let mut nodes: Vec<Node> =
            (1..=nodes).map(|number| Node::new(work, number, binary, &skew)).collect::<Result<_, _>>()?;
        // The others are told when they join.
        nodes[0].coordination = ensemble.as_ref().map(|ensemble| ensemble.address("/nemesis"));
        let (token, complaints) = (String::new(), Vec::new());
        let mut cluster = Cluster {
            work: work.to_path_buf(),
            binary: binary.to_path_buf(),
            nodes,
            ensemble,
            network,
            runtime,
            token,
            remote: None,
            complaints,
        };
        cluster.nodes[0].start(None)?;
        let begun = Instant::now();
        let remote = loop {
            match cluster.runtime.block_on(sign_in(vec![cluster.nodes[0].gateway()])) {
                Ok(remote) => break remote,
                Err(error) if begun.elapsed() > WHOLE_WITHIN => return Err(format!("the first node: {error}")),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        cluster.token = remote.token().unwrap_or_default();
        cluster.remote = Some(remote);
        for place in 1..cluster.nodes.len() {
            let token = cluster.join_token()?;
            cluster.nodes[place].start(Some(&token))?;
        }
        // From now on by way of whichever answers.
        let again = Remote::with_options(cluster.gateways(0), Some(cluster.token()), Options::default());
        cluster.remote = Some(cluster.runtime.block_on(again).map_err(|error| error.to_string())?);
        cluster.wait_whole()?;
        // From now on any of them may be the one that is lost.
        let (gateways, token) = (cluster.gateways(0), cluster.token());
        let all = cluster.runtime.block_on(Remote::with_options(gateways, Some(token), Options::default()));
        cluster.remote = Some(all.map_err(|error| format!("the administrator: {error}"))?);
        let remote = cluster.admin()?;
        for table in TABLES {
            let made = cluster.runtime.block_on(remote.create_table(table, types::TableKind::Strong, true));
            made.map_err(|error| format!("making a table: {error}"))?;
        }
        Ok(cluster)
    }

    fn join_token(&mut self) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            let remote = self.admin()?;
            match self.runtime.block_on(remote.join_token(Duration::from_secs(600))) {
                Ok(token) => return Ok(token.token),
                Err(error) if begun.elapsed() > WHOLE_WITHIN => return Err(format!("a join token: {error}")),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// All gateways, that node's first.
    pub fn gateways(&self, first: usize) -> Vec<String> {
        let count = self.nodes.len();
        (0..count).map(|place| self.nodes[(first + place) % count].gateway()).collect()
    }

    /// The session that all share.
    pub fn token(&self) -> String {
        self.token.clone()
    }

    fn admin(&self) -> Result<Remote, String> {
        match &self.remote {
            Some(remote) => Ok(remote.clone()),
            None => Err("nobody is signed in".into()),
        }
    }

    /// Begins a fault.
    pub fn begin(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Kill { nodes } => {
                // All at once, then the waiting.
                nodes.iter().for_each(|node| self.node(*node).signal(Signal::SIGKILL));
                nodes.iter().for_each(|node| self.node(*node).bury());
            }
            Act::Stop { node } => {
                if !self.node(*node).stop() {
                    self.complaints.push(format!("node {node} did not stop within 20 s of SIGTERM"));
                }
            }
            Act::Pause { node } => self.node(*node).signal(Signal::SIGSTOP),
            Act::Cut { ways } => self.network.cut(ways)?,
            Act::Flaky { node, percent } => self.network.lose(*node, *percent)?,
            Act::Slow { node, kilobits } => self.network.slow(*node, Some(*kilobits))?,
            Act::Fill { node } => self.node(*node).disk.fill(),
            Act::Power { nodes, outlived } => {
                if outlived.is_zero() {
                    // Nothing happens between the last moment of the disk and that of the process.
                    nodes.iter().for_each(|node| self.node(*node).signal(Signal::SIGSTOP));
                }
                for node in nodes {
                    self.node(*node).disk.die()?;
                }
                std::thread::sleep(*outlived);
                nodes.iter().for_each(|node| self.node(*node).bury());
            }
            Act::Jump { node, seconds } => self.node(*node).clock.jump(*seconds)?,
            Act::Drift { node, millionths } => self.node(*node).clock.rate(*millionths)?,
            Act::Server { server } => {
                if let Some(ensemble) = &self.ensemble {
                    ensemble.kill_server(*server);
                }
            }
            Act::Wipe { node } => self.wipe(*node)?,
        }
        Ok(())
    }

    /// Ends a fault.
    pub fn end(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Kill { nodes } => nodes.iter().try_for_each(|node| self.node(*node).start(None)),
            Act::Stop { node } => self.node(*node).start(None),
            Act::Pause { node } => {
                self.node(*node).signal(Signal::SIGCONT);
                Ok(())
            }
            Act::Cut { ways } => self.network.mend(ways),
            Act::Flaky { node, .. } => self.network.lose(*node, 0),
            Act::Slow { node, .. } => self.network.slow(*node, None),
            Act::Fill { node } => {
                self.node(*node).disk.make_room();
                // One that could not go on has stopped; whoever watches it starts it again.
                self.node(*node).start(None)
            }
            Act::Power { nodes, .. } => nodes.iter().try_for_each(|node| {
                let node = self.node(*node);
                node.disk.revive()?;
                node.start(None)
            }),
            Act::Jump { node, seconds } => self.node(*node).clock.jump(-seconds),
            Act::Drift { node, .. } => self.node(*node).clock.rate(0),
            Act::Server { server } => {
                if let Some(ensemble) = &self.ensemble {
                    ensemble.start_server(*server);
                }
                Ok(())
            }
            Act::Wipe { .. } => Ok(()),
        }
    }

    fn node(&mut self, number: u16) -> &mut Node {
        debug_assert_ne!(number, CLIENTS);
        &mut self.nodes[usize::from(number) - 1]
    }

    /// Every node is started that does not run.
    pub fn start_all(&mut self) -> Result<(), String> {
        self.nodes.iter_mut().try_for_each(|node| node.start(None))
    }

    /// Waits until every node serves and every partition has all its replicas; how long that took.
    pub fn wait_whole(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            self.start_all()?;
            let remote = self.admin()?;
            let status = self.runtime.block_on(remote.cluster_status());
            let why = match &status {
                Ok(status) => match ailing(status, self.nodes.len()) {
                    None => return Ok(begun.elapsed()),
                    Some(why) => why,
                },
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > WHOLE_WITHIN {
                return Err(format!("not whole {WHOLE_WITHIN:?} after everything was mended: {why}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The node's disk is lost: the others do without it, and it comes again as a new one.
    fn wipe(&mut self, number: u16) -> Result<(), String> {
        self.wait_whole()?;
        let status = self.runtime.block_on(self.admin()?.cluster_status()).map_err(|error| error.to_string())?;
        let gateway = self.node(number).gateway();
        let id = status.nodes.iter().find(|node| node.grpc == gateway && node.alive).map(|node| node.id);
        let id = id.ok_or_else(|| format!("node {number} is not in the cluster's status"))?.to_string();
        let node = self.node(number);
        node.bury();
        node.disk.replace()?;
        let first = usize::from(number) % self.nodes.len();
        self.command(&["cluster", "drain", &id], first)?;
        self.command(&["cluster", "remove", &id], first)?;
        let token = self.join_token()?;
        self.node(number).start(Some(&token))?;
        self.wait_whole().map(drop)
    }

    /// `atoll cluster verify`: reads everything back.
    pub fn verify(&mut self) -> Result<(), String> {
        self.command(&["cluster", "verify"], 0)
    }

    /// A command of the administrator's.
    fn command(&mut self, words: &[&str], first: usize) -> Result<(), String> {
        let mut command = Command::new(&self.binary);
        command.args(words).current_dir(&self.work).env("ATOLL_CONFIG_DIR", self.work.join("home"));
        command.env("ATOLL_SERVER", self.gateways(first).join(",")).env("ATOLL_TOKEN", &self.token);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("atoll {}: {}", words.join(" "), String::from_utf8_lossy(&said).trim()))
    }
}

async fn sign_in(gateways: Vec<String>) -> Result<Remote, RemoteError> {
    let remote = Remote::with_options(gateways, None, Options::default()).await?;
    remote.sign_in(USER, PASSWORD, "nemesis").await?;
    Ok(remote)
}

/// What is not well.
fn ailing(status: &ClusterStatus, nodes: usize) -> Option<String> {
    let serves = |node: &&client::remote::NodeState| {
        let well = node.report.as_ref().is_ok_and(|report| report.lease_valid && report.stopped.is_none());
        node.alive && well
    };
    let serving = status.nodes.iter().filter(serves).count();
    let partitions = &status.partitions;
    if serving == nodes && partitions.full == partitions.total && partitions.total > 0 {
        return None;
    }
    let brief = |node: &client::remote::NodeState| match &node.report {
        Ok(report) => format!(
            "node {} at {}: alive {}, lease {}, {} serving, {} syncing, {} waiting, {} bytes free",
            node.id,
            node.grpc,
            node.alive,
            report.lease_valid,
            report.serving,
            report.syncing,
            report.waiting,
            report.bytes_free
        ),
        Err(why) => format!("node {} at {}: alive {}, {why}", node.id, node.grpc, node.alive),
    };
    let each: Vec<String> = status.nodes.iter().map(brief).collect();
    Some(format!("{serving} of {nodes} nodes serve; {partitions:?}\n{}", each.join("\n")))
}
