//! All nodes die at once in the middle of writes. What was acknowledged is there afterwards.

use crate::demo::Demo;
use bytes::Bytes;
use client::remote::TableKey;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use types::{Consistency, TableKind};

const TABLE: &str = "ledger";

#[test]
fn everything_acknowledged_outlives_the_death_of_all_nodes_at_once() {
    let demo = Demo::start(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = runtime.block_on(async {
        demo.remote(&[]).await.create_table(TABLE, TableKind::Strong, true).await.unwrap();
        let mut clients = Vec::new();
        for id in 0..8u64 {
            let remote = demo.remote(&[]).await;
            let (acknowledged, stop, writing) = (acknowledged.clone(), stop.clone(), writing.clone());
            clients.push(tokio::spawn(async move {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("{id}-{i}");
                    let put = remote.transaction(key.clone()).put(TABLE, Bytes::new(), key.clone());
                    if remote.transact(&put).await.is_ok() {
                        acknowledged.lock().unwrap().push(key);
                        writing.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        clients
    });
    crate::demo::wait_for("writes", Duration::from_secs(30), || (writing.load(Ordering::Relaxed) > 300).then_some(()));
    for pid in demo.pids() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    crate::demo::wait_for("all dead", Duration::from_secs(10), || {
        demo.nodes().iter().all(|node| node["state"] == "dead").then_some(())
    });
    for node in 1..=3 {
        demo.start_node(node);
    }
    demo.wait_whole(3);
    runtime.block_on(async {
        futures::future::join_all(clients).await;
        let remote = demo.remote(&[]).await;
        let acknowledged = acknowledged.lock().unwrap().clone();
        println!("{} writes acknowledged", acknowledged.len());
        for keys in acknowledged.chunks(200) {
            let items: Vec<TableKey> = keys.iter().map(|key| TableKey::new(TABLE, key.clone(), Bytes::new())).collect();
            let found = remote.get_many(&items, Consistency::Strong).await.unwrap();
            for (key, item) in keys.iter().zip(found) {
                assert_eq!(item.map(|item| item.value), Some(Bytes::from(key.clone())), "{key} was acknowledged");
            }
        }
    });
}

#[test]
fn a_stopped_demo_comes_back_with_its_data() {
    let mut demo = Demo::start(3);
    demo.ok(&["table", "create", "notes"]);
    demo.ok(&["kv", "put", "greeting", "hello there", "--table", "notes"]);
    demo.acted(&["stop"]);
    crate::demo::wait_for("the supervisor to end", Duration::from_secs(20), || demo.status().is_none().then_some(()));
    demo.come_back();
    demo.wait_whole(3);
    assert_eq!(demo.ok(&["kv", "get", "greeting", "--table", "notes"]).trim_end(), "hello there");
}
