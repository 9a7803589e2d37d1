//! Machines that ask to be let in, and certificates that run out, over real sockets and disks.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_node::{JoinToken, Node, NodeConfig, NodeError};
use client::{Client, ClientConfig};
use rpc::wire::Presence;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const HOUR: Duration = Duration::from_secs(3600);

async fn start(folder: &Path, join: Option<&str>, life: Duration) -> Result<(Node, String), NodeError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let presence = Presence::at(&address);
    let join = join.map(|token| token.parse::<JoinToken>().unwrap());
    let config = NodeConfig { join, certificate_life: life, ..NodeConfig::new(folder, presence) };
    Ok((Node::start(config, listener).await?, address))
}

async fn connect(node: &Node, address: &str) -> Client {
    Client::connect(ClientConfig::new(vec![address.to_string()], node.credentials())).await.unwrap()
}

async fn refused(folder: &Path, token: &str) -> String {
    match start(folder, Some(token), HOUR).await {
        Err(NodeError::Join(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_of_this_cluster_that_is_fresh_and_unused_lets_in() {
    let folders: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let (one, address) = start(folders[0].path(), None, HOUR).await.unwrap();
    let client = connect(&one, &address).await;
    let token = client.make_join_token(HOUR).await.unwrap();
    assert!(!token.contains(&one.identity().cluster.0.to_string()));

    let (other, other_address) = start(folders[1].path(), None, HOUR).await.unwrap();
    let foreign = connect(&other, &other_address).await.make_join_token(HOUR).await.unwrap();
    // The other cluster's token, that names this cluster's machine.
    let mut strange: JoinToken = foreign.parse().unwrap();
    strange.addresses = vec![address.clone()];
    let why = refused(folders[2].path(), &strange.to_string()).await;
    assert!(why.contains("for another cluster"), "{why}");

    let brief = client.make_join_token(Duration::from_millis(1)).await.unwrap();
    // Nothing tells when a token has expired but the clock.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let why = refused(folders[2].path(), &brief).await;
    assert!(why.contains("has expired"), "{why}");
    let mut guessed: JoinToken = token.parse().unwrap();
    guessed.secret = "0".repeat(32);
    let why = refused(folders[2].path(), &guessed.to_string()).await;
    assert!(why.contains("not known here"), "{why}");

    // Those refusals have used nothing up; the same machine gets in with a good one.
    let (two, _) = start(folders[2].path(), Some(&token), HOUR).await.unwrap();
    let why = refused(folders[3].path(), &token).await;
    assert!(why.contains("was used"), "{why}");
    assert!(!folders[3].path().join("identity.json").exists());
    two.shutdown().await;
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nobody_reaches_at_its_address_is_told_so() {
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let (one, address) = start(folders[0].path(), None, HOUR).await.unwrap();
    let token = connect(&one, &address).await.make_join_token(HOUR).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = NodeConfig {
        join: Some(token.parse().unwrap()),
        ..NodeConfig::new(folders[1].path(), Presence::at("127.0.0.1:1"))
    };
    let two = Node::start(config, listener).await.unwrap();
    let begun = Instant::now();
    while two.unreached().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it was not told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let why = two.unreached().unwrap();
    assert!(why.contains("does not reach this node at 127.0.0.1:1"), "{why}");
    two.shutdown().await;
    let (two, _) = start(folders[1].path(), None, HOUR).await.unwrap();
    let layout = one.layout();
    let begun = Instant::now();
    while !layout.borrow().chains.iter().all(|chain| chain.serving().count() == 2) {
        assert!(begun.elapsed() < Duration::from_secs(60), "with the right address it takes part");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(two.unreached(), None);
    two.shutdown().await;
    one.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn certificates_of_seconds_are_renewed_while_the_cluster_works() {
    const LIFE: Duration = Duration::from_secs(15);
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let (one, address) = start(folders[0].path(), None, LIFE).await.unwrap();
    let client = connect(&one, &address).await;
    let token = client.make_join_token(HOUR).await.unwrap();
    let (two, second) = start(folders[1].path(), Some(&token), LIFE).await.unwrap();
    let layout = one.layout();
    let begun = Instant::now();
    while !layout.borrow().chains.iter().all(|chain| chain.serving().count() == 2) {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for two replicas");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lives = [one.status().incarnation, two.status().incarnation];
    let begun = Instant::now();
    while begun.elapsed() < LIFE * 2 {
        // A client made anew shows and is shown what is valid now.
        for (node, address) in [(&one, &address), (&two, &second)] {
            let fresh = connect(node, address).await;
            fresh.ensure_table("kv", "main").await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    client.ensure_table("kv", "main").await.unwrap();
    println!("lives before {lives:?}, after {:?}", [one.status().incarnation, two.status().incarnation]);
    two.shutdown().await;
    one.shutdown().await;

    // Away for longer than its certificate lasts, it makes itself another.
    tokio::time::sleep(LIFE).await;
    let begun = Instant::now();
    let (one, address) = loop {
        match start(folders[0].path(), None, LIFE).await {
            Ok(started) => break started,
            Err(NodeError::Storage { .. }) if begun.elapsed() < Duration::from_secs(60) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    let begun = Instant::now();
    while Client::connect(ClientConfig::new(vec![address.clone()], one.credentials())).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the certificate was not renewed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    one.shutdown().await;
}
