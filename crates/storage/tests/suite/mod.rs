//! What every engine must do. Each check is given a factory: `open(None)` makes an engine on an
//! empty disk, `open(Some(engine))` restarts that one.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod disk;
pub mod engines;
pub mod make;
pub mod random;

use atoll_storage::{Recovered, StorageEngine, StorageError};
use make::*;
use types::*;

/// Opens engines of one kind.
pub trait Factory {
    type Engine: StorageEngine;
    /// On an empty disk.
    fn fresh(&mut self) -> Self::Engine;
    /// Ends the process and starts it again.
    fn restart(&mut self, engine: Self::Engine) -> Self::Engine;
}

pub fn log_keeps_order(factory: &mut impl Factory) {
    let engine = factory.fresh();
    assert_eq!(engine.recovered(), Default::default());
    assert_eq!(engine.log_range(P), (Seq(1), Seq(0)));
    assert_eq!(engine.entries(P, Seq(1), 1000).unwrap(), vec![]);
    let all: Vec<_> = (1..=9).map(|seq| entry(1, seq, vec![put("a", &seq.to_string(), noise(100))])).collect();
    engine.append(&[Record::Epoch { partition: P, epoch: Epoch(1) }, record(&all[0])]).unwrap();
    // Read before it is durable.
    assert_eq!(engine.entries(P, Seq(1), 1000).unwrap(), vec![(*all[0]).clone()]);
    log(&engine, &all[1..]);
    assert_eq!(engine.log_range(P), (Seq(1), Seq(9)));
    let read = |from, bytes| engine.entries(P, Seq(from), bytes).unwrap();
    assert_eq!(read(1, usize::MAX), all.iter().map(|entry| (**entry).clone()).collect::<Vec<_>>());
    assert_eq!(read(0, usize::MAX).len(), 9);
    assert_eq!(read(8, usize::MAX).len(), 2);
    assert_eq!(read(10, usize::MAX), vec![]);
    assert_eq!(read(3, 0), vec![(*all[2]).clone()], "one at least");
    let some = read(1, 600).len();
    assert!((2..6).contains(&some), "{some}");
    // What does not follow is refused, and nothing of its batch is kept.
    let hole = [record(&entry(1, 10, vec![])), record(&entry(1, 12, vec![]))];
    assert!(engine.append(&hole).is_err());
    assert_eq!(engine.log_range(P), (Seq(1), Seq(9)));
    let installed = Record::Installed { partition: P, version: Version::new(1, 9), time: HybridTime(1) };
    assert!(engine.append(&[installed]).is_err());
    // Other partitions have their own sequences.
    engine.append(&[Record::Entry { partition: PartitionId(0), entry: entry(1, 1, vec![]) }]).unwrap();
    assert_eq!(engine.log_range(PartitionId(0)), (Seq(1), Seq(1)));
    let engine = factory.restart(engine);
    let found = engine.recovered();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [PartitionId(0), P]);
    let expected = Recovered {
        epoch: Epoch(1),
        unapplied: all.iter().map(|entry| (**entry).clone()).collect(),
        ..Recovered::default()
    };
    assert_eq!(found[&P], expected);
}

