//! The entries that are in the log and not yet in the tables, and what they
//! mean for each key. Entries up to the committed sequence are on their way
//! into the tables; those above it are pending.

use super::command::Environment;
use super::head::{NODE_UNDER_WAY_BYTES_MAX, UNDER_WAY_BYTES_MAX};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use types::limits::OPERATION_SKEW_MAX;
use types::{Bound, Effect, HybridTime, Item, ItemKey, LogEntry, OperationId, Query, Read, Seq, Version, WallMillis};

/// Entries above `base`, in order, without holes.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    base: Version,
    base_time: HybridTime,
    entries: VecDeque<Arc<LogEntry>>,
    keys: BTreeMap<ItemKey, VecDeque<(Seq, Option<Item>)>>,
    operations: BTreeMap<OperationId, Seq>,
    /// No operation that was created after this is remembered, here or in the tables.
    newest_operation: WallMillis,
    weight: usize,
}

impl Overlay {
    pub(super) fn new(base: Version, base_time: HybridTime) -> Overlay {
        // No head takes an operation that is further ahead of the time that it gives the entry.
        let ahead = OPERATION_SKEW_MAX.as_millis() as u64;
        let newest_operation =
            WallMillis(if base == Version::ZERO { 0 } else { base_time.wall().0.saturating_add(ahead) });
        Overlay { base, base_time, newest_operation, ..Overlay::default() }
    }

    /// The last entry, or what the tables hold when there is none.
    pub(super) fn last(&self) -> Version {
        self.entries.back().map_or(self.base, |entry| entry.version)
    }

    /// Time of the last entry.
    pub(super) fn last_time(&self) -> HybridTime {
        self.entries.back().map_or(self.base_time, |entry| entry.time)
    }

    /// What the tables hold.
    pub(super) fn base(&self) -> Version {
        self.base
    }

    /// Bytes of entries, roughly.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The tables are so far behind the log that a follower acknowledges nothing new: what waits in its memory has the bound
    /// of what waits at a head, which then refuses. Only while the tables are at what is committed, up to `applying`, and
    /// so for a while: they need nobody for that.
    pub(super) fn lags(&self, applying: Seq, env: &Environment) -> bool {
        let much = self.weight > UNDER_WAY_BYTES_MAX || env.under_way > NODE_UNDER_WAY_BYTES_MAX;
        much && applying > self.base.seq
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Arc<LogEntry>) {
        assert_eq!(entry.version.seq, self.last().seq.next(), "sequences have no holes");
        assert!(entry.version.epoch >= self.last().epoch, "epochs do not go back");
        let seq = entry.version.seq;
        for effect in &entry.effects {
            let item = match effect {
                Effect::Put { value, expires, .. } => {
                    Some(Item { value: value.clone(), version: entry.version, time: entry.time, expires: *expires })
                }
                Effect::Delete { .. } => None,
            };
            let versions = self.keys.entry(effect.key().clone()).or_default();
            // A transaction may change a key twice: its last word counts.
            if versions.back().is_some_and(|(at, _)| *at == seq) {
                versions.pop_back();
            }
            versions.push_back((seq, item));
        }
        if let Some((operation, ..)) = &entry.operation {
            self.operations.insert(*operation, seq);
            self.newest_operation = self.newest_operation.max(operation.created);
        }
        self.weight += entry.weight();
        self.entries.push_back(entry);
    }

