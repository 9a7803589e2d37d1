//! The file client: `upload`, `download`, `delete`, `ls`, `mv`, `cp`, `mkdir`,
//! `find`, `star`, `recent`, `copies`, and `trash`, `versions`, `jobs`.
//!
//! **Owns** the walk over folders here and there, what is skipped because it is
//! there already, and the words and bars on the way. **Invariants**: a local
//! file appears under its name only when it is whole and on disk; nothing here
//! or there is replaced unless `--force` says so; one file's failure does not
//! stop the others, and shows in the exit code. **Leaves to others**: blocks,
//! resumption, retries (`client::remote`).

pub mod copies;
pub mod delete;
pub mod download;
pub mod folders;
pub mod kept;
pub mod list;
pub mod paths;
pub mod personal;
mod plan;
pub mod progress;
pub mod rename;
pub mod share;
pub mod tally;
pub mod upload;

use crate::failure::{Failure, Outcome};
use std::path::Path;
use types::BlockHash;

/// BLAKE3 of a local file.
pub async fn hash_file(path: &Path) -> std::io::Result<BlockHash> {
    let path = path.to_path_buf();
    let hash = move || {
        let mut hasher = blake3::Hasher::new();
        std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
        Ok(BlockHash(*hasher.finalize().as_bytes()))
    };
    tokio::task::spawn_blocking(hash).await.map_err(std::io::Error::other)?
}

/// Ends at Ctrl-C, or when asked to end by SIGTERM. From the first time that it is waited for, neither ends the process.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        drop(tokio::signal::ctrl_c().await);
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// `-j`: files at a time.
pub fn parallel(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=128) => Ok(n),
        _ => Err("files at a time: 1 to 128".into()),
    }
}

/// The last name of a drive path.
pub fn last_name(path: &str) -> Outcome<&str> {
    match paths::name(path) {
        "" => Err(Failure::usage(format!("{path:?} names the whole drive, not something in it"))),
        name => Ok(name),
    }
}
