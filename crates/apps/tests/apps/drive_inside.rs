//! What is in a folder, while others change it.

use crate::model::hand::{D, fresh, on, put, settings};
use crate::model::{Fault, Handle};
use atoll_apps::FolderId;
use atoll_apps::drive::{Drives, LIST_MAX};
use std::collections::BTreeSet;

/// Whatever is renamed from a page that is to come to one that has been, it is listed, once.
#[tokio::test]
async fn a_listing_misses_nothing_that_is_there_all_the_time() {
    for at in 0..5 {
        let (model, drives) = fresh().await;
        let folder = drives.make_folder(D, "/f").await.unwrap().folder().unwrap().id;
        let mut wanted = BTreeSet::new();
        for n in 0..LIST_MAX + 50 {
            wanted.insert(put(&model, &drives, &format!("/f/m{n:05}"), "").await.id());
        }
        let handle = Handle::new(&model, 0);
        let slow = Drives::open_store(handle.clone(), settings()).await.unwrap();
        handle.plan(Some((at, Fault::Pause)));
        let listing = tokio::spawn(async move { slow.folder_listing(D, folder, 5000).await });
        tokio::select! {
            () = handle.until_paused() => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
        }
        // The last comes first, the first last; and something new takes the place of what went.
        let last = format!("m{:05}", LIST_MAX + 49);
        drives.rename(D, &format!("/f/{last}"), "/f/a", Default::default()).await.unwrap();
        drives.rename(D, "/f/m00000", "/f/z", Default::default()).await.unwrap();
        put(&model, &drives, &format!("/f/{last}"), "new").await;
        handle.resume();
        let listed = listing.await.unwrap().unwrap();
        let ids: BTreeSet<_> = listed.iter().map(|it| it.id).collect();
        assert!(ids.is_superset(&wanted), "paused at call {at}");
        assert_eq!(ids.len(), listed.len(), "each once, paused at call {at}");
        assert!(listed.is_sorted());
    }
}

#[tokio::test]
async fn a_listing_is_bounded_and_a_folder_that_is_gone_is_empty() {
    let (model, drives) = fresh().await;
    for name in ["a", "b", "c"] {
        put(&model, &drives, &format!("/{name}"), name).await;
    }
    assert_eq!(drives.folder_listing(D, FolderId::ROOT, 3).await.unwrap().len(), 3);
    assert!(drives.folder_listing(D, FolderId::ROOT, 2).await.is_err());
    assert_eq!(drives.folder_listing(D, FolderId([9; 16]), 2).await.unwrap(), []);
}

/// A file is found by what it is, as long as it is there.
#[tokio::test]
async fn a_file_is_found_under_its_new_name() {
    let (model, drives) = fresh().await;
    let id = put(&model, &drives, "/a", "one").await.id();
    put(&model, &drives, "/b", "two").await;
    let found = async || {
        let open = on(&model).await.file_inside(D, FolderId::ROOT, id, "a").await.unwrap();
        open.map(|open| (open.entry.name.clone(), open.content.size))
    };
    assert_eq!(found().await, Some(("a".into(), 3)));
    drives.rename(D, "/a", "/c", Default::default()).await.unwrap();
    drives.rename(D, "/b", "/a", Default::default()).await.unwrap();
    assert_eq!(found().await, Some(("c".into(), 3)), "another has its name");
    put(&model, &drives, "/c", "three").await;
    assert_eq!(found().await, Some(("c".into(), 5)), "as it is by now");
    drives.make_folder(D, "/f").await.unwrap();
    drives.rename(D, "/c", "/f/c", Default::default()).await.unwrap();
    assert_eq!(found().await, None, "it is elsewhere");
    drives.trash(D, "/f/c", None, None).await.unwrap();
    assert_eq!(found().await, None);
}
