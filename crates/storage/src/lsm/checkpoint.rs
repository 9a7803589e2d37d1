//! The checkpoint file: what the tables durably had, and what the log said, when log segments
//! were last let go.
//!
//! It is written after the tables were synced and before any segment is deleted, whole or not at
//! all. Opening holds the tables against it: an LSM that silently lost durable rows is found out
//! here even when the log has nothing left to miss them by. It also carries what only the log
//! said: epochs, unfinished copies, cuts.

use crate::StorageError;
use crate::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use types::{Epoch, PartitionId, Version};

const NAME: &str = "checkpoint";
const MAGIC: [u8; 8] = *b"ATOLLCHK";
const FORMAT: u32 = 1;
/// Magic, format, CRC.
const HEADER: usize = 16;

/// What is known of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub epoch: Epoch,
    /// The tables had this, durably.
    pub applied: Version,
    pub incomplete: bool,
    pub torn: bool,
}

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The log was durable up to here, and everything before it is in `partitions`.
    pub log_end: u64,
    pub partitions: BTreeMap<PartitionId, Facts>,
}

impl Checkpoint {
    pub fn write(&self, folder: &Path) -> Result<(), StorageError> {
        let mut out = vec![0; HEADER];
        postcard::to_io(self, &mut out).map_err(io::Error::other)?;
        let crc = crc32fast::hash(&out[HEADER..]);
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        Ok(files::replace(folder, NAME, &out)?)
    }

    /// None when there was never a checkpoint.
    pub fn read(folder: &Path) -> Result<Option<Checkpoint>, StorageError> {
        let bytes = match fs::read(folder.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || StorageError::Damaged("the checkpoint file is unreadable".into());
        let (head, body) = bytes.split_at_checked(HEADER).ok_or_else(damaged)?;
        let half = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if head[..8] != MAGIC || half(12) != crc32fast::hash(body) {
            return Err(damaged());
        }
        if half(8) != FORMAT {
            let text = format!("the checkpoint has format {}; this release reads {FORMAT}", half(8));
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
        postcard::from_bytes(body).map(Some).map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_or_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::read(folder.path()).unwrap(), None);
        let facts = Facts { epoch: Epoch(4), applied: Version::new(3, 9), incomplete: false, torn: true };
        let checkpoint = Checkpoint { log_end: 17, partitions: [(PartitionId(2), facts)].into() };
        checkpoint.write(folder.path()).unwrap();
        assert_eq!(Checkpoint::read(folder.path()).unwrap(), Some(checkpoint));
        let path = folder.path().join(NAME);
        let good = fs::read(&path).unwrap();
        for at in (0..8).chain(12..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, bad).unwrap();
            assert!(matches!(Checkpoint::read(folder.path()), Err(StorageError::Damaged(_))), "byte {at}");
        }
    }
}
