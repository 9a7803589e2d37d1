//! Segment files: `<first log position, 16 hex digits>.log`, each with a header that says
//! which number it has, where in the log it begins and what chain it continues.
//!
//! A segment is created only when everything before it is durable, and holds records only
//! once its own header and name are. So a later segment proves that an earlier one was whole.

use crate::StorageError;
use crate::files::sync_folder;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes before the first frame.
pub(crate) const HEADER: usize = 40;
const MAGIC: [u8; 8] = *b"ATOLLLOG";
const FORMAT: u32 = 1;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// 0, 1, 2 …
    pub number: u64,
    /// Log position of the header's first byte.
    pub base: u64,
    /// The chain that the first frame continues.
    pub chain: u64,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..20].copy_from_slice(&self.number.to_le_bytes());
        out[20..28].copy_from_slice(&self.base.to_le_bytes());
        out[28..36].copy_from_slice(&self.chain.to_le_bytes());
        let crc = crc32fast::hash(&out[..36]);
        out[36..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// None when the header is not whole; an error when a newer release wrote it.
    pub fn read(bytes: &[u8]) -> io::Result<Option<Header>> {
        let Some(head) = bytes.get(..HEADER) else { return Ok(None) };
        let word = |at: usize| head[at..at + 8].iter().rev().fold(0u64, |all, &byte| all << 8 | u64::from(byte));
        let half = |at: usize| word(at) as u32;
        if head[..8] != MAGIC
            || crc32fast::hash(&head[..36]) != u32::from_le_bytes([head[36], head[37], head[38], head[39]])
        {
            return Ok(None);
        }
        if half(8) != FORMAT {
            let text = format!("the log has format {}; this release reads {FORMAT}", half(8));
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Some(Header { number: word(12), base: word(20), chain: word(28) }))
    }
}

/// Zeros that are written ahead of what is written, at a time. While a sync need not record that the file has grown, nor
/// that disk which was only allocated is in use now, it costs half as much: one write, and none of the file system's own.
const AHEAD: u64 = 256 << 10;
/// They are written in pieces of a page, or the file system holds many pages as one and accounts all of them as written
/// with each.
static ZEROS: [u8; 4096] = [0; 4096];

/// A segment file, open for reading and, if it is the last, for writing. Behind its last frame there may be
/// zeros: disk that is in use already.
#[derive(Debug)]
pub(crate) struct Segment {
    pub header: Header,
    pub file: File,
    pub path: PathBuf,
}

impl Segment {
    /// Makes the next segment. Everything before it is durable.
    pub fn create(folder: &Path, header: Header) -> io::Result<Arc<Segment>> {
        let path = folder.join(format!("{:016x}.log", header.base));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.write_all_at(&header.to_bytes(), 0)?;
        file.sync_all()?;
        sync_folder(folder)?;
        Ok(Arc::new(Segment { header, file, path }))
    }

    /// Removes one that could not be made.
    pub fn abandon(folder: &Path, header: Header) -> io::Result<()> {
        match fs::remove_file(folder.join(format!("{:016x}.log", header.base))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(folder),
        }
    }

    /// Bytes in the file.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Lets the file, which ends at `length`, reach a bit beyond `end`, up to where frames are about to be written; says
    /// how far it reaches then.
    pub fn extend(&self, length: u64, end: u64) -> io::Result<u64> {
        let (page, reach) = (ZEROS.len() as u64, end + AHEAD);
        let mut at = end;
        while at < reach {
            let piece = (page - at % page).min(reach - at);
            if let Err(error) = self.file.write_all_at(&ZEROS[..piece as usize], at) {
                // It may have come some way.
                self.file.set_len(length)?;
                return Err(error);
            }
            at += piece;
        }
        Ok(reach)
    }

    /// Where its frames begin.
    pub fn first_frame(&self) -> u64 {
        self.header.base + HEADER as u64
    }
}

/// Paths of the segments in a folder, by log position.
pub(crate) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StorageError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let base = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".log"))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        match base {
            Some(base) => found.push((base, path)),
            // Says whose log it is.
            None if path.file_name().is_some_and(|name| name == "owner.json") => {}
            None => tracing::warn!(path = %path.display(), "not a log segment: left alone"),
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        let header = Header { number: 4, base: 1 << 40, chain: u64::MAX };
        let bytes = header.to_bytes();
        assert_eq!(Header::read(&bytes).unwrap(), Some(header));
        assert_eq!(Header::read(&bytes[1..]).unwrap(), None);
        for at in 0..HEADER {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(Header::read(&bad).unwrap(), None, "byte {at}");
        }
    }
}
