//! Children, and what they cost.

use atoll_extract::{Extractor, Program};

pub fn extractor() -> Extractor {
    running(env!("CARGO_BIN_EXE_atoll-extract"), &[])
}

pub fn running(path: &str, arguments: &[&str]) -> Extractor {
    let arguments = arguments.iter().map(Into::into).collect();
    Extractor::new(Program { path: path.into(), arguments, variables: Vec::new() })
}

/// Bytes that this process had in memory at most.
pub fn memory_at_most() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

pub fn children() -> usize {
    let of = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.unwrap().path().join("children"));
    let all = std::fs::read_dir("/proc/self/task").unwrap().map(of);
    all.map(|children| children.unwrap_or_default().split_whitespace().count()).sum()
}
