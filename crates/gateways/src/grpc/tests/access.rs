//! Who gets in, and how far.

use super::super::router;
use super::*;
use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine as _;
use bytes::Bytes;
use client::remote::{RemoteError, TableKey, UploadTarget, WatchKey};
use futures::StreamExt;
use prost::Message;
use rpc::grpc::v1::{self, drive_client::DriveClient};
use tower::ServiceExt;
use types::{Consistency, TableKind};

/// The least of a `FileDescriptorSet` that names all calls.
#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
}

#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
}

fn calls() -> Vec<String> {
    let files = Files::decode(rpc::grpc::FILE_DESCRIPTOR_SET).unwrap();
    let mut calls = Vec::new();
    for file in files.file {
        for service in file.service {
            for method in service.method {
                calls.push(format!("/{}.{}/{}", file.package, service.name, method.name));
            }
        }
    }
    calls
}

/// Sends an empty message, and gives the gRPC code back; none when it went well.
async fn code(router: &axum::Router, path: &str, authorization: Option<&str>) -> Option<String> {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/grpc");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Body::from(Bytes::from_static(&[0; 5]))).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    response.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_string())
}

const UNAUTHENTICATED: &str = "16";
const PERMISSION_DENIED: &str = "7";
const NOT_FOUND: &str = "5";
const EXHAUSTED: &str = "8";

#[tokio::test]
async fn every_call_but_hello_and_signing_in_needs_a_session() {
    let world = World::new(0).await;
    let router = router(world.state());
    let calls = calls();
    assert!(calls.len() >= 25, "{calls:?}");
    for call in &calls {
        for authorization in [None, Some("Bearer nonsense"), Some("Basic YTpi"), Some("Bearer"), Some("Bearer ")] {
            let code = code(&router, call, authorization).await;
            if call == "/atoll.v1.Accounts/Hello" {
                // It got in: the bytes sent here are no message of its.
                assert_ne!(code.as_deref(), Some(UNAUTHENTICATED));
            } else if call == "/atoll.v1.Accounts/SignIn" || call == "/atoll.v1.Accounts/SignInWithCode" {
                // Nobody's name and password, or challenge: refused by accounts, not by the door.
                assert_eq!(code.as_deref(), Some(UNAUTHENTICATED));
            } else if call == "/atoll.v1.Accounts/SignUp" || call == "/atoll.v1.Accounts/ResetPassword" {
                // The same without an invitation, or a link.
                assert!(matches!(code.as_deref(), Some(PERMISSION_DENIED | NOT_FOUND | EXHAUSTED)), "{code:?}");
            } else {
                assert_eq!(code.as_deref(), Some(UNAUTHENTICATED), "{call} {authorization:?}");
            }
        }
    }
    assert_eq!(code(&router, "/atoll.v1.KeyValue/NotYetThere", None).await.as_deref(), Some(UNAUTHENTICATED));
    assert_eq!(code(&router, "/atoll.v1.Accounts/SignInAs", None).await.as_deref(), Some(UNAUTHENTICATED));
    assert_eq!(code(&router, "/grpc.health.v1.Health/Check", None).await, None);
}

fn administrative(call: &str) -> bool {
    call.starts_with("/atoll.v1.Cluster/") || call.starts_with("/atoll.v1.Users/")
}

