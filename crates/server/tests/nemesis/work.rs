//! The folder of a run: gone when all was well, kept when it was not.

use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::{Path, PathBuf};

const PREFIX: &str = "atoll-nemesis-";
const LOCK: &str = "lock";
const FAILED: &str = "failed";
/// Failed runs whose folders stay.
const KEPT: usize = 2;

/// A run's folder, locked for as long as the run lasts.
pub struct Work {
    pub folder: PathBuf,
    _lock: Flock<File>,
}

impl Work {
    /// A new one; what runs that were killed have left is removed.
    pub fn new(seed: u64) -> Result<Work, String> {
        remove_leftovers();
        let name = format!("{PREFIX}{seed}-{:08x}", rand::random::<u32>());
        let folder = std::env::temp_dir().join(name);
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", folder.display());
        std::fs::create_dir_all(folder.join("home")).map_err(|error| failed(&error))?;
        let file = File::create(folder.join(LOCK)).map_err(|error| failed(&error))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| failed(&error))?;
        Ok(Work { folder, _lock: lock })
    }

    /// All was well.
    pub fn remove(self) {
        let _the_next_run_tries_again = std::fs::remove_dir_all(&self.folder);
    }

    /// It was not: it stays.
    pub fn keep(self) -> PathBuf {
        let _it_is_removed_sooner = File::create(self.folder.join(FAILED));
        self.folder
    }
}

fn remove_leftovers() {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let mut idle: Vec<PathBuf> = ours.map(|entry| entry.path()).filter(|folder| !is_locked(folder)).collect();
    let age = |folder: &PathBuf| folder.join(FAILED).metadata().and_then(|failed| failed.modified()).ok();
    idle.sort_by_key(|folder| std::cmp::Reverse(age(folder)));
    let failed = idle.iter().filter(|folder| age(folder).is_some()).count().min(KEPT);
    for folder in &idle[failed..] {
        let _the_next_run_tries_again = std::fs::remove_dir_all(folder);
    }
}

fn is_locked(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(file) => Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err(),
        // Somebody else's folder, or one that is just being made.
        Err(_) => true,
    }
}
