//! The handle, and what it offers.

use crate::blobs::{Content, UploadId};
use crate::{ClientConfig, ClientError, NodeStatus, ScanCursor, WatchKey};
use bytes::Bytes;
use futures::Stream;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncRead;
use types::{
    BlockHash, Change, Consistency, Item, ItemKey, KeyHash, Layout, NodeId, OperationId, Query, QueryPage, Seq,
    TableId, TableKind, TableSpec, Transaction, TransactionResult, Verdict, WallMillis,
};

/// A cheap handle on a cluster: clone it freely.
#[derive(Clone)]
pub struct Client {
    layout: Arc<Layout>,
}

fn soon<T>() -> Result<T, ClientError> {
    Err(ClientError::NotOffered("this call".into()))
}

#[allow(clippy::unused_async, unused_variables, missing_docs)]
impl Client {
    pub async fn connect(config: ClientConfig) -> Result<Client, ClientError> {
        soon()
    }
    pub fn layout(&self) -> Arc<Layout> {
        self.layout.clone()
    }
    pub fn now(&self) -> WallMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallMillis(since.as_millis() as u64)
    }
    pub fn table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        soon()
    }
    pub async fn find_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        soon()
    }
    pub async fn ensure_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        soon()
    }
    pub async fn create_table(
        &self,
        namespace: &str,
        name: &str,
        kind: TableKind,
        owner: &str,
    ) -> Result<TableSpec, ClientError> {
        soon()
    }
    pub async fn delete_table(&self, namespace: &str, name: &str) -> Result<(), ClientError> {
        soon()
    }
    pub async fn get(&self, key: &ItemKey, c: Consistency) -> Result<Option<Item>, ClientError> {
        soon()
    }
    pub async fn get_many(&self, keys: Vec<ItemKey>, c: Consistency) -> Result<Vec<Option<Item>>, ClientError> {
        soon()
    }
    pub async fn query(&self, query: &Query, c: Consistency) -> Result<QueryPage, ClientError> {
        soon()
    }
    pub async fn scan(
        &self,
        table: TableId,
        cursor: Option<ScanCursor>,
        limit: u32,
    ) -> Result<(Vec<(ItemKey, Item)>, Option<ScanCursor>), ClientError> {
        soon()
    }
    pub async fn count(&self, table: TableId) -> Result<u64, ClientError> {
        soon()
    }
    pub fn operation(&self, partition_key: &[u8]) -> OperationId {
        OperationId { created: self.now(), key_hash: KeyHash::of(partition_key), nonce: rand::random() }
    }
    pub async fn transact(&self, t: Transaction) -> Result<TransactionResult, ClientError> {
        soon()
    }
    pub async fn transact_async(&self, t: Transaction) -> Result<OperationId, ClientError> {
        soon()
    }
    pub async fn verify(&self, operation: OperationId) -> Result<Verdict, ClientError> {
        soon()
    }
    pub fn watch(
        &self,
        keys: Vec<WatchKey>,
        after: Option<Seq>,
    ) -> impl Stream<Item = Result<Change, ClientError>> + Send + Unpin + use<> {
        Box::pin(futures::stream::once(async { soon() }))
    }
    pub async fn put_block(&self, upload: UploadId, hash: BlockHash, raw: Bytes) -> Result<(), ClientError> {
        soon()
    }
    pub async fn missing_blocks(&self, upload: UploadId, hashes: &[BlockHash]) -> Result<Vec<BlockHash>, ClientError> {
        soon()
    }
    pub async fn reference_blocks(&self, owner: &[u8], hashes: &[BlockHash]) -> Result<(), ClientError> {
        soon()
    }
    pub async fn unreference_blocks(&self, owner: &[u8], hashes: &[BlockHash]) -> Result<(), ClientError> {
        soon()
    }
    /// References every block of the content, lists of blocks included.
    pub async fn reference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        soon()
    }
    /// Takes back [`Self::reference_content`].
    pub async fn unreference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        soon()
    }
    pub async fn get_block(&self, hash: BlockHash) -> Result<Bytes, ClientError> {
        soon()
    }
    pub fn read_blob(
        &self,
        content: Content,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ClientError>> + Send + Unpin + use<> {
        Box::pin(futures::stream::once(async { soon() }))
    }
    pub async fn write_blob(
        &self,
        upload: UploadId,
        source: impl AsyncRead + Send + Unpin,
    ) -> Result<Content, ClientError> {
        soon()
    }
    /// [`Self::write_blob`] from a stream.
    pub async fn write_blob_stream(
        &self,
        upload: UploadId,
        source: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Content, ClientError> {
        soon()
    }
    pub async fn node_status(&self) -> Vec<(NodeId, Result<NodeStatus, ClientError>)> {
        Vec::new()
    }
    pub async fn make_join_token(&self, valid: Duration) -> Result<String, ClientError> {
        soon()
    }
}
