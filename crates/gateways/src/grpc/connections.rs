//! Connections as they come in: over TLS, or in the open where nobody else hears; not more than so many at a time.

use futures::Stream;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 4096;
/// Connections that are ready and not taken up yet.
const READY_MAX: usize = 64;
/// How long one may take to begin, and to shake hands.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// After an accept that failed, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(50);
/// How a TLS connection begins.
const HANDSHAKE: u8 = 0x16;

/// How connections come in. Both ways are on one port, told apart by their first byte.
#[derive(Clone)]
pub struct Door {
    /// For those that begin with a handshake; none: TLS is not spoken. Speaks `h2`.
    pub tls: Option<TlsAcceptor>,
    /// Without TLS is for everybody, rather than for this machine and its proxies.
    pub plain: bool,
    /// Those.
    pub proxies: Vec<IpAddr>,
}

impl Door {
    /// Without TLS, for everybody.
    pub fn open() -> Door {
        Door { tls: None, plain: true, proxies: Vec::new() }
    }

    async fn meet(&self, stream: TcpStream, peer: SocketAddr) -> std::io::Result<Box<dyn Io>> {
        // Small answers must not wait for an acknowledgement.
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let mut first = [0];
        let begun = tokio::time::timeout(BEGIN_WITHIN, stream.peek(&mut first)).await??;
        let ip = peer.ip().to_canonical();
        match first {
            [HANDSHAKE] if begun == 1 => Ok(Box::new(tokio::time::timeout(BEGIN_WITHIN, tls.accept(stream)).await??)),
            _ if self.plain || ip.is_loopback() || self.proxies.contains(&ip) => Ok(Box::new(stream)),
            // What it would say has already travelled in the open: the sooner it ends the less does.
            _ => Err(std::io::Error::other("it came from elsewhere without TLS")),
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that counts as long as it lives.
pub(super) struct Counted {
    stream: Box<dyn Io>,
    about: TcpConnectInfo,
    _permit: OwnedSemaphorePermit,
}

/// Accepts for ever. Connections beyond the bound are closed at once, so that those who wait learn it.
pub(super) fn incoming(listener: TcpListener, door: Door) -> impl Stream<Item = std::io::Result<Counted>> {
    let (ready, connections) = mpsc::channel(READY_MAX);
    tokio::spawn(async move {
        let accepting = accept(listener, Arc::new(door), ready.clone());
        tokio::select! {
            () = accepting => {}
            () = ready.closed() => {}
        }
    });
    ReceiverStream::new(connections)
}

async fn accept(listener: TcpListener, door: Arc<Door>, ready: mpsc::Sender<std::io::Result<Counted>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::warn!("{CONNECTIONS_MAX} gRPC connections are open: another one was turned away");
            continue;
        };
        let (door, ready) = (door.clone(), ready.clone());
        tokio::spawn(async move {
            let about = stream.connect_info();
            match door.meet(stream, peer).await {
                Ok(stream) => drop(ready.send(Ok(Counted { stream, about, _permit: permit })).await),
                Err(error) => tracing::debug!(%peer, %error, "no connection came about"),
            }
        });
    }
}

impl Connected for Counted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.about.clone()
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
