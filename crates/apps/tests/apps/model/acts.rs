//! Acts on a drive, chosen at random, done for real, and what is looked at afterwards.

use super::tree::{Act, Path, Said, identity, text};
use super::{Handle, Model, blocks_of};
use atoll_apps::drive::{Clash, DriveError, Drives, NewFile, PutCondition, RenameCondition, Settings};
use atoll_apps::{DriveId, UserId, VersionId};
use bytes::Bytes;
use rand::Rng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const DRIVE: DriveId = DriveId([7; 16]);
pub const GRACE: Duration = Duration::from_secs(60);
pub const ABANDONED: Duration = Duration::from_secs(3600);

pub async fn drives(handle: &Arc<Handle>, grace: Duration) -> Drives {
    let settings = Settings { grace, abandoned: ABANDONED, ..Settings::default() };
    Drives::open_store(handle.clone(), settings).await.unwrap()
}

fn path(rng: &mut impl Rng, least: usize) -> Path {
    let depth = rng.random_range(least..=3);
    (0..depth).map(|_| ["a", "b", "c"].choose(rng).unwrap().to_string()).collect()
}

pub fn any_act(rng: &mut impl Rng) -> Act {
    match rng.random_range(0..100) {
        0..20 => Act::Put { path: path(rng, 1), version: rng.random(), only_new: rng.random() },
        20..35 => Act::MakeFolder { path: path(rng, 1) },
        35..45 => Act::MakeFolders { path: path(rng, 1) },
        45..52 => Act::Remove { path: path(rng, 1), recursive: rng.random() },
        52..58 => Act::Trash { path: path(rng, 1) },
        58..78 => Act::Rename { from: path(rng, 1), to: path(rng, 1), replace: rng.random() },
        78..84 => Act::Restore { to: path(rng, 1), nth: rng.random_range(0..3) },
        84..92 => Act::Stat { path: path(rng, 0) },
        _ => Act::List { path: path(rng, 0) },
    }
}

/// Bytes of a file of that version: a third of them inline, the others of blocks, some shared.
pub fn bytes_of(version: &[u8; 16]) -> Vec<u8> {
    let mut bytes = version.to_vec();
    if !version[0].is_multiple_of(3) {
        bytes.resize(super::BLOCK, version[1]);
        bytes.extend(vec![version[2] % 2; super::BLOCK]);
    }
    bytes
}

pub async fn perform(drives: &Drives, model: &Model, act: &Act) -> Result<Said, DriveError> {
    let said = |entry: atoll_apps::drive::Entry| Said::Entry(entry.is_folder(), identity(&entry), entry.name.clone());
    match act {
        Act::Put { path, version, only_new } => {
            let content = model.store_content(&bytes_of(version));
            let condition = if *only_new { PutCondition::CreateNew } else { PutCondition::Replace };
            let new = NewFile { version: VersionId(*version), ..NewFile::default() };
            drives.put_file(DRIVE, &text(path), content, new, condition).await.map(said)
        }
        Act::MakeFolder { path } => drives.make_folder(DRIVE, &text(path)).await.map(said),
        Act::MakeFolders { path } => drives.make_folders(DRIVE, &text(path)).await.map(said),
        Act::Remove { path, recursive } => drives.remove(DRIVE, &text(path), *recursive).await.map(said),
        Act::Trash { path } => {
            let by = Some(UserId([1; 16]));
            drives.trash(DRIVE, &text(path), None, by).await.map(|it| said(it.entry))
        }
        Act::Restore { to, nth } => {
            // Of folders that had to make room the simple tree does not know which they were.
            let mut trashed = drives.trash_list(DRIVE, None, 0).await?.items;
            trashed.retain(|it| it.by.is_some());
            let Some(it) = trashed.get(*nth) else { return Err(DriveError::NotInTrash) };
            let restored = drives.restore(DRIVE, it.id, Some(&text(to)), Clash::Fail, None).await?;
            Ok(said(restored.entry))
        }
        Act::Rename { from, to, replace } => {
            let condition = if *replace { RenameCondition::ReplaceAny } else { RenameCondition::MustNotExist };
            drives.rename(DRIVE, &text(from), &text(to), condition).await.map(said)
        }
        Act::Stat { path } => drives.stat(DRIVE, &text(path)).await.map(said),
        Act::List { path } => {
            let page = drives.list(DRIVE, &text(path), None, 0).await?;
            assert_eq!(page.next, None);
            Ok(Said::Entries(page.items.iter().map(|entry| (entry.name.clone(), identity(entry))).collect()))
        }
    }
}

/// The rows of the drive agree with each other, as they are at this moment.
pub async fn assert_whole(model: &Model, context: &str) {
    let frozen = Handle::new(&model.frozen(), 0);
    let findings = drives(&frozen, GRACE).await.check(DRIVE).await.unwrap();
    assert!(findings.is_empty(), "{context}: {findings:#?}");
}

