//! Orders: mails that are to be sent, until they are, or are given up.

use super::super::act::{Act, Undone};
use super::super::sessions::text_of;
use super::super::tries::Try;
use super::super::{AccountError, Accounts, Device};
use super::HOUR;
use super::address::alike;
use super::rows::{OrderKind, OrderRow};
use crate::UserId;
use bytes::Bytes;
use types::{Condition, Test};

/// Sort key of how many orders there are.
pub(super) const COUNT: Bytes = Bytes::from_static(b"mail orders");
/// Orders that wait at a time. Nobody who asks beyond that is promised anything.
const WAITING_MAX: i64 = 1000;
/// Times that somebody on one network says within [`HOUR`] that a password was forgotten.
const FORGOTTEN_MAX: i64 = 60;
/// Bytes of a name or an address.
const WHO_BYTES_MAX: usize = 254;

impl Accounts {
    /// A link for the password of whoever that is, by name or confirmed address, to be mailed to them if they can be. Who asks
    /// is told nothing of them, by no answer and by no time that it takes: `who` is only written down here.
    /// `language`: the code of the one to write in.
    pub async fn forgot_password(&self, who: &str, device: &Device, language: &str) -> Result<(), AccountError> {
        let who = alike(who.trim());
        if who.is_empty() || who.len() > WHO_BYTES_MAX {
            return Err(AccountError::Invalid("type the name that you sign in with, or your address"));
        }
        if !self.sends_mail().await? {
            return Err(AccountError::NoRelay);
        }
        self.count(Try::from_network("forgotten", device.address, FORGOTTEN_MAX, HOUR, self.inner.store.now())).await?;
        // The same waits once, however often it is asked for.
        let mut hash = blake3::Hasher::new();
        hash.update(b"forgotten").update(who.as_bytes());
        let key = Bytes::copy_from_slice(&hash.finalize().as_bytes()[..16]);
        let order = OrderRow {
            address: text_of(device.address),
            device: super::super::audit::plain(&device.label),
            who,
            ..self.order(OrderKind::Forgotten, None, language)
        };
        let absent = Condition { table: self.inner.tables.orders, sort_key: key.clone(), test: Test::Absent };
        match self.carry_out(self.ordered(Act::default().when(absent), key, &order, WAITING_MAX)).await? {
            Ok(()) | Err(Undone::Condition(_)) => {}
            Err(Undone::Bound(error)) => return Err(error),
        }
        self.inner.orders.notify_one();
        Ok(())
    }

    /// An order as of now.
    pub(super) fn order(&self, kind: OrderKind, user: Option<UserId>, language: &str) -> OrderRow {
        let now = self.inner.store.now().0;
        let user = user.map(|user| user.bytes()).unwrap_or_default();
        OrderRow {
            kind: kind as i32,
            user,
            language: language.chars().take(16).collect(),
            made: now,
            due: now,
            ..OrderRow::default()
        }
    }

    /// Ordered together with the rest of the act. The postman is told afterwards.
    pub(super) fn ordered(&self, act: Act, key: Bytes, order: &OrderRow, max: i64) -> Act {
        let act = act.put(self.inner.tables.orders, key, order);
        self.count_orders(act, 1, max)
    }

    /// The same under a key of its own; one of what people do with their own accounts finds room beside those of strangers.
    pub(super) fn also_ordered(&self, act: Act, order: &OrderRow) -> Act {
        let key = Bytes::copy_from_slice(&rand::random::<[u8; 16]>());
        self.ordered(act, key, order, 2 * WAITING_MAX)
    }

    /// The order goes, if it is still there.
    pub(super) fn unordered(&self, act: Act, key: &Bytes) -> Act {
        let table = self.inner.tables.orders;
        let there = Condition { table, sort_key: key.clone(), test: Test::Present };
        self.count_orders(act.when(there).delete(table, key.clone()), -1, i64::MAX)
    }

    fn count_orders(&self, act: Act, delta: i64, max: i64) -> Act {
        act.count(self.inner.tables.counts, COUNT, delta, (0, max), Some(AccountError::MailFull))
    }
}
