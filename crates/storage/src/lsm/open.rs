//! Opening: log, tables and checkpoint are held against each other before anything is believed.

use super::checkpoint::{Checkpoint, Facts};
use super::database::{Rows, Tables};
use super::keys;
use super::rows::MetaRow;
use super::{Applied, LsmEngine, LsmOptions};
use crate::StorageError;
use crate::files::create_folder;
use crate::history::History;
use crate::log::{Log, Opened};
use crate::poison::Poison;
use crate::space::FreeSpace;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use types::{PartitionId, Record, Seq};

pub(super) fn open(folder: &Path, options: LsmOptions) -> Result<LsmEngine, StorageError> {
    create_folder(folder)?;
    // First the tables: their lock keeps a second process from cutting the log under the first.
    let tables = Tables::open(&folder.join("tables"), &options)?;
    let checkpoint = Checkpoint::read(folder)?;
    let poison = Arc::new(Poison::default());
    let durable = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.log_end);
    let opened = Log::open(&folder.join("log"), options.segment_bytes, durable, poison.clone())?;
    let Opened { log, marks, cut } = opened;
    let checkpoint = match checkpoint {
        Some(checkpoint) => checkpoint,
        None => {
            // From now on a log without segments is a lost one, not a new one.
            let begun = Checkpoint { log_end: log.begin(), partitions: BTreeMap::new() };
            begun.write(folder)?;
            begun
        }
    };
    let (mut applied, copying) = read_applied(&tables)?;
    let known: BTreeSet<PartitionId> = log.histories(|histories| {
        let logged = histories.keys().chain(checkpoint.partitions.keys());
        logged.chain(applied.keys()).chain(&copying).copied().collect()
    });
    for partition in known {
        let facts = checkpoint.partitions.get(&partition).copied().unwrap_or_default();
        let meta = applied.get(&partition).copied().unwrap_or_default();
        let since = |mark: Option<u64>| mark.is_some_and(|position| position >= checkpoint.log_end);
        let marks = marks.get(&partition).copied();
        let reset_since = since(marks.unwrap_or_default().reset);
        let mut unfinished = false;
        log.histories(|histories| {
            let history = histories.entry(partition).or_default();
            history.epoch = history.epoch.max(facts.epoch);
            // A partition that the log does not speak of has not settled any cut since.
            history.torn |= marks.map_or(cut || facts.torn, |marks| facts.torn && !since(marks.settled));
            let incomplete = *history.incomplete.get_or_insert(facts.incomplete);
            if incomplete {
                unfinished = true;
                history.settle(Seq(0));
                return Ok(());
            }
            if !reset_since && meta.version.seq < facts.applied.seq {
                return Err(damaged(partition, &meta, &format!("once had {} durably", facts.applied)));
            }
            agree(partition, &meta, history, facts.applied.seq)?;
            if copying.contains(&partition) {
                // What says that a copy was begun was cut off with the log's end.
                unfinished = true;
                return history.observe(&Record::Reset { partition }, |_| 0).map_err(super::misuse);
            }
            history.settle(meta.version.seq);
            Ok(())
        })?;
        if unfinished {
            tracing::warn!(%partition, "a copy did not end: what is here does not count");
            tables.write(unsettled(partition))?;
            applied.remove(&partition);
        }
    }
    Ok(LsmEngine {
        folder: folder.to_path_buf(),
        space: FreeSpace::new(folder, options.reserve_bytes),
        options,
        tables,
        log,
        poison,
        applied: RwLock::new(applied),
        writing: Mutex::default(),
        checkpointing: Mutex::default(),
    })
}

fn damaged(partition: PartitionId, meta: &MetaRow, what: &str) -> StorageError {
    StorageError::Damaged(format!("partition {partition}: the tables have {}, but {what}", meta.version))
}

/// The log must reach back to what the tables have, and as far as they do: what they took since the last checkpoint,
/// when they had `before`, was in it.
fn agree(partition: PartitionId, meta: &MetaRow, history: &History<u64>, before: Seq) -> Result<(), StorageError> {
    let next = meta.version.seq.0 + 1;
    let Some(span) = history.span() else {
        return match meta.version.seq > before {
            true => Err(damaged(partition, meta, &format!("the log has nothing after {before}"))),
            false => Ok(()),
        };
    };
    if span.first > next {
        return Err(damaged(partition, meta, &format!("the log begins at {}", span.first)));
    }
    if span.next < next {
        return Err(damaged(partition, meta, &format!("the log ends at {}", span.next - 1)));
    }
    Ok(())
}

/// META rows of all partitions, and those partitions that have rows and no META: a copy was begun there.
fn read_applied(tables: &Tables) -> Result<(Applied, BTreeSet<PartitionId>), StorageError> {
    let view = tables.view();
    let (mut applied, mut copying) = (BTreeMap::new(), BTreeSet::new());
    let mut next = Some(0u16);
    while let Some(at) = next {
        // One seek finds the next partition that has any row.
        let from = keys::kind(PartitionId(at), keys::META);
        let Some(row) = view.range(from, vec![0xff; keys::KIND + 1], false).next() else { break };
        let (key, value) = row?;
        let Some(&[high, low, kind]) = key.first_chunk::<{ keys::KIND }>() else {
            return Err(StorageError::Damaged("tables: a row without a partition".into()));
        };
        let partition = u16::from_be_bytes([high, low]);
        match kind {
            keys::META => drop(applied.insert(PartitionId(partition), MetaRow::decode(&value)?)),
            _ => drop(copying.insert(PartitionId(partition))),
        }
        next = partition.checked_add(1);
    }
    Ok((applied, copying))
}

/// Takes META away: no write counts as applied.
pub(super) fn unsettled(partition: PartitionId) -> Rows {
    Rows::from([(keys::kind(partition, keys::META), None)])
}

/// What a checkpoint written now would say of each partition.
pub(super) fn facts(
    histories: &BTreeMap<PartitionId, History<u64>>,
    applied: &Applied,
) -> BTreeMap<PartitionId, Facts> {
    let of = |(&partition, history): (&PartitionId, &History<u64>)| {
        let facts = Facts {
            epoch: history.epoch,
            applied: applied.get(&partition).copied().unwrap_or_default().version,
            incomplete: history.incomplete == Some(true),
            torn: history.torn,
        };
        (partition, facts)
    };
    histories.iter().map(of).collect()
}
