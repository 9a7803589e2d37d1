//! Folders that guests hand in: they stay together, below their link, and apart from what is there.

use crate::model::acts::{ABANDONED, DRIVE, GRACE, assert_whole, bytes_of, drives, whole_tree};
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::{DrivePath, Drives, LinkFound, LinkMode, NewFile, NewLink, RenameCondition, Within};
use atoll_apps::{BatchId, DriveError, UserId, VersionId};
use bytes::Bytes;
use client::Content;
use std::sync::Arc;
use std::time::Duration;

fn of(batch: u8, folder: &str) -> Within {
    Within { folder: DrivePath::parse(folder).unwrap(), batch: BatchId([batch; 16]) }
}

fn content(text: &str) -> Content {
    Content::inline(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// What is in the drive, folders with a slash behind them.
async fn tree(model: &Arc<Model>) -> Vec<String> {
    let found = whole_tree(model).await;
    found.into_iter().map(|(path, (folder, _))| if folder { format!("{path}/") } else { path }).collect()
}

async fn drop_box(drives: &Drives) -> LinkFound {
    drives.make_folders(DRIVE, "/box").await.unwrap();
    let new = NewLink { mode: LinkMode::DropBox, password: None, expires: None, downloads_max: None, bytes_max: None };
    let link = drives.make_link(DRIVE, "/box", new, UserId([2; 16])).await.unwrap();
    drives.find_link(&link.token).await.unwrap()
}

async fn hand(drives: &Drives, link: &LinkFound, within: &Within, name: &str) -> Result<String, DriveError> {
    let put = drives.guest_put(link, (within, name), content("x"), NewFile::default()).await;
    put.map(|entry| entry.name)
}

#[tokio::test]
async fn what_is_sent_together_stays_together() {
    let model = Model::new();
    let drives = drives(&Handle::new(&model, 1), Duration::ZERO).await;
    let link = drop_box(&drives).await;
    drives.make_folders(DRIVE, "/box/Trip").await.unwrap();
    for (batch, folder, name) in [(1, "Trip/day", "a"), (1, "Trip", "b"), (1, "/Trip/day/", "a"), (2, "Trip/day", "c")]
    {
        hand(&drives, &link, &of(batch, folder), name).await.unwrap();
    }
    drives.guest_make_folder(&link, &of(1, "Trip/empty")).await.unwrap();
    drives.guest_make_folder(&link, &of(1, "Trip/empty")).await.unwrap();
    let whole = [
        "/box/",
        "/box/Trip/",
        "/box/Trip (2)/",
        "/box/Trip (2)/b",
        "/box/Trip (2)/day/",
        "/box/Trip (2)/day/a",
        "/box/Trip (2)/day/a (2)",
        "/box/Trip (2)/empty/",
        "/box/Trip (3)/",
        "/box/Trip (3)/day/",
        "/box/Trip (3)/day/c",
    ];
    assert_eq!(tree(&model).await, whole);
    // Renamed, it is the same folder; elsewhere or thrown away, it is out of a guest's reach for good.
    let mv = async |from, to| drives.rename(DRIVE, from, to, RenameCondition::MustNotExist).await.unwrap();
    mv("/box/Trip (2)", "/box/Holiday").await;
    hand(&drives, &link, &of(1, "Trip/day"), "d").await.unwrap();
    drives.stat(DRIVE, "/box/Holiday/day/d").await.unwrap();
    mv("/box/Holiday/day", "/day").await;
    hand(&drives, &link, &of(1, "Trip/day"), "e").await.unwrap();
    drives.stat(DRIVE, "/box/Holiday/day/e").await.unwrap();
    drives.trash(DRIVE, "/box/Holiday", None, None).await.unwrap();
    hand(&drives, &link, &of(1, "Trip/day"), "f").await.unwrap();
    drives.stat(DRIVE, "/box/Trip (2)/day/f").await.unwrap();
    assert!(drives.stat(DRIVE, "/day/e").await.is_err() && drives.stat(DRIVE, "/day/f").await.is_err());
    // Another link's batch of the same number is another.
    let other = drop_box(&drives).await;
    hand(&drives, &other, &of(1, "Trip/day"), "g").await.unwrap();
    let beside = |path: &str| path.ends_with("/day/g") && !path.starts_with("/box/Trip (2)/");
    assert!(tree(&model).await.iter().any(|path| beside(path)));
    assert_whole(&model, "after all").await;
}

/// Whoever comes back after a month begins anew, and nothing is left of what was remembered.
#[tokio::test]
async fn a_batch_is_remembered_for_a_month() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let model = Model::new();
    let drives = drives(&Handle::new(&model, 1), Duration::ZERO).await;
    let link = drop_box(&drives).await;
    hand(&drives, &link, &of(1, "Trip/day"), "a").await.unwrap();
    model.advance(29 * DAY);
    model.expire();
    hand(&drives, &link, &of(1, "Trip/day"), "b").await.unwrap();
    assert_eq!(tree(&model).await, ["/box/", "/box/Trip/", "/box/Trip/day/", "/box/Trip/day/a", "/box/Trip/day/b"]);
    model.advance(DAY + Duration::from_secs(1));
    model.expire();
    assert_eq!(model.count("drive", "link_folders"), 0);
    hand(&drives, &link, &of(1, "Trip/day"), "c").await.unwrap();
    drives.stat(DRIVE, "/box/Trip (2)/day/c").await.unwrap();
    assert_whole(&model, "after a month").await;
}

#[tokio::test]
async fn folders_of_guests_are_bounded() {
    let model = Model::new();
    let drives = drives(&Handle::new(&model, 1), Duration::ZERO).await;
    let link = drop_box(&drives).await;
    let deep = "d/".repeat(99);
    assert!(matches!(hand(&drives, &link, &of(1, &deep), "a").await, Err(DriveError::BadPath { .. })));
    drives.guest_make_folder(&link, &of(1, &deep)).await.unwrap();
    assert!(matches!(
        drives.guest_make_folder(&link, &of(2, &"d/".repeat(100))).await,
        Err(DriveError::BadPath { .. })
    ));
    // No more by one link than it takes: 99 are there.
    for batch in 1..=100u8 {
        drives.guest_make_folder(&link, &of(batch, &format!("{batch}/{deep}"))).await.unwrap_err();
        drives.guest_make_folder(&link, &of(batch, &deep)).await.unwrap();
    }
    assert_eq!(
        drives
            .guest_make_folder(&link, &of(1, "more/than/all/others/are/by/now/and/so/on/and/on/and/on").clone())
            .await,
        Ok(())
    );
    let more = drives.guest_make_folder(&link, &of(101, &deep)).await;
    assert_eq!(more, Err(DriveError::LinkFull));
    assert_whole(&model, "after all").await;
    // Only where guests may put something.
    let new = NewLink { mode: LinkMode::View, password: None, expires: None, downloads_max: None, bytes_max: None };
    let view = drives.make_link(DRIVE, "/box", new, UserId([2; 16])).await.unwrap();
    let view = drives.find_link(&view.token).await.unwrap();
    assert_eq!(drives.guest_make_folder(&view, &of(1, "x")).await, Err(DriveError::NoSuchLink));
}

/// Files of one folder come at once: it is made once.
#[tokio::test]
async fn a_folder_that_many_files_make_is_one() {
    for seed in 0..20 {
        let model = Model::new();
        let link = drop_box(&drives(&Handle::new(&model, 1), Duration::ZERO).await).await;
        let mut sending = Vec::new();
        for n in 0..8u64 {
            let drives = drives(&Handle::new(&model, seed * 100 + n).yielding(6), Duration::ZERO).await;
            let link = link.clone();
            let within = of(1, if n % 2 == 0 { "Trip/day" } else { "Trip" });
            sending.push(tokio::spawn(async move { hand(&drives, &link, &within, &format!("{n}")).await }));
        }
        for one in sending {
            one.await.unwrap().unwrap();
        }
        let folders: Vec<String> = tree(&model).await.into_iter().filter(|path| path.ends_with('/')).collect();
        assert_eq!(folders, ["/box/", "/box/Trip/", "/box/Trip/day/"], "seed {seed}");
    }
}

/// A put into a folder that is yet to be made dies at every one of its calls; then its guest tries again.
#[tokio::test]
async fn what_dies_anywhere_is_there_once_after_another_try() {
    let base = || async {
        let model = Model::new();
        let link = drop_box(&drives(&Handle::new(&model, 1), GRACE).await).await;
        (model, link)
    };
    let new = || NewFile { version: VersionId([7; 16]), ..NewFile::default() };
    let send = async |model: &Arc<Model>, drives: &Drives, link: &LinkFound| {
        let content = model.store_content(&bytes_of(&[7; 16]));
        drives.guest_put(link, (&of(1, "Trip/day"), "a"), content, new()).await
    };
    let (undisturbed, link) = base().await;
    let handle = Handle::new(&undisturbed, 0);
    let drives_ = drives(&handle, GRACE).await;
    handle.plan(None);
    send(&undisturbed, &drives_, &link).await.unwrap();
    let calls = handle.calls();
    assert!(calls > 5, "{calls}");
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0..calls {
            let context = format!("{fault:?} at call {at} of {calls}");
            let (model, link) = base().await;
            let handle = Handle::new(&model, 0);
            let dying = drives(&handle, GRACE).await;
            handle.plan(Some((at, fault)));
            let _ = handle.run(send(&model, &dying, &link)).await;
            assert_whole(&model, &context).await;
            let drives = drives(&Handle::new(&model, 3), GRACE).await;
            send(&model, &drives, &link).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(tree(&model).await, ["/box/", "/box/Trip/", "/box/Trip/day/", "/box/Trip/day/a"], "{context}");
            // Nothing else is left of what died.
            for _ in 0..3 {
                model.advance(ABANDONED + GRACE);
                drives.sweep_all().await.unwrap();
            }
            assert_whole(&model, &context).await;
            assert_eq!((model.count("drive", "work"), model.count("drive", "contents")), (0, 1), "{context}");
            assert_eq!(model.references().len(), 1, "{context}");
        }
    }
}
