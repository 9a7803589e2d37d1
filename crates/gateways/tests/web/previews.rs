//! A file's page, and what leaves as something that a browser may show.

use crate::world::{Answer, Browser, World, encode};
use hyper::StatusCode;
use serde_json::json;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot all of one";

async fn view(ada: &Browser<'_>, path: &str) -> Answer {
    ada.get(&format!("/api/v1/drive/view?path={}", encode(path))).await
}

/// Nothing of the file does anything, wherever its address is opened.
fn is_sandboxed(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_alone_decide_what_is_shown() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    for (name, said, bytes, shown) in [
        ("a.png", "image/png", PNG, "image/png"),
        ("called.txt", "text/plain", PNG, "image/png"),
        ("film.mp4", "video/mp4", &b"\0\0\0\x1cftypisom\0\0\0\0"[..], "video/mp4"),
        ("no.png", "image/png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", ""),
        ("a.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", ""),
        ("a.html", "text/html", b"<!doctype html><script>alert(1)</script>", ""),
        ("a.pdf", "application/pdf", b"%PDF-1.7\n", ""),
        ("a.txt", "text/plain", b"hello", ""),
        ("a.bin", "video/mp4", b"\0\x01\x02", ""),
    ] {
        let address = format!("/api/v1/drive/file?path={}", encode(&format!("/{name}")));
        assert!(ada.send("PUT", &address, &[("content-type", said)], bytes).await.status.is_success());
        let answer = view(&ada, &format!("/{name}")).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, bytes), "{name}");
        is_sandboxed(&answer);
        if shown.is_empty() {
            assert!(answer.header("content-disposition").starts_with("attachment"), "{name}");
            assert!(!["text/html", "image/svg+xml"].contains(&answer.header("content-type")), "{name}");
        } else {
            assert_eq!(
                (answer.header("content-type"), answer.header("content-disposition")),
                (shown, "inline"),
                "{name}"
            );
        }
    }
    let part = ada.send("GET", "/api/v1/drive/view?path=/film.mp4", &[("range", "bytes=4-7")], "").await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "ftyp"));
    assert_eq!((part.header("content-type"), part.header("content-range")), ("video/mp4", "bytes 4-7/16"));
    let ben = world.browser("ben").await;
    assert_eq!(view(&ben, "/a.png").await.status, StatusCode::NOT_FOUND, "his own drive has none");
    assert_eq!(view(&world.stranger(), "/a.png").await.status, StatusCode::UNAUTHORIZED);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_has_its_page_and_its_neighbours() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/m/folder", "parents": true})).await;
    let long = "line\n".repeat(200_000);
    for (name, bytes) in [
        ("img2.png", PNG),
        ("img10.png", PNG),
        ("notes.md", b"# Hi\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![i](https://evil.example/i.png)"),
        ("page.html", b"<script>alert(1)</script>"),
        ("talk.pdf", b"%PDF-1.7\n"),
        ("void", b""),
        ("what.bin", b"\0\x01"),
        ("x & y.mp3", b"ID3\x04\0"),
        ("zlong.txt", long.as_bytes()),
        ("pcode.rs", b"fn main() {}"),
        ("plate.txt", &[&[b'a'; 8000][..], b"\0\x01"].concat()),
    ] {
        assert!(ada.put(&format!("/m/{name}"), bytes.to_vec()).await.status.is_success());
    }
    let page = |name: &str| format!("/view/m/{}", encode(name));
    for (name, has) in [
        ("img2.png", "<img class=\"shown\" src=\"/api/v1/drive/view?path=%2Fm%2Fimg2.png\""),
        ("talk.pdf", "data-testid=\"stage-pdf\""),
        ("void", "This file is empty."),
        ("what.bin", "no preview"),
        ("x & y.mp3", "<audio class=\"shown\" controls"),
        ("page.html", "&#60;script&#62;alert(1)&#60;/script&#62;"),
        ("notes.md", "<h1>Hi</h1>"),
        ("pcode.rs", "data-code=\"rs\""),
        ("plate.txt", "no preview"),
        ("zlong.txt", "This is the beginning."),
    ] {
        let shown = ada.get(&page(name)).await;
        assert_eq!(shown.status, StatusCode::OK, "{name}");
        assert!(shown.text().contains(has), "{name}: {}", shown.text());
        assert!(!shown.text().contains("alert(1)</script>") && !shown.text().contains("javascript:"), "{name}");
        assert!(!shown.text().contains("src=\"https:"), "{name}");
        assert!(shown.text().contains("data-testid=\"viewer-download\""), "{name}");
        assert!(shown.header("content-security-policy").contains("script-src 'self';"), "{name}");
    }
    assert!(ada.get(&page("zlong.txt")).await.body.len() < 600_000);

    // As the listing has them: numbers count, folders are no files.
    let beside = |answer: &Answer, rel: &str| {
        let tag = answer.text().split("<a ").find(|tag| tag.contains(&format!("rel=\"{rel}\""))).map(str::to_string);
        tag.map(|tag| tag.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_string())
    };
    let first = ada.get(&page("img2.png")).await;
    assert_eq!((beside(&first, "prev"), beside(&first, "next")), (None, Some("/view/m/img10.png".into())));
    let last = ada.get(&page("zlong.txt")).await;
    assert_eq!((beside(&last, "prev"), beside(&last, "next")), (Some("/view/m/x%20%26%20y.mp3".into()), None));
    let largest = ada.get(&format!("{}?order=size&reverse=true", page("zlong.txt"))).await;
    let next = beside(&largest, "next").unwrap();
    assert_eq!((beside(&largest, "prev"), &*next), (None, "/view/m/plate.txt?order=size&#38;reverse=true"));
    assert!(largest.text().contains("href=\"/drive/m?order=size&#38;reverse=true\""), "the way back");

    // Addresses that are none of a file.
    assert_eq!(ada.get("/view/m/folder").await.header("location"), "/drive/m/folder");
    assert_eq!(ada.get("/drive/m/img2.png").await.header("location"), "/view/m/img2.png");
    assert_eq!(ada.get("/view/none").await.status, StatusCode::NOT_FOUND);
    assert!(ada.get("/view/m/img2.png/x").await.status.is_client_error());
    let outside = world.stranger().get("/view/m/img2.png").await;
    assert!(outside.status.is_redirection() && outside.header("location").contains("next="), "{:?}", outside.headers);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_see_what_their_link_reaches() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/shared"})).await;
    for path in ["/shared/a.png", "/hidden.png"] {
        assert!(ada.put(path, PNG).await.status.is_success());
    }
    assert!(ada.put("/shared/a.txt", "some words").await.status.is_success());
    let link = |asked| async { ada.json("POST", "/api/v1/drive/links", asked).await.json()["link"].clone() };
    let made = link(json!({"path": "/shared"})).await;
    let s = made["address"].as_str().unwrap();
    let guest = world.stranger();
    let page = guest.get(&format!("{s}?path=/a.png")).await;
    // The files beside it are those that the link reaches.
    assert!(page.text().contains(&format!("rel=\"next\" href=\"{s}?path=%2Fa.txt\"")), "{}", page.text());
    assert!(!page.text().contains("rel=\"prev\"") && !page.text().contains("hidden.png"), "{}", page.text());
    let last = guest.get(&format!("{s}?path=/a.txt")).await;
    assert!(last.text().contains(&format!("rel=\"prev\" href=\"{s}?path=%2Fa.png\"")), "{}", last.text());
    assert!(!last.text().contains("rel=\"next\""), "{}", last.text());
    assert!(page.text().contains(&format!("src=\"{s}/show?path=%2Fa.png\"")), "{}", page.text());
    assert!(guest.get(&format!("{s}?path=/a.txt")).await.text().contains("some words"));
    let image = guest.get(&format!("{s}/show?path=/a.png")).await;
    assert_eq!((image.status, image.header("content-type"), &image.body[..]), (StatusCode::OK, "image/png", PNG));
    is_sandboxed(&image);
    assert_eq!(image.header("referrer-policy"), "no-referrer");
    for path in ["/hidden.png", "/../hidden.png", "/..%2Fhidden.png", "/shared/a.png", ""] {
        assert!(guest.get(&format!("{s}/show?path={path}")).await.status.is_client_error(), "{path}");
    }

    // Where downloads are counted, looking is none: there is nothing to look at.
    let made = link(json!({"path": "/shared", "downloads": 1})).await;
    let s = made["address"].as_str().unwrap();
    let page = guest.get(&format!("{s}?path=/a.txt")).await;
    assert!(page.text().contains("guest-download") && !page.text().contains("some words"), "{}", page.text());
    assert_eq!(guest.get(&format!("{s}/file?path=/a.txt")).await.text(), "some words");
    assert_eq!(guest.get(&format!("{s}/show?path=/a.txt")).await.status, StatusCode::GONE);
    world.stop().await;
}

