//! Machines join a cluster with a token, each at an address of its own.

use crate::demo::{atoll, machine, text, wait_for};
use std::process::{Child, Stdio};
use std::time::Duration;

struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn up(folder: &std::path::Path, ip: &str, join: Option<&str>) -> Machine {
    up_at(folder, ip, ip, join)
}

/// One that says that it is reached elsewhere.
fn up_at(folder: &std::path::Path, ip: &str, advertise: &str, join: Option<&str>) -> Machine {
    std::fs::create_dir_all(folder).unwrap();
    let log = std::fs::File::create(folder.join("up.log")).unwrap();
    let mut command = atoll();
    command.args(["up", "--listen", ip, "--advertise", advertise]).arg("--data").arg(folder.join("data"));
    if let Some(token) = join {
        command.args(["--join", token]);
    }
    command.current_dir(folder).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
    Machine(command.spawn().unwrap())
}

#[test]
fn three_machines_become_one_cluster() {
    let _machine = machine();
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("home");
    let run = |words: &[&str], input: Option<&str>| {
        let mut command = atoll();
        command.args(words).env("ATOLL_CONFIG_DIR", &home).current_dir(temp.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, input.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    };

    // The first: prints what a person needs.
    let one = temp.path().join("one");
    let _one = up(&one, "127.0.1.1", None);
    let said = wait_for("the first machine to start", Duration::from_secs(30), || {
        let said = std::fs::read_to_string(one.join("up.log")).unwrap_or_default();
        said.contains("/setup/").then_some(said)
    });
    println!("{said}");
    assert!(said.contains("one") && said.to_lowercase().contains("redundancy"), "it says that one node has none");
    assert!(said.contains("join"), "it says how to add a machine");

    // Its set-up link makes the first administrator, once.
    let link = said.split_whitespace().find(|word| word.contains("/setup/")).unwrap().to_string();
    let form = "name=ada&password=correct-horse-battery&again=correct-horse-battery";
    let curl = |arguments: &[&str]| std::process::Command::new("curl").args(arguments).output().unwrap();
    let page = text(&curl(&["-s", "-i", &link]).stdout);
    assert!(page.contains("200"), "{page}");
    let jar = temp.path().join("jar");
    let origin = link.split("/setup/").next().unwrap();
    let sent = text(
        &curl(&[
            "-s",
            "-i",
            "-b",
            jar.to_str().unwrap(),
            "-c",
            jar.to_str().unwrap(),
            "-H",
            &format!("Origin: {origin}"),
            "-d",
            form,
            &link,
        ])
        .stdout,
    );
    assert!(sent.starts_with("HTTP/1.1 30") || sent.starts_with("HTTP/1.1 20"), "{sent}");
    let again = text(&curl(&["-s", "-i", "-H", &format!("Origin: {origin}"), "-d", form, &link]).stdout);
    assert!(again.starts_with("HTTP/1.1 4"), "the link works once: {again}");

    let login = run(&["login", "127.0.1.1:7070", "--user", "ada", "--password-stdin"], Some("correct-horse-battery\n"));
    assert!(login.status.success(), "{}", text(&login.stderr));
    let token = || {
        let output = run(&["cluster", "join-token"], None);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        said.split_whitespace().find(|word| word.starts_with("atoll-join-")).expect("a token").to_string()
    };
    let first = token();
    let _two = up(&temp.path().join("two"), "127.0.1.2", Some(&first));
    let _three = up(&temp.path().join("three"), "127.0.1.3", Some(&token()));
    wait_for("three nodes with every partition", Duration::from_secs(60), || {
        let output = run(&["cluster", "status", "--json"], None);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        (status["partitions"]["full"] == 64 && status["nodes"].as_array()?.len() == 3).then_some(())
    });
    println!("{}", text(&run(&["cluster", "status"], None).stdout));

    // A token is used up by joining, and is not needed to come back.
    let mut stranger = up(&temp.path().join("four"), "127.0.1.4", Some(&first));
    let status = wait_for("the used token to be refused", Duration::from_secs(30), || stranger.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let why = std::fs::read_to_string(temp.path().join("four/up.log")).unwrap();
    assert!(why.contains("token"), "{why}");

    // One that says a wrong address is told so; with the right one it takes part.
    let five = temp.path().join("five");
    let wrong = up_at(&five, "127.0.1.5", "127.0.1.9", Some(&token()));
    wait_for("the wrong address to be told", Duration::from_secs(60), || {
        let said = std::fs::read_to_string(five.join("up.log")).unwrap_or_default();
        said.contains("does not reach this node at 127.0.1.9:7071").then_some(())
    });
    let said = text(&run(&["cluster", "status"], None).stdout);
    assert!(said.contains("does not answer (127.0.1.9:7071)") && said.contains("--advertise"), "{said}");
    drop(wrong);
    let _five = up(&five, "127.0.1.5", None);
    wait_for("it to take its share", Duration::from_secs(90), || {
        let status = run(&["cluster", "status", "--json"], None);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        let nodes = status["nodes"].as_array()?;
        nodes.iter().any(|node| node["address"] == "127.0.1.5:7071" && node["state"] == "up").then_some(())
    });
    // What the session knows are the members' addresses, and no others.
    let known = std::fs::read_to_string(home.join("credentials.json")).unwrap();
    assert!(known.contains("127.0.1.5:7070") && !known.contains("127.0.1.9"), "{known}");
}
