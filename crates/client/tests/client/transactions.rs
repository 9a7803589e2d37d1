//! Writes: retried under one operation id; unknown is unknown and failed is failed.

use crate::fake::{Cluster, TABLE, number};
use crate::faults::Act;
use bytes::Bytes;
use client::{Client, ClientError};
use rpc::wire::{Fault, method};
use std::sync::Arc;
use std::time::{Duration, Instant};
use types::*;

const KEY: &[u8] = b"someone";
const COUNTER: &[u8] = b"counter";

fn transaction(client: &Client, conditions: Vec<Condition>, updates: Vec<Update>) -> Transaction {
    let partition_key = Bytes::from_static(KEY);
    Transaction { operation: client.operation(KEY), partition_key, conditions, updates }
}

/// Adds one: applied twice, it would show.
fn add(client: &Client) -> Transaction {
    let sort_key = Bytes::from_static(COUNTER);
    let update = Update::Add { table: TABLE, sort_key, delta: 1, min: 0, max: i64::MAX };
    transaction(client, Vec::new(), vec![update])
}

fn put(client: &Client, sort_key: &'static [u8], value: &'static [u8]) -> Transaction {
    let update = Update::Put { table: TABLE, sort_key: sort_key.into(), value: value.into(), expires: None };
    transaction(client, Vec::new(), vec![update])
}

/// Puts only where nothing is.
fn create(client: &Client, sort_key: &'static [u8]) -> Transaction {
    let condition = Condition { table: TABLE, sort_key: Bytes::from_static(sort_key), test: Test::Absent };
    Transaction { conditions: vec![condition], ..put(client, sort_key, b"made") }
}

/// How often the counter was added to.
fn counted(cluster: &Cluster) -> i64 {
    let key = ItemKey::new(TABLE, KEY, COUNTER);
    cluster.store.lock().items.get(&key).map_or(0, |item| number(&item.value))
}

async fn started() -> (Arc<Cluster>, Client, NodeId) {
    let cluster = Cluster::start(3).await;
    let client = cluster.client().await;
    let head = cluster.head(KEY);
    (cluster, client, head)
}

#[tokio::test]
async fn a_write_is_acknowledged_and_read_back() {
    let (cluster, client, head) = started().await;
    let result = client.transact(add(&client)).await.unwrap();
    assert_eq!((result.counters, cluster.asked(method::TRANSACT)), (vec![1], vec![head]));
    let item = client.get(&ItemKey::new(TABLE, KEY, COUNTER), Consistency::Strong).await.unwrap().unwrap();
    assert_eq!((number(&item.value), item.version), (1, result.version));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_operation() {
    for lost in [
        Act::ServeAndSwallow,
        Act::ServeAndRefuse(Fault::Unknown("the tail went".into())),
        Act::ServeLate(Duration::from_millis(600)),
        Act::Swallow,
    ] {
        let (cluster, client, head) = started().await;
        cluster.script.queue(head, method::TRANSACT, [lost.clone()]);
        let transaction = add(&client);
        let operation = transaction.operation;
        let result = client.transact(transaction).await.unwrap();
        assert_eq!(result.counters, [1], "{lost:?}");
        let operations = cluster.operations(method::TRANSACT);
        assert!(operations.len() >= 2 && operations.iter().all(|each| *each == operation), "{lost:?}");
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(counted(&cluster), 1, "{lost:?}");
    }
}

#[tokio::test]
async fn a_head_that_dies_after_applying_is_replaced_and_the_write_found() {
    let (cluster, client, head) = started().await;
    cluster.script.queue(head, method::TRANSACT, [Act::ServeAndDie]);
    let failover = async {
        while cluster.asked(method::TRANSACT).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.change_layout(|layout| {
            layout.nodes.get_mut(&head).unwrap().alive = false;
            for chain in &mut layout.chains {
                chain.epoch = chain.epoch.next();
                chain.members.retain(|member| member.replica.node != head);
            }
        });
    };
    let (result, ()) = tokio::join!(client.transact(add(&client)), failover);
    assert_eq!(result.unwrap().counters, [1]);
    assert_eq!(counted(&cluster), 1);
}

#[tokio::test]
async fn an_outcome_that_nobody_can_tell_is_unknown() {
    let (cluster, client, head) = started().await;
    cluster.script.queue(head, method::TRANSACT, [Act::ServeAndSwallow]);
    cluster.script.always(head, method::TRANSACT, Act::Refuse(Fault::NotReady("no lease".into())));
    cluster.script.always(head, method::VERIFY, Act::Refuse(Fault::NotReady("no lease".into())));
    let transaction = add(&client);
    let operation = transaction.operation;
    let error = client.transact(transaction).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unknown { operation: named, .. } if *named == operation), "{error}");
    assert!(error.to_string().contains(&operation.to_string()));
}

