//! A machine: its clock and disk, which last, and its process, which does not.

use super::World;
use super::blocks::{BlockDisk, Job};
use super::event::{Event, Local, Packet};
use super::serve::{PendingRead, Waiter};
use crate::bugs::Bugs;
use crate::invariants::Observed;
use crate::random::Random;
use crate::scenario::{MS, SECOND, Scenario};
use crate::world::clock::Clock;
use bytes::Bytes;
use control::LeaderToken;
use control::controller::{Deaths, Leading};
use replication::Command;
use replication::blocks::{Collector, Upkeep};
use replication::chain::{CopyId, Holdings, Replica, RequestId};
use replication::node::{Life, Next, Unheard};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use storage::{MemoryEngine, Recovered, Snapshot, StorageEngine};
use types::{
    BlockHash, HybridTime, Incarnation, Layout, LogEntry, Monotonic, NodeId, PartitionId, Record, ReplicaId, RowRange,
    Seq, Version,
};

/// What lasts.
pub(crate) struct Machine {
    pub node: NodeId,
    pub clock: Clock,
    pub engine: Arc<MemoryEngine>,
    pub boots: u64,
    /// In the identity file.
    pub incarnation: Incarnation,
    pub process: Option<Process>,
    pub frozen: bool,
    /// What came while frozen.
    pub deferred: Vec<Event>,
    pub slow_disk: bool,
    pub blocks: BlockDisk,
    pub zone: String,
    /// Something on its disk rots.
    pub rotten: bool,
}

/// A process: everything that is lost when it ends.
pub(crate) struct Process {
    pub boot: u64,
    pub me: ReplicaId,
    pub life: Life,
    pub layout: Arc<Layout>,
    pub hosted: Vec<Hosted>,
    /// Records on their way into the log.
    pub log: VecDeque<(PartitionId, u64, Option<Record>)>,
    /// Records appended, being synced: by partition, the last number.
    pub syncing: Option<Vec<(PartitionId, u64)>>,
    pub work: VecDeque<Work>,
    pub working: bool,
    /// The storage threads report one after the other.
    pub reported_at: u64,
    /// Storage failed: nothing more is taken.
    pub stopped: bool,
    /// The call under way asks to be registered.
    pub registering: bool,
    pub unheard: Unheard,
    pub upkeep: Upkeep,
    pub collector: Collector,
    /// Blocks that were given a reference lately.
    pub expected: BTreeSet<BlockHash>,
    /// Blocks that have yet to be read before these nodes are let go.
    pub reading: Option<(BTreeSet<types::Drain>, Vec<BlockHash>)>,
    pub jobs: BTreeMap<u64, Job>,
    pub jobs_begun: u64,
    /// The last call to the control plane, and whether it is open.
    pub call: u64,
    pub call_open: bool,
    pub call_sent: Monotonic,
    pub leading: Option<Leading>,
    pub deaths: Deaths,
    /// The leadership under which a batch of the controller is under way.
    pub committing: Option<LeaderToken>,
    pub reads: BTreeMap<u64, PendingRead>,
    pub reads_begun: u64,
}

/// A partition in a process.
pub(crate) struct Hosted {
    pub replica: Replica,
    pub requests: u64,
    pub waiting: BTreeMap<RequestId, Waiter>,
    pub applied: Seq,
    pub copy: Option<SendingCopy>,
}

pub(crate) struct SendingCopy {
    pub copy: CopyId,
    pub snapshot: Box<dyn Snapshot>,
}

/// Work for the applier.
#[derive(Debug)]
pub(crate) enum Work {
    Apply { partition: PartitionId, entries: Vec<Arc<LogEntry>> },
    Void { partition: PartitionId, copy: CopyId },
    Import { partition: PartitionId, copy: CopyId, index: u32, range: RowRange, rows: Bytes },
    Install { partition: PartitionId, copy: CopyId, version: Version, time: HybridTime },
    Checkpoint,
}

