//! WebDAV while others change what a request has looked at: a transaction is held up just before it is made.

use crate::dav::{Client, client, patch};
use crate::world::World;

/// Held up there, since every change by WebDAV rests on it.
const LOCKS: (&str, &str) = ("drive", "locks");
const JOBS: (&str, &str) = ("drive", "jobs");

/// A request, one header of which may be told besides the destination.
struct Asked {
    method: &'static str,
    path: &'static str,
    to: Option<&'static str>,
    body: String,
}

impl Asked {
    fn of(method: &'static str, path: &'static str) -> Asked {
        let body = match method {
            "PROPPATCH" => patch("<set><prop><u:p>1</u:p></prop></set>"),
            "PUT" => "mine".into(),
            _ => String::new(),
        };
        Asked { method, path, to: None, body }
    }

    fn to(method: &'static str, path: &'static str, to: &'static str) -> Asked {
        Asked { to: Some(to), ..Asked::of(method, path) }
    }

    async fn send(&self, by: &Client<'_>, more: &[(&str, &str)]) -> u16 {
        let destination = self.to.map(|to| format!("/dav/home{to}"));
        let mut headers = more.to_vec();
        headers.extend(destination.as_deref().map(|to| ("destination", to)));
        by.status(self.method, self.path, &headers, &self.body).await
    }
}

async fn fresh(by: &Client<'_>) {
    for path in ["/f", "/t", "/new", "/d"] {
        by.status("DELETE", path, &[], "").await;
    }
    assert_eq!(by.status("PUT", "/f", &[], "first").await, 201);
    assert_eq!(by.status("PUT", "/t", &[], "there").await, 201);
    assert_eq!(by.status("MKCOL", "/d", &[], "").await, 201);
    assert_eq!(by.status("PUT", "/d/in", &[], "within").await, 201);
}

async fn all(by: &Client<'_>) -> String {
    let mut told = by.props("/", "1", "<getetag/><u:p/><u:q/>").await;
    told.push_str(&by.props("/d", "1", "<getetag/>").await);
    told
}

/// Whoever takes a lock while a change is under way has what the lock is of as they found it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_comes_before_a_change_or_after_it() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    for (asked, locked) in [
        (Asked::of("PUT", "/f"), "/f"),
        (Asked::of("PUT", "/new"), "/"),
        (Asked::of("DELETE", "/f"), "/f"),
        (Asked::of("DELETE", "/d"), "/d/in"),
        (Asked::of("PROPPATCH", "/f"), "/f"),
        (Asked::of("MKCOL", "/new"), "/"),
        (Asked::to("MOVE", "/f", "/new"), "/f"),
        (Asked::to("MOVE", "/f", "/t"), "/t"),
        (Asked::to("COPY", "/f", "/t"), "/t"),
        (Asked::to("COPY", "/d", "/t"), "/t"),
        (Asked::to("COPY", "/f", "/d"), "/d"),
        (Asked::to("COPY", "/d", "/new"), "/"),
    ] {
        fresh(&ben).await;
        let before = all(&ben).await;
        let (status, token) =
            world.gate.between(LOCKS, asked.send(&ben, &[]), ben.lock(locked, "0", "exclusive")).await;
        let token = token.unwrap_or_else(|answer| panic!("{:?}", answer.body));
        let named = format!("{} {} {:?}", asked.method, asked.path, asked.to);
        assert_eq!(status, 423, "{named}");
        assert_eq!(all(&ben).await, before, "{named}: nothing was changed");
        assert_eq!(ben.status("UNLOCK", locked, &[("lock-token", &token)], "").await, 204);
        assert!(
            (200..300).contains(&asked.send(&ben, &[]).await),
            "{named}: the lock was in the way, and nothing else"
        );
    }
    world.stop().await;
}

/// What a condition held for is what is moved, copied, removed or replaced.
#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_for_what_is_changed() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    for (asked, of) in [
        (Asked::of("PUT", "/f"), "/f"),
        (Asked::of("DELETE", "/f"), "/f"),
        (Asked::of("PROPPATCH", "/f"), "/f"),
        (Asked::to("MOVE", "/f", "/new"), "/f"),
        (Asked::to("MOVE", "/f", "/t"), "/f"),
        (Asked::to("MOVE", "/f", "/t"), "/t"),
        (Asked::to("MOVE", "/d", "/t"), "/t"),
        (Asked::to("COPY", "/f", "/new"), "/f"),
        (Asked::to("COPY", "/f", "/t"), "/f"),
        (Asked::to("COPY", "/f", "/t"), "/t"),
        (Asked::to("COPY", "/d", "/t"), "/t"),
    ] {
        fresh(&ben).await;
        let etag = ben.send("HEAD", of, &[], "").await.header("etag").to_string();
        let condition = format!("</dav/home{of}> ([{etag}])");
        let named = format!("{} {} {:?} if {of}", asked.method, asked.path, asked.to);
        let theirs = ben.status("PUT", of, &[], "by somebody else");
        let (status, put) = world.gate.between(LOCKS, asked.send(&ben, &[("if", &condition)]), theirs).await;
        assert_eq!((status, put), (412, 204), "{named}");
        assert_eq!(ben.send("GET", of, &[], "").await.text(), "by somebody else", "{named}");
        let etag = ben.send("HEAD", of, &[], "").await.header("etag").to_string();
        let condition = format!("</dav/home{of}> ([{etag}])");
        let again = asked.send(&ben, &[("if", &condition)]).await;
        assert!((200..300).contains(&again), "{named}: {again}");
    }
    world.stop().await;
}

