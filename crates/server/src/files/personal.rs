//! `atoll star`, `unstar`, `starred`, `recent`.

use super::paths;
use crate::cli::{DriveArgs, ServerArgs};
use crate::failure::Outcome;
use crate::{output, session};
use clap::Args;
use client::remote::Placed;
use serde_json::{Value, json};

/// Star files and folders, so that you find them again
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  atoll star /plan.txt /photos/2026\n  atoll star /menu.txt --drive Club\n  atoll starred"
)]
pub struct StarArgs {
    /// Files and folders in the drive
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Take stars away
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  atoll unstar /plan.txt")]
pub struct UnstarArgs {
    #[command(flatten)]
    pub what: StarArgs,
}

/// List what you starred, in all drives
#[derive(Args, Debug)]
pub struct StarredArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// List the files that you opened, uploaded or changed last, in all drives
#[derive(Args, Debug)]
pub struct RecentArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// `atoll star`.
pub async fn star(args: StarArgs) -> Outcome {
    set(args, true).await
}

/// `atoll unstar`.
pub async fn unstar(args: UnstarArgs) -> Outcome {
    set(args.what, false).await
}

async fn set(args: StarArgs, starred: bool) -> Outcome {
    let all: Vec<String> = args.paths.iter().map(|path| paths::absolute(path)).collect::<Outcome<_>>()?;
    let remote = session::connect_in(&args.drive).await?;
    for path in &all {
        remote.star(path, starred).await?;
    }
    Ok(())
}

/// `atoll starred`.
pub async fn starred(args: StarredArgs) -> Outcome {
    let found = session::connect(&args.server).await?.starred().await?;
    show(&found, args.json)
}

/// `atoll recent`.
pub async fn recent(args: RecentArgs) -> Outcome {
    let found = session::connect(&args.server).await?.recent().await?;
    show(&found, args.json)
}

fn show(found: &[Placed], as_json: bool) -> Outcome {
    if as_json {
        return output::json(&found.iter().map(to_json).collect::<Vec<_>>());
    }
    found.iter().try_for_each(|it| output::line(line_of(it)))
}

/// When, what was done, where: with the drive's name before, where it is a shared one.
fn line_of(it: &Placed) -> String {
    let act = it.act.map_or(String::new(), |act| format!("{:<8}  ", act.as_str()));
    let drive = it.drive.as_ref().map_or(String::new(), |(_, name)| format!("{name}:"));
    let slash = if it.entry.is_folder() { "/" } else { "" };
    let place = output::printable(format!("{drive}{}{slash}", it.path).as_bytes());
    format!("{}  {act}{place}", output::date(it.at))
}

fn to_json(it: &Placed) -> Value {
    json!({
        "drive": it.drive.as_ref().map(|(id, _)| id.to_string()),
        "drive_name": it.drive.as_ref().map(|(_, name)| name),
        "path": it.path,
        "kind": if it.entry.is_folder() { "folder" } else { "file" },
        "size": it.entry.size(),
        "at_ms": it.at.0,
        "act": it.act.map(|act| act.as_str()),
    })
}
