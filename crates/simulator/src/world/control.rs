//! The metadata store as a model: one linearizable state, batches guarded by revisions and fenced by
//! the leader's term, leaders that come and go. What nodes hear of it comes late and out of order.

use super::World;
use super::event::{CallReply, Event, Packet};
use super::leader::Leading;
use crate::invariants::Observed;
use crate::scenario::{MS, Scenario};
use control::controller::{HoldingsByNode, Plan, plan};
use rpc::wire::Holding;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{Chain, Incarnation, Layout, LayoutVersion, NodeId, NodeInfo, PartitionId, ReplicaId};

/// Who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub machine: usize,
    pub boot: u64,
    pub term: u64,
}

/// The state, and who leads.
pub(crate) struct Control {
    pub layout: Arc<Layout>,
    pub holdings: HoldingsByNode,
    /// When each key last changed.
    pub revisions: BTreeMap<Key, u64>,
    pub leader: Option<Leader>,
    pub terms: u64,
    /// Since when the leader was not heard of by most voters.
    pub silent_since: Option<u64>,
    pub voters: usize,
}

/// A key of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Node(NodeId),
    Chain(PartitionId),
    Settings,
}

/// A batch on its way into the store.
#[derive(Debug)]
pub(crate) struct Commit {
    pub machine: usize,
    pub boot: u64,
    pub term: u64,
    /// What was read, and when it had last changed.
    pub guards: Vec<(Key, u64)>,
    pub nodes: Vec<NodeInfo>,
    pub chains: Vec<(PartitionId, Chain)>,
    pub replicas_min: Option<u8>,
    pub holdings: Option<(NodeId, Vec<Holding>)>,
    /// The controller's own step waits for it.
    pub step: bool,
    /// A caller waits for it.
    pub caller: Option<(usize, u64, u64)>,
}

impl Control {
    /// A cluster just made: every chain is the first node's, and nobody has begun a life.
    pub fn new(scenario: &Scenario) -> Control {
        let first = NodeId(1);
        let chain = Chain { complete: BTreeSet::from([first]), wanted: vec![first], ..Chain::default() };
        let node = |id: u64| NodeInfo {
            id: NodeId(id),
            incarnation: Incarnation(0),
            alive: false,
            address: format!("node-{id}"),
            grpc: String::new(),
            web: String::new(),
            zone: String::new(),
            capacity: 0,
            capacity_set: None,
            draining: false,
            release: String::new(),
            protocols: (1, 1),
        };
        let layout = Layout {
            version: LayoutVersion(1),
            replicas_min: 1,
            replicas_wanted: scenario.replicas,
            nodes: (1..=scenario.machines as u64).map(|id| (NodeId(id), node(id))).collect(),
            chains: vec![chain; scenario.partitions as usize],
            ..Layout::default()
        };
        let voters = if scenario.machines >= 5 { 5 } else { 3 };
        let revisions = BTreeMap::new();
        Control {
            layout: Arc::new(layout),
            holdings: BTreeMap::new(),
            revisions,
            leader: None,
            terms: 0,
            silent_since: None,
            voters,
        }
    }

    pub fn revision(&self, key: Key) -> u64 {
        self.revisions.get(&key).copied().unwrap_or_default()
    }
}

impl World {
    /// Whether a machine hears, and is heard by, most voters.
    fn has_majority(&self, m: usize) -> bool {
        let voters = self.control.voters;
        let hears =
            |other: &usize| self.machines[*other].up() && self.network.up(m, *other) && self.network.up(*other, m);
        self.machines[m].up() && (0..voters).filter(hears).count() * 2 > voters
    }

    /// Whether this process leads at this moment, provably.
    pub(crate) fn confirmed(&self, m: usize) -> Option<u64> {
        let boot = self.machines[m].process.as_ref()?.boot;
        let leader = self.control.leader.filter(|leader| leader.machine == m && leader.boot == boot)?;
        self.has_majority(m).then_some(leader.term)
    }

    /// The voters look: a leader that is not heard of for long is followed by another.
    pub(crate) fn election(&mut self) {
        self.at(self.now + 50 * MS, Event::Election);
        let healthy = self.control.leader.is_some_and(|leader| self.confirmed(leader.machine).is_some());
        if healthy {
            self.control.silent_since = None;
            return;
        }
        let since = *self.control.silent_since.get_or_insert(self.now);
        if self.now - since > 250 * MS + self.random.below(500 * MS) {
            self.elect();
        }
    }

    /// Another leader, if some machine can lead.
    pub(crate) fn elect(&mut self) {
        self.flush_commits();
        let able: Vec<usize> = (0..self.control.voters).filter(|m| self.has_majority(*m)).collect();
        let Some(machine) = self.random.pick(&able).copied() else {
            self.control.leader = None;
            return;
        };
        self.control.terms += 1;
        self.control.silent_since = None;
        let boot = self.machines[machine].boots;
        self.control.leader = Some(Leader { machine, boot, term: self.control.terms });
        let (node, term) = (self.machines[machine].node, self.control.terms);
        self.log(format_args!("{node} leads, term {term}"));
    }

