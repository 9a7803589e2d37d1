//! What file managers are known to send, one after the other, and programs whose connection breaks.

use crate::dav::{Client, client};
use crate::world::{PASSWORD, World};
use apps::Device;
use apps::accounts::shared::NewMember;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as it goes over the wire, piece by piece.
struct Wire(TcpStream);

impl Wire {
    /// The head of a request; its body may come, or not.
    async fn head(by: &Client<'_>, host: &str, line: &str, headers: &str) -> Wire {
        let mut wire = Wire(TcpStream::connect(host).await.unwrap());
        let (authorization, headers) = (&by.authorization, headers.replace('\n', "\r\n"));
        wire.send(&format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\nConnection: close\r\n{headers}\r\n\r\n"
        ))
        .await;
        wire
    }

    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    async fn chunk(&mut self, bytes: &str) {
        self.send(&format!("{:x}\r\n{bytes}\r\n", bytes.len())).await;
    }

    /// The status.
    async fn answer(mut self) -> u16 {
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).await.unwrap();
        let text = String::from_utf8_lossy(&all);
        text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{text}"))
    }
}

async fn body(by: &Client<'_>, path: &str) -> String {
    let answer = by.send("GET", path, &[], "").await;
    assert_eq!(answer.status.as_u16(), 200, "{path}");
    answer.text().to_string()
}

/// As rclone says it with each file: what was damaged on its way is not stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_held_to_its_checksum() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    // Of "abc".
    let sum = "a9993e364706816aba3e25717850c26c9cd0d89d";
    let put = async |text: &str, said: String| ben.send("PUT", "/a", &[("oc-checksum", &said)], text).await;
    assert_eq!(put("abc", format!("SHA1:{sum}")).await.status.as_u16(), 201);
    let refused = put("abd", format!("SHA1:{sum}")).await;
    assert_eq!(refused.status.as_u16(), 400);
    assert!(refused.text().contains("another SHA1"), "{}", refused.text());
    assert_eq!(put("abd", "MD5:x".into()).await.status.as_u16(), 400, "what is not looked at is not passed over");
    assert_eq!(body(&ben, "/a").await, "abc");
}

/// Whatever comes of a body: what was there stays, with its versions, and of what was not there nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_ends_early_leaves_nothing() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    assert_eq!(ben.status("PUT", "/old", &[], "as it was").await, 201);
    let drive = world.apps.accounts.find("ben").await.unwrap().drive;
    let large = "x".repeat(3 << 20);
    let chunked = "Transfer-Encoding: chunked";
    let expects = |length: usize| format!("{chunked}\nX-Expected-Entity-Length: {length}");
    for path in ["/old", "/new"] {
        let line = format!("PUT /dav/home{path}");
        for sent in ["part", &large] {
            // Cut off within a body of known length, and within one of pieces.
            let mut cut = Wire::head(&ben, &world.host, &line, &format!("Content-Length: {}", sent.len() + 1)).await;
            cut.send(sent).await;
            drop(cut);
            let mut cut = Wire::head(&ben, &world.host, &line, chunked).await;
            cut.chunk(sent).await;
            drop(cut);
            // Ended in form, and shorter or longer than was said.
            for length in [sent.len() + 1, sent.len() - 1] {
                let mut wire = Wire::head(&ben, &world.host, &line, &expects(length)).await;
                wire.chunk(sent).await;
                wire.chunk("").await;
                assert!((400..500).contains(&wire.answer().await), "{path} {length}");
            }
        }
    }
    // Those whose sender went are given up when that is noticed: until the next request of all has been answered, and after.
    for _ in 0..20 {
        assert_eq!(body(&ben, "/old").await, "as it was");
        assert_eq!(ben.status("GET", "/new", &[], "").await, 404);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(world.apps.drives.versions(drive, "/old").await.unwrap().len(), 1);
    assert_eq!(world.apps.drives.usage(drive).await.unwrap().bytes, 9);
    // Whole, it comes.
    let mut wire = Wire::head(&ben, &world.host, "PUT /dav/home/old", &expects(8)).await;
    wire.chunk("all of").await;
    wire.chunk(" it").await;
    wire.chunk("").await;
    assert!((400..500).contains(&wire.answer().await), "nine bytes are not eight");
    let mut wire = Wire::head(&ben, &world.host, "PUT /dav/home/old", &expects(9)).await;
    wire.chunk("all of").await;
    wire.chunk(" it").await;
    wire.chunk("").await;
    assert_eq!(wire.answer().await, 204);
    assert_eq!(body(&ben, "/old").await, "all of it");
    world.stop().await;
}

