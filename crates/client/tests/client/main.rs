//! The client against scripted nodes on the real wire: what it makes of faults,
//! lost answers, frozen nodes, old maps and bad copies.

#![allow(clippy::unwrap_used)]

extern crate atoll_client as client;

mod blobs;
mod fake;
mod faults;
mod reads;
mod tables;
mod transactions;
mod watching;