pub fn truncation(factory: &mut impl Factory) {
    let engine = factory.fresh();
    let first: Vec<_> = (1..=5).map(|seq| entry(1, seq, vec![])).collect();
    log(&engine, &first);
    apply(&engine, &first[..2]);
    assert!(engine.append(&[Record::Truncate { partition: P, after: Seq(1) }]).is_err(), "2 is applied");
    let other = entry(2, 4, vec![put("a", "b", "c")]);
    engine.append(&[Record::Truncate { partition: P, after: Seq(3) }, record(&other)]).unwrap();
    assert_eq!(engine.log_range(P), (Seq(1), Seq(4)));
    assert_eq!(engine.entries(P, Seq(4), 1000).unwrap(), vec![(*other).clone()]);
    // Beyond the end it changes nothing.
    engine.append(&[Record::Truncate { partition: P, after: Seq(40) }]).unwrap();
    assert_eq!(engine.log_range(P), (Seq(1), Seq(4)));
    let engine = factory.restart(engine);
    let found = engine.recovered().remove(&P).unwrap();
    assert_eq!(found.applied, Version::new(1, 2));
    assert_eq!(found.unapplied, vec![(*first[2]).clone(), (*other).clone()]);
    engine.append(&[Record::Truncate { partition: P, after: Seq(2) }]).unwrap();
    assert_eq!(engine.log_range(P), (Seq(1), Seq(2)));
    let engine = factory.restart(engine);
    assert_eq!(engine.recovered()[&P].unapplied, vec![]);
}

pub fn tables(factory: &mut impl Factory) {
    let engine = factory.fresh();
    let expiring = Effect::Put { key: key("a", "3"), value: "x".into(), expires: Some(WallMillis(50)) };
    let later = Effect::Put { key: key("a", "4"), value: "y".into(), expires: Some(WallMillis(60)) };
    let entries = [
        entry(1, 1, vec![put("a", "1", "one"), put("a", "2", "two"), put("b", "1", "other")]),
        entry(1, 2, vec![delete("a", "1"), delete("nothing", "there"), expiring, later]),
        entry(2, 3, vec![put("a", "2", "zwei"), put("a", "5", "five"), delete("a", "5"), delete("a", "3")]),
    ];
    assert!(engine.apply(&[(P, entries[0].clone())]).is_err(), "not in the log");
    write(&engine, &entries);
    assert!(engine.apply(&[(P, entries[2].clone())]).is_err(), "applied already");
    let check = |engine: &dyn StorageEngine| {
        assert_eq!(engine.applied(P), Version::new(2, 3));
        assert_eq!(engine.get(P, &key("a", "1")).unwrap(), None);
        assert_eq!(engine.get(PartitionId(4), &key("a", "2")).unwrap(), None, "another partition");
        let item = engine.get(P, &key("a", "2")).unwrap().unwrap();
        assert_eq!(
            (&item.value[..], item.version, item.time),
            (&b"zwei"[..], Version::new(2, 3), HybridTime(3000 << 16))
        );
        let item = engine.get(P, &key("a", "4")).unwrap().unwrap();
        assert_eq!((item.version, item.expires), (Version::new(1, 2), Some(WallMillis(60))));
        let snapshot = engine.snapshot(P).unwrap();
        assert_eq!((snapshot.at(), snapshot.time()), (Version::new(2, 3), HybridTime(3000 << 16)));
        assert_eq!(snapshot.count(T).unwrap(), 3);
        assert_eq!(snapshot.count(TableId(1)).unwrap(), 0);
        assert_eq!(engine.due(P, WallMillis(59), 9).unwrap(), vec![]);
        assert_eq!(engine.due(P, WallMillis(60), 9).unwrap(), vec![(key("a", "4"), Version::new(1, 2))]);
        assert_eq!(engine.due(P, WallMillis(u64::MAX), 9).unwrap().len(), 1);
        let outcome = engine.outcome(P, &operation(2000, 2)).unwrap().unwrap();
        assert_eq!(outcome, entries[1].outcome().unwrap().1);
        assert_eq!(engine.outcome(P, &operation(2000, 3)).unwrap(), None);
    };
    check(&engine);
    let engine = factory.restart(engine);
    check(&engine);
    // A snapshot stays what it was.
    let before = engine.snapshot(P).unwrap();
    write(&engine, &[entry(2, 4, vec![put("a", "2", "due"), delete("a", "4"), put("c", "", noise(9000))])]);
    assert_eq!(&before.get(&key("a", "2")).unwrap().unwrap().value[..], b"zwei");
    assert_eq!((before.count(T).unwrap(), before.at()), (3, Version::new(2, 3)));
    let after = engine.snapshot(P).unwrap();
    assert_eq!((after.count(T).unwrap(), after.at()), (3, Version::new(2, 4)));
    assert_eq!(after.get(&key("c", "")).unwrap().unwrap().value, noise(9000));
}

