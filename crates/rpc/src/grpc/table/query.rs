//! Ranges of items.

use super::super::{Malformed, v1, values};
use bytes::Bytes;
use types::query::prefix_end;
use types::{Bound, Consistency, Query, TableId};

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
