//! The trash, versions, batches and what undoes them, copies and jobs, orders: one rule at a time.

use crate::model::hand::{D, DAY, fresh, put, read, settings, tree, whole};
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::{
    Act, Clash, DriveError, Drives, Entry, JobState, NewFile, Order, PutCondition, Settings, TidyPass,
};
use atoll_apps::{DriveId, VersionId};
use std::time::Duration;
use types::WallMillis;

#[tokio::test]
async fn what_is_thrown_away_comes_back_to_where_its_folder_is_now() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/a/b").await.unwrap();
    put(&model, &drives, "/a/b/f", "one").await;
    let thrown = drives.trash(D, "/a/b/f", None, None).await.unwrap();
    assert_eq!((thrown.path.as_str(), thrown.entry.name.as_str()), ("/a/b/f", "f"));
    assert_eq!(drives.usage(D).await.unwrap().bytes, 3, "it counts as long as it can come back");
    let moved = drives.move_to(D, "/a/b", "/c", Clash::Fail, None, None).await.unwrap().unwrap();
    assert_eq!(moved.path, "/c");
    assert_eq!(drives.restore(D, thrown.id, None, Clash::Fail, None).await.unwrap().path, "/c/f");
    assert_eq!(drives.restore(D, thrown.id, None, Clash::Fail, None).await, Err(DriveError::NotInTrash));
    // Its folder went too: made anew, where it was.
    let file = drives.trash(D, "/c/f", None, None).await.unwrap();
    let folder = drives.trash(D, "/c", None, None).await.unwrap();
    assert_eq!(drives.trash_list(D, None, 1).await.unwrap().items.len(), 1);
    assert_eq!(drives.restore(D, file.id, None, Clash::Fail, None).await.unwrap().path, "/c/f");
    // And that name is taken now.
    let exists = drives.restore(D, folder.id, None, Clash::Fail, None).await;
    assert!(matches!(exists, Err(DriveError::Exists { .. })));
    assert_eq!(drives.restore(D, folder.id, None, Clash::KeepBoth, None).await.unwrap().path, "/c (2)");
    // A file that makes room for the one that comes back is in the trash itself.
    let old = drives.trash(D, "/c/f", None, None).await.unwrap();
    put(&model, &drives, "/c/f", "two").await;
    let back = drives.restore(D, old.id, None, Clash::Replace, None).await.unwrap();
    assert_eq!((read(&drives, "/c/f").await.as_str(), back.replaced.is_some()), ("one", true));
    assert!(matches!(drives.trash(D, "/", None, None).await, Err(DriveError::BadPath { .. })));
    assert!(matches!(drives.trash(D, "/c/f", Some([9; 16]), None).await, Err(DriveError::Changed { .. })));
    whole(&drives).await;
    // After its time it goes by itself, bytes and references too.
    model.advance(29 * DAY);
    assert_eq!(drives.tidy_all().await.unwrap(), 0);
    model.advance(2 * DAY);
    assert_eq!(drives.tidy_all().await.unwrap(), 1);
    drives.sweep(D).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().bytes, 3);
    whole(&drives).await;
}