impl Machine {
    pub fn new(node: NodeId, scenario: &Scenario, random: &mut Random) -> Machine {
        Machine {
            node,
            clock: Clock::choose(random),
            engine: Arc::new(MemoryEngine::retaining(scenario.retain)),
            boots: 0,
            incarnation: Incarnation(0),
            process: None,
            frozen: false,
            deferred: Vec::new(),
            slow_disk: false,
            blocks: BlockDisk::default(),
            zone: format!("z{}", random.below(scenario.zones)),
            rotten: false,
        }
    }

    /// True while it can answer.
    pub fn up(&self) -> bool {
        self.process.is_some() && !self.frozen
    }
}

impl World {
    /// The machine of a node.
    pub(crate) fn machine_of(&self, node: NodeId) -> Option<usize> {
        self.machines.iter().position(|machine| machine.node == node)
    }

    pub(crate) fn local(&mut self, machine: usize, after: u64, what: Local) {
        if let Some(process) = &self.machines[machine].process {
            let boot = process.boot;
            self.at(self.now + after, Event::Local { machine, boot, what });
        }
    }

    /// A process starts on what the disk holds.
    pub(crate) fn start(&mut self, m: usize) {
        let machine = &self.machines[m];
        if machine.process.is_some() || machine.node == NodeId(0) {
            return;
        }
        if machine.rotten && self.alone(machine.node) {
            self.mend(m);
        }
        let machine = &self.machines[m];
        if let Some(why) = machine.engine.damaged() {
            return self.refuses_to_start(m, &why);
        }
        let life = self.life(m);
        let machine = &mut self.machines[m];
        let cut = machine.rotten && !machine.engine.rotten();
        machine.rotten &= !cut;
        machine.boots += 1;
        let (node, boot) = (machine.node, machine.boots);
        let me = ReplicaId { node, incarnation: machine.incarnation };
        let mut recovered = machine.engine.recovered();
        let torn = recovered.values().any(|found| found.torn);
        self.strike_if(cut, "rot cut off like a torn end");
        self.log(format_args!("{node} starts, boot {boot}{}", if torn { ", torn" } else { "" }));
        self.observe(Observed::Boot { node, boot });
        for (partition, found) in &recovered {
            let entries: Vec<Version> = found.unapplied.iter().map(|entry| entry.version).collect();
            let (partition, applied, incomplete) = (*partition, found.applied, found.incomplete);
            self.observe(Observed::Recovered { node, partition, applied, entries: &entries, incomplete });
            self.strike_if(incomplete, "copies broken off");
        }
        if cut {
            self.observe(Observed::Sound { node });
        }
        let hosted = (0..self.scenario.partitions)
            .map(|index| {
                let id = PartitionId(index);
                let found = recovered.remove(&id).unwrap_or_else(|| Recovered { torn, ..Recovered::default() });
                let applied = found.applied.seq;
                let holdings = Holdings {
                    epoch: found.epoch,
                    applied: found.applied,
                    time: found.time,
                    unapplied: found.unapplied,
                    incomplete: found.incomplete,
                    torn: found.torn && !self.bugs.torn_end_taken_for_whole(),
                };
                let replica = Replica::new(me, id, holdings);
                Hosted { replica, requests: 0, waiting: BTreeMap::new(), applied, copy: None }
            })
            .collect();
        self.machines[m].process = Some(Process {
            boot,
            me,
            life,
            layout: Arc::default(),
            hosted,
            log: VecDeque::new(),
            syncing: None,
            work: VecDeque::new(),
            working: false,
            reported_at: 0,
            stopped: false,
            registering: false,
            unheard: Unheard::default(),
            upkeep: Upkeep::default(),
            collector: Collector::default(),
            expected: BTreeSet::new(),
            reading: None,
            jobs: BTreeMap::new(),
            jobs_begun: 0,
            call: 0,
            call_open: false,
            call_sent: Monotonic(0),
            leading: None,
            deaths: Deaths::default(),
            committing: None,
            reads: BTreeMap::new(),
            reads_begun: 0,
        });
        let within = self.random.below(50 * MS);
        self.local(m, within, Local::Tick);
        self.local(m, within, Local::Poll);
        self.local(m, within, Local::Lead);
        self.local(m, within, Local::Live(Next::Register));
        self.local(m, within, Local::Keep);
        if self.scenario.blocks {
            self.local(m, self.scenario.grace, Local::Collect);
            self.local(m, SECOND, Local::Scrub);
        }
        self.local(m, SECOND, Local::Expire);
        self.local(m, self.scenario.checkpoint, Local::Checkpoint);
    }

