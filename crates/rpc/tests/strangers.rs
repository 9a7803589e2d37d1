//! Who is let in, and what those who are not are told.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;
use atoll_rpc::tls::{Authority, Certified, Keyring, Members, Subject, Validity};
use atoll_rpc::{ClientConfig, Code, Connection, Credentials, HandshakeError, Peer, Pool, RpcError, ServerConfig};
use bytes::Bytes;
use common::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};
use types::{ClusterId, NodeId};

/// What a client with these credentials is told.
async fn told(credentials: Credentials) -> HandshakeError {
    let (server, address, handler) = start(server_config()).await;
    let config = ClientConfig { credentials, ..client_config() };
    let error = Connection::connect(&address, &config).await.map(|_| ()).unwrap_err();
    assert!(handler.callers.lock().is_empty() && server.connections() == 0);
    match error {
        RpcError::Handshake(error) => error,
        other => panic!("{other:?}"),
    }
}

fn node(id: u64) -> Peer {
    Peer::node(replica(id), format!("test:{id}"))
}

/// A machine with a token, and no certificate.
fn joiner() -> ClientConfig {
    let credentials = Credentials::issued(&AUTHORITY, Peer::joining("j"), validity()).unwrap();
    ClientConfig { credentials, ..client_config() }
}

fn keyring(authority: &str, own: &Certified) -> Keyring {
    Keyring::new(ClusterId(77), authority, own).unwrap()
}

#[tokio::test]
async fn a_client_without_a_certificate_is_no_node_and_no_gateway() {
    for said in [node(5), Peer::gateway("g")] {
        let joining = Credentials::issued(&AUTHORITY, Peer::joining("j"), validity()).unwrap();
        joining.me.set(said);
        assert_eq!(told(joining).await, HandshakeError::Claim);
    }
}

#[tokio::test]
async fn a_gateways_certificate_is_no_nodes_and_no_servers() {
    let gateway = Credentials::issued(&AUTHORITY, Peer::gateway("g"), validity()).unwrap();
    gateway.me.set(node(5));
    assert_eq!(told(gateway.clone()).await, HandshakeError::Claim);

    let (_server, address, _) = start(ServerConfig { credentials: gateway, ..server_config() }).await;
    let error = Connection::connect(&address, &client_config()).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, RpcError::Handshake(HandshakeError::Stranger(_))), "{error:?}");
}

