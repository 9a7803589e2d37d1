//! Random acts, done to two engines alike; then both are asked everything.

use super::Factory;
use super::make::*;
use atoll_storage::StorageEngine;
use proptest::prelude::*;
use std::sync::Arc;
use types::*;

/// One thing to do. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Act {
    Append { partition: u16, entries: Vec<Vec<Change>> },
    Sync,
    Apply { partition: u16, count: usize },
    Truncate { partition: u16, keep: u64 },
    Epoch { partition: u16 },
    Copy { from: u16, to: u16, finish: bool },
    Checkpoint,
    Restart,
}

/// One effect, on one of a few keys.
#[derive(Clone, Debug)]
pub struct Change {
    key: u8,
    value: Option<usize>,
    expires: Option<u64>,
}

const PARTITIONS: u16 = 2;

pub fn acts() -> impl Strategy<Value = Vec<Act>> {
    let size = prop_oneof![6 => 0usize..50, 1 => 3000usize..4200, 1 => 6000usize..7000];
    let change = (0u8..12, proptest::option::weighted(0.7, size), proptest::option::weighted(0.3, 1u64..20))
        .prop_map(|(key, value, expires)| Change { key, value, expires });
    let entry = proptest::collection::vec(change, 0..4);
    let partition = 0..PARTITIONS;
    let act = prop_oneof![
        6 => (partition.clone(), proptest::collection::vec(entry, 1..6))
            .prop_map(|(partition, entries)| Act::Append { partition, entries }),
        3 => Just(Act::Sync),
        5 => (partition.clone(), 1usize..12).prop_map(|(partition, count)| Act::Apply { partition, count }),
        1 => (partition.clone(), 0u64..8).prop_map(|(partition, keep)| Act::Truncate { partition, keep }),
        1 => partition.clone().prop_map(|partition| Act::Epoch { partition }),
        1 => (partition.clone(), partition, any::<bool>()).prop_map(|(from, to, finish)| Act::Copy { from, to, finish }),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 1..60)
}

fn item_key(number: u8) -> ItemKey {
    let partition_key: &[u8] = [&b"a"[..], b"a\0", b"b"][usize::from(number % 3)];
    ItemKey::new(TableId(u32::from(number % 2)), partition_key, vec![number / 6])
}

/// Two engines and what both should hold.
pub struct Pair<A: Factory, B: Factory> {
    a: (A, Option<A::Engine>),
    b: (B, Option<B::Engine>),
    epoch: u64,
    made: u64,
    /// Both keep the same log.
    same_log: bool,
}

impl<A: Factory, B: Factory> Pair<A, B> {
    pub fn new(mut a: A, mut b: B, same_log: bool) -> Self {
        let (first, second) = (a.fresh(), b.fresh());
        Pair { a: (a, Some(first)), b: (b, Some(second)), epoch: 1, made: 0, same_log }
    }

    fn both(&self) -> [&dyn StorageEngine; 2] {
        [self.a.1.as_ref().unwrap(), self.b.1.as_ref().unwrap()]
    }

    fn incomplete(&self, partition: PartitionId) -> bool {
        self.both()[1].recovered().get(&partition).is_some_and(|found| found.incomplete)
    }

