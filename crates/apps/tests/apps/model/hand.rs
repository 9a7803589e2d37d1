//! One drive, changed by hand: for tests of one rule at a time.

use super::{Handle, Model};
use atoll_apps::DriveId;
use atoll_apps::drive::{Drives, Entry, NewFile, PutCondition, Settings};
use bytes::Bytes;
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const D: DriveId = DriveId([1; 16]);
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub fn settings() -> Settings {
    Settings { grace: Duration::ZERO, documents: Some(reader()), ..Settings::default() }
}

/// This program, told to run [`reads_documents_as_a_child`] and nothing else.
pub fn reader() -> extract::Program {
    let arguments = ["--exact", "model::hand::reads_documents_as_a_child"].map(Into::into).to_vec();
    let variables = vec![("ATOLL_TEST_READS".into(), "1".into())];
    extract::Program { path: std::env::current_exe().unwrap(), arguments, variables }
}

/// No test by itself: see [`reader`].
#[test]
fn reads_documents_as_a_child() {
    if std::env::var_os("ATOLL_TEST_READS").is_some() {
        std::process::exit(extract::serve().into());
    }
}

pub async fn on(model: &Arc<Model>) -> Drives {
    Drives::open_store(Handle::new(model, 0), settings()).await.unwrap()
}

pub async fn fresh() -> (Arc<Model>, Drives) {
    let model = Model::new();
    let drives = on(&model).await;
    (model, drives)
}

/// Content with blocks when long.
pub async fn put(model: &Model, drives: &Drives, path: &str, text: &str) -> Entry {
    let content = model.store_content(text.as_bytes());
    drives.put_file(D, path, content, NewFile::default(), PutCondition::Replace).await.unwrap()
}

pub async fn read(drives: &Drives, path: &str) -> String {
    let open = drives.open(D, path).await.unwrap();
    let pieces: Vec<Bytes> = drives.read(open.content, 0..u64::MAX).try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

/// Every path with its content; none for folders.
pub async fn tree(drives: &Drives) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![String::new()];
    while let Some(folder) = todo.pop() {
        for entry in drives.list(D, &folder, None, 0).await.unwrap().items {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_folder() {
                todo.push(path.clone());
                found.insert(path, None);
            } else {
                let text = read(drives, &path).await;
                found.insert(path, Some(text));
            }
        }
    }
    found
}

pub async fn whole(drives: &Drives) {
    assert_eq!(drives.check(D).await.unwrap(), Vec::<String>::new());
}
