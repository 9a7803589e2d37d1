//! Who sends or takes slowly, or only holds on, holds up nobody else.

use crate::world::World;
use atoll_gateways::web::Bounds;
use hyper::StatusCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Less than a connection may be held for at most, and far more than an answer takes.
const SOON: Duration = Duration::from_secs(25);

/// A connection on which that was sent.
async fn said(world: &World, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&world.host).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// A request that says that more follows.
fn head(world: &World, method: &str, path: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\nconnection: close\r\n\
         content-length: 100\r\n{headers}\r\n",
        world.host
    )
}

/// All that is answered, soon.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer soon").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_is_not_waited_for() {
    let world = World::within(Bounds { body_within: Duration::from_millis(300), ..Bounds::default() }).await;
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for path in ["/login", "/sign-up", "/reset/x", "/setup/x", "/forms/folder", "/settings/profile"] {
        let answer = answer(&mut said(&world, &head(&world, "POST", path, form)).await).await;
        // Who has no business there may be told so before.
        assert!(!answer.is_empty(), "{path}: no answer");
    }
    let told = answer(&mut said(&world, &head(&world, "POST", "/login", form)).await).await;
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("text/html"), "{told}");
    let json = "content-type: application/json\r\n";
    let told = answer(&mut said(&world, &head(&world, "POST", "/api/v1/session", json)).await).await;
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("\"too_slow\""), "{told}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_only_held_make_room() {
    let world = World::within(Bounds { connections: 8, ..Bounds::default() }).await;
    let ben = world.browser("ben").await;
    // What is under way stays.
    let headers = format!("cookie: {}\r\nexpect: 100-continue\r\n", ben.cookie);
    let mut upload = said(&world, &head(&world, "PUT", "/api/v1/drive/file?path=/slow", &headers)).await;
    // Its body is asked for: it is known to be under way before the others come.
    let mut go_on = [0; 25];
    upload.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    upload.write_all(b"begun").await.unwrap();
    let mut held = Vec::new();
    for n in 0..30 {
        held.push(said(&world, if n % 2 == 0 { "" } else { "GET / HT" }).await);
    }
    // A page of a browser that comes anew.
    let mut fresh =
        said(&world, &format!("GET /login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", world.host)).await;
    assert!(answer(&mut fresh).await.starts_with("HTTP/1.1 200"));
    upload.write_all(&[b'x'; 95]).await.unwrap();
    assert!(answer(&mut upload).await.starts_with("HTTP/1.1 201"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_has_its_share_of_requests() {
    let world = World::within(Bounds { requests_of_network: 2, ..Bounds::default() }).await;
    let from =
        |address: &str| format!("x-forwarded-for: {address}\r\ncontent-type: application/x-www-form-urlencoded\r\n");
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(said(&world, &head(&world, "POST", "/login", &from("2001:db8::1"))).await);
    }
    let ask = async |address: &str| world.send("GET", "/login", &[("x-forwarded-for", address)], "").await.status;
    let crowded = async {
        while ask("2001:db8::2").await != StatusCode::SERVICE_UNAVAILABLE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, crowded).await.expect("they have come, and no more may");
    // A page is looked at again by itself; a form that was filled in is not lost by that.
    for (method, again) in [("GET", "2"), ("POST", "")] {
        let headers = [("x-forwarded-for", "2001:db8::2"), ("sec-fetch-site", "same-origin")];
        let answer = world.send(method, "/login", &headers, "").await;
        assert_eq!((answer.status, answer.header("refresh")), (StatusCode::SERVICE_UNAVAILABLE, again), "{method}");
        assert!(!answer.text().contains("http-equiv"), "{method}");
    }
    assert_eq!(ask("2001:db8:0:1::1").await, StatusCode::OK);
    // Programs of this machine have no bound.
    assert_eq!(world.send("GET", "/login", &[], "").await.status, StatusCode::OK);
    drop(held);
    let again = async {
        while ask("2001:db8::2").await != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("room again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_has_gone() {
    let silence = Duration::from_secs(2);
    let world = World::within(Bounds { silence, ..Bounds::default() }).await;
    let ben = world.browser("ben").await;
    let size = 24 << 20;
    assert_eq!(ben.put("/film", vec![7; size]).await.status, StatusCode::CREATED);
    let ask = |world: &World, cookie: &str| {
        format!("GET /api/v1/drive/file?path=/film HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\n\r\n", world.host)
    };
    let mut paused = said(&world, &ask(&world, &ben.cookie)).await;
    let mut first = [0; 1000];
    paused.read_exact(&mut first).await.unwrap();
    // Only time tells who has fallen silent.
    tokio::time::sleep(2 * silence).await;
    let mut rest = Vec::new();
    let _broken_off = tokio::time::timeout(SOON, paused.read_to_end(&mut rest)).await.expect("its end");
    assert!(rest.len() < size, "what was not taken was not waited for");
    world.stop().await;
    // Who is slow, and takes some now and then, gets all.
    let silence = Duration::from_secs(15);
    let world = World::within(Bounds { silence, ..Bounds::default() }).await;
    let ben = world.browser("ben").await;
    assert_eq!(ben.put("/film", vec![7; size]).await.status, StatusCode::CREATED);
    let mut slow = said(&world, &ask(&world, &ben.cookie)).await;
    let mut taken = 0;
    let mut piece = vec![0; size / 10];
    while taken < size {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let most = piece.len().min(size - taken);
        slow.read_exact(&mut piece[..most]).await.unwrap();
        taken += most;
    }
    world.stop().await;
}

/// A connection that takes as little as can be.
async fn narrow(world: &World, text: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.host.parse().unwrap()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_all_places() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    for browser in [&ada, &ben] {
        assert_eq!(browser.put("/film", vec![7; 12 << 20]).await.status, StatusCode::CREATED);
    }
    let cookie = format!("cookie: {}\r\n", ben.cookie);
    let mut held = Vec::new();
    let ask = format!("GET /api/v1/drive/file?path=/film HTTP/1.1\r\nhost: {}\r\n{cookie}\r\n", world.host);
    for _ in 0..64 {
        held.push(narrow(&world, &ask).await);
    }
    for n in 0..80 {
        held.push(said(&world, &ask).await);
        let path = format!("/api/v1/drive/file?path=/slow{n}");
        held.push(said(&world, &(head(&world, "PUT", &path, &cookie) + "begun")).await);
    }
    // Those of Ben that came late are waiting for his own.
    let served = async {
        assert_eq!(ada.get("/api/v1/drive/file?path=/film").await.body.len(), 12 << 20);
        assert_eq!(ada.put("/other", "short").await.status, StatusCode::CREATED);
    };
    tokio::time::timeout(SOON, served).await.expect("Ada is served");
    drop(held);
    world.stop().await;
}

/// A file in a form that has not ended.
const FIRST: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"one\"\r\n\r\n1\r\n--b\r\n\
                     Content-Disposition: form-data; name=\"file\"; filename=\"two\"\r\n\r\n2";

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_files_may_take_long_and_not_fall_silent() {
    let (silence, body_within) = (Duration::from_secs(3), Duration::from_millis(500));
    let world = World::within(Bounds { silence, body_within, ..Bounds::default() }).await;
    let ben = world.browser("ben").await;
    let rest = "\r\n--b--\r\n";
    let kind = "content-type: multipart/form-data; boundary=b\r\n";
    let begin = |path: &str, cookie: &str| {
        let length = format!("content-length: {}", FIRST.len() + rest.len());
        let head = head(&world, "POST", path, &format!("{kind}cookie: {cookie}\r\n"));
        head.replace("content-length: 100", &length) + FIRST
    };
    // Longer than anything else may take, and silent for less than it may be.
    let mut slow = said(&world, &begin("/forms/upload?path=%2F", &ben.cookie)).await;
    tokio::time::sleep(body_within * 2).await;
    slow.write_all(rest.as_bytes()).await.unwrap();
    assert!(answer(&mut slow).await.starts_with("HTTP/1.1 303"));
    assert_eq!(ben.names("/").await, ["one", "two"]);
    // What came before the silence is saved, and said to be.
    let told = answer(&mut said(&world, &begin("/forms/upload?path=%2F", &ben.cookie)).await).await;
    assert!(told.starts_with("HTTP/1.1 400") && told.contains("1 of the files were received"), "{told}");
    assert_eq!(ben.names("/").await, ["one", "one (2)", "two"]);
    world.stop().await;
}
