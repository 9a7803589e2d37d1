//! What people do with their files, by the pages of the drive alone: on a desktop in light colours, and on a phone in dark ones.

use crate::browser::until;
use crate::demo::Demo;
use crate::page::{Page, tray};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

const THREE: [&str; 3] = ["one.txt", "three.txt", "two.txt"];

/// Writes these files, each with its name and the words in it.
fn write(folder: &Path, words: &str) -> Vec<PathBuf> {
    let one = |name: &str| {
        let file = folder.join(name);
        std::fs::write(&file, format!("{name} {words}")).unwrap();
        file
    };
    THREE.map(one).to_vec()
}

/// A button in an upload's row.
fn upload(name: &str, act: &str) -> String {
    format!("//li[@data-testid='upload-item'][.//*[@data-part='name']='{name}']//button[@data-act='{act}']")
}

/// Names that are taken: one is kept beside, one replaced, one skipped; then the same for all.
async fn conflicts(page: &Page, folder: &Path) {
    let send = async |words: &str| {
        let files = write(folder, words);
        page.choose("@upload-input", &files.iter().map(PathBuf::as_path).collect::<Vec<_>>()).await;
    };
    let again = async |words: &str| {
        page.press("#tray-close").await;
        send(words).await;
        tray(&page.browser, &["one.txt: exists", "three.txt: exists", "two.txt: exists"]).await;
    };
    send("first").await;
    tray(&page.browser, &["one.txt: saved", "three.txt: saved", "two.txt: saved"]).await;
    page.names("@entry", &THREE).await;

    again("second").await;
    page.says("@tray-title", "3 waiting for you").await;
    let rows = "return [...document.querySelectorAll('[data-testid=upload-item] [data-part=name]')].map(one => one.textContent)";
    assert_eq!(page.run(rows, vec![]).await, json!(THREE), "asked in the order in which they were chosen");
    page.picture("conflicts").await;
    page.press(&upload("one.txt", "both")).await;
    page.press(&upload("two.txt", "replace")).await;
    page.press(&upload("three.txt", "skip")).await;
    tray(&page.browser, &["one (2).txt: saved", "three.txt: skipped", "two.txt: saved"]).await;
    page.names("@entry", &["one (2).txt", "one.txt", "three.txt", "two.txt"]).await;
    let words = async |name: &str| page.words_in(&format!("/{name}")).await.unwrap_or_default();
    assert_eq!(words("one.txt").await, "one.txt first");
    assert_eq!(words("one (2).txt").await, "one.txt second");
    assert_eq!(words("two.txt").await, "two.txt second");
    assert_eq!(words("three.txt").await, "three.txt first");

    again("third").await;
    page.press("#tray-all").await;
    page.press(&upload("two.txt", "replace")).await;
    tray(&page.browser, &["one.txt: saved", "three.txt: saved", "two.txt: saved"]).await;
    page.names("@entry", &["one (2).txt", "one.txt", "three.txt", "two.txt"]).await;
    for name in THREE {
        assert_eq!(words(name).await, format!("{name} third"));
    }

    // Cancelled in the moment in which it is asked about: nobody waits for an answer then.
    again("fourth").await;
    let cancel = "document.querySelectorAll('[data-testid=upload-cancel]')[0].click()";
    page.run(cancel, vec![]).await;
    tray(&page.browser, &["one.txt: cancelled", "three.txt: exists", "two.txt: exists"]).await;
    page.press("#tray-all").await;
    page.press(&upload("two.txt", "skip")).await;
    tray(&page.browser, &["one.txt: cancelled", "three.txt: skipped", "two.txt: skipped"]).await;
    let leave = "const it = new Event('beforeunload', { cancelable: true }); window.dispatchEvent(it); return it.defaultPrevented";
    assert_eq!(page.run(leave, vec![]).await, json!(false), "the page may be left");
    assert_eq!(words("one.txt").await, "one.txt third");
    page.press("#tray-close").await;
}

fn folder_to_choose(name: &str) -> String {
    format!("//dialog[@id='choose']//button[@data-testid='choose-folder'][.//*[@data-part='name']='{name}']")
}

async fn new_folder(page: &Page, name: &str) {
    page.press("@new-folder").await;
    page.fill("#ask[open] @ask-input", name).await;
    page.press("@ask-submit").await;
}

