//! Finding files by their words: against a plain search of what the drive holds; deaths at every call; what is left.

use crate::model::hand::reader;
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::{Clash, Drives, NewFile, PutCondition, RenameCondition, Settings};
use atoll_apps::{DriveId, VersionId};
use bytes::Bytes;
use futures::TryStreamExt;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const D: DriveId = DriveId([3; 16]);
const GRACE: Duration = Duration::from_secs(60);
const VOCABULARY: [&str; 8] = ["tide", "tidal", "Crème", "creme", "reef", "REEFS", "ilot", "îlot"];

async fn open(handle: &Arc<Handle>) -> Drives {
    Drives::open_store(handle.clone(), Settings { grace: GRACE, ..Settings::default() }).await.unwrap()
}

async fn fresh() -> (Arc<Model>, Drives) {
    let model = Model::new();
    let drives = open(&Handle::new(&model, 0)).await;
    (model, drives)
}

async fn put(drives: &Drives, model: &Model, path: &str, text: &str) {
    let content = model.store_content(text.as_bytes());
    drives.put_file(D, path, content, NewFile::default(), PutCondition::Replace).await.unwrap();
}

async fn found(drives: &Drives, text: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        // Pages of two, so that going on is tested too.
        let page = drives.find_text(D, text, cursor.as_deref(), 2).await.unwrap();
        all.extend(page.items.into_iter().map(|it| it.path));
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// As the words of the tests are folded: none of them needs more.
fn plain(text: &str) -> String {
    text.to_lowercase().replace('è', "e").replace('î', "i")
}

/// Every file below the folder, with what is in it.
async fn files(drives: &Drives) -> Vec<(String, String)> {
    let (mut all, mut todo) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = todo.pop() {
        for entry in drives.list(D, &folder, None, 0).await.unwrap().items {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_folder() {
                todo.push(path);
                continue;
            }
            let open = drives.open(D, &path).await.unwrap();
            let read: Vec<Bytes> = drives.read(open.content, 0..u64::MAX).try_collect().await.unwrap();
            all.push((path, String::from_utf8(read.concat()).unwrap()));
        }
    }
    all
}

/// What is found is what a look into every file finds.
async fn assert_found(drives: &Drives, context: &str) {
    let all = files(drives).await;
    for wanted in ["tide", "tid", "creme", "crème reef", "reef ilot tide", "il", "reefs", "nothing"] {
        let words: Vec<String> = wanted.split(' ').map(plain).collect();
        let has = |text: &str| {
            let there: Vec<String> = plain(text).split_whitespace().map(String::from).collect();
            words.iter().all(|word| there.iter().any(|it| it.starts_with(word)))
        };
        let expected: BTreeSet<&str> = all
            .iter()
            .filter(|(path, text)| path.ends_with(".txt") && has(text))
            .map(|(path, _)| path.as_str())
            .collect();
        let got = found(drives, wanted).await;
        assert_eq!(got.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{context}: {wanted:?}");
        assert_eq!(got.len(), expected.len(), "{context}: {wanted:?} twice");
    }
}

/// Nothing leads to what is not there.
async fn assert_exact(model: &Model, drives: &Drives, context: &str) {
    let all = files(drives).await;
    let texts = all.iter().filter(|(path, text)| path.ends_with(".txt") && !text.trim().is_empty());
    let words: usize = texts
        .clone()
        .map(|(_, text)| plain(text).split_whitespace().map(String::from).collect::<BTreeSet<_>>().len())
        .sum();
    assert_eq!(model.count("drive", "unread"), 0, "{context}");
    assert_eq!(model.count("drive", "words"), words, "{context}");
    // With the row that says that nothing of before is left.
    assert_eq!(model.count("drive", "texts"), texts.count() + 1, "{context}");
    assert_eq!(drives.check(D).await.unwrap(), [""; 0], "{context}");
}

async fn empty_all(model: &Model, drives: &Drives) {
    drives.empty_trash(D, model.now()).await.unwrap();
    for _ in 0..3 {
        model.advance(GRACE + Duration::from_secs(3600));
        drives.sweep(D).await.unwrap();
    }
    drives.read_texts(D).await.unwrap();
}

#[tokio::test]
async fn words_are_found_as_people_type_them() {
    let (model, drives) = fresh().await;
    drives.make_folder(D, "/notes").await.unwrap();
    put(&drives, &model, "/notes/menu.txt", "Crème brûlée\nand coffee").await;
    put(&drives, &model, "/coffee.md", "tea").await;
    put(&drives, &model, "/brew.txt", "coffee, tea; and the COFFEE house").await;
    put(&drives, &model, "/photo.jpg", "coffee").await;
    assert_eq!(found(&drives, "coffee").await, [""; 0]);
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "CREME brul").await, ["/notes/menu.txt"]);
    assert_eq!(found(&drives, "tea coffee").await, ["/brew.txt"]);
    // Called so, before what only has it.
    put(&drives, &model, "/coffee.txt", "the house of coffee").await;
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "coffee").await[0], "/coffee.txt");
    let page = drives.find_text(D, "house", None, 0).await.unwrap();
    let passage = &page.items.iter().find(|it| it.path == "/brew.txt").unwrap().passage;
    assert_eq!(passage.iter().filter(|it| it.hit).map(|it| it.text.as_str()).collect::<Vec<_>>(), ["house"]);
    // By its new place, and not in the trash; back again at once.
    drives.rename(D, "/notes", "/old", RenameCondition::MustNotExist).await.unwrap();
    assert_eq!(found(&drives, "brulee").await, ["/old/menu.txt"]);
    let trashed = drives.trash(D, "/old", None, None).await.unwrap();
    assert_eq!(found(&drives, "brulee").await, [""; 0]);
    drives.restore(D, trashed.id, None, Clash::Fail, None).await.unwrap();
    assert_eq!(found(&drives, "brulee").await, ["/old/menu.txt"]);
    for bad in ["", "  ,", &"x".repeat(2000), "a b c d e f g h i"] {
        assert!(drives.find_text(D, bad, None, 0).await.is_err(), "{bad:?}");
    }
    assert!(drives.find_text(D, "tea", Some("zz"), 0).await.is_err());
}

