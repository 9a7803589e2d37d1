//! What the routes of accounts take and give. Times are milliseconds since the Unix epoch.

use crate::web::WebState;
use crate::web::problem;
use apps::accounts::{self, LinkPurpose};
use apps::{Session, User};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request's JSON.
pub(super) struct Body<T>(pub T);

impl<T> FromRequest<WebState> for Body<T>
where
    Json<T>: FromRequest<WebState, Rejection = JsonRejection>,
{
    type Rejection = problem::Problem;

    async fn from_request(request: Request, state: &WebState) -> Result<Body<T>, problem::Problem> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Body(body))
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    /// Never changes.
    pub id: String,
    pub name: String,
    pub display: String,
    /// `user` or `administrator`.
    pub role: String,
    pub disabled: bool,
    pub created: u64,
    /// Bytes; null: as for everybody.
    pub quota: Option<u64>,
    /// Bytes that they keep: where an administrator looks at people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

impl Person {
    /// With the bytes that they keep.
    pub fn with_used(user: &User, used: u64) -> Person {
        Person { used: Some(used), ..user.into() }
    }
}

impl From<&User> for Person {
    fn from(user: &User) -> Person {
        Person {
            id: user.id.to_string(),
            name: user.name.clone(),
            display: user.display.clone(),
            role: user.role.as_str().to_string(),
            disabled: user.disabled,
            created: user.created.0,
            quota: user.quota,
            used: None,
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    pub name: String,
    pub password: String,
    /// For programs: the token in the answer rather than in a cookie.
    #[serde(default)]
    pub bearer: bool,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct SignInWithCode {
    pub challenge: String,
    /// Of the authenticator program, or a recovery code.
    pub code: String,
    #[serde(default)]
    pub bearer: bool,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    pub name: String,
    #[serde(default)]
    pub display: String,
    pub password: String,
    /// An invitation's secret.
    pub invitation: Option<String>,
    #[serde(default)]
    pub bearer: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    pub user: Person,
    pub expires: u64,
    /// Where it was asked for. A secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl SignedIn {
    pub(super) fn of(session: &Session, bearer: bool) -> SignedIn {
        let token = bearer.then(|| session.token.as_str().to_string());
        SignedIn { user: (&session.user).into(), expires: session.expires.0, token }
    }
}

/// The password was right; a code is still to come.
#[derive(Serialize, ToSchema)]
pub(super) struct CodeNeeded {
    /// For `POST /session/code`, within five minutes. A secret.
    pub challenge: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Whoami {
    pub user: Person,
}

/// What strangers may know.
#[derive(Serialize, ToSchema)]
pub(super) struct PublicPolicy {
    /// `off`, `invitation` or `open`.
    pub sign_up: String,
    /// Nobody has been set up yet.
    pub setup_pending: bool,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct LinkSecret {
    pub secret: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LinkFound {
    /// `invitation`, `reset` or `address`.
    purpose: &'static str,
    /// Whose password it sets, or address it confirms.
    name: Option<String>,
    /// That address.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

impl From<LinkPurpose> for LinkFound {
    fn from(purpose: LinkPurpose) -> LinkFound {
        match purpose {
            LinkPurpose::Invitation => LinkFound { purpose: "invitation", name: None, address: None },
            LinkPurpose::Reset { name } => LinkFound { purpose: "reset", name: Some(name), address: None },
            LinkPurpose::Address { name, address } => {
                LinkFound { purpose: "address", name: Some(name), address: Some(address) }
            }
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ResetPassword {
    /// The link's.
    pub secret: String,
    pub password: String,
}

/// Who forgot a password: a name to sign in with, or a confirmed address.
#[derive(Deserialize, ToSchema)]
pub(super) struct Forgotten {
    pub who: String,
}

/// The address that a link for a new password goes to.
#[derive(Serialize, ToSchema)]
pub(super) struct Recovery {
    /// Null: there is none.
    pub address: Option<String>,
    /// Since when it is confirmed.
    pub since: Option<u64>,
    /// One that waits to be confirmed, by the link that is mailed to it.
    pub pending: Option<String>,
}

impl From<accounts::RecoveryState> for Recovery {
    fn from(state: accounts::RecoveryState) -> Recovery {
        let (address, since) = state.address.map(|(address, since)| (address, since.0)).unzip();
        Recovery { address, since, pending: state.pending }
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ChangeRecovery {
    /// Null: none any more.
    pub address: Option<String>,
    pub password: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    pub user: Person,
    pub second_factor: SecondFactor,
    pub recovery: Recovery,
    /// Bytes that one may keep, as it stands; null: no bound.
    pub quota: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SecondFactor {
    pub on: bool,
    pub since: Option<u64>,
    /// How many are left.
    pub recovery_codes: usize,
}

impl From<accounts::FactorState> for SecondFactor {
    fn from(state: accounts::FactorState) -> SecondFactor {
        let since = state.since.map(|since| since.0);
        SecondFactor { on: since.is_some(), since, recovery_codes: state.recovery_codes }
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ChangeMe {
    pub display: String,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct ChangePassword {
    pub old: String,
    pub new: String,
    #[serde(default)]
    pub bearer: bool,
}

/// That it is really this person who asks.
#[derive(Deserialize, ToSchema)]
pub(super) struct Proof {
    pub password: String,
    /// Where there is a second factor: a code, or a recovery code.
    #[serde(default)]
    pub code: String,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct Code {
    pub code: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct NewFactor {
    /// To be typed into the authenticator program. A secret.
    pub secret: String,
    /// `otpauth://…`, for its camera. A secret.
    pub address: String,
}

/// Shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SessionEntry {
    pub id: String,
    pub device: String,
    pub address: String,
    pub created: u64,
    /// To some five minutes.
    pub used: u64,
    pub expires: u64,
    /// It is the one that asks.
    pub current: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    /// The one last used first.
    pub sessions: Vec<SessionEntry>,
}

impl From<Vec<accounts::SessionInfo>> for Sessions {
    fn from(found: Vec<accounts::SessionInfo>) -> Sessions {
        let session = |session: accounts::SessionInfo| SessionEntry {
            id: session.id,
            device: session.device,
            address: session.address,
            created: session.created.0,
            used: session.used.0,
            expires: session.expires.0,
            current: session.current,
        };
        Sessions { sessions: found.into_iter().map(session).collect() }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Ended {
    pub ended: usize,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct NewAppPassword {
    /// Such as the device's name.
    pub label: String,
    /// `webdav`, `s3`, `imap`, `smtp`, `grpc`.
    pub protocols: Vec<String>,
    /// Changing things, beside reading them.
    #[serde(default)]
    pub write: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AppPassword {
    pub id: String,
    pub label: String,
    pub protocols: Vec<String>,
    pub write: bool,
    pub created: u64,
    /// To some five minutes; null: never.
    pub used: Option<u64>,
    pub used_from: String,
}

impl From<accounts::AppPassword> for AppPassword {
    fn from(app: accounts::AppPassword) -> AppPassword {
        AppPassword {
            id: app.id,
            label: app.label,
            protocols: app.scope.protocols.iter().map(ToString::to_string).collect(),
            write: app.scope.write,
            created: app.created.0,
            used: app.used.map(|used| used.0),
            used_from: app.used_from,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct AppPasswords {
    /// The newest first.
    pub app_passwords: Vec<AppPassword>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MadeAppPassword {
    pub app_password: AppPassword,
    /// Shown this once.
    pub secret: String,
}

/// What would go with an account.
#[derive(Serialize, ToSchema)]
pub(super) struct Leaving {
    pub sessions: usize,
    pub app_passwords: usize,
    /// In words.
    pub estates: Vec<String>,
}

impl From<accounts::Leaving> for Leaving {
    fn from(leaving: accounts::Leaving) -> Leaving {
        let accounts::Leaving { sessions, app_passwords, estates } = leaving;
        Leaving { sessions, app_passwords, estates: estates.iter().map(crate::web::text::kept).collect() }
    }
}
