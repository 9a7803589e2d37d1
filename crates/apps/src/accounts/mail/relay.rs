//! The relay: the server of mail that this cluster gives its mails to, as an administrator has set it up.

use super::super::act::put;
use super::super::audit::plain;
use super::super::rows::decode;
use super::super::{AccountError, Accounts, By, EVERYONE, User};
use super::address::valid_host;
use super::rows::{HeardRow, RelayRow, TlsRow};
use super::valid_address;
use bytes::Bytes;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;
use std::net::IpAddr;
use types::{Consistency, ItemKey, Update, Version, WallMillis};

/// Sort keys, beside the policy's.
const RELAY: Bytes = Bytes::from_static(b"relay");
const SENT: Bytes = Bytes::from_static(b"relay sent");
const FAILED: Bytes = Bytes::from_static(b"relay failed");
/// Bytes of a user's name or password at the relay.
const CREDENTIAL_BYTES_MAX: usize = 1024;
const SITE_BYTES_MAX: usize = 300;

/// How the way to the relay is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayTls {
    /// TLS from the first byte (RFC 8314, port 465).
    Implicit,
    /// TLS before anything else is said (RFC 3207), or nothing is.
    StartTls,
    /// None: for a relay on this machine.
    Plain,
}

impl RelayTls {
    /// `implicit`, `starttls` or `none`.
    pub fn as_str(self) -> &'static str {
        match self {
            RelayTls::Implicit => "implicit",
            RelayTls::StartTls => "starttls",
            RelayTls::Plain => "none",
        }
    }
}

impl std::str::FromStr for RelayTls {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<RelayTls, Self::Err> {
        match text {
            "implicit" => Ok(RelayTls::Implicit),
            "starttls" => Ok(RelayTls::StartTls),
            "none" => Ok(RelayTls::Plain),
            _ => Err("TLS is implicit, starttls or none"),
        }
    }
}

/// The relay, to be set up.
#[derive(Clone)]
pub struct NewRelay {
    /// A name, or an address.
    pub host: String,
    /// 465 and 587 are usual.
    pub port: u16,
    /// How the way there is kept private.
    pub tls: RelayTls,
    /// Empty: it asks for none.
    pub user: String,
    /// None: as it is, for the same user at the same place.
    pub password: Option<String>,
    /// What mails come from: `cloud@example.org`, or `Our cloud <cloud@example.org>`.
    pub from: String,
    /// Where the pages are, for links: `https://cloud.example.org`. No request is asked for that: it could lie.
    pub site: String,
}

/// The relay as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// A name, or an address.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// How the way there is kept private.
    pub tls: RelayTls,
    /// Empty: it asks for none.
    pub user: String,
    /// Empty where it is not needed.
    pub password: String,
    /// What mails come from.
    pub from: String,
    /// What is shown beside that.
    pub from_name: String,
    /// Where the pages are, without a slash at its end.
    pub site: String,
}

impl Relay {
    /// Sender and name, as they are typed.
    pub fn sender(&self) -> String {
        if self.from_name.is_empty() { self.from.clone() } else { format!("{} <{}>", self.from_name, self.from) }
    }
}

impl fmt::Debug for Relay {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relay({}:{})", self.host, self.port)
    }
}

/// What was heard of the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// When it last took a mail.
    pub sent: Option<WallMillis>,
    /// When it last did not, and why.
    pub failed: Option<(WallMillis, String)>,
    /// Mails that wait to be sent.
    pub waiting: u64,
}

impl Accounts {
    /// Is mail sent at all?
    pub async fn sends_mail(&self) -> Result<bool, AccountError> {
        Ok(self.relay_row().await?.is_some())
    }

    /// The relay, without its password, and what was heard of it. Only an administrator may look.
    pub async fn relay(&self, by: &User) -> Result<Option<(Relay, RelayStatus)>, AccountError> {
        self.require_administrator(by, "see the settings").await?;
        let Some((_, row)) = self.relay_row().await? else { return Ok(None) };
        let table = self.inner.tables.policy;
        let keys = vec![
            ItemKey::new(table, EVERYONE, SENT),
            ItemKey::new(table, EVERYONE, FAILED),
            ItemKey::new(self.inner.tables.counts, EVERYONE, super::orders::COUNT),
        ];
        let mut found = self.inner.store.get_many(keys, Consistency::Strong).await?.into_iter();
        let mut next = || found.next().flatten();
        let heard = |item: types::Item| decode::<HeardRow>("what was heard of the relay", &item.value);
        let sent = next().map(heard).transpose()?.map(|row| WallMillis(row.at));
        let failed = next().map(heard).transpose()?.map(|row| (WallMillis(row.at), row.why));
        let counted = next().and_then(|item| item.value.as_ref().try_into().ok());
        let waiting = counted.map_or(0, |bytes| types::transaction::from_sortable(bytes).max(0) as u64);
        Ok(Some((relay(&row, String::new()), RelayStatus { sent, failed, waiting })))
    }

