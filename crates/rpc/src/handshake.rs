//! Proof of belonging, before any frame.
//!
//! ```text
//! client → server   hello: magic, nonce, cluster, protocol range
//! server → client   hello
//! client → server   proof: who it is, and a MAC
//! server → client   0 and its own proof — or the number of a refusal, and the end
//! ```
//! **Invariants**: a MAC is keyed with a key derived from the cluster key and
//! covers the side, both hellos and who the sender is, so that none can be
//! replayed, reflected or moved to another peer; the client proves itself first,
//! so that a stranger learns nothing but the hello; before the proof is checked
//! at most [`UNPROVEN_BYTES_MAX`] are read. Cluster and protocols are compared
//! from the hellos by both ends, so that both can say what is wrong.
//! **Proved by** the tests below and `tests/hostile.rs`.

use crate::codec;
use crate::config::Credentials;
use crate::peer::{ClusterKey, Peer};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use types::ClusterId;

/// Bytes of a stranger that are read at most.
pub const UNPROVEN_BYTES_MAX: usize = HELLO_BYTES + PROOF_BYTES_MAX;

const MAGIC: [u8; 8] = *b"atoll\0\x01\n";
const HELLO_BYTES: usize = 8 + 32 + 16 + 2 + 2;
const MAC_BYTES: usize = 32;
const WHO_BYTES_MAX: usize = 512;
const PROOF_BYTES_MAX: usize = 2 + WHO_BYTES_MAX + MAC_BYTES;

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
    /// One of the two has the wrong key.
    #[error("the cluster key does not match the other end's: use the key or join token of this cluster")]
    WrongKey,
    /// Another cluster.
    #[error("the other end belongs to cluster {theirs:032x}, this one to cluster {ours:032x}")]
    OtherCluster {
        /// Ours.
        ours: u128,
        /// Theirs.
        theirs: u128,
    },
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
    /// It knows the key but its proof makes no sense.
    #[error("the other end says who it is in a way that is not understood")]
    Garbled,
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        HandshakeError::Io(error.to_string())
    }
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

/// The calling end. Gives the server, with the protocol agreed upon.
pub async fn connect<R, W>(
    read: &mut R,
    write: &mut W,
    credentials: &Credentials,
    limit: Duration,
) -> Result<Peer, HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    within(limit, async {
        let ours = Hello::new(credentials);
        send(write, &ours.bytes).await?;
        let theirs = Hello::read(read).await?;
        let protocol = ours.agree(&theirs)?;
        let key = derive(&credentials.key);
        send(write, &prove(&key, Side::Client, &ours, &theirs, credentials.me.get())?).await?;
        match read.read_u8().await? {
            0 => {}
            1 => return Err(HandshakeError::WrongKey),
            2 => return Err(HandshakeError::Full),
            3 => return Err(HandshakeError::Garbled),
            _ => return Err(HandshakeError::NotAtoll),
        }
        let mut server = check(&key, Side::Server, &ours, &theirs, read).await?;
        server.protocol = protocol;
        Ok(server)
    })
    .await
}

/// The called end. `admit` decides whether there is room for a client that has
/// proved itself; what it returns is given back with the client.
pub async fn accept<R, W, T>(
    read: &mut R,
    write: &mut W,
    credentials: &Credentials,
    limit: Duration,
    admit: impl FnOnce(&Peer) -> Option<T> + Send,
) -> Result<(Peer, T), HandshakeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    within(limit, async {
        let theirs = Hello::read(read).await?;
        let ours = Hello::new(credentials);
        // Sent even when they cannot agree: the client says why, too.
        send(write, &ours.bytes).await?;
        let protocol = ours.agree(&theirs)?;
        let key = derive(&credentials.key);
        let client = match check(&key, Side::Client, &theirs, &ours, read).await {
            Ok(mut client) => {
                client.protocol = protocol;
                admit(&client).map(|room| (client, room)).ok_or(HandshakeError::Full)
            }
            Err(error) => Err(error),
        };
        let refusal = match &client {
            Ok(_) => {
                let mut answer = vec![0];
                answer.extend(prove(&key, Side::Server, &theirs, &ours, credentials.me.get())?);
                send(write, &answer).await?;
                return client;
            }
            Err(HandshakeError::WrongKey) => 1,
            Err(HandshakeError::Full) => 2,
            Err(HandshakeError::Garbled) => 3,
            Err(_) => return client,
        };
        send(write, &[refusal]).await?;
        client
    })
    .await
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

/// What each end says first.
struct Hello {
    bytes: [u8; HELLO_BYTES],
    cluster: ClusterId,
    protocols: (u16, u16),
}

