//! Every act dies, or is told nothing certain, at every one of its calls of the
//! store. What is seen afterwards is the state before it or the state after it,
//! whole; and sweeping leaves nothing behind but what is there.

use crate::model::acts::{
    ABANDONED, DRIVE, GRACE, any_act, assert_swept_clean, assert_whole, drives, perform, whole_tree,
};
use crate::model::tree::{Act, Path};
use crate::model::{Fault, Handle, Model};
use atoll_apps::DriveError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn path(text: &str) -> Path {
    text.split('/').map(String::from).collect()
}

fn put(at: &str, version: u8) -> Act {
    Act::Put { path: path(at), version: [version; 16], only_new: false }
}

fn rename(from: &str, to: &str) -> Act {
    Act::Rename { from: path(from), to: path(to), replace: true }
}

/// /a: a1 (blocks) and a2 (inline), /a/sub: s1 (blocks); /b: b1 (blocks); /empty; in the trash: t1, and then a folder with t2
async fn base() -> Arc<Model> {
    let model = Model::new();
    let drives = drives(&Handle::new(&model, 0), GRACE).await;
    for folder in ["a/sub", "b", "empty"] {
        perform(&drives, &model, &Act::MakeFolders { path: path(folder) }).await.unwrap();
    }
    for (at, version) in [("a/a1", 1), ("a/a2", 3), ("a/sub/s1", 4), ("b/b1", 5)] {
        perform(&drives, &model, &put(at, version)).await.unwrap();
    }
    perform(&drives, &model, &Act::MakeFolders { path: path("old") }).await.unwrap();
    for (at, version) in [("t1", 22), ("old/t2", 23)] {
        perform(&drives, &model, &put(at, version)).await.unwrap();
    }
    for at in ["t1", "old"] {
        model.advance(Duration::from_millis(1));
        perform(&drives, &model, &Act::Trash { path: path(at) }).await.unwrap();
    }
    model
}

fn acts() -> Vec<Act> {
    let remove = |at: &str| Act::Remove { path: path(at), recursive: true };
    vec![
        put("new", 7),
        put("b/b1", 8),
        put("b/b1", 9),
        Act::MakeFolder { path: path("b/n") },
        Act::MakeFolders { path: path("b/n/o/p") },
        remove("a/a1"),
        remove("a"),
        Act::Remove { path: path("empty"), recursive: false },
        rename("a", "b/moved"),
        rename("b", "a"),
        rename("a/a1", "b/b1"),
        Act::Trash { path: path("a") },
        Act::Trash { path: path("b/b1") },
        Act::Restore { to: path("b/again"), nth: 0 },
        Act::Restore { to: path("back"), nth: 1 },
    ]
}

/// What a person can tell of the tree: folders by path, files by path and version.
async fn seen(model: &Arc<Model>) -> BTreeMap<String, Option<[u8; 16]>> {
    let tree = whole_tree(model).await;
    tree.into_iter().map(|(path, (folder, id))| (path, (!folder).then_some(id))).collect()
}

#[tokio::test]
async fn an_act_that_dies_anywhere_has_happened_or_not() {
    for act in acts() {
        let undisturbed = base().await;
        let before = seen(&undisturbed).await;
        let handle = Handle::new(&undisturbed, 0);
        let drives_ = drives(&handle, GRACE).await;
        handle.plan(None);
        perform(&drives_, &undisturbed, &act).await.unwrap();
        let (calls, after) = (handle.calls(), seen(&undisturbed).await);
        assert_ne!(before, after);
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for at in 0..calls {
                let context = format!("{act:?}, {fault:?} at call {at} of {calls}");
                let model = base().await;
                let handle = Handle::new(&model, 0);
                let drives = drives(&handle, GRACE).await;
                handle.plan(Some((at, fault)));
                let result = handle.run(perform(&drives, &model, &act)).await;
                assert_whole(&model, &context).await;
                let now = seen(&model).await;
                match &result {
                    Some(Ok(_)) => assert_eq!(now, after, "{context}"),
                    // Crashed, or not known.
                    None | Some(Err(DriveError::Client(_))) => {
                        assert!(now == before || now == after, "{context}: {now:#?}");
                    }
                    Some(Err(error)) => panic!("{context}: {error}"),
                }
                assert_swept_clean(&model, &context).await;
            }
        }
    }
}