pub fn queries(factory: &mut impl Factory) {
    let engine = factory.fresh();
    let names: Vec<String> = (0..30).map(|n| format!("{n:02}")).collect();
    let effects = names.iter().map(|name| put("k", name, name.clone())).collect();
    write(&engine, &[entry(1, 1, effects)]);
    write(
        &engine,
        &[entry(1, 2, vec![put("j", "zz", "-"), put("l", "", "-"), put("k\0", "00", "-"), put("", "", "-")])],
    );
    let snapshot = engine.snapshot(P).unwrap();
    let walk = |query: Query| {
        let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(query));
        while let Some(query) = next {
            let page = snapshot.query(&query).unwrap();
            assert_eq!(page.at, Seq(2));
            assert!(page.items.len() <= query.items_max());
            next = page.next.map(|last| query.after(last));
            found.extend(page.items.into_iter().map(|at| String::from_utf8(at.sort_key.to_vec()).unwrap()));
            pages += 1;
        }
        (found, pages)
    };
    let all = Query::all(T, "k");
    assert_eq!(walk(all.clone()), (names.clone(), 1));
    assert_eq!(walk(Query { limit: 7, ..all.clone() }), (names.clone(), 5));
    assert_eq!(walk(Query { limit: 10, ..all.clone() }), (names.clone(), 3), "an exact end needs no empty page");
    let mut backward = names.clone();
    backward.reverse();
    assert_eq!(walk(Query { limit: 7, reverse: true, ..all.clone() }), (backward.clone(), 5));
    assert_eq!(walk(Query::prefix(T, "k", b"1")).0, names[10..20]);
    let range = Query { from: Bound::Excluded("03".into()), to: Bound::Included("07".into()), ..all.clone() };
    assert_eq!(walk(Query { limit: 1, ..range.clone() }).0, names[4..8]);
    assert_eq!(walk(Query { limit: 2, reverse: true, ..range.clone() }).0, backward[22..26]);
    for reverse in [false, true] {
        let wrong =
            Query { from: Bound::Included("9".into()), to: Bound::Included("1".into()), reverse, ..all.clone() };
        assert_eq!(walk(wrong), (vec![], 1));
        let none = Query { from: Bound::Excluded("1".into()), to: Bound::Excluded("1".into()), reverse, ..all.clone() };
        assert_eq!(walk(none), (vec![], 1));
    }
    assert_eq!(walk(Query::all(T, "nobody")), (vec![], 1));
    assert_eq!(walk(Query::all(TableId(8), "k")), (vec![], 1));
}

pub fn page_bytes(factory: &mut impl Factory) {
    let engine = factory.fresh();
    let value = noise(limits::VALUE_BYTES_MAX);
    for seq in 1..=6 {
        write(&engine, &[entry(1, seq, vec![put("k", &seq.to_string(), value.clone())])]);
    }
    let snapshot = engine.snapshot(P).unwrap();
    let page = snapshot.query(&Query::all(T, "k")).unwrap();
    assert_eq!(page.items.len(), 3, "a fourth would pass the bound with its key");
    assert_eq!(page.next, Some("3".into()));
    let rest = snapshot.query(&Query::all(T, "k").after("3".into())).unwrap();
    assert_eq!((rest.items.len(), rest.next), (3, None));
    assert!(rest.items.iter().all(|at| at.item.value == value));
}

