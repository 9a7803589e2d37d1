//! Whether the others reach this node where it says that it is: a wrong address lets it in, for it calls them, and then
//! nothing comes back.

use crate::node::Inner;
use rpc::Peer;
use rpc::wire::{Fault, NodeStatus, Reach, method};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Until the first question, and from one to the next while nobody has said yes.
const SOON: Duration = Duration::from_secs(5);
/// From one to the next after that.
const LATER: Duration = Duration::from_secs(60);
/// How long a call back may take, and the question about it.
const BACK: Duration = Duration::from_secs(2);
const QUESTION: Duration = Duration::from_secs(4);
/// Nodes that are asked.
const ASKED_MAX: usize = 3;
/// What is wrong is said again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// Asks the others as long as the node lives, and says what is wrong.
pub(crate) async fn watch(inner: Arc<Inner>) {
    let mut told: Option<Instant> = None;
    loop {
        tokio::time::sleep(if inner.unreached.borrow().is_none() && told.is_some() { LATER } else { SOON }).await;
        match inner.ask_to_be_called().await {
            None => {}
            Some(None) => {
                if inner.unreached.send_replace(None).is_some() {
                    tracing::info!(address = inner.address, "the others reach this node again");
                }
                told = Some(Instant::now());
            }
            Some(Some(why)) => {
                let news = inner.unreached.send_replace(Some(why.clone())).is_none();
                if news || told.is_none_or(|at| at.elapsed() >= AGAIN) {
                    told = Some(Instant::now());
                    tracing::error!(
                        address = inner.address,
                        "{why}: until they do, this node holds nothing. If the address is wrong, stop it and start it \
                         again with the same folder and the right --advertise HOST; if it is right, open the port to them"
                    );
                }
            }
        }
    }
}

impl Inner {
    /// None: nobody can say. Else why those who can do not reach this node; none: one does.
    async fn ask_to_be_called(&self) -> Option<Option<String>> {
        let mut failed = None;
        for other in self.candidates().into_iter().take(ASKED_MAX) {
            let asked = self.control_pool.call(&other, method::REACH, rpc::codec::encode(&()), QUESTION).await;
            match asked.and_then(|body| rpc::codec::decode::<Result<Reach, Fault>>(&body)) {
                Ok(Ok(Reach::Reached)) => return Some(None),
                Ok(Ok(Reach::Unreached(why))) => {
                    failed.get_or_insert(format!("{other} does not reach this node at {} ({why})", self.address));
                }
                // It is away, or of an older release.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        failed.map(Some)
    }

    /// Calls whoever asks, at the address that it gives, and says what came of it.
    pub(crate) async fn call_back(&self, from: Peer) -> Result<Reach, Fault> {
        let Some(node) = from.certified else { return Err(Fault::Invalid("only a node is called back".into())) };
        let Ok(_turn) = self.calls_back.try_acquire() else { return Err(Fault::Busy) };
        let status = self.control_pool.call(&from.address, method::STATUS, rpc::codec::encode(&()), BACK).await;
        let status = status.and_then(|body| rpc::codec::decode::<Result<NodeStatus, Fault>>(&body));
        Ok(match status {
            Ok(Ok(status)) if status.node == node => Reach::Reached,
            Ok(Ok(status)) => Reach::Unreached(format!("node {} answers there", status.node)),
            Ok(Err(fault)) => Reach::Unreached(fault.to_string()),
            Err(error) => Reach::Unreached(error.to_string()),
        })
    }
}
