//! Links that are good for one thing, once, and not for long: they make the first administrator, invite somebody,
//! set a password anew, or confirm an address of mail. All are rows under the key of all users, found by the hash of their secret, so that
//! using one is one transaction with what it does: of several that try, exactly one wins.

use super::act::Act;
use super::rows::{AuditRow, LinkKind, LinkRow, RoleRow, decode};
use super::secrets::{long_prefix, short_id};
use super::sessions::after;
use super::{AccountError, Accounts, By, Device, Role, SignUp, Token, User};
use crate::{UserId, hex};
use bytes::Bytes;
use prost::Message;
use std::time::Duration;
use types::{Condition, Consistency, ItemKey, Query, Update, Version, WallMillis};

/// How long a link that sets a password can be used.
pub const RESET_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long an invitation can last.
pub const INVITATION_LIFETIME_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
/// Of a link's secret.
const SECRET_BYTES: usize = 32;
/// Invitations listed.
const LIST_MAX: u32 = 1000;

/// An invitation to be made.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// What who comes may do.
    pub role: Role,
    /// Bytes that they may keep; none: as for everybody.
    pub quota: Option<u64>,
    /// How long it can be used.
    pub valid: Duration,
    /// For whom it is, for the list.
    pub note: String,
}

/// An invitation that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// By which it is taken back.
    pub id: String,
    /// What who comes may do.
    pub role: Role,
    /// For whom it is.
    pub note: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub created: WallMillis,
    /// Until when it can be used.
    pub expires: WallMillis,
}

/// What a link does, for the page that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Makes an account.
    Invitation,
    /// Sets the password of that account.
    Reset {
        /// Its name.
        name: String,
    },
    /// Confirms an address of mail.
    Address {
        /// The account's name.
        name: String,
        /// The address.
        address: String,
    },
}

/// A link that was found.
pub(super) struct Link {
    pub key: Bytes,
    pub version: Version,
    pub row: LinkRow,
}

impl Accounts {
    /// A fresh secret, what puts its link, and the link itself.
    pub(super) fn new_link(&self, row: LinkRow, valid: Duration) -> (Token, Update, LinkRow) {
        let bytes = rand::random::<[u8; SECRET_BYTES]>();
        let now = self.inner.store.now();
        let expires = after(now, valid);
        let row = LinkRow { created: now.0, expires: expires.0, ..row };
        let put = Update::Put {
            table: self.inner.tables.links,
            sort_key: hashed(&bytes).into(),
            value: row.encode_to_vec().into(),
            expires: Some(expires),
        };
        (Token(hex::encode(&bytes)), put, row)
    }

    /// The link of a secret, of that kind. Tries are not counted: nobody guesses 256 bits, and whoever has the right
    /// ones shall not be kept out by what others show from the same network. A wrong secret costs one read.
    /// Found by the secret's hash: the time that it takes tells nothing about how much of a guess was right.
    pub(super) async fn find_link(&self, secret: &str, kind: Option<LinkKind>) -> Result<Link, AccountError> {
        let secret = Some(secret).filter(|secret| secret.len() == 2 * SECRET_BYTES);
        let bytes = secret.and_then(hex::decode).ok_or(AccountError::WrongLink)?;
        let key = hashed(&bytes);
        let item_key = ItemKey::new(self.inner.tables.links, super::EVERYONE, key.clone());
        let item = self.inner.store.get(&item_key, Consistency::Strong).await?;
        let row = item.as_ref().map(|item| decode::<LinkRow>("a link", &item.value)).transpose()?;
        let now = self.inner.store.now();
        let fits = |row: &LinkRow| kind.is_none_or(|kind| row.kind() == kind) && row.expires > now.0;
        match (item, row) {
            (Some(item), Some(row)) if fits(&row) => Ok(Link { key, version: item.version, row }),
            _ => Err(AccountError::WrongLink),
        }
    }

