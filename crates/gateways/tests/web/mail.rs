//! Forgotten passwords, over the wire to a relay and back: pages, JSON, and relays that behave badly.

use crate::world::{Browser, PASSWORD, World, encode};
use atoll_gateways::SmtpMailer;
use hyper::StatusCode;
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How a relay behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Takes,
    /// Refuses whom the mail is for, for good.
    Refuses,
    /// Says nothing.
    Silent,
    /// Says things without end.
    Endless,
    /// Ends the connection in the middle of the mail.
    HangsUp,
    /// Offers no STARTTLS.
    InTheOpen,
}

/// A mail as it arrived.
#[derive(Debug)]
struct Mail {
    to: String,
    text: String,
}

impl Mail {
    /// The link in it, as a path.
    fn link(&self) -> String {
        let plain = self.text.replace("=\r\n", "").replace("=3D", "=");
        let at = plain.find("https://cloud.example/").unwrap_or_else(|| panic!("{plain}"));
        let link = plain[at..].lines().find(|line| line.contains("/re")).unwrap_or_else(|| panic!("{plain}"));
        let link = &link[link.find("https://cloud.example/").unwrap()..];
        link.trim().trim_start_matches("https://cloud.example").to_string()
    }
}

/// A server of mail on this machine that speaks what is needed of RFC 5321.
struct Relay {
    port: u16,
    mails: mpsc::UnboundedReceiver<Mail>,
    serving: JoinHandle<()>,
}

impl Relay {
    async fn start(manner: Manner) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, mails) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let send = send.clone();
                tokio::spawn(async move { drop(talk(stream, manner, send).await) });
            }
        });
        Relay { port, mails, serving }
    }

    async fn mail(&mut self) -> Mail {
        tokio::time::timeout(Duration::from_secs(30), self.mails.recv()).await.expect("no mail came").unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn talk(stream: TcpStream, manner: Manner, mails: mpsc::UnboundedSender<Mail>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if manner == Manner::Silent {
        std::future::pending::<()>().await;
    }
    if manner == Manner::Endless {
        loop {
            stream.write_all(b"220-and one thing more\r\n").await?;
        }
    }
    stream.write_all(b"220 relay.example ESMTP\r\n").await?;
    let (mut line, mut to) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250-relay.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
            // \0cloud\0open
            "AUTH" if line.trim_end() == "AUTH PLAIN AGNsb3VkAG9wZW4=" => b"235 welcome\r\n",
            "AUTH" => b"535 5.7.8 who are you\r\n",
            "RCPT" if manner == Manner::Refuses => b"550 5.1.1 no such mailbox\r\n",
            "RCPT" => {
                to = line["RCPT TO:<".len()..].split('>').next().unwrap_or_default().to_string();
                b"250 ok\r\n"
            }
            "DATA" if manner == Manner::HangsUp => return stream.write_all(b"354 go on\r\n").await,
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut text).await?;
                }
                let _ = mails.send(Mail { to: to.clone(), text });
                b"250 taken\r\n"
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).await?;
    }
}

/// A world that sends mail, as nodes do.
async fn sending() -> (World, JoinHandle<()>) {
    let world = World::new().await;
    world.apps.accounts.send_by(Arc::new(SmtpMailer::default()));
    let postman = world.apps.accounts.spawn_postman(Duration::from_millis(200));
    (world, postman)
}

fn settings(port: u16) -> serde_json::Value {
    json!({
        "host": "127.0.0.1", "port": port, "tls": "none", "user": "cloud", "password": "open",
        "from": "Our cloud <cloud@example.org>", "site": "https://cloud.example",
    })
}

