//! Versions of objects against a simple model: random puts, deletes, deletes of versions and changes of the bucket's
//! versioning, by programs and by people; then every version is read and listed.

use crate::model::acts::clear_out;
use crate::model::{Fault, Handle, Model};
use atoll_apps::drive::objects::{
    Found, Listing, NewObject, ObjectCondition, ObjectKey, VersionListing, VersionName, Versions,
};
use atoll_apps::drive::{Clash, NewFile, PutCondition, Settings, Versioning};
use atoll_apps::{DriveError, DriveId, Drives};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const DRIVE: DriveId = DriveId([1; 16]);

async fn drives(model: &Arc<Model>, seed: u64) -> Drives {
    let settings = Settings { grace: Duration::ZERO, versions: 3, brake: 0, ..Settings::default() };
    Drives::open_store(Handle::new(model, seed).yielding(2), settings).await.unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn new() -> NewObject {
    NewObject { file: NewFile::default(), about: Default::default(), composed: false }
}

async fn put(drives: &Drives, model: &Model, text: &str, bytes: &[u8]) -> VersionName {
    let content = model.store_content(bytes);
    let put = drives.put_object(DRIVE, &key(text), content, new(), ObjectCondition::Any).await.unwrap();
    put.version_name()
}

/// A version in the model; none: a marker.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    name: VersionName,
    size: Option<u64>,
}

/// Of each key, the latest first.
#[derive(Default)]
struct Expected {
    keys: BTreeMap<String, Vec<Version>>,
    versioning: Versioning,
}

impl Expected {
    /// Something comes: where versions are not kept it replaces the one without a name.
    fn come(&mut self, key: &str, name: VersionName, size: Option<u64>) {
        let versions = self.keys.entry(key.to_string()).or_default();
        if self.versioning != Versioning::Enabled {
            assert_eq!(name, VersionName::Null);
            versions.retain(|version| version.name != VersionName::Null);
        }
        assert!(versions.iter().all(|version| version.name != name));
        versions.insert(0, Version { name, size });
    }

