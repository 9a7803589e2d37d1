//! Tables by name, and requests that any node takes.

use crate::link::Failure;
use crate::patience::{Heard, Patience};
use crate::router::Router;
use crate::{Client, ClientError};
use rpc::codec;
use rpc::wire::{CreateTable, Fault, method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify, Layout, TableId, TableKind, TableSpec};

/// How long the map may take to show a table that was just made.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);

impl Client {
    /// A table's number, by the map held.
    pub fn table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        let found = self.layout().table(namespace, name).map(|table| table.id);
        found.ok_or_else(|| ClientError::NoSuchTable(name.to_string()))
    }

    /// A table's number; asks for a newer map when the one held does not have it.
    pub async fn find_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        if let Ok(id) = self.table(namespace, name) {
            return Ok(id);
        }
        self.router.refresh(self.layout().version, None).await;
        self.table(namespace, name)
    }

    /// The number of a strong table, which is made when it is missing.
    pub async fn ensure_table(&self, namespace: &str, name: &str) -> Result<TableId, ClientError> {
        if let Some(table) = self.layout().table(namespace, name)
            && table.kind == TableKind::Strong
        {
            return Ok(table.id);
        }
        let request = CreateTable {
            namespace: namespace.into(),
            name: name.into(),
            kind: TableKind::Strong,
            owner: namespace.into(),
            or_existing: true,
        };
        self.make_table(request).await.map(|table| table.id)
    }

    /// Makes a table.
    pub async fn create_table(
        &self,
        namespace: &str,
        name: &str,
        kind: TableKind,
        owner: &str,
    ) -> Result<TableSpec, ClientError> {
        if kind == TableKind::Available {
            return Err(ClientError::NotOffered("a table of kind `available`".into()));
        }
        let (namespace, name, owner) = (namespace.to_string(), name.to_string(), owner.to_string());
        self.make_table(CreateTable { namespace, name, kind, owner, or_existing: false }).await
    }

    async fn make_table(&self, request: CreateTable) -> Result<TableSpec, ClientError> {
        let found = |layout: &Layout| layout.table(&request.namespace, &request.name).cloned();
        let spec = match self.router.ask_any::<TableSpec>(method::CREATE_TABLE, &request).await {
            Ok(spec) => spec,
            Err(AnyFailure { failure, open, tried }) => {
                self.router.refresh(self.layout().version, None).await;
                let layout = self.layout();
                match (found(&layout), open) {
                    // An attempt whose answer was lost may have made it: then it looks exactly so.
                    (Some(table), Some(_)) if table.kind == request.kind && table.owner == request.owner => table,
                    (Some(_), _) if failure.action() == Action::Rejected && !request.or_existing => {
                        return Err(ClientError::TableExists(request.name));
                    }
                    (_, Some(why)) => {
                        let what = format!("the table {} was made", request.name);
                        return Err(ClientError::Uncertain { what, why });
                    }
                    (_, None) => return Err(failure.into_error(tried, &layout)),
                }
            }
        };
        self.shown(|layout| layout.tables.contains_key(&spec.id)).await;
        Ok(spec)
    }

    /// Deletes a table and all that it holds.
    pub async fn delete_table(&self, namespace: &str, name: &str) -> Result<(), ClientError> {
        let id = self.find_table(namespace, name).await?;
        match self.router.ask_any::<()>(method::DELETE_TABLE, &id).await {
            Ok(()) => {}
            Err(AnyFailure { failure: Failure::Fault(Fault::NoSuchTable(_)), open, .. }) => {
                if open.is_none() {
                    return Err(ClientError::NoSuchTable(name.into()));
                }
            }
            Err(AnyFailure { open: Some(why), .. }) => {
                return Err(ClientError::Uncertain { what: format!("the table {name} was deleted"), why });
            }
            Err(AnyFailure { failure, tried, .. }) => return Err(failure.into_error(tried, &self.layout())),
        }
        self.shown(|layout| !layout.tables.contains_key(&id)).await;
        Ok(())
    }

    /// Waits a while until the map shows it.
    async fn shown(&self, shows: impl Fn(&Layout) -> bool) {
        let until = Instant::now() + SHOWN_WITHIN;
        loop {
            let layout = self.layout();
            if shows(&layout) || Instant::now() >= until {
                return;
            }
            self.router.refresh(layout.version, None).await;
            self.router.pause_for(layout.version, Duration::from_millis(20)).await;
        }
    }
}

/// Why no node did what any of them could.
pub(crate) struct AnyFailure {
    /// The last thing heard.
    pub(crate) failure: Failure,
    /// Why an attempt may have been carried out all the same, if one may.
    pub(crate) open: Option<String>,
    pub(crate) tried: Vec<String>,
}

impl Router {
    /// Asks one node after the other until one does it, one refuses it, or time is up.
    pub(crate) async fn ask_any<R: DeserializeOwned>(
        &self,
        method: u16,
        request: &impl Serialize,
    ) -> Result<R, AnyFailure> {
        let body = codec::encode(request);
        let mut patience = Patience::new(self.config.timeouts.request, self.config.timeouts.write_attempt);
        let mut heard = Heard::default();
        let mut open = None;
        loop {
            let layout = self.map.current();
            for address in self.any_node(&layout) {
                let Some(timeout) = patience.attempt() else {
                    let (failure, tried) = heard.into_last();
                    return Err(AnyFailure { failure, open, tried });
                };
                self.health.begin(&address);
                match self.link.call(&address, method, body.clone(), timeout).await {
                    Ok((reply, _)) => {
                        self.health.good(&address);
                        return Ok(reply);
                    }
                    Err(failure) => {
                        if failure.blames_node() {
                            self.health.bad(&address);
                        } else {
                            self.health.good(&address);
                        }
                        let action = failure.action();
                        if action == Action::Unknown {
                            open = Some(failure.to_string());
                        }
                        heard.failed(&address, failure);
                        if action == Action::Rejected {
                            let (failure, tried) = heard.into_last();
                            return Err(AnyFailure { failure, open, tried });
                        }
                    }
                }
            }
            patience.grow();
            self.pause(layout.version, &mut patience).await;
        }
    }
}
