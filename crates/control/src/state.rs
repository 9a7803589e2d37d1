//! The state that a metadata store replicates, and the one rule by which a
//! batch changes it. Pure: the same batches in the same order give the same
//! state on every node.

use crate::store::{Batch, Committed, Expect, LeaderToken, MetadataError, Operation, Pair, Range};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Keys, values, revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    revision: u64,
    keys: BTreeMap<String, (Bytes, u64)>,
}

impl State {
    /// Rises with every batch that changes anything.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One key.
    pub fn get(&self, key: &str) -> Option<Pair> {
        self.keys.get(key).map(|(value, revision)| pair(key, value, *revision))
    }

    /// All keys under a prefix.
    pub fn range(&self, prefix: &str) -> Range {
        let pairs = self
            .keys
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, (value, revision))| pair(key, value, *revision))
            .collect();
        Range { pairs, revision: self.revision }
    }

    /// Whether a batch that is proposed under `leadership` would be applied, or why not.
    ///
    /// The fence compares with the leadership under which the batch was *ordered*: whatever a
    /// newer leader orders comes later, so an equal token proves that no newer one came before.
    pub fn check(&self, batch: &Batch, leadership: LeaderToken) -> Result<(), MetadataError> {
        if let Some(token) = batch.fence.filter(|token| *token != leadership) {
            return Err(MetadataError::Fenced { token });
        }
        for (key, expect) in &batch.checks {
            let found = self.keys.get(key).map(|(_, revision)| *revision);
            let holds = match expect {
                Expect::Absent => found.is_none(),
                Expect::Present => found.is_some(),
                Expect::Revision(revision) => found == Some(*revision),
            };
            if !holds {
                return Err(MetadataError::Conflict { key: key.clone(), found });
            }
        }
        Ok(())
    }

    /// Applies a batch that was proposed under `leadership`, or says why not.
    pub fn apply(&mut self, batch: Batch, leadership: LeaderToken) -> Result<Committed, MetadataError> {
        self.check(&batch, leadership)?;
        if !batch.operations.is_empty() {
            self.revision += 1;
        }
        for operation in batch.operations {
            match operation {
                // A copy, so that a small value does not keep the whole message alive that brought it.
                Operation::Put { key, value } => {
                    self.keys.insert(key, (Bytes::copy_from_slice(&value), self.revision));
                }
                Operation::Delete { key } => {
                    self.keys.remove(&key);
                }
            }
        }
        Ok(Committed { revision: self.revision })
    }
}

fn pair(key: &str, value: &Bytes, revision: u64) -> Pair {
    Pair { key: key.to_string(), value: value.clone(), revision }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::NodeId;

    const LEADER: LeaderToken = LeaderToken { term: 3, node: NodeId(1) };

    fn batches() -> impl Strategy<Value = Batch> {
        let key = "[a-c]{1,2}";
        let expect = prop_oneof![Just(Expect::Absent), Just(Expect::Present), (0u64..20).prop_map(Expect::Revision)];
        let operation = prop_oneof![
            (key, any::<u8>()).prop_map(|(key, byte)| Operation::Put { key, value: vec![byte].into() }),
            key.prop_map(|key| Operation::Delete { key }),
        ];
        let fence = prop_oneof![
            3 => Just(None),
            1 => (2u64..5, 1u64..3).prop_map(|(term, node)| Some(LeaderToken { term, node: NodeId(node) })),
        ];
        (proptest::collection::vec((key, expect), 0..3), proptest::collection::vec(operation, 0..4), fence)
            .prop_map(|(checks, operations, fence)| Batch { checks, operations, fence })
    }

    proptest! {
        #[test]
        fn all_or_nothing(batches in proptest::collection::vec(batches(), 1..30)) {
            let mut state = State::default();
            for batch in batches {
                let before = state.clone();
                let fenced = batch.fence.is_some_and(|token| token != LEADER);
                let operations = batch.operations.clone();
                match state.apply(batch, LEADER) {
                    Err(_) => prop_assert_eq!(&state, &before),
                    Ok(committed) => {
                        prop_assert!(!fenced);
                        prop_assert_eq!(committed.revision, state.revision());
                        prop_assert_eq!(state.revision() > before.revision(), !operations.is_empty());
                        // The last operation on each key is what it holds.
                        let last: BTreeMap<_, _> = operations
                            .iter()
                            .map(|operation| match operation {
                                Operation::Put { key, value } => (key, Some(value)),
                                Operation::Delete { key } => (key, None),
                            })
                            .collect();
                        for (key, value) in last {
                            let found = state.get(key);
                            prop_assert_eq!(found.as_ref().map(|pair| &pair.value), value);
                            prop_assert!(found.is_none_or(|pair| pair.revision == committed.revision));
                        }
                    }
                }
                let range = state.range("a");
                prop_assert!(range.pairs.iter().all(|pair| pair.key.starts_with('a')));
                prop_assert!(range.pairs.windows(2).all(|two| two[0].key < two[1].key));
            }
        }
    }
}
