//! Objects against a simple map: random puts, deletes and what people do to the same files, then listings of every kind.

use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::objects::{Listing, NewObject, ObjectCondition, ObjectKey};
use atoll_apps::drive::{Clash, NewFile, PutCondition, Settings};
use atoll_apps::{DriveError, DriveId, Drives};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const DRIVE: DriveId = DriveId([1; 16]);

async fn drives(model: &std::sync::Arc<Model>, seed: u64) -> Drives {
    let settings = Settings { grace: Duration::ZERO, versions: 3, ..Settings::default() };
    Drives::open_store(Handle::new(model, seed).yielding(2), settings).await.unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn new() -> NewObject {
    NewObject { file: NewFile::default(), about: Default::default(), composed: false }
}

async fn put(
    drives: &Drives,
    model: &Model,
    text: &str,
    bytes: &[u8],
    condition: ObjectCondition,
) -> Result<(), DriveError> {
    let content = model.store_content(bytes);
    drives.put_object(DRIVE, &key(text), content, new(), condition).await.map(drop)
}

/// All keys, page by page.
async fn list(drives: &Drives, prefix: &str, delimiter: &str, after: &str, limit: u32) -> (Vec<String>, Vec<String>) {
    let mut asked = Listing { prefix: prefix.into(), delimiter: delimiter.into(), after: after.into(), limit };
    let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let page = drives.list_objects(DRIVE, &asked).await.unwrap();
        assert!(page.objects.len() + page.prefixes.len() <= limit as usize);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        prefixes.extend(page.prefixes);
        match page.next {
            Some(next) => {
                assert!(next > asked.after, "{next:?} after {:?}", asked.after);
                asked.after = next;
            }
            None => return (keys, prefixes),
        }
    }
}

/// The same of a set of keys.
fn listed(keys: &BTreeSet<String>, prefix: &str, delimiter: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let (mut plain, mut common) = (Vec::new(), BTreeSet::new());
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => {
                let rolled = &key[..prefix.len() + at + delimiter.len()];
                if rolled > after {
                    common.insert(rolled.to_string());
                }
            }
            None if **key > *after => plain.push(key.clone()),
            None => {}
        }
    }
    (plain, common.into_iter().collect())
}

fn random_key(rng: &mut ChaCha8Rng) -> String {
    const PIECES: [&str; 12] = ["a", "b", "a-", "a.b", "é", "e\u{301}", "/", "/", "/", "a!", "..", "a0"];
    loop {
        let text: String = (0..rng.random_range(1..=6)).map(|_| PIECES[rng.random_range(0..PIECES.len())]).collect();
        if !text.is_empty() {
            return text;
        }
    }
}

async fn assert_lists(drives: &Drives, keys: &BTreeSet<String>, rng: &mut ChaCha8Rng) {
    assert_eq!(list(drives, "", "", "", 1000).await, listed(keys, "", "", ""));
    for _ in 0..12 {
        let prefix = if rng.random_bool(0.5) { String::new() } else { random_key(rng) };
        let delimiter = ["", "/", "/", "a", "-", "//"][rng.random_range(0..6)];
        let after = if rng.random_bool(0.5) { String::new() } else { random_key(rng) };
        let limit = rng.random_range(1..8);
        assert_eq!(
            list(drives, &prefix, delimiter, &after, limit).await,
            listed(keys, &prefix, delimiter, &after),
            "prefix {prefix:?} delimiter {delimiter:?} after {after:?} by {limit} of {keys:?}"
        );
    }
}

