//! The trash, versions, batches and what undoes them, copies and jobs, orders: one rule at a time.

#![allow(clippy::unwrap_used)]

mod model;

use atoll_apps::drive::{Act, Clash, DriveError, Drives, Entry, JobState, NewFile, Order, PutCondition, Settings};
use atoll_apps::{DriveId, VersionId};
use bytes::Bytes;
use futures::TryStreamExt;
use model::{Fault, Handle, Model};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::WallMillis;

const D: DriveId = DriveId([1; 16]);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn settings() -> Settings {
    Settings { grace: Duration::ZERO, ..Settings::default() }
}

async fn on(model: &Arc<Model>) -> Drives {
    Drives::open_store(Handle::new(model, 0), settings()).await.unwrap()
}

async fn fresh() -> (Arc<Model>, Drives) {
    let model = Model::new();
    let drives = on(&model).await;
    (model, drives)
}

/// Content with blocks when long.
async fn put(model: &Model, drives: &Drives, path: &str, text: &str) -> Entry {
    let content = model.store_content(text.as_bytes());
    drives.put_file(D, path, content, NewFile::default(), PutCondition::Replace).await.unwrap()
}

async fn read(drives: &Drives, path: &str) -> String {
    let open = drives.open(D, path).await.unwrap();
    let pieces: Vec<Bytes> = drives.read(open.content, 0..u64::MAX).try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

/// Every path with its content; none for folders.
async fn tree(drives: &Drives) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![String::new()];
    while let Some(folder) = todo.pop() {
        for entry in drives.list(D, &folder, None, 0).await.unwrap().items {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_folder() {
                todo.push(path.clone());
                found.insert(path, None);
            } else {
                let text = read(drives, &path).await;
                found.insert(path, Some(text));
            }
        }
    }
    found
}

async fn whole(drives: &Drives) {
    assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new());
}

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
    let (entry, before) = drives.restore_version(D, "/f", oldest, None).await.unwrap();
    assert_eq!((entry.file().unwrap().version, before), (oldest, versions[0].file.version));
    assert_eq!(read(&drives, "/f").await, long);
    assert_eq!(drives.versions(D, "/f").await.unwrap().len(), 3);
    let none = drives.restore_version(D, "/f", VersionId([9; 16]), None).await;
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
    assert_eq!(drives.copy_file(D, "/f.txt", to, Clash::Skip).await, Ok(None));
    assert_eq!(drives.copy_file(D, "/f.txt", to, Clash::KeepBoth).await.unwrap().unwrap().0, "/d/f (2).txt");
    let moved = drives.move_to(D, "/f.txt", to, Clash::KeepBoth, None, None).await.unwrap().unwrap();
    assert_eq!(moved.path, "/d/f (3).txt");
    // Put over it, it becomes an earlier version; moved over it, it goes to the trash.
    drives.copy_file(D, "/d/f (2).txt", to, Clash::Replace).await.unwrap();
    assert_eq!(drives.versions(D, to).await.unwrap().len(), 2);
    put(&model, &drives, "/g", "g").await;
    let moved = drives.move_to(D, "/g", to, Clash::Replace, None, None).await.unwrap().unwrap();
    assert_eq!(drives.trash_list(D, None, 0).await.unwrap().items[0].id, moved.replaced.unwrap());
    assert!(matches!(drives.move_to(D, "/d", to, Clash::Replace, None, None).await, Err(DriveError::Cycle { .. })));
    assert!(matches!(drives.copy_file(D, to, to, Clash::Replace).await, Err(DriveError::Invalid(_))));
    whole(&drives).await;
}

#[tokio::test]
async fn a_copied_file_outlives_its_source() {
    let (model, drives) = fresh().await;
    let long = "y".repeat(5000);
    put(&model, &drives, "/f", &long).await;
    drives.copy_file(D, "/f", "/g", Clash::Fail).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().bytes, 10_000);
    drives.remove(D, "/f", false).await.unwrap();
    drives.sweep(D).await.unwrap();
    assert_eq!(read(&drives, "/g").await, long);
    assert_eq!(model.state.lock().references.len(), 1);
    assert!(matches!(drives.copy_file(D, "/f", "/h", Clash::Fail).await, Err(DriveError::NotFound { .. })));
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
        Act::Copy { from: path("/h"), to: path("/a/h"), clash: Clash::Fail },
        Act::Copy { from: path("/h"), to: path("/a/f"), clash: Clash::Replace },
        Act::Copy { from: path("/a"), to: path("/copy"), clash: Clash::Fail },
        Act::Trash { path: path("/a"), only: None, recursive: true },
        Act::RestoreVersion { path: path("/a/f"), version },
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

/// A folder of some files, with and without blocks, and folders in it.
async fn grove(model: &Model, drives: &Drives) {
    drives.make_folders(D, "/grove/deep/er").await.unwrap();
    drives.make_folders(D, "/grove/empty").await.unwrap();
    for n in 0..70 {
        let text = if n % 7 == 0 { format!("{n} {}", "z".repeat(2000)) } else { format!("{n}") };
        put(model, drives, &format!("/grove/f{n}"), &text).await;
    }
    put(model, drives, "/grove/deep/er/d", &"d".repeat(4000)).await;
}

