//! `atoll upload`: files and folders from here into the drive.

use super::progress::{Part, Progress};
use super::tally::{Fate, Tally};
use super::{hash_file, parallel, paths};
use crate::cli::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::Args;
use client::remote::{FileCondition, Remote, RemoteError, UploadTarget};
use futures::StreamExt;
use futures::stream;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use types::WallMillis;
use walkdir::WalkDir;

/// Files up to this size are sent at once, without asking first whether they are there.
const ASK_FIRST_BYTES: u64 = 256 * 1024;

/// Upload files and folders
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll upload report.pdf               to /report.pdf
  atoll upload photos                   the folder, with everything in it, to /photos
  atoll upload a.txt b.txt /notes       into the folder /notes, made if it is not there
  atoll upload photos /2026/summer      the folder photos, as /2026/summer (into it, if it exists)
  pg_dump db | atoll upload - /db.sql   from a pipe

The last argument is the destination when it begins with / and is not a file here, or is not here at all;
--to says so for certain. What is there already, unchanged, is skipped, and after an interruption only
missing pieces are sent: run the same command again.")]
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
    pub server: ServerArgs,
}

/// A file to send.
struct Job {
    local: PathBuf,
    remote: String,
    size: u64,
    /// Its folder was made just now: it cannot be there yet.
    fresh: bool,
}

/// Which of the arguments are sources, and where they go.
fn split(args: &UploadArgs) -> Outcome<(Vec<PathBuf>, Option<String>)> {
    let mut sources = args.sources.clone();
    if let Some(to) = &args.to {
        return Ok((sources, Some(to.clone())));
    }
    if sources.len() < 2 {
        return Ok((sources, None));
    }
    let Some(last) = sources.pop() else { return Ok((sources, None)) };
    let text = last.to_string_lossy().into_owned();
    match (last.exists(), text.starts_with('/')) {
        (_, true) if text == "/" => Ok((sources, Some(text))),
        (false, _) => Ok((sources, Some(text))),
        (true, false) => {
            sources.push(last);
            Ok((sources, None))
        }
        (true, true) => {
            Err(Failure::usage(format!("is {text} something here, or a place in the drive? It could be both"))
                .next(format!("--to {text} if it is the destination; --to / if all of them are to be uploaded")))
        }
    }
}

/// Uploads.
pub async fn run(args: UploadArgs) -> Outcome {
    let (sources, to) = split(&args)?;
    let remote = session::connect(&args.server).await?;
    if sources.len() == 1 && sources[0].as_os_str() == "-" {
        return from_pipe(&remote, to, args.force, args.json).await;
    }
    let progress = Progress::new("uploading", !args.json);
    let mut tally = Tally::new(args.json);
    let placed = place(&remote, &sources, to).await?;
    let mut jobs = Vec::new();
    for (local, target) in placed {
        collect(&remote, &local, &target, args.jobs, &mut jobs, &mut tally, &progress).await?;
    }
    progress.expect(jobs.iter().map(|job| job.size).sum());
    let mut under_way = stream::iter(jobs.into_iter().map(|job| {
        let (remote, progress) = (remote.clone(), progress.clone());
        async move {
            progress.name(&job.remote);
            let fate = send(&remote, &job, args.force, &progress).await.unwrap_or_else(Fate::Failed);
            (job.remote, fate)
        }
    }))
    .buffer_unordered(args.jobs);
    while let Some((name, fate)) = under_way.next().await {
        tally.add(&name, fate, &progress);
    }
    progress.finish();
    tally.finish("Uploaded")
}

/// The place in the drive of each source.
async fn place(remote: &Remote, sources: &[PathBuf], to: Option<String>) -> Outcome<Vec<(PathBuf, String)>> {
    let named = |source: &Path| -> Outcome<String> {
        let full =
            source.canonicalize().map_err(|error| Failure::io(format!("cannot read {}", source.display()), &error))?;
        let name = full.file_name().and_then(|name| name.to_str()).map(str::to_string);
        name.ok_or_else(|| Failure::failed(format!("{} has no name that the drive can hold", source.display())))
    };
    let Some(to) = to else {
        return sources.iter().map(|source| Ok((source.clone(), paths::join("/", &named(source)?)))).collect();
    };
    let folder = paths::absolute(&to)?;
    let into = to.ends_with('/') || folder == "/" || sources.len() > 1 || is_folder(remote, &folder).await?;
    if into {
        // Names first: a source that is not there must not leave an empty folder.
        let placed: Vec<_> = sources
            .iter()
            .map(|source| Ok((source.clone(), paths::join(&folder, &named(source)?))))
            .collect::<Outcome<_>>()?;
        make_folder(remote, &folder).await?;
        return Ok(placed);
    }
    named(&sources[0])?;
    make_folder(remote, paths::parent(&folder)).await?;
    Ok(vec![(sources[0].clone(), folder)])
}

