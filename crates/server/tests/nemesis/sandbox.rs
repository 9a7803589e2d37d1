//! A world of our own: namespaces for network, mounts and processes, in which this program starts itself again.
//!
//! **Invariant**: whatever is made in there, interfaces, mounts, processes, ends with this program, however that ends:
//! the kernel sees to it. No root is needed where the kernel gives user namespaces; what only root can do
//! (file systems on block devices, which can lose power) is then left out.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const INSIDE: &str = "ATOLL_NEMESIS_INSIDE";

/// Programs that are used, and Debian's packages that have them.
const TOOLS: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("cc", "gcc"),
];

/// Is this the program inside?
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Is this root, of the machine and not of a user namespace only?
pub fn is_root() -> bool {
    std::env::var_os(INSIDE).is_some_and(|who| who == "root")
}

/// Becomes this program inside. Comes back only with why that cannot be.
pub fn enter() -> String {
    let missing: Vec<&str> = TOOLS.iter().filter(|(tool, _)| !has(tool)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        return format!("missing programs: install {} (Debian's names)", missing.join(", "));
    }
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut flags = vec!["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !root {
        flags.extend(["--user", "--map-root-user"]);
    }
    let allowed = Command::new("unshare").args(&flags).arg("true").stderr(Stdio::piped()).output();
    match allowed {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return format!(
                "this needs namespaces for network, mounts, processes{}, and the kernel refuses them: {}\n\
                 Run it as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns); in a container, give it CAP_SYS_ADMIN.",
                if root { "" } else { " and users" },
                String::from_utf8_lossy(&output.stderr).trim(),
            );
        }
        Err(error) => return format!("unshare: {error}"),
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return format!("cannot tell where this program is: {error}"),
    };
    let mut command = Command::new("unshare");
    command.args(&flags).arg("--").arg(program).args(std::env::args_os().skip(1));
    command.env(INSIDE, if root { "root" } else { "user" });
    format!("unshare: {}", command.exec())
}

fn has(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(tool).is_file())
}

/// Runs a program that must succeed.
pub fn run(program: &str, words: &[&str]) -> Result<(), String> {
    feed(program, words, "")
}

/// The same, with something to read.
pub fn feed(program: &str, words: &[&str], input: &str) -> Result<(), String> {
    use std::io::Write;
    let failed = |why: &dyn std::fmt::Display| format!("{program} {}: {why}", words.join(" "));
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| failed(&error))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if output.status.success() { Ok(()) } else { Err(failed(&String::from_utf8_lossy(&output.stderr).trim())) }
}
