//! What clients ask for: a mix of everything, on few enough keys that they meet.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use simulator::history::{Call, Operation, Outcome, Reply, Value};
use std::collections::{BTreeMap, HashMap};

const SINGLES: u32 = 40;
const GROUPS: u32 = 24;
/// Items of a group, `table.sort key`; the single ones have the first table, and no sort key.
const ITEMS: [&str; 3] = ["ant.1", "ant.2", "bee.1"];

/// What one client asks, and what it knows.
pub struct Load {
    id: u64,
    rng: StdRng,
    count: u64,
    /// What was last seen where.
    seen: HashMap<(String, String), Option<Value>>,
}

impl Load {
    /// A client's.
    pub fn new(seed: u64, id: u64) -> Load {
        Load { id, rng: StdRng::seed_from_u64(seed ^ (id + 1) << 32), count: 0, seen: HashMap::new() }
    }

    /// Chance.
    pub fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    fn fresh(&mut self) -> Value {
        self.count += 1;
        Value::from(format!("{}.{}", self.id, self.count).as_str())
    }

    /// Every key but those written once.
    pub fn keys() -> Vec<(String, Vec<String>)> {
        let singles = (0..SINGLES).map(|key| (format!("single-{key}"), vec![]));
        let items: Vec<String> = ITEMS.iter().map(ToString::to_string).collect();
        singles.chain((0..GROUPS).map(|key| (format!("group-{key}"), items.clone()))).collect()
    }

    /// The next thing to ask for.
    pub fn next(&mut self) -> (String, Call) {
        match self.rng.random_range(0..10) {
            // Written once: whatever is lost, is missed.
            0 => {
                let value = self.fresh();
                (format!("once-{value}"), Call::Put { value })
            }
            1..5 => {
                let key = format!("single-{}", self.rng.random_range(0..SINGLES));
                let call = self.single(&key);
                (key, call)
            }
            _ => {
                let key = format!("group-{}", self.rng.random_range(0..GROUPS));
                let call = self.grouped(&key);
                (key, call)
            }
        }
    }

    fn single(&mut self, key: &str) -> Call {
        match self.rng.random_range(0..10) {
            0..4 => Call::Get,
            4..6 => Call::Put { value: self.fresh() },
            6 => Call::Delete,
            _ => Call::CompareAndSet { expected: self.guess(key, ""), new: self.fresh() },
        }
    }

    fn grouped(&mut self, key: &str) -> Call {
        let count = self.rng.random_range(1..=ITEMS.len());
        let some = |rng: &mut StdRng, count: usize| -> Vec<String> {
            ITEMS.choose_multiple(rng, count).map(ToString::to_string).collect()
        };
        if self.rng.random_bool(0.4) {
            return Call::GetMany { items: some(&mut self.rng, count) };
        }
        let written = some(&mut self.rng, count);
        let writes = written.into_iter().map(|item| {
            let value = self.rng.random_bool(0.85).then(|| self.fresh());
            (item, value)
        });
        let writes = writes.collect();
        let tested = if self.rng.random_bool(0.6) { self.rng.random_range(1..=2) } else { 0 };
        let tested = some(&mut self.rng, tested);
        let tests = tested.into_iter().map(|item| (item.clone(), self.guess(key, &item))).collect();
        Call::Transact { tests, writes }
    }

    /// What may be there: what was seen last.
    fn guess(&self, key: &str, item: &str) -> Option<Value> {
        self.seen.get(&(key.to_string(), item.to_string())).cloned().flatten()
    }

    /// An operation has ended: what is known of its key now.
    pub fn learn(&mut self, operation: &Operation) {
        let mut held: BTreeMap<String, Option<Value>> = BTreeMap::new();
        match (&operation.call, &operation.outcome) {
            (_, Outcome::Ok(Reply::Read { found })) => drop(held.insert(String::new(), found.clone())),
            (_, Outcome::Ok(Reply::ReadMany { values })) => held.clone_from(values),
            (Call::Put { value }, _) => drop(held.insert(String::new(), Some(value.clone()))),
            (Call::Delete, _) => drop(held.insert(String::new(), None)),
            (Call::CompareAndSet { new, .. }, Outcome::Ok(Reply::Swapped)) => {
                held.insert(String::new(), Some(new.clone()));
            }
            (Call::Transact { writes, .. }, Outcome::Ok(Reply::Done)) => held.clone_from(writes),
            _ => {}
        }
        if !operation.key.starts_with("once-") {
            self.seen.extend(held.into_iter().map(|(item, value)| ((operation.key.clone(), item), value)));
        }
    }
}
