//! Looking for every acknowledged write, through every gateway, after all else has ended; and that all can be written.

use crate::clients::{Client, Way, place};
use crate::load::Load;
use crate::record::Recorder;
use client::remote::TableKey;
use simulator::history::{Call, Operation, Outcome, Reply, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::Consistency;

/// Keys of one request.
const AT_ONCE: usize = 500;
/// How long a whole cluster may refuse to be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads all keys that anybody wrote; what is found goes into the history, for the judge.
pub async fn read_all(gateways: &[Way], recorder: &Arc<Recorder>) -> Result<(), String> {
    let history = recorder.history();
    let once = |operation: &&Operation| operation.key.starts_with("once-") && operation.outcome != Outcome::Refused;
    let once: BTreeSet<&str> = history.iter().filter(once).map(|operation| operation.key.as_str()).collect();
    let once: Vec<&str> = once.into_iter().collect();
    for (number, way) in gateways.iter().enumerate() {
        let remote = way.connect().await.map_err(|error| format!("{}: {error}", way.gateways[0]))?;
        let client = Client { id: 1_000 + number as u64, way: way.clone(), remote, recorder: recorder.clone() };
        for (key, items) in Load::keys() {
            let fresh = Value::from(format!("{}.{key}", client.id).as_str());
            let (read, write) = match items.first().cloned() {
                None => (Call::Get, Call::Put { value: fresh }),
                Some(item) => {
                    let writes = BTreeMap::from([(item, Some(fresh))]);
                    (Call::GetMany { items }, Call::Transact { tests: BTreeMap::new(), writes })
                }
            };
            insist(&client, &key, read).await?;
            insist(&client, &key, write).await?;
        }
        for keys in once.chunks(AT_ONCE) {
            read_once(&client, keys).await?;
        }
    }
    Ok(())
}

/// Asks until it is done.
async fn insist(client: &Client, key: &str, call: Call) -> Result<(), String> {
    let begun = Instant::now();
    while !matches!(client.ask(key.to_string(), call.clone(), false).await.outcome, Outcome::Ok(_)) {
        if begun.elapsed() > PATIENCE {
            return Err(format!(
                "through {}, with nothing amiss, for {PATIENCE:?} not done: {key} {call:?}",
                client.via()
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn read_once(client: &Client, keys: &[&str]) -> Result<(), String> {
    let (table, sort_key) = place("");
    let items: Vec<TableKey> = keys.iter().map(|key| TableKey::new(table, key.to_string(), sort_key.clone())).collect();
    let (begun, invoked) = (Instant::now(), client.recorder.now());
    let found = loop {
        match client.remote.get_many(&items, Consistency::Strong).await {
            Ok(found) => break found,
            Err(error) if begun.elapsed() > PATIENCE => {
                return Err(format!("reading through {}: {error}", client.via()));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let returned = Some(client.recorder.now());
    for (key, item) in keys.iter().zip(found) {
        let outcome = Outcome::Ok(Reply::Read { found: item.map(|item| Value(item.value)) });
        let (client_id, key, call) = (client.id, key.to_string(), Call::Get);
        let operation = Operation { client: client_id, key, call, outcome, invoked, returned };
        client.recorder.ended("get at the end", operation, client.via(), "");
    }
    Ok(())
}