    /// Uses it up together with what it does.
    pub(super) fn spend(&self, act: Act, link: &Link) -> Act {
        let table = self.inner.tables.links;
        act.when_is(table, link.key.clone(), link.version).delete(table, link.key.clone())
    }

    /// A link to an administrator's rights is good while who made it has them: as a condition of its use.
    pub(super) async fn maker_may(&self, link: &LinkRow, administers: bool) -> Result<Option<Condition>, AccountError> {
        if !administers {
            return Ok(None);
        }
        let maker = UserId::from_slice(&link.maker).ok_or(AccountError::WrongLink)?;
        match self.read_user(maker).await? {
            Some((version, row)) if row.administers() => Ok(Some(self.user_is(maker, version))),
            _ => Err(AccountError::WrongLink),
        }
    }

    /// What a link would do.
    pub async fn check_link(&self, secret: &str) -> Result<LinkPurpose, AccountError> {
        let link = self.find_link(secret, None).await?;
        match link.row.kind() {
            LinkKind::Invitation if self.policy().await?.sign_up != SignUp::Off => {
                self.maker_may(&link.row, link.row.role() == RoleRow::Administrator).await?;
                Ok(LinkPurpose::Invitation)
            }
            LinkKind::Reset => {
                let (_, _, user) = self.user_of_link(&link).await?;
                self.maker_may(&link.row, user.administers()).await?;
                Ok(LinkPurpose::Reset { name: user.name })
            }
            LinkKind::Address => {
                let (_, _, user, _, row) = self.confirmable(&link).await?;
                Ok(LinkPurpose::Address { name: user.name, address: row.pending })
            }
            _ => Err(AccountError::WrongLink),
        }
    }

