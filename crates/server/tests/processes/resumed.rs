//! Uploads in parts in a real browser: a page that was left goes on where it was, and a pause keeps what is there.

use crate::browser::{SOON, browser, sign_in, until};
use crate::demo::Demo;
use crate::dropped::drop_folder;
use crate::page::tray as dropped;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// Four parts.
const BYTES: u32 = 60 * 1024 * 1024;

/// Requests for parts beyond `held` stay on their way, as over a line that is dead. What was sent is told in `sent`.
const LINE: &str = r"
    window.held = arguments[0];
    window.sent = [];
    const { open, send } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.open = function (method, url) {
        this.part = Number(/\/parts\/(\d+)\?/.exec(url)?.[1] ?? 0);
        return open.call(this, method, url);
    };
    XMLHttpRequest.prototype.send = function (body) {
        if (this.part > window.held) {
            this.abort = () => this.dispatchEvent(new Event('abort'));
            return;
        }
        if (this.part > 0) window.sent.push(this.part);
        send.call(this, body);
    };";

/// The parts of the upload that this browser remembers; null: there is none, or the server has lost it.
const PARTS: &str = r"
    const done = arguments[0];
    const key = Object.keys(localStorage).find(one => one.startsWith('atoll-upload-'));
    if (!key) done(null);
    else {
        const kept = JSON.parse(localStorage[key]);
        const path = encodeURIComponent(kept.path);
        fetch(`${kept.api}/uploads/${kept.upload}?path=${path}&name=${path}`).then(async answer => {
            const told = await answer.json();
            done(answer.ok ? { upload: kept.upload, parts: told.parts.map(one => one.number).sort() } : null);
        });
    }";

/// How the first upload is, what its row says, and what is in the page's messages.
const ROW: &str = r"
    const row = document.querySelector('[data-testid=upload-item]');
    return [row?.dataset.state, row?.querySelector('[data-testid=upload-state]').textContent,
        document.getElementById('toasts').textContent];";

async fn run(browser: &Client, script: &str, with: Vec<Value>) -> Value {
    browser.execute(script, with).await.unwrap()
}

/// Waits until the first upload is in that state; what its row says then, and the messages.
async fn state(browser: &Client, state: &str) -> (String, String) {
    let row = until(state, async || run(browser, ROW, vec![]).await, |row| row[0] == state).await;
    (row[1].as_str().unwrap().into(), row[2].as_str().unwrap().into())
}

/// Waits until the server has these parts; the upload's name.
async fn parts(browser: &Client, parts: &[u32]) -> String {
    let look = async || browser.execute_async(PARTS, vec![]).await.unwrap();
    let told = until(&format!("{parts:?}"), look, |told| told["parts"] == json!(parts)).await;
    told["upload"].as_str().unwrap().into()
}

async fn press(browser: &Client, test_id: &str) {
    let button = format!("[data-testid={test_id}]");
    browser.wait().at_most(SOON).for_element(Locator::Css(&button)).await.unwrap().click().await.unwrap();
}

async fn choose(browser: &Client, input: &str, file: &Path) {
    let input = format!("[data-testid={input}]");
    let input = browser.wait().at_most(SOON).for_element(Locator::Css(&input)).await.unwrap();
    input.send_keys(file.to_str().unwrap()).await.unwrap();
}

/// Leaves the page in the midst of the upload, and opens it again with such a line.
async fn reload(browser: &Client, held: u32) {
    browser.refresh().await.unwrap();
    let ready = Locator::Css("html[data-ready=true]");
    browser.wait().at_most(SOON).for_element(ready).await.unwrap();
    run(browser, LINE, vec![json!(held)]).await;
}

