//! A second, tiny witness of what was made durable: the vote and the last log
//! index, overwritten in place after every sync of the database.
//!
//! The database can open after damage in mid-journal and silently lack what
//! came later, acknowledged votes and entries among it; a voter that forgets
//! either can elect two leaders or lose what was committed. The witness is written
//! *after* the sync, so it never claims more than was durable, and before a
//! truncation it is lowered and synced, so it never claims what was truncated.
//! It is not synced otherwise: after a power cut it may be behind, never ahead.

use super::types::{Vote, seal, unseal};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Fixed size of the record: padded, so that one write replaces another whole.
const RECORD_BYTES: usize = 128;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tail {
    pub(super) vote: Option<Vote>,
    /// Index after the last entry in the log.
    pub(super) next_index: u64,
}

impl Tail {
    /// True when a disk that holds `self` lacks nothing of what `witness` saw.
    pub(super) fn covers(&self, witness: &Tail) -> bool {
        let vote = match (&self.vote, &witness.vote) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(seen)) => own >= seen,
        };
        vote && self.next_index >= witness.next_index
    }
}

pub(super) struct TailFile {
    file: File,
    written: Option<Tail>,
}

impl TailFile {
    /// Opens or creates the file, with what it witnessed. A torn record witnesses nothing.
    pub(super) fn open(path: &Path) -> io::Result<(TailFile, Option<Tail>)> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut record = [0; RECORD_BYTES];
        let witnessed = match file.read_exact_at(&mut record, 0) {
            Ok(()) => {
                let length = usize::from(record[0]).min(RECORD_BYTES - 1);
                unseal(&record[1..=length])
                    .inspect_err(|error| tracing::warn!(%error, "the witness of the log's end is torn"))
                    .ok()
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((TailFile { file, written: None }, witnessed))
    }

    /// Witnesses `tail`, which is durable.
    pub(super) fn witness(&mut self, tail: Tail) -> io::Result<()> {
        if self.written == Some(tail) {
            return Ok(());
        }
        let sealed = seal(&tail).map_err(io::Error::other)?;
        let mut record = [0; RECORD_BYTES];
        record[0] = sealed.len() as u8;
        record[1..=sealed.len()].copy_from_slice(&sealed);
        self.file.write_all_at(&record, 0)?;
        self.written = Some(tail);
        Ok(())
    }

    /// Witnesses `tail` and makes sure that it stays, before the log is truncated to it.
    pub(super) fn lower(&mut self, tail: Tail) -> io::Result<()> {
        self.witness(tail)?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_and_compares() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tail");
        let (mut file, witnessed) = TailFile::open(&path).unwrap();
        assert_eq!(witnessed, None);
        let tail = Tail { vote: Some(Vote::new_committed(u64::MAX, u64::MAX)), next_index: u64::MAX };
        file.witness(tail).unwrap();
        assert_eq!(TailFile::open(&path).unwrap().1, Some(tail));

        let older = Tail { vote: Some(Vote::new(3, 1)), next_index: 4 };
        assert!(tail.covers(&older) && tail.covers(&Tail::default()) && tail.covers(&tail));
        assert!(!older.covers(&tail) && !Tail::default().covers(&older));
        assert!(!Tail { vote: older.vote, next_index: 3 }.covers(&older));

        std::fs::write(&path, [9; RECORD_BYTES]).unwrap();
        assert_eq!(TailFile::open(&path).unwrap().1, None);
    }
}