#[tokio::test]
async fn a_replaced_file_keeps_its_versions_until_they_are_old() {
    let (model, drives) = fresh().await;
    let long = "x".repeat(3000);
    let first = put(&model, &drives, "/f", &long).await;
    for text in ["two", "two", "three"] {
        model.advance(Duration::from_secs(1));
        put(&model, &drives, "/f", text).await;
    }
    let versions = drives.versions(D, "/f").await.unwrap();
    assert_eq!(
        versions.iter().map(|it| it.file.size).collect::<Vec<_>>(),
        [5, 3, 3000],
        "the same again is no version"
    );
    assert!(versions[0].current && !versions[1].current);
    assert_eq!(drives.usage(D).await.unwrap().bytes, 3008);
    let oldest = first.file().unwrap().version;
    let open = drives.open_version(D, "/f", oldest).await.unwrap();
    assert_eq!(open.file.size, 3000);
    let (entry, before) = drives.restore_version(D, "/f", oldest, None, None).await.unwrap();
    assert_eq!((entry.file().unwrap().version, before), (oldest, versions[0].file.version));
    assert_eq!(read(&drives, "/f").await, long);
    assert_eq!(drives.versions(D, "/f").await.unwrap().len(), 3);
    let none = drives.restore_version(D, "/f", VersionId([9; 16]), None, None).await;
    assert!(matches!(none, Err(DriveError::NoSuchVersion { .. })));
    assert!(matches!(drives.remove_version(D, "/f", oldest).await, Err(DriveError::Invalid(_))));
    drives.remove_version(D, "/f", before).await.unwrap();
    whole(&drives).await;
    // They move, are thrown away and come back with the file.
    drives.move_to(D, "/f", "/g", Clash::Fail, None, None).await.unwrap();
    let id = drives.trash(D, "/g", None, None).await.unwrap().id;
    drives.restore(D, id, None, Clash::Fail, None).await.unwrap();
    assert_eq!(drives.versions(D, "/g").await.unwrap().len(), 2);
    // A year and more later they are gone, and so is what they held.
    model.advance(3 * DAY);
    assert_eq!(drives.tidy_all().await.unwrap(), 0);
    model.advance(400 * DAY);
    assert_eq!(drives.tidy_all().await.unwrap(), 1);
    assert_eq!(drives.versions(D, "/g").await.unwrap().len(), 1);
    put(&model, &drives, "/g", "last").await;
    // With the file its versions go.
    drives.remove(D, "/g", false).await.unwrap();
    drives.sweep(D).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().bytes, 0);
    assert_eq!(model.count("drive", "contents") + model.count("drive", "versions"), 0);
    assert!(model.state.lock().references.is_empty());
    whole(&drives).await;
}

#[tokio::test]
async fn versions_of_one_file_are_bounded() {
    let model = Model::new();
    let few = Settings { versions: 5, ..settings() };
    let drives = Drives::open_store(Handle::new(&model, 0), few).await.unwrap();
    for n in 0..30 {
        model.advance(Duration::from_secs(60));
        put(&model, &drives, "/f", &format!("version {n}")).await;
    }
    assert_eq!(drives.versions(D, "/f").await.unwrap().len(), 6);
    drives.sweep(D).await.unwrap();
    assert_eq!(model.count("drive", "contents"), 6);
    whole(&drives).await;
}

#[tokio::test]
async fn names_that_are_taken() {
    let (model, drives) = fresh().await;
    drives.make_folder(D, "/d").await.unwrap();
    for (path, text) in [("/f.txt", "f"), ("/d/f.txt", "there")] {
        put(&model, &drives, path, text).await;
    }
    let to = "/d/f.txt";
    assert!(matches!(drives.move_to(D, "/f.txt", to, Clash::Fail, None, None).await, Err(DriveError::Exists { .. })));
    assert_eq!(drives.move_to(D, "/f.txt", to, Clash::Skip, None, None).await, Ok(None));
    assert_eq!(drives.copy_file(D, "/f.txt", to, Clash::Skip, None).await, Ok(None));
    assert_eq!(drives.copy_file(D, "/f.txt", to, Clash::KeepBoth, None).await.unwrap().unwrap().path, "/d/f (2).txt");
    let moved = drives.move_to(D, "/f.txt", to, Clash::KeepBoth, None, None).await.unwrap().unwrap();
    assert_eq!(moved.path, "/d/f (3).txt");
    // Put over it, it becomes an earlier version; moved over it, it goes to the trash.
    drives.copy_file(D, "/d/f (2).txt", to, Clash::Replace, None).await.unwrap();
    assert_eq!(drives.versions(D, to).await.unwrap().len(), 2);
    put(&model, &drives, "/g", "g").await;
    let moved = drives.move_to(D, "/g", to, Clash::Replace, None, None).await.unwrap().unwrap();
    assert_eq!(drives.trash_list(D, None, 0).await.unwrap().items[0].id, moved.replaced.unwrap());
    assert!(matches!(drives.move_to(D, "/d", to, Clash::Replace, None, None).await, Err(DriveError::Cycle { .. })));
    assert!(matches!(drives.copy_file(D, to, to, Clash::Replace, None).await, Err(DriveError::Invalid(_))));
    whole(&drives).await;
}

