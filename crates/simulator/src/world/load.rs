//! What clients choose to do. Under each partition key there are two registers (`a`, `b`), a pair that is
//! always written together (`x`, `y`), and a counter (`n`).

use super::World;
use super::client::What;
use super::serve::partition_of;
use crate::history::{Call, Value};
use crate::scenario::MS;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{Condition, ItemKey, KeyHash, OperationId, PartitionId, Query, Read, TableId, Test, Transaction, Update};

/// The table of the load.
pub(crate) const TABLE: TableId = TableId(2);

/// An operation to be begun.
pub(crate) struct Plan {
    pub what: What,
    pub calls: Vec<(String, Call)>,
    pub partition: PartitionId,
    pub asynchronous: bool,
}

/// What counters have given out.
#[derive(Default)]
pub(crate) struct Counters {
    given: BTreeMap<String, BTreeMap<i64, (u64, u64)>>,
    pub asked: BTreeMap<String, i64>,
}

impl Counters {
    /// An addition was answered with `value`.
    pub fn added(&mut self, key: &str, value: i64, begun: u64, ended: u64) -> Result<(), String> {
        let given = self.given.entry(key.into()).or_default();
        if given.insert(value, (begun, ended)).is_some() {
            return Err(format!("invariant 13: counter {key} gave {value} to two additions"));
        }
        // Whoever began after another had ended sees a greater number.
        let earlier_but_greater = given.range(value + 1..).any(|(_, (_, other_ended))| *other_ended < begun);
        let later_but_less = given.range(..value).any(|(_, (other_begun, _))| *other_begun > ended);
        if earlier_but_greater || later_but_less {
            return Err(format!("counter {key} went back at {value}"));
        }
        Ok(())
    }

    /// Counters of which an addition was acknowledged.
    pub fn given_keys(&self) -> Vec<String> {
        self.given.keys().cloned().collect()
    }

    /// The counter's value in the end.
    pub fn final_value(&self, key: &str, value: i64) -> Result<(), String> {
        let given = self.given.get(key).map_or(0, BTreeMap::len) as i64;
        let highest = self.given.get(key).and_then(|given| given.keys().next_back().copied()).unwrap_or(0);
        let asked = self.asked.get(key).copied().unwrap_or(0);
        if value < given || value < highest || value > asked {
            return Err(format!(
                "invariant 13: counter {key} is {value} in the end; {given} additions were acknowledged, {asked} asked for"
            ));
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn load_ended(&self, c: usize) -> bool {
        self.healed && self.clients[c].owed == 0 && self.clients[c].upload.is_none()
    }

    /// Chooses.
    pub(crate) fn plan_operation(&mut self, c: usize) -> Plan {
        let client = &mut self.clients[c];
        client.owed = client.owed.saturating_sub(1);
        let key = format!("p{}", self.random.below(self.scenario.keys));
        let register = ["a", "b"][self.random.below(2) as usize];
        self.values += 1;
        let value = Value::from(self.values);
        let name = |sort: &str| format!("{key}/{sort}");
        let put = |sort: &str, value: &Value| Update::Put {
            table: TABLE,
            sort_key: Bytes::copy_from_slice(sort.as_bytes()).into(),
            value: value.0.clone().into(),
            expires: None,
        };
        let mut counter = None;
        let mut conditions = Vec::new();
        let (updates, calls) = match self.random.below(100) {
            0..24 => (vec![put(register, &value)], vec![(name(register), Call::Put { value })]),
            24..30 => {
                let sort_key = Bytes::copy_from_slice(register.as_bytes());
                (vec![Update::Delete { table: TABLE, sort_key }], vec![(name(register), Call::Delete)])
            }
            30..42 => {
                let expected = self.clients[c].seen.get(&name(register)).cloned().flatten();
                let test = expected.clone().map_or(Test::Absent, Test::ValueIs);
                let sort_key = Bytes::copy_from_slice(register.as_bytes());
                conditions.push(Condition { table: TABLE, sort_key, test });
                let update = put(register, &value);
                (
                    vec![update],
                    vec![(name(register), Call::CompareAndSet { expected: expected.map(Value), new: value })],
                )
            }
            42..50 => {
                let calls = ["x", "y"].map(|sort| (name(sort), Call::Put { value: value.clone() }));
                (vec![put("x", &value), put("y", &value)], calls.into())
            }
            50..53 => {
                // Expires by the head's clock, whenever that is: nothing for a history.
                let expires = Some(types::WallMillis(1_700_000_000_000 + self.now / MS + self.random.below(9_000)));
                let sort_key = Bytes::from_static(b"t").into();
                (vec![Update::Put { table: TABLE, sort_key, value: value.0.into(), expires }], Vec::new())
            }
            53..60 => {
                *self.counters.asked.entry(key.clone()).or_default() += 1;
                counter = Some(key.clone());
                let sort_key = Bytes::from_static(b"n");
                (vec![Update::Add { table: TABLE, sort_key, delta: 1, min: 0, max: i64::MAX }], Vec::new())
            }
            choice => return self.plan_read(&key, register, choice),
        };
        let nonce = u128::from(self.values) << 64 | u128::from(types::Rng::next_u64(&mut self.random));
        let created = types::WallMillis(1_700_000_000_000 + self.now / crate::scenario::MS);
        let key_hash = KeyHash::of(key.as_bytes());
        let operation = OperationId { created, key_hash, nonce };
        let asynchronous = counter.is_none() && self.random.permille(60);
        let transaction = Transaction { operation, partition_key: key.into(), conditions, updates };
        let partition = key_hash.partition(self.scenario.partitions);
        Plan { what: What::Write { transaction: Arc::new(transaction), counter }, calls, partition, asynchronous }
    }

    fn plan_read(&mut self, key: &str, register: &'static str, choice: u64) -> Plan {
        let all = ["a", "b", "x", "y"];
        let item = |sort: &&str| ItemKey::new(TABLE, key.to_owned(), sort.as_bytes().to_vec());
        let (read, sorts, pair): (Read, Vec<&str>, bool) = match choice {
            60..86 => (Read::Items(vec![item(&register)]), vec![register], false),
            86..93 => (Read::Items(vec![item(&"x"), item(&"y")]), vec!["x", "y"], true),
            _ => (Read::Range(Query::all(TABLE, key.to_owned())), all.to_vec(), true),
        };
        let keys: Vec<String> = sorts.iter().map(|sort| format!("{key}/{sort}")).collect();
        let calls = keys.iter().map(|key| (key.clone(), Call::Get)).collect();
        let partition = partition_of(key.as_bytes(), self.scenario.partitions);
        Plan { what: What::Read { read, keys, pair }, calls, partition, asynchronous: false }
    }
}