#[tokio::test]
async fn another_clusters_authority_is_worth_nothing_here() {
    // The same cluster id even: anybody can claim that.
    let foreign = Authority::new(ClusterId(77)).unwrap();
    let theirs = Credentials::issued(&foreign, node(5), validity()).unwrap();
    assert!(matches!(told(theirs).await, HandshakeError::Stranger(_)), "they refuse us first");
    // One who would accept our server shows a certificate that our server does not accept.
    let own = foreign.issue(Subject::Node(NodeId(5)), validity()).unwrap();
    let sly = Credentials::new(keyring(AUTHORITY.certificate(), &own), node(5));
    let error = told(sly).await;
    assert!(matches!(&error, HandshakeError::Refused(why) if why.contains("another cluster")), "{error:?}");
    // A joiner with a token of another cluster.
    let joiner = Credentials::issued(&foreign, Peer::joining("j"), validity()).unwrap();
    let error = told(joiner).await;
    assert!(matches!(&error, HandshakeError::Stranger(why) if why.contains("another cluster")), "{error:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_both_ends() {
    let now = SystemTime::now();
    let past = Validity { begins: now - Duration::from_secs(100), ends: now - Duration::from_secs(10) };
    let expired = Credentials::issued(&AUTHORITY, node(5), past).unwrap();
    let error = told(expired.clone()).await;
    assert!(matches!(&error, HandshakeError::Clocks(why) if why.contains("the other end's clock")), "{error:?}");
    let (_server, address, _) = start(ServerConfig { credentials: expired, ..server_config() }).await;
    let error = Connection::connect(&address, &client_config()).await.map(|_| ()).unwrap_err();
    let RpcError::Handshake(HandshakeError::Clocks(why)) = &error else { panic!("{error:?}") };
    assert!(why.contains("ran out 1") && why.contains("compare the clocks"), "{why}");
}

#[tokio::test]
async fn a_clock_that_is_behind_is_told_as_such_to_one_who_joins() {
    let now = SystemTime::now();
    let future = Validity { begins: now + Duration::from_secs(7500), ends: now + Duration::from_secs(90_000) };
    let ahead = Credentials::issued(&AUTHORITY, node(5), future).unwrap();
    let (_server, address, _) = start(ServerConfig { credentials: ahead, ..server_config() }).await;
    let error = Connection::connect(&address, &joiner()).await.map(|_| ()).unwrap_err();
    let RpcError::Handshake(HandshakeError::Clocks(why)) = &error else { panic!("{error:?}") };
    assert!(why.contains("behind by 2 h 4 min") || why.contains("behind by 2 h 5 min"), "{why}");
}

#[tokio::test]
async fn a_joiner_is_held_short() {
    let config = ServerConfig {
        joiners_max: 1,
        joiner_time: Duration::from_secs(4),
        joiner_patience: Duration::from_secs(3),
        joiner_bytes_max: 1000,
        joiner_calls_max: 3,
        ..server_config()
    };
    let (_server, address, _) = start(config).await;
    let joiner = joiner();
    let first = Connection::connect(&address, &joiner).await.unwrap();
    let second = Connection::connect(&address, &joiner).await.map(|_| ()).unwrap_err();
    assert!(second.to_string().contains("too many connections"), "{second}");
    Connection::connect(&address, &client_config()).await.unwrap();
    first.call(ECHO, vec![0; 1001], LONG).await.unwrap_err();

    let patient = loop {
        match Connection::connect(&address, &joiner).await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    patient.call(NEVER, Bytes::new(), LONG).await.unwrap_err();
}

#[tokio::test]
async fn a_joiner_asks_one_thing_at_a_time_few_things_and_soon() {
    let config = ServerConfig {
        joiner_patience: Duration::from_millis(1500),
        joiner_bytes_max: 1000,
        joiner_calls_max: 3,
        ..server_config()
    };
    let (_server, address, _) = start(config).await;
    let joiner = joiner();
    let busy = Connection::connect(&address, &joiner).await.unwrap();
    let (first, second) = tokio::join!(busy.call(NEVER, Bytes::new(), LONG), async {
        let second = busy.call(ECHO, Bytes::new(), LONG).await;
        // The third is allowed, the fourth too much: the connection ends, and the first call with it.
        let _third = busy.call(ECHO, Bytes::new(), LONG).await;
        busy.call(ECHO, Bytes::new(), LONG).await.unwrap_err();
        second
    });
    assert!(matches!(second.unwrap_err(), RpcError::Remote(status) if status.code == Code::Busy));
    first.unwrap_err();
    let idle = Connection::connect(&address, &joiner).await.unwrap();
    idle.closed().await;
}

#[tokio::test]
async fn a_removed_node_is_not_let_in_again_and_soon_cut_off() {
    let server = server_config();
    let (_server, address, _) = start(server.clone()).await;
    let there = ClientConfig { credentials: credentials(5), ..client_config() };
    let gateway = ClientConfig { credentials: there.credentials.as_gateway("g"), ..client_config() };
    let open =
        [Connection::connect(&address, &there).await.unwrap(), Connection::connect(&address, &gateway).await.unwrap()];
    let others = Connection::connect(&address, &client_config()).await.unwrap();
    let nodes = BTreeSet::from([1, 2].map(NodeId));
    server.credentials.keys.set_members(Members { nodes, next: NodeId(6) });
    for config in [&there, &gateway] {
        let error = Connection::connect(&address, config).await.map(|_| ()).unwrap_err();
        assert_eq!(error, RpcError::Handshake(HandshakeError::Dismissed));
    }
    there.credentials.keys.dismissed().await;
    for connection in &open {
        connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
    }
    for connection in open {
        assert!(tokio::time::timeout(LONG, connection.closed()).await.is_ok());
    }
    others.call(ECHO, Bytes::new(), LONG).await.unwrap();
    // One that was admitted after we last heard is not taken for removed.
    let newer = ClientConfig { credentials: credentials(6), ..client_config() };
    Connection::connect(&address, &newer).await.unwrap();

    // Nor is a removed node called.
    let (_theirs, address, _) = start(ServerConfig { credentials: credentials(5), ..server_config() }).await;
    let caller = client_config();
    let open = Connection::connect(&address, &caller).await.unwrap();
    let nodes = BTreeSet::from([1, 2].map(NodeId));
    caller.credentials.keys.set_members(Members { nodes, next: NodeId(6) });
    open.closed().await;
    let error = Connection::connect(&address, &caller).await.map(|_| ()).unwrap_err();
    assert_eq!(error, RpcError::Handshake(HandshakeError::Removed));
}

#[tokio::test]
async fn certificates_run_out_and_are_renewed_while_connections_stay_open() {
    const LIFE: Duration = Duration::from_secs(8);
    let brief = |id| Credentials::issued(&AUTHORITY, node(id), Validity::from_now(LIFE)).unwrap();
    let (server, client) = (brief(1), brief(2));
    let (_server, address, handler) = start(ServerConfig { credentials: server.clone(), ..server_config() }).await;
    let config = ClientConfig { credentials: client.clone(), ..client_config() };
    let open = Connection::connect(&address, &config).await.unwrap();
    let begun = Instant::now();
    let mut calls = 0;
    while begun.elapsed() < LIFE * 2 + Duration::from_secs(1) {
        for (id, keys) in [(1, &server.keys), (2, &client.keys)] {
            if keys.expires() < SystemTime::now() + Duration::from_secs(2) {
                keys.renew(&AUTHORITY.issue(Subject::Node(NodeId(id)), Validity::from_now(LIFE)).unwrap()).unwrap();
            }
        }
        open.call(ECHO, Bytes::new(), LONG).await.unwrap();
        // New connections resume a session or begin one; both must hold.
        Connection::connect(&address, &config).await.unwrap().call(ECHO, Bytes::new(), LONG).await.unwrap();
        calls += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(calls > 10 && !open.is_closed());
    assert_eq!(handler.callers.lock().len(), 1);
    // Without renewal, new connections end when the certificate does, and a resumed session does not outlive it.
    let pool = Pool::new(config);
    until("the certificate has run out", || client.keys.expires() < SystemTime::now()).await;
    pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap_err();
    open.call(ECHO, Bytes::new(), LONG).await.unwrap();
}
