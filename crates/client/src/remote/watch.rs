//! Following changes, across gateways.

use super::key_value::service;
use super::{Remote, RemoteError, WatchEvent, WatchKey};
use futures::Stream;
use rpc::grpc::{Problem, v1};
use std::time::Duration;
use tonic::Streaming;
use types::{Action, Seq};

/// Before a stream that ended is begun again, so that one that always ends is not begun in a tight loop.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 200 });

/// How far a watcher has come. The changes of one write have one sequence, so a
/// position within a write takes two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// Everything up to here has been handed out; none: nothing has been heard yet.
    after: Option<Seq>,
    /// Of the write with the next sequence that concerned us: its sequence, and how many of its changes were handed out.
    partly: Option<(Seq, usize)>,
}

impl Position {
    /// A change with this sequence is being handed out.
    fn advance(&mut self, seq: Seq) {
        self.partly = match self.partly {
            Some((present, count)) if present == seq => Some((seq, count + 1)),
            _ => Some((seq, 1)),
        };
        self.after = Some(Seq(seq.0.saturating_sub(1)));
    }
}

struct Watcher {
    remote: Remote,
    keys: Vec<WatchKey>,
    position: Position,
    /// Changes of `position.partly` that a resumed stream repeats.
    skip: usize,
    stream: Option<Streaming<v1::WatchReply>>,
    begun: bool,
    ended: bool,
}

impl Remote {
    /// Committed changes under these keys (all with one partition key), in order,
    /// after that sequence or from now on. Resumes through other gateways by
    /// itself; ends with the first error.
    pub fn watch(
        &self,
        keys: Vec<WatchKey>,
        after: Option<Seq>,
    ) -> impl Stream<Item = Result<WatchEvent, RemoteError>> + Send + Unpin + 'static {
        let watcher = Watcher {
            remote: self.clone(),
            keys,
            position: Position { after, partly: None },
            skip: 0,
            stream: None,
            begun: false,
            ended: false,
        };
        Box::pin(futures::stream::unfold(watcher, |mut watcher| async move {
            if watcher.ended {
                return None;
            }
            let event = watcher.next().await;
            watcher.ended = event.is_err();
            Some((event, watcher))
        }))
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<WatchEvent, RemoteError> {
        loop {
            let reply = match &mut self.stream {
                None => {
                    self.open().await?;
                    continue;
                }
                Some(stream) => stream.message().await,
            };
            match reply {
                Ok(Some(reply)) => {
                    if let Some(event) = self.heard(WatchEvent::from_wire(reply)?) {
                        return Ok(event);
                    }
                }
                Ok(None) => self.interrupted().await,
                Err(status) => match Problem::from_status(&status) {
                    Some(problem) if problem.action == Action::Rejected => return Err(problem.into()),
                    _ => self.interrupted().await,
                },
            }
        }
    }

    async fn interrupted(&mut self) {
        self.stream = None;
        tokio::time::sleep(PAUSE).await;
    }

    /// Keeps account of an event; none when the caller has had it before.
    fn heard(&mut self, event: Option<WatchEvent>) -> Option<WatchEvent> {
        match event? {
            WatchEvent::Started(seq) => {
                self.position.after.get_or_insert(seq);
                let first = !std::mem::replace(&mut self.begun, true);
                first.then_some(WatchEvent::Started(seq))
            }
            WatchEvent::Changed(change) => {
                let seq = change.version.seq;
                if self.skip > 0 && self.position.partly.is_some_and(|(partly, _)| partly == seq) {
                    self.skip -= 1;
                    return None;
                }
                self.skip = 0;
                self.position.advance(seq);
                Some(WatchEvent::Changed(change))
            }
        }
    }

    async fn open(&mut self) -> Result<(), RemoteError> {
        self.skip = self.position.partly.map_or(0, |(_, count)| count);
        let keys = self.keys.iter();
        let keys = keys.map(|key| v1::WatchKey { table: key.table.clone(), partition_key: key.partition_key.clone() });
        let message = v1::WatchRequest { keys: keys.collect(), after: self.position.after.map(|seq| seq.0) };
        let stream = self.remote.read(message, |channel, mut request| async move {
            // The stream has no end of its own; only its beginning must come in time.
            request.metadata_mut().remove("grpc-timeout");
            service(channel).watch(request).await
        });
        self.stream = Some(stream.await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_within_a_write_goes_back_to_before_it() {
        let mut position = Position::default();
        position.advance(Seq(7));
        position.advance(Seq(7));
        assert_eq!(position, Position { after: Some(Seq(6)), partly: Some((Seq(7), 2)) });
        position.advance(Seq(9));
        assert_eq!(position, Position { after: Some(Seq(8)), partly: Some((Seq(9), 1)) });
    }
}
