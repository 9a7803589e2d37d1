//! The controller: on whichever node leads the metadata store, it turns membership into leases,
//! chain epochs and layouts.
//!
//! **Owns** every key of the metadata ([`keys`]). **Invariants**: what it decides is a pure
//! function ([`plan`]) of the map and of what it knows; it writes only what it compared, fenced
//! by its leadership; a life's end is written only after its lease surely ran out ([`leases`], [`lives`]).
//! **Leaves to others**: the data path, which goes on without it for as long as leases last.
//! **Proved by** the simulator, which drives [`leading`], [`plan`], [`leases`], [`change`] and [`lost`] as the service does,
//! and by tests here.

mod admission;
pub mod change;
mod dates;
pub mod deaths;
pub mod keys;
pub mod leading;
pub mod leases;
pub mod lives;
pub mod lost;
pub mod plan;
mod release;
mod service;

pub use deaths::Deaths;
pub use leading::{Known, Leading};
pub use leases::{LeaseBook, Liveness};
pub use plan::{HoldingsByNode, Knowledge, Plan, Reports};
pub use service::{ClusterSettings, Controller, ControllerError};
