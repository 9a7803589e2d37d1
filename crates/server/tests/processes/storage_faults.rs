//! What becomes of a node whose files are damaged, or whose disk fails: it says so, takes no part, or mends itself
//! from the others; nobody ever reads a wrong byte. The table is in `docs/testing.md`.

use crate::demo::{Demo, blocks, text, wait_for};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a node does that finds it.
enum Then {
    /// It does not start, and says this.
    Refuses(&'static str),
    /// It starts, and is brought up to date.
    Returns,
}
use Then::{Refuses, Returns};

type Cell = (&'static str, fn(&Path), Then);

const LOG: &str = "log/0000000000000000.log";
const JOURNAL: &str = "control/log/0.jnl";
const SNAPSHOT: &str = "control/snapshot";
const TABLE: &str = "tables/keyspaces/0/tables/0";

fn flip(path: &Path, place: fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = place(written(path) as usize);
    bytes.resize(bytes.len().max(at + 1), 0);
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// A bit of each of 16 bytes, from that place on: of a single one of the journal may nothing depend (`control/src/raft/suite.rs` tries all).
fn rot(path: &Path, place: fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = place(written(path) as usize);
    bytes[at..at + 16].iter_mut().for_each(|byte| *byte ^= 4);
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, keep: fn(u64) -> u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(keep(written(path))).unwrap();
}

/// Bytes in the file but for zeros at its end: a log has some ahead of what is written.
fn written(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

fn empty(folder: &Path) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
}

fn cells() -> Vec<Cell> {
    vec![
        ("log, a bit in the middle", |n| flip(&n.join(LOG), |len| len / 2), Refuses("a hole at byte")),
        ("log, a bit at the end", |n| flip(&n.join(LOG), |len| len - 10), Returns),
        ("log, a bit behind its end", |n| flip(&n.join(LOG), |len| len + 4000), Returns),
        ("log, its end cut off", |n| cut(&n.join(LOG), |len| len - 100), Returns),
        ("log, its beginning", |n| flip(&n.join(LOG), |_| 9), Refuses("its header is unreadable")),
        ("log, the segment missing", |n| fs::remove_file(n.join(LOG)).unwrap(), Refuses("segments are gone")),
        ("log, the folder emptied", |n| empty(&n.join("log")), Refuses("was lost, or emptied")),
        (
            "checkpoint, a bit",
            |n| flip(&n.join("checkpoint"), |len| len - 1),
            Refuses("the checkpoint file is unreadable"),
        ),
        ("tables, a bit", |n| flip(&n.join(TABLE), |len| len / 4), Refuses("damaged: ")),
        ("tables, cut", |n| cut(&n.join(TABLE), |len| len / 2), Refuses("damaged: ")),
        ("tables, a file missing", |n| fs::remove_file(n.join(TABLE)).unwrap(), Refuses("damaged: tables")),
        ("tables, the list cut", |n| cut(&n.join("tables/keyspaces/0/current"), |_| 3), Refuses("not a pointer")),
        ("metadata, some bytes", |n| rot(&n.join(JOURNAL), |len| len / 2), Refuses("metadata is damaged")),
        ("metadata, cut", |n| cut(&n.join(JOURNAL), |len| len / 3), Refuses("metadata is damaged: it once held")),
        ("metadata, log missing", |n| fs::remove_file(n.join(JOURNAL)).unwrap(), Refuses("metadata is damaged")),
        ("metadata, a bit in the snapshot", |n| flip(&n.join(SNAPSHOT), |len| len / 2), Refuses("metadata is damaged")),
        ("metadata, the snapshot cut", |n| cut(&n.join(SNAPSHOT), |len| len / 2), Refuses("metadata is damaged")),
        (
            "metadata, the snapshot missing",
            |n| fs::remove_file(n.join(SNAPSHOT)).unwrap(),
            Refuses("purged beyond the snapshot"),
        ),
        ("metadata, witness missing", |n| fs::remove_file(n.join("control/tail")).unwrap(), Returns),
        ("metadata, the folder emptied", |n| empty(&n.join("control")), Refuses("was lost, or emptied")),
        (
            "identity, another number",
            |n| {
                let text = fs::read_to_string(n.join("identity.json")).unwrap();
                fs::write(n.join("identity.json"), text.replace("\"partitions\": 64", "\"partitions\": 60")).unwrap();
            },
            Refuses("identity.json is damaged or of another release: its checksum fails"),
        ),
        ("identity, cut", |n| cut(&n.join("identity.json"), |len| len / 2), Refuses("identity.json is damaged")),
        (
            "identity, missing",
            |n| fs::remove_file(n.join("identity.json")).unwrap(),
            Refuses("identity.json is missing"),
        ),
        (
            "coordination, a bit",
            |n| flip(&n.join("coordination.json"), |len| len / 2),
            Refuses("coordination.json is damaged"),
        ),
        ("coordination, missing", |n| fs::remove_file(n.join("coordination.json")).unwrap(), Refuses("it is missing")),
        (
            "certificate, a bit",
            |n| flip(&n.join("certificate.json"), |len| len / 3),
            Refuses("certificate.json is damaged"),
        ),
        (
            "certificate, missing",
            |n| fs::remove_file(n.join("certificate.json")).unwrap(),
            Refuses("certificate.json is missing"),
        ),
        (
            "blocks, all of them",
            |n| {
                let blocks = blocks(n);
                flip(&blocks[0], |len| len / 2);
                cut(&blocks[1], |len| len / 2);
                fs::remove_file(&blocks[2]).unwrap();
            },
            Returns,
        ),
        (
            "everything but the identity",
            |n| {
                for name in ["control", "log", "tables", "blocks"] {
                    fs::remove_dir_all(n.join(name)).unwrap();
                }
            },
            Refuses("was lost, or emptied"),
        ),
        ("everything", empty, Refuses("was emptied")),
    ]
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// What people see: every value and every byte of the file, by way of that node too.
fn expect_all(demo: &Demo, data: &[u8], gateways: &[String]) {
    for gateway in gateways {
        for i in 0..8 {
            let key = format!("key-{i}");
            let value = wait_for("a get", Duration::from_secs(30), || {
                let output = demo.run(&["kv", "get", &key, "--table", "t", "--server", gateway]);
                output.status.success().then(|| text(&output.stdout).trim().to_string())
            });
            assert_eq!(value, format!("value-{i}"), "by way of {gateway}");
        }
        let back = demo.folder.parent().unwrap().join("back.bin");
        let _ = fs::remove_file(&back);
        demo.ok(&["download", "/file.bin", back.to_str().unwrap(), "--server", gateway]);
        assert!(fs::read(&back).unwrap() == data, "every byte by way of {gateway}");
    }
}

/// Eight values and a file of three blocks, on all three nodes.
fn filled(demo: &Demo) -> Vec<u8> {
    demo.ok(&["table", "create", "t"]);
    for i in 0..8 {
        demo.ok(&["kv", "put", &format!("key-{i}"), &format!("value-{i}"), "--table", "t"]);
    }
    let source = demo.folder.parent().unwrap().join("file.bin");
    let mut data = vec![0; 2_500_000];
    blake3::Hasher::new().update(b"faults").finalize_xof().fill(&mut data);
    fs::write(&source, &data).unwrap();
    demo.ok(&["upload", source.to_str().unwrap(), "/file.bin"]);
    wait_for("three blocks on three nodes", Duration::from_secs(60), || {
        (1..=3).all(|node| blocks(&demo.folder.join(format!("node-{node}"))).len() == 3).then_some(())
    });
    data
}

#[test]
fn what_is_damaged_while_a_node_is_down_is_found_when_it_starts() {
    let demo = Demo::start(3);
    let data = filled(&demo);
    let node = demo.folder.join("node-2");
    let (log, kept) = (demo.folder.join("node-2.log"), demo.folder.parent().unwrap().join("kept"));
    let addresses = demo.grpc_addresses();
    let others = [addresses[0].clone(), addresses[2].clone()];
    let mut rounds = 0..;
    wait_for("a snapshot of the metadata", Duration::from_secs(300), || {
        for round in rounds.by_ref().take(10) {
            let name = format!("passing-{round}");
            let made = demo.run(&["table", "create", &name]).status.success();
            assert!(made && demo.run(&["table", "delete", &name, "--yes"]).status.success(), "{name}");
        }
        node.join(SNAPSHOT).exists().then_some(())
    });
    // What the log says last is behind the newest checkpoint: the next is half a minute away.
    let checkpoint = || fs::metadata(node.join("checkpoint")).unwrap().modified().unwrap();
    let before = checkpoint();
    let mut puts = 0..;
    wait_for("a checkpoint", Duration::from_secs(120), || {
        demo.ok(&["kv", "put", "pad", &format!("{:?}", puts.next()), "--table", "t"]);
        (checkpoint() > before).then_some(())
    });
    for put in 0..5 {
        demo.ok(&["kv", "put", "pad", &put.to_string(), "--table", "t"]);
    }
    demo.kill(2);
    copy(&node, &kept);
    for (what, damage, then) in cells() {
        println!("--- {what}");
        damage(&node);
        let before = fs::metadata(&log).unwrap().len() as usize;
        let names =
            || -> Vec<_> { walkdir::WalkDir::new(&node).into_iter().flatten().map(|e| e.into_path()).collect() };
        let files = names().len();
        let since = || fs::read_to_string(&log).unwrap()[before..].to_string();
        match then {
            Refuses(words) => {
                let told = demo.refused(2);
                let said = || format!("{}{}", told.as_deref().unwrap_or_default(), since());
                assert!(told.is_some(), "{what}: it starts\n{}", said());
                assert!(said().contains(words), "{what} should say {words:?}:\n{}", said());
                assert!(said().contains("join") || said().contains("remove"), "{what}: what next?\n{}", said());
                let lost = what == "everything" || what == "identity, missing";
                assert_eq!(node.join("identity.json").exists(), !lost, "{what}: nothing is made in its place");
                assert!(!lost || names().len() == files, "{what}: nothing is made in its place");
                expect_all(&demo, &data[..], &others[..1]);
                copy(&kept, &node);
            }
            Returns => {
                let output = demo.act(&["start", "2"]);
                assert!(output.status.success(), "{what}:\n{}{}", text(&output.stderr), since());
                demo.wait_whole(3);
                let output = demo.run(&["cluster", "verify", "--json"]);
                assert!(output.status.success(), "{what}: {}", text(&output.stdout));
                expect_all(&demo, &data[..], &addresses[1..2]);
                for block in blocks(&demo.folder.join("node-1")) {
                    let mended = node.join(block.strip_prefix(demo.folder.join("node-1")).unwrap());
                    assert!(fs::read(&mended).unwrap() == fs::read(&block).unwrap(), "{what}: {}", mended.display());
                }
                // An older copy of a node that has gone on is no disk fault: from here on it is this one.
                demo.kill(2);
                copy(&node, &kept);
            }
        }
    }
    demo.start_node(2);
    demo.wait_whole(3);
    expect_all(&demo, &data, &addresses);
}

/// The bit at that place of a file that may be in use; again, and it is as it was.
fn flip_in_place(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn what_rots_under_a_running_node_is_never_taken_for_right() {
    let demo = Demo::start(3);
    let data = filled(&demo);
    let addresses = demo.grpc_addresses();
    let (node, log) = (demo.folder.join("node-2"), demo.folder.join("node-2.log"));
    println!("--- blocks");
    for block in blocks(&node) {
        flip_in_place(&block, fs::metadata(&block).unwrap().len() / 2);
    }
    expect_all(&demo, &data, &addresses);
    let output = demo.run(&["cluster", "verify", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    for block in blocks(&demo.folder.join("node-1")) {
        let mended = node.join(block.strip_prefix(demo.folder.join("node-1")).unwrap());
        assert!(fs::read(&mended).unwrap() == fs::read(&block).unwrap(), "{}", mended.display());
    }
    // Tables are files only since a start.
    demo.kill(2);
    demo.start_node(2);
    demo.wait_whole(3);
    for (what, says) in [(TABLE, "damaged: "), (LOG, "a hole at byte")] {
        println!("--- {what}");
        let path = node.join(what);
        let at = written(&path) / 4;
        flip_in_place(&path, at);
        expect_all(&demo, &data, &addresses);
        for round in 0..5 {
            demo.ok(&["kv", "put", &format!("meanwhile-{round}"), what, "--table", "t"]);
        }
        demo.kill(2);
        let before = fs::metadata(&log).unwrap().len() as usize;
        let told = demo.refused(2);
        let since = fs::read_to_string(&log).unwrap()[before..].to_string();
        let said = format!("{}{since}", told.as_deref().unwrap_or_default());
        assert!(told.is_some() && said.contains(says), "{what} should say {says:?}:\n{said}");
        expect_all(&demo, &data, &addresses[..1]);
        flip_in_place(&path, at);
        demo.start_node(2);
        demo.wait_whole(3);
        expect_all(&demo, &data, &addresses[1..2]);
    }
}

#[test]
fn a_disk_that_fails_in_use_ends_the_nodes_part_and_the_others_go_on() {
    let (demo, disk) = Demo::start_faulty(3);
    let data = filled(&demo);
    let addresses = demo.grpc_addresses();
    let others = [addresses[0].clone(), addresses[2].clone()];
    let log = demo.folder.join("node-2.log");
    let cases = [
        ("sync /node-2/log/", "syncing the log"),
        ("write /node-2/log/0", "writing the log"),
        ("write /node-2/tables/", "the tables cannot be written"),
        ("sync /node-2/control/", "the metadata's disk failed"),
    ];
    for (round, (order, words)) in cases.into_iter().enumerate() {
        println!("--- {order}");
        let before = fs::metadata(&log).unwrap().len() as usize;
        disk.fail(&[order]);
        let said = || fs::read_to_string(&log).unwrap()[before..].to_string();
        let mut puts = 0;
        wait_for(words, Duration::from_secs(60), || {
            puts += 1;
            // Whatever it is told: it may be the very write that finds it.
            let _ = demo.run(&["kv", "put", &format!("during-{round}-{puts}"), "x", "--table", "t"]);
            // And one that the metadata has to keep.
            let _ = demo.run(&["table", "create", &format!("during-{round}-{puts}")]);
            said().contains(words).then_some(())
        });
        wait_for("node 2 to end, and to say why", Duration::from_secs(60), || {
            let dead = demo.nodes()[1]["state"] != "running";
            (dead && said().contains("error:")).then_some(())
        });
        expect_all(&demo, &data, &others);
        wait_for("writes to go on", Duration::from_secs(60), || {
            let put = demo.run(&["kv", "put", "after", &round.to_string(), "--table", "t"]);
            put.status.success().then_some(())
        });
        disk.fail(&[]);
        demo.start_node(2);
        demo.wait_whole(3);
        expect_all(&demo, &data, &addresses[1..2]);
    }

    println!("--- blocks that cannot be read");
    disk.fail(&["read /node-2/blocks/"]);
    expect_all(&demo, &data, &addresses);
    disk.fail(&[]);
    let output = demo.run(&["cluster", "verify", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stdout));

    println!("--- files that cannot be read at a start");
    for place in ["log/0", "tables/", "control/log", "identity.json"] {
        demo.kill(2);
        let before = fs::metadata(&log).unwrap().len() as usize;
        disk.fail(&[&format!("read /node-2/{place}")]);
        let told = demo.refused(2);
        let since = fs::read_to_string(&log).unwrap()[before..].to_string();
        let said = format!("{}{since}", told.as_deref().unwrap_or_default());
        assert!(told.is_some(), "{place}: it starts\n{said}");
        assert!(said.contains("Input/output error") && said.contains("look at the disk"), "{place}:\n{said}");
        disk.fail(&[]);
        demo.start_node(2);
        demo.wait_whole(3);
    }
    expect_all(&demo, &data, &addresses);
}
