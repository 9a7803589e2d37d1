//! A node's lives: each begins with a registration and lasts as long as its lease is renewed.
//! When the lease was declared void the node has left all its chains, and begins anew.

use crate::node::Inner;
use crate::partition::Report;
use rpc::wire::{Fault, Holding, LeaseReply, LeaseRequest, RegisterReply, RegisterRequest, SyncedReport, method};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use types::{Incarnation, Layout, MemberState, PartitionId, ReplicaId};

impl Inner {
    /// Keeps this node alive in the cluster until it is dropped, or retires.
    pub(crate) async fn live(self: Arc<Self>) {
        loop {
            if self.stopped().is_some() || self.retirement.surrendered() {
                return;
            }
            match self.begin_life().await {
                Ok(()) => self.renew().await,
                // The controller's final word: this node is not a member any more.
                Err(Fault::Denied(why)) => {
                    self.health.fail(&why);
                    self.dismissed.send_replace(Some(why));
                    return;
                }
                Err(fault) => {
                    tracing::debug!(%fault, "cannot register yet");
                    tokio::time::sleep(self.lease_length / 8).await;
                }
            }
        }
    }

    /// Registers a new incarnation; every replica leaves what the last one was in.
    pub(crate) async fn begin_life(&self) -> Result<(), Fault> {
        self.surrender_lease();
        let me = {
            let mut identity = self.identity.lock();
            let now = Incarnation(self.clock.wall().0);
            identity.incarnation = now.max(Incarnation(identity.incarnation.0 + 1));
            if let Err(error) = identity.save(&self.folder) {
                return Err(Fault::Stopped(error.to_string()));
            }
            ReplicaId { node: identity.node, incarnation: identity.incarnation }
        };
        *self.me.write() = me;
        // Of all of them: who says nothing of a partition is not known to hold even nothing.
        let holdings: Vec<Holding> = self
            .partitions()
            .iter()
            .map(|partition| {
                partition.step(|replica, _, _, out| replica.begin_life(me, out));
                let (last, incomplete, torn) = partition.look(|r, _| (r.progress().last, r.incomplete(), r.torn()));
                Holding { partition: partition.id, last, torn, incomplete }
            })
            .collect();
        // What a replica that stopped half-way said of itself must not be told to anybody.
        if let Some(why) = self.stopped() {
            return Err(Fault::Stopped(why));
        }
        let request =
            RegisterRequest { node: me.node, incarnation: me.incarnation, presence: self.presence.clone(), holdings };
        let reply = if self.leads() {
            self.controller.register(request).await.map_err(crate::leader::fault)
        } else {
            self.ask_leader::<_, RegisterReply>(method::REGISTER, &request, Duration::from_secs(2)).await
        }?;
        tracing::info!(node = %me.node, incarnation = %me.incarnation, layout = %reply.layout, "registered");
        self.adopt_layout();
        Ok(())
    }

    /// Renews the lease until this life is over.
    async fn renew(&self) {
        let me = *self.me.read();
        let request = LeaseRequest { node: me.node, incarnation: me.incarnation };
        loop {
            if self.stopped().is_some() || self.retirement.surrendered() {
                return self.surrender_lease();
            }
            // Counted from before the request is sent (invariant 4).
            let sent = self.clock.monotonic();
            let reply = if self.leads() {
                self.controller.lease(request.clone()).await.map_err(crate::leader::fault)
            } else {
                self.ask_leader::<_, LeaseReply>(method::LEASE, &request, self.lease_length / 2).await
            };
            let wait = match reply {
                Ok(LeaseReply::Granted { lease, .. }) => {
                    self.extend_lease(sent, lease);
                    self.lease_length / 4
                }
                Ok(LeaseReply::Void) => {
                    tracing::warn!(incarnation = %me.incarnation, "the lease was lost: beginning a new life");
                    return self.surrender_lease();
                }
                Err(fault) => {
                    tracing::debug!(%fault, "lease not renewed");
                    self.lease_length / 16
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    pub(crate) fn surrender_lease(&self) {
        let mut lease = self.lease.lock();
        lease.surrender();
        self.shared.lease_until.store(lease.until().0, Ordering::Release);
    }

    fn extend_lease(&self, sent: types::Monotonic, length: Duration) {
        if self.health.failed() {
            return;
        }
        let mut lease = self.lease.lock();
        // Looked at under the lock: whoever surrenders for good takes it afterwards.
        if self.retirement.surrendered() {
            return;
        }
        lease.granted(sent, length);
        self.shared.lease_until.store(lease.until().0, Ordering::Release);
    }
}

/// How often the controller is told again what it has not acted upon.
const REPORT_AGAIN: Duration = Duration::from_millis(150);

/// Tells the controller what members report, many at a time, until the map shows that it was heard:
/// a leader forgets reports when it goes.
pub(crate) async fn report(inner: Arc<Inner>, mut reports: mpsc::UnboundedReceiver<Report>) {
    let mut unheard: BTreeMap<(PartitionId, bool), Report> = BTreeMap::new();
    loop {
        let mut next = tokio::select! {
            one = reports.recv() => match one {
                Some(one) => Some(one),
                None => return,
            },
            () = tokio::time::sleep(REPORT_AGAIN), if !unheard.is_empty() => None,
        };
        while let Some(one) = next {
            unheard.insert(one.subject(), one);
            next = reports.try_recv().ok();
        }
        let me = *inner.me.read();
        let layout = inner.layout.borrow().clone();
        unheard.retain(|_, report| report.is_news(me, &layout));
        if unheard.is_empty() {
            continue;
        }
        let mut report = SyncedReport { node: me.node, incarnation: me.incarnation, ..SyncedReport::default() };
        for one in unheard.values() {
            match *one {
                Report::Synced(partition, epoch) => report.synced.push((partition, epoch)),
                Report::Departed(partition, epoch) => report.departed.push((partition, epoch)),
                Report::Whole(partition, epoch) => report.whole.push((partition, epoch)),
            }
        }
        let result = if inner.leads() {
            inner.controller.report(report).await.map_err(crate::leader::fault)
        } else {
            inner.ask_leader::<_, ()>(method::REPORT, &report, Duration::from_secs(1)).await
        };
        if let Err(fault) = result {
            tracing::debug!(%fault, "report not delivered yet");
        }
    }
}

impl Report {
    /// What it is about: a newer report of the same takes its place.
    fn subject(&self) -> (PartitionId, bool) {
        match *self {
            Report::Synced(partition, _) | Report::Departed(partition, _) => (partition, false),
            Report::Whole(partition, _) => (partition, true),
        }
    }

    /// Whether the controller, going by this map, still has to act upon it.
    fn is_news(&self, me: ReplicaId, layout: &Layout) -> bool {
        let (Report::Synced(partition, epoch) | Report::Departed(partition, epoch) | Report::Whole(partition, epoch)) =
            *self;
        let Some(chain) = layout.chain(partition) else { return false };
        if chain.epoch != epoch {
            return chain.epoch < epoch;
        }
        let state = chain.members.iter().find(|member| member.replica == me).map(|member| member.state);
        match self {
            Report::Synced(..) => {
                state == Some(MemberState::Syncing) || (state.is_some() && !chain.complete.contains(&me.node))
            }
            Report::Departed(..) => state == Some(MemberState::Departing),
            Report::Whole(..) => chain.members.iter().any(|member| member.state == MemberState::Departing),
        }
    }
}
