//! Writes: to the head, under one operation id however often they are sent.
//!
//! An attempt is *open* when it may have been applied and nothing definite was
//! heard of it. While one is open no refusal of a later attempt is the last word:
//! the open one may still be on its way. So the operation is sent again (if it
//! was applied, the remembered outcome answers), and in the end `verify` is
//! asked, whose "not applied" puts a fence in the way of anything still under way.

use crate::link::Failure;
use crate::patience::{Heard, Patience};
use crate::router::{Role, Router};
use crate::{Client, ClientError};
use bytes::Bytes;
use rpc::codec;
use rpc::wire::{Fault, TransactReply, TransactRequest, method};
use std::time::Duration;
use tokio::time::Instant;
use types::{
    Action, Classify, KeyHash, LayoutVersion, OperationId, PartitionId, Refusal, Transaction, TransactionResult,
    Update, Verdict,
};

impl Client {
    /// A fresh operation id, for a transaction under this partition key.
    pub fn operation(&self, partition_key: &[u8]) -> OperationId {
        OperationId { created: self.now(), key_hash: KeyHash::of(partition_key), nonce: rand::random() }
    }

    /// Applies a transaction: durable on every replica of the chain when it returns. Sends the same
    /// operation id again until its time is up; if it may have been applied and nobody can tell, the
    /// error is [`ClientError::Unknown`], otherwise it surely was not.
    pub async fn transact(&self, transaction: Transaction) -> Result<TransactionResult, ClientError> {
        let operation = transaction.operation;
        match self.router.write(transaction, false).await? {
            TransactReply::Committed(result) => Ok(result),
            TransactReply::Accepted => Err(ClientError::Unknown {
                operation,
                why: "the head answered that the write is ordered, not that it is durable".into(),
            }),
        }
    }

    /// Has a transaction ordered, and does not wait until it is durable: [`Self::verify`] tells the rest.
    pub async fn transact_async(&self, transaction: Transaction) -> Result<OperationId, ClientError> {
        let operation = transaction.operation;
        self.router.write(transaction, true).await.map(|_| operation)
    }

    /// What became of an operation. *Not applied* is final.
    pub async fn verify(&self, operation: OperationId) -> Result<Verdict, ClientError> {
        self.router.verify(operation, self.router.config.timeouts.request).await
    }
}

/// A write under way.
struct Write {
    operation: OperationId,
    partition: PartitionId,
    body: Bytes,
    asynchronous: bool,
    /// It adds to counters, whose results only a replay of the outcome gives.
    counts: bool,
    /// Why an attempt may have been applied, if one may.
    open: Option<String>,
}

impl Router {
    pub(crate) async fn write(
        &self,
        transaction: Transaction,
        asynchronous: bool,
    ) -> Result<TransactReply, ClientError> {
        transaction.validate()?;
        let operation = transaction.operation;
        if operation.key_hash != KeyHash::of(&transaction.partition_key) {
            return Err(ClientError::Invalid("the operation id was made for another partition key".into()));
        }
        let mut write = Write {
            operation,
            partition: self.map.current().partition(operation.key_hash),
            counts: transaction.updates.iter().any(|update| matches!(update, Update::Add { .. })),
            body: codec::encode(&TransactRequest { transaction, asynchronous }),
            asynchronous,
            open: None,
        };
        match self.insist(&mut write, self.config.timeouts.request).await {
            Ok(reply) => Ok(reply),
            Err(error) => match write.open.take() {
                None => Err(nothing_written(error)),
                // These say of the operation id itself that it is not applied and never will be.
                Some(_) if matches!(error, ClientError::Refused(Refusal::Fenced | Refusal::OperationReused)) => {
                    Err(error)
                }
                Some(why) => self.settle(write, why, error).await,
            },
        }
    }

