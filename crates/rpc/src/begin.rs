//! Beginning a call: what a handler answers at once needs no task of its own.

use crate::error::{Code, Status};
use crate::frame::Body;
use crate::peer::Peer;
use crate::server::Handler;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, CatchUnwind};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

/// What has more bytes gets a task from the beginning.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// A call that has begun.
pub(crate) enum Begun {
    /// And is over.
    Answered(Result<Body, Status>),
    /// Whoever is to be woken is the task that goes on with it.
    Running(Running),
}

/// A call that goes on.
pub(crate) struct Running {
    method: u16,
    future: CatchUnwind<AssertUnwindSafe<BoxFuture<'static, Result<Body, Status>>>>,
}

/// Asks a handler. A panic in it is an answer, too.
pub(crate) fn begin(handler: &dyn Handler, from: &Peer, method: u16, body: Bytes) -> Begun {
    let bytes = body.len();
    let mut future = match catch_unwind(AssertUnwindSafe(|| handler.call(from, method, body))) {
        Ok(future) => AssertUnwindSafe(future).catch_unwind(),
        Err(panic) => return Begun::Answered(broken(method, panic)),
    };
    // To take in more than that takes long.
    if bytes > AT_ONCE_BYTES_MAX {
        return Begun::Running(Running { method, future });
    }
    match future.poll_unpin(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => Begun::Answered(ended.unwrap_or_else(|panic| broken(method, panic))),
        Poll::Pending => Begun::Running(Running { method, future }),
    }
}

impl Running {
    /// Goes on to its end.
    pub(crate) async fn end(self) -> Result<Body, Status> {
        self.future.await.unwrap_or_else(|panic| broken(self.method, panic))
    }
}

fn broken(method: u16, _panic: Box<dyn Any + Send>) -> Result<Body, Status> {
    tracing::error!(method, "a handler panicked over a call");
    Err(Status::new(Code::Internal, "the node broke down over this call; its log says more"))
}
