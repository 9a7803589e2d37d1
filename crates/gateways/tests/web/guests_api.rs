//! Links by program: JSON without a cookie.

use crate::archive::read;
use crate::world::{Answer, Browser, World, json_of};
use hyper::StatusCode;
use serde_json::{Value, json};

/// A program that has a link, and whatever opening it gave.
struct Program<'a> {
    world: &'a World,
    api: String,
    proof: String,
}

impl<'a> Program<'a> {
    fn of(world: &'a World, link: &str) -> Program<'a> {
        Program { world, api: json_of(link), proof: String::new() }
    }

    async fn send(&self, method: &str, rest: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.proof);
        let mut headers = match self.proof.is_empty() {
            true => vec![("x-atoll-client", "test")],
            false => vec![("authorization", &*bearer)],
        };
        headers.extend_from_slice(more);
        let answer = self.world.send(method, &format!("{}{rest}", self.api), &headers, body.to_string()).await;
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{method} {rest}");
        assert!(answer.header("x-robots-tag").contains("noindex"), "{method} {rest}");
        assert!(answer.headers.get("set-cookie").is_none(), "{method} {rest}");
        if !answer.status.is_success() {
            assert!(answer.json()["error"]["kind"].is_string(), "{method} {rest}: {:?}", answer.body);
            assert!(!answer.text().contains("private"), "{method} {rest}: {}", answer.text());
        }
        answer
    }

    async fn get(&self, rest: &str) -> Answer {
        self.send("GET", rest, &[], "").await
    }

    async fn open(&self, password: &str, from: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", from)];
        self.send("POST", "/open", &headers, &json!({ "password": password }).to_string()).await
    }

    async fn opened(&mut self, password: &str) {
        let opened = self.open(password, "10.1.1.9").await;
        assert_eq!(opened.status, StatusCode::OK, "{:?}", opened.body);
        self.proof = opened.json()["proof"].as_str().unwrap().to_string();
    }
}

async fn with_files(world: &World) -> Browser<'_> {
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/private/shared/sub", "parents": true})).await;
    for (path, text) in [("/private/shared/a.txt", "a"), ("/private/shared/sub/b.txt", "0123456789")] {
        assert!(ada.put(path, text).await.status.is_success());
    }
    ada
}

