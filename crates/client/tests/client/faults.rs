//! What scripted nodes do instead of serving.

use parking_lot::Mutex;
use rpc::wire::Fault;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use types::NodeId;

/// What a node does with one call.
#[derive(Clone, Debug)]
pub enum Act {
    /// What it should.
    Serve,
    /// Nothing but saying this.
    Refuse(Fault),
    /// Nothing, and no answer.
    Swallow,
    /// What it should, and no answer.
    ServeAndSwallow,
    /// What it should, much later: by then the caller may have given up.
    ServeLate(Duration),
    /// What it should, and saying this instead.
    ServeAndRefuse(Fault),
    /// What it should; then it breaks all connections and is gone.
    ServeAndDie,
    /// What it should, with a bit of the payload flipped.
    Spoil,
}

/// What nodes will do: first what is queued, then what is set for good.
#[derive(Default)]
pub struct Script {
    queued: Mutex<HashMap<(NodeId, u16), VecDeque<Act>>>,
    always: Mutex<HashMap<(NodeId, u16), Act>>,
}

impl Script {
    /// The next calls of this method to this node.
    pub fn queue(&self, node: NodeId, method: u16, acts: impl IntoIterator<Item = Act>) {
        self.queued.lock().entry((node, method)).or_default().extend(acts);
    }

    /// All calls after those queued.
    pub fn always(&self, node: NodeId, method: u16, act: Act) {
        self.always.lock().insert((node, method), act);
    }

    pub fn next(&self, node: NodeId, method: u16) -> Act {
        let queued = self.queued.lock().get_mut(&(node, method)).and_then(VecDeque::pop_front);
        queued.or_else(|| self.always.lock().get(&(node, method)).cloned()).unwrap_or(Act::Serve)
    }
}