    pub fn act(&mut self, act: &Act) {
        let [a, b] = self.both();
        match act {
            Act::Append { partition, entries } => {
                let partition = PartitionId(*partition);
                if self.incomplete(partition) {
                    return;
                }
                let next = b.log_range(partition).1.0 + 1;
                let mut records = Vec::new();
                for (index, changes) in entries.iter().enumerate() {
                    let made = self.made + index as u64;
                    let effects = changes.iter().map(|change| match change.value {
                        Some(size) => Effect::Put {
                            key: item_key(change.key),
                            value: noise(size),
                            expires: change.expires.map(WallMillis),
                        },
                        None => Effect::Delete { key: item_key(change.key) },
                    });
                    let window = limits::OPERATION_WINDOW.as_millis() as u64;
                    let entry = LogEntry {
                        version: Version::new(self.epoch, next + index as u64),
                        time: HybridTime((made * window / 20 + 1) << 16),
                        operation: (!made.is_multiple_of(5))
                            .then(|| (operation(made * window / 20, u128::from(made)), 7, Some(vec![1, 2]))),
                        effects: effects.collect(),
                    };
                    records.push(Record::Entry { partition, entry: Arc::new(entry) });
                }
                self.both().iter().for_each(|engine| engine.append(&records).unwrap());
                self.made += entries.len() as u64;
            }
            Act::Sync => [a, b].iter().for_each(|engine| engine.sync().unwrap()),
            Act::Apply { partition, count } => {
                let partition = PartitionId(*partition);
                if self.incomplete(partition) {
                    return;
                }
                let entries = b.entries(partition, b.applied(partition).seq.next(), usize::MAX).unwrap();
                let some: Vec<_> = entries.into_iter().take(*count).map(|entry| (partition, Arc::new(entry))).collect();
                a.apply(&some).unwrap();
                // However they are grouped.
                some.iter().for_each(|one| b.apply(std::slice::from_ref(one)).unwrap());
            }
            Act::Truncate { partition, keep } => {
                let partition = PartitionId(*partition);
                let after = Seq(b.applied(partition).seq.0 + keep);
                [a, b].iter().for_each(|engine| engine.append(&[Record::Truncate { partition, after }]).unwrap());
            }
            Act::Epoch { partition } => {
                let partition = PartitionId(*partition);
                self.epoch += 1;
                let record = Record::Epoch { partition, epoch: Epoch(self.epoch) };
                self.both().iter().for_each(|engine| engine.append(std::slice::from_ref(&record)).unwrap());
            }
            Act::Copy { from, to, finish } => {
                let (from, to) = (PartitionId(*from), PartitionId(*to));
                if from == to || self.incomplete(from) {
                    return;
                }
                for engine in [a, b] {
                    let snapshot = engine.snapshot(from).unwrap();
                    engine.append(&[Record::Reset { partition: to }]).unwrap();
                    engine.sync().unwrap();
                    engine.begin_copy(to).unwrap();
                    import(engine, to, &export(&*snapshot, 3000));
                    if *finish {
                        engine.install(to, snapshot.at(), snapshot.time()).unwrap();
                    }
                }
            }
            Act::Checkpoint => [a, b].iter().for_each(|engine| engine.checkpoint().unwrap()),
            Act::Restart => {
                let engine = self.a.1.take().unwrap();
                self.a.1 = Some(self.a.0.restart(engine));
                let engine = self.b.1.take().unwrap();
                self.b.1 = Some(self.b.0.restart(engine));
            }
        }
    }

    /// Everything that can be asked, of both.
    pub fn compare(&self) {
        let [a, b] = self.both();
        assert_eq!(a.recovered(), b.recovered());
        for partition in (0..=PARTITIONS).map(PartitionId) {
            let (ours, theirs) = (a.log_range(partition), b.log_range(partition));
            assert_eq!(ours.1, theirs.1);
            if self.same_log {
                assert_eq!(ours, theirs);
            }
            let first = ours.0.max(theirs.0);
            assert_eq!(
                a.entries(partition, first, usize::MAX).unwrap(),
                b.entries(partition, first, usize::MAX).unwrap()
            );
            assert_eq!(a.applied(partition), b.applied(partition));
            for now in [0, 5, 100] {
                let due = |engine: &dyn StorageEngine| engine.due(partition, WallMillis(now), 4).unwrap();
                assert_eq!(due(a), due(b));
            }
            let (ours, theirs) = (a.snapshot(partition).unwrap(), b.snapshot(partition).unwrap());
            assert_eq!((ours.at(), ours.time()), (theirs.at(), theirs.time()));
            for table in (0..3).map(TableId) {
                assert_eq!(ours.count(table).unwrap(), theirs.count(table).unwrap());
                let scanned = ours.scan(table, None, 100).unwrap();
                assert_eq!(scanned, theirs.scan(table, None, 100).unwrap());
                assert_eq!(scanned.len() as u64, ours.count(table).unwrap());
                for partition_key in [&b"a"[..], b"a\0", b"b"] {
                    for reverse in [false, true] {
                        let query = Query { reverse, limit: 2, ..Query::all(table, partition_key) };
                        assert_eq!(ours.query(&query).unwrap(), theirs.query(&query).unwrap());
                    }
                }
            }
            for key in (0..12).map(item_key) {
                let found = ours.get(&key).unwrap();
                assert_eq!(found, theirs.get(&key).unwrap());
                assert_eq!(found, a.get(partition, &key).unwrap());
                assert_eq!(found, b.get(partition, &key).unwrap());
            }
            let window = limits::OPERATION_WINDOW.as_millis() as u64;
            for made in 0..self.made {
                let id = operation(made * window / 20, u128::from(made));
                assert_eq!(a.outcome(partition, &id).unwrap(), b.outcome(partition, &id).unwrap());
            }
        }
    }
}
