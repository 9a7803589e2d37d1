//! Clearing what an earlier demo left: processes that still hold a node's data,
//! and, for a fresh start, the data.

use super::{child, state};
use crate::failure::{Failure, Outcome};
use crate::{lock, up};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::Duration;

/// Ends nodes of a supervisor that died so that they did not notice. Whoever
/// holds the lock of a node's data wrote its number there itself.
pub async fn end_processes(folder: &Path) -> Outcome {
    for number in 1..=16 {
        let data = child::data(folder, number);
        if !data.is_dir() {
            continue;
        }
        for attempt in 0.. {
            let Err(holder) = lock::take(&data, up::LOCK)? else { break };
            let pid = holder.pid.filter(|pid| *pid > 1 && attempt < 60).ok_or_else(|| {
                Failure::failed(format!("{} still has the data of node {number} open", holder.describe()))
                    .next("end it, then start the demo again")
            })?;
            if attempt == 0 {
                eprintln!("Ending process {pid}, left over from an earlier demo (node {number})…");
            }
            let signals: &[Signal] = match attempt {
                0 => &[Signal::SIGTERM, Signal::SIGCONT],
                50 => &[Signal::SIGKILL],
                _ => &[],
            };
            for signal in signals {
                let _gone_already = kill(Pid::from_raw(pid), *signal);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Removes what a demo made, and nothing else.
pub fn remove_data(folder: &Path) -> Outcome {
    let failed = |error: std::io::Error| Failure::io(format!("cannot clear {}", folder.display()), &error);
    let missing_is_fine = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    };
    for number in 1..=16 {
        missing_is_fine(std::fs::remove_dir_all(child::data(folder, number)))?;
        missing_is_fine(std::fs::remove_file(child::log(folder, number)))?;
    }
    missing_is_fine(std::fs::remove_file(folder.join(state::FILE)))
}

/// Refuses a folder that holds something, but no demo: it may be anybody's.
pub fn refuse_foreign(folder: &Path) -> Outcome {
    let known = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name == super::supervisor::LOCK
            || name == "control.sock"
            || name.starts_with(state::FILE)
            || name.starts_with("node-")
    };
    let foreign = std::fs::read_dir(folder)
        .map_err(|error| Failure::io(format!("cannot read {}", folder.display()), &error))?
        .filter_map(Result::ok)
        .find(|entry| !known(&entry.file_name()));
    match foreign {
        Some(entry) if !folder.join(state::FILE).exists() => Err(Failure::failed(format!(
            "{} is not a demo's folder: it holds {}",
            folder.display(),
            entry.file_name().to_string_lossy()
        ))
        .safe("nothing was changed")
        .next("name an empty or new folder with --data DIR")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_demo_made_is_removed() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("mine.txt"), "x").expect("write");
        assert!(refuse_foreign(folder.path()).is_err());
        std::fs::create_dir(at("node-1")).expect("folder");
        std::fs::write(at("node-1.log"), "x").expect("write");
        std::fs::write(at(state::FILE), "{}").expect("write");
        assert!(refuse_foreign(folder.path()).is_ok());
        remove_data(folder.path()).expect("clear");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").filter_map(Result::ok).collect();
        assert_eq!(left.len(), 1);
        assert!(at("mine.txt").exists());
    }
}
