//! One leadership of the control plane, as a pure state machine: what it grants, what it is told, and
//! what it writes. The service drives it with a store and a clock, the simulator with models of both.

use super::dates::Dates;
use super::keys::{self, Settings};
use super::leases::LeaseBook;
use super::lives::Watched;
use super::lost::Told;
use super::plan::{self, HoldingsByNode, Knowledge, Placer, Plan, Reports};
use super::release::released;
use super::service::ControllerError;
use crate::store::{Batch, Expect, LeaderToken, LifeChange, Pair, Range, Renewal};
use rpc::wire::{Presence, RegisterRequest, SyncedReport};
use std::time::Duration;
use types::{Chain, Epoch, Incarnation, Layout, Monotonic, NodeId, NodeInfo, PartitionId, ReplicaId, WallMillis};

/// Bytes of each thing that a node says of itself.
const PRESENCE_BYTES_MAX: usize = 256;

/// The metadata as it was read at one revision, and what it says.
#[derive(Debug, Default)]
pub struct Known {
    /// Everything, with the revisions that batches are guarded by.
    pub all: Range,
    /// The map.
    pub layout: Layout,
    /// What every node held when its present life began.
    pub holdings: HoldingsByNode,
}

impl Known {
    /// None before the cluster is made.
    pub fn read(all: Range) -> Option<Known> {
        let (layout, holdings) = (keys::layout(&all)?, keys::all_holdings(&all));
        Some(Known { all, layout, holdings })
    }
}

/// A leadership, in the leader's memory.
pub struct Leading {
    token: LeaderToken,
    /// When a majority last said so.
    confirmed: Monotonic,
    leases: LeaseBook,
    /// Where the store keeps the lives: what was seen of them.
    watched: Option<Watched>,
    reports: Reports,
    placer: Placer,
    dates: Dates,
}

impl Leading {
    /// Leadership was proved by now. True when it is a new one, which begins with an empty lease book.
    pub fn confirm(slot: &mut Option<Leading>, token: LeaderToken, lease: Duration, now: Monotonic) -> bool {
        if let Some(leading) = slot.as_mut().filter(|leading| leading.token == token) {
            if leading.watched.is_none() && now - leading.confirmed > lease {
                leading.leases.begin_again(now);
            }
            leading.confirmed = now;
            return false;
        }
        let leases = LeaseBook::new(lease, now);
        let (reports, placer) = (Reports::default(), Placer::default());
        let dates = Dates::default();
        *slot = Some(Leading { token, confirmed: now, leases, watched: None, reports, placer, dates });
        true
    }

