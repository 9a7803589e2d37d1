//! A gateway that does as the test says.

use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use rpc::grpc::v1::{self, accounts_server, key_value_server, tables_server};
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What becomes of a call.
pub enum Step<R> {
    Answer(R),
    Error(Status),
    /// The same, after that time.
    Late(Duration, Status),
    /// It is never answered.
    Silence,
}

type Play<Q, R> = Box<dyn Fn(Q) -> Step<R> + Send + Sync>;
type Events = Vec<Result<v1::WatchReply, Status>>;

/// Each call's part; those without one are not offered.
pub struct Script {
    pub transact: Option<Play<v1::TransactRequest, v1::TransactReply>>,
    pub verify: Option<Play<v1::VerifyRequest, v1::VerifyReply>>,
    pub get: Option<Play<v1::GetRequest, v1::GetReply>>,
    pub create_table: Option<Play<v1::CreateTableRequest, v1::Table>>,
    pub watch: Option<Play<v1::WatchRequest, Events>>,
    /// Other gateways that it tells of.
    pub gateways: Vec<String>,
    /// Its cluster; none answers hello with nothing but silence.
    pub cluster: Option<u128>,
    /// Why it cannot serve.
    pub idle: Option<&'static str>,
    /// How far its clock is ahead, in milliseconds.
    pub ahead_ms: i64,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            transact: None,
            verify: None,
            get: None,
            create_table: None,
            watch: None,
            gateways: Vec::new(),
            cluster: Some(1),
            idle: None,
            ahead_ms: 0,
        }
    }
}

/// A gateway at work.
#[derive(Clone)]
pub struct Scripted {
    pub address: String,
    script: Arc<Script>,
    /// Operation ids of the transactions that came, and names of other calls.
    pub heard: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub async fn start(script: Script) -> Scripted {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let scripted = Scripted { address, script: Arc::new(script), heard: Arc::default() };
        let server = tonic::transport::Server::builder()
            .add_service(key_value_server::KeyValueServer::new(scripted.clone()))
            .add_service(tables_server::TablesServer::new(scripted.clone()))
            .add_service(accounts_server::AccountsServer::new(scripted.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        scripted
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().clone()
    }

    async fn play<Q, R>(&self, play: &Option<Play<Q, R>>, request: Request<Q>) -> Result<Response<R>, Status> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer a-token");
        match play.as_ref().map(|play| play(request.into_inner())) {
            Some(Step::Answer(answer)) => Ok(Response::new(answer)),
            Some(Step::Error(status)) => Err(status),
            Some(Step::Late(after, status)) => {
                tokio::time::sleep(after).await;
                Err(status)
            }
            Some(Step::Silence) => std::future::pending().await,
            None => Err(not_offered()),
        }
    }

    fn note(&self, what: impl ToString) {
        self.heard.lock().push(what.to_string());
    }
}

fn not_offered() -> Status {
    Status::unimplemented("not in the script")
}

#[tonic::async_trait]
impl key_value_server::KeyValue for Scripted {
    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetReply>, Status> {
        self.note("get");
        self.play(&self.script.get, request).await
    }

    async fn transact(&self, request: Request<v1::TransactRequest>) -> Result<Response<v1::TransactReply>, Status> {
        let operation = rpc::grpc::operation_of(&request.get_ref().operation_id).unwrap().unwrap();
        self.note(operation);
        self.play(&self.script.transact, request).await
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyReply>, Status> {
        self.note("verify");
        self.play(&self.script.verify, request).await
    }

    type WatchStream = BoxStream<'static, Result<v1::WatchReply, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.note(format!("watch after {:?}", request.get_ref().after));
        let events = self.play(&self.script.watch, request).await?.into_inner();
        Ok(Response::new(futures::stream::iter(events).boxed()))
    }

    async fn get_many(&self, _: Request<v1::GetManyRequest>) -> Result<Response<v1::GetManyReply>, Status> {
        Err(not_offered())
    }

    async fn query(&self, _: Request<v1::QueryRequest>) -> Result<Response<v1::QueryReply>, Status> {
        Err(not_offered())
    }

    async fn scan(&self, _: Request<v1::ScanRequest>) -> Result<Response<v1::ScanReply>, Status> {
        Err(not_offered())
    }

    async fn size(&self, _: Request<v1::SizeRequest>) -> Result<Response<v1::SizeReply>, Status> {
        Err(not_offered())
    }
}

#[tonic::async_trait]
impl tables_server::Tables for Scripted {
    async fn create_table(&self, request: Request<v1::CreateTableRequest>) -> Result<Response<v1::Table>, Status> {
        self.note("create_table");
        self.play(&self.script.create_table, request).await
    }

    async fn list_tables(&self, _: Request<v1::ListTablesRequest>) -> Result<Response<v1::ListTablesReply>, Status> {
        Err(not_offered())
    }

