//! `atoll copies`.

use super::paths;
use super::progress::{Part, Progress};
use crate::cli::DriveArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::Args;
use client::Copies;
use serde_json::{Value, json};

/// Tell how many machines have a file intact, and since when that is known
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll copies /plan.txt
  atoll copies /film.mkv --verify     every machine reads what it has of it, now

A small file is part of its entry and has no checksum of its own: who holds it is told, and no time
of verifying. What a machine read within the last ten minutes it does not read again.
Exit code 1 when a machine lacks or has damaged what it should have, 3 when it is only that some
could not be asked.")]
pub struct CopiesArgs {
    /// File in the drive
    pub path: String,
    /// Have every copy read and compared with its checksum now; what is damaged is mended
    #[arg(long)]
    pub verify: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Looks at the file part by part.
pub async fn run(args: CopiesArgs) -> Outcome {
    let path = paths::absolute(&args.path)?;
    let remote = session::connect_in(&args.drive).await?;
    let progress = Progress::new("verifying", args.verify && !args.json);
    let mut done = Part::new(&progress);
    progress.expect(remote.stat(&path).await?.size());
    let (mut version, mut copies) = remote.count_copies(&path, 0, None, args.verify).await?;
    while let Some(from) = copies.next {
        done.at(copies.upto);
        let later;
        (version, later) = remote.count_copies(&path, from, Some(version), args.verify).await?;
        copies = copies.and(later);
    }
    progress.finish();
    if args.json {
        output::json(&to_json(&path, &copies))?;
    } else {
        text(&copies).iter().try_for_each(output::line)?;
    }
    let what = match copies.untold() {
        true => "how many copies are intact is not known".to_string(),
        false => format!("{} of {} copies are known to be intact", copies.intact, copies.wanted),
    };
    if copies.lacking() {
        let next = "what is damaged or missing is mended by itself while its machine is up; look again shortly";
        return Err(Failure::failed(what).next(next));
    }
    if copies.intact < copies.wanted {
        let next = "some machines could not be asked: `atoll cluster status` tells how they are".to_string();
        return Err(Failure::Unknown { what, next: Some(next) });
    }
    Ok(())
}

fn text(copies: &Copies) -> Vec<String> {
    let verified = copies.verified.map_or(String::new(), |at| format!(", verified {} or later", output::date(at)));
    let mut lines = match copies.blocks {
        _ if copies.untold() => vec!["not known: its machines could not be asked just now".to_string()],
        0 => vec![format!("{} of {} copies present", copies.intact, copies.wanted)],
        _ => vec![format!("{} of {} copies intact{verified}", copies.intact, copies.wanted)],
    };
    for (node, said) in &copies.nodes {
        for (count, what) in [
            (said.damaged, "damaged: it is mending them"),
            (said.absent, "missing"),
            (said.unknown, "not known: it could not be asked"),
        ] {
            if count > 0 {
                lines.push(format!("node {node}: {count} of {} {what}", copies.looked));
            }
        }
    }
    lines
}

fn to_json(path: &str, copies: &Copies) -> Value {
    let nodes = copies.nodes.iter().map(|(node, said)| {
        json!({"node": node, "intact": said.intact, "damaged": said.damaged, "absent": said.absent, "unknown": said.unknown})
    });
    json!({
        "path": path, "intact": copies.intact, "wanted": copies.wanted, "looked": copies.looked, "blocks": copies.blocks,
        "verified_ms": copies.verified.map(|at| at.0), "nodes": nodes.collect::<Vec<_>>(),
    })
}
