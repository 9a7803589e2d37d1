//! `atoll drive`: shared drives, and who may use them.

use super::print;
use crate::cli::{ServerArgs, confirm};
use crate::failure::Outcome;
use crate::session::find_drive;
use crate::{output, session};
use apps::accounts::parse_size;
use clap::{Args, Subcommand, ValueEnum};
use client::remote::Remote;
use client::remote::shared::{ChangeDriveRequest, DriveInfo, MemberInfo, Membership};
use serde_json::{Value, json};

/// Manage shared drives: make them, and say who may use them
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll drive create 'Tea club'
  atoll drive add 'Tea club' ada --role edit
  atoll upload menu.pdf --drive 'Tea club'
  atoll drive members 'Tea club'
  atoll drive role 'Tea club' ada manage
  atoll drive leave 'Tea club'

A drive is named by its name, in any case, or by its id. All commands about files
take --drive NAME; without it they are about your own drive.")]
pub struct DriveCommandArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DriveCommand,
    /// As JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be done with shared drives.
#[derive(Subcommand, Debug)]
pub enum DriveCommand {
    /// Make a shared drive, which you manage
    Create {
        /// What it is called
        name: String,
    },
    /// List the shared drives that you are in
    List {
        /// All there are (for administrators)
        #[arg(long)]
        all: bool,
    },
    /// Give a drive another name
    Rename {
        /// Which
        drive: String,
        /// What it is called from now on
        name: String,
    },
    /// Delete a drive with everything in it, for all its members
    Delete {
        /// Which
        drive: String,
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
    },
    /// List who is in a drive
    Members {
        /// Which
        drive: String,
    },
    /// Add somebody to a drive
    Add {
        /// Which
        drive: String,
        /// Whom, by the name that they sign in with
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "view")]
        role: DriveRole,
    },
    /// Take somebody out of a drive
    Remove {
        /// Which
        drive: String,
        /// Whom
        name: String,
    },
    /// Leave a drive
    Leave {
        /// Which
        drive: String,
    },
    /// Set what a member may do
    Role {
        /// Which
        drive: String,
        /// Whose
        name: String,
        /// What they may do
        #[arg(value_enum)]
        role: DriveRole,
    },
    /// Set what a drive may hold (for administrators)
    Quota {
        /// Which
        drive: String,
        /// Such as 500M or 20G; `default` is as for all
        #[arg(value_parser = quota)]
        quota: Quota,
    },
}

/// What a member may do.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum DriveRole {
    /// List, search and download
    View,
    /// And change what is in it
    Edit,
    /// And decide on members, the name and the end
    Manage,
}

impl DriveRole {
    fn word(self) -> &'static str {
        match self {
            DriveRole::View => "view",
            DriveRole::Edit => "edit",
            DriveRole::Manage => "manage",
        }
    }
}

/// A size, or the default.
#[derive(Clone, Copy, Debug)]
pub struct Quota(Option<u64>);

fn quota(text: &str) -> Result<Quota, String> {
    match text {
        "default" => Ok(Quota(None)),
        text => parse_size(text).map(|bytes| Quota(Some(bytes))).map_err(str::to_string),
    }
}

