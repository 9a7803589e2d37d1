//! Whole clusters on a seeded network, disk and clock.
//!
//! **Owns** a world ([`World`]) in which nodes drive the real replicas, lives, plans, changes of the layout, upkeep
//! of blocks and the engine in memory as `node` does, while machines crash and freeze, join and leave, links are cut,
//! disks fail and rot and clocks drift; what must hold in it ([`invariants`]); and the judge of client histories
//! ([`history`]).
//! **Invariants**: a seed decides everything: two runs of it have the same trace.
//! **Leaves to others**: real sockets, disks and Raft, which the tests of real processes prove.
//! **Proved by** `tests/planted_bugs.rs` (known bugs are found), `tests/seeds.rs` (determinism), and the tests
//! beside each invariant (each checker can fire).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bugs;
pub mod history;
pub mod invariants;
pub mod random;
mod run;
pub mod scenario;
mod strikes;
mod trace;
mod world;

pub use bugs::Bugs;
pub use run::{Range, run, sweep};
pub use strikes::{FAULTS, Strikes};
pub use trace::Trace;
pub use world::{Ended, World};
