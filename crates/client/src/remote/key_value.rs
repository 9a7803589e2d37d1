//! Items: reading, transactions, and what became of them.

use super::call::{Failure, Safety};
use super::{Remote, RemoteError, TableKey, TableQuery, TableTransaction, TableUpdate};
use bytes::Bytes;
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, key_value_client::KeyValueClient};
use rpc::grpc::{self, consistency, item_of, page_of, verdict_of, version_of};
use tonic::transport::Channel;
use types::{Consistency, HybridTime, Item, KeyHash, OperationId, QueryPage, TransactionResult, Verdict};

/// A page of a whole table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// By partition, then in key order.
    pub items: Vec<ScannedItem>,
    /// For the next page; none at the end of the table.
    pub next: Option<String>,
}

/// An item and its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedItem {
    /// The partition key.
    pub partition_key: Bytes,
    /// The sort key.
    pub sort_key: Bytes,
    /// What it holds.
    pub item: Item,
}

pub(super) fn service(channel: Channel) -> KeyValueClient<Channel> {
    KeyValueClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

impl Remote {
    /// Reads one item.
    pub async fn get(&self, key: &TableKey, promise: Consistency) -> Result<Option<Item>, RemoteError> {
        let message = v1::GetRequest { key: Some(key.to_wire()), consistency: consistency(promise).into() };
        let send = |channel, request| async move { service(channel).get(request).await };
        let reply = self.call(reading(promise), message, send).await.map_err(|failure| failure.error)?;
        Ok(reply.item.map(item_of).transpose()?)
    }

    /// Reads up to a thousand items, of any partitions; those of one partition are one snapshot.
    pub async fn get_many(&self, keys: &[TableKey], promise: Consistency) -> Result<Vec<Option<Item>>, RemoteError> {
        let message = v1::GetManyRequest {
            keys: keys.iter().map(TableKey::to_wire).collect(),
            consistency: consistency(promise).into(),
        };
        let send = |channel, request| async move { service(channel).get_many(request).await };
        let items = self.call(reading(promise), message, send).await.map_err(|failure| failure.error)?.items;
        if items.len() != keys.len() {
            return Err(RemoteError::Protocol(format!("{} items for {} keys", items.len(), keys.len())));
        }
        let items = items.into_iter().map(|reply| reply.item.map(item_of).transpose());
        Ok(items.collect::<Result<_, _>>()?)
    }

    /// Reads a page of a range: a snapshot. [`TableQuery::after`] goes on.
    pub async fn query(&self, query: &TableQuery, promise: Consistency) -> Result<QueryPage, RemoteError> {
        let message = query.to_wire(promise);
        let send = |channel, request| async move { service(channel).query(request).await };
        Ok(page_of(self.call(reading(promise), message, send).await.map_err(|failure| failure.error)?)?)
    }

    /// Walks a whole table; no snapshot across pages. A limit of 0 is as many as allowed.
    pub async fn scan(&self, table: &str, cursor: Option<&str>, limit: u32) -> Result<ScanPage, RemoteError> {
        let message =
            v1::ScanRequest { table: table.to_string(), cursor: cursor.unwrap_or_default().to_string(), limit };
        let reply = self.read(message, |channel, request| async move { service(channel).scan(request).await }).await?;
        let items = reply.items.into_iter().map(|found| {
            let item = found.item.ok_or_else(|| RemoteError::Protocol("a key without an item".into()))?;
            Ok(ScannedItem { partition_key: found.partition_key, sort_key: found.sort_key, item: item_of(item)? })
        });
        let items = items.collect::<Result<_, RemoteError>>()?;
        Ok(ScanPage { items, next: Some(reply.cursor).filter(|cursor| !cursor.is_empty()) })
    }

    /// Counts the items of a table.
    pub async fn size(&self, table: &str) -> Result<u64, RemoteError> {
        let message = v1::SizeRequest { table: table.to_string() };
        let reply = self.read(message, |channel, request| async move { service(channel).size(request).await });
        Ok(reply.await?.items)
    }

    /// A fresh operation id, by the cluster's clock.
    pub fn operation(&self, partition_key: &[u8]) -> OperationId {
        OperationId { created: self.now(), key_hash: KeyHash::of(partition_key), nonce: rand::random() }
    }

    /// A transaction that does nothing yet, with a fresh operation id.
    pub fn transaction(&self, partition_key: impl Into<Bytes>) -> TableTransaction {
        let partition_key = partition_key.into();
        TableTransaction::new(self.operation(&partition_key), partition_key)
    }

    /// Tests and changes items under one partition key, all or nothing. Returns
    /// once that is durable. [`RemoteError::Unknown`] when it may have been applied.
    pub async fn transact(&self, transaction: &TableTransaction) -> Result<TransactionResult, RemoteError> {
        let reply = match self.send_transaction(transaction, false).await {
            Ok(reply) => reply,
            Err(failure) => return self.settle(transaction, failure).await,
        };
        let committed = reply.committed.ok_or_else(|| unreadable(transaction, "no result of a transaction"))?;
        let version = committed.version.ok_or_else(|| unreadable(transaction, "a result without a version"))?;
        Ok(TransactionResult {
            version: version_of(version),
            time: HybridTime(committed.time),
            counters: committed.counters,
        })
    }

    /// The same, but returns once the write is ordered: [`Self::verify`] tells whether it lasts.
    pub async fn transact_async(&self, transaction: &TableTransaction) -> Result<OperationId, RemoteError> {
        match self.send_transaction(transaction, true).await {
            Ok(_) => Ok(transaction.operation),
            Err(failure) => self.settle(transaction, failure).await.map(|_| transaction.operation),
        }
    }

    /// Says what became of a write. *Not applied* is final.
    pub async fn verify(&self, operation: OperationId) -> Result<Verdict, RemoteError> {
        let message = v1::VerifyRequest { operation_id: grpc::operation(operation) };
        let reply = self.read(message, |channel, request| async move { service(channel).verify(request).await });
        Ok(verdict_of(&reply.await?)?)
    }

    async fn send_transaction(
        &self,
        transaction: &TableTransaction,
        asynchronous: bool,
    ) -> Result<v1::TransactReply, Failure> {
        let message = transaction.to_wire(asynchronous);
        let send = |channel, request| async move { service(channel).transact(request).await };
        self.call(Safety::Write, message, send).await
    }

    /// A transaction failed. When an earlier attempt of it may be under way
    /// still, not even a refusal of a later one is the last word: `verify` has
    /// it, because its *not applied* bars the way to all attempts.
    async fn settle(&self, transaction: &TableTransaction, failure: Failure) -> Result<TransactionResult, RemoteError> {
        let Some(why) = failure.unsettled else { return Err(failure.error) };
        let operation = transaction.operation;
        let last = failure.error.after(why.clone());
        let unknown = |why: String| RemoteError::Unknown { operation: Some(operation), why };
        if matches!(failure.error, RemoteError::NotServing { .. }) {
            // Nobody could say.
            return Err(unknown(last));
        }
        match self.verify(operation).await {
            Ok(Verdict::NotApplied) => Err(match failure.error {
                // Whatever was heard last may have spoken of the outcome; now it is known.
                RemoteError::Unknown { .. } => {
                    RemoteError::Busy(format!("the write was not applied, and will not be: {why}. Try it anew"))
                }
                error => error,
            }),
            Ok(Verdict::Applied { version, time }) => {
                if transaction.updates.iter().any(|update| matches!(update, TableUpdate::Add { .. })) {
                    return Err(unknown(format!(
                        "it was applied as version {version}, but what its counters became was lost ({why})"
                    )));
                }
                Ok(TransactionResult { version, time, counters: vec![] })
            }
            Ok(Verdict::Pending | Verdict::Unknown) => Err(unknown(last)),
            Err(error) => Err(unknown(error.after(why))),
        }
    }
}

/// A stale answer needs no majority.
fn reading(promise: Consistency) -> Safety {
    match promise {
        Consistency::Strong => Safety::Read,
        Consistency::Stale => Safety::Look,
    }
}

fn unreadable(transaction: &TableTransaction, why: &str) -> RemoteError {
    RemoteError::Unknown { operation: Some(transaction.operation), why: format!("a gateway answered with {why}") }
}
