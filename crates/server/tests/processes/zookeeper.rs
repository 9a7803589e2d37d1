//! A cluster that keeps its metadata in ZooKeeper: what it says when the ensemble is away, that it comes back
//! by itself, and that nobody can start it with another place.

use crate::demo::{Demo, On, atoll, text, wait_for};
use std::time::Duration;

/// Refuses to start, and says why.
fn refused(words: &[&str]) -> String {
    let output = atoll().args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn an_ensemble_that_is_away_is_waited_for_and_its_place_is_the_only_one() {
    let mut demo = Demo::start_on(On::ZooKeeper, 3);
    demo.ok(&["table", "create", "notes"]);
    demo.ok(&["kv", "put", "greeting", "hello there", "--table", "notes"]);
    let ensemble = demo.ensemble.take().unwrap();
    (0..3).for_each(|server| ensemble.kill_server(server));
    // While leases hold it serves; then it says what is wrong, and changes nothing.
    wait_for("the leases to run out", Duration::from_secs(30), || {
        demo.nodes().iter().all(|node| node["caught_up"] != true).then_some(())
    });
    let output = demo.command(&["kv", "put", "late", "1", "--table", "notes"]).output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("ZooKeeper"), "{}", text(&output.stderr));
    (0..3).for_each(|server| ensemble.start_server(server));
    assert!(ensemble.answers());
    demo.wait_whole(3);
    assert_eq!(demo.ok(&["kv", "get", "greeting", "--table", "notes"]).trim_end(), "hello there");
    demo.ok(&["kv", "put", "late", "2", "--table", "notes"]);

    demo.acted(&["stop"]);
    wait_for("the supervisor to end", Duration::from_secs(30), || demo.status().is_none().then_some(()));
    let data = demo.folder.join("node-1");
    let data = data.to_str().unwrap();
    let elsewhere = ensemble.address("/elsewhere");
    for other in ["raft", &elsewhere] {
        let error = refused(&["up", "--listen", "127.0.1.9", "--data", data, "--coordination", other]);
        assert!(error.contains("keeps its metadata in zookeeper://") && error.contains(other), "{error}");
    }
    // Nor does a new cluster take that place.
    let stranger = tempfile::tempdir().unwrap();
    let place = ensemble.address("/demo");
    let folder = stranger.path().to_str().unwrap();
    let error = refused(&["up", "--listen", "127.0.1.9", "--data", folder, "--coordination", &place]);
    assert!(error.contains("another cluster"), "{error}");

    demo.come_back();
    demo.wait_whole(3);
    assert_eq!(demo.ok(&["kv", "get", "late", "--table", "notes"]).trim_end(), "2");
    demo.ensemble = Some(ensemble);
}