#[tokio::test]
async fn a_bucket_is_a_map_of_keys() {
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::new();
        let drives = drives(&model, seed).await;
        let mut map: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for step in 0..60u32 {
            let text = random_key(&mut rng);
            match rng.random_range(0..10) {
                0..6 => {
                    let size =
                        if text.ends_with('/') && rng.random_bool(0.7) { 0 } else { [3, 2000][rng.random_range(0..2)] };
                    let bytes = vec![step as u8; size];
                    let condition = if rng.random_bool(0.2) { ObjectCondition::Absent } else { ObjectCondition::Any };
                    let refused = condition == ObjectCondition::Absent && map.contains_key(&text);
                    let put = put(&drives, &model, &text, &bytes, condition).await;
                    match put {
                        Ok(()) => assert!(!refused, "{text:?} was there"),
                        Err(DriveError::Exists { .. }) => assert!(refused, "{text:?} was not there in {map:?}"),
                        Err(error) => panic!("{text:?}: {error}"),
                    }
                    if !refused {
                        map.insert(text, bytes);
                    }
                }
                6..9 => {
                    let text = match map.keys().nth(rng.random_range(0..map.len().max(1))) {
                        Some(there) if rng.random_bool(0.8) => there.clone(),
                        _ => text,
                    };
                    let gone = drives.delete_object(DRIVE, &key(&text), &ObjectCondition::Any).await.unwrap();
                    assert_eq!(gone.object.is_some(), map.remove(&text).is_some(), "seed {seed}: {text:?}");
                }
                _ => {
                    let found = drives.open_object(DRIVE, &key(&text)).await.unwrap();
                    let size = found.map(|open| open.object.size());
                    assert_eq!(size, map.get(&text).map(|bytes| bytes.len() as u64), "seed {seed}: {text:?}");
                }
            }
        }
        let keys: BTreeSet<String> = map.keys().cloned().collect();
        assert_lists(&drives, &keys, &mut rng).await;
        assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new(), "seed {seed}");
        // Nothing is left of what nobody can see.
        for text in keys {
            drives.delete_object(DRIVE, &key(&text), &ObjectCondition::Present).await.unwrap();
        }
        assert_eq!(drives.list(DRIVE, "/", None, 0).await.unwrap().items, [], "seed {seed}");
        drives.sweep(DRIVE).await.unwrap();
        assert_eq!(drives.usage(DRIVE).await.unwrap().bytes, 0);
        assert_eq!(model.count("drive", "about") + model.count("drive", "contents"), 0);
        assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
        assert!(drives.close_empty(DRIVE).await.unwrap());
        for text in ["x", "a//b"] {
            assert!(put(&drives, &model, text, b"late", ObjectCondition::Any).await.is_err());
        }
    }
}