#[tokio::test]
async fn a_sweeper_that_dies_anywhere_is_carried_on_by_the_next() {
    let prepare = || async {
        let model = base().await;
        let handle = Handle::new(&model, 0);
        let drives = drives(&handle, GRACE).await;
        perform(&drives, &model, &Act::Remove { path: path("a"), recursive: true }).await.unwrap();
        perform(&drives, &model, &put("b/b1", 8)).await.unwrap();
        // A put that dies once it has its references.
        handle.plan(Some((5, Fault::CrashBefore)));
        assert!(handle.run(perform(&drives, &model, &put("b/b2", 10))).await.is_none());
        assert_eq!(model.count("drive", "work"), 2);
        model.advance(ABANDONED + GRACE);
        model
    };
    let model = prepare().await;
    let handle = Handle::new(&model, 0);
    let sweeping = drives(&handle, GRACE).await;
    handle.plan(None);
    sweeping.sweep(DRIVE).await.unwrap();
    let calls = handle.calls();
    assert_eq!(model.count("drive", "work"), 0);
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0..calls {
            let context = format!("{fault:?} at call {at} of {calls}");
            let model = prepare().await;
            let tree = seen(&model).await;
            let handle = Handle::new(&model, 0);
            let drives = drives(&handle, GRACE).await;
            handle.plan(Some((at, fault)));
            let _ = handle.run(drives.sweep(DRIVE)).await;
            assert_whole(&model, &context).await;
            assert_eq!(seen(&model).await, tree, "{context}");
            assert_swept_clean(&model, &context).await;
        }
    }
}

#[tokio::test]
async fn a_put_given_up_by_the_sweeper_cannot_come_true_later() {
    // With its two blocks: walk, record, two references, walk, entry.
    const ENTRY: u64 = 5;
    let model = base().await;
    let handle = Handle::new(&model, 0);
    let slow = drives(&handle, GRACE).await;
    handle.plan(Some((ENTRY, Fault::Pause)));
    let putting = tokio::spawn({
        let model = model.clone();
        async move { perform(&slow, &model, &put("b/late", 10)).await }
    });
    handle.until_paused().await;
    assert_eq!(model.count("drive", "work"), 1);
    model.advance(ABANDONED);
    let sweeping = drives(&Handle::new(&model, 0), GRACE).await;
    sweeping.sweep(DRIVE).await.unwrap();
    handle.resume();
    assert!(matches!(putting.await.unwrap(), Err(DriveError::Conflict { .. })));
    assert!(!seen(&model).await.contains_key("/b/late"));
    assert_swept_clean(&model, "after a late put").await;
}

#[tokio::test]
async fn a_refused_put_is_cleaned_up_at_once() {
    const ENTRY: u64 = 5;
    let model = base().await;
    let handle = Handle::new(&model, 0);
    let slow = drives(&handle, GRACE).await;
    handle.plan(Some((ENTRY, Fault::Pause)));
    let putting = tokio::spawn({
        let model = model.clone();
        let act = Act::Put { path: path("b/new"), version: [10; 16], only_new: true };
        async move { perform(&slow, &model, &act).await }
    });
    handle.until_paused().await;
    let other = drives(&Handle::new(&model, 0), GRACE).await;
    perform(&other, &model, &put("b/new", 12)).await.unwrap();
    handle.resume();
    assert!(matches!(putting.await.unwrap(), Err(DriveError::Exists { .. })));
    assert_eq!(other.sweep(DRIVE).await.unwrap().released, 1);
    assert_eq!(model.count("drive", "work"), 0);
    assert_swept_clean(&model, "after a refused put").await;
}

