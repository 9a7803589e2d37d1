//! The postman: takes orders up, makes the links, has mails sent, and notes what became of them.

use super::super::act::Act;
use super::super::rows::{AuditRow, LinkKind, LinkRow, decode};
use super::super::sessions::after;
use super::super::{AccountError, Accounts, By, EVERYONE, Token};
use super::rows::{OrderKind, OrderRow};
use super::{CONFIRM_LIFETIME, HOUR, MAILED_RESET_LIFETIME, RESETS_MAX, Relay, valid_address};
use crate::UserId;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use types::{Condition, Consistency, Query, Test, Version, WallMillis};

/// Mails that a node gives to the relay at a time.
const AT_ONCE: usize = 4;
/// How long an order that was taken up is left to whoever did: longer than any try to send takes.
const TAKEN_FOR: Duration = Duration::from_secs(90);
/// How long is waited after the first try that failed; then twice as long each time.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long an order is tried.
const TRIED_FOR: Duration = Duration::from_secs(15 * 60);
/// Links for one account's password that hold at a time: more than are made in an hour, for each try makes one.
const RESET_LINKS_MAX: usize = 32;
/// Orders read at a time.
const PAGE: u32 = 100;
/// Test messages that one administrator sends in ten minutes.
const TESTS: &str = "test mail";

/// What administrators are told then.
const UNREADABLE: &str = "the password for the relay cannot be read here; set the relay up anew";

/// A mail to be written and sent.
#[derive(Clone, Debug)]
pub struct Letter {
    /// An address of mail.
    pub to: String,
    /// The name by which whom it is about signs in.
    pub name: String,
    /// A code (RFC 5646).
    pub language: String,
    /// What it says.
    pub message: Message,
}

/// What a mail says.
#[derive(Clone, Debug)]
pub enum Message {
    /// Here is a link for a new password.
    Reset(Token),
    /// Here is a link that confirms this address.
    Confirm(Token),
    /// This address is not used any more.
    Changed,
    /// The relay works.
    Test,
}

/// Why a mail was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// For administrators: what the relay said.
    pub why: String,
    /// It would be the same the next time.
    pub for_good: bool,
}

/// Who writes and sends. Within a minute, whatever the relay does.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Gives the mail to the relay. Done: the relay has taken it over.
    async fn send(&self, relay: &Relay, letter: &Letter) -> Result<(), Undelivered>;
}

/// An order that was taken up.
struct Taken {
    key: Bytes,
    order: OrderRow,
    letter: Letter,
}

impl Accounts {
    /// Says who sends mails. Once, at the start; until then orders wait.
    pub fn send_by(&self, mailer: Arc<dyn Mailer>) {
        if self.inner.mailer.set(mailer).is_err() {
            tracing::warn!("who sends mails was said twice; the first holds");
        }
    }

    /// Sends a test message at once, and says what the relay says. Only an administrator may.
    pub async fn test_relay(&self, by: impl Into<By>, to: &str, language: &str) -> Result<(), AccountError> {
        let by = by.into();
        self.require_administrator(&by.user, "change the settings").await?;
        let to = valid_address(to)?;
        self.count_own_try(TESTS, &by.user.id.0).await?;
        let relay = self.whole_relay().await?.ok_or(AccountError::NoRelay)?;
        let mailer = self.inner.mailer.get().ok_or(AccountError::NoRelay)?;
        let (name, language) = (by.user.name.clone(), language.to_string());
        let sent = mailer.send(&relay, &Letter { to, name, language, message: Message::Test }).await;
        let why = sent.err().map(|error| error.why);
        self.carried_out(Act::default().update(self.heard(why.as_deref()))).await?;
        why.map_or(Ok(()), |why| Err(AccountError::MailNotSent { why }))
    }

