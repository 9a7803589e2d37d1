//! Shared drives: who may do what, by JSON and on the pages.

use crate::world::{Browser, World, encode};
use apps::{NewUser, Role};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NOWHERE: &str = "000102030405060708090a0b0c0d0e0f";

/// The calls about what is in a drive, and whether who may only look may make them.
fn calls() -> Vec<(&'static str, String, Value, bool)> {
    let id = NOWHERE;
    let get = |path: &str| ("GET", path.to_string(), Value::Null, true);
    let change = |method, path: &str, body| (method, path.to_string(), body, false);
    vec![
        get("list?path=/"),
        get("entry?path=/a"),
        get("file?path=/a"),
        get("search?text=a"),
        get("trash"),
        get("held"),
        get("versions?path=/a"),
        get("jobs"),
        get(&format!("job?id={id}")),
        get("usage"),
        change("PUT", "file?path=/new", json!("bytes")),
        change("DELETE", "file?path=/none", Value::Null),
        change("POST", "folder", json!({"path": "/made"})),
        change("POST", "move", json!({"from": "/none", "to": "/x"})),
        change("POST", "copy", json!({"from": "/none", "to": "/x"})),
        change("POST", "batch", json!({"acts": [{"act": "trash", "path": "/none"}]})),
        change("DELETE", &format!("trash?id={id}"), Value::Null),
        change("POST", "trash/restore", json!({ "id": id })),
        change("POST", "trash/empty", json!({})),
        change("POST", "held/let-go", json!({ "id": id })),
        change("POST", "held/put-back", json!({ "id": id })),
        change("DELETE", &format!("versions?path=/a&version={id}"), Value::Null),
        change("POST", "versions/restore", json!({"path": "/a", "version": id})),
        change("POST", "job/cancel", json!({ "id": id })),
    ]
}

async fn person(world: &World, name: &str) {
    let ada = world.apps.accounts.find("ada").await.unwrap();
    let password = crate::world::PASSWORD.to_string();
    let new = NewUser { name: name.into(), display: String::new(), password, role: Role::User, quota: None };
    world.apps.accounts.create_user(&ada, new).await.unwrap();
}

