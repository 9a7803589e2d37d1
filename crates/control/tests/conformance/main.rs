//! One suite for every metadata store ([`every_backend`]), and what only a
//! replicated one can be asked ([`raft`], [`zookeeper`]).

#![allow(clippy::unwrap_used)]

mod cluster;
mod ensemble;
mod every_backend;
mod raft;
mod zookeeper;
