//! Links into drives: what they let guests do, how often, and when no more.

use crate::model::acts::{assert_whole, drives};
use crate::model::{Handle, Model};
use atoll_apps::drive::objects::{NewUpload, ObjectKey};
use atoll_apps::drive::{
    DrivePath, Drives, LinkChange, LinkFound, LinkMode, NewFile, NewLink, PutCondition, RenameCondition, Wanted, Within,
};
use atoll_apps::{BatchId, DriveError, DriveId, PartsId, UserId};
use bytes::Bytes;
use client::Content;
use std::sync::Arc;
use std::time::Duration;
use types::WallMillis;

const BEN: UserId = UserId([2; 16]);
/// The link's own folder.
const HERE: Within = Within { folder: DrivePath::root(), batch: BatchId([0; 16]) };

fn view() -> NewLink {
    NewLink { mode: LinkMode::View, password: None, expires: None, downloads_max: None, bytes_max: None }
}

fn drop_box() -> NewLink {
    NewLink { mode: LinkMode::DropBox, ..view() }
}

fn content(text: &str) -> Content {
    Content::inline(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

async fn put(drives: &Drives, drive: DriveId, path: &str, text: &str) {
    let put = drives.put_file(drive, path, content(text), NewFile::default(), PutCondition::Replace);
    put.await.unwrap();
}

struct World {
    model: Arc<Model>,
    drives: Drives,
    drive: DriveId,
}

async fn world() -> World {
    let model = Model::new();
    let drives = drives(&Handle::new(&model, 1), Duration::ZERO).await;
    let drive = crate::model::acts::DRIVE;
    drives.make_folders(drive, "/secret/shared/deep").await.unwrap();
    drives.make_folders(drive, "/elsewhere").await.unwrap();
    put(&drives, drive, "/secret/shared/deep/a.txt", "a").await;
    put(&drives, drive, "/secret/hidden.txt", "hidden").await;
    World { model, drives, drive }
}

impl World {
    async fn link(&self, path: &str, new: NewLink) -> LinkFound {
        let link = self.drives.make_link(self.drive, path, new, BEN).await.unwrap();
        self.drives.find_link(&link.token).await.unwrap()
    }

    async fn text(&self, link: &LinkFound, path: &str) -> Result<String, DriveError> {
        let started = self.drives.guest_download(link, path, None, Wanted::File).await?;
        match started.open.unwrap().content.body {
            client::Body::Inline(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_link_goes_along_with_what_it_is_to() {
    let world = world().await;
    let (drives, drive) = (&world.drives, world.drive);
    let link = world.link("/secret/shared", view()).await;
    assert_eq!(world.text(&link, "deep/a.txt").await.unwrap(), "a");
    let names: Vec<String> =
        drives.guest_list(&link, "/", None, 0).await.unwrap().items.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["deep"]);

    drives.rename(drive, "/secret/shared", "/elsewhere/renamed", RenameCondition::MustNotExist).await.unwrap();
    put(drives, drive, "/elsewhere/renamed/deep/a.txt", "newer").await;
    assert_eq!(world.text(&link, "deep/a.txt").await.unwrap(), "newer");
    assert_eq!(drives.links(drive, None).await.unwrap()[0].path.as_deref(), Some("/elsewhere/renamed"));
    // What is at its old place now is none of it.
    drives.make_folders(drive, "/secret/shared").await.unwrap();
    assert_eq!(drives.link_target(&link).await.unwrap().name, "renamed");

    // Nothing outside of it is reached, nor told of.
    for path in ["../hidden.txt", "/../hidden.txt", "deep/../../hidden.txt", "hidden.txt", "deep/none/x"] {
        let error = drives.guest_stat(&link, path).await.unwrap_err();
        assert!(!error.to_string().contains("elsewhere") && !error.to_string().contains("secret"), "{error}");
    }

    // In the trash it is not reached, and is again when it is back; gone for good, the link is over.
    let trashed = drives.trash(drive, "/elsewhere/renamed", None, None).await.unwrap();
    assert_eq!(world.text(&link, "deep/a.txt").await, Err(DriveError::LinkOver));
    assert_eq!(drives.link_target(&link).await, Err(DriveError::LinkOver));
    drives.restore(drive, trashed.id, None, Default::default(), None).await.unwrap();
    assert_eq!(world.text(&link, "deep/a.txt").await.unwrap(), "newer");
    drives.remove(drive, "/elsewhere/renamed", true).await.unwrap();
    assert_eq!(drives.link_target(&link).await, Err(DriveError::LinkOver));
    assert_eq!(drives.links(drive, None).await.unwrap()[0].path, None);
    assert_whole(&world.model, "after all").await;
}

#[tokio::test]
async fn what_a_link_is_not_for_it_does_not_do() {
    let world = world().await;
    let (drives, drive) = (&world.drives, world.drive);
    let into = world.link("/secret/shared", drop_box()).await;
    assert_eq!(drives.guest_stat(&into, "deep").await, Err(DriveError::NoSuchLink));
    assert!(drives.guest_list(&into, "/", None, 0).await.is_err());
    assert!(drives.guest_download(&into, "deep/a.txt", None, Wanted::File).await.is_err());
    assert!(drives.guest_download(&into, "/", None, Wanted::File).await.is_err());
    let look = world.link("/secret/shared", view()).await;
    assert!(drives.guest_put(&look, (&HERE, "x"), content("x"), NewFile::default()).await.is_err());
    assert!(drives.guest_may_put(&look, "x", None).await.is_err());

    let to_file = drives.make_link(drive, "/secret/hidden.txt", drop_box(), BEN).await;
    assert!(matches!(to_file, Err(DriveError::NotAFolder { .. })));
    assert!(drives.make_link(drive, "/", view(), BEN).await.is_err());
    assert!(drives.make_link(drive, "/none", view(), BEN).await.is_err());
    let over = NewLink { expires: Some(WallMillis(1)), ..view() };
    assert!(drives.make_link(drive, "/secret", over, BEN).await.is_err());
    for text in ["", "x", "A".repeat(43).as_str(), "A".repeat(64).as_str(), "é"] {
        assert_eq!(drives.find_link(text).await.unwrap_err(), DriveError::NoSuchLink);
    }
}

#[tokio::test]
async fn drop_boxes_keep_what_is_there() {
    let world = world().await;
    let (drives, drive) = (&world.drives, world.drive);
    put(drives, drive, "/secret/shared/a.txt", "mine").await;
    let into = world.link("/secret/shared", NewLink { bytes_max: Some(10), ..drop_box() }).await;
    let new = NewFile::default();
    let first = drives.guest_put(&into, (&HERE, "a.txt"), content("one"), new.clone()).await.unwrap();
    assert_eq!(first.name, "a (2).txt");
    // Sent again after an answer was lost: it is there once.
    assert_eq!(drives.guest_put(&into, (&HERE, "a.txt"), content("one"), new).await.unwrap(), first);
    assert_eq!(drives.links(drive, None).await.unwrap()[0].received, 3);
    for name in ["", "..", "a/b", "a\0"] {
        assert!(drives.guest_put(&into, (&HERE, name), content("x"), NewFile::default()).await.is_err(), "{name:?}");
    }
    let too_much = drives.guest_put(&into, (&HERE, "b"), content("12345678"), NewFile::default()).await;
    assert_eq!(too_much.unwrap_err(), DriveError::LinkFull);
    assert_eq!(drives.guest_may_put(&into, "b", Some(8)).await, Err(DriveError::LinkFull));
    drives.guest_may_put(&into, "b", Some(7)).await.unwrap();
    drives.guest_put(&into, (&HERE, "b"), content("1234567"), NewFile::default()).await.unwrap();
    // Its owner's quota holds.
    let wide = world.link("/secret/shared", drop_box()).await;
    let used = drives.usage(drive).await.unwrap().bytes;
    let full = drives.within(Some(used + 1)).guest_put(&wide, (&HERE, "c"), content("12"), NewFile::default()).await;
    assert!(matches!(full, Err(DriveError::Quota { .. })), "{full:?}");
    // Moved meanwhile: it goes along. Taken back: nothing comes.
    drives.rename(drive, "/secret/shared", "/elsewhere/box", RenameCondition::MustNotExist).await.unwrap();
    drives.guest_put(&wide, (&HERE, "d"), content("d"), NewFile::default()).await.unwrap();
    drives.stat(drive, "/elsewhere/box/d").await.unwrap();
    drives.revoke_link(drive, wide.id).await.unwrap();
    let after = drives.guest_put(&wide, (&HERE, "e"), content("e"), NewFile::default()).await;
    assert_eq!(after.unwrap_err(), DriveError::NoSuchLink);
    assert_whole(&world.model, "after all").await;
}

async fn received(world: &World, by: &LinkFound) -> u64 {
    world.drives.links(world.drive, None).await.unwrap().iter().find(|link| link.id == by.id).unwrap().received
}

/// What is handed in by parts counts from its beginning, once; and no more when it comes to nothing.
#[tokio::test]
async fn what_comes_in_parts_is_counted_once() {
    let world = world().await;
    let (drives, drive, model) = (&world.drives, world.drive, &world.model);
    let into = world.link("/elsewhere", NewLink { bytes_max: Some(9000), ..drop_box() }).await;
    let other = world.link("/secret", drop_box()).await;
    put(drives, drive, "/elsewhere/film", "there").await;
    let before = drives.usage(drive).await.unwrap().bytes;
    let begin = async |size| {
        let id = PartsId::random();
        drives.guest_begin_upload(&into, "film", (id, size), NewUpload::default()).await.map(|()| id)
    };
    let part = async |id, number, size: usize| {
        let content = model.store_content(&vec![number as u8; size]);
        drives.guest_put_part(&into, (id, "film"), number, content).await.map(|part| part.size)
    };
    let id = begin(8000).await.unwrap();
    assert_eq!((received(&world, &into).await, begin(1001).await), (8000, Err(DriveError::LinkFull)));
    assert_eq!(part(id, 1, 3000).await, Ok(3000));
    // By its own link and name alone.
    for found in [drives.guest_upload(&other, id, "film").await, drives.guest_upload(&into, id, "other").await] {
        assert!(matches!(found, Err(DriveError::NoSuchUpload { .. })), "{found:?}");
    }
    let complete = async |id| drives.guest_complete(&into, (id, &HERE, "film"), NewFile::default()).await;
    assert!(matches!(complete(id).await, Err(DriveError::Invalid(_))), "it is not whole");
    assert_eq!(part(id, 2, 5000).await, Ok(5000));
    let entry = complete(id).await.unwrap().unwrap();
    assert_eq!((entry.name.as_str(), entry.size(), received(&world, &into).await), ("film (2)", 8000, 8000));
    assert_eq!(complete(id).await, Ok(None), "asked again");
    assert_eq!(drives.usage(drive).await.unwrap().bytes, before + 8000);

    // Given up: by the guest, by nobody's coming back, and with the link.
    let id = begin(900).await.unwrap();
    assert_eq!((part(id, 1, 900).await, received(&world, &into).await), (Ok(900), 8900));
    drives.guest_abort_upload(&into, id, "film").await.unwrap();
    assert_eq!(received(&world, &into).await, 8000);
    begin(900).await.unwrap();
    model.advance(Duration::from_secs(25 * 3600));
    drives.sweep_all().await.unwrap();
    assert_eq!(received(&world, &into).await, 8000);
    // Whoever has the link keeps nobody else from uploading.
    let mut many = Vec::new();
    while let Ok(id) = begin(1).await {
        many.push(id);
    }
    assert_eq!((many.len(), begin(1).await), (200, Err(DriveError::LinkBusy { max: 200 })));
    for id in many {
        drives.guest_abort_upload(&into, id, "film").await.unwrap();
    }
    assert_eq!(received(&world, &into).await, 8000);
    let id = begin(700).await.unwrap();
    assert_eq!(part(id, 1, 700).await, Ok(700));
    drives.revoke_link(drive, into.id).await.unwrap();
    assert!(complete(id).await.is_err());
    drives.abort_upload(drive, id, &ObjectKey::parse(&format!("{}/film", into.id)).unwrap()).await.unwrap();
    drives.sweep_all().await.unwrap();
    assert_eq!(drives.usage(drive).await.unwrap().bytes, before + 8000);
    assert_whole(model, "at the end").await;
}

#[tokio::test]
async fn links_end_when_they_should() {
    let world = world().await;
    let (drives, drive) = (&world.drives, world.drive);
    let soon = WallMillis(world.model.now().0 + 1000);
    let made = drives.make_link(drive, "/secret", NewLink { expires: Some(soon), ..view() }, BEN).await.unwrap();
    let link = drives.find_link(&made.token).await.unwrap();
    world.model.advance(Duration::from_secs(2));
    assert_eq!(drives.find_link(&made.token).await.unwrap_err(), DriveError::LinkOver);
    drop(link);
    let later = LinkChange { expires: Some(None), ..LinkChange::default() };
    drives.change_link(drive, made.id, &later).await.unwrap();
    let link = drives.find_link(&made.token).await.unwrap();
    // A password that came meanwhile is asked for.
    let guarded = LinkChange { password: Some(Some("hash".into())), ..LinkChange::default() };
    drives.change_link(drive, made.id, &guarded).await.unwrap();
    assert_eq!(drives.guest_download(&link, "hidden.txt", None, Wanted::File).await.unwrap_err(), DriveError::LinkOver);
    let again = drives.find_link(&made.token).await.unwrap();
    assert_ne!(link.key, again.key, "what was proved with the old one is worth nothing");
    drives.revoke_link(drive, made.id).await.unwrap();
    assert_eq!(drives.find_link(&made.token).await.unwrap_err(), DriveError::NoSuchLink);
    assert_eq!(
        drives.guest_download(&again, "hidden.txt", None, Wanted::File).await.unwrap_err(),
        DriveError::NoSuchLink
    );
    assert_eq!(drives.revoke_link(drive, made.id).await, Err(DriveError::NoSuchLink));

    // What ran out long ago, or leads to nothing, goes by itself.
    let soon = WallMillis(world.model.now().0 + 1000);
    drives.make_link(drive, "/secret", NewLink { expires: Some(soon), ..view() }, BEN).await.unwrap();
    drives.make_link(drive, "/elsewhere", view(), BEN).await.unwrap();
    drives.make_link(drive, "/secret/hidden.txt", view(), BEN).await.unwrap();
    drives.remove(drive, "/elsewhere", true).await.unwrap();
    drives.tidy(drive).await.unwrap();
    assert_eq!(drives.links(drive, None).await.unwrap().len(), 3);
    world.model.advance(Duration::from_secs(31 * 24 * 3600));
    drives.tidy_all().await.unwrap();
    let left = drives.links(drive, None).await.unwrap();
    assert_eq!(left.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["hidden.txt"]);
}

/// Many guests at once, interleaved at every call: exactly as many downloads begin as are allowed.
#[tokio::test]
async fn never_more_downloads_begin_than_are_allowed() {
    for seed in 0..20 {
        let world = world().await;
        let (drives, drive) = (&world.drives, world.drive);
        let link = world.link("/secret/shared", NewLink { downloads_max: Some(5), ..view() }).await;
        let mut guests = Vec::new();
        for n in 0..12u64 {
            let drives =
                crate::model::acts::drives(&Handle::new(&world.model, seed * 100 + n).yielding(6), Duration::ZERO)
                    .await;
            let link = link.clone();
            guests.push(tokio::spawn(async move {
                drives.guest_download(&link, "deep/a.txt", Some([n as u8; 16]), Wanted::File).await.map(drop)
            }));
        }
        // The folder moves under their feet.
        drives.rename(drive, "/secret/shared", "/secret/moved", RenameCondition::MustNotExist).await.unwrap();
        let (mut begun, mut refused) = (Vec::new(), 0);
        for (n, guest) in guests.into_iter().enumerate() {
            match guest.await.unwrap() {
                Ok(()) => begun.push(n as u8),
                Err(DriveError::LinkOver) => refused += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
        assert_eq!((begun.len(), refused), (5, 7), "seed {seed}");
        assert!(drives.link_used_up(&link).await.unwrap());
        // Who has begun may resume for an hour; nobody else, and not another file.
        drives.guest_download(&link, "deep/a.txt", Some([begun[0]; 16]), Wanted::Part).await.unwrap();
        for (guest, path, wanted) in [
            (Some([99; 16]), "deep/a.txt", Wanted::Part),
            (None, "deep/a.txt", Wanted::Part),
            (Some([begun[0]; 16]), "deep/a.txt", Wanted::File),
            (Some([begun[0]; 16]), "/", Wanted::Archive),
        ] {
            let more = drives.guest_download(&link, path, guest, wanted).await;
            assert_eq!(more.unwrap_err(), DriveError::LinkOver);
        }
        world.model.advance(Duration::from_secs(3601));
        let late = drives.guest_download(&link, "deep/a.txt", Some([begun[0]; 16]), Wanted::Part).await;
        assert_eq!(late.unwrap_err(), DriveError::LinkOver);
        assert_eq!(drives.links(drive, None).await.unwrap()[0].downloads, 5);
    }
}
