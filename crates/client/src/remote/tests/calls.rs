//! What is sent again, where, and what is known in the end.

use super::super::{RemoteError, TableKey, TableTransaction};
use super::scripted::{Script, Scripted, Step};
use super::*;
use rpc::grpc::{Problem, kind, v1, verdict};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tonic::{Code, Status};
use types::{Action, Classify, Consistency, HybridTime, Refusal, TableKind, Test, Verdict, Version};

fn committed() -> v1::TransactReply {
    let version = Some(v1::Version { epoch: 3, sequence: 7 });
    v1::TransactReply { committed: Some(v1::Committed { version, time: 9, counters: vec![] }), ..Default::default() }
}

fn refused() -> Status {
    Problem::refused(Refusal::Condition { index: 0, found: None }).to_status()
}

/// As when a connection breaks after the request has gone: nothing of the gateway's own.
fn lost() -> Status {
    Status::unavailable("the connection broke")
}

fn busy() -> Status {
    Problem::retry(kind::BUSY, "busy").to_status()
}

/// A gateway whose transactions and verdicts always end so.
async fn gateway(transact: fn() -> Step<v1::TransactReply>, verdict_is: Option<Verdict>) -> Scripted {
    let script = Script {
        transact: Some(Box::new(move |_| transact())),
        verify: Some(Box::new(move |_| match &verdict_is {
            Some(answer) => Step::Answer(verdict(answer)),
            None => Step::Error(lost()),
        })),
        ..Script::default()
    };
    Scripted::start(script).await
}

fn write(remote: &Remote) -> TableTransaction {
    remote.transaction("p").check("t", "s", Test::Absent).put("t", "s", "v")
}

const APPLIED: Verdict =
    Verdict::Applied { version: Version { epoch: types::Epoch(3), seq: types::Seq(7) }, time: HybridTime(9) };

#[tokio::test]
async fn the_next_gateway_is_taken_when_the_first_is_not_there() {
    let good = gateway(|| Step::Answer(committed()), None).await;
    let remote = connect(&[&nobody().await, &good.address]).await;
    assert_eq!(remote.address(), good.address);
    let began = Instant::now();
    remote.transact(&write(&remote)).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(300), "the one that answered is remembered");
}

#[tokio::test]
async fn a_lost_write_is_repeated_under_its_own_id() {
    for step in [|| Step::Error(lost()), || Step::Silence, || Step::Error(busy())] {
        let bad = gateway(step, None).await;
        let good = gateway(|| Step::Answer(committed()), None).await;
        let remote = connect(&[&bad.address, &good.address]).await;
        let write = write(&remote);
        assert_eq!(remote.transact(&write).await.unwrap().version, Version::new(3, 7));
        assert_eq!(bad.heard(), [write.operation.to_string()]);
        assert_eq!(good.heard(), [write.operation.to_string()]);
    }
}

#[tokio::test]
async fn a_refusal_after_a_lost_attempt_is_not_the_last_word() {
    type Check = fn(Result<types::TransactionResult, RemoteError>) -> bool;
    let cases: [(Option<Verdict>, Check); 5] = [
        (Some(APPLIED), |outcome| outcome.is_ok_and(|done| done.version == Version::new(3, 7))),
        (Some(Verdict::NotApplied), |outcome| {
            matches!(outcome, Err(RemoteError::Refused(Refusal::Condition { index: 0, found: None })))
        }),
        (Some(Verdict::Pending), |outcome| outcome.is_err_and(|error| error.action() == Action::Unknown)),
        (Some(Verdict::Unknown), |outcome| outcome.is_err_and(|error| error.action() == Action::Unknown)),
        (None, |outcome| outcome.is_err_and(|error| error.action() == Action::Unknown)),
    ];
    for (answer, check) in cases {
        let bad = gateway(|| Step::Error(lost()), answer.clone()).await;
        let good = gateway(|| Step::Error(refused()), answer.clone()).await;
        let remote = connect(&[&bad.address, &good.address]).await;
        let outcome = remote.transact(&write(&remote)).await;
        let said = format!("{outcome:?}");
        assert!(check(outcome), "{answer:?}: {said}");
    }
}

#[tokio::test]
async fn a_refusal_at_once_needs_no_verdict() {
    let good = gateway(|| Step::Error(refused()), Some(APPLIED)).await;
    let remote = connect(&[&good.address]).await;
    let write = write(&remote);
    let outcome = remote.transact(&write).await;
    assert!(matches!(outcome, Err(RemoteError::Refused(Refusal::Condition { .. }))), "{outcome:?}");
    assert_eq!(good.heard(), [write.operation.to_string()]);
}