#[tokio::test]
async fn a_copied_file_outlives_its_source() {
    let (model, drives) = fresh().await;
    let long = "y".repeat(5000);
    put(&model, &drives, "/f", &long).await;
    drives.copy_file(D, "/f", "/g", Clash::Fail, None).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().bytes, 10_000);
    drives.remove(D, "/f", false).await.unwrap();
    drives.sweep(D).await.unwrap();
    assert_eq!(read(&drives, "/g").await, long);
    assert_eq!(model.state.lock().references.len(), 1);
    assert!(matches!(drives.copy_file(D, "/f", "/h", Clash::Fail, None).await, Err(DriveError::NotFound { .. })));
    whole(&drives).await;
}

#[tokio::test]
async fn every_act_says_what_undoes_it() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/a/b").await.unwrap();
    for (path, text) in [("/a/f", "one"), ("/a/b/g", "g"), ("/h", "h")] {
        put(&model, &drives, path, text).await;
    }
    put(&model, &drives, "/a/f", "two").await;
    let version = drives.versions(D, "/a/f").await.unwrap()[1].file.version;
    let path = |text: &str| text.to_string();
    let acts = [
        Act::MakeFolder { path: path("/n"), parents: false },
        Act::Move { from: path("/a"), to: path("/c"), clash: Clash::Fail, only: None },
        Act::Move { from: path("/h"), to: path("/a/f"), clash: Clash::Replace, only: None },
        Act::Copy { drive: None, from: path("/h"), to: path("/a/h"), clash: Clash::Fail },
        Act::Copy { drive: None, from: path("/h"), to: path("/a/f"), clash: Clash::Replace },
        Act::Copy { drive: None, from: path("/a"), to: path("/copy"), clash: Clash::Fail },
        Act::Trash { path: path("/a"), only: None, recursive: true },
        Act::RestoreVersion { path: path("/a/f"), version, only: None },
    ];
    for act in acts {
        let before = tree(&drives).await;
        let done = drives.act(D, &act, None).await.unwrap();
        if let Some(job) = done.job {
            assert_eq!(drives.run_job(D, job.id).await.unwrap().state, JobState::Done);
        }
        assert_ne!(tree(&drives).await, before, "{act:?}");
        assert!(!done.undo.is_empty());
        for act in &done.undo {
            drives.act(D, act, None).await.unwrap();
        }
        assert_eq!(tree(&drives).await, before, "{act:?}");
        whole(&drives).await;
    }
    // What undoes an act never hits something else.
    let done = drives.act(D, &Act::MakeFolder { path: path("/n"), parents: false }, None).await.unwrap();
    drives.remove(D, "/n", false).await.unwrap();
    put(&model, &drives, "/n", "another").await;
    assert!(matches!(drives.act(D, &done.undo[0], None).await, Err(DriveError::Changed { .. })));
}

