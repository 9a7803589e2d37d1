//! Atoll under load, by the protocol that nodes and gateways speak: straight to the replicas.

use super::super::work::Miss;
use super::store::{Key, Store, group_name};
use crate::failure::Outcome;
use crate::folder::Folder;
use bytes::Bytes;
use client::{Client, ClientError, Timeouts};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use types::{Action, Classify, Condition, Consistency, ItemKey, Query, Refusal, TableId, Test, Transaction, Update};

/// Whose tables people make by hand.
const NAMESPACE: &str = "kv";

struct Native {
    client: Client,
    table: TableId,
}

/// Clients with connections of their own.
pub async fn connect(
    folder: &Path,
    table: &str,
    connections: usize,
    patience: Duration,
) -> Outcome<Vec<Arc<dyn Store>>> {
    let folder = Folder::open(folder)?;
    // An attempt may take as long as ever: what is let in is done.
    let timeouts = Timeouts { busy: patience, ..Timeouts::default() };
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for _ in 0..connections {
        let client = folder.connect_with(timeouts).await?;
        let table = client.ensure_table(NAMESPACE, table).await.map_err(|error| folder.explain(error))?;
        stores.push(Arc::new(Native { client, table }));
    }
    Ok(stores)
}

fn miss(error: ClientError) -> Miss {
    match error.action() {
        Action::Unknown => Miss::Unknown(error.to_string()),
        _ => Miss::Failed(error.to_string()),
    }
}

impl Native {
    fn transaction(&self, group: &str) -> Transaction {
        let operation = self.client.operation(group.as_bytes());
        let partition_key = Bytes::copy_from_slice(group.as_bytes());
        Transaction { operation, partition_key, conditions: Vec::new(), updates: Vec::new() }
    }

    fn update(&self, key: &Key, value: Bytes) -> Update {
        Update::Put { table: self.table, sort_key: key.name.clone().into(), value: value.into(), expires: None }
    }

    fn key(&self, key: &Key) -> ItemKey {
        ItemKey { table: self.table, partition_key: key.group.clone().into(), sort_key: key.name.clone().into() }
    }
}

#[async_trait::async_trait]
impl Store for Native {
    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Miss> {
        let mut change = self.transaction(&key.group);
        change.updates.push(self.update(key, value));
        self.client.transact(change).await.map(drop).map_err(miss)
    }

    async fn get(&self, key: &Key) -> Result<bool, Miss> {
        let item = self.client.get(&self.key(key), Consistency::Strong).await;
        item.map(|item| item.is_some()).map_err(miss)
    }

    async fn put_all(&self, items: &[(Key, Bytes)]) -> Result<(), Miss> {
        let Some((first, _)) = items.first() else { return Ok(()) };
        let mut change = self.transaction(&first.group);
        change.updates.extend(items.iter().map(|(key, value)| self.update(key, value.clone())));
        self.client.transact(change).await.map(drop).map_err(miss)
    }

    async fn scan(&self, group: u32, limit: u16) -> Result<usize, Miss> {
        let query = Query { limit: limit.into(), ..Query::all(self.table, group_name(group)) };
        self.client.query(&query, Consistency::Strong).await.map(|page| page.items.len()).map_err(miss)
    }

    async fn swap(&self, key: &Key, value: Bytes) -> Result<bool, Miss> {
        let item = self.client.get(&self.key(key), Consistency::Strong).await.map_err(miss)?;
        let test = item.map_or(Test::Absent, |item| Test::VersionIs(item.version));
        let mut change = self.transaction(&key.group);
        change.conditions.push(Condition { table: self.table, sort_key: key.name.clone().into(), test });
        change.updates.push(self.update(key, value));
        match self.client.transact(change).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(Refusal::Condition { .. })) => Ok(false),
            Err(error) => Err(miss(error)),
        }
    }
}