#[tokio::test]
async fn an_outcome_that_verify_tells_is_known() {
    // Applied, and only `verify` can say so.
    let (cluster, client, head) = started().await;
    cluster.script.queue(head, method::TRANSACT, [Act::ServeAndSwallow]);
    cluster.script.always(head, method::TRANSACT, Act::Refuse(Fault::NotReady("no lease".into())));
    let result = client.transact(put(&client, b"row", b"value")).await.unwrap();
    assert_eq!(result.version, Version::new(1, 1));
    // Not applied, and fenced off for good.
    let (cluster, client, head) = started().await;
    cluster.script.queue(head, method::TRANSACT, [Act::Swallow]);
    cluster.script.always(head, method::TRANSACT, Act::Refuse(Fault::NotReady("no lease".into())));
    let transaction = add(&client);
    let operation = transaction.operation;
    let error = client.transact(transaction).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { why, .. } if why.contains("nothing was written")), "{error}");
    assert!(cluster.store.lock().fenced.contains(&operation));
}

#[tokio::test]
async fn counters_of_a_write_that_only_verify_knows_are_not_made_up() {
    let (cluster, client, head) = started().await;
    cluster.script.queue(head, method::TRANSACT, [Act::ServeAndSwallow]);
    cluster.script.always(head, method::TRANSACT, Act::Refuse(Fault::NotReady("no lease".into())));
    let error = client.transact(add(&client)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unknown { why, .. } if why.contains("applied as version 1.1")), "{error}");
}

#[tokio::test]
async fn a_refusal_after_a_lost_attempt_waits_for_the_fence() {
    // The first attempt is still on its way while the second is refused, and comes after the
    // obstacle has gone: without a fence it would be applied after the refusal was reported.
    let (cluster, client, head) = started().await;
    client.transact(put(&client, b"row", b"in the way")).await.unwrap();
    cluster.script.queue(head, method::TRANSACT, [Act::ServeLate(Duration::from_millis(900))]);
    let error = client.transact(create(&client, b"row")).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refusal::Condition { .. })), "{error}");
    cluster.store.lock().items.clear();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(cluster.store.lock().items.is_empty(), "what was reported as refused came true");
}

#[tokio::test]
async fn a_plain_refusal_is_reported_at_once() {
    let (cluster, client, _) = started().await;
    client.transact(create(&client, b"row")).await.unwrap();
    let error = client.transact(create(&client, b"row")).await.unwrap_err();
    let found = Some(Version::new(1, 1));
    assert_eq!(error, ClientError::Refused(Refusal::Condition { index: 0, found }));
    assert_eq!(cluster.asked(method::TRANSACT).len(), 2);
    assert!(cluster.asked(method::VERIFY).is_empty());
}

