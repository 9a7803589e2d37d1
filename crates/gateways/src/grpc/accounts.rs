//! One's own account: coming in, and what one may change of it.

use super::GrpcState;
use super::guard::caller;
use super::people;
use super::problems::{invalid, status};
use apps::accounts::{AccessScope, AppScope, By, Protocol};
use apps::{AccountError, Device, NewUser, Role, Session, Token, User};
use rpc::grpc::v1::{self, accounts_server::Accounts};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// Programs ask for no language; mails that they have sent speak this one, as the command line does.
pub(super) const MAILS_SPEAK: &str = "en";

fn account(user: &User) -> v1::Account {
    v1::Account {
        id: user.id.to_string(),
        name: user.name.clone(),
        display_name: user.display.clone(),
        administrator: user.is_administrator(),
    }
}

/// Where a call comes from.
pub(super) fn device<T>(request: &Request<T>, label: &str, known: &str) -> Device {
    let known = (!known.is_empty()).then(|| Token::shown(known));
    Device { label: label.to_string(), address: request.remote_addr().map(|address| address.ip()), known }
}

/// Who makes a call, and from where. Not for those who came in by an app password.
pub(super) fn by<T>(request: &Request<T>) -> Result<By, Status> {
    let caller = caller(request)?;
    Ok(By { user: caller.user, device: device(request, "gRPC", "") })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl GrpcState {
    /// Where the gateways of nodes in service listen.
    fn gateways(&self) -> Vec<String> {
        let layout = self.inner.backend.layout();
        // Of those that are down, too: whoever hears of the members remembers no others, and they come back.
        let mut members: Vec<_> = layout.nodes.values().filter(|node| !node.grpc.is_empty()).collect();
        members.sort_by_key(|node| !node.alive);
        members.into_iter().map(|node| node.grpc.clone()).take(64).collect()
    }

    fn signed_in(&self, session: Result<Session, AccountError>) -> Answer<v1::SignInReply> {
        let mut reply = v1::SignInReply { now_ms: self.inner.backend.now().0, ..Default::default() };
        match session {
            Ok(session) => {
                reply.token = session.token.as_str().to_string();
                reply.account = Some(account(&session.user));
                reply.gateways = self.gateways();
                reply.device_token = session.device.map(|token| token.as_str().to_string()).unwrap_or_default();
            }
            Err(AccountError::CodeNeeded { challenge }) => reply.challenge = challenge.as_str().to_string(),
            Err(error) => return Err(status(error)),
        }
        Ok(Response::new(reply))
    }
}

#[tonic::async_trait]
impl Accounts for GrpcState {
    async fn hello(&self, _: Request<v1::HelloRequest>) -> Answer<v1::HelloReply> {
        let health = (self.inner.health)();
        Ok(Response::new(v1::HelloReply {
            cluster: format!("{:032x}", self.inner.backend.layout().cluster.0),
            serving: health.ready,
            why: health.why.unwrap_or_default(),
            release: env!("CARGO_PKG_VERSION").to_string(),
        }))
    }

    async fn sign_in(&self, request: Request<v1::SignInRequest>) -> Answer<v1::SignInReply> {
        let device = device(&request, &request.get_ref().device, &request.get_ref().device_token);
        let asked = request.into_inner();
        self.signed_in(self.inner.accounts.sign_in(&asked.name, &asked.password, device).await)
    }

    async fn sign_in_with_code(&self, request: Request<v1::SignInWithCodeRequest>) -> Answer<v1::SignInReply> {
        let device = device(&request, &request.get_ref().device, &request.get_ref().device_token);
        let asked = request.into_inner();
        self.signed_in(self.inner.accounts.sign_in_with_code(&asked.challenge, &asked.code, device).await)
    }

    async fn sign_up(&self, request: Request<v1::SignUpRequest>) -> Answer<v1::SignInReply> {
        let device = device(&request, &request.get_ref().device, "");
        let asked = request.into_inner();
        let invitation = some(asked.invitation);
        let (name, display, password) = (asked.name, asked.display_name, asked.password);
        let new = NewUser { name, display, password, role: Role::User, quota: None };
        self.signed_in(self.inner.accounts.sign_up(invitation.as_deref(), new, device).await)
    }

    async fn reset_password(&self, request: Request<v1::ResetPasswordRequest>) -> Answer<v1::Account> {
        let device = device(&request, "gRPC", "");
        let asked = request.into_inner();
        let user = self.inner.accounts.reset_password(&asked.secret, &asked.password, device).await.map_err(status)?;
        Ok(Response::new(account(&user)))
    }

    async fn sign_out(&self, request: Request<v1::SignOutRequest>) -> Answer<v1::Empty> {
        let caller = caller(&request)?;
        self.inner.accounts.sign_out(caller.token()).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Answer<v1::WhoAmIReply> {
        let caller = caller(&request)?;
        Ok(Response::new(v1::WhoAmIReply {
            account: Some(account(&caller.user)),
            now_ms: self.inner.backend.now().0,
            gateways: self.gateways(),
            authority: self.inner.authority.clone(),
        }))
    }

    async fn change_password(&self, request: Request<v1::ChangePasswordRequest>) -> Answer<v1::SignInReply> {
        let mut by = by(&request)?;
        let asked = request.into_inner();
        by.device.label = asked.device;
        self.signed_in(self.inner.accounts.change_password(by, &asked.old_password, &asked.new_password).await)
    }

    async fn list_sessions(&self, request: Request<v1::ListSessionsRequest>) -> Answer<v1::SessionList> {
        let caller = caller(&request)?;
        let found = self.inner.accounts.sessions(&caller.user, Some(caller.token())).await.map_err(status)?;
        Ok(Response::new(people::sessions(found)))
    }

    async fn end_sessions(&self, request: Request<v1::EndSessionsRequest>) -> Answer<v1::EndSessionsReply> {
        let (by, caller) = (by(&request)?, caller(&request)?);
        let accounts = &self.inner.accounts;
        let ended = match request.into_inner().id {
            id if id.is_empty() => accounts.end_other_sessions(by, caller.token()).await.map_err(status)?,
            id => accounts.end_session(by, &id).await.map(|()| 1).map_err(status)?,
        };
        Ok(Response::new(v1::EndSessionsReply { ended: ended as u32 }))
    }

    async fn create_app_password(
        &self,
        request: Request<v1::CreateAppPasswordRequest>,
    ) -> Answer<v1::CreateAppPasswordReply> {
        let by = by(&request)?;
        let asked = request.into_inner();
        let protocols: Result<Vec<Protocol>, _> = asked.protocols.iter().take(16).map(|name| name.parse()).collect();
        let scope = AppScope { protocols: protocols.map_err(|why: &str| invalid(why))?, write: asked.write };
        let made = self.inner.accounts.create_app_password(by, &asked.label, scope).await.map_err(status)?;
        Ok(Response::new(v1::CreateAppPasswordReply {
            app_password: Some(people::app_password(made.0)),
            secret: made.1.as_str().to_string(),
        }))
    }

    async fn list_app_passwords(&self, request: Request<v1::ListAppPasswordsRequest>) -> Answer<v1::AppPasswordList> {
        let caller = caller(&request)?;
        let found = self.inner.accounts.app_passwords(caller.user.id).await.map_err(status)?;
        let app_passwords = found.into_iter().map(people::app_password).collect();
        Ok(Response::new(v1::AppPasswordList { app_passwords }))
    }

    async fn remove_app_password(&self, request: Request<v1::RemoveAppPasswordRequest>) -> Answer<v1::Empty> {
        let by = by(&request)?;
        self.inner.accounts.remove_app_password(by, &request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn create_access_key(
        &self,
        request: Request<v1::CreateAccessKeyRequest>,
    ) -> Answer<v1::CreateAccessKeyReply> {
        let by = by(&request)?;
        let asked = request.into_inner();
        let scope = AccessScope { read: asked.read, write: asked.write, buckets: asked.buckets };
        let made = self.inner.accounts.create_access_key(by, &asked.label, scope).await.map_err(status)?;
        Ok(Response::new(v1::CreateAccessKeyReply {
            access_key: Some(people::access_key(made.0)),
            secret: made.1.as_str().to_string(),
        }))
    }

    async fn list_access_keys(&self, request: Request<v1::ListAccessKeysRequest>) -> Answer<v1::AccessKeyList> {
        let caller = caller(&request)?;
        let found = self.inner.accounts.access_keys(caller.user.id).await.map_err(status)?;
        let access_keys = found.into_iter().map(people::access_key).collect();
        Ok(Response::new(v1::AccessKeyList { access_keys }))
    }

    async fn remove_access_key(&self, request: Request<v1::RemoveAccessKeyRequest>) -> Answer<v1::Empty> {
        let by = by(&request)?;
        self.inner.accounts.remove_access_key(by, &request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn get_second_factor(&self, request: Request<v1::GetSecondFactorRequest>) -> Answer<v1::SecondFactor> {
        let caller = caller(&request)?;
        let state = self.inner.accounts.second_factor(caller.user.id).await.map_err(status)?;
        Ok(Response::new(people::factor(state)))
    }

    async fn begin_second_factor(&self, request: Request<v1::BeginSecondFactorRequest>) -> Answer<v1::NewSecondFactor> {
        let by = by(&request)?;
        let password = request.into_inner().password;
        let new = self.inner.accounts.begin_second_factor(by, &password).await.map_err(status)?;
        Ok(Response::new(v1::NewSecondFactor { secret: new.secret, address: new.address }))
    }

    async fn confirm_second_factor(
        &self,
        request: Request<v1::ConfirmSecondFactorRequest>,
    ) -> Answer<v1::RecoveryCodes> {
        let by = by(&request)?;
        let code = request.into_inner().code;
        let codes = self.inner.accounts.confirm_second_factor(by, &code).await.map_err(status)?;
        Ok(Response::new(v1::RecoveryCodes { codes }))
    }

    async fn new_recovery_codes(&self, request: Request<v1::ProofRequest>) -> Answer<v1::RecoveryCodes> {
        let by = by(&request)?;
        let proof = request.into_inner();
        let codes = self.inner.accounts.new_recovery_codes(by, &proof.password, &proof.code).await.map_err(status)?;
        Ok(Response::new(v1::RecoveryCodes { codes }))
    }

    async fn stop_second_factor(&self, request: Request<v1::ProofRequest>) -> Answer<v1::Empty> {
        let by = by(&request)?;
        let proof = request.into_inner();
        self.inner.accounts.stop_second_factor(by, &proof.password, &proof.code).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn get_recovery(&self, request: Request<v1::GetRecoveryRequest>) -> Answer<v1::Recovery> {
        let caller = caller(&request)?;
        Ok(Response::new(people::recovery(self.inner.accounts.recovery(caller.user.id).await.map_err(status)?)))
    }

    async fn set_recovery(&self, request: Request<v1::SetRecoveryRequest>) -> Answer<v1::Recovery> {
        let (by, accounts) = (by(&request)?, &self.inner.accounts);
        let v1::SetRecoveryRequest { address, password } = request.into_inner();
        let id = by.user.id;
        match address.as_str() {
            "" => accounts.remove_recovery(by, &password, MAILS_SPEAK).await.map_err(status)?,
            address => accounts.set_recovery(by, &password, address, MAILS_SPEAK).await.map_err(status)?,
        }
        Ok(Response::new(people::recovery(accounts.recovery(id).await.map_err(status)?)))
    }

    async fn get_leaving(&self, request: Request<v1::GetLeavingRequest>) -> Answer<v1::Leaving> {
        let caller = caller(&request)?;
        let leaving = self.inner.accounts.leaving(&caller.user).await.map_err(status)?;
        Ok(Response::new(people::leaving(leaving)))
    }

    async fn delete_account(&self, request: Request<v1::ProofRequest>) -> Answer<v1::Empty> {
        let by = by(&request)?;
        let proof = request.into_inner();
        let code = some(proof.code);
        self.inner.accounts.delete_account(by, &proof.password, code.as_deref()).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }
}
