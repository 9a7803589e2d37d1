//! A watch that is interrupted goes on where it was, to the change.

use super::super::{RemoteError, TableChange, TableKey, WatchEvent, WatchKey};
use super::scripted::{Script, Scripted, Step};
use super::*;
use futures::StreamExt;
use proptest::prelude::*;
use rpc::grpc::{Problem, kind, v1};
use std::sync::atomic::{AtomicUsize, Ordering};
use tonic::{Code, Status};
use types::{Seq, Version};

fn change(seq: u64, nth: u8) -> WatchEvent {
    let key = TableKey::new("t", "p", vec![nth]);
    WatchEvent::Changed(TableChange { version: Version::new(1, seq), key, item: None })
}

/// A history: how many changes each write made, the first write having sequence 1.
fn history(writes: &[u8]) -> Vec<WatchEvent> {
    let write = |(n, count): (usize, &u8)| (0..*count).map(move |nth| change(n as u64 + 1, nth)).collect::<Vec<_>>();
    writes.iter().enumerate().flat_map(write).collect()
}

fn seq(event: &WatchEvent) -> u64 {
    match event {
        WatchEvent::Started(seq) => seq.0,
        WatchEvent::Changed(change) => change.version.seq.0,
    }
}

/// Serves the history in pieces: each stream breaks off after as many changes as its turn says.
async fn breaking(writes: Vec<u8>, pieces: Vec<usize>) -> Scripted {
    let turn = AtomicUsize::new(0);
    let all = history(&writes);
    let watch = move |asked: v1::WatchRequest| {
        let after = asked.after.unwrap_or(0);
        let piece = pieces.get(turn.fetch_add(1, Ordering::Relaxed)).copied();
        let rest = all.iter().filter(|event| seq(event) > after).cloned();
        let mut events: Vec<Result<v1::WatchReply, Status>> = vec![Ok(WatchEvent::Started(Seq(after)).to_wire())];
        match piece {
            Some(piece) => {
                events.extend(rest.take(piece).map(|event| Ok(event.to_wire())));
                events.push(Err(Status::unavailable("broken")));
            }
            None => {
                events.extend(rest.map(|event| Ok(event.to_wire())));
                events.push(Err(Problem::rejected(Code::OutOfRange, kind::COMPACTED, "the end").to_status()));
            }
        }
        Step::Answer(events)
    };
    Scripted::start(Script { watch: Some(Box::new(watch)), ..Script::default() }).await
}

async fn heard(gateway: &Scripted, after: Option<Seq>) -> Vec<WatchEvent> {
    let remote = connect(&[&gateway.address]).await;
    let mut watch = remote.watch(vec![WatchKey::new("t", "p")], after);
    let mut heard = Vec::new();
    loop {
        match watch.next().await {
            Some(Ok(event)) => heard.push(event),
            Some(Err(RemoteError::Compacted(_))) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(watch.next().await.is_none(), "an error is the end");
    heard
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However the streams break, every change is heard once and in order.
    #[test]
    fn nothing_is_lost_and_nothing_twice(
        writes in proptest::collection::vec(1u8..5, 1..8),
        pieces in proptest::collection::vec(0usize..6, 0..4),
        from_the_beginning: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (got, want) = runtime.block_on(async {
            let gateway = breaking(writes.clone(), pieces).await;
            let mut want = vec![WatchEvent::Started(Seq(0))];
            want.extend(history(&writes));
            (heard(&gateway, from_the_beginning.then_some(Seq(0))).await, want)
        });
        prop_assert_eq!(got, want);
    }
}

#[tokio::test]
async fn a_watch_from_now_on_keeps_to_the_now_that_it_began_with() {
    let gateway = breaking(vec![1, 1], vec![0, 1]).await;
    heard(&gateway, None).await;
    assert_eq!(gateway.heard(), ["watch after None", "watch after Some(0)", "watch after Some(0)"]);
}

#[tokio::test]
async fn a_watch_that_is_refused_ends() {
    let denied = |_| Step::Error(Problem::rejected(Code::NotFound, kind::NO_SUCH_TABLE, "no such table").to_status());
    let gateway = Scripted::start(Script { watch: Some(Box::new(denied)), ..Script::default() }).await;
    let remote = connect(&[&gateway.address]).await;
    let mut watch = remote.watch(vec![WatchKey::new("t", "p")], None);
    assert!(matches!(watch.next().await, Some(Err(RemoteError::NoSuchTable(_)))));
    assert!(watch.next().await.is_none());
}