    /// Makes an invitation. Only an administrator may.
    pub async fn invite(&self, by: impl Into<By>, new: NewInvitation) -> Result<(Invitation, Token), AccountError> {
        let by = by.into();
        if new.valid.is_zero() || new.valid > INVITATION_LIFETIME_MAX {
            return Err(AccountError::Invalid("an invitation lasts for up to 90 days"));
        }
        let row = LinkRow {
            kind: LinkKind::Invitation as i32,
            role: RoleRow::from(new.role) as i32,
            quota: new.quota,
            by: by.user.name.clone(),
            maker: by.user.id.bytes(),
            note: super::audit::plain(&new.note),
            ..LinkRow::default()
        };
        let (secret, put, row) = self.new_link(row, new.valid);
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "invite people").await?;
            let (version, policy) = self.read_policy().await?;
            if policy.sign_up == SignUp::Off {
                return Err(AccountError::SignUpOff);
            }
            let line = self.line("invitation made", &by).detail(format!("{} {}", new.role, row.note));
            let act = self.when_policy(Act::default().when(allowed), version).update(put.clone());
            if self.carried_out(self.noted(act, line).await?).await? {
                let key = hashed(&hex::decode(secret.as_str()).unwrap_or_default());
                return Ok((invitation(&key, row), secret));
            }
        }
        Err(AccountError::Conflict)
    }

    /// Invitations that can be used. Only an administrator may look.
    pub async fn invitations(&self, by: &User) -> Result<Vec<Invitation>, AccountError> {
        self.require_administrator(by, "see invitations").await?;
        let mut query = Query::all(self.inner.tables.links, super::EVERYONE);
        query.limit = LIST_MAX;
        let now = self.inner.store.now();
        let mut found = Vec::new();
        // Links of all kinds are here; invitations may begin on any page.
        loop {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in page.items {
                let row: LinkRow = decode("a link", &at.item.value)?;
                if row.kind() == LinkKind::Invitation && row.expires > now.0 {
                    found.push(invitation(&at.sort_key, row));
                }
            }
            match page.next {
                Some(next) if found.len() < LIST_MAX as usize => query = query.after(next),
                _ => break,
            }
        }
        found.sort_by_key(|invitation| std::cmp::Reverse(invitation.created));
        Ok(found)
    }

    /// Takes an invitation back. Only an administrator may.
    pub async fn uninvite(&self, by: impl Into<By>, id: &str) -> Result<(), AccountError> {
        let by = by.into();
        let missing = AccountError::NotFound { what: "invitation" };
        let prefix = long_prefix(id).ok_or(missing.clone())?;
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "take invitations back").await?;
            let table = self.inner.tables.links;
            let query = Query::prefix(table, super::EVERYONE, &prefix);
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            let found = page.items.into_iter().next().ok_or(missing.clone())?;
            let row: LinkRow = decode("a link", &found.item.value)?;
            if row.kind() != LinkKind::Invitation {
                return Err(missing);
            }
            let act = Act::default().when(allowed).delete(table, found.sort_key);
            let line = self.line("invitation taken back", &by).detail(row.note);
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// A link by which somebody sets a new password. Only an administrator may make one, and for others.
    pub async fn make_reset_link(&self, by: impl Into<By>, name: &str) -> Result<Token, AccountError> {
        let by = by.into();
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "reset passwords").await?;
            let (id, version, user) = self.find_required(name).await?;
            if id == by.user.id {
                let instead = "change your password in your own settings, or ask another administrator for a link";
                return Err(AccountError::OwnAccount { instead });
            }
            let (secret, put) = self.reset_link(id, user.generation, &by.user);
            let line = self.line("reset link made", &by).about(id, &user.name);
            let act = Act::default().when(allowed).when(self.user_is(id, version)).update(put);
            if self.carried_out(self.noted(act, line).await?).await? {
                return Ok(secret);
            }
        }
        Err(AccountError::Conflict)
    }

    pub(super) fn reset_link(&self, user: UserId, generation: u64, by: &User) -> (Token, Update) {
        let row = LinkRow {
            kind: LinkKind::Reset as i32,
            user: user.bytes(),
            generation,
            by: by.name.clone(),
            maker: by.id.bytes(),
            ..LinkRow::default()
        };
        let (secret, put, _) = self.new_link(row, RESET_LIFETIME);
        (secret, put)
    }

    /// Sets a password by a link. Sessions and app passwords end; the second factor stays.
    pub async fn reset_password(&self, secret: &str, password: &str, device: Device) -> Result<User, AccountError> {
        let link = self.find_link(secret, Some(LinkKind::Reset)).await?;
        let (id, version, mut row) = self.user_of_link(&link).await?;
        super::names::check_password(password, &row.name)?;
        row.password = self.inner.passwords.hash(password).await?;
        row.generation += 1;
        row.app_generation += 1;
        let act = Act::default().when(self.user_is(id, version)).update(self.put_user(id, &row));
        let maker = self.maker_may(&link.row, row.administers()).await?;
        let act = maker.into_iter().fold(act, Act::when);
        let line: AuditRow = self.line_from("password reset", &device).about(id, &row.name);
        if !self.carried_out(self.noted(self.spend(act, &link), line).await?).await? {
            return Err(AccountError::Conflict);
        }
        self.forget_user(id);
        row.user(id)
    }

    /// Whose password a link sets: it ended with the password that was when it was made.
    async fn user_of_link(&self, link: &Link) -> Result<(UserId, Version, super::rows::UserRow), AccountError> {
        let id = UserId::from_slice(&link.row.user).ok_or(AccountError::WrongLink)?;
        let (version, row) = self.read_user(id).await?.ok_or(AccountError::WrongLink)?;
        if row.disabled || row.generation != link.row.generation {
            return Err(AccountError::WrongLink);
        }
        Ok((id, version, row))
    }
}

fn invitation(key: &[u8], row: LinkRow) -> Invitation {
    Invitation {
        id: short_id(key),
        role: row.role().into(),
        note: row.note,
        by: row.by,
        created: WallMillis(row.created),
        expires: WallMillis(row.expires),
    }
}

pub(super) fn hashed(secret: &[u8]) -> Bytes {
    Bytes::copy_from_slice(blake3::hash(secret).as_bytes())
}
