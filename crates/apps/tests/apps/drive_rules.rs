//! What a drive allows and refuses, one rule at a time.

use crate::model::{Handle, Model};
use atoll_apps::drive::{
    Clash, Copied, Copying, DriveError, DrivePath, Drives, Entry, NewFile, PutCondition, RenameCondition, Settings,
};
use atoll_apps::{DriveId, VersionId};
use bytes::Bytes;
use client::Content;
use futures::TryStreamExt;
use std::sync::Arc;
use std::time::Duration;

const D: DriveId = DriveId([1; 16]);

async fn fresh() -> (Arc<Model>, Drives) {
    with(Settings { grace: Duration::from_secs(60), ..Settings::default() }).await
}

async fn with(settings: Settings) -> (Arc<Model>, Drives) {
    let model = Model::new();
    let drives = Drives::open_store(Handle::new(&model, 0), settings).await.unwrap();
    (model, drives)
}

fn text(content: &str) -> Content {
    Content::inline(Bytes::copy_from_slice(content.as_bytes())).unwrap()
}

async fn put(drives: &Drives, path: &str, content: &str, condition: PutCondition) -> Result<Entry, DriveError> {
    drives.put_file(D, path, text(content), NewFile::default(), condition).await
}

async fn read(drives: &Drives, path: &str) -> String {
    let open = drives.open(D, path).await.unwrap();
    let pieces: Vec<Bytes> = drives.read(open.content, 0..u64::MAX).try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

async fn names(drives: &Drives, path: &str) -> Vec<String> {
    let page = drives.list(D, path, None, 0).await.unwrap();
    page.items.into_iter().map(|entry| entry.name).collect()
}

#[tokio::test]
async fn a_drive_is_there_from_the_first_moment() {
    let (_, drives) = fresh().await;
    assert!(drives.stat(D, "/").await.unwrap().is_folder());
    assert!(names(&drives, "").await.is_empty());
    assert_eq!(drives.usage(D).await.unwrap().bytes, 0);
    assert_eq!(drives.make_folders(D, "/").await.unwrap(), drives.stat(D, "").await.unwrap());
    assert!(matches!(drives.make_folder(D, "/").await, Err(DriveError::Exists { .. })));
    assert!(matches!(drives.remove(D, "/", true).await, Err(DriveError::BadPath { .. })));
    assert!(matches!(put(&drives, "/", "x", PutCondition::Replace).await, Err(DriveError::IsAFolder { .. })));
    assert!(matches!(drives.open(D, "/").await, Err(DriveError::IsAFolder { .. })));
}

#[tokio::test]
async fn conditions_of_a_put() {
    let (_, drives) = fresh().await;
    assert!(matches!(put(&drives, "/f", "x", PutCondition::ReplaceExisting).await, Err(DriveError::NotFound { .. })));
    let first = put(&drives, "/f", "one", PutCondition::CreateNew).await.unwrap();
    assert!(matches!(put(&drives, "/f", "x", PutCondition::CreateNew).await, Err(DriveError::Exists { .. })));
    let file = first.file().unwrap().clone();
    let second = put(&drives, "/f", "two!", PutCondition::ReplaceIfVersion(file.version)).await.unwrap();
    assert_eq!(second.file().unwrap().id, file.id, "the file stays the same file");
    assert_eq!(second.created, first.created);
    for stale in [PutCondition::ReplaceIfVersion(file.version), PutCondition::ReplaceIfEtag(file.etag.clone())] {
        assert!(matches!(put(&drives, "/f", "x", stale).await, Err(DriveError::Changed { .. })));
    }
    let etag = second.file().unwrap().etag.clone();
    put(&drives, "/f", "three", PutCondition::ReplaceIfEtag(etag)).await.unwrap();
    assert_eq!(read(&drives, "/f").await, "three");
    assert_eq!(drives.usage(D).await.unwrap().bytes, 3 + 4 + 5, "with what was there before");
    drives.make_folder(D, "/d").await.unwrap();
    assert!(matches!(put(&drives, "/d", "x", PutCondition::Replace).await, Err(DriveError::IsAFolder { .. })));
    assert!(matches!(put(&drives, "/f/x", "x", PutCondition::Replace).await, Err(DriveError::NotAFolder { .. })));
    assert!(
        matches!(put(&drives, "/no/x", "x", PutCondition::Replace).await, Err(DriveError::NotFound { path }) if path == "/no")
    );
}

#[tokio::test]
async fn the_same_put_again_is_harmless() {
    let (model, drives) = fresh().await;
    for content in [text("small"), model.store_content(&[9; 5000])] {
        let new = NewFile { version: VersionId::random(), ..NewFile::default() };
        let path = format!("/f{}", content.size);
        let put = |content: Content| drives.put_file(D, &path, content, new.clone(), PutCondition::CreateNew);
        let first = put(content.clone()).await.unwrap();
        assert_eq!(put(content).await.unwrap(), first);
        assert!(matches!(put(text("other")).await, Err(DriveError::Invalid(_))));
        drives.rename(D, &path, "/moved", RenameCondition::ReplaceFile).await.unwrap();
        let big = model.store_content(&[9; 5000]);
        assert!(put(big).await.is_err(), "the version is in use elsewhere");
    }
    assert_eq!(names(&drives, "/").await, ["moved"]);
    assert!(drives.check(D).await.unwrap().is_empty());
}

#[tokio::test]
async fn names_are_composed_and_case_counts() {
    let (_, drives) = fresh().await;
    put(&drives, "/Cafe\u{301}", "composed", PutCondition::CreateNew).await.unwrap();
    assert_eq!(read(&drives, "/Café").await, "composed");
    put(&drives, "/café", "other", PutCondition::CreateNew).await.unwrap();
    assert_eq!(names(&drives, "/").await, ["Café", "café"]);
    drives.rename(D, "/café", "/CAFÉ", RenameCondition::MustNotExist).await.unwrap();
    assert_eq!(names(&drives, "/").await, ["CAFÉ", "Café"]);
    for bad in ["/..", "/a/../b", "/a//b", "/.", "/a\0"] {
        assert!(matches!(drives.stat(D, bad).await, Err(DriveError::BadName { .. })), "{bad:?}");
    }
    let long = format!("/{}", "n".repeat(256));
    assert!(matches!(put(&drives, &long, "x", PutCondition::Replace).await, Err(DriveError::BadName { .. })));
    put(&drives, "/n", "x", PutCondition::Replace).await.unwrap();
    let deep = "/d".repeat(100);
    drives.make_folders(D, &deep).await.unwrap();
    assert!(drives.stat(D, &deep).await.unwrap().is_folder());
    assert!(matches!(drives.make_folders(D, &format!("{deep}/d")).await, Err(DriveError::BadPath { .. })));
    drives.rename(D, "/d", "/n2", RenameCondition::MustNotExist).await.unwrap();
    assert!(drives.stat(D, &deep.replacen("/d", "/n2", 1)).await.unwrap().is_folder());
    assert!(matches!(drives.stat(D, &deep).await, Err(DriveError::NotFound { .. })));
}

#[tokio::test]
async fn listings_come_in_pages_that_bear_changes() {
    let (_, drives) = fresh().await;
    drives.make_folder(D, "/l").await.unwrap();
    for at in 0..25 {
        put(&drives, &format!("/l/f{at:02}"), "x", PutCondition::CreateNew).await.unwrap();
    }
    let first = drives.list(D, "/l", None, 10).await.unwrap();
    assert_eq!((first.items.len(), first.items[0].name.as_str()), (10, "f00"));
    let last = &first.items[9].name;
    drives.remove(D, &format!("/l/{last}"), false).await.unwrap();
    put(&drives, "/l/f095", "x", PutCondition::CreateNew).await.unwrap();
    let second = drives.list(D, "/l", first.next.as_deref(), 10).await.unwrap();
    assert_eq!(second.items[0].name, "f095");
    let third = drives.list(D, "/l", second.next.as_deref(), 10).await.unwrap();
    assert_eq!((third.items.len(), third.next), (6, None));
    assert!(matches!(drives.list(D, "/l", Some("zz"), 0).await, Err(DriveError::BadCursor)));
    assert!(matches!(drives.list(D, "/l/f00", None, 0).await, Err(DriveError::NotAFolder { .. })));
}

#[tokio::test]
async fn renames_that_are_refused() {
    let (_, drives) = fresh().await;
    drives.make_folders(D, "/a/b/c").await.unwrap();
    put(&drives, "/f", "file", PutCondition::CreateNew).await.unwrap();
    put(&drives, "/g", "other", PutCondition::CreateNew).await.unwrap();
    let rename = |from: &'static str, to: &'static str, condition| drives.rename(D, from, to, condition);
    use RenameCondition::{MustNotExist, ReplaceAny, ReplaceFile};
    assert!(matches!(rename("/a", "/a/b/c/a", MustNotExist).await, Err(DriveError::Cycle { .. })));
    assert!(matches!(rename("/a/b/c", "/a", ReplaceAny).await, Err(DriveError::Cycle { .. })));
    assert!(matches!(rename("/f", "/g", MustNotExist).await, Err(DriveError::Exists { .. })));
    assert!(matches!(rename("/f", "/a", ReplaceFile).await, Err(DriveError::IsAFolder { .. })));
    assert!(matches!(rename("/a", "/f", ReplaceFile).await, Err(DriveError::NotAFolder { .. })));
    assert!(matches!(rename("/no", "/x", MustNotExist).await, Err(DriveError::NotFound { .. })));
    assert!(matches!(rename("/f", "/no/x", MustNotExist).await, Err(DriveError::NotFound { .. })));
    assert!(matches!(rename("/f", "/g/x", MustNotExist).await, Err(DriveError::NotAFolder { .. })));
    assert!(matches!(rename("/", "/x", MustNotExist).await, Err(DriveError::BadPath { .. })));
    rename("/a", "/a", MustNotExist).await.unwrap();
    let before = drives.stat(D, "/f").await.unwrap();
    let moved = rename("/f", "/g", ReplaceFile).await.unwrap();
    assert_eq!(moved.file(), before.file());
    assert_eq!(read(&drives, "/g").await, "file");
    rename("/g", "/a/b", ReplaceAny).await.unwrap();
    assert_eq!(names(&drives, "/a").await, ["b"]);
    assert_eq!(read(&drives, "/a/b").await, "file");
    assert!(drives.check(D).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_removed_tree_goes_at_once_and_is_readable_for_a_while() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/t/u/v").await.unwrap();
    for at in 0..230 {
        put(&drives, &format!("/t/u/{at}"), "x", PutCondition::CreateNew).await.unwrap();
    }
    let content = model.store_content(&[3; 4000]);
    drives.put_file(D, "/t/u/v/big", content, NewFile::default(), PutCondition::CreateNew).await.unwrap();
    let open = drives.open(D, "/t/u/v/big").await.unwrap();
    assert!(matches!(drives.remove(D, "/t", false).await, Err(DriveError::NotEmpty { .. })));
    drives.remove(D, "/t", true).await.unwrap();
    assert!(names(&drives, "/").await.is_empty());
    assert!(matches!(drives.stat(D, "/t/u/v").await, Err(DriveError::NotFound { .. })));
    let swept = drives.sweep(D).await.unwrap();
    assert_eq!((swept.released, swept.waiting), (0, 1), "someone may be reading");
    assert_eq!(model.state.lock().references.len(), 1);
    assert!(drives.read(open.content, 0..4000).try_next().await.unwrap().is_some());
    model.advance(Duration::from_secs(60));
    let swept = drives.sweep(D).await.unwrap();
    assert_eq!((swept.released, swept.dismantled, swept.waiting), (231, 233, 0));
    assert!(model.state.lock().references.is_empty());
    assert_eq!(drives.usage(D).await.unwrap().bytes, 0);
    for table in ["entries", "folders", "contents", "work"] {
        assert_eq!(model.count("drive", table), 0, "{table}");
    }
    assert!(drives.check(D).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_full_drive_takes_no_more_but_lets_go() {
    let (_, drives) = with(Settings { quota: Some(10), versions: 0, ..Settings::default() }).await;
    put(&drives, "/a", "1234567", PutCondition::CreateNew).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().room, Some(3));
    let refused = put(&drives, "/b", "1234", PutCondition::CreateNew).await;
    assert_eq!(refused, Err(DriveError::Quota { needed: 4, room: 3 }));
    put(&drives, "/b", "123", PutCondition::CreateNew).await.unwrap();
    assert!(put(&drives, "/a", "12345678", PutCondition::Replace).await.is_err());
    put(&drives, "/a", "1", PutCondition::Replace).await.unwrap();
    drives.remove(D, "/a", false).await.unwrap();
    assert_eq!(drives.usage(D).await.unwrap().bytes, 3);
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_visible() {
    let (model, drives) = fresh().await;
    let good = |bytes: Vec<u8>| {
        futures::stream::iter(bytes.chunks(700).map(|b| Ok(Bytes::copy_from_slice(b))).collect::<Vec<_>>())
    };
    let broken = futures::stream::iter([Ok(Bytes::from_static(b"be")), Err(std::io::Error::other("cut off"))]);
    let upload = drives.upload_file(D, "/f", broken, NewFile::default(), PutCondition::Replace).await;
    assert!(matches!(upload, Err(DriveError::Client(_))));
    let upload = drives.upload_file(D, "/no/f", good(vec![1; 3000]), NewFile::default(), PutCondition::Replace).await;
    assert!(matches!(upload, Err(DriveError::NotFound { .. })));
    assert_eq!(model.count("drive", "contents") + model.count("drive", "work"), 0);
    let media_type = Some("text/plain".to_string());
    let new = NewFile { media_type: media_type.clone(), ..NewFile::default() };
    let entry = drives.upload_file(D, "/f", good(vec![1; 3000]), new, PutCondition::CreateNew).await.unwrap();
    assert_eq!((entry.size(), &entry.file().unwrap().media_type), (3000, &media_type));
    assert_eq!(read(&drives, "/f").await.len(), 3000);
    let header = NewFile { etag: Some("a\"b\r\n".into()), ..NewFile::default() };
    assert!(matches!(
        drives.put_file(D, "/g", text("x"), header, PutCondition::Replace).await,
        Err(DriveError::Invalid(_))
    ));
}

#[tokio::test]
async fn drives_do_not_see_each_other() {
    let (model, drives) = fresh().await;
    put(&drives, "/f", "mine", PutCondition::CreateNew).await.unwrap();
    let other = DriveId::random();
    assert!(matches!(drives.stat(other, "/f").await, Err(DriveError::NotFound { .. })));
    for drive in (0..7).map(|_| DriveId::random()) {
        let content = model.store_content(&[1; 2000]);
        drives.put_file(drive, "/f", content, NewFile::default(), PutCondition::CreateNew).await.unwrap();
        drives.remove(drive, "/f", false).await.unwrap();
    }
    model.advance(Duration::from_secs(60));
    assert_eq!(drives.sweep_all().await.unwrap().released, 7);
    assert!(model.state.lock().references.is_empty());
    assert_eq!(read(&drives, "/f").await, "mine");
}

/// That many folders, one in the other.
fn deep(first: &str, count: usize) -> String {
    format!("/{first}{}", "/d".repeat(count - 1))
}

#[tokio::test]
async fn nothing_comes_to_lie_deeper_than_a_path_can_say() {
    let (_, drives) = fresh().await;
    let too_deep =
        |result: Result<_, DriveError>| assert!(matches!(result, Err(DriveError::BadPath { .. })), "{result:?}");
    drives.make_folders(D, &deep("a", 60)).await.unwrap();
    drives.make_folders(D, &deep("b", 60)).await.unwrap();
    put(&drives, &(deep("b", 60) + "/file"), "x", PutCondition::CreateNew).await.unwrap();
    let (top, under) = ("/b", deep("a", 60) + "/b");
    too_deep(drives.rename(D, top, &under, RenameCondition::MustNotExist).await.map(drop));
    let copying = Copying::new(D, DrivePath::parse(top).unwrap(), DrivePath::parse(&under).unwrap());
    too_deep(drives.copy(D, &copying).await.map(drop));
    let thrown = drives.trash(D, top, None, None).await.unwrap();
    too_deep(drives.restore(D, thrown.id, Some(&under), Clash::Fail, None).await.map(drop));
    drives.restore(D, thrown.id, None, Clash::Fail, None).await.unwrap();
    // As deep as can be, and on from there: what was below is told to all above.
    let fits = deep("a", 39) + "/b";
    drives.rename(D, top, &fits, RenameCondition::MustNotExist).await.unwrap();
    assert_eq!(read(&drives, &(fits.clone() + &"/d".repeat(59) + "/file")).await, "x");
    drives.make_folder(D, "/c").await.unwrap();
    too_deep(drives.rename(D, "/a", "/c/a", RenameCondition::MustNotExist).await.map(drop));
    drives.rename(D, "/a", "/c2", RenameCondition::MustNotExist).await.unwrap();
    assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn folders_within_copies_are_gone_through_before_they_go_deeper() {
    let (_, drives) = fresh().await;
    drives.make_folders(D, "/a/b/c/d").await.unwrap();
    let copying = Copying::new(D, DrivePath::parse("/a").unwrap(), DrivePath::parse("/copy").unwrap());
    let Some(Copied::Begun(job)) = drives.copy(D, &copying).await.unwrap() else { panic!("no job") };
    drives.run_job(D, job.id).await.unwrap();
    let height = async |path: &str| drives.stat(D, path).await.unwrap().folder().unwrap().height;
    assert_eq!((height("/copy").await, height("/copy/b").await), (Some(3), None));
    // What is new below one that does not know is known above it.
    drives.make_folders(D, "/copy/b/c/d/e").await.unwrap();
    assert_eq!((height("/copy").await, height("/copy/b").await), (Some(4), None));
    drives.make_folders(D, &deep("x", 97)).await.unwrap();
    let moved = drives.rename(D, "/copy/b", &(deep("x", 96) + "/b"), RenameCondition::MustNotExist).await;
    assert!(matches!(moved, Err(DriveError::BadPath { .. })), "{moved:?}");
    drives.rename(D, "/copy/b", &(deep("x", 95) + "/b"), RenameCondition::MustNotExist).await.unwrap();
    assert_eq!(height(&(deep("x", 95) + "/b")).await, Some(3));
    assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new());
}
