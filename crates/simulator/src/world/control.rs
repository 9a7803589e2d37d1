//! The metadata store as a model: the one linearizable state that every backend keeps, leaders that come and
//! go, batches that arrive late or never. What nodes hear of it comes late and out of order.

use super::World;
use super::event::{CallReply, Event, Packet};
use crate::invariants::Observed;
use crate::scenario::{MS, Scenario};
use control::controller::{Known, keys};
use control::state::State;
use control::voters::{self, Candidate};
use control::{Batch, Expect, LeaderToken, MetadataError};
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{Chain, ClusterId, Layout, MemberState, NodeId, PartitionId, ReplicaId};

/// Who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub machine: usize,
    pub boot: u64,
    pub token: LeaderToken,
}

/// The state, and who leads.
pub(crate) struct Control {
    pub state: State,
    /// What it says now.
    pub known: Arc<Known>,
    pub layout: Arc<Layout>,
    pub leader: Option<Leader>,
    pub terms: u64,
    /// Since when the leader was not heard of by most voters.
    pub silent_since: Option<u64>,
    pub voters: BTreeSet<NodeId>,
}

/// A batch on its way into the store.
#[derive(Debug)]
pub(crate) struct Commit {
    pub machine: usize,
    pub boot: u64,
    /// The leadership under which it is proposed.
    pub token: LeaderToken,
    pub batch: Batch,
    pub why: Why,
}

/// Who waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    /// The controller's own step.
    Step,
    /// A call.
    Call { from: usize, boot: u64, call: u64 },
    /// A machine that joins.
    Join(usize),
    /// An administrator's act.
    Act(u64),
}

impl Control {
    /// A cluster just made: every chain is the first node's, and it has not begun a life.
    pub fn new(scenario: &Scenario) -> Control {
        let first = NodeId(1);
        let settings = keys::Settings {
            cluster: ClusterId::default(),
            partitions: scenario.partitions,
            replicas_wanted: scenario.replicas,
            replicas_min: 1,
            replicas_min_set: false,
            feature_level: 1,
        };
        let mut batch = Batch::new()
            .put(keys::SETTINGS, keys::encode(&settings))
            .put(keys::NEXT_NODE, "2")
            .put(keys::node(first), keys::encode(&types::NodeInfo::unborn(first)));
        for partition in 0..scenario.partitions {
            let chain = Chain { complete: BTreeSet::from([first]), wanted: vec![first], ..Chain::default() };
            batch = batch.put(keys::chain(PartitionId(partition)), keys::encode(&chain));
        }
        let mut state = State::default();
        // Nothing is expected of an empty store.
        let _ = state.apply(batch, LeaderToken { term: 0, node: first });
        let known = Known::read(state.range("")).unwrap_or_default();
        Control {
            layout: Arc::new(known.layout.clone()),
            known: Arc::new(known),
            state,
            leader: None,
            terms: 0,
            silent_since: None,
            voters: BTreeSet::from([first]),
        }
    }
}

impl World {
    /// Whether a machine hears, and is heard by, most voters.
    fn has_majority(&self, m: usize) -> bool {
        let voters = &self.control.voters;
        let hears = |other: usize| self.machines[other].up() && self.network.both(m, other);
        let heard = voters.iter().filter(|voter| self.machine_of(**voter).is_some_and(hears)).count();
        self.machines[m].up() && heard * 2 > voters.len()
    }

    /// Whether this process leads at this moment, provably.
    pub(crate) fn confirmed(&self, m: usize) -> Option<LeaderToken> {
        let boot = self.machines[m].process.as_ref()?.boot;
        let leader = self.control.leader.filter(|leader| leader.machine == m && leader.boot == boot)?;
        self.has_majority(m).then_some(leader.token)
    }

    /// The voters look: a leader that is not heard of for long is followed by another.
    pub(crate) fn election(&mut self) {
        self.at(self.now + 50 * MS, Event::Election);
        let leader = self.control.leader.filter(|leader| self.confirmed(leader.machine).is_some());
        if let Some(leader) = leader {
            self.control.silent_since = None;
            return self.tend_voters(leader.machine);
        }
        let since = *self.control.silent_since.get_or_insert(self.now);
        if self.now - since > 250 * MS + self.random.below(500 * MS) {
            self.elect();
        }
    }

