//! Copies: reading steps, comparing outlines; and that what was installed is what was copied.

use super::World;
use super::event::Local;
use super::machine::SendingCopy;
use replication::chain::{CopyId, Grain, Step, Want};
use storage::{Snapshot, StorageEngine, StorageError};
use types::{PartitionId, Piece, RowRange};

/// Everything in the tables, in short; none: something in them rots.
fn digest(snapshot: &dyn Snapshot) -> Option<[u8; 32]> {
    let (pieces, _) = snapshot.outline(&RowRange::default(), usize::MAX).ok()?;
    pieces.first().map(|all| all.digest)
}

impl World {
    pub(crate) fn read_step(&mut self, m: usize, partition: PartitionId, copy: CopyId, index: u32, want: Want) {
        let read = self.wanted(m, partition, copy, want);
        if let Err(error) = &read {
            self.storage_failed(m, error, "a read of the tables");
        }
        let after = self.random.below(self.scenario.apply + 1);
        self.local(m, after, Local::StepRead(partition, copy, index, read.ok()));
    }

    fn wanted(&mut self, m: usize, partition: PartitionId, copy: CopyId, want: Want) -> Result<Step, StorageError> {
        let transfer = self.scenario.transfer;
        let machine = &mut self.machines[m];
        let gone = || StorageError::Poisoned("the process ended".into());
        let sending = &mut machine.process.as_mut().ok_or_else(gone)?.hosted[partition.0 as usize].copy;
        if sending.as_ref().is_none_or(|sending| sending.copy != copy) {
            *sending = Some(SendingCopy { copy, snapshot: machine.engine.snapshot(partition)? });
        }
        let Some(SendingCopy { snapshot, .. }) = &*sending else { return Err(gone()) };
        Ok(match want {
            Want::Outline { range, grain } => {
                let piece = if grain == Grain::Coarse { transfer } else { transfer / 8 };
                Step::Outline { pieces: snapshot.outline(&range, piece)?.0, after: range.after }
            }
            Want::Rows(range) => {
                let export = snapshot.export(&range, transfer)?;
                let rows = rpc::codec::encode(&export.rows);
                Step::Rows { range: RowRange { upto: export.next.or(range.upto), ..range }, rows }
            }
            Want::End => {
                let (version, time) = (snapshot.at(), snapshot.time());
                let digest = digest(&**snapshot);
                *sending = None;
                self.copied.entry((partition, copy)).or_default().push(digest);
                Step::End { version, time }
            }
        })
    }

    pub(crate) fn compare(
        &mut self,
        m: usize,
        partition: PartitionId,
        (copy, index): (CopyId, u32),
        after: Option<&bytes::Bytes>,
        pieces: &[Piece],
    ) {
        let snapshot = self.machines[m].engine.snapshot(partition);
        match snapshot.and_then(|snapshot| snapshot.compare(after, pieces)) {
            Ok(mut found) => {
                let differing = found.differing.count_ones() as usize;
                self.strike_if(!found.nothing && differing > 0, "ranges that differed");
                self.strike_if(!found.nothing && differing < pieces.len(), "ranges that agreed");
                self.strike_if(found.nothing, "copies of everything");
                if self.bugs.differing_range_overlooked() {
                    found.differing &= found.differing.wrapping_sub(1);
                }
                self.step(m, partition, |replica, _, _, out| replica.compared(copy, index, found, out));
            }
            Err(error) => self.storage_failed(m, &error, "a read of the tables"),
        }
    }

    /// A copy ends in what its sender had, to the last row.
    pub(crate) fn check_copy(&mut self, m: usize, partition: PartitionId, copy: CopyId) {
        let machine = &self.machines[m];
        let (node, installed) = (machine.node, machine.engine.snapshot(partition));
        let Some(here) = installed.ok().and_then(|snapshot| digest(&*snapshot)) else { return };
        let known = self.copied.get(&(partition, copy)).map_or(&[][..], Vec::as_slice);
        if !known.iter().any(|sent| sent.is_none_or(|sent| sent == here)) {
            self.fail(format!("{node} {partition}: what was installed is not what the sender of the copy had"));
        }
    }
}
