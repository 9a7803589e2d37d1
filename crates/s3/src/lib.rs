//! The S3 gateway: drives as buckets, for aws, boto3, rclone, restic, s3cmd and the like.
//!
//! **Owns** what S3's protocol says: signatures, headers, checksums, XML and error codes, on the s3s library.
//! **Invariants.** (1) Each request is judged by the access key that signed it, as it is then, and by its owner's role in
//! that drive, as it is then. (2) What is checked (a length, an MD5, a checksum) is checked before anything gets a name.
//! (3) What is not offered is refused by S3's own code for that. (4) Bodies stream; whatever else a stranger may send is
//! bounded. **Leaves to others**: objects, buckets and keys (`apps`).
//! **Proved by** the tests beside the code and, with real clients, `processes/s3.rs`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod about;
mod absent;
mod access;
mod acl;
mod auth;
mod buckets;
mod checksum;
mod chunks;
mod conditions;
mod copy;
mod cors;
mod delete;
mod errors;
mod form;
mod front;
mod gateway;
mod lifecycle;
mod list;
mod listen;
mod lock;
mod parts;
mod policy;
mod post_policy;
mod put;
mod query;
mod read;
mod rules;
mod text;
mod versions;

pub use gateway::{Gateway, Settings};
pub use listen::{Door, serve};
