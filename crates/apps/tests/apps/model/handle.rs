//! One caller's handle on the model: it yields, and it may fail.

use super::Model;
use async_trait::async_trait;
use atoll_apps::store::{ByteSource, ByteStream, ScanPage, Store};
use client::{ClientError, Content, ScanCursor, UploadId};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use types::{
    Consistency, Item, ItemKey, OperationId, Query, QueryPage, TableId, Transaction, TransactionResult, WallMillis,
};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller dies before the call has any effect.
    CrashBefore,
    /// The caller dies after the call took effect, without learning so.
    CrashAfter,
    /// The call has no effect, and the caller learns that.
    Busy,
    /// A transaction takes effect, and the caller learns that this is unknown.
    UnknownAfter,
    /// A transaction has no effect, and the caller learns that this is unknown.
    UnknownBefore,
    /// The call waits until [`Handle::resume`].
    Pause,
}

impl Fault {
    pub const CRASHES: [Fault; 2] = [Fault::CrashBefore, Fault::CrashAfter];
    pub const ERRORS: [Fault; 3] = [Fault::Busy, Fault::UnknownAfter, Fault::UnknownBefore];
}

pub struct Handle {
    pub model: Arc<Model>,
    inner: Mutex<Inner>,
    crashed: tokio::sync::Notify,
    paused: tokio::sync::Notify,
    resumed: tokio::sync::Notify,
}

struct Inner {
    rng: ChaCha8Rng,
    /// Calls made since the last reset.
    calls: u64,
    fault: Option<(u64, Fault)>,
    /// Sequence of the last transaction applied.
    committed: Option<u64>,
    /// At most so many other tasks go first at each call.
    yields: u32,
    /// Contents whose holders do not answer.
    silent: Vec<[u8; 32]>,
}

impl Handle {
    pub fn new(model: &Arc<Model>, seed: u64) -> Arc<Handle> {
        let inner = Inner {
            rng: ChaCha8Rng::seed_from_u64(seed),
            calls: 0,
            fault: None,
            committed: None,
            yields: 0,
            silent: Vec::new(),
        };
        Arc::new(Handle {
            model: model.clone(),
            inner: Mutex::new(inner),
            crashed: tokio::sync::Notify::new(),
            paused: tokio::sync::Notify::new(),
            resumed: tokio::sync::Notify::new(),
        })
    }

    /// With up to so many pauses at each call, in which other tasks run.
    pub fn yielding(self: Arc<Handle>, yields: u32) -> Arc<Handle> {
        self.inner.lock().yields = yields;
        self
    }

    /// From now on: this fault at the n-th call (0: the next).
    pub fn plan(&self, fault: Option<(u64, Fault)>) {
        let mut inner = self.inner.lock();
        inner.calls = 0;
        inner.committed = None;
        inner.fault = fault;
    }

    pub fn calls(&self) -> u64 {
        self.inner.lock().calls
    }

    /// Where the last transaction since the plan stands among all.
    pub fn committed(&self) -> Option<u64> {
        self.inner.lock().committed
    }

    /// Runs an operation until it ends, or until the planned crash drops it.
    pub async fn run<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.crashed.notified() => None,
            result = operation => Some(result),
        }
    }

    /// Until the planned pause is reached.
    pub async fn until_paused(&self) {
        self.paused.notified().await;
    }

    /// From now on: who holds these does not answer.
    pub fn silence(&self, contents: &[[u8; 32]]) {
        self.inner.lock().silent = contents.to_vec();
    }

    pub fn resume(&self) {
        self.resumed.notify_one();
    }

    async fn yields(&self) {
        let pauses = {
            let mut inner = self.inner.lock();
            let most = inner.yields;
            inner.rng.random_range(0..=most)
        };
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
    }

    async fn call<T>(
        &self,
        can_be_unknown: bool,
        act: impl FnOnce() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.yields().await;
        let fault = {
            let mut inner = self.inner.lock();
            let at = inner.calls;
            inner.calls += 1;
            inner.fault.filter(|(planned, _)| *planned == at).map(|(_, fault)| fault)
        };
        let unknown = || {
            let operation = self.model.operation(b"");
            Err(ClientError::Unknown { operation, why: "the test says so".into() })
        };
        let result = match fault {
            None => act(),
            Some(Fault::Pause) => {
                self.paused.notify_one();
                self.resumed.notified().await;
                act()
            }
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::CrashAfter) => {
                let _ = act();
                self.crash().await
            }
            Some(Fault::UnknownAfter) if can_be_unknown => act().and_then(|_| unknown()),
            Some(Fault::UnknownBefore) if can_be_unknown => unknown(),
            Some(_) => Err(ClientError::Busy),
        };
        self.yields().await;
        result
    }

    async fn crash<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl Store for Handle {
    fn now(&self) -> WallMillis {
        self.model.now()
    }

    fn operation(&self, partition_key: &[u8]) -> OperationId {
        self.model.operation(partition_key)
    }

    async fn ensure_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        Ok(self.model.ensure_table(namespace, name))
    }

    async fn get(&self, key: &ItemKey, _: Consistency) -> Result<Option<Item>, ClientError> {
        self.call(false, || Ok(self.model.get(key))).await
    }

    async fn get_many(&self, keys: Vec<ItemKey>, _: Consistency) -> Result<Vec<Option<Item>>, ClientError> {
        self.call(false, || Ok(self.model.get_many(&keys))).await
    }

    async fn query(&self, query: &Query, _: Consistency) -> Result<QueryPage, ClientError> {
        self.call(false, || Ok(self.model.query(query))).await
    }

    async fn scan(&self, table: TableId, cursor: Option<ScanCursor>, limit: u32) -> Result<ScanPage, ClientError> {
        let after = cursor.map(|cursor| {
            let said = serde_json::to_value(cursor).unwrap();
            assert_eq!(said["table"], serde_json::json!(table), "a cursor of another table");
            serde_json::from_value(said["after"].clone()).unwrap()
        });
        self.call(false, || Ok(super::scan_page(self.model.scan(table, after, limit), limit))).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError> {
        self.call(true, || {
            let result = self.model.transact(&transaction)?;
            self.inner.lock().committed = Some(result.version.seq.0);
            Ok(result)
        })
        .await
    }

    async fn reference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        for hash in super::blocks_of(content) {
            self.call(false, || {
                self.model.state.lock().references.entry(owner.to_vec()).or_default().insert(hash);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn unreference_content(&self, owner: &[u8], content: &Content) -> Result<(), ClientError> {
        for hash in super::blocks_of(content) {
            self.call(false, || {
                let mut state = self.model.state.lock();
                if let Some(hashes) = state.references.get_mut(owner) {
                    hashes.remove(&hash);
                    if hashes.is_empty() {
                        state.references.remove(owner);
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn write_blob(&self, _: UploadId, source: ByteSource) -> Result<Content, ClientError> {
        self.call(false, || Ok(())).await?;
        self.model.write_blob(source).await
    }

    async fn compose(&self, _: UploadId, parts: Vec<Content>) -> Result<Content, ClientError> {
        self.call(false, || Ok(self.model.compose(parts))).await
    }

    fn read_blob(&self, content: Content, range: Range<u64>) -> ByteStream {
        if self.inner.lock().silent.contains(&content.hash) {
            let silence = ClientError::Unreachable { tried: Vec::new(), why: "silence".into() };
            return Box::pin(futures::stream::iter([Err(silence)]));
        }
        self.model.read_blob(content, range)
    }

    async fn pause(&self, _: Duration) {
        tokio::task::yield_now().await;
        self.yields().await;
    }
}
