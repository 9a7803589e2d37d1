//! The supervisor: starts the nodes, forms the cluster, carries out what is asked, stops all.

use super::admin::Admin;
use super::arrange::arrange;
use super::child::{self, Process};
use super::control::{self, Reply, Request};
use super::state::{self, DemoState};
use super::status;
use crate::failure::{Failure, Outcome};
use crate::{front, lock, output, up};
use futures::future::{join_all, try_join_all};
use node::Backend;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Name of the lock in a demo's folder.
pub const LOCK: &str = "supervisor.lock";
/// How long a node may take until it answers.
const READY: Duration = Duration::from_secs(60);
/// How long the cluster may take until everything is everywhere; it works before.
const SETTLED: Duration = Duration::from_secs(45);

pub struct Supervisor {
    pub(super) folder: PathBuf,
    pub(super) state: DemoState,
    pub(super) admin: Arc<Admin>,
    pub(super) nodes: Vec<Node>,
    /// A node that ended, by number and process.
    ends: mpsc::Sender<(u16, i32, String)>,
}

/// A node, as the supervisor sees it.
#[derive(Default)]
pub struct Node {
    pub(super) process: Option<Process>,
    pub(super) paused: bool,
    /// Its end was asked for: nothing to report.
    pub(super) expected: bool,
}

