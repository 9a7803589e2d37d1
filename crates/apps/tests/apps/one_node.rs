//! Accounts and a drive on a real node: its client, its chains of one, its disk.

use atoll_apps::drive::{NewFile, PutCondition, RenameCondition};
use atoll_apps::{Apps, Device, DriveError, NewUser, Role, Settings};
use bytes::Bytes;
use client::{Client, ClientConfig};
use futures::TryStreamExt;
use node::{Node, NodeConfig};
use rand::Rng;
use rpc::wire::Presence;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const PASSWORD: &str = "correct horse";

async fn start(folder: &Path) -> (Node, Apps) {
    let begin = Instant::now();
    let (node, address) = loop {
        match start_node(folder).await {
            Ok(started) => break started,
            // The node before may hold the folder for a moment longer.
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!("started within {:?}", begin.elapsed());
    let credentials = node.credentials();
    let config = ClientConfig::new(vec![address], credentials);
    let client = Client::connect(config).await.unwrap();
    let mut settings = Settings::default();
    settings.drives.grace = Duration::ZERO;
    (node, Apps::with_store(Arc::new(client), settings).await.unwrap())
}

async fn start_node(folder: &Path) -> Result<(Node, String), node::NodeError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let presence = Presence::at(&address);
    Ok((Node::start(NodeConfig::new(folder, presence), listener).await?, address))
}

fn pieces(bytes: &[u8]) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + use<> {
    let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures::stream::iter(pieces)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_set_up_to_sweep_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (node, apps) = start(folder.path()).await;
    let secret = apps.accounts.make_setup_secret().await.unwrap();
    let root = apps.accounts.complete_setup(&secret, "root", PASSWORD, Device::default()).await.unwrap();
    assert!(apps.accounts.complete_setup(&secret, "other", PASSWORD, Device::default()).await.is_err());
    let new =
        NewUser { name: "ada".into(), display: "Ada".into(), password: PASSWORD.into(), role: Role::User, quota: None };
    apps.accounts.create_user(&root.user, new).await.unwrap();
    assert!(apps.accounts.sign_in("ada", "wrong", Device::default()).await.is_err());
    let session = apps.accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
    let drive = session.user.drive;

    let drives = &apps.drives;
    drives.make_folders(drive, "/papers/2025").await.unwrap();
    let big: Vec<u8> = (0..3_300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let small = b"a few words".to_vec();
    for (path, bytes) in [("/papers/2025/big", &big), ("/papers/small", &small)] {
        let put = drives.upload_file(drive, path, pieces(bytes), NewFile::default(), PutCondition::CreateNew);
        assert_eq!(put.await.unwrap().size(), bytes.len() as u64);
    }
    drives.rename(drive, "/papers", "/archive", RenameCondition::MustNotExist).await.unwrap();
    assert!(matches!(drives.stat(drive, "/papers").await, Err(DriveError::NotFound { .. })));

    drop(apps);
    node.shutdown().await;
    let (node, apps) = start(folder.path()).await;
    let drives = &apps.drives;
    assert_eq!(apps.accounts.authenticate(session.token.as_str()).await.unwrap(), session.user);
    for (path, bytes) in [("/archive/2025/big", &big), ("/archive/small", &small)] {
        let open = drives.open(drive, path).await.unwrap();
        let read: Vec<Bytes> = drives.read(open.content, 0..u64::MAX).try_collect().await.unwrap();
        assert!(read.concat() == *bytes, "{path}");
    }
    let open = drives.open(drive, "/archive/2025/big").await.unwrap();
    let part: Vec<Bytes> = drives.read(open.content, 1_048_000..1_049_000).try_collect().await.unwrap();
    assert!(part.concat() == big[1_048_000..1_049_000]);

    drives.remove(drive, "/archive", true).await.unwrap();
    assert!(drives.list(drive, "/", None, 0).await.unwrap().items.is_empty());
    let swept = drives.sweep_all().await.unwrap();
    assert_eq!((swept.released, swept.dismantled, swept.waiting), (2, 3, 0));
    assert_eq!(drives.usage(drive).await.unwrap().bytes, 0);
    assert_eq!(drives.check(drive).await.unwrap(), Vec::<String>::new());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_leave_a_whole_drive() {
    let folder = tempfile::tempdir().unwrap();
    let (node, apps) = start(folder.path()).await;
    let drive = atoll_apps::DriveId::random();
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let drives = apps.drives.clone();
            tokio::spawn(async move {
                for _ in 0..60 {
                    let (act, from, to, size) = {
                        let mut rng = rand::rng();
                        let mut path = || -> String {
                            (0..rng.random_range(1..=3)).map(|_| ["/a", "/b", "/c"][rng.random_range(0..3)]).collect()
                        };
                        let (from, to) = (path(), path());
                        (rng.random_range(0..5), from, to, [10, 20_000][rng.random_range(0..2)])
                    };
                    let done = match act {
                        0 => {
                            let bytes = vec![1; size];
                            let put = PutCondition::Replace;
                            drives.upload_file(drive, &from, pieces(&bytes), NewFile::default(), put).await
                        }
                        1 => drives.make_folders(drive, &from).await,
                        2 => drives.remove(drive, &from, true).await,
                        _ => drives.rename(drive, &from, &to, RenameCondition::ReplaceAny).await,
                    };
                    if let Err(error @ (DriveError::Client(_) | DriveError::Damaged(_))) = done {
                        panic!("{error}");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(apps.drives.check(drive).await.unwrap(), Vec::<String>::new());
    assert_eq!(apps.drives.sweep(drive).await.unwrap().waiting, 0);
    assert_eq!(apps.drives.check(drive).await.unwrap(), Vec::<String>::new());
    node.shutdown().await;
}
