//! What somebody meets who has only the README and `--help`.

use crate::demo::{Demo, atoll, text, wait_for};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn fails(demo: &Demo, words: &[&str], code: i32, with: &str) {
    let output = demo.run(words);
    assert_eq!(output.status.code(), Some(code), "atoll {words:?}: {}", said(&output));
    assert!(said(&output).contains(with), "atoll {words:?} should say {with:?}: {}", said(&output));
}

/// `GET path`, as a monitor does; status line and body.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_string(), body.to_string())
}

#[test]
fn the_first_steps_hold_no_surprise() {
    let demo = Demo::start(1);
    // Without a table of one's own, before anything was put.
    fails(&demo, &["kv", "get", "greeting"], 1, "there is no item greeting");
    fails(&demo, &["kv", "delete", "greeting"], 1, "there is no item greeting");
    fails(&demo, &["kv", "cas", "greeting", "a", "b"], 1, "there is no such item");
    assert_eq!(demo.ok(&["kv", "size"]).trim(), "0");
    assert_eq!(demo.ok(&["kv", "scan"]), "");
    assert_eq!(demo.ok(&["kv", "scan", "greeting", "--json"]), "");
    demo.ok(&["kv", "put", "greeting", "hello"]);
    assert_eq!(demo.ok(&["kv", "get", "greeting"]), "hello");
    demo.ok(&["kv", "delete", "greeting"]);
    fails(&demo, &["kv", "delete", "greeting"], 1, "there is no item greeting");
    fails(&demo, &["kv", "get", "greeting", "--table", "other"], 1, "table");

    demo.ok(&["table", "create", "notes"]);
    fails(&demo, &["table", "delete", "notes"], 2, "--yes");
    fails(&demo, &["table", "delete", "none"], 1, "none");
    demo.ok(&["table", "delete", "notes", "--yes"]);
    fails(&demo, &["mkdir", "/a/b"], 1, "atoll mkdir -p /a/b");
    demo.ok(&["mkdir", "-p", "/a/b"]);
    demo.ok(&["completions", "bash"]);

    // One failure is told once.
    let file = demo.folder.parent().unwrap().join("one.txt");
    std::fs::write(&file, "1").unwrap();
    demo.ok(&["upload", file.to_str().unwrap()]);
    std::fs::write(&file, "2").unwrap();
    let output = demo.run(&["upload", file.to_str().unwrap()]);
    assert_eq!(said(&output).matches("differs").count(), 1, "{}", said(&output));

    // What a monitor reads, on the node and on the demo's own address.
    let node = crate::demo::bare(demo.nodes()[0]["web"].as_str().unwrap());
    for address in [node.clone(), crate::demo::bare(&demo.web())] {
        let (status, body) = get(&address, "/metrics");
        assert!(status.contains("200") && body.contains("atoll_node_lease_valid 1"), "{status}\n{body}");
        let (status, body) = get(&address, "/health");
        assert!(status.contains("200") && body.contains("\"status\":\"serving\""), "{status}\n{body}");
    }

    // By the address that the browser shows, from a place that knows of no demo.
    let (user, password) = demo.user();
    let home = tempfile::tempdir().unwrap();
    let mut login = atoll();
    login.current_dir(home.path()).env("ATOLL_CONFIG_DIR", home.path());
    login.args(["login", &format!("http://{node}"), "--user", &user, "--password-stdin"]);
    let mut login = login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(login.stdin.take().unwrap(), "{password}").unwrap();
    let output = login.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn nodes_that_are_away_cost_little_and_are_named() {
    let demo = Demo::start(3);
    for node in demo.nodes() {
        assert_eq!(node["number"], node["node_id"], "one number for people and the cluster");
    }
    let all = demo.grpc_addresses();

    // Everybody's credentials hold all addresses, whoever signed in by one of them.
    demo.ok(&["login", &all[0]]);
    let stored = std::fs::read_to_string(demo.folder.parent().unwrap().join("home/credentials.json")).unwrap();
    assert!(all.iter().all(|address| stored.contains(address)), "{stored}");

    // The first is frozen: it takes connections, and says nothing.
    demo.acted(&["pause", "1"]);
    // At the first, it may have led the others, who take their time to elect another.
    let quickest = |act: &dyn Fn()| {
        let took = |_| {
            let began = Instant::now();
            act();
            began.elapsed()
        };
        (0..3).map(took).min().unwrap()
    };
    let took = quickest(&|| drop(demo.ok(&["ls", "--server", &all.join(",")])));
    assert!(took < Duration::from_secs(4), "{took:?}: without hedging it is more than 5 s");
    // It may have led the others: from then on, every answer comes soon.
    let reachable = || demo.status()?["unreachable"].is_null().then_some(());
    wait_for("the others to go on", Duration::from_secs(30), reachable);
    let took = quickest(&|| drop(demo.act(&["status"])));
    assert!(took < Duration::from_secs(3), "{took:?}");
    println!("status with a frozen node: {took:?}");
    demo.acted(&["resume", "1"]);
    demo.wait_whole(3);

    // Somebody else has taken its port.
    demo.kill(2);
    let port = crate::demo::bare(demo.nodes()[1]["web"].as_str().unwrap());
    let squatter = TcpListener::bind(&port).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = squatter.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _gone_already = stream.write_all(answer);
        }
    });
    let output = demo.act(&["start", "2"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("in use by another program"), "the node's last words: {}", said(&output));
    // Nor is that program taken for a node by the address in front, once that has asked again.
    let web = crate::demo::bare(&demo.web());
    let answered = |_: u32| {
        let (status, body) = get(&web, "/health");
        status.contains("200") && body.contains("cluster")
    };
    wait_for("nobody else to answer for a node", Duration::from_secs(20), || (0..9).all(answered).then_some(()));

    // Most are away. What is left answers until its lease has run out.
    demo.kill(3);
    wait_for("the last one's lease to run out", Duration::from_secs(20), || {
        (demo.run(&["ls", "--server", &all.join(",")]).status.code() == Some(1)).then_some(())
    });
    let began = Instant::now();
    let output = demo.run(&["ls", "--server", &all.join(",")]);
    println!("{:?}: {}", began.elapsed(), said(&output));
    assert_eq!(output.status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(said(&output).contains("cannot serve now") && said(&output).contains(&all[2]), "{}", said(&output));
    let status = demo.act(&["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    demo.kill(1);
    let status = demo.act(&["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    assert!(said(&status).contains("no node runs"), "{}", said(&status));
}
