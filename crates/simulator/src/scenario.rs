//! What a seed chooses before anything runs: the cluster, its load, and the faults.
//! Faults are chosen as a swarm: each run has some kinds and not others, at its own rates, so
//! that no kind always hides another.

use crate::random::Random;
use std::time::Duration;

/// A millisecond, in the world's nanoseconds.
pub const MS: u64 = 1_000_000;
/// A second, in the world's nanoseconds.
pub const SECOND: u64 = 1000 * MS;
/// Clock rates differ from true time by this many parts per million at most, so that two
/// machines differ by less than the protocol's bound of 5 %.
pub const RATE_PPM_MAX: u64 = 24_000;

/// A kind of fault that happens to machines, links, or the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Power is lost: unsynced writes may go, the log's end may be torn.
    Crash,
    /// The process is killed: what was written stays.
    Kill,
    /// Several machines lose power at once.
    CrashMany,
    /// The process is frozen while time goes on.
    Pause,
    /// A pair of machines cannot reach each other.
    Cut,
    /// One direction of a link is cut.
    CutOneWay,
    /// A machine is cut off from all others.
    Isolate,
    /// The next fsync fails.
    SyncFails,
    /// Another node takes over the control plane.
    NewLeader,
    /// A node's share changes: data moves.
    Capacity,
    /// A disk becomes very slow for a while.
    SlowDisk,
    /// A machine loses its disk, and joins as a new node.
    Wipe,
    /// Only the reserve of a disk is left, for a while.
    FullDisk,
    /// A record of the log rots.
    RotLog,
    /// An item in the tables rots.
    RotTables,
    /// A block's file rots.
    RotBlock,
    /// Another machine joins.
    Join,
    /// A node is drained, and then kept after all, or removed.
    Drain,
    /// A machine is moved to another zone, and starts again there.
    Zone,
    /// How many copies are wanted changes.
    Copies,
}

/// All kinds.
pub const FAULT_KINDS: [FaultKind; 20] = [
    FaultKind::Crash,
    FaultKind::Kill,
    FaultKind::CrashMany,
    FaultKind::Pause,
    FaultKind::Cut,
    FaultKind::CutOneWay,
    FaultKind::Isolate,
    FaultKind::SyncFails,
    FaultKind::NewLeader,
    FaultKind::Capacity,
    FaultKind::SlowDisk,
    FaultKind::Wipe,
    FaultKind::FullDisk,
    FaultKind::RotLog,
    FaultKind::RotTables,
    FaultKind::RotBlock,
    FaultKind::Join,
    FaultKind::Drain,
    FaultKind::Zone,
    FaultKind::Copies,
];

impl FaultKind {
    /// How many runs in a thousand have it.
    fn likely(self) -> u64 {
        match self {
            FaultKind::FullDisk | FaultKind::Copies | FaultKind::Zone => 150,
            FaultKind::RotLog | FaultKind::RotTables | FaultKind::Join | FaultKind::Capacity => 250,
            FaultKind::Drain | FaultKind::Wipe => 300,
            _ => 400,
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Machines.
    pub machines: usize,
    /// Partitions.
    pub partitions: u16,
    /// Replicas wanted.
    pub replicas: u8,
    /// Failure domains.
    pub zones: u64,
    /// Clients.
    pub clients: usize,
    /// Partition keys.
    pub keys: u64,
    /// A client's mean pause between operations.
    pub think: u64,
    /// Length of leases.
    pub lease: Duration,
    /// How long faults go on.
    pub safety: u64,
    /// Mean delay of a packet.
    pub delay: u64,
    /// Packets lost, in a thousand.
    pub drop: u64,
    /// Packets repeated.
    pub duplicate: u64,
    /// Packets delayed for long.
    pub straggle: u64,
    /// Kinds of faults, and the mean time between two of a kind.
    pub faults: Vec<(FaultKind, u64)>,
    /// Mean duration of an fsync.
    pub sync: u64,
    /// Mean duration of applying.
    pub apply: u64,
    /// Records of the log kept at a checkpoint.
    pub retain: usize,
    /// Time between checkpoints.
    pub checkpoint: u64,
    /// Clients upload files and take them away.
    pub blocks: bool,
    /// Blocks that nothing keeps go after this long.
    pub grace: u64,
    /// Bytes of a page of a copy, and of a read of the log.
    pub transfer: usize,
}

impl Scenario {
    /// Chooses.
    pub fn choose(random: &mut Random) -> Scenario {
        let machines = *random.pick(&[3, 3, 3, 4, 4, 5]).unwrap_or(&3);
        let replicas = if random.permille(150) { 2 } else { 3 };
        let zones = *random.pick(&[1, 1, 2, 3]).unwrap_or(&1);
        let mut faults = Vec::new();
        let calm = random.permille(60);
        let often = random.permille(250);
        for kind in FAULT_KINDS {
            if random.permille(kind.likely()) && !calm {
                faults.push((kind, random.between(1500, 8000) * MS / if often { 3 } else { 1 }));
            }
        }
        let rough = random.permille(600);
        let busy = random.permille(250);
        let slow = random.permille(200);
        Scenario {
            machines,
            partitions: random.between(1, 4) as u16,
            replicas,
            zones,
            clients: random.between(2, 6) as usize,
            keys: random.between(1, 4),
            think: if busy { random.between(1, 10) } else { random.between(10, 150) } * MS,
            lease: Duration::from_millis(random.between(600, 1500)),
            safety: random.between(6, 14) * SECOND,
            delay: random.between(100, 4000) * 1000,
            drop: if rough { random.between(0, 60) } else { 0 },
            duplicate: if rough { random.between(0, 60) } else { 0 },
            straggle: if rough { random.between(0, 30) } else { 0 },
            faults,
            sync: random.between(50, if slow { 60_000 } else { 8000 }) * 1000,
            apply: random.between(20, if slow { 20_000 } else { 3000 }) * 1000,
            retain: *random.pick(&[0, 5, 20, 200, 10_000]).unwrap_or(&200),
            checkpoint: random.between(300, 6000) * MS,
            blocks: random.permille(600),
            grace: random.between(300, 1500) * MS,
            transfer: *random.pick(&[150, 600, 4000, 100_000]).unwrap_or(&4000),
        }
    }

    /// After the safety phase: no more losses, and the pace of a healthy network.
    pub fn heal(&mut self) {
        (self.drop, self.duplicate, self.straggle) = (0, 0, 0);
        self.faults.clear();
        self.sync = self.sync.min(2 * MS);
        self.apply = self.apply.min(MS);
        self.delay = self.delay.min(2 * MS);
    }
}
