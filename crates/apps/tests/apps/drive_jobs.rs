//! Jobs: folders copied, whoever dies, stops them or changes what is copied.

use crate::model::hand::{D, DAY, fresh, on, put, read, settings, tree, whole};
use crate::model::{Fault, Handle, Model};
use atoll_apps::DriveId;
use atoll_apps::drive::{Act, Clash, DriveError, Drives, JobState, NewFile, PutCondition, RenameCondition, Settings};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A folder of some files, with and without blocks, and folders in it.
async fn grove(model: &Arc<Model>, drives: &Drives) {
    drives.make_folders(D, "/grove/deep/er").await.unwrap();
    drives.make_folders(D, "/grove/empty").await.unwrap();
    for n in 0..70 {
        let text = if n % 7 == 0 { format!("{n} {}", "z".repeat(2000)) } else { format!("{n}") };
        put(model, drives, &format!("/grove/f{n}"), &text).await;
    }
    put(model, drives, "/grove/deep/er/d", &"d".repeat(4000)).await;
}

async fn branch(drives: &Drives, root: &str) -> BTreeMap<String, Option<String>> {
    let all = tree(drives).await;
    all.into_iter().filter_map(|(path, text)| Some((path.strip_prefix(root)?.to_string(), text))).collect()
}

#[tokio::test]
async fn a_folder_is_copied_whole() {
    let (model, drives) = fresh().await;
    grove(&model, &drives).await;
    let job = drives.begin_copy(D, "/grove", "/copy", Clash::Fail, None).await.unwrap();
    assert_eq!(drives.job(D, job.id).await.unwrap().state, JobState::Running);
    assert!(matches!(drives.stat(D, "/copy").await, Err(DriveError::NotFound { .. })), "not before it is whole");
    let done = drives.run_job(D, job.id).await.unwrap();
    assert_eq!((done.state, done.done, done.found), (JobState::Done, 74, 74));
    assert_eq!(branch(&drives, "/copy").await, branch(&drives, "/grove").await);
    // Into itself: the copy as it was before.
    let inside = drives.begin_copy(D, "/grove", "/grove/deep/copy", Clash::Fail, None).await;
    assert!(matches!(inside, Err(DriveError::Cycle { .. })));
    let beside = drives.begin_copy(D, "/grove", "/grove", Clash::KeepBoth, None).await.unwrap();
    assert_eq!(drives.run_job(D, beside.id).await.unwrap().to, "/grove (2)");
    assert!(matches!(
        drives.begin_copy(D, "/grove", "/copy", Clash::Replace, None).await,
        Err(DriveError::Exists { .. })
    ));
    whole(&drives).await;
    drives.remove(D, "/grove", true).await.unwrap();
    drives.sweep(D).await.unwrap();
    assert_eq!(branch(&drives, "/copy").await, branch(&drives, "/grove (2)").await);
}

#[tokio::test]
async fn a_job_that_cannot_end_leaves_nothing() {
    let (model, drives) = fresh().await;
    grove(&model, &drives).await;
    let used = drives.usage(D).await.unwrap().bytes;
    let before = tree(&drives).await;
    drives.make_folder(D, "/into").await.unwrap();
    for what in ["cancelled", "name taken", "no room", "folder gone"] {
        let job = drives.begin_copy(D, "/grove", "/into/x", Clash::Fail, None).await.unwrap();
        let mut runner = drives.clone();
        match what {
            "cancelled" => assert_eq!(drives.cancel_job(D, job.id).await.unwrap().state, JobState::Cancelled),
            "name taken" => drop(put(&model, &drives, "/into/x", "").await),
            "no room" => {
                let small = Settings { quota: Some(used + 1000), ..settings() };
                runner = Drives::open_store(Handle::new(&model, 0), small).await.unwrap();
            }
            _ => drop(drives.trash(D, "/into", None, None).await.unwrap()),
        }
        let ended = runner.run_job(D, job.id).await.unwrap();
        assert_ne!(ended.state, JobState::Done, "{what}");
        assert_eq!(ended.problem.is_some(), what != "cancelled", "{what}");
        drives.remove(D, "/into/x", false).await.ok();
        model.advance(DAY);
        drives.sweep(D).await.unwrap();
        drives.sweep(D).await.unwrap();
        assert_eq!(drives.usage(D).await.unwrap().bytes, used, "{what}");
        assert_eq!(model.count("drive", "steps"), 0, "{what}");
        whole(&drives).await;
    }
    assert_eq!(tree(&drives).await, before);
}

