//! A folder of real files outlives any one node.

use crate::demo::{Demo, long, text, wait_for};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn hashes(folder: &Path) -> BTreeMap<PathBuf, String> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let bytes = std::fs::read(entry.path()).unwrap();
            let path = entry.path().strip_prefix(folder).unwrap().to_path_buf();
            (path, blake3::hash(&bytes).to_hex().to_string())
        })
        .collect()
}

/// Real files of this machine: several thousand, of all sizes, copied so that they hold still.
fn real_files(into: &Path, count_max: usize, bytes_max: u64) {
    let mut bytes = 0;
    let mut count = 0;
    for source in ["/usr/share/doc", "/usr/share/perl", "/usr/lib/python3", "/usr/include", "/usr/share/zoneinfo"] {
        for entry in walkdir::WalkDir::new(source).into_iter().flatten() {
            let Ok(meta) = std::fs::symlink_metadata(entry.path()) else { continue };
            if !meta.is_file() || count >= count_max || bytes + meta.len() > bytes_max {
                continue;
            }
            let to = into.join(entry.path().strip_prefix("/usr").unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            if std::fs::copy(entry.path(), &to).is_ok() {
                count += 1;
                bytes += meta.len();
            }
        }
    }
    // And some that take many blocks.
    for (name, size) in [("odd.bin", 7 * 1024 * 1024 + 13), ("even.bin", 12 * 1024 * 1024)] {
        let data: Vec<u8> = (0..size as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(into.join(name), data).unwrap();
    }
    assert!(count > 1000, "this machine has too few files to try with: {count}");
}

#[test]
fn a_folder_uploaded_while_a_node_dies_is_whole_whichever_node_is_dead() {
    let demo = Demo::start(3);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let source = base.join("source");
    real_files(&source, if long() { 8000 } else { 2500 }, if long() { 2 << 30 } else { 96 << 20 });
    let expected = hashes(&source);
    println!("{} files", expected.len());

    // Through nodes 1 and 3; node 2 dies in the middle.
    let all = demo.grpc_addresses();
    let via = format!("{},{}", all[0], all[2]);
    let begun = Instant::now();
    let mut upload = demo
        .command(&["upload", &format!("{}/", source.display()), "/copy", "--server", &via])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    crate::demo::wait_for("the upload to be under way", Duration::from_secs(60), || {
        let listed = demo.run(&["ls", "/", "--json", "--server", &via]);
        crate::demo::text(&listed.stdout).contains("copy").then_some(())
    });
    std::thread::sleep(Duration::from_millis(700)); // Somewhere in the middle, not at a moment of its choosing.
    assert!(upload.try_wait().unwrap().is_none(), "the upload was over before the node died");
    demo.kill(2);
    let output = upload.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", crate::demo::text(&output.stderr));
    println!("uploaded in {:?}", begun.elapsed());

    let check = |name: &str, via: &str| {
        let begun = Instant::now();
        let into = base.join(name);
        demo.ok(&["download", "/copy/", into.to_str().unwrap(), "--server", via]);
        let found = hashes(&into);
        assert!(found == expected, "{} of {} files came back as they were", found.len(), expected.len());
        std::fs::remove_dir_all(&into).unwrap();
        println!("downloaded in {:?} ({name})", begun.elapsed());
    };
    check("with-2-dead", &via);

    demo.start_node(2);
    demo.wait_whole(3);
    demo.kill(1);
    check("with-1-dead", &format!("{},{}", all[1], all[2]));
    demo.start_node(1);
    demo.wait_whole(3);
    demo.kill(3);
    check("with-3-dead", &format!("{},{}", all[0], all[1]));
}

#[test]
fn words_are_found_whichever_node_dies() {
    let demo = Demo::start(3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "The tide comes in over the réef.\n").unwrap();
    demo.ok(&["upload", file.to_str().unwrap(), "/"]);
    let page = folder.path().join("page.html");
    std::fs::write(&page, "<title>Lagoons</title><p>of the world").unwrap();
    demo.ok(&["upload", page.to_str().unwrap(), "/"]);
    // Before it is read, or after.
    demo.kill(2);
    let found = wait_for("the words to be found", Duration::from_secs(60), || {
        let output = demo.run(&["find", "--text", "REEF", "tid"]);
        Some(text(&output.stdout)).filter(|said| said.contains("/notes.txt"))
    });
    assert!(found.contains("The tide comes in over the réef."), "{found}");
    // A document, too, which a process of its own reads.
    wait_for("the page to be found", Duration::from_secs(90), || {
        let output = demo.run(&["find", "--text", "lagoons", "world"]);
        Some(text(&output.stdout)).filter(|said| said.contains("/page.html"))
    });
    let said: serde_json::Value = serde_json::from_str(&demo.ok(&["find", "--text", "reef", "--json"])).unwrap();
    assert!(
        said[0]["passage"].as_array().unwrap().iter().any(|it| it["text"] == "réef" && it["hit"] == true),
        "{said}"
    );
    demo.start_node(2);
}
