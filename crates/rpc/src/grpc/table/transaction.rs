//! Transactions.

use super::super::{Malformed, v1, values};
use bytes::Bytes;
use std::ops::RangeInclusive;
use types::{Condition, KeyHash, OperationId, TableId, Template, TemplatePart, Test, Transaction, Update, WallMillis};

/// One test of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCondition {
    /// The table's name.
    pub table: String,
    /// The item's sort key.
    pub sort_key: Bytes,
    /// What must hold.
    pub test: Test,
}

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableUpdate {
    /// Puts an item.
    Put {
        /// The table's name.
        table: String,
        /// Sort key.
        sort_key: Template,
        /// Value.
        value: Template,
        /// Expiry, if any.
        expires: Option<WallMillis>,
    },
    /// Deletes an item; nothing happens when there is none.
    Delete {
        /// The table's name.
        table: String,
        /// Sort key.
        sort_key: Bytes,
    },
    /// Adds to a counter item; an absent one is 0. Out of bounds refuses the whole transaction.
    Add {
        /// The table's name.
        table: String,
        /// Sort key.
        sort_key: Bytes,
        /// What to add.
        delta: i64,
        /// Results allowed.
        bounds: RangeInclusive<i64>,
    },
}

/// Conditions and changes under one partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableTransaction {
    /// Names this write for ever.
    pub operation: OperationId,
    /// All items are under it.
    pub partition_key: Bytes,
    /// All must hold.
    pub conditions: Vec<TableCondition>,
    /// Applied in order, all or none.
    pub updates: Vec<TableUpdate>,
}

impl TableTransaction {
    /// One that does nothing yet.
    pub fn new(operation: OperationId, partition_key: impl Into<Bytes>) -> TableTransaction {
        TableTransaction { operation, partition_key: partition_key.into(), conditions: vec![], updates: vec![] }
    }

    /// Adds a condition.
    #[must_use]
    pub fn check(mut self, table: impl Into<String>, sort_key: impl Into<Bytes>, test: Test) -> Self {
        self.conditions.push(TableCondition { table: table.into(), sort_key: sort_key.into(), test });
        self
    }

    /// Puts an item.
    #[must_use]
    pub fn put(self, table: impl Into<String>, sort_key: impl Into<Template>, value: impl Into<Template>) -> Self {
        self.update(TableUpdate::Put {
            table: table.into(),
            sort_key: sort_key.into(),
            value: value.into(),
            expires: None,
        })
    }

    /// Puts an item that the store may delete from then on.
    #[must_use]
    pub fn put_expiring(
        self,
        table: impl Into<String>,
        sort_key: impl Into<Template>,
        value: impl Into<Template>,
        expires: WallMillis,
    ) -> Self {
        self.update(TableUpdate::Put {
            table: table.into(),
            sort_key: sort_key.into(),
            value: value.into(),
            expires: Some(expires),
        })
    }

    /// Deletes an item.
    #[must_use]
    pub fn delete(self, table: impl Into<String>, sort_key: impl Into<Bytes>) -> Self {
        self.update(TableUpdate::Delete { table: table.into(), sort_key: sort_key.into() })
    }

    /// Adds to a counter.
    #[must_use]
    pub fn add(
        self,
        table: impl Into<String>,
        sort_key: impl Into<Bytes>,
        delta: i64,
        bounds: RangeInclusive<i64>,
    ) -> Self {
        self.update(TableUpdate::Add { table: table.into(), sort_key: sort_key.into(), delta, bounds })
    }

    fn update(mut self, update: TableUpdate) -> Self {
        self.updates.push(update);
        self
    }

    /// With the tables' numbers, as `table` gives them.
    pub fn resolve<E>(self, mut table: impl FnMut(&str) -> Result<TableId, E>) -> Result<Transaction, E> {
        let conditions = self.conditions.into_iter().map(|condition| {
            Ok(Condition { table: table(&condition.table)?, sort_key: condition.sort_key, test: condition.test })
        });
        let conditions = conditions.collect::<Result<_, E>>()?;
        let updates = self.updates.into_iter().map(|update| {
            Ok(match update {
                TableUpdate::Put { table: name, sort_key, value, expires } => {
                    Update::Put { table: table(&name)?, sort_key, value, expires }
                }
                TableUpdate::Delete { table: name, sort_key } => Update::Delete { table: table(&name)?, sort_key },
                TableUpdate::Add { table: name, sort_key, delta, bounds } => {
                    Update::Add { table: table(&name)?, sort_key, delta, min: *bounds.start(), max: *bounds.end() }
                }
            })
        });
        let updates = updates.collect::<Result<_, E>>()?;
        Ok(Transaction { operation: self.operation, partition_key: self.partition_key, conditions, updates })
    }

    /// To the wire.
    pub fn to_wire(&self, asynchronous: bool) -> v1::TransactRequest {
        v1::TransactRequest {
            operation_id: values::operation(self.operation),
            partition_key: self.partition_key.clone(),
            conditions: self.conditions.iter().map(condition).collect(),
            updates: self.updates.iter().map(update).collect(),
            asynchronous,
        }
    }

