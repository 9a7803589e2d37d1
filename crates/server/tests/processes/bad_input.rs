//! Bad input is refused with a clear error, and nothing is changed.

use crate::demo::{Demo, text};

/// A command that must be refused with exit code 1 and words that a person understands.
fn refused(demo: &Demo, words: &[&str], says: &[&str]) {
    let output = demo.run(words);
    let said = text(&output.stderr).to_lowercase();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
    assert!(says.iter().any(|word| said.contains(word)), "{words:?} should say one of {says:?}: {said}");
}

#[test]
fn bad_input_is_refused_in_plain_words_and_changes_nothing() {
    let demo = Demo::start(1);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let file = base.join("a.txt");
    std::fs::write(&file, "first").unwrap();
    let file = file.to_str().unwrap();
    demo.ok(&["table", "create", "t"]);
    demo.ok(&["kv", "put", "k", "v", "--table", "t"]);

    refused(&demo, &["kv", "put", "k", "v", "--table", "nowhere"], &["no table", "nowhere"]);
    refused(&demo, &["kv", "put", "", "v", "--table", "t"], &["empty"]);
    refused(&demo, &["kv", "put", &"k".repeat(1025), "v", "--table", "t"], &["1024"]);
    let large = base.join("large");
    std::fs::write(&large, vec![7u8; (1 << 20) + 1]).unwrap();
    refused(
        &demo,
        &["kv", "put", "k", "--file", large.to_str().unwrap(), "--table", "t"],
        &["upload", "files", "1048576"],
    );
    refused(&demo, &["kv", "cas", "k", "wrong", "new", "--table", "t"], &["condition", "changed", "another", "value"]);
    refused(&demo, &["table", "create", "t"], &["already"]);
    refused(&demo, &["table", "create", "a", "--kind", "available"], &["not offered", "not yet", "offered yet"]);
    refused(
        &demo,
        &["kv", "get", "absent", "--table", "t"],
        &["absent", "no item", "nothing", "not found", "no value"],
    );
    assert_eq!(demo.ok(&["kv", "get", "k", "--table", "t"]).trim_end(), "v");
    assert_eq!(demo.ok(&["kv", "size", "--table", "t"]).trim(), "1");

    demo.ok(&["upload", file, "/a.txt"]);
    std::fs::write(file, "second").unwrap();
    refused(&demo, &["upload", file, "/a.txt"], &["exists", "already"]);
    refused(&demo, &["download", "/missing.txt", base.join("m").to_str().unwrap()], &["no ", "not ", "nothing"]);
    assert!(!base.join("m").exists());
    refused(&demo, &["mv", "/missing.txt", "/b.txt"], &["no ", "not ", "nothing"]);
    refused(&demo, &["upload", file, "/../escape.txt"], &["..", "path", "climb", "name"]);
    refused(&demo, &["delete", "/missing.txt"], &["no ", "not ", "nothing"]);
    demo.ok(&["upload", file, "/b.txt"]);
    refused(&demo, &["mv", "/b.txt", "/a.txt"], &["exists", "already"]);
    let back = base.join("back.txt");
    demo.ok(&["download", "/a.txt", back.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "first");
    // What is the same is left alone; what is another file is not overwritten.
    std::fs::write(&back, "mine").unwrap();
    refused(&demo, &["download", "/a.txt", back.to_str().unwrap()], &["exists", "already"]);
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "mine");
    demo.ok(&["upload", file, "/a.txt", "--force"]);
    demo.ok(&["delete", "/b.txt"]);
    let listing = demo.ok(&["view-directory", "/"]);
    assert!(listing.contains("a.txt") && !listing.contains("b.txt"), "{listing}");
}

#[test]
fn wrong_credentials_and_unreachable_clusters_are_told_apart() {
    let demo = Demo::start(1);
    let mut wrong = demo.command(&["login", "--user", &demo.user().0, "--password-stdin"]);
    wrong.arg(&demo.grpc_addresses()[0]);
    wrong.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = wrong.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"not the password\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr).to_lowercase();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("password"), "{said}");

    let nobody = "127.0.0.1:9";
    refused(&demo, &["ls", "/", "--server", nobody], &[nobody]);

    let usage = demo.run(&["kv", "cas", "only-a-key"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn with_too_few_replicas_writes_are_refused_and_reads_go_on() {
    let demo = Demo::start(3);
    demo.ok(&["table", "create", "t"]);
    demo.ok(&["kv", "put", "k", "v", "--table", "t"]);
    // Without a majority nothing strong is served; what was asked is told apart from what is unknown.
    demo.kill(2);
    demo.kill(3);
    let first = demo.grpc_addresses()[0].clone();
    let output = demo.run(&["kv", "put", "k", "w", "--table", "t", "--server", &first]);
    let said = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 3)), "{said}");
    println!("{said}");
    demo.start_node(2);
    demo.wait_whole(2);
    let value = demo.ok(&["kv", "get", "k", "--table", "t"]);
    // Refused means surely not applied; unknown may be either.
    let allowed: &[&str] = if output.status.code() == Some(1) { &["v"] } else { &["v", "w"] };
    assert!(allowed.contains(&value.trim_end()), "{value}");
    demo.ok(&["kv", "put", "k", "x", "--table", "t"]);
}

#[test]
fn a_damaged_block_is_repaired_from_another_replica() {
    let demo = Demo::start(3);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let source = base.join("file.bin");
    let mut data = vec![0; 3_000_000];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut data);
    std::fs::write(&source, &data).unwrap();
    demo.ok(&["upload", source.to_str().unwrap(), "/file.bin"]);
    // An upload waits for enough holders, and a moment for the rest; repair fills what is missing.
    let stored = || {
        let blocks = crate::demo::blocks(&demo.folder);
        (blocks.len() == 9).then_some(blocks)
    };
    let blocks = crate::demo::wait_for("three blocks on three nodes", std::time::Duration::from_secs(30), stored);
    // One copy of each block rots: a bit in the middle flips.
    let mut rotten = std::collections::BTreeMap::new();
    for path in &blocks {
        rotten.entry(path.file_name().unwrap().to_owned()).or_insert(path.clone());
    }
    for path in rotten.values() {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    // Each read picks its holders anew; whichever it picks, the bytes are right.
    let mut reads = 0;
    crate::demo::wait_for("the copies to be repaired", std::time::Duration::from_secs(60), || {
        reads += 1;
        let back = base.join(format!("back-{reads}"));
        demo.ok(&["download", "/file.bin", back.to_str().unwrap()]);
        assert!(std::fs::read(&back).unwrap() == data, "the bytes are the same");
        rotten
            .values()
            .all(|path| {
                // A whole file has the size and bytes that its brothers on other nodes have.
                let name = path.file_name();
                let brother = blocks.iter().find(|other| other.file_name() == name && *other != path).unwrap();
                std::fs::read(path).ok() == std::fs::read(brother).ok()
            })
            .then_some(())
    });
}
