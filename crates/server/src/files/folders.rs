//! `atoll mkdir`.

use super::{last_name, paths};
use crate::cli::DriveArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::Args;
use client::remote::RemoteError;

/// Make folders
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  atoll mkdir -p /2026/summer")]
pub struct MkdirArgs {
    /// Which, in the drive
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// Those above too; it is fine if it is there already
    #[arg(long, short)]
    pub parents: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Makes them.
pub async fn run(args: MkdirArgs) -> Outcome {
    let targets: Vec<String> = args.paths.iter().map(|path| paths::absolute(path)).collect::<Outcome<_>>()?;
    targets.iter().try_for_each(|path| last_name(path).map(drop))?;
    let remote = session::connect_in(&args.drive).await?;
    for path in targets {
        match remote.make_folder(&path, args.parents).await {
            Err(RemoteError::NotFound(_)) if !args.parents => {
                return Err(Failure::failed(format!("there is no folder {}", paths::parent(&path)))
                    .safe("nothing was changed")
                    .next(format!("atoll mkdir -p {path}   makes it too")));
            }
            made => made?,
        };
        output::line(format!("Made {path}"))?;
    }
    Ok(())
}
