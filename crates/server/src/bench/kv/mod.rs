//! `atoll bench kv`: the key-value store under load, or another one under the same.

mod atoll;
mod etcd;
mod native;
mod redis;
mod store;
mod zookeeper;

use self::store::{Key, Store};
use super::drive::Pace;
use super::work::{Miss, Request, Work};
use crate::cli::ServerArgs;
use crate::failure::Outcome;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures::{StreamExt, stream};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use types::limits::{TRANSACTION_CHANGES_MAX, VALUE_BYTES_MAX};

/// Requests under way while what is read is filled in, whatever the number of clients.
const FILLING: usize = 64;

/// The mix of requests.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Puts only
    Put,
    /// Linearizable gets only
    Get,
    /// Gets and puts: see --reads
    Mixed,
    /// Reads of --items items in a row
    Scan,
    /// Puts of --items items at once, all or none
    Transaction,
    /// Reads an item and puts it if it is still the same: with few --keys clients are in each other's way
    Swap,
}

/// A load.
#[derive(Args, Debug, Clone)]
pub struct KvLoad {
    /// Which requests
    #[arg(value_enum)]
    pub mode: Mode,
    #[command(flatten)]
    pub pace: Pace,
    /// Percentage of gets in the mix
    #[arg(long, value_name = "PERCENT", default_value = "50", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// Items of a scan or transaction
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub items: u16,
    /// Connections that they share [default: one for each 8 clients, at most 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: Option<u16>,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = value_size)]
    pub value_size: usize,
    /// Different keys
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// Table; made if it is not there
    #[arg(long, value_name = "NAME", default_value = "bench")]
    pub table: String,
    /// Go past the gateways, by the protocol that nodes speak: with the certificate of a member's data folder on this machine
    #[arg(long, value_name = "DIR")]
    pub native: Option<PathBuf>,
    /// With --native: how long a request that is told *busy* is tried again; 0s: not at all
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::span::parse)]
    pub patience: Duration,
    /// Drive an etcd at these addresses instead
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with = "native")]
    pub etcd: Vec<String>,
    /// Drive a ZooKeeper at these addresses instead
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with_all = ["native", "etcd"])]
    pub zookeeper: Vec<String>,
    /// Drive a Redis at this address instead: each put waits for --redis-replicas
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["native", "etcd", "zookeeper"])]
    pub redis: Option<String>,
    /// Replicas of Redis that must have a put
    #[arg(long, value_name = "N", default_value = "2")]
    pub redis_replicas: u16,
}

fn value_size(text: &str) -> Result<usize, String> {
    let size: usize = text.parse().map_err(|_| "a number of bytes")?;
    if size <= VALUE_BYTES_MAX { Ok(size) } else { Err(format!("at most {VALUE_BYTES_MAX}")) }
}

impl KvLoad {
    /// What is driven.
    pub fn target(&self) -> &'static str {
        if !self.etcd.is_empty() {
            "etcd"
        } else if !self.zookeeper.is_empty() {
            "zookeeper"
        } else if self.redis.is_some() {
            "redis"
        } else if self.native.is_some() {
            "atoll, native"
        } else {
            "atoll"
        }
    }

    fn connections(&self) -> usize {
        usize::from(self.connections.unwrap_or(self.pace.clients.div_ceil(8).min(256)).min(self.pace.clients))
    }

    /// Its settings, for programs.
    pub fn json(&self) -> Value {
        json!({
            "mode": format!("{:?}", self.mode).to_lowercase(),
            "reads_percent": self.reads,
            "clients": self.pace.clients,
            "rate": self.pace.rate,
            "connections": self.connections(),
            "value_bytes": self.value_size,
            "items": self.items,
            "keys": self.keys,
        })
    }

    /// Connects.
    pub async fn work(&self, server: &ServerArgs) -> Outcome<Arc<dyn Work>> {
        let connections = self.connections();
        let stores = if !self.etcd.is_empty() {
            etcd::connect(&self.etcd, connections).await?
        } else if !self.zookeeper.is_empty() {
            // A session's requests are answered in their order.
            zookeeper::connect(&self.zookeeper, self.pace.clients.into()).await?
        } else if let Some(address) = &self.redis {
            // Its WAIT holds a connection back until the replicas have answered.
            redis::connect(address, self.pace.clients.into(), self.redis_replicas).await?
        } else if let Some(folder) = &self.native {
            native::connect(folder, &self.table, connections, self.patience).await?
        } else {
            atoll::connect(server, &self.table, connections).await?
        };
        Ok(Arc::new(KvWork { stores, load: self.clone() }))
    }
}

