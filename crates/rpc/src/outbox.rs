//! The frames that wait to be written to one connection, and their writer.
//!
//! **Invariants**: frames leave in the order pushed; bytes and frames waiting
//! are bounded; a frame that was retracted, or was left over at the close, has
//! not been written to, not even in part. The writer takes all that waits and
//! writes it with as few system calls as it can; small frames are copied
//! together, large bodies are written from where they are.

use crate::frame::{Frame, HEADER_BYTES};
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::IoSlice;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Frames that may wait, however small.
const FRAMES_MAX: usize = 64 * 1024;
/// About how many bytes are taken for one round of writing.
const ROUND_BYTES: usize = 512 * 1024;
/// A part of a body below this is copied next to its header: cheaper than a vector entry.
const COPY_BELOW: usize = 8 * 1024;
/// Vector entries given to one system call.
const SLICES_MAX: usize = 64;

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// No room now.
    Full,
    /// Never again.
    Closed,
}

pub(crate) struct Outbox {
    state: Mutex<State>,
    bytes_max: usize,
    /// Something waits, or the end has come.
    ready: Notify,
    /// Something was taken, or the end has come.
    space: Notify,
}

struct State {
    /// None where a frame was retracted.
    queue: VecDeque<Option<Frame>>,
    /// Ticket of the queue's first place.
    first: u64,
    bytes: usize,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What waits is still written; nothing more is taken.
    Finishing,
    Closed,
}

impl Outbox {
    pub(crate) fn new(bytes_max: usize) -> Outbox {
        let state = State { queue: VecDeque::new(), first: 0, bytes: 0, phase: Phase::Open };
        Outbox { state: Mutex::new(state), bytes_max, ready: Notify::new(), space: Notify::new() }
    }

    /// Adds a frame, at once or not at all. Gives a ticket to retract it with.
    pub(crate) fn push(&self, frame: Frame) -> Result<u64, Rejected> {
        self.offer(frame).map_err(|(reason, _)| reason)
    }

    /// Adds a frame as soon as there is room.
    pub(crate) async fn push_when_room(&self, mut frame: Frame) -> Result<(), Rejected> {
        loop {
            match self.offer(frame) {
                Ok(_) => return Ok(()),
                Err((Rejected::Closed, _)) => return Err(Rejected::Closed),
                Err((Rejected::Full, back)) => frame = back,
            }
            // Enlisted before looking again, so that no wake-up is missed.
            let room = self.space.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.offer(frame) {
                Ok(_) => return Ok(()),
                Err((Rejected::Closed, _)) => return Err(Rejected::Closed),
                Err((Rejected::Full, back)) => frame = back,
            }
            room.await;
        }
    }

    #[allow(clippy::result_large_err, reason = "the frame goes back to who offered it")]
    pub(crate) fn offer(&self, frame: Frame) -> Result<u64, (Rejected, Frame)> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err((Rejected::Closed, frame));
        }
        let len = frame.wire_len();
        // A frame of any size is taken when nothing waits, or it would wait for ever.
        let crowded = state.bytes > 0 && state.bytes + len > self.bytes_max;
        if crowded || state.queue.len() >= FRAMES_MAX {
            return Err((Rejected::Full, frame));
        }
        let ticket = state.first + state.queue.len() as u64;
        let was_empty = state.queue.is_empty();
        state.bytes += len;
        state.queue.push_back(Some(frame));
        drop(state);
        if was_empty {
            self.ready.notify_one();
        }
        Ok(ticket)
    }

    /// Takes a frame back. False when the writer has it already.
    pub(crate) fn retract(&self, ticket: u64) -> bool {
        let mut state = self.state.lock();
        let Some(place) = ticket.checked_sub(state.first) else { return false };
        let Some(frame) = state.queue.get_mut(place as usize).and_then(Option::take) else { return false };
        state.bytes -= frame.wire_len();
        true
    }

    /// Sends a heartbeat, unless something waits to be sent anyway.
    pub(crate) fn beat(&self) {
        if self.state.lock().queue.is_empty() {
            // Not taken means closed: then there is nobody to tell.
            let _ = self.push(Frame::HEARTBEAT);
        }
    }

    /// Takes nothing more; what waits is still written, then the writer ends.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Finishing;
        }
        drop(state);
        self.wake_all();
    }

    /// Ends at once. Gives the frames that were never written to.
    pub(crate) fn close(&self) -> Vec<Frame> {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        state.bytes = 0;
        let left = std::mem::take(&mut state.queue).into_iter().flatten().collect();
        drop(state);
        self.wake_all();
        left
    }

    fn wake_all(&self) {
        self.ready.notify_one();
        self.space.notify_waiters();
    }

    /// Moves about [`ROUND_BYTES`] of frames into `round`. False at the end.
    fn take(&self, round: &mut Vec<Frame>) -> bool {
        let mut state = self.state.lock();
        let mut bytes = 0;
        while bytes < ROUND_BYTES {
            let Some(place) = state.queue.pop_front() else { break };
            state.first += 1;
            if let Some(frame) = place {
                bytes += frame.wire_len();
                round.push(frame);
            }
        }
        state.bytes -= bytes;
        let goes_on = bytes > 0 || state.phase == Phase::Open;
        drop(state);
        if bytes > 0 {
            self.space.notify_waiters();
        }
        goes_on
    }

    /// Writes until [`Self::finish`] or [`Self::close`], then shuts the stream down.
    pub(crate) async fn write_to<W: AsyncWrite + Unpin>(&self, mut stream: W) -> std::io::Result<()> {
        let mut round = Vec::new();
        let mut segments = VecDeque::new();
        let mut copied = BytesMut::new();
        while self.take(&mut round) {
            if round.is_empty() {
                self.ready.notified().await;
                // Whoever woke us is often about to push more.
                tokio::task::yield_now().await;
                continue;
            }
            for frame in round.drain(..) {
                copied.reserve(HEADER_BYTES);
                frame.put_header(&mut copied);
                for part in [frame.body.head, frame.body.payload] {
                    if part.len() < COPY_BELOW {
                        copied.extend_from_slice(&part);
                    } else {
                        segments.push_back(copied.split().freeze());
                        segments.push_back(part);
                    }
                }
            }
            segments.push_back(copied.split().freeze());
            write_segments(&mut stream, &mut segments).await?;
            stream.flush().await?;
        }
        stream.shutdown().await
    }
}

