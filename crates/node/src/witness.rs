//! A process beside the node's own, which tells the cluster when the node's has ended.
//!
//! A lease protects the cluster from a node that nobody can reach and that goes on serving. A process that has ended
//! serves nobody, and its kernel knows: the node holds one end of a pipe, for as long as it lives and nowhere
//! else, and the witness reads the other. Its end is proof that no thread of the node runs any more, whether it was killed,
//! ran out of memory or broke down; a frozen one holds its end. The witness then says so to every node, under the
//! node's own certificate, and ends. What is proved is the end of a process: a machine that loses its power, or its
//! network, takes the witness with it, and its lease is waited for.

use crate::certificate::Papers;
use crate::identity::Identity;
use crate::node::Inner;
use bytes::Bytes;
use futures::future::join_all;
use parking_lot::{Condvar, Mutex};
use rpc::wire::method;
use rpc::{ClientConfig, Credentials, Peer, Pool, RpcError};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read, Write};
use std::mem::ManuallyDrop;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use types::ReplicaId;

/// How long the witness tries to be heard: by then the lease has run out.
const INSIST: Duration = Duration::from_secs(2);
/// Between two tries to tell one node: short beside a lease, which is what is to be saved.
const AGAIN: Duration = Duration::from_millis(50);
/// From one call for a witness to the next, when it has gone.
const CALL_AGAIN: Duration = Duration::from_secs(10);
/// How often it is looked whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Nodes that are told.
const OTHERS_MAX: usize = 512;
/// Bytes of one statement: addresses have up to 256 bytes each.
const STATEMENT_BYTES_MAX: u64 = 256 * 1024;

/// What the witness is to say when the node's process has ended: the last line that it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    /// The life that ends with the process; none: nobody would be interested.
    life: Option<ReplicaId>,
    /// Where its certificate is.
    folder: PathBuf,
    address: String,
    /// Whom to tell.
    others: Vec<String>,
}

/// The newest statement, and whether the witness has heard it.
struct Slate {
    newest: Mutex<(Statement, bool)>,
    changed: Condvar,
}

impl Slate {
    fn write(&self, statement: Statement) {
        let mut newest = self.newest.lock();
        if newest.0 != statement {
            *newest = (statement, false);
            self.changed.notify_one();
        }
    }

    /// Waits so long for one that is new; `again`: the one there is, if there is no newer.
    fn read(&self, again: bool, wait: Duration) -> Option<Statement> {
        let mut newest = self.newest.lock();
        if newest.1 && !again {
            self.changed.wait_for(&mut newest, wait);
        }
        if newest.1 && !again {
            return None;
        }
        newest.1 = true;
        Some(newest.0.clone())
    }
}

