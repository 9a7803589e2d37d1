//! Opening a log: every frame is read and checked once, from the oldest segment on.
//!
//! At the first frame that fails there are two cases. If anything behind it proves that this
//! place was durable once (a valid frame that was written after the sync, or another segment),
//! something acknowledged is lost: [`StorageError::Damaged`], and nothing is touched. Otherwise
//! the tail is what a crash left of unsynced writes: it is cut, and a mark is put in its place,
//! so that a second crash does not make anybody forget that entries may be missing.

use super::frame::{self, Frame, Payload, Place};
use super::segment::{self, Header, Segment};
use crate::StorageError;
use crate::files::sync_folder;
use crate::history::History;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use types::{PartitionId, Record};

/// Log positions of a partition's last records of some kinds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// [`Record::Reset`].
    pub reset: Option<u64>,
    /// Anything after which an earlier cut of the log no longer matters.
    pub settled: Option<u64>,
}

/// What was found.
pub(crate) struct Found {
    pub segments: VecDeque<Arc<Segment>>,
    pub histories: BTreeMap<PartitionId, History<u64>>,
    pub marks: BTreeMap<PartitionId, Marks>,
    /// Position behind the last frame, and the chain there.
    pub end: u64,
    pub chain: u64,
    /// Where the log was cut, now or earlier.
    pub cut: bool,
}

impl Found {
    fn take(&mut self, position: u64, frame: &Frame<'_>) -> Result<(), StorageError> {
        match frame.read()? {
            Payload::Cut => self.mark_cut(),
            Payload::Record(record) => {
                let partition = record.partition();
                let marks = self.marks.entry(partition).or_default();
                match record {
                    Record::Reset { .. } => (marks.reset, marks.settled) = (Some(position), Some(position)),
                    Record::Epoch { .. } | Record::Installed { .. } => marks.settled = Some(position),
                    _ => {}
                }
                let history = self.histories.entry(partition).or_insert_with(|| {
                    // A partition first seen behind a cut may have lost its beginning to it.
                    let mut history = History::default();
                    history.torn = self.cut;
                    history
                });
                history
                    .observe(&record, |_| position)
                    .map_err(|why| StorageError::Damaged(format!("log, partition {partition}: {why}")))?;
            }
        }
        self.end = position + frame.len() as u64;
        self.chain = frame.chain;
        Ok(())
    }

    fn mark_cut(&mut self) {
        self.cut = true;
        self.histories.values_mut().for_each(|history| history.torn = true);
    }
}

/// Reads the log in `folder`, which is known to have been durable up to `durable`. An empty
/// folder gets no segment here.
pub(crate) fn recover(folder: &Path, durable: u64) -> Result<Found, StorageError> {
    let mut found = Found {
        segments: VecDeque::new(),
        histories: BTreeMap::new(),
        marks: BTreeMap::new(),
        end: 0,
        chain: 0,
        cut: false,
    };
    let paths = segment::list(folder)?;
    if let Some((base, path)) = paths.first().filter(|(base, _)| *base > durable) {
        // Only what a checkpoint covers is ever let go.
        let text = format!("{}: the log begins at {base}, but was released up to {durable} at most", path.display());
        return Err(StorageError::Damaged(text));
    }
    for (index, (base, path)) in paths.iter().enumerate() {
        let last = index + 1 == paths.len();
        let bytes = fs::read(path)?;
        let Some(header) = Header::read(&bytes)? else {
            if last && bytes.len() <= segment::HEADER {
                // A crash came between making the file and making its header durable: no
                // record was ever in it.
                tracing::warn!(path = %path.display(), "removing a log segment that was never begun");
                fs::remove_file(path)?;
                sync_folder(folder)?;
                break;
            }
            return Err(StorageError::Damaged(format!("{}: its header is unreadable", path.display())));
        };
        let expected = found.segments.back().map(|before: &Arc<Segment>| Header {
            number: before.header.number + 1,
            base: found.end,
            chain: found.chain,
        });
        if header.base != *base || expected.is_some_and(|expected| expected != header) {
            return Err(StorageError::Damaged(format!("{}: a log segment before it is missing", path.display())));
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        found.segments.push_back(Arc::new(Segment { header, file, path: path.clone() }));
        found.end = header.base + segment::HEADER as u64;
        found.chain = header.chain;
        walk(&mut found, &bytes, last, durable)?;
    }
    if found.segments.is_empty() && durable > 0 {
        let text = format!("{}: the log's segments are gone", folder.display());
        return Err(StorageError::Damaged(text));
    }
    if found.end < durable && durable > 0 {
        return Err(StorageError::Damaged(format!("the log ends at {}, but was durable up to {durable}", found.end)));
    }
    Ok(found)
}

/// Takes every frame of the last of `found.segments`.
fn walk(found: &mut Found, bytes: &[u8], last: bool, durable: u64) -> Result<(), StorageError> {
    let Some(segment) = found.segments.back().cloned() else { return Ok(()) };
    let base = segment.header.base;
    loop {
        let rest = &bytes[(found.end - base) as usize..];
        // Zeros were written ahead, and are no part of the log. Where frames are missing in front of another
        // segment, that one does not begin where this one ends.
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let bad = found.end;
        match frame::decode(rest, bad) {
            Some(frame) if frame.chain == frame::link(found.chain, frame.payload) => found.take(bad, &frame)?,
            _ => {
                let path = segment.path.display();
                if !last || bad < durable || frame::proves_synced(rest, bad, bad) {
                    let text = format!("{path}: a hole at byte {}, in what was acknowledged", bad - base);
                    return Err(StorageError::Damaged(text));
                }
                tracing::warn!(%path, at = bad - base, lost = rest.len(), "the log's end is torn: cutting it");
                return cut(found, &segment);
            }
        }
    }
}

/// Puts a mark over the beginning of the torn tail, then cuts the rest. Whatever a crash
/// leaves of that is again a torn tail.
fn cut(found: &mut Found, segment: &Segment) -> Result<(), StorageError> {
    let mut mark = Vec::new();
    let place = Place { position: found.end, chain: found.chain, synced_through: found.end };
    found.chain = frame::encode(None, place, &mut mark)?;
    let at = found.end - segment.header.base;
    segment.file.write_all_at(&mark, at)?;
    segment.file.set_len(at + mark.len() as u64)?;
    segment.file.sync_all()?;
    found.end += mark.len() as u64;
    found.mark_cut();
    Ok(())
}
