//! A handler that does what the tests ask of it, and a cluster to belong to.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part; tests may fail")]

use atoll_rpc::tls::{Authority, Validity};
use atoll_rpc::{Body, ClientConfig, Code, Credentials, Handler, Peer, Server, ServerConfig, Status, Vitality};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use types::{ClusterId, Incarnation, NodeId, ReplicaId};

/// Replies with the body.
pub const ECHO: u16 = 1;
/// Likewise, after as many milliseconds as the body's first byte says.
pub const ECHO_LATER: u16 = 2;
/// Panics at once.
pub const PANIC: u16 = 3;
/// Panics a little later.
pub const PANIC_LATER: u16 = 4;
/// Never replies.
pub const NEVER: u16 = 5;
/// Says no, with the body as detail.
pub const REFUSE: u16 = 6;
/// Replies with as many bytes as the body (a big-endian u32) says, in two parts.
pub const GIVE: u16 = 7;
/// Replies once a notification [`RELEASE`] has come; each releases one.
pub const WAIT: u16 = 8;
/// Notification: releases a [`WAIT`].
pub const RELEASE: u16 = 8;
/// Notification: remembered.
pub const REMEMBER: u16 = 9;

pub struct Obedient {
    pub remembered: Arc<Mutex<Vec<Bytes>>>,
    released: Arc<Semaphore>,
    pub callers: Mutex<Vec<Peer>>,
}

impl Obedient {
    pub fn new() -> Arc<Obedient> {
        Arc::new(Obedient {
            remembered: Arc::default(),
            released: Arc::new(Semaphore::new(0)),
            callers: Mutex::default(),
        })
    }
}

impl Handler for Obedient {
    fn call(&self, from: &Peer, method: u16, body: Bytes) -> BoxFuture<'static, Result<Body, Status>> {
        assert_ne!(method, PANIC, "as was asked");
        let mut callers = self.callers.lock();
        if !callers.contains(from) {
            callers.push(from.clone());
        }
        let released = self.released.clone();
        Box::pin(async move {
            match method {
                ECHO => Ok(body.into()),
                ECHO_LATER => {
                    tokio::time::sleep(Duration::from_millis(body[0].into())).await;
                    Ok(body.into())
                }
                PANIC_LATER => {
                    tokio::task::yield_now().await;
                    panic!("as was asked");
                }
                NEVER => std::future::pending().await,
                REFUSE => Err(Status::new(Code::Refused, "as was asked").with_detail(body)),
                GIVE => {
                    let len = u32::from_be_bytes(body[..].try_into().unwrap()) as usize;
                    let (head, payload) = (Bytes::from(vec![1; len / 3]), Bytes::from(vec![2; len - len / 3]));
                    Ok((head, payload).into())
                }
                WAIT => {
                    released.acquire().await.unwrap().forget();
                    Ok(body.into())
                }
                _ => Err(Status::new(Code::NoSuchMethod, "no such method")),
            }
        })
    }

    fn notify(&self, _from: &Peer, method: u16, body: Bytes) {
        match method {
            RELEASE => self.released.add_permits(1),
            REMEMBER => self.remembered.lock().push(body),
            _ => panic!("a notification of method {method}"),
        }
    }
}

pub fn replica(node: u64) -> ReplicaId {
    ReplicaId { node: NodeId(node), incarnation: Incarnation(7) }
}

/// Of processes that the tests start, too: one authority for all, kept for them in the environment.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| match std::env::var("ATOLL_RPC_AUTHORITY") {
    Ok(text) => serde_json::from_str(&text).unwrap(),
    Err(_) => Authority::new(ClusterId(77)).unwrap(),
});

/// Long enough for any test.
pub fn validity() -> Validity {
    Validity::from_now(Duration::from_secs(3600))
}

/// Of one cluster, as node `node`.
pub fn credentials(node: u64) -> Credentials {
    let me = Peer::node(replica(node), format!("test:{node}"));
    Credentials::issued(&AUTHORITY, me, validity()).unwrap()
}

/// Quick to notice, and patient enough for a busy machine.
pub fn vitality() -> Vitality {
    Vitality { heartbeat: Duration::from_millis(100), silent_beats: 10 }
}

pub fn client_config() -> ClientConfig {
    ClientConfig { vitality: vitality(), ..ClientConfig::new(credentials(2)) }
}

pub fn server_config() -> ServerConfig {
    ServerConfig { vitality: vitality(), ..ServerConfig::new(credentials(1)) }
}

/// A server on a free port, with its address.
pub async fn start(config: ServerConfig) -> (Server, String, Arc<Obedient>) {
    let handler = Obedient::new();
    let server = Server::bind("127.0.0.1:0", config, handler.clone()).await.unwrap();
    let address = server.local_addr().to_string();
    (server, address, handler)
}

/// For calls that must not run out of time.
pub const LONG: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}
