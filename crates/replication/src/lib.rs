//! Replication as pure state machines: events in, commands out.
//!
//! **Owns** the protocol of strong tables ([`chain`]), the lease's rules ([`lease`]), and what a node
//! decides about itself ([`node`]) and about blocks ([`blocks`]). **Invariants**: nothing here reads a clock, a disk, a socket or a
//! random source; the same events give the same commands. **Leaves to others**:
//! doing what the commands say (`node`, and `simulator` under a seed), and
//! deciding who is in which chain (`control`). **Proved by** the simulator, whose
//! clusters run exactly this code, and by the tests beside each file.

pub mod blocks;
pub mod chain;
pub mod lease;
pub mod node;

pub use chain::{Command, Environment, Message, Replica, RequestId};
pub use lease::Lease;
