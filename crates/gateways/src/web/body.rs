//! Bodies that are watched while they come, and while they go.

use axum::Error;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Whether a request took too long to come.
#[derive(Clone, Default)]
pub(super) struct TooSlow(Arc<AtomicBool>);

impl TooSlow {
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a request, which ends with an error if it has not come after so long.
pub(super) fn within(time: Duration, body: Body, slow: TooSlow) -> Body {
    Body::new(Within { body, ends: Box::pin(sleep(time)), slow })
}

struct Within {
    body: Body,
    ends: Pin<Box<Sleep>>,
    slow: TooSlow,
}

impl HttpBody for Within {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(self.ends.as_mut().poll(cx));
        self.slow.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(Error::new("it took too long to come"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answer; what is held goes when all of it was taken, or nobody takes it any more.
pub(super) fn holding<H: Send + Unpin + 'static>(response: Response, held: H) -> Response {
    response.map(|body| Body::new(Holding { body, _held: held }))
}

struct Holding<H> {
    body: Body,
    _held: H,
}

impl<H: Unpin> HttpBody for Holding<H> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
