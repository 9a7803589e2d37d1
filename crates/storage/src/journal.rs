//! The order of the batches in the journal of an embedded LSM, looked at before the LSM is opened.
//!
//! fjall (3.1) has a checksum over the rows of a batch, and none over the batch's sequence number. A bit that
//! rots there puts the batch at another place of the history when the journal is replayed: an older row hides
//! a newer one. Sequence numbers rise from batch to batch. One that does not is damage; one that still does
//! changes nothing. Only of a journal's first batch, before which nothing stands, may the lowest bits rot
//! unseen. What is not of the format known here is left to fjall, which believes nothing behind it.
//! **Proved by** `tests/rot.rs` and by the log of `control`: both flip bits everywhere.

use crate::StorageError;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// What each batch ends with, after its checksum.
const MAGIC: [u8; 4] = *b"FJL\x03";
/// Far more than the flushes and compactions that take numbers between two batches.
const APART_MAX: u64 = 1 << 16;
/// fjall keeps the uppermost bit to itself.
const NUMBER_MAX: u64 = 1 << 62;

/// Checks the journals of the database in `folder`, if there are any.
pub fn verify_journals(folder: &Path) -> Result<(), StorageError> {
    let mut before = None;
    for path in journals(folder)? {
        let mut batches = Batches(BufReader::with_capacity(1 << 18, File::open(&path)?));
        let mut place = 0u64;
        while let Some(number) = batches.next()? {
            let rises = before.is_none_or(|before| number > before && (place != 1 || number - before <= APART_MAX));
            if !rises || number > NUMBER_MAX {
                return Err(StorageError::Damaged(format!("{}: its batches are out of order", path.display())));
            }
            before = Some(number);
            place += 1;
        }
    }
    Ok(())
}

/// In the order in which they were written.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

struct Batches(BufReader<File>);

impl Batches {
    /// The sequence number of the next whole batch; none behind the last.
    fn next(&mut self) -> io::Result<Option<u64>> {
        match self.batch() {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            read => read,
        }
    }

    fn batch(&mut self) -> io::Result<Option<u64>> {
        let [START] = self.read()? else { return Ok(None) };
        let _items: [u8; 4] = self.read()?;
        let number = u64::from_le_bytes(self.read()?);
        loop {
            match self.read()? {
                [ITEM] => {
                    let _kind_compression_keyspace: [u8; 10] = self.read()?;
                    let key = u16::from_le_bytes(self.read()?);
                    let _unpacked: [u8; 4] = self.read()?;
                    let value = u32::from_le_bytes(self.read()?);
                    self.0.seek_relative(i64::from(key) + i64::from(value))?;
                }
                [CLEAR] => drop(self.read::<8>()?),
                [END] => {
                    let _checksum: [u8; 8] = self.read()?;
                    return Ok((self.read()? == MAGIC).then_some(number));
                }
                _ => return Ok(None),
            }
        }
    }

    fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
