//! The called end: accepts connections, hands calls and notifications out.
//!
//! A connection has one task that reads, one that writes, and one for each call
//! that runs. Beyond its bounds it refuses calls at once, with a code that says
//! they were surely not applied; it never stops reading, because a notification
//! behind those calls may be what they wait for.

use crate::begin::{Begun, begin};
use crate::config::ServerConfig;
use crate::error::{Code, Status};
use crate::frame::{BODY_BYTES_MAX, Body, Frame, FrameError, FrameReader, Kind};
use crate::handshake::{self, HandshakeError};
use crate::outbox::{Outbox, Rejected};
use crate::peer::{Peer, PeerKind};
use crate::vigil::{self, Heard, Pulse};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

/// What a server does with what it is sent.
pub trait Handler: Send + Sync + 'static {
    /// Answers a call. Invoked in the order of arrival, between notifications,
    /// and must be quick, and so must the future that it returns, up to where it first
    /// waits; from there on it runs beside all others and
    /// to its end, even if the caller has gone. A panic becomes [`Code::Internal`].
    fn call(&self, from: &Peer, method: u16, body: Bytes) -> BoxFuture<'static, Result<Body, Status>>;

    /// Takes a one-way message, in the order sent on its connection. Must be
    /// quick: the connection stands still meanwhile. A panic ends the connection.
    fn notify(&self, from: &Peer, method: u16, body: Bytes);
}

/// A server that runs. Dropping it ends it at once; calls that run go on unheard.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<Stop>,
    connections: Arc<Semaphore>,
    connections_max: usize,
    accepting: tokio::task::AbortHandle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Takes calls.
    No,
    /// Refuses calls, and closes a connection when none runs.
    Gently,
    /// Closes.
    Now,
}

struct Context {
    config: ServerConfig,
    handler: Arc<dyn Handler>,
    stop: watch::Receiver<Stop>,
    connections: Arc<Semaphore>,
    joiners: Arc<Semaphore>,
}

impl Server {
    /// Listens on `host:port` (port 0: any) and serves.
    pub async fn bind(address: &str, config: ServerConfig, handler: Arc<dyn Handler>) -> std::io::Result<Server> {
        Server::serve(TcpListener::bind(address).await?, config, handler)
    }

    /// Serves on a listener.
    pub fn serve(listener: TcpListener, config: ServerConfig, handler: Arc<dyn Handler>) -> std::io::Result<Server> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(Stop::No);
        let connections_max = config.connections_max;
        let connections = Arc::new(Semaphore::new(connections_max));
        let joiners = Arc::new(Semaphore::new(config.joiners_max));
        let context = Context { config, handler, stop: stopped, connections: connections.clone(), joiners };
        let accepting = tokio::spawn(accept(listener, Arc::new(context))).abort_handle();
        Ok(Server { address, stop, connections, connections_max, accepting })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has.
    pub fn connections(&self) -> usize {
        self.connections_max - self.connections.available_permits()
    }

    /// Accepts no more connections, refuses new calls as busy, goes on taking
    /// notifications, and returns when the calls that ran have been answered,
    /// or `grace` is over. True when all were.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.accepting.abort();
        self.stop.send_replace(Stop::Gently);
        let all = self.connections.acquire_many(self.connections_max as u32);
        tokio::time::timeout(grace, all).await.is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.stop.send_replace(Stop::Now);
    }
}

async fn accept(listener: TcpListener, context: Arc<Context>) {
    let handshakes = Arc::new(Semaphore::new(context.config.handshakes_max));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Such as too many open files: passes, but not at once.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let context = context.clone();
        tokio::spawn(async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%from, %error, "connection lost at once");
                return;
            }
            greet(stream, &from.to_string(), &context, permit).await;
        });
    }
}

