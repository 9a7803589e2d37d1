//! The words of Atoll as types: ids, versions, keys, items, transactions,
//! queries, log records, layout, limits, time.
//!
//! **Owns** every type that two other crates exchange. **Invariants**: numbers
//! that must not be mixed have types of their own; a [`Version`] is
//! ⟨epoch, sequence⟩ and never the sequence alone; everything that a stranger
//! sends has a bound in [`limits`] and is checked by `validate`.
//! **Leaves to others**: all I/O, all decisions. **Proved by** the unit and
//! property tests beside each file.

pub mod clock;
pub mod error;
pub mod ids;
pub mod item;
pub mod key;
pub mod layout;
pub mod limits;
pub mod operation;
pub mod query;
pub mod record;
pub mod rows;
pub mod transaction;

pub use clock::{Clock, HybridTime, Monotonic, Rng, WallMillis};
pub use error::{Action, Classify};
pub use ids::{ClusterId, Epoch, Incarnation, LayoutVersion, NodeId, PartitionId, Seq, TableId, Version};
pub use item::Item;
pub use key::{BlockHash, ItemKey, KeyHash, partition_of};
pub use layout::{Chain, ChainMember, Drain, Layout, MemberState, NodeInfo, ReplicaId, TableKind, TableSpec};
pub use operation::{OperationId, Verdict};
pub use query::{Bound, Change, Consistency, ItemAt, Query, QueryPage, Read};
pub use record::{Effect, LogEntry, Outcome, Record};
pub use rows::{Found, Piece, Row, RowRange};
pub use transaction::{Condition, Refusal, Template, TemplatePart, Test, Transaction, TransactionResult, Update};
