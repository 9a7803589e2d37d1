//! Other people's accounts, for administrators. That the caller is one is tested by each act itself, too.

use super::GrpcState;
use super::accounts::{MAILS_SPEAK, by};
use super::guard::administrator;
use super::people;
use super::problems::{invalid, status};
use apps::accounts::{NewInvitation, NewRelay, Policy, UserChange};
use apps::{NewUser, Role};
use rpc::grpc::limits::CURSOR_BYTES_MAX;
use rpc::grpc::v1::{self, users_server::Users};
use std::time::Duration;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

fn role(text: &str) -> Result<Role, Status> {
    if text.is_empty() { Ok(Role::User) } else { text.parse().map_err(|why: &str| invalid(why)) }
}

fn cursor(text: &str) -> Result<Option<&str>, Status> {
    if text.len() > CURSOR_BYTES_MAX {
        return Err(invalid("the cursor is too long"));
    }
    Ok((!text.is_empty()).then_some(text))
}

#[tonic::async_trait]
impl Users for GrpcState {
    async fn create_user(&self, request: Request<v1::CreateUserRequest>) -> Answer<v1::CreateUserReply> {
        administrator(&request)?;
        let (by, asked) = (by(&request)?, request.into_inner());
        let (name, display, password) = (asked.name, asked.display_name, asked.password);
        let new = NewUser { name, display, password, role: role(&asked.role)?, quota: asked.quota };
        let (user, link) = match new.password.is_empty() {
            true => self.inner.accounts.create_user_by_link(by, new).await.map(|(user, link)| (user, Some(link))),
            false => self.inner.accounts.create_user(by, new).await.map(|user| (user, None)),
        }
        .map_err(status)?;
        let link_secret = link.map(|link| link.as_str().to_string()).unwrap_or_default();
        Ok(Response::new(v1::CreateUserReply { user: Some(people::user(&user)), link_secret }))
    }

    async fn list_users(&self, request: Request<v1::ListUsersRequest>) -> Answer<v1::UserList> {
        let caller = administrator(&request)?;
        let asked = request.into_inner();
        // As many as fit a message, whatever their names.
        let limit = if asked.limit == 0 { 100 } else { asked.limit.min(100) };
        let page = self.inner.accounts.list(&caller.user, cursor(&asked.cursor)?, limit).await.map_err(status)?;
        let used = self.inner.drives.used(page.items.iter().map(|user| user.drive)).await.map_err(status)?;
        let users = page.items.iter().zip(used).map(|(user, used)| people::user_with(user, used)).collect();
        let usual_quota = self.inner.accounts.policy().await.map_err(status)?.quota;
        Ok(Response::new(v1::UserList { users, next: page.next.unwrap_or_default(), usual_quota }))
    }

    async fn show_user(&self, request: Request<v1::UserRequest>) -> Answer<v1::UserDetails> {
        let caller = administrator(&request)?;
        let accounts = &self.inner.accounts;
        let user = accounts.find_for(&caller.user, &request.into_inner().name).await.map_err(status)?;
        let used = self.inner.drives.usage(user.drive).await.map_err(status)?.bytes;
        Ok(Response::new(v1::UserDetails {
            user: Some(people::user_with(&user, used)),
            second_factor: Some(people::factor(accounts.second_factor(user.id).await.map_err(status)?)),
            leaving: Some(people::leaving(accounts.leaving(&user).await.map_err(status)?)),
            quota_in_force: accounts.quota_of(&user).await.map_err(status)?,
            recovery: accounts.recovery(user.id).await.map_err(status)?.address.is_some(),
        }))
    }

    async fn change_user(&self, request: Request<v1::ChangeUserRequest>) -> Answer<v1::UserInfo> {
        administrator(&request)?;
        let (by, asked) = (by(&request)?, request.into_inner());
        let change = UserChange {
            display: asked.display_name,
            role: asked.role.as_deref().map(role).transpose()?,
            disabled: asked.disabled,
            quota: if asked.quota_default { Some(None) } else { asked.quota.map(Some) },
        };
        let user = self.inner.accounts.change_user(by, &asked.name, change).await.map_err(status)?;
        Ok(Response::new(people::user(&user)))
    }

