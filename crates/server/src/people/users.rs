//! `atoll user`: other people's accounts, for administrators.

use super::{new_password, print};
use crate::cli::{ServerArgs, confirm};
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use apps::accounts::parse_size;
use clap::{Args, Subcommand, ValueEnum};
use client::remote::Remote;
use client::remote::people::{AccountPolicy, ChangeUserRequest, CreateUserRequest, InviteRequest};
use serde_json::{Value, json};
use std::time::Duration;

/// Lines of the log, or people, asked for at a time.
const PAGE: u32 = 50;
/// How long a link that is made waits to hear where the pages are.
const STATUS_WITHIN: Duration = Duration::from_secs(3);

/// Manage people: accounts, roles, quotas, invitations, the log (for administrators)
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll user add ada                       prints a one-time link by which ada sets a password
  atoll user add ada --password-stdin < secret.txt
  atoll user quota ada 20G
  atoll user reset ada                     a new link; the old password holds until it is used
  atoll user disable ada                   ends all sessions at once
  atoll user invite --note 'the new tutor' --valid-days 7
  atoll user policy --sign-up open
  atoll user audit --about ada")]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: UserCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be done with people.
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// Make an account; without a password, a one-time link that sets one is printed
    Add {
        /// The name to sign in with
        name: String,
        /// The name to show [default: the same]
        #[arg(long, default_value = "", hide_default_value = true)]
        display: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// What they may keep, such as 20G [default: as for everybody]
        #[arg(long, value_parser = parse_size)]
        quota: Option<u64>,
        /// Read a password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List everybody
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an account
    Show {
        /// Whose
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Bar somebody from signing in; ends all their sessions at once
    Disable {
        /// Whom
        name: String,
    },
    /// Let somebody in again
    Enable {
        /// Whom
        name: String,
    },
    /// Print a one-time link by which somebody sets a new password
    Reset {
        /// Whose
        name: String,
        /// Turn their second factor off, too: device and recovery codes are lost
        #[arg(long)]
        second_factor: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Set what somebody may keep
    Quota {
        /// Whose
        name: String,
        /// Such as 500M or 20G; `default` is as for everybody
        #[arg(value_parser = quota)]
        quota: Quota,
    },
    /// Set what somebody may do
    Role {
        /// Whose
        name: String,
        /// What they may do
        #[arg(value_enum)]
        role: Role,
    },
    /// Remove an account and everything that goes with it
    Remove {
        /// Whose
        name: String,
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show where somebody is signed in, and sign them out
    Sessions {
        /// Whose
        name: String,
        /// End the session of this id
        #[arg(long, value_name = "ID", conflicts_with = "end_all")]
        end: Option<String>,
        /// End all of them
        #[arg(long)]
        end_all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a one-time link by which somebody makes an account
    Invite {
        /// For whom it is, for the list
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// What they may keep [default: as for everybody]
        #[arg(long, value_parser = parse_size)]
        quota: Option<u64>,
        /// How long it can be used
        #[arg(long, value_name = "DAYS", default_value = "7", value_parser = clap::value_parser!(u64).range(1..=90))]
        valid_days: u64,
        /// List those that can be used
        #[arg(long, conflicts_with_all = ["note", "cancel"])]
        list: bool,
        /// Take the invitation of this id back
        #[arg(long, value_name = "ID")]
        cancel: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show or change what holds for all accounts
    Policy {
        /// Who may sign up
        #[arg(long, value_enum)]
        sign_up: Option<SignUp>,
        /// What each may keep who has no quota of their own; `default` is no bound
        #[arg(long, value_parser = quota)]
        quota: Option<Quota>,
        /// Days that the log is kept
        #[arg(long, value_name = "DAYS")]
        audit_days: Option<u32>,
        /// Accounts beyond which nobody can sign up
        #[arg(long, value_name = "COUNT")]
        users_max: Option<u64>,
        /// What a shared drive may hold that has no quota of its own; `default` is no bound
        #[arg(long, value_parser = quota)]
        drive_quota: Option<Quota>,
        /// Shared drives that one person may make; 0: administrators alone make them
        #[arg(long, value_name = "COUNT")]
        drives_max: Option<u32>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the log: who did what to whom, when and from where
    Audit {
        /// Only what concerns this name
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        about: String,
        /// Lines at most
        #[arg(long, short = 'n', default_value = "50")]
        lines: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// What somebody may do.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Role {
    /// Use the apps
    User,
    /// And manage people and the cluster
    Administrator,
}

/// Who may sign up.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum SignUp {
    /// Only administrators make accounts
    Off,
    /// And whoever has an invitation
    Invitation,
    /// Anybody
    Open,
}

/// A size, or the default.
#[derive(Clone, Copy, Debug)]
pub struct Quota(Option<u64>);

fn quota(text: &str) -> Result<Quota, String> {
    if text == "default" {
        Ok(Quota(None))
    } else {
        parse_size(text).map(|bytes| Quota(Some(bytes))).map_err(str::to_string)
    }
}

fn word(role: Role) -> String {
    match role {
        Role::User => "user",
        Role::Administrator => "administrator",
    }
    .into()
}

/// How a link is told to people: the path is that of the web pages.
fn link(purpose: &str, secret: &str) -> String {
    format!("/{purpose}/{secret}")
}

/// Carries it out.
pub async fn run(args: UserArgs) -> Outcome {
    // Before anything is asked of the cluster.
    let given = match &args.command {
        UserCommand::Add { password_stdin: true, .. } => new_password("Password:", true)?,
        _ => String::new(),
    };
    let remote = session::connect(&args.server).await?;
    match args.command {
        UserCommand::Add { name, display, role, quota, json, .. } => {
            let display_name = display;
            let new = CreateUserRequest { name, display_name, password: given, role: word(role), quota };
            let made = remote.create_user(new).await?;
            let user = made.user.unwrap_or_default();
            let path = (!made.link_secret.is_empty()).then(|| link("reset", &made.link_secret));
            if json {
                let mut value = print::user_json(&user);
                value["link_secret"] = json!((!made.link_secret.is_empty()).then_some(made.link_secret));
                return output::json(&value);
            }
            let told = told(&remote, "once a password is set with", path).await;
            output::line(format!("{} can sign in{told}", user.name))
        }
        UserCommand::List { json } => list(&remote, json).await,
        UserCommand::Show { name, json } => show(&remote, &name, json).await,
        UserCommand::Disable { name } => {
            let change = ChangeUserRequest { name, disabled: Some(true), ..Default::default() };
            let user = remote.change_user(change).await?;
            output::line(format!("{} is disabled; all sessions have ended.", user.name))
        }
        UserCommand::Enable { name } => {
            let change = ChangeUserRequest { name, disabled: Some(false), ..Default::default() };
            let user = remote.change_user(change).await?;
            output::line(format!("{} can sign in again.", user.name))
        }
        UserCommand::Reset { name, second_factor, json } => {
            if second_factor {
                remote.clear_second_factor(&name).await?;
            }
            let secret = remote.make_reset_link(&name).await?;
            if json {
                return output::json(&json!({"link_secret": secret, "path": link("reset", &secret)}));
            }
            let told = told(&remote, "with", Some(link("reset", &secret))).await;
            output::line(format!("A new password for {name} can be set{told}"))
        }
        UserCommand::Quota { name, quota } => {
            let quota_default = quota.0.is_none();
            let change = ChangeUserRequest { name, quota: quota.0, quota_default, ..Default::default() };
            let user = remote.change_user(change).await?;
            output::line(format!("Quota of {}: {}.", user.name, print::quota(user.quota)))
        }
        UserCommand::Role { name, role } => {
            let change = ChangeUserRequest { name, role: Some(word(role)), ..Default::default() };
            let user = remote.change_user(change).await?;
            output::line(format!("{} is now: {}.", user.name, user.role))
        }
        UserCommand::Remove { name, yes } => {
            let details = remote.show_user(&name).await?;
            let goes = print::leaving(&details.leaving.unwrap_or_default());
            confirm(&format!("Remove {name}, and with the account {goes}? There is no way back."), yes)?;
            remote.remove_user(&name).await?;
            output::line(format!("{name} is removed; what the account kept goes now."))
        }
        UserCommand::Sessions { name, end, end_all, json } => {
            if end.is_some() || end_all {
                let ended = remote.end_sessions_of(&name, end.as_deref()).await?;
                return output::line(format!("Ended {} of {name}.", output::count(ended.into(), "session")));
            }
            print::sessions(&remote.sessions_of(&name).await?, json)
        }
        UserCommand::Invite { list: true, json, .. } => print::invitations(&remote.invitations().await?, json),
        UserCommand::Invite { cancel: Some(id), .. } => {
            remote.uninvite(&id).await?;
            output::line("The invitation is taken back.")
        }
        UserCommand::Invite { note, role, quota, valid_days, json, .. } => {
            let new = InviteRequest { role: word(role), quota, valid_seconds: valid_days * 24 * 3600, note };
            let made = remote.invite(new).await?;
            let (id, path) = (made.invitation.unwrap_or_default().id, link("join", &made.link_secret));
            if json {
                return output::json(&json!({"id": id, "link_secret": made.link_secret, "path": path}));
            }
            output::line(format!("An account can be made{}", told(&remote, "with", Some(path)).await))
        }
        UserCommand::Policy { sign_up, quota, audit_days, users_max, drive_quota, drives_max, json } => {
            let now = remote.account_policy().await?;
            let wanted = AccountPolicy {
                sign_up: sign_up.map_or(now.sign_up.clone(), |sign_up| {
                    match sign_up {
                        SignUp::Off => "off",
                        SignUp::Invitation => "invitation",
                        SignUp::Open => "open",
                    }
                    .into()
                }),
                quota: quota.map_or(now.quota, |quota| quota.0),
                audit_days: audit_days.unwrap_or(now.audit_days),
                users_max: users_max.unwrap_or(now.users_max),
                drive_quota: drive_quota.map_or(now.drive_quota, |quota| quota.0),
                drives_max: drives_max.or(now.drives_max),
            };
            if wanted != now {
                remote.set_account_policy(wanted.clone()).await?;
            }
            policy(&wanted, json)
        }
        UserCommand::Audit { about, lines, json } => audit(&remote, &about, lines, json).await,
    }
}

async fn told(remote: &Remote, how: &str, path: Option<String>) -> String {
    let Some(path) = path else { return ".".into() };
    // The link is made and is told this once, whether or not anybody says where the pages are.
    let status = tokio::time::timeout(STATUS_WITHIN, remote.cluster_status()).await;
    let nodes = status.ok().and_then(Result::ok).map(|status| status.nodes).unwrap_or_default();
    match nodes.iter().find(|node| node.alive && !node.web.is_empty()) {
        Some(node) => format!(" {how} this link, once:\n  {}", session::page(&node.web, &path)),
        None => format!(
            " {how} this link, once:\n  https://WEB-ADDRESS{path}\n(WEB-ADDRESS is that of any node's web pages, such as HOST:8443)"
        ),
    }
}

fn policy(policy: &AccountPolicy, json: bool) -> Outcome {
    if json {
        return output::json(&json!({
            "sign_up": policy.sign_up, "quota": policy.quota, "audit_days": policy.audit_days,
            "users_max": policy.users_max, "drive_quota": policy.drive_quota, "drives_max": policy.drives_max,
        }));
    }
    let bound = |quota: Option<u64>| quota.map_or("no bound".into(), output::size);
    let (quota, drive_quota) = (bound(policy.quota), bound(policy.drive_quota));
    let drives = policy.drives_max.unwrap_or_default();
    output::line(format!(
        "sign-up     {}\nquota       {quota}\nlog kept    {} days\naccounts    {} at most by signing up\nshared drives  {drives} at most by one person, {drive_quota} each",
        policy.sign_up, policy.audit_days, policy.users_max
    ))
}

async fn list(remote: &Remote, json: bool) -> Outcome {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    let usual = loop {
        let page = remote.list_users(&cursor, PAGE).await?;
        all.extend(page.users);
        if page.next.is_empty() {
            break page.usual_quota;
        }
        cursor = page.next;
    };
    if json {
        return output::json(&all.iter().map(print::user_json).collect::<Vec<Value>>());
    }
    print::users(&all, usual)
}

async fn show(remote: &Remote, name: &str, json: bool) -> Outcome {
    let details = remote.show_user(name).await?;
    let user = details.user.ok_or_else(|| Failure::failed("the answer has no user in it"))?;
    let (factor, goes) = (details.second_factor.unwrap_or_default(), details.leaving.unwrap_or_default());
    if json {
        let mut value = print::user_json(&user);
        value["quota_in_force"] = json!(details.quota_in_force);
        value["second_factor"] = json!({"on": factor.on, "recovery_codes": factor.recovery_codes});
        value["recovery"] = json!(details.recovery);
        value["leaving"] = print::leaving_json(&goes);
        return output::json(&value);
    }
    let state = if user.disabled { "disabled" } else { "active" };
    let second = if factor.on { format!("on, {} recovery codes left", factor.recovery_codes) } else { "off".into() };
    let quota = details.quota_in_force.map_or("no bound".into(), output::size);
    let recovery = if details.recovery { "a link can be mailed" } else { "no confirmed address" };
    let used = user.used.map_or("unknown".into(), output::size);
    output::line(format!(
        "name           {}\nshown as       {}\nrole           {}\nstate          {state}\nsince          {}\nused           \
         {used}\nquota          {quota}\nsecond factor  {second}\nrecovery       {recovery}\nhas            {}",
        user.name,
        output::printable(user.display_name.as_bytes()),
        user.role,
        print::date(user.created_ms),
        print::leaving(&goes),
    ))
}

async fn audit(remote: &Remote, about: &str, lines: usize, json: bool) -> Outcome {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    while found.len() < lines {
        let wanted = PAGE.min((lines - found.len()) as u32);
        let page = remote.audit(about, &cursor, wanted).await?;
        found.extend(page.entries);
        if page.next.is_empty() {
            break;
        }
        cursor = page.next;
    }
    if json {
        return output::json(&found.iter().map(print::audit_json).collect::<Vec<Value>>());
    }
    print::audit(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_size_or_as_for_everybody() {
        assert!(quota("2G").is_ok_and(|quota| quota.0 == Some(2_000_000_000)) && quota("much").is_err());
        assert!(quota("default").is_ok_and(|quota| quota.0.is_none()));
    }
}
