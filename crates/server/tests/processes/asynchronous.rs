//! Asynchronous writes: `verify` tells the truth, over the head's death too, and the same
//! operation id sent again applies once.

use crate::demo::Demo;
use bytes::Bytes;
use std::time::Duration;
use types::{KeyHash, TableKind, Verdict};

const TABLE: &str = "jobs";

#[test]
fn verify_tells_the_truth_after_the_head_has_died() {
    let demo = Demo::start(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let remote = demo.remote(&[]).await;
        remote.create_table(TABLE, TableKind::Strong, true).await.unwrap();
        for round in 0..3u16 {
            // A burst of writes under one key, each adding one to a counter, sent without waiting.
            let name = format!("round {round}");
            let mut sent = Vec::new();
            for _ in 0..20 {
                let add = remote.transaction(name.clone()).add(TABLE, Bytes::from_static(b"count"), 1, 0..=i64::MAX);
                if remote.transact_async(&add).await.is_ok() {
                    sent.push(add);
                }
            }
            demo.kill(head_of(&name, &demo).await);
            let mut applied = 0;
            for add in &sent {
                match settled(&remote, add.operation).await {
                    Verdict::Applied { .. } => {
                        applied += 1;
                        // Sent again it is the same write, not another.
                        remote.transact(add).await.unwrap();
                    }
                    Verdict::NotApplied => {
                        // Final: it is refused for ever.
                        remote.transact(add).await.unwrap_err();
                    }
                    other => panic!("{other:?}"),
                }
            }
            let counted = counter(&remote, &name).await;
            println!("round {round}: {} sent, {applied} applied", sent.len());
            assert_eq!(counted, applied, "the counter agrees with what verify said");
            for node in 1..=3 {
                let _ = demo.act(&["start", &node.to_string()]);
            }
            demo.wait_whole(3);
        }
    });
}

async fn settled(remote: &client::remote::Remote, operation: types::OperationId) -> Verdict {
    let begun = std::time::Instant::now();
    loop {
        match remote.verify(operation).await {
            Ok(Verdict::Pending) => {}
            Ok(verdict) => return verdict,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "pending for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn counter(remote: &client::remote::Remote, name: &str) -> i64 {
    let key = client::remote::TableKey::new(TABLE, name.to_string(), Bytes::from_static(b"count"));
    let item = remote.get(&key, types::Consistency::Strong).await.unwrap();
    item.map_or(0, |item| types::transaction::from_sortable(item.value[..].try_into().unwrap()))
}

/// The demo's number of the node that heads the key's chain, as the map says.
async fn head_of(name: &str, demo: &Demo) -> u16 {
    let layout = demo.inside().await.layout();
    let chain = layout.chain(layout.partition(KeyHash::of(name.as_bytes()))).expect("a chain");
    let head = chain.head().expect("a head").node;
    let position = demo.nodes().iter().position(|node| node["node_id"] == head.0).expect("the head is in the demo");
    position as u16 + 1
}

#[test]
fn the_command_line_gives_an_operation_id_at_once_and_verifies_it() {
    let demo = Demo::start(1);
    demo.ok(&["table", "create", "t"]);
    let id = demo.ok(&["kv", "put", "key", "value with spaces", "--table", "t", "--async"]);
    let id = id.split_whitespace().find(|word| word.len() == 64).expect("an operation id").to_string();
    let verdict = crate::demo::wait_for("the write to be applied", Duration::from_secs(10), || {
        let said = demo.ok(&["kv", "verify", &id]);
        said.contains("applied").then_some(said)
    });
    println!("{verdict}");
    assert_eq!(demo.ok(&["kv", "get", "key", "--table", "t"]).trim_end(), "value with spaces");
    assert_eq!(demo.ok(&["kv", "size", "--table", "t"]).trim(), "1");
}
