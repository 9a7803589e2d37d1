//! What can come back: `atoll trash` and `atoll versions`; and `atoll jobs`, `atoll find`.

use super::rename::{ClashArgs, act_all, shown};
use super::{last_name, paths};
use crate::cli::{DriveArgs, confirm};
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::{Args, Subcommand};
use client::remote::{Act, DownloadOptions, FileVersion, HeldProgram, JobState, Remote, Trashed};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What was deleted, and can come back
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll trash list
  atoll trash restore /notes.txt           by where it was (the latest of that place), or by its id
  atoll trash empty")]
pub struct TrashArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TrashCommand,
}

/// What can be done with the trash.
#[derive(Subcommand, Debug)]
pub enum TrashCommand {
    /// List it, the latest first
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Bring things back to where they were
    Restore {
        /// Ids, or paths where they were
        #[arg(required = true)]
        what: Vec<String>,
        /// To this path instead
        #[arg(long, value_name = "PATH")]
        to: Option<String>,
        #[command(flatten)]
        clash: ClashArgs,
        /// Result as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Remove some of it for good
    Delete {
        /// Ids, or paths where they were
        #[arg(required = true)]
        what: Vec<String>,
        /// Result as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Programs that removed unusually much within an hour, and may remove nothing until you say so
    Held {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Put back everything that a held program removed
    PutBack {
        /// Its id, as `atoll trash held` shows it
        id: String,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Let a held program go on removing, for an hour unasked
    LetGo {
        /// Its id, as `atoll trash held` shows it
        id: String,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Remove all of it for good
    Empty {
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
}

async fn in_trash(remote: &Remote) -> Outcome<Vec<Trashed>> {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let (items, next) = remote.trash(page.as_deref()).await?;
        all.extend(items);
        page = next;
        if page.is_none() {
            return Ok(all);
        }
    }
}

/// The ids of what was named.
async fn ids(remote: &Remote, what: &[String]) -> Outcome<Vec<(String, [u8; 16])>> {
    let all = in_trash(remote).await?;
    let found = what.iter().map(|text| {
        let path = paths::absolute(text)?;
        let it = all.iter().find(|it| output::hex(&it.id) == *text || it.path == path);
        let it = it.ok_or_else(|| {
            Failure::failed(format!("{text} is not in the trash")).safe("nothing was changed").next("atoll trash list")
        })?;
        Ok((it.path.clone(), it.id))
    });
    found.collect()
}

/// `atoll trash`.
pub async fn trash(args: TrashArgs) -> Outcome {
    match args.command {
        TrashCommand::List { json, drive } => {
            let all = in_trash(&session::connect_in(&drive).await?).await?;
            if json {
                let rows = all.iter().map(|it| {
                    json!({
                        "id": output::hex(&it.id), "path": it.path, "size": it.entry.size(),
                        "kind": if it.entry.is_folder() { "folder" } else { "file" },
                        "at_ms": it.at.0, "until_ms": it.until.0, "by": it.by,
                    })
                });
                return output::json(&rows.collect::<Vec<_>>());
            }
            for it in &all {
                let slash = if it.entry.is_folder() { "/" } else { "" };
                let path = output::printable(it.path.as_bytes());
                output::line(format!("{}  {}  {path}{slash}", output::hex(&it.id), output::date(it.at)))?;
            }
            Ok(())
        }
        TrashCommand::Restore { what, to, clash, json, drive } => {
            let to = to.map(|to| paths::absolute(&to)).transpose()?;
            if to.is_some() && what.len() > 1 {
                return Err(Failure::usage("--to is for one thing alone"));
            }
            let remote = session::connect_in(&drive).await?;
            let acts = ids(&remote, &what).await?.into_iter();
            let acts: Vec<_> = acts.map(|(path, id)| (path, Act::restore(id, to.as_deref(), clash.rule()))).collect();
            let say = |path: &str, done: &client::remote::Done| match &done.path {
                Some(now) => format!("{} is back", shown(now)),
                None => format!("{} stays in the trash: its name is taken", shown(path)),
            };
            act_all(&remote, &acts, json, say).await.map(drop)
        }
        TrashCommand::Delete { what, json, drive } => {
            let remote = session::connect_in(&drive).await?;
            let acts = ids(&remote, &what).await?.into_iter();
            let acts: Vec<_> = acts.map(|(path, id)| (path, Act::purge(id))).collect();
            act_all(&remote, &acts, json, |path, _| format!("{} is gone for good", shown(path))).await.map(drop)
        }
        TrashCommand::Held { json, drive } => {
            let all = session::connect_in(&drive).await?.held().await?;
            if json {
                let row = |it: &HeldProgram| json!({"id": it.id, "program": it.program, "since_ms": it.since.0});
                return output::json(&all.iter().map(row).collect::<Vec<_>>());
            }
            for it in &all {
                let program = output::printable(it.program.as_bytes());
                output::line(format!("{}  {}  {program}", it.id, output::date(it.since)))?;
            }
            Ok(())
        }
        TrashCommand::PutBack { id, drive } => {
            let (restored, left) = session::connect_in(&drive).await?.put_back(&id).await?;
            output::line(format!("{} back", output::count(restored, "item")))?;
            match left {
                0 => Ok(()),
                left => Err(Failure::failed(format!(
                    "{} could not be put back by itself, and is in the trash: `atoll trash list`",
                    output::count(left, "item")
                ))),
            }
        }
        TrashCommand::LetGo { id, drive } => {
            session::connect_in(&drive).await?.let_go(&id).await?;
            output::line("it may go on, for an hour unasked")
        }
        TrashCommand::Empty { yes, drive } => {
            confirm("Everything in the trash goes for good.", yes)?;
            let removed = session::connect_in(&drive).await?.empty_trash().await?;
            output::line(format!("{} gone for good", output::count(removed, "item")))
        }
    }
}

/// Earlier versions of a file
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll versions list /notes.txt
  atoll versions restore /notes.txt VERSION
  atoll versions get /notes.txt VERSION old-notes.txt")]
pub struct VersionsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: VersionsCommand,
}

/// What can be done with versions.
#[derive(Subcommand, Debug)]
pub enum VersionsCommand {
    /// List them, the latest first
    List {
        /// The file, in the drive
        path: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Make one the current one; what is current becomes an earlier one
    Restore {
        /// The file, in the drive
        path: String,
        /// Which, as listed
        version: FileVersion,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Fetch one
    Get {
        /// The file, in the drive
        path: String,
        /// Which, as listed
        version: FileVersion,
        /// The local file to make
        into: PathBuf,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Remove one for good
    Delete {
        /// The file, in the drive
        path: String,
        /// Which, as listed
        version: FileVersion,
        #[command(flatten)]
        drive: DriveArgs,
    },
}

/// `atoll versions`.
pub async fn versions(args: VersionsArgs) -> Outcome {
    match args.command {
        VersionsCommand::List { path, json, drive } => {
            let path = paths::absolute(&path)?;
            let all = session::connect_in(&drive).await?.versions(&path).await?;
            if json {
                let rows = all.iter().map(|it| {
                    json!({
                        "version": it.version.to_string(), "size": it.size, "saved_ms": it.saved.0,
                        "hash": it.hash.to_string(), "current": it.current, "by": it.by,
                    })
                });
                return output::json(&rows.collect::<Vec<_>>());
            }
            for it in all {
                let now = if it.current { "  current" } else { "" };
                let by = it.by.map(|by| format!("  by {}", output::printable(by.as_bytes()))).unwrap_or_default();
                output::line(format!("{}  {:>14}  {}{by}{now}", it.version, it.size, output::date(it.saved)))?;
            }
            Ok(())
        }
        VersionsCommand::Restore { path, version, drive } => {
            let path = paths::absolute(&path)?;
            session::connect_in(&drive).await?.act(Act::restore_version(&path, version)).await?;
            output::line(format!("{} is as it was in version {version}", shown(&path)))
        }
        VersionsCommand::Get { path, version, into, drive } => {
            let path = paths::absolute(&path)?;
            last_name(&path)?;
            let remote = session::connect_in(&drive).await?;
            let local = shown(&into.display().to_string());
            let failed = |error: std::io::Error| Failure::io(format!("cannot write {local}"), &error);
            // Nobody else's, and no link that somebody put there.
            let part = into.with_added_extension(format!("{:08x}.part", rand::random::<u32>()));
            let new = tokio::fs::File::options().write(true).create_new(true).open(&part).await;
            let mut file = new.map_err(failed)?;
            let options = DownloadOptions { version: Some(version), ..DownloadOptions::default() };
            let fetched = remote.download(&path, &mut file, &options, |_| ()).await;
            let synced = file.sync_all().await;
            if fetched.is_err() || synced.is_err() {
                drop(tokio::fs::remove_file(&part).await);
            }
            fetched?;
            synced.map_err(failed)?;
            // Never over something that is there.
            let named = name_it(&part, &into).await;
            drop(tokio::fs::remove_file(&part).await);
            named.map_err(failed)?;
            output::line(format!("Saved as {local}"))
        }
        VersionsCommand::Delete { path, version, drive } => {
            let path = paths::absolute(&path)?;
            session::connect_in(&drive).await?.remove_version(&path, version).await?;
            output::line(format!("Version {version} of {} is gone for good", shown(&path)))
        }
    }
}

/// Gives the file its name, unless something has it: by a link, or where there are none, as a copy.
async fn name_it(part: &Path, into: &Path) -> std::io::Result<()> {
    match tokio::fs::hard_link(part, into).await {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {}
        linked => return linked,
    }
    let mut whole = tokio::fs::File::open(part).await?;
    let mut file = tokio::fs::File::options().write(true).create_new(true).open(into).await?;
    let copied = match tokio::io::copy(&mut whole, &mut file).await {
        Ok(_) => file.sync_all().await,
        Err(error) => Err(error),
    };
    if copied.is_err() {
        drop(tokio::fs::remove_file(into).await);
    }
    copied
}

/// What the cluster does by itself: folders that are being copied
#[derive(Args, Debug)]
pub struct JobsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: JobsCommand,
}

/// What can be done with jobs.
#[derive(Subcommand, Debug)]
pub enum JobsCommand {
    /// List those under way, and those that ended within a day
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        drive: DriveArgs,
    },
    /// Stop one: what it has made goes
    Cancel {
        /// Which, as listed
        job: FileVersion,
        #[command(flatten)]
        drive: DriveArgs,
    },
}

fn state(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// `atoll jobs`.
pub async fn jobs(args: JobsArgs) -> Outcome {
    match args.command {
        JobsCommand::List { json, drive } => {
            let all = session::connect_in(&drive).await?.jobs().await?;
            if json {
                let rows = all.iter().map(|it| {
                    json!({
                        "id": output::hex(&it.id), "state": state(it.state), "from": it.from, "to": it.to,
                        "done": it.done, "found": it.found, "bytes": it.bytes, "problem": it.problem,
                    })
                });
                return output::json(&rows.collect::<Vec<_>>());
            }
            for it in all {
                let (id, how) = (output::hex(&it.id), state(it.state));
                let (from, to) = (shown(&it.from), shown(&it.to));
                output::line(format!("{id}  {how:9}  {}/{}  {from} to {to}", it.done, it.found))?;
            }
            Ok(())
        }
        JobsCommand::Cancel { job, drive } => {
            let ended = session::connect_in(&drive).await?.cancel_job(job.0).await?;
            output::line(format!("The copy of {} is {}", shown(&ended.from), state(ended.state)))
        }
    }
}

/// Find files and folders by their names, in any case
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  atoll find report           names that have it anywhere\n  atoll find --begins rep     names that begin so: faster in a large drive\n  atoll find --text tide reef  texts, PDFs, pages and office files in which all these words stand"
)]
pub struct FindArgs {
    /// A part of the name; with --text, words or their beginnings
    #[arg(required = true)]
    pub text: Vec<String>,
    /// Files by the words in them, the best first
    #[arg(long = "text", conflicts_with = "begins")]
    pub in_text: bool,
    /// Names that begin with it
    #[arg(long)]
    pub begins: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// `atoll find`.
pub async fn find(args: FindArgs) -> Outcome {
    let remote = session::connect_in(&args.drive).await?;
    let (mut page, mut rows) = (None, Vec::new());
    let text = args.text.join(" ");
    loop {
        let (found, next) = match args.in_text {
            true => remote.find_text(&text, page.as_deref()).await?,
            false => remote.search(&text, !args.begins, page.as_deref()).await?,
        };
        for it in found {
            let kind = if it.entry.is_folder() { "folder" } else { "file" };
            if args.json {
                let mut row = json!({"path": it.path, "kind": kind, "size": it.entry.size()});
                if args.in_text {
                    row["passage"] = it.passage.iter().map(|(text, hit)| json!({"text": text, "hit": hit})).collect();
                }
                rows.push(row);
            } else {
                let slash = if it.entry.is_folder() { "/" } else { "" };
                output::line(format!("{}{slash}", output::printable(it.path.as_bytes())))?;
                let passage: String = it.passage.iter().map(|(text, _)| text.as_str()).collect();
                if !passage.is_empty() {
                    output::line(format!("    {}", output::printable(passage.trim().as_bytes())))?;
                }
            }
        }
        page = next;
        if page.is_none() {
            return if args.json { output::json(&rows) } else { Ok(()) };
        }
    }
}
