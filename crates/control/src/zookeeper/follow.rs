//! Every node follows the log: a watch on the header says when to look, and a look from time to time
//! makes good for a watch that was lost.

use super::Shared;
use super::session::{refused, within};
use std::sync::Arc;
use std::time::Duration;
use zookeeper_client::{Client, OneshotWatcher};

const LOOK: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn follow(shared: Arc<Shared>) {
    loop {
        let Some(client) = shared.sessions.next(None).await else { return };
        let session = client.session_id().0;
        // A server may be behind what another one has told this node.
        let mut behind = within(client.sync(&shared.paths.header())).await.is_err();
        while shared.sessions.is_current(session) {
            match shared.look(&client, behind).await {
                Some(changed) => {
                    tokio::select! {
                        _ = changed.changed() => {}
                        () = tokio::time::sleep(LOOK) => {}
                        () = shared.sessions.ended(session) => {}
                    }
                }
                None => tokio::time::sleep(PAUSE).await,
            }
            behind = true;
        }
        drop(client);
        tokio::time::sleep(PAUSE).await;
    }
}

impl Shared {
    /// Reads what is new. Returns what tells of the next change; none: something was wrong.
    /// `behind`: what is read may be older than what is known.
    async fn look(&self, client: &Client, behind: bool) -> Option<OneshotWatcher> {
        let (bytes, stat, changed) = match within(client.get_and_watch_data(&self.paths.header())).await {
            Ok(read) => read,
            Err(error) => {
                // Before the founding there is nothing, and while the connection is lost the keeper tells.
                match self.founded && refused(&error) {
                    true => self.tell(&self.missing_header(error)),
                    false => tracing::debug!(%error, "cannot read the header"),
                }
                return None;
            }
        };
        let advanced = async {
            let seen = self.seen(&bytes, &stat)?;
            let mut tail = self.journal.lock().await;
            if behind {
                return self.advance(client, &mut tail, seen).await;
            }
            self.catch_up(client, &mut tail).await.map(|()| true)
        };
        match advanced.await {
            Ok(true) => Some(changed),
            // What the header named is gone: there is a newer one.
            Ok(false) => None,
            Err(error) => {
                self.tell(&error);
                None
            }
        }
    }
}
