//! What `atoll upload` will send, and to where.

use super::paths;
use super::progress::Progress;
use super::tally::{Fate, Tally};
use super::upload::UploadArgs;
use crate::failure::{Failure, Outcome};
use client::remote::{Remote, RemoteError};
use std::collections::BTreeSet;
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

/// The place in the drive of each source: the same however often it is asked, so that a command that is run
/// again goes on where it stopped. A folder goes into the destination under its own name; what is in it
/// does, if a slash follows its name. A file becomes the destination, unless that is a folder.
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
    let names: Vec<String> = sources.iter().map(|source| named(source)).collect::<Outcome<_>>()?;
    let there = match folder.as_str() {
        "/" => Some(true),
        folder => is_folder(remote, folder).await?,
    };
    let one_file = sources.len() == 1 && !sources[0].is_dir();
    if one_file && !to.ends_with('/') && there != Some(true) {
        return Ok(vec![(sources[0].clone(), folder)]);
    }
    if there == Some(false) {
        return Err(Failure::failed(format!("{folder} is a file, not a folder")).safe("nothing was changed"));
    }
    let place = |(source, name): (&PathBuf, String)| match source.is_dir() && paths::has_slash(source) {
        true => (source.clone(), folder.clone()),
        false => (source.clone(), paths::join(&folder, &name)),
    };
    Ok(sources.iter().zip(names).map(place).collect())
}

/// None: there is nothing.
async fn is_folder(remote: &Remote, path: &str) -> Outcome<Option<bool>> {
    match remote.stat(path).await {
        Ok(entry) => Ok(Some(entry.is_folder())),
        Err(RemoteError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What will be sent.
#[derive(Default)]
pub struct Work {
    /// Files; the folders above them come with the first that is whole.
    pub jobs: Vec<Job>,
    /// Folders with no file anywhere below, made in the end.
    pub empty: Vec<String>,
}

/// Walks a source and lists what is in it.
pub fn collect(source: &Path, target: &str, work: &mut Work, tally: &mut Tally, progress: &Progress) {
    let mut folders = BTreeSet::new();
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
            folders.insert(place);
        } else if entry.file_type().is_file() {
            let size = entry.metadata().map_or(0, |about| about.len());
            work.jobs.push(Job { local: entry.into_path(), remote: place, size });
        } else {
            let what = if entry.path_is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
            tally.add(&name, Fate::LeftOut(what.into()), progress);
        }
    }
    // Those above a file, or above another folder, come with it.
    let below: Vec<String> = work.jobs.iter().map(|job| job.remote.clone()).chain(folders.iter().cloned()).collect();
    for place in below {
        let mut above = paths::parent(&place).to_string();
        while above != "/" && folders.remove(&above) {
            above = paths::parent(&above).to_string();
        }
    }
    work.empty.extend(folders.into_iter().filter(|folder| folder != "/"));
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
    fn only_folders_without_files_are_made_by_themselves() {
        let folder = tempfile::tempdir().expect("folder");
        for made in ["a/b/c", "d/e", "f"] {
            std::fs::create_dir_all(folder.path().join(made)).expect("folder");
        }
        std::fs::write(folder.path().join("a/b/file"), "x").expect("write");
        let (mut work, mut tally) = (Work::default(), Tally::new(true));
        collect(folder.path(), "/to", &mut work, &mut tally, &Progress::new("", false));
        assert_eq!(work.jobs.iter().map(|job| job.remote.as_str()).collect::<Vec<_>>(), ["/to/a/b/file"]);
        assert_eq!(work.empty, ["/to/a/b/c", "/to/d/e", "/to/f"]);
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
