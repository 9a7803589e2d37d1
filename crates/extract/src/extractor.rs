//! The parent's side: a child for each document.

use crate::child::{JPEG, PICTURE, PNG, READ, TEXT, UNREADABLE};
use crate::pictures::Kind;
use crate::{DOCUMENT_BYTES_MAX, PICTURE_BYTES_MAX, TEXT_BYTES_MAX};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// Children that read texts at a time: each may take half a gigabyte.
const TEXTS_AT_ONCE: usize = 2;
/// How long a document may take from first to last; much longer than its time on a core.
const WITHIN: Duration = Duration::from_secs(90);

/// What runs as the child: a program and what it is told, upon which it calls [`crate::serve`].
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its variables.
    pub variables: Vec<(OsString, OsString)>,
}

/// Why it is not known what a document says. Another try may tell.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError<E> {
    /// The document did not come.
    #[error("{0}")]
    Source(E),
    /// There is no child.
    #[error("no process to read documents: {0}")]
    Process(#[from] std::io::Error),
    /// It ended in a way that says nothing of the document.
    #[error("the process that reads documents ended: {0}")]
    Ended(ExitStatus),
    /// It took too long, which a busy machine may be to blame for.
    #[error("reading the document took longer than {} seconds", WITHIN.as_secs())]
    TooLong,
}

/// Reads documents, texts a few at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Extractor {
    program: Arc<Program>,
    texts: Arc<Semaphore>,
}

impl Extractor {
    /// By children that run this.
    #[must_use]
    pub fn new(program: Program) -> Extractor {
        Extractor { program: Arc::new(program), texts: Arc::new(Semaphore::new(TEXTS_AT_ONCE)) }
    }

    /// The text of a document, or its beginning; empty where it is none that can be read.
    pub async fn text<E>(
        &self,
        document: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<String, ExtractError<E>> {
        // Never closed.
        let _room = self.texts.acquire().await;
        let (mut text, _what_came_counts) = self.ask(TEXT, TEXT_BYTES_MAX, document).await?;
        // One that was killed may have been in the middle of a character.
        let whole = match std::str::from_utf8(&text) {
            Ok(_) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        text.truncate(whole);
        Ok(String::from_utf8(text).unwrap_or_default())
    }

    /// A small picture of an image; none where none can be made of it. Its child may take three quarters of a gigabyte: who asks
    /// sees to it that few are made at a time.
    pub async fn picture<E>(
        &self,
        image: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Option<(Kind, Bytes)>, ExtractError<E>> {
        // More than that is none: it must be whole.
        let (answer, whole) = self.ask(PICTURE, PICTURE_BYTES_MAX + 1, image).await?;
        let mut picture = Bytes::from(answer);
        let kind = match picture.first() {
            Some(&JPEG) => Kind::Jpeg,
            Some(&PNG) => Kind::Png,
            _ => return Ok(None),
        };
        Ok((whole && picture.len() <= PICTURE_BYTES_MAX).then(|| (kind, picture.split_off(1))))
    }

    /// What a child answers, so much of it at most, and whether it came to its end: it may have died of the document.
    async fn ask<E>(
        &self,
        what: u8,
        most: usize,
        document: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(Vec<u8>, bool), ExtractError<E>> {
        let asked = async {
            let (mut socket, its) = UnixStream::pair()?;
            let mut child = self.start(its)?;
            feed(&mut socket, what, document).await?;
            let mut answer = Vec::new();
            // One that dies may take the rest of the socket along.
            let _what_came = (&mut socket).take(most as u64).read_to_end(&mut answer).await;
            drop(socket);
            let status = child.wait().await?;
            match tells_of_the_document(status) {
                true => Ok((answer, status.code() == Some(READ.into()))),
                false => Err(ExtractError::Ended(status)),
            }
        };
        tokio::time::timeout(WITHIN, asked).await.unwrap_or(Err(ExtractError::TooLong))
    }

    fn start(&self, its: UnixStream) -> std::io::Result<Child> {
        let its = its.into_std()?;
        its.set_nonblocking(false)?;
        let program = &*self.program;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().envs(program.variables.iter().map(|(name, value)| (name, value)));
        // Whoever stops its parent by the keyboard, or stops waiting, does not mean the document.
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::from(OwnedFd::from(its))).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn()
    }
}

/// Passes the question and the document on, piece by piece. A child that takes no more has had enough.
async fn feed<E>(
    socket: &mut UnixStream,
    what: u8,
    mut document: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<(), ExtractError<E>> {
    let mut passed = 0;
    let _it_reads_or_is_gone = socket.write_all(&[what]).await;
    while let Some(piece) = document.next().await {
        let piece = piece.map_err(ExtractError::Source)?;
        passed += piece.len() as u64;
        if socket.write_all(&piece).await.is_err() || passed > DOCUMENT_BYTES_MAX {
            break;
        }
    }
    let _it_is_gone = socket.shutdown().await;
    Ok(())
}

/// What a Rust program ends with whose panic nobody caught.
const PANICKED: i32 = 101;

/// Did it read the document, or die of it? Whoever else kills it says nothing of the document.
fn tells_of_the_document(status: ExitStatus) -> bool {
    let by_limits = [Signal::XCPU, Signal::ABORT, Signal::SEGV, Signal::BUS, Signal::ILL].map(Signal::as_raw);
    match status.code() {
        Some(code) => [READ.into(), UNREADABLE.into(), PANICKED].contains(&code),
        None => status.signal().is_some_and(|signal| by_limits.contains(&signal)),
    }
}
