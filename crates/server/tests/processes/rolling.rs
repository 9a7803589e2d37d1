//! Every node is stopped cleanly and started again, one after the other, while clients write and read:
//! no request may fail.

use crate::demo::Demo;
use bytes::Bytes;
use client::remote::TableKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::{Consistency, TableKind};

const TABLE: &str = "rolling";
const CLIENTS: u64 = 6;

/// What a client saw.
#[derive(Default)]
pub struct Seen {
    requests: u64,
    longest: Duration,
    failures: Vec<String>,
}

#[test]
fn a_rolling_restart_under_load_loses_no_request() {
    let demo = Demo::start(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = runtime.block_on(async {
        demo.remote(&[]).await.create_table(TABLE, TableKind::Strong, true).await.unwrap();
        let mut clients = Vec::new();
        for id in 0..CLIENTS {
            let first = (id % 3) as u16;
            let remote = demo.remote(&[first + 1, (first + 1) % 3 + 1, (first + 2) % 3 + 1]).await;
            let stop = stop.clone();
            clients.push(tokio::spawn(async move {
                let mut seen = Seen::default();
                for i in 0u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (key, value) = (format!("{id}-{}", i % 64), Bytes::from(i.to_string()));
                    let begun = Instant::now();
                    let put = remote.transaction(key.clone()).put(TABLE, Bytes::new(), value.clone());
                    if let Err(error) = remote.transact(&put).await {
                        seen.failures.push(format!("write after {:?}: {error}", begun.elapsed()));
                    }
                    let wrote = begun.elapsed();
                    match remote.get(&TableKey::new(TABLE, key, Bytes::new()), Consistency::Strong).await {
                        Ok(Some(item)) if item.value == value => {}
                        Ok(other) => seen.failures.push(format!("read {other:?} where {value:?} was written")),
                        Err(error) => seen.failures.push(format!("read after {:?}: {error}", begun.elapsed() - wrote)),
                    }
                    seen.requests += 2;
                    seen.longest = seen.longest.max(wrote).max(begun.elapsed() - wrote);
                }
                seen
            }));
        }
        clients
    });
    for node in 1..=3u16 {
        let pid = demo.nodes()[node as usize - 1]["pid"].as_i64().expect("it runs") as i32;
        let begun = Instant::now();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        crate::demo::wait_for("the node to end", Duration::from_secs(60), || {
            (!demo.nodes()[node as usize - 1]["pid"].is_number()).then_some(())
        });
        let stopped = begun.elapsed();
        demo.start_node(node);
        demo.wait_whole(3);
        println!("node {node} stopped within {stopped:?}, was whole again after {:?}", begun.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let seen: Vec<Seen> =
        runtime.block_on(futures::future::join_all(clients)).into_iter().map(Result::unwrap).collect();
    let requests: u64 = seen.iter().map(|seen| seen.requests).sum();
    let longest = seen.iter().map(|seen| seen.longest).max().unwrap_or_default();
    let failures: Vec<&String> = seen.iter().flat_map(|seen| &seen.failures).collect();
    println!("{requests} requests, longest stall {longest:?}, {} failures", failures.len());
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(requests > 200, "hardly anything was asked");
}
