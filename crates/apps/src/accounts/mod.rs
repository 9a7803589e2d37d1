//! Accounts: who people are, and sessions.

mod error;
mod user;

pub use error::AccountError;
pub use user::{Device, NewUser, Role, Session, Token, User};

use crate::Page;
use crate::store::Store;
use client::ClientError;
use std::sync::Arc;

/// What accounts can be told.
#[derive(Clone, Debug, Default)]
pub struct Settings {}

/// All accounts of a cluster: cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    #[allow(dead_code)]
    store: Arc<dyn Store>,
}

fn soon<T>() -> Result<T, AccountError> {
    Err(ClientError::NotOffered("this call".into()).into())
}

#[allow(clippy::unused_async, unused_variables, missing_docs)]
impl Accounts {
    pub async fn open_store(store: Arc<dyn Store>, settings: Settings) -> Result<Accounts, ClientError> {
        Ok(Accounts { store })
    }
    pub async fn sign_in(&self, name: &str, password: &str, device: Device) -> Result<Session, AccountError> {
        soon()
    }
    pub async fn authenticate(&self, token: &str) -> Result<User, AccountError> {
        soon()
    }
    pub async fn sign_out(&self, token: &str) -> Result<(), AccountError> {
        soon()
    }
    pub async fn change_password(
        &self,
        user: &User,
        old: &str,
        new: &str,
        device: Device,
    ) -> Result<Session, AccountError> {
        soon()
    }
    pub async fn setup_pending(&self) -> Result<bool, AccountError> {
        soon()
    }
    pub async fn make_setup_secret(&self) -> Result<String, AccountError> {
        soon()
    }
    pub async fn complete_setup(
        &self,
        secret: &str,
        name: &str,
        password: &str,
        device: Device,
    ) -> Result<Session, AccountError> {
        soon()
    }
    pub async fn create_user(&self, by: &User, new: NewUser) -> Result<User, AccountError> {
        soon()
    }
    pub async fn set_password(&self, by: &User, name: &str, new: &str) -> Result<(), AccountError> {
        soon()
    }
    pub async fn set_disabled(&self, by: &User, name: &str, disabled: bool) -> Result<User, AccountError> {
        soon()
    }
    pub async fn disable(&self, by: &User, name: &str) -> Result<User, AccountError> {
        self.set_disabled(by, name, true).await
    }
    pub async fn list(&self, by: &User, cursor: Option<&str>, limit: u32) -> Result<Page<User>, AccountError> {
        soon()
    }
    pub async fn find(&self, name: &str) -> Result<User, AccountError> {
        soon()
    }
}
