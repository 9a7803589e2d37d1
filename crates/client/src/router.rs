//! Finding the node for a request, and a newer map when the one held misleads.

use crate::health::Health;
use crate::link::{Failure, Link};
use crate::map::Map;
use crate::patience::Patience;
use crate::{ClientConfig, ClientError};
use bytes::Bytes;
use rand::seq::SliceRandom;
use rpc::codec;
use rpc::wire::{LayoutReply, LayoutRequest, method};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use types::{Consistency, Layout, LayoutVersion, MemberState, PartitionId, ReplicaId};

/// How long a node asked for a newer map may hold back its answer.
const REFRESH_WAIT: Duration = Duration::from_millis(200);
/// How long the whole of that may take.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(600);

/// What a node must be to a partition to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Orders writes.
    Head,
    /// Answers strong reads.
    Serving,
    /// Holds a copy, however old.
    Holder,
}

impl From<Consistency> for Role {
    fn from(consistency: Consistency) -> Role {
        match consistency {
            Consistency::Strong => Role::Serving,
            Consistency::Stale => Role::Holder,
        }
    }
}

/// A replica and where to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) replica: ReplicaId,
    pub(crate) address: String,
}

/// What all requests share.
pub(crate) struct Router {
    pub(crate) config: ClientConfig,
    pub(crate) link: Link,
    pub(crate) map: Map,
    pub(crate) health: Health,
    refreshing: tokio::sync::Mutex<()>,
    refreshes: AtomicU64,
}

impl Router {
    pub(crate) fn new(config: ClientConfig, link: Link) -> Router {
        let health = Health::new(config.timeouts.avoid);
        let map = Map::new(config.credentials.keys.cluster());
        Router { config, link, map, health, refreshing: tokio::sync::Mutex::new(()), refreshes: AtomicU64::new(0) }
    }

    /// The replicas of a partition that have this role, those to be asked first in front: the local
    /// one, then the others in random order; those that failed just now last.
    pub(crate) fn targets(&self, layout: &Layout, partition: PartitionId, role: Role) -> Vec<Target> {
        let Some(chain) = layout.chain(partition) else { return Vec::new() };
        let mut replicas: Vec<ReplicaId> = match role {
            Role::Head => chain.head().into_iter().collect(),
            Role::Serving => chain.serving().collect(),
            Role::Holder => {
                let mut holders: Vec<ReplicaId> = chain.members.iter().map(|member| member.replica).collect();
                // A chain whose last member has gone still has copies on the nodes that it had.
                for node in &chain.complete {
                    if chain.member(*node).is_none()
                        && let Some(info) = layout.nodes.get(node)
                    {
                        holders.push(ReplicaId { node: *node, incarnation: info.incarnation });
                    }
                }
                if chain.members.is_empty() {
                    // Nor is anybody else's copy any worse than none.
                    let wanted = chain.wanted.iter().filter(|node| !chain.complete.contains(node));
                    let known = wanted.filter_map(|node| layout.nodes.get(node));
                    holders.extend(known.map(|info| ReplicaId { node: info.id, incarnation: info.incarnation }));
                }
                holders
            }
        };
        replicas.shuffle(&mut rand::rng());
        let mut targets: Vec<Target> = replicas
            .into_iter()
            .filter_map(|replica| {
                let address = layout.nodes.get(&replica.node)?.address.clone();
                Some(Target { replica, address })
            })
            .collect();
        // Stable: the random order stays among equals.
        targets.sort_by_cached_key(|target| {
            let fresh = chain.member(target.replica.node).is_some_and(|member| member.state != MemberState::Syncing);
            let local = self.config.local == Some(target.replica.node);
            let alive = layout.nodes.get(&target.replica.node).is_some_and(|info| info.alive);
            (self.health.avoided(&target.address), !alive, !fresh, !local)
        });
        targets
    }

    /// Those who may have a block: the holders, then all other nodes: one that left the chain keeps its
    /// copies until the others have them. One that lost its lease may answer all the same.
    pub(crate) fn block_targets(&self, layout: &Layout, partition: PartitionId) -> Vec<Target> {
        let mut targets = self.targets(layout, partition, Role::Holder);
        let asked: BTreeSet<_> = targets.iter().map(|target| target.replica.node).collect();
        let mut others: Vec<_> = layout.nodes.values().collect();
        others.retain(|node| node.incarnation.0 > 0 && !asked.contains(&node.id));
        others.sort_by_key(|node| !node.alive);
        targets.extend(others.into_iter().map(|node| Target {
            replica: ReplicaId { node: node.id, incarnation: node.incarnation },
            address: node.address.clone(),
        }));
        targets
    }

    /// One attempt at a replica. Given up when a newer map takes the replica out of its role.
    pub(crate) async fn attempt<R: DeserializeOwned>(
        &self,
        target: &Target,
        partition: PartitionId,
        role: Role,
        method: u16,
        body: impl Into<rpc::Body>,
        timeout: Duration,
    ) -> Result<(R, Bytes), Failure> {
        self.health.begin(&target.address);
        let result = tokio::select! {
            biased;
            result = self.link.call(&target.address, method, body, timeout) => result,
            () = self.superseded(target, partition, role) => Err(Failure::Superseded),
        };
        match &result {
            Err(failure) if failure.blames_node() => self.health.bad(&target.address),
            Ok(_) | Err(_) => self.health.good(&target.address),
        }
        result
    }

