//! What an address gives by HTTP: as fast as any server sends, such as nginx, it is a ceiling to compare with.

use super::super::drive::Pace;
use super::super::work::{Miss, Request, Work};
use super::{GET, KINDS};
use crate::failure::{Failure, Outcome};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Method, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use std::sync::Arc;

/// Gets by HTTP.
#[derive(clap::Args, Debug, Clone)]
pub struct HttpLoad {
    /// What to get, as in http://localhost:8080/file
    pub url: Uri,
    #[command(flatten)]
    pub pace: Pace,
}

impl HttpLoad {
    /// Its settings, for programs.
    pub fn json(&self) -> Value {
        json!({ "mode": "get", "url": self.url.to_string(), "clients": self.pace.clients, "rate": self.pace.rate })
    }

    /// Nothing is connected before the first request.
    pub fn work(&self) -> Outcome<Arc<dyn Work>> {
        check(&self.url)?;
        Ok(Arc::new(HttpWork { http: Http::new(), url: self.url.clone() }))
    }
}

/// Only what can be reached without TLS is measured: what encryption costs would hide the rest.
pub fn check(url: &Uri) -> Outcome {
    match url.scheme_str() {
        Some("http") => Ok(()),
        _ => Err(Failure::usage(format!("{url} does not begin with http://, and nothing else is measured"))),
    }
}

struct HttpWork {
    http: Http,
    url: Uri,
}

#[async_trait::async_trait]
impl Work for HttpWork {
    fn kinds(&self) -> &'static [&'static str] {
        KINDS
    }

    async fn prepare(&self) -> Result<(), Miss> {
        Ok(())
    }

    async fn request(&self, _: usize, _: &mut SmallRng) -> Request {
        Request { kind: GET, result: self.http.get(self.url.clone()).await }
    }
}

/// A client that keeps its connections.
pub struct Http {
    client: Client<HttpConnector, BoxBody<Bytes, std::io::Error>>,
}

impl Http {
    /// Nothing is connected yet.
    pub fn new() -> Http {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Http { client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Reads what comes to its end: how many bytes there were.
    pub async fn get(&self, url: Uri) -> Result<u64, Miss> {
        let nothing = Empty::new().map_err(|never| match never {}).boxed();
        let reply = self.send(Method::GET, url, 0, nothing).await?;
        let mut body = reply.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Miss::Failed(format!("the answer broke off: {error}")))?;
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(bytes)
    }

    /// Sends a body of this length.
    pub async fn put(&self, url: Uri, length: u64, body: BoxBody<Bytes, std::io::Error>) -> Result<(), Miss> {
        let reply = self.send(Method::PUT, url, length, body).await?;
        reply.into_body().collect().await.map(drop).map_err(|error| Miss::Failed(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        url: Uri,
        length: u64,
        body: BoxBody<Bytes, std::io::Error>,
    ) -> Result<hyper::Response<Incoming>, Miss> {
        let writes = method != Method::GET;
        let mut request = hyper::Request::builder().method(method).uri(url);
        if writes {
            request = request.header("content-length", length);
        }
        let request = request.body(body).map_err(|error| Miss::Failed(error.to_string()))?;
        let reply = self.client.request(request).await.map_err(|error| match writes && !error.is_connect() {
            true => Miss::Unknown(format!("no answer: {error}")),
            false => Miss::Failed(format!("no answer: {error}")),
        })?;
        match reply.status() {
            status if status.is_success() => Ok(reply),
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::GATEWAY_TIMEOUT if writes => {
                Err(Miss::Unknown(words(reply).await))
            }
            _ => Err(Miss::Failed(words(reply).await)),
        }
    }
}

/// What a refusal says, as far as it fits in a line.
async fn words(reply: hyper::Response<Incoming>) -> String {
    const MOST: usize = 400;
    let status = reply.status();
    let mut body = reply.into_body();
    let mut text = Vec::new();
    while text.len() < MOST
        && let Some(Ok(frame)) = body.frame().await
    {
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    text.truncate(MOST);
    format!("{status}: {}", String::from_utf8_lossy(&text).replace('\n', " "))
}