#[tokio::test]
async fn what_nobody_can_tell_is_unknown_and_names_its_operation() {
    let unknown = || Step::Error(Problem::unknown(None, "the head was lost").to_status());
    for step in [unknown, || Step::Error(lost()), || Step::Silence] {
        let bad = gateway(step, None).await;
        let remote = connect(&[&bad.address]).await;
        let write = write(&remote);
        match remote.transact(&write).await {
            Err(RemoteError::Unknown { operation, .. }) => assert_eq!(operation, Some(write.operation)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_a_gateway_answered_is_not_lost_to_a_last_attempt_that_is_cut_short() {
    let waiting = || {
        let problem = Problem::retry(kind::WAITING, "partition 7 waits for node 3");
        Step::Late(Duration::from_millis(1500), problem.to_status())
    };
    let slow = gateway(waiting, None).await;
    let brief = Options { attempt: Duration::from_secs(4), total: Duration::from_millis(2500), ..options() };
    let remote = Remote::with_options(vec![slow.address.clone()], Some("a-token".into()), brief).await.unwrap();
    let outcome = remote.transact(&write(&remote)).await;
    assert!(matches!(&outcome, Err(RemoteError::Waiting(why)) if why.contains("node 3")), "{outcome:?}");
    assert_eq!(slow.heard().len(), 1, "the next would have been cut short");
}

#[tokio::test]
async fn a_write_that_nobody_took_is_not_unknown() {
    let bad = gateway(|| Step::Error(busy()), None).await;
    let remote = connect(&[&bad.address]).await;
    let began = Instant::now();
    let outcome = remote.transact(&write(&remote)).await;
    assert!(matches!(&outcome, Err(RemoteError::Busy(_))), "{outcome:?}");
    assert!(began.elapsed() >= Duration::from_secs(1), "it was tried for a while");
    assert!(bad.heard().len() > 3, "{:?}", bad.heard());
    assert!(!bad.heard().contains(&"verify".to_string()));
}

#[tokio::test]
async fn a_read_is_never_unknown() {
    let script = Script { get: Some(Box::new(|_| Step::Error(lost()))), ..Script::default() };
    let bad = Scripted::start(script).await;
    let remote = connect(&[&bad.address]).await;
    let read = remote.get(&TableKey::new("t", "p", "s"), Consistency::Strong).await;
    assert!(matches!(read, Err(RemoteError::Unreachable { .. })), "{read:?}");
}

#[tokio::test]
async fn what_would_be_done_twice_is_sent_once() {
    let script = || Script { create_table: Some(Box::new(|_| Step::Error(lost()))), ..Script::default() };
    let (one, two) = (Scripted::start(script()).await, Scripted::start(script()).await);
    let remote = connect(&[&one.address, &two.address]).await;
    let made = remote.create_table("t", TableKind::Strong, false).await;
    assert!(matches!(made, Err(RemoteError::Unknown { operation: None, .. })), "{made:?}");
    assert_eq!((one.heard().len(), two.heard().len()), (1, 0));
    // Where that is harmless it is sent everywhere, and unknown all the same.
    let made = remote.create_table("t", TableKind::Strong, true).await;
    assert!(matches!(made, Err(RemoteError::Unknown { operation: None, .. })), "{made:?}");
    assert!(two.heard().len() > 1);
}

#[tokio::test]
async fn a_busy_gateway_is_asked_again_even_for_what_is_sent_once() {
    let turns = AtomicUsize::new(0);
    let create_table = move |_| match turns.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Step::Error(busy()),
        _ => Step::Answer(v1::Table { name: "t".into(), ..Default::default() }),
    };
    let script = Script { create_table: Some(Box::new(create_table)), ..Script::default() };
    let gateway = Scripted::start(script).await;
    let remote = connect(&[&gateway.address]).await;
    assert_eq!(remote.create_table("t", TableKind::Strong, false).await.unwrap().name, "t");
}

#[tokio::test]
async fn an_older_gateway_says_what_it_does_not_know() {
    let old = Scripted::start(Script::default()).await;
    let remote = connect(&[&old.address]).await;
    assert!(matches!(remote.size("t").await, Err(RemoteError::NotOffered(_))));
}

#[tokio::test]
async fn other_gateways_are_heard_of() {
    let second = gateway(|| Step::Answer(committed()), None).await;
    let script = Script {
        transact: Some(Box::new(|_| Step::Error(lost()))),
        gateways: vec![second.address.clone(), "not an address".into()],
        ..Script::default()
    };
    let first = Scripted::start(script).await;
    let remote = connect(&[&first.address]).await;
    remote.transact(&write(&remote)).await.unwrap();
    assert_eq!(second.heard().len(), 1);
}

#[tokio::test]
async fn operations_are_dated_by_the_clusters_clock() {
    let hour = 60 * 60 * 1000;
    for ahead_ms in [hour, -hour] {
        let gateway = Scripted::start(Script { ahead_ms, ..Script::default() }).await;
        let remote = connect(&[&gateway.address]).await;
        let created = remote.operation(b"p").created.0;
        let there = super::super::local_millis().saturating_add_signed(ahead_ms);
        assert!(created.abs_diff(there) < 5_000, "{created} {there}");
    }
}

#[tokio::test]
async fn errors_of_a_later_release_are_understood_by_their_action() {
    let strange = || Step::Error(Problem::rejected(Code::Aborted, "a_new_kind", "something new").to_status());
    let gateway = gateway(strange, None).await;
    let remote = connect(&[&gateway.address]).await;
    let outcome = remote.transact(&write(&remote)).await.unwrap_err();
    assert_eq!(outcome.action(), Action::Rejected);
    assert_eq!(outcome.to_string(), "something new");
}
