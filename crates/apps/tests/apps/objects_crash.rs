//! Every act on objects and uploads in parts dies, or is told nothing certain, at every one of its calls of the store. What is
//! seen afterwards is the state before it or the state after it, whole; and when all has gone, nothing is left.

use crate::model::acts::clear_out;
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::objects::{Listing, NewObject, NewUpload, ObjectCondition, ObjectKey, Pair, Upload};
use atoll_apps::drive::{Entry, NewFile, PutCondition, Settings};
use atoll_apps::{DriveError, DriveId, Drives, PartsId, VersionId};
use std::sync::Arc;
use std::time::Duration;

const DRIVE: DriveId = DriveId([1; 16]);
const WEEKS: Duration = Duration::from_secs(15 * 24 * 3600);

async fn drives(handle: &Arc<Handle>) -> Drives {
    let settings = Settings { grace: Duration::ZERO, ..Settings::default() };
    Drives::open_store(handle.clone(), settings).await.unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn new() -> NewObject {
    let mut new = NewObject { file: NewFile::default(), about: Default::default(), composed: false };
    new.about.user.push(Pair::new("colour", "blue"));
    new
}

/// An act on what [`base`] has made.
#[derive(Clone, Copy, Debug)]
enum Act {
    Put(&'static str, usize),
    Delete(&'static str),
    Copy(&'static str, &'static str),
    Part(u16, usize),
    Complete,
    /// All parts, as a file at that path.
    File(&'static str),
    Abort,
    Begin,
    Tag,
}

async fn part(drives: &Drives, model: &Model, id: PartsId, number: u16, size: usize) -> Result<(), DriveError> {
    let content = model.store_content(&vec![number as u8; size]);
    let kept = (format!("md5 of {number}"), String::new());
    drives.put_part(DRIVE, (id, &key("up")), number, content, kept).await.map(drop)
}

async fn file(drives: &Drives, id: PartsId, path: &str, condition: PutCondition) -> Result<Entry, DriveError> {
    let upload = drives.upload(DRIVE, id, &key("up")).await?;
    let new = NewFile { version: VersionId([7; 16]), ..NewFile::default() };
    drives.complete_file(DRIVE, &upload, path, new, condition).await
}

/// Objects in folders of their own and among others, one in the flat list, and an upload with three parts.
async fn base() -> (Arc<Model>, PartsId) {
    let model = Model::new();
    let drives = drives(&Handle::new(&model, 0)).await;
    for (text, size) in [("a/b/c", 3000), ("a/d", 10), ("x//y", 3000), ("e/", 0)] {
        let content = model.store_content(&vec![1; size]);
        drives.put_object(DRIVE, &key(text), content, new(), ObjectCondition::Any).await.unwrap();
    }
    let id = drives.begin_upload(DRIVE, &key("up"), NewUpload::default()).await.unwrap();
    for (number, size) in [(1, 3000), (2, 2500), (3, 100)] {
        part(&drives, &model, id, number, size).await.unwrap();
    }
    (model, id)
}

async fn perform(drives: &Drives, model: &Model, id: PartsId, act: Act) -> Result<(), DriveError> {
    match act {
        Act::Put(text, size) => {
            let content = model.store_content(&vec![2; size]);
            drives.put_object(DRIVE, &key(text), content, new(), ObjectCondition::Any).await.map(drop)
        }
        Act::Delete(text) => drives.delete_object(DRIVE, &key(text), &ObjectCondition::Any).await.map(drop),
        Act::Copy(from, to) => {
            let open = drives.open_object(DRIVE, &key(from)).await?.unwrap();
            let to = key(to);
            drives.copy_object((DRIVE, &to), (DRIVE, &open), new(), ObjectCondition::Any).await.map(drop)
        }
        Act::Part(number, size) => part(drives, model, id, number, size).await,
        Act::Complete => {
            let upload: Upload = drives.upload(DRIVE, id, &key("up")).await?;
            let mut new = new();
            new.file.etag = Some("the etag".into());
            drives.complete_upload(DRIVE, &upload, &[1, 3], new, ObjectCondition::Any).await.map(drop)
        }
        Act::File(path) => file(drives, id, path, PutCondition::Replace).await.map(drop),
        Act::Abort => drives.abort_upload(DRIVE, id, &key("up")).await,
        Act::Begin => drives.begin_upload(DRIVE, &key("other"), NewUpload::default()).await.map(drop),
        Act::Tag => drives.tag_object(DRIVE, &key("a/d"), None, vec![Pair::new("k", "v")]).await.map(drop),
    }
}

/// What a program can tell: keys and sizes, tags, uploads and their parts.
async fn seen(model: &Arc<Model>, id: PartsId) -> Vec<String> {
    let drives = drives(&Handle::new(&model.frozen(), 0)).await;
    let page = drives.list_objects(DRIVE, &Listing { limit: 1000, ..Listing::default() }).await.unwrap();
    let mut seen = Vec::new();
    for object in page.objects {
        let open = drives.open_object(DRIVE, &key(&object.key)).await.unwrap().unwrap();
        let first = match object.size() {
            0 => None,
            size => {
                let mut bytes = drives.read(open.content, 0..size);
                let piece: bytes::Bytes = futures::StreamExt::next(&mut bytes).await.unwrap().unwrap();
                assert_eq!(piece.len() as u64, size);
                Some(piece[0])
            }
        };
        seen.push(format!("{} {} {first:?} {:?}", object.key, object.size(), open.about.tags.len()));
    }
    for (_, upload) in drives.uploads(DRIVE).await.unwrap() {
        seen.push(format!("upload of {}", upload.key));
    }
    match drives.upload(DRIVE, id, &key("up")).await {
        Ok(upload) => seen.push(format!("{:?}", upload.parts.iter().map(|(n, it)| (*n, it.size)).collect::<Vec<_>>())),
        Err(DriveError::NoSuchUpload { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    seen
}

async fn assert_whole(model: &Arc<Model>, context: &str) {
    let findings = drives(&Handle::new(&model.frozen(), 0)).await.check(DRIVE).await.unwrap();
    assert!(findings.is_empty(), "{context}: {findings:#?}");
}

/// Everything goes, and leaves nothing.
async fn assert_nothing_left(model: &Arc<Model>, context: &str) {
    let drives = drives(&Handle::new(model, 0)).await;
    let page = drives.list_objects(DRIVE, &Listing { limit: 1000, ..Listing::default() }).await.unwrap();
    for object in page.objects {
        drives.delete_object(DRIVE, &key(&object.key), &ObjectCondition::Any).await.unwrap();
    }
    for _ in 0..4 {
        // Uploads that nobody touches are aborted, and what is known of completed ones is forgotten.
        model.advance(WEEKS);
        model.expire();
        drives.sweep_all().await.unwrap();
    }
    assert_whole(model, context).await;
    assert!(model.references().is_empty(), "{context}");
    for table in ["contents", "about", "parts", "flat", "entries", "work", "folders", "versions"] {
        assert_eq!(model.count("drive", table), 0, "{context}: {table}");
    }
    assert_eq!(model.count("drive", "uploads"), 1, "{context}: only the counter");
    assert_eq!(drives.usage(DRIVE).await.unwrap().bytes, 0, "{context}");
}

#[tokio::test]
async fn an_act_that_dies_anywhere_has_happened_or_not() {
    let acts = [
        Act::Put("new/deep/key", 3000),
        Act::Put("a/b/c", 2000),
        Act::Put("a/d", 20),
        Act::Put("x//y", 2000),
        Act::Put("f//", 0),
        Act::Put("n/", 0),
        Act::Delete("a/b/c"),
        Act::Delete("x//y"),
        Act::Delete("e/"),
        Act::Copy("a/b/c", "copy/of"),
        Act::Copy("x//y", "a/b/c"),
        Act::Part(4, 3000),
        Act::Part(1, 2000),
        Act::Complete,
        Act::File("/a/new"),
        Act::File("/a/d"),
        Act::Abort,
        Act::Begin,
        Act::Tag,
    ];
    for act in acts {
        let (done, id) = base().await;
        let before = seen(&done, id).await;
        let handle = Handle::new(&done, 0);
        let all = drives(&handle).await;
        handle.plan(None);
        perform(&all, &done, id, act).await.unwrap();
        let (calls, after) = (handle.calls(), seen(&done, id).await);
        assert_nothing_left(&done, &format!("{act:?}")).await;
        assert!(calls >= 1);
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for at in 0..calls {
                let context = format!("{act:?} with {fault:?} at call {at}");
                let (model, id) = base().await;
                let handle = Handle::new(&model, 0);
                let drives = drives(&handle).await;
                handle.plan(Some((at, fault)));
                let result = handle.run(perform(&drives, &model, id, act)).await;
                let now = seen(&model, id).await;
                assert!(now == before || now == after, "{context}: {now:#?}");
                match result {
                    Some(Ok(())) => assert_eq!(now, after, "{context}"),
                    Some(Err(DriveError::Client(client::ClientError::Busy))) => assert_eq!(now, before, "{context}"),
                    _ => {}
                }
                assert_whole(&model, &context).await;
                assert_nothing_left(&model, &context).await;
            }
        }
    }
}

#[tokio::test]
async fn parts_and_their_completion_do_not_mix() {
    // A part that comes while the upload is completed is in the object, or refused, or makes the completion fail.
    for seed in 0..200 {
        let (model, id) = base().await;
        let task = |act: Act, n: u64| {
            let model = model.clone();
            async move {
                let drives = drives(&Handle::new(&model, seed * 2 + n).yielding(4)).await;
                perform(&drives, &model, id, act).await
            }
        };
        let (part, complete) = tokio::join!(task(Act::Part(3, 50), 0), task(Act::Complete, 1));
        let all = drives(&Handle::new(&model, 0)).await;
        let object = all.object(DRIVE, &key("up")).await.unwrap();
        match (part, complete) {
            (_, Ok(())) => {
                let size = object.unwrap().size();
                assert!([3100, 3050].contains(&size), "{size}");
            }
            (Ok(()), Err(DriveError::Conflict { .. })) => assert!(object.is_none()),
            (part, complete) => panic!("{part:?} {complete:?}"),
        }
        assert_whole(&model, "at the end").await;
        assert_nothing_left(&model, "at the end").await;
    }
}

/// A file sent in parts: it is put by its last step alone, under the name that is free then, and costs its room once.
#[tokio::test]
async fn parts_make_a_file_where_there_is_room_for_one() {
    let (model, id) = base().await;
    let all = drives(&Handle::new(&model, 0)).await;
    let before = all.usage(DRIVE).await.unwrap().bytes;
    let drives = all.within(Some(before + 5));
    drives
        .upload_file(DRIVE, "/taken", futures::stream::empty(), NewFile::default(), PutCondition::CreateNew)
        .await
        .unwrap();
    let taken = file(&drives, id, "/taken", PutCondition::CreateNew).await.unwrap_err();
    assert_eq!(taken, DriveError::Exists { path: "/taken".into() });
    assert!(matches!(
        file(&drives, id, "/nowhere/up", PutCondition::CreateNew).await,
        Err(DriveError::NotFound { .. })
    ));
    let entry = file(&drives, id, "/taken (2)", PutCondition::CreateNew).await.unwrap();
    let info = entry.file().unwrap();
    assert_eq!((info.size, drives.usage(DRIVE).await.unwrap().bytes), (5600, before));
    // Whoever lost the answer asks again, and is told of it; at another path it is not.
    assert_eq!(file(&drives, id, "/taken (2)", PutCondition::CreateNew).await.unwrap(), entry);
    assert_eq!(
        file(&drives, id, "/taken", PutCondition::CreateNew).await,
        Err(DriveError::Changed { path: "/taken".into() })
    );
    assert_nothing_left(&model, "at the end").await;

    let (model, _) = base().await;
    let drives = self::drives(&Handle::new(&model, 0)).await;
    let id = drives.begin_upload(DRIVE, &key("up"), NewUpload::default()).await.unwrap();
    for number in [None, Some(2)] {
        if let Some(number) = number {
            part(&drives, &model, id, number, 10).await.unwrap();
        }
        let missing = file(&drives, id, "/up", PutCondition::Replace).await.unwrap_err();
        assert_eq!(missing, DriveError::Invalid("part 1 is missing: send it first".into()));
    }
}

/// A drive that is given up keeps nothing: neither what is in the tree, nor objects beside it, nor parts of uploads.
#[tokio::test]
async fn what_is_beside_the_tree_goes_with_the_drive() {
    let (model, _) = base().await;
    let drives = drives(&Handle::new(&model, 0)).await;
    for text in ["a//b", "x/../y", "./z"] {
        let content = model.store_content(&[7; 5000]);
        drives.put_object(DRIVE, &key(text), content, new(), ObjectCondition::Any).await.unwrap();
    }
    assert!(!drives.uploads(DRIVE).await.unwrap().is_empty());
    clear_out(&drives, DRIVE).await;
    assert!(
        drives.list_objects(DRIVE, &Listing { limit: 100, ..Listing::default() }).await.unwrap().objects.is_empty()
    );
    assert!(drives.uploads(DRIVE).await.unwrap().is_empty());
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
}
