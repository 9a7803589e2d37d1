//! Two of three machines fail: what is served, what is said, and what goes on when one comes back. And a machine
//! that never does, although partitions wait for it: it is given up, and what that may lose is said before.

use crate::demo::{Demo, On, text, wait_for};
use serde_json::Value;
use std::time::Duration;

/// As soon as any gateway answers, be it without a majority.
fn cluster_status(demo: &Demo) -> Value {
    wait_for("the status to be told", Duration::from_secs(30), || {
        let output = demo.run(&["cluster", "status", "--json"]);
        serde_json::from_slice(&output.stdout).ok()
    })
}

fn verdict(demo: &Demo) -> String {
    cluster_status(demo)["verdict"].as_str().unwrap().to_string()
}

fn put(demo: &Demo, key: &str, value: &str) {
    wait_for("a put to be acknowledged", Duration::from_secs(60), || {
        demo.run(&["kv", "put", key, value, "--table", "t"]).status.success().then_some(())
    });
}

fn get(demo: &Demo, key: &str) -> String {
    wait_for("a get to be answered", Duration::from_secs(60), || {
        let output = demo.run(&["kv", "get", key, "--table", "t"]);
        output.status.success().then(|| text(&output.stdout).trim().to_string())
    })
}

#[test]
fn one_of_three_left_serves_nothing_strong_and_says_so_and_goes_on_with_another() {
    let demo = Demo::start(3);
    demo.ok(&["table", "create", "t"]);
    assert_eq!(cluster_status(&demo)["coordination"], "raft");
    for (round, (first, second)) in [(1, 2), (2, 1), (3, 2), (1, 3)].into_iter().enumerate() {
        let between = round % 2 == 0;
        let mut value = format!("{round} before");
        put(&demo, "k", &value);
        demo.kill(first);
        if between {
            value = format!("{round} between");
            put(&demo, "k", &value);
        }
        demo.kill(second);
        let said = wait_for("the status to say that nobody serves", Duration::from_secs(30), || {
            Some(verdict(&demo)).filter(|said| said.contains("does not serve"))
        });
        assert!(said.contains(&first.to_string()) && said.contains(&second.to_string()), "{said}");
        let output = demo.run(&["kv", "get", "k", "--table", "t"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "a strong read is refused: {stderr}");
        assert!(stderr.contains("cannot serve now") && stderr.contains("bring machines back"), "{stderr}");
        let stale = demo.ok(&["kv", "get", "k", "--table", "t", "--stale"]);
        assert_eq!(stale.trim(), value, "stale reads go on");
        let output = demo.run(&["kv", "put", "k", &format!("{round} alone"), "--table", "t"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "nothing is written: {stderr}");
        assert!(stderr.contains("nothing was changed"), "{stderr}");
        // Nobody is given up as long as nobody can decide.
        let lost = first.to_string();
        assert_eq!(demo.run(&["cluster", "remove", &lost, "--lost"]).status.code(), Some(1));

        let back = if round < 2 { first } else { second };
        demo.start_node(back);
        assert_eq!(get(&demo, "k"), value, "what was acknowledged last, and nothing else");
        put(&demo, "k", &format!("{round} after"));
        demo.start_node(if back == first { second } else { first });
        demo.wait_whole(3);
        assert_eq!(get(&demo, "k"), format!("{round} after"));
    }
}

#[test]
fn the_last_machine_that_was_written_to_is_given_up_only_when_the_loss_is_accepted() {
    // In ZooKeeper, so that one machine of three is enough to decide.
    let demo = Demo::start_on(On::ZooKeeper, 3);
    assert!(cluster_status(&demo)["coordination"].as_str().unwrap().starts_with("zookeeper://"));
    demo.ok(&["table", "create", "t"]);
    put(&demo, "k", "of three");
    demo.kill(3);
    put(&demo, "k", "of two");
    demo.kill(2);
    let said = wait_for("the last copies to be known", Duration::from_secs(60), || {
        Some(verdict(&demo)).filter(|said| said.contains("64 of 64 partitions can only be read"))
    });
    assert!(said.contains("needs 2 copies"), "{said}");
    let output = demo.run(&["kv", "put", "k", "of one", "--table", "t"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("nothing was written"), "{}", text(&output.stderr));
    assert_eq!(get(&demo, "k"), "of two");
    let remove = |more: &[&str]| demo.run(&[&["cluster", "remove", "1", "--lost"], more].concat());
    let output = remove(&[]);
    assert!(!output.status.success() && text(&output.stderr).contains("answers"), "{}", text(&output.stderr));

    demo.kill(1);
    demo.start_node(3);
    // Node 3 lacks the last write: it waits. So does the sessions' partition: nobody can be recognised.
    let data = |node: u16| demo.folder.join(format!("node-{node}")).to_str().unwrap().to_string();
    let waits = |node: u16| {
        wait_for("node 1 to be waited for", Duration::from_secs(60), || {
            let output = demo.run(&["cluster", "status", "--json", "--data", &data(node)]);
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            let said = status["verdict"].as_str()?.to_string();
            let next = format!("--lost --plan --data {}", data(node));
            (said.contains("wait for node 1") && said.contains(&next)).then_some(said)
        })
    };
    println!("{}", waits(3));
    let output = remove(&["--plan"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("atoll cluster remove 1 --lost --plan --data DIR"), "{stderr}");
    // By the folder of the machine that is lost, too, while another member runs.
    println!("{}", waits(1));
    let remove = |more: &[&str]| {
        let data = data(3);
        demo.run(&[&["cluster", "remove", "1", "--lost", "--data", &data], more].concat())
    };
    let output = remove(&["--accept-data-loss"]);
    assert!(text(&output.stderr).contains("node 2 is down and may hold"), "{}", text(&output.stderr));
    demo.start_node(2);
    waits(2);
    let plan = wait_for("everybody to say what is held", Duration::from_secs(60), || {
        let output = remove(&["--plan", "--json"]);
        let plan: Value = serde_json::from_slice(&output.stdout).ok()?;
        (plan["begins"].as_array()?.len() == 64).then_some(plan)
    });
    assert_eq!((plan["safe"].as_bool(), plan["applied"].as_bool()), (Some(false), Some(false)), "{plan}");
    assert!(plan["begins"].as_array().unwrap().iter().all(|one| one["may_lose"] == true), "{plan}");
    let output = remove(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--accept-data-loss"), "{}", text(&output.stderr));
    waits(3);
    let output = remove(&["--accept-data-loss"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    println!("{}", text(&output.stdout));
    // As it happens, node 2 was of every acknowledged write.
    assert_eq!(get(&demo, "k"), "of two");
    put(&demo, "k", "without node 1");
    demo.wait_whole(2);
    assert_eq!(get(&demo, "k"), "without node 1");
    let log = |node: u16| std::fs::read_to_string(demo.folder.join(format!("node-{node}.log"))).unwrap();
    let recorded = |node: &str| node.contains("removed from the cluster by command") && node.contains("data folder");
    assert!((2..=3).any(|node| recorded(&log(node))), "the leader's log says what was done, and by whom");
    // What was given up does not come back.
    let _ = demo.act(&["start", "1"]);
    wait_for("node 1 to hear that it was removed", Duration::from_secs(60), || {
        log(1).contains("removed from its cluster").then_some(())
    });
    assert_eq!(get(&demo, "k"), "without node 1");
    let output = demo.run(&["cluster", "status", "--data", &data(1)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("removed from its cluster"), "{}", text(&output.stderr));
    demo.ok(&["cluster", "status"]);
}