/// Who was taken out of a drive between a request's head and its end changes nothing there.
#[tokio::test(flavor = "multi_thread")]
async fn rights_are_those_of_the_end_of_a_request() {
    let world = World::new().await;
    let accounts = &world.apps.accounts;
    let ada = accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap().user;
    let ben = client(&world, "ben", true).await;
    let drive = accounts.make_drive(&ada, "Tea").await.unwrap();
    let lock = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";
    let patch = crate::dav::patch("<set><prop><u:p>1</u:p></prop></set>");
    for (method, path, document) in [
        ("LOCK", "new", lock),
        ("LOCK", "there", lock),
        ("PROPPATCH", "there", &patch),
        ("PUT", "there", "other"),
        ("PUT", "new", "other"),
        ("MKCOL", "new", ""),
    ] {
        accounts.put_member(&ada, drive.id, "ben", "edit".parse().unwrap(), NewMember::Either).await.unwrap();
        let at = |path: &str| format!("/dav/drives/Tea/{path}");
        let own = [("authorization", ben.authorization.as_str())];
        assert!(world.send("PUT", &at("there"), &own, "text").await.status.is_success());
        // One byte is missing until they are out.
        let headers = match document.len() {
            0 => "Transfer-Encoding: chunked".to_string(),
            length => format!("Content-Length: {length}"),
        };
        let (first, last) = document.split_at(document.len().saturating_sub(1));
        let mut wire = Wire::head(&ben, &world.host, &format!("{method} {}", at(path)), &headers).await;
        wire.send(first).await;
        tokio::time::sleep(Duration::from_millis(100)).await; // So that what is judged at the head has been.
        accounts.remove_member(&ada, drive.id, "ben").await.unwrap();
        match document.is_empty() {
            true => wire.chunk("").await,
            false => wire.send(last).await,
        }
        assert_eq!(wire.answer().await, 404, "{method} {path}");
        let entries = world.apps.drives.list(drive.id, "/", None, 0).await.unwrap().items;
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["there"], "{method} {path}");
        assert!(!entries[0].properties && world.apps.drives.locks(drive.id).await.unwrap().held.is_empty());
        assert_eq!(entries[0].size(), 4);
    }
    world.stop().await;
}