/// Folders are made, filled by moving and copying, renamed; and what was moved is taken back.
async fn moving(page: &Page) {
    for name in ["Papers", "Maps"] {
        new_folder(page, name).await;
        page.row(name).await;
    }
    new_folder(page, "Not this").await;
    page.row("Not this").await;
    page.press("@toast:last-child @toast-action").await;
    page.gone("@entry[data-name='Not this']").await;
    new_folder(page, "Maps").await;
    page.says("@ask-error", "already").await;
    page.press("@ask-cancel").await;

    page.select(&["one.txt", "two.txt"]).await;
    page.says("@selection-count", "2 selected").await;
    page.press("@move-selected").await;
    page.says("@choose-error", "in this folder already").await;
    page.there("@choose-submit:disabled").await;
    page.picture("chooser").await;
    page.press(&folder_to_choose("Papers")).await;
    page.says("@choose-here", "Papers").await;
    page.press("@choose-submit:enabled").await;
    page.names("@entry", &["Maps", "Papers", "one (2).txt", "three.txt"]).await;
    page.picture("moved").await;
    page.press("@toast:last-child @toast-action").await;
    page.names("@entry", &["Maps", "Papers", "one (2).txt", "one.txt", "three.txt", "two.txt"]).await;
    page.of_menu("one.txt", "move").await;
    page.press(&folder_to_choose("Papers")).await;
    page.says("@choose-here", "Papers").await;
    page.press("@choose-submit:enabled").await;
    page.names("@entry", &["Maps", "Papers", "one (2).txt", "three.txt", "two.txt"]).await;

    page.of_menu("Papers", "move").await;
    page.press(&folder_to_choose("Papers")).await;
    page.says("@choose-error", "cannot go into itself").await;
    page.there("@choose-submit:disabled").await;
    page.press("@choose-cancel").await;
    page.of_menu("Papers", "copy").await;
    page.press(&folder_to_choose("Maps")).await;
    page.says("@choose-here", "Maps").await;
    page.press("@choose-submit:enabled").await;
    page.says("@toast:last-child", "Copied to My Drive/Maps/Papers").await;
    page.of_menu("Maps", "rename").await;
    page.fill("#ask[open] @ask-input", "Atlas").await;
    page.press("@ask-submit").await;
    page.names("@entry", &["Atlas", "Papers", "one (2).txt", "three.txt", "two.txt"]).await;
    page.press("@entry[data-name=Atlas] @entry-link").await;
    page.names("@entry", &["Papers"]).await;
    page.press("@entry[data-name=Papers] @entry-link").await;
    page.names("@entry", &["one.txt"]).await;
    assert_eq!(page.words_in("/Papers/one.txt").await.as_deref(), Some("one.txt third"));
}

/// What was replaced is looked at, downloaded and made the current one again; the copies are counted.
async fn versions(page: &Page, bytes: &[u8]) {
    page.go("/details?path=/two.txt").await;
    page.there("@version:nth-child(3)").await;
    page.picture("versions").await;
    page.press("@version:nth-child(3) @version-download").await;
    assert_eq!(page.downloaded("two.txt").await, b"two.txt first");
    page.press("@version:nth-child(2) @version-view").await;
    page.says("@stage-text", "two.txt second").await;
    page.picture("an earlier version").await;
    page.press("@restore-earlier").await;
    page.says("@done", "current one again").await;
    assert_eq!(page.words_in("/two.txt").await.as_deref(), Some("two.txt second"));
    page.press("@version:nth-child(3) @version-restore").await;
    let words = async || json!(page.words_in("/two.txt").await);
    until("the first version again", words, |words| words == "two.txt first").await;

    // Beside the list, of a file with blocks.
    page.go("/").await;
    page.of_menu("film.bin", "details").await;
    page.says("#pane[open] @details-copies", "1 of 1 intact").await;
    page.press("#pane @copies-verify").await;
    page.says("#pane @details-copies", "Checksums verified").await;
    page.there("#pane @versions @version").await;
    page.picture("details").await;
    page.press("@pane-close").await;
    page.gone("#pane").await;
    page.of_menu("film.bin", "download").await;
    assert!(page.downloaded("film.bin").await == bytes, "other bytes came down");
    page.of_menu("Papers", "download").await;
    page.downloaded("Papers.zip").await;
    let unzip = Command::new("unzip").arg("-p").arg(page.downloads.join("Papers.zip")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&unzip.stdout), "one.txt third");
}

/// Stars, what was done last, and the search by names and by words.
async fn finding(page: &Page) {
    page.of_menu("film.bin", "star").await;
    page.there("@entry[data-name='film.bin'] @star:not([hidden])").await;
    page.press("@toast:last-child @toast-action").await;
    page.there("@entry[data-name='film.bin'] @star[hidden]").await;
    page.of_menu("film.bin", "star").await;
    page.there("@entry[data-name='film.bin'] @star:not([hidden])").await;
    page.go("/starred").await;
    page.names("@starred-entry", &["film.bin"]).await;
    page.picture("starred").await;
    page.press("@unstar").await;
    page.there("@nothing").await;
    page.go("/recent").await;
    page.there("@recent-entry[data-name='two.txt']").await;
    page.picture("recent").await;
    page.go("/").await;
    page.fill("@filter", "PAPER\n").await;
    page.names("@found-entry", &["Papers", "Papers"]).await;
    // What is in a text is read some moments after it was put.
    let found = async || {
        page.go("/search?text=third").await;
        json!(page.text("@found-texts").await)
    };
    let texts = until("found by a word", found, |text| text.as_str().unwrap_or_default().contains("one.txt")).await;
    assert!(texts.as_str().unwrap_or_default().contains("third"), "{texts}");
    page.picture("search").await;
}

