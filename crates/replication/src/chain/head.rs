//! The head: tests transactions, orders them, and answers for them.

use super::command::{Answer, Command, Environment, Failure, Out, RequestId, Tables, TablesFailed};
use super::overlay::Overlay;
use super::replica::Replica;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::limits::{OPERATION_SKEW_MAX, OPERATION_WINDOW};
use types::transaction::{from_sortable, sortable};
use types::{
    Effect, Item, ItemKey, LogEntry, Monotonic, OperationId, Record, Refusal, Seq, Test, Transaction,
    TransactionResult, Update, Verdict, Version, WallMillis,
};

/// Bytes of entries under way at a head, at most; beyond it clients hear *busy*.
pub const UNDER_WAY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The same for all partitions of a node together.
pub const NODE_UNDER_WAY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Clients that wait at one head, at most.
pub const WAITING_MAX: usize = 10_000;
/// When the longest has waited for so long, more comes in than can be done: nobody else is let in, who would wait longer still …
pub const WAITING_TIME_MAX: Duration = Duration::from_millis(500);
/// … if at least so many wait: a few do no harm, and do not come from more load than can be borne but from a chain that changes.
pub const WAITING_MIN: usize = 32;

/// Clients that wait for an entry to commit.
#[derive(Debug)]
pub(super) struct Head {
    /// The log's end when the epoch was adopted: all of it commits before this
    /// head may say what is committed.
    pub(super) floor: Seq,
    waiting: BTreeMap<Seq, Wait>,
    count: usize,
}

/// Who waits for one entry.
#[derive(Debug)]
struct Wait {
    since: Monotonic,
    clients: Vec<(RequestId, Waiting)>,
}

#[derive(Debug)]
enum Waiting {
    /// For the entry itself.
    Write,
    /// For a fence: *not applied* is final once it commits.
    Fence,
    /// A refusal that rests on that entry (ruling 4).
    Refusal(Refusal),
}

impl Head {
    /// `before`: this replica was the head of the epoch before, too.
    pub(super) fn new(floor: Seq, before: Option<Head>) -> Head {
        let (waiting, count) = before.map(|head| (head.waiting, head.count)).unwrap_or_default();
        Head { floor, waiting, count }
    }

    /// Answers everybody whose entry has committed. Entries may have left the
    /// overlay only after this was called for them.
    pub(super) fn settle(&mut self, committed: Seq, overlay: &Overlay, out: &mut Vec<Command>) {
        while let Some((seq, _)) = self.waiting.first_key_value().filter(|(seq, _)| **seq <= committed) {
            let seq = *seq;
            let waiting = self.waiting.remove(&seq).map_or(Vec::new(), |wait| wait.clients);
            self.count -= waiting.len();
            let result = overlay.entry(seq).map(|entry| result_of(entry));
            for (request, what) in waiting {
                let answer = match (what, &result) {
                    (Waiting::Refusal(refusal), _) => Answer::Failed(Failure::Refused(refusal)),
                    (Waiting::Fence, _) => Answer::Verdict(Verdict::NotApplied),
                    (Waiting::Write, Some(result)) => Answer::Committed(result.clone()),
                    (Waiting::Write, None) => Answer::Unknown,
                };
                out.reply(request, answer);
            }
        }
    }

    /// The epoch is over for this head.
    pub(super) fn abandon(self, out: &mut Vec<Command>) {
        for (request, what) in self.waiting.into_values().flat_map(|wait| wait.clients) {
            let answer = match what {
                Waiting::Write => Answer::Unknown,
                Waiting::Fence | Waiting::Refusal(_) => Answer::Failed(Failure::NotReady("the chain is changing")),
            };
            out.reply(request, answer);
        }
    }

    /// Nobody else may wait.
    fn crowded(&self) -> bool {
        self.count >= WAITING_MAX
    }

    /// Whoever comes now would wait too long.
    fn slow(&self, now: Monotonic) -> bool {
        let longest = self.waiting.first_key_value().map(|(_, wait)| now - wait.since);
        self.count >= WAITING_MIN && longest.is_some_and(|longest| longest > WAITING_TIME_MAX)
    }

    fn wait(&mut self, now: Monotonic, seq: Seq, request: RequestId, what: Waiting) {
        self.count += 1;
        let wait = self.waiting.entry(seq).or_insert_with(|| Wait { since: now, clients: Vec::new() });
        wait.clients.push((request, what));
    }
}