    /// Carries orders on for as long as the task lives: at once when one is made here, and every so often.
    pub fn spawn_postman(&self, every: Duration) -> JoinHandle<()> {
        let accounts = self.clone();
        tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(every, accounts.inner.orders.notified()).await;
                if let Err(error) = accounts.carry_orders().await {
                    tracing::debug!(%error, "mails that wait were not looked for");
                }
            }
        })
    }

    /// Carries on what is due. Says how many orders were looked at.
    pub async fn carry_orders(&self) -> Result<usize, AccountError> {
        let mut looked_at = 0;
        // What one order became is due at once; each ends, or is put off, so that this does, too.
        while let found @ 1.. = self.carry_due().await? {
            looked_at += found;
        }
        Ok(looked_at)
    }

    async fn carry_due(&self) -> Result<usize, AccountError> {
        let Some(mailer) = self.inner.mailer.get() else { return Ok(0) };
        let mut query = Query::all(self.inner.tables.orders, EVERYONE);
        query.limit = PAGE;
        let mut due = Vec::new();
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let now = self.inner.store.now().0;
            for at in page.items {
                let Ok(order) = decode::<OrderRow>("an order", &at.item.value) else {
                    tracing::warn!("an order of mail cannot be read; the others go on");
                    continue;
                };
                if order.due <= now && order.kind() != OrderKind::Unknown {
                    due.push((at.sort_key, at.item.version, order));
                }
            }
            match page.next {
                Some(next) if due.len() < PAGE as usize => query = query.after(next),
                _ => break,
            }
        }
        if due.is_empty() {
            return Ok(0);
        }
        // What needs no relay does not wait for one.
        due.sort_by_key(|(.., order)| order.kind() != OrderKind::Forgotten);
        let relay = match self.whole_relay().await {
            Err(AccountError::Damaged(why)) => {
                tracing::error!(why, "the password of the mail relay cannot be read: set the relay up anew");
                self.carried_out(Act::default().update(self.heard(Some(UNREADABLE)))).await?;
                None
            }
            relay => relay?,
        };
        let results: Vec<Result<(), AccountError>> = futures::stream::iter(due)
            .map(|(key, version, order)| self.carry(&**mailer, relay.as_ref(), key, version, order))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let count = results.len();
        results.into_iter().collect::<Result<(), _>>().map(|()| count)
    }

    async fn carry(
        &self,
        mailer: &dyn Mailer,
        relay: Option<&Relay>,
        key: Bytes,
        version: Version,
        order: OrderRow,
    ) -> Result<(), AccountError> {
        let over = after(WallMillis(order.made), TRIED_FOR) <= self.inner.store.now();
        let (Some(relay), false) = (relay, over) else { return self.drop_order(&key).await };
        if order.kind() == OrderKind::Forgotten {
            return self.resolve(key, version, order).await;
        }
        let Some(taken) = self.take_up(key.clone(), version, order).await? else { return Ok(()) };
        match mailer.send(relay, &taken.letter).await {
            Ok(()) => {
                tracing::info!(user = taken.letter.name, "a mail was given to the relay");
                self.carried_out(self.unordered(Act::default(), &key).update(self.heard(None))).await.map(drop)
            }
            Err(failure) => self.put_off(taken, failure).await,
        }
    }

    async fn drop_order(&self, key: &Bytes) -> Result<(), AccountError> {
        self.carried_out(self.unordered(Act::default(), key)).await.map(drop)
    }

    /// What was typed becomes an order for each account that it names and that can be reached, or nothing.
    async fn resolve(&self, key: Bytes, version: Version, order: OrderRow) -> Result<(), AccountError> {
        let ids = match super::super::names::valid_name(&order.who) {
            Ok(name) => self.find_row(&name).await?.map(|(id, ..)| id).into_iter().collect(),
            Err(_) => self.users_at(&order.who).await?,
        };
        let act = Act::default().when_is(self.inner.tables.orders, key.clone(), version);
        let mut act = self.unordered(act, &key);
        for id in ids {
            let reset =
                OrderRow { kind: OrderKind::Reset as i32, who: String::new(), user: id.bytes(), ..order.clone() };
            act = self.also_ordered(act, &reset);
        }
        self.carried_out(act).await.map(drop)
    }

    /// One transaction that keeps other nodes off, and makes the link that the mail brings. None: there is nothing to send, or
    /// somebody else sends it.
    async fn take_up(&self, key: Bytes, version: Version, order: OrderRow) -> Result<Option<Taken>, AccountError> {
        let gone = async || self.drop_order(&key).await.map(|()| None);
        let Some(id) = UserId::from_slice(&order.user) else { return gone().await };
        let Some((user_version, user)) = self.read_user(id).await? else { return gone().await };
        let now = self.inner.store.now();
        let first = order.tries == 0;
        let taken = OrderRow { tries: order.tries + 1, due: after(now, TAKEN_FOR).0, ..order };
        let act = Act::default().when_is(self.inner.tables.orders, key.clone(), version);
        let act = act.when(self.user_is(id, user_version)).put(self.inner.tables.orders, key.clone(), &taken);
        let found = self.read_recovery(id).await?;
        let (act, to, message) = match (taken.kind(), found) {
            (OrderKind::Changed, _) => (act, taken.to.clone(), Message::Changed),
            (OrderKind::Reset, Some((at, mut row))) if !user.disabled && !row.address.is_empty() => {
                row.mailed.retain(|time| time.saturating_add(HOUR.as_millis() as u64) > now.0);
                if first && row.mailed.len() >= RESETS_MAX {
                    return gone().await;
                }
                if first {
                    row.mailed.push(now.0);
                }
                let link = LinkRow {
                    kind: LinkKind::Reset as i32,
                    user: id.bytes(),
                    generation: user.generation,
                    // Who has the mailbox has what its owner has, and no more.
                    maker: id.bytes(),
                    ..LinkRow::default()
                };
                // Those before go on to hold: nobody knows yet whether this one will arrive. It ends the oldest if they are many.
                let many = row.reset_links.len() >= RESET_LINKS_MAX;
                let mut key = if many { row.reset_links.remove(0) } else { Bytes::new() };
                let (act, secret) = self.replace_link(act, &mut key, link, MAILED_RESET_LIFETIME);
                row.reset_links.push(key);
                let act = self.when_recovery(act, id, Some(at)).update(self.put_recovery(id, &row));
                (act, row.address, Message::Reset(secret))
            }
            (OrderKind::Confirm, Some((at, mut row))) if !row.pending.is_empty() && row.pending_until > now.0 => {
                let link = LinkRow { kind: LinkKind::Address as i32, user: id.bytes(), ..LinkRow::default() };
                let (act, secret) = self.replace_link(act, &mut row.pending_link, link, CONFIRM_LIFETIME);
                let act = self.when_recovery(act, id, Some(at)).update(self.put_recovery(id, &row));
                (act, row.pending, Message::Confirm(secret))
            }
            _ => return gone().await,
        };
        let act = match (first, taken.kind()) {
            (true, OrderKind::Reset) => self.noted(act, self.asked(&taken).about(id, &user.name)).await?,
            _ => act,
        };
        if !self.carried_out(act).await? {
            return Ok(None);
        }
        let letter = Letter { to, name: user.name, language: taken.language.clone(), message };
        Ok(Some(Taken { key, order: taken, letter }))
    }

    /// The line of a link that is mailed, from where it was asked for.
    fn asked(&self, order: &OrderRow) -> AuditRow {
        let line = self.line_from("reset link mailed", &Default::default());
        AuditRow { address: order.address.clone(), device: order.device.clone(), ..line }
    }

    /// It is tried again, or given up; either way administrators are told.
    async fn put_off(&self, taken: Taken, failure: Undelivered) -> Result<(), AccountError> {
        let Taken { key, order, letter } = taken;
        let now = self.inner.store.now();
        let wait = AGAIN_AFTER * 2u32.saturating_pow(order.tries.saturating_sub(1).min(10));
        let due = after(now, wait);
        let over = failure.for_good || due >= after(WallMillis(order.made), TRIED_FOR);
        let Undelivered { why, .. } = failure;
        tracing::warn!(user = letter.name, tries = order.tries, given_up = over, "a mail was not sent: {why}");
        let act = match over {
            true => self.unordered(Act::default(), &key),
            false => {
                let table = self.inner.tables.orders;
                let there = Condition { table, sort_key: key.clone(), test: Test::Present };
                Act::default().when(there).put(table, key, &OrderRow { due: due.0, ..order })
            }
        };
        self.carried_out(act.update(self.heard(Some(&why)))).await.map(drop)
    }
}