async fn branch(drives: &Drives, root: &str) -> BTreeMap<String, Option<String>> {
    let all = tree(drives).await;
    all.into_iter().filter_map(|(path, text)| Some((path.strip_prefix(root)?.to_string(), text))).collect()
}

#[tokio::test]
async fn a_folder_is_copied_whole() {
    let (model, drives) = fresh().await;
    grove(&model, &drives).await;
    let job = drives.begin_copy(D, "/grove", "/copy", Clash::Fail).await.unwrap();
    assert_eq!(drives.job(D, job.id).await.unwrap().state, JobState::Running);
    assert!(matches!(drives.stat(D, "/copy").await, Err(DriveError::NotFound { .. })), "not before it is whole");
    let done = drives.run_job(D, job.id).await.unwrap();
    assert_eq!((done.state, done.done, done.found), (JobState::Done, 74, 74));
    assert_eq!(branch(&drives, "/copy").await, branch(&drives, "/grove").await);
    // Into itself: the copy as it was before.
    let inside = drives.begin_copy(D, "/grove", "/grove/deep/copy", Clash::Fail).await;
    assert!(matches!(inside, Err(DriveError::Cycle { .. })));
    let beside = drives.begin_copy(D, "/grove", "/grove", Clash::KeepBoth).await.unwrap();
    assert_eq!(drives.run_job(D, beside.id).await.unwrap().to, "/grove (2)");
    assert!(matches!(drives.begin_copy(D, "/grove", "/copy", Clash::Replace).await, Err(DriveError::Exists { .. })));
    whole(&drives).await;
    drives.remove(D, "/grove", true).await.unwrap();
    drives.sweep(D).await.unwrap();
    assert_eq!(branch(&drives, "/copy").await, branch(&drives, "/grove (2)").await);
}

#[tokio::test]
async fn a_job_that_cannot_end_leaves_nothing() {
    let (model, drives) = fresh().await;
    grove(&model, &drives).await;
    let used = drives.usage(D).await.unwrap().bytes;
    let before = tree(&drives).await;
    drives.make_folder(D, "/into").await.unwrap();
    for what in ["cancelled", "name taken", "no room", "folder gone"] {
        let job = drives.begin_copy(D, "/grove", "/into/x", Clash::Fail).await.unwrap();
        let mut runner = drives.clone();
        match what {
            "cancelled" => assert_eq!(drives.cancel_job(D, job.id).await.unwrap().state, JobState::Cancelled),
            "name taken" => drop(put(&model, &drives, "/into/x", "").await),
            "no room" => {
                let small = Settings { quota: Some(used + 1000), ..settings() };
                runner = Drives::open_store(Handle::new(&model, 0), small).await.unwrap();
            }
            _ => drop(drives.trash(D, "/into", None, None).await.unwrap()),
        }
        let ended = runner.run_job(D, job.id).await.unwrap();
        assert_ne!(ended.state, JobState::Done, "{what}");
        assert_eq!(ended.problem.is_some(), what != "cancelled", "{what}");
        drives.remove(D, "/into/x", false).await.ok();
        model.advance(DAY);
        drives.sweep(D).await.unwrap();
        drives.sweep(D).await.unwrap();
        assert_eq!(drives.usage(D).await.unwrap().bytes, used, "{what}");
        assert_eq!(model.count("drive", "steps"), 0, "{what}");
        whole(&drives).await;
    }
    assert_eq!(tree(&drives).await, before);
}

#[tokio::test]
async fn a_job_that_dies_anywhere_is_carried_on() {
    let prepare = || async {
        let (model, drives) = fresh().await;
        drives.make_folders(D, "/a/b").await.unwrap();
        for (path, text) in [("/a/f", "x".repeat(2000)), ("/a/g", "g".into()), ("/a/b/h", "h".repeat(3000))] {
            put(&model, &drives, path, &text).await;
        }
        let job = drives.begin_copy(D, "/a", "/copy", Clash::Fail).await.unwrap();
        (model, job.id)
    };
    let (model, job) = prepare().await;
    let handle = Handle::new(&model, 0);
    let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
    handle.plan(None);
    drives.run_job(D, job).await.unwrap();
    let calls = handle.calls();
    assert!(calls > 10);
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0..calls {
            let context = format!("{fault:?} at call {at} of {calls}");
            let (model, job) = prepare().await;
            let handle = Handle::new(&model, 0);
            let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
            handle.plan(Some((at, fault)));
            let _ = handle.run(drives.run_job(D, job)).await;
            let drives = on(&model).await;
            assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new(), "{context}");
            model.advance(Duration::from_secs(31));
            // Two at once do not disturb each other.
            let (one, two) = tokio::join!(drives.carry_on_all(), drives.run_job(D, job));
            one.unwrap();
            assert_eq!(two.unwrap().state, JobState::Done, "{context}");
            assert_eq!(branch(&drives, "/copy").await, branch(&drives, "/a").await, "{context}");
            model.advance(DAY);
            drives.sweep(D).await.unwrap();
            drives.sweep(D).await.unwrap();
            assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new(), "{context}");
            assert_eq!((model.count("drive", "work"), model.count("drive", "steps")), (0, 0), "{context}");
            assert_eq!(model.state.lock().references.len(), 4, "{context}");
        }
    }
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