#[tokio::test]
async fn what_was_surely_not_applied_is_never_unknown() {
    let cases = [
        (Fault::Busy, "the cluster is busy; nothing was written, try again shortly"),
        (Fault::NotReady("no lease".into()), "nothing was written"),
        (Fault::NotServing { partition: PartitionId(0), layout: LayoutVersion(1) }, "nothing was written"),
        (Fault::TooFewReplicas { have: 1, need: 2 }, "only 1 of the 2 replicas that a write needs"),
        (Fault::NoSpace { node: NodeId(3) }, "no space left on node 3; nothing was written"),
        (Fault::Invalid("too odd".into()), "too odd"),
        (Fault::NoSuchTable(TableId(9)), "there is no table number 9"),
    ];
    let cases = cases.map(|(fault, want)| async move {
        let (cluster, client, head) = started().await;
        cluster.script.always(head, method::TRANSACT, Act::Refuse(fault.clone()));
        let began = Instant::now();
        let error = client.transact(add(&client)).await.unwrap_err();
        assert!(error.action() != Action::Unknown && error.to_string().contains(want), "{fault:?}: {error}");
        if fault.action() == Action::Rejected {
            assert!(began.elapsed() < Duration::from_millis(2900), "{fault:?} took {:?}", began.elapsed());
        }
        assert!(cluster.asked(method::VERIFY).is_empty(), "{fault:?}");
    });
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn nobody_to_be_reached_is_unreachable() {
    let (cluster, client, _) = started().await;
    client.transact(add(&client)).await.unwrap();
    for node in 1..=3 {
        cluster.kill(NodeId(node));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = client.transact(add(&client)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn too_few_replicas_may_pass() {
    let (cluster, _, head) = started().await;
    let mut config = cluster.config();
    config.timeouts.too_few_replicas = config.timeouts.request;
    let client = Client::connect(config).await.unwrap();
    let few = || Act::Refuse(Fault::TooFewReplicas { have: 1, need: 2 });
    cluster.script.queue(head, method::TRANSACT, [few(), few()]);
    assert_eq!(client.transact(add(&client)).await.unwrap().counters, [1]);
}

#[tokio::test]
async fn a_moved_head_is_found() {
    let (cluster, client, head) = started().await;
    let moved = |layout: &mut Layout| {
        for chain in &mut layout.chains {
            chain.epoch = chain.epoch.next();
            chain.members.rotate_left(1);
        }
    };
    // The node that answers the long poll keeps quiet: only the refusal tells.
    for node in 1..=3 {
        cluster.script.queue(NodeId(node), method::LAYOUT, [Act::Serve]);
    }
    cluster.change_layout(moved);
    assert_eq!(client.transact(add(&client)).await.unwrap().counters, [1]);
    assert_ne!(cluster.head(KEY), head);
    assert_eq!(cluster.asked(method::TRANSACT).last(), Some(&cluster.head(KEY)));
    assert_eq!(client.layout().version, LayoutVersion(2));
}

#[tokio::test]
async fn a_frozen_head_is_left_as_soon_as_the_map_says_so() {
    let (cluster, _, head) = started().await;
    let mut config = cluster.config();
    config.timeouts.write_attempt = Duration::from_secs(60);
    config.timeouts.request = Duration::from_secs(60);
    let client = Client::connect(config).await.unwrap();
    cluster.script.always(head, method::TRANSACT, Act::Swallow);
    let failover = async {
        while cluster.asked(method::TRANSACT).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cluster.change_layout(|layout| {
            for chain in &mut layout.chains {
                chain.members.retain(|member| member.replica.node != head);
            }
        });
    };
    let began = Instant::now();
    let (result, ()) = tokio::join!(client.transact(add(&client)), failover);
    assert_eq!(result.unwrap().counters, [1]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_asynchronous_write_is_verified_afterwards() {
    let (cluster, client, head) = started().await;
    cluster.script.queue(head, method::TRANSACT, [Act::ServeAndSwallow]);
    let operation = client.transact_async(add(&client)).await.unwrap();
    assert!(matches!(client.verify(operation).await.unwrap(), Verdict::Applied { .. }));
    assert_eq!(counted(&cluster), 1);
    assert_eq!(client.verify(client.operation(KEY)).await.unwrap(), Verdict::NotApplied);
}

#[tokio::test]
async fn bounds_are_checked_before_anything_is_sent() {
    let (cluster, client, _) = started().await;
    let mut foreign = add(&client);
    foreign.operation = client.operation(b"someone else");
    assert!(matches!(client.transact(foreign).await, Err(ClientError::Invalid(_))));
    let empty = Transaction { partition_key: Bytes::new(), ..add(&client) };
    assert!(matches!(client.transact(empty).await, Err(ClientError::Refused(Refusal::Invalid(_)))));
    assert!(cluster.asked(method::TRANSACT).is_empty());
}

/// Whatever happens to attempts: done means done once, failed means never, in the end too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_true_whatever_happens_to_attempts() {
    use rand::{Rng, SeedableRng};
    let seed: u64 =
        std::env::var("ATOLL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let cases = (0..48).map(|case| tokio::spawn(one_case(seed.wrapping_add(case))));
    for (case, result) in futures::future::join_all(cases).await.into_iter().enumerate() {
        result.unwrap_or_else(|error| panic!("ATOLL_TEST_SEED={}: {error}", seed.wrapping_add(case as u64)));
    }

    async fn one_case(seed: u64) {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let (cluster, client, head) = started().await;
        let mut act = || match random.random_range(0..12) {
            0 | 1 => Act::Swallow,
            2 | 3 => Act::ServeAndSwallow,
            4..=6 => Act::ServeLate(Duration::from_millis(random.random_range(300..2500))),
            7 => Act::ServeAndRefuse(Fault::Unknown("the tail went".into())),
            8 => Act::Refuse(Fault::NotReady("no lease".into())),
            9 => Act::Refuse(Fault::TooFewReplicas { have: 1, need: 2 }),
            10 => Act::Refuse(Refusal::Condition { index: 0, found: None }.into()),
            _ => Act::Serve,
        };
        let acts: Vec<Act> = (0..5).map(|_| act()).collect();
        let verifies: Vec<Act> = (0..2).map(|_| act()).collect();
        // A verdict that is refused as a condition would be makes no sense.
        let verifies = verifies.into_iter().filter(|act| !matches!(act, Act::Refuse(Fault::Refused(_))));
        cluster.script.queue(head, method::TRANSACT, acts.clone());
        cluster.script.queue(head, method::VERIFY, verifies);
        let result = client.transact(add(&client)).await;
        let then = counted(&cluster);
        tokio::time::sleep(Duration::from_millis(2600)).await;
        let in_the_end = counted(&cluster);
        match &result {
            Ok(result) => assert_eq!((&result.counters[..], then, in_the_end), (&[1][..], 1, 1), "{acts:?}"),
            Err(ClientError::Unknown { .. }) => assert!(in_the_end <= 1, "{acts:?}"),
            Err(error) => assert_eq!((then, in_the_end), (0, 0), "{error}: {acts:?}"),
        }
        let operations = cluster.operations(method::TRANSACT);
        assert!(operations.iter().all(|operation| *operation == operations[0]), "{acts:?}: {operations:?}");
    }
}
