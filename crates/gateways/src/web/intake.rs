//! Files as they come: whole, not silent, not endlessly slowly, and no longer than there is room for them.

use super::problem::{Outcome, Problem};
use super::text::{fill, words};
use axum::body::BodyDataStream;
use bytes::Bytes;
use client::ClientError;
use futures::{Stream, StreamExt, TryStreamExt};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a refused upload that are read so that its sender hears the refusal.
const DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Bytes in a second that a sender must have reached whenever it was waited for this long: the slowest phone does.
const RATE_MIN: u64 = 1024;
const RATE_OVER: Duration = Duration::from_secs(5 * 60);
const TOO_LONG: &str = "it is longer than there is room for";

/// The body, which must be as long as was promised, and not be silent for longer than that.
pub(super) fn whole(
    body: &mut BodyDataStream,
    length: Option<u64>,
    silence: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    let body = body.map_err(io::Error::other);
    let late = |what| io::Error::new(io::ErrorKind::TimedOut, what);
    Box::pin(futures::stream::try_unfold((body, 0u64, Rate::default()), move |(mut body, seen, mut rate)| async move {
        let asked = Instant::now();
        let next = tokio::time::timeout(silence, body.try_next()).await;
        match next.map_err(|_| late("the sender fell silent"))?? {
            Some(chunk) => {
                if !rate.bears(asked.elapsed(), chunk.len() as u64) {
                    return Err(late("the sender is too slow"));
                }
                let seen = seen + chunk.len() as u64;
                Ok(Some((chunk, (body, seen, rate))))
            }
            None if length.is_some_and(|length| length != seen) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than promised"))
            }
            None => Ok(None),
        }
    }))
}

/// How fast a sender is while it is waited for: how long it waits for us is not its doing.
#[derive(Default)]
struct Rate {
    waited: Duration,
    bytes: u64,
}

impl Rate {
    /// So much more, for which it was waited so long: is it fast enough?
    fn bears(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < RATE_OVER {
            return true;
        }
        let Rate { waited, bytes } = std::mem::take(self);
        bytes >= RATE_MIN * waited.as_secs()
    }
}

/// The bytes, as long as they are no more than so many.
pub(super) fn bounded<S: Stream<Item = io::Result<Bytes>> + Send + Unpin>(
    source: S,
    most: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    let mut seen = 0u64;
    source.and_then(move |chunk| {
        seen = seen.saturating_add(chunk.len() as u64);
        futures::future::ready(if seen > most { Err(io::Error::other(TOO_LONG)) } else { Ok(chunk) })
    })
}

/// Did the bytes of [`bounded`] end because they were too many?
pub(super) fn is_too_long(error: &ClientError) -> bool {
    matches!(error, ClientError::Source(text) if text.contains(TOO_LONG))
}

/// What failed after so many files of the same form were taken.
pub(super) fn after(taken: usize, mut problem: Problem) -> Problem {
    if taken == 0 {
        return problem;
    }
    let values = [("count", &*taken.to_string()), ("problem", &*problem.message)];
    problem.message = fill(words().some_received, &values);
    if problem.outcome != Outcome::Unknown {
        problem.outcome = Outcome::Applied;
    }
    // Said already, and not to be said anew.
    problem.kind = "some_received";
    problem
}

/// Whoever is still sending would otherwise see a broken connection and not the reason for a refusal.
pub(super) async fn drain(body: &mut BodyDataStream) {
    let all = async {
        let mut seen = 0;
        while let Some(Ok(chunk)) = body.next().await {
            seen += chunk.len();
            if seen > DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_WITHIN, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn bears(pieces: impl IntoIterator<Item = (Duration, u64)>) -> bool {
        let mut rate = Rate::default();
        pieces.into_iter().all(|(waited, bytes)| rate.bears(waited, bytes))
    }

    #[test]
    fn a_slow_phone_passes_and_who_only_drips_does_not() {
        // A tunnel of two minutes now and then, else some bytes.
        assert!(bears((0..100).flat_map(|_| [(2 * MINUTE, 1), (2 * MINUTE, 300_000), (MINUTE, 100_000)])));
        assert!(bears((0..100_000).map(|_| (Duration::from_secs(1), RATE_MIN))));
        // A byte just before the silence is too long.
        assert!(!bears((0..3).map(|_| (2 * MINUTE, 1))));
        // What came fast once is no credit for ever.
        assert!(!bears([(MINUTE, 1 << 30)].into_iter().chain((0..10).map(|_| (MINUTE, 1)))));
    }

    proptest! {
        #[test]
        fn whoever_is_fast_enough_is_never_broken_off(waits in prop::collection::vec(1u64..120, 1..100)) {
            prop_assert!(bears(waits.into_iter().map(|secs| (Duration::from_secs(secs), secs * RATE_MIN))));
        }
    }
}
