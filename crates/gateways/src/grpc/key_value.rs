//! Items: reading, transactions, and what became of them.

use super::GrpcState;
use super::guard::caller;
use super::problems::{Explain, invalid, status};
use super::tables::NAMESPACE;
use client::ScanCursor;
use futures::stream::BoxStream;
use rpc::grpc::limits::{CURSOR_BYTES_MAX, GET_MANY_BYTES_MAX, SCAN_ITEMS_MAX};
use rpc::grpc::v1::{self, key_value_server::KeyValue};
use rpc::grpc::{
    self, Problem, TableKey, TableQuery, TableTransaction, TableUpdate, consistency_of, kind, page, verdict, version,
};
use std::collections::BTreeMap;
use tonic::{Code, Request, Response, Status};
use types::limits::{KEYS_MAX, TRANSACTION_CHANGES_MAX};
use types::{ItemKey, Read, TableId};

impl GrpcState {
    /// The number of a table that people made. Of others, none is known here.
    pub(super) async fn table(&self, name: &str) -> Result<TableId, Problem> {
        self.inner.backend.find_table(NAMESPACE, name).await.map_err(Explain::problem)
    }

    /// The numbers of several, each looked up once. The first that is missing ends it.
    pub(super) async fn tables<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, TableId>, Problem> {
        let mut found = BTreeMap::new();
        for name in names {
            if !found.contains_key(name) {
                found.insert(name.to_string(), self.table(name).await?);
            }
        }
        Ok(found)
    }

    async fn item_key(&self, key: Option<v1::Key>) -> Result<ItemKey, Status> {
        let key = TableKey::from_wire(key.ok_or_else(|| invalid("no key was given"))?);
        let table = self.table(&key.table).await.map_err(status)?;
        Ok(key.resolve(table))
    }
}

fn checked(read: Read) -> Result<Read, Status> {
    read.validate().map_err(invalid)?;
    Ok(read)
}

fn known(tables: &BTreeMap<String, TableId>, name: &str) -> Result<TableId, Problem> {
    tables.get(name).copied().ok_or_else(|| Problem::rejected(Code::NotFound, kind::NO_SUCH_TABLE, name))
}