async fn set_relay(ada: &Browser<'_>, settings: serde_json::Value) {
    let set = ada.json("PUT", "/api/v1/settings/mail", settings).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{}", set.text());
}

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_by_pages() {
    let (world, postman) = sending().await;
    let mut relay = Relay::start(Manner::Takes).await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let stranger = world.stranger();
    // Nothing of it is offered before mail is sent.
    assert!(!stranger.get("/login").await.text().contains("/forgot"));
    assert_eq!(stranger.get("/forgot").await.status, StatusCode::CONFLICT);
    assert_eq!(stranger.form("/forgot", "who=ben").await.status, StatusCode::CONFLICT);
    assert!(!ben.get("/settings").await.text().contains("recovery-form"));
    // The relay, by the page.
    let port = relay.port.to_string();
    let typed = [
        ("host", "127.0.0.1"),
        ("port", &port),
        ("tls", "none"),
        ("user", "cloud"),
        ("password", "open"),
        ("from", "Our cloud <cloud@example.org>"),
        ("site", "https://cloud.example/"),
    ];
    let set = ada.form("/people/mail", &form(&typed)).await;
    assert_eq!(set.header("location"), "/people/mail?done=saved", "{}", set.text());
    let page = ada.get("/people/mail").await;
    assert!(
        page.text().contains("Our cloud &#60;cloud@example.org&#62;") && !page.text().contains("open\""),
        "{}",
        page.text()
    );
    let tested = ada.form("/people/mail/test", "to=ada%40example.net").await;
    assert_eq!(tested.header("location"), "/people/mail?done=tested", "{}", tested.text());
    let mail = relay.mail().await;
    assert!(mail.to == "ada@example.net" && mail.text.contains("From: \"Our cloud\" <cloud@example.org>"), "{mail:?}");
    // An address, confirmed: not by who only looks at the link.
    let wrong = ben.form("/settings/recovery", &form(&[("address", "ben@example.net"), ("password", "wrong")])).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let asked = ben.form("/settings/recovery", &form(&[("address", "ben@example.net"), ("password", PASSWORD)])).await;
    assert_eq!(asked.header("location"), "/settings?done=mailed", "{}", asked.text());
    let mail = relay.mail().await;
    let link = mail.link();
    assert!(mail.to == "ben@example.net" && link.starts_with("/recovery/"), "{mail:?}");
    for _ in 0..2 {
        let shown = stranger.get(&link).await;
        assert!(shown.status == StatusCode::OK && shown.text().contains("ben@example.net"), "{}", shown.text());
    }
    assert!(ben.get("/settings").await.text().contains("data-testid=\"recovery-pending\""));
    assert_eq!(stranger.form(&link, "").await.status, StatusCode::OK);
    assert_eq!(stranger.form(&link, "").await.status, StatusCode::NOT_FOUND);
    assert!(ben.get("/settings").await.text().contains("ben@example.net, confirmed"));
    let person = ada.get("/people/of/ben").await;
    assert!(person.text().contains("Confirmed") && !person.text().contains("ben@example.net"), "that, not which");
    // Forgotten.
    assert!(stranger.get("/login").await.text().contains("href=\"/forgot\""));
    let mut answers = Vec::new();
    for who in ["nobody", "nobody@example.net", "ben"] {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", &*format!("http://{}", world.host)),
            // Who asks says where the pages are: nobody listens.
            ("x-forwarded-host", "evil.example"),
        ];
        let answer = world.send("POST", "/forgot", &headers, form(&[("who", who)])).await;
        assert_eq!(answer.status, StatusCode::OK);
        answers.push(answer.text().to_string());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "the same for everybody");
    let mail = relay.mail().await;
    let link = mail.link();
    assert!(link.starts_with("/reset/") && !mail.text.contains("evil.example") && !mail.text.contains("127.0.0.1"));
    let new = form(&[("password", "a wholly new password"), ("again", "a wholly new password")]);
    assert_eq!(ben.get("/settings").await.status, StatusCode::OK, "until then all is as it was");
    assert_eq!(stranger.form(&link, &new).await.status, StatusCode::OK);
    assert_eq!(stranger.form(&link, &new).await.status, StatusCode::NOT_FOUND, "once");
    // Other nodes forget what they knew within two seconds; this one at once.
    assert_eq!(ben.get("/settings").await.status, StatusCode::SEE_OTHER, "sessions end");
    let session =
        stranger.json("POST", "/api/v1/session", json!({"name": "ben", "password": "a wholly new password"})).await;
    assert_eq!(session.status, StatusCode::OK, "{}", session.text());
    assert!(relay.mails.try_recv().is_err(), "nobody else was written to");
    // No mail any more.
    assert_eq!(ada.form("/people/mail/off", "").await.header("location"), "/people/mail?done=removed");
    assert!(!stranger.get("/login").await.text().contains("/forgot"));
    postman.abort();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_by_json_and_in_german() {
    let (world, postman) = sending().await;
    let mut relay = Relay::start(Manner::Takes).await;
    let (ada, ben, stranger) = (world.browser("ada").await, world.browser("ben").await, world.stranger());
    set_relay(&ada, settings(relay.port)).await;
    let shown = ada.get("/api/v1/settings/mail").await.json();
    assert!(shown["relay"]["host"] == "127.0.0.1" && shown["relay"]["password"].is_null(), "{shown}");
    assert_eq!(ben.get("/api/v1/settings/mail").await.status, StatusCode::FORBIDDEN);
    let german = [("content-type", "application/json"), ("accept-language", "de")];
    let body = json!({"address": "ben@example.net", "password": PASSWORD}).to_string();
    let asked = ben.send("PUT", "/api/v1/me/recovery", &german, body).await;
    assert!(asked.status == StatusCode::OK && asked.json()["pending"] == "ben@example.net", "{}", asked.text());
    let mail = relay.mail().await;
    assert!(mail.text.contains("Subject: ") && mail.text.contains("Guten Tag"), "{mail:?}");
    let secret = mail.link().rsplit('/').next().unwrap().to_string();
    let found = stranger.json("POST", "/api/v1/links/check", json!({"secret": secret})).await.json();
    assert_eq!((found["purpose"].as_str(), found["address"].as_str()), (Some("address"), Some("ben@example.net")));
    let confirmed = stranger.json("POST", "/api/v1/links/confirm", json!({"secret": secret})).await;
    assert_eq!((confirmed.status, confirmed.json()["name"].as_str()), (StatusCode::OK, Some("ben")));
    assert_eq!(ada.get("/api/v1/users/ben").await.json()["recovery"], true);
    let forgotten = stranger.json("POST", "/api/v1/links/forgotten", json!({"who": "BEN@example.net"})).await;
    assert_eq!(forgotten.status, StatusCode::ACCEPTED);
    let secret = relay.mail().await.link().rsplit('/').next().unwrap().to_string();
    let reset = json!({"secret": secret, "password": "a wholly new password"});
    assert_eq!(stranger.json("POST", "/api/v1/links/reset", reset).await.status, StatusCode::OK);
    for bad in ["not an address", "a@x\r\nRCPT TO:<eve@x>", ""] {
        let set = ada.json("PUT", "/api/v1/me/recovery", json!({"address": bad, "password": PASSWORD})).await;
        assert_eq!(set.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    postman.abort();
    world.stop().await;
}

/// Whatever a relay does: the administrator is told what it was, soon, and nothing is held up.
#[tokio::test(flavor = "multi_thread")]
async fn relays_that_behave_badly_are_told_of() {
    let (world, postman) = sending().await;
    let ada = world.browser("ada").await;
    for (manner, tls, told) in [
        (Manner::Refuses, "none", "550 5.1.1 no such mailbox"),
        (Manner::HangsUp, "none", "the relay"),
        (Manner::Endless, "none", "does not speak SMTP"),
        (Manner::InTheOpen, "starttls", "no STARTTLS"),
        (Manner::Takes, "implicit", "TLS with the relay failed"),
        (Manner::Silent, "none", "did not answer within 20 seconds"),
    ] {
        let relay = Relay::start(manner).await;
        let mut wanted = settings(relay.port);
        wanted["tls"] = tls.into();
        set_relay(&ada, wanted).await;
        let began = Instant::now();
        let tested = ada.json("POST", "/api/v1/settings/mail/test", json!({"to": "ada@example.net"})).await;
        let message = tested.json()["error"]["message"].as_str().unwrap().to_string();
        assert_eq!((tested.status, tested.kind().as_str()), (StatusCode::BAD_GATEWAY, "mail_not_sent"), "{manner:?}");
        assert!(message.contains(told), "{manner:?}: {message}");
        assert!(began.elapsed() < Duration::from_secs(60), "{manner:?}");
        let state = ada.get("/api/v1/settings/mail").await.json();
        assert!(state["failure"].as_str().is_some_and(|failure| failure.contains(told)), "{state}");
        assert!(ada.get("/people/mail").await.text().contains(told), "{manner:?}");
    }
    // A wrong password, and nobody there.
    let relay = Relay::start(Manner::Takes).await;
    let mut wrong = settings(relay.port);
    wrong["password"] = "shut".into();
    set_relay(&ada, wrong).await;
    let tested = ada.json("POST", "/api/v1/settings/mail/test", json!({"to": "ada@example.net"})).await;
    assert!(tested.text().contains("535 5.7.8 who are you"), "{}", tested.text());
    let port = relay.port;
    drop(relay);
    set_relay(&ada, settings(port)).await;
    let tested = ada.json("POST", "/api/v1/settings/mail/test", json!({"to": "ada@example.net"})).await;
    assert_eq!(tested.status, StatusCode::BAD_GATEWAY, "{}", tested.text());
    postman.abort();
    world.stop().await;
}

/// A relay that people have, which wants TLS and a password; `./test.sh` installs it.
struct Aiosmtpd {
    port: u16,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    _input: ChildStdin,
    _child: Child,
}

impl Aiosmtpd {
    async fn start(certificate: &Path, key: &Path) -> Aiosmtpd {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = tests.join("../../target/smtp/bin/python");
        assert!(python.exists(), "{} is missing: ./test.sh installs it", python.display());
        let mut command = Command::new(python);
        command.arg(tests.join("tests/web/relay.py")).args([certificate, key]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut relay = Aiosmtpd { port: 0, lines: BufReader::new(output).lines(), _input: input, _child: child };
        relay.port = relay.line().await.parse().unwrap();
        relay
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line()).await;
        line.expect("no mail came").unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_wants_tls_and_a_password_takes_mails() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let mut relay = Aiosmtpd::start(&certificate, &key).await;
    let world = World::new().await;
    world.apps.accounts.send_by(Arc::new(SmtpMailer::trusting(vec![own.cert.der().clone()])));
    let postman = world.apps.accounts.spawn_postman(Duration::from_millis(200));
    let (ada, stranger) = (world.browser("ada").await, world.stranger());
    let mut wanted = settings(relay.port);
    (wanted["host"], wanted["tls"]) = ("localhost".into(), "starttls".into());
    set_relay(&ada, wanted.clone()).await;
    let asked =
        ada.json("PUT", "/api/v1/me/recovery", json!({"address": "ada@example.net", "password": PASSWORD})).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text());
    let mail: serde_json::Value = serde_json::from_str(&relay.line().await).unwrap();
    assert_eq!((mail["tls"].as_bool(), mail["authenticated"].as_bool()), (Some(true), Some(true)), "{mail}");
    assert_eq!((&mail["from"], &mail["to"]), (&json!("cloud@example.org"), &json!(["ada@example.net"])));
    let text = mail["text"].as_str().unwrap().to_string();
    let link = Mail { to: String::new(), text }.link();
    assert_eq!(stranger.form(&link, "").await.status, StatusCode::OK);
    // With another password, and under a name that its certificate has not.
    let test = async |wanted: serde_json::Value| {
        set_relay(&ada, wanted).await;
        ada.json("POST", "/api/v1/settings/mail/test", json!({"to": "ada@example.net"})).await.text().to_string()
    };
    let mut wrong = wanted.clone();
    wrong["password"] = "shut".into();
    let said = test(wrong).await;
    assert!(said.contains("does not take the name and the password: 535"), "{said}");
    wanted["host"] = "127.0.0.1".into();
    let said = test(wanted).await;
    assert!(said.contains("TLS with the relay failed"), "{said}");
    postman.abort();
    world.stop().await;
}
