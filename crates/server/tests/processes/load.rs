//! Clients that write and read all the time, to whom nothing may fail.

use crate::demo::Demo;
use bytes::Bytes;
use client::remote::{Remote, TableKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use types::{Consistency, TableKind};

const TABLE: &str = "load";

/// What the clients saw.
#[derive(Default)]
pub struct Seen {
    pub requests: u64,
    pub longest: Duration,
    pub failures: Vec<String>,
}

/// Clients at work.
pub struct Load {
    runtime: tokio::runtime::Runtime,
    clients: Vec<tokio::task::JoinHandle<Seen>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// So many clients, each with all of these nodes' gateways, beginning with another one.
    pub fn start(demo: &Demo, clients: u16, nodes: u16) -> Load {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let clients = runtime.block_on(async {
            demo.remote(&[]).await.create_table(TABLE, TableKind::Strong, true).await.unwrap();
            let mut all = Vec::new();
            for id in 0..clients {
                let order: Vec<u16> = (0..nodes).map(|n| (id + n) % nodes + 1).collect();
                all.push(tokio::spawn(work(id, demo.remote(&order).await, stop.clone())));
            }
            all
        });
        Load { runtime, clients, stop }
    }

    /// Ends it. Fails the test if any request failed.
    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let each = self.runtime.block_on(futures::future::join_all(self.clients));
        let mut all = Seen::default();
        for seen in each.into_iter().map(Result::unwrap) {
            all.requests += seen.requests;
            all.longest = all.longest.max(seen.longest);
            all.failures.extend(seen.failures);
        }
        println!("{} requests, longest stall {:?}, {} failures", all.requests, all.longest, all.failures.len());
        assert!(all.failures.is_empty(), "{:#?}", all.failures);
        assert!(all.requests > 200, "hardly anything was asked");
        all
    }
}

async fn work(id: u16, remote: Remote, stop: Arc<AtomicBool>) -> Seen {
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
}
