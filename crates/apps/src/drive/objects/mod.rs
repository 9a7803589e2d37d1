//! A drive as a bucket of objects, as S3 has them: any text up to 1 KiB is a key, and keys know no folders.
//!
//! A key whose parts between slashes can all be names stands in the tree, so that people see it among their files. Folders
//! that it needs are made in the same transaction and marked as *implied*: they go with the last key in them. A folder that
//! somebody made, or that was put as the key `a/`, is the key `a/` itself; and so is an implied one that people emptied.
//! Every folder thus has a key in it or is one. Keys that cannot be in the tree (`a//b`, `../x`, another Unicode form,
//! beyond the bounds of names, or in the way of a file or folder of that name) stand in a *flat* list of the drive, ordered
//! by their bytes.
//!
//! **Invariants.** (1) What is put here finds neither home of its key taken otherwise: one transaction tests both.
//! (2) An implied folder is taken away by the transaction that takes the last key out of it. (3) A listing is in the
//! order of the keys' bytes, a folder sorting as its name with a slash, and reads what it shows, not what it skips.
//! (4) What is said of an object ([`About`]) stands in a row of its content's version: it comes with the entry and goes
//! with the content. (5) What an object lock keeps is taken away by nobody ([`lock`]). **Proved by**
//! `tests/apps/objects.rs` and those beside it.

mod about;
mod close;
mod copy;
mod delete;
pub(super) mod expiry;
mod find;
mod flat;
mod history;
mod key;
pub(super) mod lifecycle;
mod list;
pub(super) mod lock;
mod put;
pub(super) mod uploads;
mod versions;
mod walk;

pub(in crate::drive) use about::about_in;
pub use about::{About, Checksum, Pair, PartAbout};
pub use copy::ObjectSource;
pub use delete::Deleted;
pub use find::{Object, OpenObject};
pub use history::{Found, VersionName};
pub use key::{KEY_BYTES_MAX, ObjectKey};
pub use lifecycle::{FilterForm, Lifecycle, LifecycleFilter, LifecycleRule, RULES_MAX};
pub use list::{Listing, Objects};
pub use lock::{BucketLock, DefaultLock, LOCK_DAYS_MAX, Lock, LockMode};
pub use put::{NewObject, ObjectCondition};
pub(in crate::drive) use uploads::Ending;
pub use uploads::{NewUpload, PARTS_MAX, Part, Upload};
pub use versions::{ListedVersion, VersionListing, Versions};
