//! In which drive a request is: the caller's own, or the shared one that its address names, and what they may do there.
//!
//! Handlers learn of a drive from here alone, and each says by the extractor that it takes what it needs. Who is in a shared
//! drive is asked of the store for each request: whoever was taken out of it is refused from then on.

use super::problem::Problem;
use super::session::{Caller, Visitor};
use super::{WebState, pages};
use crate::turns::Who;
use apps::{AccountError, DriveId, DriveRole, Drives, SharedDrive};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::response::Response;

/// Part of the addresses that are within a shared drive.
pub(super) const PARAMETER: &str = "drive";

/// Somebody, in a drive where they may do what was asked for.
#[derive(Clone)]
pub(super) struct InDrive {
    pub caller: Caller,
    pub drive: DriveId,
    /// None: their own.
    pub shared: Option<SharedDrive>,
}

/// Somebody who may look at the drive.
pub(super) struct Viewer(pub InDrive);
/// Somebody who may change what is in the drive.
pub(super) struct Editor(pub InDrive);
/// The same, on a page.
pub(super) struct ViewerOfPage(pub InDrive);
/// The same, on a page.
pub(super) struct EditorOfPage(pub InDrive);

impl InDrive {
    pub async fn of(parts: &mut Parts, state: &WebState, caller: Caller, needs: DriveRole) -> Result<InDrive, Problem> {
        // What is no id is the id of no drive.
        let none = || Problem::from(AccountError::NotFound { what: "drive" });
        let named = match RawPathParams::from_request_parts(parts, state).await {
            Ok(found) => found.iter().find(|(name, _)| *name == PARAMETER).map(|(_, id)| id.parse()).transpose(),
            Err(RawPathParamsRejection::MissingPathParams(_)) => Ok(None),
            Err(_) => return Err(none()),
        };
        let Some(drive) = named.map_err(|_: &str| none())? else {
            return Ok(InDrive { drive: caller.user.drive, caller, shared: None });
        };
        let shared = state.inner.accounts.drive_for(&caller.user, drive, needs).await?;
        Ok(InDrive { caller, drive, shared: Some(shared) })
    }

    /// Whose share of the gateway's places it has.
    pub fn who(&self) -> Who {
        Who::Person(self.caller.user.id)
    }

    /// What goes before the addresses of pages within it.
    pub fn base(&self) -> String {
        self.shared.as_ref().map(|_| base(self.drive)).unwrap_or_default()
    }

    /// Is their role as it was, or more than needed? Bytes may take hours to come.
    pub async fn still(&self, state: &WebState, needs: DriveRole) -> Result<(), AccountError> {
        match self.shared {
            None => Ok(()),
            Some(_) => state.inner.accounts.drive_for(&self.caller.user, self.drive, needs).await.map(drop),
        }
    }
}

/// What goes before the addresses of pages within a shared drive.
pub(super) fn base(drive: DriveId) -> String {
    format!("/drives/{drive}")
}

impl WebState {
    /// Bytes that may be kept there.
    pub(super) async fn quota_in(&self, at: &InDrive) -> Result<Option<u64>, AccountError> {
        match &at.shared {
            None => self.quota(&at.caller.user).await,
            Some(shared) => self.inner.quotas.of_drive(&self.inner.accounts, shared).await,
        }
    }

    /// The drives, held to what may be kept there: for what may make one larger.
    pub(super) async fn drives_in(&self, at: &InDrive) -> Result<Drives, AccountError> {
        Ok(self.inner.drives.within(self.quota_in(at).await?))
    }
}

impl FromRequestParts<WebState> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Viewer, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        InDrive::of(parts, state, caller, DriveRole::View).await.map(Viewer)
    }
}

impl FromRequestParts<WebState> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Editor, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        InDrive::of(parts, state, caller, DriveRole::Edit).await.map(Editor)
    }
}

async fn on_page(parts: &mut Parts, state: &WebState, needs: DriveRole) -> Result<InDrive, Response> {
    let Visitor(caller) = Visitor::from_request_parts(parts, state).await?;
    InDrive::of(parts, state, caller, needs).await.map_err(pages::failed)
}

impl FromRequestParts<WebState> for ViewerOfPage {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<ViewerOfPage, Response> {
        on_page(parts, state, DriveRole::View).await.map(ViewerOfPage)
    }
}

impl FromRequestParts<WebState> for EditorOfPage {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<EditorOfPage, Response> {
        on_page(parts, state, DriveRole::Edit).await.map(EditorOfPage)
    }
}