#[tokio::test]
async fn a_long_text_is_read_by_steps_and_forgotten_whole() {
    let (model, drives) = fresh().await;
    let many = |from: u32| (from..from + 4000).map(|n| format!("w{n} ")).collect::<String>();
    put(&drives, &model, "/long.txt", &many(0)).await;
    drives.read_texts(D).await.unwrap();
    assert_eq!((found(&drives, "w0").await.len(), found(&drives, "w3999").await.len()), (1, 1));
    put(&drives, &model, "/long.txt", &many(3000)).await;
    drives.read_texts(D).await.unwrap();
    assert_eq!((found(&drives, "w2999").await.len(), found(&drives, "w6999").await.len()), (0, 1));
    // What is no text any more is forgotten.
    put(&drives, &model, "/long.txt", "a\0b").await;
    drives.read_texts(D).await.unwrap();
    assert_eq!((model.count("drive", "words"), model.count("drive", "texts")), (0, 1));
}

#[tokio::test]
async fn files_of_before_are_read_once_somebody_looks() {
    let (model, drives) = fresh().await;
    for n in 0..5 {
        put(&drives, &model, &format!("/{n}.txt"), "reef").await;
    }
    // As a release that knew nothing of words leaves them.
    model.clear("drive", "unread");
    assert_eq!(found(&drives, "reef").await.len(), 0);
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reef").await.len(), 5);
    assert_exact(&model, &drives, "before").await;
}

fn sentence(rng: &mut ChaCha8Rng) -> String {
    let count = rng.random_range(0..6);
    (0..count).map(|_| format!("{} ", VOCABULARY.choose(rng).unwrap())).collect()
}

