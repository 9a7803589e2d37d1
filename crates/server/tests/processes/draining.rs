//! A machine leaves: everything moves off it under load, and it can't come back.

use crate::demo::{Demo, text, wait_for};
use crate::load::Load;
use serde_json::Value;
use std::time::Duration;

#[test]
fn a_node_is_drained_under_load_and_removed_for_good() {
    let demo = Demo::start_spread(4);
    let source = demo.folder.parent().unwrap().join("files");
    std::fs::create_dir_all(&source).unwrap();
    let content = |n: usize| format!("file {n} ").repeat(50_000 * (n % 4) + 10).into_bytes();
    for n in 0..40 {
        std::fs::write(source.join(format!("{n}.txt")), content(n)).unwrap();
    }
    demo.ok(&["upload", source.to_str().unwrap(), "/"]);
    let load = Load::start(&demo, 4, 4);
    // The one that is missed most: it leads, it votes, and the others heard of everything from it.
    let nodes = demo.nodes();
    let leads = |node: &Value| node["roles"].as_array().unwrap().contains(&"leader".into());
    let index = nodes.iter().position(leads).expect("a leader");
    let gone = (index + 1).to_string();
    let gone = gone.as_str();
    let json = |words: &[&str]| -> Value { serde_json::from_str(&demo.ok(words)).unwrap() };

    // First the plan: it moves just what is there, and changes nothing.
    let plan = json(&["cluster", "drain", gone, "--plan", "--json"]);
    let held = plan["nodes"][index]["before"].as_u64().unwrap();
    assert!(held > 0, "{plan}");
    assert_eq!((plan["copies"].as_u64(), plan["safe"].as_bool()), (Some(held), Some(true)), "{plan}");
    assert_eq!(json(&["cluster", "layout", "--json"])["nodes"][index]["draining"], false);
    // It can't go while it holds anything.
    let refused = demo.command(&["cluster", "remove", gone]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("still holds"), "{}", text(&refused.stderr));

    // Begun and taken back, then begun again and waited for.
    demo.ok(&["cluster", "drain", gone, "--detach"]);
    demo.ok(&["cluster", "drain", gone, "--cancel"]);
    demo.ok(&["cluster", "drain", gone]);
    let layout = json(&["cluster", "layout", "--json"]);
    for partition in layout["partitions"].as_array().unwrap() {
        let members: Vec<u64> =
            partition["members"].as_array().unwrap().iter().map(|member| member[0].as_u64().unwrap()).collect();
        assert!(!members.contains(&(index as u64 + 1)) && members.len() == 3, "{partition}");
    }
    // A plan that was made before something changed is not carried out.
    let stale = plan["layout"].to_string();
    let stale = demo.command(&["cluster", "layout", "--capacity", "1=50", "--apply", "--at", &stale]).output().unwrap();
    assert!(text(&stale.stderr).contains("look at the plan again"), "{}", text(&stale.stderr));

    demo.ok(&["cluster", "remove", gone]);
    wait_for("the removed node to stop by itself", Duration::from_secs(30), || {
        (!demo.nodes()[index]["pid"].is_number()).then_some(())
    });
    let status = json(&["cluster", "status", "--json"]);
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
    let seen = load.end();
    assert!(seen.longest < Duration::from_secs(30));

    // It does not come back.
    assert!(demo.refused(gone.parse().unwrap()).is_some());
    assert_eq!(json(&["cluster", "status", "--json"])["nodes"].as_array().unwrap().len(), 3);

    // Everything is there, and a node may be lost.
    demo.kill(if index == 1 { 3 } else { 2 });
    let back = demo.folder.parent().unwrap().join("back");
    std::fs::create_dir_all(&back).unwrap();
    demo.ok(&["download", "/files", back.to_str().unwrap()]);
    for n in 0..40 {
        assert_eq!(std::fs::read(back.join(format!("files/{n}.txt"))).unwrap(), content(n), "file {n}");
    }
}
