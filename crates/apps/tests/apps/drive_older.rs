//! What older releases left, or leave beside this one: entries without rows of the index, files whose earlier
//! versions their entries do not know of.

use crate::model::hand::{D, fresh, on, put, settings, whole};
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::{Clash, DriveError, Drives, Order};
use std::time::Duration;
use types::{Action, Classify};

/// Makes a file's entry what an older release writes when it moves or puts that file.
fn as_of_old(model: &Model, folder: [u8; 16], name: &str) {
    let key = [&folder[..], name.as_bytes()].concat();
    let value = model.value("drive", "entries", &key);
    // Field 5, the last one: which rows of the index there are.
    let Some((indexed, rest)) = value.split_last_chunk::<2>().map(|(rest, last)| (*last, rest)) else { panic!() };
    assert_eq!(indexed, [5 << 3, 1]);
    // Within field 2, field 8, the last one there: there are earlier versions.
    let at = rest.iter().position(|byte| *byte == 2 << 3 | 2).unwrap();
    assert_eq!(at, 0);
    let (length, file) = (usize::from(rest[1]), &rest[2..]);
    assert!(length < 128);
    let old = match file[..length].strip_suffix(&[8 << 3, 1]) {
        Some(shorter) => [&[rest[0], shorter.len() as u8], shorter, &file[length..]].concat(),
        None => rest.to_vec(),
    };
    model.overwrite("drive", "entries", &key, &old);
}

#[tokio::test]
async fn earlier_versions_of_a_file_that_an_older_release_moved_are_found_and_go_with_it() {
    let (model, drives) = fresh().await;
    let long = "l".repeat(3000);
    for text in [&*long, "two", "three"] {
        put(&model, &drives, "/f", text).await;
        model.advance(Duration::from_secs(1));
    }
    as_of_old(&model, [0; 16], "f");
    assert_eq!(drives.versions(D, "/f").await.unwrap().len(), 3);
    drives.remove(D, "/f", false).await.unwrap();
    drives.sweep(D).await.unwrap();
    drives.sweep(D).await.unwrap();
    assert_eq!((model.count("drive", "versions"), model.count("drive", "contents")), (0, 0));
    assert_eq!(drives.usage(D).await.unwrap().bytes, 0);
    whole(&drives).await;
}

#[tokio::test]
async fn a_large_old_drive_is_brought_into_the_index_call_by_call() {
    let (model, drives) = fresh().await;
    let names: Vec<String> = (0..500).map(|n| format!("f{n:03}")).collect();
    for name in &names {
        put(&model, &drives, &format!("/{name}"), "x").await;
        as_of_old(&model, [0; 16], name);
    }
    model.clear("drive", "index");
    // A call ends when it has taken too long; the next goes on there.
    let handle = Handle::new(&model, 1);
    let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
    let mut calls = 0;
    loop {
        // It stands still before its first page.
        handle.plan(Some((2, Fault::Pause)));
        let listing = tokio::spawn({
            let drives = drives.clone();
            async move { drives.list_by(D, "/", Order::Size, false, None, 0).await }
        });
        handle.until_paused().await;
        model.advance(Duration::from_secs(10));
        handle.resume();
        match listing.await.unwrap() {
            Ok(page) => {
                assert_eq!(page.items.len(), 500);
                break;
            }
            Err(error) => assert_eq!(error.action(), Action::Retry, "{error}"),
        }
        calls += 1;
    }
    assert_eq!(calls, 3);
    assert_eq!(drives.search(D, "f49", false, None, 0).await.unwrap().items.len(), 10);
    let taken = drives.move_to(D, "/f000", "/f001", Clash::Fail, None, None).await;
    assert!(matches!(taken, Err(DriveError::Exists { .. })));
    whole(&on(&model).await).await;
}