    /// From the wire. `fresh` makes the operation id of a request that has none.
    pub fn from_wire(
        request: v1::TransactRequest,
        fresh: impl FnOnce(&[u8]) -> OperationId,
    ) -> Result<TableTransaction, Malformed> {
        let operation = values::operation_of(&request.operation_id)?.unwrap_or_else(|| fresh(&request.partition_key));
        if operation.key_hash != KeyHash::of(&request.partition_key) {
            return Err(Malformed::new("the operation id was made for another partition key"));
        }
        Ok(TableTransaction {
            operation,
            partition_key: request.partition_key,
            conditions: request.conditions.into_iter().map(condition_of).collect::<Result<_, _>>()?,
            updates: request.updates.into_iter().map(update_of).collect::<Result<_, _>>()?,
        })
    }
}

fn condition(condition: &TableCondition) -> v1::Condition {
    use v1::condition::Test as Wire;
    let test = match &condition.test {
        Test::Absent => Wire::Absent(v1::Empty {}),
        Test::Present => Wire::Present(v1::Empty {}),
        Test::VersionIs(version) => Wire::Version(values::version(*version)),
        Test::ValueIs(value) => Wire::Value(value.clone()),
    };
    v1::Condition { table: condition.table.clone(), sort_key: condition.sort_key.clone(), test: Some(test) }
}

fn condition_of(condition: v1::Condition) -> Result<TableCondition, Malformed> {
    use v1::condition::Test as Wire;
    let test = match condition.test {
        Some(Wire::Absent(_)) => Test::Absent,
        Some(Wire::Present(_)) => Test::Present,
        Some(Wire::Version(version)) => Test::VersionIs(values::version_of(version)),
        Some(Wire::Value(value)) => Test::ValueIs(value),
        None => return Err(Malformed::new("a condition has no test that this release knows")),
    };
    Ok(TableCondition { table: condition.table, sort_key: condition.sort_key, test })
}

fn template(template: &Template) -> v1::Template {
    use v1::{template::Form, template_part::Part};
    let form = match template {
        Template::Fixed(bytes) => Form::Fixed(bytes.clone()),
        Template::Parts(parts) => {
            let parts = parts.iter().map(|part| v1::TemplatePart {
                part: Some(match part {
                    TemplatePart::Bytes(bytes) => Part::Fixed(bytes.clone()),
                    TemplatePart::Counter(index) => Part::Counter(u32::from(*index)),
                }),
            });
            Form::Parts(v1::TemplateParts { parts: parts.collect() })
        }
    };
    v1::Template { form: Some(form) }
}

fn template_of(template: Option<v1::Template>) -> Result<Template, Malformed> {
    use v1::{template::Form, template_part::Part};
    let Some(template) = template else { return Ok(Template::Fixed(Bytes::new())) };
    match template.form {
        Some(Form::Fixed(bytes)) => Ok(Template::Fixed(bytes)),
        Some(Form::Parts(parts)) => {
            let parts = parts.parts.into_iter().map(|part| match part.part {
                Some(Part::Fixed(bytes)) => Ok(TemplatePart::Bytes(bytes)),
                Some(Part::Counter(index)) => u16::try_from(index)
                    .map(TemplatePart::Counter)
                    .map_err(|_| Malformed(format!("a template refers to counter {index}: there are not so many"))),
                None => Err(Malformed::new("a template has a part that this release does not know")),
            });
            parts.collect::<Result<_, _>>().map(Template::Parts)
        }
        None => Err(Malformed::new("a template has a form that this release does not know")),
    }
}

fn update(update: &TableUpdate) -> v1::Update {
    use v1::update::Change;
    let change = match update {
        TableUpdate::Put { table, sort_key, value, expires } => Change::Put(v1::Put {
            table: table.clone(),
            sort_key: Some(template(sort_key)),
            value: Some(template(value)),
            expires_ms: expires.map(|at| at.0),
        }),
        TableUpdate::Delete { table, sort_key } => {
            Change::Delete(v1::Delete { table: table.clone(), sort_key: sort_key.clone() })
        }
        TableUpdate::Add { table, sort_key, delta, bounds } => Change::Add(v1::Add {
            table: table.clone(),
            sort_key: sort_key.clone(),
            delta: *delta,
            min: Some(*bounds.start()),
            max: Some(*bounds.end()),
        }),
    };
    v1::Update { change: Some(change) }
}

fn update_of(update: v1::Update) -> Result<TableUpdate, Malformed> {
    use v1::update::Change;
    match update.change {
        Some(Change::Put(put)) => Ok(TableUpdate::Put {
            table: put.table,
            sort_key: template_of(put.sort_key)?,
            value: template_of(put.value)?,
            expires: put.expires_ms.map(WallMillis),
        }),
        Some(Change::Delete(delete)) => Ok(TableUpdate::Delete { table: delete.table, sort_key: delete.sort_key }),
        Some(Change::Add(add)) => Ok(TableUpdate::Add {
            table: add.table,
            sort_key: add.sort_key,
            delta: add.delta,
            bounds: add.min.unwrap_or(i64::MIN)..=add.max.unwrap_or(i64::MAX),
        }),
        None => Err(Malformed::new("an update has no change that this release knows")),
    }
}