/// Shakes hands, then converses.
async fn greet<S>(stream: S, from: &str, context: &Context, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ServerConfig { credentials, handshake_timeout, .. } = &context.config;
    let admit = |peer: &Peer| {
        let joiner = match peer.kind {
            PeerKind::Joining => Some(context.joiners.clone().try_acquire_owned().ok()?),
            _ => None,
        };
        Some((joiner, context.connections.clone().try_acquire_owned().ok()?))
    };
    let mut stop = context.stop.clone();
    let accepted = tokio::select! {
        accepted = handshake::accept(stream, credentials, *handshake_timeout, admit) => accepted,
        _ = stop.wait_for(|stop| *stop != Stop::No) => return,
    };
    drop(permit);
    match accepted {
        Ok((peer, _room, stream)) => {
            tracing::debug!(%from, %peer, "accepted");
            let why = converse(stream, peer, context).await;
            tracing::debug!(%from, why, "connection ended");
        }
        // A port scan, or a node that was stopped: nothing to wake anybody for.
        Err(error @ (HandshakeError::Io(_) | HandshakeError::Timeout(_) | HandshakeError::NotAtoll)) => {
            tracing::debug!(%from, %error, "handshake failed");
        }
        Err(error) => tracing::warn!(%from, %error, "handshake failed"),
    }
}

/// What one connection has running.
struct Desk {
    peer: Peer,
    handler: Arc<dyn Handler>,
    outbox: Outbox,
    calls: AtomicUsize,
    call_bytes: AtomicUsize,
    /// Calls since the connection began.
    asked: AtomicUsize,
    /// No call runs.
    idle: Notify,
    /// Refuses calls.
    stopping: AtomicBool,
}

/// Keeps a connection going until it ends; gives the reason.
async fn converse<S>(stream: S, peer: Peer, context: &Context) -> String
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = &context.config;
    let (certified, joining) = (peer.certified, peer.kind == PeerKind::Joining);
    let (read, write) = tokio::io::split(stream);
    let desk = Arc::new(Desk {
        peer,
        handler: context.handler.clone(),
        outbox: Outbox::new(config.queue_bytes_max),
        calls: AtomicUsize::new(0),
        call_bytes: AtomicUsize::new(0),
        asked: AtomicUsize::new(0),
        idle: Notify::new(),
        stopping: AtomicBool::new(false),
    });
    let writer = {
        let desk = desk.clone();
        tokio::spawn(async move { desk.outbox.write_to(write).await })
    };
    let abort = writer.abort_handle();
    let pulse = Pulse::default();
    let mut stop = context.stop.clone();
    let why = tokio::select! {
        why = receive(&desk, config, Heard { stream: read, pulse: &pulse }) => why,
        why = vigil::keep(config.vitality, &desk.outbox, &pulse) => why,
        wrote = writer => match wrote {
            Ok(Err(error)) => error.to_string(),
            _ => "the server has stopped".into(),
        },
        () = config.credentials.keys.expelled(certified) => "the node was removed from the cluster".into(),
        () = joiner_over(&desk, config), if joining => "a joiner's time was over".into(),
        () = wind_down(&desk, &mut stop) => "the server was dropped".into(),
    };
    abort.abort();
    desk.outbox.close();
    why
}

/// Returns when a joiner has had its time, or has asked nothing in the first part of it.
async fn joiner_over(desk: &Desk, config: &ServerConfig) {
    tokio::time::sleep(config.joiner_patience.min(config.joiner_time)).await;
    if desk.asked.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(config.joiner_time.saturating_sub(config.joiner_patience)).await;
    }
}

/// On a gentle stop, lets the writer end once the running calls are answered.
/// Returns only when everything is to end at once.
async fn wind_down(desk: &Desk, stop: &mut watch::Receiver<Stop>) {
    if !matches!(stop.wait_for(|stop| *stop != Stop::No).await.as_deref(), Ok(Stop::Gently)) {
        return;
    }
    desk.stopping.store(true, Ordering::SeqCst);
    let finish = async {
        loop {
            let idle = desk.idle.notified();
            if desk.calls.load(Ordering::SeqCst) == 0 {
                break;
            }
            idle.await;
        }
        desk.outbox.finish();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = finish => {}
        _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
    }
}

