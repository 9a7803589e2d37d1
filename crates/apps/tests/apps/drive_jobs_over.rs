//! Jobs that put something in place of something: what was there is there until the copy is whole.

use crate::model::hand::{D, DAY, fresh, on, put, read, settings, tree, whole};
use crate::model::{Fault, Handle, Model};
use atoll_apps::UserId;
use atoll_apps::drive::locks::{NewLock, There};
use atoll_apps::drive::properties::{Property, PropertyChange};
use atoll_apps::drive::{Act, Clash, Copying, DrivePath, Drives, JobState, Over, Replaced};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const ME: Option<UserId> = Some(UserId([1; 16]));

fn at(path: &str) -> DrivePath {
    DrivePath::parse(path).unwrap()
}

fn property(xml: &str) -> PropertyChange {
    PropertyChange::Set(Property { namespace: "u".into(), name: "p".into(), xml: xml.into() })
}

/// `/a` with a file in it that has a property, and `/there`, a folder or a file, with one, too.
async fn world(folder: bool) -> (Arc<Model>, Drives) {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/a/b").await.unwrap();
    put(&model, &drives, "/a/f", &"x".repeat(2000)).await;
    put(&model, &drives, "/a/b/h", &"h".repeat(3000)).await;
    match folder {
        true => drop(drives.make_folder(D, "/there").await.unwrap()),
        false => drop(put(&model, &drives, "/there", &"t".repeat(1500)).await),
    }
    for (path, text) in [("/a/f", "mine"), ("/there", "theirs")] {
        drives.change_properties(D, &at(path), &[property(text)], None).await.unwrap();
    }
    (model, drives)
}

#[derive(Clone, Copy, Debug)]
struct Case {
    from: &'static str,
    /// What is there is a folder.
    folder: bool,
    trashes: bool,
}

const CASES: [Case; 4] = [
    Case { from: "/a/f", folder: false, trashes: false },
    Case { from: "/a/f", folder: true, trashes: true },
    Case { from: "/a", folder: false, trashes: true },
    Case { from: "/a", folder: true, trashes: true },
];

impl Case {
    async fn asked(self, drives: &Drives) -> Copying {
        let there = drives.stat(D, "/there").await.unwrap();
        let over = match (self.trashes, there.file()) {
            (false, Some(file)) => Over::Version(file.version),
            _ => Over::Trash(there.id()),
        };
        Copying { over, by: ME, tokens: Some(Vec::new()), ..Copying::new(D, at(self.from), at("/there")) }
    }
}

async fn property_of(drives: &Drives, path: &str) -> Option<String> {
    let entry = drives.stat(D, path).await.unwrap();
    drives.properties(D, &[&entry]).await.unwrap().remove(0).pop().map(|it| it.xml)
}

/// What is at the path and below it.
async fn branch(drives: &Drives, root: &str) -> BTreeMap<String, Option<String>> {
    let all = tree(drives).await;
    all.into_iter().filter_map(|(path, text)| Some((path.strip_prefix(root)?.to_string(), text))).collect()
}

#[tokio::test]
async fn what_is_replaced_is_there_until_the_copy_is_whole_whoever_dies() {
    for case in CASES {
        let (model, drives) = world(case.folder).await;
        let job = drives.begin_copying(D, &case.asked(&drives).await).await.unwrap().id;
        let handle = Handle::new(&model, 0);
        let runner = Drives::open_store(handle.clone(), settings()).await.unwrap();
        handle.plan(None);
        runner.run_job(D, job).await.unwrap();
        let calls = handle.calls();
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for n in 0..calls {
                dies(case, fault, n).await;
            }
        }
    }
}

