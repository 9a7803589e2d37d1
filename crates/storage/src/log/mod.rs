//! The node log: one append-only sequence of records for all partitions, in segment files.
//!
//! **Owns** `<data>/log/`. **Invariants**: what was appended before a [`Log::sync`] that
//! returned is found by every later opening, or the opening fails; after a failed write or sync
//! nothing more is taken; a frame that fails its checksum is never returned; a position, once
//! given to a frame, is never given to another. **Leaves to others**: when to sync, and what the
//! tables have (`lsm`). **Proved by** the tests beside each file and `tests/torn.rs`.
//!
//! A *log position* counts bytes from the log's beginning, headers included, through all
//! segments that ever were; which segment holds it is found by range.

pub(crate) mod frame;
mod read;
pub(crate) mod recovery;
pub(crate) mod segment;

use crate::StorageError;
use crate::files::{create_folder, sync_folder};
use crate::history::{History, Span};
use crate::poison::Poison;
use frame::Place;
use parking_lot::{Mutex, RwLock};
use read::Reader;
use recovery::Marks;
use segment::{Header, Segment};
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{LogEntry, PartitionId, Record, Seq};

/// The log, open.
pub(crate) struct Log {
    folder: PathBuf,
    segment_bytes: u64,
    poison: Arc<Poison>,
    writer: Mutex<Writer>,
    index: RwLock<Index>,
    /// One at a time: the kernel tells of a failed write once, and only one of two syncs would hear of it.
    syncing: Mutex<()>,
    /// Everything before this position is durable.
    synced: AtomicU64,
}

struct Writer {
    segment: Arc<Segment>,
    end: u64,
    /// How far the segment's file reaches, as a log position.
    reach: u64,
    chain: u64,
    buffer: Vec<u8>,
}

struct Index {
    segments: VecDeque<Arc<Segment>>,
    histories: BTreeMap<PartitionId, History<u64>>,
}

/// What opening found, beside the log itself.
pub(crate) struct Opened {
    pub log: Log,
    /// Where the log says certain things, as far back as it reaches.
    pub marks: BTreeMap<PartitionId, Marks>,
    /// True when the log was cut at some time that it still tells of.
    pub cut: bool,
}

fn misuse(why: String) -> StorageError {
    StorageError::Io(std::io::Error::new(std::io::ErrorKind::InvalidInput, why))
}

/// Sees to it that writing behind `end` need not make the file grow for a while; how far it reaches then.
fn extend(writer: &Writer, end: u64) -> u64 {
    let base = writer.segment.header.base;
    match writer.segment.extend(writer.reach - base, end - base) {
        Ok(reach) => base + reach,
        // Such as a full disk: the frames may fit all the same, and tell if they do not.
        Err(error) => {
            tracing::debug!(%error, path = %writer.segment.path.display(), "no zeros ahead of the log");
            end
        }
    }
}

impl Log {
    /// Opens or makes the log in `folder`. It is known to have been durable up to `durable`.
    pub fn open(folder: &Path, segment_bytes: u64, durable: u64, poison: Arc<Poison>) -> Result<Opened, StorageError> {
        create_folder(folder)?;
        let mut found = recovery::recover(folder, durable)?;
        let segment = match found.segments.back() {
            Some(last) => last.clone(),
            None => {
                let first = Segment::create(folder, Header { number: 0, base: 0, chain: 0 })?;
                found.end = first.first_frame();
                found.segments.push_back(first.clone());
                first
            }
        };
        // A process that was killed may have left writes unsynced; they count from now on.
        segment.file.sync_all()?;
        // A crash left the zeros ahead.
        let reach = found.end.max(segment.header.base + segment.length()?);
        let log = Log {
            folder: folder.to_path_buf(),
            segment_bytes,
            poison,
            writer: Mutex::new(Writer { segment, end: found.end, reach, chain: found.chain, buffer: Vec::new() }),
            index: RwLock::new(Index { segments: found.segments, histories: found.histories }),
            syncing: Mutex::new(()),
            synced: AtomicU64::new(found.end),
        };
        Ok(Opened { log, marks: found.marks, cut: found.cut })
    }

