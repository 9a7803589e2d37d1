//! Every node is stopped cleanly and started again, one after the other, while clients write and read:
//! no request may fail.

use crate::demo::{Demo, On};
use crate::load::Load;
use std::time::{Duration, Instant};

#[test]
fn a_rolling_restart_under_load_loses_no_request() {
    restart_each(On::Raft);
}

#[test]
fn a_rolling_restart_under_load_loses_no_request_on_zookeeper() {
    restart_each(On::ZooKeeper);
}

fn restart_each(on: On) {
    let demo = Demo::start_on(on, 3);
    let load = Load::start(&demo, 6, 3);
    for node in 1..=3u16 {
        let pid = demo.nodes()[node as usize - 1]["pid"].as_i64().expect("it runs") as i32;
        let begun = Instant::now();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        crate::demo::wait_for("the node to end", Duration::from_secs(60), || {
            (!demo.nodes()[node as usize - 1]["pid"].is_number()).then_some(())
        });
        let stopped = begun.elapsed();
        demo.start_node(node);
        demo.wait_whole(3);
        println!("node {node} stopped within {stopped:?}, was whole again after {:?}", begun.elapsed());
    }
    load.end();
}
