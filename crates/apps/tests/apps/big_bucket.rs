//! Listings of very many keys on a real node, flat and in as many folders as a tenth of them: what a page costs.
//! 5 000 keys; with `ATOLL_TEST_LONG=1`, 100 000.

use atoll_apps::drive::NewFile;
use atoll_apps::drive::objects::{Listing, NewObject, ObjectCondition, ObjectKey};
use atoll_apps::{Apps, DriveId, Drives, Settings};
use bytes::Bytes;
use client::{Client, ClientConfig, Content};
use futures::StreamExt;
use node::{Node, NodeConfig};
use rpc::wire::Presence;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// For a page, far above what an idle machine takes, which is printed: others may use this one.
const PATIENCE: Duration = Duration::from_secs(30);

async fn fill(drives: &Drives, drive: DriveId, keys: impl Iterator<Item = String>) {
    let puts = futures::stream::iter(keys).map(|key| async move {
        let content = Content::inline(Bytes::from_static(b"x")).unwrap();
        let new = NewObject { file: NewFile::default(), about: Default::default(), composed: false };
        let key = ObjectKey::parse(&key).unwrap();
        drives.put_object(drive, &key, content, new, ObjectCondition::Any).await.unwrap();
    });
    puts.buffer_unordered(64).for_each(async |()| {}).await;
}

/// Keys and common prefixes of all pages; the slowest page.
async fn pages(drives: &Drives, drive: DriveId, delimiter: &str, limit: u32) -> (u64, Duration) {
    let mut asked = Listing { delimiter: delimiter.into(), limit, ..Listing::default() };
    let (mut count, mut pages, mut slowest, all) = (0, 0, Duration::ZERO, Instant::now());
    loop {
        let begun = Instant::now();
        let page = drives.list_objects(drive, &asked).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        count += (page.objects.len() + page.prefixes.len()) as u64;
        pages += 1;
        match page.next {
            Some(next) => asked.after = next,
            None => break,
        }
    }
    println!(
        "{count} keys and prefixes, delimiter {delimiter:?}: {pages} pages in {:?}, the slowest {slowest:?}",
        all.elapsed()
    );
    (count, slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_keys_costs_what_it_returns() {
    let count = if std::env::var_os("ATOLL_TEST_LONG").is_some() { 100_000u64 } else { 5_000 };
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let node = Node::start(NodeConfig::new(folder.path(), Presence::at(&address)), listener).await.unwrap();
    let client = Client::connect(ClientConfig::new(vec![address], node.credentials())).await.unwrap();
    let drives = Apps::with_store(Arc::new(client), Settings::default()).await.unwrap().drives;

    let (flat, folders) = (DriveId::random(), DriveId::random());
    fill(&drives, flat, (0..count).map(|n| format!("f{n:06}"))).await;
    fill(&drives, folders, (0..count).map(|n| format!("d{:05}/k{}", n / 10, n % 10))).await;
    for (drive, delimiter, want) in [(flat, "", count), (folders, "", count), (folders, "/", count / 10)] {
        let (found, slowest) = pages(&drives, drive, delimiter, 1000).await;
        assert_eq!(found, want);
        assert!(slowest < PATIENCE, "{slowest:?}");
    }
    // From anywhere in it.
    for after in ["", "d00100/", "d00200/k5"] {
        let asked = Listing { delimiter: "/".into(), after: after.into(), limit: 1, ..Listing::default() };
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            assert_eq!(drives.list_objects(folders, &asked).await.unwrap().prefixes.len(), 1);
            times.push(begun.elapsed());
        }
        println!("the first common prefix after {after:?}: {times:?}");
    }
    node.shutdown().await;
}
