//! `atoll mv`.

use super::{last_name, paths};
use crate::cli::ServerArgs;
use crate::failure::Outcome;
use crate::{output, session};
use clap::Args;
use client::remote::RemoteError;

/// Move or rename a file or folder
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll mv /a.txt /b.txt        a new name
  atoll mv /a.txt /notes        into a folder
  atoll mv /photos /2026        a folder of any size moves at once")]
pub struct MoveArgs {
    /// What, in the drive
    pub from: String,
    /// Its new path, or the folder to put it in
    pub to: String,
    /// Replace a file that is there
    #[arg(long, short)]
    pub force: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Moves.
pub async fn run(args: MoveArgs) -> Outcome {
    let from = paths::absolute(&args.from)?;
    let name = last_name(&from)?;
    let mut to = paths::absolute(&args.to)?;
    let remote = session::connect(&args.server).await?;
    let into = args.to.ends_with('/')
        || to == "/"
        || match remote.stat(&to).await {
            // Onto itself: a change of case only, or nothing.
            Ok(entry) => entry.is_folder() && to != from,
            Err(RemoteError::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
    if into {
        to = paths::join(&to, name);
    }
    remote.rename(&from, &to, args.force).await?;
    output::line(format!("{from} is now {to}"))
}