struct KvWork {
    /// One for each connection.
    stores: Vec<Arc<dyn Store>>,
    load: KvLoad,
}

const PUT: usize = 0;
const GET: usize = 1;
const SCAN: usize = 2;
const TRANSACTION: usize = 3;
const SWAP: usize = 4;
const SWAP_LOST: usize = 5;

impl KvWork {
    fn store(&self, nth: usize) -> &Arc<dyn Store> {
        &self.stores[nth % self.stores.len()]
    }

    /// Scans read groups of so many items, everything else items that are alone in theirs.
    fn groups(&self) -> u32 {
        (self.load.keys / u32::from(self.load.items)).max(1)
    }

    fn value(&self, random: &mut SmallRng) -> Bytes {
        let mut value = vec![0; self.load.value_size];
        random.fill_bytes(&mut value);
        value.into()
    }

    fn group(&self, random: &mut SmallRng) -> Vec<(Key, Bytes)> {
        let group = random.random_range(0..self.groups());
        (0..self.load.items).map(|n| (Key::in_group(group, n), self.value(random))).collect()
    }
}

#[async_trait::async_trait]
impl Work for KvWork {
    fn kinds(&self) -> &'static [&'static str] {
        &["put", "get", "scan", "transaction", "swap", "swap, too late"]
    }

    fn in_vain(&self) -> Option<usize> {
        Some(SWAP_LOST)
    }

    async fn prepare(&self) -> Result<(), Miss> {
        let value = Bytes::from(vec![b'f'; self.load.value_size]);
        let count = match self.load.mode {
            Mode::Put if self.stores.iter().any(|store| store.makes_items()) => self.load.keys,
            Mode::Put | Mode::Transaction => return Ok(()),
            Mode::Get | Mode::Mixed | Mode::Swap => self.load.keys,
            Mode::Scan => self.groups(),
        };
        let fills = stream::iter(0..count).map(|n| {
            let (store, value) = (self.store(n as usize), value.clone());
            async move {
                if self.load.mode == Mode::Scan {
                    let items: Vec<_> =
                        (0..self.load.items).map(|nth| (Key::in_group(n, nth), value.clone())).collect();
                    for some in items.chunks(TRANSACTION_CHANGES_MAX.min(128)) {
                        store.put_all(some).await?;
                    }
                    return Ok(());
                }
                store.put(&Key::alone(n), value).await
            }
        });
        let mut fills = fills.buffer_unordered(FILLING);
        while let Some(result) = fills.next().await {
            result?;
        }
        Ok(())
    }

    async fn request(&self, client: usize, random: &mut SmallRng) -> Request {
        let store = self.store(client);
        let key = Key::alone(random.random_range(0..self.load.keys));
        let reads = match self.load.mode {
            Mode::Put => 0,
            Mode::Get => 100,
            Mode::Mixed => self.load.reads,
            Mode::Scan => {
                let group = random.random_range(0..self.groups());
                let result = store.scan(group, self.load.items).await;
                let whole = result.and_then(|found| match found == usize::from(self.load.items) {
                    true => Ok(0),
                    false => Err(Miss::Failed(format!("a scan found {found} of {} items", self.load.items))),
                });
                return Request { kind: SCAN, result: whole };
            }
            Mode::Transaction => {
                let items = self.group(random);
                return Request { kind: TRANSACTION, result: store.put_all(&items).await.map(|()| 0) };
            }
            Mode::Swap => {
                return match store.swap(&key, self.value(random)).await {
                    Ok(true) => Request { kind: SWAP, result: Ok(0) },
                    Ok(false) => Request { kind: SWAP_LOST, result: Ok(0) },
                    Err(miss) => Request { kind: SWAP, result: Err(miss) },
                };
            }
        };
        if random.random_range(0..100) < reads {
            let found = store.get(&key).await.and_then(|found| match found {
                true => Ok(0),
                false => Err(Miss::Failed("a get found nothing where something was put".into())),
            });
            return Request { kind: GET, result: found };
        }
        let value = self.value(random);
        Request { kind: PUT, result: store.put(&key, value).await.map(|()| 0) }
    }
}
