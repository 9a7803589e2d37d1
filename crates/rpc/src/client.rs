//! The calling end of a connection.
//!
//! A connection exists before it is made: calls and notifications queue while
//! a task connects and shakes hands, and are written as soon as that is done —
//! so one attempt serves all that wait for it, and order is kept. When the
//! attempt fails, or the connection ends, each call learns whether its frame
//! was ever given to the writer: [`RpcError::NotSent`] if not, else [`RpcError::Lost`].

use crate::config::ClientConfig;
use crate::error::{RpcError, Status};
use crate::frame::{BODY_BYTES_MAX, Body, Frame, FrameError, FrameReader, Kind};
use crate::handshake;
use crate::outbox::{Outbox, Rejected};
use crate::peer::Peer;
use crate::vigil::{self, Heard, Pulse};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot, watch};

/// A connection to a server; clones share it. Dropping the last one writes
/// what is queued, then closes it.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.outbox.finish();
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Connecting,
    Ready(Peer, Instant),
    /// Why, when, and for how long it had been ready before, if ever.
    Closed {
        why: RpcError,
        at: Instant,
        lived: Option<Duration>,
    },
}

struct Shared {
    address: String,
    outbox: Outbox,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Bytes, RpcError>>>>,
    places: Semaphore,
    next_id: AtomicU64,
}

impl Connection {
    /// Connects to `host:port` and waits until the handshake is done.
    pub async fn connect(address: &str, config: &ClientConfig) -> Result<Connection, RpcError> {
        let connection = Connection::open(address, config);
        connection.ready().await?;
        Ok(connection)
    }

    /// Begins to connect to `host:port`; calls may be made at once. Must be called within a runtime.
    pub fn open(address: &str, config: &ClientConfig) -> Connection {
        let address = address.to_string();
        let target = address.clone();
        let limit = config.connect_timeout;
        Connection::begin(address, config.clone(), async move {
            let connecting = tokio::time::timeout(limit, TcpStream::connect(&target)).await;
            let stream = match connecting {
                Ok(stream) => stream.map_err(|error| RpcError::NotSent(format!("{target}: {error}")))?,
                Err(_) => return Err(RpcError::NotSent(format!("{target}: no connection within {limit:?}"))),
            };
            // A small frame must not wait for the acknowledgement of the one before.
            stream.set_nodelay(true).map_err(|error| RpcError::NotSent(format!("{target}: {error}")))?;
            Ok(stream)
        })
    }