/// Finder, copying a file into a folder: the name is held by an empty file, locked, then filled by pieces.
#[tokio::test(flavor = "multi_thread")]
async fn finder_copies_a_file() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let agent = ("user-agent", "WebDAVFS/3.0.0 (03008000) Darwin/22.6.0 (x86_64)");
    let wanted = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:propfind xmlns:D=\"DAV:\">\n<D:prop>\n\
        <D:getlastmodified/>\n<D:getcontentlength/>\n<D:creationdate/>\n<D:resourcetype/>\n</D:prop>\n</D:propfind>\n";
    let options = ben.send("OPTIONS", "/", &[agent], "").await;
    assert!(options.header("dav").contains('2') && options.header("allow").contains("LOCK"));
    let quota = "<D:propfind xmlns:D=\"DAV:\"><D:prop><D:quota-available-bytes/><D:quota-used-bytes/>\
        <D:quota/><D:quotaused/></D:prop></D:propfind>";
    assert_eq!(ben.status("PROPFIND", "/", &[agent, ("depth", "0")], quota).await, 207);
    for path in ["/photo.jpg", "/._photo.jpg", "/.DS_Store", "/._."] {
        assert_eq!(ben.status("PROPFIND", path, &[agent, ("depth", "0")], wanted).await, 404, "{path}");
    }
    for (path, text) in [("/photo.jpg", "a picture"), ("/._photo.jpg", "its fork")] {
        assert_eq!(ben.status("PUT", path, &[agent, ("content-type", "image/jpeg")], "").await, 201);
        let info = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:lockinfo xmlns:D=\"DAV:\">\n<D:lockscope><D:exclusive/></D:lockscope>\n\
            <D:locktype><D:write/></D:locktype>\n<D:owner>\n<D:href>http://www.apple.com/webdav_fs/</D:href>\n</D:owner>\n</D:lockinfo>\n";
        let locked = ben.send("LOCK", path, &[agent, ("depth", "0"), ("timeout", "Second-600")], info).await;
        assert_eq!(locked.status.as_u16(), 200, "{}", locked.text());
        let token = locked.header("lock-token");
        let headers = format!(
            "Transfer-Encoding: chunked\nX-Expected-Entity-Length: {}\nIf: ({token})\nExpect: 100-continue",
            text.len()
        );
        let mut wire = Wire::head(&ben, &world.host, &format!("PUT /dav/home{path}"), &headers).await;
        let (one, two) = text.split_at(3);
        wire.chunk(one).await;
        wire.chunk(two).await;
        wire.chunk("").await;
        assert!([100, 204].contains(&wire.answer().await), "it is told to go on first");
        let told = ben.send("PROPFIND", path, &[agent, ("depth", "0")], wanted).await;
        assert!(told.text().contains(&format!("<D:getcontentlength>{}<", text.len())), "{}", told.text());
        assert_eq!(ben.status("UNLOCK", path, &[agent, ("lock-token", token)], "").await, 204);
        assert_eq!(body(&ben, path).await, text);
    }
    // A new folder, renamed.
    assert_eq!(ben.status("MKCOL", "/untitled%20folder/", &[agent], "").await, 201);
    let destination = format!("http://{}/dav/home/Holidays/", world.host);
    let headers = [agent, ("destination", destination.as_str()), ("overwrite", "F")];
    assert_eq!(ben.status("MOVE", "/untitled%20folder/", &headers, "").await, 201);
    assert_eq!(ben.status("DELETE", "/Holidays/", &[agent], "").await, 204);
    world.stop().await;
}

/// Windows' redirector, saving a file.
#[tokio::test(flavor = "multi_thread")]
async fn windows_saves_a_file() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let agent = ("user-agent", "Microsoft-WebDAV-MiniRedir/10.0.19045");
    let plain = ("translate", "f");
    // It asks the server's root first, without a password, whether this is WebDAV at all.
    for path in ["/", "/dav", "/dav/home", "/dav/home/"] {
        let headers = [("user-agent", "DavClnt"), plain];
        let options = world.send("OPTIONS", path, &headers, "").await;
        assert_eq!(options.status.as_u16(), 200, "{path}");
        assert_eq!((options.header("ms-author-via"), options.header("dav")), ("DAV", "1, 2, 3"), "{path}");
    }
    let refused = world.send("PROPFIND", "/dav/home", &[agent, plain, ("depth", "0")], "").await;
    assert_eq!(refused.status.as_u16(), 401);
    for (path, status) in [("", 207), ("/", 207), ("/desktop.ini", 404), ("/report.docx", 404)] {
        assert_eq!(ben.status("PROPFIND", path, &[agent, plain, ("depth", "0")], "").await, status, "{path}");
    }
    assert_eq!(ben.status("PUT", "/report.docx", &[agent, plain, ("content-length", "0")], "").await, 201);
    let info = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
        <D:locktype><D:write/></D:locktype><D:owner><D:href>DESKTOP\\ben</D:href></D:owner></D:lockinfo>";
    let locked = ben.send("LOCK", "/report.docx", &[agent, plain, ("timeout", "Second-3600")], info).await;
    assert_eq!(locked.status.as_u16(), 200, "{}", locked.text());
    let token = locked.header("lock-token").to_string();
    let shown = format!("({token})");
    let times = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\">\
        <D:set><D:prop><Z:Win32CreationTime>Tue, 15 Nov 1994 12:45:26 GMT</Z:Win32CreationTime>\
        <Z:Win32LastAccessTime>Tue, 15 Nov 1994 12:45:26 GMT</Z:Win32LastAccessTime>\
        <Z:Win32LastModifiedTime>Tue, 15 Nov 1994 12:45:26 GMT</Z:Win32LastModifiedTime>\
        <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
    assert_eq!(ben.status("HEAD", "/report.docx", &[agent, plain], "").await, 200);
    assert_eq!(ben.status("PUT", "/report.docx", &[agent, plain, ("if", &shown)], "text").await, 204);
    let patched = ben.send("PROPPATCH", "/report.docx", &[agent, plain, ("if", &shown)], times).await;
    assert!(patched.text().contains("200 OK") && !patched.text().contains("403"), "{}", patched.text());
    let renewed = ben.send("LOCK", "/report.docx", &[agent, ("if", &shown), ("timeout", "Second-3600")], "").await;
    assert_eq!(renewed.status.as_u16(), 200);
    assert_eq!(ben.status("UNLOCK", "/report.docx", &[agent, ("lock-token", &token)], "").await, 204);
    let told = ben.send("PROPFIND", "/", &[agent, plain, ("depth", "1")], "").await;
    assert!(told.text().contains("Win32FileAttributes") && told.text().contains("00000020"), "{}", told.text());
    // Renamed as Explorer does it.
    let destination = format!("http://{}/dav/home/final.docx", world.host);
    let headers = [agent, plain, ("destination", destination.as_str()), ("overwrite", "F")];
    assert_eq!(ben.status("MOVE", "/report.docx", &headers, "").await, 201);
    assert_eq!(body(&ben, "/final.docx").await, "text");
    world.stop().await;
}

