//! A cluster in a world where a seed decides everything: virtual time, one queue of events, skewed clocks,
//! disks and links that fail. Nodes are driven as `node` drives them, around the real replicas, lives, leases,
//! plans, changes of the layout and the engine in memory; only the voters of the metadata store are a model.
//!
//! **Invariants**: nothing here looks at the machine's own clock or randomness, or at an unordered map; the
//! same seed gives the same trace. **Leaves to others**: what must hold ([`crate::invariants`]) and the
//! judgement of client histories ([`crate::history`]).
//!
//! | file | what is in it |
//! |---|---|
//! | `event` · `network` · `clock` | what can happen, links, time |
//! | `machine` · `driver` · `disk` · `copies` · `serve` · `life` | a node |
//! | `control` · `leader` | the metadata store and the controller |
//! | `blocks` | a node's blocks |
//! | `client` · `load` · `uploads` | clients and what they do |
//! | `faults` · `acts` · `finish` | what goes wrong, what administrators do, and how it must end |

mod acts;
mod blocks;
mod client;
mod clock;
mod control;
mod copies;
mod disk;
mod driver;
mod event;
mod faults;
mod finish;
mod leader;
mod life;
mod load;
mod machine;
mod network;
mod serve;
mod uploads;

use crate::bugs::Bugs;
use crate::history::History;
use crate::invariants::{Invariants, Observed};
use crate::random::Random;
use crate::scenario::{MS, Scenario};
use crate::strikes::Strikes;
use crate::trace::Trace;
use acts::Wish;
use client::Client;
use control::{Commit, Control};
use event::{ClientEvent, Event, Local, Packet};
use finish::Ending;
use load::Counters;
use machine::Machine;
use network::Network;
use replication::chain::CopyId;
use std::collections::BTreeMap;
use std::fmt;
use types::{NodeId, PartitionId};
use uploads::File;

/// Events of one run at most: far beyond what any run needs.
const EVENTS_MAX: u64 = 3_000_000;
/// Packets that wait at a frozen process, at most.
const DEFERRED_MAX: usize = 5_000;

/// The world.
pub struct World {
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    order: u64,
    random: Random,
    scenario: Scenario,
    bugs: Bugs,
    machines: Vec<Machine>,
    network: Network,
    control: Control,
    clients: Vec<Client>,
    history: History,
    counters: Counters,
    values: u64,
    invariants: Invariants,
    trace: Trace,
    failure: Option<String>,
    healed: bool,
    healed_at: u64,
    ending: Ending,
    undecided: bool,
    /// The voters decide what an old leader had under way.
    electing: bool,
    /// What administrators want.
    wishes: BTreeMap<u64, Wish>,
    wishes_made: u64,
    /// Files that clients were told are kept.
    files: Vec<File>,
    strikes: Strikes,
    /// What the senders of copies had, in short; none where something rotted.
    copied: BTreeMap<(PartitionId, CopyId), Vec<Option<[u8; 32]>>>,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// What was violated, if anything.
    pub failure: Option<String>,
    /// Of the trace.
    pub hash: u64,
    /// Events that happened.
    pub events: u64,
    /// Virtual nanoseconds.
    pub duration: u64,
    /// Operations that clients began.
    pub operations: usize,
    /// The history was too entangled to judge.
    pub undecided: bool,
    /// How often each fault struck.
    pub strikes: Strikes,
}

impl World {
    /// A world from a seed.
    pub fn new(seed: u64, bugs: Bugs, keep_trace: bool) -> World {
        let mut random = Random::new(seed);
        let scenario = Scenario::choose(&mut random);
        // The first makes the cluster, the others join it.
        let id = |m: usize| NodeId(u64::from(m == 0));
        let machines = (0..scenario.machines).map(|m| Machine::new(id(m), &scenario, &mut random)).collect();
        let clients = (0..scenario.clients).map(|_| Client::new()).collect();
        let mut world = World {
            now: 0,
            queue: BTreeMap::new(),
            order: 0,
            machines,
            network: Network::default(),
            control: Control::new(&scenario),
            clients,
            history: History::default(),
            counters: Counters::default(),
            values: 0,
            invariants: Invariants::new(),
            trace: Trace::new(keep_trace),
            failure: None,
            healed: false,
            healed_at: 0,
            ending: Ending::default(),
            undecided: false,
            electing: false,
            wishes: BTreeMap::new(),
            wishes_made: 0,
            files: Vec::new(),
            strikes: Strikes::default(),
            copied: BTreeMap::new(),
            random,
            scenario,
            bugs,
        };
        world.log(format_args!("seed {seed}: {:?}", world.scenario.clone()));
        world.plan();
        world
    }

