//! `atoll cluster verify`: finds what rotted or went missing, mends it, and fails when something is lost.

use crate::demo::{Demo, blocks, text, wait_for};
use serde_json::Value;
use std::time::Duration;

fn sum(report: &Value, field: &str) -> u64 {
    report["nodes"].as_array().unwrap().iter().map(|node| node[field].as_u64().unwrap()).sum()
}

#[test]
fn verify_mends_what_rotted_and_says_what_is_lost() {
    let demo = Demo::start(3);
    let source = demo.folder.parent().unwrap().join("file.bin");
    let mut data = vec![0; 2_000_000];
    blake3::Hasher::new().update(b"verified").finalize_xof().fill(&mut data);
    std::fs::write(&source, &data).unwrap();
    demo.ok(&["upload", source.to_str().unwrap(), "/file.bin"]);
    let files = wait_for("two blocks on three nodes", Duration::from_secs(60), || {
        let files = blocks(&demo.folder);
        (files.len() == 6).then_some(files)
    });
    let verified = |output: &std::process::Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let output = demo.run(&["cluster", "verify", "--json"]);
    let report = verified(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!((sum(&report, "checked"), sum(&report, "damaged"), sum(&report, "lost")), (6, 0, 0), "{report}");

    let whole = std::fs::read(&files[0]).unwrap();
    let mut rotten = whole.clone();
    rotten[1000] ^= 4;
    std::fs::write(&files[0], rotten).unwrap();
    let output = demo.run(&["cluster", "verify", "--json"]);
    let report = verified(&output);
    assert!(output.status.success(), "{report}\n{}", text(&output.stderr));
    assert_eq!((sum(&report, "damaged"), sum(&report, "repaired"), sum(&report, "lost")), (1, 1, 0), "{report}");
    assert_eq!(std::fs::read(&files[0]).unwrap(), whole);

    let name = files[0].file_name();
    files.iter().filter(|path| path.file_name() == name).for_each(|path| std::fs::remove_file(path).unwrap());
    let output = demo.run(&["cluster", "verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("1 block that files need could not be found"), "{}", text(&output.stderr));
    let status: Value = serde_json::from_str(&demo.ok(&["cluster", "status", "--json"])).unwrap();
    let missing = |node: &Value| node["report"]["blocks_missing"].as_u64().unwrap();
    assert_eq!(status["nodes"].as_array().unwrap().iter().map(missing).sum::<u64>(), 3);
}
