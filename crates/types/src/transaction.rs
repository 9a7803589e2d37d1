//! Transactions: conditions and changes under one partition key.
//!
//! The head evaluates them and replicates *effects* ([`crate::Effect`]), never
//! expressions, so that replicas cannot disagree on a result.

use crate::limits::{KEY_BYTES_MAX, TRANSACTION_BYTES_MAX, TRANSACTION_CHANGES_MAX, VALUE_BYTES_MAX};
use crate::{HybridTime, OperationId, TableId, Version, WallMillis};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What must hold of an item, pending writes included, for the transaction to apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// No item.
    Absent,
    /// Any item.
    Present,
    /// The item that this write put.
    VersionIs(Version),
    /// An item with exactly this value.
    ValueIs(Bytes),
}

/// One test of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The item's table.
    pub table: TableId,
    /// The item's sort key.
    pub sort_key: Bytes,
    /// What must hold.
    pub test: Test,
}

/// A piece of a key or value that is put together at the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TemplatePart {
    /// These bytes.
    Bytes(Bytes),
    /// The result of the `n`-th [`Update::Add`] of this transaction, as eight
    /// bytes, big-endian, offset so that negative numbers sort first.
    Counter(u16),
}

/// A key or value, fixed or with counters' results in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Template {
    /// These bytes.
    Fixed(Bytes),
    /// The parts, one after the other.
    Parts(Vec<TemplatePart>),
}

impl Template {
    /// Length of what it will become.
    pub fn len(&self) -> usize {
        match self {
            Template::Fixed(bytes) => bytes.len(),
            Template::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    TemplatePart::Bytes(bytes) => bytes.len(),
                    TemplatePart::Counter(_) => 8,
                })
                .sum(),
        }
    }

    /// True when it will become nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the parts together. `None` when a counter's index is out of range.
    pub fn resolve(&self, counters: &[i64]) -> Option<Bytes> {
        match self {
            Template::Fixed(bytes) => Some(bytes.clone()),
            Template::Parts(parts) => {
                let mut out = Vec::with_capacity(self.len());
                for part in parts {
                    match part {
                        TemplatePart::Bytes(bytes) => out.extend_from_slice(bytes),
                        TemplatePart::Counter(n) => out.extend_from_slice(&sortable(*counters.get(*n as usize)?)),
                    }
                }
                Some(out.into())
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for Template {
    fn from(bytes: T) -> Template {
        Template::Fixed(bytes.into())
    }
}

/// Eight bytes that sort as the number does.
pub fn sortable(number: i64) -> [u8; 8] {
    ((number as u64) ^ (1 << 63)).to_be_bytes()
}

/// The reverse of [`sortable`].
pub fn from_sortable(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// Puts an item.
    Put {
        /// Table.
        table: TableId,
        /// Sort key.
        sort_key: Template,
        /// Value.
        value: Template,
        /// Expiry, if any.
        expires: Option<WallMillis>,
    },
    /// Deletes an item; nothing happens when there is none.
    Delete {
        /// Table.
        table: TableId,
        /// Sort key.
        sort_key: Bytes,
    },
    /// Adds to a counter item (its value: [`sortable`]); an absent one is 0.
    /// Out of bounds refuses the whole transaction.
    Add {
        /// Table.
        table: TableId,
        /// Sort key.
        sort_key: Bytes,
        /// What to add.
        delta: i64,
        /// Least result allowed.
        min: i64,
        /// Greatest result allowed.
        max: i64,
    },
}

/// Conditions and changes under one partition key, over any strong tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Names this write for ever.
    pub operation: OperationId,
    /// All items are under it.
    pub partition_key: Bytes,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Applied in order, all or none.
    pub updates: Vec<Update>,
}

/// What a committed transaction returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionResult {
    /// Version of every item that it put.
    pub version: Version,
    /// Commit time.
    pub time: HybridTime,
    /// Results of its [`Update::Add`]s, in order.
    pub counters: Vec<i64>,
}

/// Why a transaction was surely not applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// A condition does not hold.
    #[error("condition {index} does not hold: the item is {}", match found { Some(v) => format!("at version {v}"), None => "absent".to_string() })]
    Condition {
        /// Index into [`Transaction::conditions`].
        index: u32,
        /// Version of the item there, if any.
        found: Option<Version>,
    },
    /// A counter would leave its bounds.
    #[error("counter {index} would become {would_be}, outside {min}..={max}")]
    Bounds {
        /// Index among the transaction's `Add`s.
        index: u32,
        /// The result refused.
        would_be: i64,
        /// Least allowed.
        min: i64,
        /// Greatest allowed.
        max: i64,
    },
    /// The item that a counter was asked of is not a counter.
    #[error("item of counter {index} does not hold a counter")]
    NotACounter {
        /// Index among the transaction's `Add`s.
        index: u32,
    },
    /// The operation id was used for something else.
    #[error("this operation id was used for another transaction: make a new one")]
    OperationReused,
    /// The operation id is older than the window, or from the future.
    #[error("this operation id is too old or from the future: check the clock, make a new one")]
    OperationExpired,
    /// `verify` has already promised that it will not be applied.
    #[error("this operation was verified as not applied and stays so: make a new one")]
    Fenced,
    /// A size or count is out of bounds, or a template refers to nothing.
    #[error("{0}")]
    Invalid(String),
}