/// Keeps a witness for as long as the process runs, and tells it what it would have to say.
pub(crate) async fn keep(inner: Arc<Inner>, program: Option<PathBuf>) {
    let Some(program) = program else { return std::future::pending().await };
    let folder = std::path::absolute(&inner.folder).unwrap_or_else(|_| inner.folder.clone());
    let first = Statement { life: None, folder, address: inner.address.clone(), others: Vec::new() };
    let slate = Arc::new(Slate { newest: Mutex::new((first.clone(), false)), changed: Condvar::new() });
    // A thread, which neither the runtime's end nor a panic elsewhere ends before the process does.
    let (thread, its) = (std::thread::Builder::new().name("witness".into()), slate.clone());
    if let Err(error) = thread.spawn(move || stand_by(&program, &its)) {
        tracing::warn!(%error, "there is no witness: were this process to end, its lease would be waited for");
        return std::future::pending().await;
    }
    let (mut layout, mut lives) = (inner.layout.clone(), inner.lives.subscribe());
    loop {
        let life = *lives.borrow_and_update();
        let nodes = layout.borrow_and_update().clone();
        let others = nodes.nodes.values().filter(|node| !node.address.is_empty() && node.address != inner.address);
        let others = others.map(|node| node.address.clone()).take(OTHERS_MAX).collect();
        slate.write(Statement { life, others, ..first.clone() });
        let changed = tokio::select! {
            changed = layout.changed() => changed,
            changed = lives.changed() => changed,
        };
        if changed.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Calls witnesses, one after the other should one go, and passes statements on. Ends with the process.
fn stand_by(program: &Path, slate: &Slate) {
    let mut told = false;
    loop {
        let called = Instant::now();
        let mut command = Command::new(program);
        // In a group of its own, so that what is meant for the node's does not reach it; holding nothing that
        // anybody else waits for.
        command.process_group(0).env_clear().current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        match command.arg("witness").stdin(Stdio::piped()).spawn() {
            Ok(mut child) => {
                // Closed by nothing but the end of this process: the witness must not take it for dead.
                let pipe = child.stdin.take().map(ManuallyDrop::new);
                if let Some(mut pipe) = pipe {
                    let why = pass_on(&mut *pipe, slate, || child.try_wait().ok().flatten());
                    // One that ends again and again is told of once.
                    if !told || called.elapsed() >= CALL_AGAIN {
                        told = true;
                        tracing::warn!(%why, "the witness has ended: another is called, but were this process to end meanwhile, its lease would be waited for");
                    }
                    if child.wait().is_ok() {
                        drop(ManuallyDrop::into_inner(pipe));
                    }
                }
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "there is no witness: were this process to end, its lease would be waited for");
            }
            Err(_) => {}
        }
        std::thread::sleep(CALL_AGAIN.saturating_sub(called.elapsed()));
    }
}

/// Writes each statement, until that fails or the witness has ended.
fn pass_on(pipe: &mut impl Write, slate: &Slate, mut ended: impl FnMut() -> Option<ExitStatus>) -> String {
    let mut again = true;
    loop {
        if let Some(statement) = slate.read(again, LOOK_EVERY) {
            let written = serde_json::to_vec(&statement).map_err(std::io::Error::other).and_then(|mut line| {
                line.push(b'\n');
                pipe.write_all(&line)
            });
            if let Err(error) = written {
                return error.to_string();
            }
        }
        again = false;
        if let Some(status) = ended() {
            return status.to_string();
        }
    }
}

/// The witness itself: reads what to say until the pipe ends, and says it.
pub fn witness(mut pipe: impl BufRead) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    // Who ends what is left of a service must not end this before it has spoken; it does not live for long.
    let ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let _unheeded = ends.map(signal);
    drop(entered);
    let mut last: Option<Statement> = None;
    loop {
        let mut line = Vec::new();
        pipe.by_ref().take(STATEMENT_BYTES_MAX).read_until(b'\n', &mut line)?;
        match serde_json::from_slice(&line) {
            Ok(statement) => last = Some(statement),
            // Cut short in the middle of a line: the one before is as true. What is merely too long, or makes no
            // sense, says nothing about the process.
            Err(_) if line.last() != Some(&b'\n') && pipe.fill_buf()?.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    let Some((statement, life)) = last.and_then(|last| last.life.map(|life| (last, life))) else { return Ok(()) };
    runtime.block_on(statement.tell(life))
}

impl Statement {
    /// Tells everybody that can be reached in time.
    async fn tell(&self, life: ReplicaId) -> std::io::Result<()> {
        let identity = Identity::load(&self.folder).map_err(std::io::Error::other)?;
        let papers = Papers::load(&self.folder).map_err(std::io::Error::other)?;
        let Some((identity, papers)) = identity.zip(papers) else { return Ok(()) };
        let keys = papers.keyring(identity.cluster).map_err(std::io::Error::other)?;
        let pool = Pool::new(ClientConfig::new(Credentials::new(keys, Peer::node(life, self.address.clone()))));
        let (body, until) = (rpc::codec::encode(&life), Instant::now() + INSIST);
        join_all(self.others.iter().map(|other| insist(&pool, other, &body, until))).await;
        Ok(())
    }
}

/// Says it until it was heard, or is of no use any more.
async fn insist(pool: &Pool, address: &str, body: &Bytes, until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match pool.call(address, method::DIED, body.clone(), left).await {
            // Whatever it says: it has heard.
            Ok(_) | Err(RpcError::Remote(_)) => return,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Incarnation, NodeId};

    fn statement(life: Option<u64>) -> Statement {
        let life = life.map(|life| ReplicaId { node: NodeId(3), incarnation: Incarnation(life) });
        Statement { life, folder: "/nowhere/at/all".into(), address: "a:1".into(), others: vec!["b:1".into()] }
    }

    #[test]
    fn the_newest_statement_is_passed_on_once_and_to_a_new_witness_again() {
        let slate = Slate { newest: Mutex::new((statement(None), false)), changed: Condvar::new() };
        let soon = Duration::from_millis(1);
        assert_eq!(slate.read(true, soon), Some(statement(None)));
        assert_eq!(slate.read(false, soon), None);
        slate.write(statement(Some(1)));
        slate.write(statement(Some(2)));
        assert_eq!(slate.read(false, soon), Some(statement(Some(2))));
        assert_eq!(slate.read(true, soon), Some(statement(Some(2))));
        slate.write(statement(Some(2)));
        assert!(slate.newest.lock().1, "nothing new was said");
    }

    #[test]
    fn the_end_of_a_witness_is_noticed_although_there_is_nothing_to_tell_it() {
        let slate = Slate { newest: Mutex::new((statement(Some(1)), false)), changed: Condvar::new() };
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        child.kill().unwrap();
        let mut said = Vec::new();
        let why = pass_on(&mut said, &slate, || child.try_wait().unwrap());
        assert!(why.contains("signal"), "{why}");
        assert!(said.ends_with(b"\n"), "it was told before");
    }

    #[test]
    fn a_statement_cut_short_leaves_the_one_before() {
        let mut line = serde_json::to_vec(&statement(Some(1))).unwrap();
        line.push(b'\n');
        let mut cut = line.clone();
        cut.extend_from_slice(&line[..line.len() / 2]);
        // A folder that is not there: there is nobody to speak for, so it was reached.
        for text in [&line[..], &cut[..], b""] {
            witness(text).unwrap();
        }
        assert!(witness(&b"nonsense\n"[..]).is_err());
        // Longer than any statement, and the other end still there.
        let long = [&line[..], &vec![b'a'; STATEMENT_BYTES_MAX as usize + 1]].concat();
        assert!(witness(&long[..]).is_err());
    }
}
