//! What `atoll upload` will send, and to where.

use super::paths;
use super::progress::Progress;
use super::tally::{Fate, Tally};
use super::upload::UploadArgs;
use crate::failure::{Failure, Outcome};
use client::remote::{Remote, RemoteError};
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A file to send.
pub struct Job {
    /// Here.
    pub local: PathBuf,
    /// In the drive.
    pub remote: String,
    /// Bytes.
    pub size: u64,
    /// Its folder was made just now: it cannot be there yet.
    pub fresh: bool,
}

/// Which of the arguments are sources, and where they go.
pub fn split(args: &UploadArgs) -> Outcome<(Vec<PathBuf>, Option<String>)> {
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
        // The first is nothing that anybody uploads, the second is refused where paths are read.
        (_, true) if text == "/" || text.split('/').any(|name| name == "..") => Ok((sources, Some(text))),
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

/// The place in the drive of each source.
pub async fn place(remote: &Remote, sources: &[PathBuf], to: Option<String>) -> Outcome<Vec<(PathBuf, String)>> {
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

/// Makes a folder and those above it, where missing.
pub async fn make_folder(remote: &Remote, path: &str) -> Outcome {
    if path != "/" {
        remote.make_folder(path, true).await?;
    }
    Ok(())
}

/// Walks a source, makes its folders there, and lists its files.
pub async fn collect(
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
