//! The choice of replicas as a flow: source → partition → (partition, zone) → node → sink.
//!
//! The edges' rooms are the rules: replicas of a partition, how many of them one zone may take, one
//! for each node, and what each node may hold in all. Where there are no more zones than replicas,
//! each zone's first replica comes from the source by itself, so that none is left out. A replica that
//! stays where it is costs nothing, a moved one costs one: the cheapest flow moves the least. Among
//! equals chance decides, fixed by the numbers of partition and node: so every pair of nodes shares
//! some partitions, and what one leaves behind can be spread over all others without moving more.

use crate::Candidate;
use crate::flow::{Edge, Network, Vertex};
use std::collections::BTreeMap;
use types::NodeId;

/// More than all that can be moved: shares are filled before movement is spared.
const UNBALANCED: u32 = 1 << 30;
/// A moved replica; more than all that chance adds, for 4096 replicas.
const MOVED: u32 = 1 << 16;
/// Costs that chance chooses from.
const CHANCES: u64 = 16;

/// What does not depend on the nodes.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub replicas: usize,
    /// Replicas of one partition that a zone may take.
    pub zone_share: usize,
    pub partitions: usize,
}

/// What a node may hold.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub base: u64,
    /// More, taken only when nobody has `base` left.
    pub extra: u64,
}

pub(crate) struct Assignment {
    network: Network,
    source: Vertex,
    sink: Vertex,
    /// By partition: a node and the edge that says whether it holds a replica.
    choices: Vec<Vec<(NodeId, Edge)>>,
    nodes: Vec<(NodeId, Vertex)>,
}

impl Assignment {
    /// `rooms` by candidate, counted like the flow in parts of replicas, `unit` of which make one;
    /// `previous` by partition, may be shorter.
    pub(crate) fn new(
        candidates: &[&Candidate],
        rooms: &[Room],
        rules: Rules,
        unit: u64,
        previous: &[Vec<NodeId>],
    ) -> Assignment {
        let mut network = Network::default();
        let (source, sink) = (network.vertex(), network.vertex());
        let mut nodes = Vec::new();
        let mut zones: BTreeMap<&str, Vec<(NodeId, Vertex)>> = BTreeMap::new();
        for (candidate, room) in candidates.iter().zip(rooms) {
            let vertex = network.vertex();
            network.edge(vertex, sink, room.base, 0);
            network.edge(vertex, sink, room.extra, UNBALANCED);
            nodes.push((candidate.node, vertex));
            zones.entry(&candidate.zone).or_default().push((candidate.node, vertex));
        }
        let in_each_zone = u64::from(zones.len() <= rules.replicas);
        let free = rules.replicas as u64 - in_each_zone * zones.len() as u64;
        let mut choices = Vec::with_capacity(rules.partitions);
        for index in 0..rules.partitions {
            let held = previous.get(index).map_or(&[][..], Vec::as_slice);
            let partition = network.vertex();
            network.edge(source, partition, free * unit, 0);
            let mut of_partition = Vec::with_capacity(candidates.len());
            for members in zones.values() {
                let zone = network.vertex();
                network.edge(source, zone, in_each_zone * unit, 0);
                network.edge(partition, zone, (rules.zone_share as u64 - in_each_zone) * unit, 0);
                for (node, vertex) in members {
                    let cost = if held.contains(node) { 0 } else { MOVED + chance(index, *node) };
                    of_partition.push((*node, network.edge(zone, *vertex, unit, cost)));
                }
            }
            choices.push(of_partition);
        }
        Assignment { network, source, sink, choices, nodes }
    }

    /// Places as much as there is room for, moving the least; how much was placed.
    pub(crate) fn fill(&mut self) -> u64 {
        self.network.fill(self.source, self.sink)
    }

    /// After an incomplete [`fill`](Self::fill): the nodes whose rooms held it back.
    pub(crate) fn bottleneck(&self) -> Vec<NodeId> {
        let reachable = self.network.reachable(self.source);
        self.nodes.iter().filter(|(_, vertex)| reachable[*vertex]).map(|(node, _)| *node).collect()
    }

    /// Who holds each partition.
    pub(crate) fn chosen(&self) -> Vec<Vec<NodeId>> {
        let holds = |(_, edge): &&(NodeId, Edge)| self.network.flow(*edge) > 0;
        self.choices.iter().map(|of| of.iter().filter(holds).map(|(node, _)| *node).collect()).collect()
    }
}

/// A small number that looks random and never changes (the finalizer of SplitMix64).
fn chance(partition: usize, node: NodeId) -> u32 {
    let mut mixed = (partition as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ node.0.wrapping_mul(0xd1b5_4a32_d192_ed03);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) % CHANCES) as u32
}
