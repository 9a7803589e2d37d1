//! Pages beside the drive: one's settings, and people. Plain forms; each answers with its page again.

use super::Frame;
use super::settings::guides::Guide;
use crate::web::problem::Problem;
use crate::web::text::{fill, words};
use apps::User;
use serde::Deserialize;

/// What an address may say was done.
#[derive(Deserialize)]
pub(in crate::web) struct Told {
    #[serde(default)]
    pub done: String,
}

/// Where somebody is, and what was just done.
pub(super) struct Place {
    pub user: User,
    at: Section,
    pub done: String,
    pub error: String,
}

/// A page of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Profile,
    Security,
    Devices,
    Activity,
    People,
    Invitations,
    Rules,
    Mail,
    Log,
}

/// A line of the list of pages.
pub(super) struct Line {
    pub url: &'static str,
    pub name: &'static str,
    pub here: bool,
}

impl Section {
    pub const OWN: [Section; 4] = [Section::Profile, Section::Security, Section::Devices, Section::Activity];
    pub const ADMINISTRATORS: [Section; 5] =
        [Section::People, Section::Invitations, Section::Rules, Section::Mail, Section::Log];

    pub fn url(self) -> &'static str {
        match self {
            Section::Profile => "/settings",
            Section::Security => "/settings/security",
            Section::Devices => "/settings/devices",
            Section::Activity => "/settings/activity",
            Section::People => "/people",
            Section::Invitations => "/people/invitations",
            Section::Rules => "/people/rules",
            Section::Mail => "/people/mail",
            Section::Log => "/people/log",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Section::Profile => words().settings_profile,
            Section::Security => words().settings_security,
            Section::Devices => words().settings_devices,
            Section::Activity => words().settings_activity,
            Section::People => words().people,
            Section::Invitations => words().invitations,
            Section::Rules => words().rules,
            Section::Mail => words().mail,
            Section::Log => words().log,
        }
    }
}

/// Is it the address of one of these pages?
pub(in crate::web) fn is_inner(path: &str) -> bool {
    Section::OWN.into_iter().chain(Section::ADMINISTRATORS).any(|section| section.url() == path)
}

impl Place {
    pub fn at(user: &User, at: Section) -> Place {
        Place { user: user.clone(), at, done: String::new(), error: String::new() }
    }

    /// After a form was done: what the address tells, if it is known.
    pub fn told(self, told: &str) -> Place {
        let done = match told {
            "saved" => words().done_saved,
            "password" => words().done_password,
            "factor-off" => words().done_factor_off,
            "signed-out" => words().done_signed_out,
            "removed" => words().done_removed,
            "mailed" => words().recovery_asked,
            "tested" => words().mail_test_done,
            _ => "",
        };
        Place { done: done.to_string(), ..self }
    }

    pub fn failed(self, problem: &Problem) -> Place {
        let Problem { message, action, .. } = problem;
        Place { error: format!("{message} {action}").trim().to_string(), ..self }
    }

    pub fn signed_in_as(&self) -> String {
        fill(words().signed_in_as, &[("name", &self.user.display)])
    }

    /// One's own pages, and for administrators those about people.
    pub fn sections(&self) -> Vec<Vec<Line>> {
        let groups = if self.user.is_administrator() { 2 } else { 1 };
        let line = |section: Section| Line { url: section.url(), name: section.name(), here: section == self.at };
        let all = [&Section::OWN[..], &Section::ADMINISTRATORS];
        all.into_iter().take(groups).map(|group| group.iter().copied().map(line).collect()).collect()
    }
}

/// A secret that is shown this once.
#[derive(askama::Template)]
#[template(path = "shown_once.html")]
pub(super) struct ShownOnce<'a> {
    pub frame: Frame,
    pub place: Place,
    pub title: &'a str,
    pub lead: String,
    /// One, or one a line.
    pub secrets: Vec<String>,
    /// What belongs to it: settings of a device, one a line.
    pub details: Vec<(&'static str, String)>,
    /// How programs are told.
    pub guides: Vec<Guide>,
    pub back: &'static str,
}
