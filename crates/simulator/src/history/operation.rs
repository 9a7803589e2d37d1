//! One client operation, as its client saw it.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A small opaque value. In JSON it is a string, or `{"hex": "…"}` where its bytes are not UTF-8; a whole
/// number is read as its decimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub Bytes);

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value(number.to_string().into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenValue {
    Text(String),
    Number(u64),
    Hex { hex: String },
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => WrittenValue::Hex { hex: self.0.iter().map(|byte| format!("{byte:02x}")).collect() }
                .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        match WrittenValue::deserialize(deserializer)? {
            WrittenValue::Text(text) => Ok(Value(text.into())),
            WrittenValue::Number(number) => Ok(number.into()),
            WrittenValue::Hex { hex } => {
                let pairs = hex.as_bytes().chunks(2).map(|pair| match pair {
                    [a, b] => Some((char::from(*a).to_digit(16)? * 16 + char::from(*b).to_digit(16)?) as u8),
                    _ => None,
                });
                let bytes: Option<Vec<u8>> = pairs.collect();
                bytes.map(|bytes| Value(bytes.into())).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
            }
        }
    }
}

/// What a client asked of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Call {
    /// Read it.
    Get,
    /// Write it, whatever it held.
    Put {
        /// What it shall hold.
        value: Value,
    },
    /// Make it absent, whatever it held.
    Delete,
    /// Write it if it holds what is expected.
    #[serde(rename = "cas")]
    CompareAndSet {
        /// What it must hold; none is absent.
        expected: Option<Value>,
        /// What it shall hold.
        new: Value,
    },
    /// Read several items of the key at one moment.
    GetMany {
        /// Which.
        items: Vec<String>,
    },
    /// Test some items of the key, and if all tests hold write some, at one moment.
    Transact {
        /// By item: what it must hold; none is absent.
        #[serde(default)]
        tests: BTreeMap<String, Option<Value>>,
        /// By item: what it shall hold; none is absent.
        writes: BTreeMap<String, Option<Value>>,
    },
}

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Reply {
    /// To a put, a delete, or a transaction whose tests held.
    Done,
    /// To a get.
    Read {
        /// What the key held; none is absent.
        found: Option<Value>,
    },
    /// To a compare-and-set that found what it expected.
    Swapped,
    /// To a compare-and-set that did not.
    Mismatch {
        /// What it found instead, if the answer said so.
        #[serde(default, deserialize_with = "told", skip_serializing_if = "Option::is_none")]
        observed: Option<Option<Value>>,
    },
    /// To a reading of several items.
    ReadMany {
        /// By item; none is absent.
        values: BTreeMap<String, Option<Value>>,
    },
    /// To a transaction.
    TestFailed {
        /// The item whose test did not hold; if none is named, at least one did not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<String>,
    },
}

/// A field that is there: `null` means absent, where a missing field means not told.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Value>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What became of an operation, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome")]
pub enum Outcome {
    /// Answered.
    #[serde(rename = "ok")]
    Ok(Reply),
    /// Surely not applied, now or later.
    #[serde(rename = "fail")]
    Refused,
    /// May have been applied, may be applied yet, may never be.
    #[serde(rename = "unknown")]
    Unknown,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who asked.
    pub client: u64,
    /// Of which key.
    pub key: String,
    /// What.
    #[serde(flatten)]
    pub call: Call,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// When it was asked, in nanoseconds on a clock that all clients of the history share.
    #[serde(rename = "invoke")]
    pub invoked: u64,
    /// When it was answered. Means nothing when the outcome is unknown.
    #[serde(rename = "return", default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<u64>,
}

impl Operation {
    /// Does the record make sense by itself?
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        match (&self.call, &self.outcome) {
            (_, Outcome::Refused | Outcome::Unknown) => return Ok(()),
            (Call::Get, Outcome::Ok(Reply::Read { .. }))
            | (Call::Put { .. } | Call::Delete, Outcome::Ok(Reply::Done))
            | (Call::CompareAndSet { .. }, Outcome::Ok(Reply::Swapped | Reply::Mismatch { .. }))
            | (Call::Transact { .. }, Outcome::Ok(Reply::Done | Reply::TestFailed { item: None })) => {}
            (Call::Transact { tests, .. }, Outcome::Ok(Reply::TestFailed { item: Some(item) }))
                if tests.contains_key(item) => {}
            (Call::GetMany { items }, Outcome::Ok(Reply::ReadMany { values }))
                if items.len() == values.len() && items.iter().all(|item| values.contains_key(item)) => {}
            _ => return Err("the answer is not one to what was asked"),
        }
        match self.returned {
            None => Err("it was answered, but not at any time"),
            Some(returned) if returned < self.invoked => Err("it was answered before it was asked"),
            Some(_) => Ok(()),
        }
    }
}

impl Call {
    /// The items that it is about. Calls of one item only are about the one without a name.
    pub(super) fn items(&self) -> Vec<&str> {
        match self {
            Call::GetMany { items } => items.iter().map(String::as_str).collect(),
            Call::Transact { tests, writes } => tests.keys().chain(writes.keys()).map(String::as_str).collect(),
            Call::Get | Call::Put { .. } | Call::Delete | Call::CompareAndSet { .. } => vec![""],
        }
    }

    /// What it leaves behind, by item, if it is applied.
    pub(super) fn writes(&self) -> Vec<(&str, Option<Value>)> {
        match self {
            Call::Get | Call::GetMany { .. } => vec![],
            Call::Delete => vec![("", None)],
            Call::Put { value } | Call::CompareAndSet { new: value, .. } => vec![("", Some(value.clone()))],
            Call::Transact { writes, .. } => {
                writes.iter().map(|(item, value)| (item.as_str(), value.clone())).collect()
            }
        }
    }

    /// What it must find, by item, to be applied.
    pub(super) fn tests(&self) -> Vec<(&str, Option<Value>)> {
        match self {
            Call::CompareAndSet { expected, .. } => vec![("", expected.clone())],
            Call::Transact { tests, .. } => tests.iter().map(|(item, value)| (item.as_str(), value.clone())).collect(),
            Call::Get | Call::GetMany { .. } | Call::Put { .. } | Call::Delete => vec![],
        }
    }
}

/// An operation under way in a [`History`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(usize);

/// A history being recorded. What is never settled stays unknown, which is what a client that died knows.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
}

impl History {
    /// A client asks. To be called before the request can have any effect.
    pub fn invoke(&mut self, client: u64, key: impl Into<String>, call: Call, now: u64) -> Ticket {
        let outcome = Outcome::Unknown;
        self.operations.push(Operation { client, key: key.into(), call, outcome, invoked: now, returned: None });
        Ticket(self.operations.len() - 1)
    }

    /// The client knows what became of it.
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: u64) {
        let operation = &mut self.operations[ticket.0];
        operation.returned = (outcome != Outcome::Unknown).then_some(now);
        operation.outcome = outcome;
    }

    /// Everything so far, by invocation.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}