#[tokio::test]
async fn a_job_that_dies_anywhere_is_carried_on() {
    // A folder, and a file alone; contents with references then.
    for (source, references) in [("/a", 4), ("/a/f", 3)] {
        dies_anywhere(source, references).await;
    }
}

async fn dies_anywhere(source: &str, references: usize) {
    let prepare = || async {
        let (model, drives) = fresh().await;
        drives.make_folders(D, "/a/b").await.unwrap();
        for (path, text) in [("/a/f", "x".repeat(2000)), ("/a/g", "g".into()), ("/a/b/h", "h".repeat(3000))] {
            put(&model, &drives, path, &text).await;
        }
        let job = drives.begin_copy(D, source, "/copy", Clash::Fail, None).await.unwrap();
        (model, job.id)
    };
    let (model, job) = prepare().await;
    let handle = Handle::new(&model, 0);
    let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
    handle.plan(None);
    drives.run_job(D, job).await.unwrap();
    let calls = handle.calls();
    assert!(calls > 7, "{calls}");
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0..calls {
            let context = format!("{source}: {fault:?} at call {at} of {calls}");
            let (model, job) = prepare().await;
            let handle = Handle::new(&model, 0);
            let drives = Drives::open_store(handle.clone(), settings()).await.unwrap();
            handle.plan(Some((at, fault)));
            let _ = handle.run(drives.run_job(D, job)).await;
            let drives = on(&model).await;
            assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new(), "{context}");
            model.advance(Duration::from_secs(31));
            // Two at once do not disturb each other.
            let (one, two) = tokio::join!(drives.carry_on_all(), drives.run_job(D, job));
            one.unwrap();
            assert_eq!(two.unwrap().state, JobState::Done, "{context}");
            assert_eq!(branch(&drives, "/copy").await, branch(&drives, source).await, "{context}");
            model.advance(DAY);
            drives.sweep(D).await.unwrap();
            drives.sweep(D).await.unwrap();
            assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new(), "{context}");
            assert_eq!((model.count("drive", "work"), model.count("drive", "steps")), (0, 0), "{context}");
            assert_eq!(model.state.lock().references.len(), references, "{context}");
        }
    }
}

#[tokio::test]
async fn a_file_is_copied_by_a_job() {
    let (model, drives) = fresh().await;
    drives.make_folder(D, "/to").await.unwrap();
    let text = "x".repeat(5000);
    let file = put(&model, &drives, "/f", &text).await;
    let job = drives.begin_copy(D, "/f", "/to/g", Clash::Fail, None).await.unwrap();
    assert!(matches!(drives.stat(D, "/to/g").await, Err(DriveError::NotFound { .. })));
    let done = drives.run_job(D, job.id).await.unwrap();
    assert_eq!((done.state, done.done, done.found, done.bytes), (JobState::Done, 1, 1, 5000));
    let copy = drives.stat(D, "/to/g").await.unwrap();
    assert!(copy.id() == done.made && copy.id() != file.id());
    assert_eq!((read(&drives, "/to/g").await, read(&drives, "/f").await), (text.clone(), text.clone()));
    // Beside itself; not over another.
    let beside = drives.begin_copy(D, "/f", "/f", Clash::KeepBoth, None).await.unwrap();
    assert_eq!(drives.run_job(D, beside.id).await.unwrap().to, "/f (2)");
    assert!(matches!(drives.begin_copy(D, "/f", "/to/g", Clash::Fail, None).await, Err(DriveError::Exists { .. })));
    drives.sweep(D).await.unwrap();
    assert_eq!((model.count("drive", "work"), model.count("drive", "steps")), (0, 0));
    assert_eq!(drives.usage(D).await.unwrap().bytes, 15_000);
    whole(&drives).await;
    // Undone: the copy alone goes, wherever it is now.
    drives.rename(D, "/to/g", "/elsewhere", RenameCondition::MustNotExist).await.unwrap();
    drives.act(D, &Act::UndoJob { id: job.id }, None).await.unwrap();
    assert_eq!(tree(&drives).await.into_keys().collect::<Vec<_>>(), ["/f", "/f (2)", "/to"]);
    // The source goes away meanwhile.
    let job = drives.begin_copy(D, "/f", "/to/h", Clash::Fail, None).await.unwrap();
    drives.trash(D, "/f", None, None).await.unwrap();
    let ended = drives.run_job(D, job.id).await.unwrap();
    assert_eq!((ended.state, ended.problem.is_some()), (JobState::Failed, true));
    whole(&drives).await;
}

