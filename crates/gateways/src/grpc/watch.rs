//! Streams of changes: they begin at a stated sequence, and end with the session
//! or the gateway.

use super::GrpcState;
use super::guard::{Caller, signed_out};
use super::problems::{invalid, status};
use client::WatchKey;
use futures::StreamExt;
use futures::stream::BoxStream;
use rpc::grpc::{Problem, TableChange, TableKey, WatchEvent, kind, v1};
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use types::limits::KEYS_MAX;
use types::{Change, Consistency, Query, Seq, TableId};

/// Watches at a time through one gateway.
pub(super) const WATCHES_MAX: usize = 4096;
/// How often it is asked whether the session, or the app password, still lasts.
const SESSION_CHECK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });

impl GrpcState {
    pub(super) async fn begin_watch(
        &self,
        caller: Caller,
        asked: v1::WatchRequest,
    ) -> Result<BoxStream<'static, Result<v1::WatchReply, Status>>, Status> {
        let permit = self.inner.watches.clone().try_acquire_owned().map_err(|_| {
            let text = "this gateway serves as many watches as it can; try another one";
            status(Problem::new(Code::ResourceExhausted, types::Action::Retry, kind::BUSY, text))
        })?;
        let first = asked.keys.first().ok_or_else(|| invalid("a watch names at least one key"))?.clone();
        if asked.keys.len() > KEYS_MAX {
            return Err(invalid(format!("a watch names at most {KEYS_MAX} keys")));
        }
        if asked.keys.iter().any(|key| key.partition_key != first.partition_key) {
            return Err(invalid("all keys of a watch must have the same partition key"));
        }
        let tables = self.tables(asked.keys.iter().map(|key| key.table.as_str())).await.map_err(status)?;
        let keys: Vec<WatchKey> = tables
            .values()
            .map(|table| WatchKey { table: *table, partition_key: first.partition_key.clone() })
            .collect();
        let after = match asked.after {
            Some(after) => Seq(after),
            // "From now on" has to mean the same to a watcher who must begin again: a read says what now is.
            None => {
                let mut query = Query::all(keys[0].table, first.partition_key.clone());
                query.limit = 1;
                types::Read::Range(query.clone()).validate().map_err(invalid)?;
                self.inner.backend.query(&query, Consistency::Strong).await.map_err(status)?.at
            }
        };
        let names: HashMap<TableId, String> = tables.into_iter().map(|(name, id)| (id, name)).collect();
        let changes = self.inner.backend.watch(keys, Some(after)).map(move |change| match change {
            Ok(change) => Ok(said(&names, change).to_wire()),
            Err(error) => Err(status(error)),
        });
        let started = futures::stream::iter([Ok(WatchEvent::Started(after).to_wire())]);
        let ended = self.clone().watch_over(caller);
        let last_word = futures::FutureExt::shared(ended);
        let events = started.chain(changes).take_until(last_word.clone());
        let last = futures::stream::once(async move { Err(last_word.await.to_status()) });
        // After an error there is nothing more, as in every gRPC stream.
        let mut over = false;
        let stream = events.chain(last).take_while(move |event| {
            let _ = &permit;
            let go_on = !over;
            over = event.is_err();
            std::future::ready(go_on)
        });
        Ok(stream.boxed())
    }

    /// Ends when the session or the gateway does, saying which.
    async fn watch_over(self, caller: Caller) -> Problem {
        loop {
            tokio::select! {
                () = self.inner.closing.cancelled() => {
                    return Problem::retry(kind::UNREACHABLE, "this gateway is stopping; another one goes on");
                }
                () = tokio::time::sleep(SESSION_CHECK) => {}
            }
            if caller.shown.ended(&self.inner.accounts).await {
                return signed_out();
            }
        }
    }
}

fn said(names: &HashMap<TableId, String>, change: Change) -> WatchEvent {
    let table = names.get(&change.key.table).cloned().unwrap_or_default();
    WatchEvent::Changed(TableChange {
        version: change.version,
        key: TableKey { table, partition_key: change.key.partition_key, sort_key: change.key.sort_key },
        item: change.item,
    })
}
