//! A ZooKeeper under the same load: a node for each item, `sync` before each read.

use super::super::work::Miss;
use super::store::{Key, Store, not_driven};
use crate::failure::{Failure, Outcome};
use bytes::Bytes;
use std::sync::Arc;
use zookeeper_client::{Acls, Client, CreateMode, Error};

struct ZooKeeper {
    client: Client,
}

/// Sessions, each with the servers in another order.
pub async fn connect(addresses: &[String], connections: usize) -> Outcome<Vec<Arc<dyn Store>>> {
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for n in 0..connections {
        let mut turned = addresses.to_vec();
        turned.rotate_left(n % addresses.len().max(1));
        let client = Client::connect(&turned.join(",")).await.map_err(|error| {
            Failure::failed(format!("no ZooKeeper answers at {}: {error}", addresses.join(", ")))
                .next("name one with --zookeeper HOST:2181")
        })?;
        stores.push(Arc::new(ZooKeeper { client }));
    }
    Ok(stores)
}

fn miss(error: Error) -> Miss {
    match error {
        Error::ConnectionLoss | Error::Timeout | Error::SessionExpired => Miss::Unknown(error.to_string()),
        error => Miss::Failed(error.to_string()),
    }
}

fn path(key: &Key) -> String {
    format!("/{}", key.flat().replace('/', "-"))
}

#[async_trait::async_trait]
impl Store for ZooKeeper {
    fn makes_items(&self) -> bool {
        true
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Miss> {
        let path = path(key);
        match self.client.set_data(&path, &value, None).await {
            Ok(_) => Ok(()),
            Err(Error::NoNode) => {
                let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
                match self.client.create(&path, &value, &options).await {
                    Ok(_) => Ok(()),
                    // Another client was first; its value may as well have been the later one.
                    Err(Error::NodeExists) => self.client.set_data(&path, &value, None).await.map(drop).map_err(miss),
                    Err(error) => Err(miss(error)),
                }
            }
            Err(error) => Err(miss(error)),
        }
    }

    async fn get(&self, key: &Key) -> Result<bool, Miss> {
        let path = path(key);
        // Sent together: a session's requests are answered in order.
        let synced = self.client.sync(&path);
        let read = self.client.get_data(&path);
        let (synced, read) = futures::join!(synced, read);
        synced.map_err(miss)?;
        match read {
            Ok(_) => Ok(true),
            Err(Error::NoNode) => Ok(false),
            Err(error) => Err(miss(error)),
        }
    }

    async fn put_all(&self, _: &[(Key, Bytes)]) -> Result<(), Miss> {
        Err(not_driven("ZooKeeper", "transactions"))
    }

    async fn scan(&self, _: u32, _: u16) -> Result<usize, Miss> {
        Err(not_driven("ZooKeeper", "scans"))
    }

    async fn swap(&self, key: &Key, value: Bytes) -> Result<bool, Miss> {
        let path = path(key);
        let (synced, read) = futures::join!(self.client.sync(&path), self.client.get_data(&path));
        synced.map_err(miss)?;
        let (_, stat) = read.map_err(miss)?;
        match self.client.set_data(&path, &value, Some(stat.version)).await {
            Ok(_) => Ok(true),
            Err(Error::BadVersion) => Ok(false),
            Err(error) => Err(miss(error)),
        }
    }
}