    async fn delete_table(&self, _: Request<v1::DeleteTableRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_offered())
    }
}

#[tonic::async_trait]
impl accounts_server::Accounts for Scripted {
    async fn hello(&self, request: Request<v1::HelloRequest>) -> Result<Response<v1::HelloReply>, Status> {
        assert!(request.metadata().get("authorization").is_none(), "hello shows nothing");
        let Some(cluster) = self.script.cluster else { std::future::pending().await };
        Ok(Response::new(v1::HelloReply {
            cluster: format!("{cluster:032x}"),
            serving: self.script.idle.is_none(),
            why: self.script.idle.unwrap_or_default().to_string(),
            release: "test".into(),
        }))
    }

    async fn sign_in(&self, _: Request<v1::SignInRequest>) -> Result<Response<v1::SignInReply>, Status> {
        Err(not_offered())
    }

    async fn sign_in_with_code(
        &self,
        _: Request<v1::SignInWithCodeRequest>,
    ) -> Result<Response<v1::SignInReply>, Status> {
        Err(not_offered())
    }

    async fn sign_up(&self, _: Request<v1::SignUpRequest>) -> Result<Response<v1::SignInReply>, Status> {
        Err(not_offered())
    }

    async fn reset_password(&self, _: Request<v1::ResetPasswordRequest>) -> Result<Response<v1::Account>, Status> {
        Err(not_offered())
    }

    async fn change_password(
        &self,
        _: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::SignInReply>, Status> {
        Err(not_offered())
    }

    async fn list_sessions(&self, _: Request<v1::ListSessionsRequest>) -> Result<Response<v1::SessionList>, Status> {
        Err(not_offered())
    }

    async fn end_sessions(&self, _: Request<v1::EndSessionsRequest>) -> Result<Response<v1::EndSessionsReply>, Status> {
        Err(not_offered())
    }

    async fn create_app_password(
        &self,
        _: Request<v1::CreateAppPasswordRequest>,
    ) -> Result<Response<v1::CreateAppPasswordReply>, Status> {
        Err(not_offered())
    }

    async fn list_app_passwords(
        &self,
        _: Request<v1::ListAppPasswordsRequest>,
    ) -> Result<Response<v1::AppPasswordList>, Status> {
        Err(not_offered())
    }

    async fn remove_app_password(
        &self,
        _: Request<v1::RemoveAppPasswordRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        Err(not_offered())
    }

    async fn create_access_key(
        &self,
        _: Request<v1::CreateAccessKeyRequest>,
    ) -> Result<Response<v1::CreateAccessKeyReply>, Status> {
        Err(not_offered())
    }

    async fn list_access_keys(
        &self,
        _: Request<v1::ListAccessKeysRequest>,
    ) -> Result<Response<v1::AccessKeyList>, Status> {
        Err(not_offered())
    }

    async fn remove_access_key(&self, _: Request<v1::RemoveAccessKeyRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_offered())
    }

    async fn get_second_factor(
        &self,
        _: Request<v1::GetSecondFactorRequest>,
    ) -> Result<Response<v1::SecondFactor>, Status> {
        Err(not_offered())
    }

    async fn begin_second_factor(
        &self,
        _: Request<v1::BeginSecondFactorRequest>,
    ) -> Result<Response<v1::NewSecondFactor>, Status> {
        Err(not_offered())
    }

    async fn confirm_second_factor(
        &self,
        _: Request<v1::ConfirmSecondFactorRequest>,
    ) -> Result<Response<v1::RecoveryCodes>, Status> {
        Err(not_offered())
    }

    async fn new_recovery_codes(&self, _: Request<v1::ProofRequest>) -> Result<Response<v1::RecoveryCodes>, Status> {
        Err(not_offered())
    }

    async fn stop_second_factor(&self, _: Request<v1::ProofRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_offered())
    }

    async fn get_recovery(&self, _: Request<v1::GetRecoveryRequest>) -> Result<Response<v1::Recovery>, Status> {
        Err(not_offered())
    }

    async fn set_recovery(&self, _: Request<v1::SetRecoveryRequest>) -> Result<Response<v1::Recovery>, Status> {
        Err(not_offered())
    }

    async fn get_leaving(&self, _: Request<v1::GetLeavingRequest>) -> Result<Response<v1::Leaving>, Status> {
        Err(not_offered())
    }

    async fn delete_account(&self, _: Request<v1::ProofRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_offered())
    }

    async fn sign_out(&self, _: Request<v1::SignOutRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_offered())
    }

    async fn who_am_i(&self, _: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIReply>, Status> {
        Ok(Response::new(v1::WhoAmIReply {
            account: Some(v1::Account::default()),
            now_ms: super::super::local_millis().saturating_add_signed(self.script.ahead_ms),
            gateways: self.script.gateways.clone(),
            authority: String::new(),
        }))
    }
}