fn result_of(entry: &LogEntry) -> TransactionResult {
    let counters = entry.operation.as_ref().and_then(|(_, _, counters)| counters.clone()).unwrap_or_default();
    TransactionResult { version: entry.version, time: entry.time, counters }
}

/// What a transaction comes to: effects and counters, or a refusal, and the last
/// pending write that it rests on.
struct Decision {
    outcome: Result<(Vec<Effect>, Vec<i64>), Refusal>,
    rests_on: Option<Seq>,
}

/// The state that a transaction sees: the tables, the entries under way, its own changes so far.
struct View<'a> {
    overlay: &'a Overlay,
    tables: &'a dyn Tables,
    own: BTreeMap<ItemKey, Option<Item>>,
    rests_on: Option<Seq>,
}

impl View<'_> {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Item>, TablesFailed> {
        if let Some(item) = self.own.get(key) {
            return Ok(item.clone());
        }
        if let Some((seq, item)) = self.overlay.latest(key) {
            self.rests_on = self.rests_on.max(Some(*seq));
            return Ok(item.clone());
        }
        self.tables.get(key)
    }
}

fn holds(test: &Test, item: Option<&Item>) -> bool {
    match (test, item) {
        (Test::Absent, item) => item.is_none(),
        (Test::Present, item) => item.is_some(),
        (Test::VersionIs(version), item) => item.is_some_and(|item| item.version == *version),
        (Test::ValueIs(value), item) => item.is_some_and(|item| item.value == *value),
    }
}

fn decide(transaction: &Transaction, overlay: &Overlay, tables: &dyn Tables) -> Result<Decision, TablesFailed> {
    let mut view = View { overlay, tables, own: BTreeMap::new(), rests_on: None };
    let key = |table, sort_key| ItemKey { table, partition_key: transaction.partition_key.clone(), sort_key };
    for (index, condition) in transaction.conditions.iter().enumerate() {
        let item = view.get(&key(condition.table, condition.sort_key.clone()))?;
        if !holds(&condition.test, item.as_ref()) {
            let found = item.map(|item| item.version);
            let refusal = Refusal::Condition { index: index as u32, found };
            return Ok(Decision { outcome: Err(refusal), rests_on: view.rests_on });
        }
    }
    let mut counters: Vec<i64> = Vec::new();
    let mut effects = Vec::with_capacity(transaction.updates.len());
    for update in &transaction.updates {
        let effect = match update {
            Update::Put { table, sort_key, value, expires } => {
                match (sort_key.resolve(&counters), value.resolve(&counters)) {
                    (Some(sort_key), Some(value)) => {
                        Effect::Put { key: key(*table, sort_key), value, expires: *expires }
                    }
                    _ => {
                        let refusal =
                            Refusal::Invalid("a template refers to a counter that does not come before it".into());
                        return Ok(Decision { outcome: Err(refusal), rests_on: None });
                    }
                }
            }
            Update::Delete { table, sort_key } => Effect::Delete { key: key(*table, sort_key.clone()) },
            Update::Add { table, sort_key, delta, min, max } => {
                let key = key(*table, sort_key.clone());
                let index = counters.len() as u32;
                let item = view.get(&key)?;
                let old = match &item {
                    None => 0,
                    Some(item) => match <[u8; 8]>::try_from(&item.value[..]) {
                        Ok(bytes) => from_sortable(bytes),
                        Err(_) => {
                            let refusal = Refusal::NotACounter { index };
                            return Ok(Decision { outcome: Err(refusal), rests_on: view.rests_on });
                        }
                    },
                };
                let would_be = old.saturating_add(*delta);
                if would_be < *min || would_be > *max || old.checked_add(*delta).is_none() {
                    let refusal = Refusal::Bounds { index, would_be, min: *min, max: *max };
                    return Ok(Decision { outcome: Err(refusal), rests_on: view.rests_on });
                }
                counters.push(would_be);
                let expires = item.and_then(|item| item.expires);
                Effect::Put { key, value: sortable(would_be).to_vec().into(), expires }
            }
        };
        // Only counters read what the same transaction wrote; versions do not matter there.
        let own = match &effect {
            Effect::Put { value, expires, .. } => {
                Some(Item { value: value.clone(), version: Version::ZERO, time: Default::default(), expires: *expires })
            }
            Effect::Delete { .. } => None,
        };
        view.own.insert(effect.key().clone(), own);
        effects.push(effect);
    }
    Ok(Decision { outcome: Ok((effects, counters)), rests_on: view.rests_on })
}

