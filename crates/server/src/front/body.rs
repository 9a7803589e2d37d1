//! Bodies on their way through the front.
//!
//! A request's body is lent to one attempt after the other. What an attempt has
//! read is kept, up to [`REPLAY_BYTES_MAX`] and only where a second attempt would
//! be allowed, so that the next can begin at the beginning.

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Bytes of a request's body that are kept for another attempt: a block of a file, and its wrapping.
pub const REPLAY_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// A request's body, owned by the request.
pub struct Source(Arc<Mutex<Slot>>);

struct Slot {
    body: Incoming,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// Where another attempt may follow one that has sent something.
    keep: bool,
    /// Something was read that was not kept.
    lost: bool,
    ended: bool,
    /// Only the latest loan may read.
    loan: u64,
    hint: SizeHint,
}

impl Source {
    /// Takes the body; `keep`: remember what is read, for another attempt.
    pub fn new(body: Incoming, keep: bool) -> Source {
        let hint = body.size_hint();
        let ended = body.is_end_stream();
        Source(Arc::new(Mutex::new(Slot {
            body,
            kept: Vec::new(),
            kept_bytes: 0,
            keep,
            lost: false,
            ended,
            loan: 0,
            hint,
        })))
    }

    /// True while another attempt can send all of it.
    pub fn is_whole(&self) -> bool {
        !self.0.lock().lost
    }

    /// The body, from its beginning. Earlier loans end.
    pub fn lend(&self) -> Lent {
        let mut slot = self.0.lock();
        slot.loan += 1;
        Lent { slot: self.0.clone(), loan: slot.loan, position: 0 }
    }
}

/// A body on loan to an attempt.
pub struct Lent {
    slot: Arc<Mutex<Slot>>,
    loan: u64,
    position: usize,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let slot = &mut *this.slot.lock();
        if slot.loan != this.loan {
            return Poll::Ready(Some(Err(io::Error::other("another attempt has taken over"))));
        }
        if let Some(chunk) = slot.kept.get(this.position) {
            this.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        loop {
            if slot.ended {
                return Poll::Ready(None);
            }
            match Pin::new(&mut slot.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => slot.ended = true,
                Poll::Ready(Some(Err(error))) => {
                    slot.lost = true;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on: nothing behind the front reads them.
                    let Ok(chunk) = frame.into_data() else { continue };
                    slot.remember(&chunk);
                    this.position += 1;
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let slot = self.slot.lock();
        slot.ended && self.position >= slot.kept.len()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first frame, to choose the framing: that of the whole.
        self.slot.lock().hint
    }
}

impl Slot {
    fn remember(&mut self, chunk: &Bytes) {
        if self.keep && !self.lost && self.kept_bytes + chunk.len() <= REPLAY_BYTES_MAX {
            self.kept_bytes += chunk.len();
            self.kept.push(chunk.clone());
        } else {
            self.lost = true;
            self.kept = Vec::new();
        }
    }
}

/// An answer's body: ends with an error, rather than never, when its node has gone.
pub struct Answer {
    body: Incoming,
    gone: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Answer {
    /// The body, and what ends when its node has gone.
    pub fn new(body: Incoming, gone: impl Future<Output = ()> + Send + Sync + 'static) -> Answer {
        Answer { body, gone: Box::pin(gone) }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|result| result.map_err(io::Error::other))),
            Poll::Pending => self.gone.as_mut().poll(cx).map(|()| {
                Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the node behind the front has gone")))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