/// Takes frames until the stream ends; gives the reason.
async fn receive<R: AsyncRead + Unpin>(desk: &Arc<Desk>, config: &ServerConfig, stream: R) -> String {
    let body_max = if desk.peer.kind == PeerKind::Joining { config.joiner_bytes_max } else { BODY_BYTES_MAX };
    let mut frames = FrameReader::bounded(stream, body_max);
    loop {
        let Frame { kind, id, code: method, body } = match frames.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return "the other end closed it".into(),
            Err(error) => return error.to_string(),
        };
        match kind {
            Kind::Call => {
                if let Err(why) = call(desk, config, id, method, body.head) {
                    return why;
                }
            }
            Kind::Notify => {
                let delivered = AssertUnwindSafe(|| desk.handler.notify(&desk.peer, method, body.head));
                if std::panic::catch_unwind(delivered).is_err() {
                    tracing::error!(method, peer = %desk.peer, "a handler panicked over a notification");
                    return "a handler panicked".into();
                }
            }
            Kind::Heartbeat => {}
            Kind::Reply | Kind::Refusal => return FrameError::Kind(kind as u8).to_string(),
        }
    }
}

/// Counts a call that runs; gone when it is answered.
struct Running {
    desk: Arc<Desk>,
    bytes: usize,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.desk.call_bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.desk.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.desk.idle.notify_waiters();
        }
    }
}

/// Begins a call, or refuses it. An error ends the connection.
fn call(desk: &Arc<Desk>, config: &ServerConfig, id: u64, method: u16, body: Bytes) -> Result<(), String> {
    let bytes = body.len();
    let (mut calls_max, mut bytes_max) = (config.calls_max, config.call_bytes_max);
    let asked = desk.asked.fetch_add(1, Ordering::SeqCst);
    if desk.peer.kind == PeerKind::Joining {
        if asked >= config.joiner_calls_max {
            return Err("a joiner asked too often".into());
        }
        (calls_max, bytes_max) = (1, config.joiner_bytes_max);
    }
    let calls = desk.calls.fetch_add(1, Ordering::SeqCst);
    let held = desk.call_bytes.fetch_add(bytes, Ordering::SeqCst);
    let running = Running { desk: desk.clone(), bytes };
    let refusal = if desk.stopping.load(Ordering::SeqCst) {
        Some("this node is stopping")
    } else if calls >= calls_max || (held > 0 && held + bytes > bytes_max) {
        Some("this node has too many calls under way")
    } else {
        None
    };
    if let Some(refusal) = refusal {
        // A client that asks without end and never reads is not waited for.
        return match desk.outbox.push(answer(id, Err(Status::new(Code::Busy, refusal)))) {
            Err(Rejected::Full) => Err("the other end does not read its replies".into()),
            // Closed: the writer is finishing, and is to be left to it.
            Ok(_) | Err(Rejected::Closed) => Ok(()),
        };
    }
    let frame = match begin(&*desk.handler, &desk.peer, method, body) {
        Begun::Answered(result) => match desk.outbox.offer(answer(id, result)) {
            Err((Rejected::Full, frame)) => frame,
            // Closed means that nobody waits for it any more.
            Ok(_) | Err((Rejected::Closed, _)) => return Ok(()),
        },
        Begun::Running(rest) => {
            tokio::spawn(async move {
                let frame = answer(id, rest.end().await);
                let _ = running.desk.outbox.push_when_room(frame).await;
            });
            return Ok(());
        }
    };
    tokio::spawn(async move {
        let _ = running.desk.outbox.push_when_room(frame).await;
    });
    Ok(())
}

fn answer(id: u64, result: Result<Body, Status>) -> Frame {
    let refusal =
        |status: Status| Frame { kind: Kind::Refusal, id, code: status.code as u16, body: status.to_body().into() };
    match result {
        Ok(body) if body.len() > BODY_BYTES_MAX => {
            let message = format!("a reply of {} bytes; at most {BODY_BYTES_MAX} can be sent", body.len());
            refusal(Status::new(Code::Internal, message))
        }
        Ok(body) => Frame { kind: Kind::Reply, id, code: 0, body },
        Err(status) => refusal(status),
    }
}
