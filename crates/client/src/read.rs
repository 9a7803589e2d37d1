//! Reads: from a replica that may answer them, again from another when it does not.

use crate::link::Failure;
use crate::patience::{Heard, Patience};
use crate::router::{Role, Router};
use crate::{Client, ClientError};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rpc::codec;
use rpc::wire::{CountRequest, Fault, ReadReply, ReadRequest, method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use types::layout::BLOCKS_TABLE;
use types::limits::KEYS_MAX;
use types::{
    Action, Classify, Consistency, Item, ItemKey, Layout, PartitionId, Query, QueryPage, Read, TableId, partition_of,
};

/// Partitions asked at the same time by one request.
const PARTITIONS_AT_ONCE: usize = 16;

impl Client {
    /// One item.
    pub async fn get(&self, key: &ItemKey, consistency: Consistency) -> Result<Option<Item>, ClientError> {
        let partition = partition_of(&key.partition_key, self.layout().partition_count());
        match self.read(partition, Read::Items(vec![key.clone()]), consistency).await? {
            ReadReply::Items { mut items, .. } if items.len() == 1 => Ok(items.pop().flatten()),
            _ => Err(strange_reply()),
        }
    }

    /// Items in the order asked for, of any partitions. Those of one partition are a snapshot, as long
    /// as they fit in one answer; those of several are not.
    pub async fn get_many(
        &self,
        keys: Vec<ItemKey>,
        consistency: Consistency,
    ) -> Result<Vec<Option<Item>>, ClientError> {
        let count = self.layout().partition_count();
        let mut found: Vec<Option<Item>> = vec![None; keys.len()];
        let mut groups: BTreeMap<PartitionId, Vec<(usize, ItemKey)>> = BTreeMap::new();
        for (place, key) in keys.into_iter().enumerate() {
            groups.entry(partition_of(&key.partition_key, count)).or_default().push((place, key));
        }
        let mut reads = Vec::new();
        for (partition, group) in groups {
            for part in group.chunks(KEYS_MAX) {
                let (places, keys): (Vec<usize>, Vec<ItemKey>) = part.iter().cloned().unzip();
                reads.push(self.read_items(partition, places, keys, consistency));
            }
        }
        let mut answers = stream::iter(reads).buffer_unordered(PARTITIONS_AT_ONCE);
        while let Some((places, items)) = answers.try_next().await? {
            for (place, item) in places.into_iter().zip(items) {
                found[place] = item;
            }
        }
        Ok(found)
    }

    async fn read_items(
        &self,
        partition: PartitionId,
        places: Vec<usize>,
        keys: Vec<ItemKey>,
        consistency: Consistency,
    ) -> Result<(Vec<usize>, Vec<Option<Item>>), ClientError> {
        let mut found = Vec::with_capacity(keys.len());
        while found.len() < keys.len() {
            let rest = keys[found.len()..].to_vec();
            let asked = rest.len();
            match self.read(partition, Read::Items(rest), consistency).await? {
                // Fewer than asked for: large items do not all fit in one answer.
                ReadReply::Items { items, .. } if (1..=asked).contains(&items.len()) => found.extend(items),
                _ => return Err(strange_reply()),
            }
        }
        Ok((places, found))
    }

    /// A page of a range: a snapshot at one sequence of its partition.
    pub async fn query(&self, query: &Query, consistency: Consistency) -> Result<QueryPage, ClientError> {
        let partition = partition_of(&query.partition_key, self.layout().partition_count());
        match self.read(partition, Read::Range(query.clone()), consistency).await? {
            ReadReply::Page(page) => Ok(page),
            ReadReply::Items { .. } => Err(strange_reply()),
        }
    }

    async fn read(
        &self,
        partition: PartitionId,
        read: Read,
        consistency: Consistency,
    ) -> Result<ReadReply, ClientError> {
        read.validate().map_err(ClientError::Invalid)?;
        self.router
            .read(partition, consistency.into(), method::READ, &ReadRequest { partition, read, consistency })
            .await
    }

    /// How many items a table has, each partition as of some moment during the call.
    pub async fn count(&self, table: TableId) -> Result<u64, ClientError> {
        let partitions = (0..self.layout().partition_count()).map(PartitionId);
        stream::iter(partitions)
            .map(|partition| async move {
                let request = CountRequest { partition, table };
                self.router.read::<u64>(partition, Role::Serving, method::COUNT, &request).await
            })
            .buffer_unordered(PARTITIONS_AT_ONCE)
            .try_fold(0u64, |sum, count| async move { Ok(sum.saturating_add(count)) })
            .await
    }
}

fn strange_reply() -> ClientError {
    ClientError::Unreachable { tried: Vec::new(), why: "a node answered another question than the one asked".into() }
}

impl Router {
    /// Asks replicas of the partition, one after the other, until one answers, a newer map included.
    pub(crate) async fn read<R: DeserializeOwned>(
        &self,
        partition: PartitionId,
        role: Role,
        method: u16,
        request: &impl Serialize,
    ) -> Result<R, ClientError> {
        let body: Bytes = codec::encode(request);
        let mut patience = Patience::new(self.config.timeouts.request, self.config.timeouts.read_attempt);
        let mut heard = Heard::default();
        loop {
            let layout = self.map.current();
            let targets = self.targets(&layout, partition, role);
            let mut old_map = targets.is_empty();
            let mut silent = None;
            if targets.is_empty() {
                heard.nobody(&layout, partition);
            }
            for target in targets {
                let Some(timeout) = patience.attempt() else { return Err(heard.conclude(&layout)) };
                match self.attempt(&target, partition, role, method, body.clone(), timeout).await {
                    Ok((reply, _)) => return Ok(reply),
                    Err(Failure::Fault(Fault::NoSuchTable(table))) => {
                        if !self.table_may_exist(table, &layout).await {
                            return Err(Failure::Fault(Fault::NoSuchTable(table)).into_error(Vec::new(), &layout));
                        }
                        heard.failed(&target.address, Fault::NoSuchTable(table).into());
                    }
                    Err(failure) => {
                        match failure.action() {
                            Action::Rejected => return Err(failure.into_error(vec![target.address], &layout)),
                            Action::RefreshLayout => old_map = true,
                            Action::Retry | Action::Unknown | Action::Fatal => {}
                        }
                        if failure.blames_node() {
                            silent = Some(target.address.clone());
                        }
                        heard.failed(&target.address, failure);
                    }
                }
                if self.map.version() > layout.version {
                    break;
                }
            }
            if patience.attempt().is_none() {
                return Err(heard.conclude(&layout));
            }
            if old_map || silent.is_some() {
                self.refresh(layout.version, silent.as_deref()).await;
            }
            patience.grow();
            self.pause(layout.version, &mut patience).await;
        }
    }

    /// A node knows no such table: is its map older than ours, or was the table never there?
    pub(crate) async fn table_may_exist(&self, table: TableId, layout: &Layout) -> bool {
        let known = |layout: &Layout| table == BLOCKS_TABLE || layout.tables.contains_key(&table);
        if !known(layout) {
            self.refresh(layout.version, None).await;
        }
        known(&self.map.current())
    }
}
