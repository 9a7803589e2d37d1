//! Where somebody's stars and what they did last may lead: their own drive, and the shared ones that they are members of.

use super::WebState;
use super::place::base;
use super::text::words;
use apps::{AccountError, DriveId, User};

/// The drives that somebody may look into, with their names and what goes before addresses within them.
pub(super) struct Reach(Vec<(DriveId, String, String)>);

impl Reach {
    /// At this moment, their own first.
    pub async fn of(state: &WebState, user: &User) -> Result<Reach, AccountError> {
        let own = (user.drive, words().drive_root.to_string(), String::new());
        let shared = state.inner.accounts.drives_of(user).await?;
        let shared = shared.into_iter().map(|it| (it.id, it.name, base(it.id)));
        Ok(Reach(std::iter::once(own).chain(shared).collect()))
    }

    pub fn drives(&self) -> Vec<DriveId> {
        self.0.iter().map(|(drive, ..)| *drive).collect()
    }

    /// A drive's name, and what goes before the addresses within it.
    pub fn told(&self, drive: DriveId) -> (&str, &str) {
        let found = self.0.iter().find(|(it, ..)| *it == drive);
        found.map_or(("", ""), |(_, name, base)| (name, base))
    }
}