async fn dies(case: Case, fault: Fault, n: u64) {
    let context = format!("{case:?}: {fault:?} at call {n}");
    let (model, drives) = world(case.folder).await;
    let before = branch(&drives, "/there").await;
    let id = drives.stat(D, "/there").await.unwrap().id();
    let job = drives.begin_copying(D, &case.asked(&drives).await).await.unwrap().id;
    let handle = Handle::new(&model, 0);
    let runner = Drives::open_store(handle.clone(), settings()).await.unwrap();
    handle.plan(Some((n, fault)));
    let _ = handle.run(runner.run_job(D, job)).await;
    let drives = on(&model).await;
    whole(&drives).await;
    let wanted = branch(&drives, case.from).await;
    let now = branch(&drives, "/there").await;
    assert!(now == before || now == wanted, "{context}: one or the other, whole");
    model.advance(Duration::from_secs(31));
    let (one, two) = tokio::join!(drives.carry_on_all(), drives.run_job(D, job));
    one.unwrap();
    let done = two.unwrap();
    assert_eq!(done.state, JobState::Done, "{context}: {:?}", done.problem);
    assert_eq!(branch(&drives, "/there").await, wanted, "{context}");
    if case.from == "/a/f" {
        assert_eq!(property_of(&drives, "/there").await.as_deref(), Some("mine"), "{context}");
    }
    let (kept, trashed) = (
        drives.versions(D, "/there").await.map_or(0, |all| all.len() - 1),
        drives.trash_list(D, None, 0).await.unwrap(),
    );
    assert_eq!((kept, trashed.items.len()), if case.trashes { (0, 1) } else { (1, 0) }, "{context}");
    assert_eq!(drives.stat(D, "/there").await.unwrap().id() == id, !case.trashes, "{context}");
    // Undone, it is as it was.
    drives.act(D, &Act::UndoJob { id: job }, ME).await.unwrap();
    assert_eq!(branch(&drives, "/there").await, before, "{context}");
    drives.remove(D, "/there", true).await.unwrap();
    drives.empty_trash(D, model.now()).await.unwrap();
    for _ in 0..3 {
        model.advance(DAY);
        drives.sweep(D).await.unwrap();
    }
    whole(&drives).await;
    assert_eq!((model.count("drive", "work"), model.count("drive", "steps")), (0, 0), "{context}");
    assert_eq!(model.count("drive", "properties"), 1, "{context}");
    assert_eq!(model.state.lock().references.len(), 2, "{context}");
}

/// Whatever becomes of what is there while it is copied, nothing goes that was not meant to.
#[tokio::test]
async fn what_changed_meanwhile_stays() {
    for case in CASES {
        let (model, drives) = world(case.folder).await;
        let job = drives.begin_copying(D, &case.asked(&drives).await).await.unwrap().id;
        drives.trash(D, "/there", None, None).await.unwrap();
        put(&model, &drives, "/there", "another").await;
        let ended = drives.run_job(D, job).await.unwrap();
        assert!(
            ended.state == JobState::Failed && ended.problem.is_some_and(|why| why.contains("changed")),
            "{case:?}"
        );
        assert_eq!(read(&drives, "/there").await, "another");
        whole(&drives).await;
    }
}

/// At each moment somebody locks what is to be replaced, a folder above it, or something else.
#[tokio::test]
async fn a_job_keeps_out_of_others_locks() {
    for (path, deep, fits) in [("/there", false, false), ("/", true, false), ("/", false, true), ("/a", true, true)] {
        let (mut n, mut refused) = (0, 0);
        loop {
            let (model, drives) = world(true).await;
            let job = drives.begin_copying(D, &CASES[3].asked(&drives).await).await.unwrap().id;
            let handle = Handle::new(&model, 0);
            let runner = Drives::open_store(handle.clone(), settings()).await.unwrap();
            handle.plan(Some((n, Fault::Pause)));
            let mut running = Box::pin(runner.run_job(D, job));
            let paused = tokio::select! {
                () = handle.until_paused() => true,
                _ = &mut running => false,
            };
            let asked = NewLock {
                path: at(path),
                deep,
                shared: false,
                note: String::new(),
                by: UserId([2; 16]),
                name: "ada".into(),
                lasts: Duration::from_secs(60),
            };
            if !paused {
                break;
            }
            let before = branch(&drives, "/there").await;
            drives.lock(D, asked, There::Any).await.unwrap().unwrap();
            handle.resume();
            let ended = running.await.unwrap();
            let done = ended.state == JobState::Done;
            assert!(done || ended.problem.is_some_and(|why| why.contains("locked by ada")));
            let now = branch(&drives, "/there").await;
            // Whoever has a lock finds what it is of as it was then.
            assert!(fits || now == before, "{path} at call {n}");
            assert!(!fits || done, "{path} at call {n}");
            refused += u64::from(!done);
            whole(&drives).await;
            n += 1;
        }
        assert!(fits || refused > 3, "{path}: {refused} of {n}");
    }
}

