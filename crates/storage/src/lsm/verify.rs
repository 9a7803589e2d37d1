//! Looking at the LSM's own files before it does.
//!
//! fjall checks its blocks and its journal when it reads them, but (3.1) believes the file that
//! lists its tables without looking at the checksum it keeps of it: one flipped bit there and
//! tables are missing, silently. Other flipped bits make it ask for absurd amounts of memory, or
//! panic. So before it opens, every list is held against its checksum, and every file's table
//! of contents too. What is not of the format known here is left to fjall.
//! **Proved by** `tests/rot.rs`, which flips bits in all of its files.

use crate::StorageError;
use crate::journal::verify_journals;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// At the end of each archive: magic, version, checksum type, checksum and position of the
/// contents, their length.
const TRAILER: usize = 38;
const TRAILER_START: &[u8] = b"SFA!\x01\x00";
/// No archive of ours has so many sections.
const CONTENTS_MAX: u64 = 1 << 20;

fn damaged(path: &Path, what: &str) -> StorageError {
    StorageError::Damaged(format!("{}: {what}", path.display()))
}

fn word(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |all, &byte| all << 8 | u128::from(byte))
}

/// Checks the database in `folder`, if there is one.
pub(super) fn verify(folder: &Path) -> Result<(), StorageError> {
    verify_journals(folder)?;
    for keyspace in list(&folder.join("keyspaces"))? {
        let current = keyspace.join("current");
        // A keyspace that was being made has none; fjall removes it.
        let Some(pointer) = read(&current)? else { continue };
        check_list(&keyspace, &current, &pointer)?;
        for table in list(&keyspace.join("tables"))? {
            check_contents(&table)?;
        }
        check_contents(&keyspace.join("manifest"))?;
    }
    Ok(())
}

/// Paths in a folder; none when there is no folder.
fn list(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `current` names the list of tables in force (8 bytes) and its checksum (16), then the
/// checksum's kind (1).
fn check_list(keyspace: &Path, current: &Path, pointer: &[u8]) -> Result<(), StorageError> {
    if pointer.len() != 25 || pointer[24] != 0 {
        return Err(damaged(current, "not a pointer to a list of tables"));
    }
    let path = keyspace.join(format!("v{}", word(&pointer[..8])));
    let Some(bytes) = read(&path)? else { return Err(damaged(&path, "the list of tables is missing")) };
    if xxh3_128(&bytes) != word(&pointer[8..24]) {
        return Err(damaged(&path, "the list of tables fails its checksum"));
    }
    Ok(())
}

/// An archive's table of contents against the checksum in its trailer.
fn check_contents(path: &Path) -> Result<(), StorageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TRAILER as u64) else {
        // A crash may leave a table that no list names yet; fjall removes it.
        return Ok(());
    };
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, end)?;
    if !trailer.starts_with(TRAILER_START) {
        return Ok(());
    }
    let start = word(&trailer[22..30]) as u64;
    let size = end.checked_sub(start).filter(|size| *size <= CONTENTS_MAX);
    let Some(size) = size else { return Err(damaged(path, "its trailer is unreadable")) };
    let mut contents = vec![0; size as usize];
    file.read_exact_at(&mut contents, start)?;
    if xxh3_128(&contents) != word(&trailer[6..22]) {
        return Err(damaged(path, "its table of contents fails its checksum"));
    }
    Ok(())
}
