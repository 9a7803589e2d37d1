//! Thumbnails: there with their content, gone with it, whatever dies or comes between.

use crate::model::hand::{D, fresh, on, settings, whole};
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::{Clash, Drives, Entry, NewFile, PutCondition, Thumbnail};
use atoll_apps::{DriveError, VersionId};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use std::sync::Arc;

fn picture(red: u8) -> Vec<u8> {
    let image: DynamicImage = RgbImage::from_fn(600, 400, |x, y| Rgb([red, x as u8, y as u8])).into();
    let mut out = Vec::new();
    image.write_to(&mut Cursor::new(&mut out), ImageFormat::Png).unwrap();
    out
}

async fn put(model: &Model, drives: &Drives, path: &str, bytes: &[u8]) -> (Entry, VersionId) {
    let content = model.store_content(bytes);
    let entry = drives.put_file(D, path, content, NewFile::default(), PutCondition::Replace).await.unwrap();
    let version = entry.file().unwrap().version;
    (entry, version)
}

async fn look(drives: &Drives, version: VersionId) -> Thumbnail {
    drives.thumbnail(D, version).await.unwrap().unwrap()
}

fn kept(model: &Model) -> usize {
    model.count("drive", "thumbnails")
}

#[tokio::test]
async fn one_is_made_once_and_goes_with_its_content() {
    let (model, drives) = fresh().await;
    let (entry, first) = put(&model, &drives, "/a.png", &picture(10)).await;
    assert!(entry.may_have_thumbnail());
    drives.thumbnail_soon(D, &entry);
    let made = look(&drives, first).await;
    assert!(made.media_type == "image/jpeg" && made.bytes.len() < 50_000, "{}", made.bytes.len());
    assert_eq!((look(&on(&model).await, first).await, kept(&model)), (made.clone(), 1), "another node finds it");
    // Moved, it is the same; replaced, each version has its own.
    drives.rename(D, "/a.png", "/b.png", Default::default()).await.unwrap();
    let (_, second) = put(&model, &drives, "/b.png", &picture(200)).await;
    assert!(look(&drives, second).await != made && look(&drives, first).await == made);
    // A copy is content of its own.
    let act =
        atoll_apps::drive::Act::Copy { drive: None, from: "/b.png".into(), to: "/c.png".into(), clash: Clash::Fail };
    drives.act(D, &act, None).await.unwrap();
    let copy = drives.stat(D, "/c.png").await.unwrap().file().unwrap().version;
    assert_eq!((look(&drives, copy).await, kept(&model)), (look(&drives, second).await, 3));
    // In the trash it is still there, and then no more.
    for path in ["/b.png", "/c.png"] {
        drives.trash(D, path, None, None).await.unwrap();
    }
    drives.sweep_all().await.unwrap();
    assert_eq!((look(&drives, first).await, kept(&model)), (made, 3));
    drives.empty_trash(D, model.now()).await.unwrap();
    drives.sweep_all().await.unwrap();
    assert_eq!(kept(&model), 0);
    assert!(matches!(drives.thumbnail(D, first).await, Err(DriveError::NotFound { .. })));
    whole(&drives).await;
}

#[tokio::test]
async fn what_has_none_is_remembered_to_have_none() {
    let (model, drives) = fresh().await;
    let whole_picture = picture(10);
    let (_, cut) = put(&model, &drives, "/cut.png", &whole_picture[..whole_picture.len() / 2]).await;
    let (_, text) = put(&model, &drives, "/text.png", b"no image at all").await;
    let (empty, nothing) = put(&model, &drives, "/empty.png", b"").await;
    for version in [cut, text, nothing] {
        assert_eq!(drives.thumbnail(D, version).await.unwrap(), None);
    }
    assert_eq!(kept(&model), 3);
    assert!(!empty.may_have_thumbnail());
    let (named, _) = put(&model, &drives, "/picture.svg", &whole_picture).await;
    assert!(!named.may_have_thumbnail());
    let other = atoll_apps::DriveId([9; 16]);
    assert!(matches!(drives.thumbnail(other, cut).await, Err(DriveError::NotFound { .. })), "not its drive");
    whole(&drives).await;
}

async fn purged(drives: &Drives) {
    drives.remove(D, "/a.png", true).await.unwrap();
    for _ in 0..2 {
        drives.sweep_all().await.unwrap();
    }
}

#[tokio::test]
async fn whatever_dies_or_comes_between_nothing_outlives_its_content() {
    let base = || async {
        let (model, drives) = fresh().await;
        let (_, version) = put(&model, &drives, "/a.png", &picture(10)).await;
        (model, version)
    };
    let (model, version) = base().await;
    let handle = Handle::new(&model, 0);
    let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
    handle.plan(None);
    look(&drives, version).await;
    let calls = handle.calls();
    assert!(calls >= 4, "{calls}");
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS).chain([Fault::Pause]) {
        for at in 0..calls {
            let (model, version) = base().await;
            let handle = Handle::new(&model, 0);
            let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
            let others = on(&model).await;
            handle.plan(Some((at, fault)));
            let making = {
                let (handle, drives) = (handle.clone(), drives.clone());
                tokio::spawn(async move { handle.run(drives.thumbnail(D, version)).await })
            };
            if fault == Fault::Pause {
                // The file goes for good while the picture is made.
                handle.until_paused().await;
                purged(&others).await;
                handle.resume();
            }
            let said = making.await.unwrap();
            let context = format!("{fault:?} at call {at} of {calls}: {said:?}");
            assert_eq!(others.check(D).await.unwrap(), Vec::<String>::new(), "{context}");
            if fault != Fault::Pause {
                look(&others, version).await;
                purged(&others).await;
            }
            assert_eq!((kept(&model), model.count("drive", "contents")), (0, 0), "{context}");
        }
    }
}

/// The crowd that looks at once is served by few, and all see the same.
#[tokio::test(flavor = "multi_thread")]
async fn many_look_at_once() {
    let (model, drives) = fresh().await;
    let (_, version) = put(&model, &drives, "/a.png", &picture(10)).await;
    let drives: Arc<Drives> = Arc::new(drives);
    let looks = (0..40).map(|_| {
        let drives = drives.clone();
        tokio::spawn(async move { look(&drives, version).await })
    });
    let seen = futures::future::join_all(looks).await;
    assert!(seen.iter().all(|one| one.as_ref().unwrap() == seen[0].as_ref().unwrap()));
    assert_eq!(kept(&model), 1);
}