    async fn superseded(&self, target: &Target, partition: PartitionId, role: Role) {
        let has_role = |layout: &Layout| {
            let Some(chain) = layout.chain(partition) else { return false };
            match role {
                Role::Head => chain.head() == Some(target.replica),
                Role::Serving => chain.serving().any(|replica| replica == target.replica),
                Role::Holder => layout
                    .nodes
                    .get(&target.replica.node)
                    .is_some_and(|info| info.incarnation == target.replica.incarnation && info.alive),
            }
        };
        // Who is asked although he lacks the role by the map held, is asked for want of a better one.
        let mut held = self.map.subscribe();
        if has_role(&held.borrow_and_update()) {
            let _ = held.wait_for(|layout| !has_role(layout)).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Addresses of nodes for requests that any node answers: healthy ones first, then the local one.
    pub(crate) fn any_node(&self, layout: &Layout) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut nodes: Vec<(bool, bool, String)> = layout
            .nodes
            .values()
            .map(|node| (!node.alive, self.config.local != Some(node.id), node.address.clone()))
            .chain(self.config.addresses.iter().map(|address| (true, true, address.clone())))
            .filter(|(_, _, address)| seen.insert(address.clone()))
            .collect();
        nodes.shuffle(&mut rand::rng());
        nodes.sort_by_cached_key(|(dead, remote, address)| (self.health.avoided(address), *dead, *remote));
        nodes.into_iter().map(|(_, _, address)| address).collect()
    }

    /// Asks a node other than `not` for a newer map than `seen`. Those who come while another is
    /// asking share what he learns.
    pub(crate) async fn refresh(&self, seen: LayoutVersion, not: Option<&str>) {
        let before = self.refreshes.load(Ordering::Acquire);
        let turn = self.refreshing.lock().await;
        if self.map.version() > seen || self.refreshes.load(Ordering::Acquire) > before {
            return;
        }
        let layout = self.map.current();
        let mut nodes = self.any_node(&layout);
        if nodes.len() > 1 {
            nodes.retain(|address| Some(address.as_str()) != not);
        }
        for address in nodes.into_iter().take(2) {
            if self.poll_layout(&address, seen, REFRESH_WAIT, REFRESH_TIMEOUT).await.is_ok() {
                break;
            }
        }
        self.refreshes.fetch_add(1, Ordering::Release);
        drop(turn);
    }

    /// Asks one node for a newer map, and takes it. True when there was one.
    pub(crate) async fn poll_layout(
        &self,
        address: &str,
        have: LayoutVersion,
        wait: Duration,
        timeout: Duration,
    ) -> Result<bool, Failure> {
        let request = codec::encode(&LayoutRequest { have, wait });
        match self.link.call::<LayoutReply>(address, method::LAYOUT, request, timeout).await {
            Ok((reply, _)) => {
                self.health.good(address);
                let taken = reply.is_some_and(|layout| self.map.offer(layout));
                if taken {
                    self.forget_strangers();
                }
                Ok(taken)
            }
            Err(failure) => {
                if failure.blames_node() {
                    self.health.bad(address);
                }
                Err(failure)
            }
        }
    }

    /// Ends connections to, and worries about, addresses that the map no longer has.
    fn forget_strangers(&self) {
        let layout = self.map.current();
        let known: BTreeSet<&str> = layout
            .nodes
            .values()
            .map(|node| node.address.as_str())
            .chain(self.config.addresses.iter().map(String::as_str))
            .collect();
        self.health.retain(|address| known.contains(address));
        self.link.retain(|address| known.contains(address));
    }

    /// Waits a little before the next attempt; a newer map than `seen` ends the wait.
    pub(crate) async fn pause(&self, seen: LayoutVersion, patience: &mut Patience) {
        self.pause_for(seen, patience.pause()).await;
    }

    /// The same for a given time.
    pub(crate) async fn pause_for(&self, seen: LayoutVersion, time: Duration) {
        let _ = tokio::time::timeout(time, self.map.newer_than(seen)).await;
    }

    /// The first map. Fails when none of the addresses gives one in time, or all of them turn us away.
    pub(crate) async fn first_layout(&self) -> Result<(), ClientError> {
        let timeouts = &self.config.timeouts;
        let mut patience = Patience::new(timeouts.connect, timeouts.read_attempt);
        let mut heard = crate::patience::Heard::default();
        loop {
            let mut turned_away = 0;
            for address in &self.config.addresses {
                let Some(timeout) = patience.attempt() else {
                    return Err(heard.conclude(&self.map.current()));
                };
                match self.poll_layout(address, LayoutVersion(0), Duration::ZERO, timeout).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => heard.failed(address, Failure::Nobody("the cluster has no layout yet".into())),
                    // Final, whoever says so.
                    Err(failure) if failure.dismisses() => return Err(ClientError::Denied(failure.to_string())),
                    Err(failure) => {
                        turned_away += usize::from(failure.turns_away());
                        heard.failed(address, failure);
                    }
                }
            }
            if turned_away == self.config.addresses.len() {
                return Err(ClientError::Denied(heard.into_last().0.to_string()));
            }
            patience.grow();
            self.pause(LayoutVersion(0), &mut patience).await;
        }
    }
}
