//! Disks that are really full: small file systems under the nodes' data folders. Growth is refused
//! before it is written, deletes go through, nothing is lost, and with room everything goes on.

use crate::demo::{Demo, text, wait_for};
use bytes::Bytes;
use client::remote::{Remote, RemoteError, TableKey};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use types::Consistency;

const TABLE: &str = "ledger";
const DISK: u64 = 192 << 20;
/// What the nodes keep back of such a disk.
const RESERVE: u64 = 64 << 20;
/// So much is left of a full one: a block that goes does not make it less full.
const FULL: u64 = RESERVE - (4 << 20);

/// A small file system, gone with this.
struct Disk(PathBuf);

impl Disk {
    /// None when this machine does not let us mount.
    fn mount(folder: &Path) -> Option<Disk> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={DISK}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output().unwrap();
        if output.status.success() {
            return Some(Disk(folder.to_path_buf()));
        }
        println!("SKIPPED, and proves nothing: cannot mount a small file system: {}", text(&output.stderr).trim());
        None
    }

    fn available(&self) -> u64 {
        let answer = nix::sys::statvfs::statvfs(&self.0).unwrap();
        answer.blocks_available() * answer.fragment_size()
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Somebody else's file takes all but `left` bytes; where it has, what has come free since.
    fn fill(&self, left: u64) {
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        let chunk = vec![0; 1 << 20];
        while self.available() > left {
            let most = (self.available() - left).min(chunk.len() as u64) as usize;
            if file.write_all(&chunk[..most]).is_err() {
                return;
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Puts values of half a mebibyte until one is refused; keys acknowledged, and the refusal, if one came. Before each it is told
/// how many there were.
async fn put_until_refused(
    remote: &Remote,
    prefix: &str,
    acknowledged: &mut Vec<String>,
    before_each: impl Fn(u64),
) -> Option<RemoteError> {
    for i in 0..100 {
        before_each(i);
        let key = format!("{prefix}-{i}");
        let value = vec![i as u8; 512 * 1024];
        let put = remote.transaction(key.clone()).put(TABLE, Bytes::new(), value);
        match remote.transact(&put).await {
            Ok(_) => acknowledged.push(key),
            Err(refusal) => return Some(refusal),
        }
    }
    None
}

async fn expect_all(remote: &Remote, acknowledged: &[String]) {
    for key in acknowledged {
        let item = remote.get(&TableKey::new(TABLE, key.clone(), Bytes::new()), Consistency::Strong).await.unwrap();
        assert!(item.is_some_and(|item| item.value.len() == 512 * 1024), "{key} was acknowledged");
    }
}

/// No machine may be lost while one takes no writes; and what is merely missing on it is not lost. Segments of its log
/// that are done with go meanwhile, and leave room.
fn told_as_full_and_not_as_lost(demo: &Demo, disk: &Disk, node: u16) {
    let limit = Duration::from_secs(60);
    let no_room = format!("No: there is no room on node {node}");
    wait_for("the full disk to be told", limit, || {
        disk.fill(FULL);
        demo.ok(&["cluster", "status"]).contains(&no_room).then_some(())
    });
    let blocks = walkdir::WalkDir::new(demo.folder.join(format!("node-{node}/blocks"))).follow_links(true).into_iter();
    let block = blocks.flatten().find(|entry| entry.file_type().is_file()).expect("a block").into_path();
    let whole = std::fs::read(&block).unwrap();
    let missing = format!("1 block is missing on node {node}, which has no room");
    wait_for("what is missing there to be told", limit, || {
        let _it_is = std::fs::remove_file(&block);
        disk.fill(FULL);
        let output = demo.run(&["cluster", "verify"]);
        let said = text(&output.stderr);
        assert!(!said.contains("could not be found"), "{said}");
        (output.status.code() == Some(1) && said.contains(&missing)).then_some(())
    });
    std::fs::write(&block, whole).unwrap();
}

fn run(small: &[u16]) {
    let temp = tempfile::tempdir().unwrap();
    let mut disks = Vec::new();
    for node in small {
        let Some(disk) = Disk::mount(&temp.path().join(node.to_string())) else { return };
        disks.push(disk);
    }
    let demo = Demo::start(3);
    demo.ok(&["table", "create", TABLE]);
    // The nodes' folders move to the small disks.
    for (node, disk) in small.iter().zip(&disks) {
        demo.kill(*node);
        let folder = demo.folder.join(format!("node-{node}"));
        let copied = Command::new("cp").arg("-a").arg(folder.join(".")).arg(&disk.0).status().unwrap();
        assert!(copied.success());
        std::fs::remove_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&disk.0, &folder).unwrap();
        demo.start_node(*node);
        demo.wait_whole(3);
        println!("node {node} has {} MiB left of its disk", disk.available() >> 20);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut acknowledged = Vec::new();
    let remote = runtime.block_on(demo.remote(&[]));
    let kept = temp.path().join("kept.bin");
    std::fs::write(&kept, (0..2u32 << 20).map(|n| (n.wrapping_mul(0x85eb_ca6b) >> 24) as u8).collect::<Vec<_>>())
        .unwrap();
    demo.ok(&["upload", kept.to_str().unwrap(), "/kept.bin"]);
    demo.wait_whole(3);

    // Nearly full, then full: refused, saying whose disk it is.
    let refusal = runtime.block_on(put_until_refused(&remote, "first", &mut acknowledged, |puts| {
        // What the log lets go of does not keep it from filling up.
        let left = (24u64 << 20).saturating_sub(puts << 20);
        disks.iter().for_each(|disk| disk.fill(RESERVE + left));
    }));
    let refusal = refusal.expect("a full disk does not take everything");
    println!("after {} values: {refusal}", acknowledged.len());
    assert!(matches!(refusal, RemoteError::NoSpace(_)), "surely not applied: {refusal:?}");
    assert!(small.iter().any(|node| refusal.to_string().contains(&format!("node {node}"))), "{refusal}");
    // Less than the reserve is left: not the smallest one is taken.
    disks.iter().for_each(Disk::make_room);
    disks.iter().for_each(|disk| disk.fill(FULL));
    wait_for("small values to be refused, too", Duration::from_secs(20), || {
        let output = demo.run(&["kv", "put", "a key", "a value", "--table", TABLE]);
        let refused = output.status.code() == Some(1) && text(&output.stderr).contains("no space left on node");
        refused.then_some(())
    });
    if let [node] = small {
        told_as_full_and_not_as_lost(&demo, &disks[0], *node);
    }
    // Nor are a file's blocks taken, and nothing half of it is seen.
    let file = temp.path().join("big.bin");
    std::fs::write(&file, (0..64u32 << 20).map(|n| (n.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect::<Vec<_>>())
        .unwrap();
    let output = demo.run(&["upload", file.to_str().unwrap(), "/big.bin"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no space left on node"), "{}", text(&output.stderr));
    assert!(!demo.ok(&["ls"]).contains("big.bin"));
    assert_eq!(demo.pids().len(), 3, "nobody stopped");
    runtime.block_on(expect_all(&remote, &acknowledged));
    let gone = acknowledged.pop().unwrap();
    demo.ok(&["kv", "delete", &gone, "--table", TABLE]);

    // Room again: on it goes.
    disks.iter().for_each(Disk::make_room);
    let put_again = || demo.run(&["kv", "put", "again", "goes", "--table", TABLE]).status.success().then_some(());
    wait_for("puts to go on", Duration::from_secs(60), put_again);

    // Not a byte left, all of a sudden, under writes: deletes go on, and whatever was acknowledged is there.
    disks.iter().for_each(|disk| disk.fill(0));
    // Either it is refused, or a node that could not go on was cut out, and the others take it.
    let refusal = runtime.block_on(put_until_refused(&remote, "second", &mut acknowledged, |_| {}));
    println!("without a byte left, {} values in all: {refusal:?}", acknowledged.len());
    wait_for("a delete to go through", Duration::from_secs(60), || {
        demo.run(&["kv", "delete", "again", "--table", TABLE]).status.success().then_some(())
    });
    disks.iter().for_each(Disk::make_room);
    for node in demo.nodes().iter().filter(|node| node["state"] != "running") {
        println!("{node}");
    }
    wait_for("puts to go on", Duration::from_secs(60), put_again);
    runtime.block_on(expect_all(&remote, &acknowledged));
}

#[test]
fn one_full_disk_refuses_growth_and_loses_nothing() {
    run(&[3]);
}

#[test]
fn three_full_disks_refuse_growth_and_lose_nothing() {
    run(&[1, 2, 3]);
}
