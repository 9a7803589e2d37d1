//! Accounts by pages: plain forms, as a browser without scripts sends them, over a real node.

use crate::world::{Answer, Browser, PASSWORD, World, code, encode};
use hyper::StatusCode;

/// What stands between two marks, for the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from:?} in {text}")) + from.len();
    let end = text[start..].find(to).unwrap();
    &text[start..start + end]
}

/// Secrets of a page that shows them once.
fn secrets(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut parts = answer.text().split(r#"<code data-testid="secret">"#);
    parts.next();
    parts.map(|part| part.split('<').next().unwrap().to_string()).collect()
}

fn fields(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// Done: it leads to a page that says so.
async fn done(browser: &Browser<'_>, path: &str, pairs: &[(&str, &str)]) -> String {
    let answer = browser.form(path, &fields(pairs)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.text());
    let page = browser.get(answer.header("location")).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text());
    assert!(page.text().contains(r#"data-testid="done""#), "{path}: {}", page.text());
    page.text().to_string()
}

/// Not done: the page again, with what is wrong.
async fn refused(browser: &Browser<'_>, path: &str, pairs: &[(&str, &str)]) -> String {
    let answer = browser.form(path, &fields(pairs)).await;
    assert!(answer.status.is_client_error(), "{path}: {} {}", answer.status, answer.text());
    assert!(answer.text().contains(r#"data-testid="form-error""#), "{path}: {}", answer.text());
    answer.text().to_string()
}

fn path_of(address: &str) -> &str {
    &address[address.find("://").unwrap() + 3..][address[address.find("://").unwrap() + 3..].find('/').unwrap()..]
}

const PAGES: [&str; 10] = [
    "/settings",
    "/settings/security",
    "/settings/devices",
    "/settings/activity",
    "/settings/leave",
    "/people",
    "/people/invitations",
    "/people/rules",
    "/people/mail",
    "/people/log",
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_for_whom_they_are() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    for page in PAGES.iter().chain(&["/people/of/ben"]) {
        let seen = ada.get(page).await;
        assert_eq!(seen.status, StatusCode::OK, "{page}: {}", seen.text());
        assert!(seen.text().contains("<main id=\"content\""), "{page}");
        let sent_away = world.stranger().get(page).await;
        assert_eq!(sent_away.status, StatusCode::SEE_OTHER, "{page}");
        assert!(sent_away.header("location").starts_with("/login"), "{page}");
        let administrators = page.starts_with("/people");
        let others = ben.get(page).await;
        assert_eq!(others.status == StatusCode::FORBIDDEN, administrators, "{page}: {}", others.text());
        assert!(!others.text().contains("/people") || !administrators, "{page}");
    }
    // One comes back to where one wanted to be.
    let answer = world.stranger().get("/settings/devices").await;
    assert_eq!(answer.header("location"), "/login?next=%2Fsettings%2Fdevices");
    // Nobody but an administrator does any of it, by whatever form.
    for (path, body) in [
        ("/people", "name=cleo&role=administrator"),
        ("/people/of/ada", "display=x&role=user"),
        ("/people/of/ada/reset", ""),
        ("/people/of/ada/sign-out", ""),
        ("/people/of/ada/clear-factor", ""),
        ("/people/of/ada/disable", ""),
        ("/people/of/ada/remove", "again=ada"),
        ("/people/invitations", "role=administrator&days=7"),
        ("/people/invitations/take-back", "id=00"),
        ("/people/rules", "sign_up=open&users=1&days=1"),
        ("/people/mail", "host=evil.example&port=25&tls=starttls&from=a%40x&site=http%3A%2F%2Fevil.example"),
        ("/people/mail/test", "to=a%40x"),
        ("/people/mail/off", ""),
    ] {
        let answer = ben.form(path, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text());
        // And none of it from another site.
        let elsewhere = [
            ("origin", "http://evil.example"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", ada.cookie.as_str()),
        ];
        let answer = world.send("POST", path, &elsewhere, body).await;
        assert_eq!((answer.status, answer.kind().as_str()), (StatusCode::FORBIDDEN, "wrong_origin"), "{path}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_comes_and_goes() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    // Added: the link sets the password, once.
    let new = [("name", "cleo"), ("display", "Cleo"), ("role", "user"), ("quota", "2G")];
    let shown = secrets(&ada.form("/people", &fields(&new)).await);
    assert!(shown[0].starts_with(&format!("http://{}/reset/", world.host)), "{shown:?}");
    let link = path_of(&shown[0]).to_string();
    assert!(refused(&ada, "/people", &new).await.contains("cleo"));
    refused(&ada, "/people", &[("name", "dora"), ("role", "user"), ("quota", "much")]).await;
    let stranger = world.stranger();
    let form = stranger.get(&link).await;
    assert!(form.status == StatusCode::OK && form.text().contains("For cleo"), "{}", form.text());
    refused(&stranger, &link, &[("password", "one password"), ("again", "another one")]).await;
    let set = stranger.form(&link, &fields(&[("password", PASSWORD), ("again", PASSWORD)])).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    assert_eq!(stranger.get(&link).await.status, StatusCode::NOT_FOUND);
    let cleo = world.browser("cleo").await;
    assert!(cleo.get("/settings").await.text().contains("of 2.0 GB used"));

    // What each keeps, and may keep, is in the list; in the right line.
    assert!(cleo.put("/a", vec![1; 1500]).await.status.is_success());
    let list = ada.get("/people").await;
    for (name, storage) in [("ben", "0 B used"), ("cleo", "1.5 kB of 2.0 GB used")] {
        let line = between(list.text(), &format!("/people/of/{name}"), "</tr>");
        assert!(line.contains(&format!(">{storage}<")), "{line}");
    }

    // Changed, shut out, let in, sent away.
    done(&ada, "/people/of/cleo", &[("display", "Cleo <b>"), ("role", "user"), ("quota", "")]).await;
    let page = ada.get("/people").await;
    assert!(page.text().contains("Cleo &#60;b&#62;") || page.text().contains("Cleo &lt;b&gt;"), "{}", page.text());
    assert!(done(&ada, "/people/of/cleo/disable", &[]).await.contains("Disabled"));
    assert_eq!(cleo.get("/settings").await.status, StatusCode::SEE_OTHER);
    assert!(!done(&ada, "/people/of/cleo/enable", &[]).await.contains("Disabled"));
    let cleo = world.browser("cleo").await;
    done(&ada, "/people/of/cleo/sign-out", &[]).await;
    assert_eq!(cleo.get("/settings").await.status, StatusCode::SEE_OTHER);
    refused(&ada, "/people/of/cleo/remove", &[("again", "ben")]).await;
    done(&ada, "/people/of/cleo/remove", &[("again", "cleo")]).await;
    assert_eq!(ada.get("/people/of/cleo").await.status, StatusCode::NOT_FOUND);
    // The only administrator stays one.
    refused(&ada, "/people/of/ada", &[("display", "Ada"), ("role", "user"), ("quota", "")]).await;
    assert!(ada.get("/people/log?about=cleo").await.text().contains("cleo"));
    assert_eq!(ada.get("/people/of/nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.form("/people/of/ben/nothing", "").await.status, StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_by_invitation_or_by_themselves() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let shown = secrets(&ada.form("/people/invitations", "note=For+Dora&role=user&quota=&days=7").await);
    let link = path_of(&shown[0]).to_string();
    let page = ada.get("/people/invitations").await;
    assert!(page.text().contains("For Dora"));
    let mut dora = world.stranger();
    assert!(dora.get(&link).await.text().contains("You are invited"));
    refused(&dora, &link, &[("name", "Not A Name!"), ("password", PASSWORD), ("again", PASSWORD)]).await;
    refused(&dora, &link, &[("name", "ben"), ("password", PASSWORD), ("again", PASSWORD)]).await;
    let typed = fields(&[("name", "dora"), ("display", "Dora"), ("password", PASSWORD), ("again", PASSWORD)]);
    let joined = dora.form(&link, &typed).await;
    assert_eq!((joined.status, joined.header("location")), (StatusCode::SEE_OTHER, "/"));
    dora.take_cookie(&joined);
    assert_eq!(dora.get("/settings").await.status, StatusCode::OK);
    assert_eq!(world.stranger().get(&link).await.status, StatusCode::NOT_FOUND, "used");

    // Taken back.
    let shown = secrets(&ada.form("/people/invitations", "note=&role=user&days=1").await);
    let page = ada.get("/people/invitations").await.text().to_string();
    let id = between(&page, r#"name="id" value=""#, "\"");
    done(&ada, "/people/invitations/take-back", &[("id", id)]).await;
    assert_eq!(world.stranger().get(path_of(&shown[0])).await.status, StatusCode::NOT_FOUND);

    // By themselves: only once it is allowed.
    let typed = fields(&[("name", "emil"), ("password", PASSWORD), ("again", PASSWORD)]);
    assert_eq!(world.stranger().get("/sign-up").await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.stranger().form("/sign-up", &typed).await.status, StatusCode::FORBIDDEN);
    assert!(!world.stranger().get("/login").await.text().contains("/sign-up"));
    done(&ada, "/people/rules", &[("sign_up", "open"), ("quota", "1G"), ("users", "50"), ("days", "30")]).await;
    refused(&ada, "/people/rules", &[("sign_up", "open"), ("quota", "1X"), ("users", "50"), ("days", "30")]).await;
    assert!(ada.get("/people/rules").await.text().contains(r#"value="1G""#));
    assert!(world.stranger().get("/login").await.text().contains("/sign-up"));
    let mut emil = world.stranger();
    let joined = emil.form("/sign-up", &typed).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text());
    emil.take_cookie(&joined);
    assert!(emil.get("/settings").await.text().contains("of 1.0 GB used"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_looks_after_ones_own_account() {
    let world = World::new().await;
    let mut ben = world.browser("ben").await;
    assert!(done(&ben, "/settings/profile", &[("display", "Benjamin")]).await.contains("Benjamin"));
    // The password.
    let next = "another good password";
    refused(&ben, "/settings/password", &[("old", "wrong"), ("password", next), ("again", next)]).await;
    refused(&ben, "/settings/password", &[("old", PASSWORD), ("password", next), ("again", "not that")]).await;
    let other = world.browser("ben").await;
    let changed =
        ben.form("/settings/password", &fields(&[("old", PASSWORD), ("password", next), ("again", next)])).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text());
    ben.take_cookie(&changed);
    assert_eq!(ben.get("/settings").await.status, StatusCode::OK, "who changes it stays signed in");
    assert_eq!(other.get("/settings").await.status, StatusCode::SEE_OTHER);

    // The second factor.
    refused(&ben, "/settings/security/begin", &[("password", "wrong")]).await;
    let begun = ben.form("/settings/security/begin", &fields(&[("password", next)])).await;
    assert!(begun.text().contains("<svg"), "{}", begun.text());
    let secret = between(begun.text(), r#"name="secret" value=""#, "\"").to_string();
    let address = between(begun.text(), r#"name="address" value=""#, "\"").replace("&#38;", "&").replace("&amp;", "&");
    let again =
        refused(&ben, "/settings/security/confirm", &[("code", "000000"), ("secret", &secret), ("address", &address)])
            .await;
    assert!(again.contains(&secret), "after a slip it is there to try again");
    let confirm = fields(&[("code", &code(&secret, 0)), ("secret", &secret), ("address", &address)]);
    let codes = secrets(&ben.form("/settings/security/confirm", &confirm).await);
    assert!(codes.len() >= 8, "{codes:?}");
    let asked = world.stranger().form("/login", &fields(&[("name", "ben"), ("password", next)])).await;
    assert!(asked.status == StatusCode::OK && asked.text().contains("login-code"), "{}", asked.text());
    let new = ben.form("/settings/security/codes", &fields(&[("password", next), ("code", &codes[0])])).await;
    let codes = secrets(&new);
    refused(&ben, "/settings/security/off", &[("password", next), ("code", "123456")]).await;
    done(&ben, "/settings/security/off", &[("password", next), ("code", &codes[0])]).await;

    // Devices.
    let made = ben
        .form("/settings/devices/connect", &fields(&[("label", "Laptop"), ("protocol", "grpc"), ("write", "yes")]))
        .await;
    assert_eq!(secrets(&made).len(), 1);
    let server = format!("<code>{}:7070</code>", world.host.split(':').next().unwrap());
    assert!(made.text().contains(&server) && made.text().contains("authorization: Basic "), "{}", made.text());
    refused(&ben, "/settings/devices/connect", &[("label", ""), ("protocol", "grpc")]).await;
    let page = ben.get("/settings/devices").await.text().to_string();
    let id = between(&page[page.find("app-passwords").unwrap()..], r#"name="id" value=""#, "\"").to_string();
    assert!(page.contains("<strong>Laptop</strong>"));
    assert!(!done(&ben, "/settings/devices/remove", &[("id", &id)]).await.contains("<strong>Laptop"));
    refused(&ben, "/settings/devices/remove", &[("id", &id)]).await;
    let made = ben.form("/settings/devices/connect", &fields(&[("label", "Folder"), ("protocol", "webdav")])).await;
    let secret = secrets(&made)[0].clone();
    for typed in [
        format!("<code>http://{}/dav/home/</code>", world.host),
        format!("<code>dav://{}/dav/home/</code>", world.host),
        format!("<code>http://{}/dav/home/ ben {secret}</code>", world.host),
        format!("url=http://{}/dav/home vendor=owncloud user=ben pass={secret} --obscure", world.host),
    ] {
        assert!(made.text().contains(&typed), "{typed} in {}", made.text());
    }
    let made = ben.form("/settings/devices/connect", &fields(&[("label", "Backup"), ("protocol", "s3")])).await;
    let secret = secrets(&made)[0].clone();
    for typed in
        ["<code>us-east-1</code>".to_string(), "<code>ben</code>".into(), format!("AWS_SECRET_ACCESS_KEY={secret}")]
    {
        assert!(made.text().contains(&typed), "{typed} in {}", made.text());
    }
    done(&ben, "/settings/devices/sign-out-others", &[]).await;

    // What was done is told, and then all goes.
    assert!(ben.get("/settings/activity").await.text().contains("<tbody>"));
    assert!(ben.get("/settings/leave").await.text().contains("data-testid=\"goes\""));
    refused(&ben, "/settings/leave", &[("password", "wrong")]).await;
    let left = ben.form("/settings/leave", &fields(&[("password", next)])).await;
    assert_eq!((left.status, left.header("location")), (StatusCode::SEE_OTHER, "/login?done=left"));
    assert!(ben.get("/login?done=left").await.text().contains("Your account was deleted."));
    assert_eq!(ben.get("/settings").await.status, StatusCode::SEE_OTHER);
    world.stop().await;
}
