//! What the routes for administrators, and those of the log, take and give.

use super::types::{Leaving, Person, SecondFactor};
use apps::accounts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// `next` of the page before.
    pub cursor: Option<String>,
    #[serde(default)]
    pub limit: u32,
    /// Of the log: what concerns this name.
    pub about: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Persons {
    /// In the order of names.
    pub users: Vec<Person>,
    /// Null at the end.
    pub next: Option<String>,
    /// Bytes that each may keep who has no quota of their own; null: no bound.
    pub usual_quota: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PersonDetails {
    pub user: Person,
    pub second_factor: SecondFactor,
    /// A link for a new password can be mailed to them: they have confirmed an address.
    pub recovery: bool,
    /// What would go with the account.
    pub leaving: Leaving,
    /// Bytes that they may keep, as it stands; null: no bound.
    pub quota: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct NewPerson {
    pub name: String,
    #[serde(default)]
    pub display: String,
    /// None: a link that sets one is given.
    pub password: Option<String>,
    pub role: Option<String>,
    pub quota: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadePerson {
    pub user: Person,
    pub link: Option<Link>,
}

/// A link that is good once. A secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Link {
    pub secret: String,
    /// Where it leads on this site.
    pub path: String,
}

impl Link {
    pub(super) fn of(purpose: &str, secret: &apps::Token) -> Link {
        Link { secret: secret.as_str().to_string(), path: format!("/{purpose}/{}", secret.as_str()) }
    }
}

/// What is left out stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChangePerson {
    pub display: Option<String>,
    pub role: Option<String>,
    pub disabled: Option<bool>,
    /// Bytes; null: as for everybody.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>)]
    pub quota: Option<Option<u64>>,
}

/// Tells null from left out.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Deserialize, ToSchema)]
pub(super) struct NewInvitation {
    pub role: Option<String>,
    pub quota: Option<u64>,
    /// A week, unless said otherwise.
    pub valid_seconds: Option<u64>,
    /// For whom it is.
    #[serde(default)]
    pub note: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    pub id: String,
    pub role: String,
    pub note: String,
    /// Who made it.
    pub by: String,
    pub created: u64,
    pub expires: u64,
}

impl From<accounts::Invitation> for Invitation {
    fn from(made: accounts::Invitation) -> Invitation {
        Invitation {
            id: made.id,
            role: made.role.as_str().to_string(),
            note: made.note,
            by: made.by,
            created: made.created.0,
            expires: made.expires.0,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Invitations {
    pub invitations: Vec<Invitation>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadeInvitation {
    pub invitation: Invitation,
    pub link: Link,
}

/// What an administrator decides for all accounts.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Policy {
    /// `off`, `invitation` or `open`.
    pub sign_up: String,
    /// Bytes for those without a quota of their own; null: no bound.
    pub quota: Option<u64>,
    pub audit_days: u32,
    pub users_max: u64,
    /// Bytes for shared drives without a quota of their own; null: no bound.
    pub drive_quota: Option<u64>,
    /// Shared drives that one may manage and still make another; 0: administrators alone make them. Absent in a change:
    /// this and `drive_quota` stay.
    pub drives_max: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AuditLine {
    pub at: u64,
    pub action: String,
    /// Name of who did it; empty: nobody signed in.
    pub actor: String,
    pub subject: String,
    pub address: String,
    pub device: String,
    pub detail: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Audit {
    /// The latest first.
    pub lines: Vec<AuditLine>,
    /// Null at the end.
    pub next: Option<String>,
}

impl From<apps::Page<accounts::AuditLine>> for Audit {
    fn from(page: apps::Page<accounts::AuditLine>) -> Audit {
        let line = |line: accounts::AuditLine| AuditLine {
            at: line.at.0,
            action: line.action,
            actor: line.actor_name,
            subject: line.subject_name,
            address: line.address,
            device: line.device,
            detail: line.detail,
        };
        Audit { lines: page.items.into_iter().map(line).collect(), next: page.next }
    }
}
