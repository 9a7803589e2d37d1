//! Other people's accounts, for administrators.

use super::call::Safety;
use super::{Remote, RemoteError};
use rpc::grpc::limits::SMALL_MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, users_client::UsersClient};
use tonic::transport::Channel;

fn service(channel: Channel) -> UsersClient<Channel> {
    UsersClient::new(channel).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX)
}

impl Remote {
    /// Makes an account; without a password, the answer has the secret of a link that sets one.
    pub async fn create_user(&self, new: v1::CreateUserRequest) -> Result<v1::CreateUserReply, RemoteError> {
        let message = new;
        let reply = self
            .call(Safety::Once, message, |channel, request| async move { service(channel).create_user(request).await });
        Ok(reply.await?)
    }

    /// A page of everybody, in the order of names.
    pub async fn list_users(&self, cursor: &str, limit: u32) -> Result<v1::UserList, RemoteError> {
        let message = v1::ListUsersRequest { cursor: cursor.to_string(), limit };
        let reply = self.read(message, |channel, request| async move { service(channel).list_users(request).await });
        reply.await
    }

    /// Somebody's account.
    pub async fn show_user(&self, name: &str) -> Result<v1::UserDetails, RemoteError> {
        let message = v1::UserRequest { name: name.to_string() };
        let reply = self.read(message, |channel, request| async move { service(channel).show_user(request).await });
        reply.await
    }

    /// Changes an account; what is absent stays.
    pub async fn change_user(&self, change: v1::ChangeUserRequest) -> Result<v1::UserInfo, RemoteError> {
        let message = change;
        let reply =
            self.call(
                Safety::Write,
                message,
                |channel, request| async move { service(channel).change_user(request).await },
            );
        Ok(reply.await?)
    }

    /// Removes an account. There is no way back.
    pub async fn remove_user(&self, name: &str) -> Result<(), RemoteError> {
        let message = v1::UserRequest { name: name.to_string() };
        self.call(Safety::Once, message, |channel, request| async move { service(channel).remove_user(request).await })
            .await?;
        Ok(())
    }

    /// The secret of a link that sets somebody's password.
    pub async fn make_reset_link(&self, name: &str) -> Result<String, RemoteError> {
        let message = v1::UserRequest { name: name.to_string() };
        let reply = self.call(Safety::Write, message, |channel, request| async move {
            service(channel).make_reset_link(request).await
        });
        Ok(reply.await?.link_secret)
    }

    /// The server of mail that takes the cluster's mails.
    pub async fn mail_relay(&self) -> Result<v1::MailState, RemoteError> {
        let message = v1::GetMailRelayRequest {};
        self.read(message, |channel, request| async move { service(channel).get_mail_relay(request).await }).await
    }

    /// Sets it up.
    pub async fn set_mail_relay(&self, relay: v1::MailRelay) -> Result<(), RemoteError> {
        let reply = self.call(Safety::Write, relay, |channel, request| async move {
            service(channel).set_mail_relay(request).await
        });
        reply.await.map(drop).map_err(Into::into)
    }

    /// Sends no mail any more.
    pub async fn remove_mail_relay(&self) -> Result<(), RemoteError> {
        let message = v1::RemoveMailRelayRequest {};
        let reply = self.call(Safety::Write, message, |channel, request| async move {
            service(channel).remove_mail_relay(request).await
        });
        reply.await.map(drop).map_err(Into::into)
    }

    /// Has a test message sent to that address.
    pub async fn test_mail_relay(&self, to: &str) -> Result<(), RemoteError> {
        let message = v1::TestMailRelayRequest { to: to.to_string() };
        let reply = self.call(Safety::Once, message, |channel, request| async move {
            service(channel).test_mail_relay(request).await
        });
        reply.await.map(drop).map_err(Into::into)
    }

    /// Somebody's sessions.
    pub async fn sessions_of(&self, name: &str) -> Result<Vec<v1::SessionInfo>, RemoteError> {
        let message = v1::UserRequest { name: name.to_string() };
        let reply =
            self.read(message, |channel, request| async move { service(channel).list_user_sessions(request).await });
        Ok(reply.await?.sessions)
    }

    /// Ends one of somebody's sessions, or all. Says how many.
    pub async fn end_sessions_of(&self, name: &str, id: Option<&str>) -> Result<u32, RemoteError> {
        let message = v1::EndUserSessionsRequest { name: name.to_string(), id: id.unwrap_or_default().to_string() };
        let reply = self.call(Safety::Write, message, |channel, request| async move {
            service(channel).end_user_sessions(request).await
        });
        Ok(reply.await?.ended)
    }

    /// Turns somebody's second factor off.
    pub async fn clear_second_factor(&self, name: &str) -> Result<(), RemoteError> {
        let message = v1::UserRequest { name: name.to_string() };
        self.call(Safety::Once, message, |channel, request| async move {
            service(channel).clear_second_factor(request).await
        })
        .await?;
        Ok(())
    }

    /// Makes an invitation; its secret is in the answer, this once.
    pub async fn invite(&self, new: v1::InviteRequest) -> Result<v1::InviteReply, RemoteError> {
        let message = new;
        let reply =
            self.call(Safety::Once, message, |channel, request| async move { service(channel).invite(request).await });
        Ok(reply.await?)
    }

    /// Invitations that can be used.
    pub async fn invitations(&self) -> Result<Vec<v1::InvitationInfo>, RemoteError> {
        let message = v1::ListInvitationsRequest {};
        let reply =
            self.read(message, |channel, request| async move { service(channel).list_invitations(request).await });
        Ok(reply.await?.invitations)
    }

    /// Takes an invitation back.
    pub async fn uninvite(&self, id: &str) -> Result<(), RemoteError> {
        let message = v1::UninviteRequest { id: id.to_string() };
        self.call(Safety::Once, message, |channel, request| async move { service(channel).uninvite(request).await })
            .await?;
        Ok(())
    }

    /// What holds for all accounts.
    pub async fn account_policy(&self) -> Result<v1::AccountPolicy, RemoteError> {
        let message = v1::GetPolicyRequest {};
        let reply = self.read(message, |channel, request| async move { service(channel).get_policy(request).await });
        reply.await
    }

    /// Decides that anew.
    pub async fn set_account_policy(&self, policy: v1::AccountPolicy) -> Result<(), RemoteError> {
        let message = policy;
        self.call(Safety::Write, message, |channel, request| async move { service(channel).set_policy(request).await })
            .await?;
        Ok(())
    }

    /// A page of the log, the latest first.
    pub async fn audit(&self, about: &str, cursor: &str, limit: u32) -> Result<v1::AuditPage, RemoteError> {
        let message = v1::ReadAuditRequest { about: about.to_string(), cursor: cursor.to_string(), limit };
        let reply = self.read(message, |channel, request| async move { service(channel).read_audit(request).await });
        reply.await
    }
}