    /// Writes records at the end, in one write, all or (but for a crash) none.
    pub fn append(&self, records: &[Record]) -> Result<(), StorageError> {
        if records.is_empty() {
            return self.poison.check();
        }
        let mut writer = self.writer.lock();
        self.poison.check()?;
        self.check(records)?;
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        if writer.end - writer.segment.header.base >= self.segment_bytes {
            self.roll(&mut writer)?;
        }
        let mut positions = Vec::with_capacity(records.len());
        let mut chain = writer.chain;
        let synced_through = self.synced.load(Ordering::Acquire);
        for record in records {
            let position = writer.end + buffer.len() as u64;
            chain = frame::encode(Some(record), Place { position, chain, synced_through }, &mut buffer)?;
            positions.push(position);
        }
        let (base, end) = (writer.segment.header.base, writer.end + buffer.len() as u64);
        if end > writer.reach {
            writer.reach = extend(&writer, end);
        }
        if let Err(error) = writer.segment.file.write_all_at(&buffer, writer.end - base) {
            return Err(self.not_written(&mut writer, error));
        }
        writer.end = end;
        writer.chain = chain;
        // One huge batch must not keep its memory for ever.
        if buffer.capacity() <= 4 << 20 {
            writer.buffer = buffer;
        }
        let mut index = self.index.write();
        for (record, position) in records.iter().zip(positions) {
            let history = index.histories.entry(record.partition()).or_insert_with(|| History::after(Seq(0)));
            history.observe(record, |_| position).map_err(misuse)?;
        }
        Ok(())
    }

    /// Refuses records that cannot follow what is there, before anything is written.
    fn check(&self, records: &[Record]) -> Result<(), StorageError> {
        let index = self.index.read();
        let mut spans: BTreeMap<PartitionId, Span> = BTreeMap::new();
        for record in records {
            let partition = record.partition();
            let before = spans
                .get(&partition)
                .copied()
                .unwrap_or_else(|| index.histories.get(&partition).and_then(History::span).unwrap_or(Span::empty(1)));
            let after = before.step(record).map_err(|why| misuse(format!("partition {partition}: {why}")))?;
            spans.insert(partition, after);
        }
        Ok(())
    }

    /// A write failed, perhaps in the middle. When there was no room for it, and what it left can be cut off,
    /// it is as if it had not been tried; anything else, and nothing is known of the file any more.
    fn not_written(&self, writer: &mut Writer, error: std::io::Error) -> StorageError {
        if crate::space::exhausted(&error) {
            let whole = writer.end - writer.segment.header.base;
            match writer.segment.file.set_len(whole) {
                Ok(()) => {
                    writer.reach = writer.end;
                    return StorageError::Full { free: 0, needed: 1 };
                }
                Err(error) => tracing::error!(%error, "cannot cut off what was half written"),
            }
        }
        match self.poison.watch("writing the log", Err::<(), _>(error)) {
            Err(error) => error,
            Ok(()) => StorageError::Poisoned("writing the log".into()),
        }
    }

    /// Ends the segment, unless there is little in it, so that it can be released.
    pub fn begin_segment(&self) -> Result<(), StorageError> {
        const LITTLE: u64 = 1 << 20;
        let mut writer = self.writer.lock();
        self.poison.check()?;
        if writer.end - writer.segment.header.base < LITTLE {
            return Ok(());
        }
        match self.roll(&mut writer) {
            // Then it stays as long as it is; what is in it is not less durable.
            Err(StorageError::Full { .. }) => Ok(()),
            other => other,
        }
    }

