//! The store as the apps see it, with a gate at which one transaction can be held up: a race made certain.

use apps::accounts::TRIES_WINDOW;
use apps::store::{ByteSource, ByteStream, ScanPage, Store};
use async_trait::async_trait;
use client::{Client, ClientError, Content, ScanCursor, UploadId};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use types::{
    Consistency, Item, ItemKey, OperationId, Query, QueryPage, TableId, Transaction, TransactionResult, WallMillis,
};

/// Where a transaction is held up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Before it is made.
    Before,
    /// When it was made; its answer is lost.
    After,
}

pub struct Gate {
    client: Client,
    /// Of which table the row is that a transaction rests on, the next of which waits.
    waits: Mutex<Option<(TableId, Held)>>,
    came: Notify,
    go_on: Notify,
    /// Milliseconds by which it is later than it is.
    later: AtomicU64,
}

impl Gate {
    pub fn before(client: Client) -> Arc<Gate> {
        Arc::new(Gate {
            client,
            waits: Mutex::default(),
            came: Notify::new(),
            go_on: Notify::new(),
            later: AtomicU64::new(0),
        })
    }

    /// For accounts and drives it is so much later from now on.
    pub fn later(&self, by: Duration) {
        self.later.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// It is so early in a window of tries that those of a test all fall into it.
    pub fn early_in_a_window(&self) {
        let window = TRIES_WINDOW.as_millis() as u64;
        let left = window - Store::now(self).0 % window;
        if left < window / 10 {
            self.later(Duration::from_millis(left));
        }
    }

    /// While `act` is under way, `meanwhile` is done: just before the first transaction of the act that rests on a row of
    /// that table.
    pub async fn between<A, B>(
        &self,
        table: (&str, &str),
        act: impl Future<Output = A>,
        meanwhile: impl Future<Output = B>,
    ) -> (A, B) {
        self.held(table, Held::Before, act, meanwhile).await
    }

    /// The same just after that transaction, the outcome of which is not known to who made it.
    pub async fn unknown<A, B>(
        &self,
        table: (&str, &str),
        act: impl Future<Output = A>,
        meanwhile: impl Future<Output = B>,
    ) -> (A, B) {
        self.held(table, Held::After, act, meanwhile).await
    }

    async fn held<A, B>(
        &self,
        (namespace, table): (&str, &str),
        held: Held,
        act: impl Future<Output = A>,
        meanwhile: impl Future<Output = B>,
    ) -> (A, B) {
        *self.waits.lock().unwrap() = Some((self.client.ensure_table(namespace, table).await.unwrap(), held));
        let others = async {
            tokio::time::timeout(Duration::from_secs(20), self.came.notified()).await.expect("it comes to the gate");
            let done = meanwhile.await;
            self.go_on.notify_one();
            done
        };
        tokio::join!(act, others)
    }
}

#[async_trait]
impl Store for Gate {
    async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError> {
        let held = self
            .waits
            .lock()
            .unwrap()
            .take_if(|(table, _)| transaction.conditions.iter().any(|it| it.table == *table))
            .map(|(_, held)| held);
        let operation = transaction.operation;
        if held == Some(Held::After) {
            Store::transact(&self.client, transaction.clone()).await?;
        }
        if held.is_some() {
            self.came.notify_one();
            self.go_on.notified().await;
        }
        match held {
            Some(Held::After) => Err(ClientError::Unknown { operation, why: "the answer is lost".into() }),
            _ => Store::transact(&self.client, transaction).await,
        }
    }

    fn now(&self) -> WallMillis {
        WallMillis(Store::now(&self.client).0 + self.later.load(Ordering::Relaxed))
    }

    fn operation(&self, partition_key: &[u8]) -> OperationId {
        Store::operation(&self.client, partition_key)
    }

    async fn ensure_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        Store::ensure_table(&self.client, namespace, name).await
    }

    async fn get(&self, key: &ItemKey, consistency: Consistency) -> Result<Option<Item>, ClientError> {
        Store::get(&self.client, key, consistency).await
    }

    async fn get_many(&self, keys: Vec<ItemKey>, consistency: Consistency) -> Result<Vec<Option<Item>>, ClientError> {
        Store::get_many(&self.client, keys, consistency).await
    }

    async fn query(&self, query: &Query, consistency: Consistency) -> Result<QueryPage, ClientError> {
        Store::query(&self.client, query, consistency).await
    }

    async fn scan(&self, table: TableId, cursor: Option<ScanCursor>, limit: u32) -> Result<ScanPage, ClientError> {
        Store::scan(&self.client, table, cursor, limit).await
    }

    async fn reference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        Store::reference_content(&self.client, owner, content).await
    }

    async fn unreference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        Store::unreference_content(&self.client, owner, content).await
    }

    async fn write_blob(&self, upload: UploadId, source: ByteSource) -> Result<Content, ClientError> {
        Store::write_blob(&self.client, upload, source).await
    }

    async fn compose(&self, upload: UploadId, parts: Vec<Content>) -> Result<Content, ClientError> {
        Store::compose(&self.client, upload, parts).await
    }

    fn read_blob(&self, content: Content, range: Range<u64>) -> ByteStream {
        Store::read_blob(&self.client, content, range)
    }
}