#[tokio::test]
async fn a_drive_is_not_copied_into_itself() {
    let (_, drives) = fresh().await;
    let refused = drives.begin_copy(D, "/", "/all", Clash::Fail, None).await;
    assert!(matches!(refused, Err(DriveError::Cycle { .. })));
}

#[tokio::test]
async fn a_job_that_nobody_carries_on_is_waited_for_by_no_sweeper() {
    let (model, drives) = fresh().await;
    grove(&model, &drives).await;
    let job = drives.begin_copy(D, "/grove", "/copy", Clash::Fail, None).await.unwrap();
    let handle = Handle::new(&model, 1);
    let sweeping = Drives::open_store(handle.clone(), settings()).await.unwrap();
    handle.plan(None);
    sweeping.carry_on_all().await.unwrap();
    let looks = handle.calls();
    model.advance(Duration::from_secs(31));
    // It is taken up, and stands still at its first call of the store.
    handle.plan(Some((looks, Fault::Pause)));
    tokio::time::timeout(Duration::from_secs(10), sweeping.carry_on_all()).await.unwrap().unwrap();
    handle.until_paused().await;
    assert_eq!(drives.job(D, job.id).await.unwrap().state, JobState::Running);
    // Once is enough.
    sweeping.carry_on_all().await.unwrap();
    handle.resume();
    assert_eq!(drives.run_job(D, job.id).await.unwrap().state, JobState::Done);
    whole(&drives).await;
}

#[tokio::test]
async fn a_source_that_goes_is_copied_whole_or_not_at_all() {
    let prepare = || async {
        let (model, drives) = fresh().await;
        drives.make_folders(D, "/a/b/c").await.unwrap();
        for (path, text) in [("/a/f", "x".repeat(2000)), ("/a/b/g", "g".into()), ("/a/b/c/h", "h".repeat(3000))] {
            put(&model, &drives, path, &text).await;
        }
        let job = drives.begin_copy(D, "/a", "/copy", Clash::Fail, None).await.unwrap().id;
        (model, drives, job)
    };
    let (model, drives, job) = prepare().await;
    let handle = Handle::new(&model, 0);
    let runner = Drives::open_store(handle.clone(), settings()).await.unwrap();
    handle.plan(None);
    runner.run_job(D, job).await.unwrap();
    let (calls, all) = (handle.calls(), branch(&drives, "/copy").await);
    let mut failed = 0;
    for at in 0..calls {
        let (model, drives, job) = prepare().await;
        let handle = Handle::new(&model, 0);
        let runner = Drives::open_store(handle.clone(), settings()).await.unwrap();
        handle.plan(Some((at, Fault::Pause)));
        let running = tokio::spawn(async move { runner.run_job(D, job).await.unwrap() });
        handle.until_paused().await;
        drives.remove(D, "/a", true).await.unwrap();
        drives.sweep(D).await.unwrap();
        handle.resume();
        match running.await.unwrap().state {
            JobState::Done => assert_eq!(branch(&drives, "/copy").await, all, "removed at call {at} of {calls}"),
            state => {
                assert_eq!(state, JobState::Failed, "removed at call {at} of {calls}");
                failed += 1;
            }
        }
        for _ in 0..3 {
            model.advance(DAY);
            drives.sweep(D).await.unwrap();
        }
        whole(&drives).await;
        assert_eq!((model.count("drive", "work"), model.count("drive", "steps")), (0, 0));
    }
    assert!(failed > 0 && failed < calls);
}