async fn make(by: &Browser<'_>, name: &str) -> String {
    let made = by.json("POST", "/api/v1/drives", json!({ "name": name })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    made.json()["id"].as_str().unwrap().to_string()
}

async fn set(by: &Browser<'_>, drive: &str, name: &str, role: &str) -> StatusCode {
    by.json("PUT", &format!("/api/v1/drives/{drive}/members/{name}"), json!({ "role": role })).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_asks_for_the_role() {
    let world = World::new().await;
    for name in ["cyd", "dan", "eve"] {
        person(&world, name).await;
    }
    let (ben, cyd, dan, eve) = (
        world.browser("ben").await,
        world.browser("cyd").await,
        world.browser("dan").await,
        world.browser("eve").await,
    );
    let ada = world.browser("ada").await;
    let drive = make(&ben, "Tea club").await;
    assert_eq!(set(&ben, &drive, "cyd", "edit").await, StatusCode::OK);
    assert_eq!(set(&ben, &drive, "dan", "view").await, StatusCode::OK);
    let put = ben.send("PUT", &format!("/api/v1/drives/{drive}/file?path=/a"), &[], "shared").await;
    assert_eq!(put.status, StatusCode::CREATED, "{:?}", put.body);
    assert_eq!(dan.get(&format!("/api/v1/drives/{drive}/file?path=/a")).await.text(), "shared");
    assert_eq!(ben.names("/").await, Vec::<String>::new(), "one's own drive is another");
    for (method, path, body, views) in calls() {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let send = async |by: &Browser<'_>, drive: &str| {
            let path = format!("/api/v1/drives/{drive}/{path}");
            by.send(method, &path, &[("content-type", "application/json")], body.clone()).await
        };
        let refused = |status: StatusCode| status == StatusCode::FORBIDDEN;
        assert!(!refused(send(&ben, &drive).await.status) && !refused(send(&cyd, &drive).await.status), "{path}");
        let looked = send(&dan, &drive).await;
        assert_eq!(refused(looked.status), !views, "{method} {path}: {:?}", looked.body);
        // To who is no member it is as one that is not there, administrators included.
        for by in [&eve, &ada] {
            let (here, nowhere) = (send(by, &drive).await, send(by, NOWHERE).await);
            let told = |answer: &crate::world::Answer| {
                let error = answer.json()["error"].clone();
                (answer.status, error["kind"].clone(), error["message"].clone())
            };
            assert_eq!(here.status, StatusCode::NOT_FOUND, "{method} {path}: {:?}", here.body);
            assert_eq!(told(&here), told(&nowhere), "{method} {path}");
        }
        assert_eq!(send(&ben, "x").await.status, StatusCode::NOT_FOUND);
        assert_eq!(send(&world.stranger(), &drive).await.status, StatusCode::UNAUTHORIZED);
    }
    // Members are managers' to decide on.
    assert_eq!(set(&cyd, &drive, "eve", "view").await, StatusCode::FORBIDDEN);
    assert_eq!(set(&eve, &drive, "eve", "view").await, StatusCode::NOT_FOUND);
    let members = dan.get(&format!("/api/v1/drives/{drive}/members")).await.json();
    assert_eq!(members["members"].as_array().unwrap().len(), 3);
    assert_eq!(eve.get(&format!("/api/v1/drives/{drive}/members")).await.status, StatusCode::NOT_FOUND);
    let own = format!("/api/v1/drives/{drive}/members/ben");
    assert_eq!(ben.send("DELETE", &own, &[], "").await.kind(), "last_manager");
    // Taken out: the very next request is refused.
    assert_eq!(ben.send("DELETE", &format!("/api/v1/drives/{drive}/members/cyd"), &[], "").await.status, 204);
    assert_eq!(cyd.get(&format!("/api/v1/drives/{drive}/list?path=/")).await.status, StatusCode::NOT_FOUND);
    // Quotas are for administrators, and hold.
    let quota = async |by: &Browser<'_>, quota: Value| {
        by.json("PATCH", &format!("/api/v1/drives/{drive}"), json!({ "quota": quota })).await.status
    };
    assert_eq!(quota(&ben, json!(8)).await, StatusCode::FORBIDDEN);
    // Both in one, or none of them.
    let both = json!({"name": "Coffee club", "quota": 9});
    let refused = ben.json("PATCH", &format!("/api/v1/drives/{drive}"), both.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(ben.get(&format!("/api/v1/drives/{drive}")).await.json()["name"], "Tea club");
    let done = ada.json("PATCH", &format!("/api/v1/drives/{drive}"), both).await.json();
    assert_eq!((&done["name"], &done["quota"]), (&json!("Coffee club"), &json!(9)));
    assert_eq!(quota(&ada, json!(8)).await, StatusCode::OK);
    let full = ben.send("PUT", &format!("/api/v1/drives/{drive}/file?path=/b"), &[], "more than that").await;
    assert_eq!(full.kind(), "quota", "{:?}", full.body);
    assert_eq!(ben.put("/b", "more than that").await.status, StatusCode::CREATED, "one's own is not bounded by it");
    assert_eq!(quota(&ada, Value::Null).await, StatusCode::OK);
    // It goes, for all.
    assert_eq!(dan.send("DELETE", &format!("/api/v1/drives/{drive}"), &[], "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(ben.send("DELETE", &format!("/api/v1/drives/{drive}"), &[], "").await.status, 204);
    assert_eq!(ben.get(&format!("/api/v1/drives/{drive}/list?path=/")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ben.get("/api/v1/drives").await.json()["drives"], json!([]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_one_drive_is_copied_into_another() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let (tea, coffee) = (make(&ada, "Tea").await, make(&ben, "Coffee").await);
    ada.put("/own", "mine").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/d"})).await;
    let long = "x".repeat(100_000);
    assert_eq!(ada.put("/d/long", long.clone()).await.status, StatusCode::CREATED);
    let copy = async |by: &Browser<'_>, drive: &str, body: Value| {
        by.json("POST", &format!("/api/v1/drives/{drive}/copy"), body).await
    };
    let copied = copy(&ada, &tea, json!({"from_drive": "own", "from": "/own", "to": "/theirs"})).await;
    assert_eq!(copied.json()["path"], "/theirs", "{:?}", copied.body);
    let job = copy(&ada, &tea, json!({"from_drive": "own", "from": "/d", "to": "/d"})).await.json();
    let id = job["job"]["id"].as_str().unwrap().to_string();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let job = ada.get(&format!("/api/v1/drives/{tea}/job?id={id}")).await.json();
        if job["state"] == "done" {
            break;
        }
        assert!(job["state"] == "running" && Instant::now() < until, "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ada.get(&format!("/api/v1/drives/{tea}/file?path=/d/long")).await.text(), long);
    // Where it lay in one's own drive is nobody's business here.
    let jobs = ada.get(&format!("/api/v1/drives/{tea}/jobs")).await.json();
    assert_eq!((&jobs["jobs"][0]["from"], &jobs["jobs"][0]["to"]), (&json!("d"), &json!("/d")));
    // The source may go: the copy stays.
    ada.send("DELETE", "/api/v1/drive/file?path=/d&recursive=true&permanent=true", &[], "").await;
    assert_eq!(ada.get(&format!("/api/v1/drives/{tea}/file?path=/d/long")).await.text(), long);
    // Nobody copies from where they may not look.
    let from = json!({"from_drive": tea, "from": "/theirs", "to": "/stolen"});
    assert_eq!(copy(&ben, &coffee, from.clone()).await.status, StatusCode::NOT_FOUND);
    let acts = json!({"acts": [{"act": "copy", "from_drive": tea, "from": "/theirs", "to": "/stolen"}]});
    let batch = ben.json("POST", &format!("/api/v1/drives/{coffee}/batch"), acts.clone()).await;
    assert_eq!(batch.status, StatusCode::NOT_FOUND);
    assert_eq!(set(&ada, &tea, "ben", "view").await, StatusCode::OK);
    assert_eq!(copy(&ben, &coffee, from).await.json()["path"], "/stolen");
    assert_eq!(ben.json("POST", "/api/v1/drive/batch", acts).await.json()["outcomes"][0]["path"], "/stolen");
    let back = copy(&ben, &tea, json!({"from_drive": coffee, "from": "/stolen", "to": "/x"})).await;
    assert_eq!(back.status, StatusCode::FORBIDDEN, "into where one may only look");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_work_without_scripts() {
    let world = World::new().await;
    person(&world, "eve").await;
    let (ada, ben, eve) = (world.browser("ada").await, world.browser("ben").await, world.browser("eve").await);
    assert!(ada.get("/").await.text().contains("href=\"/drives\""));
    assert!(ben.get("/drives").await.text().contains("in no shared drive yet"));
    let made = ben.form("/drives", "name=Tea+%3Cb%3E+club").await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let base = made.header("location").trim_end_matches('/').to_string();
    let id = base.rsplit('/').next().unwrap().to_string();
    assert!(ben.get("/drives").await.text().contains("Tea &#60;b&#62; club"));
    // A folder, a file, the trash and back, in its own addresses.
    let page = ben.get(&format!("{base}/")).await;
    assert_eq!(page.status, StatusCode::OK);
    for link in ["/members\"", "/trash\"", "/forms/folder\"", "/search\""] {
        assert!(page.text().contains(&format!("{base}{link}")), "{link} is missing");
    }
    let folder = ben.form(&format!("{base}/forms/folder"), "path=/&name=papers").await;
    assert_eq!(folder.header("location"), format!("{base}/"));
    let body = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--x--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let upload = ben.send("POST", &format!("{base}/forms/upload?path={}", encode("/papers")), &kind, body).await;
    assert_eq!(upload.header("location"), format!("{base}/drive/papers"), "{}", upload.text());
    assert!(ben.get(&format!("{base}/drive/papers")).await.text().contains("a.txt"));
    assert!(ben.get(&format!("{base}/details?path=/papers/a.txt")).await.text().contains("a.txt"));
    let found = ben.get(&format!("{base}/search?text=a.t")).await;
    assert!(found.text().contains(&format!("{base}/view/papers/a.txt")), "{}", found.text());
    let shown = ben.get(&format!("{base}/view/papers/a.txt")).await;
    assert!(shown.text().contains(&format!("/api/v1/drives/{id}/file?path=%2Fpapers%2Fa.txt")), "{}", shown.text());
    assert!(shown.text().contains("hello") && shown.text().contains(&format!("href=\"{base}/drive/papers\"")));
    assert!(!ben.get("/search?text=a.t").await.text().contains("a.txt\""));
    // Members.
    let add = |name: &str, role: &str| format!("name={name}&role={role}");
    assert_eq!(ben.form(&format!("{base}/members"), &add("eve", "view")).await.status, StatusCode::SEE_OTHER);
    let nobody = ben.form(&format!("{base}/members"), &add("nobody", "view")).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert!(nobody.text().contains("role=\"alert\"") && nobody.text().contains("value=\"nobody\""));
    let members = eve.get(&format!("{base}/members")).await;
    assert!(members.text().contains("look at it") && !members.text().contains("add-member"));
    // Who may only look is offered nothing that changes.
    let page = eve.get(&format!("{base}/")).await;
    for verb in ["/forms/", "id=\"upload\"", "data-verb=\"delete\"", "data-verb=\"rename\"", "id=\"new-folder\""] {
        assert!(!page.text().contains(verb), "{verb} is offered");
    }
    assert!(page.text().contains("data-look-only") && page.text().contains("data-verb=\"download\""));
    for (path, form) in [("forms/folder", "path=/&name=x"), ("trash/empty", ""), ("trash/purge", &*format!("id={id}"))]
    {
        assert_eq!(eve.form(&format!("{base}/{path}"), form).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in ["members", "members/role", "members/remove", "members/name", "members/quota", "members/delete"] {
        let form = "name=ben&role=view&quota=1";
        assert!(eve.form(&format!("{base}/{path}"), form).await.status.is_client_error(), "{path}");
    }
    assert_eq!(ben.form(&format!("{base}/members/role"), &add("eve", "edit")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(eve.form(&format!("{base}/forms/folder"), "path=/&name=hers").await.status, StatusCode::SEE_OTHER);
    // An administrator finds it, and not what is in it.
    assert!(ada.get("/drives").await.text().contains("Tea &#60;b&#62; club"));
    assert_eq!(ada.get(&format!("{base}/")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get(&format!("{base}/members")).await.status, StatusCode::OK);
    // Out, and the end.
    let gone = eve.form(&format!("{base}/members/remove"), "name=eve").await;
    assert_eq!(gone.header("location"), "/drives");
    for page in ["/", "/members", "/trash", "/drive/papers", "/search?text=a", "/details?path=/papers"] {
        assert_eq!(eve.get(&format!("{base}{page}")).await.status, StatusCode::NOT_FOUND, "{page}");
        let nowhere = format!("/drives/{NOWHERE}{page}");
        assert_eq!(eve.get(&nowhere).await.status, StatusCode::NOT_FOUND, "{page}");
    }
    assert_eq!(ben.form(&format!("{base}/members/delete"), "name=Tea").await.status, StatusCode::BAD_REQUEST);
    let deleted = ben.form(&format!("{base}/members/delete"), "name=Tea+%3Cb%3E+club").await;
    assert_eq!(deleted.header("location"), "/drives", "{}", deleted.text());
    assert_eq!(ben.get(&format!("{base}/")).await.status, StatusCode::NOT_FOUND);
    // Who is not signed in comes back here.
    let stranger = world.stranger().get(&format!("{base}/drive/papers")).await;
    assert_eq!(stranger.header("location"), format!("/login?next={}", encode_all(&format!("{base}/drive/papers"))));
    world.stop().await;
}

/// As addresses are encoded within addresses.
fn encode_all(text: &str) -> String {
    text.replace('/', "%2F")
}

/// Who put each version, and who threw it away; what was copied was put by who copied it. By names that others may see.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_who_did_what() {
    let world = World::new().await;
    person(&world, "cyd").await;
    let (ben, cyd) = (world.browser("ben").await, world.browser("cyd").await);
    let drive = make(&ben, "Tea club").await;
    assert_eq!(set(&ben, &drive, "cyd", "edit").await, StatusCode::OK);
    let api = format!("/api/v1/drives/{drive}");
    for (who, text) in [(&ben, "one"), (&cyd, "two")] {
        let put = who.send("PUT", &format!("{api}/file?path=/a&condition=replace"), &[], text).await;
        assert!(put.status.is_success(), "{:?}", put.body);
    }
    let by = |answer: &Value, list: &str| -> Vec<String> {
        let all = answer[list].as_array().unwrap().iter();
        all.map(|it| it["by"].as_str().unwrap_or_default().to_string()).collect()
    };
    let versions = cyd.get(&format!("{api}/versions?path=/a")).await.json();
    assert_eq!(by(&versions, "versions"), ["cyd", "Ben"]);
    let page = ben.get(&format!("/drives/{drive}/details?path=/a")).await;
    assert!(page.text().contains(" · cyd<") && page.text().contains(" · Ben<"), "{}", page.text());

    let copied = ben.json("POST", &format!("{api}/copy"), json!({"from": "/a", "to": "/b"})).await;
    assert_eq!(copied.status, StatusCode::OK, "{:?}", copied.body);
    let versions = ben.get(&format!("{api}/versions?path=/b")).await.json();
    assert_eq!(by(&versions, "versions"), ["Ben"]);

    let gone = cyd.send("DELETE", &format!("{api}/file?path=/a"), &[], "").await;
    assert!(gone.status.is_success(), "{:?}", gone.body);
    assert_eq!(by(&ben.get(&format!("{api}/trash")).await.json(), "items"), ["cyd"]);
    let page = ben.get(&format!("/drives/{drive}/trash")).await;
    assert!(page.text().contains("cyd · until"), "{}", page.text());
    // In one's own drive it goes without saying.
    assert!(ben.put("/own", "x").await.status.is_success());
    assert!(!ben.get("/details?path=/own").await.text().contains(" · Ben"));
    world.stop().await;
}

/// A request that comes slowly is judged when it has come, whatever it says that it is.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_taken_out_while_a_request_comes_does_nothing_by_it() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let drive = make(&ada, "Tea").await;
    let body = json!({"path": "/made"}).to_string();
    for media_type in ["application/json", "application/x+json", "Application/JSON"] {
        assert_eq!(set(&ada, &drive, "ben", "edit").await, StatusCode::OK);
        let mut slow = begin(&world, &ben.cookie, &format!("/api/v1/drives/{drive}/folder"), media_type, &body).await;
        // Long enough for it to be looked at, were it not waited for.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let gone = ada.send("DELETE", &format!("/api/v1/drives/{drive}/members/ben"), &[], "").await;
        assert_eq!(gone.status, 204);
        slow.write_all(&body.as_bytes()[5..]).await.unwrap();
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{media_type}: {answer}");
    }
    let listed = ada.get(&format!("/api/v1/drives/{drive}/list?path=/")).await.json();
    assert_eq!(listed["entries"], json!([]));
    world.stop().await;
}

/// Nobody holds a server's memory who could not look at the drive: they are refused by the head alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_is_not_waited_for() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let drive = make(&ada, "Tea").await;
    let body = json!({"path": "/made"}).to_string();
    let folder = format!("/api/v1/drives/{drive}/folder");
    for (cookie, path, expected) in [
        ("atoll=0123", folder.as_str(), "HTTP/1.1 401"),
        (&ben.cookie, &folder, "HTTP/1.1 404"),
        (&ben.cookie, "/api/v1/drives/0/x", "HTTP/1.1 404"),
    ] {
        let mut held = begin(&world, cookie, path, "application/json", &body).await;
        let mut answer = vec![0; expected.len()];
        let answered = tokio::time::timeout(Duration::from_secs(10), held.read_exact(&mut answer)).await;
        answered.expect("an answer before the body has come").unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), expected, "{path}");
    }
    world.stop().await;
}

/// A request of which five bytes of the body have been sent.
async fn begin(world: &World, cookie: &str, path: &str, media_type: &str, body: &str) -> TcpStream {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\ncookie: {cookie}\r\n\
         content-type: {media_type}\r\ncontent-length: {1}\r\nconnection: close\r\n\r\n",
        world.host,
        body.len()
    );
    let mut slow = TcpStream::connect(&world.host).await.unwrap();
    slow.write_all(format!("{head}{}", &body[..5]).as_bytes()).await.unwrap();
    slow
}
