//! The trash, versions and a copy under way, while nodes die.

use crate::demo::{Demo, text, wait_for};
use serde_json::Value;
use std::time::Duration;

fn json(demo: &Demo, words: &[&str]) -> Value {
    serde_json::from_str(&demo.ok(words)).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn names(demo: &Demo, folder: &str, via: &str) -> Vec<String> {
    let listed = json(demo, &["ls", folder, "--json", "--server", via]);
    listed.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn what_was_deleted_comes_back_and_a_copy_outlives_the_node_that_makes_it() {
    let demo = Demo::start(3);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let source = base.join("source");
    std::fs::create_dir_all(source.join("inner")).unwrap();
    for n in 0..400u32 {
        // Some inline, some with a block.
        let bytes = vec![n as u8; if n.is_multiple_of(10) { 40_000 } else { 100 }];
        let name = if n.is_multiple_of(2) { format!("f{n}") } else { format!("inner/f{n}") };
        std::fs::write(source.join(name), bytes).unwrap();
    }
    demo.ok(&["upload", &format!("{}/", source.display()), "/a"]);
    let all = demo.grpc_addresses();
    let others = format!("{},{}", all[1], all[2]);

    // The node that was asked for the copy dies; another carries it on.
    let begun = json(&demo, &["cp", "-r", "/a", "/copy", "--no-wait", "--json", "--server", &all[0]]);
    demo.kill(1);
    let job = begun["items"][0]["job"].as_str().unwrap().to_string();
    let ended = wait_for("the copy to be carried on", Duration::from_secs(300), || {
        let listed = demo.run(&["jobs", "list", "--json", "--server", &others]);
        let jobs: Value = serde_json::from_str(&text(&listed.stdout)).ok()?;
        let found = jobs.as_array()?.iter().find(|it| it["id"] == job.as_str())?.clone();
        (found["state"] != "running").then_some(found)
    });
    assert_eq!((&ended["state"], ended["done"].as_u64()), (&"done".into(), Some(401)), "{ended}");
    for folder in ["", "/inner"] {
        let (is, was) = (format!("/copy{folder}"), format!("/a{folder}"));
        assert_eq!(names(&demo, &is, &others), names(&demo, &was, &others));
    }

    // Deleted, found again, restored, with one node away.
    assert_eq!(demo.run(&["rm", "/a", "--server", &others]).status.code(), Some(1), "it is not empty");
    demo.ok(&["rm", "-r", "/a", "--server", &others]);
    let trash = json(&demo, &["trash", "list", "--json", "--server", &others]);
    assert_eq!(trash[0]["path"], "/a");
    demo.ok(&["trash", "restore", "/a", "--server", &others]);
    let into = base.join("back");
    demo.ok(&["download", "/a/", into.to_str().unwrap(), "--server", &others]);
    for n in [0u32, 1, 10, 399] {
        let name = if n.is_multiple_of(2) { format!("f{n}") } else { format!("inner/f{n}") };
        assert_eq!(std::fs::read(into.join(&name)).unwrap(), std::fs::read(source.join(&name)).unwrap(), "{name}");
    }

    // A replaced file's earlier version.
    std::fs::write(base.join("f0"), b"other words").unwrap();
    demo.ok(&["upload", base.join("f0").to_str().unwrap(), "/a", "--force", "--server", &others]);
    let versions = json(&demo, &["versions", "list", "/a/f0", "--json", "--server", &others]);
    let old = versions[1]["version"].as_str().unwrap();
    let saved = base.join("old");
    demo.ok(&["versions", "get", "/a/f0", old, saved.to_str().unwrap(), "--server", &others]);
    assert_eq!(std::fs::read(&saved).unwrap(), std::fs::read(source.join("f0")).unwrap());
    let again = demo.run(&["versions", "get", "/a/f0", old, saved.to_str().unwrap(), "--server", &others]);
    assert_eq!(again.status.code(), Some(1), "nothing is written over");
    demo.ok(&["versions", "restore", "/a/f0", old, "--server", &others]);
    assert_eq!(json(&demo, &["ls", "/a/f0", "--json", "--server", &others])[0]["size"], 40_000);
    let found = json(&demo, &["find", "F399", "--json", "--server", &others]);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    demo.ok(&["mv", "/copy", "/a/f2", "/a/inner", "--server", &others]);
    assert!(names(&demo, "/a/inner", &others).contains(&"copy".to_string()));
}
