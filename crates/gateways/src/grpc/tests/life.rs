//! Gateways stop and others go on.

use super::*;
use client::remote::{RemoteError, TableKey, WatchEvent, WatchKey};
use futures::StreamExt;
use std::time::Instant;
use types::{Consistency, TableKind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_through_another_gateway() {
    let mut world = World::new(2).await;
    // Told of one, it has heard of the other.
    let ada = Remote::with_options(world.addresses()[..1].to_vec(), None, options()).await.unwrap();
    ada.sign_in("ada", PASSWORD, "a test").await.unwrap();
    ada.create_table("t", TableKind::Strong, false).await.unwrap();
    let mut watch = ada.watch(vec![WatchKey::new("t", "p")], None);
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Started(_)))));
    let next = |n: u8| ada.transaction("p").put("t", vec![n], vec![n]).put("t", vec![n, 0], vec![n]);
    for n in 0..3 {
        ada.transact(&next(n)).await.unwrap();
    }
    // In the middle of a write's changes.
    for _ in 0..3 {
        watch.next().await.unwrap().unwrap();
    }

    let first = world.gateways.remove(0);
    assert_eq!(ada.address(), first.address);
    let began = Instant::now();
    first.stop.cancel();
    first.serving.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "a watch kept the gateway from stopping");

    for n in 3..6 {
        ada.transact(&next(n)).await.unwrap();
    }
    assert_eq!(ada.address(), world.gateways[0].address);
    let mut heard = Vec::new();
    while heard.len() < 9 {
        match watch.next().await.unwrap().unwrap() {
            WatchEvent::Started(_) => panic!("it had begun"),
            WatchEvent::Changed(change) => heard.push(change.key.sort_key.to_vec()),
        }
    }
    let mut want = vec![vec![1, 0]];
    for n in 2..6 {
        want.extend([vec![n], vec![n, 0]]);
    }
    assert_eq!(heard, want);
    assert!(ada.get(&TableKey::new("t", "p", vec![5]), Consistency::Strong).await.unwrap().is_some());
}

#[tokio::test]
async fn nobody_there_is_said_soon() {
    let mut world = World::new(1).await;
    let ada = world.ada().await;
    ada.create_table("t", TableKind::Strong, false).await.unwrap();
    let only = world.gateways.remove(0);
    only.stop.cancel();
    only.serving.await.unwrap().unwrap();
    let began = Instant::now();
    let read = ada.get(&TableKey::new("t", "p", "s"), Consistency::Strong).await;
    assert!(
        matches!(&read, Err(RemoteError::Unreachable { tried, .. }) if *tried == [only.address.clone()]),
        "{read:?}"
    );
    // Nobody took it: it was surely not applied.
    let write = ada.transact(&ada.transaction("p").put("t", "s", "v")).await;
    assert!(matches!(&write, Err(RemoteError::Unreachable { .. })), "{write:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let connect = Remote::with_options(vec![only.address], None, options()).await;
    assert!(matches!(connect, Err(RemoteError::Unreachable { .. })));
}

#[tokio::test]
async fn a_watch_by_app_password_lasts_as_long_as_that() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    ada.create_table("t", TableKind::Strong, false).await.unwrap();
    let made = ada.create_app_password("a program", &["grpc".into()], false).await.unwrap();
    let shown = Some(format!("ada:{}", made.secret));
    let program = Remote::with_options(world.addresses(), shown, options()).await.unwrap();
    let mut watch = program.watch(vec![WatchKey::new("t", "p")], None);
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Started(_)))));
    // It is asked for more than once meanwhile.
    assert!(tokio::time::timeout(Duration::from_secs(4), watch.next()).await.is_err(), "nothing happened, nor ended");
    ada.remove_app_password(&made.app_password.unwrap().id).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(20), watch.next()).await.unwrap();
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

#[tokio::test]
async fn a_watch_ends_with_its_session() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    ada.create_table("t", TableKind::Strong, false).await.unwrap();
    let mut watch = ada.watch(vec![WatchKey::new("t", "p")], None);
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Started(_)))));
    world.apps.accounts.sign_out(&ada.token().unwrap()).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap();
    assert!(matches!(end, Some(Err(RemoteError::SignedOut))), "{end:?}");
}