#[tokio::test]
async fn app_passwords_open_data_and_nothing_else() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    let made = |write| {
        let ada = ada.clone();
        async move { ada.create_app_password("a test", &["grpc".into()], write).await.unwrap() }
    };
    let (reads, writes) = (made(false).await, made(true).await);
    let imap = ada.create_app_password("mail", &["imap".into()], true).await.unwrap();
    assert!(ada.create_app_password("x", &["telnet".into()], true).await.is_err());
    let basic =
        |secret: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("ada:{secret}")));
    let router = router(world.state());
    for call in calls() {
        let data = ["/atoll.v1.KeyValue/", "/atoll.v1.Drive/", "/atoll.v1.Tables/"];
        let alone = ["/atoll.v1.Accounts/WhoAmI", "/atoll.v1.Drives/ListDrives"];
        let data = data.iter().any(|open| call.starts_with(open)) || alone.contains(&call.as_str());
        // What programs did, and who else comes in, is for people to judge.
        let people = ["ListHeld", "LetGo", "PutBack", "ListLinks", "MakeLink", "RevokeLink"];
        let data = data && !people.iter().any(|it| call.ends_with(&format!("Drive/{it}")));
        let open = ["Hello", "SignIn", "SignInWithCode", "SignUp", "ResetPassword"];
        if open.iter().any(|open| call == format!("/atoll.v1.Accounts/{open}")) {
            continue;
        }
        assert_eq!(code(&router, &call, Some(&basic(&imap.secret))).await.as_deref(), Some(UNAUTHENTICATED), "{call}");
        for app in [&reads, &writes] {
            let code = code(&router, &call, Some(&basic(&app.secret))).await;
            let may = data && (std::ptr::eq(app, &writes) || !changes(&call));
            assert_eq!(code.as_deref() == Some(PERMISSION_DENIED), !may, "{call} {code:?}");
        }
    }
    // By the client, too; and no longer than it is there.
    let by_app = |app: &v1::CreateAppPasswordReply| Some(format!("ada:{}", app.secret));
    let remote = Remote::with_options(world.addresses(), by_app(&writes), options()).await.unwrap();
    assert!(!remote.who_am_i().await.unwrap().administrator, "it administers nothing");
    remote.create_table("by-app", TableKind::Strong, false).await.unwrap();
    assert!(matches!(remote.delete_account(PASSWORD, "").await, Err(RemoteError::Denied(_))));
    ada.remove_app_password(&writes.app_password.unwrap().id).await.unwrap();
    let gone = Remote::with_options(world.addresses(), Some(format!("ada:{}", writes.secret)), options()).await;
    assert!(matches!(gone, Err(RemoteError::WrongPassword(_))), "{gone:?}");
}

/// Those that only look are few; whatever is new counts as a change.
fn changes(call: &str) -> bool {
    let looks = [
        "Get",
        "GetMany",
        "Query",
        "Scan",
        "Size",
        "Watch",
        "ListTables",
        "ListFolder",
        "Stat",
        "OpenFile",
        "GetBlock",
        "ListStarred",
        "ListRecent",
        "CountCopies",
        "WhoAmI",
        "ListDrives",
    ];
    !looks.iter().any(|look| call.ends_with(&format!("/{look}")))
}

#[tokio::test]
async fn people_are_looked_after() {
    let world = World::new(1).await;
    let (ada, ben) = (world.ada().await, world.ben().await);
    let new = v1::CreateUserRequest { name: "Cy".into(), quota: Some(5), ..Default::default() };
    let made = ada.create_user(new.clone()).await.unwrap();
    assert_eq!(made.user.as_ref().map(|user| (user.name.as_str(), user.quota)), Some(("cy", Some(5))));
    assert!(matches!(ada.create_user(new.clone()).await, Err(RemoteError::Exists(_))));
    assert!(matches!(ben.create_user(new).await, Err(RemoteError::Denied(_))));
    let stranger = world.stranger().await;
    stranger.reset_password(&made.link_secret, PASSWORD).await.unwrap();
    assert!(matches!(stranger.reset_password(&made.link_secret, PASSWORD).await, Err(RemoteError::NotFound(_))));
    let cy = world.signed_in("cy").await;
    let page = ada.list_users("", 2).await.unwrap();
    let rest = ada.list_users(&page.next, 2).await.unwrap();
    let names: Vec<String> = page.users.into_iter().chain(rest.users).map(|user| user.name).collect();
    assert_eq!(names, ["ada", "ben", "cy"]);
    assert!(rest.next.is_empty());
    let change = v1::ChangeUserRequest { name: "cy".into(), quota_default: true, ..Default::default() };
    assert_eq!(ada.change_user(change).await.unwrap().quota, None);
    let bad = v1::ChangeUserRequest { name: "cy".into(), role: Some("king".into()), ..Default::default() };
    assert!(matches!(ada.change_user(bad).await, Err(RemoteError::Invalid(_))));
    assert_eq!(ada.sessions_of("cy").await.unwrap().len(), 1);
    let details = ada.show_user("cy").await.unwrap();
    assert_eq!(details.leaving.map(|leaving| leaving.sessions), Some(1));
    assert_eq!(ada.end_sessions_of("cy", None).await.unwrap(), 1);
    assert!(matches!(cy.own_sessions().await, Err(RemoteError::SignedOut)));
    assert!(!ada.make_reset_link("cy").await.unwrap().is_empty());
    let invite = v1::InviteRequest { valid_seconds: 60, note: "dan".into(), ..Default::default() };
    let invited = ada.invite(invite).await.unwrap();
    let id = invited.invitation.unwrap().id;
    assert_eq!(ada.invitations().await.unwrap()[0].id, id);
    ada.uninvite(&id).await.unwrap();
    let mut policy = ada.account_policy().await.unwrap();
    policy.sign_up = "off".into();
    ada.set_account_policy(policy.clone()).await.unwrap();
    policy.sign_up = "never".into();
    assert!(matches!(ada.set_account_policy(policy).await, Err(RemoteError::Invalid(_))));
    let log = ada.audit("cy", "", 3).await.unwrap();
    assert!(log.entries.len() == 3 && !log.next.is_empty());
    ada.remove_user("cy").await.unwrap();
    assert!(matches!(ada.show_user("cy").await, Err(RemoteError::NotFound(_))));
}