    /// The process ends. `power`: and the machine with it, so that what was not synced may be lost.
    pub(crate) fn stop(&mut self, m: usize, power: bool) {
        // A lost copy and torn ends of all others are more than is promised.
        let power = power && !self.doomed_is_counted();
        let machine = &mut self.machines[m];
        let Some(me) = machine.process.take().map(|process| process.me) else { return };
        machine.frozen = false;
        machine.deferred.clear();
        machine.blocks.restarted();
        let node = machine.node;
        if power {
            let lost = machine.engine.crash(&mut self.random);
            self.strike("power lost");
            self.strike_if(lost.records > 0, "unsynced records lost");
            self.strike_if(lost.torn, "torn log ends");
            self.strike_if(lost.tables, "tables set back");
        } else {
            machine.engine.reopen();
            self.strike("processes killed");
        }
        self.log(format_args!("{node} {}", if power { "loses power" } else { "is killed" }));
        self.observe(Observed::Ended { replica: me });
        // A process' witness outlives it, unless it is killed as well.
        if !power && self.random.permille(700) {
            self.tell_of_death(m, me);
        }
    }

    /// A machine says to all others that the process of that life has ended.
    pub(crate) fn tell_of_death(&mut self, m: usize, life: ReplicaId) {
        for other in (0..self.machines.len()).filter(|other| *other != m && life.incarnation.0 > 0) {
            self.send(m, other, Packet::Died(life));
        }
    }

    /// Every process sees the moment and the lease so.
    pub(crate) fn environment(&self, m: usize) -> replication::Environment {
        let machine = &self.machines[m];
        let (lease_until, replicas_min) =
            machine.process.as_ref().map_or((Monotonic(0), 1), |p| (p.life.lease().until(), p.layout.replicas_min));
        let stopped = machine.process.as_ref().is_some_and(|process| process.stopped);
        let lease_until = if stopped { Monotonic(0) } else { lease_until };
        let lease_until = if self.bugs.lease_unchecked() { Monotonic(u64::MAX) } else { lease_until };
        let (now, wall) = (machine.clock.monotonic(self.now), machine.clock.wall(self.now));
        let hosted = machine.process.iter().flat_map(|process| &process.hosted);
        let under_way = hosted.map(|hosted| hosted.replica.under_way()).sum::<usize>() + crowded(m, now);
        let full = machine.engine.free_bytes() == 0;
        replication::Environment { now, wall, lease_until, replicas_min, under_way, full }
    }
}

/// Now and then, for 300 ms, a machine's memory is full of what its tables have yet to take.
fn crowded(m: usize, now: Monotonic) -> usize {
    let moment = (now.0 / 300_000_000).wrapping_mul(31).wrapping_add(m as u64);
    let struck = moment.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 == 0;
    if struck { replication::chain::NODE_UNDER_WAY_BYTES_MAX + 1 } else { 0 }
}

/// Whether a bug makes the driver say that it did what it did not do.
pub(crate) fn swallowed(bugs: &Bugs, command: &Command) -> bool {
    bugs.epoch_not_persisted() && matches!(command, Command::Append { record: Record::Epoch { .. }, .. })
}
