//! Several people and a sweeper change one drive at once, interleaved at every
//! call of the store. Each success must be what a simple tree says at the moment of its
//! transaction, each refusal and each look must be true at some moment of its duration,
//! and the rows must agree with each other all the time.

use crate::model::acts::{any_act, assert_swept_clean, assert_whole, drives, perform, whole_tree};
use crate::model::tree::{Act, Node, Path, Said, Tree, UNKNOWN, Why};
use crate::model::{Handle, Model};
use atoll_apps::DriveError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct Done {
    act: Act,
    /// Transactions applied before it began, and when it had ended.
    from: u64,
    to: u64,
    committed: Option<u64>,
    result: Result<Said, DriveError>,
}

async fn person(model: Arc<Model>, seed: u64, acts: usize, yields: u32) -> Vec<Done> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let handle = Handle::new(&model, seed).yielding(yields);
    let drives = drives(&handle, Duration::ZERO).await;
    let mut done = Vec::new();
    for _ in 0..acts {
        let act = any_act(&mut rng);
        handle.plan(None);
        let from = model.seq();
        let result = perform(&drives, &model, &act).await;
        done.push(Done { act, from, to: model.seq(), committed: handle.committed(), result });
        if rng.random_ratio(1, 8) {
            assert_whole(&model, "in the middle").await;
        }
    }
    done
}

async fn sweeper(model: Arc<Model>, seed: u64, stop: Arc<AtomicBool>) {
    let handle = Handle::new(&model, seed).yielding(6);
    let drives = drives(&handle, Duration::ZERO).await;
    while !stop.load(Ordering::Relaxed) {
        drives.sweep_all().await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// Replays what was done on the simple tree.
fn judge(done: &[Done]) -> (Tree, usize) {
    let mut tree = Tree::new();
    let mut conflicts = 0;
    let mut writes: BTreeMap<u64, &Done> = BTreeMap::new();
    let mut looks: Vec<&Done> = Vec::new();
    for each in done {
        match (&each.result, each.committed) {
            (Ok(_), Some(at)) => assert!(writes.insert(at, each).is_none()),
            (Err(DriveError::Conflict { .. }), _) => conflicts += 1,
            // Which one was looked for is not known here.
            (Err(DriveError::NotInTrash), _) => {}
            _ => looks.push(each),
        }
    }
    let last = done.iter().map(|each| each.to).max().unwrap_or(0);
    for at in 0..=last {
        if let Some(write) = writes.get(&at) {
            let said = write.result.as_ref().unwrap();
            let fresh = if let Said::Entry(_, id, _) = said { *id } else { UNKNOWN };
            let expected = tree.act(&write.act, fresh);
            assert!(
                expected.as_ref().is_ok_and(|expected| expected.agrees(said)),
                "{:?} said {said:?} at {at}; the tree says {expected:?}",
                write.act
            );
        }
        looks.retain(|look| {
            if !(look.from..=look.to).contains(&at) {
                return true;
            }
            let expected = tree.clone().act(&look.act, UNKNOWN);
            let same = match (&look.result, &expected) {
                (Ok(said), Ok(expected)) => expected.agrees(said),
                (Err(error), Err(why)) => Why::of(error) == Some(*why),
                _ => false,
            };
            !same
        });
    }
    if let Some(look) = looks.first() {
        panic!(
            "{:?} said {:?}, which was true at no moment between {} and {}",
            look.act, look.result, look.from, look.to
        );
    }
    (tree, conflicts)
}

fn flatten(tree: &BTreeMap<String, Node>, above: &str, out: &mut BTreeMap<String, (bool, [u8; 16])>) {
    for (name, node) in tree {
        let path = format!("{above}/{name}");
        match node {
            Node::File(version) => {
                out.insert(path, (false, *version));
            }
            Node::Folder(id, inside) => {
                flatten(inside, &path, out);
                out.insert(path, (true, *id));
            }
        }
    }
}

fn run(seed: u64) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async move {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::new();
        let stop = Arc::new(AtomicBool::new(false));
        let sweeping = rng.random_bool(0.7).then(|| tokio::spawn(sweeper(model.clone(), seed, stop.clone())));
        let people = rng.random_range(2..=5);
        let (acts, yields) = (rng.random_range(10..60), rng.random_range(0..4));
        let tasks: Vec<_> =
            (0..people).map(|_| tokio::spawn(person(model.clone(), rng.random(), acts, yields))).collect();
        let mut done = Vec::new();
        for task in tasks {
            done.extend(task.await.unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        if let Some(sweeping) = sweeping {
            sweeping.await.unwrap();
        }
        let (tree, conflicts) = judge(&done);
        let mut expected = BTreeMap::new();
        flatten(&tree.root, "", &mut expected);
        let found = whole_tree(&model).await;
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (path, there) in &found {
            let wanted = expected[path];
            assert!(there.0 == wanted.0 && (there.1 == wanted.1 || wanted.1 == UNKNOWN), "{path}");
        }
        assert_swept_clean(&model, "at the end").await;
        conflicts
    })
}

/// Counts and seeds: `ATOLL_TEST_RUNS`, `ATOLL_TEST_SEED`.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("ATOLL_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = rand::random::<u32>() as u64;
            first..first + number("ATOLL_TEST_RUNS").unwrap_or(usual)
        }
    }
}

#[test]
fn a_drive_changed_by_many_at_once_is_always_some_tree() {
    let mut conflicts = 0;
    for seed in seeds(300) {
        let result = std::panic::catch_unwind(|| run(seed));
        match result {
            Ok(count) => conflicts += count,
            Err(panic) => {
                eprintln!("failed with ATOLL_TEST_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("acts given up because of others: {conflicts}");
}

#[test]
fn folders_moved_into_each_other_at_once_make_no_cycle() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for seed in seeds(200) {
        runtime.block_on(async {
            let model = Model::new();
            let setup = drives(&Handle::new(&model, seed), Duration::ZERO).await;
            let path = |text: &str| -> Path { text.split('/').map(String::from).collect() };
            for folder in ["a/x", "b/y", "c/z"] {
                perform(&setup, &model, &Act::MakeFolders { path: path(folder) }).await.unwrap();
            }
            let moves = [("a", "b/y/a"), ("b", "c/z/b"), ("c", "a/x/c")];
            let tasks: Vec<_> = moves
                .into_iter()
                .enumerate()
                .map(|(at, (from, to))| {
                    let (model, act) = (model.clone(), Act::Rename { from: path(from), to: path(to), replace: false });
                    tokio::spawn(async move {
                        let handle = Handle::new(&model, seed * 3 + at as u64).yielding(5);
                        perform(&drives(&handle, Duration::ZERO).await, &model, &act).await
                    })
                })
                .collect();
            let mut moved = 0;
            for task in tasks {
                moved += usize::from(task.await.unwrap().is_ok());
            }
            assert!(moved == 1 || moved == 2, "seed {seed}: {moved} of three moves in a ring succeeded");
            assert_eq!(whole_tree(&model).await.len(), 6, "seed {seed}");
            assert_whole(&model, "after the moves").await;
        });
    }
}