#[tokio::test]
async fn a_put_that_comes_true_at_the_last_moment_is_not_given_up() {
    const ENTRY: u64 = 5;
    // The sweeper stops between its reading of the work and its every later call.
    for stop in 1..6 {
        let model = base().await;
        let (putter, sweeper) = (Handle::new(&model, 0), Handle::new(&model, 0));
        let slow = drives(&putter, GRACE).await;
        putter.plan(Some((ENTRY, Fault::Pause)));
        let putting = tokio::spawn({
            let model = model.clone();
            async move { perform(&slow, &model, &put("b/late", 10)).await }
        });
        putter.until_paused().await;
        model.advance(ABANDONED);
        let drives = drives(&sweeper, GRACE).await;
        sweeper.plan(Some((stop, Fault::Pause)));
        let sweeping = tokio::spawn(async move { drives.sweep(DRIVE).await });
        sweeper.until_paused().await;
        putter.resume();
        let put = putting.await.unwrap();
        sweeper.resume();
        sweeping.await.unwrap().unwrap();
        assert_eq!(put.is_ok(), seen(&model).await.contains_key("/b/late"), "stopped at {stop}");
        assert_eq!(put.is_ok(), stop == 1, "stopped at {stop}: {put:?}");
        assert_swept_clean(&model, "after a put at the last moment").await;
    }
}

#[test]
fn many_acts_that_die_at_random_leave_a_whole_drive() {
    let first = rand::random::<u32>() as u64;
    let fixed = std::env::var("ATOLL_TEST_SEED").ok().and_then(|text| text.parse().ok());
    for seed in fixed.map_or(first..first + 150, |seed: u64| seed..seed + 1) {
        let result = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let model = Model::new();
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(clumsy(model.clone(), rng.random()))).collect();
                for task in tasks {
                    task.await.unwrap();
                }
                assert_swept_clean(&model, "at the end").await;
            });
        });
        if let Err(panic) = result {
            eprintln!("failed with ATOLL_TEST_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Acts and sweeps, half of which meet a fault.
async fn clumsy(model: Arc<Model>, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let faults: Vec<Fault> = Fault::CRASHES.into_iter().chain(Fault::ERRORS).collect();
    for _ in 0..40 {
        // Who has crashed begins again with a handle that remembers nothing.
        let handle = Handle::new(&model, rng.random()).yielding(3);
        let drives = drives(&handle, Duration::ZERO).await;
        let fault = faults[rng.random_range(0..faults.len())];
        handle.plan(rng.random::<bool>().then(|| (rng.random_range(0..8), fault)));
        if rng.random_ratio(1, 6) {
            let _ = handle.run(drives.sweep(DRIVE)).await;
        } else {
            let _ = handle.run(perform(&drives, &model, &any_act(&mut rng))).await;
        }
        assert_whole(&model, "in the middle").await;
    }
}

/// One sweeper stands still while it takes references back, and another is done. A version put again meanwhile keeps its own.
#[tokio::test]
async fn a_slow_sweeper_takes_nothing_from_a_later_put() {
    let prepare = || async {
        let model = base().await;
        let drives = drives(&Handle::new(&model, 0), GRACE).await;
        perform(&drives, &model, &put("again", 7)).await.unwrap();
        perform(&drives, &model, &Act::Remove { path: path("again"), recursive: false }).await.unwrap();
        model.advance(GRACE);
        (model, drives)
    };
    let (model, _) = prepare().await;
    let handle = Handle::new(&model, 0);
    let slow = drives(&handle, GRACE).await;
    handle.plan(None);
    slow.sweep(DRIVE).await.unwrap();
    for at in 0..handle.calls() {
        let (model, drives_) = prepare().await;
        let handle = Handle::new(&model, 0);
        let slow = drives(&handle, GRACE).await;
        handle.plan(Some((at, Fault::Pause)));
        let sweeping = tokio::spawn(async move { slow.sweep(DRIVE).await });
        handle.until_paused().await;
        drives_.sweep(DRIVE).await.unwrap();
        perform(&drives_, &model, &put("again", 7)).await.unwrap();
        handle.resume();
        sweeping.await.unwrap().unwrap();
        assert_swept_clean(&model, &format!("slow at call {at}")).await;
    }
}
