//! The places for connections. When all are taken, a newcomer gets the place of one that waits for its next request, or
//! for the first: of the network that has most of those, the one that has waited for longest. So whoever only holds
//! connections open keeps nobody out, however many they are.

use super::bounds::Bounds;
use crate::network::Network;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// All connections of a gateway, by whichever door they came.
pub(super) struct Connections {
    most: usize,
    most_of_network: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    places: HashMap<u64, State>,
    /// By how long they have waited. None: this machine and its proxies, who have many people's connections.
    waiting: HashMap<Option<Network>, BTreeSet<(u64, u64)>>,
    /// Requests under way, by who sent them: a proxy's are its callers'.
    requests: HashMap<Network, usize>,
    /// Counts what happens: time enough to tell what was before what.
    clock: u64,
}

struct State {
    of: Option<Network>,
    under_way: usize,
    /// Since when it waits, while nothing is.
    since: Option<u64>,
    leave: CancellationToken,
}

/// A connection's place, given back when it is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    /// Somebody else has the place.
    pub leave: CancellationToken,
}

/// What is under way on a connection; then it waits again.
pub(super) struct Busy {
    connections: Arc<Connections>,
    id: u64,
}

/// A request under way, of somebody's network.
pub(super) struct Asking {
    connections: Arc<Connections>,
    of: Network,
}

impl Connections {
    pub fn within(bounds: &Bounds) -> Connections {
        let held = Mutex::default();
        Connections { most: bounds.connections, most_of_network: bounds.requests_of_network, held }
    }

    /// A place for a connection that has come; none while all others have something under way.
    pub fn admit(self: &Arc<Connections>, of: Option<Network>) -> Option<Place> {
        let mut held = self.held.lock();
        if held.places.len() >= self.most && !held.make_room() {
            return None;
        }
        let leave = CancellationToken::new();
        let id = held.tick();
        held.places.insert(id, State { of, under_way: 0, since: None, leave: leave.clone() });
        held.wait(id);
        Some(Place { connections: self.clone(), id, leave })
    }

    /// A request more of that network; none: it has its share under way. What comes from this machine has no bound.
    pub fn ask(self: &Arc<Connections>, of: Network) -> Option<Asking> {
        let mut held = self.held.lock();
        let count = held.requests.entry(of).or_default();
        if *count >= self.most_of_network {
            return None;
        }
        *count += 1;
        Some(Asking { connections: self.clone(), of })
    }
}

impl Held {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn wait(&mut self, id: u64) {
        let now = self.tick();
        let Some(place) = self.places.get_mut(&id) else { return };
        place.since = Some(now);
        self.waiting.entry(place.of).or_default().insert((now, id));
    }

    fn wait_no_more(&mut self, id: u64) {
        let Some(place) = self.places.get_mut(&id) else { return };
        let (of, since) = (place.of, place.since.take());
        let (Some(since), Some(waiting)) = (since, self.waiting.get_mut(&of)) else { return };
        waiting.remove(&(since, id));
        if waiting.is_empty() {
            self.waiting.remove(&of);
        }
    }

    /// One fewer, if one waits.
    fn make_room(&mut self) -> bool {
        // Of two that have as many, the one whose first came before.
        let rank = |of: &Option<Network>, waiting: &BTreeSet<_>| {
            (of.is_some(), waiting.len(), Reverse(waiting.first().copied()))
        };
        let most = self.waiting.iter().max_by_key(|(of, waiting)| rank(of, waiting));
        let Some((_, id)) = most.and_then(|(_, waiting)| waiting.first().copied()) else { return false };
        self.wait_no_more(id);
        if let Some(place) = self.places.remove(&id) {
            place.leave.cancel();
        }
        true
    }
}

