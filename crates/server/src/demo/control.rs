//! How another terminal speaks to the supervisor: a Unix socket in the demo's
//! folder, one line of JSON each way.

use super::status::Status;
use crate::failure::{Failure, Outcome};
use crate::lock;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

const SOCKET: &str = "control.sock";
/// Bytes of a line.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// How long the supervisor may take: a node's start is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// What is asked of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    Kill { node: u16 },
    Start { node: u16 },
    Pause { node: u16 },
    Resume { node: u16 },
    Status,
    Stop,
}

/// What it answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reply {
    /// It was done.
    pub ok: bool,
    /// What was done, or why not.
    pub text: String,
    /// What to do next, when it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// To [`Request::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

impl Reply {
    /// Done.
    pub fn done(text: impl Into<String>) -> Reply {
        Reply { ok: true, text: text.into(), ..Reply::default() }
    }

    /// Not done.
    pub fn refused(text: impl Into<String>, next: impl Into<String>) -> Reply {
        Reply { text: text.into(), next: Some(next.into()), ..Reply::default() }
    }
}

/// A request, and where its answer goes.
pub type Asked = (Request, oneshot::Sender<Reply>);

/// Listens in the folder; what is asked comes out of the receiver.
pub fn listen(folder: &Path) -> Outcome<mpsc::Receiver<Asked>> {
    let (inbox, asked) = mpsc::channel(16);
    let bind = || -> io::Result<UnixListener> {
        // The lock on the folder is held: a socket left there is nobody's.
        match std::fs::remove_file(folder.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (path, _open) = short_path(folder)?;
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(folder.join(SOCKET), std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    let listener = bind().map_err(|error| Failure::io(format!("cannot listen in {}", folder.display()), &error))?;
    tokio::spawn(async move {
        while !inbox.is_closed() {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(answer(stream, inbox.clone()))),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(asked)
}

/// Nobody can ask any more.
pub fn close(folder: &Path) {
    let _never_listened = std::fs::remove_file(folder.join(SOCKET));
}

async fn answer(stream: UnixStream, inbox: mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read).take(LINE_BYTES_MAX);
    tokio::time::timeout(ARRIVAL, read.read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => {
            let (tell, told) = oneshot::channel();
            inbox.send((request, tell)).await.map_err(io::Error::other)?;
            told.await.unwrap_or_else(|_| Reply::refused("the demo is stopping", "atoll demo"))
        }
        Err(error) => Reply::refused(format!("not understood: {error}"), "use the same release of atoll for both"),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Asks the supervisor of the folder.
pub async fn ask(folder: &Path, request: Request) -> Outcome<Reply> {
    let nobody = || {
        if lock::is_held(folder, super::supervisor::LOCK) {
            return Failure::failed("the demo is just starting or stopping").next("ask again in a moment");
        }
        Failure::failed(format!("no demo runs in {}", folder.display()))
            .safe("its data, if it has any, is kept")
            .next("start it: atoll demo --nodes 3    or name its folder: --data DIR")
    };
    let stream = match short_path(folder) {
        Ok((path, _open)) => UnixStream::connect(path).await.map_err(|_| nobody())?,
        Err(_) => return Err(nobody()),
    };
    let exchange = async move {
        let (read, mut write) = stream.into_split();
        let mut text = serde_json::to_vec(&request)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        let mut line = String::new();
        BufReader::new(read).take(LINE_BYTES_MAX).read_line(&mut line).await?;
        serde_json::from_str::<Reply>(&line).map_err(io::Error::other)
    };
    let reply = tokio::time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| Failure::Unknown {
            what: "the demo did not answer in time".into(),
            next: Some("atoll demo status".into()),
        })?
        .map_err(|error| Failure::Unknown {
            what: format!("the demo went away while it was asked: {error}"),
            next: Some("atoll demo status".into()),
        })?;
    match (reply.ok, reply.next.clone()) {
        (true, _) => Ok(reply),
        (false, None) => Err(Failure::failed(reply.text)),
        (false, Some(next)) => Err(Failure::failed(reply.text).next(next)),
    }
}

/// The socket's path by way of the open folder: a socket's path may have 107 bytes only, a folder's more.
fn short_path(folder: &Path) -> io::Result<(PathBuf, File)> {
    let open = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd())), open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_is_answered_however_deep_the_folder() {
        let folder = tempfile::tempdir().expect("folder");
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).expect("folder");
        assert!(ask(&deep, Request::Status).await.is_err());
        let mut asked = listen(&deep).expect("listen");
        tokio::spawn(async move {
            while let Some((request, tell)) = asked.recv().await {
                let reply = match request {
                    Request::Kill { node: 2 } => Reply::done("dead"),
                    _ => Reply::refused("no", "ask otherwise"),
                };
                tell.send(reply).expect("somebody waits");
            }
        });
        assert_eq!(ask(&deep, Request::Kill { node: 2 }).await.expect("done").text, "dead");
        let refused = ask(&deep, Request::Stop).await.expect_err("refused");
        assert_eq!((refused.to_string(), refused.code()), ("no".to_string(), 1));
    }

    #[tokio::test]
    async fn nonsense_is_answered_too() {
        let folder = tempfile::tempdir().expect("folder");
        let _asked = listen(folder.path()).expect("listen");
        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).await.expect("connect");
        stream.write_all(b"{\"do\":\"dance\"}\n").await.expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        assert!(text.contains("not understood"), "{text}");
    }
}
