use super::super::keys::Secrets;
use super::super::service::ClusterSettings;
use super::*;
use crate::memory::MemoryStore;
use bytes::Bytes;
use parking_lot::Mutex;
use rpc::ClusterKey;
use rpc::tls::{Authority, PendingKey};
use rpc::wire::{Presence, RegisterRequest};
use std::sync::Arc;
use types::{Clock, ClusterId, Incarnation, Monotonic};

const LIFE: Duration = Duration::from_secs(3600);
const HOUR: Duration = Duration::from_secs(3600);

struct Hands(Mutex<u64>);

impl Clock for Hands {
    fn monotonic(&self) -> Monotonic {
        Monotonic(*self.0.lock() * 1_000_000)
    }

    fn wall(&self) -> WallMillis {
        WallMillis(*self.0.lock())
    }
}

async fn cluster() -> (Arc<Controller>, Arc<Hands>, MemoryStore) {
    let store = MemoryStore::new(NodeId(1));
    let clock = Arc::new(Hands(Mutex::new(1_000_000)));
    let controller = Controller::new(Arc::new(store.join(NodeId(1))), clock.clone(), Duration::from_secs(1));
    let cluster = ClusterId(7);
    let secrets = Secrets { authority: Authority::new(cluster).unwrap(), gateways: ClusterKey([1; 32]) };
    controller.create_cluster(&ClusterSettings { cluster, partitions: 4, replicas: 3, secrets }).await.unwrap();
    (controller, clock, store)
}

fn presence() -> Presence {
    Presence::at("10.0.0.2:7071")
}

fn request(secret: &str, nonce: u128) -> JoinRequest {
    let request = Bytes::from(PendingKey::new().unwrap().request);
    JoinRequest { secret: secret.into(), nonce, request, presence: presence(), coordination: None }
}

async fn refusal(controller: &Controller, request: JoinRequest) -> String {
    match controller.join(request, LIFE).await.unwrap_err() {
        ControllerError::Denied(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_admits_one_machine_however_often_it_asks() {
    let (controller, ..) = cluster().await;
    controller.remember_token("s", HOUR).await.unwrap();
    let first = controller.join(request("s", 1), LIFE).await.unwrap();
    assert_eq!((first.node, first.partitions), (NodeId(2), 4));
    // It crashed before the answer came, and asks again.
    let again = controller.join(request("s", 1), LIFE).await.unwrap();
    assert_eq!(again.node, first.node);
    let why = refusal(&controller, request("s", 2)).await;
    assert!(why.contains("was used by another machine"), "{why}");

    let replica =
        RegisterRequest { node: first.node, incarnation: Incarnation(5), presence: presence(), holdings: vec![] };
    controller.register(replica).await.unwrap();
    let why = refusal(&controller, request("s", 1)).await;
    assert!(why.contains("was used up"), "a replay gets no certificate of a node that lives: {why}");
    assert!(controller.is_member(NodeId(2)).await.unwrap());
    assert!(!controller.is_member(NodeId(3)).await.unwrap());
}

#[tokio::test]
async fn expired_and_foreign_tokens_are_refused_in_clear_words() {
    let (controller, clock, _) = cluster().await;
    controller.remember_token("s", HOUR).await.unwrap();
    controller.join(request("s", 1), LIFE).await.unwrap();
    *clock.0.lock() += HOUR.as_millis() as u64 + 1;
    for nonce in [1, 2] {
        let why = refusal(&controller, request("s", nonce)).await;
        assert!(why.contains("has expired"), "{why}");
    }
    let why = refusal(&controller, request("another cluster's", 1)).await;
    assert!(why.contains("not known here"), "{why}");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_uses_nothing_up() {
    let (controller, ..) = cluster().await;
    controller.remember_token("s", HOUR).await.unwrap();
    let garbage = JoinRequest { request: Bytes::from_static(b"?"), ..request("s", 1) };
    assert!(matches!(controller.join(garbage, LIFE).await, Err(ControllerError::Invalid(_))));
    assert_eq!(controller.join(request("s", 2), LIFE).await.unwrap().node, NodeId(2));
}

#[tokio::test]
async fn tokens_are_bounded_and_forgotten_when_they_expire() {
    let (controller, clock, store) = cluster().await;
    for n in 0..TOKENS_MAX {
        controller.remember_token(&n.to_string(), HOUR).await.unwrap();
    }
    assert!(matches!(controller.remember_token("more", HOUR).await, Err(ControllerError::Invalid(_))));
    *clock.0.lock() += HOUR.as_millis() as u64 + 1;
    controller.remember_token("more", HOUR).await.unwrap();
    use crate::MetadataStore;
    assert_eq!(store.local_range("tokens/").pairs.len(), 1);
}

#[tokio::test]
async fn a_removed_node_cannot_register_and_is_known_to_be_removed() {
    use crate::MetadataStore;
    let (controller, _, store) = cluster().await;
    controller.remember_token("s", HOUR).await.unwrap();
    let node = controller.join(request("s", 1), LIFE).await.unwrap().node;
    let members = keys::members(&store.local_range("")).unwrap();
    assert!(members.admit(node) && members.admit(NodeId(3)), "3 may be news that we have not heard");
    store.commit(Batch::new().delete(keys::node(node))).await.unwrap();
    let members = keys::members(&store.local_range("")).unwrap();
    assert!(!members.admit(node) && members.admit(NodeId(1)));
    assert!(!controller.is_member(node).await.unwrap());
    let request = RegisterRequest { node, incarnation: Incarnation(5), presence: presence(), holdings: vec![] };
    let error = controller.register(request).await.unwrap_err();
    assert!(matches!(&error, ControllerError::Denied(why) if why.contains("was removed from this cluster")), "{error}");
    let why = refusal(&controller, self::request("s", 1)).await;
    assert!(why.contains("was used up"), "{why}");
}
