//! The child: takes a document from its standard input, which is a socket, and answers there with its text, or with a small
//! picture of it. The first byte says which ([`TEXT`], [`PICTURE`]).

use crate::formats;
use crate::pictures::{self, Kind};
use crate::text::{Stop, Text};
use crate::{DOCUMENT_BYTES_MAX, TEXT_BYTES_MAX};
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that it may have in memory, itself among them.
const MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// The same for pictures: a JPEG that comes in scans takes some six bytes a pixel, and three more in the end.
const PICTURE_MEMORY_BYTES_MAX: u64 = 768 * 1024 * 1024;
/// Seconds of one core.
const CPU_SECONDS_MAX: u64 = 20;
/// How much it gives way: as much as there is.
const NICE: i32 = 19;

/// What is asked for: no document begins so, which is what parents of an older release begin with.
pub(crate) const TEXT: u8 = 0x01;
pub(crate) const PICTURE: u8 = 0x02;
/// The first byte of a picture says what it is.
pub(crate) const JPEG: u8 = b'J';
pub(crate) const PNG: u8 = b'N';

/// Exit codes: the document was read, it is none that can be, or nothing is known of it.
pub(crate) const READ: u8 = 0;
pub(crate) const UNREADABLE: u8 = 10;
const FAILED: u8 = 11;

/// Answers one question; what the process ends with then. Before that, it takes from itself whatever it does not need.
#[must_use]
pub fn serve() -> u8 {
    match answer() {
        Ok(true) => READ,
        Ok(false) => UNREADABLE,
        Err(_) => FAILED,
    }
}

/// What is over these limits ends the process; nothing is cleaned up, for there is nothing.
fn limit(memory: u64) -> io::Result<()> {
    let at_most = |what, most| setrlimit(what, Rlimit { current: Some(most), maximum: Some(most) });
    at_most(Resource::As, memory)?;
    // The first is a signal of its own, by which its parent knows why.
    setrlimit(Resource::Cpu, Rlimit { current: Some(CPU_SECONDS_MAX), maximum: Some(CPU_SECONDS_MAX + 5) })?;
    at_most(Resource::Fsize, 0)?;
    at_most(Resource::Core, 0)?;
    at_most(Resource::Nofile, 16)?;
    nice(NICE)?;
    Ok(())
}

/// True: it was read, to its end or until there was enough.
fn answer() -> io::Result<bool> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut what = [0];
    socket.read_exact(&mut what)?;
    match what {
        [TEXT] => {
            limit(MEMORY_BYTES_MAX)?;
            let Some(document) = rest(&socket, Vec::new())? else { return Ok(false) };
            Ok(text_of(&mut socket, |text| formats::read(&document, text)))
        }
        [PICTURE] => {
            limit(PICTURE_MEMORY_BYTES_MAX)?;
            let mut head = Vec::new();
            (&socket).take(pictures::HEAD_BYTES as u64).read_to_end(&mut head)?;
            // The rest need not come.
            if !pictures::begins_image(&head) {
                return Ok(false);
            }
            let Some(image) = rest(&socket, head)? else { return Ok(false) };
            match catch_unwind(|| pictures::make(&image)).unwrap_or_default() {
                Some((kind, picture)) => {
                    socket.write_all(&[if kind == Kind::Jpeg { JPEG } else { PNG }])?;
                    socket.write_all(&picture)?;
                    Ok(true)
                }
                None => Ok(false),
            }
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The document with what came of it before; none if it is too large.
fn rest(socket: &UnixStream, mut document: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    socket.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut document)?;
    Ok(Some(document).filter(|document| document.len() as u64 <= DOCUMENT_BYTES_MAX))
}

/// Was it read? A parser that panics gives the document up.
fn text_of(out: &mut dyn Write, read: impl FnOnce(&mut Text<'_>) -> Result<(), Stop>) -> bool {
    let mut text = Text::new(out, TEXT_BYTES_MAX);
    let read = catch_unwind(AssertUnwindSafe(|| read(&mut text))).unwrap_or(Err(Stop::Unreadable));
    // What came before it went wrong is text all the same.
    let _nobody_is_there = text.flush();
    !matches!(read, Err(Stop::Unreadable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_a_parser_panicked_is_text() {
        let mut out = Vec::new();
        let read = text_of(&mut out, |text| {
            text.push("before")?;
            panic!("a bug of a parser")
        });
        assert_eq!((read, &out[..]), (false, &b"before"[..]));
    }
}
