//! One replica of one partition: chain replication with apportioned reads.
//!
//! ```text
//!  client ─▶ head ──entries──▶ middle ──entries──▶ tail ┄┄entries┄┄▶ syncing
//!            log              log                 log               log
//!             ◀──durable────   ◀──durable────
//!  client ◀─ committed, once every acknowledging replica has it durable
//! ```
//!
//! The head tests transactions against the tables and the entries under way, gives each a
//! version, and sends it down before its own fsync has ended, so that the fsyncs of a chain
//! overlap. Durability flows back; when all have it the head commits and answers. That makes
//! the head, not the tail, the first to know what is committed, so replicas with writes under
//! way ask the head (`docs/decisions/head-commits.md`).
//!
//! **Invariants** are numbered in `docs/consistency.md` and named where they are kept.
//! **Leaves to others**: the lease (a deadline in each [`Environment`]), who is in the chain
//! ([`Replica::adopt`]), the log, the tables and the network ([`Command`]).
//!
//! | file | what is in it |
//! |---|---|
//! | `replica` | place in the chain, durability, commit, epochs |
//! | `head` | conditions, order, operation ids, verify, expiry |
//! | `link` · `follow` | sending below · taking from above |
//! | `plan` | which ranges a copy has yet to compare or send |
//! | `copy_out` · `copy_in` | sending a copy · taking one |
//! | `full` | disks with only their reserve left |
//! | `read` | strong reads |
//! | `overlay` | entries not yet in the tables |
//! | `message` · `command` | what goes between replicas · to and from the surroundings |

mod command;
mod copy_in;
mod copy_out;
mod follow;
mod full;
mod head;
mod link;
mod message;
mod overlay;
mod plan;
mod read;
mod replica;

pub use command::{
    Answer, Command, Environment, Failure, Holdings, Neighbour, Progress, RequestId, Tables, TablesFailed,
};
pub use head::{NODE_UNDER_WAY_BYTES_MAX, UNDER_WAY_BYTES_MAX, WAITING_MAX, WAITING_MIN, WAITING_TIME_MAX};
pub use message::{Body, CopyId, Message, Step};
pub use plan::{Grain, Want};
pub use read::ReadPlan;
pub use replica::Replica;
