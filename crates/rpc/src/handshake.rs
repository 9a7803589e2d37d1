//! Who is there, before any frame: TLS first, then one hello from each end.
//!
//! ```text
//! TLS 1.3: the server shows a node's certificate; the client its own, or none to join
//! client → server   magic, protocol range, who it is
//! server → client   the same, then 0 — or the number of a refusal, and the end
//! ```
//! **Invariants**: what a peer may be is decided by its certificate ([`Peer::certified`]); what it
//! says may make it less, never more. A removed node is refused by both ends. Before that is
//! settled at most [`HELLO_BYTES_MAX`] are read inside TLS, and TLS bounds its own messages.
//! **Proved by** the tests below, `tests/hostile.rs` and `tests/strangers.rs`.

use crate::codec;
use crate::config::Credentials;
use crate::peer::{Peer, PeerKind};
use crate::tls::{self, Shown, Subject};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Bytes of a hello that are read at most.
pub const HELLO_BYTES_MAX: usize = FIXED_BYTES + WHO_BYTES_MAX;

const MAGIC: [u8; 8] = *b"atoll\0\x02\n";
const FIXED_BYTES: usize = 8 + 2 + 2 + 2;
const WHO_BYTES_MAX: usize = 512;

/// Why two ends did not accept each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The stream broke or ended; the other end may have refused without a word.
    #[error("the connection broke during the handshake: {0}")]
    Io(String),
    /// Not in time.
    #[error("the handshake was not done within {0:?}")]
    Timeout(Duration),
    /// Something else listens or calls there.
    #[error("the other end does not speak the node protocol of Atoll")]
    NotAtoll,
    /// By the clock of one end, the other's certificate is not valid yet, or has run out.
    #[error("{0}")]
    Clocks(String),
    /// Its certificate is not one of this cluster's.
    #[error("the other end's certificate is not accepted: {0}")]
    Stranger(String),
    /// The same, seen from there.
    #[error("the other end does not accept this one's certificate: {0}")]
    Refused(String),
    /// It says that it is what its certificate does not make it.
    #[error("the certificate shown does not make it what it says it is")]
    Claim,
    /// Removed from the cluster.
    #[error(
        "that node was removed from this cluster: a machine comes back only by joining anew, with an empty data folder"
    )]
    Removed,
    /// The same, said by a member of this end: it has been removed itself.
    #[error("this node was removed from its cluster: its data folder may be deleted, and the machine joined anew")]
    Dismissed,
    /// Releases too far apart.
    #[error(
        "no common protocol: this end speaks {} to {}, the other {} to {}; upgrade the older one first",
        ours.0, ours.1, theirs.0, theirs.1
    )]
    NoCommonProtocol {
        /// Ours.
        ours: (u16, u16),
        /// Theirs.
        theirs: (u16, u16),
    },
    /// The server has as many connections as it takes.
    #[error("the other end has too many connections")]
    Full,
    /// It belongs here but what it says makes no sense.
    #[error("the other end says who it is in a way that is not understood")]
    Garbled,
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return HandshakeError::Io(error.to_string());
        };
        match tls {
            Error::InvalidMessage(_) | Error::NoApplicationProtocol => HandshakeError::NotAtoll,
            Error::InvalidCertificate(Bad::NotValidYetContext { time, not_before }) => {
                let behind = not_before.as_secs().saturating_sub(time.as_secs());
                HandshakeError::Clocks(format!(
                    "by this machine's clock the other end's certificate is not valid yet: this clock is behind by {} or \
                     more, or the other's was ahead",
                    span(behind)
                ))
            }
            Error::InvalidCertificate(Bad::ExpiredContext { time, not_after }) => {
                expired(Some(time.as_secs().saturating_sub(not_after.as_secs())))
            }
            Error::InvalidCertificate(Bad::Expired) => expired(None),
            Error::InvalidCertificate(Bad::NotValidYet) => HandshakeError::Clocks(
                "by this machine's clock the other end's certificate is not valid yet: compare the clocks".into(),
            ),
            Error::InvalidCertificate(bad) => HandshakeError::Stranger(match bad {
                Bad::UnknownIssuer | Bad::BadSignature => "another cluster's authority made it".into(),
                Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => "it is not a node's".into(),
                other => other.to_string(),
            }),
            Error::AlertReceived(alert) => match alert {
                // The other end says the same of one that is not valid yet.
                Alert::CertificateExpired => HandshakeError::Clocks(
                    "by the other end's clock this machine's certificate has run out, or is not valid yet: compare the \
                     clocks"
                        .into(),
                ),
                Alert::UnknownCA | Alert::DecryptError => {
                    HandshakeError::Refused("another cluster's authority made it".into())
                }
                Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::UnsupportedCertificate
                | Alert::AccessDenied => HandshakeError::Refused("it does not belong to that cluster".into()),
                Alert::NoApplicationProtocol => HandshakeError::NotAtoll,
                other => HandshakeError::Io(format!("TLS: {other:?}")),
            },
            other => HandshakeError::Io(format!("TLS: {other}")),
        }
    }
}

