//! People: their accounts, one's own (`atoll account`, `atoll passwd`) and, for administrators, others' (`atoll user`).
//!
//! **Invariant**: passwords and codes come from standard input, a variable or a prompt, never from the command line.

pub mod own;
mod print;
mod secrets;
pub mod users;

pub use secrets::{code, new_password, password};