impl Hello {
    fn new(credentials: &Credentials) -> Hello {
        let nonce: [u8; 32] = rand::random();
        let (oldest, newest) = credentials.protocols;
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..40].copy_from_slice(&nonce);
        bytes[40..56].copy_from_slice(&credentials.cluster.0.to_be_bytes());
        bytes[56..58].copy_from_slice(&oldest.to_be_bytes());
        bytes[58..60].copy_from_slice(&newest.to_be_bytes());
        Hello { bytes, cluster: credentials.cluster, protocols: credentials.protocols }
    }

    async fn read<R: AsyncRead + Unpin>(read: &mut R) -> Result<Hello, HandshakeError> {
        let mut bytes = [0; HELLO_BYTES];
        // Judged before the rest has come: something else may never send that much.
        read.read_exact(&mut bytes[..8]).await?;
        if bytes[..8] != MAGIC {
            return Err(HandshakeError::NotAtoll);
        }
        read.read_exact(&mut bytes[8..]).await?;
        let mut cluster = [0; 16];
        cluster.copy_from_slice(&bytes[40..56]);
        let protocols = (u16::from_be_bytes([bytes[56], bytes[57]]), u16::from_be_bytes([bytes[58], bytes[59]]));
        Ok(Hello { bytes, cluster: ClusterId(u128::from_be_bytes(cluster)), protocols })
    }

    /// The newest protocol that both speak.
    fn agree(&self, theirs: &Hello) -> Result<u16, HandshakeError> {
        if self.cluster != theirs.cluster {
            return Err(HandshakeError::OtherCluster { ours: self.cluster.0, theirs: theirs.cluster.0 });
        }
        let oldest = self.protocols.0.max(theirs.protocols.0);
        let newest = self.protocols.1.min(theirs.protocols.1);
        if oldest > newest {
            return Err(HandshakeError::NoCommonProtocol { ours: self.protocols, theirs: theirs.protocols });
        }
        Ok(newest)
    }
}

fn derive(key: &ClusterKey) -> [u8; 32] {
    blake3::derive_key("atoll node handshake, version 1", &key.0)
}

fn mac(key: &[u8; 32], side: Side, client: &Hello, server: &Hello, who: &[u8]) -> blake3::Hash {
    let side: &[u8] = match side {
        Side::Client => b"client",
        Side::Server => b"server",
    };
    // All parts but the last have a fixed length.
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(side).update(&client.bytes).update(&server.bytes).update(who);
    hasher.finalize()
}

/// Length, who, MAC.
fn prove(key: &[u8; 32], side: Side, client: &Hello, server: &Hello, mut me: Peer) -> Result<Vec<u8>, HandshakeError> {
    // The address is for people; better cut than no connection.
    let mut end = me.address.len().min(Peer::ADDRESS_BYTES_MAX);
    while !me.address.is_char_boundary(end) {
        end -= 1;
    }
    me.address.truncate(end);
    let who = codec::encode(&me);
    let mut proof = Vec::with_capacity(2 + who.len() + MAC_BYTES);
    proof.extend_from_slice(&(who.len() as u16).to_be_bytes());
    proof.extend_from_slice(&who);
    proof.extend_from_slice(mac(key, side, client, server, &who).as_bytes());
    Ok(proof)
}

