//! Accounts by JSON, over a real node: each route, and who is refused.

use crate::world::{Answer, Browser, PASSWORD, World, code};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ok(browser: &Browser<'_>, method: &str, path: &str, body: Value) -> Value {
    let answer = browser.json(method, &format!("/api/v1{path}"), body).await;
    assert!(answer.status.is_success(), "{method} {path}: {} {:?}", answer.status, answer.body);
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

async fn refused(browser: &Browser<'_>, method: &str, path: &str, body: Value, status: u16, kind: &str) -> Answer {
    let answer = browser.json(method, &format!("/api/v1{path}"), body).await;
    assert_eq!((answer.status.as_u16(), answer.kind().as_str()), (status, kind), "{method} {path}: {:?}", answer.body);
    answer
}

/// The routes as the description has them: method, path with names filled in.
async fn described(world: &World) -> Vec<(String, String, bool)> {
    let answer = world.send("GET", "/api/v1/openapi.json", &[], "").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let description = answer.json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3."));
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{name}", "ben").replace("{id}", "0011223344556677");
            let path = path.replace("{drive}", "00112233445566778899aabbccddeeff");
            let open = operation["security"].as_array().is_some_and(|ways| ways.iter().any(|way| *way == json!({})));
            routes.push((method.to_uppercase(), path, open));
        }
    }
    assert!(routes.len() >= 95, "{routes:?}");
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_described_and_closed_to_those_who_may_not() {
    let world = World::new().await;
    let ben = world.browser("ben").await;
    let administrators = ["/users", "/invitations", "/settings", "/audit"];
    for (method, path, open) in described(&world).await {
        let body = json!({
            "name": "x", "password": "x", "display": "x", "old": "x", "new": "x", "code": "x", "secret": "x",
            "challenge": "x", "label": "x", "protocols": ["imap"], "sign_up": "open", "audit_days": 1, "users_max": 1,
            "host": "x", "port": 1, "tls": "implicit", "from": "x@x", "site": "https://x", "to": "x@x", "who": "x",
        });
        let url = format!("/api/v1{path}");
        if (method.as_str(), path.as_str()) == ("DELETE", "/session") {
            continue; // Harmless to strangers, and the end of the one who tries.
        }
        if !open {
            let answer = world.stranger().json(&method, &url, body.clone()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}: {:?}", answer.body);
        }
        if administrators.iter().any(|closed| path.starts_with(closed)) {
            let answer = ben.json(&method, &url, body.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.kind().as_str()), (403, "forbidden"), "{method} {path}");
        }
        if method != "GET" {
            // Another site's page, with the person's cookie.
            let headers = [
                ("cookie", ben.cookie.as_str()),
                ("origin", "http://evil.example"),
                ("content-type", "application/json"),
            ];
            let answer = world.send(&method, &url, &headers, body.to_string()).await;
            assert_eq!(answer.kind(), "wrong_origin", "{method} {path}");
            let answer = ben.send(&method, &url, &[("content-type", "application/json")], "{").await;
            assert!(!answer.status.is_server_error(), "{method} {path}: {:?}", answer.body);
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_looks_after_ones_own_account() {
    let world = World::new().await;
    let mut ben = world.browser("ben").await;
    assert_eq!(ok(&ben, "PATCH", "/me", json!({"display": "Benjamin"})).await["display"], "Benjamin");
    let me = ok(&ben, "GET", "/me", json!({})).await;
    assert_eq!(
        (&me["user"]["name"], &me["second_factor"]["on"], &me["quota"]),
        (&json!("ben"), &json!(false), &Value::Null)
    );

    // The second factor.
    refused(&ben, "POST", "/me/second-factor", json!({"password": "wrong"}), 401, "wrong_credentials").await;
    let new = ok(&ben, "POST", "/me/second-factor", json!({"password": PASSWORD})).await;
    let secret = new["secret"].as_str().unwrap();
    refused(&ben, "POST", "/me/second-factor/confirm", json!({"code": "12345x"}), 400, "wrong_code").await;
    let codes = ok(&ben, "POST", "/me/second-factor/confirm", json!({"code": code(secret, 0)})).await;
    let codes: Vec<&str> =
        codes["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let asked = world.stranger().json("POST", "/api/v1/session", json!({"name": "ben", "password": PASSWORD})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED);
    assert!(!asked.headers.contains_key("set-cookie"));
    let challenge = asked.json()["challenge"].clone();
    let wrong = json!({"challenge": challenge, "code": "123x"});
    refused(&world.stranger(), "POST", "/session/code", wrong, 400, "wrong_code").await;
    let right = json!({"challenge": challenge, "code": codes[0], "bearer": true});
    let signed_in = ok(&world.stranger(), "POST", "/session/code", right.clone()).await;
    assert_eq!(signed_in["user"]["name"], "ben");
    let bearer = format!("Bearer {}", signed_in["token"].as_str().unwrap());
    assert_eq!(world.send("GET", "/api/v1/session", &[("authorization", &bearer)], "").await.status, StatusCode::OK);
    refused(&world.stranger(), "POST", "/session/code", right, 403, "challenge_over").await;
    // By the form, too.
    let form = format!("name=ben&password={}", PASSWORD.replace(' ', "+"));
    let page = world.stranger().form("/login", &form).await;
    assert_eq!(page.status, StatusCode::OK);
    let challenge =
        page.text().split("name=\"challenge\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    let page = world.stranger().form("/login", &format!("challenge={challenge}&code=000x")).await;
    assert!(
        page.status == StatusCode::BAD_REQUEST
            && page.text().contains("role=\"alert\"")
            && page.text().contains(&challenge)
    );
    let page = world.stranger().form("/login", &format!("challenge={challenge}&code={}", codes[1])).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);

    // App passwords.
    for bad in [json!({"label": "", "protocols": ["imap"]}), json!({"label": "x", "protocols": ["telnet"]})] {
        refused(&ben, "POST", "/me/app-passwords", bad, 400, "bad_request").await;
    }
    let made = ok(&ben, "POST", "/me/app-passwords", json!({"label": "phone", "protocols": ["imap", "smtp"]})).await;
    let id = made["app_password"]["id"].as_str().unwrap();
    assert!(made["secret"].as_str().unwrap().len() == 39 && made["app_password"]["used"].is_null());
    let listed = ok(&ben, "GET", "/me/app-passwords", json!({})).await;
    assert_eq!(listed["app_passwords"], json!([made["app_password"]]));
    assert!(!listed.to_string().contains(made["secret"].as_str().unwrap()));
    ok(&ben, "DELETE", &format!("/me/app-passwords/{id}"), json!({})).await;
    refused(&ben, "DELETE", &format!("/me/app-passwords/{id}"), json!({}), 404, "not_found").await;

    // Sessions.
    let sessions = ok(&ben, "GET", "/me/sessions", json!({})).await;
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    let other = sessions.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap();
    ok(&ben, "DELETE", &format!("/me/sessions/{other}"), json!({})).await;
    refused(&ben, "DELETE", &format!("/me/sessions/{other}"), json!({}), 404, "not_found").await;
    assert_eq!(ok(&ben, "DELETE", "/me/sessions", json!({})).await["ended"], 1);
    let activity = ok(&ben, "GET", "/me/activity", json!({})).await;
    assert!(activity["lines"].as_array().unwrap().iter().any(|line| line["action"] == "second factor on"));

    // Password, and good-bye.
    refused(&ben, "POST", "/me/password", json!({"old": "wrong", "new": "another password"}), 401, "wrong_credentials")
        .await;
    refused(&ben, "POST", "/me/password", json!({"old": PASSWORD, "new": "short"}), 400, "bad_password").await;
    let change = json!({"old": PASSWORD, "new": "another password"});
    let changed = ben.json("POST", "/api/v1/me/password", change).await;
    assert_eq!(changed.status, StatusCode::OK);
    ben.take_cookie(&changed);
    let leaving = ok(&ben, "GET", "/me/leaving", json!({})).await;
    assert_eq!((&leaving["sessions"], &leaving["app_passwords"]), (&json!(1), &json!(0)));
    refused(&ben, "POST", "/me/delete", json!({"password": "another password"}), 400, "wrong_code").await;
    ok(&ben, "POST", "/me/delete", json!({"password": "another password", "code": codes[2]})).await;
    refused(&ben, "GET", "/me", json!({}), 401, "not_signed_in").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_look_after_people() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let made = ok(&ada, "POST", "/users", json!({"name": "Cy", "quota": 5})).await;
    assert_eq!((&made["user"]["name"], &made["user"]["quota"]), (&json!("cy"), &json!(5)));
    refused(&ada, "POST", "/users", json!({"name": "cy"}), 409, "name_taken").await;
    refused(&ada, "POST", "/users", json!({"name": "c y"}), 400, "bad_name").await;
    refused(&ada, "POST", "/users", json!({"name": "dan", "password": "short"}), 400, "bad_password").await;
    let secret = made["link"]["secret"].as_str().unwrap();
    let found = ok(&world.stranger(), "POST", "/links/check", json!({"secret": secret})).await;
    assert_eq!(found, json!({"purpose": "reset", "name": "cy"}));
    let set = json!({"secret": secret, "password": PASSWORD});
    ok(&world.stranger(), "POST", "/links/reset", set.clone()).await;
    refused(&world.stranger(), "POST", "/links/reset", set, 404, "wrong_link").await;
    let cy = world.browser("cy").await;
    let listed = ok(&ada, "GET", "/users?limit=2", json!({})).await;
    assert_eq!((listed["users"].as_array().unwrap().len(), listed["next"].is_string()), (2, true));
    assert!(listed["users"][0]["used"] == 0 && listed["usual_quota"].is_null(), "{listed}");
    let changed = ok(&ada, "PATCH", "/users/cy", json!({"quota": null, "role": "administrator"})).await;
    assert_eq!((&changed["quota"], &changed["role"]), (&Value::Null, &json!("administrator")));
    ok(&ada, "PATCH", "/users/cy", json!({"quota": 9, "role": "user"})).await;
    assert_eq!(ok(&ada, "PATCH", "/users/cy", json!({"display": "C"})).await["quota"], 9, "left out stays");
    refused(&ada, "PATCH", "/users/ada", json!({"role": "user"}), 409, "last_administrator").await;
    for (method, path) in
        [("DELETE", "/users/ada"), ("POST", "/users/ada/reset"), ("DELETE", "/users/ada/second-factor")]
    {
        refused(&ada, method, path, json!({}), 409, "own_account").await;
    }
    refused(&ada, "PATCH", "/users/nobody", json!({"disabled": true}), 404, "not_found").await;
    let details = ok(&ada, "GET", "/users/cy", json!({})).await;
    assert_eq!((&details["quota"], &details["leaving"]["sessions"]), (&json!(9), &json!(1)));
    refused(&ada, "DELETE", "/users/cy/second-factor", json!({}), 409, "second_factor_off").await;
    let sessions = ok(&ada, "GET", "/users/cy/sessions", json!({})).await;
    let id = sessions["sessions"][0]["id"].as_str().unwrap();
    ok(&ada, "DELETE", &format!("/users/cy/sessions/{id}"), json!({})).await;
    refused(&cy, "GET", "/me", json!({}), 401, "not_signed_in").await;
    assert_eq!(ok(&ada, "DELETE", "/users/cy/sessions", json!({})).await["ended"], 0);
    let link = ok(&ada, "POST", "/users/cy/reset", json!({})).await;
    assert!(link["path"].as_str().unwrap().starts_with("/reset/"));

    // Inviting.
    let open = ok(&world.stranger(), "GET", "/sign-up", json!({})).await;
    assert_eq!(open, json!({"sign_up": "invitation", "setup_pending": false}));
    let new = json!({"name": "eve", "password": PASSWORD});
    refused(&world.stranger(), "POST", "/sign-up", new.clone(), 403, "invitation_needed").await;
    refused(&ada, "POST", "/invitations", json!({"valid_seconds": 0}), 400, "bad_request").await;
    let made = ok(&ada, "POST", "/invitations", json!({"note": "eve"})).await;
    assert_eq!(ok(&ada, "GET", "/invitations", json!({})).await["invitations"], json!([made["invitation"]]));
    let mut with = new.clone();
    with["invitation"] = made["link"]["secret"].clone();
    let signed_up = world.stranger().json("POST", "/api/v1/sign-up", with).await;
    assert_eq!(signed_up.status, StatusCode::CREATED);
    assert!(signed_up.header("set-cookie").contains("HttpOnly"));
    let made = ok(&ada, "POST", "/invitations", json!({})).await;
    ok(&ada, "DELETE", &format!("/invitations/{}", made["invitation"]["id"].as_str().unwrap()), json!({})).await;
    let mut policy = ok(&ada, "GET", "/settings/accounts", json!({})).await;
    policy["sign_up"] = json!("off");
    ok(&ada, "PUT", "/settings/accounts", policy.clone()).await;
    refused(&world.stranger(), "POST", "/sign-up", new, 403, "sign_up_off").await;
    policy["sign_up"] = json!("sometimes");
    refused(&ada, "PUT", "/settings/accounts", policy, 400, "bad_request").await;

    // Going, and the log.
    ok(&ada, "PATCH", "/users/ben", json!({"disabled": true})).await;
    let barred = json!({"name": "ben", "password": PASSWORD});
    refused(&world.stranger(), "POST", "/session", barred, 401, "wrong_credentials").await;
    ok(&ada, "DELETE", "/users/ben", json!({})).await;
    refused(&ada, "GET", "/users/ben", json!({}), 404, "not_found").await;
    let log = ok(&ada, "GET", "/audit?about=ben&limit=2", json!({})).await;
    assert_eq!(log["lines"][0]["action"], "account removed");
    refused(&ada, "GET", "/audit?cursor=zz", json!({}), 400, "bad_request").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_for_the_code_stays_while_what_hinders_passes() {
    let world = World::new().await;
    let accounts = &world.apps.accounts;
    let ben = accounts.find("ben").await.unwrap();
    let new = accounts.begin_second_factor(&ben, PASSWORD).await.unwrap();
    accounts.confirm_second_factor(&ben, &code(&new.secret, 0)).await.unwrap();
    world.gate.early_in_a_window();
    let page = world.stranger().form("/login", &format!("name=ben&password={}", PASSWORD.replace(' ', "+"))).await;
    let challenge =
        page.text().split("name=\"challenge\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    let mut said = Vec::new();
    for _ in 0..=apps::accounts::TRIES_MAX {
        let page = world.stranger().form("/login", &format!("challenge={challenge}&code=000x")).await;
        assert!(page.text().contains(&challenge), "{}: {}", page.status, page.text());
        said.push((page.status, page.header("retry-after").is_empty()));
    }
    assert_eq!(said.first(), Some(&(StatusCode::BAD_REQUEST, true)));
    assert_eq!(said.last(), Some(&(StatusCode::TOO_MANY_REQUESTS, false)));
    let page = world.stranger().form("/login", &format!("challenge={}&code=000x", "0".repeat(96))).await;
    assert!(page.status == StatusCode::FORBIDDEN && page.text().contains("name=\"password\""), "from the start");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_out_while_the_bytes_come_puts_nothing() {
    let world = World::new().await;
    let ben = world.browser("ben").await;
    let ada = world.apps.accounts.find("ada").await.unwrap();
    let form = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nlate\r\n--x--\r\n";
    for (line, kind, body) in [
        ("PUT /api/v1/drive/file?path=%2Ff", "text/plain", "late"),
        ("POST /forms/upload?path=%2F", "multipart/form-data; boundary=x", form),
    ] {
        let cookie = world.browser("ben").await.cookie;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncookie: {cookie}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            body.len(),
            host = world.host,
        );
        let mut stream = TcpStream::connect(&world.host).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The body is asked for: the sender has been let in.
        let mut go_on = [0; 12];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        world.apps.accounts.end_sessions_of(&ada, "ben", None).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("HTTP/1.1 401"), "{line}: {answer}");
    }
    assert_eq!(ben.get("/api/v1/drive/list?path=%2F").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.browser("ben").await.names("/").await, Vec::<String>::new());
    world.stop().await;
}

/// Who comes by every day stays signed in.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_is_kept_by_the_browser_as_long_as_here() {
    let world = World::new().await;
    let ben = world.browser("ben").await;
    let kept = |answer: &Answer| {
        answer.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&ben.get("/").await), [""; 0], "it is as new");
    for _ in 0..3 {
        world.gate.later(Duration::from_secs(20 * 24 * 3600));
        let prolonged = async {
            loop {
                // It may be known by what was read a moment ago.
                let answer = ben.get("/").await;
                assert_eq!(answer.status, StatusCode::OK);
                if !kept(&answer).is_empty() {
                    break answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(20), prolonged).await.expect("the cookie is sent again");
        let [cookie] = &kept(&answer)[..] else { panic!("{:?}", kept(&answer)) };
        assert!(cookie.starts_with(&format!("{}; ", ben.cookie)) && cookie.contains("Max-Age=2592000;"), "{cookie}");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        assert_eq!(kept(&ben.get("/").await), [""; 0], "once");
    }
    // What an answer says of it itself stands alone, and programs have no cookie.
    world.gate.later(Duration::from_secs(20 * 24 * 3600));
    let token = ben.cookie.split_once('=').unwrap().1;
    let bearer = format!("Bearer {token}");
    let answer = world.send("GET", "/api/v1/me", &[("authorization", &bearer)], "").await;
    assert!(answer.status.is_success() && kept(&answer).is_empty(), "{answer:?}", answer = answer.text());
    let [cookie] = &kept(&ben.form("/logout", "").await)[..] else { panic!("one cookie") };
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
    world.stop().await;
}