    /// Speaks over a stream that is there already.
    pub fn over<S>(address: &str, stream: S, config: &ClientConfig) -> Connection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Connection::begin(address.to_string(), config.clone(), async move { Ok(stream) })
    }

    fn begin<S, F>(address: String, config: ClientConfig, connecting: F) -> Connection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Result<S, RpcError>> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            address,
            outbox: Outbox::new(config.queue_bytes_max),
            waiting: Mutex::new(HashMap::new()),
            places: Semaphore::new(config.calls_max),
            next_id: AtomicU64::new(1),
        });
        let (announce, phase) = watch::channel(Phase::Connecting);
        let connection = Connection { handle: Arc::new(Handle { shared: shared.clone(), phase }) };
        tokio::spawn(async move {
            let why = drive(&shared, &config, connecting, &announce).await;
            let lived = match &*announce.borrow() {
                Phase::Ready(_, since) => Some(since.elapsed()),
                _ => None,
            };
            // Closed before anybody is told, so that who is told finds nothing open.
            let left = shared.outbox.close();
            announce.send_replace(Phase::Closed { why: why.clone(), at: Instant::now(), lived });
            shared.end_calls(left, &why);
        });
        connection
    }

    /// Waits until the handshake is done; gives the server.
    pub async fn ready(&self) -> Result<Peer, RpcError> {
        let mut phase = self.handle.phase.clone();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Connecting)).await;
        match settled.as_deref() {
            Ok(Phase::Ready(peer, _)) => Ok(peer.clone()),
            Ok(Phase::Closed { why, .. }) => Err(why.clone()),
            _ => Err(RpcError::NotSent("the runtime has stopped".into())),
        }
    }

    /// The server, once the handshake is done.
    pub fn peer(&self) -> Option<Peer> {
        match &*self.handle.phase.borrow() {
            Phase::Ready(peer, _) => Some(peer.clone()),
            _ => None,
        }
    }

    /// True once the connection has ended or could not be made.
    pub fn is_closed(&self) -> bool {
        matches!(*self.handle.phase.borrow(), Phase::Closed { .. })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.handle.phase.borrow().clone()
    }

    /// Waits until the connection has ended; gives the reason.
    pub async fn closed(&self) -> RpcError {
        let mut phase = self.handle.phase.clone();
        match phase.wait_for(|phase| matches!(phase, Phase::Closed { .. })).await.as_deref() {
            Ok(Phase::Closed { why, .. }) => why.clone(),
            _ => RpcError::Lost("the runtime has stopped".into()),
        }
    }

    /// Calls a method and waits at most `timeout` for the reply, the wait for
    /// the connection and for a place among its calls included. Dropping the
    /// future gives the place up; the server, if it has begun, goes on.
    pub async fn call(&self, method: u16, body: impl Into<Body>, timeout: Duration) -> Result<Bytes, RpcError> {
        let body = checked(body.into())?;
        let shared = &self.handle.shared;
        let deadline = tokio::time::Instant::now() + timeout;
        let _place = match shared.places.try_acquire() {
            Ok(place) => place,
            Err(_) => match tokio::time::timeout_at(deadline, shared.places.acquire()).await {
                Ok(Ok(place)) => place,
                _ => return Err(RpcError::NotSent(format!("{}: too many calls under way", shared.address))),
            },
        };
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, reply) = oneshot::channel();
        shared.waiting.lock().insert(id, answer);
        let mut waiting = Waiting { shared, id, ticket: None };
        let pushed = shared.outbox.push(Frame { kind: Kind::Call, id, code: method, body });
        waiting.ticket = Some(pushed.map_err(|reason| self.not_taken(reason))?);
        match tokio::time::timeout_at(deadline, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(RpcError::Lost(format!("{}: the runtime has stopped", shared.address))),
            Err(_) if waiting.retract() => {
                Err(RpcError::NotSent(format!("{}: could not be sent within {timeout:?}", shared.address)))
            }
            Err(_) => Err(RpcError::Lost(format!("{}: no reply within {timeout:?}", shared.address))),
        }
    }

    /// Sends a one-way message, at once or not at all. Taken is not arrived:
    /// what was queued or under way when the connection ends is lost.
    pub fn notify(&self, method: u16, body: impl Into<Body>) -> Result<(), RpcError> {
        let body = checked(body.into())?;
        let pushed = self.handle.shared.outbox.push(Frame { kind: Kind::Notify, id: 0, code: method, body });
        pushed.map(|_| ()).map_err(|reason| self.not_taken(reason))
    }

    fn not_taken(&self, reason: Rejected) -> RpcError {
        let address = &self.handle.shared.address;
        match (reason, self.phase()) {
            (Rejected::Full, _) => RpcError::NotSent(format!("{address}: too much waits to be sent")),
            (Rejected::Closed, Phase::Closed { why: RpcError::Handshake(why), .. }) => RpcError::Handshake(why),
            (Rejected::Closed, Phase::Closed { why: RpcError::NotSent(why), .. }) => RpcError::NotSent(why),
            (Rejected::Closed, Phase::Closed { why, .. }) => RpcError::NotSent(why.to_string()),
            (Rejected::Closed, _) => RpcError::NotSent(format!("{address}: the connection is closing")),
        }
    }
}

fn checked(body: Body) -> Result<Body, RpcError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(RpcError::TooLarge { bytes: body.len(), max: BODY_BYTES_MAX });
    }
    Ok(body)
}

/// A call's entry among those that wait; gone when the call is.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
    ticket: Option<u64>,
}

impl Waiting<'_> {
    /// Takes the frame back. False when it may have been sent.
    fn retract(&mut self) -> bool {
        self.ticket.take().is_some_and(|ticket| self.shared.outbox.retract(ticket))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.shared.waiting.lock().remove(&self.id).is_some() {
            self.retract();
        }
    }
}

