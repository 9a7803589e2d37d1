//! A Redis under the same load: each write is followed by `WAIT`, in the same round trip.

use super::super::work::Miss;
use super::store::{Key, Store, not_driven};
use crate::failure::{Failure, Outcome};
use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, FromRedisValue, Pipeline, RedisError, pipe};
use bytes::Bytes;
use std::sync::Arc;

/// How long replicas are waited for, in milliseconds.
const WAIT_MILLIS: usize = 5000;

struct Redis {
    connection: MultiplexedConnection,
    replicas: u16,
}

/// A connection for each client: WAIT holds its connection back.
pub async fn connect(address: &str, clients: usize, replicas: u16) -> Outcome<Vec<Arc<dyn Store>>> {
    let failed = |error: RedisError| {
        Failure::failed(format!("no Redis answers at {address}: {error}")).next("name one with --redis HOST:6379")
    };
    let client = Client::open(format!("redis://{address}")).map_err(failed)?;
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..clients {
        let connection = client.get_multiplexed_async_connection().await.map_err(failed)?;
        stores.push(Arc::new(Redis { connection, replicas }));
    }
    Ok(stores)
}

fn miss(error: RedisError) -> Miss {
    let text = error.to_string();
    if error.is_io_error() || error.is_timeout() { Miss::Unknown(text) } else { Miss::Failed(text) }
}

impl Redis {
    /// Sends commands, and waits until the replicas have what was written.
    async fn write<T: FromRedisValue>(&self, mut commands: Pipeline) -> Result<T, Miss> {
        commands.cmd("WAIT").arg(self.replicas).arg(WAIT_MILLIS);
        let mut connection = self.connection.clone();
        let (reply, replicas): (T, u16) = commands.query_async(&mut connection).await.map_err(miss)?;
        match replicas >= self.replicas {
            true => Ok(reply),
            false => Err(Miss::Unknown(format!("{replicas} of {} replicas had it in time", self.replicas))),
        }
    }
}

#[async_trait::async_trait]
impl Store for Redis {
    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Miss> {
        let mut commands = pipe();
        commands.cmd("SET").arg(key.flat()).arg(&value[..]);
        self.write::<String>(commands).await.map(drop)
    }

    async fn get(&self, key: &Key) -> Result<bool, Miss> {
        let mut connection = self.connection.clone();
        let value: Option<Vec<u8>> =
            ::redis::cmd("GET").arg(key.flat()).query_async(&mut connection).await.map_err(miss)?;
        Ok(value.is_some())
    }

    async fn put_all(&self, items: &[(Key, Bytes)]) -> Result<(), Miss> {
        let mut commands = pipe();
        let command = commands.cmd("MSET");
        for (key, value) in items {
            command.arg(key.flat()).arg(&value[..]);
        }
        self.write::<String>(commands).await.map(drop)
    }

    async fn scan(&self, _: u32, _: u16) -> Result<usize, Miss> {
        Err(not_driven("Redis", "scans"))
    }

    async fn swap(&self, _: &Key, _: Bytes) -> Result<bool, Miss> {
        Err(not_driven("Redis", "swaps"))
    }
}
