//! What the gateway asks of the cluster, beside what the apps do.
//!
//! A trait, so that the gateway can be tested against a model in memory.
//! [`client::Client`] implements it.

use async_trait::async_trait;
use bytes::Bytes;
use client::{
    BlockAt, BlockRef, Client, ClientError, Content, Copies, NodeStatus, ScanCursor, ScrubReport, UploadId, WatchKey,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use rpc::wire::{ChangeLayout, LayoutPreview};
use std::sync::Arc;
use std::time::Duration;
use types::{
    BlockHash, Change, Consistency, Item, ItemKey, Layout, NodeId, OperationId, Query, QueryPage, Seq, TableId,
    TableKind, TableSpec, Transaction, TransactionResult, Verdict, WallMillis,
};

/// The client's calls that the gateway uses; see [`client::Client`] for what each promises.
#[async_trait]
#[allow(missing_docs)]
pub trait Backend: Send + Sync + 'static {
    fn layout(&self) -> Arc<Layout>;
    fn now(&self) -> WallMillis;
    fn operation(&self, partition_key: &[u8]) -> OperationId;
    async fn find_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError>;
    async fn create_table(
        &self,
        namespace: &str,
        name: &str,
        kind: TableKind,
        owner: &str,
    ) -> Result<TableSpec, ClientError>;
    async fn delete_table(&self, namespace: &str, name: &str) -> Result<(), ClientError>;
    async fn get(&self, key: &ItemKey, consistency: Consistency) -> Result<Option<Item>, ClientError>;
    async fn get_many(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Option<Item>>, ClientError>;
    async fn query(&self, query: &Query, consistency: Consistency) -> Result<QueryPage, ClientError>;
    async fn scan(
        &self,
        table: TableId,
        cursor: Option<ScanCursor>,
        limit: u32,
    ) -> Result<(Vec<(ItemKey, Item)>, Option<ScanCursor>), ClientError>;
    async fn count(&self, table: TableId) -> Result<u64, ClientError>;
    async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError>;
    async fn transact_async(&self, transaction: Transaction) -> Result<OperationId, ClientError>;
    async fn verify(&self, operation: OperationId) -> Result<Verdict, ClientError>;
    fn watch(&self, keys: Vec<WatchKey>, after: Option<Seq>) -> BoxStream<'static, Result<Change, ClientError>>;
    async fn missing_blocks(&self, upload: UploadId, hashes: &[BlockHash]) -> Result<Vec<BlockHash>, ClientError>;
    async fn put_block(&self, upload: UploadId, hash: BlockHash, raw: Bytes) -> Result<(), ClientError>;
    async fn get_block(&self, hash: BlockHash) -> Result<Bytes, ClientError>;
    async fn content_of_blocks(
        &self,
        upload: UploadId,
        hash: [u8; 32],
        blocks: Vec<BlockRef>,
    ) -> Result<Content, ClientError>;
    async fn blocks_of(&self, content: &Content, offset: u64, most: usize) -> Result<Vec<BlockAt>, ClientError>;
    async fn copies(&self, row: &ItemKey, content: &Content, from: u64, read: bool) -> Result<Copies, ClientError>;
    async fn node_status(&self) -> Vec<(NodeId, Result<NodeStatus, ClientError>)>;
    async fn scrub(&self, start: bool) -> Vec<(NodeId, Result<ScrubReport, ClientError>)>;
    async fn make_join_token(&self, valid: Duration) -> Result<String, ClientError>;
    async fn change_layout(&self, change: &ChangeLayout) -> Result<LayoutPreview, ClientError>;
}

#[async_trait]
impl Backend for Client {
    fn layout(&self) -> Arc<Layout> {
        Client::layout(self)
    }

    fn now(&self) -> WallMillis {
        Client::now(self)
    }

    fn operation(&self, partition_key: &[u8]) -> OperationId {
        Client::operation(self, partition_key)
    }

    async fn find_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        Client::find_table(self, namespace, name).await
    }

    async fn create_table(
        &self,
        namespace: &str,
        name: &str,
        kind: TableKind,
        owner: &str,
    ) -> Result<TableSpec, ClientError> {
        Client::create_table(self, namespace, name, kind, owner).await
    }

    async fn delete_table(&self, namespace: &str, name: &str) -> Result<(), ClientError> {
        Client::delete_table(self, namespace, name).await
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

    async fn scan(
        &self,
        table: TableId,
        cursor: Option<ScanCursor>,
        limit: u32,
    ) -> Result<(Vec<(ItemKey, Item)>, Option<ScanCursor>), ClientError> {
        Client::scan(self, table, cursor, limit).await
    }

    async fn count(&self, table: TableId) -> Result<u64, ClientError> {
        Client::count(self, table).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError> {
        Client::transact(self, transaction).await
    }

    async fn transact_async(&self, transaction: Transaction) -> Result<OperationId, ClientError> {
        Client::transact_async(self, transaction).await
    }

    async fn verify(&self, operation: OperationId) -> Result<Verdict, ClientError> {
        Client::verify(self, operation).await
    }

    fn watch(&self, keys: Vec<WatchKey>, after: Option<Seq>) -> BoxStream<'static, Result<Change, ClientError>> {
        Client::watch(self, keys, after).boxed()
    }

    async fn missing_blocks(&self, upload: UploadId, hashes: &[BlockHash]) -> Result<Vec<BlockHash>, ClientError> {
        Client::missing_blocks(self, upload, hashes).await
    }

    async fn put_block(&self, upload: UploadId, hash: BlockHash, raw: Bytes) -> Result<(), ClientError> {
        Client::put_block(self, upload, hash, raw).await
    }

    async fn get_block(&self, hash: BlockHash) -> Result<Bytes, ClientError> {
        Client::get_block(self, hash).await
    }

    async fn content_of_blocks(
        &self,
        upload: UploadId,
        hash: [u8; 32],
        blocks: Vec<BlockRef>,
    ) -> Result<Content, ClientError> {
        Client::content_of_blocks(self, upload, hash, blocks).await
    }

    async fn blocks_of(&self, content: &Content, offset: u64, most: usize) -> Result<Vec<BlockAt>, ClientError> {
        Client::blocks_of(self, content, offset, most).await
    }

    async fn copies(&self, row: &ItemKey, content: &Content, from: u64, read: bool) -> Result<Copies, ClientError> {
        Client::copies(self, row, content, from, read).await
    }

    async fn node_status(&self) -> Vec<(NodeId, Result<NodeStatus, ClientError>)> {
        Client::node_status(self).await
    }

    async fn scrub(&self, start: bool) -> Vec<(NodeId, Result<ScrubReport, ClientError>)> {
        Client::scrub(self, start).await
    }

    async fn make_join_token(&self, valid: Duration) -> Result<String, ClientError> {
        Client::make_join_token(self, valid).await
    }

    async fn change_layout(&self, change: &ChangeLayout) -> Result<LayoutPreview, ClientError> {
        Client::change_layout(self, change).await
    }
}