pub fn scans(factory: &mut impl Factory) {
    let engine = factory.fresh();
    let mut keys: Vec<ItemKey> =
        ["a", "a\0", "a\0b", "b", "", "\u{ff}"].iter().flat_map(|p| ["", "\0", "1", "2"].map(|s| key(p, s))).collect();
    let effects = keys.iter().map(|key| Effect::Put { key: key.clone(), value: "v".into(), expires: None });
    let mut effects: Vec<_> = effects.collect();
    for table in [6, 8] {
        effects.push(Effect::Put { key: ItemKey::new(TableId(table), "a", "1"), value: "w".into(), expires: None });
    }
    write(&engine, &[entry(1, 1, effects)]);
    let snapshot = engine.snapshot(P).unwrap();
    for limit in [1, 5, 100] {
        let mut found: Vec<ItemKey> = Vec::new();
        loop {
            let page = snapshot.scan(T, found.last(), limit).unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|(key, _)| key));
        }
        keys.sort();
        found.sort();
        assert_eq!(found, keys);
    }
    assert_eq!(snapshot.count(T).unwrap(), 24);
    assert_eq!(snapshot.scan(T, Some(&ItemKey::new(TableId(1), "z", "z")), 1).unwrap()[0].0, keys[0]);
}

pub fn full_copy(factory: &mut impl Factory) {
    let source = factory.fresh();
    let sizes = [0usize, 10, 3 << 10, 4 << 10, 100_000];
    let effects = sizes.iter().map(|&size| put("k", &format!("{size:08}"), noise(size))).collect();
    let expiring = Effect::Put { key: key("e", "1"), value: "x".into(), expires: Some(WallMillis(5)) };
    write(&source, &[entry(3, 1, effects), entry(3, 2, vec![expiring]), entry(4, 3, vec![delete("k", "00000000")])]);
    let (version, time) = (Version::new(4, 3), HybridTime(3000 << 16));

    let target = factory.fresh();
    target.append(&[Record::Epoch { partition: P, epoch: Epoch(2) }]).unwrap();
    write(&target, &[entry(1, 1, vec![put("stale", "1", noise(5000)), put("k", "1", "stale")]), entry(1, 2, vec![])]);
    log(&target, &[entry(1, 3, vec![])]);
    target.append(&[Record::Reset { partition: P }]).unwrap();
    target.sync().unwrap();
    assert_eq!(target.log_range(P), (Seq(1), Seq(0)));
    assert!(target.recovered()[&P].incomplete);
    target.begin_copy(P).unwrap();
    assert_eq!(target.applied(P), Version::ZERO);
    let snapshot = source.snapshot(P).unwrap();
    let pages = export(&*snapshot, 4000);
    assert!(pages.len() > 1 && pages.iter().all(|page| !page.rows.is_empty()));
    let (outline, bytes) = snapshot.outline(&RowRange::default(), 4000).unwrap();
    assert!(outline.len() > 1 && bytes > 100_000);
    let found = target.snapshot(P).unwrap().compare(None, &outline).unwrap();
    assert!(found.differing.count_ones() as usize == outline.len() && !found.nothing);
    import(&target, P, &pages[..1]);

    // The process ends in the middle: what is there does not count.
    let target = factory.restart(target);
    let found = target.recovered().remove(&P).unwrap();
    let nothing = Recovered { epoch: Epoch(2), incomplete: true, ..Recovered::default() };
    assert_eq!(found, nothing);

    // What came already need not come again.
    target.append(&[Record::Reset { partition: P }]).unwrap();
    target.sync().unwrap();
    target.begin_copy(P).unwrap();
    let first = RowRange { after: None, upto: pages[0].next.clone() };
    let (same, _) = snapshot.outline(&first, usize::MAX).unwrap();
    let rest = snapshot.outline(&RowRange { after: first.upto.clone(), upto: None }, usize::MAX).unwrap().0;
    let there = target.snapshot(P).unwrap();
    assert_eq!(there.compare(None, &same).unwrap(), Found { differing: 0, nothing: false });
    assert_eq!(there.compare(first.upto.as_ref(), &rest).unwrap(), Found { differing: 1, nothing: false });
    drop(there);
    let outside = target.import(P, &first, &pages[1].rows);
    assert!(outside.is_err(), "rows lie in the range that they take the place of");
    import(&target, P, &pages);
    target.install(P, version, time).unwrap();
    assert_eq!(target.snapshot(P).unwrap().compare(None, &outline).unwrap().differing, 0);
    let check = |target: &dyn StorageEngine| {
        let copy = target.snapshot(P).unwrap();
        assert_eq!(export(&*copy, 1 << 20), export(&*snapshot, 1 << 20));
        assert_eq!((copy.at(), copy.time(), target.applied(P)), (version, time, version));
        assert_eq!(copy.count(T).unwrap(), 5);
        assert_eq!(copy.get(&key("k", "00100000")).unwrap().unwrap().value, noise(100_000));
        assert_eq!(target.due(P, WallMillis(9), 9).unwrap(), vec![(key("e", "1"), Version::new(3, 2))]);
        assert_eq!(target.outcome(P, &operation(2000, 2)).unwrap(), source.outcome(P, &operation(2000, 2)).unwrap());
        assert_eq!(target.log_range(P), (Seq(4), Seq(3)));
        assert!(matches!(target.entries(P, Seq(3), 10), Err(StorageError::Compacted { first: Seq(4) })));
    };
    check(&target);
    let target = factory.restart(target);
    check(&target);
    assert!(!target.recovered()[&P].incomplete);
    // Both go on alike.
    let next = [entry(4, 4, vec![put("k", "00100000", "small"), delete("e", "1"), put("n", "", "new")])];
    write(&target, &next);
    write(&source, &next);
    assert_eq!(export(&*target.snapshot(P).unwrap(), 1 << 20), export(&*source.snapshot(P).unwrap(), 1 << 20));
}

