//! A file larger than memory allows goes through every process with under 300 MB.

use crate::demo::{Demo, long};
use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

const MEMORY_MAX: u64 = 300 << 20;

/// Peak resident memory of a process, in bytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn hash(path: &std::path::Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.finalize(),
            n => hasher.update(&buffer[..n]),
        };
    }
}

#[test]
fn a_big_file_goes_through_in_little_memory() {
    let demo = Demo::start(3);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let megabytes = if long() { 4096 } else { 512 };
    let source = base.join("big.bin");
    let mut file = File::create(&source).unwrap();
    let mut random = blake3::Hasher::new().update(b"big").finalize_xof();
    let mut block = vec![0; 1 << 20];
    for _ in 0..megabytes {
        random.fill(&mut block);
        file.write_all(&block).unwrap();
    }
    drop(file);

    let measured = |words: &[&str]| {
        let begun = Instant::now();
        let mut child = demo.command(words).spawn().unwrap();
        let mut most = 0;
        let status = loop {
            most = most.max(peak(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        assert!(status.success(), "{words:?}");
        println!("{} of {megabytes} MiB: {:?}, {} MiB at most", words[0], begun.elapsed(), most >> 20);
        assert!(most < MEMORY_MAX, "the command used {} MiB", most >> 20);
    };
    measured(&["upload", source.to_str().unwrap(), "/big.bin"]);
    let back = base.join("back.bin");
    measured(&["download", "/big.bin", back.to_str().unwrap()]);
    assert_eq!(hash(&source), hash(&back));

    // Four up and four down at once, all through one node.
    let first = demo.grpc_addresses()[0].clone();
    let begun = Instant::now();
    let mut together = Vec::new();
    for n in 0..4 {
        // Contents of their own, or there would be nothing to store.
        let own = base.join(format!("own-{n}.bin"));
        let mut file = File::create(&own).unwrap();
        let mut random = blake3::Hasher::new().update(&[n]).finalize_xof();
        for _ in 0..megabytes / 4 {
            random.fill(&mut block);
            file.write_all(&block).unwrap();
        }
        let (to, back) = (format!("/own-{n}.bin"), base.join(format!("back-{n}.bin")));
        let up = ["upload", own.to_str().unwrap(), &to, "--server", &first];
        together.push(demo.command(&up).spawn().unwrap());
        let down = ["download", "/big.bin", back.to_str().unwrap(), "--server", &first];
        together.push(demo.command(&down).spawn().unwrap());
    }
    for mut child in together {
        assert!(child.wait().unwrap().success());
    }
    println!("four of {megabytes} MiB down and four of {} MiB up at once: {:?}", megabytes / 4, begun.elapsed());
    for pid in demo.pids() {
        let most = peak(pid as u32);
        println!("node process {pid}: {} MiB at most", most >> 20);
        assert!(most < MEMORY_MAX, "a node used {} MiB", most >> 20);
    }
}