/// What is copied is moved, replaced and thrown away meanwhile, and two carry the job on, who take it from each other.
fn copy_in_a_crowd(seed: u64) -> JobState {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async move {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (model, drives) = fresh().await;
        let folders = ["/s", "/s/a", "/s/b", "/s/a/c", "/s/b/c"];
        for folder in folders {
            drives.make_folders(D, folder).await.unwrap();
        }
        let names = ["c", "d", "e", "f", "g"];
        let text = |n: u32| if n.is_multiple_of(2) { format!("{n}") } else { format!("{n} {}", "z".repeat(1500)) };
        for n in 0..rng.random_range(2..12) {
            let at = format!("{}/{}", folders.choose(&mut rng).unwrap(), ["d", "e", "f"].choose(&mut rng).unwrap());
            put(&model, &drives, &at, &text(n)).await;
        }
        let job = drives.begin_copy(D, "/s", "/copy", Clash::Fail, None).await.unwrap().id;
        let mut running = Vec::new();
        for n in 0..2 {
            let handle = Handle::new(&model, seed + n).yielding(rng.random_range(1..4));
            let runner = Drives::open_store(handle, settings()).await.unwrap();
            running.push(tokio::spawn(async move { runner.run_job(D, job).await }));
        }
        let handle = Handle::new(&model, seed).yielding(rng.random_range(0..4));
        let crowd = Drives::open_store(handle, settings()).await.unwrap();
        for n in 0..rng.random_range(5..60) {
            let mut any = || {
                let folder = folders.choose(&mut rng).unwrap();
                format!("{folder}/{}", names.choose(&mut rng).unwrap())
            };
            let (from, to) = (any(), any());
            match rng.random_range(0..20) {
                0 => drop(crowd.trash(D, &from, None, None).await),
                1 => drop(crowd.make_folder(D, &to).await),
                2..4 => {
                    let content = model.store_content(text(n).as_bytes());
                    drop(crowd.put_file(D, &to, content, NewFile::default(), PutCondition::Replace).await);
                }
                4 => model.advance(Duration::from_secs(31)),
                5 => drop(crowd.carry_on_all().await),
                _ => drop(crowd.move_to(D, &from, &to, Clash::Fail, None, None).await),
            }
        }
        model.advance(Duration::from_secs(31));
        for running in running {
            // Who lost too often leaves it to the next.
            let ended = tokio::time::timeout(Duration::from_secs(60), running).await.expect("it goes on for ever");
            drop(ended.unwrap());
        }
        model.advance(Duration::from_secs(31));
        let ended = drives.run_job(D, job).await.unwrap();
        whole(&drives).await;
        // Every file reads back.
        tree(&drives).await;
        for path in ["/copy", "/s"] {
            drives.remove(D, path, true).await.ok();
        }
        drives.empty_trash(D, model.now()).await.unwrap();
        for _ in 0..4 {
            model.advance(DAY);
            drives.sweep(D).await.unwrap();
            drives.carry_on_all().await.unwrap();
        }
        whole(&drives).await;
        assert_eq!((model.count("drive", "contents"), model.count("drive", "steps")), (0, 0));
        assert_eq!(model.references().len(), 0);
        ended.state
    })
}

/// Somebody cancels just when a step, or the last one, is done.
#[test]
fn a_cancelled_copy_is_whole_or_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut done = 0;
    for seed in 0..500 {
        runtime.block_on(async {
            let (model, drives) = fresh().await;
            drives.make_folders(D, "/a/b/c").await.unwrap();
            for path in ["/a/f", "/a/b/g", "/a/b/c/h"] {
                put(&model, &drives, path, path).await;
            }
            let job = drives.begin_copy(D, "/a", "/copy", Clash::Fail, None).await.unwrap().id;
            let runner = Drives::open_store(Handle::new(&model, seed).yielding(2), settings()).await.unwrap();
            let running = tokio::spawn(async move { runner.run_job(D, job).await.unwrap() });
            for _ in 0..seed % 40 {
                tokio::task::yield_now().await;
            }
            let other = Drives::open_store(Handle::new(&model, seed + 1).yielding(6), settings()).await.unwrap();
            let ended = other.cancel_job(D, job).await.unwrap();
            assert_eq!(running.await.unwrap().state, ended.state);
            if ended.state == JobState::Done {
                done += 1;
                assert_eq!(branch(&drives, "/copy").await, branch(&drives, "/a").await, "seed {seed}");
            } else {
                assert_eq!((ended.state, model.count("drive", "steps")), (JobState::Cancelled, 0), "seed {seed}");
            }
            whole(&drives).await;
        });
    }
    assert!(done > 0 && done < 500, "{done}");
}

