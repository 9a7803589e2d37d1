//! `atoll mail`: how this cluster sends mail, for administrators.

use super::{print, relay_password};
use crate::cli::ServerArgs;
use crate::failure::Outcome;
use crate::{output, session};
use clap::{Args, Subcommand};
use client::remote::people::{MailRelay, MailState};
use serde_json::json;
use std::path::PathBuf;

/// Mail that this cluster sends: links for forgotten passwords (for administrators)
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll mail relay set smtps://cloud@mail.example.org --site https://cloud.example.org \\
      --from 'Our cloud <cloud@example.org>'
  atoll mail relay set smtp://mail.example.org:587 ...        STARTTLS, required
  atoll mail relay set smtp://127.0.0.1:25 --no-tls ...       a relay on the same machine
  atoll mail relay test you@example.org
  atoll mail relay show
  atoll mail relay off")]
pub struct MailArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MailCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What there is to mail.
#[derive(Subcommand, Debug)]
pub enum MailCommand {
    /// The mail server that takes this cluster's mails
    Relay {
        /// What to do.
        #[command(subcommand)]
        command: RelayCommand,
    },
}

/// What can be done with the relay.
#[derive(Subcommand, Debug)]
pub enum RelayCommand {
    /// Set it up; the password is asked for where the address names a user
    Set {
        /// smtps://USER@HOST:PORT is TLS from the beginning (port 465), smtp:// STARTTLS (port 587)
        #[arg(value_parser = address)]
        relay: Address,
        /// What mails come from, such as 'Our cloud <cloud@example.org>'
        #[arg(long)]
        from: String,
        /// Where the pages are, such as https://cloud.example.org: links in mails begin with it
        #[arg(long)]
        site: String,
        /// No encryption, with smtp:// and a relay on the same machine as the nodes alone
        #[arg(long)]
        no_tls: bool,
        /// Read the password from the first line of this file
        #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
        password_file: Option<PathBuf>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Keep the password that is known, for the same user at the same relay
        #[arg(long, conflicts_with_all = ["password_file", "password_stdin"])]
        keep_password: bool,
    },
    /// Show it, and whether mails were taken
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a test message; prints what the relay says
    Test {
        /// To whom
        to: String,
    },
    /// Send no mail any more
    Off,
}

/// Where the relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    implicit: bool,
    user: String,
    host: String,
    port: u16,
}

fn address(text: &str) -> Result<Address, String> {
    let (implicit, rest) = match text.split_once("://") {
        Some(("smtps", rest)) => (true, rest),
        Some(("smtp", rest)) => (false, rest),
        _ => return Err("it begins with smtps:// or smtp://".into()),
    };
    let rest = rest.trim_end_matches('/');
    // A user may be an address of mail itself.
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    if user.contains(':') {
        return Err("no password on the command line: others may see it; it is asked for".into());
    }
    let (host, port) = match place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let usual = if implicit { 465 } else { 587 };
    let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| format!("{port} is no port")))?;
    if host.is_empty() {
        return Err("a host is missing".into());
    }
    Ok(Address { implicit, user: user.to_string(), host: host.to_string(), port })
}

/// Carries it out.
pub async fn run(args: MailArgs) -> Outcome {
    let MailCommand::Relay { command } = args.command;
    match command {
        RelayCommand::Set { relay, from, site, no_tls, password_file, password_stdin, keep_password } => {
            let tls = match (relay.implicit, no_tls) {
                (true, _) => "implicit",
                (false, false) => "starttls",
                (false, true) => "none",
            };
            let asked = !relay.user.is_empty() && !keep_password;
            let password = asked.then(|| relay_password(password_file.as_deref(), password_stdin)).transpose()?;
            let remote = session::connect(&args.server).await?;
            let Address { user, host, port, .. } = relay;
            let new = MailRelay { host, port: port.into(), tls: tls.into(), user, password, from, site };
            remote.set_mail_relay(new).await?;
            output::line("The relay is set up. Try it: atoll mail relay test you@example.org")
        }
        RelayCommand::Show { json } => show(&session::connect(&args.server).await?.mail_relay().await?, json),
        RelayCommand::Test { to } => {
            session::connect(&args.server).await?.test_mail_relay(&to).await?;
            output::line(format!("The relay has taken a message to {to}."))
        }
        RelayCommand::Off => {
            session::connect(&args.server).await?.remove_mail_relay().await?;
            output::line("No mail is sent any more.")
        }
    }
}

fn show(state: &MailState, json: bool) -> Outcome {
    let some = |ms: u64| (ms > 0).then_some(ms);
    if json {
        let relay = state.relay.as_ref().map(|relay| {
            json!({
                "host": relay.host, "port": relay.port, "tls": relay.tls, "user": relay.user, "from": relay.from,
                "site": relay.site,
            })
        });
        let failure = some(state.failed_ms).map(|_| state.failure.as_str());
        return output::json(&json!({
            "relay": relay, "sent": some(state.sent_ms), "failed": some(state.failed_ms), "failure": failure,
            "waiting": state.waiting,
        }));
    }
    let Some(relay) = &state.relay else { return output::line("No relay is set up: no mail is sent.") };
    let failed = match some(state.failed_ms) {
        Some(at) => format!("{}: {}", print::date(at), output::printable(state.failure.as_bytes())),
        None => "never".into(),
    };
    let user = if relay.user.is_empty() { "none" } else { &relay.user };
    output::line(format!(
        "relay      {}:{}\ntls        {}\nuser       {user}\nfrom       {}\nsite       {}\nlast sent  {}\nfailed     \
         {failed}\nwaiting    {}",
        relay.host,
        relay.port,
        relay.tls,
        relay.from,
        relay.site,
        print::date(state.sent_ms),
        state.waiting,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_an_address() {
        let read = |text| address(text).ok().map(|it| (it.implicit, it.user, it.host, it.port));
        let is = |implicit, user: &str, host: &str, port| Some((implicit, user.to_string(), host.to_string(), port));
        assert_eq!(read("smtps://mail.example.org"), is(true, "", "mail.example.org", 465));
        assert_eq!(read("smtp://me@mail.example.org:2525"), is(false, "me", "mail.example.org", 2525));
        assert_eq!(
            read("smtps://me@example.org@mail.example.org"),
            is(true, "me@example.org", "mail.example.org", 465)
        );
        assert_eq!(read("smtp://[::1]:25/"), is(false, "", "::1", 25));
        for bad in ["mail.example.org", "http://x", "smtp://", "smtp://a@", "smtp://x:70000", "smtp://u:secret@x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
