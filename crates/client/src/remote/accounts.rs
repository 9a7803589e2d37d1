//! Signing in and out.

use super::{Remote, RemoteError};
use rpc::grpc::limits::SMALL_MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, accounts_client::AccountsClient};
use std::time::Instant;
use tonic::transport::Channel;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Never changes.
    pub id: String,
    /// The name to sign in with.
    pub name: String,
    /// The name to show.
    pub display_name: String,
    /// May manage people and the cluster.
    pub administrator: bool,
}

/// A session has begun.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// For [`Remote::connect`]. A secret.
    pub token: String,
    /// Who signed in.
    pub account: Account,
}

impl std::fmt::Debug for SignedIn {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("account", &self.account).finish_non_exhaustive()
    }
}

fn service(channel: Channel) -> AccountsClient<Channel> {
    AccountsClient::new(channel).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX)
}

fn account(account: Option<v1::Account>) -> Result<Account, RemoteError> {
    let account = account.ok_or_else(|| RemoteError::Protocol("nobody's account".into()))?;
    Ok(Account {
        id: account.id,
        name: account.name,
        display_name: account.display_name,
        administrator: account.administrator,
    })
}

impl Remote {
    /// Begins a session. This handle and its clones use it from then on.
    pub async fn sign_in(&self, name: &str, password: &str, device: &str) -> Result<SignedIn, RemoteError> {
        let message =
            v1::SignInRequest { name: name.to_string(), password: password.to_string(), device: device.to_string() };
        let began = Instant::now();
        // Sent again it may begin a second session, which harms nobody and runs out.
        let reply =
            self.read(message, |channel, request| async move { service(channel).sign_in(request).await }).await?;
        self.heard_the_time(reply.now_ms, began.elapsed());
        self.shared.gateways.heard_of(reply.gateways);
        let account = account(reply.account)?;
        self.set_token(Some(reply.token.clone()));
        Ok(SignedIn { token: reply.token, account })
    }

    /// Ends the session.
    pub async fn sign_out(&self) -> Result<(), RemoteError> {
        let message = v1::SignOutRequest {};
        self.read(message, |channel, request| async move { service(channel).sign_out(request).await }).await?;
        self.set_token(None);
        Ok(())
    }

    /// Says whose session this is.
    pub async fn who_am_i(&self) -> Result<Account, RemoteError> {
        let began = Instant::now();
        let message = v1::WhoAmIRequest {};
        let reply = self.look(message, |channel, request| async move { service(channel).who_am_i(request).await });
        let reply = reply.await?;
        self.heard_the_time(reply.now_ms, began.elapsed());
        self.shared.gateways.heard_of(reply.gateways);
        account(reply.account)
    }
}
