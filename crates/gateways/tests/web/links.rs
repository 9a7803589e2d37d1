//! Links: their owner's pages and JSON, and what guests without an account see and cannot.

use crate::archive::read;
use crate::world::{Answer, Browser, World, encode, json_of};
use apps::Device;
use hyper::StatusCode;
use serde_json::{Value, json};

async fn make(ada: &Browser<'_>, asked: Value) -> Value {
    let made = ada.json("POST", "/api/v1/drive/links", asked).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    made.json()["link"].clone()
}

fn at(link: &Value) -> String {
    link["address"].as_str().unwrap().to_string()
}

async fn with_files(world: &World) -> Browser<'_> {
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/private/shared/sub", "parents": true})).await;
    for (path, text) in [
        ("/private/shared/a.html", "<script>alert(1)</script>"),
        ("/private/shared/sub/b.txt", "0123456789"),
        ("/private/hidden.txt", "hidden"),
    ] {
        assert!(ada.put(path, text).await.status.is_success());
    }
    ada
}

/// What every answer to a guest is like.
fn is_private(answer: &Answer) {
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert!(answer.header("x-robots-tag").contains("noindex"));
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    assert!(!answer.text().contains("private") && !answer.text().contains("hidden.txt"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_look_and_download() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let guest = world.stranger();
    let link = make(&ada, json!({"path": "/private/shared"})).await;
    let s = at(&link);
    let page = guest.get(&s).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    is_private(&page);
    assert!(page.text().contains("a.html") && page.text().contains("sub") && page.text().contains("Shared by ada"));
    let cookie = page.header("set-cookie");
    assert!(cookie.contains(&format!("Path={s};")) && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let sub = guest.get(&format!("{s}?path=%2Fsub")).await;
    assert!(sub.text().contains("b.txt") && sub.text().contains(&format!("href=\"{s}\"")));
    is_private(&sub);
    // Never active content.
    let file = guest.get(&format!("{s}/file?path=/a.html")).await;
    assert_eq!((file.status, file.text()), (StatusCode::OK, "<script>alert(1)</script>"));
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert!(file.header("content-disposition").starts_with("attachment"));
    assert!(file.header("content-security-policy").contains("sandbox"));
    is_private(&file);
    let part = guest.send("GET", &format!("{s}/file?path=/sub/b.txt"), &[("range", "bytes=2-4")], "").await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "234"));
    let zip = guest.get(&format!("{s}/archive")).await;
    let names: Vec<String> = read(&zip).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["shared/", "shared/a.html", "shared/sub/", "shared/sub/b.txt"]);
    assert_eq!(read(&guest.get(&format!("{s}/archive?path=/sub")).await)[1].1, "0123456789");
    for what in ["", "/file?path=/a.html", "/archive"] {
        let head = guest.send("HEAD", &format!("{s}{what}"), &[], "").await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{what}");
    }

    // Nothing beside it, and nothing told of it.
    for path in ["/..", "/../hidden.txt", "/hidden.txt", "/private/hidden.txt", "/none", "/a.html/x", "/sub/../.."] {
        for address in [format!("{s}?path={}", encode(path)), format!("{s}/file?path={}", encode(path))] {
            let answer = guest.get(&address).await;
            assert!(
                [404, 410].contains(&answer.status.as_u16()) || answer.status == StatusCode::BAD_REQUEST,
                "{address}"
            );
            is_private(&answer);
        }
    }
    assert_eq!(guest.get(&format!("{s}/file")).await.status, StatusCode::NOT_FOUND, "a folder is no file");
    assert!(guest.send("PUT", &format!("{}/file?name=x", json_of(&s)), &[], "x").await.status.is_client_error());
    // A guest's cookie opens nothing else, and a session nothing here.
    let cookie = cookie.split(';').next().unwrap();
    let inside = guest.send("GET", "/api/v1/drive/list?path=/", &[("cookie", cookie)], "").await;
    assert_eq!(inside.status, StatusCode::UNAUTHORIZED);
    let outside = world.send("POST", &s, &[("origin", "http://evil.example")], "password=x").await;
    assert_eq!(outside.status, StatusCode::FORBIDDEN);
    let untold =
        world.send("POST", &s, &[("origin", "null"), ("content-type", "application/x-www-form-urlencoded")], "");
    assert_eq!(untold.await.status, StatusCode::SEE_OTHER, "browsers tell no origin from a page without referrer");

    // A link to a file; it goes along.
    let s = at(&make(&ada, json!({"path": "/private/hidden.txt"})).await);
    ada.json("POST", "/api/v1/drive/move", json!({"from": "/private/hidden.txt", "to": "/seen.txt"})).await;
    let page = guest.get(&s).await;
    assert!(page.text().contains("seen.txt") && page.text().contains("6 B"), "{}", page.text());
    assert_eq!(guest.get(&format!("{s}/file")).await.text(), "hidden");

    // What is wrong with a link is never told.
    let wrong = guest.get(&format!("/s/{}", "A".repeat(43))).await;
    assert_eq!(wrong.status, StatusCode::NOT_FOUND);
    assert!(wrong.text().contains("This link does not work"));
    is_private(&wrong);
    ada.send("DELETE", "/api/v1/drive/file?path=%2Fseen.txt", &[], "").await;
    let over = guest.get(&s).await;
    assert_eq!(over.status, StatusCode::GONE);
    assert_eq!(over.text(), wrong.text());
    assert_eq!(guest.get(&format!("{s}/file")).await.status, StatusCode::GONE);

    // Taken back.
    let s = at(&link);
    let one = format!("/api/v1/drive/links?id={}", link["id"].as_str().unwrap());
    let ben = world.browser("ben").await;
    assert_eq!(ben.send("DELETE", &one, &[], "").await.status, StatusCode::NOT_FOUND, "another's link");
    assert_eq!(ada.send("DELETE", &one, &[], "").await.status, StatusCode::OK);
    assert_eq!(guest.get(&s).await.status, StatusCode::NOT_FOUND);
    assert_eq!(guest.get(&format!("{s}/archive")).await.status, StatusCode::NOT_FOUND);
    // Each act has its line.
    let admin = world.apps.accounts.sign_in("ada", crate::world::PASSWORD, Device::default()).await.unwrap().user;
    let lines = world.apps.accounts.audit(&admin, None, None, 0).await.unwrap().items;
    for action in ["link into the drive made", "link into the drive taken back"] {
        assert!(lines.iter().any(|line| line.action == action), "{action}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_dates_and_counts_hold() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let mut guest = world.stranger();
    let link = make(&ada, json!({"path": "/private/shared", "password": "swordfish", "downloads": 2})).await;
    let s = at(&link);
    let page = guest.get(&s).await;
    assert!(page.text().contains("guest-password") && !page.text().contains("a.html"));
    is_private(&page);
    assert_eq!(guest.get(&format!("{s}/file?path=/a.html")).await.header("location"), s);
    assert_eq!(guest.get(&format!("{s}/archive")).await.header("location"), s);
    let wrong = guest.form(&s, "password=wrong").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.headers.get("set-cookie").is_none() && wrong.text().contains("role=\"alert\""));
    let right = guest.form(&s, "password=swordfish").await;
    assert_eq!((right.status, right.header("location")), (StatusCode::SEE_OTHER, &*s));
    guest.take_cookie(&right);
    assert!(guest.get(&s).await.text().contains("a.html"));
    // Another link's guest is none of this one's.
    let other = at(&make(&ada, json!({"path": "/private/shared", "password": "swordfish"})).await);
    assert!(guest.get(&other).await.text().contains("guest-password"));

    // Two downloads, what is resumed being one; then it is over.
    let file = format!("{s}/file?path=/sub/b.txt");
    assert_eq!(guest.get(&file).await.status, StatusCode::OK);
    for _ in 0..3 {
        assert_eq!(guest.send("GET", &file, &[("range", "bytes=5-")], "").await.text(), "56789");
    }
    assert_eq!(guest.get(&format!("{s}/archive")).await.status, StatusCode::OK);
    assert_eq!(guest.get(&file).await.status, StatusCode::GONE);
    assert_eq!(guest.get(&s).await.status, StatusCode::GONE);
    assert_eq!(guest.send("HEAD", &file, &[], "").await.status, StatusCode::GONE);
    assert_eq!(guest.send("GET", &file, &[("range", "bytes=5-")], "").await.text(), "56789");
    let listed = ada.get("/api/v1/drive/links?path=/private/shared").await.json();
    let mine = listed["links"].as_array().unwrap().iter().find(|it| it["id"] == link["id"]).unwrap().clone();
    assert_eq!((&mine["downloads"], &mine["works"], &mine["password"]), (&json!(2), &json!(false), &json!(true)));

    // More, and another password: who knew the old one types the new one.
    let change = json!({"id": link["id"], "downloads": null, "password": "halibut!"});
    assert_eq!(ada.json("PATCH", "/api/v1/drive/links", change).await.status, StatusCode::OK);
    assert!(guest.get(&s).await.text().contains("guest-password"));
    let none = json!({"id": link["id"], "password": null});
    let changed = ada.json("PATCH", "/api/v1/drive/links", none).await.json();
    assert_eq!((&changed["link"]["password"], &changed["link"]["downloads_max"]), (&json!(false), &Value::Null));
    assert!(world.stranger().get(&s).await.text().contains("a.html"));

    // A date that has come.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let soon = at(&make(&ada, json!({"path": "/private/shared", "expires": now + 1500})).await);
    assert_eq!(world.stranger().get(&soon).await.status, StatusCode::OK);
    while world.stranger().get(&soon).await.status == StatusCode::OK {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.stranger().get(&soon).await.status, StatusCode::GONE);
    for bad in [
        json!({"path": "/private", "expires": 1}),
        json!({"path": "/private", "password": "short"}),
        json!({"path": "/private/hidden.txt", "mode": "drop_box"}),
        json!({"path": "/"}),
        json!({"path": "/none"}),
    ] {
        assert!(ada.json("POST", "/api/v1/drive/links", bad.clone()).await.status.is_client_error(), "{bad}");
    }

    // Guessing is slow, and locks out nobody elsewhere.
    let from =
        |address: &'static str| [("x-forwarded-for", address), ("content-type", "application/x-www-form-urlencoded")];
    let guess = async |address, password: &str| {
        world.stranger().send("POST", &other, &from(address), format!("password={password}")).await.status
    };
    world.gate.early_in_a_window();
    for _ in 0..apps::accounts::TRIES_MAX {
        assert_eq!(guess("10.1.1.1", "wrong").await, StatusCode::FORBIDDEN);
    }
    assert_eq!(guess("10.1.1.1", "swordfish").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(guess("10.1.1.2", "swordfish").await, StatusCode::SEE_OTHER);
    // A flood is stopped, for its own network.
    let from = [("x-forwarded-for", "10.2.2.2")];
    let mut last = StatusCode::OK;
    for _ in 0..1000 {
        last = world.send("GET", "/s/x", &from, "").await.status;
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.send("GET", "/s/x", &[("x-forwarded-for", "10.2.2.3")], "").await.status, StatusCode::NOT_FOUND);
    // With its maker's account go the links.
    let ben = world.browser("ben").await;
    ben.put("/mine", "mine").await;
    let bens = at(&make(&ben, json!({"path": "/mine"})).await);
    assert_eq!(world.stranger().get(&bens).await.status, StatusCode::OK);
    let disabled = ada.form("/people/of/ben/disable", "").await;
    assert!(disabled.status.is_redirection(), "{} {}", disabled.status, disabled.text());
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while world.stranger().get(&bens).await.status != StatusCode::GONE {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_boxes_take_and_show_nothing() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let guest = world.stranger();
    // A bound is told in the units that it is typed in.
    let typed = make(&ada, json!({"path": "/private/shared", "mode": "drop_box", "bytes": 100_000})).await;
    assert!(guest.get(&at(&typed)).await.text().contains("Up to 100 kB"));
    let ours = ada.get("/share?path=/private/shared").await;
    assert!(
        ours.text().contains("0 B of 100 kB received") && ours.text().contains("value=\"100K\""),
        "{}",
        ours.text()
    );
    let link = make(&ada, json!({"path": "/private/shared", "mode": "drop_box", "bytes": 100})).await;
    let s = at(&link);
    let page = guest.get(&s).await;
    assert!(page.text().contains("Hand in files: shared") && page.text().contains("100 B"), "{}", page.text());
    assert!(!page.text().contains("a.html") && !page.text().contains(">sub<"));
    is_private(&page);
    for what in ["/file?path=/a.html", "/archive", "/file", "/archive?path=/sub"] {
        let answer = guest.get(&format!("{s}{what}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}");
        is_private(&answer);
    }
    assert!(!guest.get(&format!("{s}?path=/sub")).await.text().contains("b.txt"));

    // As scripts send it: again with the same version is once.
    let version = "0123456789abcdef0123456789abcdef";
    let put = format!("{}/file?name=a.html&version={version}&mtime=1000", json_of(&s));
    for _ in 0..2 {
        let answer = guest.send("PUT", &put, &[("content-type", "text/plain")], "handed in").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        // Not even that there was one of that name.
        assert_eq!(answer.json()["entry"], json!({"name": "a.html", "size": 9}));
    }
    assert_eq!(ada.names("/private/shared").await, ["a (2).html", "a.html", "sub"]);
    // As a browser without scripts does.
    let body = "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"one\"\r\n\r\n1\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../two\"\r\n\r\n2\r\n--xyz--\r\n";
    let form = [("content-type", "multipart/form-data; boundary=xyz")];
    let sent = guest.send("POST", &format!("{s}/upload"), &form, body).await;
    assert_eq!(sent.header("location"), format!("{s}?received=2"), "{}", sent.text());
    assert!(guest.get(sent.header("location")).await.text().contains("2 files were received"));
    assert_eq!(ada.names("/private/shared").await, ["a (2).html", "a.html", "one", "sub", "two"]);

    // Not more than it takes, said before and after the bytes.
    let much = guest.send("PUT", &format!("{}/file?name=much", json_of(&s)), &[], "x".repeat(90)).await;
    assert_eq!((much.status, &*much.kind()), (StatusCode::INSUFFICIENT_STORAGE, "link_full"));
    for name in ["..", "", "a%2Fb"] {
        let bad = guest.send("PUT", &format!("{}/file?name={name}", json_of(&s)), &[], "x").await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{name:?}");
    }
    // Its owner's quota holds, and is not told.
    assert!(ada.form("/people/of/ben", "role=user&quota=2k").await.status.is_redirection());
    let ben = world.browser("ben").await;
    ben.json("POST", "/api/v1/drive/folder", json!({"path": "/box"})).await;
    let bens = at(&make(&ben, json!({"path": "/box", "mode": "drop_box"})).await);
    let full = guest.send("PUT", &format!("{}/file?name=x", json_of(&bens)), &[], "x".repeat(3000)).await;
    assert_eq!((full.status, &*full.kind()), (StatusCode::INSUFFICIENT_STORAGE, "no_room"));
    assert!(!full.text().contains("2000") && !full.text().contains("left"), "{}", full.text());
    assert_eq!(ben.names("/box").await, [""; 0]);

    // With a password; and taken back.
    let change = json!({"id": link["id"], "password": "swordfish"});
    ada.json("PATCH", "/api/v1/drive/links", change).await;
    let locked = guest.send("PUT", &put, &[], "x").await;
    assert_eq!((locked.status, &*locked.kind()), (StatusCode::FORBIDDEN, "password_needed"));
    ada.send("DELETE", &format!("/api/v1/drive/links?id={}", link["id"].as_str().unwrap()), &[], "").await;
    assert_eq!(guest.send("PUT", &put, &[], "x").await.status, StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_have_plain_pages() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let path = encode("/private/shared");
    let page = ada.get(&format!("/share?path={path}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.text().contains("share-form") && page.text().contains("Handing in files"));
    let made = ada
        .form("/share", &format!("path={path}&mode=view&password=swordfish&expires=2099-12-31&downloads=3&bytes="))
        .await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let page = ada.get(made.header("location")).await;
    assert!(page.text().contains("The link is made") && page.text().contains("asks for a password"));
    assert!(page.text().contains("value=\"2099-12-31\"") && page.text().contains("0 of 3 downloads"));
    let links = ada.get("/api/v1/drive/links").await.json()["links"].clone();
    let (id, address) = (links[0]["id"].as_str().unwrap(), links[0]["address"].as_str().unwrap());
    assert!(page.text().contains(&format!("value=\"http://{}{address}\"", world.host)), "it can be copied again");
    assert!(ada.get(&format!("/details?path={path}")).await.text().contains("1 link leads here"));
    assert!(ada.get("/share").await.text().contains(address));
    assert!(!world.browser("ben").await.get("/share").await.text().contains(address));
    // Changed: what is empty is no bound, but for the password.
    let changed = ada.form("/share/change", &format!("path={path}&id={id}&password=&expires=&downloads=&bytes=")).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text());
    let link = ada.get("/api/v1/drive/links").await.json()["links"][0].clone();
    let now = (&link["expires"], &link["downloads_max"], &link["password"]);
    assert_eq!(now, (&Value::Null, &Value::Null, &json!(true)));
    ada.form("/share/change", &format!("path={path}&id={id}&no_password=on")).await;
    assert_eq!(ada.get("/api/v1/drive/links").await.json()["links"][0]["password"], json!(false));
    for bad in ["expires=2023-02-30", "downloads=many", "bytes=lots", "password=short", "expires=2001-01-01"] {
        let answer = ada.form("/share", &format!("path={path}&{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(answer.text().contains("role=\"alert\""), "{bad}");
    }
    // What was typed is there still, so that the next press makes no other link; of a password, that there was to be one.
    let wanted = "mode=drop_box&password=short&expires=2099-12-31&bytes=5M";
    let answer = ada.form("/share", &format!("path={path}&{wanted}")).await;
    for there in [r#"value="drop_box" selected"#, r#"value="2099-12-31""#, r#"value="5M""#, r#"-hint" required"#] {
        assert!(answer.text().contains(there), "{there}: {}", answer.text());
    }
    assert!(!answer.text().contains(r#"value="short""#) && !page.text().contains("required"), "{}", page.text());
    let revoked = ada.form("/share/revoke", &format!("path={path}&id={id}")).await;
    assert!(ada.get(revoked.header("location")).await.text().contains("taken back"));
    assert_eq!(ada.get("/api/v1/drive/links").await.json()["links"], json!([]));
    let stranger = world.stranger().get("/share?path=/x").await;
    assert_eq!(stranger.header("location"), "/login?next=%2Fshare%3Fpath%3D%2Fx");
    world.stop().await;
}

/// Links into a shared drive are made by those who may change it, and work as long as their makers may.
#[tokio::test(flavor = "multi_thread")]
async fn links_lead_into_shared_drives_while_their_makers_may_write_there() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let drive = ada.json("POST", "/api/v1/drives", json!({"name": "Tea club"})).await.json();
    let drive = drive["id"].as_str().unwrap();
    let api = format!("/api/v1/drives/{drive}");
    let role = async |role: &str| {
        let set = ada.json("PUT", &format!("{api}/members/ben"), json!({ "role": role })).await;
        assert_eq!(set.status, StatusCode::OK, "{:?}", set.body);
    };
    ada.json("POST", &format!("{api}/folder"), json!({"path": "/box"})).await;
    let put = ada.send("PUT", &format!("{api}/file?path=/menu.txt"), &[], "tea").await;
    assert!(put.status.is_success());
    role("view").await;
    let asked = json!({"path": "/menu.txt"});
    assert_eq!(ben.json("POST", &format!("{api}/links"), asked.clone()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ben.get(&format!("{api}/links")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ben.get(&format!("/drives/{drive}/share?path=/menu.txt")).await.status, StatusCode::FORBIDDEN);
    role("edit").await;
    let made = ben.json("POST", &format!("{api}/links"), asked).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let link = at(&made.json()["link"]);
    let drop_box = ben.json("POST", &format!("{api}/links"), json!({"path": "/box", "mode": "drop_box"})).await;
    let drop_box = at(&drop_box.json()["link"]);
    let page = ada.get(&format!("/drives/{drive}/share")).await;
    assert!(
        page.text().contains(&link) && page.text().contains(&format!("/drives/{drive}/share/revoke")),
        "{}",
        page.text()
    );
    assert_eq!(ada.get("/api/v1/drive/links").await.json()["links"], json!([]), "one's own drive is another");

    let guest = world.stranger();
    assert_eq!(guest.get(&format!("{link}/file")).await.text(), "tea");
    let sent = guest.send("PUT", &format!("{}/file?name=leaf.txt", json_of(&drop_box)), &[], "leaf").await;
    assert!(sent.status.is_success(), "{:?}", sent.body);
    let listed = ben.get(&format!("{api}/list?path=/box")).await.json();
    assert_eq!(listed["entries"][0]["name"], "leaf.txt");
    // Who may not write there any more lets nobody else in; who may again, does.
    role("view").await;
    for address in [&link, &drop_box, &format!("{link}/file")] {
        assert_eq!(guest.get(address).await.status, StatusCode::GONE, "{address}");
    }
    let sent = guest.send("PUT", &format!("{}/file?name=late.txt", json_of(&drop_box)), &[], "late").await;
    assert_eq!(sent.status, StatusCode::GONE, "{:?}", sent.body);
    role("edit").await;
    assert_eq!(guest.get(&format!("{link}/file")).await.text(), "tea");
    let works = async || {
        let links = ada.get(&format!("{api}/links")).await.json();
        links["links"].as_array().unwrap().iter().map(|link| link["works"] == true).collect::<Vec<_>>()
    };
    assert_eq!(works().await, [true, true]);
    ada.send("DELETE", &format!("{api}/members/ben"), &[], "").await;
    assert_eq!(guest.get(&link).await.status, StatusCode::GONE);
    // Its list does not say otherwise.
    assert_eq!(works().await, [false, false]);
    let page = ada.get(&format!("/drives/{drive}/share")).await;
    assert!(page.text().contains("who made it may not change what is in this drive"), "{}", page.text());
    // Another member takes it back.
    let links = ada.get(&format!("{api}/links")).await.json();
    let id = links["links"][0]["id"].as_str().unwrap();
    let gone = ada.send("DELETE", &format!("{api}/links?id={id}"), &[], "").await;
    assert_eq!(gone.status, StatusCode::OK, "{:?}", gone.body);
    world.stop().await;
}

/// Who looks at a file and is shown it has seen it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_look_counts_once() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    let link = make(&ada, json!({"path": "/private/shared/sub/b.txt"})).await;
    let mut guest = world.stranger();
    let page = guest.get(&at(&link)).await;
    guest.take_cookie(&page);
    assert_eq!(guest.get(&format!("{}/show", at(&link))).await.text(), "0123456789");
    guest.get(&at(&link)).await;
    let links = ada.get("/api/v1/drive/links").await.json();
    assert_eq!(links["links"][0]["downloads"], 1);
    world.stop().await;
}

/// A form that shows a day sends it back: the hour that was set elsewhere stays.
#[tokio::test(flavor = "multi_thread")]
async fn changing_one_thing_by_the_form_prolongs_nothing() {
    let world = World::new().await;
    let ada = with_files(&world).await;
    // Noon of a day to come.
    let noon = 4_102_444_800_000u64 + 12 * 3_600_000;
    let link = make(&ada, json!({"path": "/private/shared", "expires": noon})).await;
    let id = link["id"].as_str().unwrap();
    let change = async |expires: &str| {
        let form = format!("id={id}&path=%2Fprivate%2Fshared&expires={expires}&downloads=5&bytes=&password=");
        assert_eq!(ada.form("/share/change", &form).await.status, StatusCode::SEE_OTHER);
        let link = ada.get("/api/v1/drive/links").await.json()["links"][0].clone();
        (link["expires"].as_u64(), link["downloads_max"].as_u64())
    };
    assert_eq!(change("2100-01-01").await, (Some(noon), Some(5)));
    assert_eq!(change("2100-01-02").await, (Some(noon + 36 * 3_600_000), Some(5)));
    assert_eq!(change("").await, (None, Some(5)));
    world.stop().await;
}

/// An archive under way ends, not whole, once its link is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_breaks_off_when_its_link_is_taken_back() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new().await;
    let ada = with_files(&world).await;
    let noise: Vec<u8> = (0..24_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert!(ada.put("/private/shared/large", noise).await.status.is_success());
    let link = make(&ada, json!({"path": "/private/shared"})).await;
    let mut slow = tokio::net::TcpStream::connect(&world.host).await.unwrap();
    let request = format!("GET {}/archive HTTP/1.1\r\nhost: {}\r\n\r\n", at(&link), world.host);
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut some = vec![0; 100_000];
    slow.read_exact(&mut some).await.unwrap();
    let gone = ada.send("DELETE", &format!("/api/v1/drive/links?id={}", link["id"].as_str().unwrap()), &[], "").await;
    assert_eq!(gone.status, StatusCode::OK);
    // It is asked about every five seconds.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let mut rest = Vec::new();
    // The connection may be reset rather than ended.
    let _ = slow.read_to_end(&mut rest).await;
    assert!(rest.len() < 20_000_000, "{} bytes came", rest.len());
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it does not look whole");
    world.stop().await;
}
