//! The brake: programs that remove too much are held, everywhere, until somebody looks.

use crate::model::hand::{D, fresh, put, settings, tree, whole};
use crate::model::{Handle, Model};
use atoll_apps::UserId;
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
        model.advance(Duration::from_millis(2));
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
    assert_eq!(told, [(100, 0, true), (100, 0, true), (50, 0, false), (0, 0, false)]);
    assert_eq!(tree(&drives).await.len(), 251);
    held(program.trash(D, "/f1", None, None).await);
    whole(&drives).await;
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
