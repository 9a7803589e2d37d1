//! Atoll under load, by gRPC.

use super::super::work::Miss;
use super::store::{Key, Store, group_name};
use crate::cli::ServerArgs;
use crate::failure::Outcome;
use crate::session::{Chosen, Credentials, choose};
use bytes::Bytes;
use client::remote::{Options, Remote, RemoteError, TableKey, TableQuery, TableTransaction};
use std::sync::Arc;
use types::{Action, Classify, Consistency, Refusal, TableKind, Test};

struct Atoll {
    remote: Remote,
    table: String,
}

/// Connections, spread over the nodes.
pub async fn connect(server: &ServerArgs, table: &str, connections: usize) -> Outcome<Vec<Arc<dyn Store>>> {
    let Chosen { addresses, cluster, trust, token } = choose(server, &Credentials::load()?)?;
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for n in 0..connections {
        let mut turned = addresses.clone();
        turned.rotate_left(n % addresses.len().max(1));
        let remote = Remote::trusting(trust.clone(), turned, cluster, Some(token.clone()), Options::default()).await?;
        if n == 0 {
            remote.create_table(table, TableKind::Strong, true).await?;
        }
        stores.push(Arc::new(Atoll { remote, table: table.to_string() }));
    }
    Ok(stores)
}

fn miss(error: RemoteError) -> Miss {
    match error.action() {
        Action::Unknown => Miss::Unknown(error.to_string()),
        _ => Miss::Failed(error.to_string()),
    }
}

impl Atoll {
    fn transaction(&self, group: &str) -> TableTransaction {
        self.remote.transaction(Bytes::copy_from_slice(group.as_bytes()))
    }

    fn key(&self, key: &Key) -> TableKey {
        TableKey::new(self.table.as_str(), key.group.clone(), key.name.clone())
    }

    async fn apply(&self, change: TableTransaction) -> Result<(), Miss> {
        self.remote.transact(&change).await.map(drop).map_err(miss)
    }
}

#[async_trait::async_trait]
impl Store for Atoll {
    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Miss> {
        self.apply(self.transaction(&key.group).put(self.table.as_str(), key.name.clone(), value)).await
    }

    async fn get(&self, key: &Key) -> Result<bool, Miss> {
        let item = self.remote.get(&self.key(key), Consistency::Strong).await;
        item.map(|item| item.is_some()).map_err(miss)
    }

    async fn put_all(&self, items: &[(Key, Bytes)]) -> Result<(), Miss> {
        let Some((first, _)) = items.first() else { return Ok(()) };
        let change = items.iter().fold(self.transaction(&first.group), |change, (key, value)| {
            change.put(self.table.as_str(), key.name.clone(), value.clone())
        });
        self.apply(change).await
    }

    async fn scan(&self, group: u32, limit: u16) -> Result<usize, Miss> {
        let query = TableQuery { limit: limit.into(), ..TableQuery::all(self.table.as_str(), group_name(group)) };
        let page = self.remote.query(&query, Consistency::Strong).await;
        page.map(|page| page.items.len()).map_err(miss)
    }

    async fn swap(&self, key: &Key, value: Bytes) -> Result<bool, Miss> {
        let item = self.remote.get(&self.key(key), Consistency::Strong).await.map_err(miss)?;
        let test = item.map_or(Test::Absent, |item| Test::VersionIs(item.version));
        let change = self.transaction(&key.group).check(self.table.as_str(), key.name.clone(), test);
        let change = change.put(self.table.as_str(), key.name.clone(), value);
        match self.remote.transact(&change).await {
            Ok(_) => Ok(true),
            Err(RemoteError::Refused(Refusal::Condition { .. })) => Ok(false),
            Err(error) => Err(miss(error)),
        }
    }
}
