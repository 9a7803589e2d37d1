//! Mails that accounts have ordered: written in the language of whom they are for, and given to the cluster's relay.
//!
//! **Invariants.** (1) A mail is in text alone, and has in it what its reader needs: nothing is loaded from anywhere, nobody is
//! counted. (2) Over TLS the relay shows a certificate that this machine's authorities have signed for its name; without
//! TLS, nothing is said to another machine. (3) However the relay behaves, a try ends within [`WITHIN`], and what it says
//! takes a few KiB.

mod letter;

use apps::accounts::{Letter, Mailer, Relay, RelayTls, Undelivered};
use async_trait::async_trait;
use mail_send::smtp::message::Message;
use mail_send::{Credentials, Error, SmtpClient, SmtpClientBuilder};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a try may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How long the relay is given to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);
/// Characters of what a relay says that are passed on.
const SAID_MAX: usize = 300;

/// Sends mails by SMTP (RFC 5321, RFC 6409).
#[derive(Default)]
pub struct SmtpMailer {
    /// Trusted beside this machine's authorities.
    authorities: Vec<CertificateDer<'static>>,
}

impl SmtpMailer {
    /// Trusts these authorities, too.
    pub fn trusting(authorities: Vec<CertificateDer<'static>>) -> SmtpMailer {
        SmtpMailer { authorities }
    }

    /// Reads the machine's authorities anew for each mail, of which there are few: what is added there holds at once.
    async fn tls(&self) -> Result<TlsConnector, Undelivered> {
        let own = self.authorities.clone();
        let roots = tokio::task::spawn_blocking(move || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(own);
            roots
        });
        let internal = |error: String| Undelivered { why: error, for_good: false };
        let roots = roots.await.map_err(|error| internal(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| internal(error.to_string()))?;
        Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }

    async fn exchange(&self, relay: &Relay, letter: &Letter) -> Result<(), Undelivered> {
        let mut to = SmtpClientBuilder::new_with_tls_connector(relay.host.clone(), relay.port, self.tls().await?)
            .implicit_tls(relay.tls == RelayTls::Implicit)
            .helo_host(letter::domain(&relay.from))
            .timeout(WITHIN);
        if relay.host.contains(':') {
            to.addr = format!("[{}]:{}", relay.host, relay.port);
        }
        if !relay.user.is_empty() {
            to = to.credentials(Credentials::new(relay.user.clone(), relay.password.clone()));
        }
        match relay.tls {
            RelayTls::Plain => give(to.connect_plain(), relay, letter).await,
            RelayTls::Implicit | RelayTls::StartTls => give(to.connect(), relay, letter).await,
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, relay: &Relay, letter: &Letter) -> Result<(), Undelivered> {
        self.exchange(relay, letter).await
    }
}

/// Connects, gives it the mail, and parts. What it has taken is sent, however it parts.
async fn give<S: AsyncRead + AsyncWrite + Unpin>(
    connect: impl Future<Output = mail_send::Result<SmtpClient<S>>>,
    relay: &Relay,
    letter: &Letter,
) -> Result<(), Undelivered> {
    let body = letter::write(relay, letter).map_err(|error| said(&Error::Io(error)))?;
    let given = timeout(WITHIN, async {
        let mut relay_there = connect.await?;
        relay_there.send(Message::new(relay.from.as_str(), [letter.to.as_str()], body)).await?;
        Ok(relay_there)
    });
    let there = given.await.unwrap_or(Err(Error::Timeout)).map_err(|error| said(&error))?;
    let _ = timeout(GOODBYE_WITHIN, there.quit()).await;
    Ok(())
}

/// What went wrong, for administrators, and whether it would again. Replies that begin with a 5 are meant for good (RFC 5321,
/// section 4.2.1).
fn said(error: &Error) -> Undelivered {
    let reply = |code: u16, [class, subject, detail]: [u8; 3], message: &str| {
        let text: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_MAX).collect();
        // RFC 2034, where the relay says it.
        let status = if class == 0 { String::new() } else { format!("{class}.{subject}.{detail} ") };
        (format!("{code} {status}{}", text.trim()), code >= 500)
    };
    let (why, for_good) = match error {
        Error::UnexpectedReply(it) => {
            let (text, for_good) = reply(it.code, it.esc, &it.message);
            (format!("the relay said: {text}"), for_good)
        }
        Error::AuthenticationFailed(it) => {
            let (text, for_good) = reply(it.code, it.esc, &it.message);
            (format!("the relay does not take the name and the password: {text}"), for_good)
        }
        Error::Timeout => (format!("the relay did not answer within {} seconds", WITHIN.as_secs()), false),
        Error::Tls(error) => (format!("TLS with the relay failed: {error}"), false),
        Error::MissingStartTls => ("the relay offers no STARTTLS".into(), true),
        Error::UnsupportedAuthMechanism => ("the relay takes no password (AUTH PLAIN or LOGIN)".into(), true),
        Error::UnparseableReply => ("the relay does not speak SMTP, or ended the connection".into(), false),
        Error::Io(error) => (format!("the connection to the relay failed: {error}"), false),
        error => (error.to_string(), false),
    };
    Undelivered { why, for_good }
}
