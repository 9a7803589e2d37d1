//! What the receiver of an error may do about it. Each crate has one error
//! enum; every variant maps to one of these.

use serde::{Deserialize, Serialize};

/// The five things that can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Surely not applied, and likely to pass: send the same again.
    Retry,
    /// Surely not applied; the sender's map is old: fetch the layout, send again.
    RefreshLayout,
    /// Surely not applied, and sending it again will not help.
    Rejected,
    /// May have been applied: ask `verify`, or send the same operation id again.
    Unknown,
    /// This node stops taking writes.
    Fatal,
}

/// An error that says what can be done about it.
pub trait Classify {
    /// The one thing to do.
    fn action(&self) -> Action;
}