/// Runs the demo until it is told to stop.
pub async fn run(
    folder: &Path,
    nodes: Option<u16>,
    listen: IpAddr,
    fresh: bool,
    coordination: Option<&Backend>,
) -> Outcome {
    let mut stop = up::stop_asked(false)?;
    state::make_folder(folder)?;
    let held = lock::take(folder, LOCK)?.map_err(|holder| {
        Failure::failed(format!("a demo already runs in {} ({})", folder.display(), holder.describe()))
            .safe("it was not disturbed")
            .next("atoll demo status   shows it; atoll demo stop   ends it; --data DIR runs another beside it")
    })?;
    let state = arrange(folder, nodes, listen, fresh, coordination).await?;
    // Held from now on: another demo may look for free ports at the same time.
    let front = TcpListener::bind((state.listen, state.web_port)).await.map_err(|error| {
        Failure::io(format!("port {} was taken just now", state.web_port), &error).next("run the same command again")
    })?;
    let (ends, mut ended) = mpsc::channel(16);
    let mut supervisor = Supervisor {
        folder: folder.to_path_buf(),
        admin: Arc::new(Admin::new(folder, &state)),
        nodes: state.nodes.iter().map(|_| Node::default()).collect(),
        state,
        ends,
    };
    let formed = tokio::select! {
        formed = supervisor.form() => formed.map(|()| None),
        why = &mut stop => Ok(Some(why)),
    };
    let outcome = match formed {
        Ok(None) => supervisor.serve(front, &mut stop, &mut ended).await,
        Ok(Some(why)) => {
            eprintln!("Stopping ({why})…");
            Ok(None)
        }
        Err(failure) => Err(failure),
    };
    supervisor.stop_all().await;
    let asker = outcome?;
    // Whoever is told that it has stopped may start the next at once.
    control::close(folder);
    drop(held);
    let text = format!("The demo has stopped. Its data is kept in {}; `atoll demo` brings it back.", folder.display());
    if let Some(asker) = asker {
        let _left = asker.send(Reply::done(text.clone()));
        // The answer leaves through a task of its own; give it the moment that takes.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("{text}");
    Ok(())
}

impl Supervisor {
    /// Starts all nodes; those that are not members join.
    async fn form(&mut self) -> Outcome {
        eprintln!("Starting {} in {} …", output::count(self.nodes.len() as u64, "node"), self.folder.display());
        let members: Vec<u16> =
            self.state.nodes.iter().filter(|n| n.joined || n.number == 1).map(|n| n.number).collect();
        for number in &members {
            self.start(*number, None)?;
        }
        try_join_all(members.iter().map(|number| self.ready(*number))).await?;
        let joiners: Vec<u16> =
            self.state.nodes.iter().filter(|n| !members.contains(&n.number)).map(|n| n.number).collect();
        for number in &joiners {
            let token = self.admin.join_token(READY).await?;
            self.start(*number, Some(&token))?;
            // One after the other, so that the cluster numbers them as the demo does.
            self.joined(*number).await;
        }
        try_join_all(joiners.iter().map(|number| self.ready(*number))).await?;
        for node in &mut self.state.nodes {
            node.joined = true;
        }
        self.state.save(&self.folder)?;
        self.settle().await;
        Ok(())
    }

    /// Waits until a node has its number in the cluster, or has ended.
    async fn joined(&self, number: u16) {
        let process = self.nodes.get(usize::from(number) - 1).and_then(|node| node.process.clone());
        let deadline = Instant::now() + READY;
        let given_up = |process: &Process| process.ended().is_some() || Instant::now() >= deadline;
        while child::identity(&self.folder, number).is_none() && !process.as_ref().is_none_or(given_up) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits, for a while, until every partition is where it should be.
    async fn settle(&self) {
        let deadline = Instant::now() + SETTLED;
        loop {
            let status = self.admin.status().await;
            if status.as_ref().is_ok_and(|status| status::is_settled(status, self.nodes.len())) {
                return;
            }
            if Instant::now() >= deadline {
                let why = status.err().unwrap_or_else(|| "copies are still under way".into());
                eprintln!("Not everything is in place yet ({why}); see `atoll demo status`.");
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts a node's process.
    pub(super) fn start(&mut self, number: u16, join: Option<&str>) -> Outcome {
        let unknown = || Failure::failed(format!("there is no node {number}"));
        let node = self.state.node(number).ok_or_else(unknown)?;
        let data = child::data(&self.folder, number);
        let emptied = !data.join("identity.json").exists() && !data.join("log").exists();
        if join.is_none() && child::cluster(&self.folder).is_some() && emptied {
            return Err(Failure::failed(format!(
                "{} was emptied: started, it would begin a cluster of its own. The other nodes have all that it had; \
                 take it out of the cluster: atoll cluster drain {number}, then atoll cluster remove {number}",
                data.display()
            )));
        }
        let process = child::start(&self.folder, &self.state, node, join)?;
        let (ends, watched) = (self.ends.clone(), process.clone());
        tokio::spawn(async move {
            let how = watched.wait().await;
            let _supervisor_gone = ends.send((number, watched.pid, how)).await;
        });
        let slot = self.nodes.get_mut(usize::from(number) - 1).ok_or_else(unknown)?;
        *slot = Node { process: Some(process), paused: false, expected: false };
        Ok(())
    }

    /// Waits until a node answers for its health: that very process, not whatever else may have its port.
    pub(super) fn ready(&self, number: u16) -> impl Future<Output = Outcome> + use<> {
        let process = self.nodes.get(usize::from(number) - 1).and_then(|node| node.process.clone());
        let address = self.state.node(number).map(|node| self.state.address(node.web_port));
        let log = child::log(&self.folder, number);
        async move {
            let (Some(process), Some(address)) = (process, address) else {
                return Err(Failure::failed(format!("there is no node {number}")));
            };
            let last_words = |what: String| {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                let tail: String = tail.iter().rev().map(|line| format!("\n    {line}")).collect();
                Failure::failed(format!("{what}; its last words:{tail}"))
                    .next(format!("read its log: {}", log.display()))
            };
            let own = &process;
            let answers = async {
                loop {
                    let asked = tokio::time::timeout(Duration::from_secs(2), front::health(address)).await;
                    if matches!(asked, Ok(Ok(seen)) if seen.serves() && seen.instance.as_ref() == Some(&own.instance)) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                () = answers => Ok(()),
                how = process.wait() => Err(last_words(format!("node {number} ended ({how})"))),
                () = tokio::time::sleep(READY) => Err(last_words(format!("node {number} is not ready after {} s", READY.as_secs()))),
            }
        }
    }

    /// Carries out what is asked until the demo is to stop; gives whoever asked for that.
    async fn serve(
        &mut self,
        front: TcpListener,
        stop: &mut (impl Future<Output = &'static str> + Unpin),
        ended: &mut mpsc::Receiver<(u16, i32, String)>,
    ) -> Outcome<Option<oneshot::Sender<Reply>>> {
        let mut asked = control::listen(&self.folder)?;
        let backends = self.state.nodes.iter().map(|node| self.state.address(node.web_port)).collect();
        let (stop_front, front_stops) = watch::channel(false);
        let cluster = child::cluster(&self.folder).map(|cluster| format!("{:032x}", cluster.0));
        let front = tokio::spawn(front::serve(front, backends, cluster, front_stops));
        output::print(self.welcome())?;
        let asker = loop {
            tokio::select! {
                why = &mut *stop => {
                    eprintln!("Stopping ({why})…");
                    break None;
                }
                Some((number, pid, how)) = ended.recv() => self.report_end(number, pid, &how),
                Some(asked) = asked.recv() => match asked {
                    (Request::Stop, asker) => break Some(asker),
                    asked => self.carry_out(asked).await,
                },
            }
        };
        let _ends_anyway = stop_front.send(true);
        let _panicked = front.await;
        Ok(asker)
    }

    fn report_end(&mut self, number: u16, pid: i32, how: &str) {
        let Some(node) = self.nodes.get_mut(usize::from(number) - 1) else { return };
        // An earlier life's end may be heard of after the next has begun.
        if node.process.as_ref().is_none_or(|process| process.pid != pid) {
            return;
        }
        if !node.expected {
            eprintln!(
                "Node {number} ended by itself ({how}). Its log: {}. Start it again: atoll demo start {number}",
                child::log(&self.folder, number).display()
            );
        }
        node.process = None;
        node.paused = false;
    }

    async fn stop_all(&mut self) {
        for node in &mut self.nodes {
            node.expected = true;
        }
        join_all(self.nodes.iter().filter_map(|node| node.process.as_ref()).map(Process::stop)).await;
    }

    fn welcome(&self) -> String {
        let state = &self.state;
        let usual = std::env::current_dir().is_ok_and(|here| here.join("atoll-demo") == self.folder);
        // Elsewhere, each command must be told where.
        let (demo, login) = match usual {
            true => ("atoll demo".to_string(), "atoll login".to_string()),
            false => {
                let folder = self.folder.display();
                (format!("atoll demo --data {folder}"), format!("ATOLL_DEMO_DATA={folder} atoll login"))
            }
        };
        let mut lines = vec![
            String::new(),
            format!("Atoll demo: {} on this machine.", output::count(state.nodes.len() as u64, "node")),
            String::new(),
            format!("  Open      http://{}     (any node may die behind this address)", state.address(state.web_port)),
            format!("  Sign in   {}  {}", state.user, state.password),
            format!("  Data      {}", self.folder.display()),
            String::new(),
        ];
        for (node, seen) in state.nodes.iter().zip(self.seen()) {
            let (web, grpc) = (state.address(node.web_port), state.address(node.grpc_port));
            let s3 = state.address(node.s3_port);
            let pid = seen.pid.unwrap_or_default();
            lines.push(format!("  node {}    http://{web}   grpc {grpc}   s3 {s3}   process {pid}", node.number));
        }
        lines.extend([
            String::new(),
            "Try, in another terminal here:".to_string(),
            format!("  {login} && atoll upload README.md && atoll ls"),
            format!("  {demo} kill 2      and go on using it"),
            format!("  {demo} start 2"),
            format!("  {demo} status"),
            String::new(),
            "Ctrl-C stops the demo; its data stays.".to_string(),
        ]);
        lines.join("\n") + "\n"
    }
}
