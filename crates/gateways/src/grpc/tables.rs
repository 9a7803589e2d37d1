//! The tables that people make.

use super::GrpcState;
use super::guard::caller;
use super::problems::status;
use apps::User;
use client::ClientError;
use rpc::grpc::v1::{self, tables_server::Tables};
use rpc::grpc::{Problem, kind, table_kind, table_kind_of};
use tonic::{Code, Request, Response, Status};
use types::limits::TABLE_NAME_BYTES_MAX;
use types::{TableKind, TableSpec};

/// The namespace of tables that people make; the only one that can be named through this gateway.
pub(super) const NAMESPACE: &str = "kv";

/// Between a maker's name and id; in neither.
const OWNER_SEPARATOR: char = '/';

fn table(spec: &TableSpec) -> v1::Table {
    let owner = spec.owner.split(OWNER_SEPARATOR).next().unwrap_or_default().to_string();
    v1::Table { name: spec.name.clone(), kind: table_kind(spec.kind).into(), owner, id: spec.id.0 }
}

/// Who made a table, as it is kept: a name for people, and the id. Names are free again when an account goes.
fn owner(user: &User) -> String {
    format!("{}{OWNER_SEPARATOR}{}", user.name, user.id)
}

/// Only an administrator has a table of which no maker's id is known.
fn owns(user: &User, spec: &TableSpec) -> bool {
    spec.owner.split_once(OWNER_SEPARATOR).is_some_and(|(_, id)| id == user.id.to_string())
}

fn named(name: &str) -> Result<&str, Status> {
    if name.is_empty() || name.len() > TABLE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let text = format!("a table's name has 1 to {TABLE_NAME_BYTES_MAX} bytes, without control characters");
        return Err(status(ClientError::Invalid(text)));
    }
    Ok(name)
}

#[tonic::async_trait]
impl Tables for GrpcState {
    async fn create_table(&self, request: Request<v1::CreateTableRequest>) -> Result<Response<v1::Table>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let name = named(&asked.name)?;
        let kind = table_kind_of(asked.kind).map_err(status)?;
        if kind == TableKind::Available {
            return Err(status(ClientError::NotOffered("a table of kind `available`".into())));
        }
        match self.inner.backend.create_table(NAMESPACE, name, kind, &owner(&caller.user)).await {
            Ok(spec) => Ok(Response::new(table(&spec))),
            Err(error @ ClientError::TableExists(_)) if asked.or_existing => {
                match self.inner.backend.layout().table(NAMESPACE, name) {
                    Some(spec) if spec.kind == kind => Ok(Response::new(table(spec))),
                    _ => Err(status(error)),
                }
            }
            Err(error) => Err(status(error)),
        }
    }

    async fn list_tables(
        &self,
        request: Request<v1::ListTablesRequest>,
    ) -> Result<Response<v1::ListTablesReply>, Status> {
        caller(&request)?;
        let layout = self.inner.backend.layout();
        let mut tables: Vec<_> = layout.tables.values().filter(|spec| spec.namespace == NAMESPACE).map(table).collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Response::new(v1::ListTablesReply { tables }))
    }

    async fn delete_table(&self, request: Request<v1::DeleteTableRequest>) -> Result<Response<v1::Empty>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let name = named(&asked.name)?;
        let id = self.inner.backend.find_table(NAMESPACE, name).await.map_err(status)?;
        let owned = self.inner.backend.layout().tables.get(&id).is_some_and(|spec| owns(&caller.user, spec));
        if !owned && !caller.user.is_administrator() {
            let text = format!("only who made the table {name}, and administrators, may delete it");
            return Err(status(Problem::rejected(Code::PermissionDenied, kind::DENIED, text)));
        }
        self.inner.backend.delete_table(NAMESPACE, name).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }
}