    /// What an old leader had under way is decided before another leads: some of it happened.
    fn flush_commits(&mut self) {
        self.electing = true;
        for commit in self.take_commits() {
            if self.random.permille(500) {
                self.commit(commit);
            }
        }
        self.electing = false;
    }

    /// Applies a batch if its guards and its fence hold.
    pub(crate) fn commit(&mut self, commit: Commit) {
        let fenced = self.control.leader.is_none_or(|leader| leader.term != commit.term);
        if !fenced && self.confirmed(commit.machine).is_none() && !self.electing {
            // Without most voters it waits: it takes effect with them, or at another's election, or never.
            return self.at(self.now + 50 * MS, Event::Commit(Box::new(commit)));
        }
        let conflict = commit.guards.iter().any(|(key, revision)| self.control.revision(*key) != *revision);
        let applied = !fenced && !conflict;
        if applied {
            self.write(&commit);
        }
        let Some(process) = self.machines[commit.machine].process.as_mut().filter(|p| p.boot == commit.boot) else {
            return;
        };
        if let Some(leading) = process.leading.as_mut().filter(|leading| leading.term == commit.term && commit.step) {
            leading.committing = false;
            if fenced {
                process.leading = None;
            }
        }
        if let Some((caller, boot, call)) = commit.caller {
            let reply = if applied { CallReply::Registered } else { CallReply::NotLeader };
            self.send(commit.machine, caller, Packet::Reply { boot, call, reply });
        }
    }

    fn write(&mut self, commit: &Commit) {
        let mut layout = Layout::clone(&self.control.layout);
        layout.version = LayoutVersion(layout.version.0 + 1);
        let revision = layout.version.0;
        for node in &commit.nodes {
            let before = layout.nodes.insert(node.id, node.clone());
            self.control.revisions.insert(Key::Node(node.id), revision);
            let replica = ReplicaId { node: node.id, incarnation: node.incarnation };
            if !node.alive && before.is_some_and(|before| before.alive) {
                self.log(format_args!("{} life {} is over", node.id, node.incarnation));
                self.observe(Observed::Voided { replica });
            }
        }
        for (partition, chain) in &commit.chains {
            if let Some(old) = layout.chains.get_mut(partition.0 as usize) {
                *old = chain.clone();
            }
            self.control.revisions.insert(Key::Chain(*partition), revision);
            let members: Vec<_> = chain.members.iter().map(|m| (m.replica.node.0, m.state)).collect();
            let complete: Vec<_> = chain.complete.iter().map(|node| node.0).collect();
            self.log(format_args!("{partition} epoch {}: {members:?} complete {complete:?}", chain.epoch));
        }
        if let Some(replicas_min) = commit.replicas_min {
            layout.replicas_min = replicas_min;
            self.control.revisions.insert(Key::Settings, revision);
        }
        if let Some((node, held)) = &commit.holdings {
            let held = held.iter().map(|holding| (holding.partition, *holding)).collect();
            self.control.holdings.insert(*node, held);
        }
        let before = std::mem::replace(&mut self.control.layout, Arc::new(layout));
        let now = self.control.layout.clone();
        self.observe(Observed::Layout { before: &before, now: &now });
        for m in 0..self.machines.len() {
            if self.network.up(commit.machine, m) && !self.random.permille(self.scenario.drop * 4) {
                self.send(commit.machine, m, Packet::Layout(now.clone()));
            }
        }
    }

    /// The batch that carries a plan out, as the controller writes it.
    pub(crate) fn batch(&self, m: usize, leading: &Leading, plan: &Plan) -> Option<Commit> {
        let layout = &self.control.layout;
        let mut commit = Commit {
            machine: m,
            boot: self.machines[m].boots,
            term: leading.term,
            guards: Vec::new(),
            nodes: Vec::new(),
            chains: Vec::new(),
            replicas_min: None,
            holdings: None,
            step: true,
            caller: None,
        };
        for replica in &plan.voided {
            if let Some(node) = layout.nodes.get(&replica.node) {
                commit.guards.push((Key::Node(node.id), self.control.revision(Key::Node(node.id))));
                commit.nodes.push(NodeInfo { alive: false, ..node.clone() });
            }
        }
        for (index, (chain, wanted)) in layout.chains.iter().zip(plan::wanted(layout)).enumerate() {
            let partition = PartitionId(index as u16);
            let planned = plan.chains.iter().find(|(changed, _)| *changed == partition).map(|(_, chain)| chain);
            let wanted = if wanted.is_empty() { chain.wanted.clone() } else { wanted };
            let next = Chain { wanted, ..planned.unwrap_or(chain).clone() };
            if next != *chain {
                commit.guards.push((Key::Chain(partition), self.control.revision(Key::Chain(partition))));
                commit.chains.push((partition, next));
            }
        }
        let replicas_min = plan::replicas_min(layout);
        if replicas_min != layout.replicas_min {
            commit.guards.push((Key::Settings, self.control.revision(Key::Settings)));
            commit.replicas_min = Some(replicas_min);
        }
        (!commit.guards.is_empty()).then_some(commit)
    }
}
