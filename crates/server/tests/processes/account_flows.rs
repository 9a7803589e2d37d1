//! Accounts, devices, links, shared drives and quotas by their pages alone: on a phone in dark colours, and on a desktop in light ones.

use crate::browser::until;
use crate::demo::{Demo, text};
use crate::page::{Page, tray};
use crate::people::{Person, code};
use serde_json::json;
use std::path::Path;
use std::process::Command;

const FIRST: &str = "a long enough password";
const PASSWORD: &str = "another long password";

async fn sign_out(page: &Page) {
    page.press("@sign-out").await;
    page.there("@login-form").await;
}

pub async fn sign_in_form(page: &Page, name: &str, password: &str) {
    page.go("/login").await;
    page.fill("@login-name", name).await;
    page.fill("@login-password", password).await;
    page.press("@login-submit").await;
}

/// An administrator lets anybody sign up, and somebody does.
async fn sign_up(page: &Page) {
    page.go("/people/rules").await;
    page.picture("rules").await;
    page.press("@sign-up-open").await;
    page.press("@rules-save").await;
    page.there("@done").await;
    sign_out(page).await;
    page.picture("sign in").await;
    page.press("@sign-up").await;
    page.fill("@join-name", "cleo").await;
    page.fill("@join-display", "Cleo").await;
    page.fill("@join-password", FIRST).await;
    page.fill("@join-again", "something else").await;
    page.press("@join-submit").await;
    page.there("@form-error").await;
    page.picture("sign up").await;
    page.fill("@join-password", FIRST).await;
    page.fill("@join-again", FIRST).await;
    page.press("@join-submit").await;
    page.there("main#drive").await;
    sign_out(page).await;
    sign_in_form(page, "cleo", "a wrong password").await;
    page.there("@form-error").await;
    page.picture("a wrong password").await;
    page.sign_in("cleo", FIRST).await;
}

/// The password is changed, another session ended; a second factor is asked for from then on, and turned off by a code kept for that.
async fn safety(page: &Page, by_command: impl Fn(&[&str], &str) -> bool) {
    page.press("@user").await;
    page.picture("settings").await;
    let change = async |old: &str| {
        page.fill("@password-old", old).await;
        page.fill("@password-new", PASSWORD).await;
        page.fill("@password-again", PASSWORD).await;
        page.press("@password-submit").await;
    };
    change("not the old one").await;
    page.there("@form-error").await;
    change(FIRST).await;
    page.there("@done").await;
    assert!(!by_command(&["login", "--user", "cleo", "--password-stdin"], FIRST));
    assert!(by_command(&["login", "--user", "cleo", "--password-stdin"], PASSWORD));
    assert!(by_command(&["whoami"], ""));
    page.go("/settings/devices").await;
    page.there("@sessions li:nth-child(2)").await;
    page.picture("sessions").await;
    page.press("@sessions form button").await;
    page.there("@done").await;
    page.gone("@sessions li:nth-child(2)").await;
    assert!(!by_command(&["whoami"], ""), "a session that was ended goes on");

    page.go("/settings/security").await;
    page.fill("@factor-password", PASSWORD).await;
    page.press("@factor-begin-submit").await;
    page.there("@qr svg").await;
    page.picture("second factor").await;
    let secret = page.text("@factor-secret").await.replace(' ', "");
    page.fill("@factor-code", &code(&secret, 0)).await;
    page.press("@factor-confirm-submit").await;
    page.there("@secrets li:nth-child(8)").await;
    page.picture("recovery codes").await;
    let recovery = page.text("@secret").await;
    page.press("@back").await;
    page.there("@factor-state").await;
    sign_out(page).await;
    sign_in_form(page, "cleo", PASSWORD).await;
    page.there("@login-code").await;
    page.picture("a code is asked for").await;
    page.fill("@login-code", "000000").await;
    page.press("@login-submit").await;
    page.there("@form-error").await;
    if page.text("@login-form").await.contains("Password") {
        sign_in_form(page, "cleo", PASSWORD).await;
    }
    page.fill("@login-code", &code(&secret, 1)).await;
    page.press("@login-submit").await;
    page.there("main#drive").await;
    page.go("/settings/security").await;
    page.fill("@factor-password", PASSWORD).await;
    page.fill("@factor-code", &recovery).await;
    page.press("@factor-off").await;
    page.there("@factor-begin").await;
}

