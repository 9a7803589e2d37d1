//! Which gateway is spoken to at all.

use super::super::{RemoteError, TableKey};
use super::scripted::{Script, Scripted, Step};
use super::*;
use rpc::grpc::v1;
use std::time::Instant;
use types::{ClusterId, Consistency};

async fn of_cluster(cluster: Option<u128>) -> Scripted {
    Scripted::start(Script {
        cluster,
        get: Some(Box::new(|_| Step::Answer(v1::GetReply { item: None }))),
        ..Script::default()
    })
    .await
}

async fn at(addresses: &[&str], cluster: u128) -> Result<Remote, RemoteError> {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    Remote::at(addresses, Some(ClusterId(cluster)), Some("a-token".into()), options()).await
}

#[tokio::test]
async fn another_cluster_is_shown_no_token() {
    let (stranger, own) = (of_cluster(Some(2)).await, of_cluster(Some(1)).await);
    let remote = at(&[&stranger.address, &own.address], 1).await.unwrap();
    assert_eq!((remote.address(), remote.cluster()), (own.address.clone(), Some(ClusterId(1))));
    remote.get(&TableKey::new("t", "p", ""), Consistency::Strong).await.unwrap();
    assert_eq!(stranger.heard(), Vec::<String>::new());
    // Nor does it become the right one when nobody else is left.
    let alone = at(&[&stranger.address], 1).await.unwrap_err();
    assert!(matches!(alone, RemoteError::WrongCluster(_)), "{alone}");
    let gone = at(&[&stranger.address, &nobody().await], 1).await.unwrap_err();
    assert!(gone.to_string().contains("another cluster"), "{gone}");
    assert_eq!(stranger.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn a_frozen_gateway_costs_a_moment_only() {
    let (frozen, good) = (of_cluster(None).await, of_cluster(Some(1)).await);
    let began = Instant::now();
    let remote = at(&[&frozen.address, &good.address], 1).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(remote.addresses()[0], good.address, "to be remembered as the first");
}

#[tokio::test]
async fn who_cannot_serve_is_asked_only_how_things_are_and_says_why() {
    let idle = Scripted::start(Script { idle: Some("no majority"), ..Script::default() }).await;
    let good = of_cluster(Some(1)).await;
    assert_eq!(at(&[&idle.address, &good.address], 1).await.unwrap().address(), good.address);
    let gone = nobody().await;
    // It knows, as far as it goes, who is asking.
    let alone = at(&[&gone, &idle.address], 1).await.unwrap();
    match alone.get(&TableKey::new("t", "p", ""), Consistency::Strong).await.unwrap_err() {
        RemoteError::NotServing { answering, silent, why } => {
            assert_eq!((answering, silent, why.as_str()), (vec![idle.address.clone()], vec![gone], "no majority"));
        }
        other => panic!("{other}"),
    }
    assert_eq!(idle.heard(), Vec::<String>::new());
}