/// GNOME's file manager, by gvfs: looks at the room, writes with conditions, names folders with a slash.
#[tokio::test(flavor = "multi_thread")]
async fn gnome_looks_writes_and_moves() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let agent = ("user-agent", "gvfs/1.50.3");
    let redirect = ("apply-to-redirect-ref", "T");
    let head = "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n <D:propfind xmlns:D=\"DAV:\">\n";
    let about = format!(
        "{head}<D:prop>\n<D:creationdate/>\n<D:displayname/>\n<D:getcontentlength/>\n<D:getcontenttype/>\n<D:getetag/>\n\
         <D:getlastmodified/>\n<D:resourcetype/>\n</D:prop>\n </D:propfind>"
    );
    let room = format!("{head}<D:prop>\n<D:quota-available-bytes/>\n<D:quota-used-bytes/>\n</D:prop>\n </D:propfind>");
    for depth in ["0", "1"] {
        assert_eq!(ben.status("PROPFIND", "/", &[agent, redirect, ("depth", depth)], &about).await, 207);
    }
    let told = ben.send("PROPFIND", "/", &[agent, redirect, ("depth", "0")], &room).await;
    assert!(told.text().contains("quota-used-bytes>0<"), "{}", told.text());
    assert_eq!(ben.status("MKCOL", "/New%20Folder/", &[agent], "").await, 201);
    assert_eq!(ben.status("PUT", "/New%20Folder/note.txt", &[agent, ("if-none-match", "*")], "one").await, 201);
    let put = ben.send("PUT", "/New%20Folder/note.txt", &[agent, ("overwrite", "T")], "two").await;
    let etag = put.header("etag").to_string();
    assert_eq!(ben.status("PUT", "/New%20Folder/note.txt", &[agent, ("if-match", &etag)], "three").await, 204);
    assert_eq!(ben.status("PUT", "/New%20Folder/note.txt", &[agent, ("if-match", &etag)], "four").await, 412);
    let to = |path: &str| format!("http://{}/dav/home{path}", world.host);
    let (papers, again) = (to("/Papers/"), to("/Papers%20(copy)/"));
    let moved = [agent, ("destination", papers.as_str()), ("overwrite", "F")];
    assert_eq!(ben.status("MOVE", "/New%20Folder/", &moved, "").await, 201);
    let copied = [agent, ("destination", again.as_str()), ("overwrite", "F"), ("depth", "infinity")];
    assert_eq!(ben.status("COPY", "/Papers/", &copied, "").await, 201);
    assert_eq!(ben.status("COPY", "/Papers/", &copied, "").await, 412);
    assert_eq!(body(&ben, "/Papers%20(copy)/note.txt").await, "three");
    assert_eq!(ben.status("DELETE", "/Papers/", &[agent], "").await, 204);
    assert_eq!(ben.status("PROPFIND", "/Papers/", &[agent, ("depth", "0")], &about).await, 404);
    world.stop().await;
}