impl Shared {
    fn answer(&self, id: u64, result: Result<Bytes, RpcError>) {
        // Nobody waits when the call was given up.
        if let Some(waiter) = self.waiting.lock().remove(&id) {
            let _ = waiter.send(result);
        }
    }

    /// Ends every call: those in `left` never left this process, the others may have.
    fn end_calls(&self, left: Vec<Frame>, why: &RpcError) {
        let never_sent = match why {
            RpcError::NotSent(_) | RpcError::Handshake(_) => why.clone(),
            other => RpcError::NotSent(other.to_string()),
        };
        for frame in left {
            if frame.kind == Kind::Call {
                self.answer(frame.id, Err(never_sent.clone()));
            }
        }
        let lost = match why {
            RpcError::Protocol(_) | RpcError::Lost(_) => why.clone(),
            other => RpcError::Lost(other.to_string()),
        };
        // A call that enters itself after this finds the outbox closed.
        let rest = std::mem::take(&mut *self.waiting.lock());
        for (_, waiter) in rest {
            let _ = waiter.send(Err(lost.clone()));
        }
    }
}

/// Makes the connection and keeps it going until it ends; gives the reason.
async fn drive<S, F>(
    shared: &Arc<Shared>,
    config: &ClientConfig,
    connecting: F,
    announce: &watch::Sender<Phase>,
) -> RpcError
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Result<S, RpcError>> + Send + 'static,
{
    let stream = match connecting.await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    let met = handshake::connect(stream, &shared.address, &config.credentials, config.handshake_timeout);
    let (server, stream) = match met.await {
        Ok(met) => met,
        Err(error @ (handshake::HandshakeError::Io(_) | handshake::HandshakeError::Timeout(_)))
        | Err(error @ handshake::HandshakeError::Full) => {
            return RpcError::NotSent(format!("{}: {error}", shared.address));
        }
        Err(error) => {
            tracing::warn!(address = shared.address, %error, "handshake failed");
            return error.into();
        }
    };
    tracing::debug!(address = shared.address, %server, "connected");
    let certified = server.certified;
    announce.send_replace(Phase::Ready(server, Instant::now()));
    let (read, write) = tokio::io::split(stream);
    let writer = {
        let shared = shared.clone();
        tokio::spawn(async move { shared.outbox.write_to(write).await })
    };
    let stop = writer.abort_handle();
    let pulse = Pulse::default();
    let ended = tokio::select! {
        why = receive(shared, Heard { stream: read, pulse: &pulse }) => why,
        why = vigil::keep(config.vitality, &shared.outbox, &pulse) => RpcError::Lost(why),
        () = config.credentials.keys.expelled(certified) => RpcError::Lost("that node was removed".into()),
        wrote = writer => RpcError::Lost(match wrote {
            Ok(Err(error)) => error.to_string(),
            _ => "closed by this end".into(),
        }),
    };
    stop.abort();
    match ended {
        RpcError::Lost(why) => RpcError::Lost(format!("{}: {why}", shared.address)),
        other => other,
    }
}

/// Hands replies out until the stream ends; gives the reason.
async fn receive<R: AsyncRead + Unpin>(shared: &Shared, stream: R) -> RpcError {
    let mut frames = FrameReader::new(stream);
    loop {
        let frame = match frames.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return RpcError::Lost("the other end closed the connection".into()),
            Err(FrameError::Io(error)) => return RpcError::Lost(error.to_string()),
            Err(FrameError::Torn) => return RpcError::Lost(FrameError::Torn.to_string()),
            Err(error) => return RpcError::Protocol(format!("{}: {error}", shared.address)),
        };
        match frame.kind {
            Kind::Reply => shared.answer(frame.id, Ok(frame.body.head)),
            Kind::Refusal => {
                let status = Status::from_wire(frame.code, &frame.body.head);
                shared.answer(frame.id, Err(status.map_or_else(|garbled| garbled, RpcError::Remote)));
            }
            Kind::Heartbeat => {}
            Kind::Call | Kind::Notify => {
                return RpcError::Protocol(format!("{}: {}", shared.address, FrameError::Kind(frame.kind as u8)));
            }
        }
    }
}
