//! One node behind the front, and whether it lives.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
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

/// A node's web address, and whether it answers there.
#[derive(Debug)]
pub struct Backend {
    /// Where.
    pub address: SocketAddr,
    up: watch::Sender<bool>,
}

enum Health {
    Up,
    Down,
    Late,
}

impl Backend {
    /// Down until it has answered.
    pub fn new(address: SocketAddr) -> Backend {
        Backend { address, up: watch::Sender::new(false) }
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
            match ask(self.address).await {
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

    fn set(&self, up: bool) {
        if self.up.send_if_modified(|was| std::mem::replace(was, up) != up) {
            tracing::info!(address = %self.address, "front: node is {}", if up { "up" } else { "down" });
        }
    }
}

async fn ask(address: SocketAddr) -> Health {
    match tokio::time::timeout(PATIENCE, health(address)).await {
        Ok(Ok(StatusCode::OK)) => Health::Up,
        Ok(_) => Health::Down,
        Err(_) => Health::Late,
    }
}

/// The status of `GET /health`, over a connection of its own.
pub async fn health(address: SocketAddr) -> io::Result<StatusCode> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let ask = async {
        let request = Request::get("/health").header("host", address.to_string()).body(Empty::<Bytes>::new());
        let reply = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let status = reply.status();
        // What it says is of no interest here, and bounded by the time-out.
        let mut body = reply.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(io::Error::other)?;
        }
        Ok(status)
    };
    // The connection lives no longer than the question; when it ends first, the question still learns how.
    let carry = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        status = ask => status,
        () = carry => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
