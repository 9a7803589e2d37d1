//! In which drive a page is, for its template.

use crate::web::place::InDrive;
use crate::web::text::words;
use apps::DriveRole;
use apps::drive::DrivePath;

/// Where something is, for people: in which drive, and where in it.
pub(super) fn location(drive: &str, path: &DrivePath) -> String {
    if path.is_root() { drive.to_string() } else { format!("{drive}{path}") }
}

/// In which drive a page is, and what may be done there.
pub(super) struct Spot {
    /// What goes before the addresses within the drive; nothing for one's own.
    pub base: String,
    /// What the drive is called.
    pub name: String,
    /// It is a shared one.
    pub shared: bool,
    /// What is in it may be changed.
    pub edits: bool,
}

impl Spot {
    pub fn of(at: &InDrive) -> Spot {
        let role = at.shared.as_ref().and_then(|shared| shared.role);
        Spot {
            base: at.base(),
            name: at.shared.as_ref().map_or(words().drive_root, |shared| &shared.name).to_string(),
            shared: at.shared.is_some(),
            edits: at.shared.is_none() || role >= Some(DriveRole::Edit),
        }
    }

    /// Of pages that are in no drive.
    pub fn nowhere() -> Spot {
        Spot { base: String::new(), name: words().drive_root.to_string(), shared: false, edits: true }
    }
}
