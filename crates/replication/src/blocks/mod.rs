//! What a node decides about blocks: which are missing here, when to try for them again, when a member that
//! leaves need not be waited for, and what may be collected.
//!
//! **Invariant** 21 of `docs/consistency.md`: collection deletes only what a strong read says nothing keeps.
//! **Leaves to others**: disks, tables and the network. **Proved by** the tests here and the simulator, which
//! drives the same code as `node` does.

mod collect;
mod upkeep;

pub use collect::{Collector, settled_without};
pub use upkeep::{Upkeep, holders};
