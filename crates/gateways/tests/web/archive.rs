//! Folders as one archive, as `unzip` and Python read them.

use crate::world::{Answer, World, encode};
use hyper::StatusCode;
use serde_json::json;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Names and contents, by Python's own reader.
pub fn read(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    let tested = Command::new("unzip").arg("-tqq").arg(file.path()).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
    let script = "import sys, json, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        print(json.dumps([[i.filename, z.read(i).decode()] for i in z.infolist()]))";
    let out = Command::new("python3").args(["-c", script]).arg(file.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, content)| (name.to_string(), content.to_string())).collect()
}

/// Whoever renames, moves and removes while an archive is made changes what is in it by what goes, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_renamed_while_an_archive_is_made_is_in_it() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let noise: Vec<u8> = (0..24_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/all/sub", "parents": true})).await;
    assert!(ada.put("/all/a large one", noise).await.status.is_success());
    for name in ["b", "c", "d", "e", "f", "g", "sub/h"] {
        assert!(ada.put(&format!("/all/{name}"), name).await.status.is_success());
    }
    let mut slow = tokio::net::TcpStream::connect(&world.host).await.unwrap();
    let head = "GET /api/v1/drive/archive?path=/all HTTP/1.0\r\nhost";
    let request = format!("{head}: {}\r\ncookie: {}\r\n\r\n", world.host, ada.cookie);
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut some = vec![0; 100_000];
    slow.read_exact(&mut some).await.unwrap();
    // `b` goes before what is being sent, `c` behind all, `d` takes the place of `e`, `f` goes, `g` moves away.
    for (from, to) in [("/all/b", "/all/A"), ("/all/c", "/all/z"), ("/all/sub", "/all/0"), ("/all/g", "/g")] {
        let moved = ada.json("POST", "/api/v1/drive/move", json!({"from": from, "to": to})).await;
        assert!(moved.status.is_success(), "{from}: {:?}", moved.body);
    }
    for gone in ["/all/e", "/all/f"] {
        assert!(ada.send("DELETE", &format!("/api/v1/drive/file?path={gone}"), &[], "").await.status.is_success());
    }
    assert!(
        ada.json("POST", "/api/v1/drive/move", json!({"from": "/all/d", "to": "/all/e"})).await.status.is_success()
    );
    slow.read_to_end(&mut some).await.unwrap();
    let body = some.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &some[body..]).unwrap();
    let script = "import sys, json, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        print(json.dumps([[i.filename, z.read(i).decode('latin1')[:9]] for i in z.infolist()][2:]))";
    let out = Command::new("python3").args(["-c", script]).arg(file.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let found: Vec<(String, String)> = serde_json::from_slice(&out.stdout).unwrap();
    let wanted = [("all/b", "b"), ("all/c", "c"), ("all/d", "d"), ("all/sub/", ""), ("all/sub/h", "sub/h")];
    assert_eq!(found, pairs(&wanted));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_come_as_one_archive() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/Übung/deep/empty", "parents": true})).await;
    let big = "0123456789".repeat(300_000);
    for (path, content) in [
        ("/Übung/a.txt", "a"),
        ("/Übung/c:\\nul?", "c"),
        ("/Übung/deep/big", &*big),
        ("/Übung/nothing", ""),
        ("/top", "top"),
    ] {
        assert!(ada.put(path, content.to_string()).await.status.is_success());
    }
    let address = format!("/api/v1/drive/archive?path={}", encode("/Übung"));
    let answer = ada.get(&address).await;
    assert_eq!(answer.header("content-type"), "application/zip");
    assert!(answer.header("content-disposition").contains("filename*=UTF-8''%C3%9Cbung.zip"));
    assert!(answer.header("content-security-policy").contains("sandbox"));
    let whole = pairs(&[
        ("Übung/", ""),
        ("Übung/a.txt", "a"),
        ("Übung/c：＼nul？", "c"),
        ("Übung/deep/", ""),
        ("Übung/deep/big", &big),
        ("Übung/deep/empty/", ""),
        ("Übung/nothing", ""),
    ]);
    assert_eq!(read(&answer), whole);
    let head = ada.send("HEAD", &address, &[], "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-type"), "application/zip");

    // Several, by an address or a form; the drive itself without a folder around it.
    let both = format!("path={}&path={}", encode("/Übung/deep/empty"), encode("/top"));
    let several = ada.form("/api/v1/drive/archive", &both).await;
    assert_eq!(read(&several), pairs(&[("empty/", ""), ("top", "top")]));
    assert_eq!(read(&ada.get(&format!("/api/v1/drive/archive?{both}")).await).len(), 2);
    let all = read(&ada.get("/api/v1/drive/archive?path=/").await);
    assert_eq!((all.len(), &*all[0].0), (8, "top"));
    // The same name twice is told apart.
    let twice = format!("path={0}&path={0}", encode("/top"));
    assert_eq!(read(&ada.form("/api/v1/drive/archive", &twice).await), pairs(&[("top", "top"), ("top (2)", "top")]));

    for (query, status) in
        [("", 400), ("?path=/none", 404), ("?path=/none/x", 404), ("?path=/top/x", 409), ("?path=..", 400)]
    {
        let answer = ada.get(&format!("/api/v1/drive/archive{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {:?}", answer.body);
    }
    let theirs = world.browser("ben").await.get(&address).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(world.stranger().get(&address).await.status, StatusCode::UNAUTHORIZED);
    assert!(
        ada.get(&format!("/details?path={}", encode("/Übung"))).await.text().contains("/api/v1/drive/archive?path=")
    );
    world.stop().await;
}
