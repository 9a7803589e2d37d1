//! WebDAV over a real node: what any client of the standard may ask.

use crate::world::{Answer, PASSWORD, World};
use apps::accounts::shared::NewMember;
use apps::accounts::{AppScope, Protocol};
use apps::{Device, DriveId};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Somebody's file manager.
pub struct Client<'a> {
    world: &'a World,
    pub authorization: String,
}

pub async fn client<'a>(world: &'a World, name: &str, write: bool) -> Client<'a> {
    let session = world.apps.accounts.sign_in(name, PASSWORD, Device::default()).await.unwrap();
    let scope = AppScope { protocols: vec![Protocol::Webdav], write };
    let (_, secret) = world.apps.accounts.create_app_password(&session.user, "laptop", scope).await.unwrap();
    let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{}", secret.as_str())));
    Client { world, authorization }
}

impl Client<'_> {
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("authorization", self.authorization.as_str())];
        all.extend_from_slice(headers);
        self.world.send(method, &format!("/dav/home{path}"), &all, body.to_string()).await
    }

    pub async fn status(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        self.send(method, path, headers, body).await.status.as_u16()
    }

    /// Takes a lock; its token as headers have it.
    pub async fn lock(&self, path: &str, depth: &str, scope: &str) -> Result<String, Answer> {
        let info = format!(
            "<lockinfo xmlns='DAV:'><lockscope><{scope}/></lockscope><locktype><write/></locktype>\
             <owner><href>me</href></owner></lockinfo>"
        );
        let answer = self.send("LOCK", path, &[("depth", depth), ("timeout", "Second-60")], &info).await;
        if answer.status.is_success() { Ok(answer.header("lock-token").to_string()) } else { Err(answer) }
    }

    pub async fn props(&self, path: &str, depth: &str, names: &str) -> String {
        let body = format!("<propfind xmlns='DAV:' xmlns:u='urn:u'><prop>{names}</prop></propfind>");
        let answer = self.send("PROPFIND", path, &[("depth", depth)], &body).await;
        assert_eq!(answer.status.as_u16(), 207, "{:?}", answer.body);
        answer.text().to_string()
    }
}

