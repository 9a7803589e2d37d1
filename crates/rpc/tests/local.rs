//! Calls within one process.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;
use atoll_rpc::{Body, Code, Handler, Local, Peer, RpcError, codec};
use bytes::Bytes;
use common::*;
use std::sync::Arc;
use std::time::Duration;
use types::{Action, Classify};

fn beside() -> (Local, Arc<Obedient>) {
    let handler = Obedient::new();
    let dynamic: Arc<dyn Handler> = handler.clone();
    (Local::new("here", Peer::gateway("g"), &dynamic), handler)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_as_over_a_connection() {
    let (local, handler) = beside();
    let said = Bytes::from_static(b"hello");
    for method in [ECHO, ECHO_LATER] {
        assert_eq!(local.call(method, said.clone(), LONG).await.unwrap(), said.clone().into());
    }
    let parts: Body = (codec::encode("head"), Bytes::from_static(b"payload")).into();
    let whole = [&parts.head[..], &parts.payload].concat();
    assert_eq!(local.call(ECHO, parts, LONG).await.unwrap(), whole.into());
    let given = local.call(GIVE, 90_000u32.to_be_bytes().to_vec(), LONG).await.unwrap();
    assert_eq!((given.head.len(), given.payload.len()), (30_000, 60_000), "in its parts, not copied together");
    match local.call(REFUSE, said.clone(), LONG).await {
        Err(RpcError::Remote(status)) => assert_eq!((status.code, status.detail), (Code::Refused, said)),
        other => panic!("{other:?}"),
    }
    assert_eq!(*handler.callers.lock(), [Peer::gateway("g")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_breaks_that_call_alone() {
    let (local, _handler) = beside();
    for method in [PANIC, PANIC_LATER] {
        match local.call(method, Bytes::new(), LONG).await {
            Err(RpcError::Remote(status)) => assert_eq!(status.code, Code::Internal),
            other => panic!("{other:?}"),
        }
    }
    assert!(local.call(ECHO, Bytes::new(), LONG).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_runs_to_its_end_though_nobody_waits() {
    let (local, handler) = beside();
    let lost = local.call(WAIT, Bytes::new(), Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(lost.action(), Action::Unknown, "{lost}");
    let given_up = tokio::time::timeout(Duration::from_millis(20), local.call(WAIT, Bytes::new(), LONG));
    assert!(given_up.await.is_err());
    // Each takes one release, and the third what is left.
    for _ in 0..3 {
        handler.notify(&Peer::gateway("g"), RELEASE, Bytes::new());
    }
    assert!(local.call(WAIT, Bytes::new(), LONG).await.is_ok());
    let none_left = local.call(WAIT, Bytes::new(), Duration::from_millis(50)).await;
    assert!(none_left.is_err(), "those that were given up ended before");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_at_a_time_than_may_and_the_rest_is_surely_not_begun() {
    let (local, handler) = beside();
    // Those that run keep their places though nobody waits for them.
    let given_up = (0..5000).map(|_| local.call(WAIT, Bytes::new(), Duration::from_millis(200)));
    let ended = futures::future::join_all(given_up).await;
    let begun = ended.iter().filter(|call| call.as_ref().unwrap_err().action() == Action::Unknown).count();
    assert_eq!(begun, 4096);
    let waits = local.call(ECHO, Bytes::new(), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(waits, RpcError::NotSent(_)), "{waits}");
    handler.notify(&Peer::gateway("g"), RELEASE, Bytes::new());
    assert!(local.call(ECHO, Bytes::new(), LONG).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_stopped_or_gone_takes_no_calls() {
    let (local, handler) = beside();
    let (closing, still) = (local.clone(), local.clone());
    let running = tokio::spawn(async move { still.call(WAIT, Bytes::new(), LONG).await });
    until("it runs", || !handler.callers.lock().is_empty()).await;
    closing.close();
    assert!(matches!(local.call(ECHO, Bytes::new(), LONG).await, Err(RpcError::NotSent(_))));
    handler.notify(&Peer::gateway("g"), RELEASE, Bytes::new());
    assert!(running.await.unwrap().is_ok(), "what ran is answered");

    let (local, handler) = beside();
    drop(handler);
    assert!(matches!(local.call(ECHO, Bytes::new(), LONG).await, Err(RpcError::NotSent(_))));
}