async fn is_folder(remote: &Remote, path: &str) -> Outcome<bool> {
    match remote.stat(path).await {
        Ok(entry) => Ok(entry.is_folder()),
        Err(RemoteError::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn make_folder(remote: &Remote, path: &str) -> Outcome {
    if path != "/" {
        remote.make_folder(path, true).await?;
    }
    Ok(())
}

/// Walks a source, makes its folders there, and lists its files.
async fn collect(
    remote: &Remote,
    source: &Path,
    target: &str,
    jobs_at_once: usize,
    jobs: &mut Vec<Job>,
    tally: &mut Tally,
    progress: &Progress,
) -> Outcome {
    // By depth: a folder is made before those in it, and those beside it at the same time.
    let mut folders: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut files = Vec::new();
    for entry in WalkDir::new(source).follow_root_links(true) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let name = error.path().unwrap_or(source).display().to_string();
                tally.add(&name, Fate::Failed(Failure::failed(error.to_string())), progress);
                continue;
            }
        };
        let name = entry.path().display().to_string();
        let Some(inside) = entry.path().strip_prefix(source).ok().and_then(Path::to_str) else {
            let why = Failure::failed("its name is not text, and the drive's names are").next("rename it");
            tally.add(&name, Fate::Failed(why), progress);
            continue;
        };
        let place = if inside.is_empty() { target.to_string() } else { paths::join(target, inside) };
        if entry.file_type().is_dir() {
            folders.entry(entry.depth()).or_default().push(place);
        } else if entry.file_type().is_file() {
            files.push((entry.into_path(), place));
        } else {
            let what = if entry.path_is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
            tally.add(&name, Fate::LeftOut(what.into()), progress);
        }
    }
    let mut made_now = BTreeSet::new();
    for (_, level) in folders {
        let made: Vec<Outcome<Option<String>>> = stream::iter(level.into_iter().map(|folder| async move {
            match remote.make_folder(&folder, false).await {
                Ok(_) => Ok(Some(folder)),
                Err(RemoteError::Exists(_)) if is_folder(remote, &folder).await? => Ok(None),
                Err(error) => Err(error.into()),
            }
        }))
        .buffer_unordered(jobs_at_once)
        .collect()
        .await;
        for folder in made {
            made_now.extend(folder?);
        }
    }
    for (local, place) in files {
        let size = local.metadata().map_or(0, |about| about.len());
        let fresh = made_now.contains(paths::parent(&place));
        jobs.push(Job { local, remote: place, size, fresh });
    }
    Ok(())
}

/// Sends one file, unless it is there already.
async fn send(remote: &Remote, job: &Job, force: bool, progress: &Progress) -> Outcome<Fate> {
    // A small or surely new file is sent at once: whether it was there shows by itself.
    let ask_first = !job.fresh && job.size > ASK_FIRST_BYTES;
    let mut condition = FileCondition::Absent;
    if ask_first {
        match compare(remote, job, force).await? {
            Some(holds) => condition = holds,
            None => {
                progress.add(job.size);
                return Ok(Fate::Same);
            }
        }
    }
    match transfer(remote, job, condition, progress).await {
        Err(Failure::Remote(RemoteError::Exists(_))) if !ask_first => match compare(remote, job, force).await? {
            Some(condition) => transfer(remote, job, condition, progress).await,
            None => Ok(Fate::Same),
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
    let target = UploadTarget { condition, ..UploadTarget::new(job.remote.clone()) };
    let mut part = Part::new(progress);
    let entry = remote.upload_file(&job.local, &target, |at| part.at(at.done)).await?;
    part.at(job.size);
    Ok(Fate::Done { bytes: entry.size() })
}

async fn from_pipe(remote: &Remote, to: Option<String>, force: bool, json: bool) -> Outcome {
    let to =
        to.ok_or_else(|| Failure::usage("where to? Standard input has no name").next("atoll upload - /name.txt"))?;
    let path = paths::absolute(&to)?;
    make_folder(remote, paths::parent(&path)).await?;
    let condition = if force { FileCondition::Any } else { FileCondition::Absent };
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let target = UploadTarget { condition, modified: Some(WallMillis(now)), ..UploadTarget::new(path.clone()) };
    let progress = Progress::new("uploading", !json);
    progress.name(&path);
    let mut part = Part::new(&progress);
    let sent = remote.upload(tokio::io::stdin(), &target, |at| part.at(at.done)).await;
    progress.finish();
    let bytes = sent?.size();
    if json {
        return output::json(
            &serde_json::json!({"done": 1, "bytes": bytes, "items": [{"path": path, "result": "done", "bytes": bytes}]}),
        );
    }
    output::line(format!("Uploaded {path}, {}", output::size(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parsed(words: &[&str]) -> UploadArgs {
        match Cli::parse_from(["atoll", "upload"].iter().chain(words)).command {
            Command::Upload(args) => args,
            _ => panic!("upload"),
        }
    }

    #[test]
    fn the_destination_is_told_apart_from_sources() {
        let folder = tempfile::tempdir().expect("folder");
        let here = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "x").expect("write");
            path.to_string_lossy().into_owned()
        };
        let (a, b) = (here("a"), here("b"));
        let to = |words: &[&str]| split(&parsed(words)).map(|(sources, to)| (sources.len(), to));
        assert_eq!(to(&[&a]).expect("one"), (1, None));
        assert_eq!(to(&[&a, "/docs"]).expect("absolute"), (1, Some("/docs".into())));
        assert_eq!(to(&[&a, "no-such-file-here"]).expect("relative"), (1, Some("no-such-file-here".into())));
        assert_eq!(to(&[&a, "/"]).expect("root"), (1, Some("/".into())));
        assert_eq!(to(&[&a, &b]).expect_err("ambiguous").code(), 2);
        assert_eq!(to(&[&a, &b, "--to", "/"]).expect("said"), (2, Some("/".into())));
        assert_eq!(to(&["Cargo.toml", "src"]).expect("both are here"), (2, None));
    }
}