async fn make(ada: &Browser<'_>, asked: Value) -> String {
    let made = ada.json("POST", "/api/v1/drive/links", asked).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    made.json()["link"]["address"].as_str().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_look_and_download() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let link = make(&ada, json!({"path": "/private/shared", "password": "swordfish", "downloads": 3})).await;
    let mut program = Program::of(&world, &link);
    for rest in ["", "/list", "/stat", "/file?path=a.txt", "/archive"] {
        let locked = program.get(rest).await;
        assert_eq!((locked.status, &*locked.kind()), (StatusCode::FORBIDDEN, "password_needed"), "{rest}");
    }
    program.opened("swordfish").await;
    let about = program.get("").await.json();
    let expected =
        json!({"mode": "view", "name": "shared", "kind": "folder", "from": "ada", "expires": null, "bytes_max": null});
    assert_eq!(about, expected);
    let names = |page: &Value| {
        let entries = page["entries"].as_array().unwrap().clone();
        entries
            .iter()
            .map(|entry| (entry["name"].clone(), entry["kind"].clone(), entry["size"].clone()))
            .collect::<Vec<_>>()
    };
    let first = program.get("/list?limit=1").await.json();
    assert_eq!(names(&first), [(json!("a.txt"), json!("file"), json!(1))]);
    let next = program.get(&format!("/list?cursor={}", first["next"].as_str().unwrap())).await.json();
    assert_eq!((names(&next), &next["next"]), (vec![(json!("sub"), json!("folder"), Value::Null)], &Value::Null));
    let stat = program.get("/stat?path=/sub/b.txt").await.json();
    assert_eq!((&stat["entry"]["name"], &stat["entry"]["size"]), (&json!("b.txt"), &json!(10)));
    // Which file of the drive it is, is nothing for guests.
    assert!(stat["entry"].get("id").is_none() && stat["entry"].get("version").is_none(), "{stat}");
    for path in ["..", "/../..", "/shared/sub", "/none", "/a.txt/x"] {
        for what in ["list", "stat", "file", "archive"] {
            let wrong = program.get(&format!("/{what}?path={path}")).await;
            assert!(wrong.status.is_client_error(), "{what} {path}");
        }
    }

    assert_eq!(program.get("/file").await.kind(), "is_a_folder");
    // Three downloads; what is resumed with the same proof is one.
    assert_eq!(program.send("HEAD", "/file?path=/sub/b.txt", &[], "").await.header("content-length"), "10");
    for _ in 0..3 {
        let part = program.send("GET", "/file?path=/sub/b.txt", &[("range", "bytes=2-4")], "").await;
        assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "234"));
    }
    assert_eq!(program.get("/file?path=a.txt").await.text(), "a");
    let zip = program.get("/archive?path=/sub").await;
    assert_eq!(read(&zip)[1], ("sub/b.txt".to_string(), "0123456789".to_string()));
    for rest in ["", "/list", "/stat", "/file?path=a.txt", "/archive"] {
        let over = program.get(rest).await;
        assert_eq!((over.status, &*over.kind()), (StatusCode::GONE, "link_over"), "{rest}");
    }
    let links = ada.get("/api/v1/drive/links").await.json();
    assert_eq!(links["links"][0]["downloads"], 3);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_opens_its_link_alone_as_long_as_the_password_holds() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let asked = json!({"path": "/private/shared", "password": "swordfish"});
    let made = ada.json("POST", "/api/v1/drive/links", asked.clone()).await.json()["link"].clone();
    let other = make(&ada, asked).await;
    let mut program = Program::of(&world, made["address"].as_str().unwrap());
    world.gate.early_in_a_window();
    for _ in 0..apps::accounts::TRIES_MAX {
        let wrong = program.open("wrong", "10.1.1.1").await;
        assert_eq!((wrong.status, &*wrong.kind()), (StatusCode::FORBIDDEN, "wrong_password"));
    }
    let stopped = program.open("swordfish", "10.1.1.1").await;
    assert_eq!((stopped.status, &*stopped.kind()), (StatusCode::TOO_MANY_REQUESTS, "too_many"));
    assert!(stopped.header("retry-after").parse::<u64>().unwrap() > 0);
    // By the page, the same tries count.
    let form = [("x-forwarded-for", "10.1.1.1"), ("content-type", "application/x-www-form-urlencoded")];
    let typed = world.stranger().send("POST", made["address"].as_str().unwrap(), &form, "password=swordfish").await;
    assert_eq!(typed.status, StatusCode::TOO_MANY_REQUESTS);

    program.opened("swordfish").await;
    assert_eq!(program.get("").await.status, StatusCode::OK);
    let elsewhere = Program { api: json_of(&other), proof: program.proof.clone(), world: &world };
    assert_eq!(elsewhere.get("").await.kind(), "password_needed");
    let bearer = format!("Bearer {}", program.proof);
    let inside = world.send("GET", "/api/v1/drive/list?path=/", &[("authorization", &*bearer)], "").await;
    assert_eq!(inside.status, StatusCode::UNAUTHORIZED, "it is nobody's session");
    // Nor does a session open a link: whoever has it is a guest.
    let theirs = ada.get(&json_of(made["address"].as_str().unwrap())).await;
    assert_eq!(theirs.kind(), "password_needed");
    // Changed by a digit it is none.
    let (until, sealed) = program.proof.split_at(40);
    let forged =
        Program { proof: format!("{}{sealed}", until.replace('.', ".9")), api: program.api.clone(), world: &world };
    assert_eq!(forged.get("").await.kind(), "password_needed");
    let change = json!({"id": made["id"], "password": "halibut!"});
    assert_eq!(ada.json("PATCH", "/api/v1/drive/links", change).await.status, StatusCode::OK);
    assert_eq!(program.get("").await.kind(), "password_needed");
    world.stop().await;
}

/// Pages of other sites do nothing with a link, whatever the browser keeps for it.
#[tokio::test(flavor = "multi_thread")]
async fn other_sites_hand_nothing_in() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let link = make(&ada, json!({"path": "/private/shared", "mode": "drop_box"})).await;
    let at = format!("{}/file?name=x", json_of(&link));
    for from in
        [&[("origin", "http://evil.example")][..], &[("origin", "null")], &[("sec-fetch-site", "cross-site")], &[]]
    {
        let refused = world.send("PUT", &at, from, "x").await;
        assert_eq!((refused.status, &*refused.kind()), (StatusCode::FORBIDDEN, "wrong_origin"), "{from:?}");
    }
    let program = Program::of(&world, &link);
    let sent = program.send("PUT", "/file?name=x", &[], "x").await;
    assert_eq!((sent.status, sent.json()), (StatusCode::CREATED, json!({"entry": {"name": "x", "size": 1}})));
    assert_eq!(program.get("").await.json()["mode"], "drop_box");
    for what in ["/list", "/stat", "/file", "/archive"] {
        assert_eq!(program.get(what).await.kind(), "no_such_link", "{what}");
    }
    assert_eq!(Program::of(&world, "/s/x").get("").await.kind(), "no_such_link");
    // Routes that were here once.
    for (method, rest) in [("PUT", "/upload?name=y"), ("POST", "/uploads"), ("POST", "/folders")] {
        assert!(ada.send(method, &format!("{link}{rest}"), &[], "y").await.status.is_client_error(), "{method} {rest}");
    }
    assert_eq!(ada.names("/private/shared").await, ["a.txt", "sub", "x"]);
    world.stop().await;
}
