//! A node's lives, as [`replication::node`] decides them: calls to the controller, and what follows from the answers.

use crate::SystemClock;
use crate::node::Inner;
use control::Leadership;
use replication::node::{Life, Next, Report, Step, Unheard};
use rpc::HandshakeError;
use rpc::wire::{Fault, Holding, LeaseReply, LeaseRequest, RegisterReply, RegisterRequest, SyncedReport, method};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use types::Clock;

impl Inner {
    /// Keeps this node alive in the cluster until it is dropped, or retires.
    pub(crate) async fn live(self: Arc<Self>) {
        let mut step = self.life.lock().start();
        let mut leadership = self.coordination.leader();
        let mut asked = *leadership.borrow_and_update();
        loop {
            tokio::select! {
                () = tokio::time::sleep(step.after) => {}
                // Who has just begun to lead has heard of nobody yet.
                () = another(&mut leadership, asked), if step.next == Next::Renew => {}
            }
            asked = *leadership.borrow_and_update();
            if self.stopped().is_some() {
                self.change_life(Life::end);
            }
            step = match step.next {
                _ if self.life.lock().ended() => return,
                Next::Register => self.register().await,
                Next::Renew => tokio::select! {
                    step = self.renew() => step,
                    () = another(&mut leadership, asked) => self.life.lock().registered(),
                },
                Next::End => return,
            };
        }
    }

    /// Changes the life, and lets everybody see the lease that is left of it.
    pub(crate) fn change_life<R>(&self, change: impl FnOnce(&mut Life) -> R) -> R {
        let mut life = self.life.lock();
        let result = change(&mut life);
        self.shared.lease_until.store(life.lease().until().0, Ordering::Release);
        result
    }

    async fn register(&self) -> Step {
        match self.begin_life().await {
            Ok(()) => self.life.lock().registered(),
            // The controller's final word: this node is not a member any more.
            Err(Fault::Denied(why)) => {
                self.dismiss(why);
                self.life.lock().start()
            }
            Err(fault) => {
                tracing::debug!(%fault, "cannot register yet");
                self.life.lock().not_registered()
            }
        }
    }

    /// Not a member any more: serves nothing from now on.
    fn dismiss(&self, why: String) {
        self.dismissed.send_replace(Some(why.clone()));
        self.health.fail(why);
        self.change_life(Life::end);
    }

    /// Registers a new incarnation; every replica leaves what the last one was in.
    pub(crate) async fn begin_life(&self) -> Result<(), Fault> {
        let me = {
            let mut identity = self.identity.lock();
            let me = self.change_life(|life| life.begin(self.clock.wall()));
            identity.incarnation = me.incarnation;
            if let Err(error) = identity.save(&self.folder) {
                return Err(Fault::Stopped(error.to_string()));
            }
            me
        };
        // Durable by now: the number of a life that the witness may declare over is never used again.
        self.lives.send_replace(Some(me));
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

    /// Renews the lease.
    async fn renew(&self) -> Step {
        let me = *self.me.read();
        let request = LeaseRequest { node: me.node, incarnation: me.incarnation, date: SystemClock.wall() };
        // Counted from before the request is sent (invariant 4).
        let sent = self.clock.monotonic();
        let reply = if let Some(lives) = self.coordination.lives() {
            // The node's own write, where the metadata's store keeps the leases: who leads need not answer.
            match lives.renew(me, self.lease_length).await {
                Ok(true) => {
                    // Nobody there asks for dates: it goes by its own.
                    let (layout, date) = (self.layout.borrow().version, SystemClock.wall());
                    Ok(LeaseReply::Granted { lease: self.lease_length, layout, date })
                }
                Ok(false) => Ok(LeaseReply::Void),
                Err(error) => Err(crate::leader::fault(error.into())),
            }
        } else if self.leads() {
            self.controller.lease(request).await.map_err(crate::leader::fault)
        } else {
            self.ask_leader::<_, LeaseReply>(method::LEASE, &request, self.lease_length / 2).await
        };
        match reply {
            _ if self.health.failed() => self.life.lock().unanswered(),
            Ok(LeaseReply::Granted { lease, date, .. }) => {
                self.clock.heard(date, sent);
                self.change_life(|life| life.granted(sent, lease))
            }
            Ok(LeaseReply::Void) => {
                tracing::warn!(incarnation = %me.incarnation, "the lease was lost: beginning a new life");
                self.change_life(Life::voided)
            }
            Err(fault) => {
                tracing::debug!(%fault, "lease not renewed");
                self.life.lock().unanswered()
            }
        }
    }
}

/// How soon it is noticed that the copy of the metadata is kept no further: well within a lease.
const LOOK_AT_METADATA: Duration = Duration::from_millis(200);

/// A node whose copy of the metadata is kept no further hears of no new epoch: it must not keep its places.
pub(crate) async fn watch_metadata(inner: Arc<Inner>) {
    let why = loop {
        if let Some(why) = inner.coordination.failure() {
            break why;
        }
        tokio::time::sleep(LOOK_AT_METADATA).await;
    };
    inner.health.fail(format!("its copy of the metadata cannot be kept: {why}"));
    std::future::pending().await
}

/// Ends when somebody leads who did not at that time.
async fn another(leadership: &mut watch::Receiver<Leadership>, then: Leadership) {
    if leadership.wait_for(|now| now.leader.is_some() && *now != then).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Others take no connection from a node that was removed, whatever it takes itself for, and say why.
pub(crate) async fn heed_dismissal(inner: Arc<Inner>) {
    inner.credentials.keys.dismissed().await;
    inner.dismiss(HandshakeError::Dismissed.to_string());
    std::future::pending().await
}

/// How often the controller is told again what it has not acted upon.
const REPORT_AGAIN: Duration = Duration::from_millis(150);

/// Tells the controller what members report, many at a time, until the map shows that it was heard:
/// a leader forgets reports when it goes.
pub(crate) async fn report(inner: Arc<Inner>, mut reports: mpsc::UnboundedReceiver<Report>) {
    let mut unheard = Unheard::default();
    loop {
        let mut next = tokio::select! {
            one = reports.recv() => match one {
                Some(one) => Some(one),
                None => return,
            },
            () = tokio::time::sleep(REPORT_AGAIN), if !unheard.is_empty() => None,
        };
        while let Some(one) = next {
            unheard.add(one);
            next = reports.try_recv().ok();
        }
        let me = *inner.me.read();
        let layout = inner.layout.borrow().clone();
        let news = unheard.news(me, &layout);
        if news.is_empty() {
            continue;
        }
        let mut report = SyncedReport { node: me.node, incarnation: me.incarnation, ..SyncedReport::default() };
        for one in news {
            match one {
                Report::Synced(partition, epoch) => report.synced.push((partition, epoch)),
                Report::Departed(partition, epoch) => report.departed.push((partition, epoch)),
                Report::Whole(partition, epoch) => report.whole.push((partition, epoch)),
                Report::Verified(leaving) => report.verified.push(leaving),
                Report::Held { partition, epoch, last, torn, incomplete } => {
                    report.held.push((epoch, Holding { partition, last, torn, incomplete }));
                }
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