#[tokio::test]
async fn a_folder_in_every_order_page_by_page() {
    let (model, drives) = fresh().await;
    drives.make_folder(D, "/l").await.unwrap();
    for (n, size) in [30, 10, 20, 20, 300, 0, 7].into_iter().enumerate() {
        let content = model.store_content(&vec![b'x'; size]);
        let new = NewFile { mtime: Some(WallMillis(1000 - (n as u64 * 37) % 11)), ..NewFile::default() };
        drives.put_file(D, &format!("/l/f{n}"), content, new, PutCondition::Replace).await.unwrap();
    }
    for name in ["z", "y"] {
        model.advance(Duration::from_millis(5));
        drives.make_folder(D, &format!("/l/{name}")).await.unwrap();
    }
    let all = drives.list(D, "/l", None, 0).await.unwrap().items;
    let date = |entry: &Entry| entry.file().map_or(entry.modified, |file| file.mtime);
    for order in [Order::Name, Order::Size, Order::Modified] {
        for reverse in [false, true] {
            let mut wanted = all.clone();
            wanted.sort_by_key(|entry| match order {
                Order::Name => (0, entry.name.clone()),
                Order::Size => (entry.size(), entry.name.clone()),
                Order::Modified => (date(entry).0, entry.name.clone()),
            });
            if reverse {
                wanted.reverse();
            }
            if order != Order::Name {
                wanted.sort_by_key(|entry| !entry.is_folder());
            }
            for limit in [1, 2, 3, 9, 100] {
                let (mut found, mut cursor) = (Vec::new(), None);
                loop {
                    let page = drives.list_by(D, "/l", order, reverse, cursor.as_deref(), limit).await.unwrap();
                    assert!(page.items.len() <= limit as usize);
                    found.extend(page.items);
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(found, wanted, "{order:?} {reverse} {limit}");
            }
        }
    }
    let bad = drives.list_by(D, "/l", Order::Size, false, Some("xyz"), 0).await;
    assert!(matches!(bad, Err(DriveError::BadCursor)));
    whole(&drives).await;
}

#[tokio::test]
async fn names_are_found_whatever_their_case_and_form() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/Photos/Café").await.unwrap();
    for name in ["/Photos/CAFE\u{301}.jpg", "/Photos/Café/menu.txt", "/decaf.txt", "/gone/café"] {
        let folder = name.rsplit_once('/').unwrap().0;
        drives.make_folders(D, folder).await.unwrap();
        put(&model, &drives, name, "x").await;
    }
    drives.trash(D, "/gone", None, None).await.unwrap();
    let find = |text: &'static str, anywhere: bool| {
        let drives = drives.clone();
        async move {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = drives.search(D, text, anywhere, cursor.as_deref(), 1).await.unwrap();
                found.extend(page.items.into_iter().map(|it| it.path));
                cursor = page.next;
                if cursor.is_none() {
                    found.sort();
                    return found;
                }
            }
        }
    };
    assert_eq!(find("CAFÉ", false).await, ["/Photos/CAFÉ.jpg", "/Photos/Café"]);
    assert_eq!(find("caf", true).await, ["/Photos/CAFÉ.jpg", "/Photos/Café", "/decaf.txt"]);
    assert_eq!(find("nothing", true).await, Vec::<String>::new());
    assert!(matches!(drives.search(D, "", true, None, 0).await, Err(DriveError::Invalid(_))));
    assert!(matches!(drives.search(D, "x", true, Some("00"), 0).await, Err(DriveError::BadCursor)));
}