    fn plan(&mut self) {
        for m in 0..self.machines.len() {
            // Some join late.
            let late = m > 0 && self.random.permille(200);
            let at = self.random.below(if late { 4000 } else { 100 }) * MS;
            self.at(at, if m == 0 { Event::Start(m) } else { Event::Join(m) });
            let edge = self.machines[m].clock.at_the_edge();
            self.strike_if(edge, "clocks at the edge");
        }
        self.at(150 * MS, Event::Election);
        for client in 0..self.clients.len() {
            let at = 500 * MS + self.random.below(1000 * MS);
            self.at(at, Event::Client { client, what: ClientEvent::Begin });
        }
        for (kind, every) in self.scenario.faults.clone() {
            let at = 1000 * MS + self.random.below(2 * every);
            self.at(at, Event::Fault(kind));
        }
        self.at(self.scenario.safety, Event::Heal);
    }

    /// Runs to the end, or to the first violation.
    pub fn run(&mut self) -> Ended {
        let mut events = 0;
        while self.failure.is_none() && self.ending != Ending::Done {
            let Some(((at, _), event)) = self.queue.pop_first() else { break };
            self.now = self.now.max(at);
            events += 1;
            if events > EVENTS_MAX {
                self.fail("liveness: events without end".into());
                break;
            }
            self.happen(event);
        }
        let failure = self.failure.clone();
        if let Some(why) = &failure {
            self.log(format_args!("VIOLATION: {why}"));
            for doing in self.doings() {
                self.log(format_args!("{doing}"));
            }
        }
        Ended {
            failure,
            hash: self.trace.hash(),
            events,
            duration: self.now,
            operations: self.history.operations().len(),
            undecided: self.undecided,
            strikes: self.strikes.clone(),
        }
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.insert((at, self.order), event);
    }

    fn log(&mut self, what: fmt::Arguments<'_>) {
        self.trace.line(self.now, what);
    }

    /// A fault took effect.
    fn strike(&mut self, what: &'static str) {
        self.strikes.count(what);
    }

    fn strike_if(&mut self, struck: bool, what: &'static str) {
        if struck {
            self.strike(what);
        }
    }

    /// The first violation ends the run.
    fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    fn observe(&mut self, seen: Observed<'_>) {
        if self.bugs.blind {
            return;
        }
        if let Err(why) = self.invariants.observe(self.now, &seen) {
            self.fail(why);
        }
    }

    /// Batches of the controller that have not reached the store.
    fn take_commits(&mut self) -> Vec<Commit> {
        let keys: Vec<_> =
            self.queue.iter().filter(|(_, event)| matches!(event, Event::Commit(_))).map(|(key, _)| *key).collect();
        let taken = keys.into_iter().filter_map(|key| self.queue.remove(&key));
        taken.filter_map(|event| if let Event::Commit(commit) = event { Some(*commit) } else { None }).collect()
    }

