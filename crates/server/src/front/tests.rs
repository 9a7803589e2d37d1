use super::*;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use std::io;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Handler = Arc<dyn Fn(Request<Incoming>) -> futures::future::BoxFuture<'static, Reply> + Send + Sync>;

fn text(text: impl Into<String>) -> Reply {
    Response::new(Full::new(Bytes::from(text.into())).map_err(|never| match never {}).boxed())
}

/// A node: healthy, and otherwise as `handler` says.
async fn node(handler: Handler) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let handler = handler.clone();
                    async move {
                        let reply = if request.uri().path() == "/health" { text("ok") } else { handler(request).await };
                        Ok::<_, Infallible>(reply)
                    }
                });
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    address
}

/// Names itself, and says how many bytes it was sent and by which method.
async fn counting_node(name: &'static str) -> SocketAddr {
    node(Arc::new(move |request| {
        Box::pin(async move {
            let method = request.method().clone();
            let mut bytes = 0;
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
            }
            text(format!("{name} {method} {bytes}"))
        })
    }))
    .await
}

/// Healthy, but does `what` to the connection of every other request.
async fn raw_node<F>(what: fn(TcpStream) -> F) -> (SocketAddr, Arc<AtomicU64>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let hits = Arc::new(AtomicU64::new(0));
    let counted = hits.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let hits = counted.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                if head.starts_with(b"GET /health ") {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                } else {
                    hits.fetch_add(1, Ordering::SeqCst);
                    what(stream).await;
                }
            });
        }
    });
    (address, hits)
}

/// An address where nothing listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("address")
}

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<()>,
}

async fn front(backends: Vec<SocketAddr>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (stop, stopped) = watch::channel(false);
    Running { address, stop, done: tokio::spawn(serve(listener, backends, None, stopped)) }
}

type Sent = BoxBody<Bytes, io::Error>;

fn sized(bytes: usize) -> Sent {
    Full::new(Bytes::from(vec![7; bytes])).map_err(|never| match never {}).boxed()
}

async fn ask(front: &Running, method: Method, body: Sent) -> (StatusCode, Result<Bytes, hyper::Error>) {
    let stream = TcpStream::connect(front.address).await.expect("connect");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("handshake");
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri("/x").header("host", "h").body(body).expect("request");
    let reply = sender.send_request(request).await.expect("reply");
    (reply.status(), reply.into_body().collect().await.map(|body| body.to_bytes()))
}

async fn get(front: &Running) -> String {
    let (status, body) = ask(front, Method::GET, sized(0)).await;
    assert_eq!(status, StatusCode::OK);
    String::from_utf8_lossy(&body.expect("body")).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_to_live_nodes_in_turn() {
    let front = front(vec![counting_node("a").await, nobody(), counting_node("b").await]).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        seen.insert(get(&front).await);
    }
    // Both are found once both have answered for their health.
    while seen.len() < 2 {
        seen.insert(get(&front).await);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a GET 0", "b GET 0"]);
    front.stop.send(true).expect("front runs");
    front.done.await.expect("clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_moves_on_when_a_node_dies_before_answering() {
    let (dying, hits) = raw_node(|stream| async move { drop(stream) }).await;
    let front = front(vec![dying, counting_node("b").await]).await;
    while hits.load(Ordering::SeqCst) < 3 {
        assert_eq!(get(&front).await, "b GET 0");
        let (status, body) = ask(&front, Method::PUT, sized(1024 * 1024)).await;
        assert_eq!((status, &body.expect("body")[..]), (StatusCode::OK, &b"b PUT 1048576"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_done_is_not_repeated() {
    let (dying, hits) = raw_node(|stream| async move { drop(stream) }).await;
    let front = front(vec![dying]).await;
    let (status, body) = ask(&front, Method::POST, sized(10)).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(String::from_utf8_lossy(&body.expect("body")).contains("unknown_outcome"));
    assert_eq!(hits.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cut_short_is_not_mistaken_for_a_whole_one() {
    let (dying, _) = raw_node(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhello").await;
    })
    .await;
    let front = front(vec![dying]).await;
    let (status, body) = ask(&front, Method::GET, sized(0)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_stream_both_ways() {
    const CHUNKS: usize = 1024;
    let echo = node(Arc::new(|request| {
        Box::pin(async move { Response::new(request.into_body().map_err(io::Error::other).boxed()) })
    }))
    .await;
    let front = front(vec![echo]).await;
    let chunks = (0..CHUNKS).map(|i| Ok(Frame::data(Bytes::from(vec![i as u8; 64 * 1024]))));
    let body = BodyExt::boxed(StreamBody::new(futures::stream::iter(chunks)));
    let (status, body) = ask(&front, Method::POST, body).await;
    let body = body.expect("body");
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body.len(), CHUNKS * 64 * 1024);
    assert!(body.chunks(64 * 1024).enumerate().all(|(i, chunk)| chunk.iter().all(|byte| *byte == i as u8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_read_holds_the_sender_back() {
    let (stuck, _) = raw_node(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let front = front(vec![stuck]).await;
    let mut stream = TcpStream::connect(front.address).await.expect("connect");
    stream.write_all(b"PUT /x HTTP/1.1\r\nhost: h\r\ncontent-length: 1073741824\r\n\r\n").await.expect("head");
    let chunk = vec![0; 1024 * 1024];
    let mut sent = 0usize;
    // Sockets' own buffers take some; the front must not take the rest.
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(2), stream.write(&chunk)).await {
        sent += written.expect("write");
        assert!(sent < 64 * 1024 * 1024, "{sent} bytes went somewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_leaves_a_node_that_freezes() {
    // Healthy until a request comes; then it says nothing more to anybody, as a stopped process does.
    static FROZEN: AtomicU64 = AtomicU64::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let freezing = listener.local_addr().expect("address");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 512];
            let read = stream.read(&mut head).await.unwrap_or(0);
            if !head[..read].starts_with(b"GET /health ") {
                FROZEN.store(1, Ordering::SeqCst);
            }
            if FROZEN.load(Ordering::SeqCst) == 0 {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            } else {
                kept.push(stream);
            }
        }
    });
    let front = front(vec![freezing, counting_node("b").await]).await;
    while FROZEN.load(Ordering::SeqCst) == 0 {
        assert_eq!(get(&front).await, "b GET 0");
    }
    assert_eq!(get(&front).await, "b GET 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_the_refusal_says_so() {
    let front = front(vec![nobody()]).await;
    let (status, body) = ask(&front, Method::GET, sized(0)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(&body.expect("body")).contains("no_node"));
}
