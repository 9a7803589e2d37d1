//! The storage threads: a log writer that groups commits, an applier, and readers of log and tables.

use super::World;
use super::event::{Event, Local};
use super::machine::Work;
use crate::invariants::Observed;
use crate::scenario::MS;
use storage::{StorageEngine, StorageError};
use types::{Epoch, PartitionId, Row, Seq};

impl World {
    /// Appends what is queued, if nothing is under way, and begins to sync it.
    pub(crate) fn begin_sync(&mut self, m: usize) {
        let machine = &mut self.machines[m];
        let slow = machine.slow_disk;
        let Some(process) = machine.process.as_mut().filter(|p| p.syncing.is_none() && !p.stopped) else { return };
        if process.log.is_empty() {
            return;
        }
        let (mut done, mut records): (Vec<(PartitionId, u64)>, Vec<_>) = (Vec::new(), Vec::new());
        for (partition, number, record) in process.log.drain(..) {
            match done.iter_mut().find(|(at, _)| *at == partition) {
                Some((_, last)) => *last = number,
                None => done.push((partition, number)),
            }
            records.extend(record);
        }
        process.syncing = Some(done);
        if let Err(error) = machine.engine.append(&records) {
            return self.storage_failed(m, &error, "append");
        }
        let mean = self.scenario.sync;
        let after = mean / 2 + self.random.below(mean + 1) + if slow { self.random.below(400 * MS) } else { 0 };
        self.local(m, after, Local::Sync);
    }

    /// The sync under way ends.
    pub(crate) fn sync(&mut self, m: usize) {
        let ignore = self.bugs.failed_sync_ignored();
        let machine = &mut self.machines[m];
        let node = machine.node;
        let Some(process) = machine.process.as_mut().filter(|process| !process.stopped) else { return };
        let Some(done) = process.syncing.take() else { return };
        match machine.engine.sync() {
            Err(_) if ignore => {}
            Err(error) => return self.storage_failed(m, &error, "sync"),
            Ok(()) => self.observe(Observed::Synced { node, upto: &done }),
        }
        self.done(m, Local::Logged(done));
        self.begin_sync(m);
    }

    /// A storage thread has something to report: reports keep their order.
    fn done(&mut self, m: usize, what: Local) {
        let after = self.random.below(200_000);
        let Some(process) = &mut self.machines[m].process else { return };
        let at = (self.now + after).max(process.reported_at + 1);
        process.reported_at = at;
        let boot = process.boot;
        self.at(at, Event::Local { machine: m, boot, what });
    }

    /// Invariant 11: after a failure of the disk nothing more is taken.
    pub(crate) fn storage_failed(&mut self, m: usize, error: &StorageError, during: &str) {
        let node = self.machines[m].node;
        self.log(format_args!("{node} storage failed during {during}: {error}"));
        let rot = matches!(error, StorageError::Damaged(_)) && self.machines[m].rotten;
        self.strike_if(!matches!(error, StorageError::Poisoned(_)) && !rot, "syncs failed");
        self.strike_if(rot, "rot found in use");
        let injected = rot
            || matches!(error, StorageError::Poisoned(_))
            || matches!(error, StorageError::Io(io) if io.to_string().contains("simulated disk"));
        if !injected {
            self.fail(format!("{node}: storage refused {during}: {error}"));
        }
        let first =
            self.machines[m].process.as_mut().is_some_and(|process| !std::mem::replace(&mut process.stopped, true));
        self.observe(Observed::StorageFailed { node });
        if rot && first {
            // The node says so, and what is to be done; somebody does it.
            let after = self.random.between(300, 3000) * MS;
            self.at(self.now + after, Event::Replace(m));
        }
    }

    pub(crate) fn push_work(&mut self, m: usize, work: Work) {
        let Some(process) = &mut self.machines[m].process else { return };
        process.work.push_back(work);
        self.begin_work(m);
    }

    fn begin_work(&mut self, m: usize) {
        let mean = self.scenario.apply;
        let Some(process) = self.machines[m].process.as_mut().filter(|p| !p.working && !p.stopped) else { return };
        if process.work.is_empty() {
            return;
        }
        process.working = true;
        let after = mean / 2 + self.random.below(mean + 1);
        self.local(m, after, Local::Work);
    }

    /// The applier takes what is queued: many applications at once, anything else alone.
    pub(crate) fn work(&mut self, m: usize) {
        let machine = &mut self.machines[m];
        let (node, engine) = (machine.node, machine.engine.clone());
        let Some(process) = machine.process.as_mut().filter(|process| !process.stopped) else { return };
        process.working = false;
        let mut batch = Vec::new();
        let mut other = None;
        while let Some(work) = process.work.pop_front() {
            match work {
                Work::Apply { partition, entries } => batch.extend(entries.into_iter().map(|entry| (partition, entry))),
                work if batch.is_empty() => {
                    other = Some(work);
                    break;
                }
                work => {
                    process.work.push_front(work);
                    break;
                }
            }
        }
        let result = match other {
            None => engine.apply(&batch).map(|()| {
                self.expect_blocks(m, &batch);
                let mut applied: Vec<(PartitionId, Seq)> = Vec::new();
                for (partition, entry) in &batch {
                    match applied.iter_mut().find(|(at, _)| at == partition) {
                        Some((_, seq)) => *seq = entry.version.seq,
                        None => applied.push((*partition, entry.version.seq)),
                    }
                }
                Some(Local::Applied(applied))
            }),
            Some(Work::Void { partition, copy }) => {
                engine.begin_copy(partition).map(|()| Some(Local::Voided(partition, copy)))
            }
            Some(Work::Import { partition, copy, index, range, rows }) => {
                let rows: Vec<Row> = rpc::codec::decode(&rows).unwrap_or_default();
                engine.import(partition, &range, &rows).map(|()| Some(Local::Imported(partition, copy, index)))
            }
            Some(Work::Install { partition, copy, version, time }) => {
                let installed = engine.install(partition, version, time);
                if installed.is_ok() {
                    self.log(format_args!("{node} {partition} installs a copy of {version}"));
                    self.observe(Observed::Installed { node, partition, version });
                    self.check_copy(m, partition, copy);
                }
                installed.map(|()| Some(Local::Installed(partition, copy)))
            }
            Some(Work::Checkpoint | Work::Apply { .. }) => engine.checkpoint().map(|()| None),
        };
        match result {
            Ok(Some(what)) => self.done(m, what),
            Ok(None) => {}
            Err(error) => return self.storage_failed(m, &error, "the applier's work"),
        }
        self.begin_work(m);
    }

    /// Where this node is head: deletes what has expired.
    pub(crate) fn expire(&mut self, m: usize) {
        for partition in self.partitions() {
            let wall = self.machines[m].clock.wall(self.now);
            let due = self.machines[m].engine.due(partition, wall, 16).unwrap_or_default();
            if !due.is_empty() {
                self.step(m, partition, |replica, env, tables, out| replica.expire(env, &due, tables, out));
            }
        }
        self.local(m, 1000 * MS, Local::Expire);
    }

    pub(crate) fn fetch(&mut self, m: usize, partition: PartitionId, epoch: Epoch, from: Seq) {
        let entries = match self.machines[m].engine.entries(partition, from, self.scenario.transfer) {
            Ok(entries) => Some(entries),
            Err(StorageError::Compacted { .. }) => None,
            Err(error) => {
                self.storage_failed(m, &error, "a read of the log");
                None
            }
        };
        let after = self.random.below(self.scenario.apply + 1);
        self.local(m, after, Local::Fetched(partition, epoch, entries));
    }
}
