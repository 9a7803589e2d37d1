//! WebDAV by the programs that people have: litmus, and rclone while a node dies.

use crate::demo::{Demo, text};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// An app password of the demo's person.
fn password(demo: &Demo) -> String {
    let made = demo.ok(&["account", "app-password", "add", "laptop", "--for", "webdav", "--write", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    made["secret"].as_str().unwrap().to_string()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; ./test.sh installs it"))
}

#[test]
fn litmus_passes_whole() {
    let demo = Demo::start(3);
    let (url, secret) = (format!("{}/dav/home/", demo.web()), password(&demo));
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new("litmus").current_dir(folder.path()).args(["-k", &url, "demo", &secret]));
    let said = text(&output.stdout);
    println!("{said}");
    let summaries: Vec<&str> = said.lines().filter(|line| line.contains("summary for")).collect();
    assert!(output.status.success() && summaries.len() == 5, "{}", text(&output.stderr));
    assert!(summaries.iter().all(|line| line.contains(" 0 failed")), "{summaries:?}");
    // It cleans up after itself, into the trash; nothing of a drive is left over.
    assert!(!demo.ok(&["ls"]).contains("litmus/copy"));
}

/// rclone on the drive of the demo's person.
fn rclone(demo: &Demo, secret: &str, home: &Path, words: &[&str]) -> Output {
    let config = home.join("rclone.conf");
    if !config.exists() {
        // As docs/webdav.md says it.
        let (url, pass) = (format!("url={}/dav/home", demo.web()), format!("pass={secret}"));
        let mut create = Command::new("rclone");
        create.arg("--config").arg(&config).args(["config", "create", "a", "webdav", &url, "vendor=owncloud"]);
        let made = run(create.args(["user=demo", &pass, "--obscure"]));
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    run(Command::new("rclone").arg("--config").arg(config).args(words))
}

#[test]
fn rclone_syncs_while_a_node_dies() {
    const FILES: usize = 2000;
    let demo = Demo::start(3);
    let secret = password(&demo);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    let content = |n: usize| format!("file {n}, ").repeat(n % 700 + 1);
    for n in 0..FILES {
        let at = source.join(format!("folder {}", n % 17)).join(format!("é{n}.txt"));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, content(n)).unwrap();
    }
    std::fs::write(source.join("big.bin"), vec![7; 20 << 20]).unwrap();
    let from = source.to_str().unwrap().to_string();
    std::thread::scope(|scope| {
        let copying =
            scope.spawn(|| rclone(&demo, &secret, folder.path(), &["copy", &from, "a:copied", "--retries", "5"]));
        crate::demo::wait_for("some files", Duration::from_secs(60), || {
            let listed = demo.run(&["ls", "/copied"]);
            text(&listed.stdout).contains("folder").then_some(())
        });
        demo.kill(2);
        let copied = copying.join().unwrap();
        assert!(copied.status.success(), "{}", text(&copied.stderr));
    });
    demo.start_node(2);
    let checked = rclone(&demo, &secret, folder.path(), &["check", "--download", &from, "a:copied"]);
    let said = text(&checked.stderr);
    assert!(checked.status.success() && said.contains(&format!("{} matching files", FILES + 1)), "{said}");
    // Nothing is sent again: times are kept. And back again.
    let again = rclone(&demo, &secret, folder.path(), &["sync", "-v", &from, "a:copied"]);
    assert!(text(&again.stderr).contains("0 B / 0 B"), "{}", text(&again.stderr));
    let back = folder.path().join("back");
    let got = rclone(&demo, &secret, folder.path(), &["copy", "a:copied", back.to_str().unwrap()]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    let same = run(Command::new("diff").args(["-r", &from, back.to_str().unwrap()]));
    assert!(same.status.success(), "{}", text(&same.stdout));
}