#[tokio::test]
async fn calls_for_administrators_are_for_administrators() {
    let world = World::new(0).await;
    let session = world.apps.accounts.sign_in("ben", PASSWORD, Device::default()).await.unwrap();
    let router = router(world.state());
    let bearer = format!("Bearer {}", session.token.as_str());
    for call in calls().iter().filter(|call| administrative(call)) {
        assert_eq!(code(&router, call, Some(&bearer)).await.as_deref(), Some(PERMISSION_DENIED), "{call}");
    }
}

#[tokio::test]
async fn reflection_and_health_answer_strangers() {
    let world = World::new(0).await;
    let router = router(world.state());
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        assert_eq!(code(&router, &path, None).await, None, "{version}");
    }
}

#[tokio::test]
async fn people_sign_in_and_out() {
    let world = World::new(1).await;
    let remote = world.stranger().await;
    assert!(matches!(remote.who_am_i().await, Err(RemoteError::SignedOut)));
    assert!(matches!(remote.sign_in("ada", "wrong", "a test").await, Err(RemoteError::WrongPassword(_))));
    assert!(matches!(remote.sign_in("nobody", PASSWORD, "a test").await, Err(RemoteError::WrongPassword(_))));
    let session = remote.sign_in("ada", PASSWORD, "a test").await.unwrap();
    assert!(session.account.administrator);
    let again = Remote::with_options(world.addresses(), Some(session.token.clone()), options()).await.unwrap();
    assert_eq!(again.who_am_i().await.unwrap(), session.account);
    remote.sign_out().await.unwrap();
    assert_eq!(remote.token(), None);
    assert!(matches!(again.who_am_i().await, Err(RemoteError::SignedOut)));
    let refused = Remote::with_options(world.addresses(), Some(session.token), options()).await;
    assert!(matches!(refused, Err(RemoteError::SignedOut)));
}

#[tokio::test]
async fn tables_of_apps_cannot_be_named() {
    let world = World::new(1).await;
    let ada = world.ada().await;
    assert_eq!(ada.list_tables().await.unwrap(), []);
    for table in ["users", "accounts/users", "accounts.users", "sessions", "blocks", "", "kv/users"] {
        let key = TableKey::new(table, "p", "s");
        assert!(matches!(ada.get(&key, Consistency::Strong).await, Err(RemoteError::NoSuchTable(_))), "{table}");
        let write = ada.transaction("p").put(table, "s", "v");
        assert!(matches!(ada.transact(&write).await, Err(RemoteError::NoSuchTable(_))), "{table}");
        assert!(matches!(ada.scan(table, None, 0).await, Err(RemoteError::NoSuchTable(_))), "{table}");
        let mut watch = ada.watch(vec![WatchKey::new(table, "p")], None);
        assert!(matches!(watch.next().await, Some(Err(RemoteError::NoSuchTable(_)))), "{table}");
    }
    // One of its own among them does not help.
    ada.create_table("mine", TableKind::Strong, false).await.unwrap();
    let write = ada.transaction("p").put("mine", "s", "v").delete("users", "s");
    assert!(matches!(ada.transact(&write).await, Err(RemoteError::NoSuchTable(_))));
    assert_eq!(ada.size("mine").await.unwrap(), 0);
}