/// `retain`: so few bytes or records that a few hundred entries are released.
pub fn checkpoints(factory: &mut impl Factory) {
    let mut engine = factory.fresh();
    let other = PartitionId(9);
    engine.append(&[Record::Epoch { partition: P, epoch: Epoch(5) }]).unwrap();
    engine.append(&[Record::Entry { partition: other, entry: entry(1, 1, vec![]) }]).unwrap();
    let batch =
        |from: u64| (from..from + 50).map(|seq| entry(5, seq, vec![put("k", "s", noise(400))])).collect::<Vec<_>>();
    for round in 0..8 {
        write(&engine, &batch(1 + 50 * round));
        engine.checkpoint().unwrap();
    }
    assert_eq!(engine.log_range(P).0, Seq(1), "another partition's entry holds the log");
    engine.apply(&[(other, entry(1, 1, vec![]))]).unwrap();
    engine.checkpoint().unwrap();
    let (first, last) = engine.log_range(P);
    assert!(first > Seq(100) && last == Seq(400), "{first} {last}");
    for _ in 0..2 {
        assert!(
            matches!(engine.entries(P, Seq(1), 10), Err(StorageError::Compacted { first: found }) if found == first)
        );
        assert_eq!(engine.entries(P, first, usize::MAX).unwrap().len() as u64, last.0 - first.0 + 1);
        engine = factory.restart(engine);
        assert_eq!(engine.log_range(P), (first, last));
        let found = engine.recovered();
        let expected = Recovered {
            epoch: Epoch(5),
            applied: Version::new(5, 400),
            time: HybridTime(400_000 << 16),
            ..Recovered::default()
        };
        assert_eq!(found[&P], expected, "the epoch outlives its record");
        assert_eq!(found[&other].applied, Version::new(1, 1));
        engine.checkpoint().unwrap();
    }
    // An unfinished copy is remembered however much is written after it.
    engine.append(&[Record::Reset { partition: other }]).unwrap();
    engine.sync().unwrap();
    engine.begin_copy(other).unwrap();
    for round in 8..16 {
        write(&engine, &batch(1 + 50 * round));
        engine.checkpoint().unwrap();
    }
    assert!(engine.log_range(P).0 > Seq(500));
    let engine = factory.restart(engine);
    assert!(engine.recovered()[&other].incomplete);
}

