//! A real node in this process, with the web gateway on a real socket.

use crate::gate::Gate;
use apps::{Apps, Device, NewUser, Role};
use atoll_gateways::Health;
use atoll_gateways::web::{Bounds, Door, Settings, WebState, serve};
use bytes::Bytes;
use client::{Client, ClientConfig};
use http_body_util::{BodyExt, Full};
use hyper::header::{COOKIE, HeaderMap, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use node::{Node, NodeConfig};
use rpc::wire::Presence;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "a long enough password";

/// One node, its gateway, two people: ada, who administers, and ben.
pub struct World {
    pub apps: Apps,
    pub host: String,
    pub ready: Arc<AtomicBool>,
    /// What the apps' transactions pass.
    pub gate: Arc<Gate>,
    node: Node,
    folder: tempfile::TempDir,
    serving: JoinHandle<()>,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub fn kind(&self) -> String {
        self.json()["error"]["kind"].as_str().unwrap_or_default().to_string()
    }
}

impl World {
    /// Without anybody yet.
    pub async fn empty() -> World {
        World::on("127.0.0.1:0").await
    }

    pub async fn on(address: &str) -> World {
        World::bounded(address, Bounds::default()).await
    }

    /// Its gateway is less patient.
    pub async fn within(bounds: Bounds) -> World {
        let world = World::bounded("127.0.0.1:0", bounds).await;
        world.people().await;
        world
    }

    async fn bounded(address: &str, bounds: Bounds) -> World {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node_address = listener.local_addr().unwrap().to_string();
        let presence = Presence::at(&node_address);
        let node = Node::start(NodeConfig::new(folder.path(), presence), listener).await.unwrap();
        let credentials = node.credentials();
        let config = ClientConfig::new(vec![node_address], credentials).beside(node.own());
        let client = Client::connect(config).await.unwrap();
        let drives = apps::drive::Settings { documents: Some(reads_documents()), ..Default::default() };
        let settings = apps::Settings { drives, ..Default::default() };
        let gate = Gate::before(client.clone());
        let apps = Apps::with_store(gate.clone(), settings).await.unwrap();
        apps.accounts.derive_secrets_from(&[7; 32]);
        let ready = Arc::new(AtomicBool::new(true));
        // So that callers can say where they are.
        let proxies = vec![[127, 0, 0, 1].into()];
        let metrics_from = vec![[10, 0, 0, 9].into()];
        let settings = Settings { proxies, metrics_from, bounds, s3_port: Some(9000), ..Settings::default() };
        let told = ready.clone();
        let health = move || Health { ready: told.load(Ordering::Relaxed), ..Health::default() };
        let state = WebState::new(client, apps.clone(), settings, Arc::new(health), Arc::default());
        let listener = TcpListener::bind(address).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let serving =
            tokio::spawn(async move { serve(state, listener, Door::Plain, std::future::pending()).await.unwrap() });
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        World { apps, host, ready, gate, node, folder, serving, http }
    }

    pub async fn new() -> World {
        let world = World::empty().await;
        world.people().await;
        world
    }

    pub async fn people(&self) {
        let accounts = &self.apps.accounts;
        let secret = accounts.make_setup_secret().await.unwrap();
        let ada = accounts.complete_setup(&secret, "ada", PASSWORD, Device::default()).await.unwrap();
        let (name, display) = ("ben".to_string(), "Ben".to_string());
        let ben = NewUser { name, display, password: PASSWORD.into(), role: Role::User, quota: None };
        accounts.create_user(&ada.user, ben).await.unwrap();
    }

    pub async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
        self.node.shutdown().await;
    }

    /// The file of each block that is kept.
    pub fn block_files(&self) -> Vec<std::path::PathBuf> {
        let folders = std::fs::read_dir(self.folder.path().join("blocks")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    /// Exactly that request.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.host));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.http.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// A browser of that person, signed in by the form.
    pub async fn browser(&self, name: &str) -> Browser<'_> {
        let mut browser = Browser { world: self, cookie: String::new() };
        let answer = browser.form("/login", &format!("name={name}&password={}", PASSWORD.replace(' ', "+"))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{:?}", answer.body);
        browser.take_cookie(&answer);
        browser
    }

    pub fn stranger(&self) -> Browser<'_> {
        Browser { world: self, cookie: String::new() }
    }
}

/// Sends what a browser sends from one of our pages.
pub struct Browser<'a> {
    world: &'a World,
    pub cookie: String,
}

impl Browser<'_> {
    pub fn take_cookie(&mut self, answer: &Answer) {
        let set = answer.headers.get(SET_COOKIE).expect("a cookie").to_str().unwrap();
        self.cookie = set.split(';').next().unwrap().to_string();
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let origin = format!("http://{}", self.world.host);
        let mut all = vec![("origin", origin.as_str())];
        if !self.cookie.is_empty() {
            all.push((COOKIE.as_str(), &self.cookie));
        }
        all.extend_from_slice(headers);
        self.world.send(method, path, &all, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send("PUT", &format!("/api/v1/drive/file?path={}", encode(path)), &[], body).await
    }

    pub async fn form(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", "application/x-www-form-urlencoded")], body.to_string()).await
    }

    pub async fn json(&self, method: &str, path: &str, body: serde_json::Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn names(&self, path: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/v1/drive/list?path={}", encode(path))).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let entries = answer.json()["entries"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_string()).collect()
    }
}

/// This program, told to run [`reads_documents_as_a_child`] and nothing else.
fn reads_documents() -> extract::Program {
    extract::Program {
        path: std::env::current_exe().unwrap(),
        arguments: ["--exact", "world::reads_documents_as_a_child"].map(Into::into).to_vec(),
        variables: vec![("ATOLL_TEST_READS".into(), "1".into())],
    }
}

/// No test by itself: see [`reads_documents`].
#[test]
fn reads_documents_as_a_child() {
    if std::env::var_os("ATOLL_TEST_READS").is_some() {
        std::process::exit(extract::serve().into());
    }
}

/// Where the JSON of a link is.
pub fn json_of(link: &str) -> String {
    link.replacen("/s/", "/api/v1/links/", 1)
}

/// Percent-encodes all but letters and digits.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What an authenticator program shows so many steps from now.
pub fn code(secret: &str, steps: u64) -> String {
    let digit = |c: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap() as u32;
    let (mut held, mut bits, mut bytes) = (0u32, 0, Vec::new());
    for c in secret.chars() {
        held = held << 5 | digit(c);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    let now =
        std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    apps::accounts::code_now(&bytes, types::WallMillis(now + steps * 30_000))
}
