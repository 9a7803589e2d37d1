//! One process per data folder.
//!
//! **Invariant**: the lock is the kernel's (`flock`), so it ends with the
//! process that holds it, however that ends; the number written in the file
//! only serves the error message and the clearing of leftovers.

use crate::failure::{Failure, Outcome};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A held lock. Dropping it, or dying, releases it.
#[derive(Debug)]
pub struct FolderLock {
    _file: Flock<File>,
}

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process, when it has written it down.
    pub pid: Option<i32>,
}

/// Takes `folder/name`, making the folder when missing. `Err(Holder)` inside when another process has it.
pub fn take(folder: &Path, name: &str) -> Outcome<Result<FolderLock, Holder>> {
    // Closed to others: what is in it is people's.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::io(format!("cannot make the folder {}", folder.display()), &error))?;
    let path = folder.join(name);
    let file = open(&path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut held) => {
            let written =
                held.set_len(0).and_then(|()| held.rewind()).and_then(|()| writeln!(held, "{}", std::process::id()));
            written.map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))?;
            Ok(Ok(FolderLock { _file: held }))
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            Ok(Err(Holder { pid }))
        }
        Err((_, errno)) => Err(Failure::failed(format!("cannot lock {}: {errno}", path.display()))),
    }
}

fn open(path: &PathBuf) -> Outcome<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| Failure::io(format!("cannot open {}", path.display()), &error))
}

impl Holder {
    /// `process 123`, or the nearest that can be said.
    pub fn describe(&self) -> String {
        self.pid.map_or("another process".into(), |pid| format!("process {pid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder() {
        let folder = tempfile::tempdir().expect("folder");
        let inner = folder.path().join("made/when/missing");
        let held = take(&inner, "lock").expect("io").expect("free");
        let me = i32::try_from(std::process::id()).ok();
        assert_eq!(take(&inner, "lock").expect("io").expect_err("held"), Holder { pid: me });
        drop(held);
        assert!(take(&inner, "lock").expect("io").is_ok());
    }
}
