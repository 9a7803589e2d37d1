//! Watching keys: a stream of committed changes that goes on at another replica when one fails.

use crate::link::Failure;
use crate::patience::{Heard, Patience};
use crate::router::{Role, Router, Target};
use crate::{Client, ClientError};
use futures::{Stream, stream};
use rpc::codec;
use rpc::wire::{Fault, WatchKey, WatchReply, WatchRequest, method};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use types::limits::{KEY_BYTES_MAX, KEYS_MAX};
use types::{Action, Change, Classify, PartitionId, Seq, partition_of};

/// How long a node holds back its answer when nothing has changed.
const WAIT: Duration = Duration::from_secs(10);
/// How much later than that the answer may come.
const GRACE: Duration = Duration::from_secs(2);

impl Client {
    /// Committed changes of these keys, in order, from after `after` or from now on. All keys are
    /// of one partition key. The stream survives failures of nodes: it says so after a while by an
    /// error and goes on when polled again. It ends after [`ClientError::Compacted`] (read again,
    /// then watch from now) and after errors that trying again does not help.
    pub fn watch(
        &self,
        keys: Vec<WatchKey>,
        after: Option<Seq>,
    ) -> impl Stream<Item = Result<Change, ClientError>> + Send + Unpin + use<> {
        let watcher = Watcher::new(self.clone(), keys, after);
        Box::pin(stream::unfold(watcher, |mut watcher| async move {
            let next = watcher.next().await?;
            Some((next, watcher))
        }))
    }
}

struct Watcher {
    /// The whole client: its background work must last as long as the stream.
    client: Client,
    partition: PartitionId,
    keys: Vec<WatchKey>,
    after: Option<Seq>,
    ready: VecDeque<Change>,
    /// The replica that answered last.
    favourite: Option<Target>,
    /// Said next, and last.
    last_word: Option<ClientError>,
    over: bool,
}

fn check(keys: &[WatchKey]) -> Result<(), ClientError> {
    let invalid = |why: String| Err(ClientError::Invalid(why));
    let Some(first) = keys.first() else { return invalid("a watch names at least one key".into()) };
    if keys.len() > KEYS_MAX {
        return invalid(format!("a watch names at most {KEYS_MAX} keys"));
    }
    if keys.iter().any(|key| key.partition_key != first.partition_key) {
        return invalid("the keys of one watch share one partition key".into());
    }
    if first.partition_key.is_empty() || first.partition_key.len() > KEY_BYTES_MAX {
        return invalid(format!("a partition key has 1 to {KEY_BYTES_MAX} bytes"));
    }
    Ok(())
}

impl Watcher {
    fn new(client: Client, keys: Vec<WatchKey>, after: Option<Seq>) -> Watcher {
        let key = keys.first().map_or(&[][..], |key| &key.partition_key);
        Watcher {
            partition: partition_of(key, client.layout().partition_count()),
            last_word: check(&keys).err(),
            client,
            keys,
            after,
            ready: VecDeque::new(),
            favourite: None,
            over: false,
        }
    }

    async fn next(&mut self) -> Option<Result<Change, ClientError>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Some(Ok(change));
            }
            if self.over {
                return None;
            }
            if let Some(error) = self.last_word.take() {
                self.over = true;
                return Some(Err(error));
            }
            match self.poll().await {
                Ok(WatchReply::Changes { changes, upto }) => {
                    self.after = Some(self.after.map_or(upto, |after| after.max(upto)));
                    self.ready = changes.into();
                }
                Ok(WatchReply::Compacted { .. }) => self.last_word = Some(ClientError::Compacted),
                Err(error) if error.action() == Action::Retry => return Some(Err(error)),
                Err(error) => self.last_word = Some(error),
            }
        }
    }

    /// One answer, from whichever replica gives it. Only failures count against the time allowed.
    async fn poll(&mut self) -> Result<WatchReply, ClientError> {
        // "From now on" begins with an answer, not with a question that may be lost: ask for it at once.
        let wait = if self.after.is_some() { WAIT } else { Duration::ZERO };
        let request = WatchRequest { partition: self.partition, keys: self.keys.clone(), after: self.after, wait };
        let body = codec::encode(&request);
        let router: Arc<Router> = self.client.router.clone();
        let mut patience = Patience::new(router.config.timeouts.request + wait, wait + GRACE);
        let mut heard = Heard::default();
        loop {
            let layout = router.map.current();
            let mut targets = router.targets(&layout, self.partition, Role::Serving);
            if let Some(place) = targets.iter().position(|target| Some(target) == self.favourite.as_ref()) {
                targets[..=place].rotate_right(1);
            }
            if targets.is_empty() {
                heard.nobody(&layout, self.partition);
            }
            for target in targets {
                let Some(timeout) = patience.attempt() else { return Err(heard.conclude(&layout)) };
                let attempt =
                    router.attempt(&target, self.partition, Role::Serving, method::WATCH, body.clone(), timeout);
                match attempt.await {
                    Ok((reply, _)) => {
                        self.favourite = Some(target);
                        return Ok(reply);
                    }
                    Err(failure) => {
                        self.favourite = None;
                        let behind = match &failure {
                            Failure::Fault(Fault::NoSuchTable(table)) => router.table_may_exist(*table, &layout).await,
                            _ => false,
                        };
                        if failure.action() == Action::Rejected && !behind {
                            return Err(failure.into_error(vec![target.address], &layout));
                        }
                        heard.failed(&target.address, failure);
                    }
                }
                if router.map.version() > layout.version {
                    break;
                }
            }
            if patience.attempt().is_none() {
                return Err(heard.conclude(&layout));
            }
            router.refresh(layout.version, None).await;
            router.pause(layout.version, &mut patience).await;
        }
    }
}
