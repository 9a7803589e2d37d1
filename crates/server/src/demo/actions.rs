//! What can be done with a running demo, and the answers.

use super::child::Process;
use super::control::{Asked, Reply, Request};
use super::status::{self, ProcessState, Seen};
use super::supervisor::{Node, Supervisor};
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long whoever starts a node waits until it serves.
const ALONE: Duration = Duration::from_secs(4);

impl Supervisor {
    /// Carries out one request and answers it.
    pub(super) async fn carry_out(&mut self, (request, asker): Asked) {
        let reply = match request {
            Request::Kill { node } => self.kill(node).await,
            Request::Pause { node } => self.freeze(node, true).await,
            Request::Resume { node } => self.freeze(node, false).await,
            Request::Start { node } => return self.start_for(node, asker),
            Request::Stop => Reply::done("stopping"),
            Request::Status => {
                let (folder, state, seen, admin) =
                    (self.folder.clone(), self.state.clone(), self.seen(), self.admin.clone());
                tokio::spawn(async move {
                    let status = status::gather(&folder, &state, seen, &admin).await;
                    let _left = asker.send(Reply { status: Some(status), ..Reply::done("") });
                });
                return;
            }
        };
        if reply.ok {
            eprintln!("{}", reply.text);
        }
        let _left = asker.send(reply);
    }

    /// Each node's process.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let alive = |node: &Node| node.process.as_ref().filter(|process| process.ended().is_none()).map(|p| p.pid);
        let seen = |node: &Node| match alive(node) {
            Some(pid) if node.paused => Seen { pid: Some(pid), state: ProcessState::Paused },
            Some(pid) => Seen { pid: Some(pid), state: ProcessState::Running },
            None => Seen { pid: None, state: ProcessState::Dead },
        };
        self.nodes.iter().map(seen).collect()
    }

    /// The node's process, if it lives.
    fn living(&mut self, number: u16) -> Result<(&mut Node, Process), Box<Reply>> {
        let count = self.nodes.len();
        let Some(node) = usize::from(number).checked_sub(1).and_then(|index| self.nodes.get_mut(index)) else {
            let text = format!("there is no node {number}: the demo has {count}");
            return Err(Box::new(Reply::refused(text, "atoll demo status")));
        };
        match node.process.clone().filter(|process| process.ended().is_none()) {
            Some(process) => Ok((node, process)),
            None => {
                let next = format!("atoll demo start {number}");
                Err(Box::new(Reply::refused(format!("node {number} is dead"), next)))
            }
        }
    }

    async fn kill(&mut self, number: u16) -> Reply {
        match self.living(number) {
            Ok((node, process)) => {
                node.expected = true;
                process.kill().await;
                Reply::done(format!(
                    "Node {number} is dead (killed process {}). Bring it back: atoll demo start {number}",
                    process.pid
                ))
            }
            Err(reply) => *reply,
        }
    }

    async fn freeze(&mut self, number: u16, freeze: bool) -> Reply {
        match self.living(number) {
            Ok((node, process)) => {
                node.paused = freeze;
                process.signal(if freeze { Signal::SIGSTOP } else { Signal::SIGCONT }).await;
                Reply::done(match freeze {
                    true => format!("Node {number} is frozen. Let it go on: atoll demo resume {number}"),
                    false => format!("Node {number} goes on."),
                })
            }
            Err(reply) => *reply,
        }
    }

    fn start_for(&mut self, number: u16, asker: oneshot::Sender<Reply>) {
        let refuse = |asker: oneshot::Sender<Reply>, reply| drop(asker.send(reply));
        if usize::from(number) > self.nodes.len() || number == 0 {
            let text = format!("there is no node {number}: the demo has {}", self.nodes.len());
            return refuse(asker, Reply::refused(text, "atoll demo status"));
        }
        if let Ok((node, process)) = self.living(number) {
            let (text, next) = match node.paused {
                true => (format!("node {number} is frozen, not dead"), format!("atoll demo resume {number}")),
                false => (format!("node {number} runs already (process {})", process.pid), "atoll demo status".into()),
            };
            return refuse(asker, Reply::refused(text, next));
        }
        if let Err(failure) = self.start(number, None) {
            return refuse(asker, Reply::refused(failure.to_string(), "atoll demo status"));
        }
        let ready = self.ready(number);
        tokio::spawn(async move {
            let reply = match tokio::time::timeout(ALONE, ready).await {
                Ok(Ok(())) => {
                    Reply::done(format!("Node {number} is up again; it catches up by itself: atoll demo status"))
                }
                Ok(Err(failure)) => Reply::refused(failure.to_string(), "atoll demo status"),
                // It runs, but most of the others do not: it serves as soon as they are back.
                Err(_) => Reply::done(format!("Node {number} runs and waits for other nodes: atoll demo status")),
            };
            eprintln!("{}", reply.text);
            let _left = asker.send(reply);
        });
    }
}
