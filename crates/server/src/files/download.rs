//! `atoll download`: files and folders from the drive to here.

use super::progress::{Part, Progress};
use super::tally::{Fate, Tally};
use super::{hash_file, interrupted, last_name, parallel, paths};
use crate::cli::DriveArgs;
use crate::failure::{Failure, Outcome};
use crate::session;
use clap::Args;
use client::remote::{DownloadOptions, Entry, Expect, FileInfo, Remote, RemoteError};
use futures::{StreamExt, stream};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use types::WallMillis;

/// Download a file or a folder
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll download /report.pdf              to ./report.pdf
  atoll download /photos                  the folder, with everything in it, to ./photos
  atoll download /photos /backup          to /backup/photos
  atoll download /photos/ /backup         what is in /photos, to /backup
  atoll download /report.pdf /tmp/r.pdf   under another name (into it, if it is a folder)
  atoll download /db.sql - | psql db      to a pipe

A folder goes into DEST under its own name; with a slash behind it, what is in it does.
A file appears under its name only when it is whole and on disk; until then it is
NAME.….part. What is here already, unchanged, is skipped, and an interrupted download goes
on where it stopped: run the same command again.")]
pub struct DownloadArgs {
    /// File or folder in the drive
    pub path: String,
    /// Where to; `-` is standard output [default: here, under the same name]
    pub dest: Option<PathBuf>,
    /// Replace files here that differ
    #[arg(long, short)]
    pub force: bool,
    /// Files at a time
    #[arg(long, short = 'j', value_name = "N", default_value = "8", value_parser = parallel)]
    pub jobs: usize,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

struct Job {
    remote: String,
    local: PathBuf,
    file: FileInfo,
    modified: WallMillis,
}

/// Downloads.
pub async fn run(args: DownloadArgs) -> Outcome {
    let path = paths::absolute(&args.path)?;
    let remote = session::connect_in(&args.drive).await?;
    let entry = if path == "/" { None } else { Some(remote.stat(&path).await?) };
    if args.dest.as_ref().is_some_and(|dest| dest.as_os_str() == "-") {
        return to_pipe(&remote, &path, entry.as_ref()).await;
    }
    let name = if path == "/" { "drive" } else { last_name(&path)? };
    // The same place however often it is asked: a command that is run again goes on where it stopped.
    let local = match (args.dest, &entry) {
        (None, _) => PathBuf::from(name),
        (Some(dest), entry) if entry.as_ref().is_none_or(Entry::is_folder) => {
            if args.path.ends_with('/') {
                dest
            } else {
                dest.join(name)
            }
        }
        (Some(dest), _) if dest.is_dir() || paths::has_slash(&dest) => dest.join(name),
        (Some(dest), _) => dest,
    };
    let mut stop = std::pin::pin!(interrupted());
    let progress = Progress::new("downloading", !args.json);
    let mut tally = Tally::new(args.json);
    let mut jobs = Vec::new();
    match entry {
        Some(Entry { kind: client::remote::EntryKind::File(file), modified, .. }) => {
            if let Some(folder) = local.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                make_folder(folder)?;
            }
            jobs.push(Job { remote: path, local, file, modified });
        }
        _ => {
            let listed = tokio::select! {
                listed = collect(&remote, path, local, &mut jobs, &mut tally, &progress) => Some(listed),
                () = &mut stop => None,
            };
            match listed {
                Some(listed) => listed?,
                None => return Err(tally.stopped(None)),
            }
        }
    }
    let total = jobs.len() as u64;
    progress.expect(jobs.iter().map(|job| job.file.size).sum());
    let force = args.force;
    let mut under_way = stream::iter(jobs.into_iter().map(|job| {
        let (remote, progress) = (remote.clone(), progress.clone());
        async move {
            progress.name(&job.remote);
            let fate = fetch(&remote, &job, force, &progress).await.unwrap_or_else(Fate::Failed);
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
    progress.finish();
    tally.finish("Downloaded")
}

/// Walks a folder, makes its folders here, and lists its files.
async fn collect(
    remote: &Remote,
    path: String,
    local: PathBuf,
    jobs: &mut Vec<Job>,
    tally: &mut Tally,
    progress: &Progress,
) -> Outcome {
    let mut folders = vec![(path, local)];
    while let Some((path, local)) = folders.pop() {
        make_folder(&local)?;
        let mut page = None;
        loop {
            let listed = remote.list_folder(&path, page.as_deref(), 0).await?;
            for entry in listed.entries {
                let place = paths::join(&path, &entry.name);
                if !paths::is_safe_name(&entry.name) {
                    let why = Failure::failed("its name could lead out of the folder");
                    tally.add(&place, Fate::Failed(why), progress);
                    continue;
                }
                let here = local.join(&entry.name);
                match entry.file().cloned() {
                    Some(file) => jobs.push(Job { remote: place, local: here, file, modified: entry.modified }),
                    None => folders.push((place, here)),
                }
            }
            page = listed.next;
            if page.is_none() {
                break;
            }
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> Outcome {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::io(format!("cannot make the folder {}", path.display()), &error))
}

async fn fetch(remote: &Remote, job: &Job, force: bool, progress: &Progress) -> Outcome<Fate> {
    let here = job.local.display();
    match std::fs::metadata(&job.local) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::io(format!("cannot look at {here}"), &error)),
        Ok(about) if about.is_dir() => {
            return Err(Failure::failed(format!("{here} is a folder")).safe("it was not changed"));
        }
        Ok(about) => {
            let same = about.len() == job.file.size
                && hash_file(&job.local).await.map_err(|error| Failure::io(format!("cannot read {here}"), &error))?
                    == job.file.hash;
            if same {
                progress.add(job.file.size);
                return Ok(Fate::Same { bytes: job.file.size });
            }
            if !force {
                return Err(Failure::failed(format!("{here} is here already, and differs"))
                    .safe("it was not changed")
                    .next("--force replaces it"));
            }
        }
    }
    let mut part = Part::new(progress);
    let part_path = part_path(job);
    // A part that turns out bad, by a crash of this machine, is fetched once more from its beginning.
    let mut before = fetch_part(remote, job, &part_path, &mut part).await?;
    // What was put together from parts has no hash of the whole: it is not gone on with.
    if before > 0 && (job.file.composed || hash_of(&part_path).await? != job.file.hash) {
        std::fs::remove_file(&part_path)
            .map_err(|error| Failure::io(format!("cannot remove {}", part_path.display()), &error))?;
        before = fetch_part(remote, job, &part_path, &mut part).await?;
    }
    let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(job.modified.0);
    let local = job.local.clone();
    tokio::task::spawn_blocking(move || publish(&part_path, &local, modified))
        .await
        .map_err(io::Error::other)
        .and_then(|result| result)
        .map_err(|error| Failure::io(format!("cannot finish {here}"), &error))?;
    Ok(Fate::Done { bytes: job.file.size, before })
}

async fn hash_of(path: &Path) -> Outcome<types::BlockHash> {
    hash_file(path).await.map_err(|error| Failure::io(format!("cannot read {}", path.display()), &error))
}

/// Named after the version that it is a part of, so that it is never continued with another.
fn part_path(job: &Job) -> PathBuf {
    let version: String = job.file.version.to_string().chars().take(12).collect();
    let mut name = job.local.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{version}.part"));
    job.local.with_file_name(name)
}

/// Fetches what the part lacks. Gives how many bytes it held before.
async fn fetch_part(remote: &Remote, job: &Job, path: &Path, progress: &mut Part) -> Outcome<u64> {
    let failed = |error: io::Error| Failure::io(format!("cannot write {}", path.display()), &error);
    let mut file =
        tokio::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).await.map_err(failed)?;
    let mut offset = file.metadata().await.map_err(failed)?.len();
    if offset > job.file.size {
        file.set_len(0).await.map_err(failed)?;
        offset = 0;
    }
    progress.at(offset);
    if offset < job.file.size || job.file.size == 0 {
        file.seek(io::SeekFrom::Start(offset)).await.map_err(failed)?;
        let options =
            DownloadOptions { offset, expect: Some(Expect::Version(job.file.version)), ..DownloadOptions::default() };
        remote.download(&job.remote, &mut file, &options, |at| progress.at(at.done)).await?;
    }
    file.flush().await.map_err(failed)?;
    Ok(offset)
}

/// Makes the part durable, then gives it its name.
fn publish(part: &Path, local: &Path, modified: SystemTime) -> io::Result<()> {
    let file = File::options().write(true).open(part)?;
    file.set_modified(modified)?;
    file.sync_all()?;
    std::fs::rename(part, local)?;
    let folder = local.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

async fn to_pipe(remote: &Remote, path: &str, entry: Option<&Entry>) -> Outcome {
    if entry.is_none_or(Entry::is_folder) {
        return Err(Failure::usage(format!("{path} is a folder; only a file can go to standard output")));
    }
    let mut out = tokio::io::stdout();
    match remote.download(path, &mut out, &DownloadOptions::default(), |_| ()).await {
        Err(RemoteError::Local(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(error) => Err(error.into()),
        Ok(_) => out.flush().await.map_err(|error| Failure::io("cannot write", &error)),
    }
}
