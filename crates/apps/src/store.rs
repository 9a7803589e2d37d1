//! What the apps ask of the store: exactly these calls of the client.
//!
//! A trait so that the apps' rules can be tested against a model in memory that
//! stops, reorders and crashes at every call. [`client::Client`] implements it.

use async_trait::async_trait;
use bytes::Bytes;
use client::{Client, ClientError, Content, ScanCursor, UploadId};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use std::ops::Range;
use std::time::Duration;
use types::limits::KEYS_MAX;
use types::{
    Consistency, Item, ItemKey, OperationId, Query, QueryPage, TableId, Transaction, TransactionResult, WallMillis,
};

/// What a read of content gives.
pub type ByteStream = BoxStream<'static, Result<Bytes, ClientError>>;
/// What an upload takes.
pub type ByteSource = BoxStream<'static, std::io::Result<Bytes>>;
/// A page of a walk over a table, and where to go on.
pub type ScanPage = (Vec<(ItemKey, Item)>, Option<ScanCursor>);

/// The client's calls that the apps use; see [`client::Client`] for what each promises.
#[async_trait]
#[allow(missing_docs)]
pub trait Store: Send + Sync + 'static {
    fn now(&self) -> WallMillis;
    fn operation(&self, partition_key: &[u8]) -> OperationId;
    async fn ensure_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError>;
    async fn get(&self, key: &ItemKey, consistency: Consistency) -> Result<Option<Item>, ClientError>;
    async fn get_many(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Option<Item>>, ClientError>;
    async fn query(&self, query: &Query, consistency: Consistency) -> Result<QueryPage, ClientError>;
    async fn scan(&self, table: TableId, cursor: Option<ScanCursor>, limit: u32) -> Result<ScanPage, ClientError>;
    async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError>;
    async fn reference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError>;
    async fn unreference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError>;
    async fn write_blob(&self, upload: UploadId, source: ByteSource) -> Result<Content, ClientError>;
    async fn compose(&self, upload: UploadId, parts: Vec<Content>) -> Result<Content, ClientError>;
    fn read_blob(&self, content: Content, range: Range<u64>) -> ByteStream;
    /// Waits before trying again what lost to others.
    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Items in the order asked for, as many or as few as there are keys.
pub(crate) async fn get_all(store: &dyn Store, keys: Vec<ItemKey>) -> Result<Vec<Option<Item>>, ClientError> {
    let mut found = Vec::with_capacity(keys.len());
    for part in keys.chunks(KEYS_MAX) {
        found.extend(store.get_many(part.to_vec(), Consistency::Strong).await?);
    }
    Ok(found)
}

#[async_trait]
impl Store for Client {
    fn now(&self) -> WallMillis {
        Client::now(self)
    }

    fn operation(&self, partition_key: &[u8]) -> OperationId {
        Client::operation(self, partition_key)
    }

    async fn ensure_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        Client::ensure_table(self, namespace, name).await
    }

    async fn get(&self, key: &ItemKey, consistency: Consistency) -> Result<Option<Item>, ClientError> {
        Client::get(self, key, consistency).await
    }

    async fn get_many(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Option<Item>>, ClientError> {
        Client::get_many(self, keys, consistency).await
    }

    async fn query(&self, query: &Query, consistency: Consistency) -> Result<QueryPage, ClientError> {
        Client::query(self, query, consistency).await
    }

    async fn scan(&self, table: TableId, cursor: Option<ScanCursor>, limit: u32) -> Result<ScanPage, ClientError> {
        Client::scan(self, table, cursor, limit).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError> {
        Client::transact(self, transaction).await
    }

    async fn reference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        Client::reference_content(self, owner, content).await
    }

    async fn unreference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        Client::unreference_content(self, owner, content).await
    }

    async fn write_blob(&self, upload: UploadId, source: ByteSource) -> Result<Content, ClientError> {
        Client::write_blob_stream(self, upload, source).await
    }

    async fn compose(&self, upload: UploadId, parts: Vec<Content>) -> Result<Content, ClientError> {
        Client::compose(self, upload, parts).await
    }

    fn read_blob(&self, content: Content, range: Range<u64>) -> ByteStream {
        erase(Client::read_blob(self, content, range))
    }
}

fn erase(stream: impl Stream<Item = Result<Bytes, ClientError>> + Send + 'static) -> ByteStream {
    stream.boxed()
}