impl Place {
    /// A request has come on it; none: somebody else has the place already, and nothing is to be begun.
    pub fn busy(&self) -> Option<Busy> {
        let mut held = self.connections.held.lock();
        held.wait_no_more(self.id);
        held.places.get_mut(&self.id)?.under_way += 1;
        Some(Busy { connections: self.connections.clone(), id: self.id })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.connections.held.lock();
        held.wait_no_more(self.id);
        held.places.remove(&self.id);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut held = self.connections.held.lock();
        let Some(place) = held.places.get_mut(&self.id) else { return };
        place.under_way -= 1;
        if place.under_way == 0 {
            held.wait(self.id);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut held = self.connections.held.lock();
        if let Some(count) = held.requests.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                held.requests.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(n: u8) -> Option<Network> {
        Some(Network::of([10, 0, 0, n].into()))
    }

    fn of(connections: usize) -> Arc<Connections> {
        Arc::new(Connections::within(&Bounds { connections, requests_of_network: 2, ..Bounds::default() }))
    }

    #[test]
    fn a_newcomer_has_the_place_of_who_holds_most_and_asks_nothing() {
        let all = of(4);
        let own = all.admit(None).unwrap();
        let quiet = all.admit(network(1)).unwrap();
        let first = all.admit(network(2)).unwrap();
        let second = all.admit(network(2)).unwrap();
        let under_way = first.busy().unwrap();
        // The first has something under way, so it is between the other two: the one that came first goes.
        let newcomer = all.admit(network(3)).unwrap();
        assert!(quiet.leave.is_cancelled() && quiet.busy().is_none());
        assert!(!second.leave.is_cancelled());
        let [_second, _newcomer] = [second.busy().unwrap(), newcomer.busy().unwrap()];
        // Proxies' connections go last.
        drop(under_way);
        let fourth = all.admit(network(4)).unwrap();
        assert!(first.leave.is_cancelled() && !own.leave.is_cancelled());
        let _fourth = fourth.busy().unwrap();
        let fifth = all.admit(network(5)).unwrap();
        assert!(own.leave.is_cancelled());
        let _fifth = fifth.busy().unwrap();
        assert!(all.admit(network(6)).is_none(), "nobody is broken off");
        // What has gone already gives its place back once.
        drop((own, quiet, first));
        assert_eq!(all.held.lock().places.len(), 4);
        drop(second);
        assert!(all.admit(network(6)).is_some());
    }

    #[test]
    fn a_network_has_its_share_of_what_is_under_way() {
        let all = of(4);
        let [one, other] = [network(1).unwrap(), network(2).unwrap()];
        let first = all.ask(one).unwrap();
        let _second = all.ask(one).unwrap();
        assert!(all.ask(one).is_none());
        let third = all.ask(other).unwrap();
        drop(first);
        assert!(all.ask(one).is_some());
        drop(third);
        assert_eq!(all.held.lock().requests.len(), 1);
    }

    proptest! {
        #[test]
        fn places_add_up(acts in prop::collection::vec((0u8..4, 0u8..4), 1..200)) {
            let all = of(5);
            let (mut places, mut busy) = (Vec::new(), Vec::new());
            for (act, n) in acts {
                match act {
                    0 | 1 => places.extend(all.admit(network(n))),
                    2 if !places.is_empty() => {
                        let at = usize::from(n) % places.len();
                        busy.extend(places[at].busy());
                    }
                    _ if n % 2 == 0 => drop(busy.pop()),
                    _ => drop(places.pop()),
                }
                let held = all.held.lock();
                let live = places.iter().filter(|place: &&Place| !place.leave.is_cancelled()).count();
                prop_assert_eq!(held.places.len(), live);
                prop_assert!(live <= 5);
                let waiting = held.places.values().filter(|place| place.since.is_some()).count();
                prop_assert_eq!(waiting, held.waiting.values().map(BTreeSet::len).sum::<usize>());
            }
            drop((places, busy));
            let held = all.held.lock();
            prop_assert!(held.places.is_empty() && held.waiting.is_empty());
        }
    }
}