async fn any_act(drives: &Drives, model: &Model, rng: &mut ChaCha8Rng) {
    let paths = ["/a.txt", "/b.txt", "/c.bin", "/f/a.txt", "/f/d.txt", "/g/a.txt"];
    let (one, other) = (*paths.choose(rng).unwrap(), *paths.choose(rng).unwrap());
    model.advance(Duration::from_millis(1));
    let content = model.store_content(sentence(rng).as_bytes());
    let new = NewFile { version: VersionId(rng.random()), ..NewFile::default() };
    // Whatever comes of it: what is there is what is found.
    match rng.random_range(0..12) {
        0..5 => drop(drives.put_file(D, one, content, new, PutCondition::Replace).await),
        5..7 => drop(drives.rename(D, one, other, RenameCondition::ReplaceAny).await),
        7 => drop(drives.rename(D, "/f", "/h", RenameCondition::MustNotExist).await),
        8 => drop(drives.trash(D, one, None, None).await),
        9 => {
            if let Some(it) = drives.trash_list(D, None, 0).await.unwrap().items.first() {
                drop(drives.restore(D, it.id, None, Clash::KeepBoth, None).await);
            }
        }
        10 => {
            if let Some(old) = drives.versions(D, one).await.ok().and_then(|all| all.into_iter().nth(1)) {
                drop(drives.restore_version(D, one, old.file.version, None, None).await);
            }
        }
        _ => drop(drives.remove(D, ["/f", "/g", one].choose(rng).unwrap(), true).await),
    }
    for folder in ["/f", "/g"] {
        drop(drives.make_folder(D, folder).await);
    }
}

#[tokio::test]
async fn what_is_found_is_what_is_there_whatever_was_done() {
    for seed in 0..60 {
        let (model, drives) = fresh().await;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for n in 0..40 {
            any_act(&drives, &model, &mut rng).await;
            if rng.random_ratio(1, 5) {
                drives.read_texts(D).await.unwrap();
                assert_found(&drives, &format!("seed {seed}, act {n}")).await;
            }
        }
        empty_all(&model, &drives).await;
        assert_found(&drives, &format!("seed {seed}, at the end")).await;
        assert_exact(&model, &drives, &format!("seed {seed}, at the end")).await;
    }
}

/// What has waited is read by one, not by every node that comes to it; should that one die, by another after a while.
#[tokio::test]
async fn what_was_left_is_read_by_who_claims_it() {
    let (model, drives) = fresh().await;
    found(&drives, "tide").await;
    put(&drives, &model, "/a.txt", "tide").await;
    model.advance(Duration::from_secs(60));
    let handle = Handle::new(&model, 0);
    let reader = open(&handle).await;
    // It has claimed the file and dies as it looks for it.
    handle.plan(Some((2, Fault::CrashBefore)));
    let _ = handle.run(reader.read_texts(D)).await;
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "tide").await, Vec::<String>::new(), "somebody is at it");
    // What is put again is nobody's.
    put(&drives, &model, "/b.txt", "reef").await;
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reef").await, ["/b.txt"]);
    model.advance(Duration::from_secs(200));
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "tide").await, ["/a.txt"]);
    assert_exact(&model, &drives, "claimed").await;
}

#[tokio::test]
async fn a_reader_that_dies_anywhere_is_carried_on_by_the_next() {
    let prepare = || async {
        let (model, drives) = fresh().await;
        put(&drives, &model, "/a.txt", "tide reef").await;
        put(&drives, &model, "/gone.txt", "tidal creme").await;
        drives.read_texts(D).await.unwrap();
        found(&drives, "tide").await;
        put(&drives, &model, "/a.txt", "reef ilot").await;
        put(&drives, &model, "/b.txt", "reefs").await;
        drives.remove(D, "/gone.txt", false).await.unwrap();
        model
    };
    let model = prepare().await;
    let handle = Handle::new(&model, 0);
    let undisturbed = open(&handle).await;
    handle.plan(None);
    undisturbed.read_texts(D).await.unwrap();
    let calls = handle.calls();
    assert!(calls > 12, "{calls}");
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0..calls {
            let context = format!("{fault:?} at call {at} of {calls}");
            let model = prepare().await;
            let handle = Handle::new(&model, 0);
            let reader = open(&handle).await;
            handle.plan(Some((at, fault)));
            let _ = handle.run(reader.read_texts(D)).await;
            let next = open(&Handle::new(&model, 0)).await;
            // Put once more before the next comes, in half of the cases.
            if at % 2 == 0 {
                put(&next, &model, "/a.txt", "creme tide").await;
            }
            next.read_texts(D).await.unwrap();
            assert_found(&next, &context).await;
            empty_all(&model, &next).await;
            assert_found(&next, &context).await;
            assert_exact(&model, &next, &context).await;
        }
    }
}