/// Four pixels, red.
const TINY: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0, 253, 212, 154,
    115, 0, 0, 0, 16, 73, 68, 65, 84, 120, 156, 99, 248, 207, 192, 0, 68, 12, 16, 10, 0, 31, 238, 3, 253, 139, 95, 20,
    212, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];

#[tokio::test(flavor = "multi_thread")]
async fn images_have_small_pictures() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    for (path, bytes) in [("/a.png", TINY), ("/broken.png", PNG), ("/a.txt", b"text")] {
        assert!(ada.put(path, bytes).await.status.is_success());
    }
    let listed = ada.get("/api/v1/drive/list?path=/").await.json();
    let entries = listed["entries"].as_array().unwrap();
    let version = |name: &str| {
        let entry = entries.iter().find(|entry| entry["name"] == name).unwrap();
        entry["thumbnail"].as_str().map(str::to_string)
    };
    assert_eq!(version("a.txt"), None);
    let of = |version: String| format!("/api/v1/drive/thumbnail?version={version}");
    let picture = ada.get(&of(version("a.png").unwrap())).await;
    assert_eq!((picture.status, picture.header("content-type")), (StatusCode::OK, "image/jpeg"), "{:?}", picture.body);
    assert!(
        picture.header("cache-control").contains("immutable") && picture.header("cache-control").contains("private")
    );
    is_sandboxed(&picture);
    assert_eq!(ada.get(&of(version("broken.png").unwrap())).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get(&of("0".repeat(32))).await.status, StatusCode::NOT_FOUND);
    let ben = world.browser("ben").await;
    assert_eq!(ben.get(&of(version("a.png").unwrap())).await.status, StatusCode::NOT_FOUND);

    // In the listing; as pictures, which is remembered.
    let page = ada.get("/").await;
    assert!(page.text().contains(&format!("src=\"{}\"", of(version("a.png").unwrap()))), "{}", page.text());
    assert!(!page.text().contains("listing grid"));
    let grid = ada.get("/?look=grid").await;
    assert!(grid.text().contains("listing grid") && grid.header("set-cookie").starts_with("atoll-look=grid"));
    let again = ada.send("GET", "/", &[("cookie", &format!("{}; atoll-look=grid", ada.cookie))], "").await;
    assert_eq!(again.status, StatusCode::OK);
    assert!(again.text().contains("listing grid"), "{}", again.text());
    assert!(!ada.get("/?look=list").await.text().contains("listing grid"));

    // Guests, where nothing is counted.
    let link = |asked| async { ada.json("POST", "/api/v1/drive/links", asked).await.json()["link"].clone() };
    let made = link(json!({"path": "/a.png"})).await;
    let s = made["address"].as_str().unwrap();
    let guest = world.stranger();
    assert_eq!(guest.get(&format!("{s}/thumbnail")).await.body, picture.body);
    for path in ["/broken.png", "/../a.png", "/a.txt"] {
        assert!(guest.get(&format!("{s}/thumbnail?path={path}")).await.status.is_client_error(), "{path}");
    }
    let made = link(json!({"path": "/a.png", "downloads": 5})).await;
    let s = made["address"].as_str().unwrap();
    assert!(guest.get(&format!("{s}/thumbnail")).await.status.is_client_error());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_version_is_looked_at_restored_and_left() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    for content in ["the first words", "the second words"] {
        assert!(ada.put("/a.txt", content).await.status.is_success());
    }
    let details = ada.get("/details?path=%2Fa.txt").await;
    let earlier = details.text().split('"').find(|it| it.starts_with("/view/a.txt?version=")).unwrap().to_string();
    let page = ada.get(&earlier).await;
    assert!(
        page.text().contains("the first words") && page.text().contains("data-testid=\"earlier\""),
        "{}",
        page.text()
    );
    assert!(page.text().contains("href=\"/view/a.txt\" data-testid=\"to-newest\""));
    let version = earlier.rsplit_once('=').unwrap().1;
    assert!(
        page.text().contains(&format!("/api/v1/drive/file?path=%2Fa.txt&#38;version={version}")),
        "{}",
        page.text()
    );
    let newest = ada.get("/view/a.txt").await;
    assert!(newest.text().contains("the second words") && !newest.text().contains("data-testid=\"earlier\""));
    // What is no version, and another's.
    let ben = world.browser("ben").await;
    assert!(ben.put("/a.txt", "his").await.status.is_success());
    let gone = ada.get(&format!("/view/a.txt?version={}", "0".repeat(version.len()))).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.text());
    assert_eq!(ben.get(&earlier).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get("/view/a.txt?version=nonsense").await.status, StatusCode::BAD_REQUEST);
    let restored = ada.form("/details/restore", &format!("path=%2Fa.txt&version={version}")).await;
    assert_eq!(restored.status, StatusCode::SEE_OTHER);
    assert!(ada.get("/view/a.txt").await.text().contains("the first words"));
    world.stop().await;
}