/// Nothing is undone that an act has not done.
#[tokio::test]
async fn undoing_leaves_alone_what_was_there_before_and_what_came_after() {
    let (model, drives) = fresh().await;
    let path = |text: &str| text.to_string();
    // The same bytes over it: no version is kept, and the person's own file is not thrown away.
    for (at, text) in [("/one", "same"), ("/two", "other"), ("/two", "same")] {
        put(&model, &drives, at, text).await;
        model.advance(Duration::from_secs(1));
    }
    let copy = Act::Copy { drive: None, from: path("/one"), to: path("/two"), clash: Clash::Replace };
    assert_eq!(drives.act(D, &copy, None).await.unwrap().undo, []);
    // A replaced one comes back only as long as the copy is what is there.
    put(&model, &drives, "/one", "new").await;
    let undo = drives.act(D, &copy, None).await.unwrap().undo;
    put(&model, &drives, "/two", "newer").await;
    assert!(matches!(drives.act(D, &undo[0], None).await, Err(DriveError::Changed { .. })));
    assert_eq!(read(&drives, "/two").await, "newer");
    // A folder that was there already stays.
    let make = Act::MakeFolder { path: path("/x/y"), parents: true };
    assert_eq!(drives.act(D, &make, None).await.unwrap().undo.len(), 1);
    assert_eq!(drives.act(D, &make, None).await.unwrap().undo, []);
    // A folder's copy goes while it is being made, and under whatever name.
    put(&model, &drives, "/x/f", "f").await;
    for wait in [false, true] {
        let copy = Act::Copy { drive: None, from: path("/x"), to: path("/x"), clash: Clash::KeepBoth };
        let before = tree(&drives).await;
        let done = drives.act(D, &copy, None).await.unwrap();
        let id = done.job.unwrap().id;
        if wait {
            let to = drives.run_job(D, id).await.unwrap().to;
            assert_eq!(to, "/x (2)");
            drives.move_to(D, &to, "/elsewhere", Clash::Fail, None, None).await.unwrap();
        }
        for act in &done.undo {
            drives.act(D, act, None).await.unwrap();
        }
        assert_ne!(drives.run_job(D, id).await.unwrap().state, JobState::Running);
        assert_eq!(tree(&drives).await, before);
    }
    whole(&drives).await;
}

#[tokio::test]
async fn a_trash_with_a_row_that_cannot_be_read_is_emptied_of_the_rest() {
    let (model, drives) = fresh().await;
    for n in 0..250 {
        put(&model, &drives, "/f", &format!("{n}")).await;
        drives.trash(D, "/f", None, None).await.unwrap();
        model.advance(Duration::from_millis(1));
    }
    let last = drives.trash_list(D, None, 1).await.unwrap().items.remove(0).id;
    model.overwrite("drive", "trash", &last.0, b"\xff");
    put(&model, &drives, "/g", "one").await;
    put(&model, &drives, "/g", "two").await;
    model.advance(400 * DAY);
    // Versions are thinned all the same.
    assert_eq!(drives.tidy(D).await.unwrap(), 250);
    assert_eq!(drives.versions(D, "/g").await.unwrap().len(), 1);
    assert_eq!((model.count("drive", "trash"), model.count("drive", "versions")), (1, 0));
}

