//! Object lock: whatever programs and people try, what is locked stays, and what is not can go.

use crate::model::{Handle, Model};
use atoll_apps::drive::objects::{
    BucketLock, DefaultLock, Found, Lifecycle, LifecycleRule, Listing, Lock, LockMode, NewObject, ObjectCondition,
    ObjectKey, VersionListing, VersionName,
};
use atoll_apps::drive::{Clash, NewFile, PutCondition, Settings, Versioning};
use atoll_apps::{DriveError, DriveId, Drives, VersionId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use types::WallMillis;

const DRIVE: DriveId = DriveId([1; 16]);
const DAY: u64 = 24 * 60 * 60 * 1000;

async fn drives(model: &Arc<Model>, seed: u64) -> Drives {
    let settings = Settings { grace: Duration::ZERO, versions: 3, brake: 0, ..Settings::default() };
    Drives::open_store(Handle::new(model, seed).yielding(2), settings).await.unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn new(lock: Option<Lock>) -> NewObject {
    let mut new = NewObject {
        file: NewFile { version: VersionId::random(), ..NewFile::default() },
        about: Default::default(),
        composed: false,
    };
    new.about.lock = lock;
    new
}

async fn put(
    drives: &Drives,
    model: &Model,
    text: &str,
    size: usize,
    lock: Option<Lock>,
) -> Result<VersionName, DriveError> {
    let content = model.store_content(&vec![1; size]);
    let put = drives.put_object(DRIVE, &key(text), content, new(lock), ObjectCondition::Any).await?;
    Ok(put.version_name())
}

/// Every object among the versions.
async fn objects(drives: &Drives) -> Vec<(String, VersionName)> {
    let asked = VersionListing { keys: Listing { limit: 1000, ..Listing::default() }, after: None };
    let page = drives.list_versions(DRIVE, &asked).await.unwrap();
    assert!(page.next.is_none());
    page.versions.into_iter().filter(|it| it.object.is_some()).map(|it| (it.key, it.name)).collect()
}

/// A lock as the test has it, beside how the drive has it.
fn keeps(lock: &Lock, now: WallMillis, bypass: bool) -> bool {
    lock.hold
        || (lock.until > now.0
            && (lock.mode() == LockMode::Compliance || (lock.mode() == LockMode::Governance && !bypass)))
}

async fn lock_of(drives: &Drives, text: &str, name: VersionName) -> Option<Lock> {
    match drives.find_object(DRIVE, &key(text), Some(name)).await.unwrap() {
        Found::Object(open) => Some(open.about.lock.unwrap_or_default()),
        _ => None,
    }
}

const KEYS: [&str; 4] = ["a", "f/b", "f/g/c", "x//y"];

#[tokio::test]
async fn what_is_locked_stays_whatever_is_tried() {
    let (mut refused, mut gone) = (0, 0);
    for seed in 0..120 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::new();
        let drives = drives(&model, seed).await;
        drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
        let default = (seed % 3 == 0).then_some(DefaultLock { mode: LockMode::Governance as i32, days: 2, years: 0 });
        drives.set_bucket_lock(DRIVE, BucketLock { default }).await.unwrap();
        let rule = LifecycleRule { enabled: true, days: Some(1), noncurrent_days: Some(1), ..LifecycleRule::default() };
        drives.set_lifecycle(DRIVE, Some(&Lifecycle { rules: vec![rule] })).await.unwrap();
        let mut known: BTreeMap<(String, String), (VersionName, Lock)> = BTreeMap::new();
        for step in 0..80 {
            let context = format!("seed {seed}, step {step}");
            let (now, bypass) = (model.now(), rng.random_range(0..3) == 0);
            let text = KEYS[rng.random_range(0..KEYS.len())];
            let mode = [LockMode::Governance, LockMode::Compliance][rng.random_range(0..2)];
            let until = now.0 + rng.random_range(1..4) * DAY;
            let all: Vec<_> = known.iter().map(|((text, _), (name, lock))| (text.clone(), *name, *lock)).collect();
            let some = (!all.is_empty()).then(|| all[rng.random_range(0..all.len())].clone());
            match (rng.random_range(0..17), some) {
                (0..4, _) => {
                    let said = match rng.random_range(0..3) {
                        0 => None,
                        1 => Some(Lock { mode: mode as i32, until, hold: false }),
                        _ => Some(Lock { mode: 0, until: 0, hold: true }),
                    };
                    let name = put(&drives, &model, text, 10 + step, said).await.unwrap();
                    let lock = lock_of(&drives, text, name).await.unwrap();
                    let wanted = match (said, default) {
                        (Some(said), _) if said.mode != 0 => said,
                        (said, Some(default)) => Lock {
                            mode: default.mode,
                            until: now.0 + 2 * DAY,
                            hold: said.is_some_and(|said| said.hold),
                        },
                        (said, None) => said.unwrap_or_default(),
                    };
                    assert_eq!(lock, wanted, "{context}");
                    known.insert((text.into(), name.to_string()), (name, lock));
                }
                (4..8, Some((text, name, lock))) => {
                    let any = ObjectCondition::Any;
                    let done = match bypass {
                        true => drives.delete_governed_version(DRIVE, &key(&text), name, &any).await,
                        false => drives.delete_version(DRIVE, &key(&text), name, &any).await,
                    };
                    if keeps(&lock, now, bypass) {
                        assert_eq!(done.map(drop), Err(DriveError::Locked { path: text }), "{context}");
                        refused += 1;
                    } else {
                        assert!(done.unwrap().object.is_some(), "{context}");
                        known.remove(&(text, name.to_string()));
                        gone += 1;
                    }
                }
                (8, Some((text, name, lock))) => {
                    let at = (&key(&text), Some(name));
                    let done = drives.set_retention(DRIVE, at, (mode, WallMillis(until)), bypass).await;
                    let over = lock.until <= now.0;
                    let may = match lock.mode() {
                        LockMode::Compliance if !over => mode == LockMode::Compliance && until >= lock.until,
                        LockMode::Governance if !over => {
                            bypass || (mode == LockMode::Governance && until >= lock.until)
                        }
                        _ => true,
                    };
                    assert_eq!(done.is_ok(), may, "{context}: {done:?}");
                    if may {
                        let lock = Lock { mode: mode as i32, until, ..lock };
                        known.insert((text, name.to_string()), (name, lock));
                    }
                }
                (9, Some((text, name, lock))) => {
                    let hold = rng.random();
                    drives.set_hold(DRIVE, (&key(&text), Some(name)), hold).await.unwrap();
                    known.insert((text, name.to_string()), (name, Lock { hold, ..lock }));
                }
                (10, _) => drop(drives.delete_object(DRIVE, &key(text), &ObjectCondition::Any).await.unwrap()),
                (11, _) => {
                    // By people: over it, and away.
                    let content = model.store_content(&[7; 30]);
                    let path = format!("/{text}");
                    let condition = PutCondition::ReplaceExisting;
                    if let Ok(entry) = drives.put_file(DRIVE, &path, content, NewFile::default(), condition).await {
                        let file = entry.file().unwrap();
                        let name = VersionName::Named(file.order, file.version);
                        let lock = lock_of(&drives, text, name).await.unwrap();
                        assert_eq!(lock.mode != 0, default.is_some(), "{context}");
                        known.insert((text.into(), name.to_string()), (name, lock));
                    }
                }
                (12..15, _) => {
                    let path = ["/a", "/f", "/f/g", "/f/b", "/f/g/c"][rng.random_range(0..5)];
                    let done = match rng.random_range(0..5) {
                        0 => drives.trash(DRIVE, path, None, None).await.map(drop),
                        1 => drives.remove(DRIVE, path, true).await.map(drop),
                        2 => drives.rename(DRIVE, path, "/elsewhere", Default::default()).await.map(drop),
                        3 => drives.move_to(DRIVE, path, "/a", Clash::Replace, None, None).await.map(drop),
                        _ => match drives.versions(DRIVE, path).await {
                            Ok(all) if all.len() > 1 => drives.remove_version(DRIVE, path, all[1].file.version).await,
                            _ => continue,
                        },
                    };
                    let fine = matches!(
                        done,
                        Err(DriveError::LockedDrive
                            | DriveError::NotFound { .. }
                            | DriveError::IsAFolder { .. }
                            | DriveError::NotAFolder { .. }
                            | DriveError::Cycle { .. })
                    ) || path == "/a" && done.is_ok();
                    assert!(fine, "{context}: {done:?}");
                    assert_eq!(drives.set_versioning(DRIVE, Versioning::Suspended).await, Err(DriveError::LockedDrive));
                }
                (15, _) => {
                    model.advance(Duration::from_millis(rng.random_range(0..2 * DAY)));
                    drives.tidy(DRIVE).await.unwrap();
                    drives.expire(DRIVE).await.unwrap();
                    drives.sweep(DRIVE).await.unwrap();
                    // What was not locked may have gone by the bucket's lifecycle.
                    let there = objects(&drives).await;
                    let now = model.now();
                    known.retain(|(text, _), (name, lock)| {
                        let is = there.contains(&(text.clone(), *name));
                        assert!(is || !keeps(lock, now, false), "{context}: {name} of {text} is gone");
                        is
                    });
                }
                _ => model.advance(Duration::from_millis(rng.random_range(0..DAY))),
            }
            if !known.is_empty() {
                assert!(!drives.close_empty(DRIVE).await.unwrap(), "{context}");
            }
        }
        let mut there: Vec<_> =
            objects(&drives).await.into_iter().map(|(text, name)| (text, name.to_string())).collect();
        there.sort();
        assert_eq!(there, known.keys().cloned().collect::<Vec<_>>(), "seed {seed}");
        for ((text, _), (name, lock)) in &known {
            assert_eq!(lock_of(&drives, text, *name).await, Some(*lock), "seed {seed}");
        }
        assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new(), "seed {seed}");
    }
    assert!(refused > 200 && gone > 200, "{refused} {gone}");
}

