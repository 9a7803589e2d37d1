//! Coming in, and what one may change of one's own account.

use super::call::Safety;
use super::{Challenge, Remote, RemoteError};
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
    /// To be shown at the next sign-in from here, if it is new. A secret.
    pub device_token: Option<String>,
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
    /// Begins a session. This handle and its clones use it from then on. Where there is a second factor:
    /// [`RemoteError::CodeNeeded`], and on with [`Self::sign_in_with_code`].
    pub async fn sign_in(&self, name: &str, password: &str, device: &str) -> Result<SignedIn, RemoteError> {
        self.sign_in_known(name, password, device, None).await
    }

    /// The same from a device that has signed in before: what others try does not lock it out.
    pub async fn sign_in_known(
        &self,
        name: &str,
        password: &str,
        device: &str,
        device_token: Option<&str>,
    ) -> Result<SignedIn, RemoteError> {
        let message = v1::SignInRequest {
            name: name.to_string(),
            password: password.to_string(),
            device: device.to_string(),
            device_token: device_token.unwrap_or_default().to_string(),
        };
        let began = Instant::now();
        // Sent again it may begin a second session, which harms nobody and runs out.
        let reply = self.read(message, |channel, request| async move { service(channel).sign_in(request).await });
        self.signed_in(reply.await?, began)
    }

    /// The second step of signing in.
    pub async fn sign_in_with_code(
        &self,
        challenge: &str,
        code: &str,
        device: &str,
        device_token: Option<&str>,
    ) -> Result<SignedIn, RemoteError> {
        let message = v1::SignInWithCodeRequest {
            challenge: challenge.to_string(),
            code: code.to_string(),
            device: device.to_string(),
            device_token: device_token.unwrap_or_default().to_string(),
        };
        let began = Instant::now();
        // A code is good once: sent again it would be refused, though the first may have arrived.
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).sign_in_with_code(request).await
        });
        self.signed_in(reply.await?, began)
    }

    /// Changes the password. All sessions end; this handle goes on with a new one.
    pub async fn change_password(&self, old: &str, new: &str, device: &str) -> Result<SignedIn, RemoteError> {
        let message = v1::ChangePasswordRequest {
            old_password: old.to_string(),
            new_password: new.to_string(),
            device: device.to_string(),
        };
        let began = Instant::now();
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).change_password(request).await
        });
        self.signed_in(reply.await?, began)
    }

    fn signed_in(&self, reply: v1::SignInReply, began: Instant) -> Result<SignedIn, RemoteError> {
        self.heard_the_time(reply.now_ms, began.elapsed());
        if !reply.challenge.is_empty() {
            return Err(RemoteError::CodeNeeded { challenge: Challenge(reply.challenge) });
        }
        self.shared.gateways.heard_of(reply.gateways);
        let account = account(reply.account)?;
        self.set_token(Some(reply.token.clone()));
        let device_token = (!reply.device_token.is_empty()).then_some(reply.device_token);
        Ok(SignedIn { token: reply.token, account, device_token })
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
        // Whoever sits on an open way could put another in its place.
        if !reply.authority.is_empty() && self.shared.gateways.preferred().is_private() {
            self.shared.gateways.trust().learn(&reply.authority);
        }
        self.shared.gateways.heard_of(reply.gateways);
        account(reply.account)
    }

    /// Where one is signed in, the one last used first.
    pub async fn own_sessions(&self) -> Result<Vec<v1::SessionInfo>, RemoteError> {
        let message = v1::ListSessionsRequest {};
        let reply = self.read(message, |channel, request| async move { service(channel).list_sessions(request).await });
        Ok(reply.await?.sessions)
    }

    /// Ends the session of that id; with none, all but the one that asks. Says how many.
    pub async fn end_sessions(&self, id: Option<&str>) -> Result<u32, RemoteError> {
        let message = v1::EndSessionsRequest { id: id.unwrap_or_default().to_string() };
        let reply = self.call(Safety::Write, message, |channel, request| async move {
            service(channel).end_sessions(request).await
        });
        Ok(reply.await?.ended)
    }

    /// One's app passwords, the newest first.
    pub async fn app_passwords(&self) -> Result<Vec<v1::AppPassword>, RemoteError> {
        let message = v1::ListAppPasswordsRequest {};
        let reply =
            self.read(message, |channel, request| async move { service(channel).list_app_passwords(request).await });
        Ok(reply.await?.app_passwords)
    }

    /// Makes an app password; its secret is in the answer, this once.
    pub async fn create_app_password(
        &self,
        label: &str,
        protocols: &[String],
        write: bool,
    ) -> Result<v1::CreateAppPasswordReply, RemoteError> {
        let message = v1::CreateAppPasswordRequest { label: label.to_string(), protocols: protocols.to_vec(), write };
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).create_app_password(request).await
        });
        Ok(reply.await?)
    }

    /// Removes an app password.
    pub async fn remove_app_password(&self, id: &str) -> Result<(), RemoteError> {
        let message = v1::RemoveAppPasswordRequest { id: id.to_string() };
        self.call(Safety::Write, message, |channel, request| async move {
            service(channel).remove_app_password(request).await
        })
        .await?;
        Ok(())
    }

    /// One's access keys for S3, the newest first.
    pub async fn access_keys(&self) -> Result<Vec<v1::AccessKey>, RemoteError> {
        let message = v1::ListAccessKeysRequest {};
        let reply =
            self.read(message, |channel, request| async move { service(channel).list_access_keys(request).await });
        Ok(reply.await?.access_keys)
    }

    /// Makes an access key; its secret is in the answer, this once.
    pub async fn create_access_key(
        &self,
        message: v1::CreateAccessKeyRequest,
    ) -> Result<v1::CreateAccessKeyReply, RemoteError> {
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).create_access_key(request).await
        });
        Ok(reply.await?)
    }

    /// Removes an access key.
    pub async fn remove_access_key(&self, id: &str) -> Result<(), RemoteError> {
        let message = v1::RemoveAccessKeyRequest { id: id.to_string() };
        self.call(Safety::Write, message, |channel, request| async move {
            service(channel).remove_access_key(request).await
        })
        .await?;
        Ok(())
    }

    /// How one's second factor is.
    pub async fn second_factor(&self) -> Result<v1::SecondFactor, RemoteError> {
        let message = v1::GetSecondFactorRequest {};
        let reply =
            self.read(message, |channel, request| async move { service(channel).get_second_factor(request).await });
        reply.await
    }

    /// Begins to turn it on.
    pub async fn begin_second_factor(&self, password: &str) -> Result<v1::NewSecondFactor, RemoteError> {
        let message = v1::BeginSecondFactorRequest { password: password.to_string() };
        let reply = self.call(Safety::Write, message, |channel, request| async move {
            service(channel).begin_second_factor(request).await
        });
        Ok(reply.await?)
    }

    /// Turns it on; gives the recovery codes.
    pub async fn confirm_second_factor(&self, code: &str) -> Result<Vec<String>, RemoteError> {
        let message = v1::ConfirmSecondFactorRequest { code: code.to_string() };
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).confirm_second_factor(request).await
        });
        Ok(reply.await?.codes)
    }

    /// New recovery codes in place of the old ones.
    pub async fn new_recovery_codes(&self, password: &str, code: &str) -> Result<Vec<String>, RemoteError> {
        let message = v1::ProofRequest { password: password.to_string(), code: code.to_string() };
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).new_recovery_codes(request).await
        });
        Ok(reply.await?.codes)
    }

    /// Turns it off.
    pub async fn stop_second_factor(&self, password: &str, code: &str) -> Result<(), RemoteError> {
        let message = v1::ProofRequest { password: password.to_string(), code: code.to_string() };
        self.call(Safety::Once, message, |channel, request| async move {
            service(channel).stop_second_factor(request).await
        })
        .await?;
        Ok(())
    }

    /// The address that a link for a new password can be mailed to.
    pub async fn recovery(&self) -> Result<v1::Recovery, RemoteError> {
        let message = v1::GetRecoveryRequest {};
        self.read(message, |channel, request| async move { service(channel).get_recovery(request).await }).await
    }

    /// Has an address confirmed by a link that is mailed to it; an empty one takes away what is there.
    pub async fn set_recovery(&self, address: &str, password: &str) -> Result<v1::Recovery, RemoteError> {
        let message = v1::SetRecoveryRequest { address: address.to_string(), password: password.to_string() };
        // Sent again it may mail a second link, of which the newer is good.
        let reply = self.call(Safety::Write, message, |channel, request| async move {
            service(channel).set_recovery(request).await
        });
        Ok(reply.await?)
    }

    /// What would go with one's account.
    pub async fn leaving(&self) -> Result<v1::Leaving, RemoteError> {
        let message = v1::GetLeavingRequest {};
        let reply = self.read(message, |channel, request| async move { service(channel).get_leaving(request).await });
        reply.await
    }

    /// Removes one's account. There is no way back.
    pub async fn delete_account(&self, password: &str, code: &str) -> Result<(), RemoteError> {
        let message = v1::ProofRequest { password: password.to_string(), code: code.to_string() };
        self.call(
            Safety::Once,
            message,
            |channel, request| async move { service(channel).delete_account(request).await },
        )
        .await?;
        Ok(())
    }

    /// Sets a password by a one-time link.
    pub async fn reset_password(&self, secret: &str, password: &str) -> Result<(), RemoteError> {
        let message = v1::ResetPasswordRequest { secret: secret.to_string(), password: password.to_string() };
        self.call(
            Safety::Once,
            message,
            |channel, request| async move { service(channel).reset_password(request).await },
        )
        .await?;
        Ok(())
    }
}
