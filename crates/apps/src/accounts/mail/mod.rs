//! Mail that accounts send: a link for a new password to who forgot theirs, and what confirms the address it goes to.
//!
//! What is to be mailed is first an *order*, a row under the key of all users; any node takes it up, and it goes with what
//! the mail was sent for, or with the note of why it was not. An order holds no secret: the link is made, and put under its
//! hash, in the transaction that takes the order up. A mail may come twice, after a crash between the relay's answer and its
//! note; each of its links is good, until one is used.
//!
//! **Invariants.** (1) Who asks for a link for somebody's password learns nothing: every name and address is written down as an
//! order by the same steps, and looked up afterwards, by the postman. (2) A link goes to an address that its owner has
//! confirmed, and to no other. (3) Nobody's inbox gets more than [`RESETS_MAX`] links for an account in an hour, and who asks
//! for them changes nothing of the account. (4) The relay's password is kept sealed by a key that is in no table.

mod address;
mod deliver;
mod orders;
mod recovery;
mod relay;
mod rows;

pub(super) use address::valid_address;
pub use deliver::{Letter, Mailer, Message, Undelivered};
pub use recovery::{ADDRESSES_SHARED_MAX, RecoveryState};
pub use relay::{NewRelay, Relay, RelayStatus, RelayTls};

use std::time::Duration;

/// How long a mailed link for a password can be used.
pub const MAILED_RESET_LIFETIME: Duration = Duration::from_secs(3600);
/// How long an address can be confirmed.
pub const CONFIRM_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Links for one account's password that are mailed within [`HOUR`].
pub const RESETS_MAX: usize = 3;
/// What these are counted in.
pub const HOUR: Duration = Duration::from_secs(3600);