    /// Sends the write until it is answered or time is up. The error speaks of the last attempt;
    /// `write.open` says whether an earlier one may have been applied all the same.
    async fn insist(&self, write: &mut Write, total: Duration) -> Result<TransactReply, ClientError> {
        let timeouts = &self.config.timeouts;
        let mut patience = Patience::new(total, timeouts.write_attempt);
        let mut heard = Heard::default();
        let mut too_few_since = None;
        let begun = Instant::now();
        loop {
            let layout = self.map.current();
            let Some(timeout) = patience.attempt() else { return Err(heard.conclude(&layout)) };
            let Some(head) = self.targets(&layout, write.partition, Role::Head).pop() else {
                heard.nobody(&layout, write.partition);
                self.refresh(layout.version, None).await;
                self.pause(layout.version, &mut patience).await;
                continue;
            };
            let body = write.body.clone();
            let result = self.attempt(&head, write.partition, Role::Head, method::TRANSACT, body, timeout).await;
            let failure = match result {
                Ok((reply, _)) => return Ok(reply),
                Err(failure) => failure,
            };
            tracing::debug!(operation = %write.operation, node = %head.replica.node, %failure, "a write was not answered");
            let mut refresh = failure.blames_node();
            match (failure.action(), &failure) {
                // A failover may be under way: too few now can be enough in a second.
                (_, Failure::Fault(Fault::TooFewReplicas { .. }))
                    if too_few_since.get_or_insert_with(Instant::now).elapsed() < timeouts.too_few_replicas =>
                {
                    refresh = true;
                }
                (_, Failure::Fault(Fault::NoSuchTable(table))) if self.table_may_exist(*table, &layout).await => {}
                (_, busy) if busy.is_busy() && begun.elapsed() >= timeouts.busy => {
                    return Err(failure.into_error(vec![head.address], &layout));
                }
                (Action::Rejected, _) => return Err(failure.into_error(vec![head.address], &layout)),
                (Action::Unknown, _) => {
                    write.open = Some(failure.to_string());
                    refresh = true;
                }
                (Action::RefreshLayout, _) => refresh = true,
                (Action::Retry | Action::Fatal, _) => {}
            }
            let blamed = failure.blames_node();
            heard.failed(&head.address, failure);
            if refresh {
                self.refresh(layout.version, blamed.then_some(head.address.as_str())).await;
            }
            patience.grow();
            self.pause(layout.version, &mut patience).await;
        }
    }

    /// An attempt may have been applied, and `error` is all that is known besides: asks what became of it.
    async fn settle(&self, mut write: Write, why: String, error: ClientError) -> Result<TransactReply, ClientError> {
        let operation = write.operation;
        let unknown = |why: String| Err(ClientError::Unknown { operation, why });
        let budget = self.config.timeouts.settle;
        let mut patience = Patience::new(budget, budget);
        let verdict = loop {
            let Some(left) = patience.attempt() else { return unknown(why) };
            match self.verify(operation, left).await {
                Ok(Verdict::Pending) if !write.asynchronous => {
                    self.pause(LayoutVersion(u64::MAX), &mut patience).await;
                }
                Ok(verdict) => break verdict,
                Err(_) => return unknown(why),
            }
        };
        match verdict {
            Verdict::NotApplied => Err(nothing_written(error)),
            Verdict::Unknown => unknown(why),
            Verdict::Applied { .. } | Verdict::Pending if write.asynchronous => Ok(TransactReply::Accepted),
            Verdict::Pending => unknown(why),
            Verdict::Applied { version, time } if !write.counts => {
                Ok(TransactReply::Committed(TransactionResult { version, time, counters: Vec::new() }))
            }
            Verdict::Applied { version, .. } => match self.insist(&mut write, budget).await {
                Ok(reply) => Ok(reply),
                Err(error) => unknown(format!(
                    "it was applied as version {version}, but the results of its counters could not be fetched ({error})"
                )),
            },
        }
    }

    /// Asks the head what became of an operation.
    pub(crate) async fn verify(&self, operation: OperationId, total: Duration) -> Result<Verdict, ClientError> {
        let partition = self.map.current().partition(operation.key_hash);
        let request = codec::encode(&operation);
        let mut patience = Patience::new(total, self.config.timeouts.write_attempt);
        let mut heard = Heard::default();
        loop {
            let layout = self.map.current();
            let Some(timeout) = patience.attempt() else { return Err(heard.conclude(&layout)) };
            let mut not = None;
            match self.targets(&layout, partition, Role::Head).pop() {
                None => heard.nobody(&layout, partition),
                Some(head) => {
                    let body = request.clone();
                    match self.attempt(&head, partition, Role::Head, method::VERIFY, body, timeout).await {
                        Ok((verdict, _)) => return Ok(verdict),
                        Err(failure) => {
                            let too_few = matches!(failure, Failure::Fault(Fault::TooFewReplicas { .. }));
                            if failure.action() == Action::Rejected && !too_few {
                                return Err(failure.into_error(vec![head.address], &layout));
                            }
                            not = failure.blames_node().then(|| head.address.clone());
                            heard.failed(&head.address, failure);
                        }
                    }
                }
            }
            self.refresh(layout.version, not.as_deref()).await;
            patience.grow();
            self.pause(layout.version, &mut patience).await;
        }
    }
}

/// Says of a write that could not be brought to anybody that nothing was written.
fn nothing_written(error: ClientError) -> ClientError {
    match error {
        ClientError::Unreachable { tried, why } => {
            ClientError::Unreachable { tried, why: format!("{why}; nothing was written") }
        }
        ClientError::Waiting(why) => ClientError::Waiting(format!("{why}; nothing was written")),
        other => other,
    }
}