    /// Another leader, if some machine can lead.
    pub(crate) fn elect(&mut self) {
        self.flush_commits();
        let machines: Vec<usize> = self.control.voters.iter().filter_map(|voter| self.machine_of(*voter)).collect();
        let able: Vec<usize> = machines.into_iter().filter(|m| self.has_majority(*m)).collect();
        let Some(machine) = self.random.pick(&able).copied() else {
            self.control.leader = None;
            return;
        };
        self.control.terms += 1;
        self.control.silent_since = None;
        let (boot, node) = (self.machines[machine].boots, self.machines[machine].node);
        let token = LeaderToken { term: self.control.terms, node };
        self.control.leader = Some(Leader { machine, boot, token });
        self.log(format_args!("{node} leads, term {}", token.term));
    }

    /// Who votes is changed as `node` has it changed, one step at a time.
    fn tend_voters(&mut self, leader: usize) {
        let candidates = self.candidates(leader);
        let removed = self.control.voters.iter().find(|voter| !self.control.layout.nodes.contains_key(voter));
        let without = removed.and_then(|gone| voters::without(&candidates, *gone));
        if let Some(voters) = without.or_else(|| voters::desired(&candidates)) {
            self.vote(voters);
        }
    }

    /// As `Coordination::retire`: whether the node votes no longer.
    pub(crate) fn retires(&mut self, leader: usize, node: NodeId) -> bool {
        if self.control.voters.contains(&node)
            && let Some(voters) = voters::without(&self.candidates(leader), node)
        {
            self.vote(voters);
        }
        !self.control.voters.contains(&node)
    }

    fn vote(&mut self, voters: BTreeSet<NodeId>) {
        self.log(format_args!("voters are {voters:?}"));
        self.control.voters = voters;
        // Whoever led and votes no longer leads no longer.
        if self.control.leader.is_some_and(|leader| !self.control.voters.contains(&leader.token.node)) {
            self.elect();
        }
    }

    fn candidates(&self, leader: usize) -> Vec<Candidate> {
        let layout = &self.control.layout;
        let known = layout.nodes.values().filter(|node| node.incarnation.0 > 0).map(|node| node.id);
        let members: BTreeSet<NodeId> = known.chain(self.control.voters.iter().copied()).collect();
        let candidate = |id: NodeId| {
            let machine = self.machine_of(id);
            let alive = machine.is_some_and(|m| self.machines[m].up() && self.network.both(leader, m));
            let leaving = layout.nodes.get(&id).is_none_or(|node| node.draining);
            Candidate { id, is_voter: self.control.voters.contains(&id), alive, caught_up: alive, leaving }
        };
        members.into_iter().map(candidate).collect()
    }

    /// What an old leader had under way is decided before another leads: some of it happened.
    fn flush_commits(&mut self) {
        self.electing = true;
        for commit in self.take_commits() {
            if self.random.permille(500) {
                self.commit(commit);
            } else {
                // Its proposer never hears.
                self.committed(&commit, false);
            }
        }
        self.electing = false;
    }

    /// Applies a batch if its checks and its fence hold.
    pub(crate) fn commit(&mut self, commit: Commit) {
        let leads = self.control.leader.is_some_and(|leader| leader.token == commit.token);
        if leads && self.confirmed(commit.machine).is_none() && !self.electing {
            // Without most voters it waits: it takes effect with them, or at another's election, or never.
            return self.at(self.now + 50 * MS, Event::Commit(Box::new(commit)));
        }
        let result = match leads {
            true => self.control.state.apply(commit.batch.clone(), commit.token).map(drop),
            false => Err(MetadataError::NotLeader { leader: None }),
        };
        if result.is_ok() {
            self.written(commit.machine);
        }
        self.committed(&commit, result.is_ok());
    }