    fn roll(&self, writer: &mut Writer) -> Result<(), StorageError> {
        self.trim(writer);
        self.make_durable(&writer.segment, writer.end)?;
        let header = Header { number: writer.segment.header.number + 1, base: writer.end, chain: writer.chain };
        let segment = match Segment::create(&self.folder, header) {
            Err(error) if crate::space::exhausted(&error) && Segment::abandon(&self.folder, header).is_ok() => {
                return Err(StorageError::Full { free: 0, needed: 1 });
            }
            other => self.poison.watch("beginning a log segment", other)?,
        };
        writer.end = segment.first_frame();
        writer.reach = writer.end;
        writer.segment = segment.clone();
        self.synced.fetch_max(writer.end, Ordering::AcqRel);
        self.index.write().segments.push_back(segment);
        Ok(())
    }

    /// Takes back the zeros ahead. If it cannot be, zeros stay behind the last frame, which mean nothing.
    fn trim(&self, writer: &mut Writer) {
        if writer.reach == writer.end || self.poison.check().is_err() {
            return;
        }
        match writer.segment.file.set_len(writer.end - writer.segment.header.base) {
            Ok(()) => writer.reach = writer.end,
            Err(error) => {
                tracing::warn!(%error, path = %writer.segment.path.display(), "a log segment keeps its zeros")
            }
        }
    }

    /// Makes everything appended before the call durable.
    pub fn sync(&self) -> Result<(), StorageError> {
        let (segment, end) = {
            let writer = self.writer.lock();
            self.poison.check()?;
            (writer.segment.clone(), writer.end)
        };
        self.make_durable(&segment, end)
    }

