//! Signing in and out.

use super::GrpcState;
use super::guard::caller;
use super::problems::status;
use apps::{Device, User};
use rpc::grpc::v1::{self, accounts_server::Accounts};
use tonic::{Request, Response, Status};

fn account(user: &User) -> v1::Account {
    v1::Account {
        id: user.id.to_string(),
        name: user.name.clone(),
        display_name: user.display.clone(),
        administrator: user.is_administrator(),
    }
}

impl GrpcState {
    /// Where the gateways of nodes in service listen.
    fn gateways(&self) -> Vec<String> {
        let layout = self.inner.backend.layout();
        let alive = layout.nodes.values().filter(|node| node.alive && !node.grpc.is_empty());
        alive.map(|node| node.grpc.clone()).take(64).collect()
    }
}

#[tonic::async_trait]
impl Accounts for GrpcState {
    async fn hello(&self, _: Request<v1::HelloRequest>) -> Result<Response<v1::HelloReply>, Status> {
        let health = (self.inner.health)();
        Ok(Response::new(v1::HelloReply {
            cluster: format!("{:032x}", self.inner.backend.layout().cluster.0),
            serving: health.ready,
            why: health.why.unwrap_or_default(),
            release: env!("CARGO_PKG_VERSION").to_string(),
        }))
    }

    async fn sign_in(&self, request: Request<v1::SignInRequest>) -> Result<Response<v1::SignInReply>, Status> {
        let address = request.remote_addr().map(|address| address.ip());
        let asked = request.into_inner();
        let device = Device { label: asked.device, address };
        let session = self.inner.accounts.sign_in(&asked.name, &asked.password, device).await.map_err(status)?;
        Ok(Response::new(v1::SignInReply {
            token: session.token.as_str().to_string(),
            account: Some(account(&session.user)),
            now_ms: self.inner.backend.now().0,
            gateways: self.gateways(),
        }))
    }

    async fn sign_out(&self, request: Request<v1::SignOutRequest>) -> Result<Response<v1::Empty>, Status> {
        let caller = caller(&request)?;
        self.inner.accounts.sign_out(&caller.token).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIReply>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(v1::WhoAmIReply {
            account: Some(account(&caller.user)),
            now_ms: self.inner.backend.now().0,
            gateways: self.gateways(),
        }))
    }
}
