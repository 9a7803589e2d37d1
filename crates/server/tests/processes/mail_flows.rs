//! Mail by its pages alone: an administrator names a relay, somebody confirms an address, and comes in again who forgot the
//! password. The relay is one that people have (aiosmtpd, which `./test.sh` installs).

use crate::accessibility::{axe, findings};
use crate::account_flows::sign_in_form;
use crate::browser::{SOON, until};
use crate::demo::Demo;
use crate::page::Page;
use crate::people::Person;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

const FIRST: &str = "a long enough password";
const PASSWORD: &str = "another long password";

struct Relay {
    child: Child,
    port: String,
    /// Each mail as it came.
    mails: Receiver<String>,
}

impl Relay {
    fn start() -> Relay {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(here.join("../../target/smtp/bin/python"));
        command.arg(here.join("../gateways/tests/web/relay.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("./test.sh installs aiosmtpd");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.next().expect("a port");
        let (send, mails) = channel();
        std::thread::spawn(move || lines.try_for_each(|mail| send.send(mail)));
        Relay { child, port, mails }
    }

    /// To whom the next mail is, and what it says.
    fn mail(&self) -> (String, String) {
        let mail = self.mails.recv_timeout(SOON).expect("no mail came");
        let mail: Value = serde_json::from_str(&mail).unwrap();
        assert_eq!(mail["from"], "cloud@example.org");
        let text = mail["text"].as_str().unwrap().replace("=\r\n", "").replace("=3D", "=");
        (mail["to"][0].as_str().unwrap().to_string(), text)
    }

    /// The link in the next mail, which is to that address.
    fn link(&self, to: &str, site: &str) -> String {
        let (whom, text) = self.mail();
        assert_eq!(whom, to);
        let mut lines = text.lines().map(str::trim);
        let link = lines.find(|line| line.starts_with(site) && line.len() > site.len() + 10);
        link.unwrap_or_else(|| panic!("no link in {text}")).to_string()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page as it is to be looked at, by axe as well.
async fn look(page: &Page, name: &str) {
    page.picture(name).await;
    let found = findings(&page.browser, &axe()).await;
    assert!(found.is_empty(), "{name}: {found:?}");
}

/// The relay: first one at which nobody is, which is said.
async fn relay_set(page: &Page, relay: &Relay, site: &str) {
    page.go("/people/mail").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let set = async |port: &str, password: &str| {
        page.fill("@mail-host", "127.0.0.1").await;
        page.fill("@mail-port", port).await;
        page.press("@mail-tls-none").await;
        page.fill("@mail-user", "cloud").await;
        page.fill("@mail-password", password).await;
        page.fill("@mail-from", "Our cloud <cloud@example.org>").await;
        page.fill("@mail-site", site).await;
        page.press("@mail-save").await;
        page.there("@done").await;
        page.fill("@mail-test-to", "ada@example.net").await;
        page.press("@mail-test").await;
    };
    set(&free, "open").await;
    page.there("@form-error").await;
    look(page, "a relay that does not answer").await;
    set(&relay.port, "shut").await;
    page.says("@form-error", "535").await;
    set(&relay.port, "open").await;
    page.says("@done", "The relay has taken the test message").await;
    assert_eq!(relay.mail().0, "ada@example.net");
    look(page, "mail").await;
}

/// An address counts once its owner has opened the link that came there.
async fn confirmed(page: &Page, relay: &Relay, site: &str) {
    page.go("/settings").await;
    let ask = async |password: &str| {
        page.fill("@recovery-address", "cleo@example.net").await;
        page.fill("@recovery-password", password).await;
        page.press("@recovery-submit").await;
    };
    ask("not the password").await;
    page.there("@form-error").await;
    ask(FIRST).await;
    page.says("@done", "A link is mailed to that address").await;
    page.says("@recovery-pending", "cleo@example.net waits to be confirmed").await;
    look(page, "an address that waits").await;
    let link = relay.link("cleo@example.net", site);
    page.go(&link).await;
    look(page, "confirm an address").await;
    page.press("@recovery-confirm").await;
    page.says("@message", "The address is confirmed").await;
    page.go("/settings").await;
    page.says("@recovery-now", "cleo@example.net, confirmed").await;
    page.gone("@recovery-pending").await;
    look(page, "an address that is confirmed").await;
}

/// From "Forgot your password?" into the drive.
async fn forgotten(page: &Page, relay: &Relay, site: &str) {
    page.press("@sign-out").await;
    page.press("@forgot").await;
    look(page, "forgot the password").await;
    page.fill("@forgot-who", "cleo").await;
    page.press("@forgot-submit").await;
    page.says("@message", "Look into your mailbox").await;
    let link = relay.link("cleo@example.net", site);
    page.go(&link).await;
    page.fill("@reset-password", PASSWORD).await;
    page.fill("@reset-again", "something else").await;
    page.press("@reset-submit").await;
    page.there("@form-error").await;
    look(page, "a new password").await;
    page.fill("@reset-password", PASSWORD).await;
    page.fill("@reset-again", PASSWORD).await;
    page.press("@reset-submit").await;
    page.says("body", "Your password is changed").await;
    sign_in_form(page, "cleo", FIRST).await;
    page.there("@form-error").await;
    sign_in_form(page, "cleo", PASSWORD).await;
    page.there("main#drive").await;
    // It works once.
    page.go(&link).await;
    page.gone("@reset-form").await;
    page.there("@message").await;
}

#[test]
fn who_forgot_the_password_comes_in_again_by_mail() {
    let demo = Demo::small();
    let (name, password) = demo.user();
    let cleo = Person { demo: &demo, home: demo.folder.with_file_name("home") };
    let made = cleo.run_with(&["user", "add", "cleo", "--password-stdin"], FIRST, &[]);
    assert!(made.status.success(), "{made:?}");
    let (relay, site) = (Relay::start(), demo.web());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let page = Page::open(&demo, true, Some(390)).await;
        page.go("/login").await;
        page.there("@login-form").await;
        page.gone("@forgot").await;
        page.sign_in(&name, &password).await;
        relay_set(&page, &relay, &site).await;
        page.press("@sign-out").await;
        page.sign_in("cleo", FIRST).await;
        confirmed(&page, &relay, &site).await;
        forgotten(&page, &relay, &site).await;

        page.forget_me().await;
        page.sign_in(&name, &password).await;
        page.go("/people/mail").await;
        page.press("@mail-off").await;
        page.there("@done").await;
        page.gone("@mail-test").await;
        page.press("@sign-out").await;
        page.there("@login-form").await;
        let offered = async || {
            page.go("/login").await;
            json!(page.text("@forgot").await)
        };
        until("mail no longer offered", offered, |words| words == "").await;
        page.browser.close().await.unwrap();
    });
}
