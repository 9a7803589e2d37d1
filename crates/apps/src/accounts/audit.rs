//! The log: who did what to whom, when and from where. Lines are only ever added, in the same transaction as
//! what they tell of, and expire together after as many days as the policy says. Secrets are never in it.
//!
//! What a stranger can do without end writes no line each time: tries that fail are counted elsewhere, and only
//! the one that reaches the limit is told of here.

use super::act::Act;
use super::rows::{AuditRow, decode};
use super::{AccountError, Accounts, By, Device, User};
use crate::page::{Page, cursor_after, place_of};
use crate::{UserId, hex};
use types::{Condition, Consistency, Query, WallMillis};

/// Lines in one page.
pub const AUDIT_PAGE_MAX: u32 = 200;
/// Lines looked at for one page, when only some are wanted.
const LOOKED_AT_MAX: u32 = 2000;
/// Characters of what someone else chose, in a line.
const TEXT_MAX: usize = 200;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// When.
    pub at: WallMillis,
    /// What, in one word.
    pub action: String,
    /// Who; none: somebody who had not signed in.
    pub actor: Option<UserId>,
    /// Their name then.
    pub actor_name: String,
    /// To whom.
    pub subject: Option<UserId>,
    /// Their name then.
    pub subject_name: String,
    /// From where.
    pub address: String,
    /// With what.
    pub device: String,
    /// What else is to be said.
    pub detail: String,
}

impl AuditRow {
    pub(super) fn about(mut self, id: UserId, name: &str) -> AuditRow {
        self.subject = id.bytes();
        self.subject_name = name.to_string();
        self
    }

    pub(super) fn detail(mut self, text: impl Into<String>) -> AuditRow {
        self.detail = plain(&text.into());
        self
    }
}

/// Short, and harmless on a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !super::names::deceives(*c)).take(TEXT_MAX).collect()
}

impl Accounts {
    /// A line to be written.
    pub(super) fn line(&self, action: &str, by: &By) -> AuditRow {
        let line = self.line_from(action, &by.device);
        AuditRow { actor: by.user.id.bytes(), actor_name: by.user.name.clone(), ..line }
    }

    /// The same, of somebody who has not signed in.
    pub(super) fn line_from(&self, action: &str, device: &Device) -> AuditRow {
        AuditRow {
            at: self.inner.store.now().0,
            action: action.to_string(),
            address: super::sessions::text_of(device.address),
            device: plain(&device.label),
            ..AuditRow::default()
        }
    }

    /// The act with its line.
    pub(super) async fn noted(&self, act: Act, line: AuditRow) -> Result<Act, AccountError> {
        let days = self.audit_days().await?;
        Ok(act.noted(&self.inner.tables, &line, days))
    }

    /// A line by itself, of what is done elsewhere than under the key of all users.
    pub(super) async fn note(&self, line: AuditRow) -> Result<(), AccountError> {
        self.carried_out(self.noted(Act::default(), line).await?).await.map(drop)
    }

    /// The same, only if that holds: what is judged when the line is written.
    pub(super) async fn note_when(&self, line: AuditRow, allowed: Option<Condition>) -> Result<(), AccountError> {
        let act = allowed.into_iter().fold(Act::default(), Act::when);
        match self.carried_out(self.noted(act, line).await?).await? {
            true => Ok(()),
            false => Err(AccountError::Conflict),
        }
    }

    /// The line of tries that failed: the last of a window has one, so that strangers cannot fill the log.
    pub(super) async fn note_blocked(&self, last: bool, line: AuditRow) -> Result<(), AccountError> {
        if last { self.note(line).await } else { Ok(()) }
    }

    /// The whole log, or what concerns one user, the latest first. Only an administrator may.
    pub async fn audit(
        &self,
        by: &User,
        about: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<AuditLine>, AccountError> {
        self.require_administrator(by, "read the log").await?;
        match about {
            None => self.read_audit(cursor, limit, |_| true).await,
            Some(name) => {
                // By name, so that those who have gone are found too.
                let name = super::names::valid_name(name)?;
                self.read_audit(cursor, limit, |row| row.actor_name == name || row.subject_name == name).await
            }
        }
    }

    /// What one has done, and what was done to one, the latest first.
    pub async fn activity(
        &self,
        user: &User,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<AuditLine>, AccountError> {
        let id = user.id.bytes();
        self.read_audit(cursor, limit, |row| row.actor == id || row.subject == id).await
    }

    async fn read_audit(
        &self,
        cursor: Option<&str>,
        limit: u32,
        wanted: impl Fn(&AuditRow) -> bool,
    ) -> Result<Page<AuditLine>, AccountError> {
        let limit = if limit == 0 { AUDIT_PAGE_MAX } else { limit.min(AUDIT_PAGE_MAX) } as usize;
        let mut after = match cursor {
            Some(cursor) => Some(place_of(cursor, 8).ok_or(AccountError::BadCursor)?),
            None => None,
        };
        let (mut lines, mut looked_at) = (Vec::new(), 0);
        loop {
            let mut query = Query::all(self.inner.tables.audit, super::EVERYONE);
            query.reverse = true;
            query.limit = AUDIT_PAGE_MAX;
            if let Some(after) = after.take() {
                query = query.after(after.into());
            }
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                let row: AuditRow = decode("a line of the log", &at.item.value)?;
                if wanted(&row) {
                    lines.push(line_of(row));
                }
                if lines.len() == limit {
                    return Ok(Page { items: lines, next: Some(cursor_after(&at.sort_key)) });
                }
            }
            looked_at += AUDIT_PAGE_MAX;
            match page.next {
                Some(next) if looked_at < LOOKED_AT_MAX => after = Some(next.to_vec()),
                next => return Ok(Page { items: lines, next: next.map(|key| hex::encode(&key)) }),
            }
        }
    }
}

fn line_of(row: AuditRow) -> AuditLine {
    AuditLine {
        at: WallMillis(row.at),
        action: row.action,
        actor: UserId::from_slice(&row.actor),
        actor_name: row.actor_name,
        subject: UserId::from_slice(&row.subject),
        subject_name: row.subject_name,
        address: row.address,
        device: row.device,
        detail: row.detail,
    }
}
