//! What is not in the list of files, by keys alone: versions, sharing, the trash and the settings. The focus is always to be
//! seen, and never lost.

use crate::browser::until;
use crate::demo::Demo;
use crate::page::{Page, css};
use crate::people::code;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use serde_json::json;

/// As many stops as no page has.
const STOPS_MAX: usize = 120;
const NEW: &str = "another long password";

async fn keys(page: &Page, keys: &str) {
    let one = |value: char| [KeyAction::Down { value }, KeyAction::Up { value }];
    let all = keys.chars().flat_map(one).fold(KeyActions::new("keys".into()), |all, action| all.then(action));
    page.browser.perform_actions(all).await.unwrap();
}

/// On with Tab until that has the focus; on the way, every stop shows that it has it.
async fn to(page: &Page, what: &str) {
    page.there(what).await;
    let look = r"
        const it = document.activeElement;
        const box = it.getBoundingClientRect();
        const seen = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
        const { outlineStyle, outlineWidth } = getComputedStyle(it);
        const told = it.matches(':focus-visible') && outlineStyle !== 'none' && parseFloat(outlineWidth) > 0;
        // Of a date, the browser shows which part has it.
        const fine = it === document.body || (seen && (told || it.type === 'date'));
        return [it.matches(arguments[0]), fine, it.outerHTML.slice(0, 200)];";
    for _ in 0..STOPS_MAX {
        keys(page, &Key::Tab.to_string()).await;
        let stop = page.run(look, vec![json!(css(what))]).await;
        assert_eq!(stop[1], json!(true), "the focus is not to be seen: {stop}");
        if stop[0] == json!(true) {
            return;
        }
    }
    panic!("no way to {what} by keys; the page says {}", page.text("body").await);
}

async fn press(page: &Page, what: &str) {
    to(page, what).await;
    keys(page, &Key::Enter.to_string()).await;
}

async fn fill(page: &Page, what: &str, words: &str) {
    to(page, what).await;
    keys(page, words).await;
}

/// Waits until the focus is on something of the kind.
async fn focused(page: &Page, what: &str) {
    let script = "const it = document.activeElement; return [it.matches(arguments[0]), it.outerHTML.slice(0, 200)]";
    let look = async || page.run(script, vec![json!(css(what))]).await;
    until(&format!("the focus on {what}"), look, |seen| seen[0] == json!(true)).await;
}

/// In the pane beside the list: an earlier version comes back, a link is made, and the focus returns to the list.
async fn pane(page: &Page) {
    page.row("notes.txt").await;
    keys(page, &format!("{}i", Key::Home)).await;
    page.there("#pane[open] @version:nth-child(2)").await;
    press(page, "#pane @version:nth-child(2) @version-restore").await;
    page.says("@toast", "current one again").await;
    assert_eq!(page.words_in("/notes.txt").await.as_deref(), Some("first"));
    focused(page, "#pane @version-restore").await;
    keys(page, &Key::Escape.to_string()).await;
    page.gone("#pane").await;
    focused(page, "#entries *").await;
    keys(page, "l").await;
    page.there("#pane[open] @share-form").await;
    fill(page, "#pane @share-password", "six words are enough").await;
    press(page, "#pane @share-submit").await;
    page.says("#pane @link-words", "asks for a password").await;
    focused(page, "#pane @link-address").await;
    page.picture("shared by keys").await;
    press(page, "#pane @link-revoke").await;
    page.gone("#pane @link-revoke").await;
    focused(page, "#pane input").await;
    keys(page, &Key::Escape.to_string()).await;
    page.gone("#pane").await;
    focused(page, "#entries *").await;
}

/// Thrown away, restored; thrown away, and gone.
async fn trash(page: &Page) {
    keys(page, &Key::Delete.to_string()).await;
    page.names("@entry", &["papers.txt"]).await;
    press(page, "@to-trash").await;
    press(page, "@trashed[data-name='notes.txt'] @restore").await;
    page.says("@done", "Restored to My Drive/notes.txt").await;
    press(page, "@home").await;
    page.row("notes.txt").await;
    keys(page, &format!("{}{}", Key::Home, Key::Delete)).await;
    page.names("@entry", &["papers.txt"]).await;
    press(page, "@to-trash").await;
    press(page, "@trashed summary").await;
    keys(page, &Key::Escape.to_string()).await;
    focused(page, "@trashed summary").await;
    keys(page, &Key::Enter.to_string()).await;
    press(page, "@purge").await;
    page.says("@done", "Removed for good").await;
    page.there("@trash-nothing").await;
}

/// The password, the second factor, and a device's password, made and taken back.
async fn settings(page: &Page, password: &str) {
    press(page, "@user").await;
    fill(page, "@password-old", password).await;
    fill(page, "@password-new", NEW).await;
    fill(page, "@password-again", NEW).await;
    press(page, "@password-submit").await;
    page.there("@done").await;

    press(page, "@sections a[href='/settings/security']").await;
    fill(page, "@factor-password", NEW).await;
    press(page, "@factor-begin-submit").await;
    page.there("@qr svg").await;
    let secret = page.text("@factor-secret").await.replace(' ', "");
    fill(page, "@factor-code", &code(&secret, 0)).await;
    press(page, "@factor-confirm-submit").await;
    let recovery = page.there("@secret").await.text().await.unwrap();
    press(page, "@back").await;
    fill(page, "@factor-password", NEW).await;
    fill(page, "@factor-code", &recovery).await;
    press(page, "@factor-off").await;
    page.there("@factor-begin").await;

    press(page, "@sections a[href='/settings/devices']").await;
    fill(page, "@connect-label", "Tablet").await;
    press(page, "@connect-submit").await;
    page.there("@secret").await;
    press(page, "@back").await;
    press(page, "@app-passwords form button").await;
    page.there("@done").await;
    page.gone("@app-passwords").await;
}

#[test]
fn versions_links_the_trash_and_the_settings_are_used_by_the_keyboard_alone() {
    let demo = Demo::small();
    let (name, password) = demo.user();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (notes, papers) = (base.join("notes.txt"), base.join("papers.txt"));
    std::fs::write(&papers, "papers").unwrap();
    std::fs::write(&notes, "first").unwrap();
    demo.ok(&["upload", notes.to_str().unwrap(), papers.to_str().unwrap(), "/"]);
    std::fs::write(&notes, "second").unwrap();
    demo.ok(&["upload", notes.to_str().unwrap(), "/", "--force"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let page = Page::open(&demo, false, None).await;
        page.sign_in(&name, &password).await;
        pane(&page).await;
        trash(&page).await;
        settings(&page, &password).await;
        page.browser.close().await.unwrap();
    });
}