fn expired(since: Option<u64>) -> HandshakeError {
    let ago = since.map(|since| format!(" {} ago", span(since))).unwrap_or_default();
    HandshakeError::Clocks(format!(
        "by this machine's clock the other end's certificate ran out{ago}: compare the clocks; if they agree, start the \
         other end again, which renews it"
    ))
}

/// Seconds for people: `2 h 5 min`.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The calling end. Gives the server, with the protocol agreed upon, and the stream to speak over.
pub async fn connect<S>(
    stream: S,
    address: &str,
    credentials: &Credentials,
    limit: Duration,
) -> Result<(Peer, TlsStream<S>), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    within(limit, async {
        let name = tls::session_name(address).ok_or(HandshakeError::Garbled)?;
        let mut stream = TlsConnector::from(credentials.keys.client()).connect(name, stream).await?;
        let shown = shown(stream.get_ref().1.peer_certificates(), credentials)?;
        send(&mut stream, &Hello::of(credentials).encode()).await?;
        let theirs = Hello::read(&mut stream).await?;
        let protocol = agree(credentials.protocols, theirs.protocols)?;
        match stream.read_u8().await? {
            0 => {}
            1 => return Err(HandshakeError::Claim),
            2 => return Err(HandshakeError::Full),
            3 => {
                let server = certify(theirs.who?, shown)?;
                // Whoever was removed itself has no say in who is a member.
                if !server.certified.is_some_and(|node| credentials.keys.admits(node)) {
                    return Err(HandshakeError::Removed);
                }
                credentials.keys.dismiss();
                return Err(HandshakeError::Dismissed);
            }
            4 => return Err(HandshakeError::Garbled),
            _ => return Err(HandshakeError::NotAtoll),
        }
        let server = Peer { protocol, ..certify(theirs.who?, shown)? };
        if server.kind != PeerKind::Node {
            return Err(HandshakeError::Claim);
        }
        if !server.certified.is_none_or(|node| credentials.keys.admits(node)) {
            return Err(HandshakeError::Removed);
        }
        Ok((server, TlsStream::from(stream)))
    })
    .await
}

/// The called end. `admit` decides whether there is room for a client that has
/// proved itself; what it returns is given back with the client.
pub async fn accept<S, T>(
    stream: S,
    credentials: &Credentials,
    limit: Duration,
    admit: impl FnOnce(&Peer) -> Option<T> + Send,
) -> Result<(Peer, T, TlsStream<S>), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    within(limit, async {
        let config = credentials.keys.server().ok_or(HandshakeError::Garbled)?;
        let mut stream = TlsAcceptor::from(config).accept(stream).await?;
        let shown = shown(stream.get_ref().1.peer_certificates(), credentials)?;
        // A resumed session carries the certificate that was checked when it began.
        if shown.is_some_and(|shown| shown.expires <= SystemTime::now()) {
            return Err(expired(None));
        }
        let theirs = Hello::read(&mut stream).await?;
        let mut answer = Hello::of(credentials).encode();
        let client = judge(theirs, shown, credentials, admit);
        // Sent even when they cannot agree: the client says why, too.
        answer.push(match &client {
            Ok(_) => 0,
            Err(HandshakeError::Claim) => 1,
            Err(HandshakeError::Full) => 2,
            Err(HandshakeError::Removed) => 3,
            Err(_) => 4,
        });
        send(&mut stream, &answer).await?;
        if client.is_err() {
            let _ = stream.shutdown().await;
        }
        client.map(|(client, room)| (client, room, TlsStream::from(stream)))
    })
    .await
}