pub fn patch(acts: &str) -> String {
    format!("<propertyupdate xmlns='DAV:' xmlns:u='urn:u'>{acts}</propertyupdate>")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_app_passwords_for_webdav_open_it() {
    let world = World::new().await;
    let answer = world.send("PROPFIND", "/dav/", &[("depth", "0")], "").await;
    assert_eq!(answer.status.as_u16(), 401);
    assert!(answer.header("www-authenticate").starts_with("Basic "), "clients ask for a password then");
    assert!(answer.text().contains("app password"), "{}", answer.text());
    let options = world.send("OPTIONS", "/dav/", &[], "").await;
    assert_eq!((options.status.as_u16(), options.header("dav")), (200, "1, 2, 3"));
    let password = format!("Basic {}", BASE64_STANDARD.encode(format!("ben:{PASSWORD}")));
    assert_eq!(world.send("PROPFIND", "/dav/", &[("authorization", &password)], "").await.status.as_u16(), 401);
    let ben = client(&world, "ben", true).await;
    // A page of another site cannot use what the browser remembers.
    for site in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")] {
        assert_eq!(ben.status("PUT", "/x", &[site], "x").await, 403);
    }
    let reader = client(&world, "ben", false).await;
    assert_eq!(reader.status("PUT", "/x", &[], "x").await, 403);
    assert_eq!(reader.status("PROPFIND", "/", &[("depth", "1")], "").await, 207);
    assert_eq!(reader.status("POST", "/", &[], "").await, 405);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_and_go_and_all_see_them() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    assert_eq!(ben.status("PUT", "/a/x.txt", &[], "x").await, 409, "its folder is missing");
    assert_eq!(ben.status("MKCOL", "/a", &[], "").await, 201);
    assert_eq!(ben.status("MKCOL", "/a", &[], "").await, 405);
    assert_eq!(ben.status("MKCOL", "/b/c", &[], "").await, 409);
    assert_eq!(ben.status("MKCOL", "/b", &[], "body").await, 415);
    let put = ben
        .send("PUT", "/a/%C3%A9%20%3C.txt", &[("x-oc-mtime", "1000000000.5"), ("content-type", "text/plain")], "hello")
        .await;
    assert_eq!((put.status.as_u16(), put.header("x-oc-mtime")), (201, "accepted"));
    let etag = put.header("etag").to_string();
    let got = ben.send("GET", "/a/%C3%A9%20%3C.txt", &[("range", "bytes=1-2")], "").await;
    assert_eq!((got.status.as_u16(), got.text(), got.header("etag")), (206, "el", etag.as_str()));
    assert_eq!(got.header("last-modified"), "Sun, 09 Sep 2001 01:46:40 GMT");
    // The page of the same person lists it.
    assert_eq!(world.browser("ben").await.names("/a").await, ["é <.txt"]);

    let told = ben.props("/a", "1", "<getetag/><getcontentlength/><resourcetype/><u:none/>").await;
    assert!(told.contains("/dav/home/a/%C3%A9%20%3C.txt</D:href>"), "{told}");
    assert!(told.contains("<D:getcontentlength>5</D:getcontentlength>") && told.contains("<D:collection/>"), "{told}");
    assert!(told.contains(&etag.replace('"', "&quot;")) && told.contains("404 Not Found"), "{told}");
    let infinity = ben.send("PROPFIND", "/", &[], "").await;
    assert!(infinity.status.as_u16() == 403 && infinity.text().contains("propfind-finite-depth"));
    assert_eq!(ben.status("PROPFIND", "/", &[("depth", "0")], "<propfind").await, 400);
    assert_eq!(ben.status("PROPFIND", "/none", &[("depth", "0")], "").await, 404);
    let top = world.send("PROPFIND", "/dav/", &[("authorization", &ben.authorization), ("depth", "1")], "").await;
    assert!(top.text().contains("/dav/home/</D:href>"), "{}", top.text());
    let quota = ben.props("/", "0", "<quota-used-bytes/>").await;
    assert!(quota.contains("<D:quota-used-bytes>5</D:quota-used-bytes>"), "{quota}");

    // Conditions.
    assert_eq!(ben.status("PUT", "/a/%C3%A9%20%3C.txt", &[("if-none-match", "*")], "x").await, 412);
    assert_eq!(ben.status("PUT", "/a/%C3%A9%20%3C.txt", &[("if-match", "\"other\"")], "x").await, 412);
    assert_eq!(ben.status("PUT", "/a/%C3%A9%20%3C.txt", &[("if-match", &etag)], "other").await, 204);
    assert_eq!(ben.status("PUT", "/a/new", &[("if-match", "*")], "x").await, 412);
    assert_eq!(ben.status("PUT", "/a/new", &[("content-range", "bytes 0-0/2")], "x").await, 400);
    assert_eq!(ben.status("PUT", "/a", &[], "x").await, 405);
    assert_eq!(ben.status("DELETE", "/a", &[("depth", "0")], "").await, 400);
    assert_eq!(ben.status("DELETE", "/a", &[], "").await, 204);
    assert_eq!(ben.status("DELETE", "/a", &[], "").await, 404);
    assert_eq!(ben.status("DELETE", "/", &[], "").await, 403);
    let user = world.apps.accounts.sign_in("ben", PASSWORD, Device::default()).await.unwrap().user;
    assert_eq!(
        world.apps.drives.trash_list(user.drive, None, 0).await.unwrap().items.len(),
        1,
        "it can be brought back"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_are_moved_and_copied() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    for path in ["/a", "/a/b", "/z"] {
        assert_eq!(ben.status("MKCOL", path, &[], "").await, 201);
    }
    assert_eq!(ben.status("PUT", "/a/b/x", &[], "one").await, 201);
    let set = patch("<set><prop><u:p xml:lang='de'>wert</u:p></prop></set>");
    for path in ["/a", "/a/b/x"] {
        assert_eq!(ben.status("PROPPATCH", path, &[], &set).await, 207);
    }
    let base = format!("http://{}/dav/home", world.host);
    let to = |path: &str| format!("{base}{path}");
    let go = async |method: &str, from: &str, path: &str, more: &[(&str, &str)]| {
        let destination = to(path);
        let mut headers = vec![("destination", destination.as_str())];
        headers.extend_from_slice(more);
        ben.status(method, from, &headers, "").await
    };
    assert_eq!(go("COPY", "/a", "/c", &[]).await, 201);
    assert_eq!(ben.send("GET", "/c/b/x", &[], "").await.text(), "one");
    for path in ["/c", "/c/b/x"] {
        assert!(ben.props(path, "0", "<u:p/>").await.contains(">wert<"), "properties go along to {path}");
    }
    assert_eq!(go("COPY", "/a", "/c", &[("overwrite", "F")]).await, 412);
    assert_eq!(go("COPY", "/a", "/c", &[]).await, 204);
    assert_eq!(go("COPY", "/a", "/a/b/in", &[]).await, 403, "not into itself");
    assert_eq!(go("COPY", "/a/b", "/a", &[]).await, 403, "not over what it is in");
    assert_eq!(go("COPY", "/a", "/none/c", &[]).await, 409);
    assert_eq!(go("COPY", "/a", "/flat", &[("depth", "0")]).await, 201);
    assert_eq!(ben.status("GET", "/flat/b/x", &[], "").await, 404);
    assert!(ben.props("/flat", "0", "<u:p/>").await.contains(">wert<"));
    assert_eq!(go("COPY", "/a/b/x", "/c/b/x", &[]).await, 204);
    assert_eq!(go("MOVE", "/c", "/a/b/c", &[]).await, 201);
    assert_eq!(go("MOVE", "/a", "/a/b/d", &[]).await, 403, "not into itself");
    assert_eq!(go("MOVE", "/a", "/a", &[]).await, 403);
    assert_eq!(go("MOVE", "/a/b", "/z", &[("overwrite", "F")]).await, 412);
    assert_eq!(go("MOVE", "/a/b", "/z", &[]).await, 204);
    assert!(ben.props("/z/c/b/x", "0", "<u:p/>").await.contains(">wert<"), "properties follow");
    let drive = world.apps.accounts.sign_in("ben", PASSWORD, Device::default()).await.unwrap().user.drive;
    assert_eq!(world.apps.drives.check(drive).await.unwrap(), Vec::<String>::new());
    assert_eq!(ben.status("MOVE", "/z", &[("destination", "http://evil.example/dav/home/q")], "").await, 502);
    assert_eq!(ben.status("MOVE", "/z", &[], "").await, 400);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_kept_all_or_none() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    assert_eq!(ben.status("PUT", "/x", &[], "one").await, 201);
    let set =
        patch("<set><prop><u:a>1 &lt; 2</u:a><u:b><u:inner/></u:b></prop></set><remove><prop><u:b/></prop></remove>");
    assert!(ben.send("PROPPATCH", "/x", &[], &set).await.text().contains("200 OK"));
    let told = ben.props("/x", "0", "<u:a/><u:b/>").await;
    assert!(told.contains(">1 &lt; 2<") && told.contains("404 Not Found"), "{told}");
    // One that is protected keeps the others from being set.
    let bad = patch("<set><prop><getetag>mine</getetag><u:c/></prop></set>");
    let answer = ben.send("PROPPATCH", "/x", &[], &bad).await;
    assert!(
        answer.text().contains("cannot-modify-protected-property") && answer.text().contains("424"),
        "{}",
        answer.text()
    );
    assert!(!ben.props("/x", "0", "<u:c/>").await.contains("200 OK"));
    // New content keeps them; so does the answer to who asks for all.
    assert_eq!(ben.status("PUT", "/x", &[], "two").await, 204);
    let all = ben.send("PROPFIND", "/x", &[("depth", "0")], "").await;
    assert!(all.text().contains(">1 &lt; 2<") && all.text().contains("getcontentlength"), "{}", all.text());
    let names = ben.send("PROPFIND", "/x", &[("depth", "0")], "<propfind xmlns='DAV:'><propname/></propfind>").await;
    assert!(!names.text().contains("1 &lt; 2") && names.text().contains("<a xmlns=\"urn:u\"/>"), "{}", names.text());
    let many = "<u:x/>".repeat(200);
    assert_eq!(ben.status("PROPPATCH", "/x", &[], &patch(&format!("<set><prop>{many}</prop></set>"))).await, 207);
    let large = patch(&format!("<set><prop><u:l>{}</u:l></prop></set>", "x".repeat(15_000)));
    assert_eq!(ben.status("PROPPATCH", "/x", &[], &large).await, 207);
    let more = patch(&format!("<set><prop><u:m>{}</u:m></prop></set>", "x".repeat(5_000)));
    let refused = ben.send("PROPPATCH", "/x", &[], &more).await;
    assert!(refused.text().contains("507 Insufficient Storage"), "there is a bound: {}", refused.text());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_keep_others_out_until_they_end() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    assert_eq!(ben.status("PUT", "/x", &[], "one").await, 201);
    assert_eq!(ben.status("MKCOL", "/f", &[], "").await, 201);
    let token = ben.lock("/x", "0", "exclusive").await.unwrap_or_else(|answer| panic!("{:?}", answer.body));
    let shown = format!("({token})");
    let refused = ben.send("PUT", "/x", &[], "two").await;
    assert_eq!(refused.status.as_u16(), 423);
    assert!(
        refused.text().contains("lock-token-submitted") && refused.text().contains("locked by ben"),
        "{}",
        refused.text()
    );
    assert_eq!(ben.status("PUT", "/x", &[("if", &shown)], "two").await, 204);
    assert_eq!(ben.status("DELETE", "/x", &[], "").await, 423);
    let conflict = ben.lock("/x", "0", "shared").await.unwrap_err();
    assert!(conflict.status.as_u16() == 423 && conflict.text().contains("no-conflicting-lock"), "{}", conflict.text());
    assert!(ben.props("/x", "0", "<lockdiscovery/>").await.contains("<href>me</href>"));
    // Renewed, given back.
    let renewed = ben.send("LOCK", "/x", &[("if", &shown), ("timeout", "Second-3000")], "").await;
    assert!(renewed.status.as_u16() == 200 && renewed.text().contains("Second-3000"), "{}", renewed.text());
    assert_eq!(ben.status("UNLOCK", "/f", &[("lock-token", &token)], "").await, 409);
    assert_eq!(ben.status("UNLOCK", "/x", &[("lock-token", &token)], "").await, 204);
    assert_eq!(ben.status("UNLOCK", "/x", &[("lock-token", &token)], "").await, 409);
    assert_eq!(ben.status("LOCK", "/x", &[("if", &shown)], "").await, 412);
    assert_eq!(ben.status("PUT", "/x", &[("if", &shown)], "three").await, 412, "a token that is none holds of nothing");
    assert_eq!(ben.status("PUT", "/x", &[("if", "(Not <DAV:no-lock>)")], "three").await, 204);

    // A folder's lock is for what is in it; a name that is not there yet is held by an empty file.
    let deep = ben.lock("/f", "infinity", "exclusive").await.unwrap_or_else(|answer| panic!("{:?}", answer.body));
    assert_eq!(ben.status("PUT", "/f/y", &[], "y").await, 423);
    let tagged = format!("<http://{}/dav/home/f> ({deep})", world.host);
    assert_eq!(ben.status("PUT", "/f/y", &[("if", &tagged)], "y").await, 201);
    let destination = format!("http://{}/dav/home/f/x", world.host);
    assert_eq!(ben.status("MOVE", "/x", &[("destination", &destination)], "").await, 423);
    let new = ben.lock("/new", "0", "exclusive").await.unwrap_or_else(|answer| panic!("{:?}", answer.body));
    assert_eq!(ben.send("GET", "/new", &[], "").await.body.len(), 0);
    let both = format!("</dav/home/f> ({deep}) </dav/home/new> ({new})");
    let destination = format!("http://{}/dav/home/f/new", world.host);
    assert_eq!(ben.status("MOVE", "/new", &[("destination", &destination), ("if", &both)], "").await, 201);
    assert_eq!(ben.status("PUT", "/new", &[], "free again").await, 201, "locks stay behind, and go");
    // Two shared ones beside each other.
    let one = ben.lock("/x", "0", "shared").await.unwrap_or_else(|answer| panic!("{:?}", answer.body));
    ben.lock("/x", "0", "shared").await.unwrap_or_else(|answer| panic!("{:?}", answer.body));
    assert_eq!(ben.status("PUT", "/x", &[], "four").await, 423);
    assert_eq!(ben.status("PUT", "/x", &[("if", &format!("({one})"))], "four").await, 204);
    assert_eq!(ben.status("LOCK", "/x", &[], "<x/>").await, 400);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_folder_is_told_whole() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let drive: DriveId = world.apps.accounts.sign_in("ben", PASSWORD, Device::default()).await.unwrap().user.drive;
    for n in 0..1200 {
        world.apps.drives.make_folder(drive, &format!("/{n}")).await.unwrap();
    }
    let told = ben.props("/", "1", "<displayname/>").await;
    assert_eq!(told.matches("<D:response>").count(), 1201);
    assert!(told.trim_end().ends_with("</D:multistatus>"));
    assert_eq!(world.apps.drives.check(drive).await.unwrap(), Vec::<String>::new());
    world.stop().await;
}

/// A client that deletes everything is held after so much, whatever it tries; its owner sees it on the pages, and has it all back by one act.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_deletes_everything_is_held() {
    const ALLOWED: usize = 500;
    let world = World::new().await;
    let ben = world.browser("ben").await;
    let mine = client(&world, "ben", true).await;
    let drive = world.apps.accounts.find("ben").await.unwrap().drive;
    for folder in 0..=ALLOWED / 10 {
        world.apps.drives.make_folders(drive, &format!("/f{folder}")).await.unwrap();
        for n in 0..9 {
            world.apps.drives.make_folder(drive, &format!("/f{folder}/{n}")).await.unwrap();
        }
    }
    let (mut removed, mut refused) = (0, None);
    for folder in 0..=ALLOWED / 10 {
        let inside = (0..9).map(|n| format!("/f{folder}/{n}"));
        for path in inside.chain([format!("/f{folder}")]) {
            let answer = mine.send("DELETE", &path, &[], "").await;
            match answer.status.as_u16() {
                204 => removed += 1,
                _ => refused = Some(answer),
            }
        }
    }
    let refused = refused.expect("it is held");
    assert_eq!((removed, refused.status.as_u16()), (ALLOWED, 403), "{}", refused.text());
    assert!(refused.text().contains("laptop") && refused.text().contains("Trash"), "{}", refused.text());
    assert_eq!(mine.status("PUT", "/still-writes", &[], "x").await, 201);
    for page in ["/", "/trash"] {
        assert!(ben.get(page).await.text().contains(r#"data-testid="held""#), "{page}");
    }
    let held = ben.get("/api/v1/drive/held").await.json();
    assert_eq!(held["programs"][0]["program"], "laptop");
    let id = held["programs"][0]["id"].as_str().unwrap();
    // As often as the page says.
    loop {
        let answer = ben.form("/trash/put-back", &format!("id={id}")).await;
        match answer.header("location") {
            "/trash?done=put-back" | "/trash?done=put-back-none" => break,
            location => assert_eq!(location, "/trash?done=put-back-partly", "{}", answer.text()),
        }
    }
    let once_more = ben.form("/trash/put-back", &format!("id={id}")).await;
    assert_eq!(once_more.header("location"), "/trash?done=put-back-none");
    let names = ben.names("/").await;
    assert_eq!(names.len(), ALLOWED / 10 + 2, "{names:?}");
    for folder in [0, 7, ALLOWED / 10] {
        assert_eq!(ben.names(&format!("/f{folder}")).await.len(), 9, "{folder}");
    }
    assert_eq!(mine.status("DELETE", "/still-writes", &[], "").await, 403);
    assert!(ben.form("/trash/let-go", &format!("id={id}")).await.header("location").ends_with("done=let-go"));
    assert_eq!(mine.status("DELETE", "/still-writes", &[], "").await, 204);
    assert!(!ben.get("/trash").await.text().contains(r#"data-testid="held""#));
    world.stop().await;
}

/// `If` counts for what only looks, too (RFC 4918, section 10.4), and for giving locks back and renewing them.
#[tokio::test(flavor = "multi_thread")]
async fn the_if_header_holds_for_every_method() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let etag = ben.send("PUT", "/f", &[], "text").await.header("etag").to_string();
    let (good, bad) = (format!("([{etag}])"), "([\"other\"])".to_string());
    let token = ben.lock("/f", "0", "exclusive").await.ok().expect("a lock");
    for (method, path) in [("GET", "/f"), ("HEAD", "/f"), ("PROPFIND", "/f"), ("GET", "/none")] {
        let refused = ben.status(method, path, &[("depth", "0"), ("if", &bad)], "").await;
        assert_eq!(refused, if path == "/f" { 412 } else { 404 }, "{method} {path}");
    }
    for method in ["GET", "PROPFIND"] {
        assert!([200, 207].contains(&ben.status(method, "/f", &[("depth", "0"), ("if", &good)], "").await));
    }
    let renew = async |etag: &str| ben.status("LOCK", "/f", &[("if", &format!("({token} {etag})"))], "").await;
    assert_eq!(renew("[\"other\"]").await, 412);
    assert_eq!(renew(&format!("[{etag}]")).await, 200);
    assert_eq!(ben.status("UNLOCK", "/f", &[("lock-token", &token), ("if", &bad)], "").await, 412);
    assert_eq!(ben.status("UNLOCK", "/f", &[("lock-token", &token), ("if", &good)], "").await, 204);
    // What goes, goes as it was looked at.
    assert_eq!(ben.status("DELETE", "/f", &[("if-match", "\"other\"")], "").await, 412);
    assert_eq!(ben.status("DELETE", "/f", &[("if-match", &etag)], "").await, 204);
    world.stop().await;
}

/// Shared drives beside one's own, for their members as far as they may.
#[tokio::test(flavor = "multi_thread")]
async fn shared_drives_are_folders_for_their_members() {
    let world = World::new().await;
    let accounts = &world.apps.accounts;
    let ada = accounts.find("ada").await.unwrap();
    let tea = accounts.make_drive(&ada, "Tea & club").await.unwrap();
    let twins = [accounts.make_drive(&ada, "Twin").await.unwrap(), accounts.make_drive(&ada, "Twin").await.unwrap()];
    let (ada_client, ben) = (client(&world, "ada", true).await, client(&world, "ben", true).await);
    let send = async |by: &Client<'_>, method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("authorization", by.authorization.as_str())];
        all.extend_from_slice(headers);
        world.send(method, &format!("/dav/drives{path}"), &all, body.to_string()).await
    };
    let status = async |by: &Client<'_>, method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        send(by, method, path, headers, body).await.status.as_u16()
    };
    let deep = [("depth", "1")];
    // By name where that is clear, by id where it is not.
    let listed = send(&ada_client, "PROPFIND", "/", &deep, "").await;
    for href in ["/dav/drives/Tea%20%26%20club/".to_string(), format!("/dav/drives/{}/", twins[0].id)] {
        assert!(listed.text().contains(&href), "{}", listed.text());
    }
    assert!(listed.text().contains("<D:displayname>Tea &amp; club</D:displayname>"), "{}", listed.text());
    assert_eq!(status(&ada_client, "PROPFIND", "/Twin/", &deep, "").await, 409);
    assert_eq!(status(&ada_client, "MKCOL", "/Tea%20%26%20club/menus", &[], "").await, 201);
    assert_eq!(status(&ada_client, "PUT", "/Tea%20%26%20club/menus/a.txt", &[], "tea").await, 201);
    let by_id = format!("/{}/menus/a.txt", tea.id);
    assert_eq!(send(&ada_client, "GET", &by_id, &[], "").await.text(), "tea");
    let listed = send(&ada_client, "PROPFIND", "/Tea%20%26%20club/menus", &deep, "").await;
    assert!(listed.text().contains("/dav/drives/Tea%20%26%20club/menus/a.txt</D:href>"), "{}", listed.text());
    assert_eq!(status(&ada_client, "PUT", "/x", &[], "x").await, 404, "no drive is made so");
    assert_eq!(status(&ada_client, "DELETE", "/Tea%20%26%20club/", &[], "").await, 403);

    // To who is no member it is not there; who may look may not change.
    assert_eq!(status(&ben, "GET", &by_id, &[], "").await, 404);
    assert!(!send(&ben, "PROPFIND", "/", &deep, "").await.text().contains("Tea"));
    let role = async |role: &str| {
        accounts.put_member(&ada, tea.id, "ben", role.parse().unwrap(), NewMember::Either).await.unwrap();
    };
    role("view").await;
    assert_eq!(send(&ben, "GET", &by_id, &[], "").await.text(), "tea");
    for (method, path) in [("PUT", by_id.as_str()), ("DELETE", &by_id), ("MKCOL", "/Tea%20%26%20club/new")] {
        assert_eq!(status(&ben, method, path, &[], "").await, 403, "{method}");
    }
    role("edit").await;
    assert_eq!(status(&ben, "PUT", &by_id, &[], "green tea").await, 204);
    // Within a drive things are moved and copied, from one to another they are not.
    let to = |path: &str| format!("http://{}/dav{path}", world.host);
    let within = to("/drives/Tea%20%26%20club/b.txt");
    assert_eq!(status(&ben, "COPY", "/Tea%20%26%20club/menus/a.txt", &[("destination", &within)], "").await, 201);
    let across = to("/home/b.txt");
    for method in ["COPY", "MOVE"] {
        assert_eq!(status(&ben, method, "/Tea%20%26%20club/b.txt", &[("destination", &across)], "").await, 502);
    }
    accounts.remove_member(&ada, tea.id, "ben").await.unwrap();
    assert_eq!(status(&ben, "GET", &by_id, &[], "").await, 404);
    world.stop().await;
}
