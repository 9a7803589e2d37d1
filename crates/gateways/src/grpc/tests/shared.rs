//! Shared drives over gRPC: the drive that a call names, and what one's role lets one do there.

use super::*;
use apps::accounts::shared::{DriveRole, NewMember};
use apps::accounts::{AppScope, Protocol};
use client::remote::links::{LinkMode, MakeLinkRequest};
use client::remote::shared::{ChangeDriveRequest, Membership};
use client::remote::{Act, Clash, RemoteError, SharedDriveId, UploadTarget};

fn denied<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> bool {
    matches!(result, Err(RemoteError::Denied(_)))
}

fn absent<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> bool {
    matches!(result, Err(RemoteError::NotFound(_)))
}

fn view(path: &str) -> MakeLinkRequest {
    MakeLinkRequest { path: path.into(), mode: LinkMode::View.into(), ..Default::default() }
}

/// What changes a drive, and what only looks at it: which of all these are refused, and how.
async fn tried(remote: &Remote, refused: fn(Result<(), RemoteError>) -> bool) -> (Vec<bool>, Vec<bool>) {
    let id = [9; 16];
    let to = UploadTarget::new("/up");
    let changes = vec![
        refused(remote.make_folder("/m", true).await.map(drop)),
        refused(remote.upload(&b"x"[..], &to, |_| ()).await.map(drop)),
        refused(remote.rename("/none", "/x", false).await.map(drop)),
        refused(remote.remove("/none", true).await),
        refused(remote.act(Act::trash("/none", true)).await.map(drop)),
        refused(remote.act(Act::copy("/none", "/x", Clash::Fail)).await.map(drop)),
        refused(remote.empty_trash().await.map(drop)),
        refused(remote.remove_version("/none", client::remote::FileVersion(id)).await),
        refused(remote.cancel_job(id).await.map(drop)),
        refused(remote.links(None).await.map(drop)),
        refused(remote.make_link(view("/none")).await.map(drop)),
        refused(remote.revoke_link(id).await),
        refused(remote.put_back("none").await.map(drop)),
        refused(remote.let_go("none").await),
    ];
    let looks = vec![
        refused(remote.list_folder("/", None, 0).await.map(drop)),
        refused(remote.stat("/f").await.map(drop)),
        refused(remote.download("/f", &mut Vec::new(), &Default::default(), |_| ()).await.map(drop)),
        refused(remote.trash(None).await.map(drop)),
        refused(remote.versions("/f").await.map(drop)),
        refused(remote.jobs().await.map(drop)),
        refused(remote.held().await.map(drop)),
        refused(remote.search("f", true, None).await.map(drop)),
        refused(remote.star("/f", true).await.map(drop)),
        refused(remote.starred().await.map(drop)),
        refused(remote.recent().await.map(drop)),
    ];
    (changes, looks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_judged_in_the_drive_that_it_names() {
    let world = World::new(2).await;
    let (ada, ben) = (world.ada().await, world.ben().await);
    let made = ben.create_drive("Tea").await.unwrap();
    let id: SharedDriveId = made.id.parse().unwrap();
    assert_eq!((made.role.as_str(), ben.drives().await.unwrap().len()), ("manage", 1));
    let (bens, adas) = (ben.in_drive(Some(id)), ada.in_drive(Some(id)));
    let bytes = vec![7; 3 << 20];
    bens.upload(&bytes[..], &UploadTarget::new("/f"), |_| ()).await.unwrap();
    assert!(ben.list_folder("/", None, 0).await.unwrap().entries.is_empty(), "one's own is another");
    // An administrator who is no member: nothing is there, as in one that is not.
    let nowhere = ada.in_drive(Some(SharedDriveId([9; 16])));
    for remote in [&adas, &nowhere] {
        let (changes, looks) = tried(remote, absent).await;
        assert!(changes.iter().chain(&looks).all(|absent| *absent), "{changes:?} {looks:?}");
    }
    assert!(absent(nowhere.members(SharedDriveId([9; 16])).await));
    assert!(ada.drives().await.unwrap().is_empty() && ada.all_drives().await.unwrap().len() == 1);
    assert!(denied(ben.all_drives().await));

    ben.put_member(id, "ada", "view", Membership::New).await.unwrap();
    let (changes, looks) = tried(&adas, denied).await;
    assert!(changes.iter().all(|denied| *denied) && !looks.contains(&true), "{changes:?} {looks:?}");
    let mut got = Vec::new();
    adas.download("/f", &mut got, &Default::default(), |_| ()).await.unwrap();
    assert_eq!(got, bytes);
    ben.put_member(id, "ada", "edit", Membership::There).await.unwrap();
    let (changes, _) = tried(&adas, denied).await;
    assert!(!changes.contains(&true), "{changes:?}");
    assert!(ben.put_member(id, "ada", "edit", Membership::New).await.is_err());

    // Between drives: from where one may look, into where one may write.
    ada.upload(&b"mine"[..], &UploadTarget::new("/own"), |_| ()).await.unwrap();
    adas.act(Act::copy_from(None, "/own", "/theirs", Clash::Fail)).await.unwrap();
    ada.act(Act::copy_from(Some(id), "/f", "/f", Clash::Fail)).await.unwrap();
    let stolen = ben.act(Act::copy_from(Some(SharedDriveId([9; 16])), "/f", "/f", Clash::Fail)).await;
    assert!(absent(stolen));

    // The quota of the drive holds there.
    let change = ChangeDriveRequest { id: made.id.clone(), quota: Some(1), ..Default::default() };
    assert!(denied(ben.change_drive(change.clone()).await));
    ada.change_drive(change).await.unwrap();
    let full = bens.upload(&b"more"[..], &UploadTarget::new("/more"), |_| ()).await;
    assert!(full.is_err(), "{full:?}");
    ben.upload(&b"more"[..], &UploadTarget::new("/more"), |_| ()).await.unwrap();

    // The next call is refused, of every gateway, and what was opened before gives no more blocks.
    let opened = adas.stat("/f").await;
    assert!(opened.is_ok());
    ben.remove_member(id, "ada").await.unwrap();
    let (changes, looks) = tried(&adas, absent).await;
    assert!(changes.iter().chain(&looks).all(|absent| *absent), "{changes:?} {looks:?}");
    let last = ben.remove_member(id, "ben").await;
    assert!(last.is_err());
    ben.delete_drive(id).await.unwrap();
    assert!(absent(bens.list_folder("/", None, 0).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_password_opens_no_more_in_a_shared_drive() {
    let world = World::new(1).await;
    let accounts = &world.apps.accounts;
    let ben = accounts.find("ben").await.unwrap();
    let drive = accounts.make_drive(&ben, "Tea").await.unwrap();
    accounts.put_member(&ben, drive.id, "ada", DriveRole::View, NewMember::Yes).await.unwrap();
    let id = Some(SharedDriveId(drive.id.0));
    let connect = async |write| {
        let scope = AppScope { protocols: vec![Protocol::Grpc], write };
        let (_, secret) = accounts.create_app_password(&ben, "test", scope).await.unwrap();
        let token = format!("ben:{}", secret.as_str());
        Remote::with_options(world.addresses(), Some(token), options()).await.unwrap()
    };
    let (reads, writes) = (connect(false).await, connect(true).await);
    writes.in_drive(id).make_folder("/d", false).await.unwrap();
    assert!(denied(reads.in_drive(id).make_folder("/e", false).await));
    assert_eq!(reads.in_drive(id).list_folder("/", None, 0).await.unwrap().entries.len(), 1);
    assert_eq!(reads.drives().await.unwrap().len(), 1);
    // Who is in it is no data.
    for app in [&reads, &writes] {
        let id = SharedDriveId(drive.id.0);
        assert!(denied(app.members(id).await) && denied(app.put_member(id, "ada", "manage", Membership::There).await));
        assert!(denied(app.create_drive("x").await) && denied(app.delete_drive(id).await));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stars_and_the_last_files_are_the_callers_in_all_drives() {
    let world = World::new(2).await;
    let (ada, ben) = (world.ada().await, world.ben().await);
    let id: SharedDriveId = ben.create_drive("Tea").await.unwrap().id.parse().unwrap();
    ben.put_member(id, "ada", "view", Membership::New).await.unwrap();
    let (bens, adas) = (ben.in_drive(Some(id)), ada.in_drive(Some(id)));
    bens.upload(&b"x"[..], &UploadTarget::new("/f"), |_| ()).await.unwrap();
    ada.make_folder("/own", false).await.unwrap();
    for _ in 0..2 {
        ada.star("/own", true).await.unwrap();
        adas.star("/f", true).await.unwrap();
    }
    let told = |found: Vec<client::remote::Placed>| -> Vec<(Option<String>, String)> {
        found.into_iter().map(|it| (it.drive.map(|(_, name)| name), it.path)).collect()
    };
    let mut starred = told(ada.starred().await.unwrap());
    starred.sort();
    assert_eq!(starred, [(None, "/own".into()), (Some("Tea".into()), "/f".into())]);
    assert!(told(ben.starred().await.unwrap()).is_empty());
    adas.star("/f", false).await.unwrap();
    assert_eq!(told(ada.starred().await.unwrap()), [(None, "/own".to_string())]);
    adas.download("/f", &mut Vec::new(), &Default::default(), |_| ()).await.unwrap();
    let (opened, uploaded) = (ada.recent().await.unwrap(), ben.recent().await.unwrap());
    let act = |found: &[client::remote::Placed]| found.iter().map(|it| it.act.unwrap().as_str()).collect::<Vec<_>>();
    assert_eq!((act(&opened), act(&uploaded)), (vec!["opened"], vec!["uploaded"]));
    assert!(absent(ada.star("/none", true).await));
    ben.delete_drive(id).await.unwrap();
    assert!(told(ada.recent().await.unwrap()).is_empty() && told(ben.recent().await.unwrap()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_made_listed_and_taken_back() {
    let world = World::new(1).await;
    let ben = world.ben().await;
    let made = ben.create_drive("Tea").await.unwrap();
    let bens = ben.in_drive(Some(made.id.parse().unwrap()));
    bens.make_folder("/d", false).await.unwrap();
    bens.upload(&b"text"[..], &UploadTarget::new("/f"), |_| ()).await.unwrap();
    let bounded = MakeLinkRequest { downloads_max: Some(3), password: "secret word".into(), ..view("/f") };
    let link = bens.make_link(bounded).await.unwrap().links.remove(0);
    assert_eq!((link.path.as_str(), link.downloads_max, link.password, link.works), ("/f", Some(3), true, true));
    assert!(link.address.starts_with("/s/") && link.address.len() > 40, "{}", link.address);
    let drop_box = MakeLinkRequest { mode: LinkMode::DropBox.into(), bytes_max: Some(10), ..view("/d") };
    bens.make_link(drop_box.clone()).await.unwrap();
    assert_eq!(bens.links(None).await.unwrap().links.len(), 2);
    assert_eq!(bens.links(Some("/f")).await.unwrap().links, std::slice::from_ref(&link));
    assert!(ben.links(None).await.unwrap().links.is_empty(), "one's own drive is another");
    // What nobody says is not guessed, and what cannot be is not made.
    for bad in [
        MakeLinkRequest { mode: 0, ..view("/f") },
        MakeLinkRequest { mode: 77, ..view("/f") },
        MakeLinkRequest { path: "/f".into(), ..drop_box },
        MakeLinkRequest { password: "short".into(), ..view("/f") },
        MakeLinkRequest { expires_ms: 1, ..view("/f") },
        view("/none"),
        view("/"),
    ] {
        assert!(bens.make_link(bad.clone()).await.is_err(), "{bad:?}");
    }
    let id: [u8; 16] = link.id[..].try_into().unwrap();
    bens.revoke_link(id).await.unwrap();
    assert!(absent(bens.revoke_link(id).await));
    assert_eq!(bens.links(None).await.unwrap().links.len(), 1);
}

/// Who may do what is judged when a message has come, however long its sender takes over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_taken_out_while_a_message_comes_does_nothing_by_it() {
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use prost::Message;
    use tower::ServiceExt;
    let world = World::new(1).await;
    let accounts = &world.apps.accounts;
    let ben = accounts.find("ben").await.unwrap();
    let drive = accounts.make_drive(&ben, "Tea").await.unwrap();
    accounts.put_member(&ben, drive.id, "ada", DriveRole::Edit, NewMember::Yes).await.unwrap();
    let session = accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
    let address = format!("http://{}", world.addresses()[0]);
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let message = rpc::grpc::v1::MakeFolderRequest { path: "/made".into(), parents: false }.encode_to_vec();
    let framed = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let body = futures::stream::once(async move {
        wait.await.unwrap();
        Ok::<_, tonic::Status>(Frame::data(bytes::Bytes::from(framed)))
    });
    let request = axum::http::Request::post("/atoll.v1.Drive/MakeFolder")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {}", session.token.as_str()))
        .header(rpc::grpc::DRIVE_HEADER, drive.id.to_string())
        .body(tonic::body::Body::new(StreamBody::new(body)))
        .unwrap();
    let answer = tokio::spawn(channel.oneshot(request));
    // Long enough for it to be judged, were its message not waited for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    accounts.remove_member(&ben, drive.id, "ada").await.unwrap();
    go.send(()).unwrap();
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.headers()["grpc-status"], (tonic::Code::NotFound as i32).to_string());
    assert!(world.apps.drives.list(drive.id, "/", None, 10).await.is_ok_and(|page| page.items.is_empty()));
}