/// A program gets a password of its own, which works until it is taken away.
async fn device(page: &Page) {
    page.go("/settings/devices").await;
    page.fill("@connect-label", "Tablet").await;
    page.set("@connect-protocol", "webdav").await;
    page.press("@connect-submit").await;
    let secret = page.there("@secret").await.text().await.unwrap();
    let address = page.text(".facts code").await;
    page.picture("a device").await;
    let asked = || {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PROPFIND", "-H", "Depth: 0"]);
        text(&curl.args(["-u", &format!("cleo:{secret}"), &address]).output().unwrap().stdout)
    };
    assert_eq!(asked(), "207", "{address}");
    page.press("@back").await;
    page.picture("devices").await;
    page.press("@app-passwords form button").await;
    page.there("@done").await;
    page.gone("@app-passwords").await;
    assert_eq!(asked(), "401");
}

/// What a link leads to, for whom it is and for whom it is not; gives the links' addresses: for one download, to a box, and over.
async fn share(page: &Page) -> [String; 3] {
    page.go("/").await;
    page.of_menu("song.txt", "share").await;
    page.fill("#pane[open] @share-password", "short").await;
    page.press("#pane @share-submit").await;
    page.there("#pane @form-error").await;
    page.fill("#pane @share-password", "six words are enough").await;
    let tomorrow = page.run("return new Date(Date.now() + 864e5).toISOString().slice(0, 10)", vec![]).await;
    page.set("#pane @share-expires", tomorrow.as_str().unwrap()).await;
    page.fill("#pane @share-downloads", "1").await;
    page.picture("share").await;
    page.press("#pane @share-submit").await;
    page.says("#pane @link-words", "asks for a password").await;
    page.says("#pane @link-words", "0 of 1 downloads").await;
    page.picture("shared").await;
    let address = "return document.querySelector('#pane [data-testid=link-address]').value";
    let song = page.run(address, vec![]).await.as_str().unwrap().to_string();
    page.press("@pane-close").await;

    page.press("@new-folder").await;
    page.fill("#ask[open] @ask-input", "Letters").await;
    page.press("@ask-submit").await;
    page.row("Letters").await;
    page.of_menu("Letters", "share").await;
    page.set("#pane[open] @share-mode", "drop_box").await;
    page.fill("#pane @share-bytes", "1M").await;
    page.press("#pane @share-submit").await;
    page.says("#pane @link-words", "0 B of 1.0 MB received").await;
    let letters = page.run(address, vec![]).await.as_str().unwrap().to_string();
    page.press("@pane-close").await;

    // By the page, a link lasts a day at least.
    let soon = page.run("return Date.now() + 8000", vec![]).await;
    let over = page.json("POST", "/drive/links", json!({"path": "/song.txt", "expires": soon})).await;
    [song, letters, over["link"]["address"].as_str().unwrap_or_else(|| panic!("{over}")).to_string()]
}

/// The links as somebody uses them who has no account.
async fn guest(page: &Page, [song, letters, over]: &[String; 3], letter: &Path) {
    page.forget_me().await;
    let ask = async |password: &str| {
        page.fill("@guest-password", password).await;
        page.press("@guest-password-submit").await;
    };
    page.go(song).await;
    page.picture("a link's password").await;
    ask("a wrong guess").await;
    page.there("@form-error").await;
    page.gone("@guest-file").await;
    ask("six words are enough").await;
    page.there("@guest-file").await;
    page.picture("guest").await;
    page.press("@guest-download").await;
    assert_eq!(page.downloaded("song.txt").await, b"la la la");
    // Somebody else comes too late. Who was let in is remembered under the link's address alone.
    page.browser.delete_all_cookies().await.unwrap();
    page.go(song).await;
    ask("six words are enough").await;
    page.there("@link-over").await;
    page.picture("used up").await;

    page.go(letters).await;
    page.picture("drop box").await;
    page.there("html[data-ready]").await;
    page.choose("@guest-files", &[letter]).await;
    page.press("@guest-send").await;
    page.says("@upload-state", "Saved").await;
    page.picture("handed in").await;
    let look = async || {
        page.go(over).await;
        json!(page.text("@link-over").await)
    };
    until("over by its time", look, |text| text != "").await;
}

