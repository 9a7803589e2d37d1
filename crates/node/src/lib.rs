//! The data node's runtime: drives the pure replicas with a log, tables and a network.
//!
//! **Owns** the threads and tasks of a node: the log writer (one fsync for many writes), the
//! applier, the lease keeper, the block keeper, and the answering of requests. **Invariants**:
//! commands of one replica are carried out in order; nothing waits for the disk while a replica
//! is locked, but for reads of what its head must test. **Leaves to others**: every decision
//! (`replication`, `control`). **Proved by** the real-process tests of `server`.
//!
//! | file | what is in it |
//! |---|---|
//! | `node` | start, stop, the parts put together |
//! | `health` | whether the node may go on; the watch over its parts |
//! | `identity` · `certificate` | who this data folder is, and what it shows for it |
//! | `coordination` | what keeps the metadata |
//! | `bond` | that the folders are its own, and all there |
//! | `join` · `token` | how a new machine becomes a member |
//! | `gate` | who may call what |
//! | `partition` | one replica and those who wait for it |
//! | `log_writer` · `applier` | the two storage threads |
//! | `catch_up` | reading and comparing for those who are behind |
//! | `throttle` | how fast that goes |
//! | `space` | a disk that is full |
//! | `status` | how it is |
//! | `life` | registration, lease, new lives |
//! | `retire` | the clean stop |
//! | `witness` | what tells the others that this process has ended |
//! | `leader` | calls to the control plane, wherever it leads; Raft's transport |
//! | `map` | new maps taken up; where members are, remembered |
//! | `service` | requests in; `reads`, `blocks` | answers |

mod applier;
mod blocks;
mod bond;
mod catch_up;
mod certificate;
mod clock;
mod coordination;
mod gate;
mod health;
mod identity;
mod join;
mod leader;
mod life;
mod log_writer;
mod map;
mod node;
mod partition;
mod reach;
mod reads;
mod retire;
mod server_certificate;
mod service;
mod space;
mod status;
mod throttle;
mod token;
mod witness;

pub use blocks::LocalBlocks;
pub use certificate::gateway_credentials;
pub use clock::SystemClock;
pub use control::Backend;
pub use coordination::Choice;
pub use identity::{Identity, IdentityError};
pub use node::{Node, NodeConfig, NodeError};
pub use token::JoinToken;
pub use witness::witness;
