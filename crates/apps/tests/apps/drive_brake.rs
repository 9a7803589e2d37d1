//! The brake: programs that remove too much are held, everywhere, until somebody looks.

use crate::model::hand::{D, fresh, put, settings, tree, whole};
use crate::model::{Fault, Handle, Model};
use atoll_apps::UserId;
use atoll_apps::drive::path::NAMES_MAX;
use atoll_apps::drive::{Clash, DriveError, Drives, Program, RenameCondition, Settings};
use std::sync::Arc;
use std::time::Duration;

const ADA: UserId = UserId([7; 16]);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn laptop() -> Option<Program> {
    Some(Program { id: "0123456789abcdef".into(), label: "laptop".into() })
}

async fn strict(model: &Arc<Model>, brake: u32) -> Drives {
    Drives::open_store(Handle::new(model, 0), Settings { brake, ..settings() }).await.unwrap()
}

fn held<T: std::fmt::Debug>(done: Result<T, DriveError>) {
    assert!(matches!(&done, Err(DriveError::Held { program }) if program == "laptop"), "{done:?}");
}

#[tokio::test]
async fn a_program_that_removes_too_much_is_held_until_somebody_says() {
    let (model, drives) = fresh().await;
    for n in 0..8 {
        put(&model, &drives, &format!("/f{n}"), "text").await;
    }
    let (one, other) = (strict(&model, 3).await, strict(&model, 3).await);
    let (program, elsewhere) = (one.for_program(laptop(), ADA), other.for_program(laptop(), ADA));
    program.trash(D, "/f0", None, Some(ADA)).await.unwrap();
    let thrown = program.trash(D, "/f1", None, Some(ADA)).await.unwrap();
    assert!(program.trash(D, "/none", None, None).await.is_err(), "what was not there does not count");
    program.remove(D, "/f2", false).await.unwrap();
    // Each way of removing is held, here and by way of others, and nothing is gone.
    let before = tree(&drives).await;
    held(program.trash(D, "/f3", None, None).await);
    held(program.remove(D, "/f3", false).await);
    held(program.purge(D, thrown.id).await);
    held(program.empty_trash(D, drives_now(&model)).await);
    held(elsewhere.trash(D, "/f3", None, None).await);
    // To put something in the place of another is to remove that, whichever way.
    held(program.rename(D, "/f3", "/f4", RenameCondition::ReplaceAny).await);
    held(program.move_to(D, "/f3", "/f4", Clash::Replace, None, None).await);
    held(program.restore(D, thrown.id, Some("/f4"), Clash::Replace, None).await);
    held(strict(&model, 3).await.for_program(laptop(), ADA).trash(D, "/f3", None, None).await);
    assert_eq!(tree(&drives).await, before);
    assert_eq!(drives.trash_list(D, None, 0).await.unwrap().items.len(), 2);
    // Neither people nor other programs are.
    one.trash(D, "/f3", None, Some(ADA)).await.unwrap();
    let phone = Some(Program { id: "phone".into(), label: "phone".into() });
    one.for_program(phone, ADA).trash(D, "/f4", None, Some(ADA)).await.unwrap();
    // It is told, and stays until somebody says so.
    model.advance(5 * HOUR);
    let told = drives.held_programs(D).await.unwrap();
    assert_eq!((told.len(), told[0].program.clone(), told[0].user), (1, laptop().unwrap(), Some(ADA)));
    held(program.trash(D, "/f5", None, None).await);
    drives.let_go(D, "0123456789abcdef").await.unwrap();
    assert_eq!(drives.let_go(D, "0123456789abcdef").await, Err(DriveError::NotHeld));
    assert_eq!(drives.held_programs(D).await.unwrap(), []);
    // For an hour it is not counted; then it is.
    model.advance(HOUR / 2);
    for n in 5..8 {
        elsewhere.trash(D, &format!("/f{n}"), None, None).await.unwrap();
    }
    put(&model, &drives, "/g", "text").await;
    elsewhere.trash(D, "/g", None, None).await.unwrap();
    // What was allowed does not count afterwards.
    model.advance(HOUR / 2 + Duration::from_secs(60));
    for n in 0..4 {
        put(&model, &drives, &format!("/h{n}"), "text").await;
    }
    for n in 0..3 {
        elsewhere.trash(D, &format!("/h{n}"), None, None).await.unwrap();
    }
    held(elsewhere.trash(D, "/h3", None, None).await);
    whole(&drives).await;
}

fn drives_now(model: &Arc<Model>) -> types::WallMillis {
    use atoll_apps::Store;
    Handle::new(model, 0).now()
}