impl Transaction {
    /// Checks every bound that needs no data.
    pub fn validate(&self) -> Result<(), Refusal> {
        let invalid = |text: String| Err(Refusal::Invalid(text));
        if self.partition_key.is_empty() {
            return invalid("the partition key is empty".into());
        }
        if self.partition_key.len() > KEY_BYTES_MAX {
            return invalid(format!(
                "the partition key has {} bytes; at most {KEY_BYTES_MAX} are allowed",
                self.partition_key.len()
            ));
        }
        if self.updates.len() > TRANSACTION_CHANGES_MAX || self.conditions.len() > TRANSACTION_CHANGES_MAX {
            return invalid(format!(
                "a transaction has at most {TRANSACTION_CHANGES_MAX} conditions and as many changes"
            ));
        }
        let mut total = 0usize;
        let mut counters = 0u16;
        let mut check = |key: usize, value: usize| {
            total += key + value;
            if key > KEY_BYTES_MAX {
                Err(Refusal::Invalid(format!("a sort key has {key} bytes; at most {KEY_BYTES_MAX} are allowed")))
            } else if value > VALUE_BYTES_MAX {
                Err(Refusal::Invalid(format!(
                    "a value has {value} bytes; at most {VALUE_BYTES_MAX} are kept in a table: upload larger ones as files"
                )))
            } else if total > TRANSACTION_BYTES_MAX {
                Err(Refusal::Invalid(format!(
                    "a transaction has at most {TRANSACTION_BYTES_MAX} bytes of keys and values"
                )))
            } else {
                Ok(())
            }
        };
        for condition in &self.conditions {
            let value = if let Test::ValueIs(value) = &condition.test { value.len() } else { 0 };
            check(condition.sort_key.len(), value)?;
        }
        for update in &self.updates {
            match update {
                Update::Put { sort_key, value, .. } => {
                    check(sort_key.len(), value.len())?;
                    let refers_forward = |template: &Template| match template {
                        Template::Fixed(_) => false,
                        Template::Parts(parts) => {
                            parts.iter().any(|part| matches!(part, TemplatePart::Counter(n) if *n >= counters))
                        }
                    };
                    if refers_forward(sort_key) || refers_forward(value) {
                        return Err(Refusal::Invalid(
                            "a template refers to a counter that does not come before it".into(),
                        ));
                    }
                }
                Update::Delete { sort_key, .. } => check(sort_key.len(), 0)?,
                Update::Add { sort_key, min, max, .. } => {
                    check(sort_key.len(), 8)?;
                    counters += 1;
                    if min > max {
                        return Err(Refusal::Invalid("a counter's least value is above its greatest".into()));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sortable_numbers_sort(a: i64, b: i64) {
            prop_assert_eq!(sortable(a).cmp(&sortable(b)), a.cmp(&b));
            prop_assert_eq!(from_sortable(sortable(a)), a);
        }
    }

    fn put(key: usize, value: usize) -> Transaction {
        Transaction {
            operation: OperationId { created: WallMillis(0), key_hash: crate::KeyHash(0), nonce: 0 },
            partition_key: Bytes::from_static(b"p"),
            conditions: vec![],
            updates: vec![Update::Put {
                table: TableId(1),
                sort_key: vec![0; key].into(),
                value: vec![0; value].into(),
                expires: None,
            }],
        }
    }

    #[test]
    fn bounds_are_checked() {
        assert_eq!(put(KEY_BYTES_MAX, VALUE_BYTES_MAX).validate(), Ok(()));
        assert!(put(KEY_BYTES_MAX + 1, 0).validate().is_err());
        assert!(put(0, VALUE_BYTES_MAX + 1).validate().is_err());
        let mut many = put(1, 1);
        many.updates = vec![many.updates[0].clone(); TRANSACTION_CHANGES_MAX + 1];
        assert!(many.validate().is_err());
        let mut heavy = put(1, VALUE_BYTES_MAX);
        heavy.updates = vec![heavy.updates[0].clone(); 5];
        assert!(heavy.validate().is_err());
        let mut nameless = put(1, 1);
        nameless.partition_key = Bytes::new();
        assert!(nameless.validate().is_err());
    }

    #[test]
    fn templates_may_only_look_back() {
        let mut forward = put(1, 1);
        forward.updates = vec![
            Update::Put {
                table: TableId(1),
                sort_key: Template::Parts(vec![TemplatePart::Counter(0)]),
                value: Bytes::new().into(),
                expires: None,
            },
            Update::Add { table: TableId(1), sort_key: Bytes::new(), delta: 1, min: 0, max: i64::MAX },
        ];
        assert!(forward.validate().is_err());
        forward.updates.reverse();
        assert_eq!(forward.validate(), Ok(()));
    }
}