    /// Sets it up. Only an administrator may.
    pub async fn set_relay(&self, by: impl Into<By>, new: NewRelay) -> Result<(), AccountError> {
        let by = by.into();
        let password = new.password.clone();
        let mut wanted = checked(new)?;
        let line = self.line("mail relay set", &by).detail(format!("{}:{}", wanted.host, wanted.port));
        let sealed = password.as_deref().map(|password| self.seal(password)).transpose()?;
        for _ in 0..super::super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "change the settings").await?;
            let now = self.relay_row().await?.map(|(_, row)| row);
            wanted.password = match (&sealed, now) {
                _ if wanted.user.is_empty() => Bytes::new(),
                (Some(sealed), _) => sealed.clone(),
                // It goes to whom it was given for, and nowhere else.
                (None, Some(now)) if same_place(&now, &wanted) => now.password,
                _ => return Err(AccountError::Invalid("the relay's password is needed")),
            };
            let tables = &self.inner.tables;
            let act = super::super::act::Act::default().when(allowed).put(tables.policy, RELAY, &wanted);
            let act = act.delete(tables.policy, FAILED).delete(tables.policy, SENT);
            if self.carried_out(self.noted(act, line.clone()).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Sends no mail any more. Only an administrator may.
    pub async fn forget_relay(&self, by: impl Into<By>) -> Result<(), AccountError> {
        let by = by.into();
        for _ in 0..super::super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "change the settings").await?;
            let act = super::super::act::Act::default().when(allowed).delete(self.inner.tables.policy, RELAY);
            if self.carried_out(self.noted(act, self.line("mail relay off", &by)).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    pub(super) async fn relay_row(&self) -> Result<Option<(Version, RelayRow)>, AccountError> {
        let key = ItemKey::new(self.inner.tables.policy, EVERYONE, RELAY);
        let item = self.inner.store.get(&key, Consistency::Strong).await?;
        item.map(|item| Ok((item.version, decode("the relay", &item.value)?))).transpose()
    }

    /// The relay with its password, for who sends.
    pub(super) async fn whole_relay(&self) -> Result<Option<Relay>, AccountError> {
        let Some((_, row)) = self.relay_row().await? else { return Ok(None) };
        let password = if row.password.is_empty() { String::new() } else { self.unseal(&row.password)? };
        Ok(Some(relay(&row, password)))
    }

    /// What the relay said last; nothing: it took the mail.
    pub(super) fn heard(&self, why: Option<&str>) -> Update {
        let row = HeardRow { at: self.inner.store.now().0, why: why.map(plain).unwrap_or_default() };
        put(self.inner.tables.policy, if why.is_some() { FAILED } else { SENT }, &row, None)
    }

    fn sealing_key(&self) -> Result<LessSafeKey, AccountError> {
        let key = self.inner.mail_secret.get().ok_or(AccountError::Invalid("mail is not offered here"))?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| damaged())?;
        Ok(LessSafeKey::new(key))
    }

    fn seal(&self, secret: &str) -> Result<Bytes, AccountError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = secret.as_bytes().to_vec();
        let key = self.sealing_key()?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&RELAY), &mut sealed)
            .map_err(|_| damaged())?;
        Ok([&nonce[..], &sealed].concat().into())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<String, AccountError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut opened = sealed.to_vec();
        let key = self.sealing_key()?;
        let secret = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(&RELAY), &mut opened)
            .map_err(|_| damaged())?;
        String::from_utf8(secret.to_vec()).map_err(|_| damaged())
    }
}

fn damaged() -> AccountError {
    AccountError::Damaged("the relay's password".into())
}

fn same_place(a: &RelayRow, b: &RelayRow) -> bool {
    (&a.host, a.port, a.tls, &a.user) == (&b.host, b.port, b.tls, &b.user)
}

fn relay(row: &RelayRow, password: String) -> Relay {
    let tls = match row.tls() {
        TlsRow::Implicit => RelayTls::Implicit,
        TlsRow::StartTls => RelayTls::StartTls,
        TlsRow::Plain => RelayTls::Plain,
    };
    Relay {
        host: row.host.clone(),
        port: row.port.try_into().unwrap_or_default(),
        tls,
        user: row.user.clone(),
        password,
        from: row.from.clone(),
        from_name: row.from_name.clone(),
        site: row.site.clone(),
    }
}

