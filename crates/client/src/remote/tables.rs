//! The tables that people make.

use super::call::Safety;
use super::{Remote, RemoteError};
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, tables_client::TablesClient};
use rpc::grpc::{table_kind, table_kind_of};
use tonic::transport::Channel;
use types::{TableId, TableKind};

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its number, never used again.
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// How it is replicated.
    pub kind: TableKind,
    /// Who made it.
    pub owner: String,
}

fn service(channel: Channel) -> TablesClient<Channel> {
    TablesClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn info(table: v1::Table) -> Result<TableInfo, RemoteError> {
    Ok(TableInfo { id: TableId(table.id), kind: table_kind_of(table.kind)?, name: table.name, owner: table.owner })
}

impl Remote {
    /// Makes a table.
    pub async fn create_table(&self, name: &str, kind: TableKind, or_existing: bool) -> Result<TableInfo, RemoteError> {
        let message = v1::CreateTableRequest { name: name.to_string(), kind: table_kind(kind).into(), or_existing };
        let safety = if or_existing { Safety::Write } else { Safety::Once };
        let send = |channel, request| async move { service(channel).create_table(request).await };
        info(self.call(safety, message, send).await?)
    }

    /// All tables, by name.
    pub async fn list_tables(&self) -> Result<Vec<TableInfo>, RemoteError> {
        let message = v1::ListTablesRequest {};
        let reply = self.read(message, |channel, request| async move { service(channel).list_tables(request).await });
        reply.await?.tables.into_iter().map(info).collect()
    }

    /// Deletes a table and everything in it, for good.
    pub async fn delete_table(&self, name: &str) -> Result<(), RemoteError> {
        let message = v1::DeleteTableRequest { name: name.to_string() };
        let send = |channel, request| async move { service(channel).delete_table(request).await };
        self.call(Safety::Once, message, send).await?;
        Ok(())
    }
}