    /// The entry at `seq`, if it is here.
    pub(super) fn entry(&self, seq: Seq) -> Option<&Arc<LogEntry>> {
        let index = seq.0.checked_sub(self.base.seq.0 + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The version at `seq`, if it is known here.
    pub(super) fn version(&self, seq: Seq) -> Option<Version> {
        if seq == self.base.seq { Some(self.base) } else { self.entry(seq).map(|entry| entry.version) }
    }

    /// Entries from `from` to `to`, both included.
    pub(super) fn range(&self, from: Seq, to: Seq) -> impl Iterator<Item = &Arc<LogEntry>> {
        let start = from.0.saturating_sub(self.base.seq.0 + 1) as usize;
        let end = (to.0.saturating_sub(self.base.seq.0) as usize).min(self.entries.len());
        self.entries.range(start.min(end)..end)
    }

    /// Everything up to `seq` is in the tables now.
    pub(super) fn applied(&mut self, seq: Seq) {
        while let Some(entry) = self.entries.front().filter(|entry| entry.version.seq <= seq).cloned() {
            self.entries.pop_front();
            self.base = entry.version;
            self.base_time = entry.time;
            self.forget(&entry, true);
        }
    }

    /// Drops everything above `seq`.
    pub(super) fn truncate(&mut self, seq: Seq) {
        assert!(seq >= self.base.seq, "what is in the tables stays");
        while let Some(entry) = self.entries.back().filter(|entry| entry.version.seq > seq).cloned() {
            self.entries.pop_back();
            self.forget(&entry, false);
        }
    }

    fn forget(&mut self, entry: &LogEntry, oldest: bool) {
        for effect in &entry.effects {
            if let Some(versions) = self.keys.get_mut(effect.key()) {
                let end = if oldest { versions.front() } else { versions.back() };
                if end.is_some_and(|(seq, _)| *seq == entry.version.seq) {
                    if oldest {
                        versions.pop_front()
                    } else {
                        versions.pop_back()
                    };
                }
                if versions.is_empty() {
                    self.keys.remove(effect.key());
                }
            }
        }
        if let Some((operation, ..)) = &entry.operation {
            self.operations.remove(operation);
        }
        self.weight -= entry.weight();
    }

    /// What the key holds after every entry here; none: ask the tables.
    pub(super) fn latest(&self, key: &ItemKey) -> Option<&(Seq, Option<Item>)> {
        self.keys.get(key)?.back()
    }

    /// What the key holds after the entries up to `committed`; none: ask the tables.
    pub(super) fn committed(&self, key: &ItemKey, committed: Seq) -> Option<&Option<Item>> {
        let versions = self.keys.get(key)?;
        versions.iter().rev().find(|(seq, _)| *seq <= committed).map(|(_, item)| item)
    }

    /// The last write under way to what `read` reads; none when it is untouched by the entries here.
    pub(super) fn touched(&self, read: &Read) -> Option<Seq> {
        let newest = |versions: &VecDeque<(Seq, Option<Item>)>| versions.back().map(|(seq, _)| *seq);
        match read {
            Read::Items(keys) => keys.iter().filter_map(|key| self.keys.get(key).and_then(newest)).max(),
            Read::Range(query) => self.under(query).filter_map(|(_, versions)| newest(versions)).max(),
        }
    }

    fn under<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = (&'a ItemKey, &'a VecDeque<(Seq, Option<Item>)>)> {
        let start = match &query.from {
            Bound::Included(key) | Bound::Excluded(key) => key.clone(),
            Bound::Open => bytes::Bytes::new(),
        };
        let first = ItemKey { table: query.table, partition_key: query.partition_key.clone(), sort_key: start };
        self.keys
            .range(first..)
            .take_while(|(key, _)| key.table == query.table && key.partition_key == query.partition_key)
            .filter(|(key, _)| query.contains(&key.sort_key))
    }

    /// It cannot have been seen before: nobody need look for it.
    pub(super) fn is_new(&self, operation: &OperationId) -> bool {
        operation.created > self.newest_operation
    }

    /// Where an operation is, if it is among the entries here.
    pub(super) fn operation(&self, operation: &OperationId) -> Option<&Arc<LogEntry>> {
        self.entry(*self.operations.get(operation)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use types::TableId;

    fn key(name: u8) -> ItemKey {
        ItemKey::new(TableId(1), "p", vec![name])
    }

    fn entry(seq: u64, changes: &[(u8, Option<u8>)]) -> Arc<LogEntry> {
        let effects = changes
            .iter()
            .map(|(name, value)| match value {
                Some(value) => Effect::Put { key: key(*name), value: vec![*value].into(), expires: None },
                None => Effect::Delete { key: key(*name) },
            })
            .collect();
        Arc::new(LogEntry { version: Version::new(1, seq), time: HybridTime(seq), operation: None, effects })
    }

    proptest! {
        /// Whatever is pushed, applied and cut, every key shows what replaying the rest would.
        #[test]
        fn keys_follow_the_entries(
            writes in prop::collection::vec(prop::collection::vec((0u8..4, prop::option::of(any::<u8>())), 0..4), 0..20),
            cut in 0u64..20,
            applied in 0u64..20,
        ) {
            let mut overlay = Overlay::default();
            for (i, changes) in writes.iter().enumerate() {
                overlay.push(entry(i as u64 + 1, changes));
            }
            let total = writes.len() as u64;
            let (applied, cut) = (applied.min(total), cut.min(total));
            overlay.applied(Seq(applied));
            overlay.truncate(Seq(cut.max(applied)));
            let end = cut.max(applied);
            prop_assert_eq!(overlay.last().seq, Seq(end));
            for name in 0..4 {
                let expected = (applied..end)
                    .flat_map(|i| writes[i as usize].iter().map(move |change| (i + 1, change)))
                    .rfind(|(_, (n, _))| *n == name)
                    .map(|(seq, (_, value))| (Seq(seq), value.map(|v| Bytes::from(vec![v]))));
                let found = overlay.latest(&key(name)).map(|(seq, item)| (*seq, item.as_ref().map(|i| i.value.clone())));
                prop_assert_eq!(found, expected);
            }
            let left: usize = (applied..end).map(|i| entry(i + 1, &writes[i as usize]).weight()).sum();
            prop_assert_eq!(overlay.weight(), left);
        }
    }
}