/// A shared drive: its maker lets somebody look, then change, and in the end it goes.
async fn shared(page: &Page, (other, password): (&str, &str)) {
    page.go("/drives").await;
    page.fill("@make-drive input[name=name]", "Tea club").await;
    page.press("@make-drive button[type=submit]").await;
    page.there("@drive").await;
    page.press("@to-members").await;
    let add = async |role: &str| {
        page.fill("@add-member-name", other).await;
        page.set("@add-member-role", role).await;
        page.press("@add-member-submit").await;
        page.there(&format!("@member[data-name={other}]")).await;
    };
    page.fill("@add-member-name", "nobody-at-all").await;
    page.press("@add-member-submit").await;
    page.there("@form-error").await;
    add("view").await;
    page.picture("members").await;
    sign_out(page).await;

    page.sign_in(other, password).await;
    page.go("/drives").await;
    page.picture("shared drives").await;
    page.press("@shared-drive[data-name='Tea club'] @shared-drive-link").await;
    page.there("@drive").await;
    page.gone("@upload").await;
    page.gone("@new-folder").await;
    page.picture("only to look at").await;
    page.press("@to-members").await;
    page.press("@leave-drive").await;
    page.gone("@leave-drive").await;
    page.go("/drives").await;
    page.there("@drives-none").await;
    page.gone("@shared-drive[data-name='Tea club']").await;
    // An administrator as well, who gives the other less room.
    page.go("/people/of/cleo").await;
    page.fill("@person-quota", "50K").await;
    page.press("@person-save").await;
    page.there("@done").await;
    page.picture("a person").await;
    sign_out(page).await;

    page.sign_in("cleo", PASSWORD).await;
    page.go("/drives").await;
    page.press("@shared-drive-link").await;
    page.press("@to-members").await;
    page.gone(&format!("@member[data-name={other}]")).await;
    add("edit").await;
    let role = format!("@member[data-name={other}] @member-role");
    page.set(&role, "view").await;
    let chosen = "return document.querySelector(`[data-name=${arguments[0]}] [data-testid=member-role]`)?.value";
    until(
        "only to look at again",
        async || {
            page.go(page.browser.current_url().await.unwrap().as_str()).await;
            page.run(chosen, vec![json!(other)]).await
        },
        |value| *value == json!("view"),
    )
    .await;
    page.press(&format!("@member[data-name={other}] @member-remove")).await;
    page.gone(&format!("@member[data-name={other}]")).await;
    page.fill("@delete-drive-name", "Tea").await;
    page.press("@delete-drive").await;
    page.there("@form-error").await;
    page.fill("@delete-drive-name", "Tea club").await;
    page.press("@delete-drive").await;
    page.there("@drives-none").await;
}

/// The room that there is, is told and held to.
async fn quota(page: &Page, folder: &Path) {
    page.go("/settings").await;
    page.says("@storage", "of 50 kB used").await;
    let (large, small) = (folder.join("large.bin"), folder.join("small.bin"));
    std::fs::write(&large, vec![7; 60_000]).unwrap();
    std::fs::write(&small, vec![7; 46_000]).unwrap();
    page.go("/").await;
    page.there("html[data-ready]").await;
    page.choose("@upload-input", &[&large]).await;
    tray(&page.browser, &["large.bin: failed"]).await;
    page.says("@upload-state", "10 kB more would have to be free").await;
    page.picture("no room").await;
    page.choose("@upload-input", &[&small]).await;
    tray(&page.browser, &["large.bin: failed", "small.bin: saved"]).await;
    page.there("@usage[data-state=nearly]").await;
    page.says("@usage", "of 50 kB used").await;
    page.gone("@entry[data-name='large.bin']").await;
    page.press("#tray-close").await;
    page.picture("nearly full").await;
}

#[test]
fn somebody_signs_up_is_safe_shares_and_keeps_to_the_room_there_is() {
    by(false, None);
}

#[test]
fn somebody_signs_up_is_safe_shares_and_keeps_to_the_room_there_is_on_a_phone() {
    by(true, Some(390));
}

fn by(dark: bool, phone: Option<u32>) {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (name, password) = demo.user();
    let cleo = Person { demo: &demo, home: base.join("cleo") };
    let by_command = |words: &[&str], input: &str| cleo.run_with(words, input, &[]).status.success();
    let (song, letter) = (base.join("song.txt"), base.join("letter.txt"));
    std::fs::write(&song, "la la la").unwrap();
    std::fs::write(&letter, "dear all").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let page = Page::open(&demo, dark, phone).await;
        page.sign_in(&name, &password).await;
        sign_up(&page).await;
        page.choose("@upload-input", &[&song]).await;
        page.row("song.txt").await;
        page.picture("drive").await;
        safety(&page, by_command).await;
        device(&page).await;
        let links = share(&page).await;
        guest(&page, &links, &letter).await;
        page.sign_in("cleo", PASSWORD).await;
        page.go("/drive/Letters").await;
        page.names("@entry", &["letter.txt"]).await;
        shared(&page, (&name, &password)).await;
        quota(&page, &base).await;
        page.browser.close().await.unwrap();
    });
}
