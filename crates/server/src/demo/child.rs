//! A node as a child process.
//!
//! One task owns the child, so that no signal can reach another process that
//! was given the same number later. The child's standard input is a pipe that
//! ends with this process, however it ends; the child watches it. Its process
//! group is its own: Ctrl-C reaches the supervisor only, and a frozen orphan is
//! woken and hung up on by the kernel.

use super::state::{DemoNode, DemoState};
use crate::compose::program;
use crate::failure::{Failure, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use types::ClusterId;

/// How long a clean stop may take before it is cut short.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// How many threads a node runs its tasks on, as its runtime reads it.
const WORKERS: &str = "TOKIO_WORKER_THREADS";

/// A child, alive or not.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its process number.
    pub pid: i32,
    /// What its `/health` repeats, and no other program's.
    pub instance: String,
    orders: mpsc::Sender<(Signal, oneshot::Sender<()>)>,
    ended: watch::Receiver<Option<String>>,
}

/// Where a node of the demo keeps its data.
pub fn data(folder: &Path, number: u16) -> PathBuf {
    folder.join(format!("node-{number}"))
}

/// Where a node of the demo writes its log.
pub fn log(folder: &Path, number: u16) -> PathBuf {
    folder.join(format!("node-{number}.log"))
}

/// The cluster that the demo's nodes belong to, once there is one.
pub fn cluster(folder: &Path) -> Option<ClusterId> {
    (1..=16).find_map(|number| Some(identity(folder, number)?.cluster))
}

/// Who a node is, once it is a member.
pub fn identity(folder: &Path, number: u16) -> Option<node::Identity> {
    node::Identity::load(&data(folder, number)).ok().flatten()
}

/// Starts a node; `join`: the token to join by.
pub fn start(folder: &Path, state: &DemoState, node: &DemoNode, join: Option<&str>) -> Outcome<Process> {
    let path = log(folder, node.number);
    let failed = |error: std::io::Error| Failure::io(format!("cannot start node {}", node.number), &error);
    let log = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
    let mut command = Command::new(program());
    command.arg("up").arg("--data").arg(data(folder, node.number)).arg("--exit-with-parent");
    command.arg("--listen").arg(state.listen.to_string());
    command.arg("--advertise").arg(state.address(0).ip().to_string());
    // Browsers come to the front, which speaks plain HTTP; the nodes' own ports are for looking.
    command.arg("--plain-http");
    // The front speaks to the nodes from there.
    command.arg("--trust-proxy").arg(state.address(0).ip().to_string());
    let ports = [
        ("--web-port", node.web_port),
        ("--grpc-port", node.grpc_port),
        ("--node-port", node.node_port),
        ("--s3-port", node.s3_port),
    ];
    for (flag, port) in ports {
        command.arg(flag).arg(port.to_string());
    }
    if let Some(coordination) = &state.coordination {
        command.arg("--coordination").arg(coordination);
    }
    // Neither this process's variables nor a configuration file beside it are meant for its children.
    let mine = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("ATOLL_") && name != "ATOLL_LOG");
    for (name, _) in std::env::vars_os().filter(|(name, _)| mine(name)) {
        command.env_remove(name);
    }
    // Secrets go by variable: anybody on the machine can see flags.
    command.env("ATOLL_ADMIN_USER", &state.user).env("ATOLL_ADMIN_PASSWORD", &state.password);
    let instance = format!("{:032x}", rand::random::<u128>());
    command.env("ATOLL_INSTANCE", &instance);
    if let Some(token) = join {
        command.env("ATOLL_JOIN", token);
    }
    // All nodes are on this machine: with a worker for each processor in each of them, most of a request's cost is
    // workers waking each other. Who has set it knows better.
    if std::env::var_os(WORKERS).is_none() {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        command.env(WORKERS, (processors / state.nodes.len().max(1)).max(1).to_string());
    }
    command.current_dir(folder).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    let child = command.spawn().map_err(failed)?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid =
        pid.ok_or_else(|| Failure::failed(format!("node {} ended at once: see {}", node.number, path.display())))?;
    let (orders, inbox) = mpsc::channel(4);
    let (tell, ended) = watch::channel(None);
    tokio::spawn(own(child, inbox, tell));
    Ok(Process { pid, instance, orders, ended })
}

async fn own(
    mut child: Child,
    mut inbox: mpsc::Receiver<(Signal, oneshot::Sender<()>)>,
    tell: watch::Sender<Option<String>>,
) {
    // Waiting for a child closes its standard input, unless somebody else holds it.
    let _open_until_the_end = child.stdin.take();
    loop {
        tokio::select! {
            status = child.wait() => {
                let why = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                tell.send_replace(Some(why));
                return;
            }
            // None: nobody holds the process any more; dropping the child kills it.
            order = inbox.recv() => match order {
                None => return,
                Some((signal, done)) => {
                    // Not waited for yet, so the number is still its own.
                    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                        let _gone_already = kill(Pid::from_raw(pid), signal);
                    }
                    let _nobody_waits = done.send(());
                }
            },
        }
    }
}

impl Process {
    /// How it ended, if it has.
    pub fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Ends when it has ended, with how.
    pub async fn wait(&self) -> String {
        let mut ended = self.ended.clone();
        let how = ended.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
        how.unwrap_or_else(|| "killed".into())
    }

    /// Sends a signal.
    pub async fn signal(&self, signal: Signal) {
        let (done, wait) = oneshot::channel();
        if self.orders.send((signal, done)).await.is_ok() {
            let _ended_meanwhile = wait.await;
        }
    }

    /// Kills it and waits for its end.
    pub async fn kill(&self) {
        self.signal(Signal::SIGKILL).await;
        self.wait().await;
    }

    /// Asks it to stop, and kills it if it does not in time.
    pub async fn stop(&self) {
        self.signal(Signal::SIGTERM).await;
        // A frozen one gets the order when it goes on.
        self.signal(Signal::SIGCONT).await;
        if tokio::time::timeout(STOP_PATIENCE, self.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "a node did not stop in time and is killed");
            self.kill().await;
        }
    }
}
