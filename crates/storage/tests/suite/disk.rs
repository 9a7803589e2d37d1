//! Folders as a crash may leave them.

use std::fs;
use std::path::Path;

/// A copy of a data folder, as a crash may leave it. Without the zeros that tables are preallocated with.
pub fn copy(from: &Path) -> tempfile::TempDir {
    fn all(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                all(&entry.path(), &target);
                continue;
            }
            // Not the log: what ends in zeros there has been written.
            let preallocated = entry.metadata().unwrap().len() > 1 << 20 && !from.ends_with("log");
            if preallocated {
                let bytes = fs::read(entry.path()).unwrap();
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                fs::OpenOptions::new().write(true).open(entry.path()).unwrap().set_len(end as u64).unwrap();
            }
            fs::copy(entry.path(), target).unwrap();
        }
    }
    let to = tempfile::tempdir().unwrap();
    all(from, to.path());
    to
}
