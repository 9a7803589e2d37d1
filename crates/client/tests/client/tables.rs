//! Tables by name, and what any node answers.

use crate::fake::{Cluster, TABLE};
use crate::faults::Act;
use client::ClientError;
use rpc::wire::{Fault, method};
use std::time::Duration;
use types::*;

#[tokio::test]
async fn names_become_numbers() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    assert_eq!(client.table("kv", "things"), Ok(TABLE));
    assert_eq!(client.table("mail", "things"), Err(ClientError::NoSuchTable("things".into())));
    // Made by somebody else, and not in the map held yet.
    let other = cluster.client().await;
    let id = other.ensure_table("kv", "new").await.unwrap();
    assert_eq!(other.table("kv", "new"), Ok(id), "shown to its maker at once");
    assert_eq!(client.find_table("kv", "new").await, Ok(id));
    assert_eq!(client.ensure_table("kv", "new").await, Ok(id));
}

#[tokio::test]
async fn tables_are_made_once_and_deleted() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    let spec = client.create_table("kv", "new", TableKind::Strong, "ada").await.unwrap();
    assert_eq!((&*spec.name, &*spec.owner), ("new", "ada"));
    let again = client.create_table("kv", "new", TableKind::Strong, "ada").await;
    assert_eq!(again, Err(ClientError::TableExists("new".into())));
    let available = client.create_table("kv", "basket", TableKind::Available, "ada").await;
    assert!(matches!(available, Err(ClientError::NotOffered(_))));
    client.delete_table("kv", "new").await.unwrap();
    assert_eq!(client.delete_table("kv", "new").await, Err(ClientError::NoSuchTable("new".into())));
}

#[tokio::test]
async fn a_lost_answer_to_an_act_without_operation_id_is_looked_into() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    let node = NodeId(1);
    cluster.script.queue(node, method::CREATE_TABLE, [Act::ServeAndSwallow]);
    let spec = client.create_table("kv", "new", TableKind::Strong, "ada").await.unwrap();
    assert_eq!(cluster.layout().tables[&spec.id], spec);
    cluster.script.queue(node, method::DELETE_TABLE, [Act::ServeAndSwallow]);
    client.delete_table("kv", "new").await.unwrap();
    cluster.script.always(node, method::CREATE_TABLE, Act::Swallow);
    let lost = client.create_table("kv", "other", TableKind::Strong, "ada").await.unwrap_err();
    assert!(matches!(lost, ClientError::Uncertain { .. }) && lost.action() == Action::Unknown, "{lost}");
    cluster.script.always(node, method::CREATE_TABLE, Act::Refuse(Fault::NoLeader("an election".into())));
    let refused = client.create_table("kv", "third", TableKind::Strong, "ada").await.unwrap_err();
    assert_eq!(refused, ClientError::NoLeader("an election".into()));
}

#[tokio::test]
async fn every_node_says_how_it_is() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    cluster.kill(NodeId(2));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let status = client.node_status().await;
    let fine: Vec<(u64, bool)> = status.iter().map(|(node, status)| (node.0, status.is_ok())).collect();
    assert_eq!(fine, [(1, true), (2, false), (3, true)]);
    assert!(client.make_join_token(Duration::from_secs(60)).await.unwrap().starts_with("token of node"));
}
