//! `atoll delete`.

use super::paths;
use super::rename::{act_all, shown};
use crate::cli::DriveArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::Args;
use client::remote::Act;
use serde_json::json;

/// Delete files and folders: they go to the trash
#[derive(Args, Debug)]
#[command(
    visible_alias = "rm",
    after_help = "Examples:
  atoll delete /notes.txt /old.txt
  atoll delete -r /photos          with everything in it, at once
  atoll trash list                 what can come back"
)]
pub struct DeleteArgs {
    /// What, in the drive
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// Folders too, with everything in them
    #[arg(long, short)]
    pub recursive: bool,
    /// Past the trash, for good
    #[arg(long)]
    pub permanently: bool,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Deletes, one after the other. For good: the first that fails ends it.
pub async fn run(args: DeleteArgs) -> Outcome {
    let targets: Vec<String> = args.paths.iter().map(|path| paths::absolute(path)).collect::<Outcome<_>>()?;
    if targets.iter().any(|path| path == "/") {
        return Err(Failure::usage("that would be the whole drive").next("name the folders in it: atoll ls"));
    }
    let remote = session::connect_in(&args.drive).await?;
    let mut deleted = Vec::new();
    if !args.permanently {
        let acts: Vec<_> = targets.iter().map(|path| (path.clone(), Act::trash(path, args.recursive))).collect();
        return act_all(&remote, &acts, args.json, |path, _| format!("Moved {} to the trash", shown(path)))
            .await
            .map(drop);
    }
    for path in &targets {
        if let Err(error) = remote.remove(path, args.recursive).await {
            if args.json {
                output::json(&json!({"deleted": deleted}))?;
            }
            return Err(error.into());
        }
        deleted.push(path);
        if !args.json {
            output::line(format!("Deleted {path}"))?;
        }
    }
    if args.json { output::json(&json!({"deleted": deleted})) } else { Ok(()) }
}
