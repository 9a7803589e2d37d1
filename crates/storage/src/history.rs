//! What the log's records mean for one partition: which entries stand, which
//! epoch was adopted, whether a copy is under way. Pure; both engines use it.

use crate::StorageError;
use std::collections::VecDeque;
use std::sync::Arc;
use types::{Epoch, LogEntry, Record, Seq};

/// The sequences that the log has of a partition: `first..next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: u64,
    pub next: u64,
}

impl Span {
    /// Nothing, and `next` is expected.
    pub fn empty(next: u64) -> Span {
        Span { first: next, next }
    }

    /// The span once `record` is in the log; an error when the record cannot follow.
    pub fn step(self, record: &Record) -> Result<Span, String> {
        match record {
            Record::Epoch { .. } => Ok(self),
            Record::Entry { entry, .. } if entry.version.seq.0 == self.next => Ok(Span { next: self.next + 1, ..self }),
            Record::Entry { entry, .. } => {
                Err(format!("entry {} does not follow: {} is next", entry.version, self.next))
            }
            // Below the beginning only where void entries were released, and the log now begins
            // among those that the record voids.
            Record::Truncate { after, .. } => {
                let next = self.next.min(after.0 + 1);
                Ok(Span { first: self.first.min(next), next })
            }
            Record::Reset { .. } => Ok(Span::empty(1)),
            Record::Installed { version, .. } => Ok(Span::empty(version.seq.0 + 1)),
            Record::Prepare { .. } | Record::Decide { .. } => {
                Err("transactions across partition keys are not in use yet".into())
            }
        }
    }
}

/// One partition's part of the log. `L` is what an engine keeps of an entry.
#[derive(Clone, Debug)]
pub(crate) struct History<L> {
    /// Unknown until the first record, when the log's beginning was released.
    span: Option<Span>,
    entries: VecDeque<L>,
    /// Last epoch in the log.
    pub epoch: Epoch,
    /// The log was cut since this partition last adopted an epoch.
    pub torn: bool,
    /// Whether the last record that says so began a copy; none: no record says.
    pub incomplete: Option<bool>,
}

impl<L> Default for History<L> {
    fn default() -> Self {
        History { span: None, entries: VecDeque::new(), epoch: Epoch::default(), torn: false, incomplete: None }
    }
}

impl<L> History<L> {
    /// Nothing in the log, `applied` in the tables.
    pub fn after(applied: Seq) -> History<L> {
        History { span: Some(Span::empty(applied.0 + 1)), ..History::default() }
    }

    /// What is in the log, if any record has said.
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// Says where an empty log goes on, if no record has.
    pub fn settle(&mut self, applied: Seq) {
        self.span.get_or_insert(Span::empty(applied.0 + 1));
    }

    /// First and last sequence; (n+1, n) when empty.
    pub fn range(&self) -> (Seq, Seq) {
        let span = self.span.unwrap_or(Span::empty(1));
        (Seq(span.first), Seq(span.next - 1))
    }

    /// Takes a record that follows what is here.
    pub fn observe(&mut self, record: &Record, keep: impl FnOnce(&Arc<LogEntry>) -> L) -> Result<(), String> {
        let before = match (self.span, record) {
            (Some(span), _) => span,
            // The log's beginning was released: it now begins with this.
            (None, Record::Entry { entry, .. }) => Span::empty(entry.version.seq.0),
            // Whatever was above is void, and there is nothing: what is applied will say.
            (None, Record::Epoch { .. } | Record::Truncate { .. }) => {
                self.adopt(record);
                return Ok(());
            }
            (None, _) => Span::empty(1),
        };
        let span = before.step(record)?;
        self.adopt(record);
        match record {
            Record::Entry { entry, .. } => self.entries.push_back(keep(entry)),
            _ => self.entries.truncate((span.next - span.first) as usize),
        }
        self.span = Some(span);
        Ok(())
    }

    fn adopt(&mut self, record: &Record) {
        match record {
            Record::Epoch { epoch, .. } => {
                self.epoch = self.epoch.max(*epoch);
                self.torn = false;
            }
            Record::Reset { .. } => {
                self.incomplete = Some(true);
                self.torn = false;
            }
            Record::Installed { .. } => {
                self.incomplete = Some(false);
                self.torn = false;
            }
            _ => {}
        }
    }

    /// The entry at `seq`.
    pub fn get(&self, seq: Seq) -> Option<&L> {
        let index = seq.0.checked_sub(self.span?.first)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Entries from `from` on; an error when the log begins later.
    pub fn from(&self, from: Seq) -> Result<impl Iterator<Item = &L>, StorageError> {
        let from = from.max(Seq(1));
        let (first, _) = self.range();
        let skip = from.0.checked_sub(first.0).ok_or(StorageError::Compacted { first })?;
        Ok(self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)))
    }

    /// Forgets entries from the front while `gone` says so.
    pub fn release(&mut self, mut gone: impl FnMut(&L) -> bool) {
        while self.entries.front().is_some_and(&mut gone) {
            self.entries.pop_front();
            if let Some(span) = &mut self.span {
                span.first += 1;
            }
        }
    }
}