/// People throw away just when the bucket gets its lock, and a version its retention: whoever is told that it is locked has it.
#[tokio::test]
async fn a_lock_that_comes_just_now_holds() {
    let mut locked = 0;
    for seed in 0..200 {
        let model = Model::new();
        let first = drives(&model, seed).await;
        first.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
        let name = put(&first, &model, "f/k", 20, None).await.unwrap();
        put(&first, &model, "f/k", 30, None).await.unwrap();
        let other = drives(&model, seed + 1000).await;
        other.versioning(DRIVE).await.unwrap();
        let taken = tokio::spawn(async move {
            match seed % 5 {
                0 => other.trash(DRIVE, "/f", None, None).await.map(drop),
                1 => other.remove(DRIVE, "/f", true).await.map(drop),
                2 => other.rename(DRIVE, "/f", "/g", Default::default()).await.map(drop),
                3 => other.delete_version(DRIVE, &key("f/k"), name, &ObjectCondition::Any).await.map(drop),
                _ => other.set_versioning(DRIVE, Versioning::Suspended).await,
            }
        });
        let lock = async {
            first.set_bucket_lock(DRIVE, BucketLock::default()).await?;
            let until = WallMillis(model.now().0 + DAY);
            first.set_retention(DRIVE, (&key("f/k"), Some(name)), (LockMode::Compliance, until), false).await
        };
        let done = lock.await;
        let taken = taken.await.unwrap();
        for _ in 0..3 {
            first.sweep(DRIVE).await.unwrap();
        }
        match done {
            Ok(_) => {
                locked += 1;
                assert!(lock_of(&first, "f/k", name).await.is_some(), "seed {seed}: {taken:?}");
            }
            // It was gone before, or its versions are not kept any more.
            Err(error) => assert!(taken.is_ok(), "seed {seed}: {error}"),
        }
        assert_eq!(first.check(DRIVE).await.unwrap(), Vec::<String>::new(), "seed {seed}");
    }
    assert!((20..180).contains(&locked), "{locked}");
}

