//! `atoll upload`: files and folders from here into the drive.

use super::plan::{Job, Work, collect, place, split};
use super::progress::{Part, Progress};
use super::tally::{Fate, Tally};
use super::{hash_file, interrupted, parallel, paths};
use crate::cli::DriveArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::Args;
use client::remote::{FileCondition, Remote, RemoteError, UploadTarget};
use futures::StreamExt;
use futures::stream;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;
use types::WallMillis;

/// Files up to this size are sent at once, without asking first whether they are there.
const ASK_FIRST_BYTES: u64 = 256 * 1024;

/// Upload files and folders
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll upload report.pdf               to /report.pdf
  atoll upload photos                   the folder, with everything in it, to /photos
  atoll upload photos /2026             to /2026/photos
  atoll upload photos/ /2026/summer     what is in photos, to /2026/summer
  atoll upload a.txt b.txt /notes       into the folder /notes
  atoll upload report.pdf /final.pdf    under another name (into it, if /final.pdf is a folder)
  pg_dump db | atoll upload - /db.sql   from a pipe

A folder goes into DEST under its own name; with a slash behind it, what is in it does.
Folders that are missing there are made. What is there already, unchanged, is skipped, and only
missing pieces are sent: after an interruption, run the same command again.

The last argument is DEST when it begins with / and is not a file here, or is not here at all;
--to says so for certain.")]
pub struct UploadArgs {
    /// Files and folders, and perhaps where to
    #[arg(value_name = "FILE|FOLDER… [DEST]", required = true)]
    pub sources: Vec<PathBuf>,
    /// Where to, in the drive; everything else is then a file or folder here
    #[arg(long, value_name = "DEST")]
    pub to: Option<String>,
    /// Replace files that differ (a new version)
    #[arg(long, short)]
    pub force: bool,
    /// Files at a time
    #[arg(long, short = 'j', value_name = "N", default_value = "16", value_parser = parallel)]
    pub jobs: usize,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Uploads.
pub async fn run(args: UploadArgs) -> Outcome {
    let (sources, to) = split(&args)?;
    let remote = session::connect_in(&args.drive).await?;
    if sources.len() == 1 && sources[0].as_os_str() == "-" {
        return from_pipe(&remote, to, args.force, args.json).await;
    }
    let mut stop = std::pin::pin!(interrupted());
    let progress = Progress::new("uploading", !args.json);
    let mut tally = Tally::new(args.json);
    let mut work = Work::default();
    let placed = tokio::select! {
        placed = place(&remote, &sources, to) => placed?,
        () = &mut stop => return Err(tally.stopped(None)),
    };
    for (local, target) in placed {
        collect(&local, &target, &mut work, &mut tally, &progress);
    }
    let total = work.jobs.len() as u64;
    progress.expect(work.jobs.iter().map(|job| job.size).sum());
    let mut under_way = stream::iter(work.jobs.into_iter().map(|job| {
        let (remote, progress) = (remote.clone(), progress.clone());
        async move {
            progress.name(&job.remote);
            let fate = send(&remote, &job, args.force, &progress).await.unwrap_or_else(Fate::Failed);
            (job.remote, fate)
        }
    }))
    .buffer_unordered(args.jobs);
    loop {
        tokio::select! {
            ended = under_way.next() => match ended {
                Some((name, fate)) => tally.add(&name, fate, &progress),
                None => break,
            },
            () = &mut stop => {
                progress.finish();
                return Err(tally.stopped(Some(total)));
            }
        }
    }
    for folder in work.empty {
        let made = tokio::select! {
            made = remote.make_folder(&folder, true) => made,
            () = &mut stop => {
                progress.finish();
                return Err(tally.stopped(Some(total)));
            }
        };
        if let Err(error) = made {
            tally.add(&folder, Fate::Failed(error.into()), &progress);
        }
    }
    progress.finish();
    tally.finish("Uploaded")
}

/// Sends one file, unless it is there already.
async fn send(remote: &Remote, job: &Job, force: bool, progress: &Progress) -> Outcome<Fate> {
    // A small or surely new file is sent at once: whether it was there shows by itself.
    let ask_first = job.size > ASK_FIRST_BYTES;
    let mut condition = FileCondition::Absent;
    if ask_first {
        match compare(remote, job, force).await? {
            Some(holds) => condition = holds,
            None => {
                progress.add(job.size);
                return Ok(Fate::Same { bytes: job.size });
            }
        }
    }
    match transfer(remote, job, condition, progress).await {
        Err(Failure::Remote(RemoteError::Exists(_))) if !ask_first => match compare(remote, job, force).await? {
            Some(condition) => transfer(remote, job, condition, progress).await,
            None => {
                progress.add(job.size);
                Ok(Fate::Same { bytes: job.size })
            }
        },
        other => other,
    }
}

/// What must hold for the file to be put there; none: it is there already, the same.
async fn compare(remote: &Remote, job: &Job, force: bool) -> Outcome<Option<FileCondition>> {
    let entry = match remote.stat(&job.remote).await {
        Ok(entry) => entry,
        Err(RemoteError::NotFound(_)) => return Ok(Some(FileCondition::Absent)),
        Err(error) => return Err(error.into()),
    };
    let Some(there) = entry.file() else {
        return Err(Failure::failed(format!("{} is a folder", job.remote)).safe("nothing was changed"));
    };
    let local = |error: std::io::Error| Failure::io(format!("cannot read {}", job.local.display()), &error);
    let size = std::fs::metadata(&job.local).map_err(local)?.len();
    if there.size == size && hash_file(&job.local).await.map_err(local)? == there.hash {
        return Ok(None);
    }
    if force {
        return Ok(Some(FileCondition::Replaces(there.version)));
    }
    Err(Failure::failed(format!("{} is there already, and differs", job.remote))
        .safe("the one there was not changed")
        .next("--force replaces it, as a new version"))
}

async fn transfer(remote: &Remote, job: &Job, condition: FileCondition, progress: &Progress) -> Outcome<Fate> {
    let target = UploadTarget { condition, parents: true, ..UploadTarget::new(job.remote.clone()) };
    let mut part = Part::new(progress);
    let mut before = 0;
    let sent = remote.upload_file(&job.local, &target, |at| {
        before = at.done.saturating_sub(at.sent);
        part.at(at.done);
    });
    let entry = sent.await?;
    part.at(job.size);
    Ok(Fate::Done { bytes: entry.size(), before })
}

async fn from_pipe(remote: &Remote, to: Option<String>, force: bool, json: bool) -> Outcome {
    let to =
        to.ok_or_else(|| Failure::usage("where to? Standard input has no name").next("atoll upload - /name.txt"))?;
    let path = paths::absolute(&to)?;
    let condition = if force { FileCondition::Any } else { FileCondition::Absent };
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let modified = Some(WallMillis(now));
    let target = UploadTarget { condition, modified, parents: true, ..UploadTarget::new(path.clone()) };
    let progress = Progress::new("uploading", !json);
    progress.name(&path);
    let mut part = Part::new(&progress);
    let sent = tokio::select! {
        sent = remote.upload(tokio::io::stdin(), &target, |at| part.at(at.done)) => sent,
        () = interrupted() => {
            progress.finish();
            return Err(Failure::Stopped(format!("stopped: {path} was not made")));
        }
    };
    progress.finish();
    let bytes = sent?.size();
    if json {
        return output::json(
            &serde_json::json!({"done": 1, "bytes": bytes, "items": [{"path": path, "result": "done", "bytes": bytes}]}),
        );
    }
    output::line(format!("Uploaded {path}, {}", output::size(bytes)))
}
