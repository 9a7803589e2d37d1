//! Fetching entries by position, without holding up who appends.

use super::frame::{self, Payload};
use super::segment::Segment;
use crate::StorageError;
use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use types::{LogEntry, Record};

/// Bytes read at once: a few dozen small records.
const WINDOW: usize = 16 << 10;

/// Reads frames by position, a window at a time.
pub(super) struct Reader {
    segments: VecDeque<Arc<Segment>>,
    window: Vec<u8>,
    /// Log position of the window's first byte.
    base: u64,
}

impl Reader {
    pub fn new(segments: VecDeque<Arc<Segment>>) -> Reader {
        Reader { segments, window: Vec::new(), base: 0 }
    }

    fn fill(&mut self, position: u64, length: usize) -> Result<(), StorageError> {
        let behind = self.segments.partition_point(|segment| segment.header.base <= position);
        let segment = behind.checked_sub(1).and_then(|index| self.segments.get(index));
        let segment = segment.ok_or_else(|| StorageError::Damaged(format!("no log segment holds {position}")))?;
        self.window.resize(length, 0);
        self.base = position;
        let mut filled = 0;
        while filled < length {
            let at = position - segment.header.base + filled as u64;
            match segment.file.read_at(&mut self.window[filled..], at) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.window.truncate(filled);
        Ok(())
    }

    fn at(&self, position: u64) -> &[u8] {
        let from = position.checked_sub(self.base).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.window.get(from..)).unwrap_or(&[])
    }

    /// The entry at a position that was given to one, verified, and its length on disk.
    pub fn entry(&mut self, position: u64) -> Result<(LogEntry, usize), StorageError> {
        let damaged = || StorageError::Damaged(format!("log record at {position}: its checksum fails"));
        if frame::length(self.at(position)).is_none() {
            self.fill(position, WINDOW)?;
        }
        let length = frame::length(self.at(position)).ok_or_else(damaged)?;
        if self.at(position).len() < length {
            self.fill(position, length.max(WINDOW))?;
        }
        let frame = frame::decode(self.at(position), position).ok_or_else(damaged)?;
        match frame.read()? {
            Payload::Record(Record::Entry { entry, .. }) => Ok((Arc::unwrap_or_clone(entry), length)),
            _ => Err(StorageError::Damaged(format!("log record at {position}: not an entry"))),
        }
    }
}