/// Everything but the password.
fn checked(new: NewRelay) -> Result<RelayRow, AccountError> {
    let host = new.host.trim().trim_matches(['[', ']']).to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if address.is_none() && !valid_host(&host) || new.port == 0 {
        return Err(AccountError::Invalid("a relay has a host, such as mail.example.org, and a port"));
    }
    let here = address.map_or(host == "localhost", |address| address.is_loopback());
    if new.tls == RelayTls::Plain && !here {
        return Err(AccountError::Invalid("without TLS mail goes to a relay on this machine alone"));
    }
    let user = new.user.trim();
    let password = new.password.as_deref().unwrap_or_default();
    let fits = |text: &str| text.len() <= CREDENTIAL_BYTES_MAX && !text.chars().any(char::is_control);
    if !fits(user) || !fits(password) {
        return Err(AccountError::Invalid(
            "the name or the password at the relay is too long, or has characters that are not seen",
        ));
    }
    let (from_name, from) = sender(&new.from)?;
    let tls = match new.tls {
        RelayTls::Implicit => TlsRow::Implicit,
        RelayTls::StartTls => TlsRow::StartTls,
        RelayTls::Plain => TlsRow::Plain,
    } as i32;
    let (user, site) = (user.to_string(), checked_site(&new.site)?);
    Ok(RelayRow { host, port: new.port.into(), tls, user, password: Bytes::new(), from, from_name, site })
}

/// `cloud@example.org` or `Our cloud <cloud@example.org>`: name and address.
fn sender(typed: &str) -> Result<(String, String), AccountError> {
    let typed = typed.trim();
    match typed.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => {
            let name = name.trim().trim_matches('"').trim();
            Ok((plain(name), valid_address(address)?))
        }
        None => Ok((String::new(), valid_address(typed)?)),
    }
}

/// `https://HOST`, with a port perhaps, and nothing behind it.
fn checked_site(typed: &str) -> Result<String, AccountError> {
    let bad = || AccountError::Invalid("the web address is https://, a host, and a port perhaps");
    let site = typed.trim().trim_end_matches('/').to_ascii_lowercase();
    let rest = site.strip_prefix("https://").or_else(|| site.strip_prefix("http://")).ok_or_else(bad)?;
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':').or((after.is_empty()).then_some("443"))),
        None => rest.split_once(':').map_or((rest, Some("443")), |(host, port)| (host, Some(port))),
    };
    let port = port.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
    let known = host.parse::<IpAddr>().is_ok() || valid_host(host);
    if port.is_none() || !known || site.len() > SITE_BYTES_MAX {
        return Err(bad());
    }
    Ok(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(host: &str, tls: RelayTls) -> NewRelay {
        let (user, password) = (String::new(), None);
        let (from, site) = ("cloud@example.org".into(), "https://cloud.example.org".into());
        NewRelay { host: host.into(), port: 25, tls, user, password, from, site }
    }

    #[test]
    fn without_tls_nothing_leaves_the_machine() {
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(checked(new(here, RelayTls::Plain)).is_ok(), "{here}");
        }
        for there in ["mail.example.org", "10.0.0.1", "localhost.example.org", "::2", "0.0.0.0", ""] {
            assert!(checked(new(there, RelayTls::Plain)).is_err(), "{there}");
        }
        assert!(checked(new("mail.example.org", RelayTls::StartTls)).is_ok());
        assert!(checked(new("mail example org", RelayTls::StartTls)).is_err());
    }

    #[test]
    fn senders_are_read() {
        let read = |typed| sender(typed).ok();
        assert_eq!(read("a@x"), Some(("".into(), "a@x".into())));
        assert_eq!(read(" Our cloud <a@x> "), Some(("Our cloud".into(), "a@x".into())));
        assert_eq!(read("\"The Cloud\" <a@x>"), Some(("The Cloud".into(), "a@x".into())));
        assert_eq!(read("A\r\nBcc: b@x <a@x>"), Some(("ABcc: b@x".into(), "a@x".into())), "on one line");
        for bad in ["", "cloud", "Cloud <cloud>", "<a@x> b", "a@x, b@x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_lead_to_a_host_and_no_further() {
        for (typed, site) in [
            ("https://Cloud.example.org/", "https://cloud.example.org"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]"),
        ] {
            assert_eq!(checked_site(typed).as_deref(), Ok(site));
        }
        for bad in [
            "cloud.example.org",
            "ftp://x",
            "https://",
            "https://a b",
            "https://x/path",
            "https://u@x",
            "https://x:0",
            "https://x:99999",
            "https://x?q",
            "https://x#f",
            "https://[::1]x",
            "javascript://x",
        ] {
            assert!(checked_site(bad).is_err(), "{bad}");
        }
    }
}