#[tokio::test]
async fn people_and_programs_see_the_same() {
    let model = Model::new();
    let drives = drives(&model, 1).await;
    put(&drives, &model, "a/b/c.txt", b"one", ObjectCondition::Any).await.unwrap();
    assert_eq!(drives.stat(DRIVE, "/a/b/c.txt").await.unwrap().size(), 3);
    // What people take away leaves a folder, which they see: so it is a key.
    drives.trash(DRIVE, "/a/b/c.txt", None, None).await.unwrap();
    assert_eq!(list(&drives, "", "", "", 10).await.0, ["a/b/"]);
    drives.delete_object(DRIVE, &key("a/b/"), &ObjectCondition::Any).await.unwrap().object.unwrap();
    assert_eq!(drives.list(DRIVE, "/", None, 0).await.unwrap().items, []);
    // Folders of people stay when the last object goes.
    drives.make_folder(DRIVE, "/mine").await.unwrap();
    put(&drives, &model, "mine/x", b"x", ObjectCondition::Any).await.unwrap();
    assert_eq!(list(&drives, "", "", "", 10).await.0, ["mine/", "mine/x"]);
    drives.delete_object(DRIVE, &key("mine/x"), &ObjectCondition::Any).await.unwrap().object.unwrap();
    assert_eq!(list(&drives, "", "", "", 10).await.0, ["mine/"]);
    // A file stands in the way of a key: both are there.
    let content = model.store_content(b"a file");
    drives.put_file(DRIVE, "/way", content, NewFile::default(), PutCondition::CreateNew).await.unwrap();
    put(&drives, &model, "way/below", b"below", ObjectCondition::Any).await.unwrap();
    assert_eq!(list(&drives, "way", "", "", 1).await.0, ["way", "way/below"]);
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn of_many_conditional_puts_one_wins() {
    for seed in 0..20 {
        let model = Model::new();
        let mut tasks = Vec::new();
        for n in 0..8u64 {
            let (model, drives) = (model.clone(), drives(&model, seed * 8 + n).await);
            tasks.push(tokio::spawn(async move {
                put(&drives, &model, "deep/er/key", &[n as u8; 2000], ObjectCondition::Absent).await
            }));
        }
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => won += 1,
                Err(DriveError::Exists { .. } | DriveError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
        let drives = drives(&model, 999).await;
        drives.sweep(DRIVE).await.unwrap();
        assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_drive_closes_when_it_is_empty_and_opens_again() {
    let model = Model::new();
    let drives = drives(&model, 1).await;
    put(&drives, &model, "a", b"one", ObjectCondition::Any).await.unwrap();
    assert!(!drives.close_empty(DRIVE).await.unwrap());
    let trashed = drives.trash(DRIVE, "/a", None, None).await.unwrap();
    assert!(!drives.close_empty(DRIVE).await.unwrap(), "somebody may want it back");
    drives.restore(DRIVE, trashed.id, None, Clash::Fail, None).await.unwrap();
    drives.delete_object(DRIVE, &key("a"), &ObjectCondition::Any).await.unwrap();
    for _ in 0..2 {
        assert!(drives.close_empty(DRIVE).await.unwrap());
        assert!(put(&drives, &model, "b", b"two", ObjectCondition::Any).await.is_err());
    }
    for _ in 0..2 {
        drives.open_again(DRIVE).await.unwrap();
    }
    put(&drives, &model, "b", b"two", ObjectCondition::Any).await.unwrap();
    put(&drives, &model, "b//c", b"two", ObjectCondition::Any).await.unwrap();
    drives.open_again(DRIVE).await.unwrap();
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
}

/// What is thrown away between the look into the trash and the closing is not lost: it stays open.
#[tokio::test]
async fn a_drive_does_not_close_over_what_was_just_thrown_away() {
    for pause in 0..8 {
        let model = Model::new();
        let (other, handle) = (drives(&model, 1).await, Handle::new(&model, 2));
        put(&other, &model, "a", b"one", ObjectCondition::Any).await.unwrap();
        let closer = Drives::open_store(handle.clone(), Settings::default()).await.unwrap();
        handle.plan(Some((pause, Fault::Pause)));
        let closing = tokio::spawn(async move { closer.close_empty(DRIVE).await });
        // Where it makes fewer calls than that, it ends without a pause.
        let paused = tokio::time::timeout(Duration::from_millis(200), handle.until_paused()).await.is_ok();
        other.trash(DRIVE, "/a", None, None).await.ok();
        if paused {
            handle.resume();
        }
        assert!(!closing.await.unwrap().unwrap(), "at call {pause}");
        put(&other, &model, "b", b"two", ObjectCondition::Any).await.unwrap();
    }
}

/// A page costs what it returns: of 300 folders, those that it shows are read and a few more.
#[tokio::test]
async fn a_page_does_not_read_all_folders() {
    let model = Model::new();
    let handle = Handle::new(&model, 1);
    let drives = Drives::open_store(handle.clone(), Settings::default()).await.unwrap();
    for n in 0..300 {
        put(&drives, &model, &format!("{n:03}/k"), b"x", ObjectCondition::Any).await.unwrap();
    }
    for (delimiter, after, calls) in [("/", "", 4), ("/", "150/", 4), ("", "", 6), ("", "150/k", 6)] {
        let asked = Listing { delimiter: delimiter.into(), after: after.into(), limit: 1, ..Listing::default() };
        let before = handle.calls();
        let page = drives.list_objects(DRIVE, &asked).await.unwrap();
        assert_eq!((page.objects.len() + page.prefixes.len(), page.next.is_some()), (1, true));
        assert!(handle.calls() - before <= calls, "{} for {asked:?}", handle.calls() - before);
    }
}