#[tokio::test]
async fn a_lock_of_a_folder_is_refused() {
    let model = Model::new();
    let drives = drives(&model, 0).await;
    drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    drives.set_bucket_lock(DRIVE, BucketLock::default()).await.unwrap();
    let hold = Some(Lock { mode: 0, until: 0, hold: true });
    assert!(matches!(put(&drives, &model, "a/", 0, hold).await, Err(DriveError::Invalid(_))));
    assert_eq!(drives.object(DRIVE, &key("a/")).await.unwrap(), None);
    // With bytes it is an object as any other.
    let name = put(&drives, &model, "a/", 1, hold).await.unwrap();
    assert_eq!(lock_of(&drives, "a/", name).await, hold);
    put(&drives, &model, "b/", 0, None).await.unwrap();
}

#[tokio::test]
async fn without_a_lock_of_the_bucket_nothing_is_locked() {
    let model = Model::new();
    let drives = drives(&model, 0).await;
    let lock = Lock { mode: LockMode::Compliance as i32, until: u64::MAX, hold: true };
    assert!(put(&drives, &model, "a", 10, Some(lock)).await.is_err());
    assert!(drives.set_bucket_lock(DRIVE, BucketLock::default()).await.is_err());
    put(&drives, &model, "a", 10, None).await.unwrap();
    assert!(drives.set_hold(DRIVE, (&key("a"), None), true).await.is_err());
    drives.trash(DRIVE, "/a", None, None).await.unwrap();
    assert_eq!(drives.bucket_lock(DRIVE).await.unwrap(), None);
}