/// A client that lost its folder: files first, then the folders that they were in.
#[tokio::test]
async fn what_a_held_program_removed_comes_back_as_it_was() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/a/b/c").await.unwrap();
    drives.make_folders(D, "/mine").await.unwrap();
    for path in ["/a/one", "/a/b/two", "/a/b/c/three", "/mine/four"] {
        put(&model, &drives, path, path).await;
    }
    put(&model, &drives, "/before", "long ago").await;
    let program = strict(&model, 6).await.for_program(laptop(), ADA);
    program.trash(D, "/before", None, Some(ADA)).await.unwrap();
    model.advance(2 * HOUR);
    drives.trash(D, "/mine/four", None, Some(ADA)).await.unwrap();
    let before = tree(&drives).await;
    for path in ["/a/b/c/three", "/a/b/c", "/a/b/two", "/a/b", "/a/one", "/a"] {
        program.trash(D, path, None, Some(ADA)).await.unwrap();
    }
    held(program.trash(D, "/mine", None, Some(ADA)).await);
    assert_eq!(drives.put_back(D, "nobody", None).await, Err(DriveError::NotHeld));
    let back = drives.put_back(D, "0123456789abcdef", Some(ADA)).await.unwrap();
    assert_eq!((back.restored, back.left, back.more), (6, 0, false));
    assert_eq!(tree(&drives).await, before);
    assert_eq!(drives.put_back(D, "0123456789abcdef", Some(ADA)).await.unwrap().restored, 0);
    held(program.trash(D, "/a", None, None).await);
    whole(&drives).await;
}

/// Each call goes on where the last one ended, past what stays in the trash.
#[tokio::test]
async fn putting_back_much_takes_several_calls_and_looks_at_nothing_twice() {
    let (model, drives) = fresh().await;
    for n in 0..250 {
        put(&model, &drives, &format!("/f{n}"), "text").await;
    }
    let program = strict(&model, 250).await.for_program(laptop(), ADA);
    for n in 0..250 {
        program.trash(D, &format!("/f{n}"), None, Some(ADA)).await.unwrap();
        model.advance(Duration::from_secs(2));
    }
    put(&model, &drives, "/g", "text").await;
    held(program.trash(D, "/g", None, Some(ADA)).await);
    let hurry = Settings { putting_back: Duration::ZERO, ..settings() };
    let hurried = Drives::open_store(Handle::new(&model, 9), hurry).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..4 {
        let done = hurried.put_back(D, "0123456789abcdef", Some(ADA)).await.unwrap();
        told.push((done.restored, done.left, done.more));
    }
    // The last of a page waits for what may have gone with it.
    assert_eq!(told, [(99, 0, true), (99, 0, true), (52, 0, false), (0, 0, false)]);
    assert_eq!(tree(&drives).await.len(), 251);
    held(program.trash(D, "/f1", None, None).await);
    whole(&drives).await;
}

/// What was in a folder, the folder itself, and others' rows between them lie on several pages of the trash, in an order that
/// nodes' clocks made: all comes back where it was.
#[tokio::test]
async fn folders_come_back_before_what_was_in_them_wherever_a_page_ends() {
    for (seed, step) in (8..20).zip([0u64, 1, 7].into_iter().cycle()) {
        let (model, drives) = fresh().await;
        let deep: Vec<String> = (1..=12).map(|levels| format!("/top{}", "/sub".repeat(levels))).collect();
        drives.make_folders(D, deep.last().unwrap()).await.unwrap();
        put(&model, &drives, &format!("{}/file", deep[11]), "text").await;
        for n in 0..110 {
            put(&model, &drives, &format!("/f{n}"), "text").await;
        }
        let before = tree(&drives).await;
        let program = strict(&model, 120).await.for_program(laptop(), ADA);
        for n in 0..seed {
            program.trash(D, &format!("/f{n}"), None, Some(ADA)).await.unwrap();
        }
        for path in [format!("{}/file", deep[11])].iter().chain(deep.iter().rev()) {
            program.trash(D, path, None, Some(ADA)).await.unwrap();
            model.advance(Duration::from_millis(step));
        }
        for n in seed..107 {
            program.trash(D, &format!("/f{n}"), None, Some(ADA)).await.unwrap();
        }
        held(program.trash(D, "/f107", None, Some(ADA)).await);
        let back = drives.put_back(D, "0123456789abcdef", Some(ADA)).await.unwrap();
        assert_eq!((back.restored, back.left, back.more), (120, 0, false), "{seed}");
        assert_eq!(tree(&drives).await, before, "{seed}");
        whole(&drives).await;
    }
}