#[tokio::test]
async fn two_who_read_the_same_do_not_disturb_each_other() {
    for at in 0..12 {
        let (model, drives) = fresh().await;
        put(&drives, &model, "/a.txt", "tide reef").await;
        found(&drives, "tide").await;
        drives.read_texts(D).await.unwrap();
        put(&drives, &model, "/a.txt", "ilot").await;
        let handle = Handle::new(&model, 0);
        let slow = open(&handle).await;
        handle.plan(Some((at, Fault::Pause)));
        let reading = tokio::spawn(async move { slow.read_texts(D).await });
        tokio::select! {
            () = handle.until_paused() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
        drives.read_texts(D).await.unwrap();
        put(&drives, &model, "/a.txt", "creme").await;
        drives.read_texts(D).await.unwrap();
        handle.resume();
        reading.await.unwrap().unwrap();
        drives.read_texts(D).await.unwrap();
        assert_found(&drives, &format!("slow at call {at}")).await;
        assert_exact(&model, &drives, &format!("slow at call {at}")).await;
    }
}

/// What programs put as objects is read as what people put is, and what they replace is not found by its old words, not even
/// before the new ones are read.
#[tokio::test]
async fn objects_are_found_by_the_words_in_them() {
    use atoll_apps::drive::objects::{NewObject, ObjectCondition, ObjectKey};
    let (model, drives) = fresh().await;
    let object = async |path: &str, text: &str| {
        let new = NewObject { file: NewFile::default(), about: Default::default(), composed: false };
        let (key, content) = (ObjectKey::parse(path).unwrap(), model.store_content(text.as_bytes()));
        drives.put_object(D, &key, content, new, ObjectCondition::Any).await.unwrap();
    };
    put(&drives, &model, "/a.txt", "secret tide").await;
    assert_eq!(found(&drives, "nothing").await, Vec::<String>::new(), "the drive is gathered by now");
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "secret").await, ["/a.txt"]);
    object("a.txt", "open reef").await;
    object("new/b.txt", "open ilot").await;
    assert_eq!(found(&drives, "secret").await, Vec::<String>::new());
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "secret").await, Vec::<String>::new());
    let mut both = found(&drives, "open").await;
    both.sort();
    assert_eq!(both, ["/a.txt", "/new/b.txt"]);
}

#[tokio::test]
async fn nothing_of_texts_stays_of_a_drive_that_goes() {
    use atoll_apps::accounts::Estate;
    let (model, drives) = fresh().await;
    put(&drives, &model, "/a.txt", "tide").await;
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "tide").await, ["/a.txt"]);
    for _ in 0..20 {
        drives.clear_drive(D).await.unwrap();
        model.advance(2 * GRACE);
        drives.sweep(D).await.unwrap();
        drives.read_texts(D).await.unwrap();
    }
    for table in ["texts", "words", "unread"] {
        assert_eq!(model.count("drive", table), 0, "{table}");
    }
}