/// So too of what takes so long that it is a job by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_overtaken_under_way_tells_what_holds_no_more() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    fresh(&ben).await;
    let etag = ben.send("HEAD", "/t", &[], "").await.header("etag").to_string();
    let condition = format!("</dav/home/t> ([{etag}])");
    let copy = Asked::to("COPY", "/d", "/t");
    let theirs = ben.status("PUT", "/t", &[], "by somebody else");
    assert_eq!(world.gate.between(JOBS, copy.send(&ben, &[("if", &condition)]), theirs).await, (412, 204));
    assert_eq!(ben.send("GET", "/t", &[], "").await.text(), "by somebody else");
    let to_new = Asked::to("COPY", "/d", "/new");
    let theirs = ben.status("PUT", "/new", &[], "unseen");
    assert_eq!(world.gate.between(JOBS, to_new.send(&ben, &[("overwrite", "F")]), theirs).await, (412, 201));
    assert_eq!(ben.send("GET", "/new", &[], "").await.text(), "unseen");
    world.stop().await;
}

/// Without conditions the change is made of what is there by then.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_overtaken_is_looked_at_again() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    fresh(&ben).await;
    // What came meanwhile is looked at, and what it replaces can be brought back.
    let (status, put) = world
        .gate
        .between(LOCKS, Asked::to("MOVE", "/f", "/new").send(&ben, &[]), ben.status("PUT", "/new", &[], "unseen"))
        .await;
    assert_eq!((status, put), (204, 201));
    assert_eq!(ben.send("GET", "/new", &[], "").await.text(), "first");
    let drive = world.apps.accounts.find("ben").await.unwrap().drive;
    let trash = world.apps.drives.trash_list(drive, None, 0).await.unwrap().items;
    assert!(trash.iter().any(|it| it.path == "/new"), "{trash:?}");
    // And not where it may not be replaced.
    fresh(&ben).await;
    let mine = Asked::to("COPY", "/f", "/new");
    let (status, put) = world
        .gate
        .between(LOCKS, mine.send(&ben, &[("overwrite", "F")]), ben.status("PUT", "/new", &[], "unseen"))
        .await;
    assert_eq!((status, put), (412, 201));
    assert_eq!(ben.send("GET", "/new", &[], "").await.text(), "unseen");
    // A lock is of what is there: of what went, it holds the name.
    fresh(&ben).await;
    let (token, gone) =
        world.gate.between(LOCKS, ben.lock("/f", "0", "exclusive"), ben.status("DELETE", "/f", &[], "")).await;
    assert!(token.is_ok() && gone == 204);
    assert_eq!(ben.send("GET", "/f", &[], "").await.body.len(), 0);
    let theirs = ben.status("MKCOL", "/e", &[], "");
    assert_eq!(world.gate.between(LOCKS, Asked::of("MKCOL", "/e").send(&ben, &[]), theirs).await, (405, 201));
    assert_eq!(world.apps.drives.check(drive).await.unwrap(), Vec::<String>::new());
    world.stop().await;
}

/// Whether a file is new is what its folder's lock is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_meanwhile_does_not_come_back_into_a_locked_folder() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let page = world.browser("ben").await;
    fresh(&ben).await;
    ben.lock("/d", "0", "exclusive").await.unwrap_or_else(|answer| panic!("{:?}", answer.body));
    assert_eq!(ben.status("PUT", "/d/in", &[], "replaced").await, 204, "that is no new member");
    let gone = page.send("DELETE", "/api/v1/drive/file?path=%2Fd%2Fin", &[], "");
    let (status, gone) = world.gate.between(LOCKS, Asked::of("PUT", "/d/in").send(&ben, &[]), gone).await;
    assert!(gone.status.is_success());
    assert_eq!(status, 423);
    assert_eq!(ben.status("GET", "/d/in", &[], "").await, 404);
    world.stop().await;
}

/// Who does not hear that their file was put is not told that it was not, and it does not come back over a later one.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_answer_is_lost_is_not_made_twice() {
    let world = World::new().await;
    let ben = client(&world, "ben", true).await;
    let page = world.browser("ben").await;
    for condition in [None, Some(("if-none-match", "*")), Some(("if", ""))] {
        fresh(&ben).await;
        let path = if condition == Some(("if-none-match", "*")) { "/new" } else { "/f" };
        let token = match condition {
            Some(("if", _)) => ben.lock(path, "0", "exclusive").await.ok(),
            _ => None,
        };
        let shown = token.as_ref().map(|token| format!("({token})"));
        let headers: Vec<_> =
            condition.into_iter().map(|(name, value)| (name, shown.as_deref().unwrap_or(value))).collect();
        let mine = || Asked::of("PUT", path);
        // By somebody on the page, where locks do not count.
        let theirs = page.put(path, "theirs");
        let (status, put) = world.gate.unknown(LOCKS, mine().send(&ben, &headers), theirs).await;
        assert!(put.status.is_success());
        assert!(status >= 500, "{condition:?}: {status}");
        assert_eq!(ben.send("GET", path, &[], "").await.text(), "theirs", "{condition:?}");
        if path == "/new" {
            assert_eq!(ben.status("DELETE", path, &[], "").await, 204);
        }
        let (status, ()) = world.gate.unknown(LOCKS, mine().send(&ben, &headers), async {}).await;
        assert_eq!(status, if path == "/new" { 201 } else { 204 }, "{condition:?}");
        assert_eq!(ben.send("GET", path, &[], "").await.text(), "mine", "{condition:?}");
        if let Some(token) = token {
            assert_eq!(ben.status("UNLOCK", path, &[("lock-token", &token)], "").await, 204);
        }
    }
    world.stop().await;
}