    /// What comes to a frozen process waits.
    fn deferred(&mut self, m: usize, event: Event) {
        let deferred = &mut self.machines[m].deferred;
        if deferred.len() < DEFERRED_MAX || matches!(event, Event::Local { .. }) {
            deferred.push(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Local { machine: m, boot, what } => {
                let current = self.machines[m].process.as_ref().is_some_and(|process| process.boot == boot);
                if current && self.machines[m].frozen {
                    // Disks and clocks go on; the process sees it later.
                    self.deferred(m, Event::Local { machine: m, boot, what });
                } else if current {
                    self.local_event(m, what);
                }
            }
            Event::Packet { machine: m, packet } => {
                if self.machines[m].frozen {
                    self.deferred(m, Event::Packet { machine: m, packet });
                } else if self.machines[m].process.is_some() {
                    self.arrive(m, packet);
                }
            }
            Event::Answer { client, attempt, reply } => self.answer(client, attempt, reply),
            Event::Client { client, what } => self.client_event(client, what),
            Event::Start(m) => self.start(m),
            Event::Join(m) => self.join(m),
            Event::Replace(m) => self.replace(m),
            Event::Act(act) => self.act(act),
            Event::Resume(m) => {
                if self.machines[m].frozen {
                    self.resume(m);
                }
            }
            Event::Commit(commit) => self.commit(*commit),
            Event::Election => self.election(),
            Event::Fault(kind) => self.fault(kind),
            Event::Mend(from, to) => self.network.mend(from, to),
            Event::FastDisk(m) => self.machines[m].slow_disk = false,
            Event::Room(m) => self.machines[m].engine.set_full(false),
            Event::Heal => self.heal(),
            Event::Converged => self.converged(),
        }
    }

    fn arrive(&mut self, m: usize, packet: Packet) {
        match packet {
            Packet::Chain(message) => {
                let partition = message.partition;
                self.step(m, partition, |replica, env, _, out| replica.receive(env, message, out));
            }
            Packet::Call(call) => self.called(m, *call),
            Packet::Reply { boot, call, reply } => self.call_answered(m, boot, call, reply),
            Packet::Layout(layout) => self.learn(m, layout),
            Packet::Died(life) => self.heard_of_death(m, life),
            Packet::Talk { from, boot, job, talk } => self.talked(m, from, boot, job, talk),
            Packet::Told { boot, job, talk } => self.told(m, boot, job, talk),
            Packet::Request { client, attempt, request } => self.requested(m, client, attempt, request),
        }
    }

    fn local_event(&mut self, m: usize, what: Local) {
        match what {
            Local::Tick => {
                for partition in self.partitions() {
                    self.step(m, partition, |replica, env, _, out| replica.tick(env, out));
                }
                self.local(m, 50 * MS, Local::Tick);
            }
            Local::Expire => self.expire(m),
            Local::Checkpoint => {
                self.push_work(m, machine::Work::Checkpoint);
                self.local(m, self.scenario.checkpoint, Local::Checkpoint);
            }
            Local::Sync => self.sync(m),
            Local::Work => self.work(m),
            Local::Logged(done) => {
                for (partition, number) in done {
                    self.step(m, partition, |replica, env, _, out| replica.durable(env, number, out));
                }
            }
            Local::Applied(done) => {
                for (partition, seq) in done {
                    self.step(m, partition, |replica, env, _, out| replica.applied(env, seq, out));
                    self.tables_at(m, partition, seq);
                }
            }
            Local::Voided(partition, copy) => {
                self.step(m, partition, |replica, _, _, out| replica.voided(copy, out));
            }
            Local::Imported(partition, copy, index) => {
                self.step(m, partition, |replica, _, _, out| replica.imported(copy, index, out));
            }
            Local::Installed(partition, copy) => {
                self.step(m, partition, |replica, env, _, out| replica.installed(env, copy, out));
                if let Some(process) = &mut self.machines[m].process {
                    process.upkeep.scan(partition);
                }
                let seq = storage::StorageEngine::applied(&*self.machines[m].engine, partition).seq;
                self.tables_at(m, partition, seq);
            }
            Local::Fetch(partition, epoch, from) => self.fetch(m, partition, epoch, from),
            Local::Fetched(partition, epoch, entries) => {
                self.step(m, partition, |replica, env, _, out| replica.fetched(env, epoch, entries, out));
            }
            Local::ReadStep(partition, copy, index, want) => self.read_step(m, partition, copy, index, want),
            Local::StepRead(partition, copy, index, step) => {
                self.step(m, partition, |replica, env, _, out| replica.step_read(env, copy, index, step, out));
            }
            Local::Compare(partition, copy, index, after, pieces) => {
                self.compare(m, partition, (copy, index), after.as_ref(), &pieces);
            }
            Local::ReadTake(read) => self.read_take(m, read),
            Local::ReadReply(read) => self.read_reply(m, read),
            Local::ReadGivenUp(read) => self.read_failed(m, read),
            Local::Live(next) => self.live(m, next),
            Local::Report => self.say_reports(m),
            Local::Keep => self.keep(m),
            Local::Collect => self.collect(m),
            Local::Scrub => self.scrub(m),
            Local::Job(job) => self.job(m, job),
            Local::JobGivenUp(job) => self.job_failed(m, job),
            Local::CallTimeout(call) => self.call_timeout(m, call),
            Local::Poll => self.poll(m),
            Local::Lead => self.lead(m),
            Local::Confirm(call) => self.confirm_call(m, *call),
            Local::Grant(call, token) => self.grant(m, *call, token),
        }
    }

    fn tables_at(&mut self, m: usize, partition: types::PartitionId, seq: types::Seq) {
        if let Some(process) = &mut self.machines[m].process {
            process.hosted[partition.0 as usize].applied = seq;
        }
    }

    fn partitions(&self) -> impl Iterator<Item = types::PartitionId> + use<> {
        (0..self.scenario.partitions).map(types::PartitionId)
    }
}
