//! Ends that do not belong here, and bytes that mean nothing.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;
use atoll_rpc::frame::{Frame, Kind};
use atoll_rpc::{ClientConfig, Connection, Credentials, HandshakeError, RpcError, ServerConfig, handshake};
use bytes::{Bytes, BytesMut};
use common::*;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use types::{Action, Classify};

async fn refused(change: impl FnOnce(&mut Credentials)) -> RpcError {
    let (server, address, handler) = start(server_config()).await;
    let mut config = client_config();
    change(&mut config.credentials);
    let connection = Connection::open(&address, &config);
    connection.notify(REMEMBER, Bytes::new()).unwrap();
    let called = connection.call(ECHO, Bytes::new(), LONG).await.unwrap_err();
    assert_eq!(called, connection.closed().await);
    assert_eq!(called.action(), Action::Rejected);
    assert_eq!(connection.notify(REMEMBER, Bytes::new()), Err(called.clone()));
    assert!(handler.remembered.lock().is_empty() && handler.callers.lock().is_empty());
    assert_eq!(server.connections(), 0);
    called
}

#[tokio::test]
async fn those_who_do_not_belong_are_told_why() {
    let newer = refused(|credentials| credentials.protocols = (1000, 1001)).await;
    assert!(newer.to_string().contains("no common protocol: this end speaks 1000 to 1001"), "{newer}");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_may_come_again() {
    let (server, address, _handler) = start(ServerConfig { connections_max: 1, ..server_config() }).await;
    let first = Connection::connect(&address, &client_config()).await.unwrap();
    let error = Connection::connect(&address, &client_config()).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("too many connections"), "{error}");
    assert_eq!(error.action(), Action::Retry);
    drop(first);
    until("the first is gone", || server.connections() == 0).await;
    Connection::connect(&address, &client_config()).await.unwrap();
}

#[tokio::test]
async fn strangers_who_say_nothing_are_sent_away_and_do_not_lock_others_out() {
    let config = ServerConfig { handshake_timeout: Duration::from_millis(500), handshakes_max: 4, ..server_config() };
    let (_server, address, _handler) = start(config).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(TcpStream::connect(&address).await.unwrap());
    }
    let patient = ClientConfig { handshake_timeout: LONG, ..client_config() };
    Connection::connect(&address, &patient).await.unwrap();
    for mut stranger in strangers {
        assert_eq!(stranger.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0, "strangers learn nothing");
    }
}

#[tokio::test]
async fn what_does_not_speak_the_protocol_is_recognised() {
    let (_server, address, _handler) = start(server_config()).await;
    let mut browser = TcpStream::connect(&address).await.unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = browser.read_to_end(&mut heard).await;
    assert!(heard.is_empty() || (heard.len() == 7 && heard[0] == 21), "an alert of TLS and no more: {heard:?}");

    let (near, mut far) = tokio::io::duplex(1000);
    far.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
    let error = Connection::over("mail", near, &client_config()).ready().await.unwrap_err();
    assert_eq!(error, RpcError::Handshake(HandshakeError::NotAtoll));
}

/// A client that has shaken hands.
async fn insider(address: &str) -> TlsStream<TcpStream> {
    handshake::connect(TcpStream::connect(address).await.unwrap(), address, &credentials(6), LONG).await.unwrap().1
}

#[tokio::test]
async fn frames_that_cannot_be_end_the_connection_unread() {
    let (_server, address, _handler) = start(server_config()).await;
    let header = |length: u32, kind: u8| [&length.to_be_bytes()[..], &[kind], &[0; 10]].concat();
    let mut reply = BytesMut::new();
    Frame { kind: Kind::Reply, ..Frame::HEARTBEAT }.put_header(&mut reply);
    for bytes in [header(u32::MAX, 1), header((16 << 20) + 1, 2), header(3, 1), header(11, 77), reply.to_vec()] {
        let mut stream = insider(&address).await;
        stream.write_all(&bytes).await.unwrap();
        let ended = tokio::time::timeout(LONG, stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{bytes:?}");
    }
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
}

/// Bytes that are nearly right get further in than noise does.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0u32..60, 0u8..8, any::<u64>(), prop_oneof![Just(ECHO), Just(PANIC), Just(REMEMBER), any::<u16>()])
        .prop_map(|(length, kind, id, code)| {
            let body = vec![3; (length as usize).saturating_sub(11)];
            [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), &code.to_be_bytes(), &body].concat()
        });
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    proptest::collection::vec(prop_oneof![4 => frame, 1 => noise], 0..20).prop_map(|parts| parts.concat())
}

/// A record of TLS, or of nothing.
fn nearly_tls() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![Just(vec![22, 3, 1]), Just(vec![23, 3, 3]), proptest::collection::vec(any::<u8>(), 0..12)];
    let rest = proptest::collection::vec(any::<u8>(), 0..1200);
    (head, any::<u16>(), rest).prop_map(|(head, len, rest)| [&head[..], &len.to_be_bytes(), &rest].concat())
}

/// Sends bytes, then the end; the server must end the conversation by itself.
async fn shout(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) {
    // It may have hung up before all is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let ended = tokio::time::timeout(LONG, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the server hangs over {bytes:?}");
}

#[test]
fn the_server_survives_whatever_is_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, address, _handler) = runtime.block_on(start(server_config()));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(nearly_tls(), nearly_frames()), |(noise, frames)| {
            runtime.block_on(async {
                shout(TcpStream::connect(&address).await.unwrap(), &noise).await;
                shout(insider(&address).await, &frames).await;
            });
            Ok(())
        })
        .unwrap();
    runtime.block_on(async {
        let connection = Connection::connect(&address, &client_config()).await.unwrap();
        connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
        until("only the good one is left", || server.connections() == 1).await;
    });
}

/// The same from a server to a client: it ends, and says so.
#[test]
fn the_client_survives_whatever_is_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (client, server) = (client_config(), credentials(1));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&nearly_frames(), |frames| {
            runtime.block_on(async {
                let (near, far) = tokio::io::duplex(1 << 16);
                let connection = Connection::over("strange", near, &client);
                let (_, (), mut write) = handshake::accept(far, &server, LONG, |_| Some(())).await.unwrap();
                let (called, ()) = tokio::join!(connection.call(ECHO, Bytes::new(), LONG), async {
                    let _ = write.write_all(&frames).await;
                    let _ = write.shutdown().await;
                });
                // A frame may by chance be the reply.
                if let Err(error) = called {
                    assert!(matches!(
                        error,
                        RpcError::Lost(_) | RpcError::Protocol(_) | RpcError::Remote(_) | RpcError::NotSent(_)
                    ));
                }
                connection.closed().await;
            });
            Ok(())
        })
        .unwrap();
}