/// A guest who knows the password has what everybody has: several files at once, folders, a pause, and a page that was left.
#[test]
fn what_a_guest_hands_in_goes_on_after_a_pause_and_a_reload() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let bytes: Vec<u8> = (0..BYTES).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let (file, back) = (base.join("film.bin"), base.join("back.bin"));
    std::fs::write(&file, &bytes).unwrap();
    demo.ok(&["mkdir", "/box"]);
    let mut share = demo.command(&["share", "/box", "--drop-box", "--password", "--json"]);
    let link = share.env("ATOLL_NEW_PASSWORD", "swordfish").output().unwrap();
    let link: Value = serde_json::from_slice(&link.stdout).unwrap();
    let address = link["address"].as_str().unwrap().to_string();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        browser.goto(&address).await.unwrap();
        // Once for the page and what its scripts ask.
        let password = Locator::Css("[data-testid=guest-password]");
        browser.find(password).await.unwrap().send_keys("swordfish").await.unwrap();
        press(&browser, "guest-password-submit").await;
        browser.wait().at_most(SOON).for_element(Locator::Css("#hand-in")).await.unwrap();
        reload(&browser, 2).await;
        choose(&browser, "guest-files", &file).await;
        press(&browser, "guest-send").await;
        let upload = parts(&browser, &[1, 2]).await;
        // Others do not wait for it.
        drop_folder(&browser, &[]).await;
        dropped(&browser, &["deep.txt: saved", "film.bin: sending", "high.txt: saved", "low.txt: saved"]).await;
        press(&browser, "tray-pause").await;
        assert_eq!(state(&browser, "paused").await.0, "Paused · 53 %");
        run(&browser, "window.held = 3;", vec![]).await;
        press(&browser, "tray-pause").await;
        assert_eq!(parts(&browser, &[1, 2, 3]).await, upload, "it is the same upload");
        assert_eq!(run(&browser, "return window.sent;", vec![]).await, json!([1, 2, 3]), "no part is sent twice");

        reload(&browser, 9).await;
        assert_eq!(state(&browser, "interrupted").await.0, "Interrupted at 80 %. Choose the file again to go on.");
        choose(&browser, "upload-chosen", &file).await;
        assert_eq!(state(&browser, "saved").await.0, "Saved");
        assert_eq!(run(&browser, "return window.sent;", vec![]).await, json!([4]), "no part is sent twice");
        assert_eq!(browser.execute_async(PARTS, vec![]).await.unwrap(), Value::Null, "it is still remembered");

        // What was sent from here is sent again only if that is wanted.
        drop_folder(&browser, &[]).await;
        dropped(&browser, &["deep.txt: exists", "film.bin: saved", "high.txt: exists", "low.txt: exists"]).await;
        press(&browser, "apply-to-all").await;
        press(&browser, "upload-skip").await;
        dropped(&browser, &["deep.txt: skipped", "film.bin: saved", "high.txt: skipped", "low.txt: skipped"]).await;
        browser.close().await.unwrap();
    });
    demo.ok(&["download", "/box/film.bin", back.to_str().unwrap()]);
    assert!(std::fs::read(&back).unwrap() == bytes, "other bytes came back");
    let names = |folder: &str| -> Vec<String> {
        let listed: Vec<Value> = serde_json::from_str(&demo.ok(&["ls", "--json", folder])).unwrap();
        let mut names: Vec<String> = listed.iter().map(|it| it["name"].as_str().unwrap().to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names("/box"), ["film.bin", "tides"]);
    assert_eq!(names("/box/tides"), ["deep", "high.txt", "low.txt"]);
}

#[test]
fn an_upload_goes_on_after_a_reload_and_after_a_pause_with_the_parts_that_are_missing() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let bytes: Vec<u8> = (0..BYTES).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let (file, other, back) = (base.join("film.bin"), base.join("other/film.bin"), base.join("back.bin"));
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(&other, b"another film").unwrap();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        sign_in(&browser, &web, &name, &password).await;
        reload(&browser, 2).await;
        choose(&browser, "upload-input", &file).await;
        let upload = parts(&browser, &[1, 2]).await;

        // Of 60 MiB, 32 are there.
        reload(&browser, 3).await;
        let (words, _) = state(&browser, "interrupted").await;
        assert_eq!(words, "Interrupted at 53 %. Choose the file again to go on.");

        // Another file is told apart, and nothing is lost by it.
        choose(&browser, "upload-chosen", &other).await;
        let begun = Instant::now();
        while !state(&browser, "interrupted").await.1.contains("This is not “film.bin”") {
            assert!(begun.elapsed() < SOON, "nothing is said of another file");
        }

        choose(&browser, "upload-chosen", &file).await;
        assert_eq!(parts(&browser, &[1, 2, 3]).await, upload, "it is the same upload");
        state(&browser, "sending").await;
        press(&browser, "upload-pause").await;
        let (words, _) = state(&browser, "paused").await;
        assert_eq!(words, "Paused · 80 %");
        let focus = "const it = document.activeElement; return [it.dataset.testid, it.getAttribute('aria-label')];";
        assert_eq!(run(&browser, focus, vec![]).await, json!(["upload-pause", "Go on"]));
        assert_eq!(parts(&browser, &[1, 2, 3]).await, upload, "what is there stays there");

        run(&browser, "window.held = 9;", vec![]).await;
        press(&browser, "tray-pause").await;
        let (words, _) = state(&browser, "saved").await;
        assert!(words.starts_with("Saved"), "{words}");
        assert_eq!(run(&browser, "return window.sent;", vec![]).await, json!([3, 4]), "no part is sent twice");
        assert_eq!(browser.execute_async(PARTS, vec![]).await.unwrap(), Value::Null, "it is still remembered");

        // What nobody wants to go on with is given up on the server, too.
        std::fs::write(base.join("draft.bin"), &bytes[..40 << 20]).unwrap();
        reload(&browser, 1).await;
        choose(&browser, "upload-input", &base.join("draft.bin")).await;
        let draft = parts(&browser, &[1]).await;
        reload(&browser, 0).await;
        state(&browser, "interrupted").await;
        press(&browser, "upload-discard").await;
        let gone = Locator::Css("[data-testid=tray][hidden]");
        browser.wait().at_most(SOON).for_element(gone).await.unwrap();
        assert_eq!(browser.execute_async(PARTS, vec![]).await.unwrap(), Value::Null, "it is still remembered");
        let script = "const [upload, done] = arguments; \
                      fetch(`/api/v1/drive/uploads/${upload}?path=/draft.bin`).then(answer => done(answer.status));";
        assert_eq!(browser.execute_async(script, vec![json!(draft)]).await.unwrap(), json!(404), "it is still kept");
        browser.close().await.unwrap();
    });
    demo.ok(&["download", "/film.bin", back.to_str().unwrap()]);
    assert!(std::fs::read(&back).unwrap() == bytes, "other bytes came back");
    assert!(
        !demo.run(&["download", "/draft.bin", back.to_str().unwrap()]).status.success(),
        "what was discarded is there"
    );
}
