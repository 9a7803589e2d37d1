//! A clean stop: nobody has to wait for a lease to run out, or for a silence to be noticed.
//!
//! In this order: no new writes are taken, those under way end; the node serves nothing any more
//! and says so, whereupon its chains go on without it; another takes over the control plane.

use crate::SystemClock;
use crate::node::Inner;
use control::controller::ControllerError;
use replication::node::Life;
use rpc::wire::{LeaseRequest, method};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use types::Clock;

/// How long writes under way may take to end.
const DRAIN_MAX: Duration = Duration::from_millis(1500);
/// How long the cluster may take to cut this node out of its chains.
const CUT_MAX: Duration = Duration::from_millis(1500);

/// How far the stop of a node is.
pub(crate) struct Retirement {
    /// Takes no new writes.
    draining: AtomicBool,
    /// Writes under way.
    writes: AtomicUsize,
    /// Long polls are to end.
    closing: watch::Sender<bool>,
}

impl Default for Retirement {
    fn default() -> Retirement {
        let draining = AtomicBool::new(false);
        Retirement { draining, writes: AtomicUsize::new(0), closing: watch::Sender::new(false) }
    }
}

/// A write under way.
pub(crate) struct Writing<'a>(&'a Retirement);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writes.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Retirement {
    /// A write begins; none: no more are taken.
    pub(crate) fn write(&self) -> Option<Writing<'_>> {
        // Counted first, so that none slips in between the last look and the surrender.
        self.writes.fetch_add(1, Ordering::SeqCst);
        let writing = Writing(self);
        (!self.draining.load(Ordering::SeqCst)).then_some(writing)
    }

    /// Ends when long polls should.
    pub(crate) async fn closing(&self) {
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Ends long polls.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}

impl Inner {
    /// Leaves all chains, then the lead of the control plane. Takes as long as it must, within bounds:
    /// what is not achieved in time the cluster finds out by itself, as after a crash.
    pub(crate) async fn retire(&self) {
        let retirement = &self.retirement;
        retirement.draining.store(true, Ordering::SeqCst);
        let drained = async {
            while retirement.writes.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::info!("writes are still under way: their clients will ask what became of them");
        }
        // From here on this life serves nothing, and only then says so (ruling 1).
        self.change_life(Life::end);
        match tokio::time::timeout(CUT_MAX, self.leave_chains()).await {
            // The witness has nothing to add.
            Ok(()) => drop(self.lives.send_replace(None)),
            Err(_) => tracing::info!("the cluster has not let this node go yet; it will once the lease has run out"),
        }
        if self.leads() && !self.coordination.hand_over().await {
            tracing::info!("nobody took over the control plane yet");
        }
    }

    async fn leave_chains(&self) {
        let me = *self.me.read();
        let request = LeaseRequest { node: me.node, incarnation: me.incarnation, date: SystemClock.wall() };
        let mut layout = self.layout.clone();
        loop {
            let said = if self.leads() {
                self.controller.surrender(request.clone()).await.map_err(|error: ControllerError| error.to_string())
            } else {
                let asked = self.ask_leader::<_, ()>(method::SURRENDER, &request, Duration::from_secs(1)).await;
                asked.map_err(|fault| fault.to_string())
            };
            if let Err(error) = &said {
                tracing::debug!(%error, "the lease is not surrendered yet");
            }
            let gone = layout.wait_for(|layout| {
                layout.nodes.get(&me.node).is_none_or(|node| !node.alive || node.incarnation != me.incarnation)
            });
            // Another leader may have taken over meanwhile, who has not heard it.
            let wait = Duration::from_millis(if said.is_ok() { 500 } else { 50 });
            if tokio::time::timeout(wait, gone).await.is_ok() {
                return;
            }
        }
    }
}