async fn write_segments<W: AsyncWrite + Unpin>(stream: &mut W, segments: &mut VecDeque<Bytes>) -> std::io::Result<()> {
    loop {
        while segments.front().is_some_and(Bytes::is_empty) {
            segments.pop_front();
        }
        let mut written = match segments.len() {
            0 => return Ok(()),
            1 => stream.write(&segments[0]).await?,
            count => {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                for (slice, segment) in slices.iter_mut().zip(segments.iter()) {
                    *slice = IoSlice::new(segment);
                }
                stream.write_vectored(&slices[..count.min(SLICES_MAX)]).await?
            }
        };
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = segments.front_mut()
            && written > 0
        {
            let part = written.min(front.len());
            front.advance(part);
            written -= part;
            if front.is_empty() {
                segments.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameReader, Kind};
    use proptest::prelude::*;

    fn frame(id: u64, head: usize, payload: usize) -> Frame {
        let part = |len: usize, salt: u8| Bytes::from(vec![(id as u8).wrapping_add(salt); len]);
        Frame { kind: Kind::Notify, id, code: 1, body: (part(head, 0), part(payload, 1)).into() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn everything_is_written_in_order(
            sizes in proptest::collection::vec((0usize..20_000, prop_oneof![Just(0), 0usize..200_000]), 0..60),
            pipe in 100usize..100_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let outbox = Outbox::new(usize::MAX);
                for (id, (head, payload)) in sizes.iter().enumerate() {
                    outbox.push(frame(id as u64, *head, *payload)).unwrap();
                }
                outbox.finish();
                prop_assert_eq!(outbox.push(Frame::HEARTBEAT), Err(Rejected::Closed));
                let (near, far) = tokio::io::duplex(pipe);
                let reading = async {
                    let mut reader = FrameReader::new(far);
                    for (id, (head, payload)) in sizes.iter().enumerate() {
                        let want = frame(id as u64, *head, *payload);
                        let got = reader.next().await.unwrap().unwrap();
                        prop_assert_eq!(got.id, want.id);
                        prop_assert_eq!(&got.body.head[..], &[&want.body.head[..], &want.body.payload].concat()[..]);
                    }
                    prop_assert!(reader.next().await.unwrap().is_none());
                    Ok(())
                };
                let (wrote, read) = tokio::join!(outbox.write_to(near), reading);
                wrote.unwrap();
                read
            })?;
        }
    }

    #[test]
    fn bytes_and_frames_are_bounded_and_retracting_makes_room() {
        let outbox = Outbox::new(1000);
        let ticket = outbox.push(frame(1, 600, 0)).unwrap();
        assert_eq!(outbox.push(frame(2, 600, 0)), Err(Rejected::Full));
        assert!(outbox.retract(ticket) && !outbox.retract(ticket));
        outbox.push(frame(3, 5000, 0)).expect("anything fits when nothing waits");
        let mut round = Vec::new();
        assert!(outbox.take(&mut round));
        assert_eq!(round.iter().map(|frame| frame.id).collect::<Vec<_>>(), [3]);
        let ticket = outbox.push(frame(4, 1, 0)).unwrap();
        assert!(!outbox.retract(ticket - 1), "taken frames cannot be retracted");
        assert_eq!(outbox.close().len(), 1);

        let many = Outbox::new(usize::MAX);
        for id in 0..FRAMES_MAX as u64 {
            many.push(frame(id, 0, 0)).unwrap();
        }
        assert_eq!(many.push(Frame::HEARTBEAT), Err(Rejected::Full));
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_or_the_end() {
        let outbox = Outbox::new(100);
        outbox.push(frame(1, 80, 0)).unwrap();
        let mut round = Vec::new();
        let (pushed, _) = tokio::join!(outbox.push_when_room(frame(2, 80, 0)), async { outbox.take(&mut round) });
        assert_eq!(pushed, Ok(()));
        let (pushed, left) = tokio::join!(outbox.push_when_room(frame(3, 80, 0)), async { outbox.close() });
        assert_eq!((pushed, left.len()), (Err(Rejected::Closed), 1));
    }
}