#[tokio::test]
async fn who_made_a_table_and_administrators_delete_it() {
    let world = World::new(1).await;
    let (ada, ben) = (world.ada().await, world.ben().await);
    let made = ada.create_table("adas", TableKind::Strong, false).await.unwrap();
    assert_eq!((made.owner.as_str(), made.kind), ("ada", TableKind::Strong));
    assert!(matches!(ben.create_table("adas", TableKind::Strong, false).await, Err(RemoteError::TableExists(_))));
    assert_eq!(ben.create_table("adas", TableKind::Strong, true).await.unwrap(), made);
    assert!(matches!(ben.delete_table("adas").await, Err(RemoteError::Denied(_))));
    ben.create_table("bens", TableKind::Strong, false).await.unwrap();
    // A name that is free again makes nobody the owner of what its former bearer made.
    let accounts = &world.apps.accounts;
    let root = accounts.find("ada").await.unwrap();
    accounts.remove_user(&root, "ben").await.unwrap();
    let (name, display) = ("ben".to_string(), "Another".to_string());
    let new = NewUser { name, display, password: PASSWORD.into(), role: Role::User, quota: None };
    accounts.create_user(&root, new).await.unwrap();
    let ben = world.ben().await;
    assert!(matches!(ben.delete_table("bens").await, Err(RemoteError::Denied(_))));
    ben.create_table("new", TableKind::Strong, false).await.unwrap();
    ben.delete_table("new").await.unwrap();
    ada.delete_table("bens").await.unwrap();
    ada.delete_table("adas").await.unwrap();
    assert!(matches!(ada.delete_table("adas").await, Err(RemoteError::NoSuchTable(_))));
    let soon = ada.create_table("later", TableKind::Available, true).await.unwrap_err();
    assert!(matches!(&soon, RemoteError::NotOffered(text) if text.contains("not offered yet")), "{soon}");
    assert!(matches!(ada.create_table("", TableKind::Strong, true).await, Err(RemoteError::Invalid(_))));
}

#[tokio::test]
async fn drives_and_tickets_are_personal() {
    let world = World::new(1).await;
    let (ada, ben) = (world.ada().await, world.ben().await);
    let bytes = vec![7u8; 40_000];
    ada.upload(&bytes[..], &UploadTarget::new("/secret"), |_| ()).await.unwrap();
    assert!(matches!(ben.stat("/secret").await, Err(RemoteError::NotFound(_))));
    assert_eq!(ben.list_folder("/", None, 0).await.unwrap().entries, []);

    // Even with the block's name and somebody else's ticket.
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", world.addresses()[0])).unwrap();
    let mut drive = DriveClient::new(channel.connect().await.unwrap());
    let mut open = tonic::Request::new(v1::OpenFileRequest { path: "/secret".into(), ..Default::default() });
    let bearer = |remote: &Remote| format!("Bearer {}", remote.token().unwrap()).parse().unwrap();
    open.metadata_mut().insert("authorization", bearer(&ada));
    let block = drive.open_file(open).await.unwrap().into_inner().blocks.remove(0);
    for (remote, may) in [(&ada, true), (&ben, false)] {
        let message = v1::GetBlockRequest { hash: block.hash.clone(), ticket: block.ticket.clone() };
        let mut get = tonic::Request::new(message);
        get.metadata_mut().insert("authorization", bearer(remote));
        let got = drive.get_block(get).await;
        assert_eq!(got.is_ok(), may);
        assert!(may || got.unwrap_err().code() == tonic::Code::PermissionDenied);
    }
}

#[tokio::test]
async fn administrators_see_the_cluster() {
    let world = World::new(2).await;
    let ada = world.ada().await;
    let status = ada.cluster_status().await.unwrap();
    assert_eq!(status.cluster, types::ClusterId(0xc0ffee));
    assert_eq!((status.partitions.total, status.partitions.full), (1, 1));
    assert_eq!(status.nodes.len(), 2);
    assert!(status.nodes[0].report.as_ref().is_ok_and(|report| report.lease_valid));
    assert!(status.nodes[1].report.as_ref().is_err_and(|why| why.contains("gone")));
    let verified = ada.verify_blocks(true).await.unwrap();
    assert_eq!(verified.len(), 2);
    assert!(verified.iter().all(|node| node.report.as_ref().is_ok_and(|report| report.lost == 1)));
    assert!(matches!(world.ben().await.verify_blocks(true).await, Err(RemoteError::Denied(_))));
    let token = ada.join_token(Duration::from_secs(60)).await.unwrap();
    assert_eq!(token.token, "a token");
    assert!(matches!(ada.join_token(Duration::from_secs(1 << 40)).await, Err(RemoteError::Invalid(_))));
    assert!(matches!(world.ben().await.cluster_status().await, Err(RemoteError::Denied(_))));
}
