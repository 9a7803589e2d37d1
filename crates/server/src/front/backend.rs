//! One node behind the front, and whether it lives.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Time between two questions.
const EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(750);
/// Answers that must fail to come, one after the other, before a node that
/// accepts connections counts as down: a busy machine is not a dead one.
const LATE_MAX: u32 = 2;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A node's web address, and whether it answers there.
#[derive(Debug)]
pub struct Backend {
    /// Where.
    pub address: SocketAddr,
    /// The cluster that it must belong to, when that is known.
    cluster: Option<String>,
    up: watch::Sender<bool>,
    /// It has been up before.
    met: AtomicBool,
}

enum Health {
    Up,
    Down,
    Late,
}

impl Backend {
    /// Down until it has answered.
    pub fn new(address: SocketAddr, cluster: Option<String>) -> Backend {
        Backend { address, cluster, up: watch::Sender::new(false), met: AtomicBool::new(false) }
    }

    /// True when it answered last time.
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// A request could not reach it: don't wait for the next question to know.
    pub fn mark_down(&self) {
        self.set(false);
    }

    /// Ends when it has been down for `patience` on end.
    pub async fn gone(self: Arc<Self>, patience: Duration) {
        let mut up = self.up.subscribe();
        loop {
            // The sender lives in `self`: neither wait can fail.
            drop(up.wait_for(|up| !up).await);
            if tokio::time::timeout(patience, up.wait_for(|up| *up)).await.is_err() {
                return;
            }
        }
    }

    /// Asks for its health, for ever.
    pub async fn watch_health(self: Arc<Self>) {
        let mut late = 0;
        loop {
            match self.ask().await {
                Health::Up => {
                    late = 0;
                    self.set(true);
                }
                Health::Down => self.set(false),
                Health::Late => {
                    late += 1;
                    if late >= LATE_MAX {
                        self.set(false);
                    }
                    continue;
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn ask(&self) -> Health {
        match tokio::time::timeout(PATIENCE, health(self.address)).await {
            Ok(Ok(seen)) if seen.serves() && (self.cluster.is_none() || seen.cluster == self.cluster) => Health::Up,
            Ok(_) => Health::Down,
            Err(_) => Health::Late,
        }
    }

    fn set(&self, up: bool) {
        if self.up.send_if_modified(|was| std::mem::replace(was, up) != up) {
            let first = !self.met.swap(true, Ordering::Relaxed);
            match (up, first) {
                // That a demo's nodes come up when it starts is no news.
                (true, true) => tracing::debug!(address = %self.address, "front: node is up"),
                (true, false) => tracing::info!(address = %self.address, "front: node is up again"),
                (false, _) => tracing::info!(address = %self.address, "front: node is down"),
            }
        }
    }
}

/// What `/health` says.
#[derive(Debug, Default, Deserialize)]
pub struct Seen {
    #[serde(skip)]
    status: StatusCode,
    /// The answering program's own mark.
    #[serde(default)]
    pub instance: Option<String>,
    /// Its cluster.
    #[serde(default)]
    pub cluster: Option<String>,
}

impl Seen {
    /// It can serve.
    pub fn serves(&self) -> bool {
        self.status == StatusCode::OK
    }
}

/// The answer to `GET /health`, over a connection of its own.
pub async fn health(address: SocketAddr) -> io::Result<Seen> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let ask = async {
        let request = Request::get("/health").header("host", address.to_string()).body(Empty::<Bytes>::new());
        let reply = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?;
        // Another program's answer may be anything.
        let seen: Seen = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        Ok(Seen { status, ..seen })
    };
    // The connection lives no longer than the question; when it ends first, the question still learns how.
    let carry = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        seen = ask => seen,
        () = carry => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