/// Deleted, restored, removed for good.
async fn trash(page: &Page) {
    page.go("/").await;
    page.of_menu("three.txt", "delete").await;
    page.gone("@entry[data-name='three.txt']").await;
    page.select(&["Atlas", "one (2).txt"]).await;
    page.press("@delete-selected").await;
    page.names("@entry", &["Papers", "film.bin", "two.txt"]).await;
    page.press("@to-trash").await;
    page.there("@trashed[data-name=Atlas]").await;
    page.picture("trash").await;
    page.press("@trashed[data-name='three.txt'] @restore").await;
    page.says("@done", "Restored to My Drive/three.txt").await;
    page.gone("@trashed[data-name='three.txt']").await;
    page.press("@trashed[data-name='one (2).txt'] summary").await;
    page.picture("for good").await;
    page.press("@trashed[data-name='one (2).txt'] @purge").await;
    page.says("@done", "Removed for good").await;
    page.names("@trashed", &["Atlas", "Not this"]).await;
    page.press("@empty-trash summary").await;
    page.press("@empty-trash-submit").await;
    page.says("@done", "The trash was emptied").await;
    page.there("@trash-nothing").await;
    page.press("@places a:first-child").await;
    page.names("@entry", &["Papers", "film.bin", "three.txt", "two.txt"]).await;
}

/// A program removes more than people would: it is held, and what it removed comes back.
async fn brake(page: &Page, demo: &Demo, folder: &Path) {
    const FILES: usize = 520;
    let many = folder.join("many");
    std::fs::create_dir(&many).unwrap();
    let names: Vec<String> = (0..FILES).map(|n| format!("/many/{n}")).collect();
    for n in 0..FILES {
        std::fs::write(many.join(n.to_string()), b"x").unwrap();
    }
    demo.ok(&["upload", &format!("{}/", many.display()), "/many"]);
    page.go("/settings/devices").await;
    page.fill("@connect-label", "Old laptop").await;
    page.set("@connect-protocol", "grpc").await;
    page.press("@connect-submit").await;
    let token = format!("{}:{}", demo.user().0, page.there("@secret").await.text().await.unwrap());
    page.picture("a device").await;
    // Without one, a token goes to the first port, where another cluster may be.
    let server = demo.grpc_addresses().join(",");
    let mut remove = demo.command(&["rm"]);
    let removed = remove.args(&names).env("ATOLL_TOKEN", token).env("ATOLL_SERVER", server).output().unwrap();
    assert!(!removed.status.success(), "all {FILES} were removed");
    let left = async || page.json("GET", "/drive/list?path=/many&limit=1000", json!(null)).await;
    let count = async || json!(left().await["entries"].as_array().map_or(0, Vec::len));
    assert_eq!(count().await, json!(FILES - 500), "{}", String::from_utf8_lossy(&removed.stderr));

    page.go("/trash").await;
    page.says("@held", "“Old laptop” removed more than usual").await;
    page.picture("held").await;
    // For some seconds at a time.
    while count().await != json!(FILES) {
        page.press("@put-back").await;
        page.says("@done", "to the trash is back").await;
    }
    assert_eq!(count().await, json!(FILES));
    page.press("@let-go").await;
    page.says("@done", "It may go on").await;
    page.gone("@held").await;
}

#[test]
fn files_are_sent_moved_found_deleted_and_brought_back() {
    by(false, None);
}

#[test]
fn files_are_sent_moved_found_deleted_and_brought_back_on_a_phone() {
    by(true, Some(390));
}

fn by(dark: bool, phone: Option<u32>) {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (name, password) = demo.user();
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let film = base.join("film.bin");
    std::fs::write(&film, &bytes).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let page = Page::open(&demo, dark, phone).await;
        page.sign_in(&name, &password).await;
        page.picture("nothing yet").await;
        conflicts(&page, &base).await;
        moving(&page).await;
        demo.ok(&["upload", film.to_str().unwrap(), "/"]);
        versions(&page, &bytes).await;
        finding(&page).await;
        trash(&page).await;
        brake(&page, &demo, &base).await;
        page.browser.close().await.unwrap();
    });
}