/// What was in a folder that cannot come back waits for it, instead of coming back in one that only looks like it.
#[tokio::test]
async fn what_was_in_a_folder_that_stays_in_the_trash_stays_there_too() {
    let (model, drives) = fresh().await;
    drives.make_folders(D, "/x/in/deep").await.unwrap();
    put(&model, &drives, "/x/in/file", "text").await;
    let program = strict(&model, 4).await.for_program(laptop(), ADA);
    for path in ["/x/in/deep", "/x/in/file", "/x/in", "/x"] {
        program.trash(D, path, None, Some(ADA)).await.unwrap();
    }
    // Its name and all that could stand for it were taken since.
    drives.make_folder(D, "/x").await.unwrap();
    for n in 2..=NAMES_MAX {
        drives.make_folder(D, &format!("/x ({n})")).await.unwrap();
    }
    held(program.trash(D, "/x (2)", None, Some(ADA)).await);
    let before = tree(&drives).await;
    let back = drives.put_back(D, "0123456789abcdef", Some(ADA)).await.unwrap();
    assert_eq!((back.restored, back.left, back.more), (0, 4, false));
    assert_eq!(tree(&drives).await, before);
    whole(&drives).await;
}

/// The same where what was in it is looked at by a later call.
#[tokio::test]
async fn what_was_in_it_stays_there_too_calls_later() {
    let (model, drives) = fresh().await;
    drives.make_folder(D, "/x").await.unwrap();
    for n in 0..120 {
        put(&model, &drives, &format!("/x/{n}"), "text").await;
    }
    let program = strict(&model, 121).await.for_program(laptop(), ADA);
    for path in (0..120).map(|n| format!("/x/{n}")).chain(["/x".into()]) {
        program.trash(D, &path, None, Some(ADA)).await.unwrap();
        model.advance(Duration::from_secs(2));
    }
    drives.make_folder(D, "/x").await.unwrap();
    for n in 2..=NAMES_MAX {
        drives.make_folder(D, &format!("/x ({n})")).await.unwrap();
    }
    held(program.trash(D, "/x (2)", None, Some(ADA)).await);
    let before = tree(&drives).await;
    let hurry = Settings { putting_back: Duration::ZERO, ..settings() };
    let hurried = Drives::open_store(Handle::new(&model, 9), hurry).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..2 {
        let done = hurried.put_back(D, "0123456789abcdef", Some(ADA)).await.unwrap();
        told.push((done.restored, done.left, done.more));
    }
    assert_eq!(told, [(0, 99, true), (0, 22, false)]);
    assert_eq!(tree(&drives).await, before);
}

/// The trash is the way back: a program that empties it is stopped as well, and what it did counts.
#[tokio::test]
async fn a_program_does_not_empty_the_trash_unseen() {
    let (model, drives) = fresh().await;
    for n in 0..450 {
        put(&model, &drives, &format!("/f{n}"), "text").await;
        drives.trash(D, &format!("/f{n}"), None, Some(ADA)).await.unwrap();
    }
    let program = strict(&model, 150).await.for_program(laptop(), ADA);
    held(program.empty_trash(D, drives_now(&model)).await);
    let left = drives.trash_list(D, None, 0).await.unwrap().items.len();
    assert_eq!(left, 250, "a page at a time");
    assert!(!drives.empty_trash(D, drives_now(&model)).await.unwrap().more, "people do");
    whole(&drives).await;
}

