//! The way in by a member's data folder: without a session, beside the node or without it, and what is said when a
//! folder is of no use.

use crate::demo::{Demo, atoll, text, wait_for};
use serde_json::Value;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// As somebody who has never signed in.
fn cluster(words: &[&str], data: &Path) -> Output {
    let mut command = atoll();
    command.arg("cluster").args(words).arg("--data").arg(data).current_dir("/").env("ATOLL_CONFIG_DIR", "/nowhere");
    command.output().unwrap()
}

fn ok(words: &[&str], data: &Path) -> Value {
    let output = cluster(words, data);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(data: &Path) -> String {
    let output = cluster(&["status"], data);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("nothing was changed") && stderr.contains("next: "), "{stderr}");
    stderr
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[test]
fn a_members_folder_opens_its_cluster_and_no_other_folder_does() {
    let demo = Demo::start(3);
    let data = |node: u16| demo.folder.join(format!("node-{node}"));
    let status = ok(&["status", "--json"], &data(2));
    let by_session: Value = serde_json::from_str(&demo.ok(&["cluster", "status", "--json"])).unwrap();
    assert_eq!(keys(&status), keys(&by_session));
    assert_eq!((&status["cluster"], &status["verdict"]), (&by_session["cluster"], &"Yes, any 1 of 3.".into()));
    let layout = ok(&["layout", "--json"], &data(2));
    assert_eq!(layout["partitions"].as_array().unwrap().len(), 64);
    let plan = ok(&["layout", "--capacity", "3=200", "--plan", "--json"], &data(3));
    assert_eq!(plan["applied"], false, "{plan}");
    assert!(ok(&["join-token", "--json"], &data(1))["token"].is_string());
    assert_eq!(ok(&["verify", "--json"], &data(1))["nodes"].as_array().unwrap().len(), 3);
    let output = cluster(&["remove", "2", "--lost"], &data(1));
    assert!(text(&output.stderr).contains("node 2 answers"), "{}", text(&output.stderr));

    // Its own node need not run.
    demo.kill(1);
    let status = ok(&["status", "--json"], &data(1));
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3, "{status}");

    let said = refused(&demo.folder);
    assert!(said.contains("is not a member's data folder") && said.contains("node-1"), "{said}");
    assert!(refused(&demo.folder.join("none")).contains("there is no such folder"));
    // Somebody who may not read it; root may.
    let mut command = atoll();
    command.args(["cluster", "status", "--data"]).arg(data(2)).current_dir("/");
    if nix::unistd::geteuid().is_root() {
        command.uid(65534);
        match command.output() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => println!("nobody may not even run it"),
            output => {
                let said = text(&output.unwrap().stderr);
                assert!(said.contains("cannot be read: Permission denied") && said.contains("user"), "{said}");
            }
        }
    }

    demo.acted(&["stop"]);
    wait_for("the supervisor to end", Duration::from_secs(30), || demo.status().is_none().then_some(()));
    let said = refused(&data(2));
    assert!(said.contains("no member of the cluster answers") && said.contains("atoll up --data"), "{said}");
}
