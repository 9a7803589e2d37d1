//! What the mouse does in the drive beside clicking: a band that selects, and entries that are dragged onto folders.

use crate::browser::{SOON, browser, sign_in, until};
use crate::demo::Demo;
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::time::Duration;

/// From one point to others, with the button held; not let go yet.
async fn drag(browser: &Client, points: &[(f64, f64)]) {
    let to = |&(x, y): &(f64, f64)| PointerAction::MoveTo { duration: Some(Duration::from_millis(60)), x, y };
    let mouse = MouseActions::new("mouse".into()).then(to(&points[0]));
    let mouse = mouse.then(PointerAction::Down { button: MOUSE_BUTTON_LEFT });
    let mouse = points[1..].iter().fold(mouse, |mouse, point| mouse.then(to(point)));
    browser.perform_actions(mouse).await.unwrap();
}

async fn let_go(browser: &Client) {
    let mouse = MouseActions::new("mouse".into()).then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    browser.perform_actions(mouse).await.unwrap();
}

async fn key(browser: &Client, key: Key, down: bool) {
    let value = key.into();
    let action = if down { KeyAction::Down { value } } else { KeyAction::Up { value } };
    browser.perform_actions(KeyActions::new("keys".into()).then(action)).await.unwrap();
}

/// Where an entry is: left, the middle of its height, and right.
async fn place(browser: &Client, name: &str) -> (f64, f64, f64) {
    let script = r"
        const row = [...document.querySelectorAll('#entries .row')].find(one => one.dataset.name === arguments[0]);
        const { left, right, top, bottom } = row.getBoundingClientRect();
        return [left, (top + bottom) / 2, right];";
    let found = browser.execute(script, vec![json!(name)]).await.unwrap();
    let at = |n: usize| found[n].as_f64().unwrap_or_else(|| panic!("{name} is nowhere"));
    (at(0), at(1), at(2))
}

/// Waits until the names are those.
async fn names(browser: &Client, which: &str, expected: &[&str]) {
    let script = "return [...document.querySelectorAll(arguments[0])].map(one => one.dataset.name)";
    let look = async || browser.execute(script, vec![json!(which)]).await.unwrap();
    until(&format!("{expected:?}, which {which} are to be"), look, |now| *now == json!(expected)).await;
}

#[test]
fn a_band_selects_and_entries_are_dragged_onto_folders() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    for file in ["c.txt", "d.txt", "e.txt"] {
        std::fs::write(base.join(file), file).unwrap();
        demo.ok(&["upload", base.join(file).to_str().unwrap(), "/"]);
    }
    demo.ok(&["mkdir", "/a"]);
    demo.ok(&["mkdir", "/b"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        sign_in(&browser, &web, &name, &password).await;
        let ready = Locator::Css("html[data-ready]");
        browser.wait().at_most(SOON).for_element(ready).await.unwrap();
        let (selected, all) = ("#entries .selected", "#entries .row");
        let (left, _, right) = place(&browser, "a").await;
        let y = async |name: &str| place(&browser, name).await.1;

        // From beside the list; with Ctrl from within it; Esc takes back what the second did.
        let (c, d, e) = (y("c.txt").await, y("d.txt").await, y("e.txt").await);
        drag(&browser, &[(left - 20.0, c), (left + 5.0, c + 5.0), (left + 200.0, d)]).await;
        names(&browser, selected, &["c.txt", "d.txt"]).await;
        let_go(&browser).await;
        names(&browser, selected, &["c.txt", "d.txt"]).await;
        key(&browser, Key::Control, true).await;
        drag(&browser, &[(right - 60.0, e), (right - 40.0, e + 5.0), (right - 30.0, e)]).await;
        names(&browser, selected, &["c.txt", "d.txt", "e.txt"]).await;
        let_go(&browser).await;
        key(&browser, Key::Control, false).await;
        drag(&browser, &[(left - 20.0, c), (left + 5.0, c - 5.0), (left + 200.0, y("a").await)]).await;
        names(&browser, selected, &["a", "b", "c.txt"]).await;
        key(&browser, Key::Escape, true).await;
        key(&browser, Key::Escape, false).await;
        names(&browser, selected, &["c.txt", "d.txt", "e.txt"]).await;
        let_go(&browser).await;
        names(&browser, selected, &["c.txt", "d.txt", "e.txt"]).await;
        let bands = browser.execute("return document.querySelectorAll('.band').length", vec![]).await.unwrap();
        assert_eq!(bands, json!(0));

        // What is selected goes along; and comes back.
        let name_of = async |name: &str| {
            let (left, middle, _) = place(&browser, name).await;
            (left + 90.0, middle)
        };
        let (from, to) = (name_of("d.txt").await, name_of("b").await);
        drag(&browser, &[from, (from.0 + 12.0, from.1 - 8.0), (to.0, to.1 + 3.0), to, (to.0 + 2.0, to.1)]).await;
        names(&browser, "#entries .target", &["b"]).await;
        let upload = browser.execute("return document.getElementById('drop').hidden", vec![]).await.unwrap();
        assert_eq!(upload, json!(true), "these are no files to upload");
        let_go(&browser).await;
        names(&browser, all, &["a", "b"]).await;
        key(&browser, Key::Control, true).await;
        let z = KeyActions::new("keys".into()).then(KeyAction::Down { value: 'z' });
        browser.perform_actions(z.then(KeyAction::Up { value: 'z' })).await.unwrap();
        key(&browser, Key::Control, false).await;
        names(&browser, all, &["a", "b", "c.txt", "d.txt", "e.txt"]).await;

        // A folder onto another, and one out of it by the path. Onto itself, nothing moves.
        let (a, b) = (name_of("a").await, name_of("b").await);
        drag(&browser, &[a, (a.0 + 12.0, a.1 + 6.0), (a.0 + 14.0, a.1), (b.0, b.1 - 3.0), b, (b.0 + 2.0, b.1)]).await;
        names(&browser, "#entries .target", &["b"]).await;
        let_go(&browser).await;
        names(&browser, all, &["b", "c.txt", "d.txt", "e.txt"]).await;
        browser.goto(&format!("{web}/drive/b")).await.unwrap();
        browser.wait().at_most(SOON).for_element(ready).await.unwrap();
        let script = "const { left, top, height } = document.querySelector('#crumbs a').getBoundingClientRect(); \
                      return [left + 20, top + height / 2]";
        let crumb: Value = browser.execute(script, vec![]).await.unwrap();
        let crumb = (crumb[0].as_f64().unwrap(), crumb[1].as_f64().unwrap());
        let a = name_of("a").await;
        drag(&browser, &[a, (a.0 + 12.0, a.1 - 6.0), (crumb.0, crumb.1 + 3.0), crumb, (crumb.0 + 2.0, crumb.1)]).await;
        browser.wait().at_most(SOON).for_element(Locator::Css("#crumbs a.target")).await.unwrap();
        let_go(&browser).await;
        names(&browser, all, &[]).await;
        browser.close().await.unwrap();
    });
    assert_eq!(demo.ok(&["ls", "/"]).split_whitespace().collect::<Vec<_>>(), ["a/", "b/", "c.txt", "d.txt", "e.txt"]);
}
