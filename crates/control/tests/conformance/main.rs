//! One suite for every metadata store ([`every_backend`]), and what only a
//! replicated one can be asked ([`raft`]).

#![allow(clippy::unwrap_used)]

mod cluster;
mod every_backend;
mod raft;