#[test]
fn a_folder_that_many_change_is_copied_all_the_same() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("ATOLL_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = u64::from(rand::random::<u32>());
            first..first + number("ATOLL_TEST_RUNS").unwrap_or(300)
        }
    };
    let mut done = 0;
    for seed in seeds {
        match std::panic::catch_unwind(|| copy_in_a_crowd(seed)) {
            Ok(state) => done += u32::from(state == JobState::Done),
            Err(panic) => {
                eprintln!("failed with ATOLL_TEST_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(done > 0);
}

/// Another drive, with as much in it as is copied.
async fn elsewhere(model: &Arc<Model>, drives: &Drives) -> DriveId {
    let other = DriveId([2; 16]);
    drives.make_folders(other, "/a/b").await.unwrap();
    for (path, text) in [("/a/f", "x".repeat(2000)), ("/a/b/g", "g".into()), ("/a/b/h", "h".repeat(3000))] {
        let content = model.store_content(text.as_bytes());
        drives.put_file(other, path, content, NewFile::default(), PutCondition::Replace).await.unwrap();
    }
    other
}

/// Every content that the drive names has all its references, under its own name.
fn referenced(model: &Model, drive: DriveId) -> usize {
    model.references().keys().filter(|owner| owner.starts_with(&drive.0)).count()
}

#[tokio::test]
async fn what_is_in_another_drive_is_copied_whoever_dies() {
    for source in ["/a", "/a/f"] {
        let act =
            Act::Copy { drive: Some(DriveId([2; 16])), from: source.into(), to: "/copy".into(), clash: Clash::Fail };
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for at in 0.. {
                let context = format!("{source}: {fault:?} at call {at}");
                let (model, drives) = fresh().await;
                let other = elsewhere(&model, &drives).await;
                let handle = Handle::new(&model, 0);
                let dying = Drives::open_store(handle.clone(), settings()).await.unwrap();
                handle.plan(Some((at, fault)));
                let copy = async {
                    let done = dying.act(D, &act, None).await?;
                    if let Some(job) = done.job {
                        dying.run_job(D, job.id).await?;
                    }
                    Ok::<_, DriveError>(())
                };
                let _ = handle.run(copy).await;
                let over = handle.calls() <= at;
                model.advance(Duration::from_secs(31));
                drives.carry_on_all().await.unwrap();
                for job in drives.jobs(D).await.unwrap() {
                    drives.run_job(D, job.id).await.unwrap();
                }
                // Then the source goes: whatever is in the copy has references of its own.
                drives.remove(other, "/a", true).await.unwrap();
                for _ in 0..3 {
                    model.advance(DAY);
                    drives.sweep(D).await.unwrap();
                    drives.sweep(other).await.unwrap();
                }
                whole(&drives).await;
                let there = drives.stat(D, "/copy").await.is_ok();
                assert!(there || !over, "{context}");
                if there && source == "/a" {
                    assert_eq!(branch(&drives, "/copy").await.len(), 5, "{context}");
                    assert_eq!(read(&drives, "/copy/f").await, "x".repeat(2000), "{context}");
                } else if there {
                    assert_eq!(read(&drives, "/copy").await, "x".repeat(2000), "{context}");
                }
                let expected = match (there, source) {
                    (false, _) => 0,
                    (true, "/a") => 2,
                    (true, _) => 1,
                };
                assert_eq!((referenced(&model, D), referenced(&model, other)), (expected, 0), "{context}");
                assert_eq!((model.count("drive", "work"), model.count("drive", "steps")), (0, 0), "{context}");
                if over {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_source_elsewhere_that_goes_is_copied_whole_or_not_at_all() {
    for source in ["/a", "/a/f"] {
        let act =
            Act::Copy { drive: Some(DriveId([2; 16])), from: source.into(), to: "/copy".into(), clash: Clash::Fail };
        let (mut done, mut failed) = (0, 0);
        for at in 0.. {
            let context = format!("{source} removed at call {at}");
            let (model, drives) = fresh().await;
            let other = elsewhere(&model, &drives).await;
            let handle = Handle::new(&model, 0);
            let runner = Drives::open_store(handle.clone(), settings()).await.unwrap();
            handle.plan(Some((at, Fault::Pause)));
            let act = act.clone();
            let mut running = tokio::spawn(async move {
                let done = runner.act(D, &act, None).await?;
                if let Some(job) = done.job {
                    runner.run_job(D, job.id).await?;
                }
                Ok::<_, DriveError>(())
            });
            let over = tokio::select! {
                biased;
                () = handle.until_paused() => false,
                ended = &mut running => ended.unwrap().is_ok(),
            };
            // And what nobody names any more is collected before the copy goes on.
            drives.remove(other, "/a", true).await.unwrap();
            for _ in 0..3 {
                drives.sweep(other).await.unwrap();
            }
            if over {
                break;
            }
            handle.resume();
            let _ = running.await.unwrap();
            for job in drives.jobs(D).await.unwrap() {
                drives.run_job(D, job.id).await.unwrap();
            }
            for _ in 0..3 {
                model.advance(DAY);
                drives.sweep(D).await.unwrap();
            }
            whole(&drives).await;
            let there = drives.stat(D, "/copy").await.is_ok();
            if there {
                done += 1
            } else {
                failed += 1
            }
            let expected = match (there, source) {
                (false, _) => 0,
                (true, "/a") => 2,
                (true, _) => 1,
            };
            assert_eq!(referenced(&model, D), expected, "{context}");
        }
        assert!(done > 0 && failed > 0, "{source}: {done} done, {failed} failed");
    }
}
