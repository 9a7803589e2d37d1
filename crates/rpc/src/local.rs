//! Calls within one process: whoever asks the node that it runs beside needs no connection to it.
//!
//! To the handler it is as if they came over a connection of that peer's: it may refuse them, they run to their end once they
//! have begun, and no more than so many run at a time. What is answered at once is answered on the caller's own task.

use crate::begin::{Begun, begin};
use crate::config::CALLS_MAX;
use crate::error::RpcError;
use crate::frame::Body;
use crate::peer::Peer;
use crate::server::Handler;
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// A server in this process; clones share its bounds.
#[derive(Clone)]
pub struct Local {
    inner: Arc<Inner>,
}

struct Inner {
    address: String,
    caller: Peer,
    /// Not kept alive for those who may call.
    handler: Weak<dyn Handler>,
    places: Arc<Semaphore>,
}

impl Local {
    /// Calls of `caller`, instead of a connection to `address`.
    pub fn new(address: impl Into<String>, caller: Peer, handler: &Arc<dyn Handler>) -> Local {
        let places = Arc::new(Semaphore::new(CALLS_MAX));
        Local { inner: Arc::new(Inner { address: address.into(), caller, handler: Arc::downgrade(handler), places }) }
    }

    /// Where others reach that server.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Takes no more calls; those that run go on.
    pub fn close(&self) {
        self.inner.places.close();
    }

    /// As [`crate::Connection::call`], with the reply's parts as the handler gave them.
    pub async fn call(&self, method: u16, body: impl Into<Body>, timeout: Duration) -> Result<Body, RpcError> {
        let deadline = tokio::time::Instant::now() + timeout;
        let place = self.place(deadline).await?;
        let Inner { address, caller, handler, .. } = &*self.inner;
        let handler = handler.upgrade().ok_or_else(|| self.stopped())?;
        let body = whole(body.into());
        let rest = match begin(&*handler, caller, method, body) {
            Begun::Answered(result) => return result.map_err(RpcError::Remote),
            Begun::Running(rest) => rest,
        };
        drop(handler);
        let running = tokio::spawn(async move {
            let result = rest.end().await;
            drop(place);
            result
        });
        match tokio::time::timeout_at(deadline, running).await {
            Ok(Ok(result)) => result.map_err(RpcError::Remote),
            Ok(Err(_)) => Err(RpcError::Lost(format!("{address}: the runtime has stopped"))),
            Err(_) => Err(RpcError::Lost(format!("{address}: no reply within {timeout:?}"))),
        }
    }

    async fn place(&self, deadline: tokio::time::Instant) -> Result<OwnedSemaphorePermit, RpcError> {
        let places = &self.inner.places;
        match places.clone().try_acquire_owned() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::Closed) => return Err(self.stopped()),
            Err(TryAcquireError::NoPermits) => {}
        }
        match tokio::time::timeout_at(deadline, places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(self.stopped()),
            Err(_) => Err(RpcError::NotSent(format!("{}: too many calls under way", self.inner.address))),
        }
    }

    fn stopped(&self) -> RpcError {
        RpcError::NotSent(format!("{}: this node has stopped", self.inner.address))
    }
}

/// Handlers take their calls in one piece.
fn whole(body: Body) -> Bytes {
    if body.payload.is_empty() {
        return body.head;
    }
    let mut both = BytesMut::with_capacity(body.len());
    both.extend_from_slice(&body.head);
    both.extend_from_slice(&body.payload);
    both.freeze()
}