/// Everything in the drive by path: folders' ids, files' versions.
pub async fn whole_tree(model: &Arc<Model>) -> BTreeMap<String, (bool, [u8; 16])> {
    let drives = drives(&Handle::new(model, 0), GRACE).await;
    let mut found = BTreeMap::new();
    let mut todo = vec![String::new()];
    while let Some(folder) = todo.pop() {
        let mut cursor = None;
        loop {
            // Pages of two, so that going on is tested too.
            let page = drives.list(DRIVE, &folder, cursor.as_deref(), 2).await.unwrap();
            for entry in &page.items {
                let path = format!("{folder}/{}", entry.name);
                if entry.is_folder() {
                    todo.push(path.clone());
                }
                assert_eq!(found.insert(path, (entry.is_folder(), identity(entry))), None);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    found
}

/// Every file reads back; when all is swept, nothing is kept but what is there.
pub async fn assert_swept_clean(model: &Arc<Model>, context: &str) {
    assert_whole(model, context).await;
    let before = whole_tree(model).await;
    let drives = drives(&Handle::new(model, 0), GRACE).await;
    // Once for puts that died, once more for what they leave.
    for _ in 0..3 {
        model.advance(ABANDONED + GRACE);
        drives.sweep_all().await.unwrap();
    }
    assert_whole(model, context).await;
    assert_eq!(whole_tree(model).await, before, "{context}: sweeping changed the tree");
    let trashed = drives.trash_list(DRIVE, None, 0).await.unwrap().items;
    // What is in the trash comes back whole, and goes for good.
    for (n, it) in trashed.iter().enumerate() {
        let to = format!("/back{n}");
        drives.restore(DRIVE, it.id, Some(&to), Clash::Fail, None).await.unwrap();
        assert_eq!(drives.stat(DRIVE, &to).await.unwrap().id(), it.entry.id(), "{context}");
        drives.trash(DRIVE, &to, None, None).await.unwrap();
    }
    assert_whole(model, context).await;
    let emptied = drives.empty_trash(DRIVE, model.now()).await.unwrap();
    assert_eq!((emptied.removed, emptied.more), (trashed.len() as u64, false), "{context}");
    // Earlier versions read back, and go.
    for (path, (is_folder, _)) in &before {
        if *is_folder {
            continue;
        }
        for old in drives.versions(DRIVE, path).await.unwrap().into_iter().skip(1) {
            let open = drives.open_version(DRIVE, path, old.file.version).await.unwrap();
            let read: Vec<Bytes> =
                futures::TryStreamExt::try_collect(drives.read(open.content, 0..u64::MAX)).await.unwrap();
            assert_eq!(read.concat(), bytes_of(&old.file.version.0), "{context}: {path}");
            drives.remove_version(DRIVE, path, old.file.version).await.unwrap();
        }
    }
    for _ in 0..2 {
        model.advance(ABANDONED + GRACE);
        drives.sweep_all().await.unwrap();
    }
    assert_whole(model, context).await;
    assert_eq!(whole_tree(model).await, before, "{context}: emptying the trash changed the tree");
    let mut references = BTreeMap::new();
    let (mut files, mut folders, mut bytes) = (0, 0, 0);
    for (path, (is_folder, id)) in &before {
        if *is_folder {
            folders += 1;
            continue;
        }
        files += 1;
        let open = drives.open(DRIVE, path).await.unwrap();
        assert_eq!(open.file.version.0, *id);
        let read: Vec<Bytes> =
            futures::TryStreamExt::try_collect(drives.read(open.content.clone(), 0..u64::MAX)).await.unwrap();
        assert_eq!(read.concat(), bytes_of(id), "{context}: {path}");
        bytes += open.file.size;
        let blocks = blocks_of(&open.content);
        if !blocks.is_empty() {
            references.insert([DRIVE.0, *id].concat(), blocks);
        }
    }
    assert_eq!(model.references(), references, "{context}: references are not those of the entries");
    assert_eq!(model.count("drive", "work"), 0, "{context}: work is left");
    assert_eq!(model.count("drive", "contents"), files, "{context}");
    assert_eq!(model.count("drive", "folders"), folders + files, "{context}");
    assert_eq!(model.count("drive", "index"), 3 * (folders + files), "{context}");
    assert_eq!(model.count("drive", "versions"), 0, "{context}");
    assert_eq!(model.count("drive", "entries"), before.len(), "{context}");
    assert_eq!(drives.usage(DRIVE).await.unwrap().bytes, bytes, "{context}");
}

/// Gives a drive up, and sweeps until nothing of it is left.
pub async fn clear_out(drives: &Drives, drive: DriveId) {
    use atoll_apps::accounts::Estate;
    for _ in 0..100 {
        let done = drives.clear_drive(drive).await.unwrap();
        while drives.sweep(drive).await.unwrap() != Default::default() {}
        if done && drives.usage(drive).await.unwrap().bytes == 0 {
            break;
        }
    }
    assert_eq!(drives.usage(drive).await.unwrap().bytes, 0);
}
