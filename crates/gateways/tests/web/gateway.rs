//! The web gateway over a real node: what a browser sends, what it gets, and what is refused.

use crate::world::{PASSWORD, World, encode};
use hyper::StatusCode;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that look the same nowhere.
fn noise(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_and_out() {
    let world = World::empty().await;
    let mut browser = world.stranger();
    let page = browser.get("/login").await;
    assert!(page.text().contains("set-up link"), "{}", page.text());

    // The first administrator.
    let secret = world.apps.accounts.make_setup_secret().await.unwrap();
    let link = format!("/setup/{secret}");
    assert_eq!(browser.get(&link).await.status, StatusCode::OK);
    let differ = browser.form(&link, "name=ada&password=a+long+enough+password&again=another+one+again").await;
    assert_eq!(differ.status, StatusCode::BAD_REQUEST);
    let both = "name=ada&password=a+long+enough+password&again=a+long+enough+password";
    for wrong in ["0".repeat(64), "x".into(), format!("{secret}0"), secret[..63].into()] {
        let answer = browser.form(&format!("/setup/{wrong}"), both).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text());
        let answer = browser.get(&format!("/setup/{wrong}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text());
        assert!(!answer.text().contains("name=\"password\""), "no form for who only guesses");
    }
    let made = browser.form(&link, both).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/"));
    browser.take_cookie(&made);
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    assert_eq!(browser.get(&link).await.status, StatusCode::GONE, "the link works once");
    assert_eq!(world.stranger().form(&link, both).await.status, StatusCode::GONE);

    // Wrong and right.
    for (name, password) in [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada\0", PASSWORD)] {
        let body = format!("name={}&password={}&next=/drive/x", encode(name), encode(password));
        let answer = world.stranger().form("/login", &body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name:?}");
        assert!(!answer.headers.contains_key("set-cookie") && answer.text().contains("role=\"alert\""));
        let answer =
            world.stranger().json("POST", "/api/v1/session", json!({"name": name, "password": password})).await;
        assert_eq!((answer.status, answer.kind()), (StatusCode::UNAUTHORIZED, "wrong_credentials".into()));
    }
    let body = format!("name=ada&password={}&next=//evil.example/", encode(PASSWORD));
    let answer = world.stranger().form("/login", &body).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "nobody is sent away");
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");

    // Out, everywhere.
    let answer = browser.form("/logout", "").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/login"));
    tokio::time::sleep(Duration::from_millis(2100)).await; // Sessions are remembered for two seconds.
    let answer = browser.get("/drive/a%20b").await;
    assert_eq!(answer.header("location"), "/login?next=%2Fdrive%2Fa%2520b");
    assert_eq!(browser.get("/api/v1/drive/list").await.kind(), "not_signed_in");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_setup_links_keep_nobody_out() {
    let world = World::empty().await;
    let secret = world.apps.accounts.make_setup_secret().await.unwrap();
    let from = [("x-forwarded-for", "10.1.1.1")];
    for guess in 0..24 {
        let path = format!("/setup/{guess:064x}");
        assert_eq!(world.send("GET", &path, &from, "").await.status, StatusCode::NOT_FOUND);
    }
    // The right one opens, from the same network.
    assert_eq!(world.send("GET", &format!("/setup/{secret}"), &from, "").await.status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_those_who_look_after_the_machine() {
    let world = World::new().await;
    for (from, expected) in
        [("10.0.0.8", StatusCode::FORBIDDEN), ("10.0.0.9", StatusCode::OK), ("127.0.0.1", StatusCode::OK)]
    {
        assert_eq!(world.send("GET", "/metrics", &[("x-forwarded-for", from)], "").await.status, expected, "{from}");
    }
    for (name, expected) in [("ada", StatusCode::OK), ("ben", StatusCode::FORBIDDEN)] {
        let session = world.apps.accounts.sign_in(name, PASSWORD, apps::Device::default()).await.unwrap();
        let bearer = format!("Bearer {}", session.token.as_str());
        let headers = [("x-forwarded-for", "10.0.0.8"), ("authorization", bearer.as_str())];
        assert_eq!(world.send("GET", "/metrics", &headers, "").await.status, expected, "{name}");
    }
    let wrong = world.send("GET", "/metrics", &[("authorization", "Bearer nonsense")], "").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let text = world.send("GET", "/metrics", &[], "").await;
    assert!(text.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = text.text();
    assert!(text.contains("atoll_ready 1\n") && text.contains("atoll_partitions "), "{text}");
    assert!(text.contains("atoll_requests_total{gateway=\"web\",service=\"pages\",outcome=\"ok\"}"), "{text}");
    assert!(!text.contains("ada") && !text.contains("ben"), "nobody's name");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("atoll_") && value.parse::<f64>().is_ok(), "{line}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_change_nothing() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    assert_eq!(ada.put("/mine", "mine").await.status, StatusCode::CREATED);
    let origin = format!("http://{}", world.host);
    let foreign: [&[(&str, &str)]; 5] = [
        &[],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("origin", &origin), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ];
    for from in foreign {
        let mut headers = from.to_vec();
        headers.push(("cookie", &ada.cookie));
        let requests = [
            ("PUT", "/api/v1/drive/file?path=/evil"),
            ("DELETE", "/api/v1/drive/file?path=/mine"),
            ("POST", "/api/v1/drive/folder"),
            ("POST", "/api/v1/drive/move"),
            ("POST", "/forms/upload?path=/"),
            ("POST", "/forms/folder"),
            ("POST", "/logout"),
            ("POST", "/login"),
            ("POST", "/api/v1/session"),
            ("DELETE", "/api/v1/session"),
        ];
        for (method, path) in requests {
            let answer = world.send(method, path, &headers, "{}").await;
            assert_eq!(
                (answer.status, answer.kind()),
                (StatusCode::FORBIDDEN, "wrong_origin".into()),
                "{method} {path}"
            );
        }
    }
    assert_eq!(ada.names("/").await, ["mine"]);

    // A program shows a token of its own; a cookie beside it counts for nothing.
    let answer =
        ada.json("POST", "/api/v1/session", json!({"name": "ben", "password": PASSWORD, "bearer": true})).await;
    let token = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    assert!(!answer.headers.contains_key("set-cookie"));
    let headers = [("authorization", token.as_str()), ("cookie", &ada.cookie)];
    let answer = world.send("PUT", "/api/v1/drive/file?path=/of-ben", &headers, "x").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(ada.names("/").await, ["mine"], "ben's drive is ben's");
    let answer =
        world.send("GET", "/api/v1/session", &[("authorization", "Bearer x"), ("cookie", &ada.cookie)], "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_guarded() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.put("/evil.html", "<script>alert(1)</script>").await;
    let file = "/api/v1/drive/file?path=%2Fevil.html";
    for path in ["/", "/login", "/nowhere", "/drive/nowhere", "/api/v1/drive/list", "/api/v1/nowhere", file] {
        let answer = ada.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
    }
    let page = ada.get("/").await;
    assert_eq!(page.header("cache-control"), "no-store");
    for inline in ["<script>", " onclick=", " style=", "javascript:"] {
        assert!(!page.text().contains(inline), "{inline}");
    }
    // Each address that the page names is on this site, and there.
    for part in page.text().split(['"']).filter(|part| part.starts_with("/assets/") && !part.contains('#')) {
        let asset = ada.get(part).await;
        assert_eq!(asset.status, StatusCode::OK, "{part}");
        assert!(asset.header("cache-control").contains("immutable"), "{part}");
    }
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));

    let file = ada.get(file).await;
    assert!(file.header("content-disposition").starts_with("attachment;"));
    assert!(file.header("content-security-policy").contains("sandbox"));
    assert_eq!(file.header("content-type"), "application/octet-stream");

    // Too long, too large, unknown.
    for address in ["/api/v1/links/%FF", "/api/v1/drives/%ff/list", "/drive/%C3%28"] {
        let unreadable = ada.get(address).await;
        assert_eq!(unreadable.status, StatusCode::BAD_REQUEST, "{address}");
        assert!(!unreadable.header("content-type").starts_with("text/plain"), "{address}");
    }
    assert_eq!(ada.get("/api/v1/links/%FF").await.json()["error"]["kind"], "bad_request");
    let long = ada.get(&format!("/drive/{}", "a".repeat(20_000))).await;
    assert_eq!(long.status, StatusCode::URI_TOO_LONG);
    let large = ada.form("/login", &format!("name=ada&password={}", "x".repeat(100_000))).await;
    assert!(large.status.is_client_error(), "{}", large.status);
    let large = ada.json("POST", "/api/v1/drive/folder", json!({"path": "x".repeat(100_000)})).await;
    assert_eq!((large.status, large.kind()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large".into()));
    assert_eq!(ada.json("PATCH", "/api/v1/drive/list", json!({})).await.kind(), "bad_method");
    assert_eq!(ada.json("POST", "/api/v1/drive/folder", json!([])).await.kind(), "bad_request");

    // Health needs no session.
    let health = world.stranger().get("/health").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (StatusCode::OK, Some("serving")));
    world.ready.store(false, Ordering::Relaxed);
    assert_eq!(world.stranger().get("/health").await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_up_and_come_down() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let content = noise(20 * 1024 * 1024 + 17);
    let headers = [("content-type", "video/mp4")];
    let put = "/api/v1/drive/file?path=/film.mp4&condition=create&mtime=1700000000000";
    let answer = ada.send("PUT", put, &headers, content.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    let answer = answer.json();
    assert_eq!(
        (answer["entry"]["size"].as_u64(), &answer["saved"]),
        (Some(content.len() as u64), &serde_json::json!({"copies": 1, "wanted": 1}))
    );

    let file = "/api/v1/drive/file?path=/film.mp4";
    let whole = ada.get(file).await;
    assert!(whole.body == content, "other bytes came back");
    assert_eq!(whole.header("content-length"), content.len().to_string());
    assert_eq!((whole.header("content-type"), whole.header("accept-ranges")), ("video/mp4", "bytes"));
    assert_eq!(whole.header("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
    let etag = whole.header("etag").to_string();
    assert!(etag.len() > 2 && etag.starts_with('"'));

    // Parts of it.
    for (range, wanted) in [
        ("bytes=0-0", 0..1),
        ("bytes=1048570-1048590", 1_048_570..1_048_591),
        ("bytes=-20", content.len() - 20..content.len()),
        ("bytes=20000000-", 20_000_000..content.len()),
    ] {
        let part = ada.send("GET", file, &[("range", range)], "").await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert!(part.body == content[wanted.clone()], "{range}");
        let told = format!("bytes {}-{}/{}", wanted.start, wanted.end - 1, content.len());
        assert_eq!(part.header("content-range"), told);
    }
    let beyond = ada.send("GET", file, &[("range", "bytes=99999999-")], "").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", content.len()));
    let stale = ada.send("GET", file, &[("range", "bytes=0-0"), ("if-range", "\"other\"")], "").await;
    assert_eq!((stale.status, stale.body.len()), (StatusCode::OK, content.len()));
    let fresh = ada.send("GET", file, &[("range", "bytes=0-0"), ("if-range", &etag)], "").await;
    assert_eq!(fresh.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(ada.send("GET", file, &[("if-none-match", &etag)], "").await.status, StatusCode::NOT_MODIFIED);
    let head = ada.send("HEAD", file, &[], "").await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::OK, &*content.len().to_string()));

    // Nothing, and again, and something else.
    assert_eq!(ada.put("/empty", "").await.status, StatusCode::CREATED);
    assert_eq!(ada.get("/api/v1/drive/file?path=/empty").await.body.len(), 0);
    // The refusal is heard although the sender has much to say.
    assert_eq!(ada.send("PUT", put, &[], content[..8 << 20].to_vec()).await.kind(), "exists");
    let replaced = ada.send("PUT", file, &[("if-match", &etag)], "new").await;
    assert_eq!(replaced.status, StatusCode::OK, "{:?}", replaced.body);
    let late = ada.send("PUT", file, &[("if-match", &etag)], "newer").await;
    assert_eq!((late.status, late.kind()), (StatusCode::PRECONDITION_FAILED, "changed".into()));
    assert_eq!(ada.get(file).await.text(), "new");

    // A retry whose first try had been carried out.
    let version = "0123456789abcdef0123456789abcdef";
    let put = format!("/api/v1/drive/file?path=/once&condition=create&version={version}");
    for _ in 0..2 {
        let answer = ada.send("PUT", &put, &[], "content").await;
        assert!(answer.status.is_success(), "{:?}", answer.body);
        assert_eq!(answer.json()["entry"]["version"], version);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_short_leaves_nothing() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let content = noise(3 * 1024 * 1024);
    for chunked in [false, true] {
        for sent in [0, 10, content.len() / 2, content.len() - 1] {
            let framing = if chunked {
                "transfer-encoding: chunked".to_string()
            } else {
                format!("content-length: {}", content.len())
            };
            let head = format!(
                "PUT /api/v1/drive/file?path=/short HTTP/1.1\r\nhost: {}\r\norigin: http://{}\r\ncookie: {}\r\n{framing}\r\n\r\n",
                world.host, world.host, ada.cookie
            );
            let mut stream = TcpStream::connect(&world.host).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            if chunked {
                stream.write_all(format!("{:x}\r\n", content.len()).as_bytes()).await.unwrap();
            }
            stream.write_all(&content[..sent]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            // The connection may be cut before the refusal can be read.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
            assert_eq!(ada.names("/").await, Vec::<String>::new(), "after {sent} bytes");
        }
    }
    // A form cut short, too: its first file was whole, its second was not.
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"whole\"\r\n\r\none\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut\"\r\n\r\ntw";
    let answer =
        ada.send("POST", "/forms/upload?path=/", &[("content-type", "multipart/form-data; boundary=b")], form).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    assert_eq!(ada.names("/").await, ["whole"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_name_is_shown_safely() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let names = [
        "<script>alert(1)<script>",
        "\"quoted\" & 'quoted' {{ braces }}",
        "Übung – 日本語 🏝.txt",
        "back\\slash; a=b",
        "100% + #1?.txt",
        " spaces  inside ",
        "line\r\nbreak: x",
    ];
    for name in names {
        assert_eq!(ada.put(&format!("/{name}"), name).await.status, StatusCode::CREATED, "{name:?}");
        let folder = format!("/folder {name}");
        let made = ada.json("POST", "/api/v1/drive/folder", json!({"path": folder})).await;
        assert_eq!(made.status, StatusCode::CREATED);
        assert_eq!(ada.put(&format!("{folder}/inside"), "").await.status, StatusCode::CREATED);
        // Each folder's page is where its name leads.
        let page = ada.get(&format!("/drive/{}", encode(&folder[1..]))).await;
        assert_eq!(page.status, StatusCode::OK, "{name:?}");
        assert!(page.text().contains("inside") && !page.text().contains("<script>"), "{name:?}");
    }
    let page = ada.get("/").await;
    assert!(page.text().contains("&#60;script&#62;alert(1)") && !page.text().contains("<script>"));
    for name in names {
        let file = ada.get(&format!("/api/v1/drive/file?path={}", encode(&format!("/{name}")))).await;
        assert_eq!(file.text(), name);
        let disposition = file.header("content-disposition");
        let (_, told) = disposition.split_once("filename*=UTF-8''").unwrap();
        assert_eq!(decode(told), name);
        assert!(ada.names("/").await.contains(&name.to_string()));
    }

    // Up and away: nothing climbs.
    for path in ["/../x", "/..", "/a/../../x", "/./x", "/a//b", "/x\0", ""] {
        let answer = ada.put(path, "x").await;
        assert!(answer.status.is_client_error(), "{path:?}: {}", answer.status);
        let answer = ada.get(&format!("/api/v1/drive/file?path={}", encode(path))).await;
        assert!(answer.status.is_client_error(), "{path:?}: {}", answer.status);
    }
    for raw in
        ["/drive/..%2f..%2fetc", "/drive/%2e%2e/x", "/drive/a%00", "/drive/%ff", "/assets/x/..%2f..%2fCargo.toml"]
    {
        let answer = ada.get(raw).await;
        assert!(answer.status.is_client_error(), "{raw}: {}", answer.status);
    }
    world.stop().await;
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_made_renamed_and_deleted() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let folder = |path: &str| json!({ "path": path });
    assert_eq!(ada.json("POST", "/api/v1/drive/folder", folder("/a")).await.status, StatusCode::CREATED);
    assert_eq!(ada.json("POST", "/api/v1/drive/folder", folder("/a")).await.kind(), "exists");
    let deep = json!({ "path": "/b/c/d", "parents": true });
    for _ in 0..2 {
        assert_eq!(ada.json("POST", "/api/v1/drive/folder", deep.clone()).await.status, StatusCode::CREATED);
    }
    assert_eq!(ada.put("/b/c/file", "x").await.status, StatusCode::CREATED);
    assert_eq!(ada.put("/nowhere/file", "x").await.kind(), "not_found");
    assert_eq!(ada.put("/b/c/file/inside", "x").await.kind(), "not_a_folder");
    assert_eq!(ada.put("/b/c", "x").await.kind(), "is_a_folder");

    let moved = |from: &str, to: &str| json!({ "from": from, "to": to });
    assert_eq!(ada.json("POST", "/api/v1/drive/move", moved("/b", "/a/b")).await.status, StatusCode::OK);
    assert_eq!(ada.json("POST", "/api/v1/drive/move", moved("/a", "/a/b/a")).await.kind(), "cycle");
    assert_eq!(ada.json("POST", "/api/v1/drive/move", moved("/b", "/c")).await.kind(), "not_found");
    assert_eq!(ada.names("/a/b/c").await, ["d", "file"]);
    assert_eq!(ada.get("/drive/a/b/c").await.status, StatusCode::OK);
    let to_file = ada.get("/drive/a/b/c/file").await;
    assert_eq!(to_file.header("location"), "/view/a/b/c/file");

    let delete = |path: &str| format!("/api/v1/drive/file?path={}", encode(path));
    assert_eq!(ada.send("DELETE", &delete("/a"), &[], "").await.kind(), "not_empty");
    let all = format!("{}&recursive=true", delete("/a"));
    assert_eq!(ada.send("DELETE", &all, &[], "").await.status, StatusCode::OK);
    assert_eq!(ada.send("DELETE", &all, &[], "").await.kind(), "not_found");
    assert_eq!(ada.names("/").await, Vec::<String>::new());

    // Pages of a long folder, forwards to the end.
    for n in 0..25 {
        ada.json("POST", "/api/v1/drive/folder", folder(&format!("/{n:02}"))).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada.get(&format!("/api/v1/drive/list?path=/&limit=10&cursor={cursor}")).await.json();
        seen.extend(
            page["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_string()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = encode(next),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).map(|n| format!("{n:02}")).collect::<Vec<_>>());
    assert_eq!(ada.get("/api/v1/drive/list?path=/&cursor=%FF").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ada.get("/api/v1/drive/list?path=/&cursor=nonsense!").await.kind(), "bad_cursor");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_forms_do_without_scripts() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let made = ada.form("/forms/folder", "path=/&name=My+papers").await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/"));
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"ü %22x%22.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    for _ in 0..2 {
        let answer = ada.send("POST", "/forms/upload?path=%2FMy%20papers", &kind, form).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/drive/My%20papers"));
    }
    assert_eq!(ada.names("/My papers").await, ["ü \"x\" (2).txt", "ü \"x\".txt"]);
    let page = ada.get("/drive/My%20papers").await;
    assert!(page.text().contains("action=\"/forms/upload?path=%2FMy%20papers\""));
    let wrong = ada.form("/forms/folder", "path=/&name=My+papers").await;
    assert_eq!(wrong.status, StatusCode::CONFLICT);
    assert!(wrong.header("content-type").starts_with("text/html"));
    let stranger = world.stranger().form("/forms/folder", "path=/&name=x").await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    world.stop().await;
}
