//! Flow of least cost through a small network: whole numbers, successive shortest paths, with all
//! shortest paths of one length filled at once (Ahuja, Magnanti, Orlin: *Network Flows*, ch. 9).

use std::collections::VecDeque;

/// A vertex, as given out by [`Network::vertex`].
pub type Vertex = usize;
/// An edge, as given out by [`Network::edge`].
pub type Edge = usize;

/// Added to the cost of every edge, so that among paths of one cost the shortest is taken.
const HOP: i64 = 1;
/// Worth of one unit of a caller's cost; more than the hops of any path.
const COST: i64 = 1 << 20;

struct Half {
    to: Vertex,
    room: u64,
    cost: i64,
}

/// Vertices and edges with the flow through them.
#[derive(Default)]
pub struct Network {
    /// Edges and their reverses, at `2 i` and `2 i + 1`.
    halves: Vec<Half>,
    out: Vec<Vec<usize>>,
}

impl Network {
    /// A new vertex.
    pub fn vertex(&mut self) -> Vertex {
        self.out.push(Vec::new());
        self.out.len() - 1
    }

    /// A new edge with room for so many units, each at this cost.
    pub fn edge(&mut self, from: Vertex, to: Vertex, room: u64, cost: u32) -> Edge {
        let cost = i64::from(cost) * COST + HOP;
        let edge = self.halves.len();
        self.halves.push(Half { to, room, cost });
        self.halves.push(Half { to: from, room: 0, cost: -cost });
        self.out[from].push(edge);
        self.out[to].push(edge + 1);
        edge
    }

    /// Units that flow through an edge.
    pub fn flow(&self, edge: Edge) -> u64 {
        self.halves[edge + 1].room
    }

    /// Sends as much as goes from `source` to `sink`, at the least cost; how much it was.
    pub fn fill(&mut self, source: Vertex, sink: Vertex) -> u64 {
        let mut sent = 0;
        while let Some(distances) = self.distances(source, sink) {
            let mut next = vec![0; self.out.len()];
            let mut on_path = vec![false; self.out.len()];
            sent += self.augment(source, sink, u64::MAX, &distances, &mut next, &mut on_path);
        }
        sent
    }

    /// Vertices that more could still flow to; after [`fill`](Self::fill) the source's side of a least cut.
    pub fn reachable(&self, source: Vertex) -> Vec<bool> {
        let mut seen = vec![false; self.out.len()];
        let mut open = vec![source];
        seen[source] = true;
        while let Some(vertex) = open.pop() {
            for half in self.out[vertex].iter().map(|&half| &self.halves[half]) {
                if half.room > 0 && !std::mem::replace(&mut seen[half.to], true) {
                    open.push(half.to);
                }
            }
        }
        seen
    }

    /// Costs of the cheapest ways from the source; none when the sink can't be reached.
    fn distances(&self, source: Vertex, sink: Vertex) -> Option<Vec<i64>> {
        let mut distances = vec![i64::MAX; self.out.len()];
        let mut queued = vec![false; self.out.len()];
        let mut queue = VecDeque::from([source]);
        distances[source] = 0;
        while let Some(vertex) = queue.pop_front() {
            queued[vertex] = false;
            for half in self.out[vertex].iter().map(|&half| &self.halves[half]) {
                let distance = distances[vertex] + half.cost;
                if half.room > 0 && distance < distances[half.to] {
                    distances[half.to] = distance;
                    if !std::mem::replace(&mut queued[half.to], true) {
                        queue.push_back(half.to);
                    }
                }
            }
        }
        (distances[sink] < i64::MAX).then_some(distances)
    }

    /// Fills ways along which the distances grow exactly by the edges' costs.
    fn augment(
        &mut self,
        at: Vertex,
        sink: Vertex,
        most: u64,
        distances: &[i64],
        next: &mut [usize],
        on_path: &mut [bool],
    ) -> u64 {
        if at == sink {
            return most;
        }
        on_path[at] = true;
        let mut sent = 0;
        while sent < most && next[at] < self.out[at].len() {
            let half = self.out[at][next[at]];
            let Half { to, room, cost } = self.halves[half];
            if room > 0 && !on_path[to] && distances[to] == distances[at] + cost {
                let through = self.augment(to, sink, room.min(most - sent), distances, next, on_path);
                self.halves[half].room -= through;
                self.halves[half ^ 1].room += through;
                sent += through;
            }
            if sent < most {
                next[at] += 1;
            }
        }
        on_path[at] = false;
        sent
    }
}