/// How many of these files a program gets rid of, by the process that is meant for each, before it is held.
async fn removed_until_held(names: &[String], process: impl AsyncFn(usize) -> Drives) -> usize {
    for (n, name) in names.iter().enumerate() {
        match process(n).await.for_program(laptop(), ADA).trash(D, name, None, Some(ADA)).await {
            Ok(_) => {}
            Err(DriveError::Held { .. }) => return n,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("it was never held");
}

async fn files(model: &Arc<Model>, drives: &Drives, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("/f{n}")).collect();
    for name in &names {
        put(model, drives, name, "text").await;
    }
    names
}

/// What goes through one process is known to the others, but for a sixteenth of the bound each.
#[tokio::test]
async fn who_removes_through_many_nodes_or_restarts_them_is_held_as_soon() {
    const MAX: u32 = 64;
    let slack = (MAX / 16) as usize;
    for nodes in [2, 5] {
        let (model, drives) = fresh().await;
        let names = files(&model, &drives, 200).await;
        let mut processes = Vec::new();
        for _ in 0..nodes {
            processes.push(strict(&model, MAX).await);
        }
        let removed = removed_until_held(&names, async |n| processes[n % nodes].clone()).await;
        assert!((MAX as usize..=MAX as usize + nodes * slack).contains(&removed), "{nodes}: {removed}");
        // Let go, it is forgotten on all of them.
        drives.let_go(D, "0123456789abcdef").await.unwrap();
        model.advance(HOUR + Duration::from_secs(1));
        let again = removed_until_held(&names[removed..], async |n| processes[n % nodes].clone()).await;
        assert!((MAX as usize..=MAX as usize + nodes * slack).contains(&again), "{nodes}: {again}");
        whole(&drives).await;
    }
    // A process that is restarted ever again.
    let (model, drives) = fresh().await;
    let names = files(&model, &drives, 200).await;
    let process = tokio::sync::Mutex::new(strict(&model, MAX).await);
    let removed = removed_until_held(&names, async |n| {
        let mut process = process.lock().await;
        if n % 10 == 0 {
            *process = strict(&model, MAX).await;
        }
        process.clone()
    });
    let removed = removed.await;
    let restarts = removed / 10;
    assert!((MAX as usize..=MAX as usize + restarts * slack).contains(&removed), "{removed}");
    // What was long ago does not count.
    let (model, drives) = fresh().await;
    let names = files(&model, &drives, 200).await;
    let (one, other) = (strict(&model, MAX).await, strict(&model, MAX).await);
    for name in &names[..60] {
        one.for_program(laptop(), ADA).trash(D, name, None, Some(ADA)).await.unwrap();
    }
    model.advance(HOUR);
    let removed =
        removed_until_held(&names[60..], async |n| if n % 2 == 0 { one.clone() } else { other.clone() }).await;
    assert!((MAX as usize..=MAX as usize + 2 * slack).contains(&removed), "{removed}");
    whole(&drives).await;
}

/// Counting costs few calls, and a removal that dies at any of them, or whose count may not have come, lets nobody past.
#[tokio::test]
async fn counting_may_die_anywhere() {
    const MAX: u32 = 64;
    let slack = (MAX / 16) as usize;
    let disturbed = async |fault: Option<(u64, Fault)>| {
        let (model, drives) = fresh().await;
        let names = files(&model, &drives, 100).await;
        let first = Handle::new(&model, 1);
        let settings = || Settings { brake: MAX, ..settings() };
        let process = Drives::open_store(first.clone(), settings()).await.unwrap().for_program(laptop(), ADA);
        for name in &names[..slack] {
            process.trash(D, name, None, Some(ADA)).await.unwrap();
        }
        // The next one tells of these.
        first.plan(fault);
        let done = first.run(process.trash(D, &names[slack], None, Some(ADA))).await;
        let calls = first.calls();
        first.plan(None);
        drop(process);
        whole(&drives).await;
        let gone = drives.trash_list(D, None, 0).await.unwrap().items.len();
        assert!(gone >= slack && (gone == slack + 1 || !matches!(done, Some(Ok(_)))), "{fault:?}: {done:?}");
        // Elsewhere it goes on.
        let other = strict(&model, MAX).await;
        let removed = gone + removed_until_held(&names[slack + 1..], async |_| other.clone()).await;
        assert!((MAX as usize - slack..=MAX as usize + slack + 1).contains(&removed), "{fault:?}: {removed}");
        whole(&drives).await;
        calls
    };
    for at in 0..disturbed(None).await {
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            disturbed(Some((at, fault))).await;
        }
    }

    let (model, drives) = fresh().await;
    let names = files(&model, &drives, 400).await;
    let (person, program) = (Handle::new(&model, 1), Handle::new(&model, 2));
    let opened = |handle: &Arc<Handle>| Drives::open_store(handle.clone(), Settings { brake: 500, ..settings() });
    let by_person = opened(&person).await.unwrap();
    let by_program = opened(&program).await.unwrap().for_program(laptop(), ADA);
    person.plan(None);
    program.plan(None);
    for (n, name) in names.iter().enumerate() {
        let by = if n % 2 == 0 { &by_person } else { &by_program };
        by.trash(D, name, None, Some(ADA)).await.unwrap();
    }
    // Two calls for each 31 of its 200.
    assert_eq!(program.calls() - person.calls(), 2 * (200 / 31));
}

/// A program that was let go finds that out once on each node, and is counted again when its time is over.
#[tokio::test]
async fn who_was_let_go_is_not_slowed_down() {
    let (model, drives) = fresh().await;
    let names = files(&model, &drives, 40).await;
    let (held_there, elsewhere) = (strict(&model, 5).await, Handle::new(&model, 2));
    removed_until_held(&names, async |_| held_there.clone()).await;
    drives.let_go(D, "0123456789abcdef").await.unwrap();
    let process = Drives::open_store(elsewhere.clone(), Settings { brake: 5, ..settings() }).await.unwrap();
    let program = process.for_program(laptop(), ADA);
    let calls = async |by: &Drives, name: &str| {
        elsewhere.plan(None);
        by.trash(D, name, None, Some(ADA)).await.unwrap();
        elsewhere.calls()
    };
    let undisturbed = calls(&process, "/f10").await;
    assert!(calls(&program, "/f11").await > undisturbed);
    for name in &names[12..30] {
        assert_eq!(calls(&program, name).await, undisturbed, "{name}");
    }
    model.advance(HOUR);
    assert_eq!(removed_until_held(&names[30..], async |_| process.clone()).await, 5);
    whole(&drives).await;
}