pub fn old_operations_are_forgotten(factory: &mut impl Factory) {
    let engine = factory.fresh();
    let window = limits::OPERATION_WINDOW.as_millis() as u64;
    let at = |seq: u64, created: u64, wall: u64| {
        let mut made = (*entry(1, seq, vec![])).clone();
        made.operation = Some((operation(created, u128::from(seq)), 1, None));
        made.time = HybridTime(wall << 16);
        std::sync::Arc::new(made)
    };
    // 200 old ones, then time passes.
    let old: Vec<_> = (1..=200).map(|seq| at(seq, 1000 + seq, 5000)).collect();
    write(&engine, &old);
    let now = 5000 + 2 * window;
    let recent: Vec<_> = (201..=260).map(|seq| at(seq, now - 10, now)).collect();
    write(&engine, &recent);
    let known = |engine: &dyn StorageEngine, range: std::ops::RangeInclusive<u64>| {
        range.filter(|seq| engine.outcome(P, &operation(1000 + seq, u128::from(*seq))).unwrap().is_some()).count()
    };
    assert_eq!(known(&engine, 1..=200), 72, "128 at entry 256, oldest first");
    assert_eq!(known(&engine, 1..=128), 0);
    let engine = factory.restart(engine);
    // One that comes late with an old id, below what was forgotten already.
    let late: Vec<_> = (261..=384).map(|seq| at(seq, if seq == 300 { 7 } else { now }, now)).collect();
    write(&engine, &late);
    assert_eq!(known(&engine, 1..=200), 0);
    assert_eq!(engine.outcome(P, &operation(7, 300)).unwrap(), None);
    assert!(engine.outcome(P, &operation(now, 299)).unwrap().is_some());
}

/// Values of every size, put, exchanged and deleted.
pub fn large_values(factory: &mut impl Factory) {
    let sizes = [0usize, 1, 3 << 10, 3800, 3900, 4 << 10, 6144, 6145, 1 << 20];
    let engine = factory.fresh();
    let rotated = |by: usize| {
        let pairs = sizes.iter().zip(sizes.iter().cycle().skip(by));
        pairs.map(|(name, &size)| put("k", &name.to_string(), noise(size))).collect::<Vec<_>>()
    };
    for by in 0..sizes.len() {
        write(&engine, &[entry(1, 1 + by as u64, rotated(by))]);
        for (name, size) in sizes.iter().zip(sizes.iter().cycle().skip(by)) {
            assert_eq!(engine.get(P, &key("k", &name.to_string())).unwrap().unwrap().value, noise(*size));
        }
    }
    let engine = factory.restart(engine);
    let last = sizes.len() - 1;
    for (name, size) in sizes.iter().zip(sizes.iter().cycle().skip(last)) {
        assert_eq!(engine.get(P, &key("k", &name.to_string())).unwrap().unwrap().value, noise(*size));
    }
    let gone = sizes.iter().map(|name| delete("k", &name.to_string())).collect();
    write(&engine, &[entry(1, 2 + last as u64, gone)]);
    let rows: Vec<_> = export(&*engine.snapshot(P).unwrap(), 1 << 20).into_iter().flat_map(|page| page.rows).collect();
    assert_eq!(rows.len(), sizes.len() + 1, "nothing is left but the operations");
}

pub fn all(factory: &mut impl Factory) {
    log_keeps_order(factory);
    truncation(factory);
    tables(factory);
    queries(factory);
    page_bytes(factory);
    scans(factory);
    full_copy(factory);
    checkpoints(factory);
    old_operations_are_forgotten(factory);
    large_values(factory);
}