#[tokio::test]
async fn a_file_whose_holders_are_silent_keeps_no_other_waiting() {
    let model = Model::new();
    let handle = Handle::new(&model, 0);
    let drives = open(&handle).await;
    assert_eq!(found(&drives, "reef").await, [""; 0], "the drive is gathered by now");
    let mut silent = Vec::new();
    for n in 0..20 {
        put(&drives, &model, &format!("/{n}.txt"), &format!("reef {n}")).await;
        silent.push(model.store_content(format!("reef {n}").as_bytes()).hash);
    }
    handle.silence(&silent[..19]);
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reef").await, ["/19.txt"]);
    // They answer again: the next round looks, but not at once, or at what is put meanwhile.
    handle.silence(&[]);
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reef").await, ["/19.txt"]);
    put(&drives, &model, "/0.txt", "reef again").await;
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reef").await.len(), 2);
    model.advance(Duration::from_secs(61));
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reef").await.len(), 20);
    assert_exact(&model, &drives, "silence").await;
}

#[tokio::test]
async fn a_document_is_read_by_a_child_and_again_by_another_name() {
    let model = Model::new();
    let without = open(&Handle::new(&model, 0)).await;
    let settings = Settings { grace: GRACE, documents: Some(reader()), ..Settings::default() };
    let drives = Drives::open_store(Handle::new(&model, 0), settings).await.unwrap();
    put(&drives, &model, "/a.html", "<p class=tidal>tide &amp; r<b>eef</b>s").await;
    put(&drives, &model, "/b.pdf", "%PDF- of nothing").await;
    put(&drives, &model, "/c.txt", "creme").await;
    // Who has no child leaves documents to others.
    without.read_texts(D).await.unwrap();
    assert_eq!(model.count("drive", "unread"), 2);
    drives.read_texts(D).await.unwrap();
    assert_eq!(model.count("drive", "unread"), 0);
    assert_eq!((found(&drives, "reefs").await, found(&drives, "tidal").await), (vec!["/a.html".into()], vec![]));
    drives.rename(D, "/a.html", "/a.txt", RenameCondition::MustNotExist).await.unwrap();
    drives.read_texts(D).await.unwrap();
    assert_eq!((found(&drives, "reefs").await, found(&drives, "tidal").await), (vec![], vec!["/a.txt".into()]));
    drives.rename(D, "/a.txt", "/a.htm", RenameCondition::MustNotExist).await.unwrap();
    drives.read_texts(D).await.unwrap();
    assert_eq!(found(&drives, "reefs").await, ["/a.htm"]);
    drives.remove(D, "/a.htm", false).await.unwrap();
    empty_all(&model, &drives).await;
    assert_exact(&model, &drives, "documents").await;
}

/// A release before this one read plain text only, and said that all was read.
#[tokio::test]
async fn documents_of_before_are_read_once_somebody_looks() {
    let (model, drives) = fresh().await;
    put(&drives, &model, "/a.pdf", "%PDF-").await;
    put(&drives, &model, "/b.jpg", "no text").await;
    model.clear("drive", "unread");
    found(&drives, "reef").await;
    assert_eq!(model.count("drive", "unread"), 1);
    model.clear("drive", "unread");
    found(&drives, "reef").await;
    assert_eq!(model.count("drive", "unread"), 0, "once");
}

/// What has no text leaves no work.
#[tokio::test]
async fn what_tells_of_no_text_is_not_looked_at() {
    let (model, drives) = fresh().await;
    put(&drives, &model, "/a.jpg", "one").await;
    put(&drives, &model, "/a.jpg", "two").await;
    drives.rename(D, "/a.jpg", "/b.png", RenameCondition::MustNotExist).await.unwrap();
    drives.remove(D, "/b.png", false).await.unwrap();
    assert_eq!(model.count("drive", "unread"), 0);
}

#[tokio::test]
async fn words_that_are_lost_are_told_of() {
    let (model, drives) = fresh().await;
    put(&drives, &model, "/a.txt", "tide reef").await;
    drives.read_texts(D).await.unwrap();
    assert_eq!(drives.check(D).await.unwrap(), [""; 0]);
    model.clear("drive", "words");
    let told = drives.check(D).await.unwrap();
    assert!(told.len() == 1 && told[0].starts_with("2 words of "), "{told:?}");
}
