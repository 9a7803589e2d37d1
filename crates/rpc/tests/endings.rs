//! Peers that are not there, die, freeze, or come back: what the caller learns.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;
use atoll_rpc::{ClientConfig, Connection, Pool, RpcError, Server, handshake};
use bytes::Bytes;
use common::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsStream;
use types::{Action, Classify};

/// An address where nobody listens.
async fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn nobody_listening_means_not_sent() {
    let address = nowhere().await;
    let pool = Pool::new(client_config());
    let error = pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(error, RpcError::NotSent(_)), "{error:?}");
    assert_eq!(error.action(), Action::Retry);
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn after_failures_the_pool_fails_fast_and_then_tries_again() {
    let address = nowhere().await;
    let pool = Pool::new(client_config());
    // Attempts pause for 0, 50, 100, 200 ms and so on; in between nothing is tried.
    let begun = Instant::now();
    let mut attempts = 0u32;
    while begun.elapsed() < Duration::from_millis(800) {
        if let Ok(connection) = pool.connection(&address) {
            attempts += 1;
            connection.closed().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!((2..=6).contains(&attempts), "{attempts} attempts");

    let server = Server::bind(&address, server_config(), Obedient::new()).await.unwrap();
    let connected = Instant::now();
    while pool.call(&address, ECHO, Bytes::new(), LONG).await.is_err() {
        assert!(connected.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_call_waits_for_a_connection_no_longer_than_it_may() {
    // Accepts by the system's backlog, and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let config = ClientConfig { handshake_timeout: Duration::from_millis(300), ..client_config() };
    let connection = Connection::open(&address, &config);
    let call = connection.call(ECHO, Bytes::new(), Duration::from_millis(30)).await.unwrap_err();
    assert!(matches!(call, RpcError::NotSent(_)), "nothing can have left: {call:?}");
    let error = connection.call(ECHO, Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(&error, RpcError::NotSent(why) if why.contains("handshake")), "{error:?}");
    assert!(connection.is_closed());
}

/// Shakes hands as a server would, then hands the stream over.
async fn impostor(listener: TcpListener) -> TlsStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    handshake::accept(stream, &credentials(1), LONG, |_| Some(())).await.unwrap().2
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut config = ClientConfig { queue_bytes_max: 1 << 20, ..client_config() };
    config.vitality.silent_beats = 1000;
    let (stream, connection) = tokio::join!(impostor(listener), Connection::connect(&address, &config));
    let connection = connection.unwrap();
    // Nobody reads: the queue is full for good once the system's buffers are.
    let mut last_taken = Instant::now();
    let error = loop {
        match connection.notify(REMEMBER, vec![0; 60_000]) {
            Ok(()) => last_taken = Instant::now(),
            Err(error) if last_taken.elapsed() > Duration::from_millis(300) => break error,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert!(matches!(error, RpcError::NotSent(_)), "{error:?}");
    let call = connection.call(ECHO, vec![0; 60_000], LONG).await.unwrap_err();
    assert_eq!(call.action(), Action::Retry);
    drop(stream);
    assert!(matches!(connection.closed().await, RpcError::Lost(_)));
}

#[tokio::test]
async fn what_was_queued_behind_a_dead_connection_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = client_config();
    let (stream, connection) = tokio::join!(impostor(listener), Connection::connect(&address, &config));
    let connection = connection.unwrap();
    // The first fills what the system and the writer take; the last stays in the queue.
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.call(ECHO, vec![0; 12 << 20], LONG).await })
        })
        .collect();
    let mut stream = stream;
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    let mut errors = Vec::new();
    for call in calls {
        errors.push(call.await.unwrap().unwrap_err());
    }
    assert!(errors.iter().any(|error| matches!(error, RpcError::Lost(_))), "{errors:?}");
    assert!(errors.iter().any(|error| matches!(error, RpcError::NotSent(_))), "{errors:?}");
}

#[tokio::test]
async fn a_silent_peer_is_given_up_by_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = client_config();
    let (_stream, connection) = tokio::join!(impostor(listener), Connection::connect(&address, &config));
    let error = connection.unwrap().call(ECHO, Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(&error, RpcError::Lost(why) if why.contains("nothing was heard")), "{error:?}");

    let (server, address, _handler) = start(server_config()).await;
    let stream = TcpStream::connect(&address).await.unwrap();
    let _silent = handshake::connect(stream, &address, &credentials(3), LONG).await.unwrap();
    until("the connection is counted", || server.connections() == 1).await;
    until("the silent client is given up", || server.connections() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_lives_on() {
    let (server, address, _handler) = start(server_config()).await;
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    let patience = vitality().heartbeat * (vitality().silent_beats + 8);
    assert!(tokio::time::timeout(patience, connection.closed()).await.is_err());
    connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
    drop(connection);
    until("the last handle closes it", || server.connections() == 0).await;
}

#[tokio::test]
async fn what_was_taken_before_the_last_handle_went_is_still_sent() {
    let (_server, address, handler) = start(server_config()).await;
    let connection = Connection::open(&address, &client_config());
    for n in 0..1000u32 {
        connection.notify(REMEMBER, n.to_be_bytes().to_vec()).unwrap();
    }
    drop(connection);
    until("all have arrived", || handler.remembered.lock().len() == 1000).await;
}

/// Not a test: the server that the tests below kill and freeze.
#[tokio::test]
async fn child() {
    if std::env::var_os("ATOLL_RPC_CHILD").is_some() {
        let (_server, address, _handler) = start(server_config()).await;
        println!("\nlistens at {address}");
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
}

struct Process(Child, String);

impl Process {
    fn start() -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env("ATOLL_RPC_CHILD", "1")
            .env("ATOLL_RPC_AUTHORITY", serde_json::to_string(&*AUTHORITY).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map(Result::unwrap).find_map(|line| Some(line.strip_prefix("listens at ")?.to_string()));
        Process(child, address.unwrap())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_killed_in_mid_call_means_lost() {
    let process = Process::start();
    let connection = Connection::connect(&process.1, &client_config()).await.unwrap();
    let calls = futures::future::join_all((0..100).map(|_| connection.call(NEVER, Bytes::new(), LONG)));
    let kill = async {
        connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
        process.signal("-KILL");
    };
    let (results, ()) = tokio::join!(calls, kill);
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, RpcError::Lost(_)), "{error:?}");
        assert_eq!(error.action(), Action::Unknown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_peer_is_noticed_and_found_again_when_it_thaws() {
    let process = Process::start();
    let pool = Pool::new(ClientConfig { handshake_timeout: Duration::from_millis(300), ..client_config() });
    pool.call(&process.1, ECHO, Bytes::new(), LONG).await.unwrap();
    process.signal("-STOP");
    let frozen = Instant::now();
    // It may take a moment until all its threads stand still: nothing that it would answer.
    let error = pool.call(&process.1, NEVER, Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(error, RpcError::Lost(_)), "{error:?}");
    assert!(frozen.elapsed() < Duration::from_secs(10), "{:?}", frozen.elapsed());
    let error = pool.call(&process.1, ECHO, Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(error, RpcError::NotSent(_)), "{error:?}");
    process.signal("-CONT");
    while pool.call(&process.1, ECHO, Bytes::new(), LONG).await.is_err() {
        assert!(frozen.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_found_at_once() {
    let (server, address, _handler) = start(server_config()).await;
    let pool = Pool::new(client_config());
    pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap();
    let old = pool.connection(&address).unwrap();
    server.shutdown(LONG).await;
    old.closed().await;
    let (handler, again) = (Obedient::new(), server_config());
    let _server = Server::bind(&address, again, handler.clone()).await.unwrap();
    pool.notify(&address, REMEMBER, Bytes::from_static(b"1")).unwrap();
    pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap();
    assert_eq!(*handler.remembered.lock(), [&b"1"[..]]);
}