/// Does it.
pub async fn run(args: DriveCommandArgs) -> Outcome {
    let remote = session::connect(&args.server).await?;
    let json = args.json;
    match args.command {
        DriveCommand::Create { name } => {
            let made = remote.create_drive(&name).await?;
            let name = plain(&made.name);
            let said = format!("Made the drive {name}. Add people: atoll drive add '{name}' WHOM --role edit");
            told(json, drive_json(&made), said)
        }
        DriveCommand::List { all } => {
            let drives = if all { remote.all_drives().await? } else { remote.drives().await? };
            list(&drives, json)
        }
        DriveCommand::Rename { drive, name } => {
            let id = find_drive(&remote, &drive).await?.to_string();
            let changed =
                remote.change_drive(ChangeDriveRequest { id, name: Some(name), ..Default::default() }).await?;
            told(json, drive_json(&changed), format!("{} is now {}", plain(&drive), plain(&changed.name)))
        }
        DriveCommand::Delete { drive, yes } => {
            let id = find_drive(&remote, &drive).await?;
            let name = plain(&drive);
            confirm(&format!("Everything in the drive {name} goes for good, for all its members."), yes)?;
            remote.delete_drive(id).await?;
            told(json, json!({"id": id.to_string(), "deleted": true}), format!("The drive {name} is deleted"))
        }
        DriveCommand::Members { drive } => members(&remote.members(find_drive(&remote, &drive).await?).await?, json),
        DriveCommand::Add { drive, name, role } => put(&remote, (&drive, &name, role), Membership::New, json).await,
        DriveCommand::Role { drive, name, role } => put(&remote, (&drive, &name, role), Membership::There, json).await,
        DriveCommand::Remove { drive, name } => remove(&remote, &drive, Some(&name), json).await,
        DriveCommand::Leave { drive } => remove(&remote, &drive, None, json).await,
        DriveCommand::Quota { drive, quota } => {
            let id = find_drive(&remote, &drive).await?.to_string();
            let quota_default = quota.0.is_none();
            let change = ChangeDriveRequest { id, quota: quota.0, quota_default, ..Default::default() };
            let changed = remote.change_drive(change).await?;
            let said = format!("The drive {} may hold: {}", plain(&drive), held(changed.quota));
            told(json, drive_json(&changed), said)
        }
    }
}

fn told(json: bool, value: Value, said: String) -> Outcome {
    if json { output::json(&value) } else { output::line(said) }
}

async fn put(remote: &Remote, (drive, name, role): (&str, &str, DriveRole), new: Membership, json: bool) -> Outcome {
    let id = find_drive(remote, drive).await?;
    let member = remote.put_member(id, name, role.word(), new).await?;
    told(json, member_json(&member), format!("{} may {} the drive {}", member.name, may(role), plain(drive)))
}

/// Takes somebody out; without a name, oneself.
async fn remove(remote: &Remote, drive: &str, name: Option<&str>, json: bool) -> Outcome {
    let id = find_drive(remote, drive).await?;
    let (name, who) = match name {
        Some(name) => (name.to_string(), format!("{} is", plain(name))),
        None => (remote.who_am_i().await?.name, "You are".to_string()),
    };
    remote.remove_member(id, &name).await?;
    let gone = json!({"id": id.to_string(), "name": name, "member": false});
    told(json, gone, format!("{who} not in the drive {} any more", plain(drive)))
}

/// Text of others, harmless on a terminal.
fn plain(text: &str) -> String {
    output::printable(text.as_bytes())
}

fn may(role: DriveRole) -> &'static str {
    match role {
        DriveRole::View => "look at",
        DriveRole::Edit => "change what is in",
        DriveRole::Manage => "manage",
    }
}

fn held(quota: Option<u64>) -> String {
    quota.map_or("as for all".into(), output::size)
}

fn drive_json(drive: &DriveInfo) -> Value {
    let role = Some(&drive.role).filter(|role| !role.is_empty());
    json!({"id": drive.id, "name": drive.name, "role": role, "quota": drive.quota, "made": drive.made_ms})
}

fn member_json(it: &MemberInfo) -> Value {
    json!({
        "name": it.name, "display_name": it.display_name, "role": it.role, "disabled": it.disabled, "since": it.since_ms,
    })
}

fn list(drives: &[DriveInfo], json: bool) -> Outcome {
    if json {
        return output::json(&drives.iter().map(drive_json).collect::<Vec<Value>>());
    }
    let mut text = output::table(["name", "you may", "may hold", "since", "id"]);
    for drive in drives {
        let (name, since) = (plain(&drive.name), print::date(drive.made_ms));
        text.add_row([&name, &drive.role, &held(drive.quota), &since, &drive.id]);
    }
    output::print(output::table_text(&text))
}

fn members(members: &[MemberInfo], json: bool) -> Outcome {
    if json {
        return output::json(&members.iter().map(member_json).collect::<Vec<Value>>());
    }
    let mut text = output::table(["name", "shown as", "may", "since", ""]);
    for it in members {
        let (shown, since) = (plain(&it.display_name), print::date(it.since_ms));
        text.add_row([it.name.as_str(), &shown, &it.role, &since, if it.disabled { "disabled" } else { "" }]);
    }
    output::print(output::table_text(&text))
}