    async fn remove_user(&self, request: Request<v1::UserRequest>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let by = by(&request)?;
        self.inner.accounts.remove_user(by, &request.into_inner().name).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn make_reset_link(&self, request: Request<v1::UserRequest>) -> Answer<v1::LinkReply> {
        administrator(&request)?;
        let by = by(&request)?;
        let link = self.inner.accounts.make_reset_link(by, &request.into_inner().name).await.map_err(status)?;
        Ok(Response::new(v1::LinkReply { link_secret: link.as_str().to_string() }))
    }

    async fn list_user_sessions(&self, request: Request<v1::UserRequest>) -> Answer<v1::SessionList> {
        let caller = administrator(&request)?;
        let name = request.into_inner().name;
        let found = self.inner.accounts.sessions_of(&caller.user, &name).await.map_err(status)?;
        Ok(Response::new(people::sessions(found)))
    }

    async fn end_user_sessions(&self, request: Request<v1::EndUserSessionsRequest>) -> Answer<v1::EndSessionsReply> {
        administrator(&request)?;
        let (by, asked) = (by(&request)?, request.into_inner());
        let id = (!asked.id.is_empty()).then_some(asked.id.as_str());
        let ended = self.inner.accounts.end_sessions_of(by, &asked.name, id).await.map_err(status)?;
        Ok(Response::new(v1::EndSessionsReply { ended: ended as u32 }))
    }

    async fn clear_second_factor(&self, request: Request<v1::UserRequest>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let by = by(&request)?;
        self.inner.accounts.clear_second_factor(by, &request.into_inner().name).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn invite(&self, request: Request<v1::InviteRequest>) -> Answer<v1::InviteReply> {
        administrator(&request)?;
        let (by, asked) = (by(&request)?, request.into_inner());
        let valid = Duration::from_secs(asked.valid_seconds);
        let new = NewInvitation { role: role(&asked.role)?, quota: asked.quota, valid, note: asked.note };
        let (made, secret) = self.inner.accounts.invite(by, new).await.map_err(status)?;
        let link_secret = secret.as_str().to_string();
        Ok(Response::new(v1::InviteReply { invitation: Some(people::invitation(made)), link_secret }))
    }

    async fn list_invitations(&self, request: Request<v1::ListInvitationsRequest>) -> Answer<v1::InvitationList> {
        let caller = administrator(&request)?;
        let found = self.inner.accounts.invitations(&caller.user).await.map_err(status)?;
        let invitations = found.into_iter().take(200).map(people::invitation).collect();
        Ok(Response::new(v1::InvitationList { invitations }))
    }

    async fn uninvite(&self, request: Request<v1::UninviteRequest>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let by = by(&request)?;
        self.inner.accounts.uninvite(by, &request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn get_policy(&self, request: Request<v1::GetPolicyRequest>) -> Answer<v1::AccountPolicy> {
        administrator(&request)?;
        Ok(Response::new(people::policy(self.inner.accounts.policy().await.map_err(status)?)))
    }

    async fn set_policy(&self, request: Request<v1::AccountPolicy>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let (by, asked) = (by(&request)?, request.into_inner());
        let now = self.inner.accounts.policy().await.map_err(status)?;
        let policy = Policy {
            drive_quota: if asked.drives_max.is_some() { asked.drive_quota } else { now.drive_quota },
            drives_max: asked.drives_max.unwrap_or(now.drives_max),
            sign_up: asked.sign_up.parse().map_err(|why: &str| invalid(why))?,
            quota: asked.quota,
            audit_days: asked.audit_days,
            users_max: asked.users_max,
        };
        self.inner.accounts.set_policy(by, policy).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn read_audit(&self, request: Request<v1::ReadAuditRequest>) -> Answer<v1::AuditPage> {
        let caller = administrator(&request)?;
        let asked = request.into_inner();
        let about = (!asked.about.is_empty()).then_some(asked.about.as_str());
        let limit = if asked.limit == 0 { 50 } else { asked.limit.min(50) };
        let page = self.inner.accounts.audit(&caller.user, about, cursor(&asked.cursor)?, limit).await;
        let page = page.map_err(status)?;
        let entries = page.items.into_iter().map(people::audit).collect();
        Ok(Response::new(v1::AuditPage { entries, next: page.next.unwrap_or_default() }))
    }

    async fn get_mail_relay(&self, request: Request<v1::GetMailRelayRequest>) -> Answer<v1::MailState> {
        let caller = administrator(&request)?;
        let found = self.inner.accounts.relay(&caller.user).await.map_err(status)?;
        Ok(Response::new(found.map_or_else(v1::MailState::default, people::mail)))
    }

    async fn set_mail_relay(&self, request: Request<v1::MailRelay>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let (by, asked) = (by(&request)?, request.into_inner());
        let tls = asked.tls.parse().map_err(|why: &str| invalid(why))?;
        let port = asked.port.try_into().map_err(|_| invalid("there is no such port"))?;
        let v1::MailRelay { host, user, password, from, site, .. } = asked;
        let new = NewRelay { host, port, tls, user, password, from, site };
        self.inner.accounts.set_relay(by, new).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn remove_mail_relay(&self, request: Request<v1::RemoveMailRelayRequest>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let by = by(&request)?;
        self.inner.accounts.forget_relay(by).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn test_mail_relay(&self, request: Request<v1::TestMailRelayRequest>) -> Answer<v1::Empty> {
        administrator(&request)?;
        let by = by(&request)?;
        self.inner.accounts.test_relay(by, &request.into_inner().to, MAILS_SPEAK).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }
}
