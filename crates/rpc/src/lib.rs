//! How nodes and gateways talk to nodes: a framed, pipelined protocol over one
//! TCP connection that carries many calls at once.
//!
//! **Owns** frames, the handshake, the server's and the client's side of a
//! connection, the pool of connections, calls within one process
//! ([`Local`]), the encoding of bodies, and the
//! requests and replies themselves ([`wire`]). The transport sits
//! beside `types` at the bottom and knows nothing of those: a call is a
//! method number and bytes.
//!
//! **Invariants**
//! 1. Before any frame both ends have shown certificates of one cluster's
//!    authority, or one has shown none and may do nothing but join, and they
//!    share a protocol ([`tls`], [`handshake`]).
//! 2. [`RpcError::NotSent`] means that no byte of the call left this process;
//!    whatever may have left it and was not answered is [`RpcError::Lost`].
//! 3. Notifications sent over one connection are delivered in the order sent,
//!    without a gap, up to the point where the connection ends.
//! 4. Every queue, frame, count of calls and of connections has a bound. A
//!    server beyond its bounds refuses calls ([`Code::Busy`]) but goes on
//!    reading: a notification is never stuck behind calls that wait for it.
//! 5. A peer from which nothing comes, neither frame nor heartbeat, is given
//!    up; all its calls end. No call outlives its own time-out either.
//! 6. A call, once begun by the server, runs to its end, whether or not
//!    somebody still waits for it. Long polls must therefore end by themselves.
//!
//! **Leaves to others**: what methods mean, who may call which, retries of calls.
//!
//! **Proved by** `tests/` (real sockets, real processes that are killed and
//! frozen, hostile bytes) and the unit tests beside each file.
//! `examples/ping.rs` measures calls per second.
//!
//! # Use
//! ```no_run
//! use bytes::Bytes;
//! use futures::future::BoxFuture;
//! use rpc::tls::{Authority, Validity};
//! use rpc::{Body, ClientConfig, Code, Credentials, Handler, Peer, Pool, Server, ServerConfig, Status};
//! use std::{sync::Arc, time::Duration};
//! # use atoll_rpc as rpc;
//!
//! struct Echo;
//! impl Handler for Echo {
//!     fn call(&self, _from: &Peer, method: u16, body: Bytes) -> BoxFuture<'static, Result<Body, Status>> {
//!         Box::pin(async move {
//!             match method {
//!                 1 => Ok(body.into()),
//!                 _ => Err(Status::new(Code::NoSuchMethod, "only 1 is known here")),
//!             }
//!         })
//!     }
//!     fn notify(&self, _from: &Peer, _method: u16, _body: Bytes) {}
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = Authority::new(types::ClusterId(1))?;
//! let me = Peer::node(types::ReplicaId { node: types::NodeId(1), incarnation: types::Incarnation(1) }, "here");
//! let credentials = Credentials::issued(&authority, me, Validity::from_now(Duration::from_secs(600)))?;
//! let server = Server::bind("127.0.0.1:7071", ServerConfig::new(credentials.clone()), Arc::new(Echo)).await?;
//! let pool = Pool::new(ClientConfig::new(credentials));
//! let reply = pool.call("127.0.0.1:7071", 1, Bytes::from_static(b"hello"), Duration::from_secs(1)).await?;
//! server.shutdown(Duration::from_secs(5)).await;
//! # Ok(()) }
//! ```
//!
//! A body may have two parts, `(head, payload)`, which are written one after
//! the other without being copied together; the receiver gets one `Bytes` and
//! takes it apart with [`codec::decode_head`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail"))]

mod begin;
mod client;
pub mod codec;
mod config;
mod error;
pub mod frame;
pub mod grpc;
pub mod handshake;
mod local;
mod outbox;
mod peer;
mod pool;
mod server;
pub mod tls;
mod vigil;
pub mod wire;

pub use client::Connection;
pub use config::{ClientConfig, Credentials, ServerConfig, Vitality};
pub use error::{Code, RpcError, Status};
pub use frame::Body;
pub use handshake::HandshakeError;
pub use local::Local;
pub use peer::{ClusterKey, Identity, Peer, PeerKind};
pub use pool::Pool;
pub use server::{Handler, Server};

/// Oldest and newest protocol between nodes that this release speaks.
pub const PROTOCOLS: (u16, u16) = (5, 5);