#[tonic::async_trait]
impl KeyValue for GrpcState {
    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetReply>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let consistency = consistency_of(asked.consistency).map_err(status)?;
        let key = self.item_key(asked.key).await?;
        checked(Read::Items(vec![key.clone()]))?;
        let item = self.inner.backend.get(&key, consistency).await.map_err(status)?;
        caller.may_see(consistency)?;
        Ok(Response::new(v1::GetReply { item: item.map(grpc::item) }))
    }

    async fn get_many(&self, request: Request<v1::GetManyRequest>) -> Result<Response<v1::GetManyReply>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let consistency = consistency_of(asked.consistency).map_err(status)?;
        if asked.keys.is_empty() || asked.keys.len() > KEYS_MAX {
            return Err(invalid(format!("a read names 1 to {KEYS_MAX} keys")));
        }
        let tables = self.tables(asked.keys.iter().map(|key| key.table.as_str())).await.map_err(status)?;
        let keys = asked.keys.into_iter().map(|key| {
            let table = known(&tables, &key.table)?;
            Ok(TableKey::from_wire(key).resolve(table))
        });
        let keys = keys.collect::<Result<Vec<_>, Problem>>().map_err(status)?;
        let Read::Items(keys) = checked(Read::Items(keys))? else { return Err(invalid("no keys")) };
        let items = self.inner.backend.get_many(keys, consistency).await.map_err(status)?;
        caller.may_see(consistency)?;
        let bytes: usize = items.iter().flatten().map(|item| item.value.len()).sum();
        if bytes > GET_MANY_BYTES_MAX {
            let text = format!(
                "these values have {bytes} bytes together; at most {GET_MANY_BYTES_MAX} go into one answer: ask for fewer"
            );
            return Err(status(Problem::rejected(Code::ResourceExhausted, kind::TOO_MANY, text)));
        }
        let items = items.into_iter().map(|item| v1::GetReply { item: item.map(grpc::item) }).collect();
        Ok(Response::new(v1::GetManyReply { items }))
    }

    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<v1::QueryReply>, Status> {
        let caller = caller(&request)?;
        let (query, consistency) = TableQuery::from_wire(request.into_inner()).map_err(status)?;
        let table = self.table(&query.table).await.map_err(status)?;
        let query = query.resolve(table);
        checked(Read::Range(query.clone()))?;
        let found = self.inner.backend.query(&query, consistency).await.map_err(status)?;
        caller.may_see(consistency)?;
        Ok(Response::new(page(found)))
    }

    async fn scan(&self, request: Request<v1::ScanRequest>) -> Result<Response<v1::ScanReply>, Status> {
        caller(&request)?;
        let asked = request.into_inner();
        if asked.cursor.len() > CURSOR_BYTES_MAX {
            return Err(invalid("this is not a cursor of a scan"));
        }
        let cursor = match asked.cursor.as_str() {
            "" => None,
            text => Some(text.parse::<ScanCursor>().map_err(invalid)?),
        };
        let limit = if asked.limit == 0 { SCAN_ITEMS_MAX } else { asked.limit.min(SCAN_ITEMS_MAX) };
        let table = self.table(&asked.table).await.map_err(status)?;
        let (items, next) = self.inner.backend.scan(table, cursor, limit).await.map_err(status)?;
        let items = items.into_iter().map(|(key, item)| v1::KeyedItem {
            partition_key: key.partition_key,
            sort_key: key.sort_key,
            item: Some(grpc::item(item)),
        });
        let cursor = next.map(|next| next.to_string()).unwrap_or_default();
        Ok(Response::new(v1::ScanReply { items: items.collect(), cursor }))
    }

    async fn size(&self, request: Request<v1::SizeRequest>) -> Result<Response<v1::SizeReply>, Status> {
        caller(&request)?;
        let table = self.table(&request.into_inner().table).await.map_err(status)?;
        Ok(Response::new(v1::SizeReply { items: self.inner.backend.count(table).await.map_err(status)? }))
    }

    async fn transact(&self, request: Request<v1::TransactRequest>) -> Result<Response<v1::TransactReply>, Status> {
        caller(&request)?;
        let asked = request.into_inner();
        if asked.conditions.len() > TRANSACTION_CHANGES_MAX || asked.updates.len() > TRANSACTION_CHANGES_MAX {
            let text = format!("a transaction has at most {TRANSACTION_CHANGES_MAX} conditions and as many changes");
            return Err(invalid(text));
        }
        let asynchronous = asked.asynchronous;
        let transaction =
            TableTransaction::from_wire(asked, |key| self.inner.backend.operation(key)).map_err(status)?;
        let operation = transaction.operation;
        let about = |problem: Problem| status(problem.about(operation));
        let tables = self.tables(names(&transaction)).await.map_err(about)?;
        let transaction = transaction.resolve(|name| known(&tables, name)).map_err(about)?;
        transaction.validate().map_err(|refusal| about(Problem::refused(refusal)))?;
        let committed = if asynchronous {
            self.inner.backend.transact_async(transaction).await.map_err(|error| about(error.problem()))?;
            None
        } else {
            let result = self.inner.backend.transact(transaction).await.map_err(|error| about(error.problem()))?;
            Some(v1::Committed {
                version: Some(version(result.version)),
                time: result.time.0,
                counters: result.counters,
            })
        };
        Ok(Response::new(v1::TransactReply { operation_id: grpc::operation(operation), committed }))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyReply>, Status> {
        caller(&request)?;
        let operation = grpc::operation_of(&request.into_inner().operation_id).map_err(status)?;
        let operation = operation.ok_or_else(|| invalid("no operation id was given"))?;
        let answer =
            self.inner.backend.verify(operation).await.map_err(|error| status(error.problem().about(operation)))?;
        Ok(Response::new(verdict(&answer)))
    }

    type WatchStream = BoxStream<'static, Result<v1::WatchReply, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = caller(&request)?;
        self.begin_watch(caller, request.into_inner()).await.map(Response::new)
    }
}

/// The tables that a transaction names.
fn names(transaction: &TableTransaction) -> impl Iterator<Item = &str> {
    let conditions = transaction.conditions.iter().map(|condition| condition.table.as_str());
    let updates = transaction.updates.iter().map(|update| match update {
        TableUpdate::Put { table, .. } | TableUpdate::Delete { table, .. } | TableUpdate::Add { table, .. } => {
            table.as_str()
        }
    });
    conditions.chain(updates)
}