    /// Syncs a segment that ends there, or ended when it was looked at.
    fn make_durable(&self, segment: &Segment, end: u64) -> Result<(), StorageError> {
        let _one = self.syncing.lock();
        // Another thread's sync may have failed meanwhile, and taken our writes with it.
        self.poison.check()?;
        if self.synced.load(Ordering::Acquire) < end {
            self.poison.watch("syncing the log", segment.file.sync_data())?;
            self.synced.fetch_max(end, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Makes the log durable up to and including an entry.
    pub fn sync_entry(&self, partition: PartitionId, seq: Seq) -> Result<(), StorageError> {
        let position = self.read_index(partition, |history| history.get(seq).copied()).flatten();
        match position {
            Some(position) if position < self.synced.load(Ordering::Acquire) => Ok(()),
            Some(_) => self.sync(),
            None => Err(misuse(format!("partition {partition}: entry {seq} is not in the log"))),
        }
    }

    fn read_index<T>(&self, partition: PartitionId, read: impl FnOnce(&History<u64>) -> T) -> Option<T> {
        self.index.read().histories.get(&partition).map(read)
    }

    /// Entries from `from` on, about `bytes_max`, one at least if there is one.
    pub fn entries(&self, partition: PartitionId, from: Seq, bytes_max: usize) -> Result<Vec<LogEntry>, StorageError> {
        let (positions, segments) = {
            let index = self.index.read();
            let Some(history) = index.histories.get(&partition) else { return Ok(Vec::new()) };
            // Positions tell sizes only roughly, as other partitions' records lie between; a
            // frame has HEADER bytes at least, which bounds the list.
            let most = bytes_max / frame::HEADER + 1;
            let positions: Vec<u64> = history.from(from)?.copied().take(most).collect();
            (positions, index.segments.clone())
        };
        let mut reader = Reader::new(segments);
        let (mut out, mut bytes) = (Vec::new(), 0);
        for position in positions {
            let (entry, length) = reader.entry(position)?;
            bytes += length;
            if bytes > bytes_max && !out.is_empty() {
                break;
            }
            out.push(entry);
        }
        Ok(out)
    }

    /// First and last sequence in the log; (n+1, n) when it has none.
    pub fn range(&self, partition: PartitionId) -> (Seq, Seq) {
        self.read_index(partition, History::range).unwrap_or((Seq(1), Seq(0)))
    }

    /// Reads or changes what is known of all partitions; appends wait.
    pub fn histories<T>(&self, with: impl FnOnce(&mut BTreeMap<PartitionId, History<u64>>) -> T) -> T {
        let _writer = self.writer.lock();
        with(&mut self.index.write().histories)
    }

    /// Position of the first record that there is, or will be.
    pub fn begin(&self) -> u64 {
        let index = self.index.read();
        index.segments.front().map_or(0, |first| first.first_frame())
    }

    /// Position behind the last record.
    pub fn end(&self) -> u64 {
        self.writer.lock().end
    }

    /// Everything before this position is durable.
    pub fn durable_end(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Bytes in the segments that exist.
    pub fn bytes(&self) -> u64 {
        let start = self.index.read().segments.front().map_or(0, |first| first.header.base);
        self.end() - start
    }

    /// Deletes the oldest segments whose records are all behind `through` and whose entries are
    /// all behind `applied`, as far as `retain` bytes of log remain.
    pub fn release(
        &self,
        through: u64,
        applied: &BTreeMap<PartitionId, Seq>,
        retain: u64,
    ) -> Result<usize, StorageError> {
        let end = self.end();
        let mut gone = Vec::new();
        {
            let mut index = self.index.write();
            let floor = index
                .histories
                .iter()
                .filter_map(|(partition, history)| {
                    let needed = applied.get(partition).copied().unwrap_or_default().next();
                    history.get(needed.max(history.range().0)).copied()
                })
                .fold(through, u64::min);
            while let Some(second) = index.segments.get(1) {
                let start = second.header.base;
                if start > floor || end - start < retain {
                    break;
                }
                gone.extend(index.segments.pop_front());
            }
            let start = index.segments.front().map_or(0, |first| first.header.base);
            for history in index.histories.values_mut() {
                history.release(|&position| position < start);
            }
        }
        for segment in &gone {
            std::fs::remove_file(&segment.path)?;
            // One at a time and oldest first, so that a crash leaves no hole.
            sync_folder(&self.folder)?;
        }
        Ok(gone.len())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.trim(&mut self.writer.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Epoch;

    fn epoch(number: u64) -> [Record; 1] {
        [Record::Epoch { partition: PartitionId(1), epoch: Epoch(number) }]
    }

    fn open(folder: &Path) -> Log {
        Log::open(folder, 1 << 20, 0, Arc::default()).unwrap().log
    }

    #[test]
    fn after_a_failed_write_nothing_more_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.append(&epoch(1)).unwrap();
        log.sync().unwrap();
        {
            // A file that takes no writes stands for a disk that takes none.
            let mut writer = log.writer.lock();
            let whole = writer.segment.clone();
            let file = std::fs::File::open(&whole.path).unwrap();
            writer.segment = Arc::new(Segment { header: whole.header, file, path: whole.path.clone() });
        }
        assert!(matches!(log.append(&epoch(2)), Err(StorageError::Io(_))));
        assert!(matches!(log.append(&epoch(3)), Err(StorageError::Poisoned(_))));
        assert!(matches!(log.append(&[]), Err(StorageError::Poisoned(_))));
        assert!(matches!(log.sync(), Err(StorageError::Poisoned(_))));
        drop(log);
        let log = open(folder.path());
        assert_eq!(log.histories(|histories| histories[&PartitionId(1)].epoch), Epoch(1));
        log.append(&epoch(2)).unwrap();
    }

    /// The kernel tells of what it could not write once; whoever asks next would hear that all is well.
    #[test]
    fn whoever_syncs_beside_a_sync_that_fails_is_not_told_that_all_is_well() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.append(&epoch(1)).unwrap();
        std::thread::scope(|scope| {
            // Another one's sync is under way.
            let other = log.syncing.lock();
            let beside = scope.spawn(|| log.sync());
            let begun = std::time::Instant::now();
            while begun.elapsed() < std::time::Duration::from_millis(200) && !beside.is_finished() {
                std::thread::yield_now();
            }
            let failed = log.poison.watch("syncing the log", Err::<(), _>(std::io::Error::other("as if")));
            assert!(matches!(failed, Err(StorageError::Io(_))));
            drop(other);
            assert!(matches!(beside.join().unwrap(), Err(StorageError::Poisoned(_))));
        });
    }
}