impl Replica {
    /// A client's transaction. `fingerprint` tells a retry from a reuse of its operation id
    /// and is not 0. The answer comes as [`Command::Reply`], now or later.
    #[allow(clippy::too_many_arguments)] // One event, its surroundings, and where its commands go.
    pub fn transact(
        &mut self,
        env: &Environment,
        request: RequestId,
        transaction: &Transaction,
        fingerprint: u128,
        asynchronous: bool,
        tables: &dyn Tables,
        out: &mut Vec<Command>,
    ) {
        if let Err(failure) = self.try_transact(env, request, transaction, fingerprint, asynchronous, tables, out) {
            self.refuse(request, failure, out);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn try_transact(
        &mut self,
        env: &Environment,
        request: RequestId,
        transaction: &Transaction,
        fingerprint: u128,
        asynchronous: bool,
        tables: &dyn Tables,
        out: &mut Vec<Command>,
    ) -> Result<(), Failure> {
        self.check_head(env)?;
        transaction.validate()?;
        let operation = transaction.operation;
        let now = self.operation_clock(env);
        if operation.created.0.saturating_add(OPERATION_WINDOW.as_millis() as u64) < now.0
            || operation.created.0 > now.0.saturating_add(OPERATION_SKEW_MAX.as_millis() as u64)
        {
            return Err(Refusal::OperationExpired.into());
        }
        // A retry joins the entry that it made, or hears what was remembered of it.
        if let Some(entry) = self.overlay.operation(&operation) {
            let seq = entry.version.seq;
            let replay = entry.outcome().map(|(_, outcome)| outcome.replay(fingerprint));
            match replay {
                Some(Err(refusal)) => self.answer_when(env, seq, request, Waiting::Refusal(refusal), out),
                _ if asynchronous => out.reply(request, Answer::Accepted),
                _ => self.answer_when(env, seq, request, Waiting::Write, out),
            }
            return Ok(());
        }
        let is_new = self.overlay.is_new(&operation);
        debug_assert!(!is_new || !matches!(tables.outcome(&operation), Ok(Some(_))), "a new operation was seen before");
        if !is_new && let Some(outcome) = tables.outcome(&operation)? {
            let answer = match outcome.replay(fingerprint) {
                Ok(_) if asynchronous => Answer::Accepted,
                Ok(result) => Answer::Committed(result),
                Err(refusal) => Answer::Failed(refusal.into()),
            };
            out.reply(request, answer);
            return Ok(());
        }
        self.check_room(env)?;
        self.check_growth(env, transaction)?;
        let decision = decide(transaction, &self.overlay, tables)?;
        let (effects, counters) = match (decision.outcome, decision.rests_on) {
            (Ok(changes), _) => changes,
            (Err(refusal), Some(seq)) if seq > self.committed => {
                self.answer_when(env, seq, request, Waiting::Refusal(refusal), out);
                return Ok(());
            }
            (Err(refusal), _) => return Err(refusal.into()),
        };
        let seq = self.order(env, Some((operation, fingerprint, Some(counters))), effects, out);
        if asynchronous {
            out.reply(request, Answer::Accepted);
        } else {
            self.answer_when(env, seq, request, Waiting::Write, out);
        }
        self.pump(env, out);
        Ok(())
    }

    /// Was that operation applied? *Not applied* is said only after a fence has
    /// gone down the chain, and so stays true (ruling 3).
    pub fn verify(
        &mut self,
        env: &Environment,
        request: RequestId,
        operation: &OperationId,
        tables: &dyn Tables,
        out: &mut Vec<Command>,
    ) {
        if let Err(failure) = self.try_verify(env, request, operation, tables, out) {
            self.refuse(request, failure, out);
        }
    }

    fn try_verify(
        &mut self,
        env: &Environment,
        request: RequestId,
        operation: &OperationId,
        tables: &dyn Tables,
        out: &mut Vec<Command>,
    ) -> Result<(), Failure> {
        self.check_head(env)?;
        let verdict = |outcome: types::Outcome| match outcome.counters {
            Some(_) => Verdict::Applied { version: outcome.version, time: outcome.time },
            None => Verdict::NotApplied,
        };
        if let Some((seq, fence, outcome)) = self.overlay.operation(operation).map(|entry| {
            let outcome = entry.outcome().map(|(_, outcome)| outcome);
            (entry.version.seq, outcome.as_ref().is_some_and(|o| o.counters.is_none()), outcome)
        }) {
            match outcome {
                _ if fence => self.answer_when(env, seq, request, Waiting::Fence, out),
                Some(outcome) if seq <= self.committed => out.reply(request, Answer::Verdict(verdict(outcome))),
                _ => out.reply(request, Answer::Verdict(Verdict::Pending)),
            }
            return Ok(());
        }
        if let Some(outcome) = tables.outcome(operation)? {
            out.reply(request, Answer::Verdict(verdict(outcome)));
            return Ok(());
        }
        let now = self.operation_clock(env);
        if operation.created.0.saturating_add(OPERATION_WINDOW.as_millis() as u64) < now.0 {
            out.reply(request, Answer::Verdict(Verdict::Unknown));
            return Ok(());
        }
        // Nor can it be applied as long as its time is so far ahead; a fence for it would outlast what is remembered of it.
        if operation.created.0 > now.0.saturating_add(OPERATION_SKEW_MAX.as_millis() as u64) {
            out.reply(request, Answer::Verdict(Verdict::Unknown));
            return Ok(());
        }
        self.check_room(env)?;
        let seq = self.order(env, Some((*operation, 0, None)), Vec::new(), out);
        self.answer_when(env, seq, request, Waiting::Fence, out);
        self.pump(env, out);
        Ok(())
    }

    /// Deletes items whose time has come, unless they changed since (ruling 7).
    pub fn expire(
        &mut self,
        env: &Environment,
        due: &[(ItemKey, Version)],
        tables: &dyn Tables,
        out: &mut Vec<Command>,
    ) {
        if self.check_head(env).is_err() || self.check_room(env).is_err() {
            return;
        }
        let still = |(key, version): &&(ItemKey, Version)| {
            self.overlay.latest(key).is_none()
                && matches!(tables.get(key), Ok(Some(item)) if item.version == *version
                    && item.expires.is_some_and(|at| at <= env.wall))
        };
        let effects: Vec<_> = due.iter().filter(still).map(|(key, _)| Effect::Delete { key: key.clone() }).collect();
        if !effects.is_empty() {
            self.order(env, None, effects, out);
            self.pump(env, out);
        }
    }

    /// The clock that operation ids are judged by: it does not go back at a failover.
    fn operation_clock(&self, env: &Environment) -> WallMillis {
        env.wall.max(self.overlay.last_time().wall())
    }

    fn check_head(&self, env: &Environment) -> Result<(), Failure> {
        let role = self.role.as_ref().ok_or(Failure::NotServing)?;
        if role.heads.is_none() {
            return Err(Failure::NotServing);
        }
        if !env.leased() {
            return Err(Failure::NotReady("the node's lease has run out"));
        }
        Ok(())
    }

    /// Whether one more entry may be ordered.
    fn check_room(&self, env: &Environment) -> Result<(), Failure> {
        let have = self.role.as_ref().map_or(0, |role| role.acking);
        if have < env.replicas_min {
            return Err(Failure::TooFewReplicas { have, need: env.replicas_min });
        }
        let head = self.role.as_ref().and_then(|role| role.heads.as_ref());
        let crowded = head.is_some_and(|head| head.crowded() || head.slow(env.now));
        if self.overlay.weight() > UNDER_WAY_BYTES_MAX || env.under_way > NODE_UNDER_WAY_BYTES_MAX || crowded {
            return Err(Failure::Busy);
        }
        Ok(())
    }

    /// Gives the next version to these effects and puts them in the log.
    fn order(
        &mut self,
        env: &Environment,
        operation: Option<(OperationId, u128, Option<Vec<i64>>)>,
        effects: Vec<Effect>,
        out: &mut Vec<Command>,
    ) -> Seq {
        let version = Version { epoch: self.epoch, seq: self.overlay.last().seq.next() };
        let time = self.overlay.last_time().next(env.wall);
        let entry = Arc::new(LogEntry { version, time, operation, effects });
        self.overlay.push(entry.clone());
        self.append(Record::Entry { partition: self.partition, entry }, out);
        version.seq
    }

    fn answer_when(&mut self, env: &Environment, seq: Seq, request: RequestId, what: Waiting, out: &mut Vec<Command>) {
        let committed = self.committed;
        let Some(head) = self.role.as_mut().and_then(|role| role.heads.as_mut()) else { return };
        if seq > committed && head.crowded() {
            // The entry itself is ordered, whoever asks for it: only of a write of its own may one say *not applied*.
            let answer = match what {
                Waiting::Write => Answer::Unknown,
                Waiting::Fence | Waiting::Refusal(_) => Answer::Failed(Failure::Busy),
            };
            return out.reply(request, answer);
        }
        head.wait(env.now, seq, request, what);
        head.settle(committed, &self.overlay, out);
    }
}