fn judge<T>(
    theirs: Hello,
    shown: Option<Shown>,
    credentials: &Credentials,
    admit: impl FnOnce(&Peer) -> Option<T>,
) -> Result<(Peer, T), HandshakeError> {
    let protocol = agree(credentials.protocols, theirs.protocols)?;
    let client = Peer { protocol, ..certify(theirs.who?, shown)? };
    if !client.certified.is_none_or(|node| credentials.keys.admits(node)) {
        return Err(HandshakeError::Removed);
    }
    let room = admit(&client).ok_or(HandshakeError::Full)?;
    Ok((client, room))
}

/// What the other end's certificate says; none when it showed none.
fn shown(
    chain: Option<&[rustls::pki_types::CertificateDer<'static>]>,
    credentials: &Credentials,
) -> Result<Option<Shown>, HandshakeError> {
    let Some(leaf) = chain.and_then(<[_]>::first) else { return Ok(None) };
    match tls::read(leaf, credentials.keys.cluster()) {
        Ok(shown) => Ok(Some(shown)),
        Err(error) => Err(HandshakeError::Stranger(error.0)),
    }
}

/// Holds what a peer says of itself against its certificate.
fn certify(mut said: Peer, shown: Option<Shown>) -> Result<Peer, HandshakeError> {
    said.certified = match shown.map(|shown| shown.subject) {
        Some(Subject::Node(node)) => Some(node),
        Some(Subject::Gateway) | None => None,
    };
    let fits = match (said.kind, said.node) {
        (PeerKind::Node, Some(replica)) => said.certified == Some(replica.node),
        // A node's own gateways show the node's certificate.
        (PeerKind::Gateway, None) => shown.is_some(),
        (PeerKind::Joining, None) => shown.is_none(),
        _ => false,
    };
    if fits { Ok(said) } else { Err(HandshakeError::Claim) }
}

async fn within<T>(
    limit: Duration,
    handshake: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    tokio::time::timeout(limit, handshake).await.unwrap_or(Err(HandshakeError::Timeout(limit)))
}

async fn send<W: AsyncWrite + Unpin>(write: &mut W, bytes: &[u8]) -> Result<(), HandshakeError> {
    write.write_all(bytes).await?;
    Ok(write.flush().await?)
}

/// The newest protocol that both speak.
fn agree(ours: (u16, u16), theirs: (u16, u16)) -> Result<u16, HandshakeError> {
    let newest = ours.1.min(theirs.1);
    if ours.0.max(theirs.0) > newest {
        return Err(HandshakeError::NoCommonProtocol { ours, theirs });
    }
    Ok(newest)
}

/// What each end says first.
struct Hello {
    protocols: (u16, u16),
    who: Result<Peer, HandshakeError>,
}

impl Hello {
    fn of(credentials: &Credentials) -> Hello {
        let mut me = credentials.me.get();
        // The address is for people; better cut than no connection.
        let mut end = me.address.len().min(Peer::ADDRESS_BYTES_MAX);
        while !me.address.is_char_boundary(end) {
            end -= 1;
        }
        me.address.truncate(end);
        Hello { protocols: credentials.protocols, who: Ok(me) }
    }

    fn encode(&self) -> Vec<u8> {
        let who = self.who.as_ref().map(codec::encode).unwrap_or_default();
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.protocols.0.to_be_bytes());
        bytes.extend_from_slice(&self.protocols.1.to_be_bytes());
        bytes.extend_from_slice(&(who.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&who);
        bytes
    }

    async fn read<R: AsyncRead + Unpin>(read: &mut R) -> Result<Hello, HandshakeError> {
        let mut magic = [0; 8];
        read.read_exact(&mut magic).await?;
        if magic != MAGIC {
            return Err(HandshakeError::NotAtoll);
        }
        let protocols = (read.read_u16().await?, read.read_u16().await?);
        let len = read.read_u16().await? as usize;
        if len > WHO_BYTES_MAX {
            return Err(HandshakeError::NotAtoll);
        }
        let mut who = vec![0; len];
        read.read_exact(&mut who).await?;
        let who = codec::decode::<Peer>(&who).ok().filter(|peer| peer.address.len() <= Peer::ADDRESS_BYTES_MAX);
        Ok(Hello { protocols, who: who.ok_or(HandshakeError::Garbled) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Authority, Validity};
    use std::sync::LazyLock;
    use types::{ClusterId, Incarnation, NodeId, ReplicaId};

    static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(ClusterId(7)).unwrap());

    fn credentials(protocols: (u16, u16), me: Peer) -> Credentials {
        let mut made = Credentials::issued(&AUTHORITY, me, Validity::from_now(Duration::from_secs(600))).unwrap();
        made.protocols = protocols;
        made
    }

    async fn meet(
        client: Credentials,
        server: Credentials,
        room: bool,
    ) -> (Result<Peer, HandshakeError>, Result<Peer, HandshakeError>) {
        let (near, far) = tokio::io::duplex(1024);
        let limit = Duration::from_secs(30);
        let calling = async move { connect(near, "there", &client, limit).await.map(|(peer, _)| peer) };
        let called = async move { accept(far, &server, limit, |_| room.then_some(())).await.map(|(peer, ..)| peer) };
        tokio::join!(calling, called)
    }

    fn node(id: u64) -> Peer {
        Peer::node(ReplicaId { node: NodeId(id), incarnation: Incarnation(9) }, "10.0.0.3:7071")
    }

    #[tokio::test]
    async fn both_learn_who_the_other_is_and_the_newest_common_protocol() {
        let (at_client, at_server) = meet(credentials((2, 5), node(4)), credentials((1, 4), node(3)), true).await;
        assert_eq!(at_client, Ok(Peer { protocol: 4, certified: Some(NodeId(3)), ..node(3) }));
        assert_eq!(at_server, Ok(Peer { protocol: 4, certified: Some(NodeId(4)), ..node(4) }));
    }

    #[tokio::test]
    async fn both_say_what_is_wrong() {
        let server = || credentials((3, 4), node(3));
        let (at_client, at_server) = meet(credentials((1, 2), node(4)), server(), true).await;
        assert_eq!(
            at_client.unwrap_err().to_string(),
            "no common protocol: this end speaks 1 to 2, the other 3 to 4; upgrade the older one first"
        );
        assert_eq!(at_server, Err(HandshakeError::NoCommonProtocol { ours: (3, 4), theirs: (1, 2) }));
        let full = meet(credentials((3, 4), node(4)), server(), false).await;
        assert_eq!(full, (Err(HandshakeError::Full), Err(HandshakeError::Full)));
    }

    #[tokio::test]
    async fn nobody_is_more_than_the_certificate_says() {
        let claim = |made_for: Peer, said: Peer| async move {
            let client = credentials((1, 1), made_for);
            client.me.set(said);
            meet(client, credentials((1, 1), node(3)), true).await
        };
        for (made_for, said) in [
            (Peer::gateway("g"), node(4)),
            (node(4), node(5)),
            (Peer::joining("j"), node(4)),
            (Peer::joining("j"), Peer::gateway("g")),
            (node(4), Peer::joining("j")),
        ] {
            let met = claim(made_for, said).await;
            assert_eq!(met, (Err(HandshakeError::Claim), Err(HandshakeError::Claim)));
        }
        let (_, at_server) = claim(node(4), Peer::gateway("on node 4")).await;
        assert_eq!(at_server.unwrap().certified, Some(NodeId(4)));
        let (_, at_server) = claim(Peer::joining("j"), Peer::joining("j")).await;
        assert_eq!(at_server.unwrap().kind, PeerKind::Joining);
    }

    #[tokio::test]
    async fn an_overlong_address_is_cut_at_a_letter() {
        let client = credentials((1, 1), Peer::gateway("ä".repeat(200) + "x"));
        let (_, at_server) = meet(client, credentials((1, 1), node(3)), true).await;
        assert_eq!(at_server.unwrap().address, "ä".repeat(128));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_for_hello_ends(
            right: bool,
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..1200),
        ) {
            let said = if right { [&MAGIC[..], &rest].concat() } else { rest };
            let _ = futures::executor::block_on(Hello::read(&mut &said[..]));
        }
    }

    #[tokio::test]
    async fn silence_ends_by_itself() {
        let (near, _far) = tokio::io::duplex(1024);
        let limit = Duration::from_millis(20);
        let result = connect(near, "there", &credentials((1, 1), node(3)), limit).await;
        assert_eq!(result.map(|(peer, _)| peer), Err(HandshakeError::Timeout(limit)));
    }
}