    /// From now on lives are renewed in the store, not here: see [`super::lives`].
    pub fn watch_lives(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// What the store says of the lives, in answer to a question that was answered by `now`.
    pub fn sees(&mut self, lives: &[(ReplicaId, Option<Renewal>)], now: Monotonic) {
        if let Some(watched) = &mut self.watched {
            watched.look(&mut self.leases, lives, now);
        }
    }

    /// How the store is to end the lives that this plan declares void.
    pub fn endings(&self, plan: &Plan) -> Vec<LifeChange> {
        let Some(watched) = &self.watched else { return Vec::new() };
        plan.voided.iter().map(|life| watched.ending(&self.leases, *life)).collect()
    }

    /// Which leadership this is.
    pub fn token(&self) -> LeaderToken {
        self.token
    }

    /// What is to be done now, by what is known. `final_word`: it will be tried, so no voided life may get a
    /// grant; where the store keeps the lives, it sees to that when it is tried.
    pub fn decide(&mut self, known: &Known, now: Monotonic, final_word: bool) -> (Plan, Batch) {
        let Known { all, layout, holdings } = known;
        if let Some(watched) = &self.watched {
            watched.presume_unseen(&mut self.leases, layout, now);
        }
        let plan = plan::plan(Knowledge { layout, leases: &self.leases, reports: &self.reports, holdings, now });
        if final_word && self.watched.is_none() {
            plan.voided.iter().for_each(|replica| self.leases.void(*replica));
        }
        // A member may see an epoch before this node's own copy of the map does.
        let current =
            |partition: &PartitionId, epoch: Epoch| layout.chain(*partition).is_some_and(|chain| chain.epoch <= epoch);
        self.reports.synced.retain(|(partition, epoch, _)| current(partition, *epoch));
        self.reports.departed.retain(|(partition, epoch, _)| current(partition, *epoch));
        self.reports.whole.retain(|(partition, epoch, _)| current(partition, *epoch));
        self.reports.verified.retain(|(drain, _)| layout.drains(*drain));
        self.reports.held.retain(|(partition, epoch, _), _| current(partition, *epoch));
        let batch = write(layout, all, &plan, self.placer.wanted(layout), released(layout, &self.reports));
        (plan, batch)
    }

    /// A life is about to be registered: its lease counts from here on, before anybody can see it.
    pub fn registers(&mut self, replica: ReplicaId, now: Monotonic) {
        self.leases.grant(replica, now);
    }

    /// Renews a lease, for a life that the metadata says is going on. False: that life is over.
    pub fn renews(&mut self, replica: ReplicaId, alive: bool, now: Monotonic) -> bool {
        alive && self.leases.grant(replica, now)
    }

    /// Whether that life was granted anything under this leadership.
    pub fn has_heard_of(&self, replica: ReplicaId) -> bool {
        self.leases.has_granted(replica)
    }

    /// A node says what date it is; the answer is the cluster's.
    pub fn date(&mut self, node: NodeId, date: WallMillis, now: Monotonic) -> WallMillis {
        self.dates.tell(node, date, now)
    }

    /// What is known of the copies of partitions that nobody serves: see [`super::lost`].
    pub fn told(&self, known: &Known) -> Told {
        Told::new(&known.layout, &self.reports, &known.holdings)
    }

    /// That life serves nothing any more: nobody need wait for its lease to run out.
    pub fn surrenders(&mut self, replica: ReplicaId) {
        self.leases.void(replica);
    }

    /// A member tells of its chains. Whether it was not known.
    pub fn hears(&mut self, report: SyncedReport) -> bool {
        let replica = ReplicaId { node: report.node, incarnation: report.incarnation };
        let reports = &mut self.reports;
        let mut news = false;
        for (set, told) in [
            (&mut reports.synced, report.synced),
            (&mut reports.departed, report.departed),
            (&mut reports.whole, report.whole),
        ] {
            for (partition, epoch) in told {
                news |= set.insert((partition, epoch, replica));
            }
        }
        for drain in report.verified {
            news |= reports.verified.insert((drain, replica));
        }
        for (epoch, holding) in report.held {
            let before = reports.held.insert((holding.partition, epoch, replica), holding);
            news |= before.as_ref() != Some(&holding);
        }
        news
    }
}

/// The batch that begins a node's life, guarded by what the metadata says of the node now.
pub fn registration(now: Option<&Pair>, request: &RegisterRequest) -> Result<Batch, ControllerError> {
    let Some(pair) = now else {
        return Err(ControllerError::Denied(format!(
            "node {} was removed from this cluster: its data folder may be deleted, and the machine joined anew",
            request.node
        )));
    };
    let old: NodeInfo = keys::decode(pair).ok_or(ControllerError::Busy)?;
    if old.incarnation >= request.incarnation && old.incarnation != Incarnation(0) {
        return Err(ControllerError::Invalid(format!(
            "node {} has begun a later life: is its data folder used by two processes?",
            request.node
        )));
    }
    bounded(&request.presence)?;
    let held = postcard::to_stdvec(&request.holdings).map_err(|e| ControllerError::Invalid(e.to_string()))?;
    let info = NodeInfo {
        id: request.node,
        incarnation: request.incarnation,
        alive: true,
        address: request.presence.address.clone(),
        grpc: request.presence.grpc.clone(),
        web: request.presence.web.clone(),
        zone: request.presence.zone.clone(),
        capacity: old.capacity_set.unwrap_or(request.presence.capacity),
        capacity_set: old.capacity_set,
        draining: old.draining,
        drains: old.drains,
        released: old.released,
        release: request.presence.release.clone(),
        protocols: request.presence.protocols,
    };
    Ok(Batch::new()
        .expect(&pair.key, Expect::Revision(pair.revision))
        .put(&pair.key, keys::encode(&info))
        .put(keys::holdings(request.node), held))
}

/// Every node hears what another says of itself, and keeps it.
pub(super) fn bounded(presence: &Presence) -> Result<(), ControllerError> {
    let Presence { address, grpc, web, zone, release, .. } = presence;
    match [address, grpc, web, zone, release].iter().find(|text| text.len() > PRESENCE_BYTES_MAX) {
        Some(text) => {
            let long = text.len();
            Err(ControllerError::Invalid(format!(
                "an address, zone or release of {long} bytes: at most {PRESENCE_BYTES_MAX}"
            )))
        }
        None => Ok(()),
    }
}

/// The batch that carries a plan out, guarded by what the plan was made from.
fn write(layout: &Layout, all: &Range, plan: &Plan, wanted: Vec<Vec<NodeId>>, released: Vec<NodeId>) -> Batch {
    let revision = |key: &str| all.pairs.iter().find(|pair| pair.key == key).map(|pair| pair.revision);
    let mut batch = Batch::new();
    let mut put = |key: String, value: bytes::Bytes| {
        let guard = revision(&key).map_or(Expect::Absent, Expect::Revision);
        batch = std::mem::take(&mut batch).expect(&key, guard).put(&key, value);
    };
    for node in layout.nodes.values() {
        let ends = plan.voided.iter().any(|replica| replica.node == node.id);
        let changed = NodeInfo {
            alive: node.alive && !ends,
            released: node.released || released.contains(&node.id),
            ..node.clone()
        };
        if changed != *node {
            put(keys::node(node.id), keys::encode(&changed));
        }
    }
    for (index, (chain, wanted)) in layout.chains.iter().zip(wanted).enumerate() {
        let partition = PartitionId(index as u16);
        let planned = plan.chains.iter().find(|(changed, _)| *changed == partition).map(|(_, chain)| chain);
        // Nobody has a place yet: keep the first node's until it says what it can hold.
        let wanted = if wanted.is_empty() { chain.wanted.clone() } else { wanted };
        let next = Chain { wanted, ..planned.unwrap_or(chain).clone() };
        // That somebody is needed no more rests on all chains.
        if next != *chain || !released.is_empty() {
            put(keys::chain(partition), keys::encode(&next));
        }
    }
    let replicas_min = plan::replicas_min(layout);
    if replicas_min != layout.replicas_min
        && let Some(pair) = all.pairs.iter().find(|pair| pair.key == keys::SETTINGS)
        && let Some(settings) = keys::decode::<Settings>(pair)
        && !settings.replicas_min_set
    {
        put(keys::SETTINGS.into(), keys::encode(&Settings { replicas_min, ..settings }));
    }
    batch
}
