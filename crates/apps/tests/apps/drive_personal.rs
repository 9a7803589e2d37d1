//! Stars, and what somebody did last: they follow what moves, and forget what is gone.

use crate::model::hand::{D, fresh, on, put, settings};
use crate::model::{Fault, Handle, Model};
use atoll_apps::accounts::Estate;
use atoll_apps::drive::{Clash, Drives, Recent, RecentAct, STARS_MAX};
use atoll_apps::{DriveError, DriveId, Store, UserId};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use types::{Transaction, Update};

const ADA: UserId = UserId([7; 16]);
const BEN: UserId = UserId([8; 16]);
const SHARED: DriveId = DriveId([2; 16]);

async fn starred(drives: &Drives, user: UserId) -> Vec<String> {
    let found = drives.starred(user, &[D, SHARED]).await.unwrap();
    found.into_iter().map(|it| it.placed.path).collect()
}

fn rows(model: &Model) -> usize {
    model.count("drive", "stars")
}

#[tokio::test]
async fn stars_follow_what_moves_and_go_with_what_is_gone() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/a/b").await.unwrap();
    drives.make_folder(SHARED, "/s").await.unwrap();
    for path in ["/a/b/one", "/two", "/a/three"] {
        put(&model, &drives, path, path).await;
    }
    for (drive, path) in [(D, "/a/b/one"), (D, "/two"), (D, "/a/b"), (SHARED, "/s")] {
        model.advance(Duration::from_millis(5));
        // As often as one likes.
        for _ in 0..2 {
            drives.star(ADA, drive, path, true).await.unwrap();
        }
    }
    assert_eq!(starred(&drives, ADA).await, ["/s", "/a/b", "/two", "/a/b/one"], "the latest first");
    assert!(starred(&drives, BEN).await.is_empty());
    assert_eq!(drives.stars_in(ADA, D).await.unwrap().len(), 3);
    drives.rename(D, "/a", "/z", Default::default()).await.unwrap();
    drives.rename(D, "/two", "/z/2", Default::default()).await.unwrap();
    assert_eq!(starred(&on(&model).await, ADA).await, ["/s", "/z/b", "/z/2", "/z/b/one"]);

    // In the trash it is not shown, and comes back with its star; the folder takes along what is in it.
    let trashed = drives.trash(D, "/z/b", None, None).await.unwrap();
    assert_eq!(starred(&drives, ADA).await, ["/s", "/z/2"]);
    drives.restore(D, trashed.id, None, Clash::Fail, None).await.unwrap();
    assert_eq!(starred(&drives, ADA).await, ["/s", "/z/b", "/z/2", "/z/b/one"]);
    // Gone for good, its star is dropped; so are those in drives that one may not look into any more.
    drives.remove(D, "/z/b", true).await.unwrap();
    drives.sweep_all().await.unwrap();
    assert_eq!(starred(&drives, ADA).await, ["/s", "/z/2"]);
    assert_eq!(rows(&model), 3, "two stars and their counter");
    assert_eq!(drives.starred(ADA, &[D]).await.unwrap().len(), 1);
    assert_eq!(starred(&drives, ADA).await, ["/z/2"]);
    for _ in 0..2 {
        drives.star(ADA, D, "/z/2", false).await.unwrap();
    }
    assert!(starred(&drives, ADA).await.is_empty());

    for bad in ["/none", "/"] {
        assert!(drives.star(ADA, D, bad, true).await.is_err(), "{bad}");
    }
    for n in 0..STARS_MAX {
        let path = format!("/z/f{n}");
        put(&model, &drives, &path, "x").await;
        drives.star(ADA, D, &path, true).await.unwrap();
    }
    assert!(matches!(drives.star(ADA, D, "/z/2", true).await, Err(DriveError::TooManyStars { .. })));
    assert_eq!(starred(&drives, ADA).await.len(), STARS_MAX as usize);
    // The account goes, and a second time, as after a crash.
    for _ in 0..2 {
        drives.clear(ADA, DriveId([99; 16])).await.unwrap();
        assert_eq!((rows(&model), starred(&drives, ADA).await.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_star_that_dies_anywhere_is_there_or_not_and_counted_once() {
    for star in [true, false] {
        let base = || async {
            let (model, drives) = fresh().await;
            put(&model, &drives, "/a", "a").await;
            if !star {
                drives.star(ADA, D, "/a", true).await.unwrap();
            }
            model
        };
        let model = base().await;
        let handle = Handle::new(&model, 0);
        let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
        handle.plan(None);
        drives.star(ADA, D, "/a", star).await.unwrap();
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for at in 0..handle.calls() {
                let model = base().await;
                let handle = Handle::new(&model, 0);
                let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
                handle.plan(Some((at, fault)));
                let _ = handle.run(drives.star(ADA, D, "/a", star)).await;
                let others = on(&model).await;
                let there = starred(&others, ADA).await.len();
                assert!(there <= 1, "{fault:?} at call {at}");
                assert_eq!(others.check_personal(ADA).await.unwrap(), [""; 0], "{fault:?} at call {at}");
                others.star(ADA, D, "/a", star).await.unwrap();
                assert_eq!(starred(&others, ADA).await.len(), usize::from(star));
            }
        }
    }
}

/// What is seen once everything noted has been written.
async fn recent(model: &Arc<Model>, drives: &Drives, user: UserId) -> Vec<(String, RecentAct)> {
    let told = |found: Vec<Recent>| found.into_iter().map(|it| (it.placed.path, it.act)).collect::<Vec<_>>();
    let here = told(drives.recent(user, &[D]).await.unwrap());
    for _ in 0..10_000 {
        // Another node sees the same as soon as it is written.
        if told(on(model).await.recent(user, &[D]).await.unwrap()) == here {
            return here;
        }
        tokio::task::yield_now().await;
    }
    panic!("{here:?} is never written");
}

#[tokio::test]
async fn what_was_done_last_is_first_and_once() {
    let (model, drives) = fresh().await;
    let mut entries = Vec::new();
    for n in 0..130 {
        entries.push(put(&model, &drives, &format!("/f{n}"), "x").await);
    }
    for entry in &entries {
        model.advance(Duration::from_millis(10));
        drives.note(ADA, D, entry, RecentAct::Uploaded);
    }
    let seen = recent(&model, &drives, ADA).await;
    assert_eq!((seen.len(), &*seen[0].0, &*seen[99].0), (100, "/f129", "/f30"), "bounded, the latest first");
    model.advance(Duration::from_secs(1));
    drives.note(ADA, D, &entries[50], RecentAct::Opened);
    let seen = recent(&model, &drives, ADA).await;
    assert_eq!((seen.len(), &seen[0]), (100, &("/f50".to_string(), RecentAct::Opened)));
    drives.rename(D, "/f50", "/g", Default::default()).await.unwrap();
    drives.trash(D, "/f129", None, None).await.unwrap();
    let seen = recent(&model, &drives, ADA).await;
    assert_eq!((seen.len(), &*seen[0].0, &*seen[1].0), (99, "/g", "/f128"));
    assert!(recent(&model, &drives, BEN).await.is_empty());
    assert!(drives.recent(ADA, &[SHARED]).await.unwrap().is_empty(), "a drive out of reach");
    drives.note(ADA, D, &drives.make_folder(D, "/folder").await.unwrap(), RecentAct::Opened);
    assert_eq!(recent(&model, &drives, ADA).await.len(), 99, "folders are passed through, not opened");
    assert_eq!(drives.check_personal(ADA).await.unwrap(), [""; 0]);
    drives.clear(ADA, DriveId([99; 16])).await.unwrap();
    assert!(recent(&model, &drives, ADA).await.is_empty());
}

/// Rows that no act of ours leaves.
#[tokio::test]
async fn what_is_wrong_with_stars_and_notes_is_told() {
    let (model, drives) = fresh().await;
    put(&model, &drives, "/a", "a").await;
    drives.star(ADA, D, "/a", true).await.unwrap();
    let spoil = async |table: &str, owner: Bytes, sort_key: &'static [u8], value: &'static [u8]| {
        let handle = Handle::new(&model, 0);
        let (table, sort_key) = (model.table("drive", table).unwrap(), Bytes::from_static(sort_key));
        let value = Bytes::from_static(value).into();
        let updates = vec![Update::Put { table, sort_key: sort_key.into(), value, expires: None }];
        let operation = handle.operation(&owner);
        handle.transact(Transaction { operation, partition_key: owner, conditions: vec![], updates }).await.unwrap();
    };
    spoil("stars", ADA.bytes(), b"short", b"").await;
    let told = drives.check_personal(ADA).await.unwrap();
    assert!(
        told.len() == 2 && told[0].contains("leads nowhere") && told[1].contains("says 1; there are 2"),
        "{told:?}"
    );
    spoil("recent", BEN.bytes(), b"recent", b"\x0a\x02\x0a\x00").await;
    let told = drives.check_personal(BEN).await.unwrap();
    assert!(told.len() == 1 && told[0].contains("did last"), "{told:?}");
    assert_eq!(drives.check(D).await.unwrap(), [""; 0]);
    spoil("brakes", D.bytes(), b"laptop", b"\xff").await;
    let told = drives.check(D).await.unwrap();
    assert!(told.len() == 1 && told[0].contains("laptop"), "{told:?}");
    spoil("removed", D.bytes(), b"phone", b"\xff").await;
    spoil("removed", D.bytes(), b"\xff", b"").await;
    let told = drives.check(D).await.unwrap();
    assert!(told.len() == 3 && told[1].contains("phone") && told[2].contains("of no program"), "{told:?}");
}

/// Two nodes note at once: neither forgets what the other has written.
#[tokio::test(flavor = "multi_thread")]
async fn notes_from_several_nodes_are_all_kept() {
    let (model, one) = fresh().await;
    let two = on(&model).await;
    for n in 0..30 {
        let entry = put(&model, &one, &format!("/f{n}"), "x").await;
        model.advance(Duration::from_millis(1));
        let drives = if n % 2 == 0 { &one } else { &two };
        drives.note(ADA, D, &entry, RecentAct::Changed);
    }
    let begun = std::time::Instant::now();
    loop {
        let seen = on(&model).await.recent(ADA, &[D]).await.unwrap().len();
        if seen == 30 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{seen} of 30");
        tokio::task::yield_now().await;
    }
}
