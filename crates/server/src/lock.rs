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
use std::time::Duration;

/// Tries to take a lock, and the pause between them: whoever only looks has it for a moment ([`is_held`]).
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

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
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    for _ in 1..TRIES {
        let Err((file, nix::errno::Errno::EWOULDBLOCK)) = lock else { break };
        std::thread::sleep(PAUSE);
        lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    }
    match lock {
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

/// Whether a process holds `folder/name`. Looks without standing in another looker's way, and without writing.
pub fn is_held(folder: &Path, name: &str) -> bool {
    let Ok(file) = File::open(folder.join(name)) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
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
        assert!(is_held(&inner, "lock"));
        drop(held);
        assert!(!is_held(&inner, "lock"));
        assert!(take(&inner, "lock").expect("io").is_ok());
    }

    #[test]
    fn looking_keeps_nobody_out() {
        let folder = tempfile::tempdir().expect("folder");
        drop(take(folder.path(), "lock").expect("io").expect("free"));
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    is_held(folder.path(), "lock");
                }
            });
            let refused = (0..200).filter(|_| take(folder.path(), "lock").expect("io").is_err()).count();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
    }
}
