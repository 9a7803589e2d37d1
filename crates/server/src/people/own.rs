//! `atoll account` and `atoll passwd`: one's own account.

use super::{code, new_password, password, print};
use crate::cli::{ServerArgs, confirm};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::{self, Credentials, login};
use clap::{Args, Subcommand, ValueEnum};
use client::remote::Remote;
use client::remote::people::Recovery;
use serde_json::{Value, json};

/// Change your password; all other sessions end
#[derive(Args, Debug)]
#[command(after_help = "From a script: printf 'OLD\\nNEW\\n' | atoll passwd --password-stdin")]
pub struct PasswdArgs {
    /// Read the old and the new password from standard input, a line each
    #[arg(long)]
    pub password_stdin: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Your own account: sessions, app passwords, second factor
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll account sessions
  atoll account end-session ID             or --others
  atoll account app-password add laptop --for webdav --for grpc --write
  atoll account second-factor on           then type the code that your program shows
  atoll account recovery ada@example.org   for the case that you forget your password
  atoll account delete

An app password opens gRPC for a program: ATOLL_TOKEN=NAME:APP-PASSWORD atoll ls /")]
pub struct AccountArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AccountCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be done with one's own account.
#[derive(Subcommand, Debug)]
pub enum AccountCommand {
    /// Show where you are signed in
    Sessions {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign out elsewhere
    EndSession {
        /// Of the session
        #[arg(required_unless_present = "others")]
        id: Option<String>,
        /// Everywhere but here
        #[arg(long, conflicts_with = "id")]
        others: bool,
    },
    /// Passwords for single devices and programs
    AppPassword {
        /// What to do.
        #[command(subcommand)]
        command: AppCommand,
    },
    /// Codes of an authenticator program, beside the password
    SecondFactor {
        /// What to do.
        #[command(subcommand)]
        command: FactorCommand,
    },
    /// Show or set the address that a link for a new password can be mailed to
    Recovery {
        /// Has it confirmed, by a link that is mailed to it
        #[arg(conflicts_with = "remove")]
        address: Option<String>,
        /// Take away the one that is there
        #[arg(long)]
        remove: bool,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove your account and everything that goes with it
    Delete {
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        proof: Proof,
    },
}

/// What can be done with app passwords.
#[derive(Subcommand, Debug)]
pub enum AppCommand {
    /// Make one; it is printed this once
    Add {
        /// What for, such as the device's name
        label: String,
        /// What it opens; repeat for several
        #[arg(long = "for", value_enum, required = true, value_name = "PROTOCOL")]
        protocols: Vec<Protocol>,
        /// It may change things, beside reading them
        #[arg(long)]
        write: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List them, with their last use
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove one: what uses it is shut out
    Remove {
        /// Of the app password
        id: String,
    },
}

/// What can be done with the second factor.
#[derive(Subcommand, Debug)]
pub enum FactorCommand {
    /// Show whether it is on
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Turn it on: shows a secret for your authenticator program, then asks for its code
    On {
        /// Only show the secret; `confirm` goes on
        #[arg(long)]
        show: bool,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// As JSON
        #[arg(long, requires = "show")]
        json: bool,
    },
    /// Turn it on with the code that your program shows; prints the recovery codes, this once
    Confirm {
        /// The code
        #[arg(env = "ATOLL_CODE", hide_env_values = true)]
        code: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// New recovery codes in place of the old ones
    Codes {
        #[command(flatten)]
        proof: Proof,
    },
    /// Turn it off
    Off {
        #[command(flatten)]
        proof: Proof,
    },
}

/// That it is really you.
#[derive(Args, Debug)]
pub struct Proof {
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// A code of the second factor, or a recovery code
    #[arg(long, env = "ATOLL_CODE", hide_env_values = true)]
    pub code: Option<String>,
}

/// What an app password opens.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Protocol {
    /// File managers
    Webdav,
    /// S3 clients
    S3,
    /// Reading mail
    Imap,
    /// Sending mail
    Smtp,
    /// This command line, and programs
    Grpc,
}

impl Protocol {
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

/// Changes the password, and keeps the new session.
pub async fn passwd(args: PasswdArgs) -> Outcome {
    let old = password("Password that holds now:", args.password_stdin)?;
    let new = new_password("New password:", args.password_stdin)?;
    let remote = session::connect(&args.server).await?;
    let before = remote.token().unwrap_or_default();
    let signed_in = remote.change_password(&old, &new, &login::device()).await?;
    let mut stored = Credentials::load()?;
    if stored.replace(&before, &signed_in.token) {
        stored.save()?;
    }
    output::line("Your password is changed; you are signed out everywhere else.")
}

async fn proof(remote: &Remote, proof: Proof) -> Outcome<(String, String)> {
    let password = password("Your password:", proof.password_stdin)?;
    let code = if remote.second_factor().await?.on { code(proof.code)? } else { String::new() };
    Ok((password, code))
}

/// Carries it out.
pub async fn run(args: AccountArgs) -> Outcome {
    let remote = session::connect(&args.server).await?;
    match args.command {
        AccountCommand::Sessions { json } => print::sessions(&remote.own_sessions().await?, json),
        AccountCommand::EndSession { id, .. } => {
            let ended = remote.end_sessions(id.as_deref()).await?;
            output::line(format!("Ended {}.", output::count(ended.into(), "session")))
        }
        AccountCommand::AppPassword { command } => app_password(&remote, command).await,
        AccountCommand::SecondFactor { command } => second_factor(&remote, command).await,
        AccountCommand::Recovery { address, remove, password_stdin, json } => {
            let state = match address.or(remove.then(String::new)) {
                Some(address) => remote.set_recovery(&address, &password("Your password:", password_stdin)?).await?,
                None => remote.recovery().await?,
            };
            recovery(&state, json)
        }
        AccountCommand::Delete { yes, proof: given } => {
            let goes = print::leaving(&remote.leaving().await?);
            confirm(&format!("Remove your account, and with it {goes}? There is no way back."), yes)?;
            let (password, code) = proof(&remote, given).await?;
            let token = remote.token().unwrap_or_default();
            remote.delete_account(&password, &code).await?;
            let mut stored = Credentials::load()?;
            stored.forget(&token);
            stored.save()?;
            output::line("Your account is removed; what it kept goes now.")
        }
    }
}

fn recovery(state: &Recovery, json: bool) -> Outcome {
    if json {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let since = (state.since_ms > 0).then_some(state.since_ms);
        let (address, pending) = (some(&state.address), some(&state.pending));
        return output::json(&json!({"address": address, "since": since, "pending": pending}));
    }
    match state.address.as_str() {
        "" => output::line("No address is confirmed.")?,
        address => output::line(format!("{address}, confirmed {}", print::date(state.since_ms)))?,
    }
    match state.pending.as_str() {
        "" => Ok(()),
        pending => output::line(format!("{pending} waits to be confirmed: open the link that is mailed there.")),
    }
}

async fn app_password(remote: &Remote, command: AppCommand) -> Outcome {
    match command {
        AppCommand::Add { label, protocols, write, json } => {
            let protocols: Vec<String> = protocols.into_iter().map(Protocol::word).collect();
            let made = remote.create_app_password(&label, &protocols, write).await?;
            let app = made.app_password.ok_or_else(|| Failure::failed("the answer has no app password in it"))?;
            if json {
                let mut value = print::app_password_json(&app);
                value["secret"] = json!(made.secret);
                return output::json(&value);
            }
            eprintln!("Type this where the program asks for a password; it is not shown again:");
            output::line(made.secret)
        }
        AppCommand::List { json } => {
            let apps = remote.app_passwords().await?;
            if json {
                return output::json(&apps.iter().map(print::app_password_json).collect::<Vec<Value>>());
            }
            print::app_passwords(&apps)
        }
        AppCommand::Remove { id } => {
            remote.remove_app_password(&id).await?;
            output::line("The app password is removed; what used it is shut out.")
        }
    }
}

async fn second_factor(remote: &Remote, command: FactorCommand) -> Outcome {
    match command {
        FactorCommand::Status { json } => {
            let state = remote.second_factor().await?;
            if json {
                return output::json(&json!({"on": state.on, "recovery_codes": state.recovery_codes}));
            }
            output::line(match state.on {
                true => format!("on, {} left", output::count(state.recovery_codes.into(), "recovery code")),
                false => "off".into(),
            })
        }
        FactorCommand::On { show, password_stdin, json } => {
            let new = remote.begin_second_factor(&password("Your password:", password_stdin)?).await?;
            if json {
                return output::json(&json!({"secret": new.secret, "address": new.address}));
            }
            output::line(format!("secret   {}\naddress  {}", new.secret, new.address))?;
            if show {
                eprintln!("Then, within fifteen minutes: atoll account second-factor confirm CODE");
                return Ok(());
            }
            eprintln!("Give this secret to your authenticator program, then type the code that it shows.");
            recovery_codes(remote.confirm_second_factor(&code(None)?).await?, false)
        }
        FactorCommand::Confirm { code: given, json } => {
            recovery_codes(remote.confirm_second_factor(&code(given)?).await?, json)
        }
        FactorCommand::Codes { proof: given } => {
            let (password, code) = proof(remote, given).await?;
            recovery_codes(remote.new_recovery_codes(&password, &code).await?, false)
        }
        FactorCommand::Off { proof: given } => {
            let (password, code) = proof(remote, given).await?;
            remote.stop_second_factor(&password, &code).await?;
            output::line("The second factor is off.")
        }
    }
}

fn recovery_codes(codes: Vec<String>, json: bool) -> Outcome {
    if json {
        return output::json(&json!({"recovery_codes": codes}));
    }
    eprintln!("The second factor is on. Keep these recovery codes on paper; each is good once, instead of a code:");
    output::line(codes.join("\n"))
}
