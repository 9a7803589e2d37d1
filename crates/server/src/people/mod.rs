//! People: their accounts, one's own (`atoll account`, `atoll passwd`) and, for administrators, others'
//! (`atoll user`) and how mail is sent (`atoll mail`); their access keys for S3 (`atoll key`); and the drives that they share (`atoll drive`).
//!
//! **Invariant**: passwords and codes come from standard input, a variable or a prompt, never from the command line.

pub mod drives;
pub mod keys;
pub mod mail;
pub mod own;
mod print;
mod secrets;
pub mod users;

pub use secrets::{code, new_password, password, relay_password};
