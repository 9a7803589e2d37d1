//! How long writes and reads stall when a node is killed: each node in turn, heads and the leader of the
//! control plane included; with its witness, too, so that the cluster has to do without, as when a whole machine is lost.
//! `ATOLL_TEST_LONG=1` kills thirty times. Prints the distribution; asserts only that no request fails,
//! because how fast it goes is the machine's affair.

use crate::demo::{Demo, On, long, wait_for};
use bytes::Bytes;
use client::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::{Consistency, ItemKey, TableId, Transaction, Update};

/// Partitions written to and read from at the same time.
const KEYS: u64 = 12;

fn put(client: &Client, table: TableId, key: &str) -> Transaction {
    Transaction {
        operation: client.operation(key.as_bytes()),
        partition_key: Bytes::copy_from_slice(key.as_bytes()),
        conditions: vec![],
        updates: vec![Update::Put {
            table,
            sort_key: Bytes::new().into(),
            value: Bytes::from_static(b"x").into(),
            expires: None,
        }],
    }
}

/// The longest that one writer or reader waited, until told to stop.
async fn longest<F: Future<Output = Result<(), String>>>(
    stop: Arc<AtomicBool>,
    mut request: impl FnMut() -> F,
) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        if let Err(error) = request().await {
            panic!("failed after {:?}: {error}", begun.elapsed());
        }
        longest = longest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    longest
}

fn distribution(what: &str, mut stalls: Vec<Duration>) {
    if stalls.is_empty() {
        return;
    }
    stalls.sort_unstable();
    let at = |share: f64| stalls[((stalls.len() - 1) as f64 * share).round() as usize].as_millis();
    println!(
        "{what}: min {} · median {} · p99 {} · max {} ms ({} samples)",
        at(0.0),
        at(0.5),
        at(0.99),
        at(1.0),
        stalls.len()
    );
}

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lost {
    /// A node's process.
    Process,
    /// And its witness.
    Machine,
}

#[test]
fn the_stall_after_a_kill_is_short() {
    kill_each_in_turn(On::Raft, Lost::Process);
}

#[test]
fn the_stall_after_the_loss_of_a_machine_is_short() {
    kill_each_in_turn(On::Raft, Lost::Machine);
}

#[test]
fn the_stall_after_a_kill_is_short_on_zookeeper() {
    kill_each_in_turn(On::ZooKeeper, Lost::Process);
}

#[test]
fn the_stall_after_the_loss_of_a_machine_is_short_on_zookeeper() {
    kill_each_in_turn(On::ZooKeeper, Lost::Machine);
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn freeze(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGSTOP).unwrap();
}

fn children(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let listed = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    listed.flat_map(|list| list.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// The process that stands by to tell of another's end.
fn witness_of(pid: i32) -> i32 {
    let children = children(pid);
    assert_eq!(children.len(), 1, "a node has one witness");
    children[0]
}

/// Kills each node in turn; with ZooKeeper, every fourth time its leading server instead.
fn kill_each_in_turn(on: On, lost: Lost) {
    let rounds: u16 = if long() { 30 } else { 4 };
    let demo = Demo::start_on(on, 3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if lost == Lost::Process {
        // Killed alone, it is soon another.
        demo.wait_whole(3);
        let pid = demo.nodes()[0]["pid"].as_i64().expect("it runs") as i32;
        let first = witness_of(pid);
        kill(first);
        wait_for("another witness", Duration::from_secs(30), || {
            children(pid).into_iter().find(|child| *child != first).map(|_| ())
        });
    }
    let mut killed = 0;
    let (mut writes, mut reads, mut of_leaders) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let node = round % 3 + 1;
        // Placed as at first: whoever came back last is not the tail of everything.
        demo.wait_whole(3);
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = runtime.block_on(async {
            let client = demo.inside().await;
            let table = client.ensure_table("kv", "failover").await.unwrap();
            let mut clients = Vec::new();
            for key in 0..KEYS {
                let key = format!("key {key}");
                client.transact(put(&client, table, &key)).await.unwrap();
                let (writer, reader, name) = (client.clone(), client.clone(), key.clone());
                let writing = longest(stop.clone(), move || {
                    let (client, transaction) = (writer.clone(), put(&writer, table, &key));
                    async move { client.transact(transaction).await.map(|_| ()).map_err(|error| error.to_string()) }
                });
                let reading = longest(stop.clone(), move || {
                    let (client, key) = (reader.clone(), ItemKey::new(table, name.clone(), ""));
                    async move {
                        // A replica that is a little behind may not have it yet.
                        client.get(&key, Consistency::Stale).await.map(|_| ()).map_err(|error| error.to_string())
                    }
                });
                clients.push((tokio::spawn(writing), tokio::spawn(reading)));
            }
            clients
        });
        std::thread::sleep(Duration::from_millis(700));
        let server = demo.ensemble.as_ref().filter(|_| round % 4 == 3).map(|ensemble| ensemble.leading_server());
        let mut led = false;
        let victim = match (&demo.ensemble, server) {
            (Some(ensemble), Some(server)) => {
                ensemble.kill_server(server);
                "ZooKeeper's leading server".to_string()
            }
            _ => {
                let known = demo.nodes()[node as usize - 1].clone();
                let pid = known["pid"].as_i64().expect("it runs") as i32;
                if lost == Lost::Machine {
                    // Together: a node that is left for a moment would call another witness.
                    freeze(pid);
                    kill(witness_of(pid));
                }
                kill(pid);
                killed += 1;
                led = known["roles"].as_array().is_some_and(|roles| roles.iter().any(|role| role == "leader"));
                format!("node {node}{}", if led { ", which leads" } else { "" })
            }
        };
        std::thread::sleep(Duration::from_millis(3500));
        stop.store(true, Ordering::Relaxed);
        let (mut write, mut read) = (Duration::ZERO, Duration::ZERO);
        for (writing, reading) in clients {
            let stalled = runtime.block_on(writing).unwrap();
            write = write.max(stalled);
            writes.push(stalled);
            of_leaders.extend(led.then_some(stalled));
            let stalled = runtime.block_on(reading).unwrap();
            read = read.max(stalled);
            reads.push(stalled);
        }
        println!("kill {}: {victim}, writes stalled {write:?}, reads {read:?}", round + 1);
        match (&demo.ensemble, server) {
            (Some(ensemble), Some(server)) => ensemble.start_server(server),
            _ => demo.start_node(node),
        }
    }
    let logs = (1..=3).filter_map(|node| std::fs::read_to_string(demo.folder.join(format!("node-{node}.log"))).ok());
    let told: usize = logs.map(|log| log.matches("its witness says so").count()).sum();
    match lost {
        Lost::Process => assert!(told >= killed, "{killed} processes were killed, {told} times a witness was heard"),
        Lost::Machine => assert_eq!(told, 0, "a witness was heard that was killed before"),
    }
    let what = format!("{on:?}, {}", if lost == Lost::Machine { "machines lost" } else { "processes killed" });
    distribution(&format!("{what}: stall of writes"), writes);
    distribution(&format!("{what}: stall of writes, where the leader was killed"), of_leaders);
    distribution(&format!("{what}: stall of reads"), reads);
}
