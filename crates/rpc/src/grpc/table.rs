//! Keys, queries, transactions and changes with tables by name, as programs
//! outside the cluster say them.

use super::{Malformed, v1, values};
use bytes::Bytes;
use std::ops::RangeInclusive;
use types::query::prefix_end;
use types::{
    Bound, Condition, Consistency, Item, ItemKey, KeyHash, OperationId, Query, Seq, TableId, Template, TemplatePart,
    Test, Transaction, Update, Version, WallMillis,
};

/// An item's full address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableKey {
    /// The table's name.
    pub table: String,
    /// Decides the partition.
    pub partition_key: Bytes,
    /// Orders items within the partition key; may be empty.
    pub sort_key: Bytes,
}

impl TableKey {
    /// A key from its parts.
    pub fn new(table: impl Into<String>, partition_key: impl Into<Bytes>, sort_key: impl Into<Bytes>) -> TableKey {
        TableKey { table: table.into(), partition_key: partition_key.into(), sort_key: sort_key.into() }
    }

    /// To the wire.
    pub fn to_wire(&self) -> v1::Key {
        v1::Key {
            table: self.table.clone(),
            partition_key: self.partition_key.clone(),
            sort_key: self.sort_key.clone(),
        }
    }

    /// From the wire.
    pub fn from_wire(key: v1::Key) -> TableKey {
        TableKey { table: key.table, partition_key: key.partition_key, sort_key: key.sort_key }
    }

    /// With the table's number.
    pub fn resolve(self, table: TableId) -> ItemKey {
        ItemKey { table, partition_key: self.partition_key, sort_key: self.sort_key }
    }
}

/// A range of items under one partition key of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableQuery {
    /// The table's name.
    pub table: String,
    /// The partition key.
    pub partition_key: Bytes,
    /// Lowest sort key.
    pub from: Bound,
    /// Highest sort key.
    pub to: Bound,
    /// From the highest down.
    pub reverse: bool,
    /// Items in a page at most; 0 is as many as allowed.
    pub limit: u32,
}

impl TableQuery {
    /// Everything under a partition key.
    pub fn all(table: impl Into<String>, partition_key: impl Into<Bytes>) -> TableQuery {
        TableQuery {
            table: table.into(),
            partition_key: partition_key.into(),
            from: Bound::Open,
            to: Bound::Open,
            reverse: false,
            limit: 0,
        }
    }

    /// Every sort key that begins with `prefix`.
    pub fn prefix(table: impl Into<String>, partition_key: impl Into<Bytes>, prefix: &[u8]) -> TableQuery {
        let to = prefix_end(prefix).map_or(Bound::Open, |end| Bound::Excluded(end.into()));
        TableQuery {
            from: Bound::Included(Bytes::copy_from_slice(prefix)),
            to,
            ..TableQuery::all(table, partition_key)
        }
    }

    /// The same query, going on after `sort_key` (a page's `next`).
    #[must_use]
    pub fn after(mut self, sort_key: Bytes) -> TableQuery {
        *(if self.reverse { &mut self.to } else { &mut self.from }) = Bound::Excluded(sort_key);
        self
    }

    /// To the wire.
    pub fn to_wire(&self, consistency: Consistency) -> v1::QueryRequest {
        v1::QueryRequest {
            table: self.table.clone(),
            partition_key: self.partition_key.clone(),
            from: bound(&self.from),
            to: bound(&self.to),
            reverse: self.reverse,
            limit: self.limit,
            consistency: values::consistency(consistency).into(),
        }
    }

    /// From the wire.
    pub fn from_wire(request: v1::QueryRequest) -> Result<(TableQuery, Consistency), Malformed> {
        let consistency = values::consistency_of(request.consistency)?;
        let query = TableQuery {
            table: request.table,
            partition_key: request.partition_key,
            from: bound_of(request.from),
            to: bound_of(request.to),
            reverse: request.reverse,
            limit: request.limit,
        };
        Ok((query, consistency))
    }

    /// With the table's number.
    pub fn resolve(self, table: TableId) -> Query {
        Query {
            table,
            partition_key: self.partition_key,
            from: self.from,
            to: self.to,
            reverse: self.reverse,
            limit: self.limit,
        }
    }
}

fn bound(bound: &Bound) -> Option<v1::Bound> {
    let end = match bound {
        Bound::Open => return None,
        Bound::Included(key) => v1::bound::End::Included(key.clone()),
        Bound::Excluded(key) => v1::bound::End::Excluded(key.clone()),
    };
    Some(v1::Bound { end: Some(end) })
}

fn bound_of(bound: Option<v1::Bound>) -> Bound {
    match bound.and_then(|bound| bound.end) {
        None => Bound::Open,
        Some(v1::bound::End::Included(key)) => Bound::Included(key),
        Some(v1::bound::End::Excluded(key)) => Bound::Excluded(key),
    }
}

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

/// What is watched: everything under one partition key of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchKey {
    /// The table's name.
    pub table: String,
    /// The partition key.
    pub partition_key: Bytes,
}

impl WatchKey {
    /// A key from its parts.
    pub fn new(table: impl Into<String>, partition_key: impl Into<Bytes>) -> WatchKey {
        WatchKey { table: table.into(), partition_key: partition_key.into() }
    }
}

/// A committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The write.
    pub version: Version,
    /// The item.
    pub key: TableKey,
    /// What it holds now; none when it was deleted.
    pub item: Option<Item>,
}

/// What a watcher hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The first thing: the watch began after this sequence, and may be resumed from it.
    Started(Seq),
    /// A change.
    Changed(TableChange),
}

impl WatchEvent {
    /// To the wire.
    pub fn to_wire(self) -> v1::WatchReply {
        use v1::watch_reply::Event;
        let event = match self {
            WatchEvent::Started(seq) => Event::Started(seq.0),
            WatchEvent::Changed(change) => Event::Change(v1::Change {
                version: Some(values::version(change.version)),
                key: Some(change.key.to_wire()),
                item: change.item.map(values::item),
            }),
        };
        v1::WatchReply { event: Some(event) }
    }

    /// From the wire; none for an event that this release does not know.
    pub fn from_wire(reply: v1::WatchReply) -> Result<Option<WatchEvent>, Malformed> {
        use v1::watch_reply::Event;
        match reply.event {
            None => Ok(None),
            Some(Event::Started(seq)) => Ok(Some(WatchEvent::Started(Seq(seq)))),
            Some(Event::Change(change)) => {
                let incomplete = || Malformed::new("a change has no version or no key");
                Ok(Some(WatchEvent::Changed(TableChange {
                    version: values::version_of(change.version.ok_or_else(incomplete)?),
                    key: TableKey::from_wire(change.key.ok_or_else(incomplete)?),
                    item: change.item.map(values::item_of).transpose()?,
                })))
            }
        }
    }
}

#[cfg(test)]
mod tests;