/// A very large file that replaces another does so as a job, and undone it is as it was.
#[tokio::test]
async fn what_replaces_a_file_becomes_its_content() {
    let (model, drives) = world(false).await;
    let before = drives.stat(D, "/there").await.unwrap();
    let over = Over::Rule(Clash::Replace);
    let job = drives.begin_copying(D, &Copying { over, ..Copying::new(D, at("/a/f"), at("/there")) }).await.unwrap();
    // Whatever it is by then.
    put(&model, &drives, "/there", "newer").await;
    let done = drives.run_job(D, job.id).await.unwrap();
    assert_eq!((done.state, done.made), (JobState::Done, before.id()));
    assert!(matches!(done.replaced, Replaced::Version { .. }));
    assert_eq!(drives.versions(D, "/there").await.unwrap().len(), 3);
    drives.act(D, &Act::UndoJob { id: job.id }, None).await.unwrap();
    assert_eq!(read(&drives, "/there").await, "newer");
    whole(&drives).await;
    // The same content leaves no earlier version to go back to.
    let copy = |from: &str| Copying { over, ..Copying::new(D, at(from), at("/there")) };
    let first = drives.begin_copying(D, &copy("/a/f")).await.unwrap();
    drives.run_job(D, first.id).await.unwrap();
    let job = drives.begin_copying(D, &copy("/a/f")).await.unwrap();
    assert_eq!(drives.run_job(D, job.id).await.unwrap().replaced, Replaced::Forgotten);
    let refused = drives.act(D, &Act::UndoJob { id: job.id }, None).await.unwrap_err();
    assert!(refused.to_string().contains("not kept"), "{refused}");
    // Never folders by this rule, nor over one; nor a file by itself.
    for (from, to) in [("/a", "/there"), ("/a/f", "/a/b"), ("/a/f", "/a/f")] {
        let asked = Copying { over, ..Copying::new(D, at(from), at(to)) };
        assert!(drives.begin_copying(D, &asked).await.is_err(), "{from} {to}");
    }
    whole(&drives).await;
}

/// A folder without what is in it, and its properties: whole or not at all, whoever dies, and in place of what is there.
#[tokio::test]
async fn a_folder_alone_comes_with_its_properties() {
    use atoll_apps::drive::RenameCondition;
    for folder in [false, true] {
        let (_, drives) = world(folder).await;
        drives.change_properties(D, &at("/a"), &[property("of a")], None).await.unwrap();
        let there = drives.stat(D, "/there").await.unwrap();
        let must = RenameCondition::MustNotExist;
        assert!(drives.copy_folder_alone(D, &at("/a"), &at("/there"), must, ME).await.is_err());
        let only = RenameCondition::ReplaceOnly(there.id());
        assert!(
            drives.copy_folder_alone(D, &at("/a"), &at("/new"), only, ME).await.is_err(),
            "what is meant is not there"
        );
        assert!(drives.copy_folder_alone(D, &at("/a/f"), &at("/new"), must, ME).await.is_err(), "a file is no folder");
        let made = drives.copy_folder_alone(D, &at("/a"), &at("/there"), only, ME).await.unwrap();
        assert!(made.is_folder() && made.id() != there.id());
        assert_eq!(property_of(&drives, "/there").await.as_deref(), Some("of a"));
        assert!(drives.list(D, "/there", None, 0).await.unwrap().items.is_empty());
        assert_eq!(drives.trash_list(D, None, 0).await.unwrap().items[0].entry.id(), there.id());
        let above = drives.stat(D, "/a").await.unwrap();
        let only = RenameCondition::ReplaceOnly(above.id());
        assert!(drives.copy_folder_alone(D, &at("/a/b"), &at("/a"), only, ME).await.is_err(), "it would go with it");
        whole(&drives).await;
    }
}
