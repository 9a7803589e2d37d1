//! Lifecycle rules by a clock that is set: what is due goes, nothing else does, and a pass outlives whoever is at it.

use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::objects::{
    Lifecycle, LifecycleFilter, LifecycleRule, Listing, NewObject, NewUpload, ObjectCondition, ObjectKey, Pair,
    VersionListing,
};
use atoll_apps::drive::{NewFile, Settings, Versioning};
use atoll_apps::{DriveId, Drives};
use std::sync::Arc;
use std::time::Duration;

const DRIVE: DriveId = DriveId([1; 16]);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn drives(model: &Arc<Model>) -> Drives {
    on(&Handle::new(model, 0)).await
}

async fn on(handle: &Arc<Handle>) -> Drives {
    let settings = Settings { grace: Duration::ZERO, uploads: DAY * 1000, ..Settings::default() };
    Drives::open_store(handle.clone(), settings).await.unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

async fn put(drives: &Drives, model: &Model, text: &str, size: usize, tags: &[(&str, &str)]) {
    let mut new = NewObject { file: NewFile::default(), about: Default::default(), composed: false };
    new.about.tags = tags.iter().map(|(name, value)| Pair::new(*name, *value)).collect();
    let content = model.store_content(&vec![1; size]);
    drives.put_object(DRIVE, &key(text), content, new, ObjectCondition::Any).await.unwrap();
}

fn rule(prefix: &str) -> LifecycleRule {
    let filter = LifecycleFilter { prefix: Some(prefix.into()), ..LifecycleFilter::default() };
    LifecycleRule { id: format!("of {prefix}"), enabled: true, filter: Some(filter), ..LifecycleRule::default() }
}

async fn set(drives: &Drives, rules: Vec<LifecycleRule>) {
    drives.set_lifecycle(DRIVE, Some(&Lifecycle { rules })).await.unwrap();
}

async fn keys(drives: &Drives) -> Vec<String> {
    let page = drives.list_objects(DRIVE, &Listing { limit: 1000, ..Listing::default() }).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

/// Keys, sizes (none: a marker), and whether each is the latest.
async fn versions(drives: &Drives) -> Vec<(String, Option<u64>, bool)> {
    let mut asked = VersionListing::default();
    asked.keys.limit = 1000;
    let page = drives.list_versions(DRIVE, &asked).await.unwrap();
    page.versions.into_iter().map(|it| (it.key, it.object.map(|object| object.size()), it.latest)).collect()
}

#[tokio::test]
async fn objects_go_days_after_they_came() {
    let model = Model::new();
    let drives = drives(&model).await;
    // Just after a midnight.
    let since = drives_now(&model).await % DAY.as_millis() as u64;
    model.advance(DAY - Duration::from_millis(since) + Duration::from_secs(1));
    put(&drives, &model, "log/a", 10, &[]).await;
    put(&drives, &model, "log/deep/b", 3000, &[]).await;
    put(&drives, &model, "keep", 10, &[]).await;
    let tagged = LifecycleFilter { tags: vec![Pair::new("go", "yes")], ..LifecycleFilter::default() };
    let large = LifecycleFilter { larger: Some(5000), ..LifecycleFilter::default() };
    put(&drives, &model, "tagged", 10, &[("go", "yes")]).await;
    put(&drives, &model, "otherwise", 10, &[("go", "no")]).await;
    put(&drives, &model, "large", 6000, &[]).await;
    drives.make_folder(DRIVE, "/log/of people").await.unwrap();
    set(
        &drives,
        vec![
            LifecycleRule { days: Some(2), ..rule("log/") },
            LifecycleRule { days: Some(2), filter: Some(tagged), ..rule("") },
            LifecycleRule { days: Some(2), filter: Some(large), ..rule("") },
            LifecycleRule { days: Some(1), enabled: false, ..rule("keep") },
        ],
    )
    .await;
    let all = ["keep", "large", "log/a", "log/deep/b", "log/of people/", "otherwise", "tagged"];
    let open = drives.open_object(DRIVE, &key("log/a")).await.unwrap().unwrap();
    let (at, by) = open.expiry().unwrap();
    assert_eq!((at.0 % DAY.as_millis() as u64, by.as_str()), (0, "of log/"));
    for _ in 0..2 {
        drives.tidy(DRIVE).await.unwrap();
        assert_eq!(keys(&drives).await, all);
        model.advance(DAY);
    }
    // Two days and a second: not yet the midnight after.
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(keys(&drives).await, all);
    model.advance(DAY);
    drives.tidy_all().await.unwrap();
    // What people made stays.
    assert_eq!(keys(&drives).await, ["keep", "log/of people/", "otherwise"]);
    // A date.
    let date = drives_now(&model).await / DAY.as_millis() as u64 * DAY.as_millis() as u64;
    set(&drives, vec![LifecycleRule { date: Some(date + DAY.as_millis() as u64), ..rule("keep") }]).await;
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(keys(&drives).await.len(), 3);
    model.advance(DAY);
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(keys(&drives).await, ["log/of people/", "otherwise"]);
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
}

async fn drives_now(model: &Arc<Model>) -> u64 {
    use atoll_apps::store::Store;
    Handle::new(model, 0).now().0
}

#[tokio::test]
async fn earlier_versions_and_lone_markers_go() {
    let model = Model::new();
    let drives = drives(&model).await;
    drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    for size in 1..=5 {
        put(&drives, &model, "a", size, &[]).await;
        put(&drives, &model, "b/c", size, &[]).await;
        model.advance(Duration::from_secs(1));
    }
    drives.delete_object(DRIVE, &key("b/c"), &ObjectCondition::Any).await.unwrap();
    set(
        &drives,
        vec![
            LifecycleRule { noncurrent_days: Some(3), newer_kept: Some(2), ..rule("a") },
            LifecycleRule { noncurrent_days: Some(3), lone_markers: Some(true), ..rule("b/") },
        ],
    )
    .await;
    let of = |versions: &[(String, Option<u64>, bool)], key: &str| -> Vec<Option<u64>> {
        versions.iter().filter(|it| it.0 == key).map(|it| it.1).collect()
    };
    model.advance(DAY * 2);
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(versions(&drives).await.len(), 5 + 6);
    model.advance(DAY * 2);
    drives.tidy(DRIVE).await.unwrap();
    let now = versions(&drives).await;
    assert_eq!(of(&now, "a"), [Some(5), Some(4), Some(3)], "two earlier ones stay");
    assert_eq!(of(&now, "b/c"), [None]);
    // The marker is alone now: the next day it goes.
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(versions(&drives).await, now, "one pass a day");
    model.advance(DAY);
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(of(&versions(&drives).await, "b/c"), []);
    // Where versions are kept, what goes by its days leaves a marker.
    set(&drives, vec![LifecycleRule { days: Some(1), ..rule("") }]).await;
    model.advance(DAY * 2);
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(of(&versions(&drives).await, "a"), [None, Some(5), Some(4), Some(3)]);
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn uploads_that_nobody_completes_are_aborted() {
    let model = Model::new();
    let drives = drives(&model).await;
    for text in ["up/1", "other"] {
        drives.begin_upload(DRIVE, &key(text), NewUpload::default()).await.unwrap();
    }
    set(&drives, vec![LifecycleRule { abort_days: Some(3), ..rule("up/") }]).await;
    model.advance(DAY * 2);
    drives.tidy(DRIVE).await.unwrap();
    assert_eq!(drives.uploads(DRIVE).await.unwrap().len(), 2);
    model.advance(DAY * 2);
    drives.tidy(DRIVE).await.unwrap();
    let left: Vec<_> = drives.uploads(DRIVE).await.unwrap().into_iter().map(|(_, upload)| upload.key).collect();
    assert_eq!(left, ["other"]);
}

async fn bucket() -> Arc<Model> {
    let model = Model::new();
    let drives = drives(&model).await;
    put(&drives, &model, "before", 2000, &[]).await;
    drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    for n in 0..6 {
        put(&drives, &model, "before", 2000 + n, &[]).await;
        put(&drives, &model, &format!("log/{n}"), 2000, &[]).await;
    }
    put(&drives, &model, "stays", 10, &[]).await;
    set(
        &drives,
        vec![
            LifecycleRule { noncurrent_days: Some(1), ..rule("before") },
            LifecycleRule { days: Some(1), noncurrent_days: Some(1), ..rule("log/") },
        ],
    )
    .await;
    model.advance(DAY * 3);
    model
}

/// However little one call does: the next goes on behind it, also among the versions of one key.
#[tokio::test]
async fn a_pass_goes_on_where_the_call_before_it_ended() {
    let model = Model::new();
    let settings = Settings { grace: Duration::ZERO, expiring: Duration::ZERO, versions: 5000, ..Settings::default() };
    let drives = Drives::open_store(Handle::new(&model, 0), settings).await.unwrap();
    drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    for n in 0..1100 {
        put(&drives, &model, &format!("a/{n:04}"), 1, &[]).await;
    }
    for size in 1..=2100 {
        put(&drives, &model, "b", size, &[]).await;
    }
    put(&drives, &model, "c", 2, &[]).await;
    // Of what most of the bucket is, nothing is due: it stays, and each call sees it again if it begins anew.
    let kept = LifecycleRule { noncurrent_days: Some(1), newer_kept: Some(2098), ..rule("b") };
    set(
        &drives,
        vec![kept, LifecycleRule { days: Some(1), ..rule("c") }, LifecycleRule { days: Some(900), ..rule("a") }],
    )
    .await;
    model.advance(DAY * 3);
    let (mut calls, mut gone) = (0, 0);
    loop {
        let done = drives.expire(DRIVE).await.unwrap();
        (calls, gone) = (calls + 1, gone + done.removed);
        if !done.more {
            break;
        }
        assert!(calls < 10, "it begins anew each time");
    }
    assert_eq!((calls, gone), (4, 2), "the oldest of b, and c");
    let left = versions_of(&drives, "b").await;
    assert_eq!((left.len(), left.last()), (2099, Some(&Some(2))));
    assert_eq!(versions_of(&drives, "c").await, [None, Some(2)]);
}

/// Sizes of all versions of what begins so.
async fn versions_of(drives: &Drives, prefix: &str) -> Vec<Option<u64>> {
    let keys = Listing { prefix: prefix.into(), limit: 1000, ..Listing::default() };
    let (mut asked, mut all) = (VersionListing { keys, after: None }, Vec::new());
    loop {
        let page = drives.list_versions(DRIVE, &asked).await.unwrap();
        all.extend(page.versions.into_iter().map(|it| it.object.map(|object| object.size())));
        let Some(next) = page.next else { return all };
        (asked.keys.after, asked.after) = next;
    }
}

/// Whoever is at a pass may die anywhere: another goes on, some minutes later, and what is due has gone in the end.
#[tokio::test]
async fn a_pass_outlives_whoever_is_at_it() {
    let done = bucket().await;
    let handle = Handle::new(&done, 0);
    let all = on(&handle).await;
    handle.plan(None);
    all.expire(DRIVE).await.unwrap();
    let (calls, after) = (handle.calls(), versions(&drives(&done).await).await);
    assert_eq!(after.iter().filter(|it| it.0 == "before").count(), 1);
    assert_eq!(after.iter().filter(|it| it.0.starts_with("log/") && it.1.is_none()).count(), 6);
    for fault in Fault::CRASHES {
        for at in 0..calls {
            let context = format!("{fault:?} at call {at}");
            let model = bucket().await;
            let handle = Handle::new(&model, 0);
            let dying = on(&handle).await;
            handle.plan(Some((at, fault)));
            handle.run(dying.expire(DRIVE)).await;
            let other = drives(&model).await;
            assert_eq!(other.check(DRIVE).await.unwrap(), Vec::<String>::new(), "{context}");
            model.advance(Duration::from_secs(301));
            other.expire(DRIVE).await.unwrap();
            assert_eq!(versions(&other).await, after, "{context}");
            assert_eq!(other.expire(DRIVE).await.unwrap().removed, 0, "{context}: it was done");
        }
    }
}

#[tokio::test]
async fn rules_that_were_taken_back_take_nothing_more() {
    for seed in 0..40 {
        let model = bucket().await;
        let before = versions(&drives(&model).await).await;
        let expiring = on(&Handle::new(&model, seed).yielding(3)).await;
        let other = on(&Handle::new(&model, seed + 100).yielding(3)).await;
        let taking_back = async {
            other.set_lifecycle(DRIVE, None).await.unwrap();
            versions(&other).await
        };
        let (expired, then) = tokio::join!(expiring.expire(DRIVE), taking_back);
        expired.unwrap();
        let sizes = |all: &[(String, Option<u64>, bool)]| all.iter().filter(|it| it.1.is_some()).count();
        assert!(sizes(&then) <= sizes(&before));
        // Not one went after the answer.
        assert_eq!(versions(&other).await, then, "seed {seed}");
        assert_eq!(other.expire(DRIVE).await.unwrap().removed, 0);
    }
}

#[tokio::test]
async fn what_was_put_meanwhile_stays() {
    for seed in 0..40 {
        let model = Model::new();
        let drives = drives(&model).await;
        for n in 0..4 {
            put(&drives, &model, &format!("log/{n}"), 2000, &[]).await;
        }
        set(&drives, vec![LifecycleRule { days: Some(1), ..rule("log/") }]).await;
        model.advance(DAY * 3);
        let expiring = on(&Handle::new(&model, seed).yielding(3)).await;
        let putting = on(&Handle::new(&model, seed + 100).yielding(3)).await;
        let puts = async {
            for n in 0..4 {
                put(&putting, &model, &format!("log/{n}"), 7, &[]).await;
            }
        };
        let (expired, ()) = tokio::join!(expiring.expire(DRIVE), puts);
        expired.unwrap();
        assert_eq!(keys(&drives).await.len(), 4, "seed {seed}");
    }
}
