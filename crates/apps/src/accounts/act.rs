//! A transaction under the key of all users, put together piece by piece, with its line in the log.

use super::rows::AuditRow;
use super::{AccountError, Accounts, Tables};
use bytes::Bytes;
use client::ClientError;
use prost::Message;
use types::{Condition, Refusal, TableId, Template, TemplatePart, Test, Update, Version, WallMillis};

/// Sort key of the number of the log's last line.
const LINES: Bytes = Bytes::from_static(b"audit");

/// What is to hold, and what is to be done then.
#[derive(Default)]
pub(super) struct Act {
    conditions: Vec<Condition>,
    updates: Vec<Update>,
    /// What each counter's bounds mean, in the order of the updates that count.
    bounds: Vec<Option<AccountError>>,
}

/// Why an act was not done.
pub(super) enum Undone {
    /// The condition with that number, in the order in which they were named, did not hold.
    Condition(u32),
    /// A bound that says so.
    Bound(AccountError),
}

impl Act {
    pub(super) fn when(mut self, condition: Condition) -> Act {
        self.conditions.push(condition);
        self
    }

    pub(super) fn when_is(self, table: TableId, sort_key: Bytes, version: Version) -> Act {
        self.when(Condition { table, sort_key, test: Test::VersionIs(version) })
    }

    pub(super) fn put(mut self, table: TableId, sort_key: Bytes, row: &impl Message) -> Act {
        self.updates.push(put(table, sort_key, row, None));
        self
    }

    pub(super) fn update(mut self, update: Update) -> Act {
        self.updates.push(update);
        self
    }

    pub(super) fn delete(mut self, table: TableId, sort_key: Bytes) -> Act {
        self.updates.push(Update::Delete { table, sort_key });
        self
    }

    /// Counts; out of bounds is that error, or nothing that can happen.
    pub(super) fn count(
        mut self,
        table: TableId,
        sort_key: Bytes,
        delta: i64,
        (min, max): (i64, i64),
        out: Option<AccountError>,
    ) -> Act {
        self.updates.push(Update::Add { table, sort_key, delta, min, max });
        self.bounds.push(out);
        self
    }

    /// Its line in the log: written if and only if the act is done.
    pub(super) fn noted(self, tables: &Tables, row: &AuditRow, keep_days: u32) -> Act {
        let number = self.bounds.len() as u16;
        let mut act = self.count(tables.counts, LINES, 1, (1, i64::MAX), None);
        let expires = row.at.saturating_add(u64::from(keep_days) * 24 * 3600 * 1000);
        act.updates.push(Update::Put {
            table: tables.audit,
            sort_key: Template::Parts(vec![TemplatePart::Counter(number)]),
            value: row.encode_to_vec().into(),
            expires: Some(WallMillis(expires)),
        });
        act
    }
}

impl Accounts {
    /// Does it, or says why it was surely not done.
    pub(super) async fn carry_out(&self, act: Act) -> Result<Result<(), Undone>, AccountError> {
        match self.transact(super::EVERYONE, act.conditions, act.updates).await {
            Ok(Ok(_)) => Ok(Ok(())),
            Ok(Err(index)) => Ok(Err(Undone::Condition(index))),
            Err(AccountError::Client(ClientError::Refused(Refusal::Bounds { index, would_be, min, max }))) => {
                match act.bounds.into_iter().nth(index as usize).flatten() {
                    Some(error) => Ok(Err(Undone::Bound(error))),
                    None => Err(ClientError::Refused(Refusal::Bounds { index, would_be, min, max }).into()),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The same for an act that is tried again when others were quicker: false then.
    pub(super) async fn carried_out(&self, act: Act) -> Result<bool, AccountError> {
        match self.carry_out(act).await? {
            Ok(()) => Ok(true),
            Err(Undone::Condition(_)) => Ok(false),
            Err(Undone::Bound(error)) => Err(error),
        }
    }
}

/// A row put.
pub(super) fn put(table: TableId, sort_key: Bytes, row: &impl Message, expires: Option<WallMillis>) -> Update {
    Update::Put { table, sort_key: sort_key.into(), value: row.encode_to_vec().into(), expires }
}