    fn go(&mut self, key: &str, name: VersionName) {
        if let Some(versions) = self.keys.get_mut(key) {
            versions.retain(|version| version.name != name);
            if versions.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    fn latest(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.first()
    }

    fn listed(&self, prefix: &str) -> Vec<(String, Version, bool)> {
        let keys = self.keys.iter().filter(|(key, _)| key.starts_with(prefix));
        keys.flat_map(|(key, versions)| {
            versions.iter().enumerate().map(|(at, version)| (key.clone(), version.clone(), at == 0))
        })
        .collect()
    }
}

async fn page(drives: &Drives, asked: &VersionListing) -> Versions {
    drives.list_versions(DRIVE, asked).await.unwrap()
}

async fn list(drives: &Drives, prefix: &str, limit: u32) -> Vec<(String, Version, bool)> {
    let mut asked = VersionListing::default();
    (asked.keys.prefix, asked.keys.limit) = (prefix.into(), limit);
    let mut all = Vec::new();
    loop {
        let page = page(drives, &asked).await;
        assert!(page.versions.len() <= limit as usize && page.prefixes.is_empty());
        all.extend(page.versions.into_iter().map(|it| {
            let size = it.object.map(|object| object.size());
            (it.key, Version { name: it.name, size }, it.latest)
        }));
        let Some((key, version)) = page.next else { return all };
        (asked.keys.after, asked.after) = (key, version);
    }
}

async fn assert_as(drives: &Drives, expected: &Expected, rng: &mut ChaCha8Rng, context: &str) {
    assert_eq!(list(drives, "", 1000).await, expected.listed(""), "{context}");
    let (prefix, limit) = (["", "a", "a/", "é"][rng.random_range(0..4)], rng.random_range(1..6));
    assert_eq!(list(drives, prefix, limit).await, expected.listed(prefix), "{context} by {limit} of {prefix:?}");
    let keys = drives.list_objects(DRIVE, &Listing { limit: 1000, ..Listing::default() }).await.unwrap();
    let there: Vec<_> = keys.objects.into_iter().map(|object| object.key).collect();
    let wanted = expected.keys.iter().filter(|(_, versions)| versions[0].size.is_some());
    assert_eq!(there, wanted.map(|(key, _)| key.clone()).collect::<Vec<_>>(), "{context}");
    for (text, versions) in &expected.keys {
        for version in versions {
            match drives.find_object(DRIVE, &key(text), Some(version.name)).await.unwrap() {
                Found::Object(open) => assert_eq!(Some(open.object.size()), version.size, "{context}: {text}"),
                Found::Marker { name, .. } => assert_eq!((name, None), (version.name, version.size), "{context}"),
                Found::Nothing => panic!("{context}: {text} has no {}", version.name),
            }
        }
    }
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new(), "{context}");
}

const KEYS: [&str; 8] = ["a", "a/b", "a/b/c", "a-", "x//y", "é", "a/b/c.txt", "b/"];

#[tokio::test]
async fn versions_are_as_s3_has_them() {
    for seed in 0..150 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::new();
        let drives = drives(&model, seed).await;
        let mut expected = Expected::default();
        for step in 0..60u64 {
            let text = KEYS[rng.random_range(0..KEYS.len())];
            // Never nothing: `b/` of no bytes is a folder, which has no versions.
            let size = [1 + step, 2000 + step][rng.random_range(0..2)];
            match rng.random_range(0..12) {
                0..4 => {
                    let name = put(&drives, &model, text, &vec![step as u8; size as usize]).await;
                    expected.come(text, name, Some(size));
                }
                4..6 => {
                    let deleted = drives.delete_object(DRIVE, &key(text), &ObjectCondition::Any).await.unwrap();
                    let there = expected.latest(text).and_then(|version| version.size);
                    assert_eq!(deleted.object.map(|object| object.size()), there);
                    match expected.versioning {
                        Versioning::Off => expected.go(text, VersionName::Null),
                        _ => expected.come(text, deleted.marker.unwrap(), None),
                    }
                }
                6..9 => {
                    let all = expected.listed("");
                    let Some((text, version, _)) = all.get(rng.random_range(0..all.len().max(1))) else { continue };
                    let deleted =
                        drives.delete_version(DRIVE, &key(text), version.name, &ObjectCondition::Any).await.unwrap();
                    assert_eq!(deleted.object.map(|object| object.size()), version.size, "seed {seed}: {text}");
                    if expected.versioning != Versioning::Off {
                        assert_eq!(deleted.marker, version.size.is_none().then_some(version.name));
                    }
                    expected.go(text, version.name);
                }
                9 => {
                    // By people, where a file can be and its folder is.
                    let path = format!("/{text}");
                    let content = model.store_content(&vec![step as u8; size as usize]);
                    let condition = PutCondition::ReplaceExisting;
                    if let Ok(entry) = drives.put_file(DRIVE, &path, content, NewFile::default(), condition).await {
                        let file = entry.file().unwrap();
                        let name = match file.named {
                            true => VersionName::Named(file.order, file.version),
                            false => VersionName::Null,
                        };
                        expected.come(text, name, Some(size));
                    }
                }
                10 => {
                    let to = [Versioning::Enabled, Versioning::Enabled, Versioning::Suspended][rng.random_range(0..3)];
                    drives.set_versioning(DRIVE, to).await.unwrap();
                    expected.versioning = to;
                }
                _ => model.advance(Duration::from_millis(rng.random_range(0..3))),
            }
            if step % 10 == 9 {
                drives.sweep(DRIVE).await.unwrap();
                assert_as(&drives, &expected, &mut rng, &format!("seed {seed}, step {step}")).await;
            }
        }
        // Nothing goes with time that S3 promised to keep.
        model.advance(Duration::from_secs(500 * 24 * 3600));
        drives.tidy(DRIVE).await.unwrap();
        drives.sweep(DRIVE).await.unwrap();
        assert_as(&drives, &expected, &mut rng, &format!("seed {seed}, long after")).await;
        for (text, version, _) in expected.listed("") {
            drives.delete_version(DRIVE, &key(&text), version.name, &ObjectCondition::Any).await.unwrap();
        }
        for _ in 0..3 {
            drives.sweep(DRIVE).await.unwrap();
        }
        assert_eq!(list(&drives, "", 10).await, []);
        assert_eq!(drives.usage(DRIVE).await.unwrap().bytes, 0, "seed {seed}");
        for table in ["contents", "about", "flat", "entries", "work", "folders", "versions", "nulls", "gone"] {
            assert_eq!(model.count("drive", table), 0, "seed {seed}: {table}");
        }
        assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
        assert!(drives.close_empty(DRIVE).await.unwrap());
    }
}

