//! What a node decides about itself, apart from its replicas: its lives and lease, and what it reports.
//!
//! **Invariants**: 4 and 9 of `docs/consistency.md`; a node that ended its part in the cluster never extends
//! its lease again. **Leaves to others**: clocks, calls to the controller, and keeping the life's number on disk.
//! **Proved by** the tests here and the simulator, which drives the same code as `node` does.

mod life;
mod reports;

pub use life::{Life, Next, Step};
pub use reports::{Report, Unheard};
