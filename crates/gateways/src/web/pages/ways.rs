//! The places that the switcher offers before anything is typed.

use super::Frame;
use super::inner::Section;
use apps::User;

/// A way to a place.
pub(super) struct Way {
    pub url: &'static str,
    pub name: &'static str,
    /// What it belongs to.
    pub within: &'static str,
    pub icon: &'static str,
    /// A shared drive has one of its own.
    pub of_drive: bool,
}

impl Frame {
    /// Where this person may go.
    pub(super) fn ways(&self, user: &User) -> Vec<Way> {
        let text = self.text;
        let way = |url, name, within, icon| Way { url, name, within, icon, of_drive: false };
        let of_drive = |url, name, icon| Way { url, name, within: "", icon, of_drive: true };
        let mut ways = vec![
            way("/", text.drive_root, "", "i-folder"),
            way("/drives", text.shared_drives, "", "i-people"),
            way("/starred", text.starred, "", "i-star"),
            way("/recent", text.recent, "", "i-clock"),
            of_drive("/trash", text.trash, "i-delete"),
            of_drive("/search", text.search, "i-search"),
        ];
        ways.extend(Section::OWN.map(|one| way(one.url(), one.name(), text.settings, "i-settings")));
        if user.is_administrator() {
            ways.extend(Section::ADMINISTRATORS.map(|one| {
                let within = if one == Section::People { "" } else { text.people };
                way(one.url(), one.name(), within, "i-people")
            }));
        }
        ways.push(way("/api/docs", text.api_title, "", "i-file"));
        ways
    }
}