#[tokio::test]
async fn finding_much_in_the_trash_takes_a_few_calls_and_ends() {
    let (model, drives) = fresh().await;
    for n in 0..700 {
        drives.make_folders(D, &format!("/t/{n}")).await.unwrap();
        put(&model, &drives, &format!("/t/{n}/wanted"), "").await;
    }
    drives.make_folders(D, "/kept/deep").await.unwrap();
    put(&model, &drives, "/kept/deep/wanted", "").await;
    drives.trash(D, "/t", None, None).await.unwrap();
    let handle = Handle::new(&model, 1);
    let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
    drives.prepare(D).await.unwrap();
    let (mut found, mut cursor, mut calls) = (Vec::new(), None, 0);
    loop {
        handle.plan(None);
        let page = drives.search(D, "want", false, cursor.as_deref(), 0).await.unwrap();
        assert!(handle.calls() < 20, "{} calls of the store", handle.calls());
        calls += 1;
        found.extend(page.items.into_iter().map(|it| it.path));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["/kept/deep/wanted"]);
    assert!((2..10).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_cursor_of_no_range_is_refused() {
    let (_, drives) = fresh().await;
    for cursor in ["02", "ff", "0200"] {
        for order in [Order::Size, Order::Name] {
            let bad = drives.list_by(D, "/", order, true, Some(cursor), 0).await;
            assert!(matches!(bad, Err(DriveError::BadCursor)), "{cursor} {order:?} {bad:?}");
        }
    }
}

#[tokio::test]
async fn a_large_trash_is_emptied_call_by_call() {
    let (model, drives) = fresh().await;
    for n in 0..250 {
        put(&model, &drives, "/f", &format!("{n}")).await;
        drives.trash(D, "/f", None, None).await.unwrap();
        model.advance(Duration::from_millis(1));
    }
    let handle = Handle::new(&model, 1);
    let slow = Drives::open_store(handle.clone(), settings()).await.unwrap();
    let mut told = Vec::new();
    loop {
        handle.plan(Some((0, Fault::Pause)));
        let emptying = tokio::spawn({
            let (slow, now) = (slow.clone(), model.now());
            async move { slow.empty_trash(D, now).await.unwrap() }
        });
        handle.until_paused().await;
        model.advance(Duration::from_secs(10));
        handle.resume();
        let emptied = emptying.await.unwrap();
        assert!(handle.calls() <= 3, "many rows go in one transaction");
        told.push(emptied.removed);
        if !emptied.more {
            break;
        }
    }
    assert_eq!(told, [100, 100, 50]);
    drives.sweep(D).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().bytes, 0);
    whole(&drives).await;
}

#[tokio::test]
async fn a_quota_holds_for_puts_copies_and_jobs_whoever_carries_them_on() {
    let (model, drives) = fresh().await;
    drives.make_folder(D, "/d").await.unwrap();
    put(&model, &drives, "/d/f", &"x".repeat(600)).await;
    let mine = drives.within(Some(1000));
    assert_eq!(mine.usage(D).await.unwrap().room, Some(400));
    let full = |error: Option<DriveError>| assert_eq!(error, Some(DriveError::Quota { needed: 600, room: 400 }));
    let content = model.store_content(&[b'y'; 600]);
    full(mine.put_file(D, "/g", content, NewFile::default(), PutCondition::Replace).await.err());
    full(mine.copy_file(D, "/d/f", "/g", Clash::Fail, None).await.err());
    let job = mine.begin_copy(D, "/d", "/e", Clash::Fail, None).await.unwrap();
    let ended = drives.run_job(D, job.id).await.unwrap();
    assert_eq!(ended.state, JobState::Failed);
    assert!(ended.problem.is_some_and(|why| why.contains("full")));
    // Who has no such bound, or more room, may.
    drives.copy_file(D, "/d/f", "/g", Clash::Fail, None).await.unwrap();
    drives.within(Some(1800)).copy_file(D, "/d/f", "/h", Clash::Fail, None).await.unwrap();
    // Over it, what takes no room is done all the same.
    mine.move_to(D, "/g", "/i", Clash::Fail, None, None).await.unwrap();
    mine.remove(D, "/h", false).await.unwrap();
    drives.sweep(D).await.unwrap();
    whole(&drives).await;
}

#[tokio::test]
async fn every_drive_has_its_turn_to_be_tidied_however_many_there_are() {
    let (model, drives) = fresh().await;
    let all: Vec<DriveId> = (1..=9).map(|n| DriveId([n; 16])).collect();
    for drive in &all {
        drives.make_folder(*drive, "/f").await.unwrap();
        drives.trash(*drive, "/f", None, None).await.unwrap();
    }
    model.advance(400 * DAY);
    let (mut pass, mut turns, mut removed) = (TidyPass::default(), 0, 0);
    while !pass.is_over() {
        let now = drives.tidy_next(&mut pass, 2).await.unwrap();
        assert!(now <= 3, "{now} in one turn");
        (turns, removed) = (turns + 1, removed + now);
    }
    assert!(removed == 9 && turns > 4, "{removed} in {turns}");
    assert_eq!(model.count("drive", "trash"), 0);
    assert_eq!(drives.tidy_next(&mut pass, 2).await.unwrap(), 0);
}