    /// Whoever waits for a batch hears of it.
    fn committed(&mut self, commit: &Commit, applied: bool) {
        match commit.why {
            Why::Join(m) => return self.joined(m, &commit.batch, applied),
            Why::Act(act) => return self.acted(act, applied),
            Why::Step | Why::Call { .. } => {}
        }
        let leads = self.control.leader.is_some_and(|leader| leader.token == commit.token);
        let Some(process) = self.machines[commit.machine].process.as_mut().filter(|p| p.boot == commit.boot) else {
            return;
        };
        match commit.why {
            Why::Step => {
                process.committing = None;
                if !leads {
                    process.leading = None;
                }
            }
            Why::Call { from, boot, call } => {
                let reply = if applied { CallReply::Registered } else { CallReply::NotLeader };
                self.send(commit.machine, from, Packet::Reply { boot, call, reply });
            }
            Why::Join(_) | Why::Act(_) => {}
        }
    }

    /// The metadata changed.
    fn written(&mut self, leader: usize) {
        let Some(known) = Known::read(self.control.state.range("")) else { return };
        let before = std::mem::replace(&mut self.control.layout, Arc::new(known.layout.clone()));
        self.control.known = Arc::new(known);
        let now = self.control.layout.clone();
        for (id, node) in &before.nodes {
            let replica = ReplicaId { node: *id, incarnation: node.incarnation };
            match now.nodes.get(id) {
                None => self.log(format_args!("{id} is removed")),
                Some(next) if node.alive && !next.alive => {
                    self.log(format_args!("{id} life {} is over", node.incarnation));
                    self.strike("leases run out");
                    self.observe(Observed::Voided { replica });
                }
                Some(_) => {}
            }
        }
        for (index, (chain, old)) in now.chains.iter().zip(&before.chains).enumerate() {
            if chain != old {
                let members: Vec<_> = chain.members.iter().map(|m| (m.replica.node.0, m.state)).collect();
                let complete: Vec<_> = chain.complete.iter().map(|node| node.0).collect();
                self.log(format_args!("{index} epoch {}: {members:?} complete {complete:?}", chain.epoch));
                let departing = |chain: &Chain| chain.members.iter().any(|m| m.state == MemberState::Departing);
                if departing(chain) && !departing(old) {
                    self.strike("members departed");
                }
            }
        }
        self.observe(Observed::Layout { before: &before, now: &now });
        for m in 0..self.machines.len() {
            if self.network.up(leader, m) && !self.random.permille(self.scenario.drop * 4) {
                self.send(leader, m, Packet::Layout(now.clone()));
            }
        }
    }

    pub(crate) fn commit_soon(&mut self, machine: usize, token: LeaderToken, batch: Batch, why: Why) {
        let after = self.delay() + self.random.below(self.scenario.sync * 2 + 1);
        let boot = self.machines[machine].boots;
        let commit = Commit { machine, boot, token, batch, why };
        self.at(self.now + after, Event::Commit(Box::new(commit)));
    }

    /// A machine that is of no cluster asks to be admitted.
    pub(crate) fn join(&mut self, m: usize) {
        let leader = self.control.leader.filter(|leader| self.confirmed(leader.machine).is_some());
        let (Some(leader), Some(next)) = (leader, self.control.state.get(keys::NEXT_NODE)) else {
            return self.at(self.now + 200 * MS, Event::Join(m));
        };
        let id = std::str::from_utf8(&next.value).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
        let batch = Batch::new()
            .expect(keys::NEXT_NODE, Expect::Revision(next.revision))
            .put(keys::NEXT_NODE, (id + 1).to_string())
            .put(keys::node(NodeId(id)), keys::encode(&types::NodeInfo::unborn(NodeId(id))));
        self.commit_soon(leader.machine, leader.token, batch, Why::Join(m));
    }

    fn joined(&mut self, m: usize, batch: &Batch, applied: bool) {
        if !applied {
            return self.at(self.now + 100 * MS, Event::Join(m));
        }
        let id = batch.operations.iter().find_map(|operation| match operation {
            control::Operation::Put { key, .. } => key.strip_prefix("nodes/")?.parse().ok(),
            control::Operation::Delete { .. } => None,
        });
        let node = NodeId(id.unwrap_or_default());
        self.machines[m].node = node;
        self.log(format_args!("machine {m} joins as {node}"));
        self.at(self.now + MS, Event::Start(m));
    }
}