async fn check<R: AsyncRead + Unpin>(
    key: &[u8; 32],
    side: Side,
    client: &Hello,
    server: &Hello,
    read: &mut R,
) -> Result<Peer, HandshakeError> {
    let len = read.read_u16().await? as usize;
    if len > WHO_BYTES_MAX {
        return Err(HandshakeError::NotAtoll);
    }
    let mut bytes = vec![0; len + MAC_BYTES];
    read.read_exact(&mut bytes).await?;
    let (who, claimed) = bytes.split_at(len);
    let mut claim = [0; MAC_BYTES];
    claim.copy_from_slice(claimed);
    // `blake3::Hash` compares in constant time.
    if mac(key, side, client, server, who) != blake3::Hash::from_bytes(claim) {
        return Err(HandshakeError::WrongKey);
    }
    let peer: Peer = codec::decode(who).map_err(|_| HandshakeError::Garbled)?;
    if peer.address.len() > Peer::ADDRESS_BYTES_MAX {
        return Err(HandshakeError::Garbled);
    }
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Incarnation, NodeId, ReplicaId};

    fn credentials(key: u8, cluster: u128, protocols: (u16, u16), me: Peer) -> Credentials {
        let mut made = Credentials::new(ClusterKey([key; 32]), ClusterId(cluster), me);
        made.protocols = protocols;
        made
    }

    async fn meet(
        client: Credentials,
        server: Credentials,
        room: bool,
    ) -> (Result<Peer, HandshakeError>, Result<Peer, HandshakeError>) {
        let (near, far) = tokio::io::duplex(1024);
        let limit = Duration::from_secs(5);
        let calling = async move {
            let (mut read, mut write) = tokio::io::split(near);
            connect(&mut read, &mut write, &client, limit).await
        };
        let called = async move {
            let (mut read, mut write) = tokio::io::split(far);
            let admitted = accept(&mut read, &mut write, &server, limit, |_| room.then_some(())).await;
            admitted.map(|(peer, ())| peer)
        };
        tokio::join!(calling, called)
    }

    fn node() -> Peer {
        Peer::node(ReplicaId { node: NodeId(3), incarnation: Incarnation(9) }, "10.0.0.3:7071")
    }

    #[tokio::test]
    async fn both_learn_who_the_other_is_and_the_newest_common_protocol() {
        let client = credentials(1, 7, (2, 5), Peer::gateway("g"));
        let server = credentials(1, 7, (1, 4), node());
        let (at_client, at_server) = meet(client, server, true).await;
        assert_eq!(at_client, Ok(Peer { protocol: 4, ..node() }));
        assert_eq!(at_server, Ok(Peer { protocol: 4, ..Peer::gateway("g") }));
    }

    #[tokio::test]
    async fn both_say_what_is_wrong() {
        let server = || credentials(1, 7, (3, 4), node());
        let wrong_key = meet(credentials(2, 7, (3, 4), node()), server(), true).await;
        assert_eq!(wrong_key, (Err(HandshakeError::WrongKey), Err(HandshakeError::WrongKey)));

        let (at_client, at_server) = meet(credentials(1, 8, (3, 4), node()), server(), true).await;
        assert_eq!(at_client, Err(HandshakeError::OtherCluster { ours: 8, theirs: 7 }));
        assert_eq!(at_server, Err(HandshakeError::OtherCluster { ours: 7, theirs: 8 }));

        let (at_client, at_server) = meet(credentials(1, 7, (1, 2), node()), server(), true).await;
        assert_eq!(
            at_client.unwrap_err().to_string(),
            "no common protocol: this end speaks 1 to 2, the other 3 to 4; upgrade the older one first"
        );
        assert_eq!(at_server, Err(HandshakeError::NoCommonProtocol { ours: (3, 4), theirs: (1, 2) }));

        let full = meet(credentials(1, 7, (3, 4), node()), server(), false).await;
        assert_eq!(full, (Err(HandshakeError::Full), Err(HandshakeError::Full)));
    }

    #[tokio::test]
    async fn an_overlong_address_is_cut_at_a_letter() {
        let client = credentials(1, 7, (1, 1), Peer::gateway("ä".repeat(200) + "x"));
        let (_, at_server) = meet(client, credentials(1, 7, (1, 1), node()), true).await;
        assert_eq!(at_server.unwrap().address, "ä".repeat(128));
    }

    /// An impostor that has seen a true client's proof cannot use it again, nor
    /// send the server's own words back to it.
    #[tokio::test]
    async fn proofs_are_good_for_one_conversation_and_one_side() {
        let key = derive(&ClusterKey([1; 32]));
        let one = credentials(1, 7, (1, 1), node());
        let (client, server, later) = (Hello::new(&one), Hello::new(&one), Hello::new(&one));
        let proof = prove(&key, Side::Client, &client, &server, node()).unwrap();
        assert!(check(&key, Side::Client, &client, &server, &mut &proof[..]).await.is_ok());
        for (side, server) in [(Side::Client, &later), (Side::Server, &server)] {
            let checked = check(&key, side, &client, server, &mut &proof[..]).await;
            assert_eq!(checked, Err(HandshakeError::WrongKey));
        }
        let mut renamed = proof.clone();
        renamed[5] ^= 1;
        let checked = check(&key, Side::Client, &client, &server, &mut &renamed[..]).await;
        assert_eq!(checked, Err(HandshakeError::WrongKey));
    }

    #[tokio::test]
    async fn silence_ends_by_itself() {
        let (near, _far) = tokio::io::duplex(1024);
        let (mut read, mut write) = tokio::io::split(near);
        let limit = Duration::from_millis(20);
        let result = connect(&mut read, &mut write, &credentials(1, 7, (1, 1), node()), limit).await;
        assert_eq!(result, Err(HandshakeError::Timeout(limit)));
    }
}