/// Everything goes, version by version, and leaves nothing.
async fn assert_nothing_left(model: &Arc<Model>, context: &str) {
    let drives = drives(model, 0).await;
    for (text, version, _) in list(&drives, "", 1000).await {
        drives.delete_version(DRIVE, &key(&text), version.name, &ObjectCondition::Any).await.unwrap();
    }
    for _ in 0..4 {
        model.advance(Duration::from_secs(15 * 24 * 3600));
        model.expire();
        drives.tidy(DRIVE).await.unwrap();
        drives.sweep_all().await.unwrap();
    }
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new(), "{context}");
    assert!(model.references().is_empty(), "{context}");
    for table in ["contents", "about", "flat", "entries", "work", "versions", "nulls", "gone"] {
        assert_eq!(model.count("drive", table), 0, "{context}: {table}");
    }
    assert_eq!(drives.usage(DRIVE).await.unwrap().bytes, 0, "{context}");
}

#[tokio::test]
async fn of_many_at_once_each_is_a_version() {
    for seed in 0..60 {
        let model = Model::new();
        let first = drives(&model, seed).await;
        put(&first, &model, "deep/er/key", &[9; 2000]).await;
        let mut tasks = Vec::new();
        for n in 0..9u64 {
            // Each knows of the drive's rules what it read itself.
            let (model, drives) = (model.clone(), drives(&model, seed * 100 + n).await);
            drives.versioning(DRIVE).await.unwrap();
            tasks.push(tokio::spawn(async move {
                let key = key(["deep/er/key", "deep"][(n % 2) as usize]);
                match n {
                    0 => drives.set_versioning(DRIVE, Versioning::Enabled).await.map(|()| None),
                    1..6 => {
                        let content = model.store_content(&[n as u8; 2000]);
                        let put = drives.put_object(DRIVE, &key, content, new(), ObjectCondition::Any).await;
                        put.map(|put| Some((key, put.version_name())))
                    }
                    _ => {
                        let deleted = drives.delete_object(DRIVE, &key, &ObjectCondition::Any).await;
                        deleted.map(|deleted| deleted.marker.map(|name| (key, name)))
                    }
                }
            }));
        }
        let mut names = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(name) => names.extend(name),
                Err(DriveError::Conflict { .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        let listed = list(&first, "", 1000).await;
        for (key, name) in names.iter().filter(|(_, name)| *name != VersionName::Null) {
            let found = listed.iter().filter(|(text, version, _)| text == key.as_str() && version.name == *name);
            assert_eq!(found.count(), 1, "seed {seed}: {name} of {key} in {listed:?}");
        }
        let named = listed.iter().filter(|(_, version, _)| version.name != VersionName::Null).count();
        assert_eq!(named, names.iter().filter(|(_, name)| *name != VersionName::Null).count(), "seed {seed}");
        assert_eq!(first.check(DRIVE).await.unwrap(), Vec::<String>::new(), "seed {seed}");
        assert_nothing_left(&model, &format!("seed {seed}")).await;
    }
}

/// As a program empties a bucket: by names from a listing, many at once, while others put.
#[tokio::test]
async fn versions_deleted_at_once_are_all_gone() {
    for seed in 0..150 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = Model::new();
        let first = drives(&model, seed).await;
        let texts = ["x", "x//y"];
        for step in 0..rng.random_range(3..10usize) {
            let text = texts[rng.random_range(0..2)];
            match rng.random_range(0..8) {
                6 | 7 => {
                    // Two histories at one key: another file comes to where one was deleted.
                    drop(first.delete_object(DRIVE, &key("x"), &ObjectCondition::Any).await.unwrap());
                    put(&first, &model, "y", &[1; 10]).await;
                    put(&first, &model, "y", &[1; 11]).await;
                    first.rename(DRIVE, "/y", "/x", Default::default()).await.unwrap();
                }
                0 => drop(first.delete_object(DRIVE, &key(text), &ObjectCondition::Any).await.unwrap()),
                1 => first.set_versioning(DRIVE, Versioning::Suspended).await.unwrap(),
                2 | 3 => first.set_versioning(DRIVE, Versioning::Enabled).await.unwrap(),
                _ => drop(put(&first, &model, text, &vec![1; 100 + step]).await),
            }
        }
        let all = list(&first, "", 1000).await;
        let mut tasks = Vec::new();
        for (n, (text, version, _)) in all.iter().cloned().enumerate() {
            let drives = drives(&model, seed * 100 + n as u64).await;
            tasks.push(tokio::spawn(async move {
                let deleted = drives.delete_version(DRIVE, &key(&text), version.name, &ObjectCondition::Any).await;
                // Whatever is put meanwhile may take the place of what has no name.
                if version.name != VersionName::Null {
                    let told = deleted.clone().map(|it| (it.object.map(|it| it.size()), it.marker));
                    let marker = version.size.is_none().then_some(version.name);
                    assert_eq!(told, Ok((version.size, marker)), "seed {seed}: {} of {text}", version.name);
                }
                deleted.map(drop)
            }));
        }
        let putter = drives(&model, seed + 7).await;
        let late = match rng.random() {
            true => Some(put(&putter, &model, "x", &[2; 3000]).await),
            false => None,
        };
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let left: Vec<_> = list(&first, "", 1000).await.into_iter().map(|(_, version, _)| version.name).collect();
        match late {
            // One without a name has the name of those that were to go, and may have gone for one of them.
            Some(VersionName::Null) => assert!(left.iter().all(|name| *name == VersionName::Null), "seed {seed}"),
            late => assert_eq!(left, Vec::from_iter(late), "seed {seed}"),
        }
        assert_eq!(first.check(DRIVE).await.unwrap(), Vec::<String>::new(), "seed {seed}");
        assert_nothing_left(&model, &format!("seed {seed}")).await;
    }
}

/// A version that stays is told in every listing once, while others of its key come and go around it.
#[tokio::test]
async fn a_listing_misses_nothing_that_stays() {
    for seed in 0..60 {
        let model = Model::new();
        let first = drives(&model, seed).await;
        first.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
        let mut stays = BTreeMap::new();
        for text in ["a", "x", "x//y"] {
            stays.insert(text, put(&first, &model, text, &[1; 10]).await);
        }
        let mut tasks = Vec::new();
        for n in 0..3u64 {
            let (model, drives) = (model.clone(), drives(&model, seed * 100 + n).await);
            tasks.push(tokio::spawn(async move {
                let (text, any) = (["x", "x//y", "x"][n as usize], ObjectCondition::Any);
                if n == 1 {
                    // The key goes and comes back. Were it to do so again and again, a listing could miss it each time.
                    let marker = drives.delete_object(DRIVE, &key(text), &any).await.unwrap().marker.unwrap();
                    drives.delete_version(DRIVE, &key(text), marker, &any).await.unwrap();
                }
                for _ in 0..6 {
                    let name = put(&drives, &model, text, &[2; 20]).await;
                    drives.delete_version(DRIVE, &key(text), name, &any).await.unwrap();
                }
            }));
        }
        while tasks.iter().any(|task| !task.is_finished()) {
            // Pages of every size: some begin within a key.
            for limit in [1, 2, 1000] {
                let listed = list(&first, "", limit).await;
                for (text, name) in &stays {
                    let told = listed.iter().filter(|(key, version, _)| key == text && version.name == *name).count();
                    assert_eq!(told, 1, "seed {seed}, pages of {limit}: {name} of {text} in {listed:?}");
                }
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}

/// Who remembers that versions were not kept deletes the version that it names, and leaves a marker where it names none.
#[tokio::test]
async fn deletes_by_older_rules_do_what_they_say() {
    let model = Model::new();
    let (new, old) = (drives(&model, 0).await, drives(&model, 1).await);
    let any = ObjectCondition::Any;
    let forgets = async |old: &Drives| {
        // What it knows is from before.
        assert_eq!(old.versioning_lately(DRIVE).await.unwrap(), Versioning::Off);
    };
    put(&old, &model, "null", &[1; 10]).await;
    new.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    let name = put(&new, &model, "named", &[1; 20]).await;
    forgets(&old).await;
    let deleted = old.delete_version(DRIVE, &key("named"), name, &any).await.unwrap();
    assert_eq!(deleted.object.map(|object| object.size()), Some(20));
    assert_eq!(list(&new, "named", 10).await, []);

    for (text, versioned) in [("null", true), ("absent", false)] {
        let model = Model::new();
        let (new, old) = (drives(&model, 0).await, drives(&model, 1).await);
        put(&old, &model, "null", &[1; 10]).await;
        new.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
        forgets(&old).await;
        if versioned {
            let deleted = old.delete_version(DRIVE, &key(text), VersionName::Null, &any).await.unwrap();
            assert_eq!((deleted.object.map(|object| object.size()), deleted.marker), (Some(10), None));
            assert_eq!(list(&new, text, 10).await, []);
        } else {
            let deleted = old.delete_object(DRIVE, &key(text), &any).await.unwrap();
            let listed = list(&new, text, 10).await;
            assert_eq!(listed.into_iter().map(|it| Some(it.1.name)).collect::<Vec<_>>(), [deleted.marker]);
            assert!(deleted.marker.is_some());
        }
    }
}

/// The answer to a put was lost, and somebody else put before it was repeated: it is a version all the same.
#[tokio::test]
async fn a_put_that_is_repeated_late_is_told_as_done() {
    for (size, deleted) in [(10, false), (3000, false), (10, true), (3000, true)] {
        // The call whose answer is lost is the one that puts it.
        let mut at = 0;
        let (model, other, drives, content, new) = loop {
            let model = Model::new();
            let other = drives(&model, 0).await;
            other.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
            let handle = Handle::new(&model, 1);
            let settings = Settings { grace: Duration::ZERO, ..Settings::default() };
            let drives = Drives::open_store(handle.clone(), settings).await.unwrap();
            let (content, new) = (model.store_content(&vec![1; size]), new());
            handle.plan(Some((at, Fault::UnknownAfter)));
            let put = drives.put_object(DRIVE, &key("k"), content.clone(), new.clone(), ObjectCondition::Any).await;
            handle.plan(None);
            assert!(put.is_err(), "call {at}");
            if list(&other, "", 10).await.len() == 1 {
                break (model, other, drives, content, new);
            }
            at += 1;
        };
        let at = key("k");
        let again = || drives.put_object(DRIVE, &at, content.clone(), new.clone(), ObjectCondition::Any);
        match deleted {
            true => drop(other.delete_object(DRIVE, &key("k"), &ObjectCondition::Any).await.unwrap()),
            false => drop(put(&other, &model, "k", &[2; 20]).await),
        }
        let put = again().await.unwrap();
        let listed = list(&other, "", 10).await;
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1].1, Version { name: put.version_name(), size: Some(size as u64) });
        let version = new.file.version;
        let found = drives.object_of(DRIVE, &key("k"), version).await.unwrap();
        assert_eq!(found.map(|object| object.version_name()), Some(put.version_name()));
        assert_nothing_left(&model, "at the end").await;
    }
}

/// What people copy has a version by the rules of the drive into which it comes, whoever knows older ones.
#[tokio::test]
async fn copies_by_people_are_versions_where_they_come() {
    let model = Model::new();
    let (one, old) = (drives(&model, 0).await, drives(&model, 1).await);
    old.make_folder(DRIVE, "/s").await.unwrap();
    put(&old, &model, "s/a", &[1; 3000]).await;
    one.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    assert_eq!(old.versioning_lately(DRIVE).await.unwrap(), Versioning::Off);
    let job = old.begin_copy(DRIVE, "/s", "/copy", Clash::Fail, None).await.unwrap().id;
    old.run_job(DRIVE, job).await.unwrap();
    let listed = list(&one, "copy/a", 10).await;
    assert!(listed.len() == 1 && listed[0].1.name != VersionName::Null, "{listed:?}");
}

/// What the drive kept before S3 did is thinned out, and found, however many versions came since.
#[tokio::test]
async fn own_versions_behind_many_others_are_reached() {
    let model = Model::new();
    let settings = Settings { grace: Duration::ZERO, versions: 3, brake: 0, ..Settings::default() };
    let drives = Drives::open_store(Handle::new(&model, 0), settings).await.unwrap();
    for n in 0..3u8 {
        put(&drives, &model, "k", &[n; 20]).await;
        model.advance(Duration::from_secs(1));
    }
    let own: Vec<_> = drives.versions(DRIVE, "/k").await.unwrap().iter().map(|it| it.file.version).collect();
    assert_eq!(own.len(), 3);
    drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    for n in 0..2100u32 {
        put(&drives, &model, "k", &n.to_be_bytes()).await;
    }
    drives.open_version(DRIVE, "/k", own[2]).await.unwrap();
    drives.remove_version(DRIVE, "/k", own[1]).await.unwrap();
    let before = model.count("drive", "versions");
    model.advance(Duration::from_secs(500 * 24 * 3600));
    drives.tidy(DRIVE).await.unwrap();
    // The one that was left of the drive's own.
    assert_eq!(before - model.count("drive", "versions"), 1);
    assert!(drives.open_version(DRIVE, "/k", own[2]).await.is_err());
}

/// An act on what [`base`] has made; versions are told by their place, the latest being 0.
#[derive(Clone, Copy, Debug)]
enum Act {
    Put(&'static str, usize),
    Delete(&'static str),
    DeleteVersion(&'static str, usize),
    CopyVersion(&'static str, usize),
    RestoreByPeople(usize),
    Suspend,
}

async fn base(suspended: bool) -> Arc<Model> {
    let model = Model::new();
    let drives = drives(&model, 0).await;
    put(&drives, &model, "a/b/c", &[1; 2500]).await;
    drives.set_versioning(DRIVE, Versioning::Enabled).await.unwrap();
    for size in [3000, 10] {
        for text in ["a/b/c", "x//y", "gone/now"] {
            put(&drives, &model, text, &vec![1; size]).await;
        }
    }
    for text in ["gone/now", "never"] {
        drives.delete_object(DRIVE, &key(text), &ObjectCondition::Any).await.unwrap();
    }
    if suspended {
        drives.set_versioning(DRIVE, Versioning::Suspended).await.unwrap();
    }
    model
}

async fn perform(drives: &Drives, model: &Model, act: Act) -> Result<(), DriveError> {
    let nth = async |text: &str, at: usize| {
        let mut asked = VersionListing::default();
        (asked.keys.prefix, asked.keys.limit) = (text.into(), 100);
        let page = drives.list_versions(DRIVE, &asked).await?;
        Ok::<_, DriveError>(page.versions.into_iter().filter(|it| it.key == text).nth(at).unwrap())
    };
    match act {
        Act::Put(text, size) => {
            let content = model.store_content(&vec![2; size]);
            drives.put_object(DRIVE, &key(text), content, new(), ObjectCondition::Any).await.map(drop)
        }
        Act::Delete(text) => drives.delete_object(DRIVE, &key(text), &ObjectCondition::Any).await.map(drop),
        Act::DeleteVersion(text, at) => {
            let name = nth(text, at).await?.name;
            drives.delete_version(DRIVE, &key(text), name, &ObjectCondition::Any).await.map(drop)
        }
        Act::CopyVersion(text, at) => {
            let name = nth(text, at).await?.name;
            let Found::Object(open) = drives.find_object(DRIVE, &key(text), Some(name)).await? else { panic!() };
            let to = key(text);
            drives.copy_object((DRIVE, &to), (DRIVE, &open), new(), ObjectCondition::Any).await.map(drop)
        }
        Act::RestoreByPeople(at) => {
            let version = drives.versions(DRIVE, "/a/b/c").await?[at].file.version;
            drives.restore_version(DRIVE, "/a/b/c", version, None, None).await.map(drop)
        }
        Act::Suspend => drives.set_versioning(DRIVE, Versioning::Suspended).await,
    }
}

/// What a program can tell, but for ids.
async fn seen(model: &Arc<Model>) -> Vec<String> {
    let drives = drives(&model.frozen(), 0).await;
    let mut seen = vec![format!("{:?}", drives.versioning(DRIVE).await.unwrap())];
    for (text, version, latest) in list(&drives, "", 1000).await {
        let found = drives.find_object(DRIVE, &key(&text), Some(version.name)).await.unwrap();
        let size = match found {
            Found::Object(open) => Some(open.content.size),
            Found::Marker { .. } => None,
            Found::Nothing => panic!("{text} {}", version.name),
        };
        assert_eq!(size, version.size);
        seen.push(format!("{text} {size:?} {latest} {}", version.name == VersionName::Null));
    }
    seen
}

#[tokio::test]
async fn an_act_on_versions_that_dies_anywhere_has_happened_or_not() {
    let acts = [
        Act::Put("a/b/c", 2000),
        Act::Put("gone/now", 3000),
        Act::Put("x//y", 20),
        Act::Delete("a/b/c"),
        Act::Delete("gone/now"),
        Act::Delete("another"),
        Act::DeleteVersion("a/b/c", 0),
        Act::DeleteVersion("a/b/c", 2),
        Act::DeleteVersion("gone/now", 0),
        Act::DeleteVersion("gone/now", 2),
        Act::DeleteVersion("x//y", 0),
        Act::DeleteVersion("never", 0),
        Act::CopyVersion("a/b/c", 1),
        Act::CopyVersion("gone/now", 2),
        Act::RestoreByPeople(1),
        Act::Suspend,
    ];
    for (act, suspended) in acts.into_iter().flat_map(|act| [(act, false), (act, true)]) {
        let done = base(suspended).await;
        let before = seen(&done).await;
        let handle = Handle::new(&done, 0);
        let settings = Settings { grace: Duration::ZERO, versions: 3, ..Settings::default() };
        let all = Drives::open_store(handle.clone(), settings.clone()).await.unwrap();
        handle.plan(None);
        perform(&all, &done, act).await.unwrap();
        let (calls, after) = (handle.calls(), seen(&done).await);
        assert!(before != after || matches!((act, suspended), (Act::Suspend, true)), "{act:?}");
        assert_nothing_left(&done, &format!("{act:?}")).await;
        for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
            for at in 0..calls {
                let context = format!("{act:?} with {fault:?} at call {at}");
                let model = base(suspended).await;
                let handle = Handle::new(&model, 0);
                let drives = Drives::open_store(handle.clone(), settings.clone()).await.unwrap();
                handle.plan(Some((at, fault)));
                let result = handle.run(perform(&drives, &model, act)).await;
                let now = seen(&model).await;
                assert!(now == before || now == after, "{context}: {now:#?}");
                match result {
                    Some(Ok(())) => assert_eq!(now, after, "{context}"),
                    Some(Err(DriveError::Client(client::ClientError::Busy))) => assert_eq!(now, before, "{context}"),
                    _ => {}
                }
                assert_nothing_left(&model, &context).await;
            }
        }
    }
}

#[tokio::test]
async fn what_people_do_keeps_the_versions_of_a_bucket() {
    let model = base(false).await;
    let drives = drives(&model, 0).await;
    let sizes = async |text: &'static str| {
        let listed = list(&drives, text, 100).await;
        listed.into_iter().map(|(key, version, _)| (key, version.size)).collect::<Vec<_>>()
    };
    let three = |key: &str| [Some(10), Some(3000), Some(2500)].map(|size| (key.to_string(), size)).to_vec();
    assert_eq!(sizes("a/").await, three("a/b/c"));
    // They go along with a folder that is renamed, and to the trash and back.
    drives.rename(DRIVE, "/a", "/z", Default::default()).await.unwrap();
    assert_eq!((sizes("a/").await, sizes("z/").await), (vec![], three("z/b/c")));
    let trashed = drives.trash(DRIVE, "/z/b/c", None, None).await.unwrap();
    assert_eq!(sizes("z/b/c").await, []);
    drives.restore(DRIVE, trashed.id, None, Default::default(), None).await.unwrap();
    assert_eq!(sizes("z/b/c").await, three("z/b/c"));
    // What is put over a deleted key by people goes on with its history.
    drives.make_folder(DRIVE, "/gone").await.unwrap();
    let content = model.store_content(&[4; 50]);
    drives.put_file(DRIVE, "/gone/now", content, NewFile::default(), PutCondition::CreateNew).await.unwrap();
    assert_eq!(
        sizes("gone/now").await.iter().map(|it| it.1).collect::<Vec<_>>(),
        [Some(50), None, Some(10), Some(3000)]
    );
    assert_eq!(drives.versions(DRIVE, "/gone/now").await.unwrap().len(), 3);
    // Something else comes to a deleted key: both histories are the key's.
    drives.delete_object(DRIVE, &key("gone/now"), &ObjectCondition::Any).await.unwrap();
    drives.rename(DRIVE, "/z/b/c", "/gone/now", Default::default()).await.unwrap();
    assert_eq!(sizes("gone/now").await.len(), 3 + 5);
    drives.delete_object(DRIVE, &key("gone/now"), &ObjectCondition::Any).await.unwrap();
    let all = list(&drives, "gone/now", 3).await;
    assert_eq!((all.len(), all.iter().filter(|it| it.2).count()), (3 + 5 + 1, 1));
    assert_eq!(drives.check(DRIVE).await.unwrap(), Vec::<String>::new());
    assert_nothing_left(&model, "at the end").await;
}

/// A drive that is given up keeps no versions, and says nothing of any.
#[tokio::test]
async fn versions_go_with_the_drive() {
    let model = base(false).await;
    let drives = drives(&model, 0).await;
    clear_out(&drives, DRIVE).await;
    for table in ["contents", "versions", "nulls", "gone", "buckets"] {
        assert_eq!(model.count("drive", table), 0, "{table}");
    }
    assert!(model.references().is_empty());
}
