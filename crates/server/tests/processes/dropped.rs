//! Folders that are dropped onto the drive: what of them cannot be read, and what was deleted since.

use crate::browser::{SOON, browser, sign_in, until};
use crate::demo::Demo;
use crate::page::tray;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

/// Drops an empty folder `bay`, as [`drop_folder`] does; its first making is refused.
async fn drop_refused_folder(browser: &Client) {
    let script = r"
        const real = window.fetch;
        window.fetch = (url, init) => {
            if (!new URL(url, location).pathname.endsWith('/folder')) return real(url, init);
            window.fetch = real;
            return Promise.resolve(Response.json({ error: { kind: 'bad_request', message: 'Not now' } }, { status: 400 }));
        };
        const bay = { name: 'bay', isDirectory: true, createReader: () => ({ readEntries: (done) => done([]) }) };
        const dropped = new Event('drop', { bubbles: true, cancelable: true });
        const items = [{ webkitGetAsEntry: () => bay }];
        Object.defineProperty(dropped, 'dataTransfer', { value: { types: ['Files'], items, files: [] } });
        document.body.dispatchEvent(dropped);";
    browser.execute(script, vec![]).await.unwrap();
}

/// A folder that could not be made is made by a press, by a guest's page as by one's own.
async fn tried_again(browser: &Client) {
    drop_refused_folder(browser).await;
    tray(browser, &["bay: failed"]).await;
    // The tray may still be coming: what is not seen has no words.
    let state = Locator::Css("[data-part=state]");
    let look = async || json!(browser.find(state).await.unwrap().text().await.unwrap());
    until("told why", look, |words| words.as_str().unwrap().contains("Not now")).await;
    browser.find(Locator::Css("[data-act=retry]")).await.unwrap().click().await.unwrap();
    tray(browser, &["bay: saved"]).await;
}

/// Drops a folder `tides` with `low.txt`, `high.txt` and a folder `deep` in it. What is named in `broken` cannot be read: no
/// browser can be made to drop such a thing, so these entries stand in for its own.
pub async fn drop_folder(browser: &Client, broken: &[&str]) {
    let script = r"
        const broken = arguments[0];
        const file = (name) => ({ name, isFile: true, file: (done, fail) =>
            broken.includes(name) ? fail(new DOMException('gone', 'NotReadableError')) : done(new File([name], name, { lastModified: 1000 })) });
        const folder = (name, inside) => ({ name, isDirectory: true, createReader: () => ({ readEntries: (done, fail) =>
            broken.includes(name) ? fail(new DOMException('gone', 'NotReadableError')) : done(inside.splice(0)) }) });
        const deep = folder('deep', [file('deep.txt')]);
        const tides = folder('tides', [file('low.txt'), deep, file('high.txt')]);
        const dropped = new Event('drop', { bubbles: true, cancelable: true });
        const items = [{ webkitGetAsEntry: () => tides }];
        Object.defineProperty(dropped, 'dataTransfer', { value: { types: ['Files'], items, files: [] } });
        document.body.dispatchEvent(dropped);";
    browser.execute(script, vec![json!(broken)]).await.unwrap();
}

#[test]
fn a_dropped_folder_tells_what_could_not_be_read_and_is_made_again_when_it_was_deleted() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        sign_in(&browser, &web, &name, &password).await;
        browser.wait().at_most(SOON).for_element(Locator::Css("html[data-ready]")).await.unwrap();

        drop_folder(&browser, &["low.txt", "deep"]).await;
        tray(&browser, &["deep: failed", "high.txt: saved", "low.txt: failed"]).await;
        let again = browser.find_all(Locator::Css("[data-state=failed] [data-act=retry]")).await.unwrap();
        assert!(again.is_empty(), "there is nothing to try again");
        let words = browser.find(Locator::Css("[data-state=saved] [data-part=state]")).await.unwrap();
        assert_eq!(words.text().await.unwrap(), "Saved");

        // By somebody else, so that this page does not know.
        demo.ok(&["rm", "-r", "/tides"]);
        browser.find(Locator::Id("tray-close")).await.unwrap().click().await.unwrap();
        drop_folder(&browser, &[]).await;
        tray(&browser, &["deep.txt: saved", "high.txt: saved", "low.txt: saved"]).await;
        let listed: Vec<Value> = serde_json::from_str(&demo.ok(&["ls", "--json", "/tides"])).unwrap();
        assert_eq!(listed.len(), 3, "{listed:?}");

        browser.find(Locator::Id("tray-close")).await.unwrap().click().await.unwrap();
        tried_again(&browser).await;
        demo.ok(&["mkdir", "/box"]);
        let link: Value = serde_json::from_slice(&demo.run(&["share", "/box", "--drop-box", "--json"]).stdout).unwrap();
        browser.goto(link["address"].as_str().unwrap()).await.unwrap();
        browser.wait().at_most(SOON).for_element(Locator::Css("html[data-ready]")).await.unwrap();
        tried_again(&browser).await;
        for folder in ["/", "/box"] {
            assert!(demo.ok(&["ls", folder]).contains("bay"), "{folder}");
        }
        browser.close().await.unwrap();
    });
}
