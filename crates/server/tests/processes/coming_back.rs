//! A demo that was stopped comes back with its data.

use crate::demo::Demo;
use std::time::Duration;

#[test]
fn a_stopped_demo_comes_back_with_its_data() {
    let mut demo = Demo::start(3);
    demo.ok(&["table", "create", "notes"]);
    demo.ok(&["kv", "put", "greeting", "hello there", "--table", "notes"]);
    demo.acted(&["stop"]);
    crate::demo::wait_for("the supervisor to end", Duration::from_secs(20), || demo.status().is_none().then_some(()));
    demo.come_back();
    demo.wait_whole(3);
    assert_eq!(demo.ok(&["kv", "get", "greeting", "--table", "notes"]).trim_end(), "hello there");
}
