//! Whether this node may go on, and the watch over its tasks and threads.
//!
//! A node whose storage failed, or one of whose parts ended or panicked without having been asked
//! to, takes no more: its lease counts no longer from that moment on, is not renewed, and the
//! others cut it out. What is half done in its memory is never looked at again, so that nobody
//! takes it for durable.

use futures::FutureExt;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::StorageError;
use tokio::sync::watch;
use types::{Action, Classify};

/// What all parts of a node share about its going on.
#[derive(Debug, Default)]
pub(crate) struct Health {
    why: watch::Sender<Option<String>>,
    failed: AtomicBool,
    /// The node was asked to stop: its parts may end.
    stopping: AtomicBool,
}

impl Health {
    /// The node takes no more. The first reason is kept.
    pub fn fail(&self, why: impl Into<String>) {
        let why = why.into();
        tracing::error!(%why, "this node takes no more: it gives up its lease");
        self.failed.store(true, Ordering::Release);
        self.why.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(why);
            is_first
        });
    }

    /// Invariant 12: a node that finds its log or its tables damaged takes no more; it is brought up to date
    /// as a new one, from others.
    pub fn check(&self, error: &StorageError) {
        if error.action() == Action::Fatal {
            self.fail(format!(
                "{error}: move the data folder away, and let the machine join anew; on a member, \
                 `atoll cluster drain` and `atoll cluster remove` take this node's number out"
            ));
        }
    }

    /// True once it takes no more.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What stopped it, if anything did.
    pub fn why(&self) -> Option<String> {
        self.why.borrow().clone()
    }

    /// Ends when it takes no more, with what stopped it.
    pub async fn failure(&self) -> String {
        match self.why.subscribe().wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// From now on parts end because they were asked to.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn ended(&self, name: &str, panic: Option<&(dyn Any + Send)>) {
        match panic {
            Some(panic) => self.fail(format!("{name} panicked: {}", text(panic))),
            None if self.stopping.load(Ordering::Acquire) || self.failed() => {}
            None => self.fail(format!("{name} ended by itself")),
        }
    }

    /// A task that goes on as long as the node does.
    pub async fn watch_task(self: Arc<Self>, name: &'static str, task: impl Future<Output = ()>) {
        let panic = AssertUnwindSafe(task).catch_unwind().await.err();
        self.ended(name, panic.as_deref());
    }

    /// A thread's work, which goes on as long as the node does.
    pub fn watch_thread(&self, name: &str, work: impl FnOnce()) {
        let panic = catch_unwind(AssertUnwindSafe(work)).err();
        self.ended(name, panic.as_deref());
    }

    /// One piece of work. None, and the node takes no more, if it panics.
    pub fn guard<R>(&self, name: impl FnOnce() -> String, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.ended(&name(), Some(&*panic));
                None
            }
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("for a reason that it did not tell")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_or_panics_unasked_stops_the_node() {
        let health = Arc::new(Health::default());
        health.clone().watch_task("the clockwork", async { panic!("a spring broke") }).await;
        assert_eq!(health.why().unwrap(), "the clockwork panicked: a spring broke");
        health.clone().watch_task("the bell", async {}).await;
        assert_eq!(health.why().unwrap(), "the clockwork panicked: a spring broke", "the first reason stays");

        let health = Arc::new(Health::default());
        health.watch_thread("the log writer", || {});
        assert_eq!(health.why().unwrap(), "the log writer ended by itself");

        let health = Arc::new(Health::default());
        assert_eq!(health.guard(|| "a step".into(), || 5), Some(5));
        assert!(!health.failed());
        assert_eq!(health.guard(|| "a step".into(), || -> u8 { panic!("no {}", "way") }), None);
        assert_eq!(health.why().unwrap(), "a step panicked: no way");
    }

    #[test]
    fn damage_ends_a_nodes_part_and_a_log_that_no_longer_reaches_back_does_not() {
        let health = Health::default();
        health.check(&StorageError::Compacted { first: types::Seq(7) });
        health.check(&StorageError::Full { free: 0, needed: 1 });
        assert!(!health.failed());
        health.check(&StorageError::Damaged("tables: a checksum fails".into()));
        assert!(health.why().unwrap().contains("a checksum fails"));
    }

    #[tokio::test]
    async fn a_part_that_was_asked_to_end_may() {
        let health = Arc::new(Health::default());
        health.stop();
        health.clone().watch_task("a task", async {}).await;
        health.watch_thread("a thread", || {});
        assert!(!health.failed());
    }
}
