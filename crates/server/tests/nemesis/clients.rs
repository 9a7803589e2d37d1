//! Clients: each asks, waits for the answer, writes both down, and goes on.

use crate::cluster::TABLES;
use crate::load::Load;
use crate::record::Recorder;
use bytes::Bytes;
use client::remote::{Options, Remote, RemoteError, TableKey, TableTransaction};
use rand::Rng;
use simulator::history::{Call, Operation, Outcome, Reply, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use types::{Action, Classify, Consistency, OperationId, Refusal, Test, Verdict};

/// How long an asynchronous write's fate is asked about.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Asynchronous writes of one client whose fate is not known yet.
const OPEN_MAX: usize = 8;
/// Above what the client library promises: an operation that takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);

/// How a client reaches the cluster.
#[derive(Clone)]
pub struct Way {
    pub gateways: Vec<String>,
    pub token: String,
    /// It asks the first gateway only.
    pub pinned: bool,
    /// It gives up sooner than most.
    pub hasty: bool,
}

impl Way {
    /// A connection of its own.
    pub async fn connect(&self) -> Result<Remote, RemoteError> {
        let mut options = Options { roam: !self.pinned, ..Options::default() };
        if self.hasty {
            options.attempt = Duration::from_millis(700);
            options.total = Duration::from_millis(1500);
        }
        let count = if self.pinned { 1 } else { self.gateways.len() };
        Remote::with_options(self.gateways[..count].to_vec(), Some(self.token.clone()), options).await
    }
}

/// One client and its connection.
#[derive(Clone)]
pub struct Client {
    pub id: u64,
    pub way: Way,
    pub remote: Remote,
    pub recorder: Arc<Recorder>,
}

impl Client {
    /// Asks one thing after another until told to stop.
    pub async fn work(mut self, mut load: Load, stop: Arc<AtomicBool>) {
        let mut open = JoinSet::new();
        while !stop.load(Ordering::Relaxed) {
            // A new connection learns the time from whichever gateway answers, right or wrong.
            if load.rng().random_bool(0.003)
                && let Ok(remote) = self.way.connect().await
            {
                self.remote = remote;
            }
            let (key, call) = load.next();
            let asynchronous = !matches!(call, Call::Get | Call::GetMany { .. }) && load.rng().random_bool(0.15);
            if asynchronous && open.len() < OPEN_MAX {
                let delay = Duration::from_millis(load.rng().random_range(0..3_000));
                let client = self.clone();
                open.spawn(async move { client.write_and_verify(key, call, delay).await });
            } else {
                // Of a write whose outcome is unknown some ask later, and some do not.
                let ask_later = load.rng().random_bool(0.5);
                load.learn(&self.ask(key, call, ask_later).await);
            }
            while let Some(ended) = open.try_join_next() {
                ended.expect("a client's task does not panic");
            }
            let pause = load.rng().random_range(0..4_000);
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        while let Some(ended) = open.join_next().await {
            ended.expect("a client's task does not panic");
        }
    }

    /// Asks and waits for the answer.
    pub async fn ask(&self, key: String, call: Call, ask_later: bool) -> Operation {
        let transaction = self.transaction(&key, &call);
        let invoked = self.recorder.now();
        let asked = tokio::time::timeout(HANGS, self.perform(&key, &call, transaction.as_ref())).await;
        let (mut outcome, error) = match asked {
            Ok(Ok(reply)) => (Outcome::Ok(reply), String::new()),
            Ok(Err(error)) => (outcome_of(&error), error.to_string()),
            Err(_) => (Outcome::Unknown, "HANGS: no answer at all".to_string()),
        };
        if let (Outcome::Unknown, true, Some(transaction)) = (&outcome, ask_later, &transaction) {
            outcome = self.fate(transaction.operation, &call).await;
        }
        self.note(name_of(&call), key, call, outcome, invoked, &error)
    }

    /// Writes without waiting, and asks later what became of it.
    async fn write_and_verify(&self, key: String, call: Call, delay: Duration) {
        let Some(transaction) = self.transaction(&key, &call) else { return };
        let invoked = self.recorder.now();
        let (outcome, error) = match self.remote.transact_async(&transaction).await {
            Ok(_) => {
                tokio::time::sleep(delay).await;
                (self.fate(transaction.operation, &call).await, String::new())
            }
            Err(error) => match refused_test(&call, &error) {
                Some(reply) => (Outcome::Ok(reply), String::new()),
                None => match outcome_of(&error) {
                    Outcome::Unknown => (self.fate(transaction.operation, &call).await, error.to_string()),
                    outcome => (outcome, error.to_string()),
                },
            },
        };
        self.note("async + verify", key, call, outcome, invoked, &error);
    }

    /// What `verify` says in the end: its word is the outcome.
    async fn fate(&self, operation: OperationId, call: &Call) -> Outcome {
        let begun = Instant::now();
        while begun.elapsed() < SETTLED_WITHIN {
            match self.remote.verify(operation).await {
                Ok(Verdict::Applied { .. }) => return Outcome::Ok(applied(call)),
                Ok(Verdict::NotApplied) => return Outcome::Refused,
                Ok(Verdict::Unknown) => return Outcome::Unknown,
                Ok(Verdict::Pending) | Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        Outcome::Unknown
    }

    /// The gateway that it asks first.
    pub fn via(&self) -> &str {
        &self.way.gateways[0]
    }

    fn note(
        &self,
        sort: &'static str,
        key: String,
        call: Call,
        outcome: Outcome,
        invoked: u64,
        error: &str,
    ) -> Operation {
        let returned = (outcome != Outcome::Unknown).then(|| self.recorder.now());
        let operation = Operation { client: self.id, key, call, outcome, invoked, returned };
        self.recorder.ended(sort, operation.clone(), self.via(), error);
        operation
    }

    /// The call as a write; none if it is a read.
    fn transaction(&self, key: &str, call: &Call) -> Option<TableTransaction> {
        let begun = self.remote.transaction(key.to_string());
        let (tests, writes) = match call {
            Call::Get | Call::GetMany { .. } => return None,
            Call::Put { value } => (BTreeMap::new(), BTreeMap::from([(String::new(), Some(value.clone()))])),
            Call::Delete => (BTreeMap::new(), BTreeMap::from([(String::new(), None)])),
            Call::CompareAndSet { expected, new } => (
                BTreeMap::from([(String::new(), expected.clone())]),
                BTreeMap::from([(String::new(), Some(new.clone()))]),
            ),
            Call::Transact { tests, writes } => (tests.clone(), writes.clone()),
        };
        let tested = tests.into_iter().fold(begun, |transaction, (item, value)| {
            let (table, sort_key) = place(&item);
            transaction.check(table, sort_key, value.map_or(Test::Absent, |value| Test::ValueIs(value.0)))
        });
        Some(writes.into_iter().fold(tested, |transaction, (item, value)| {
            let (table, sort_key) = place(&item);
            match value {
                Some(value) => transaction.put(table, sort_key, value.0),
                None => transaction.delete(table, sort_key),
            }
        }))
    }

    async fn perform(
        &self,
        key: &str,
        call: &Call,
        transaction: Option<&TableTransaction>,
    ) -> Result<Reply, RemoteError> {
        let at = |item: &str| {
            let (table, sort_key) = place(item);
            TableKey::new(table, key.to_string(), sort_key)
        };
        if let Some(transaction) = transaction {
            return match self.remote.transact(transaction).await {
                Ok(_) => Ok(applied(call)),
                Err(error) => refused_test(call, &error).ok_or(error),
            };
        }
        let held = |item: Option<types::Item>| item.map(|item| Value(item.value));
        match call {
            Call::GetMany { items } => {
                let keys: Vec<TableKey> = items.iter().map(|item| at(item)).collect();
                let found = self.remote.get_many(&keys, Consistency::Strong).await?;
                Ok(Reply::ReadMany { values: items.iter().cloned().zip(found.into_iter().map(held)).collect() })
            }
            _ => Ok(Reply::Read { found: held(self.remote.get(&at(""), Consistency::Strong).await?) }),
        }
    }
}

/// Table and sort key of an item.
pub fn place(item: &str) -> (&str, Bytes) {
    let (table, sort_key) = item.split_once('.').unwrap_or((TABLES[0], ""));
    (table, Bytes::copy_from_slice(sort_key.as_bytes()))
}

fn applied(call: &Call) -> Reply {
    if let Call::CompareAndSet { .. } = call { Reply::Swapped } else { Reply::Done }
}

/// The answer that a test did not hold.
fn refused_test(call: &Call, error: &RemoteError) -> Option<Reply> {
    let RemoteError::Refused(Refusal::Condition { index, .. }) = error else { return None };
    match call {
        Call::CompareAndSet { .. } => Some(Reply::Mismatch { observed: None }),
        Call::Transact { tests, .. } => Some(Reply::TestFailed { item: tests.keys().nth(*index as usize).cloned() }),
        _ => None,
    }
}

/// What an error promises.
fn outcome_of(error: &RemoteError) -> Outcome {
    if error.action() == Action::Unknown { Outcome::Unknown } else { Outcome::Refused }
}

fn name_of(call: &Call) -> &'static str {
    match call {
        Call::Get => "get",
        Call::Put { .. } => "put",
        Call::Delete => "delete",
        Call::CompareAndSet { .. } => "compare-and-set",
        Call::GetMany { .. } => "get of several",
        Call::Transact { .. } => "transaction",
    }
}
