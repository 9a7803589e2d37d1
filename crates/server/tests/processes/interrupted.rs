//! Folders that are sent and fetched in several goes.

use crate::demo::{Demo, text, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

const FILES: usize = 240;

/// What is in a folder, but for what goes while it is read: a download gives a file its name when it is whole.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.depth() > 0)
        .filter_map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
            let bytes = if entry.file_type().is_file() { std::fs::read(entry.path()) } else { Ok(Vec::new()) };
            match bytes {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                bytes => Some((name, bytes.unwrap())),
            }
        })
        .collect()
}

/// Every file under a folder of the drive.
fn there(demo: &Demo, folder: &str) -> Vec<Value> {
    let output = demo.run(&["ls", folder, "--json"]);
    if !output.status.success() {
        return Vec::new();
    }
    let entries: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    entries
        .into_iter()
        .flat_map(|entry| match entry["kind"].as_str() {
            Some("folder") => there(demo, entry["path"].as_str().unwrap()),
            _ => vec![entry],
        })
        .collect()
}

fn begin(demo: &Demo, words: &[&str]) -> Child {
    demo.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ctrl-C once more than three are there, and what it said. It stands still while they are counted.
fn interrupt(child: Child, count: impl Fn() -> usize) -> (Option<i32>, String) {
    let signal = |signal| kill(Pid::from_raw(child.id() as i32), signal).unwrap();
    wait_for("some files", Duration::from_secs(60), || {
        signal(Signal::SIGSTOP);
        let some = count() > 3;
        if some {
            signal(Signal::SIGINT);
        }
        signal(Signal::SIGCONT);
        some.then_some(())
    });
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_folder_is_sent_and_fetched_in_several_goes_to_the_same_place() {
    let demo = Demo::start(1);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let source = base.join("pictures");
    for n in 0..FILES {
        let folder = source.join(format!("{}/{}", n % 5, n % 3));
        std::fs::create_dir_all(&folder).unwrap();
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761 + n as u32) >> 11) as u8).collect();
        std::fs::write(folder.join(format!("{n}.bin")), bytes).unwrap();
    }
    std::fs::create_dir_all(source.join("empty/inside")).unwrap();
    let expected = tree(&source);
    let (from, back) = (source.to_str().unwrap(), base.join("back"));

    let words = ["upload", from, "/2026", "-j", "2"];
    let upload = begin(&demo, &words);
    let (code, said) = interrupt(upload, || there(&demo, "/2026").len());
    assert_eq!(code, Some(130), "{said}");
    let so_far = there(&demo, "/2026");
    assert!(so_far.len() < FILES, "it was over before it was interrupted");
    assert!(said.contains(&format!("of {FILES} files are there whole; run the same command again to go on")), "{said}");
    for entry in &so_far {
        assert_eq!(entry["size"], 200_000, "{entry}");
    }
    assert!(!demo.run(&["ls", "/2026/pictures/empty"]).status.success(), "empty folders come last");

    // Again, to the same place; and once more, with nothing left to do.
    let mut with_json = words.to_vec();
    with_json.push("--json");
    let second: Value = serde_json::from_str(&demo.ok(&with_json)).unwrap();
    let (done, same) = (second["done"].as_u64().unwrap(), second["same"].as_u64().unwrap());
    assert_eq!(done + same, FILES as u64, "{done} {same}");
    assert!(same as usize >= so_far.len(), "{same} of {}", so_far.len());
    assert_eq!(second["same_bytes"], same * 200_000);
    let third = demo.ok(&words);
    assert!(third.contains(&format!("Uploaded 0 files, 0 B; {FILES} files (48 MB) were already there")), "{third}");

    // Back, in the same way.
    let words = ["download", "/2026/pictures", back.to_str().unwrap(), "-j", "2"];
    let download = begin(&demo, &words);
    let here = back.join("pictures");
    let whole = |here: &Path| tree(here).keys().filter(|name| name.ends_with(".bin")).count();
    let (code, said) = interrupt(download, || whole(&here));
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("are there whole; run the same command again"), "{said}");
    for (name, bytes) in tree(&here).iter().filter(|(name, _)| name.ends_with(".bin")) {
        assert!(expected[name] == *bytes, "{name} is not whole");
    }
    for _ in 0..2 {
        demo.ok(&words);
        assert!(tree(&here) == expected, "the tree that was sent, and no part of a file");
    }
    // The slash: what is in it.
    demo.ok(&["download", "/2026/pictures/", back.to_str().unwrap()]);
    assert_eq!(tree(&back).keys().filter(|name| name.ends_with(".bin")).count(), 2 * FILES);
    demo.ok(&["upload", &format!("{from}/"), "/flat"]);
    demo.ok(&["upload", &format!("{from}/"), "/flat"]);
    assert_eq!(there(&demo, "/flat").len(), FILES);
}
